/*
 * JSON by what it means: two texts that Postgres takes for the same jsonb have one canonical text.
 *
 * Members in order of their names, strings by their bytes with their length before them, numbers as digits and an exponent without zeros at
 * either end, so that 1.0, 1.00 and 10e-1 are one, and nothing is ever rounded. The text is for comparing and hashing only; it is no JSON.
 * Works on checked JSON, where nothing can fail. Recursion is as deep as the value.
 */
#include "verify.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct leat_json verify_json(const char *text, size_t bytes)
{
	while (bytes > 0 && strchr(" \t\r\n", *text) != NULL) {
		text++;
		bytes--;
	}
	while (bytes > 0 && strchr(" \t\r\n", text[bytes - 1]) != NULL)
		bytes--;
	if (bytes == 0)
		return (struct leat_json){0};
	return (struct leat_json){leat_json_type(*text), {text, bytes}};
}

struct leat_json verify_json_member(const struct leat_json *object, const char *name)
{
	if (object->type != LEAT_JSON_OBJECT)
		return (struct leat_json){0};
	LEAT_BUF_SCOPED scratch = LEAT_BUF_INIT;
	struct leat_json_walk walk = leat_json_walk(object);
	struct leat_json key;
	struct leat_json value;
	while (leat_json_next(&walk, &key, &value)) {
		struct leat_text text = leat_json_text(&key, &scratch);
		if (text.bytes == strlen(name) && memcmp(text.at, name, text.bytes) == 0)
			return value;
	}
	return (struct leat_json){0};
}

static void add_value(struct leat_buf *out, const struct leat_json *value);

static void add_string(struct leat_buf *out, const struct leat_json *string)
{
	LEAT_BUF_SCOPED scratch = LEAT_BUF_INIT;
	struct leat_text text = leat_json_text(string, &scratch);
	leat_buf_printf(out, "\"%zu:", text.bytes);
	leat_buf_add(out, text.at, text.bytes);
}

/* 0.00120e3 is the digits 12 and the exponent 1 of its last digit's place: "12e-1" of 1.2. */
static void add_number(struct leat_buf *out, struct leat_text number)
{
	LEAT_BUF_SCOPED digits = LEAT_BUF_INIT;
	int64_t exponent = 0;
	bool fraction = false;
	const char *end = number.at + number.bytes;
	for (const char *at = number.at; at < end; at++) {
		if (*at == '.') {
			fraction = true;
		} else if (*at == 'e' || *at == 'E') {
			exponent += strtoll(at + 1, NULL, 10);
			break;
		} else if (*at >= '0' && *at <= '9') {
			exponent -= fraction;
			if (digits.len > 0 || *at != '0')
				leat_buf_add(&digits, at, 1);
		}
	}
	for (; digits.len > 0 && digits.data[digits.len - 1] == '0'; digits.len--)
		exponent++;
	if (digits.len == 0) {
		leat_buf_add_text(out, "0");
		return;
	}
	leat_buf_add_text(out, *number.at == '-' ? "-" : "");
	leat_buf_add(out, digits.data, digits.len);
	leat_buf_printf(out, "e%" PRId64, exponent);
}

static void add_array(struct leat_buf *out, const struct leat_json *array)
{
	struct leat_json_walk walk = leat_json_walk(array);
	struct leat_json name;
	struct leat_json value;
	leat_buf_add_text(out, "[");
	while (leat_json_next(&walk, &name, &value)) {
		add_value(out, &value);
		leat_buf_add_text(out, ",");
	}
	leat_buf_add_text(out, "]");
}

struct member {
	struct leat_buf name;
	struct leat_json value;
};

static int compare_members(const void *a, const void *b)
{
	const struct member *left = a;
	const struct member *right = b;
	size_t common = left->name.len < right->name.len ? left->name.len : right->name.len;
	int order = memcmp(leat_buf_text(&left->name), leat_buf_text(&right->name), common);
	return order != 0 ? order : (left->name.len > right->name.len) - (left->name.len < right->name.len);
}

static void add_object(struct leat_buf *out, const struct leat_json *object)
{
	struct member *members = NULL;
	size_t count = 0;
	size_t room = 0;
	struct leat_json_walk walk = leat_json_walk(object);
	struct leat_json name;
	struct leat_json value;
	while (leat_json_next(&walk, &name, &value)) {
		if (count == room)
			members = leat_realloc(members, (room = room * 2 + 8) * sizeof *members);
		members[count] = (struct member){.value = value};
		add_string(&members[count++].name, &name);
	}
	if (count > 1)
		qsort(members, count, sizeof *members, compare_members);
	leat_buf_add_text(out, "{");
	for (size_t i = 0; i < count; i++) {
		leat_buf_add(out, members[i].name.data, members[i].name.len);
		add_value(out, &members[i].value);
		leat_buf_add_text(out, ",");
		leat_buf_free(&members[i].name);
	}
	leat_buf_add_text(out, "}");
	free(members);
}

static void add_value(struct leat_buf *out, const struct leat_json *value)
{
	switch (value->type) {
	case LEAT_JSON_STRING:
		add_string(out, value);
		return;
	case LEAT_JSON_NUMBER:
		add_number(out, value->source);
		return;
	case LEAT_JSON_ARRAY:
		add_array(out, value);
		return;
	case LEAT_JSON_OBJECT:
		add_object(out, value);
		return;
	case LEAT_JSON_NULL:
	case LEAT_JSON_BOOL:
		leat_buf_add(out, value->source.at, 1);
		return;
	case LEAT_JSON_NONE:
		break;
	}
	abort();
}

void verify_json_canonical(struct leat_buf *out, const char *json, size_t bytes)
{
	struct leat_json value = verify_json(json, bytes);
	assert(value.type != LEAT_JSON_NONE);
	add_value(out, &value);
}

bool verify_json_equal(const char *a, size_t a_bytes, const char *b, size_t b_bytes)
{
	if (a_bytes == b_bytes && memcmp(a, b, a_bytes) == 0)
		return true;
	LEAT_BUF_SCOPED left = LEAT_BUF_INIT;
	LEAT_BUF_SCOPED right = LEAT_BUF_INIT;
	verify_json_canonical(&left, a, a_bytes);
	verify_json_canonical(&right, b, b_bytes);
	return left.len == right.len && memcmp(left.data, right.data, left.len) == 0;
}

void verify_json_hash(char out[LEAT_UUID_TEXT_BYTES], const char *json, size_t bytes)
{
	static const struct leat_uuid space = {{0}};
	LEAT_BUF_SCOPED text = LEAT_BUF_INIT;
	struct leat_uuid hash;
	verify_json_canonical(&text, json, bytes);
	leat_uuid_from_name(&hash, &space, text.data, text.len);
	leat_uuid_format(&hash, out);
}
