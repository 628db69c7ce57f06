/* What members.c and fields.c know while they read one body. */
#ifndef LEAT_INTENT_READING_H
#define LEAT_INTENT_READING_H

#include "parts.h"

struct leat_reading {
	struct leat_intent *out;
	const struct leat_params *limits;
	struct leat_error *err;
	struct leat_json found[LEAT_INTENT_FIELDS]; /* in the order of the row's fields; LEAT_JSON_NONE: not sent */
	int64_t names;                              /* how many fields of the entity the message names */
	struct leat_buf scratch;                    /* of the last leat_json_text */
};

/* Checks the value of a field that the row has, and takes over what it says about targets. */
enum leat_kind leat_reading_field(struct leat_reading *reading, const struct leat_field *field, const struct leat_json *value)
	__attribute__((warn_unused_result));

/* Fields that exclude or need each other (`either`, `only_with`), once all members were read and none of the required ones is missing. */
enum leat_kind leat_reading_check_together(struct leat_reading *reading) __attribute__((warn_unused_result));

/* `<field>: expected <what>, found <value>`. */
enum leat_kind leat_reading_mistyped(struct leat_reading *reading, const char *field, const char *expected, const struct leat_json *value);

#endif
