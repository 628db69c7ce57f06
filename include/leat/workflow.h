/*
 * Workflows: what a definition may say (design.md section 6), checked before it is saved.
 *
 * One table knows the node types and their parameters; the check, `leat help nodes` and whoever runs the nodes read it. All pure; any
 * thread.
 */
#ifndef LEAT_WORKFLOW_H
#define LEAT_WORKFLOW_H

#include "leat/buf.h"
#include "leat/error.h"
#include "leat/json.h"
#include "leat/param.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LEAT_NODE_ID_BYTES 64
#define LEAT_SECRET_NAME_BYTES 64
#define LEAT_NODE_HEADERS 64 /* of a request, at most */

/* ---- the table ---- */

enum leat_node_kind {
	LEAT_NODE_HTTP,
	LEAT_NODE_WORKER,
	LEAT_NODE_SPLIT,
	LEAT_NODE_COLLECT,
	LEAT_NODE_MERGE,
	LEAT_NODE_QUESTION,
};

/* What a parameter's value is, where it is no reference. */
enum leat_value_type {
	LEAT_VALUE_ANY,
	LEAT_VALUE_ARRAY,       /* of lowest to highest items */
	LEAT_VALUE_TEXT,        /* of lowest to highest bytes, without control characters */
	LEAT_VALUE_CHOICE,      /* text: one of `choices` */
	LEAT_VALUE_NUMBER,      /* whole, lowest to highest */
	LEAT_VALUE_URL,         /* text: http or https, with a host, without a user */
	LEAT_VALUE_HEADERS,     /* object of texts and references */
	LEAT_VALUE_UUID,        /* text: 36 characters */
	LEAT_VALUE_ENTITY_TYPE, /* text: [a-z0-9_.-]{1,64} */
	LEAT_VALUE_ENTITY_KEY,  /* text of 1 to max_key_bytes bytes */
	LEAT_VALUE_FIELDS,      /* object: fields of an entity */
};

struct leat_node_param {
	const char *name;
	enum leat_value_type value;
	bool required;
	int64_t lowest;
	int64_t highest;
	const char *choices; /* "a|b|c" */
	const char *about;   /* a phrase for the table */
};

#define LEAT_NODE_PARAMS 6

struct leat_node_type {
	const char *name;
	enum leat_node_kind kind;
	struct leat_node_param params[LEAT_NODE_PARAMS]; /* up to the first without a name */
	const char *about;
	const char *either[2]; /* NULL, or the parameters of which it has at most one way: leat/either.h */
	const char *needs_any; /* NULL, or parameters of which it has at least one: "content metadata" */
};

/* The rows, in the order of `enum leat_node_kind`; *count of them. Static. */
const struct leat_node_type *leat_node_table(size_t *count);
/* NULL when there is no such type. */
const struct leat_node_type *leat_node_find(struct leat_text name);
size_t leat_node_param_count(const struct leat_node_type *type);
/* Markdown rows: `| node | parameter | value | meaning |`. */
void leat_workflow_describe(struct leat_buf *out);

/* ---- the check ---- */

/*
 * One parameter's value, once its references were replaced: they may have brought anything, and none is left. `value` is one that
 * leat_json_check has let through. PERMANENT, invalid_message or too_large: `expected …, found …`; the caller puts node and parameter in
 * front.
 */
enum leat_kind leat_node_check_value(const struct leat_node_param *param, const struct leat_json *value, const struct leat_params *limits,
	struct leat_error *err) __attribute__((warn_unused_result));

/*
 * `definition` is a value that leat_json_check has let through. LEAT_OK: it may be saved and run. PERMANENT otherwise, at the first fault:
 *   too_large        more bytes than max_workflow_bytes, more nodes than max_workflow_nodes, an entity's key over max_key_bytes, fields to
 *                    merge over max_fields or max_field_name_bytes; the text names the flag
 *   invalid_message  anything else; the text names the node and the rule:
 *                    `definition: node "a": url is missing; http nodes need url`
 * The time it takes grows with the bytes times their nesting, and with the edges times the nodes / 64.
 */
enum leat_kind leat_workflow_check(const struct leat_json *definition, const struct leat_params *limits, struct leat_error *err)
	__attribute__((warn_unused_result));

#endif
