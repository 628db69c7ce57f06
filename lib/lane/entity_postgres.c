/*
 * The entity lane's Postgres side: a batch is launched, lands, and is taken apart when Postgres refuses it.
 */
#include "entity.h"

#include "leat/log.h"

#include <inttypes.h>

/* How long Postgres is waited for between looks at NATS, while the next batch has room. */
enum { GLANCE_MS = 1 };

/* A call that waits for somebody's lock would outlast the time to end: at half of it, cancel. What was in hand is given back then. */
static void hurry(struct entity_lane *e)
{
	if (!leat_lane_stopping(e->lane) || e->cancelled)
		return;
	if (e->cancel_at_ms == 0)
		e->cancel_at_ms = leat_clock_ms() + e->params->drain_ms / 2;
	if (leat_clock_ms() < e->cancel_at_ms)
		return;
	e->cancelled = true;
	leat_pg_cancel(e->link.pg);
}

enum leat_kind entity_finish(struct entity_lane *e, struct leat_pg_result **result, struct leat_error *err)
{
	bool pending = true;
	while (pending) {
		hurry(e);
		bool filling = !leat_lane_stopping(e->lane) && !leat_batch_full(e->next) && !e->pull_broken;
		if (filling)
			entity_collect(e, 0);
		enum leat_kind kind = leat_pg_finish(e->link.pg, filling ? GLANCE_MS : ENTITY_IDLE_MS, &pending, result, err);
		if (kind != LEAT_OK)
			return kind;
		entity_renew(e);
	}
	return LEAT_OK;
}

/* One row that Postgres refuses: rejected when it is for good, given back for a while when nobody can tell. */
static void refuse(struct leat_batch_row *row, enum leat_kind kind, const struct leat_error *err)
{
	leat_log(LEAT_LOG_ERROR, "entity", "Postgres refuses message %" PRIu64 " (%s): %s", row->msg.seq, row->msg.subject, err->text);
	if (kind == LEAT_TEMPORARY || row->rejection != NULL)
		row->outcome = LEAT_OUTCOME_DEFERRED; /* for good, and not even as a dead letter: it stays in the stream, and in the log */
	else
		leat_batch_reject(row, LEAT_CODE_INTERNAL, err->text);
}

static enum leat_kind try_range(struct entity_lane *e, struct leat_batch *batch, size_t from, size_t to, struct leat_error *err)
{
	LEAT_PG_RESULT_SCOPED *result = NULL;
	enum leat_kind kind = leat_batch_send(batch, e->link.pg, from, to, (int64_t)leat_bus_max_payload(e->link.bus), err);
	if (kind == LEAT_OK)
		kind = entity_finish(e, &result, err);
	if (kind != LEAT_OK) {
		leat_lane_count(e->lane, LEAT_COUNT_RETRIES, 1);
		return kind;
	}
	e->link.backoff.next_ms = 0;
	leat_lane_enter(e->lane, "working", NULL);
	leat_batch_receive(batch, from, to, result);
	return LEAT_OK;
}

/*
 * Rows [from, to) in one transaction. A refusal for good, or one that should pass and does not, halves the range until one row is alone, so
 * that it holds up nobody else. TEMPORARY only when the connection is lost or the process stops.
 */
static enum leat_kind apply_range(struct entity_lane *e, struct leat_batch *batch, size_t from, size_t to, struct leat_error *err)
{
	for (int tries = 1;; tries++) {
		enum leat_kind kind = try_range(e, batch, from, to, err);
		if (kind == LEAT_OK)
			return LEAT_OK;
		if (!leat_pg_alive(e->link.pg) || (kind == LEAT_TEMPORARY && leat_lane_stopping(e->lane)))
			return LEAT_TEMPORARY;
		if (kind == LEAT_TEMPORARY && tries < ENTITY_TRIES) {
			if (e->link.backoff.next_ms >= e->params->retry_limit_ms) /* no race, but something that somebody has to mend */
				leat_lane_enter(e->lane, "refused by Postgres, trying again", err->text);
			leat_lane_sleep(e->lane, leat_backoff_delay_ms(&e->link.backoff));
			entity_renew(e);
			continue;
		}
		if (to - from > 1) {
			size_t half = from + (to - from) / 2;
			kind = apply_range(e, batch, from, half, err);
			return kind == LEAT_OK ? apply_range(e, batch, half, to, err) : kind;
		}
		refuse(&batch->rows[from], kind, err);
		if (batch->rows[from].outcome == LEAT_OUTCOME_DEFERRED)
			return LEAT_OK;
	}
}

void entity_lose_postgres(struct entity_lane *e, const char *why)
{
	leat_lane_enter(e->lane, "waiting for Postgres", why);
	e->flying = NULL;
	for (size_t b = 0; b < 2; b++)
		entity_give_back(e, &e->batches[b], e->params->retry_first_ms);
	entity_close_pull(e);
	lane_link_close_pg(&e->link);
}

bool entity_land(struct entity_lane *e)
{
	struct leat_error err;
	LEAT_PG_RESULT_SCOPED *result = NULL;
	struct leat_batch *batch = e->flying;
	enum leat_kind kind = entity_finish(e, &result, &err);
	if (kind == LEAT_OK) {
		leat_batch_receive(batch, 0, batch->count, result);
		return true;
	}
	bool give_up = kind == LEAT_TEMPORARY && leat_lane_stopping(e->lane);
	if (leat_pg_alive(e->link.pg) && !give_up) {
		leat_lane_count(e->lane, LEAT_COUNT_RETRIES, 1);
		kind = apply_range(e, batch, 0, batch->count, &err);
	}
	if (kind == LEAT_OK)
		return true;
	entity_lose_postgres(e, err.text);
	return false;
}

bool entity_launch(struct entity_lane *e)
{
	struct leat_error err;
	leat_batch_close(e->next);
	if (leat_batch_send(e->next, e->link.pg, 0, e->next->count, (int64_t)leat_bus_max_payload(e->link.bus), &err) != LEAT_OK) {
		entity_lose_postgres(e, err.text);
		return false;
	}
	e->flying = e->next;
	e->next = e->flying == &e->batches[0] ? &e->batches[1] : &e->batches[0];
	return true;
}
