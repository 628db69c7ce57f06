/* The outbox: from rows of leat.fetch_outbox to messages. Design.md section 5. */
#ifndef LEAT_OUTBOX_H
#define LEAT_OUTBOX_H

#include "leat/bus.h"
#include "leat/error.h"
#include "leat/pg.h"

#include <stddef.h>

/* What became of rows, by seq. */
struct leat_outbox_result {
	struct leat_pg_array sent;    /* rows that are out, and single events of what is to be taken apart */
	struct leat_pg_array refused; /* the same of those that can never be out */
	struct leat_pg_array apart;   /* bundles of which some events are out or refused and others are not: to be taken apart first */
	size_t messages;              /* that are out */
};

void leat_outbox_result_init(struct leat_outbox_result *out);
void leat_outbox_result_fini(struct leat_outbox_result *result);

/*
 * Publishes the rows (seq, id, subject, headers, body, short_body, event, created_at, events; from leat_pg_fetch), which are in the order
 * of seq. One with an event type goes out as a CloudEvent of which its body, a JSON object, is the data; one with a number of events as so
 * many (sql/migrations/0022_outbox_bundles.sql). Replies (`leat.reply.…`) go out as plain messages, everything else must be stored by a
 * stream, with the row's id as Nats-Msg-Id; events (`leat.event.…`) in the order of each subject: none is sent before the one before it is
 * stored. A message over the server's limit loses its body: short_body takes its place (of an event: becomes the data), or a header
 * Leat-Body-Omitted says how long it was (an event's data say that something is left out); where the headers are too many, only those of
 * Leat's own stay.
 *
 * Appends to `out`, which was initialised; a reply that can never be out is logged and counts as sent. OK when all are sent or refused;
 * otherwise TEMPORARY with the first reason.
 */
enum leat_kind leat_outbox_publish(struct leat_outbox_result *out, struct leat_bus *bus, struct leat_sole *events,
	struct leat_pg_result *rows, struct leat_error *err) __attribute__((warn_unused_result));

#endif
