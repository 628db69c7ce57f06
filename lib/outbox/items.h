/* Inside lib/outbox only: rows of the outbox as the messages that they stand for. */
#ifndef LEAT_LIB_OUTBOX_ITEMS_H
#define LEAT_LIB_OUTBOX_ITEMS_H

#include "leat/pg.h"
#include "leat/uuid.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One message. Texts are borrowed, from the result or from the items. */
struct outbox_item {
	int64_t seq;
	char id[LEAT_UUID_TEXT_BYTES];
	const char *subject;
	const char *type;    /* of an event, of which body is the data; NULL: a plain message */
	const char *headers; /* a block of lines */
	size_t headers_bytes;
	const char *traceparent; /* one more header of that name; NULL or "": none */
	const char *body;
	size_t body_bytes;
	const char *short_body; /* NULL: none */
	size_t short_body_bytes;
	int64_t at_us;
};

/* Items from first on that are of the same bundle; of a row that is no bundle, one. */
struct outbox_row {
	int64_t seq;
	size_t first;
	size_t count;
	bool bundle;
};

struct outbox_items {
	struct outbox_item *items;
	size_t count;
	struct outbox_row *rows;
	size_t row_count;
	char **texts; /* of each row, its body cut into pieces; NULL where it is no bundle */
};

/* Of rows as leat_outbox_publish gets them, in their order. The result must outlive the items. */
void outbox_items_read(struct outbox_items *out, struct leat_pg_result *rows);
void outbox_items_free(struct outbox_items *items);

#endif
