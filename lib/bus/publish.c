/*
 * Publishing one message. Everything that would make the server close the connection is refused here: it takes no message over its
 * limit, counted with headers (nats.c counts the body only), and no subject that breaks the protocol line.
 *
 * Of a header block, lines whose name no NATS client can read are left out; values go as they are (nats.c sends a line break in one as
 * a blank). The values of one name keep their order; the order of different names is the library's.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#define HEADERS_FRAME_BYTES 12 /* "NATS/1.0\r\n" and the empty line */
#define HEADER_FRAME_BYTES 4   /* ": " and "\r\n" */

static void message_free(natsMsg **message)
{
	natsMsg_Destroy(*message);
}

static bool name_valid(const char *name, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) {
		if (name[i] <= ' ' || name[i] >= 0x7F)
			return false;
	}
	return bytes > 0;
}

/* Counts into *wire_bytes what the headers take: nothing when there are none. */
static natsStatus add_header(natsMsg *message, const char *name, const char *value, size_t *wire_bytes)
{
	*wire_bytes += (*wire_bytes == 0 ? HEADERS_FRAME_BYTES : 0) + strlen(name) + strlen(value) + HEADER_FRAME_BYTES;
	return natsMsgHeader_Add(message, name, value);
}

/* Cuts `line` in place. */
static natsStatus add_line(natsMsg *message, char *line, size_t *wire_bytes)
{
	size_t name_bytes = strcspn(line, ":");
	if (line[name_bytes] == '\0' || !name_valid(line, name_bytes))
		return NATS_OK;
	line[name_bytes] = '\0';
	char *value = line + name_bytes + 1;
	value += strspn(value, " \t");
	return add_header(message, line, value, wire_bytes);
}

static natsStatus add_headers(natsMsg *message, const char *headers, size_t *wire_bytes)
{
	natsStatus s = NATS_OK;
	char *copy = leat_strdup(headers);
	for (char *line = copy; *line != '\0' && s == NATS_OK;) {
		char *end = strstr(line, "\r\n");
		char *next = end != NULL ? end + 2 : line + strlen(line);
		if (end != NULL)
			*end = '\0';
		s = add_line(message, line, wire_bytes);
		line = next;
	}
	free(copy);
	return s;
}

static enum leat_kind check_size(const struct bus_link *link, size_t bytes, struct leat_error *err)
{
	size_t limit = (size_t)natsConnection_GetMaxPayload(link->nats);
	if (bytes <= limit)
		return LEAT_OK;
	return leat_fail(
		err, LEAT_PERMANENT, LEAT_CODE_TOO_LARGE, "message has %zu bytes with its headers, nats-server takes %zu", bytes, limit);
}

static natsStatus fill(natsMsg *message, const struct leat_outgoing *from, size_t *headers_bytes)
{
	natsStatus s = NATS_OK;
	if (from->headers != NULL && *from->headers != '\0')
		s = add_headers(message, from->headers, headers_bytes);
	if (s == NATS_OK && from->id != NULL)
		s = add_header(message, "Nats-Msg-Id", from->id, headers_bytes);
	return s;
}

enum leat_kind bus_publish(
	struct bus_link *link, const struct leat_outgoing *from, const char *reply, struct bus_trash *trash, struct leat_error *err)
{
	if (!bus_subject_valid(from->subject, false))
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INTERNAL, "'%.100s' is not a subject that one can publish to", from->subject);
	if (check_size(link, from->data_bytes, err) != LEAT_OK)
		return err->kind;
	natsStatus s;
	if (reply == NULL && from->id == NULL && (from->headers == NULL || *from->headers == '\0')) {
		s = natsConnection_Publish(link->nats, from->subject, from->data, (int)from->data_bytes);
		return s == NATS_OK ? LEAT_OK : bus_fail(err, s, "publishing to %.100s", from->subject);
	}
	__attribute__((cleanup(message_free))) natsMsg *message = NULL;
	size_t headers_bytes = 0;
	s = natsMsg_Create(&message, from->subject, reply, from->data, (int)from->data_bytes);
	if (s == NATS_OK)
		s = fill(message, from, &headers_bytes);
	if (s == NATS_OK && check_size(link, headers_bytes + from->data_bytes, err) != LEAT_OK)
		return err->kind;
	if (s == NATS_OK)
		s = natsConnection_PublishMsg(link->nats, message);
	if (trash != NULL && message != NULL) {
		bus_trash_add(trash, message);
		message = NULL;
	}
	return s == NATS_OK ? LEAT_OK : bus_fail(err, s, "publishing to %.100s", from->subject);
}

enum leat_kind leat_bus_publish(
	struct leat_bus *bus, const char *subject, const char *headers, const void *data, size_t data_bytes, struct leat_error *err)
{
	const struct leat_outgoing message = {.subject = subject, .headers = headers, .data = data, .data_bytes = data_bytes};
	return bus_publish(&bus->prompt, &message, NULL, NULL, err);
}
