/* The outbox: from rows of leat.fetch_outbox to messages. Design.md section 5. */
#ifndef LEAT_OUTBOX_H
#define LEAT_OUTBOX_H

#include "leat/bus.h"
#include "leat/error.h"
#include "leat/pg.h"

#include <stddef.h>

/*
 * Publishes the rows (seq, id, subject, headers, body, short_body, event, created_at; from leat_pg_fetch), which are in the order of seq.
 * One with an event type goes out as a CloudEvent of which its body, a JSON object, is the data. Replies
 * (`leat.reply.…`) go out as plain messages, everything else must be stored by a stream, with the row's id as Nats-Msg-Id; events
 * (`leat.event.…`) in the order of each subject: none is sent before the one before it is stored. A message over the server's limit loses
 * its body: short_body takes its place (of an event: becomes the data), or a header Leat-Body-Omitted says how long it was (an event's data
 * say that something is left out); where the headers are too many, only those of Leat's own stay.
 *
 * Appends the seq of each row that is out to `sent`, of each that can never be to `refused`; a reply that can never be is logged and counts
 * as sent. OK when that is all of them; otherwise TEMPORARY with the first reason.
 */
enum leat_kind leat_outbox_publish(struct leat_bus *bus, struct leat_sole *events, struct leat_pg_result *rows, struct leat_pg_array *sent,
	struct leat_pg_array *refused, struct leat_error *err) __attribute__((warn_unused_result));

#endif
