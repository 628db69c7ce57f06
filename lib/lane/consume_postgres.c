/*
 * The Postgres side of a lane that consumes: a batch is launched, lands, and is taken apart when Postgres refuses it.
 */
#include "consume.h"

#include "leat/log.h"

#include <inttypes.h>

/* How long Postgres is waited for between looks at NATS, while the next batch has room. */
enum { GLANCE_MS = 1 };

/* A call that waits for somebody's lock would outlast the time to end: at half of it, cancel. What was in hand is given back then. */
static void hurry(struct consume_lane *c)
{
	if (!leat_lane_stopping(c->lane) || c->cancelled)
		return;
	if (c->cancel_at_ms == 0)
		c->cancel_at_ms = leat_clock_ms() + c->params->drain_ms / 2;
	if (leat_clock_ms() < c->cancel_at_ms)
		return;
	c->cancelled = true;
	leat_pg_cancel(c->link.pg);
}

enum leat_kind consume_finish(struct consume_lane *c, struct leat_pg_result **result, struct leat_error *err)
{
	bool pending = true;
	while (pending) {
		hurry(c);
		bool filling = !leat_lane_stopping(c->lane) && !leat_batch_full(c->next) && !c->pull_broken;
		if (filling)
			consume_collect(c, 0);
		enum leat_kind kind = leat_pg_finish(c->link.pg, filling ? GLANCE_MS : CONSUME_IDLE_MS, &pending, result, err);
		if (kind != LEAT_OK)
			return kind;
		consume_renew(c);
	}
	return LEAT_OK;
}

/* ---- a batch that was refused (leat_batch_apply) ---- */

struct attempts {
	struct consume_lane *lane;
	struct leat_batch *batch;
};

static enum leat_kind attempt(void *context, size_t from, size_t to, struct leat_error *err)
{
	LEAT_PG_RESULT_SCOPED *result = NULL;
	struct consume_lane *c = ((struct attempts *)context)->lane;
	struct leat_batch *batch = ((struct attempts *)context)->batch;
	enum leat_kind kind = leat_batch_send(batch, c->link.pg, from, to, (int64_t)leat_bus_max_payload(c->link.bus), err);
	if (kind == LEAT_OK)
		kind = consume_finish(c, &result, err);
	if (kind != LEAT_OK) {
		leat_lane_count(c->lane, LEAT_COUNT_RETRIES, 1);
		return kind;
	}
	c->link.backoff.next_ms = 0;
	leat_lane_enter(c->lane, "working", NULL);
	leat_batch_receive(batch, from, to, result);
	return LEAT_OK;
}

static bool gives_up(const void *context, enum leat_kind kind)
{
	const struct consume_lane *c = ((const struct attempts *)context)->lane;
	return !leat_pg_alive(c->link.pg) || (kind == LEAT_TEMPORARY && leat_lane_stopping(c->lane));
}

static bool pause_between(void *context, const struct leat_error *err)
{
	struct consume_lane *c = ((struct attempts *)context)->lane;
	if (c->link.backoff.next_ms >= c->params->retry_limit_ms) /* no race, but something that somebody has to mend */
		leat_lane_enter(c->lane, "refused by Postgres, trying again", err->text);
	leat_lane_sleep(c->lane, leat_backoff_delay_ms(&c->link.backoff));
	consume_renew(c);
	return true;
}

static void tell_refused(void *context, const struct leat_batch_row *row, bool deferred, const struct leat_error *err)
{
	const struct consume_lane *c = ((struct attempts *)context)->lane;
	(void)deferred;
	leat_log(
		LEAT_LOG_ERROR, c->lane->type->name, "Postgres refuses message %" PRIu64 " (%s): %s", row->msg.seq, row->msg.subject, err->text);
}

static enum leat_kind apply(struct consume_lane *c, struct leat_batch *batch, struct leat_error *err)
{
	struct attempts attempts = {c, batch};
	const struct leat_batch_way way = {&attempts, attempt, gives_up, pause_between, tell_refused};
	return leat_batch_apply(batch, &way, 0, batch->count, err);
}

void consume_lose_postgres(struct consume_lane *c, const char *why)
{
	leat_lane_enter(c->lane, "waiting for Postgres", why);
	c->flying = NULL;
	for (size_t b = 0; b < 2; b++)
		consume_give_back(c, &c->batches[b], c->params->retry_first_ms);
	consume_close_pull(c);
	lane_link_close_pg(&c->link);
}

bool consume_land(struct consume_lane *c)
{
	struct leat_error err;
	LEAT_PG_RESULT_SCOPED *result = NULL;
	struct leat_batch *batch = c->flying;
	enum leat_kind kind = consume_finish(c, &result, &err);
	if (kind == LEAT_OK) {
		leat_batch_receive(batch, 0, batch->count, result);
		return true;
	}
	bool give_up = kind == LEAT_TEMPORARY && leat_lane_stopping(c->lane);
	if (leat_pg_alive(c->link.pg) && !give_up) {
		leat_lane_count(c->lane, LEAT_COUNT_RETRIES, 1);
		kind = apply(c, batch, &err);
	}
	if (kind == LEAT_OK)
		return true;
	consume_lose_postgres(c, err.text);
	return false;
}

bool consume_launch(struct consume_lane *c)
{
	struct leat_error err;
	leat_batch_close(c->next);
	if (leat_batch_send(c->next, c->link.pg, 0, c->next->count, (int64_t)leat_bus_max_payload(c->link.bus), &err) != LEAT_OK) {
		consume_lose_postgres(c, err.text);
		return false;
	}
	c->flying = c->next;
	c->next = c->flying == &c->batches[0] ? &c->batches[1] : &c->batches[0];
	return true;
}
