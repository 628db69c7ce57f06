/*
 * The query lane's Postgres side: one call for all requests in hand.
 *
 * A query that fails is answered by leat.answer_queries itself, alone. What fails the whole call (a time limit, memory) is tried one
 * request at a time, so that it is told to whom it belongs. A server that does not answer at all counts as lost.
 */
#include "query.h"

#include "leat/log.h"

#include <assert.h>

static const struct leat_pg_statement statements[] = {
	{"answer", "select answer from leat.answer_queries($1, $2, $3, $4, $5, $6, $7, $8, $9)"},
	{"limit", "select set_config('statement_timeout', $1, false)"},
};

/* Behind the server's own time limit: whoever does not answer then is not there. */
enum { GRACE_MS = 1000 };

/* While somebody waits, no longer pauses than this. */
enum { HURRY_MS = 300 };

static const enum leat_pg_type types[QUERY_COLUMNS] = {
	[QUERY_TENANT] = LEAT_PG_UUID,
	[QUERY_ROLE] = LEAT_PG_TEXT,
	[QUERY_ACTOR] = LEAT_PG_TEXT,
	[QUERY_NOUN] = LEAT_PG_TEXT,
	[QUERY_VERB] = LEAT_PG_TEXT,
	[QUERY_TARGET] = LEAT_PG_UUID,
	[QUERY_BODY] = LEAT_PG_BYTES,
};

bool query_open_postgres(struct query_lane *q)
{
	struct leat_error err;
	struct leat_pg_params params = {0};
	if (q->link.pg != NULL)
		return true;
	q->link.backoff.limit_ms = q->ended && HURRY_MS < q->params->retry_limit_ms ? HURRY_MS : q->params->retry_limit_ms;
	if (!lane_link_open_pg(&q->link, statements, sizeof statements / sizeof *statements))
		return false;
	leat_pg_bind_int8(&params, q->params->query_wait_ms);
	if (leat_pg_run(q->link.pg, "limit", &params, NULL, &err) == LEAT_OK)
		return true;
	lane_link_close_pg(&q->link);
	lane_link_wait(&q->link, "waiting for Postgres", err.text);
	return false;
}

/* Out of the group first: whoever reads the lane's state may count on nobody being given to it any more. */
static bool lose(struct query_lane *q, const char *why)
{
	query_end_inbox(q);
	leat_lane_enter(q->lane, "waiting for Postgres", why);
	return false;
}

bool query_has_postgres(struct query_lane *q)
{
	struct leat_error err;
	bool woken;
	if (leat_pg_wait_notify(q->link.pg, 0, &woken, &err) == LEAT_OK)
		return true;
	return lose(q, err.text);
}

static void add_row(struct leat_pg_array *arrays, const struct query_request *request)
{
	const struct leat_intent *intent = &request->intent;
	const struct leat_subject *subject = &intent->subject;
	const struct leat_msg *msg = &request->msg;
	leat_pg_array_add_uuid(&arrays[QUERY_TENANT], &subject->tenant);
	leat_pg_array_add_text(&arrays[QUERY_ROLE], leat_role_name(subject->role));
	leat_pg_array_add_text(&arrays[QUERY_ACTOR], intent->actor);
	leat_pg_array_add_bytes(&arrays[QUERY_NOUN], subject->noun, subject->noun_bytes);
	leat_pg_array_add_bytes(&arrays[QUERY_VERB], subject->verb, subject->verb_bytes);
	leat_pg_array_add_uuid(&arrays[QUERY_TARGET], &intent->target);
	leat_pg_array_add_bytes(&arrays[QUERY_BODY], msg->data_bytes > 0 ? msg->data : "{}", msg->data_bytes > 0 ? msg->data_bytes : 2);
}

/* Waits for the answer to the call that was sent. TEMPORARY and no connection when the server does not answer. */
static enum leat_kind finish(struct query_lane *q, struct leat_pg_result **result, struct leat_error *err)
{
	bool pending = true;
	enum leat_kind kind = leat_pg_finish(q->link.pg, q->params->query_wait_ms + GRACE_MS, &pending, result, err);
	if (kind != LEAT_OK || !pending)
		return kind;
	lane_link_close_pg(&q->link);
	return leat_fail(err, LEAT_TEMPORARY, LEAT_CODE_INTERNAL, "Postgres does not answer");
}

/* Requests [from, to) in one call, answered when that works. */
static enum leat_kind ask(struct query_lane *q, size_t from, size_t to, struct leat_error *err)
{
	LEAT_PG_RESULT_SCOPED *result = NULL;
	struct leat_pg_params params = {0};
	for (size_t i = 0; i < QUERY_COLUMNS; i++)
		leat_pg_array_start(&q->arrays[i], types[i]);
	for (size_t i = from; i < to; i++)
		add_row(q->arrays, &q->hand[i]);
	for (size_t i = 0; i < QUERY_COLUMNS; i++)
		leat_pg_bind_array(&params, &q->arrays[i]);
	leat_pg_bind_int8(&params, (int64_t)leat_bus_max_payload(q->link.bus));
	leat_pg_bind_int8(&params, q->params->lease_ms);
	enum leat_kind kind = leat_pg_send(q->link.pg, "answer", &params, err);
	if (kind == LEAT_OK)
		kind = finish(q, &result, err);
	if (kind != LEAT_OK)
		return kind;
	assert(leat_pg_rows(result) == to - from);
	for (size_t i = from; i < to; i++)
		query_reply(q, i, leat_pg_text(result, i - from, 0));
	leat_lane_count(q->lane, LEAT_COUNT_BATCHES, 1);
	return LEAT_OK;
}

static bool is_connected(const struct query_lane *q)
{
	return q->link.pg != NULL && leat_pg_alive(q->link.pg);
}

/* From the last to the first; each is out of the hand once it is answered, so that none is answered twice. */
static bool answer_one_by_one(struct query_lane *q, struct leat_error *err)
{
	while (q->count > 0 && leat_clock_ms() < q->give_up_ms) {
		enum leat_kind kind = ask(q, q->count - 1, q->count, err);
		if (kind != LEAT_OK && !is_connected(q))
			return false;
		query_drop_last(q, kind == LEAT_OK ? NULL : err->text);
	}
	query_turn_away(q, err->text);
	return true;
}

bool query_answer(struct query_lane *q)
{
	struct leat_error err;
	if (q->count == 0)
		return true;
	if (ask(q, 0, q->count, &err) == LEAT_OK) {
		query_drop(q);
		return true;
	}
	if (!is_connected(q))
		return lose(q, err.text);
	leat_log(LEAT_LOG_WARN, "query", "Postgres refuses a call for %zu requests, asking for one at a time: %s", q->count, err.text);
	leat_lane_count(q->lane, LEAT_COUNT_RETRIES, 1);
	return answer_one_by_one(q, &err) || lose(q, err.text);
}
