/*
 * JSON in place: checked once from end to end, then walked where it lies. Nothing is copied and no number is ever read as one, since
 * the bytes themselves go to Postgres: a 20-digit integer must arrive as it was sent, and a tree of 512 KiB of `{},{},…` costs 40 MB.
 * Memory used is that of the names of the objects that are open at one point. Pure; any thread.
 */
#ifndef LEAT_JSON_H
#define LEAT_JSON_H

#include "leat/buf.h"
#include "leat/error.h"
#include "leat/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum leat_json_type {
	LEAT_JSON_NONE,
	LEAT_JSON_NULL,
	LEAT_JSON_BOOL,
	LEAT_JSON_NUMBER,
	LEAT_JSON_STRING,
	LEAT_JSON_ARRAY,
	LEAT_JSON_OBJECT,
};

/* One value, from its first byte to its last, quotes and brackets included. Borrowed from the body. */
struct leat_json {
	enum leat_json_type type;
	struct leat_text source;
};

/* What a value is, told by its first byte; LEAT_JSON_NONE for a byte that begins none. */
enum leat_json_type leat_json_type(char first);

/*
 * LEAT_OK: *out is the one value of the body, and Postgres takes it as jsonb without changing its meaning. PERMANENT otherwise:
 *   invalid_json     not JSON text (RFC 8259, UTF-8); this wins over what follows, wherever it stands
 *   too_large        deeper than max_nesting (the outermost value is level 1); found while reading, the rest is not looked at
 *   invalid_message  a name twice in one object, the character \u0000, a number that no Postgres numeric holds
 */
enum leat_kind leat_json_check(struct leat_json *out, const char *body, size_t body_bytes, int64_t max_nesting, struct leat_error *err)
	__attribute__((warn_unused_result));

/* The members of an object or the items of an array, in the order they were sent. Only for checked JSON. */
struct leat_json_walk {
	const char *at;
};
struct leat_json_walk leat_json_walk(const struct leat_json *container);
/* False after the last. `name` is a string, or LEAT_JSON_NONE in an array. */
bool leat_json_next(struct leat_json_walk *walk, struct leat_json *name, struct leat_json *value);

/* What a checked string says: borrowed from the body, or, when it has escapes, from `scratch` until that changes. */
struct leat_text leat_json_text(const struct leat_json *string, struct leat_buf *scratch);

/* "null", "the number 12", "the text \"abc\"", "an array": the end of "expected …, found …". */
struct leat_excerpt leat_json_describe(const struct leat_json *value);

/*
 * Steps over the number at *at. False when it breaks off the grammar, with *at on the byte that does not fit. *storable tells
 * whether a Postgres numeric holds it exactly.
 */
bool leat_json_number(const char **at, const char *end, bool *storable) __attribute__((warn_unused_result));

/* Reads four hexadecimal digits; -1 when they are not there. */
int32_t leat_json_hex4(const char *at, const char *end);

#endif
