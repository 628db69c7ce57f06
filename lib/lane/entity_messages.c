/*
 * The entity lane's NATS side: the durable, the messages in hand, and what becomes of each.
 *
 * A message in hand is renewed while it takes long, acknowledged once its batch is committed, and given back when it can't be.
 */
#include "entity.h"

#include "leat/log.h"

#include <stdio.h>
#include <string.h>

bool entity_open_pull(struct entity_lane *e)
{
	if (e->pull != NULL)
		return true;
	char durable[128];
	snprintf(durable, sizeof durable, "%s-entity", e->params->queue_group);
	const struct leat_pull_options options = {
		.stream = ENTITY_STREAM,
		.durable = durable,
		.ack_wait_ms = e->params->ack_wait_ms,
		.max_ack_pending = e->params->max_ack_pending,
		.batch = e->params->batch,
		.batch_bytes = e->params->batch_bytes,
		.idle_heartbeat_ms = e->params->idle_heartbeat_ms,
	};
	struct leat_error err;
	enum leat_kind kind = lane_stream_check(&e->link, ENTITY_STREAM, durable, &e->epoch, &err);
	if (kind == LEAT_OK)
		kind = leat_pull_open(&e->pull, e->link.bus, &options, &err);
	if (kind != LEAT_OK) {
		bool postgres_lost = !leat_pg_alive(e->link.pg);
		if (postgres_lost)
			lane_link_close_pg(&e->link);
		lane_link_wait(&e->link,
			postgres_lost                         ? "waiting for Postgres"
				: err.code == LEAT_CODE_NOT_FOUND ? "waiting for the stream (run leat migrate)"
												  : "waiting for NATS",
			err.text);
		return false;
	}
	e->link.backoff.next_ms = 0;
	e->pull_broken = false;
	e->floor_wanted = true;
	return true;
}

void entity_close_pull(struct entity_lane *e)
{
	leat_pull_close(e->pull);
	e->pull = NULL;
	leat_lane_count(e->lane, LEAT_COUNT_RECONNECTS, 1);
}

void entity_give_back(struct entity_lane *e, struct leat_batch *batch, int64_t delay_ms)
{
	for (size_t i = 0; i < batch->count; i++)
		leat_msg_nak(e->link.bus, &batch->rows[i].msg, delay_ms);
	leat_batch_clear(batch);
}

void entity_renew(struct entity_lane *e)
{
	int64_t now = leat_clock_ms();
	if (now < e->progress_at_ms)
		return;
	for (size_t b = 0; b < 2; b++) {
		for (size_t i = 0; i < e->batches[b].count; i++)
			leat_msg_progress(e->link.bus, &e->batches[b].rows[i].msg);
	}
	if (e->pull != NULL)
		leat_pull_progress(e->pull);
	e->progress_at_ms = now + e->params->ack_wait_ms / 3;
}

void entity_collect(struct entity_lane *e, int64_t timeout_ms)
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

void entity_settle(struct entity_lane *e, struct leat_batch *batch)
{
	static const enum leat_counter counters[] = {
		[LEAT_OUTCOME_APPLIED] = LEAT_COUNT_APPLIED,
		[LEAT_OUTCOME_DUPLICATE] = LEAT_COUNT_DUPLICATE,
		[LEAT_OUTCOME_REJECTED] = LEAT_COUNT_REJECTED,
		[LEAT_OUTCOME_PARKED] = LEAT_COUNT_PARKED,
		[LEAT_OUTCOME_KNOWN] = LEAT_COUNT_KNOWN,
		[LEAT_OUTCOME_DEFERRED] = LEAT_COUNT_RETRIES,
	};
	for (size_t i = 0; i < batch->count; i++) {
		struct leat_batch_row *row = &batch->rows[i];
		leat_lane_count(e->lane, counters[row->outcome], 1);
		if (row->outcome == LEAT_OUTCOME_DEFERRED) {
			leat_msg_nak(e->link.bus, &row->msg, e->params->retry_limit_ms);
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
