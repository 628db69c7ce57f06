/*
 * A stream that we alone write to: each message is stored right behind the one before it, or not at all.
 *
 * The happy path: the first message says how long the stream is (Nats-Expected-Last-Sequence), each further one which message comes before
 * it (Nats-Expected-Last-Msg-Id). The server keeps to it, so only the last is asked to be confirmed: when that one has the sequence that
 * it must have, every one before it is stored too. (An answer for each costs both sides a third of all their work.)
 *
 * Possible failure modes are: that answer is missing or another one, because a message was lost on its way, was there already, or somebody
 * else wrote. Nothing is known then: look where the stream ends, and send all again with an answer for each. What is there already is
 * answered as a duplicate before anything else is checked; from the first one on that fails the rest is refused (TEMPORARY) and keeps its
 * order in a later call. What a process sends that hung, while another took its place and wrote, is refused for the same reason, even when
 * the window of duplicates is over: it looked before.
 */
#include "internal.h"

#include <inttypes.h>
#include <stdio.h>

static enum leat_kind send(struct leat_bus *bus, const struct leat_chain *chain, struct leat_outgoing *messages, size_t at, bool answered)
{
	char reply[BUS_REPLY_BYTES];
	char last_seq[24];
	struct bus_header expected = {"Nats-Expected-Last-Sequence", last_seq};
	snprintf(last_seq, sizeof last_seq, "%" PRIu64, chain->last_seq);
	if (at > 0)
		expected = (struct bus_header){"Nats-Expected-Last-Msg-Id", messages[at - 1].id};
	if (answered)
		bus_store_reply(bus, at, reply);
	return bus_publish(&bus->bulk, &messages[at], answered ? reply : NULL, &expected, &messages[at].err);
}

static void fail_from(struct leat_outgoing *messages, size_t from, size_t count, const struct leat_error *err)
{
	for (size_t i = from; i < count; i++) {
		messages[i].kind = LEAT_TEMPORARY;
		messages[i].err = *err;
	}
}

static void store_at_once(struct leat_bus *bus, struct leat_chain *chain, struct leat_outgoing *messages, size_t count)
{
	struct leat_outgoing *last = &messages[count - 1];
	size_t sent = 0;
	bus_store_begin(bus);
	while (sent < count && send(bus, chain, messages, sent, sent + 1 == count) == LEAT_OK)
		sent++;
	if (sent == count) {
		bus_store_await(bus, last);
		bus_store_collect(bus, messages, count, 1);
	}
	if (sent < count || last->kind != LEAT_OK || last->duplicate || last->seq != chain->last_seq + count) {
		struct leat_error err;
		leat_fail(&err, LEAT_TEMPORARY, LEAT_CODE_CONFLICT, "%s is not as expected, or does not answer", chain->stream);
		fail_from(messages, 0, count, &err);
		chain->state = LEAT_CHAIN_UNKNOWN;
		return;
	}
	for (size_t i = 0; i < count; i++) {
		messages[i].kind = LEAT_OK;
		messages[i].duplicate = false;
		messages[i].seq = chain->last_seq + 1 + i;
	}
	chain->last_seq = last->seq;
}

static void store_one_by_one(struct leat_bus *bus, struct leat_chain *chain, struct leat_outgoing *messages, size_t count)
{
	size_t sent = 0;
	bus_store_begin(bus);
	while (sent < count && (messages[sent].kind = send(bus, chain, messages, sent, true)) == LEAT_OK)
		bus_store_await(bus, &messages[sent++]);
	if (sent < count) {
		struct leat_error err;
		leat_fail(&err, LEAT_TEMPORARY, LEAT_CODE_INTERNAL, "waits for the message before it: %.300s", messages[sent].err.text);
		fail_from(messages, sent + 1, count, &err);
	}
	bus_store_collect(bus, messages, sent, sent);

	chain->state = LEAT_CHAIN_SURE;
	for (size_t i = 0; i < count; i++) {
		if (messages[i].kind != LEAT_OK)
			chain->state = LEAT_CHAIN_UNKNOWN;
		else if (messages[i].seq > chain->last_seq)
			chain->last_seq = messages[i].seq;
	}
}

void leat_chain_look(struct leat_chain *chain, struct leat_bus *bus)
{
	struct leat_stream_state state;
	if (chain->state != LEAT_CHAIN_UNKNOWN)
		return;
	if (!bus_link_connected(&bus->prompt)) { /* a request would wait for its whole time */
		bus_fail(&chain->err, NATS_CONNECTION_DISCONNECTED, "looking at %s", chain->stream);
		return;
	}
	if (leat_stream_get_state(bus, chain->stream, &state, &chain->err) != LEAT_OK)
		return;
	chain->last_seq = state.last_seq;
	chain->state = LEAT_CHAIN_LOOKED;
}

enum leat_kind leat_bus_store_chain(struct leat_bus *bus, struct leat_chain *chain, struct leat_outgoing *messages, size_t count)
{
	enum leat_kind worst = LEAT_OK;
	if (!bus_link_connected(&bus->bulk)) {
		bus_store_disconnected(bus, messages, count);
		chain->state = LEAT_CHAIN_UNKNOWN;
	} else if (chain->state == LEAT_CHAIN_UNKNOWN) {
		fail_from(messages, 0, count, &chain->err);
	} else if (chain->state == LEAT_CHAIN_LOOKED) {
		store_one_by_one(bus, chain, messages, count);
	} else {
		store_at_once(bus, chain, messages, count);
	}
	for (size_t i = 0; i < count; i++)
		worst = messages[i].kind > worst ? messages[i].kind : worst;
	return worst;
}
