/* What the tables have in common, and the steps of decoding that have files of their own. All pure. */
#ifndef LEAT_INTENT_PARTS_H
#define LEAT_INTENT_PARTS_H

#include "leat/intent.h"
#include "leat/json.h"

/* A table of messages, and what they are called. */
struct leat_intent_kind {
	const char *name; /* "intent": in subjects and texts */
	const char *does; /* head of the column in Markdown */
	const struct leat_intent_type *types;
	size_t count;
};

extern const struct leat_intent_kind leat_intents;
extern const struct leat_intent_kind leat_queries;

const struct leat_intent_type *leat_intent_kind_find(
	const struct leat_intent_kind *kind, const char *noun, size_t noun_bytes, const char *verb, size_t verb_bytes);
void leat_intent_kind_describe(struct leat_buf *out, const struct leat_intent_kind *kind);

/* The first field of that type in the row; NULL when there is none. */
const struct leat_field *leat_intent_field(const struct leat_intent_type *type, enum leat_field_type wanted);

/* Takes over the headers that are legal and leaves the others NULL. Needs out->subject. */
void leat_headers_take(struct leat_intent *out, const struct leat_raw_intent *raw);

/* LEAT_OK, or invalid_message naming the first header that was not taken over. A traceparent never fails. */
enum leat_kind leat_headers_check(const struct leat_intent *intent, const struct leat_raw_intent *raw, struct leat_error *err)
	__attribute__((warn_unused_result));

/* Compares the body with out->type, the table's row, and fills in the targets. Codes as leat_intent_decode has them. */
enum leat_kind leat_fields_read(struct leat_intent *out, const struct leat_json *body, const struct leat_params *limits,
	struct leat_error *err) __attribute__((warn_unused_result));

#endif
