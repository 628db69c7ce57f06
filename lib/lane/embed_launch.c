/*
 * The embed lane's beginning of a call: a claim, which commits, and then the request. A claim may settle rows that need no call at all.
 *
 * It fails when Postgres does. A request that can't even be made (a URL that is none) is a matter of settings, like one that is refused.
 */
#include "embed.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Columns of leat.claim_embeddings(). */
enum { TOKEN, TENANT, ENTITY, ATTEMPTS, MOST, INPUT };

bool embed_has_room(const struct embed_lane *e)
{
	return leat_http_under_way(e->http) < (e->failures > 0 ? 1 : (size_t)e->params->embed_calls);
}

static struct embed_call *free_call(struct embed_lane *e)
{
	size_t i = 0;
	while (i < EMBED_CALLS && e->calls[i].used)
		i++;
	assert(i < EMBED_CALLS);
	return &e->calls[i];
}

void embed_call_clear(struct embed_call *call)
{
	leat_pg_array_free(&call->tenants);
	leat_pg_array_free(&call->entities);
	*call = (struct embed_call){0};
}

static void add_uuid(struct leat_pg_array *array, const char *text)
{
	struct leat_uuid id;
	bool good = leat_uuid_parse(&id, text, strlen(text));
	assert(good);
	leat_pg_array_add_uuid(array, &id);
}

/* Takes the rows that need a call, and points `inputs` at their texts, which stay the result's. */
static void take_rows(struct embed_call *call, const struct leat_pg_result *rows, const char *inputs[LEAT_EMBED_INPUTS])
{
	call->used = true;
	leat_pg_array_start(&call->tenants, LEAT_PG_UUID);
	leat_pg_array_start(&call->entities, LEAT_PG_UUID);
	for (size_t row = 0; row < leat_pg_rows(rows); row++) {
		const char *input = leat_pg_text(rows, row, INPUT);
		if (input == NULL)
			continue;
		if (call->count == 0) {
			const char *most = leat_pg_text(rows, row, MOST);
			snprintf(call->token, sizeof call->token, "%s", leat_pg_text(rows, row, TOKEN));
			snprintf(call->first, sizeof call->first, "entity %s of tenant %s", leat_pg_text(rows, row, ENTITY),
				leat_pg_text(rows, row, TENANT));
			call->most = most != NULL ? leat_pg_int8(rows, row, MOST) : -1;
		}
		int64_t attempts = leat_pg_int8(rows, row, ATTEMPTS);
		call->attempts = attempts > call->attempts ? attempts : call->attempts;
		add_uuid(&call->tenants, leat_pg_text(rows, row, TENANT));
		add_uuid(&call->entities, leat_pg_text(rows, row, ENTITY));
		inputs[call->count++] = input;
	}
}

static enum leat_kind start_request(struct embed_lane *e, struct embed_call *call, const char *const *inputs, struct leat_error *err)
{
	const char *const headers[] = {
		"Content-Type: application/json", "Accept: application/json", e->authorization[0] != '\0' ? e->authorization : NULL, NULL};
	LEAT_BUF_SCOPED body = LEAT_BUF_INIT;
	leat_embed_write_request(&body, e->params->embed_model, inputs, call->count);
	const struct leat_http_request request = {
		.method = "POST",
		.url = e->params->embed_url,
		.headers = headers,
		.body = body.data,
		.body_bytes = body.len,
		.timeout_ms = e->params->embed_timeout_ms,
		.response_bytes = (size_t)e->params->embed_response_bytes,
		.opaque = call,
	};
	return leat_http_start(e->http, &request, NULL, err);
}

/* Nothing is due: until when? */
static enum leat_kind look_ahead(struct embed_lane *e, struct leat_error *err)
{
	LEAT_PG_RESULT_SCOPED *result = NULL;
	struct leat_pg_params params = {0};
	leat_pg_bind_text(&params, e->params->embed_model);
	enum leat_kind kind = leat_pg_run(e->link.pg, "next", &params, &result, err);
	if (kind != LEAT_OK)
		return kind;
	int64_t delay = e->params->embed_tick_ms;
	int64_t next = leat_pg_int8(result, 0, 0);
	bool other = leat_pg_text(result, 0, 0) == NULL;
	if (other != e->standing_by)
		leat_lane_enter(e->lane, other ? "standing by: embedding was stopped, or started with another model" : "working", NULL);
	if (!other && next >= 0 && next < delay)
		delay = next;
	e->standing_by = other;
	e->look = false;
	e->next_look_ms = leat_clock_ms() + delay;
	return LEAT_OK;
}

static enum leat_kind claim(struct embed_lane *e, struct leat_pg_result **rows, struct leat_error *err)
{
	const struct leat_params *p = e->params;
	struct leat_pg_params params = {0};
	leat_pg_bind_text(&params, p->embed_model);
	leat_pg_bind_int8(&params, p->embed_batch);
	leat_pg_bind_int8(&params, p->embed_input_bytes);
	leat_pg_bind_int8(&params, p->embed_lease_ms > p->embed_timeout_ms + 1000 ? p->embed_lease_ms : p->embed_timeout_ms + 1000);
	return leat_pg_run(e->link.pg, "claim", &params, rows, err);
}

enum leat_kind embed_launch(struct embed_lane *e, struct leat_error *err)
{
	if (!e->look || !embed_has_room(e) || leat_clock_ms() < e->paused_until_ms)
		return LEAT_OK;
	LEAT_PG_RESULT_SCOPED *rows = NULL;
	const char *inputs[LEAT_EMBED_INPUTS];
	enum leat_kind kind = claim(e, &rows, err);
	if (kind != LEAT_OK)
		return kind;
	if (leat_pg_rows(rows) == 0)
		return look_ahead(e, err);
	struct embed_call *call = free_call(e);
	take_rows(call, rows, inputs);
	if (call->count == 0) {
		embed_call_clear(call);
		return LEAT_OK;
	}
	leat_lane_count(e->lane, LEAT_COUNT_BATCHES, 1);
	if (start_request(e, call, inputs, err) == LEAT_OK)
		return LEAT_OK;
	int64_t delay = leat_backoff_delay_ms(&e->pause);
	embed_pause(e, delay, "the endpoint can't be called", err->text);
	char text[sizeof err->text];
	snprintf(text, sizeof text, "%s", err->text);
	return embed_postpone(e, call, delay, call->most, text, err);
}
