/*
 * Reading a stream through: a consumer of our own that nobody acknowledges to, which the server forgets when we are gone.
 *
 * The happy path: the stream's state, once; a consumer that begins at the next sequence wanted; pulls from it, as from a durable.
 *
 * What makes it exact is that a delivery carries two numbers: its place in the stream and its place among the consumer's deliveries. A step
 * in the first with none in the second is a message that the stream does not hold. A step in the second is one that was lost on its way,
 * since nobody acknowledges here: then, as after any loss, another consumer begins at the sequence that is wanted.
 *
 * Possible failure modes are: the server goes away (WAIT, and on again once it is back); the consumer is forgotten, as after a caller's
 * long absence (another one); the stream is deleted, made again or cut back, which is seen whenever a consumer is made, by the time of its
 * creation and its last sequence (FAILED). A stream may end in messages that were deleted: where the server has nothing more, it is asked
 * for the next one stored.
 */
#include "internal.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#define FORGET_AFTER_MS 30000
#define FETCH 1000
#define FETCH_BYTES (4 * 1024 * 1024)
#define HEARTBEAT_MS 1000
#define LOOK_AFTER_MS 1000
#define RETRY_FIRST_MS 50
#define RETRY_LIMIT_MS 2000
#define NAME_BYTES 64

struct leat_reader {
	struct leat_bus *bus;
	char *stream;
	struct leat_stream_state state; /* at opening */
	uint64_t next_seq;              /* all before it was told */
	uint64_t end_seq;
	uint64_t nth;           /* deliveries of this consumer so far */
	struct leat_msg held;   /* behind a range that is gone; its handle is NULL for none */
	struct leat_pull *pull; /* NULL: no consumer */
	char consumer[NAME_BYTES];
	struct leat_backoff backoff;
	int64_t look_ms; /* when to ask for the next one stored, if nothing has come */
	bool failed;
	struct leat_error failure;
};

enum leat_kind leat_reader_open(
	struct leat_reader **out, struct leat_bus *bus, const char *stream, uint64_t from_seq, uint64_t to_seq, struct leat_error *err)
{
	*out = NULL;
	struct leat_stream_state state;
	if (leat_stream_get_state(bus, stream, &state, err) != LEAT_OK)
		return leat_fail_while(err, "reading %s", stream);
	struct leat_reader *reader = leat_alloc_zero(1, sizeof *reader);
	*reader = (struct leat_reader){
		.bus = bus,
		.stream = leat_strdup(stream),
		.state = state,
		.next_seq = from_seq > 0 ? from_seq : 1,
		.end_seq = to_seq > 0 && to_seq < state.last_seq ? to_seq : state.last_seq,
		.backoff = {.first_ms = RETRY_FIRST_MS, .limit_ms = RETRY_LIMIT_MS},
	};
	*out = reader;
	return LEAT_OK;
}

const struct leat_stream_state *leat_reader_get_state(const struct leat_reader *reader)
{
	return &reader->state;
}

uint64_t leat_reader_end_seq(const struct leat_reader *reader)
{
	return reader->end_seq;
}

/* ---- the consumer ---- */

static void drop_consumer(struct leat_reader *reader)
{
	struct leat_error ignored; /* the server forgets it by itself */
	if (reader->pull == NULL)
		return;
	bus_pull_drop(reader->pull);
	reader->pull = NULL;
	if (leat_bus_connected(reader->bus) && leat_durable_delete(reader->bus, reader->stream, reader->consumer, &ignored) != LEAT_OK)
		bus_complain(reader->bus, "a reader's consumer stays for %d s: %s", FORGET_AFTER_MS / 1000, ignored.text);
}

static enum leat_kind check_same_stream(struct leat_reader *reader, struct leat_error *err)
{
	struct leat_stream_state now;
	if (leat_stream_get_state(reader->bus, reader->stream, &now, err) != LEAT_OK)
		return leat_fail_while(err, "reading %s", reader->stream);
	if (now.created_ns == reader->state.created_ns && now.last_seq >= reader->state.last_seq)
		return LEAT_OK;
	return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_CONFLICT,
		"%s was made again or cut back while it was read (it ended at %" PRIu64 ", now at %" PRIu64 "): start again", reader->stream,
		reader->state.last_seq, now.last_seq);
}

static enum leat_kind make_consumer(struct leat_reader *reader, struct leat_error *err)
{
	uint64_t losses = bus_link_losses(&reader->bus->prompt);
	if (check_same_stream(reader, err) != LEAT_OK)
		return err->kind;
	json_auto_t *info = NULL;
	json_t *request = json_pack("{s:s, s:{s:s, s:s, s:I, s:s, s:I, s:b, s:i}}", "stream_name", reader->stream, "config", "ack_policy",
		"none", "deliver_policy", "by_start_sequence", "opt_start_seq", (json_int_t)reader->next_seq, "replay_policy", "instant",
		"inactive_threshold", (json_int_t)(FORGET_AFTER_MS * BUS_NS_PER_MS), "mem_storage", 1, "num_replicas", 1);
	if (bus_api(reader->bus, &info, request, err, "CONSUMER.CREATE.%s", reader->stream) != LEAT_OK)
		return leat_fail_while(err, "making a consumer to read %s", reader->stream);
	snprintf(reader->consumer, sizeof reader->consumer, "%s", bus_json_text(info, "name"));
	const struct leat_pull_options options = {
		.stream = reader->stream,
		.durable = reader->consumer,
		.batch = FETCH,
		.batch_bytes = FETCH_BYTES,
		.idle_heartbeat_ms = HEARTBEAT_MS,
	};
	reader->nth = 0;
	reader->look_ms = bus_json_int(info, "num_pending") > 0 ? leat_clock_ms() + LOOK_AFTER_MS : 0;
	return bus_pull_start(&reader->pull, reader->bus, &options, losses, err);
}

/* ---- handing out ---- */

static enum leat_read fail(struct leat_reader *reader, const struct leat_error *err)
{
	drop_consumer(reader);
	reader->failed = true;
	reader->failure = *err;
	return LEAT_READ_FAILED;
}

/* All up to `seq` is gone. */
static enum leat_read skip_to(struct leat_reader *reader, uint64_t seq, struct leat_reading *out)
{
	out->first_seq = reader->next_seq;
	out->last_seq = seq;
	reader->next_seq = seq + 1;
	return LEAT_READ_GONE;
}

static enum leat_read hand_out(struct leat_reader *reader, struct leat_msg *msg, struct leat_reading *out)
{
	reader->next_seq = msg->seq + 1;
	out->msg = *msg;
	*msg = (struct leat_msg){0};
	return LEAT_READ_MESSAGE;
}

/* Nothing has come: because the next one stored lies behind the end, or because it is on its way. */
static enum leat_read look_for_end(struct leat_reader *reader, struct leat_reading *out, struct leat_error *err)
{
	uint64_t seq = reader->next_seq;
	struct leat_msg msg;
	reader->look_ms = leat_clock_ms() + LOOK_AFTER_MS;
	if (leat_stream_get_next(reader->bus, reader->stream, ">", &seq, &msg, err) == LEAT_OK) {
		leat_msg_free(&msg);
		return seq > reader->end_seq ? skip_to(reader, reader->end_seq, out) : LEAT_READ_WAIT;
	}
	if (err->code != LEAT_CODE_NOT_FOUND)
		return err->kind == LEAT_PERMANENT ? fail(reader, err) : LEAT_READ_WAIT;
	if (check_same_stream(reader, err) != LEAT_OK)
		return err->kind == LEAT_PERMANENT ? fail(reader, err) : LEAT_READ_WAIT;
	return skip_to(reader, reader->end_seq, out);
}

static enum leat_read take(struct leat_reader *reader, struct leat_msg *msg, struct leat_reading *out)
{
	if (msg->nth != reader->nth + 1 || msg->seq < reader->next_seq) {
		leat_msg_free(msg);
		drop_consumer(reader);
		return LEAT_READ_WAIT;
	}
	reader->nth = msg->nth;
	reader->look_ms = msg->pending > 0 ? leat_clock_ms() + LOOK_AFTER_MS : 0;
	reader->backoff.next_ms = 0;
	if (msg->seq == reader->next_seq)
		return hand_out(reader, msg, out);
	if (msg->seq > reader->end_seq) {
		leat_msg_free(msg);
		return skip_to(reader, reader->end_seq, out);
	}
	reader->held = *msg;
	return skip_to(reader, msg->seq - 1, out);
}

static enum leat_read wait_to_retry(struct leat_reader *reader, int64_t timeout_ms, const struct leat_error *err)
{
	if (err->kind == LEAT_PERMANENT)
		return fail(reader, err);
	int64_t delay_ms = leat_backoff_delay_ms(&reader->backoff);
	poll(NULL, 0, (int)(delay_ms < timeout_ms ? delay_ms : timeout_ms));
	return LEAT_READ_WAIT;
}

static enum leat_read pull(struct leat_reader *reader, int64_t timeout_ms, struct leat_reading *out, struct leat_error *err)
{
	if (reader->pull == NULL && make_consumer(reader, err) != LEAT_OK)
		return wait_to_retry(reader, timeout_ms, err);
	int64_t look_in_ms = reader->look_ms - leat_clock_ms();
	if (look_in_ms < 0)
		look_in_ms = 0;
	struct leat_msg msg;
	switch (leat_pull_next(reader->pull, timeout_ms < look_in_ms ? timeout_ms : look_in_ms, &msg, err)) {
	case LEAT_PULL_MESSAGE:
		return take(reader, &msg, out);
	case LEAT_PULL_EMPTY:
		return leat_clock_ms() >= reader->look_ms ? look_for_end(reader, out, err) : LEAT_READ_WAIT;
	case LEAT_PULL_BROKEN:
		break;
	}
	drop_consumer(reader);
	return LEAT_READ_WAIT;
}

enum leat_read leat_reader_next(struct leat_reader *reader, int64_t timeout_ms, struct leat_reading *out, struct leat_error *err)
{
	*out = (struct leat_reading){0};
	*err = reader->failure;
	if (reader->failed)
		return LEAT_READ_FAILED;
	if (reader->held.handle != NULL)
		return hand_out(reader, &reader->held, out);
	if (reader->next_seq > reader->end_seq) {
		drop_consumer(reader);
		return LEAT_READ_END;
	}
	uint64_t kept_seq = reader->state.first_seq;
	if (reader->next_seq < kept_seq)
		return skip_to(reader, kept_seq <= reader->end_seq ? kept_seq - 1 : reader->end_seq, out);
	int64_t deadline_ms = leat_clock_ms() + timeout_ms;
	int64_t left_ms = timeout_ms;
	enum leat_read read = pull(reader, left_ms, out, err);
	while (read == LEAT_READ_WAIT && (left_ms = deadline_ms - leat_clock_ms()) > 0)
		read = pull(reader, left_ms, out, err);
	return read;
}

void leat_reader_close(struct leat_reader *reader)
{
	if (reader == NULL)
		return;
	drop_consumer(reader);
	leat_msg_free(&reader->held);
	free(reader->stream);
	free(reader);
}
