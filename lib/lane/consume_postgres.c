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

/* One row that Postgres refuses: rejected when it is for good, given back for a while when nobody can tell. */
static void refuse(const struct consume_lane *c, struct leat_batch_row *row, enum leat_kind kind, const struct leat_error *err)
{
	leat_log(
		LEAT_LOG_ERROR, c->lane->type->name, "Postgres refuses message %" PRIu64 " (%s): %s", row->msg.seq, row->msg.subject, err->text);
	if (kind == LEAT_TEMPORARY || row->rejection != NULL)
		row->outcome = LEAT_OUTCOME_DEFERRED; /* for good, and not even as a dead letter: it stays in the stream, and in the log */
	else
		leat_batch_reject(row, LEAT_CODE_INTERNAL, err->text);
}

static enum leat_kind try_range(struct consume_lane *c, struct leat_batch *batch, size_t from, size_t to, struct leat_error *err)
{
	LEAT_PG_RESULT_SCOPED *result = NULL;
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

/*
 * Rows [from, to) in one transaction. A refusal for good, or one that should pass and does not, halves the range until one row is alone, so
 * that it holds up nobody else. TEMPORARY only when the connection is lost or the process stops.
 */
static enum leat_kind apply_range(struct consume_lane *c, struct leat_batch *batch, size_t from, size_t to, struct leat_error *err)
{
	for (int tries = 1;; tries++) {
		enum leat_kind kind = try_range(c, batch, from, to, err);
		if (kind == LEAT_OK)
			return LEAT_OK;
		if (!leat_pg_alive(c->link.pg) || (kind == LEAT_TEMPORARY && leat_lane_stopping(c->lane)))
			return LEAT_TEMPORARY;
		if (kind == LEAT_TEMPORARY && tries < CONSUME_TRIES) {
			if (c->link.backoff.next_ms >= c->params->retry_limit_ms) /* no race, but something that somebody has to mend */
				leat_lane_enter(c->lane, "refused by Postgres, trying again", err->text);
			leat_lane_sleep(c->lane, leat_backoff_delay_ms(&c->link.backoff));
			consume_renew(c);
			continue;
		}
		if (to - from > 1) {
			size_t half = from + (to - from) / 2;
			kind = apply_range(c, batch, from, half, err);
			return kind == LEAT_OK ? apply_range(c, batch, half, to, err) : kind;
		}
		refuse(c, &batch->rows[from], kind, err);
		if (batch->rows[from].outcome == LEAT_OUTCOME_DEFERRED)
			return LEAT_OK;
	}
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
		kind = apply_range(c, batch, 0, batch->count, &err);
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
