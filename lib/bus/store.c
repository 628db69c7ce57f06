/*
 * Storing a batch: publish everything, then collect the answers.
 *
 * The happy path: each message asks for its answer at `<inbox>.<call>.<index>`, the stream answers {"stream":…,"seq":N} or
 * {"error":{…}}, and the index tells whose answer it is. (nats.c's asynchronous publishes report only failures, one by one, to a callback.)
 *
 * Possible failure modes are: a message can't be sent (its own kind); no stream takes the subject, the connection goes, or no answer comes
 * in time (TEMPORARY: the message may have been stored all the same, so publish with an id). A late answer bears an older call's number
 * and is dropped.
 */
#include "internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_MS 100 /* how soon a lost connection is noticed */

natsStatus bus_store_open(struct leat_bus *bus)
{
	natsStatus s = bus_inbox_name(bus, bus->answer_prefix);
	if (s != NATS_OK)
		return s;
	char subject[BUS_INBOX_BYTES + 2];
	snprintf(subject, sizeof subject, "%s.>", bus->answer_prefix);
	return bus_mailbox_open(&bus->answers, &bus->bulk, subject, NULL);
}

void bus_store_close(struct leat_bus *bus)
{
	bus_mailbox_free(bus->answers);
	bus_trash_empty(&bus->stored);
}

void bus_store_begin(struct leat_bus *bus)
{
	bus->store_calls++;
}

void bus_store_reply(const struct leat_bus *bus, size_t index, char out[BUS_REPLY_BYTES])
{
	snprintf(out, BUS_REPLY_BYTES, "%s.%" PRIu64 ".%zu", bus->answer_prefix, bus->store_calls, index);
}

void bus_store_await(const struct leat_bus *bus, struct leat_outgoing *message)
{
	message->seq = 0;
	message->duplicate = false;
	message->kind = leat_fail(&message->err, LEAT_TEMPORARY, LEAT_CODE_INTERNAL,
		"no stream confirmed the message on %.100s within %lld ms (a login that may not publish gets no answer either: see the log)",
		message->subject, (long long)bus->request_timeout_ms);
}

static size_t send_all(struct leat_bus *bus, struct leat_outgoing *messages, size_t count)
{
	size_t sent = 0;
	bus_store_begin(bus);
	for (size_t i = 0; i < count; i++) {
		struct leat_outgoing *message = &messages[i];
		char reply[BUS_REPLY_BYTES];
		bus_store_reply(bus, i, reply);
		message->kind = bus_publish(&bus->bulk, message, reply, &bus->stored, &message->err);
		if (message->kind != LEAT_OK)
			continue;
		bus_store_await(bus, message);
		sent++;
	}
	return sent;
}

/* Whose answer it is; NULL for a late one of an earlier call, or a second one. */
static struct leat_outgoing *find_message(
	const struct leat_bus *bus, const char *answer_subject, struct leat_outgoing *messages, size_t count)
{
	char *rest;
	uint64_t call = strtoull(answer_subject + strlen(bus->answer_prefix) + 1, &rest, 10);
	uint64_t index = *rest == '.' ? strtoull(rest + 1, NULL, 10) : count;
	if (call != bus->store_calls || index >= count || messages[index].kind == LEAT_OK)
		return NULL;
	return &messages[index];
}

/* False for an answer that is not a stream's: any subscriber may answer, so wait for the stream's. */
static bool read_answer(struct leat_outgoing *message, const struct leat_msg *answer)
{
	if (bus_message_status(answer, NULL, 0) != 0) {
		message->kind = leat_fail(&message->err, LEAT_TEMPORARY, LEAT_CODE_INTERNAL,
			"no stream takes %.100s (is JetStream on, `leat migrate` done, and may this login publish there?)", message->subject);
		return true;
	}
	json_auto_t *fields = json_loadb(answer->data, answer->data_bytes, 0, NULL);
	const json_t *error = json_object_get(fields, "error");
	if (error != NULL) {
		message->kind = bus_fail_api(&message->err, error, message->subject);
		return true;
	}
	if (bus_json_int(fields, "seq") <= 0)
		return false;
	message->kind = LEAT_OK;
	message->seq = (uint64_t)bus_json_int(fields, "seq");
	message->duplicate = json_is_true(json_object_get(fields, "duplicate"));
	return true;
}

void bus_store_collect(struct leat_bus *bus, struct leat_outgoing *messages, size_t count, size_t missing)
{
	natsConnection_FlushTimeout(bus->bulk.nats, bus->request_timeout_ms); /* failed: then no answers come, which tells all */
	uint64_t losses = bus_link_losses(&bus->bulk);
	int64_t deadline_ms = leat_clock_ms() + bus->request_timeout_ms;
	while (missing > 0 && losses == bus_link_losses(&bus->bulk)) {
		int64_t left_ms = deadline_ms - leat_clock_ms();
		struct leat_msg answer;
		if (!bus_mailbox_take(bus->answers, left_ms < LOOK_MS ? left_ms : LOOK_MS, &answer)) {
			if (left_ms <= 0)
				return;
			continue;
		}
		struct leat_outgoing *message = find_message(bus, answer.subject, messages, count);
		if (message != NULL && read_answer(message, &answer))
			missing--;
		leat_msg_free(&answer);
	}
}

static void fail_disconnected(const struct leat_bus *bus, struct leat_outgoing *messages, size_t count)
{
	natsStatus s = natsConnection_IsClosed(bus->bulk.nats) ? NATS_CONNECTION_CLOSED : NATS_CONNECTION_DISCONNECTED;
	for (size_t i = 0; i < count; i++)
		messages[i].kind = bus_fail(&messages[i].err, s, "publishing to %.100s", messages[i].subject);
}

enum leat_kind leat_bus_store(struct leat_bus *bus, struct leat_outgoing *messages, size_t count)
{
	enum leat_kind worst = LEAT_OK;
	if (bus_link_connected(&bus->bulk))
		bus_store_collect(bus, messages, count, send_all(bus, messages, count));
	else
		fail_disconnected(bus, messages, count);
	for (size_t i = 0; i < count; i++)
		worst = messages[i].kind > worst ? messages[i].kind : worst;
	return worst;
}
