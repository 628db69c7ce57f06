/*
 * The relay lane: publishes the rows of leat.outbox. One process at a time does, whoever holds the advisory lock; the lock ends with its
 * connection, and the next one takes over at its next tick.
 *
 * The happy path: a NOTIFY wakes it, it reads the oldest rows, publishes them in order, waits for the stream's acknowledgements and deletes
 * what is stored. There is no cursor that late commits could fall behind: the table is the to-do list. Killed in between,
 * rows are published again with the same Nats-Msg-Id. A row that can never be published is logged, and tried again every minute.
 */
#include "lanes.h"

#include "leat/log.h"
#include "leat/outbox.h"

#include <string.h>

/* Shutdown is looked at this often while waiting for a notification. */
enum { GLANCE_MS = 250 };

static const struct leat_pg_statement statements[] = {
	{"lock", "select pg_try_advisory_lock(hashtext('leat.relay'), 0)"},
	{"fetch", "select * from leat.fetch_outbox($1::integer, $2)"},
	{"sent", "select leat.outbox_sent($1)"},
	{"refused", "select leat.outbox_refused($1)"},
};

static bool take_lock(struct lane_link *link, bool *held, struct leat_error *err)
{
	LEAT_PG_RESULT_SCOPED *result = NULL;
	const struct leat_pg_params none = {0};
	if (leat_pg_run(link->pg, "lock", &none, &result, err) != LEAT_OK)
		return false;
	*held = strcmp(leat_pg_text(result, 0, 0), "t") == 0;
	return *held ? leat_pg_run_sql(link->pg, "listen leat_outbox", NULL, err) == LEAT_OK : true;
}

static enum leat_kind mark(struct leat_pg *pg, const char *statement, struct leat_pg_array *rows, struct leat_error *err)
{
	if (rows->count == 0)
		return LEAT_OK;
	struct leat_pg_params params = {0};
	leat_pg_bind_array(&params, rows);
	return leat_pg_run(pg, statement, &params, NULL, err);
}

/* Publishes one batch of rows. *more: there may be others. TEMPORARY with the reason when some have to be tried again. */
static enum leat_kind relay_batch(struct lane_link *link, bool *more, struct leat_error *err)
{
	const struct leat_params *params = link->lane->process->params;
	LEAT_PG_RESULT_SCOPED *rows = NULL;
	struct leat_pg_params fetch = {0};
	leat_pg_bind_int8(&fetch, params->relay_batch);
	leat_pg_bind_int8(&fetch, params->batch_bytes);
	*more = false;
	enum leat_kind kind = leat_pg_run(link->pg, "fetch", &fetch, &rows, err);
	if (kind != LEAT_OK || leat_pg_rows(rows) == 0)
		return kind;

	struct leat_pg_array sent = {0};
	struct leat_pg_array refused = {0};
	leat_pg_array_start(&sent, LEAT_PG_INT8);
	leat_pg_array_start(&refused, LEAT_PG_INT8);
	enum leat_kind publishing = leat_outbox_publish(link->bus, rows, &sent, &refused, err);
	struct leat_error marking;
	kind = mark(link->pg, "sent", &sent, &marking);
	if (kind == LEAT_OK)
		kind = mark(link->pg, "refused", &refused, &marking);
	leat_lane_count(link->lane, LEAT_COUNT_PUBLISHED, sent.count);
	*more = sent.count + refused.count == leat_pg_rows(rows);
	leat_pg_array_free(&sent);
	leat_pg_array_free(&refused);
	if (kind != LEAT_OK) {
		*err = marking;
		return kind;
	}
	return publishing;
}

/* Publishes what there is, then waits to be woken, or for the tick. False: a connection needs looking after. */
static bool relay(struct lane_link *link)
{
	const struct leat_params *params = link->lane->process->params;
	struct leat_error err;
	bool more = true;
	while (more && !leat_lane_stopping(link->lane)) {
		if (relay_batch(link, &more, &err) != LEAT_OK) {
			lane_link_wait(link, leat_pg_alive(link->pg) ? "waiting for NATS" : "waiting for Postgres", err.text);
			return leat_pg_alive(link->pg);
		}
		link->backoff.next_ms = 0;
		leat_lane_enter(link->lane, "working", NULL);
	}

	bool woken = false;
	for (int64_t waited = 0; waited < params->relay_tick_ms && !woken && !leat_lane_stopping(link->lane); waited += GLANCE_MS) {
		if (leat_pg_wait_notify(link->pg, GLANCE_MS, &woken, &err) != LEAT_OK) {
			leat_lane_enter(link->lane, "waiting for Postgres", err.text);
			return false;
		}
	}
	return true;
}

void lane_relay_run(struct leat_lane *lane)
{
	struct lane_link link;
	bool held = false;
	lane_link_init(&link, lane);

	while (!leat_lane_stopping(lane)) {
		struct leat_error err;
		if (!lane_link_open_bus(&link) || !lane_link_open_pg(&link, statements, sizeof statements / sizeof *statements))
			continue;
		bool well = held || take_lock(&link, &held, &err);
		if (!well) {
			lane_link_wait(&link, "waiting for Postgres", err.text);
		} else if (!held) {
			leat_lane_enter(lane, "standing by", NULL);
			leat_lane_sleep(lane, lane->process->params->relay_tick_ms);
		} else {
			well = relay(&link);
		}
		if (!well) {
			held = false;
			lane_link_close_pg(&link);
			leat_lane_count(lane, LEAT_COUNT_RECONNECTS, 1);
		}
	}
	lane_link_fini(&link);
}
