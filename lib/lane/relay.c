/*
 * The relay lane: publishes the rows of leat.outbox. One process at a time does, whoever holds the advisory lock; the lock ends with its
 * connection, and the next one takes over at its next tick.
 *
 * The happy path: it reads the oldest rows, publishes them in order, waits until the streams have them and deletes them, until there are
 * none. There is no cursor that late commits could fall behind: the table is the to-do list. Where nothing comes for a moment it falls
 * asleep, and a NOTIFY wakes it. Killed in between, rows are published again with the same Nats-Msg-Id. A row that can never be published
 * is logged, and tried again every minute.
 *
 * Awake it is not notified, since NOTIFY makes commits take turns: leat.wake_relay has the protocol. Whoever has written and not committed
 * holds a lock shared that the relay has to have alone to fall asleep; so it can't while anything is on its way.
 */
#include "relay.h"

#include "leat/log.h"

/* Shutdown is looked at this often while waiting for a notification. */
enum { GLANCE_MS = 250 };

/* Awake with nothing to do: the first pause before the next look, and the longest, while it can't fall asleep. */
enum { PAUSE_MS = 2, PAUSE_LIMIT_MS = 64 };

/* Publishes one batch of rows. *found: there were some; *more: there are others, as it seems. TEMPORARY with the reason when nothing could
 * be done. */
static enum leat_kind relay_batch(struct relay *relay, bool *found, bool *more, struct leat_error *err)
{
	LEAT_PG_RESULT_SCOPED *rows = NULL;
	bool apart;
	*found = false;
	*more = false;
	if (relay_fetch(relay, &rows, err) != LEAT_OK)
		return err->kind;
	if (leat_pg_rows(rows) == 0)
		return relay_shrink(relay, false, err);
	if (relay_take_apart(relay, rows, &apart, err) != LEAT_OK || apart) {
		*found = apart;
		*more = apart;
		return apart ? LEAT_OK : err->kind;
	}

	struct leat_outbox_result result;
	leat_outbox_result_init(&result);
	struct leat_error publishing;
	enum leat_kind published = leat_outbox_publish(&result, relay->link.bus, &relay->events, rows, &publishing);
	enum leat_kind kind = relay_settle(relay, &result, err);
	leat_lane_count(relay->link.lane, LEAT_COUNT_PUBLISHED, result.messages);
	*found = result.sent.count + result.refused.count > 0;
	*more = *found && result.messages + result.refused.count >= (size_t)relay->params->relay_batch;
	leat_outbox_result_fini(&result);
	if (kind != LEAT_OK)
		return kind;
	if (published != LEAT_OK && !*found) {
		*err = publishing;
		return published;
	}
	return relay_raise_floor(relay, err);
}

/* Publishes all there is; *found: there was something. False: something failed. */
static bool relay_all(struct relay *relay, bool *found, struct leat_error *err)
{
	bool more = true;
	*found = false;
	while (more && !leat_lane_stopping(relay->link.lane)) {
		bool some;
		if (relay_batch(relay, &some, &more, err) != LEAT_OK)
			return false;
		*found = *found || some;
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

/* Until it is woken, or for the tick: then it looks at everything again, and goes on sleeping. */
static enum leat_kind sleep_on(struct relay *relay, struct leat_error *err)
{
	bool woken;
	enum leat_kind kind = wait_woken(relay, &woken, err);
	if (kind != LEAT_OK)
		return kind;
	if (woken)
		return relay_wake(relay, err);
	relay_forget_floor(relay);
	return relay_shrink(relay, true, err);
}

/* A short rest, longer each time; the second one in a row becomes sleep where it can. */
static enum leat_kind rest(struct relay *relay, struct leat_error *err)
{
	bool woken;
	bool tired = relay->pause_ms > 0;
	if (tired && relay_fall_asleep(relay, err) != LEAT_OK)
		return err->kind;
	if (relay->asleep)
		return LEAT_OK; /* one more look, since it was notified of nothing so far */
	relay->pause_ms = !tired ? PAUSE_MS : relay->pause_ms < PAUSE_LIMIT_MS ? relay->pause_ms * 2 : PAUSE_LIMIT_MS;
	return leat_pg_wait_notify(relay->link.pg, relay->pause_ms, &woken, err);
}

/* Publishes what there is, then rests or sleeps. False: the connection to Postgres needs looking after. */
static bool relay_and_wait(struct relay *relay)
{
	struct leat_error err;
	bool found;
	if (!relay_all(relay, &found, &err)) {
		lane_link_wait(&relay->link, leat_pg_alive(relay->link.pg) ? "waiting for NATS" : "waiting for Postgres", err.text);
		return leat_pg_alive(relay->link.pg);
	}
	if (found)
		relay->pause_ms = 0;
	enum leat_kind kind = LEAT_OK;
	if (relay->asleep)
		kind = found ? relay_wake(relay, &err) : sleep_on(relay, &err);
	else
		kind = rest(relay, &err);
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
