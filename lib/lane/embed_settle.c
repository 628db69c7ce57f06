/*
 * The embed lane's end of a call: vectors are stored; what there is no vector for stays queued and is due again later, for ever.
 *
 * Not well (refused, timed out, 5xx, garbage): the lane makes a growing pause, then one call tells whether it goes on. But a batch that
 * fails while others do well may itself be the reason: it comes again in halves, and so on, until the one input that fails is alone and
 * holds up nobody. Refused for what is in it (400, 413, 422): in halves at once; an input refused alone waits long. When nothing but
 * refusals come it is no input's fault, and the lane pauses. Refused whatever is in it (401, 404): the lane pauses, and says what to do.
 */
#include "embed.h"

#include "leat/log.h"
#include "leat/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* To find the one among 64 that is to blame takes fewer in a row. */
enum { REFUSALS_IN_A_ROW = 16 };

void embed_pause(struct embed_lane *e, int64_t delay_ms, const char *state, const char *why)
{
	leat_lane_enter(e->lane, state, why);
	e->paused_until_ms = leat_clock_ms() + delay_ms;
}

static void go_well(struct embed_lane *e)
{
	e->failures = 0;
	e->refusals = 0;
	e->pause.next_ms = 0;
	e->paused_until_ms = 0;
	leat_lane_enter(e->lane, "working", NULL);
}

enum leat_kind embed_postpone(
	struct embed_lane *e, struct embed_call *call, int64_t delay_ms, int64_t most, const char *error, struct leat_error *err)
{
	struct leat_pg_params params = {0};
	leat_pg_bind_text(&params, call->token);
	leat_pg_bind_array(&params, &call->tenants);
	leat_pg_bind_array(&params, &call->entities);
	leat_pg_bind_int8(&params, delay_ms);
	if (most >= 0)
		leat_pg_bind_int8(&params, most);
	else
		leat_pg_bind_text(&params, NULL);
	leat_pg_bind_text(&params, error);
	if (error != NULL)
		leat_lane_count(e->lane, LEAT_COUNT_RETRIES, 1);
	e->look = true;
	enum leat_kind kind = leat_pg_run(e->link.pg, "postpone", &params, NULL, err);
	embed_call_clear(call);
	return kind;
}

/* How many inputs a call with those of this one may have from now on. */
static int64_t half(const struct embed_call *call)
{
	return call->count > 1 ? (int64_t)(call->count + 1) / 2 : 1;
}

/* Of the rows, grown by how often they were tried before; spread, so that processes that failed together do not come back together. */
static int64_t row_delay_ms(const struct embed_lane *e, const struct embed_call *call)
{
	struct leat_backoff backoff = e->pause;
	int doublings = call->attempts < 20 ? (int)call->attempts : 20;
	backoff.next_ms = backoff.first_ms << doublings;
	return leat_backoff_delay_ms(&backoff);
}

/* ---- each verdict ---- */

static enum leat_kind later(struct embed_lane *e, struct embed_call *call, const char *why, struct leat_error *err)
{
	int64_t delay = row_delay_ms(e, call);
	int64_t most = call->most;
	bool others_do_well = e->failures++ == 0;
	if (others_do_well && (call->count > 1 || most < 0))
		most = half(call);
	if (!others_do_well || call->count > 1 || call->attempts == 0) {
		int64_t pause = leat_backoff_delay_ms(&e->pause);
		embed_pause(e, pause, "waiting for the endpoint", why);
		delay = pause > delay ? pause : delay;
	} /* else it is this input, which waits alone */
	return embed_postpone(e, call, delay, most, why, err);
}

static enum leat_kind slower(
	struct embed_lane *e, struct embed_call *call, const struct leat_http_answer *answer, const char *why, struct leat_error *err)
{
	int64_t delay = leat_backoff_delay_ms(&e->pause);
	delay = delay > answer->retry_after_ms ? delay : answer->retry_after_ms;
	e->failures++;
	embed_pause(e, delay, "told to wait by the endpoint", why);
	return embed_postpone(e, call, delay, call->most, why, err);
}

static enum leat_kind not_set(struct embed_lane *e, struct embed_call *call, int status, const char *why, struct leat_error *err)
{
	char text[512];
	int64_t delay = leat_backoff_delay_ms(&e->pause);
	snprintf(text, sizeof text, "%s: %s", why, leat_embed_advice(status));
	e->failures++;
	embed_pause(e, delay, "refused by the endpoint", text);
	return embed_postpone(e, call, delay, call->most, text, err);
}

/* What it says of an input that is alone; of several, it might tell of one tenant in another's row. Never anything with the key in it. */
static void add_reason(const struct embed_lane *e, const struct leat_http_answer *answer, struct leat_buf *why)
{
	const char *key = e->params->embed_key;
	if (*key == '\0' || memmem(answer->body, answer->body_bytes, key, strlen(key)) == NULL)
		leat_buf_printf(why, ": %s", leat_excerpt((struct leat_text){answer->body, answer->body_bytes}).text);
}

static enum leat_kind apart(
	struct embed_lane *e, struct embed_call *call, const struct leat_http_answer *answer, const char *why, struct leat_error *err)
{
	bool alone = call->count == 1;
	if (call->most != 0 && ++e->refusals > REFUSALS_IN_A_ROW)
		embed_pause(e, leat_backoff_delay_ms(&e->pause), "refused by the endpoint, whatever it is sent", leat_embed_advice(answer->status));
	if (!alone)
		return embed_postpone(e, call, 0, half(call), why, err);
	LEAT_BUF_SCOPED reason = LEAT_BUF_INIT;
	leat_buf_add_text(&reason, why);
	add_reason(e, answer, &reason);
	if (call->most != 0)
		leat_log(LEAT_LOG_WARN, "embed",
			"the endpoint refuses %s (%s); again in %d min, or when it changes. leat.embedding_queue has the reason", call->first, why,
			(int)e->params->embed_refused_min);
	return embed_postpone(e, call, e->params->embed_refused_min * 60000, 0, reason.data, err);
}

/* ---- vectors ---- */

static enum leat_kind store(struct embed_lane *e, struct embed_call *call, struct leat_buf *vectors, struct leat_error *err)
{
	struct leat_pg_array texts = {0};
	struct leat_pg_params params = {0};
	LEAT_PG_RESULT_SCOPED *result = NULL;
	leat_pg_array_start(&texts, LEAT_PG_TEXT);
	for (size_t i = 0; i < call->count; i++)
		leat_pg_array_add_bytes(&texts, vectors[i].data, vectors[i].len);
	leat_pg_bind_text(&params, call->token);
	leat_pg_bind_text(&params, e->params->embed_model);
	leat_pg_bind_array(&params, &call->tenants);
	leat_pg_bind_array(&params, &call->entities);
	leat_pg_bind_array(&params, &texts);
	enum leat_kind kind = leat_pg_run(e->link.pg, "store", &params, &result, err);
	leat_pg_array_free(&texts);
	if (kind == LEAT_PERMANENT) { /* a server that is not as migrated: no reason to give up the other calls */
		struct leat_error refusal = *err;
		leat_log(LEAT_LOG_ERROR, "embed", "vectors can't be stored: %s", refusal.text);
		return embed_postpone(e, call, row_delay_ms(e, call), call->most, refusal.text, err);
	}
	if (kind != LEAT_OK)
		return kind;
	leat_lane_count(e->lane, LEAT_COUNT_EMBEDDED, (uint64_t)leat_pg_int8(result, 0, 0));
	embed_call_clear(call);
	go_well(e);
	return LEAT_OK;
}

static enum leat_kind read_and_store(
	struct embed_lane *e, struct embed_call *call, const struct leat_http_answer *answer, struct leat_error *err)
{
	struct leat_buf vectors[LEAT_EMBED_INPUTS] = {0};
	struct leat_error wrong;
	enum leat_kind kind = leat_embed_read_answer(answer->body, answer->body_bytes, call->count, vectors, &wrong);
	if (kind == LEAT_OK)
		kind = store(e, call, vectors, err);
	else
		kind = later(e, call, wrong.text, err);
	for (size_t i = 0; i < LEAT_EMBED_INPUTS; i++)
		leat_buf_free(&vectors[i]);
	return kind;
}

enum leat_kind embed_settle(struct embed_lane *e, struct leat_http_answer *answer, struct leat_error *err)
{
	struct embed_call *call = answer->opaque;
	char why[sizeof answer->why];
	if (answer->end == LEAT_HTTP_ANSWERED)
		snprintf(why, sizeof why, "HTTP %d", answer->status);
	else
		snprintf(why, sizeof why, "%s", answer->why);
	e->look = true;
	switch (leat_embed_judge(answer->end, answer->status)) {
	case LEAT_EMBED_READ:
		return read_and_store(e, call, answer, err);
	case LEAT_EMBED_LATER:
		return answer->retry_after_ms > 0 ? slower(e, call, answer, why, err) : later(e, call, why, err);
	case LEAT_EMBED_SLOWER:
		return slower(e, call, answer, why, err);
	case LEAT_EMBED_APART:
		return apart(e, call, answer, why, err);
	case LEAT_EMBED_NOT_SET:
		return not_set(e, call, answer->status, why, err);
	}
	abort();
}

enum leat_kind embed_give_back(struct embed_lane *e, struct leat_error *err)
{
	enum leat_kind kind = LEAT_OK;
	leat_http_abort_all(e->http);
	for (size_t i = 0; i < EMBED_CALLS && kind == LEAT_OK; i++) {
		if (e->calls[i].used)
			kind = embed_postpone(e, &e->calls[i], 0, e->calls[i].most, NULL, err);
	}
	return kind;
}
