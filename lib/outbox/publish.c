/*
 * Rows of the outbox to messages on the wire. A message is published, refused for good, or left for the next time; nothing else can happen
 * to it. A bundle of which some are left or refused has to be taken apart.
 *
 * Events go out in rounds, of each subject one at a time: no other is sent before that one is stored. So whatever fails, on whichever
 * connection it travels, nothing overtakes; and under load, where a batch of intents is one event an entity, rounds are large.
 */
#include "leat/outbox.h"

#include "event.h"
#include "items.h"
#include "leat/log.h"
#include "rounds.h"

#include <stdlib.h>
#include <string.h>

/* Bytes that the protocol adds to the headers: version line, Nats-Msg-Id, end. And the most that JetStream takes, with them. */
enum { FRAME_BYTES = 128, HEADERS_LIMIT = 65535 };

/* A message being published. */
struct letter {
	struct leat_buf headers;
	struct leat_buf event; /* the body of an event: a CloudEvent around the row's */
	const char *body;
	size_t body_bytes;
};

/* Instead of all of them. */
static void keep_own_headers(struct leat_buf *out, const char *headers)
{
	leat_buf_clear(out);
	for (const char *line = headers, *end; *line != '\0'; line = end) {
		const char *stop = strstr(line, "\r\n");
		end = stop != NULL ? stop + 2 : line + strlen(line);
		if (strncmp(line, "Leat-Error", 10) == 0 || strncmp(line, "Leat-Origin-", 12) == 0)
			leat_buf_add(out, line, (size_t)(end - line));
	}
	leat_buf_printf(out, "Leat-Headers-Omitted: %zu\r\n", strlen(headers));
}

static void write_event(struct letter *out, const struct outbox_item *item, size_t limit)
{
	struct leat_event event = {
		.id = item->id,
		.type = item->type,
		.subject = item->subject,
		.headers = leat_buf_text(&out->headers),
		.at_us = item->at_us,
		.data = out->body,
		.data_bytes = out->body_bytes,
	};
	if (!leat_event_write(&out->event, &event))
		return; /* somebody wrote the row by hand; it goes out as it is */
	if (limit > 0 && out->headers.len + 2 * FRAME_BYTES + out->event.len > limit) {
		LEAT_BUF_SCOPED data = LEAT_BUF_INIT;
		if (item->short_body != NULL) {
			event.data = item->short_body;
			event.data_bytes = item->short_body_bytes;
		} else {
			leat_event_shorten(&data, &event);
			event.data = data.data;
			event.data_bytes = data.len;
		}
		leat_buf_clear(&out->event);
		leat_event_write(&out->event, &event);
	}
	leat_buf_add_text(&out->headers, LEAT_EVENT_HEADERS);
	out->body = out->event.data;
	out->body_bytes = out->event.len;
}

static void write_letter(struct letter *out, const struct outbox_item *item, size_t limit)
{
	*out = (struct letter){.body = item->body, .body_bytes = item->body_bytes};
	leat_buf_add(&out->headers, item->headers, item->headers_bytes);
	if (item->headers_bytes + 2 * FRAME_BYTES > HEADERS_LIMIT)
		keep_own_headers(&out->headers, item->headers);
	if (item->traceparent != NULL && *item->traceparent != '\0')
		leat_buf_printf(&out->headers, "traceparent: %s\r\n", item->traceparent);
	if (item->type != NULL)
		write_event(out, item, limit);
	if (limit == 0 || out->headers.len + FRAME_BYTES + out->body_bytes <= limit)
		return;

	if (out->event.len == 0 && item->short_body != NULL) {
		out->body = item->short_body;
		out->body_bytes = item->short_body_bytes;
		return;
	}
	size_t omitted = out->body_bytes;
	out->body = "";
	out->body_bytes = 0;
	if (out->headers.len + 2 * FRAME_BYTES > limit)
		keep_own_headers(&out->headers, item->headers);
	leat_buf_printf(&out->headers, "Leat-Body-Omitted: %zu\r\n", omitted);
}

/* Events are stored in order, everything else but replies is stored, replies just go out. */
enum way { EVENT, STORED, REPLY, WAYS };

static enum way way_of(const char *subject)
{
	if (strncmp(subject, "leat.event.", strlen("leat.event.")) == 0)
		return EVENT;
	return strncmp(subject, "leat.reply.", strlen("leat.reply.")) == 0 ? REPLY : STORED;
}

/* They are out once the server has read them all. */
static void send_replies(struct leat_bus *bus, struct leat_outgoing *replies, size_t count)
{
	struct leat_error err;
	for (size_t i = 0; i < count; i++)
		replies[i].kind =
			leat_bus_publish(bus, replies[i].subject, replies[i].headers, replies[i].data, replies[i].data_bytes, &replies[i].err);
	if (count == 0 || leat_bus_flush(bus, &err) == LEAT_OK)
		return;
	for (size_t i = 0; i < count; i++) {
		if (replies[i].kind == LEAT_OK) {
			replies[i].kind = LEAT_TEMPORARY;
			replies[i].err = err;
		}
	}
}

/* All messages: events by round, then what else is to be stored, then replies. */
struct post {
	struct outbox_items items;
	size_t *item;  /* each message's */
	size_t *round; /* of each event */
	struct letter *letters;
	struct leat_outgoing *messages;
	size_t start[WAYS + 1];
};

static void arrange_events(struct post *post)
{
	size_t count = post->start[EVENT + 1];
	const char **subjects = leat_alloc(count * sizeof *subjects);
	size_t *came = leat_alloc(count * sizeof *came);
	size_t *round_of = leat_alloc(count * sizeof *round_of);
	size_t *order = leat_alloc(count * sizeof *order);
	for (size_t i = 0; i < count; i++) {
		came[i] = post->item[i];
		subjects[i] = post->items.items[came[i]].subject;
	}
	outbox_rounds(subjects, count, round_of, order);
	for (size_t i = 0; i < count; i++) {
		post->item[i] = came[order[i]];
		post->round[i] = round_of[order[i]];
	}
	free(subjects);
	free(came);
	free(round_of);
	free(order);
}

static void arrange(struct post *post)
{
	size_t at = 0;
	for (enum way way = EVENT; way < WAYS; way++) {
		post->start[way] = at;
		for (size_t i = 0; i < post->items.count; i++) {
			if (way_of(post->items.items[i].subject) == way)
				post->item[at++] = i;
		}
	}
	post->start[WAYS] = at;
	if (post->start[EVENT + 1] > 0)
		arrange_events(post);
}

static void post_init(struct post *post, struct leat_pg_result *rows, size_t limit)
{
	*post = (struct post){0};
	outbox_items_read(&post->items, rows);
	size_t count = post->items.count;
	post->item = leat_alloc(count * sizeof *post->item);
	post->round = leat_alloc(count * sizeof *post->round);
	post->letters = leat_alloc(count * sizeof *post->letters);
	post->messages = leat_alloc(count * sizeof *post->messages);
	arrange(post);
	for (size_t i = 0; i < count; i++) {
		const struct outbox_item *item = &post->items.items[post->item[i]];
		struct letter *letter = &post->letters[i];
		write_letter(letter, item, limit);
		post->messages[i] = (struct leat_outgoing){
			.subject = item->subject,
			.headers = leat_buf_text(&letter->headers),
			.data = letter->body,
			.data_bytes = letter->body_bytes,
			.id = item->id,
		};
	}
}

static void post_fini(struct post *post)
{
	for (size_t i = 0; i < post->items.count; i++) {
		leat_buf_free(&post->letters[i].headers);
		leat_buf_free(&post->letters[i].event);
	}
	free(post->item);
	free(post->round);
	free(post->letters);
	free(post->messages);
	outbox_items_free(&post->items);
}

/* Round by round, up to one in which something fails. */
static void store_events(struct leat_bus *bus, struct leat_sole *sole, struct post *post)
{
	size_t count = post->start[EVENT + 1];
	enum leat_kind worst = LEAT_OK;
	for (size_t from = 0, to; from < count; from = to) {
		for (to = from + 1; to < count && post->round[to] == post->round[from];)
			to++;
		if (worst == LEAT_OK) {
			worst = leat_bus_store_sole(bus, sole, post->messages + from, to - from);
			continue;
		}
		for (size_t i = from; i < to; i++)
			post->messages[i].kind =
				leat_fail(&post->messages[i].err, LEAT_TEMPORARY, LEAT_CODE_INTERNAL, "an event before it is not out yet");
	}
}

/* ---- what became of them ---- */

/* A reply that can never go out is dropped: its outcome stands in the ledger, and nobody waits for it in a minute. */
static enum leat_kind judge(struct leat_bus *bus, const struct leat_outgoing *message)
{
	if (message->kind != LEAT_PERMANENT)
		return message->kind;
	bool dropped = way_of(message->subject) == REPLY && !leat_bus_closed(bus);
	leat_log(LEAT_LOG_ERROR, "relay",
		dropped ? "reply to %s can't be published and is dropped: %s" : "outbox row to %s can't be published, next try in a minute: %s",
		message->subject, message->err.text);
	return dropped ? LEAT_OK : LEAT_PERMANENT;
}

static void note_row(
	struct leat_outbox_result *out, const struct outbox_row *row, const struct outbox_item *items, const enum leat_kind *kinds)
{
	size_t sent = 0;
	size_t refused = 0;
	for (size_t i = 0; i < row->count; i++) {
		sent += kinds[i] == LEAT_OK;
		refused += kinds[i] == LEAT_PERMANENT;
	}
	out->messages += sent;
	if (sent == row->count) {
		leat_pg_array_add_int8(&out->sent, row->seq);
		return;
	}
	if (sent + refused == 0)
		return;
	if (row->bundle)
		leat_pg_array_add_int8(&out->apart, row->seq);
	for (size_t i = 0; i < row->count; i++) {
		if (kinds[i] == LEAT_OK)
			leat_pg_array_add_int8(&out->sent, items[i].seq);
		else if (kinds[i] == LEAT_PERMANENT)
			leat_pg_array_add_int8(&out->refused, items[i].seq);
	}
}

static enum leat_kind note(struct leat_outbox_result *out, struct leat_bus *bus, const struct post *post, struct leat_error *err)
{
	enum leat_kind kind = LEAT_OK;
	enum leat_kind *kinds = leat_alloc(post->items.count * sizeof *kinds);
	for (size_t i = 0; i < post->items.count; i++) {
		kinds[post->item[i]] = judge(bus, &post->messages[i]);
		if (kinds[post->item[i]] == LEAT_TEMPORARY && kind == LEAT_OK) {
			kind = LEAT_TEMPORARY;
			*err = post->messages[i].err;
		}
	}
	for (const struct outbox_row *row = post->items.rows; row < post->items.rows + post->items.row_count; row++)
		note_row(out, row, post->items.items + row->first, kinds + row->first);
	free(kinds);
	return kind;
}

void leat_outbox_result_init(struct leat_outbox_result *out)
{
	*out = (struct leat_outbox_result){0};
	leat_pg_array_start(&out->sent, LEAT_PG_INT8);
	leat_pg_array_start(&out->refused, LEAT_PG_INT8);
	leat_pg_array_start(&out->apart, LEAT_PG_INT8);
}

void leat_outbox_result_fini(struct leat_outbox_result *result)
{
	leat_pg_array_free(&result->sent);
	leat_pg_array_free(&result->refused);
	leat_pg_array_free(&result->apart);
}

enum leat_kind leat_outbox_publish(
	struct leat_outbox_result *out, struct leat_bus *bus, struct leat_sole *events, struct leat_pg_result *rows, struct leat_error *err)
{
	struct post post;
	post_init(&post, rows, leat_bus_max_payload(bus));
	size_t count = post.items.count;
	size_t stored = post.start[REPLY] - post.start[STORED];
	send_replies(bus, post.messages + post.start[REPLY], count - post.start[REPLY]);
	store_events(bus, events, &post);
	if (stored > 0 && leat_bus_store(bus, post.messages + post.start[STORED], stored) != LEAT_OK)
		leat_log(LEAT_LOG_DEBUG, "relay", "not all of %zu messages are out", stored);
	enum leat_kind kind = note(out, bus, &post, err);
	post_fini(&post);
	return kind;
}
