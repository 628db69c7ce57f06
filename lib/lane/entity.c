/*
 * The entity lane: messages of LEAT_ENTITY into Postgres, a batch a transaction.
 *
 * The happy path: two batches take turns. While Postgres works on one, the messages for the other are fetched and decoded; when it has
 * committed, the other is sent at once, and only then are the messages of the first acknowledged.
 *
 * Possible failures: Postgres is lost: what is in hand is given back, nothing is fetched until it is there again. A race is lost (SQLSTATE
 * class 40 and the like): the same batch again, a little later. Postgres refuses the batch for good: it is taken apart until the guilty intent
 * is alone, and that one is rejected. The durable is lost: it is opened again, after a look whether the stream is still the same. Killed at any
 * point: what was not committed comes again as new, what was committed and not acknowledged comes again and is known to the ledger.
 */
#include "lanes.h"

#include "leat/entity.h"
#include "leat/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define STREAM "LEAT_ENTITY"

/* How long an idle lane sleeps at most before it looks at its orders; and between looks at NATS while Postgres works. */
enum { IDLE_MS = 250, GLANCE_MS = 1, DECIDE_LIMIT = 1000, FIRST_LOOK_MS = 20 };

struct entity_lane {
	struct leat_lane *lane;
	const struct leat_params *params;
	struct lane_link link;
	struct leat_pull *pull; /* NULL: not open */
	bool pull_broken;
	struct leat_batch batches[2];
	struct leat_batch *flying; /* Postgres works on it; NULL: on none */
	struct leat_batch *next;   /* being filled */
	int64_t progress_at_ms;    /* when the messages in hand are to be renewed */
	int64_t cancel_at_ms;      /* while stopping */
	bool cancelled;

	int64_t epoch;
	uint64_t floor_seq; /* last one that Postgres was told */
	bool floor_wanted;  /* something was settled since, or is parked */
	int64_t decide_limit;
	int64_t floor_at_ms;
	struct leat_backoff floor_pace;
};

/* ---- the durable ---- */

static bool open_pull(struct entity_lane *e)
{
	if (e->pull != NULL)
		return true;
	char durable[128];
	snprintf(durable, sizeof durable, "%s-entity", e->params->queue_group);
	const struct leat_pull_options options = {
		.stream = STREAM,
		.durable = durable,
		.ack_wait_ms = e->params->ack_wait_ms,
		.max_ack_pending = e->params->max_ack_pending,
		.batch = e->params->batch,
		.batch_bytes = e->params->batch_bytes,
		.idle_heartbeat_ms = e->params->idle_heartbeat_ms,
	};
	struct leat_error err;
	enum leat_kind kind = lane_stream_check(&e->link, STREAM, &e->epoch, &err);
	if (kind == LEAT_OK)
		kind = leat_pull_open(&e->pull, e->link.bus, &options, &err);
	if (kind != LEAT_OK) {
		bool postgres_lost = !leat_pg_alive(e->link.pg);
		if (postgres_lost)
			lane_link_close_pg(&e->link);
		lane_link_wait(&e->link, postgres_lost ? "waiting for Postgres"
			: err.code == LEAT_CODE_NOT_FOUND  ? "waiting for the stream (run leat migrate)"
											   : "waiting for NATS", err.text);
		return false;
	}
	e->link.backoff.next_ms = 0;
	e->pull_broken = false;
	e->floor_wanted = true;
	return true;
}

static void close_pull(struct entity_lane *e)
{
	leat_pull_close(e->pull);
	e->pull = NULL;
	leat_lane_count(e->lane, LEAT_COUNT_RECONNECTS, 1);
}

/* ---- messages in hand ---- */

static void give_back(struct entity_lane *e, struct leat_batch *batch, int64_t delay_ms)
{
	for (size_t i = 0; i < batch->count; i++)
		leat_msg_nak(e->link.bus, &batch->rows[i].msg, delay_ms);
	leat_batch_clear(batch);
}

/* Tells NATS that what is in hand is still worked on, a third of AckWait after the last time. */
static void renew(struct entity_lane *e)
{
	int64_t now = leat_clock_ms();
	if (now < e->progress_at_ms)
		return;
	for (size_t b = 0; b < 2; b++) {
		for (size_t i = 0; i < e->batches[b].count; i++)
			leat_msg_progress(e->link.bus, &e->batches[b].rows[i].msg);
	}
	e->progress_at_ms = now + e->params->ack_wait_ms / 3;
}

/* Fetches and decodes what is there, up to a full batch, waiting at most timeout_ms for the first. */
static void collect(struct entity_lane *e, int64_t timeout_ms)
{
	struct leat_batch *batch = e->next;
	while (!e->pull_broken && !leat_batch_full(batch)) {
		struct leat_msg msg;
		struct leat_error err;
		enum leat_pull_event event = leat_pull_next(e->pull, batch->count > 0 ? 0 : timeout_ms, &msg, &err);
		if (event == LEAT_PULL_BROKEN) {
			e->pull_broken = true;
			leat_lane_enter(e->lane, "opening the durable again", err.text);
		}
		if (event != LEAT_PULL_MESSAGE)
			return;
		if (batch->count == 0 && e->flying == NULL)
			e->progress_at_ms = leat_clock_ms() + e->params->ack_wait_ms / 3;
		leat_batch_add(batch, &msg);
	}
}

static void send_reply(struct entity_lane *e, struct leat_batch_row *row)
{
	struct leat_error err;
	const char *reply = row->reply;
	if (strlen(reply) > leat_bus_max_payload(e->link.bus))
		reply = row->short_reply;
	if (leat_bus_publish(e->link.bus, row->intent.reply_to, NULL, reply, strlen(reply), &err) != LEAT_OK)
		leat_log(LEAT_LOG_WARN, "entity", "reply to %s not sent: %s", row->intent.reply_to, err.text);
}

/* The batch is committed: replies, then acknowledgements. */
static void settle(struct entity_lane *e, struct leat_batch *batch)
{
	static const enum leat_counter counters[] = {
		[LEAT_OUTCOME_APPLIED] = LEAT_COUNT_APPLIED, [LEAT_OUTCOME_DUPLICATE] = LEAT_COUNT_DUPLICATE,
		[LEAT_OUTCOME_REJECTED] = LEAT_COUNT_REJECTED, [LEAT_OUTCOME_PARKED] = LEAT_COUNT_PARKED,
		[LEAT_OUTCOME_KNOWN] = LEAT_COUNT_KNOWN, [LEAT_OUTCOME_DEFERRED] = LEAT_COUNT_RETRIES,
	};
	for (size_t i = 0; i < batch->count; i++) {
		struct leat_batch_row *row = &batch->rows[i];
		leat_lane_count(e->lane, counters[row->outcome], 1);
		if (row->outcome == LEAT_OUTCOME_DEFERRED) {
			leat_msg_nak(e->link.bus, &row->msg, e->params->retry_first_ms);
			continue;
		}
		if (row->reply != NULL)
			send_reply(e, row);
		leat_msg_ack(e->link.bus, &row->msg);
		if (row->outcome == LEAT_OUTCOME_PARKED) {
			e->floor_pace.next_ms = 0;
			e->floor_at_ms = 0;
		}
	}
	leat_lane_count(e->lane, LEAT_COUNT_BATCHES, 1);
	e->floor_wanted = e->floor_wanted || batch->count > 0;
	leat_batch_clear(batch);
}

/* ---- Postgres ---- */

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

/* Waits for the call that was sent, filling the next batch meanwhile. */
static enum leat_kind finish(struct entity_lane *e, struct leat_pg_result **result, struct leat_error *err)
{
	bool pending = true;
	while (pending) {
		hurry(e);
		bool filling = !leat_lane_stopping(e->lane) && !leat_batch_full(e->next) && !e->pull_broken;
		if (filling)
			collect(e, 0);
		enum leat_kind kind = leat_pg_finish(e->link.pg, filling ? GLANCE_MS : IDLE_MS, &pending, result, err);
		if (kind != LEAT_OK)
			return kind;
		renew(e);
	}
	return LEAT_OK;
}

/*
 * Rows [from, to) in one transaction. A refusal for good halves the range until one row is alone; that one is rejected. TEMPORARY only when the
 * connection is lost.
 */
static enum leat_kind apply_range(struct entity_lane *e, struct leat_batch *batch, size_t from, size_t to, struct leat_error *err)
{
	for (;;) {
		LEAT_PG_RESULT_SCOPED *result = NULL;
		enum leat_kind kind = leat_batch_send(batch, e->link.pg, from, to, err);
		if (kind == LEAT_OK)
			kind = finish(e, &result, err);
		if (kind == LEAT_OK) {
			e->link.backoff.next_ms = 0;
			leat_lane_enter(e->lane, "working", NULL);
			leat_batch_receive(batch, from, to, result);
			return LEAT_OK;
		}
		leat_lane_count(e->lane, LEAT_COUNT_RETRIES, 1);
		if (!leat_pg_alive(e->link.pg))
			return LEAT_TEMPORARY;
		if (kind == LEAT_TEMPORARY) {
			if (e->link.backoff.next_ms >= e->params->retry_limit_ms) /* no race, but something that somebody has to mend */
				leat_lane_enter(e->lane, "refused by Postgres, trying again", err->text);
			leat_lane_sleep(e->lane, leat_backoff_delay_ms(&e->link.backoff));
			renew(e);
			if (leat_lane_stopping(e->lane))
				return LEAT_TEMPORARY;
			continue;
		}
		if (to - from > 1) {
			size_t half = from + (to - from) / 2;
			kind = apply_range(e, batch, from, half, err);
			return kind == LEAT_OK ? apply_range(e, batch, half, to, err) : kind;
		}
		struct leat_batch_row *row = &batch->rows[from];
		leat_log(LEAT_LOG_ERROR, "entity", "Postgres refuses message %" PRIu64 " (%s): %s", row->msg.seq, row->msg.subject, err->text);
		if (row->rejection != NULL) {
			row->outcome = LEAT_OUTCOME_DEFERRED; /* not even as a dead letter: it stays in the stream, and in the log */
			return LEAT_OK;
		}
		leat_batch_reject(row, LEAT_CODE_INTERNAL, err->text);
	}
}

static void lose_postgres(struct entity_lane *e, const char *why)
{
	leat_lane_enter(e->lane, "waiting for Postgres", why);
	e->flying = NULL;
	for (size_t b = 0; b < 2; b++)
		give_back(e, &e->batches[b], e->params->retry_first_ms);
	close_pull(e);
	lane_link_close_pg(&e->link);
}

/* Takes the answer for the batch in flight, whatever it is. False: Postgres is lost. */
static bool land(struct entity_lane *e)
{
	struct leat_error err;
	LEAT_PG_RESULT_SCOPED *result = NULL;
	struct leat_batch *batch = e->flying;
	enum leat_kind kind = finish(e, &result, &err);
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
	lose_postgres(e, err.text);
	return false;
}

/* Sends the next batch off. False: Postgres is lost. */
static bool launch(struct entity_lane *e)
{
	struct leat_error err;
	leat_batch_close(e->next);
	if (leat_batch_send(e->next, e->link.pg, 0, e->next->count, &err) != LEAT_OK) {
		lose_postgres(e, err.text);
		return false;
	}
	e->flying = e->next;
	e->next = e->flying == &e->batches[0] ? &e->batches[1] : &e->batches[0];
	return true;
}

/*
 * Decides what is parked up to the floor. One that Postgres refuses for good holds up the rest of its pass: passes get shorter until it is alone, and
 * then it is rejected.
 */
static enum leat_kind decide(struct entity_lane *e, uint64_t floor_seq, struct leat_pg_result **result, struct leat_error *err)
{
	const char *refused = NULL;
	struct leat_error refusal;
	for (;;) {
		struct leat_pg_params params = {0};
		leat_pg_bind_text(&params, STREAM);
		leat_pg_bind_int8(&params, e->epoch);
		leat_pg_bind_int8(&params, (int64_t)floor_seq);
		leat_pg_bind_int8(&params, e->decide_limit);
		leat_pg_bind_int8(&params, e->params->batch_bytes);
		leat_pg_bind_text(&params, refused);
		enum leat_kind kind = leat_pg_send(e->link.pg, "decide_parked", &params, err);
		if (kind == LEAT_OK)
			kind = finish(e, result, err);
		if (kind == LEAT_OK)
			e->decide_limit = e->decide_limit < DECIDE_LIMIT / 2 ? e->decide_limit * 2 : DECIDE_LIMIT;
		if (kind != LEAT_PERMANENT || refused != NULL)
			return kind;
		if (e->decide_limit == 1) {
			leat_log(LEAT_LOG_ERROR, "entity", "Postgres refuses a parked message: %s", err->text);
			refusal = *err;
			refused = refusal.text;
		}
		e->decide_limit = e->decide_limit > 1 ? e->decide_limit / 2 : 1;
	}
}

/* Tells Postgres how far everything is settled, which decides what is parked. False: Postgres is lost. */
static bool look_at_floor(struct entity_lane *e)
{
	struct leat_pull_info info;
	struct leat_error err;
	bool parked = atomic_exchange(&e->lane->process->parked_seen, false);
	if ((!e->floor_wanted && !parked) || e->pull_broken || leat_clock_ms() < e->floor_at_ms)
		return true;
	e->floor_at_ms = leat_clock_ms() + leat_backoff_delay_ms(&e->floor_pace);
	if (leat_pull_get_info(e->pull, &info, &err) != LEAT_OK)
		return true; /* the pull notices what is wrong */
	if (info.floor_seq == e->floor_seq && !parked)
		return true;

	LEAT_PG_RESULT_SCOPED *result = NULL;
	if (decide(e, info.floor_seq, &result, &err) != LEAT_OK) {
		if (leat_pg_alive(e->link.pg)) {
			leat_log(LEAT_LOG_WARN, "entity", "deciding what is parked: %s", err.text);
			return true;
		}
		lose_postgres(e, err.text);
		return false;
	}
	bool left = leat_pg_int8(result, 0, 0) > 0;
	bool more = strcmp(leat_pg_text(result, 0, 1), "t") == 0;
	e->floor_seq = more ? 0 : info.floor_seq;
	e->floor_wanted = left || info.ack_pending > 0;
	if (more)
		e->floor_at_ms = 0;
	return true;
}

/* ---- the loop ---- */

static void work(struct entity_lane *e)
{
	leat_lane_enter(e->lane, "working", NULL);
	while (!e->pull_broken || e->flying != NULL || e->next->count > 0) {
		if (leat_lane_stopping(e->lane) && e->flying == NULL)
			return;
		if (e->flying == NULL)
			collect(e, IDLE_MS);
		struct leat_batch *landed = e->flying;
		if (landed != NULL && !land(e))
			return;
		e->flying = NULL;
		if (!look_at_floor(e))
			return;
		/* Postgres gets its next work before the acknowledgements of the last go out. */
		if (e->next->count > 0 && !leat_lane_stopping(e->lane) && !launch(e))
			return;
		if (landed != NULL)
			settle(e, landed);
	}
}

void lane_entity_run(struct leat_lane *lane)
{
	struct entity_lane e = {
		.lane = lane,
		.params = lane->process->params,
		.decide_limit = DECIDE_LIMIT,
		.floor_pace = {.first_ms = FIRST_LOOK_MS, .limit_ms = lane->process->params->floor_check_ms},
	};
	lane_link_init(&e.link, lane);
	leat_batch_init(&e.batches[0], e.params);
	leat_batch_init(&e.batches[1], e.params);
	e.next = &e.batches[0];

	while (!leat_lane_stopping(lane)) {
		if (!lane_link_open_bus(&e.link) || !lane_link_open_pg(&e.link, leat_entity_statements, leat_entity_statement_count) || !open_pull(&e))
			continue;
		work(&e);
		if (e.pull_broken && e.pull != NULL)
			close_pull(&e);
	}

	if (e.link.bus != NULL) {
		give_back(&e, &e.batches[0], 0);
		give_back(&e, &e.batches[1], 0);
	}
	leat_pull_close(e.pull);
	leat_batch_fini(&e.batches[0]);
	leat_batch_fini(&e.batches[1]);
	lane_link_fini(&e.link);
}
