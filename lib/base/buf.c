#include "leat/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define USUAL_TEXT 250

static void *or_abort(void *memory)
{
	if (memory == NULL)
		abort();
	return memory;
}

void *leat_alloc(size_t bytes)
{
	return or_abort(malloc(bytes > 0 ? bytes : 1));
}

void *leat_alloc_zero(size_t count, size_t bytes)
{
	return or_abort(calloc(count > 0 ? count : 1, bytes > 0 ? bytes : 1));
}

void *leat_realloc(void *old, size_t bytes)
{
	return or_abort(realloc(old, bytes > 0 ? bytes : 1));
}

char *leat_strdup(const char *text)
{
	return or_abort(strdup(text));
}

static void reserve(struct leat_buf *buf, size_t more)
{
	size_t need = buf->len + more + 1;
	if (need <= buf->cap)
		return;
	size_t cap = buf->cap < 64 ? 64 : buf->cap * 2;
	buf->cap = cap < need ? need : cap;
	buf->data = leat_realloc(buf->data, buf->cap);
}

void leat_buf_add(struct leat_buf *buf, const void *bytes, size_t count)
{
	reserve(buf, count);
	if (count > 0)
		memcpy(buf->data + buf->len, bytes, count);
	buf->len += count;
	buf->data[buf->len] = '\0';
}

void leat_buf_add_text(struct leat_buf *buf, const char *text)
{
	leat_buf_add(buf, text, strlen(text));
}

/* Into the room that there is; only what is longer is written twice. (Asking vsnprintf for the length alone costs as much as writing.) */
void leat_buf_printf(struct leat_buf *buf, const char *format, ...)
{
	reserve(buf, USUAL_TEXT);
	va_list args;
	va_start(args, format);
	va_list again;
	va_copy(again, args);
	size_t room = buf->cap - buf->len;
	int length = vsnprintf(buf->data + buf->len, room, format, args);
	va_end(args);
	if (length < 0)
		abort();
	if ((size_t)length >= room) {
		reserve(buf, (size_t)length);
		vsnprintf(buf->data + buf->len, (size_t)length + 1, format, again);
	}
	va_end(again);
	buf->len += (size_t)length;
}

void leat_buf_clear(struct leat_buf *buf)
{
	buf->len = 0;
	if (buf->data != NULL)
		buf->data[0] = '\0';
}

void leat_buf_free(struct leat_buf *buf)
{
	free(buf->data);
	*buf = (struct leat_buf){0};
}

char *leat_buf_take(struct leat_buf *buf)
{
	reserve(buf, 0);
	char *data = buf->data;
	data[buf->len] = '\0';
	*buf = (struct leat_buf){0};
	return data;
}

const char *leat_buf_text(const struct leat_buf *buf)
{
	return buf->data != NULL ? buf->data : "";
}
