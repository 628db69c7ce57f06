/*
 * Received messages and their headers.
 *
 * A message is copied into one block of our own, [subject][reply][headers][data]. Headers are read
 * from their wire form and never through natsMsgHeader_*: in 3.4.1 an empty value swallows the next line, one malformed line makes all
 * headers unreadable, and order is lost. The library has no call for the wire form; it lies in the message between reply and data, and
 * take_headers() asserts that it does. For messages without a body nats.c has by then split the lines in place: a '\0' stands where
 * ':' was, and another ends the value. So here a name ends at ':' or '\0', a value at '\0' or the line's end, a line at "\r\n" or "\0\n".
 */
#include "internal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADERS_START "NATS/1.0"

struct block {
	char *headers; /* from "NATS/1.0" on; NULL for none */
	size_t headers_bytes;
	char bytes[];
};

void bus_message_make(struct leat_msg *out, const char *subject, const char *reply, const char *headers, size_t headers_bytes,
	const char *data, size_t data_bytes)
{
	size_t subject_bytes = strlen(subject) + 1;
	size_t reply_bytes = strlen(reply) + 1;
	struct block *block = leat_alloc(sizeof *block + subject_bytes + reply_bytes + headers_bytes + 1 + data_bytes + 1);
	char *at = block->bytes;
	*out = (struct leat_msg){.subject = at, .handle = block, .data_bytes = data_bytes};
	memcpy(at, subject, subject_bytes);
	at += subject_bytes;
	out->reply = at;
	memcpy(at, reply, reply_bytes);
	at += reply_bytes;
	block->headers = headers_bytes > 0 ? at : NULL;
	block->headers_bytes = headers_bytes;
	if (headers_bytes > 0)
		memcpy(at, headers, headers_bytes);
	at[headers_bytes] = '\0';
	at += headers_bytes + 1;
	out->data = at;
	if (data_bytes > 0)
		memcpy(at, data, data_bytes);
	at[data_bytes] = '\0';
}

static const char *take_headers(const natsMsg *message, size_t *bytes)
{
	const char *before = natsMsg_GetReply(message) != NULL ? natsMsg_GetReply(message) : natsMsg_GetSubject(message);
	const char *headers = before + strlen(before) + 1;
	const char *data = natsMsg_GetData(message);
	assert(data >= headers);
	*bytes = 0;
	if (data == headers)
		return NULL;
	*bytes = (size_t)(data - headers) - 1;
	assert(*bytes >= strlen(HEADERS_START) && memcmp(headers, HEADERS_START, strlen(HEADERS_START)) == 0);
	return headers;
}

void bus_message_copy(struct leat_msg *out, const natsMsg *message)
{
	size_t headers_bytes;
	const char *headers = take_headers(message, &headers_bytes);
	const char *reply = natsMsg_GetReply(message);
	bus_message_make(out, natsMsg_GetSubject(message), reply != NULL ? reply : "", headers, headers_bytes, natsMsg_GetData(message),
		(size_t)natsMsg_GetDataLength(message));
	bus_delivery_read(out);
}

void leat_msg_free(struct leat_msg *msg)
{
	free(msg->handle);
	*msg = (struct leat_msg){0};
}

/* ---- reading headers ---- */

struct header {
	const char *name;
	size_t name_bytes;
	char *value;
	size_t value_bytes;
};

static bool is_blank(char byte)
{
	return byte == ' ' || byte == '\t';
}

/* At the '\r' or '\0' before the next '\n', or at `end`. */
static char *find_line_end(char *line, char *end)
{
	for (char *at = line; at < end; at++) {
		char *feed = memchr(at, '\n', (size_t)(end - at));
		if (feed == NULL)
			return end;
		if (feed > line && (feed[-1] == '\r' || feed[-1] == '\0'))
			return feed - 1;
		at = feed;
	}
	return end;
}

/* Takes the line at *rest; false when nothing is left. A line without a name (folded or malformed) has name_bytes 0. */
static bool take_line(struct header *out, char **rest, char *end)
{
	if (*rest >= end)
		return false;
	char *line = *rest;
	char *line_end = find_line_end(line, end);
	*rest = line_end < end ? line_end + 2 : end;

	char *name_end = line;
	while (name_end < line_end && *name_end != ':' && *name_end != '\0')
		name_end++;
	*out = (struct header){.name = line};
	if (name_end == line_end || is_blank(*line))
		return true;
	out->name_bytes = (size_t)(name_end - line);
	out->value = name_end + 1;
	while (out->value < line_end && is_blank(*out->value))
		out->value++;
	out->value_bytes = strnlen(out->value, (size_t)(line_end - out->value));
	while (out->value_bytes > 0 && is_blank(out->value[out->value_bytes - 1]))
		out->value_bytes--;
	return true;
}

/* Behind the status line; `rest` and `end` are equal when there are no headers. */
static char *first_line(const struct block *block, char **end)
{
	if (block->headers == NULL)
		return *end = NULL;
	*end = block->headers + block->headers_bytes;
	char *line_end = memchr(block->headers, '\n', block->headers_bytes);
	return line_end != NULL ? line_end + 1 : *end;
}

const char *leat_msg_header(const struct leat_msg *msg, const char *name)
{
	size_t name_bytes = strlen(name);
	char *end;
	char *rest = first_line(msg->handle, &end);
	struct header header;
	while (take_line(&header, &rest, end)) {
		if (header.name_bytes == name_bytes && memcmp(header.name, name, name_bytes) == 0) {
			header.value[header.value_bytes] = '\0'; /* over what was behind it, a blank or '\r' */
			return header.value;
		}
	}
	return NULL;
}

void leat_msg_add_headers(const struct leat_msg *msg, struct leat_buf *block)
{
	char *end;
	char *rest = first_line(msg->handle, &end);
	struct header header;
	while (take_line(&header, &rest, end)) {
		if (header.name_bytes == 0)
			continue;
		leat_buf_add(block, header.name, header.name_bytes);
		leat_buf_add_text(block, ": ");
		leat_buf_add(block, header.value, header.value_bytes);
		leat_buf_add_text(block, "\r\n");
	}
}

int bus_message_status(const struct leat_msg *msg, char *text, size_t text_bytes)
{
	const struct block *block = msg->handle;
	size_t start = strlen(HEADERS_START);
	if (block->headers == NULL || block->headers_bytes <= start || block->headers[start] != ' ')
		return 0;
	char line[128];
	snprintf(line, sizeof line, "%.*s", (int)strcspn(block->headers + start, "\r\n"), block->headers + start);
	char *behind;
	long status = strtol(line, &behind, 10);
	if (text != NULL)
		snprintf(text, text_bytes, "%s", *behind == ' ' ? behind + 1 : behind);
	return (int)status;
}
