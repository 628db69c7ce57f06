/* Values as people read them, in a terminal that does nothing but show them. */
#ifndef LEAT_SHOW_H
#define LEAT_SHOW_H

#include "leat/buf.h"

#include <stddef.h>
#include <stdint.h>

/*
 * Appends text from anywhere. Control characters, and those that hide or reorder others, become escapes (\n, \x1b, \u202e); so do bytes
 * that are not UTF-8, and the backslash stays one. Everything else stays as it is.
 */
void show_text(struct leat_buf *out, const char *text, size_t bytes);
/* The same, but line breaks and tabs stay. */
void show_lines(struct leat_buf *out, const char *text, size_t bytes);
/* JSON that leat_json_check let through, indented; every name, text and number as it was sent, but for escapes as above. */
struct leat_json;
void show_json(struct leat_buf *out, const struct leat_json *json);
/* Bytes that are no text: offset, sixteen bytes in hexadecimal, and what of them is ASCII, on each line. */
void show_bytes(struct leat_buf *out, const char *bytes, size_t count);

/* Columns that UTF-8 text takes in a terminal, as far as one character takes one. */
size_t show_width(const char *text);

#define SHOW_BYTES 32
/* 2026-11-21T21:40:10Z; "-" for 0. */
void show_time(char out[SHOW_BYTES], int64_t unix_ns);
/* "850 ms", "12 s", "3 min", "5 h", "8 days" */
void show_duration(char out[SHOW_BYTES], int64_t ms);
/* "912 B", "1.5 MiB" */
void show_size(char out[SHOW_BYTES], uint64_t bytes);

#endif
