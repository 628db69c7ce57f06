/*
 * Settling: a word published to the message's reply subject. natsMsg_Ack* crash on messages that were pulled by hand.
 *
 * These go out with the bulk connection's next flush, a millisecond later at most. While it is away they are kept and sent when it
 * comes back, up to the library's buffer; what does not fit there is lost, and the message comes again.
 */
#include "internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void settle(struct leat_bus *bus, const struct leat_msg *msg, const char *word)
{
	if (*msg->reply == '\0')
		return;
	natsStatus s = natsConnection_Publish(bus->bulk.nats, msg->reply, word, (int)strlen(word));
	if (s != NATS_OK)
		bus_complain(bus, "messages could not be settled and will come again: %s", natsStatus_GetText(s));
}

void leat_msg_ack(struct leat_bus *bus, const struct leat_msg *msg)
{
	settle(bus, msg, "+ACK");
}

void leat_msg_nak(struct leat_bus *bus, const struct leat_msg *msg, int64_t delay_ms)
{
	char word[64];
	snprintf(word, sizeof word, "-NAK {\"delay\":%" PRId64 "}", delay_ms * BUS_NS_PER_MS);
	settle(bus, msg, delay_ms > 0 ? word : "-NAK");
}

void leat_msg_progress(struct leat_bus *bus, const struct leat_msg *msg)
{
	settle(bus, msg, "+WPI");
}
