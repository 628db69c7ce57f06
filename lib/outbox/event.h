/* Inside lib/outbox only: the envelope of events. */
#ifndef LEAT_LIB_OUTBOX_EVENT_H
#define LEAT_LIB_OUTBOX_EVENT_H

#include "leat/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LEAT_EVENT_HEADERS "Content-Type: application/cloudevents+json\r\n"

/* All borrowed. */
struct leat_event {
	const char *id;      /* a UUID as text */
	const char *type;    /* leat.entity.updated */
	const char *subject; /* leat.event.<tenant>.<noun>.<id> */
	const char *headers; /* a block of lines, of which traceparent becomes an attribute */
	int64_t at_us;       /* since 1970 */
	const char *data;    /* a JSON object, not terminated */
	size_t data_bytes;
};

/*
 * Appends it as a CloudEvent 1.0 in JSON. `data` begins with tenant_id and <noun>_id, as the subject has them, followed by the members of
 * the event's own. False, and nothing appended: the subject is none of an event, or the data no object.
 */
bool leat_event_write(struct leat_buf *out, const struct leat_event *event);

/*
 * Appends data that says less, for an event over the server's limit whose row has no short_body: an entity's does without the names of the
 * changed fields, any other without all but the ids. It says so.
 */
void leat_event_shorten(struct leat_buf *data, const struct leat_event *event);

#endif
