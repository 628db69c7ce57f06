/*
 * The relay lane: publishes the rows of leat.outbox. One process at a time does, whoever holds the advisory lock; the lock ends with its
 * connection, and the next one takes over at its next tick.
 *
 * The happy path: a NOTIFY wakes it, it reads the oldest rows, publishes them in order, waits until the streams have them and deletes
 * them, until there are none. There is no cursor that late commits could fall behind: the table is the to-do list. Killed in between,
 * rows are published again with the same Nats-Msg-Id. A row that can never be published is logged, and tried again every minute.
 */
#include "relay.h"

#include "leat/log.h"
#include "leat/outbox.h"

/* Shutdown is looked at this often while waiting for a notification. */
enum { GLANCE_MS = 250 };

/* Publishes one batch of rows. *more: there may be others. TEMPORARY with the reason when nothing could be done. */
static enum leat_kind relay_batch(struct relay *relay, bool *more, struct leat_error *err)
{
	LEAT_PG_RESULT_SCOPED *rows = NULL;
	*more = false;
	if (relay_fetch(relay, &rows, err) != LEAT_OK)
		return err->kind;
	if (leat_pg_rows(rows) == 0)
		return relay_shrink(relay, false, err);

	struct leat_pg_array sent = {0};
	struct leat_pg_array refused = {0};
	leat_pg_array_start(&sent, LEAT_PG_INT8);
	leat_pg_array_start(&refused, LEAT_PG_INT8);
	struct leat_error publishing;
	enum leat_kind published = leat_outbox_publish(relay->link.bus, &relay->events, rows, &sent, &refused, &publishing);
	enum leat_kind kind = relay_settle(relay, &sent, &refused, err);
	leat_lane_count(relay->link.lane, LEAT_COUNT_PUBLISHED, sent.count);
	*more = sent.count + refused.count > 0;
	leat_pg_array_free(&sent);
	leat_pg_array_free(&refused);
	if (kind != LEAT_OK)
		return kind;
	if (published != LEAT_OK && !*more) {
		*err = publishing;
		return published;
	}
	return relay_raise_floor(relay, err);
}

/* Publishes all there is. False: something failed. */
static bool relay_all(struct relay *relay, struct leat_error *err)
{
	bool more = true;
	while (more && !leat_lane_stopping(relay->link.lane)) {
		if (relay_batch(relay, &more, err) != LEAT_OK)
			return false;
		relay->link.backoff.next_ms = 0;
		leat_lane_enter(relay->link.lane, "working", NULL);
	}
	return true;
}

static enum leat_kind wait_woken(struct relay *relay, bool *woken, struct leat_error *err)
{
	*woken = false;
	for (int64_t waited = 0; waited < relay->params->relay_tick_ms && !*woken; waited += GLANCE_MS) {
		if (leat_lane_stopping(relay->link.lane))
			return LEAT_OK;
		if (leat_pg_wait_notify(relay->link.pg, GLANCE_MS, woken, err) != LEAT_OK)
			return err->kind;
	}
	return LEAT_OK;
}

/* Publishes what there is, then waits to be woken, or for the tick. False: the connection to Postgres needs looking after. */
static bool relay_and_wait(struct relay *relay)
{
	struct leat_error err;
	bool woken;
	if (!relay_all(relay, &err)) {
		lane_link_wait(&relay->link, leat_pg_alive(relay->link.pg) ? "waiting for NATS" : "waiting for Postgres", err.text);
		return leat_pg_alive(relay->link.pg);
	}
	enum leat_kind kind = wait_woken(relay, &woken, &err);
	if (kind == LEAT_OK && !woken) {
		relay_forget_floor(relay);
		kind = relay_shrink(relay, true, &err);
	}
	if (kind != LEAT_OK)
		leat_lane_enter(relay->link.lane, "waiting for Postgres", err.text);
	return kind == LEAT_OK || leat_pg_alive(relay->link.pg);
}

/* Tries to become the one that relays; waits a tick where another is. */
static bool stand_by(struct relay *relay)
{
	struct leat_error err;
	if (relay_take_lock(relay, &err) != LEAT_OK) {
		lane_link_wait(&relay->link, "waiting for Postgres", err.text);
		return false;
	}
	if (!relay->held) {
		leat_lane_enter(relay->link.lane, "standing by", NULL);
		leat_lane_sleep(relay->link.lane, relay->params->relay_tick_ms);
	}
	return true;
}

void lane_relay_run(struct leat_lane *lane)
{
	struct relay relay = {.params = lane->process->params};
	lane_link_init(&relay.link, lane);
	while (!leat_lane_stopping(lane)) {
		if (!lane_link_open_bus(&relay.link) || !relay_open_pg(&relay))
			continue;
		if (relay.held ? relay_and_wait(&relay) : stand_by(&relay))
			continue;
		relay.held = false;
		lane_link_close_pg(&relay.link);
		leat_lane_count(lane, LEAT_COUNT_RECONNECTS, 1);
	}
	lane_link_fini(&relay.link);
	leat_buf_free(&relay.floor.writers);
}
