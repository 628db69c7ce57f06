/*
 * The embed lane: keeps a vector for every entity that has content, from an OpenAI-compatible endpoint. Without one it is off and ends at
 * once.
 *
 * The happy path: a trigger notes changed entities and a NOTIFY wakes the lane; it claims some under a lease, commits, calls for all of
 * them at once, and stores what comes back if the lease still holds. Several calls are under way at once; no transaction is.
 *
 * Nothing is lost: what the endpoint does not give stays queued and comes again (embed_settle.c); of a lane that was killed, when the lease
 * ends. When Postgres is lost, calls under way are given up, and come again likewise.
 */
#include "embed.h"

#include "leat/log.h"

#include <stdio.h>
#include <string.h>

static const struct leat_pg_statement statements[] = {
	{"start", "select leat.start_embedding($1)"},
	{"claim", "select * from leat.claim_embeddings($1, $2::integer, $3::integer, $4)"},
	{"next", "select leat.next_embedding_ms($1)"},
	{"store", "select leat.store_embeddings($1::uuid, $2, $3, $4, $5)"},
	{"postpone", "select leat.postpone_embeddings($1::uuid, $2, $3, $4, $5::integer, $6)"},
};

/* "" when it can be sent, else what is wrong. */
static const char *write_authorization(struct embed_lane *e)
{
	const char *key = e->params->embed_key;
	for (const char *at = key; *at != '\0'; at++) {
		if (*at <= ' ' || *at > '~')
			return "LEAT_EMBED_KEY holds a space, a line break or another character that no key has; correct it and start again";
	}
	int bytes = snprintf(e->authorization, sizeof e->authorization, "Authorization: Bearer %s", key);
	if (bytes >= (int)sizeof e->authorization)
		return "LEAT_EMBED_KEY is longer than 4,000 characters; correct it and start again";
	if (*key == '\0')
		e->authorization[0] = '\0';
	return "";
}

static void forget_calls(struct embed_lane *e)
{
	leat_http_abort_all(e->http);
	for (size_t i = 0; i < EMBED_CALLS; i++)
		embed_call_clear(&e->calls[i]);
}

static void lose_postgres(struct embed_lane *e, const struct leat_error *err)
{
	leat_lane_count(e->lane, LEAT_COUNT_RECONNECTS, 1);
	forget_calls(e);
	lane_link_close_pg(&e->link);
	leat_lane_enter(e->lane, "waiting for Postgres", err->text);
	leat_lane_sleep(e->lane, leat_backoff_delay_ms(&e->postgres));
}

/*
 * Connected and listening; the first time, switched on. Not again after that: of lanes with different models the one that was started last
 * decides, not the one that lost its connection last.
 */
static bool be_connected(struct embed_lane *e)
{
	struct leat_error err;
	if (e->link.pg != NULL)
		return true;
	if (!lane_link_open_pg(&e->link, statements, sizeof statements / sizeof *statements))
		return false;
	struct leat_pg_params params = {0};
	leat_pg_bind_text(&params, e->params->embed_model);
	if (leat_pg_run_sql(e->link.pg, "listen leat_embedding", NULL, &err) != LEAT_OK ||
		(!e->started && leat_pg_run(e->link.pg, "start", &params, NULL, &err) != LEAT_OK)) {
		lose_postgres(e, &err);
		return false;
	}
	e->started = true;
	e->standing_by = false;
	e->look = true;
	leat_lane_enter(e->lane, "working", NULL);
	return true;
}

static int64_t next_deed_ms(const struct embed_lane *e)
{
	if (!e->look)
		return e->next_look_ms;
	return embed_has_room(e) ? e->paused_until_ms : leat_clock_ms() + e->params->embed_tick_ms;
}

/* Whether somebody changed an entity. */
static enum leat_kind hear(struct embed_lane *e, struct leat_error *err)
{
	bool woken;
	enum leat_kind kind = leat_pg_wait_notify(e->link.pg, 0, &woken, err);
	e->look = e->look || woken;
	return kind;
}

/* Until a call is over, a row is due, somebody changed an entity, or the process stops. */
static enum leat_kind wait_for_news(struct embed_lane *e, struct leat_error *err)
{
	const int fds[] = {e->lane->process->stop_fd, leat_pg_socket(e->link.pg)};
	if (hear(e, err) != LEAT_OK) /* it may have come along with an answer, and the socket has nothing more */
		return err->kind;
	leat_http_wait(e->http, fds, sizeof fds / sizeof *fds, next_deed_ms(e) - leat_clock_ms());
	e->look = e->look || leat_clock_ms() >= e->next_look_ms;
	return hear(e, err);
}

static enum leat_kind step(struct embed_lane *e, struct leat_error *err)
{
	struct leat_http_answer answer;
	enum leat_kind kind = embed_launch(e, err);
	if (kind == LEAT_OK)
		kind = wait_for_news(e, err);
	if (kind == LEAT_OK)
		e->postgres.next_ms = 0;
	while (kind == LEAT_OK && leat_http_next(e->http, &answer)) {
		kind = embed_settle(e, &answer, err);
		leat_http_answer_free(&answer);
	}
	return kind;
}

static void end(struct embed_lane *e)
{
	struct leat_error err;
	if (e->link.pg != NULL && embed_give_back(e, &err) != LEAT_OK)
		leat_log(LEAT_LOG_WARN, "embed", "what was called for comes again when its lease ends: %s", err.text);
	forget_calls(e);
	leat_http_close(e->http);
	lane_link_fini(&e->link);
}

void lane_embed_run(struct leat_lane *lane)
{
	const struct leat_params *params = lane->process->params;
	struct leat_error err;
	struct embed_lane e = {
		.lane = lane,
		.params = params,
		.postgres = {.first_ms = params->retry_first_ms, .limit_ms = params->retry_limit_ms},
		.pause = {.first_ms = params->retry_first_ms, .limit_ms = params->embed_retry_limit_ms},
	};
	if (params->embed_url[0] == '\0') {
		leat_lane_enter(lane, "off", NULL);
		return;
	}
	const char *wrong = write_authorization(&e);
	if (*wrong != '\0') {
		leat_lane_enter(lane, "off, the key can't be sent", wrong);
		return;
	}
	lane_link_init(&e.link, lane);
	while (leat_http_open(&e.http, &err) != LEAT_OK) {
		lane_link_wait(&e.link, "waiting for a descriptor", err.text);
		if (leat_lane_stopping(lane))
			return;
	}
	if (leat_http_trust(e.http, params->call_tls_ca, &err) != LEAT_OK) {
		leat_lane_enter(lane, "off, LEAT_CALL_TLS_CA is no file of certificates", err.text);
		end(&e);
		return;
	}
	while (!leat_lane_stopping(lane)) {
		if (be_connected(&e) && step(&e, &err) != LEAT_OK)
			lose_postgres(&e, &err);
	}
	end(&e);
}
