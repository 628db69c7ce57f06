/*
 * Storing in a stream that we alone write to.
 *
 * The happy path: we know the sequence of its last message, so only the last of a call has to be confirmed: when that one has the sequence
 * that it must have, every one before it is stored too. (An answer for each costs both sides a third of all their work.)
 *
 * Possible failure modes are: that answer is missing or another one, because a message was lost on its way, was there already, or somebody
 * else wrote. Then nothing is known, and all are sent again with an answer for each; what is there already is answered as a duplicate.
 *
 * Why not Nats-Expected-Last-Msg-Id, by which the server itself would keep to the order: such a header goes with the message to every
 * stream that takes it, and those that others have made of a part of these subjects would refuse what is meant for this one.
 */
#include "internal.h"

static void fail_all(struct leat_outgoing *messages, size_t count, const struct leat_error *err)
{
	for (size_t i = 0; i < count; i++) {
		messages[i].kind = LEAT_TEMPORARY;
		messages[i].err = *err;
	}
}

/* False: nothing is known of any of them. */
static bool store_at_once(struct leat_bus *bus, struct leat_sole *sole, struct leat_outgoing *messages, size_t count)
{
	struct leat_outgoing *last = &messages[count - 1];
	char reply[BUS_REPLY_BYTES];
	bus_store_begin(bus);
	bus_store_reply(bus, count - 1, reply);
	for (size_t i = 0; i < count; i++) {
		if (bus_publish(&bus->bulk, &messages[i], i + 1 == count ? reply : NULL, &bus->stored, &messages[i].err) != LEAT_OK)
			return false;
	}
	bus_store_await(bus, last);
	bus_store_collect(bus, messages, count, 1);
	if (last->kind != LEAT_OK || last->duplicate || last->seq != sole->last_seq + count)
		return false;
	for (size_t i = 0; i < count; i++) {
		messages[i].kind = LEAT_OK;
		messages[i].duplicate = false;
		messages[i].seq = sole->last_seq + 1 + i;
	}
	sole->last_seq = last->seq;
	return true;
}

/* The last sequence is known when all of them came to stand at the end of the stream. */
static void learn(struct leat_sole *sole, const struct leat_outgoing *messages, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (messages[i].kind != LEAT_OK || messages[i].duplicate || messages[i].seq != messages[0].seq + i)
			return;
	}
	sole->last_seq = messages[count - 1].seq;
}

enum leat_kind leat_bus_store_sole(struct leat_bus *bus, struct leat_sole *sole, struct leat_outgoing *messages, size_t count)
{
	if (sole->last_seq > 0 && bus_link_connected(&bus->bulk) && leat_clock_ms() < sole->until_ms &&
		store_at_once(bus, sole, messages, count))
		return LEAT_OK;
	sole->last_seq = 0;
	if (leat_clock_ms() >= sole->until_ms) {
		struct leat_error err;
		leat_fail(&err, LEAT_TEMPORARY, LEAT_CODE_INTERNAL, "this took so long that somebody else may have taken over");
		fail_all(messages, count, &err);
		return LEAT_TEMPORARY;
	}
	enum leat_kind kind = leat_bus_store(bus, messages, count);
	learn(sole, messages, count);
	return kind;
}
