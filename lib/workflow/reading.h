/* What params.c and its parts know while they read the parameters of one node. */
#ifndef LEAT_WORKFLOW_READING_H
#define LEAT_WORKFLOW_READING_H

#include "definition.h"

struct leat_node_reading {
	struct leat_definition *definition;
	struct leat_node *node;
	const struct leat_params *limits;
	struct leat_error *err;
	bool replaced;           /* references have been: an object with "$ref" is one like any other, and there is no definition */
	struct leat_buf scratch; /* of the last leat_json_text */
};

/* An object with a member "$ref"; whether it is a good one is leat_node_read_references' to say. */
bool leat_node_is_reference(struct leat_node_reading *reading, const struct leat_json *value);

/* Compares a value that is no reference with the table's row. Texts begin behind the parameter's name. */
enum leat_kind leat_node_read_value(struct leat_node_reading *reading, const struct leat_node_param *param, const struct leat_json *value)
	__attribute__((warn_unused_result));
enum leat_kind leat_node_read_url(struct leat_node_reading *reading, const struct leat_json *value) __attribute__((warn_unused_result));
enum leat_kind leat_node_read_headers(struct leat_node_reading *reading, const struct leat_json *value) __attribute__((warn_unused_result));

/*
 * Every reference in a value, at any depth, is well formed and is added to the definition's; a secret stands in a header's value or
 * nowhere. Texts name the parameter and the place in it.
 */
enum leat_kind leat_node_read_references(struct leat_node_reading *reading, const struct leat_node_param *param,
	const struct leat_json *value) __attribute__((warn_unused_result));

/* PERMANENT, invalid_message: `expected <what>, found <value>`. */
enum leat_kind leat_node_expected(struct leat_node_reading *reading, const char *expected, const struct leat_json *value);

#endif
