/*
 * Rows of the outbox to messages on the wire. A row is published, refused for good, or left for the next time; nothing else can happen to
 * it.
 *
 * Events go out in rounds, of each subject one at a time: no other is sent before that one is stored. So whatever fails, on whichever
 * connection it travels, nothing overtakes; and under load, where a batch of intents is one event an entity, rounds are large.
 */
#include "leat/outbox.h"

#include "event.h"
#include "leat/log.h"
#include "rounds.h"

#include <stdlib.h>
#include <string.h>

enum { SEQ, ID, SUBJECT, HEADERS, BODY, SHORT_BODY, EVENT_TYPE, CREATED_AT };

/* Bytes that the protocol adds to the headers: version line, Nats-Msg-Id, end. And the most that JetStream takes, with them. */
enum { FRAME_BYTES = 128, HEADERS_LIMIT = 65535 };

/* A row being published. */
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

static void write_event(struct letter *out, struct leat_pg_result *rows, size_t row, const char *id, size_t limit)
{
	struct leat_event event = {
		.id = id,
		.type = leat_pg_text(rows, row, EVENT_TYPE),
		.subject = leat_pg_text(rows, row, SUBJECT),
		.headers = leat_buf_text(&out->headers),
		.at_us = leat_pg_time_us(rows, row, CREATED_AT),
		.data = out->body,
		.data_bytes = out->body_bytes,
	};
	if (!leat_event_write(&out->event, &event))
		return; /* somebody wrote the row by hand; it goes out as it is */
	if (limit > 0 && out->headers.len + 2 * FRAME_BYTES + out->event.len > limit) {
		LEAT_BUF_SCOPED data = LEAT_BUF_INIT;
		if (leat_pg_text(rows, row, SHORT_BODY) != NULL) {
			event.data = leat_pg_bytes(rows, row, SHORT_BODY, &event.data_bytes);
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

static void write_letter(struct letter *out, struct leat_pg_result *rows, size_t row, const char *id, size_t limit)
{
	size_t headers_bytes;
	const char *headers = leat_pg_bytes(rows, row, HEADERS, &headers_bytes);
	*out = (struct letter){0};
	leat_buf_add(&out->headers, headers, headers_bytes);
	if (headers_bytes + 2 * FRAME_BYTES > HEADERS_LIMIT)
		keep_own_headers(&out->headers, headers);
	out->body = leat_pg_bytes(rows, row, BODY, &out->body_bytes);
	if (leat_pg_text(rows, row, EVENT_TYPE) != NULL)
		write_event(out, rows, row, id, limit);
	if (limit == 0 || out->headers.len + FRAME_BYTES + out->body_bytes <= limit)
		return;

	if (out->event.len == 0 && leat_pg_text(rows, row, SHORT_BODY) != NULL) {
		out->body = leat_pg_bytes(rows, row, SHORT_BODY, &out->body_bytes);
		return;
	}
	size_t omitted = out->body_bytes;
	out->body = "";
	out->body_bytes = 0;
	if (out->headers.len + 2 * FRAME_BYTES > limit)
		keep_own_headers(&out->headers, headers);
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

/* A reply that can never go out is dropped: its outcome stands in the ledger, and nobody waits for it in a minute. */
static void note(struct leat_bus *bus, const struct leat_outgoing *message, int64_t seq, struct leat_pg_array *sent,
	struct leat_pg_array *refused, bool *waiting, struct leat_error *err)
{
	if (message->kind == LEAT_OK) {
		leat_pg_array_add_int8(sent, seq);
	} else if (message->kind == LEAT_PERMANENT && way_of(message->subject) == REPLY && !leat_bus_closed(bus)) {
		leat_pg_array_add_int8(sent, seq);
		leat_log(LEAT_LOG_ERROR, "relay", "reply to %s can't be published and is dropped: %s", message->subject, message->err.text);
	} else if (message->kind == LEAT_PERMANENT) {
		leat_pg_array_add_int8(refused, seq);
		leat_log(
			LEAT_LOG_ERROR, "relay", "outbox row to %s can't be published, next try in a minute: %s", message->subject, message->err.text);
	} else if (!*waiting) {
		*waiting = true;
		*err = message->err;
	}
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
	size_t count;
	size_t *rows;  /* each message's */
	size_t *round; /* of each event */
	struct letter *letters;
	char (*ids)[LEAT_UUID_TEXT_BYTES];
	struct leat_outgoing *messages;
	size_t start[WAYS + 1];
};

static void arrange_events(struct post *post, struct leat_pg_result *rows)
{
	size_t count = post->start[EVENT + 1];
	const char **subjects = leat_alloc(count * sizeof *subjects);
	size_t *came = leat_alloc(count * sizeof *came);
	size_t *round_of = leat_alloc(count * sizeof *round_of);
	size_t *order = leat_alloc(count * sizeof *order);
	for (size_t i = 0; i < count; i++) {
		came[i] = post->rows[i];
		subjects[i] = leat_pg_text(rows, came[i], SUBJECT);
	}
	outbox_rounds(subjects, count, round_of, order);
	for (size_t i = 0; i < count; i++) {
		post->rows[i] = came[order[i]];
		post->round[i] = round_of[order[i]];
	}
	free(subjects);
	free(came);
	free(round_of);
	free(order);
}

static void arrange(struct post *post, struct leat_pg_result *rows)
{
	size_t at = 0;
	for (enum way way = EVENT; way < WAYS; way++) {
		post->start[way] = at;
		for (size_t row = 0; row < post->count; row++) {
			if (way_of(leat_pg_text(rows, row, SUBJECT)) == way)
				post->rows[at++] = row;
		}
	}
	post->start[WAYS] = at;
	if (post->start[EVENT + 1] > 0)
		arrange_events(post, rows);
}

static void post_init(struct post *post, struct leat_pg_result *rows, size_t limit)
{
	*post = (struct post){.count = leat_pg_rows(rows)};
	post->rows = leat_alloc(post->count * sizeof *post->rows);
	post->round = leat_alloc(post->count * sizeof *post->round);
	post->letters = leat_alloc(post->count * sizeof *post->letters);
	post->ids = leat_alloc(post->count * sizeof *post->ids);
	post->messages = leat_alloc(post->count * sizeof *post->messages);
	arrange(post, rows);
	for (size_t i = 0; i < post->count; i++) {
		struct letter *letter = &post->letters[i];
		leat_pg_uuid(rows, post->rows[i], ID, post->ids[i]);
		write_letter(letter, rows, post->rows[i], post->ids[i], limit);
		post->messages[i] = (struct leat_outgoing){
			.subject = leat_pg_text(rows, post->rows[i], SUBJECT),
			.headers = leat_buf_text(&letter->headers),
			.data = letter->body,
			.data_bytes = letter->body_bytes,
			.id = post->ids[i],
		};
	}
}

static void post_fini(struct post *post)
{
	for (size_t i = 0; i < post->count; i++) {
		leat_buf_free(&post->letters[i].headers);
		leat_buf_free(&post->letters[i].event);
	}
	free(post->rows);
	free(post->round);
	free(post->letters);
	free(post->ids);
	free(post->messages);
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

enum leat_kind leat_outbox_publish(struct leat_bus *bus, struct leat_sole *events, struct leat_pg_result *rows, struct leat_pg_array *sent,
	struct leat_pg_array *refused, struct leat_error *err)
{
	struct post post;
	bool waiting = false;
	post_init(&post, rows, leat_bus_max_payload(bus));
	size_t stored = post.start[REPLY] - post.start[STORED];
	send_replies(bus, post.messages + post.start[REPLY], post.count - post.start[REPLY]);
	store_events(bus, events, &post);
	if (stored > 0 && leat_bus_store(bus, post.messages + post.start[STORED], stored) != LEAT_OK)
		leat_log(LEAT_LOG_DEBUG, "relay", "not all of %zu outbox rows are out", stored);
	for (size_t i = 0; i < post.count; i++)
		note(bus, &post.messages[i], leat_pg_int8(rows, post.rows[i], SEQ), sent, refused, &waiting, err);
	post_fini(&post);
	return waiting ? LEAT_TEMPORARY : LEAT_OK;
}
