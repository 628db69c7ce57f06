/* Walking JSON that leat_json_check has let through: every string ends, every bracket closes, so nothing here can fail. */
#include "leat/json.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static bool is_space(char byte)
{
	return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

static const char *skip_space(const char *at)
{
	while (is_space(*at))
		at++;
	return at;
}

/* Whether a backslash that is none itself stands in front. */
static bool is_escaped(const char *quote)
{
	const char *at = quote;
	while (at[-1] == '\\')
		at--;
	return (quote - at) % 2 == 1;
}

/* Past the closing quote of the string that opens at `at`. Quote by quote: most strings have but that one. */
static const char *skip_string(const char *at)
{
	do
		at = strchr(at + 1, '"');
	while (is_escaped(at));
	return at + 1;
}

static const char *skip_container(const char *at)
{
	size_t open = 0;
	do {
		if (*at == '"') {
			at = skip_string(at);
			continue;
		}
		if (*at == '{' || *at == '[')
			open++;
		else if (*at == '}' || *at == ']')
			open--;
		at++;
	} while (open > 0);
	return at;
}

/* Numbers and literals inside a container: up to what ends them there. */
static const char *skip_word(const char *at)
{
	while (*at != ',' && *at != '}' && *at != ']' && !is_space(*at))
		at++;
	return at;
}

enum leat_json_type leat_json_type(char first)
{
	switch (first) {
	case '{':
		return LEAT_JSON_OBJECT;
	case '[':
		return LEAT_JSON_ARRAY;
	case '"':
		return LEAT_JSON_STRING;
	case 't':
	case 'f':
		return LEAT_JSON_BOOL;
	case 'n':
		return LEAT_JSON_NULL;
	default:
		return first == '-' || (first >= '0' && first <= '9') ? LEAT_JSON_NUMBER : LEAT_JSON_NONE;
	}
}

static struct leat_json value_at(const char *at)
{
	enum leat_json_type type = leat_json_type(*at);
	assert(type != LEAT_JSON_NONE);
	bool container = type == LEAT_JSON_OBJECT || type == LEAT_JSON_ARRAY;
	const char *end = container ? skip_container(at) : type == LEAT_JSON_STRING ? skip_string(at) : skip_word(at);
	return (struct leat_json){type, {at, (size_t)(end - at)}};
}

struct leat_json_walk leat_json_walk(const struct leat_json *container)
{
	assert(container->type == LEAT_JSON_OBJECT || container->type == LEAT_JSON_ARRAY);
	const char *open = container->source.at;
	const char *first = skip_space(open + 1);
	bool empty = first == open + container->source.bytes - 1;
	return (struct leat_json_walk){empty ? first : open};
}

/* walk->at is the byte in front of the next value (the opening bracket or a comma), or the closing bracket. */
bool leat_json_next(struct leat_json_walk *walk, struct leat_json *name, struct leat_json *value)
{
	if (*walk->at == '}' || *walk->at == ']')
		return false;
	*name = (struct leat_json){0};
	*value = value_at(skip_space(walk->at + 1));
	walk->at = skip_space(value->source.at + value->source.bytes);
	if (*walk->at == ':') {
		*name = *value;
		*value = value_at(skip_space(walk->at + 1));
		walk->at = skip_space(value->source.at + value->source.bytes);
	}
	return true;
}

int32_t leat_json_hex4(const char *at, const char *end)
{
	int32_t value = 0;
	if (end - at < 4)
		return -1;
	for (const char *digit = at; digit < at + 4; digit++) {
		if (*digit >= '0' && *digit <= '9')
			value = value * 16 + (*digit - '0');
		else if ((*digit | 0x20) >= 'a' && (*digit | 0x20) <= 'f')
			value = value * 16 + ((*digit | 0x20) - 'a' + 10);
		else
			return -1;
	}
	return value;
}

static void add_character(struct leat_buf *out, uint32_t character)
{
	unsigned char bytes[4];
	size_t length = character < 0x80 ? 1 : character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
	static const unsigned char lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
	for (size_t i = length - 1; i > 0; i--) {
		bytes[i] = (unsigned char)(0x80 | (character & 0x3F));
		character >>= 6;
	}
	bytes[0] = (unsigned char)(lead[length] | character);
	leat_buf_add(out, bytes, length);
}

/* Adds what the escape at `at` (on the backslash) means; returns what lies behind it. */
static const char *add_escape(struct leat_buf *out, const char *at, const char *end)
{
	static const char letters[] = "bfnrt";
	static const char meanings[] = "\b\f\n\r\t";
	const char *letter = strchr(letters, at[1]);
	if (letter != NULL) {
		leat_buf_add(out, meanings + (letter - letters), 1);
		return at + 2;
	}
	if (at[1] != 'u') {
		leat_buf_add(out, at + 1, 1);
		return at + 2;
	}
	uint32_t character = (uint32_t)leat_json_hex4(at + 2, end);
	if (character < 0xD800 || character > 0xDFFF) {
		add_character(out, character);
		return at + 6;
	}
	uint32_t low = (uint32_t)leat_json_hex4(at + 8, end);
	add_character(out, 0x10000 + ((character - 0xD800) << 10) + (low - 0xDC00));
	return at + 12;
}

struct leat_text leat_json_text(const struct leat_json *string, struct leat_buf *scratch)
{
	assert(string->type == LEAT_JSON_STRING);
	struct leat_text inner = {string->source.at + 1, string->source.bytes - 2};
	if (memchr(inner.at, '\\', inner.bytes) == NULL)
		return inner;
	leat_buf_clear(scratch);
	const char *end = inner.at + inner.bytes;
	for (const char *at = inner.at; at < end;) {
		const char *escape = memchr(at, '\\', (size_t)(end - at));
		const char *plain_end = escape != NULL ? escape : end;
		leat_buf_add(scratch, at, (size_t)(plain_end - at));
		at = escape != NULL ? add_escape(scratch, escape, end) : end;
	}
	return (struct leat_text){leat_buf_text(scratch), scratch->len};
}

struct leat_excerpt leat_json_describe(const struct leat_json *value)
{
	static const char *const names[] = {
		[LEAT_JSON_NULL] = "null",
		[LEAT_JSON_ARRAY] = "an array",
		[LEAT_JSON_OBJECT] = "an object",
		[LEAT_JSON_NUMBER] = "the number ",
		[LEAT_JSON_STRING] = "the text ",
		[LEAT_JSON_BOOL] = "",
	};
	assert(value->type != LEAT_JSON_NONE);
	struct leat_excerpt out;
	LEAT_BUF_SCOPED text = LEAT_BUF_INIT;
	leat_buf_add_text(&text, names[value->type]);
	if (value->type == LEAT_JSON_NUMBER || value->type == LEAT_JSON_STRING || value->type == LEAT_JSON_BOOL)
		leat_buf_add(&text, value->source.at, value->source.bytes < sizeof out.text ? value->source.bytes : sizeof out.text);
	out = leat_excerpt((struct leat_text){leat_buf_text(&text), text.len});
	return out;
}
