/* The steps of leat_intent_decode that have files of their own. All pure. */
#ifndef LEAT_INTENT_PARTS_H
#define LEAT_INTENT_PARTS_H

#include "leat/intent.h"
#include "leat/json.h"

size_t leat_intent_field_count(const struct leat_intent_type *type);
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
