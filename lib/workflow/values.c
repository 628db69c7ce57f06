/* One reader for each type of value: is it of that type and within its range. Fails with `expected …, found …`. */
#include "reading.h"

#include "leat/uuid.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ENTITY_TYPE_BYTES 64

typedef enum leat_kind reader(struct leat_node_reading *reading, const struct leat_node_param *param, const struct leat_json *value);

/* Of "a or a reference" and "a, or a reference": "a", where no reference can stand any more. */
static int bytes_to_say(const struct leat_node_reading *reading, const char *expected)
{
	const char *end = reading->replaced ? strstr(expected, " or a reference") : NULL;
	if (end == NULL)
		return (int)strlen(expected);
	return (int)(end - expected) - (end[-1] == ',');
}

enum leat_kind leat_node_expected(struct leat_node_reading *reading, const char *expected, const struct leat_json *value)
{
	return LEAT_REFUSE(reading->err, "expected %.*s, found %s", bytes_to_say(reading, expected), expected, leat_json_describe(value).text);
}

static enum leat_kind read_any(struct leat_node_reading *reading, const struct leat_node_param *param, const struct leat_json *value)
{
	(void)reading;
	(void)param;
	(void)value;
	return LEAT_OK;
}

static enum leat_kind read_object(struct leat_node_reading *reading, const struct leat_node_param *param, const struct leat_json *value)
{
	(void)param;
	return value->type == LEAT_JSON_OBJECT ? LEAT_OK : leat_node_expected(reading, "an object or a reference", value);
}

static enum leat_kind read_array(struct leat_node_reading *reading, const struct leat_node_param *param, const struct leat_json *value)
{
	if (value->type != LEAT_JSON_ARRAY)
		return leat_node_expected(reading, "an array or a reference", value);
	int64_t count = 0;
	struct leat_json_walk walk = leat_json_walk(value);
	for (struct leat_json name, item; leat_json_next(&walk, &name, &item);)
		count++;
	if (count < param->lowest || count > param->highest)
		return LEAT_REFUSE(reading->err, "expected %" PRId64 " to %" PRId64 " items, found %" PRId64, param->lowest, param->highest, count);
	return LEAT_OK;
}

static enum leat_kind read_text(struct leat_node_reading *reading, const struct leat_node_param *param, const struct leat_json *value)
{
	if (value->type == LEAT_JSON_STRING) {
		struct leat_text text = leat_json_text(value, &reading->scratch);
		int64_t bytes = (int64_t)text.bytes;
		if (bytes >= param->lowest && bytes <= param->highest && leat_text_is_printable(text))
			return LEAT_OK;
	}
	char expected[80];
	snprintf(
		expected, sizeof expected, "a text of %" PRId64 " to %" PRId64 " bytes without control characters", param->lowest, param->highest);
	return leat_node_expected(reading, expected, value);
}

static bool is_choice(const char *choices, struct leat_text text)
{
	for (const char *at = choices; *at != '\0';) {
		size_t bytes = strcspn(at, "|");
		if (bytes == text.bytes && memcmp(at, text.at, bytes) == 0)
			return true;
		at += bytes + (at[bytes] == '|');
	}
	return false;
}

static enum leat_kind read_choice(struct leat_node_reading *reading, const struct leat_node_param *param, const struct leat_json *value)
{
	if (value->type == LEAT_JSON_STRING && is_choice(param->choices, leat_json_text(value, &reading->scratch)))
		return LEAT_OK;
	char expected[80];
	snprintf(expected, sizeof expected, "one of %s", param->choices);
	return leat_node_expected(reading, expected, value);
}

/* Digits only: 1.0 and 1e0 are the same number, but not how one writes a count. */
static bool parse_whole(struct leat_text digits, int64_t *out)
{
	*out = 0;
	for (size_t i = 0; i < digits.bytes; i++) {
		if (digits.at[i] < '0' || digits.at[i] > '9' || i == 18)
			return false;
		*out = *out * 10 + (digits.at[i] - '0');
	}
	return true;
}

static enum leat_kind read_number(struct leat_node_reading *reading, const struct leat_node_param *param, const struct leat_json *value)
{
	int64_t number;
	if (value->type == LEAT_JSON_NUMBER && parse_whole(value->source, &number) && number >= param->lowest && number <= param->highest)
		return LEAT_OK;
	char expected[80];
	snprintf(expected, sizeof expected, "a whole number from %" PRId64 " to %" PRId64, param->lowest, param->highest);
	return leat_node_expected(reading, expected, value);
}

static enum leat_kind read_url(struct leat_node_reading *reading, const struct leat_node_param *param, const struct leat_json *value)
{
	(void)param;
	return leat_node_read_url(reading, value);
}

static enum leat_kind read_headers(struct leat_node_reading *reading, const struct leat_node_param *param, const struct leat_json *value)
{
	(void)param;
	return leat_node_read_headers(reading, value);
}

static enum leat_kind read_uuid(struct leat_node_reading *reading, const struct leat_node_param *param, const struct leat_json *value)
{
	(void)param;
	struct leat_uuid uuid;
	if (value->type == LEAT_JSON_STRING) {
		struct leat_text text = leat_json_text(value, &reading->scratch);
		if (leat_uuid_parse(&uuid, text.at, text.bytes))
			return LEAT_OK;
	}
	return leat_node_expected(reading, "a UUID as text, or a reference", value);
}

/* ---- of a merge: what the entity.merge that it becomes must be ---- */

static enum leat_kind read_entity_type(
	struct leat_node_reading *reading, const struct leat_node_param *param, const struct leat_json *value)
{
	(void)param;
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789_.-";
	struct leat_text text = {0};
	if (value->type == LEAT_JSON_STRING)
		text = leat_json_text(value, &reading->scratch);
	bool good = text.bytes > 0 && text.bytes <= ENTITY_TYPE_BYTES;
	for (size_t i = 0; good && i < text.bytes; i++)
		good = memchr(letters, text.at[i], sizeof letters - 1) != NULL;
	return good ? LEAT_OK : leat_node_expected(reading, "1 to 64 of a-z 0-9 _ . -", value);
}

static enum leat_kind read_entity_key(struct leat_node_reading *reading, const struct leat_node_param *param, const struct leat_json *value)
{
	(void)param;
	size_t bytes = value->type == LEAT_JSON_STRING ? leat_json_text(value, &reading->scratch).bytes : 0;
	if (bytes == 0)
		return leat_node_expected(reading, "a text that is not empty", value);
	if (bytes > (size_t)reading->limits->max_key_bytes)
		return leat_fail(reading->err, LEAT_PERMANENT, LEAT_CODE_TOO_LARGE, "it has %zu bytes; the limit is %" PRId64 " (--max-key-bytes)",
			bytes, reading->limits->max_key_bytes);
	return LEAT_OK;
}

static enum leat_kind read_fields(struct leat_node_reading *reading, const struct leat_node_param *param, const struct leat_json *value)
{
	if (read_object(reading, param, value) != LEAT_OK)
		return LEAT_PERMANENT;
	struct leat_json_walk walk = leat_json_walk(value);
	for (struct leat_json name, member; leat_json_next(&walk, &name, &member);) {
		struct leat_text text = leat_json_text(&name, &reading->scratch);
		if (text.bytes == 0)
			return LEAT_REFUSE(reading->err, "a field name is empty");
		if (text.bytes > (size_t)reading->limits->max_field_name_bytes)
			return leat_fail(reading->err, LEAT_PERMANENT, LEAT_CODE_TOO_LARGE,
				"the field name \"%s\" has %zu bytes; the limit is %" PRId64 " (--max-field-name-bytes)", leat_excerpt(text).text,
				text.bytes, reading->limits->max_field_name_bytes);
	}
	return LEAT_OK;
}

enum leat_kind leat_node_read_value(struct leat_node_reading *reading, const struct leat_node_param *param, const struct leat_json *value)
{
	static reader *const readers[] = {
		[LEAT_VALUE_ANY] = read_any,
		[LEAT_VALUE_ARRAY] = read_array,
		[LEAT_VALUE_TEXT] = read_text,
		[LEAT_VALUE_CHOICE] = read_choice,
		[LEAT_VALUE_NUMBER] = read_number,
		[LEAT_VALUE_URL] = read_url,
		[LEAT_VALUE_HEADERS] = read_headers,
		[LEAT_VALUE_UUID] = read_uuid,
		[LEAT_VALUE_ENTITY_TYPE] = read_entity_type,
		[LEAT_VALUE_ENTITY_KEY] = read_entity_key,
		[LEAT_VALUE_FIELDS] = read_fields,
	};
	return readers[param->value](reading, param, value);
}

enum leat_kind leat_node_check_value(
	const struct leat_node_param *param, const struct leat_json *value, const struct leat_params *limits, struct leat_error *err)
{
	struct leat_node_reading reading = {.limits = limits, .err = err, .replaced = true};
	enum leat_kind kind = leat_node_read_value(&reading, param, value);
	leat_buf_free(&reading.scratch);
	return kind;
}
