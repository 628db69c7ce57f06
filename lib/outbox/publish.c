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

static bool is_reply(const char *subject)
{
	return strncmp(subject, "leat.reply.", strlen("leat.reply.")) == 0;
}

/* A reply that can never go out is dropped: its outcome stands in the ledger, and nobody waits for it in a minute. */
static void note(struct leat_bus *bus, const struct leat_outgoing *message, int64_t seq, struct leat_pg_array *sent,
	struct leat_pg_array *refused, bool *waiting, struct leat_error *err)
{
	if (message->kind == LEAT_OK) {
		leat_pg_array_add_int8(sent, seq);
	} else if (message->kind == LEAT_PERMANENT && is_reply(message->subject) && !leat_bus_closed(bus)) {
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

/* Only then has the server read the replies: those that seemed to be out are not when it fails. */
static void flush_replies(struct leat_bus *bus, struct leat_outgoing *replies, size_t count)
{
	struct leat_error err;
	if (count == 0 || leat_bus_flush(bus, &err) == LEAT_OK)
		return;
	for (size_t i = 0; i < count; i++) {
		if (replies[i].kind == LEAT_OK) {
			replies[i].kind = LEAT_TEMPORARY;
			replies[i].err = err;
		}
	}
}

enum leat_kind leat_outbox_publish(
	struct leat_bus *bus, struct leat_pg_result *rows, struct leat_pg_array *sent, struct leat_pg_array *refused, struct leat_error *err)
{
	size_t count = leat_pg_rows(rows);
	size_t limit = leat_bus_max_payload(bus);
	struct letter *letters = leat_alloc_zero(count, sizeof *letters);
	struct leat_outgoing *messages = leat_alloc_zero(count, sizeof *messages); /* from its start what is to be stored, from its end replies */
	size_t *row_of = leat_alloc_zero(count, sizeof *row_of);
	size_t stored = 0;
	size_t replies = 0;

	for (size_t i = 0; i < count; i++) {
		write_letter(&letters[i], rows, i, limit);
		struct leat_outgoing message = {
			.subject = leat_pg_text(rows, i, SUBJECT),
			.headers = leat_buf_text(&letters[i].headers),
			.data = letters[i].body,
			.data_bytes = letters[i].body_bytes,
			.id = leat_pg_text(rows, i, ID),
		};
		bool reply = is_reply(message.subject);
		if (reply)
			message.kind = leat_bus_publish(bus, message.subject, message.headers, message.data, message.data_bytes, &message.err);
		size_t at = reply ? count - ++replies : stored++;
		messages[at] = message;
		row_of[at] = i;
	}
	if (stored > 0 && leat_bus_store(bus, messages, stored) != LEAT_OK)
		leat_log(LEAT_LOG_DEBUG, "relay", "not all of %zu outbox rows are out", stored);
	flush_replies(bus, messages + stored, replies);
	bool waiting = false;
	for (size_t i = 0; i < count; i++)
		note(bus, &messages[i], leat_pg_int8(rows, row_of[i], SEQ), sent, refused, &waiting, err);

	for (size_t i = 0; i < count; i++)
		leat_buf_free(&letters[i].headers);
	free(letters);
	free(messages);
	free(row_of);
	return waiting ? LEAT_TEMPORARY : LEAT_OK;
}
