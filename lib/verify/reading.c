/* Taking JSON values apart. Nothing here can fail. */
#include "reading.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

size_t verify_items(const struct leat_json *array)
{
	size_t count = 0;
	struct leat_json_walk walk = leat_json_walk(array);
	for (struct leat_json key, value; leat_json_next(&walk, &key, &value);)
		count++;
	return count;
}

struct leat_json verify_item(const struct leat_json *array, size_t place)
{
	struct leat_json_walk walk = leat_json_walk(array);
	for (struct leat_json key, value; leat_json_next(&walk, &key, &value);)
		if (place-- == 0)
			return value;
	return (struct leat_json){0};
}

char *verify_copy_text(const struct leat_json *value)
{
	if (value->type == LEAT_JSON_NONE || value->type == LEAT_JSON_NULL)
		return NULL;
	LEAT_BUF_SCOPED scratch = LEAT_BUF_INIT;
	struct leat_text text = value->type == LEAT_JSON_STRING ? leat_json_text(value, &scratch) : value->source;
	LEAT_BUF_SCOPED out = LEAT_BUF_INIT;
	leat_buf_add(&out, text.at, text.bytes);
	return leat_buf_take(&out);
}

char *verify_copy_source(const struct leat_json *value)
{
	if (value->type == LEAT_JSON_NONE)
		return NULL;
	LEAT_BUF_SCOPED out = LEAT_BUF_INIT;
	leat_buf_add(&out, value->source.at, value->source.bytes);
	return leat_buf_take(&out);
}

int64_t verify_number(const struct leat_json *value, int64_t otherwise)
{
	if (value->type != LEAT_JSON_NUMBER || value->source.bytes > 18)
		return otherwise;
	char digits[20];
	char *end;
	memcpy(digits, value->source.at, value->source.bytes);
	digits[value->source.bytes] = '\0';
	int64_t number = strtoll(digits, &end, 10);
	return *end == '\0' ? number : otherwise;
}

void verify_add_string(struct leat_buf *out, const char *text)
{
	leat_buf_add_text(out, "\"");
	for (const char *at = text; *at != '\0'; at++) {
		if (*at == '"' || *at == '\\')
			leat_buf_printf(out, "\\%c", *at);
		else if ((unsigned char)*at < ' ')
			leat_buf_printf(out, "\\u%04x", (unsigned)(unsigned char)*at);
		else
			leat_buf_add(out, at, 1);
	}
	leat_buf_add_text(out, "\"");
}

void verify_print_time(int64_t at_us, struct leat_buf *out)
{
	if (at_us == VERIFY_NEVER) {
		leat_buf_add_text(out, "null");
		return;
	}
	int64_t micros = ((at_us % 1000000) + 1000000) % 1000000;
	time_t seconds = (time_t)((at_us - micros) / 1000000);
	struct tm date;
	char text[64];
	const struct tm *known = gmtime_r(&seconds, &date);
	assert(known != NULL);
	size_t bytes = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &date);
	assert(bytes > 0);
	leat_buf_printf(out, "\"%s.%06" PRId64 "Z\"", text, micros);
}

char *verify_copy_uuid(const struct leat_json *value)
{
	struct leat_uuid uuid;
	char *text = verify_copy_text(value);
	if (text != NULL && leat_uuid_parse(&uuid, text, strlen(text)))
		leat_uuid_format(&uuid, text);
	return text;
}
