/*
 * A row is a message, or a bundle: a line for each event, which sql/functions/80_triggers.sql writes. An event's seq and id follow from its
 * bundle's; leat.take_bundles_apart makes the same of them in SQL.
 *
 * Nothing can fail: a line without all its parts becomes an event with an empty subject, which nobody can publish, and so it is refused.
 */
#include "items.h"

#include "leat/buf.h"

#include <stdlib.h>
#include <string.h>

enum { SEQ, ID, SUBJECT, HEADERS, BODY, SHORT_BODY, EVENT_TYPE, CREATED_AT, EVENTS };

#define ID_NUMBER_BYTES 6 /* the part of an id that counts */

static size_t events_of(struct leat_pg_result *rows, size_t row)
{
	return leat_pg_text(rows, row, EVENTS) != NULL ? (size_t)leat_pg_int8(rows, row, EVENTS) : 0;
}

static void add_to_id(char out[LEAT_UUID_TEXT_BYTES], struct leat_uuid id, size_t number)
{
	for (size_t i = 0; i < ID_NUMBER_BYTES; i++, number >>= 8) {
		unsigned char *byte = &id.bytes[sizeof id.bytes - 1 - i];
		number += *byte;
		*byte = (unsigned char)number;
	}
	leat_uuid_format(&id, out);
}

static struct outbox_item read_row(struct leat_pg_result *rows, size_t row)
{
	struct outbox_item item = {
		.seq = leat_pg_int8(rows, row, SEQ),
		.subject = leat_pg_text(rows, row, SUBJECT),
		.type = leat_pg_text(rows, row, EVENT_TYPE),
	};
	item.headers = leat_pg_bytes(rows, row, HEADERS, &item.headers_bytes);
	item.body = leat_pg_bytes(rows, row, BODY, &item.body_bytes);
	if (leat_pg_text(rows, row, SHORT_BODY) != NULL)
		item.short_body = leat_pg_bytes(rows, row, SHORT_BODY, &item.short_body_bytes);
	if (item.type != NULL)
		item.at_us = leat_pg_time_us(rows, row, CREATED_AT);
	leat_pg_uuid(rows, row, ID, item.id);
	return item;
}

/* Cuts the text at the next such character; returns what is before it. */
static char *take(char **rest, int stop)
{
	char *start = *rest;
	char *end = strchr(start, stop);
	*rest = end != NULL ? end + 1 : start + strlen(start);
	if (end != NULL)
		*end = '\0';
	return start;
}

static struct outbox_item read_line(const struct outbox_item *bundle, const struct leat_uuid *id, char *line, size_t number)
{
	struct outbox_item item = {.seq = bundle->seq + (int64_t)number, .headers = "", .at_us = bundle->at_us};
	add_to_id(item.id, *id, number);
	item.subject = take(&line, '\t');
	item.type = take(&line, '\t');
	item.traceparent = take(&line, '\t');
	item.body = line;
	item.body_bytes = strlen(line);
	return item;
}

static char *read_bundle(struct outbox_item *out, const struct outbox_item *bundle, size_t count)
{
	struct leat_uuid id;
	char *text = leat_alloc(bundle->body_bytes + 1);
	char *rest = text;
	memcpy(text, bundle->body, bundle->body_bytes);
	text[bundle->body_bytes] = '\0';
	leat_uuid_parse(&id, bundle->id, strlen(bundle->id));
	for (size_t i = 0; i < count; i++)
		out[i] = read_line(bundle, &id, take(&rest, '\n'), i);
	return text;
}

void outbox_items_read(struct outbox_items *out, struct leat_pg_result *rows)
{
	*out = (struct outbox_items){.row_count = leat_pg_rows(rows)};
	out->rows = leat_alloc(out->row_count * sizeof *out->rows);
	out->texts = leat_alloc_zero(out->row_count, sizeof *out->texts);
	for (size_t row = 0; row < out->row_count; row++) {
		size_t events = events_of(rows, row);
		out->rows[row] = (struct outbox_row){
			.seq = leat_pg_int8(rows, row, SEQ), .first = out->count, .count = events > 0 ? events : 1, .bundle = events > 0};
		out->count += out->rows[row].count;
	}
	out->items = leat_alloc(out->count * sizeof *out->items);
	for (size_t row = 0; row < out->row_count; row++) {
		struct outbox_item item = read_row(rows, row);
		if (out->rows[row].bundle)
			out->texts[row] = read_bundle(out->items + out->rows[row].first, &item, out->rows[row].count);
		else
			out->items[out->rows[row].first] = item;
	}
}

void outbox_items_free(struct outbox_items *items)
{
	for (size_t row = 0; row < items->row_count; row++)
		free(items->texts[row]);
	free(items->texts);
	free(items->rows);
	free(items->items);
	*items = (struct outbox_items){0};
}
