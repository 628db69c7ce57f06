/*
 * Rows of the outbox to messages on the wire. A row is published, refused for good, or left for the next time; nothing else can happen to
 * it.
 */
#include "leat/outbox.h"

#include "leat/log.h"

#include <stdlib.h>
#include <string.h>

enum { SEQ, ID, SUBJECT, HEADERS, BODY, SHORT_BODY };

/* Bytes that the protocol adds to the headers: version line, Nats-Msg-Id, end. And the most that JetStream takes, with them. */
enum { FRAME_BYTES = 128, HEADERS_LIMIT = 65535 };

/* A row being published. */
struct letter {
	struct leat_buf headers;
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

static void write_letter(struct letter *out, struct leat_pg_result *rows, size_t row, size_t limit)
{
	size_t headers_bytes;
	const char *headers = leat_pg_bytes(rows, row, HEADERS, &headers_bytes);
	*out = (struct letter){0};
	leat_buf_add(&out->headers, headers, headers_bytes);
	if (headers_bytes + 2 * FRAME_BYTES > HEADERS_LIMIT)
		keep_own_headers(&out->headers, headers);
	out->body = leat_pg_bytes(rows, row, BODY, &out->body_bytes);
	if (limit == 0 || out->headers.len + FRAME_BYTES + out->body_bytes <= limit)
		return;

	if (leat_pg_text(rows, row, SHORT_BODY) != NULL) {
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

/* All rows, those of one way together. */
struct post {
	size_t count;
	struct letter *letters;
	struct leat_outgoing *messages;
	int64_t *seqs;
	char (*ids)[LEAT_UUID_TEXT_BYTES];
	size_t start[WAYS + 1];
};

static void post_init(struct post *post, struct leat_pg_result *rows, size_t limit)
{
	size_t next[WAYS];
	*post = (struct post){.count = leat_pg_rows(rows)};
	post->letters = leat_alloc(post->count * sizeof *post->letters);
	post->messages = leat_alloc(post->count * sizeof *post->messages);
	post->seqs = leat_alloc(post->count * sizeof *post->seqs);
	post->ids = leat_alloc(post->count * sizeof *post->ids);
	for (size_t i = 0; i < post->count; i++)
		post->start[way_of(leat_pg_text(rows, i, SUBJECT)) + 1]++;
	for (size_t way = 0; way < WAYS; way++) {
		post->start[way + 1] += post->start[way];
		next[way] = post->start[way];
	}
	for (size_t i = 0; i < post->count; i++) {
		const char *subject = leat_pg_text(rows, i, SUBJECT);
		size_t at = next[way_of(subject)]++;
		struct letter *letter = &post->letters[at];
		write_letter(letter, rows, i, limit);
		leat_pg_uuid(rows, i, ID, post->ids[at]);
		post->seqs[at] = leat_pg_int8(rows, i, SEQ);
		post->messages[at] = (struct leat_outgoing){
			.subject = subject,
			.headers = leat_buf_text(&letter->headers),
			.data = letter->body,
			.data_bytes = letter->body_bytes,
			.id = post->ids[at],
		};
	}
}

static void post_fini(struct post *post)
{
	for (size_t i = 0; i < post->count; i++)
		leat_buf_free(&post->letters[i].headers);
	free(post->letters);
	free(post->messages);
	free(post->seqs);
	free(post->ids);
}

enum leat_kind leat_outbox_publish(struct leat_bus *bus, struct leat_chain *events, struct leat_pg_result *rows, struct leat_pg_array *sent,
	struct leat_pg_array *refused, struct leat_error *err)
{
	struct post post;
	enum leat_kind worst = LEAT_OK;
	post_init(&post, rows, leat_bus_max_payload(bus));
	size_t replies = post.count - post.start[REPLY];
	send_replies(bus, post.messages + post.start[REPLY], replies);
	if (post.start[STORED] > 0)
		worst = leat_bus_store_chain(bus, events, post.messages, post.start[STORED]);
	if (post.start[REPLY] > post.start[STORED] &&
		leat_bus_store(bus, post.messages + post.start[STORED], post.start[REPLY] - post.start[STORED]) != LEAT_OK)
		worst = LEAT_TEMPORARY;
	if (worst != LEAT_OK)
		leat_log(LEAT_LOG_DEBUG, "relay", "not all of %zu outbox rows are out", post.start[REPLY]);
	bool waiting = false;
	for (size_t i = 0; i < post.count; i++)
		note(bus, &post.messages[i], post.seqs[i], sent, refused, &waiting, err);
	post_fini(&post);
	return waiting ? LEAT_TEMPORARY : LEAT_OK;
}
