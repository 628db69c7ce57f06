/*
 * Pulling from a durable, by hand (the library's Fetch writes past its array).
 *
 * The happy path: a subscription of our own; a request to $JS.API.CONSUMER.MSG.NEXT.<stream>.<durable> that names it as the reply and
 * asks for as many messages as fit; half of them handed out, the next request. `outstanding` counts what was asked for and is neither
 * handed out nor known to be cancelled. Several requests may be open; the server serves them in turns, so it is their sum that counts.
 *
 * A request ends before it is served in full when its time is over (408), its bytes are used up (409, with a count of what it still
 * owed), or silently: 2.9.10 drops one that runs out at the moment a message comes. So there is a deadline of our own behind the
 * newest request; when it passes, all older ones are over too and the count starts again. What was owed by one that vanished silently
 * before the newest is at most half a batch, which is the share that pipelining may lose until then. The number of the count's start is
 * part of the reply subject: notices of requests from before are recognised and dropped.
 *
 * Possible failure modes are: the consumer or the stream is deleted (409 when a request was open, else no heartbeat), the connection is
 * lost (the server forgot the requests), the server is silent. Each is BROKEN, and stays so until the pull is opened again.
 */
#include "internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEARTBEATS_PER_REQUEST 6 /* a request's life; at least 2, or the server refuses it */
#define MISSED_HEARTBEATS 2
#define GRACE_MS 250     /* how much later than promised a notice may come */
#define LOOK_MS 200      /* how soon a lost connection is noticed while waiting */
#define QUIET_MS 50      /* closing: the server has nothing more on its way */
#define GATHER_MS 1000   /* closing: longest wait for that */
#define FRAME_BYTES 8192 /* the server counts subject and reply into max_bytes: a control line each way covers them */

struct leat_pull {
	struct leat_bus *bus;
	struct bus_mailbox *mailbox;
	char *ask_subject;
	char *stream;
	char *durable;
	char inbox[BUS_INBOX_BYTES];
	int64_t batch;
	int64_t ask_at; /* asks for more when no more than this is outstanding */
	int64_t request_bytes;
	int64_t heartbeat_ms;
	uint64_t losses; /* of the connection, when opened */
	uint64_t count_number;
	int64_t outstanding;
	int64_t deadline_ms; /* of the newest request */
	int64_t heard_ms;    /* last sign of life, or last request */
	bool paused;
};

enum leat_kind bus_pull_start(
	struct leat_pull **out, struct leat_bus *bus, const struct leat_pull_options *options, uint64_t losses, struct leat_error *err)
{
	*out = NULL;
	struct leat_pull *pull = leat_alloc_zero(1, sizeof *pull);
	int64_t largest_bytes = (int64_t)leat_bus_max_payload(bus) + FRAME_BYTES;
	pull->bus = bus;
	pull->losses = losses;
	pull->stream = leat_strdup(options->stream);
	pull->durable = leat_strdup(options->durable);
	pull->batch = options->batch;
	pull->ask_at = options->batch / 2;
	pull->request_bytes = options->batch_bytes / 2 > largest_bytes ? options->batch_bytes / 2 : largest_bytes;
	pull->heartbeat_ms = options->idle_heartbeat_ms;
	LEAT_BUF_SCOPED subject = LEAT_BUF_INIT;
	leat_buf_printf(&subject, "$JS.API.CONSUMER.MSG.NEXT.%s.%s", options->stream, options->durable);
	pull->ask_subject = leat_buf_take(&subject);
	natsStatus s = bus_inbox_name(bus, pull->inbox);
	leat_buf_printf(&subject, "%s.*", pull->inbox);
	if (s == NATS_OK)
		s = bus_mailbox_open(&pull->mailbox, &bus->prompt, leat_buf_text(&subject), NULL);
	if (s != NATS_OK) {
		bus_pull_drop(pull);
		return bus_fail(err, s, "subscribing for consumer %s of %s", options->durable, options->stream);
	}
	*out = pull;
	return LEAT_OK;
}

enum leat_kind leat_pull_open(struct leat_pull **out, struct leat_bus *bus, const struct leat_pull_options *options, struct leat_error *err)
{
	*out = NULL;
	uint64_t losses = bus_link_losses(&bus->prompt); /* before anything that a loss could undo */
	if (bus_durable_ensure(bus, options, err) != LEAT_OK)
		return err->kind;
	return bus_pull_start(out, bus, options, losses, err);
}

/* ---- asking ---- */

static void start_count(struct leat_pull *pull)
{
	pull->count_number++;
	pull->outstanding = 0;
}

static enum leat_kind ask(struct leat_pull *pull, struct leat_error *err)
{
	int64_t wanted = pull->batch - pull->outstanding;
	int64_t life_ms = pull->heartbeat_ms * HEARTBEATS_PER_REQUEST;
	char reply[BUS_INBOX_BYTES + 24];
	char request[256];
	snprintf(reply, sizeof reply, "%s.%" PRIu64, pull->inbox, pull->count_number);
	snprintf(request, sizeof request,
		"{\"batch\":%" PRId64 ",\"max_bytes\":%" PRId64 ",\"expires\":%" PRId64 ",\"idle_heartbeat\":%" PRId64 "}", wanted,
		pull->request_bytes, life_ms * BUS_NS_PER_MS, pull->heartbeat_ms * BUS_NS_PER_MS);
	const struct leat_outgoing question = {.subject = pull->ask_subject, .data = request, .data_bytes = strlen(request)};
	if (bus_publish(&pull->bus->prompt, &question, reply, NULL, err) != LEAT_OK)
		return err->kind;
	pull->outstanding = pull->batch;
	pull->heard_ms = leat_clock_ms();
	pull->deadline_ms = pull->heard_ms + life_ms + GRACE_MS;
	return LEAT_OK;
}

static bool is_connection_lost(const struct leat_pull *pull)
{
	return pull->losses != bus_link_losses(&pull->bus->prompt);
}

static enum leat_kind keep_asking(struct leat_pull *pull, struct leat_error *err)
{
	if (is_connection_lost(pull))
		return leat_fail(err, LEAT_TEMPORARY, LEAT_CODE_INTERNAL, "connection to nats-server was lost");
	if (pull->paused || pull->outstanding > pull->ask_at)
		return LEAT_OK;
	return ask(pull, err);
}

void leat_pull_set_batch(struct leat_pull *pull, int64_t batch)
{
	pull->batch = batch;
	pull->ask_at = batch - 1;
}

int leat_pull_fd(struct leat_pull *pull)
{
	return bus_mailbox_fd(pull->mailbox);
}

void leat_pull_pause(struct leat_pull *pull, bool paused)
{
	pull->paused = paused;
	pull->heard_ms = leat_clock_ms();
}

/* ---- listening ---- */

/* Notices of requests that ended early tell what they still owed. */
static void take_off(struct leat_pull *pull, const struct leat_msg *notice)
{
	const char *number = strrchr(notice->subject, '.');
	if (number == NULL || strtoull(number + 1, NULL, 10) != pull->count_number)
		return;
	const char *owed = leat_msg_header(notice, "Nats-Pending-Messages");
	pull->outstanding -= owed != NULL ? strtoll(owed, NULL, 10) : pull->outstanding;
	if (pull->outstanding < 0)
		pull->outstanding = 0;
}

static enum leat_kind on_notice(struct leat_pull *pull, const struct leat_msg *notice, struct leat_error *err)
{
	char text[128];
	int status = bus_message_status(notice, text, sizeof text);
	switch (status) {
	case 0: /* somebody's plain message to our inbox */
	case 100:
		return LEAT_OK;
	case 404:
	case 408:
		take_off(pull, notice);
		return LEAT_OK;
	case 409:
		if (leat_msg_header(notice, "Nats-Pending-Messages") != NULL) {
			take_off(pull, notice);
			return LEAT_OK;
		}
		break;
	default:
		break;
	}
	return leat_fail(
		err, LEAT_TEMPORARY, LEAT_CODE_INTERNAL, "consumer %s of %s: nats-server says %d %s", pull->durable, pull->stream, status, text);
}

/* Called when nothing is queued here, so that silence is the server's and not that of a caller who was away. */
static enum leat_kind on_silence(struct leat_pull *pull, struct leat_error *err)
{
	int64_t now_ms = leat_clock_ms();
	if (now_ms > pull->deadline_ms)
		start_count(pull);
	if (pull->paused || pull->outstanding == 0 || now_ms - pull->heard_ms <= pull->heartbeat_ms * MISSED_HEARTBEATS + GRACE_MS)
		return LEAT_OK;
	return leat_fail(err, LEAT_TEMPORARY, LEAT_CODE_INTERNAL, "consumer %s of %s is silent: no heartbeat for %" PRId64 " ms", pull->durable,
		pull->stream, now_ms - pull->heard_ms);
}

enum leat_pull_event leat_pull_next(struct leat_pull *pull, int64_t timeout_ms, struct leat_msg *out, struct leat_error *err)
{
	int64_t deadline_ms = timeout_ms > 0 ? leat_clock_ms() + timeout_ms : 0;
	int64_t left_ms = timeout_ms;
	for (;;) {
		if (keep_asking(pull, err) != LEAT_OK)
			return LEAT_PULL_BROKEN;
		if (bus_mailbox_take(pull->mailbox, left_ms < LOOK_MS ? left_ms : LOOK_MS, out)) {
			pull->heard_ms = leat_clock_ms();
			if (out->seq > 0) {
				pull->outstanding -= pull->outstanding > 0 ? 1 : 0;
				return LEAT_PULL_MESSAGE;
			}
			enum leat_kind kind = on_notice(pull, out, err);
			leat_msg_free(out);
			if (kind != LEAT_OK)
				return LEAT_PULL_BROKEN;
		} else {
			if (on_silence(pull, err) != LEAT_OK)
				return LEAT_PULL_BROKEN;
			if (left_ms <= 0)
				return LEAT_PULL_EMPTY;
		}
		left_ms = timeout_ms > 0 ? deadline_ms - leat_clock_ms() : 0;
	}
}

void leat_pull_progress(struct leat_pull *pull)
{
	size_t count;
	const struct leat_msg *held = bus_mailbox_peek(pull->mailbox, &count);
	for (size_t i = 0; i < count; i++) {
		if (held[i].seq > 0)
			leat_msg_progress(pull->bus, &held[i]);
	}
}

enum leat_kind leat_pull_get_info(struct leat_pull *pull, struct leat_pull_info *out, struct leat_error *err)
{
	return leat_durable_get_info(pull->bus, pull->stream, pull->durable, out, err);
}

/* ---- closing ---- */

/*
 * Waits for what the server is sending, before it is told that nobody listens: what is on its way inside the server then is dropped
 * there and comes again only after AckWait. Ends when all that was asked for is here, or nothing came for a moment.
 */
static void gather(struct leat_pull *pull, struct leat_msg **held, size_t *count)
{
	int64_t deadline_ms = leat_clock_ms() + GATHER_MS;
	size_t cap = (size_t)pull->outstanding;
	*held = leat_alloc_zero(cap, sizeof **held);
	struct leat_msg msg;
	struct leat_error ignored; /* closing is what one does about it */
	while (pull->outstanding > 0 && leat_clock_ms() < deadline_ms && bus_mailbox_take(pull->mailbox, QUIET_MS, &msg)) {
		if (msg.seq > 0 && *count < cap) {
			pull->outstanding--;
			(*held)[(*count)++] = msg;
			continue;
		}
		enum leat_kind kind = on_notice(pull, &msg, &ignored);
		leat_msg_free(&msg);
		if (kind != LEAT_OK)
			return;
	}
}

static void give_back(struct leat_pull *pull, struct leat_msg *msg)
{
	if (msg->seq > 0)
		leat_msg_nak(pull->bus, msg, 0);
	leat_msg_free(msg);
}

/*
 * Given back only after the end: before, they would come straight back to us. And only after the server has dropped our open requests,
 * which it does when asked how the consumer is: 2.9.10, about to redeliver a message and finding but dead requests, puts back the newest
 * message of the stream instead of that one, which then comes after AckWait only.
 */
static void end_and_give_back(struct leat_pull *pull)
{
	struct leat_msg *held = NULL;
	size_t count = 0;
	if (!is_connection_lost(pull))
		gather(pull, &held, &count);
	bus_mailbox_end(pull->mailbox);
	struct leat_pull_info info;
	struct leat_error err;
	if (!is_connection_lost(pull) && leat_pull_get_info(pull, &info, &err) == LEAT_TEMPORARY)
		bus_complain(pull->bus, "messages given back may come late: %s", err.text);
	for (size_t i = 0; i < count; i++)
		give_back(pull, &held[i]);
	free(held);
	struct leat_msg msg;
	while (bus_mailbox_take(pull->mailbox, 0, &msg))
		give_back(pull, &msg);
}

void leat_pull_close(struct leat_pull *pull)
{
	if (pull == NULL)
		return;
	end_and_give_back(pull);
	bus_pull_drop(pull);
}

void bus_pull_drop(struct leat_pull *pull)
{
	if (pull == NULL)
		return;
	bus_mailbox_free(pull->mailbox);
	free(pull->ask_subject);
	free(pull->stream);
	free(pull->durable);
	free(pull);
}
