/*
 * A growing byte buffer.
 *
 * Invariants: `data` is NULL only while `cap` is 0; otherwise data[len] is '\0', so that text can be used as a C string.
 * Zero-initialise or LEAT_BUF_INIT; leat_buf_free() puts it back there. Out of memory aborts. One thread at a time.
 */
#ifndef LEAT_BUF_H
#define LEAT_BUF_H

#include <stddef.h>

struct leat_buf {
	char *data;
	size_t len;
	size_t cap;
};

#define LEAT_BUF_INIT                                                                                                                      \
	{                                                                                                                                      \
		0                                                                                                                                  \
	}
#define LEAT_BUF_SCOPED __attribute__((cleanup(leat_buf_free))) struct leat_buf

void leat_buf_add(struct leat_buf *buf, const void *bytes, size_t count);
void leat_buf_add_text(struct leat_buf *buf, const char *text);
void leat_buf_printf(struct leat_buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Empties it and keeps the memory. */
void leat_buf_clear(struct leat_buf *buf);
void leat_buf_free(struct leat_buf *buf);
/* The bytes, with a '\0' behind them, are the caller's to free(); the buffer is empty after. Never NULL. */
char *leat_buf_take(struct leat_buf *buf);
/* The text so far as a C string; "" when nothing was added. Borrowed until the next change. */
const char *leat_buf_text(const struct leat_buf *buf);

/* malloc family that aborts instead of returning NULL. */
void *leat_alloc(size_t bytes) __attribute__((malloc, returns_nonnull));
void *leat_alloc_zero(size_t count, size_t bytes) __attribute__((malloc, returns_nonnull));
void *leat_realloc(void *old, size_t bytes) __attribute__((returns_nonnull));
char *leat_strdup(const char *text) __attribute__((malloc, returns_nonnull, nonnull));

#endif
