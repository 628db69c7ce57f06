/* Plain subscriptions for others: a mailbox whose end of the wire is confirmed before it is handed out. */
#include "internal.h"

#include <stdlib.h>

struct leat_inbox {
	struct bus_link *link;
	struct bus_mailbox *mailbox;
};

static enum leat_kind open_inbox(
	struct leat_inbox **out, struct leat_bus *bus, const char *subject, const char *group, struct leat_error *err)
{
	*out = NULL;
	if (!bus_subject_valid(subject, true))
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INTERNAL, "'%.100s' is not a subject", subject);
	struct bus_mailbox *mailbox = NULL;
	natsStatus s = bus_mailbox_open(&mailbox, &bus->prompt, subject, group);
	if (s == NATS_OK)
		s = natsConnection_FlushTimeout(bus->prompt.nats, bus->request_timeout_ms);
	if (s != NATS_OK) {
		bus_mailbox_free(mailbox);
		return bus_fail(err, s, "subscribing to %.100s", subject);
	}
	*out = leat_alloc(sizeof **out);
	**out = (struct leat_inbox){.link = &bus->prompt, .mailbox = mailbox};
	return LEAT_OK;
}

enum leat_kind leat_inbox_open(struct leat_inbox **out, struct leat_bus *bus, const char *subject, struct leat_error *err)
{
	return open_inbox(out, bus, subject, NULL, err);
}

enum leat_kind leat_inbox_join(
	struct leat_inbox **out, struct leat_bus *bus, const char *subject, const char *group, struct leat_error *err)
{
	if (!bus_name_valid(group))
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INTERNAL, "'%.100s' is not a queue group's name", group);
	return open_inbox(out, bus, subject, group, err);
}

void leat_inbox_end(struct leat_inbox *inbox)
{
	bus_mailbox_end(inbox->mailbox);
}

void leat_inbox_close(struct leat_inbox *inbox)
{
	if (inbox == NULL)
		return;
	bus_mailbox_free(inbox->mailbox);
	free(inbox);
}

int leat_inbox_fd(struct leat_inbox *inbox)
{
	return bus_mailbox_fd(inbox->mailbox);
}

enum leat_kind leat_inbox_next(struct leat_inbox *inbox, int64_t timeout_ms, struct leat_msg *out, struct leat_error *err)
{
	if (bus_mailbox_take(inbox->mailbox, timeout_ms, out))
		return LEAT_OK;
	natsStatus s = natsConnection_IsClosed(inbox->link->nats) ? NATS_CONNECTION_CLOSED : NATS_TIMEOUT;
	return bus_fail(err, s, "waiting %lld ms for a message", (long long)timeout_ms);
}
