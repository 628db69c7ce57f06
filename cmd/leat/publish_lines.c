/*
 * Lines as they come: whatever has arrived is published at once, so that `leat publish` can stand behind a pipe that never ends.
 *
 * Possible failure modes are: reading fails, or a line is longer than any message may be.
 */
#include "publish.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define CHUNK_BYTES 262144
#define LINE_BYTES 67108864 /* the highest value of max_body_bytes */

enum leat_kind publish_lines_read(struct publish_lines *lines, struct leat_error *err)
{
	struct leat_buf *held = &lines->held;
	char chunk[CHUNK_BYTES];
	ssize_t got;
	do
		got = read(lines->fd, chunk, sizeof chunk);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INTERNAL, "reading: %s", strerror(errno));
	if (lines->taken > 0) {
		held->len -= lines->taken;
		memmove(held->data, held->data + lines->taken, held->len);
		lines->taken = 0;
	}
	leat_buf_add(held, chunk, (size_t)got);
	lines->ended = got == 0;
	if (held->len > LINE_BYTES + CHUNK_BYTES)
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_TOO_LARGE, "line %zu: longer than %d bytes", lines->number + 1, LINE_BYTES);
	return LEAT_OK;
}

static bool is_blank(const char *text, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) {
		if (text[i] != ' ' && text[i] != '\t' && text[i] != '\r')
			return false;
	}
	return true;
}

bool publish_lines_take(struct publish_lines *lines, struct publish_line *out)
{
	while (lines->taken < lines->held.len) {
		const char *text = lines->held.data + lines->taken;
		size_t left = lines->held.len - lines->taken;
		const char *end = memchr(text, '\n', left);
		if (end == NULL && !lines->ended)
			return false;
		size_t bytes = end != NULL ? (size_t)(end - text) : left;
		lines->taken += bytes + (end != NULL);
		lines->number++;
		*out = (struct publish_line){lines->number, text, bytes};
		if (!is_blank(text, bytes))
			return true;
	}
	return false;
}

bool publish_lines_several(const struct publish_lines *lines)
{
	struct publish_lines ahead = *lines;
	struct publish_line line;
	bool first = publish_lines_take(&ahead, &line);
	return first && publish_lines_take(&ahead, &line);
}
