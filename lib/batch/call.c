/* The call: rows to array parameters of `apply`, or one row to scalars of `apply_one`; its answer back. */
#include "leat/batch.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

const enum leat_pg_type leat_batch_types[LEAT_BATCH_COLUMNS] = {
	[LEAT_BATCH_SEQ] = LEAT_PG_INT8,
	[LEAT_BATCH_AT] = LEAT_PG_TIME,
	[LEAT_BATCH_SUBJECT] = LEAT_PG_TEXT,
	[LEAT_BATCH_TENANT] = LEAT_PG_UUID,
	[LEAT_BATCH_ROLE] = LEAT_PG_TEXT,
	[LEAT_BATCH_VERB] = LEAT_PG_TEXT,
	[LEAT_BATCH_TARGET] = LEAT_PG_UUID,
	[LEAT_BATCH_ACTOR] = LEAT_PG_TEXT,
	[LEAT_BATCH_ID] = LEAT_PG_TEXT,
	[LEAT_BATCH_REPLY_TO] = LEAT_PG_TEXT,
	[LEAT_BATCH_TRACEPARENT] = LEAT_PG_TEXT,
	[LEAT_BATCH_HEADERS] = LEAT_PG_BYTES,
	[LEAT_BATCH_BODY] = LEAT_PG_BYTES,
	[LEAT_BATCH_CODE] = LEAT_PG_TEXT,
	[LEAT_BATCH_MESSAGE] = LEAT_PG_TEXT,
};

static void add_row(struct leat_pg_array *arrays, const struct leat_batch *batch, const struct leat_batch_row *row)
{
	const struct leat_intent *intent = &row->intent;
	const struct leat_subject *subject = &intent->subject;
	bool rejected = row->rejection != NULL;
	const char *role = subject->routable && subject->role != LEAT_ROLE_NONE ? leat_role_name(subject->role) : NULL;
	bool single = !rejected && intent->targets == NULL;

	leat_pg_array_add_int8(&arrays[LEAT_BATCH_SEQ], (int64_t)row->msg.seq);
	leat_pg_array_add_time(&arrays[LEAT_BATCH_AT], row->msg.timestamp_ns);
	leat_pg_array_add_text(&arrays[LEAT_BATCH_SUBJECT], row->subject != NULL ? row->subject : row->msg.subject);
	leat_pg_array_add_uuid(&arrays[LEAT_BATCH_TENANT], subject->routable ? &subject->tenant : NULL);
	leat_pg_array_add_text(&arrays[LEAT_BATCH_ROLE], role);
	leat_pg_array_add_bytes(&arrays[LEAT_BATCH_VERB], subject->routable ? subject->verb : NULL, subject->verb_bytes);
	leat_pg_array_add_uuid(&arrays[LEAT_BATCH_TARGET], single ? &intent->target : NULL);
	leat_pg_array_add_text(&arrays[LEAT_BATCH_ACTOR], intent->actor);
	leat_pg_array_add_text(&arrays[LEAT_BATCH_ID], intent->id);
	leat_pg_array_add_text(&arrays[LEAT_BATCH_REPLY_TO], intent->reply_to);
	leat_pg_array_add_text(&arrays[LEAT_BATCH_TRACEPARENT], intent->traceparent);
	leat_pg_array_add_bytes(&arrays[LEAT_BATCH_HEADERS], leat_buf_text(&batch->headers) + row->headers_at, row->headers_bytes);
	leat_pg_array_add_bytes(&arrays[LEAT_BATCH_BODY], row->msg.data_bytes > 0 ? row->msg.data : "", row->msg.data_bytes);
	leat_pg_array_add_text(&arrays[LEAT_BATCH_CODE], rejected ? leat_code_name(row->code) : NULL);
	leat_pg_array_add_text(&arrays[LEAT_BATCH_MESSAGE], row->rejection);
}

enum leat_kind leat_batch_send(
	struct leat_batch *batch, struct leat_pg *pg, size_t from, size_t to, int64_t reply_bytes, struct leat_error *err)
{
	struct leat_pg_params params = {0};
	leat_pg_bind_text(&params, batch->stream);
	for (size_t i = 0; i < LEAT_BATCH_COLUMNS; i++)
		leat_pg_array_start(&batch->arrays[i], leat_batch_types[i]);
	for (size_t i = from; i < to; i++)
		add_row(batch->arrays, batch, &batch->rows[i]);
	bool one = to - from == 1;
	for (size_t i = 0; i < LEAT_BATCH_COLUMNS; i++)
		(one ? leat_pg_bind_only_element : leat_pg_bind_array)(&params, &batch->arrays[i]);
	leat_pg_bind_int8(&params, reply_bytes);
	return leat_pg_send(pg, one ? "apply_one" : "apply", &params, err);
}

enum leat_outcome leat_outcome_parse(const char *status)
{
	static const struct {
		const char *name;
		enum leat_outcome outcome;
	} names[] = {
		{"applied", LEAT_OUTCOME_APPLIED},
		{"duplicate", LEAT_OUTCOME_DUPLICATE},
		{"rejected", LEAT_OUTCOME_REJECTED},
		{"parked", LEAT_OUTCOME_PARKED},
		{"known", LEAT_OUTCOME_KNOWN},
	};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		if (strcmp(names[i].name, status) == 0)
			return names[i].outcome;
	}
	abort(); /* sql/ and this file disagree */
}

void leat_batch_receive(struct leat_batch *batch, size_t from, size_t to, const struct leat_pg_result *result)
{
	for (size_t i = from; i < to; i++)
		batch->rows[i].outcome = LEAT_OUTCOME_APPLIED;
	for (size_t i = 0; i < leat_pg_rows(result); i++) {
		size_t at = from + (size_t)leat_pg_int8(result, i, 0) - 1;
		assert(at < to);
		struct leat_batch_row *row = &batch->rows[at];
		const char *reply = leat_pg_text(result, i, 3);
		row->outcome = leat_outcome_parse(leat_pg_text(result, i, 1));
		if (reply != NULL && row->reply == NULL) {
			row->reply = leat_strdup(reply);
			row->short_reply = leat_strdup(leat_pg_text(result, i, 4));
		}
	}
}
