/*
 * The NATS side of a lane that consumes: the durable, the messages in hand, and what becomes of each.
 *
 * A message in hand is renewed while it takes long, acknowledged once its batch is committed, and given back when it can't be.
 */
#include "consume.h"

#include "leat/log.h"

#include <stdio.h>
#include <string.h>

bool consume_open_pull(struct consume_lane *c)
{
	if (c->pull != NULL)
		return true;
	char durable[128];
	snprintf(durable, sizeof durable, "%s-%s", c->params->queue_group, c->lane->type->name);
	const struct leat_pull_options options = {
		.stream = c->source->stream,
		.durable = durable,
		.ack_wait_ms = c->params->ack_wait_ms,
		.max_ack_pending = c->params->max_ack_pending,
		.batch = c->params->batch,
		.batch_bytes = c->params->batch_bytes,
		.idle_heartbeat_ms = c->params->idle_heartbeat_ms,
	};
	struct leat_error err;
	enum leat_kind kind = lane_stream_check(&c->link, c->source, durable, &c->epoch, &err);
	if (kind == LEAT_OK)
		kind = leat_pull_open(&c->pull, c->link.bus, &options, &err);
	if (kind != LEAT_OK) {
		bool postgres_lost = !leat_pg_alive(c->link.pg);
		if (postgres_lost)
			lane_link_close_pg(&c->link);
		lane_link_wait(&c->link,
			postgres_lost                         ? "waiting for Postgres"
				: err.code == LEAT_CODE_NOT_FOUND ? "waiting for the stream (run leat migrate)"
												  : "waiting for NATS",
			err.text);
		return false;
	}
	c->link.backoff.next_ms = 0;
	c->pull_broken = false;
	c->floor_wanted = true;
	return true;
}

void consume_close_pull(struct consume_lane *c)
{
	leat_pull_close(c->pull);
	c->pull = NULL;
	leat_lane_count(c->lane, LEAT_COUNT_RECONNECTS, 1);
}

void consume_give_back(struct consume_lane *c, struct leat_batch *batch, int64_t delay_ms)
{
	for (size_t i = 0; i < batch->count; i++)
		leat_msg_nak(c->link.bus, &batch->rows[i].msg, delay_ms);
	leat_batch_clear(batch);
}

void consume_renew(struct consume_lane *c)
{
	int64_t now = leat_clock_ms();
	if (now < c->progress_at_ms)
		return;
	for (size_t b = 0; b < 2; b++) {
		for (size_t i = 0; i < c->batches[b].count; i++)
			leat_msg_progress(c->link.bus, &c->batches[b].rows[i].msg);
	}
	if (c->pull != NULL)
		leat_pull_progress(c->pull);
	c->progress_at_ms = now + c->params->ack_wait_ms / 3;
}

void consume_collect(struct consume_lane *c, int64_t timeout_ms)
{
	struct leat_batch *batch = c->next;
	while (!c->pull_broken && !leat_batch_full(batch)) {
		struct leat_msg msg;
		struct leat_error err;
		enum leat_pull_event event = leat_pull_next(c->pull, batch->count > 0 ? 0 : timeout_ms, &msg, &err);
		if (event == LEAT_PULL_BROKEN) {
			c->pull_broken = true;
			leat_lane_enter(c->lane, "opening the durable again", err.text);
		}
		if (event != LEAT_PULL_MESSAGE)
			return;
		if (batch->count == 0 && c->flying == NULL)
			c->progress_at_ms = leat_clock_ms() + c->params->ack_wait_ms / 3;
		leat_batch_add(batch, &msg);
	}
}

static void send_reply(struct consume_lane *c, struct leat_batch_row *row)
{
	struct leat_error err;
	const char *reply = row->reply;
	if (strlen(reply) > leat_bus_max_payload(c->link.bus))
		reply = row->short_reply;
	if (leat_bus_publish(c->link.bus, row->intent.reply_to, NULL, reply, strlen(reply), &err) != LEAT_OK)
		leat_log(LEAT_LOG_WARN, c->lane->type->name, "reply to %s not sent: %s", row->intent.reply_to, err.text);
}

void consume_settle(struct consume_lane *c, struct leat_batch *batch)
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
		leat_lane_count(c->lane, counters[row->outcome], 1);
		if (row->outcome == LEAT_OUTCOME_DEFERRED) {
			leat_msg_nak(c->link.bus, &row->msg, c->params->retry_limit_ms);
			continue;
		}
		if (row->reply != NULL)
			send_reply(c, row);
		leat_msg_ack(c->link.bus, &row->msg);
		if (row->outcome == LEAT_OUTCOME_PARKED) {
			c->floor_pace.next_ms = 0;
			c->floor_at_ms = 0;
		}
	}
	leat_lane_count(c->lane, LEAT_COUNT_BATCHES, 1);
	c->floor_wanted = c->floor_wanted || batch->count > 0;
	leat_batch_clear(batch);
}
