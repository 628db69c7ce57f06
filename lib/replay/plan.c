/* The dry run: each batch is only asked about, in a transaction that is rolled back, since asking may note a new epoch. */
#include "internal.h"

#include <stdio.h>
#include <string.h>

static struct leat_replay_plan *find_plan(struct leat_replay_report *report, const struct leat_replay_plan *like)
{
	for (size_t i = 0; i < report->plan_count; i++) {
		struct leat_replay_plan *plan = &report->plans[i];
		if (plan->stream == like->stream && plan->routable == like->routable && strcmp(plan->intent, like->intent) == 0 &&
			memcmp(&plan->tenant, &like->tenant, sizeof plan->tenant) == 0)
			return plan;
	}
	report->plans = leat_realloc(report->plans, (report->plan_count + 1) * sizeof *report->plans);
	report->plans[report->plan_count] = *like;
	return &report->plans[report->plan_count++];
}

static void plan_row(struct replay *r, struct replay_stream *s, const struct leat_subject *subject)
{
	struct leat_replay_plan like = {.stream = s->which, .routable = subject->routable};
	if (subject->routable) {
		like.tenant = subject->tenant;
		snprintf(
			like.intent, sizeof like.intent, "%.*s.%.*s", (int)subject->noun_bytes, subject->noun, (int)subject->verb_bytes, subject->verb);
	}
	find_plan(r->report, &like)->count++;
}

static enum leat_kind ask(struct replay_stream *s, struct leat_pg_result **unsettled, struct leat_error *err)
{
	struct leat_error ignored; /* the connection is lost then, and so is the transaction */
	enum leat_kind kind = leat_pg_run_sql(s->pg, "begin", NULL, err);
	if (kind == LEAT_OK)
		kind = replay_probe(s, unsettled, err);
	if (leat_pg_run_sql(s->pg, "rollback", NULL, &ignored) != LEAT_OK && kind == LEAT_OK) {
		*err = ignored;
		kind = ignored.kind;
	}
	return kind;
}

enum leat_kind replay_plan(struct replay *r, struct replay_stream *s, struct leat_error *err)
{
	LEAT_PG_RESULT_SCOPED *unsettled = NULL;
	struct leat_batch *batch = &s->batch;
	leat_batch_close(batch);
	for (;;) {
		enum leat_kind kind = replay_open_pg(r, s, err);
		if (kind == LEAT_OK)
			kind = ask(s, &unsettled, err);
		if (kind == LEAT_OK)
			break;
		leat_pg_result_drop(&unsettled);
		unsettled = NULL;
		if (kind == LEAT_PERMANENT || !replay_pause(r, "Postgres", err))
			return kind;
	}
	r->backoff.next_ms = 0;

	size_t next = 0;
	for (size_t i = 0; i < batch->count; i++) {
		bool wanted = next < leat_pg_rows(unsettled) && batch->rows[i].msg.seq == (uint64_t)leat_pg_int8(unsettled, next, 0);
		next += wanted;
		if (wanted)
			plan_row(r, s, &batch->rows[i].intent.subject);
		else
			s->figures->known++;
	}
	s->done_seq = s->read_seq;
	s->figures->next_seq = s->read_seq + 1;
	leat_batch_clear(batch);
	r->options->progress(r->options->context, r->report);
	return LEAT_OK;
}
