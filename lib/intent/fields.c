/* One reader for each type of field: is the value of that type and within its limits; takes the targets. Fails naming the field. */
#include "reading.h"

#include "leat/workflow.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TYPE_BYTES 64

enum leat_kind leat_reading_mistyped(struct leat_reading *reading, const char *field, const char *expected, const struct leat_json *value)
{
	return leat_fail(reading->err, LEAT_PERMANENT, LEAT_CODE_INVALID_MESSAGE, "%s: expected %s, found %s", field, expected,
		leat_json_describe(value).text);
}

static bool parse_uuid(struct leat_reading *reading, const struct leat_json *value, struct leat_uuid *out)
{
	if (value->type != LEAT_JSON_STRING)
		return false;
	struct leat_text text = leat_json_text(value, &reading->scratch);
	return leat_uuid_parse(out, text.at, text.bytes);
}

static enum leat_kind read_uuid(struct leat_reading *reading, const struct leat_field *field, const struct leat_json *value)
{
	struct leat_uuid uuid;
	if (!parse_uuid(reading, value, &uuid))
		return leat_reading_mistyped(reading, field->name, "a UUID as text", value);
	if (field == reading->out->type->fields)
		reading->out->target = uuid;
	return LEAT_OK;
}

static size_t count_items(const struct leat_json *array)
{
	size_t count = 0;
	struct leat_json_walk walk = leat_json_walk(array);
	for (struct leat_json name, value; leat_json_next(&walk, &name, &value);)
		count++;
	return count;
}

static int compare_uuids(const void *left, const void *right)
{
	return leat_uuid_compare(left, right);
}

/* Returns how many are left when each stands there once. */
static size_t sort_uuids(struct leat_uuid *uuids, size_t count)
{
	qsort(uuids, count, sizeof *uuids, compare_uuids);
	size_t kept = 1;
	for (size_t i = 1; i < count; i++)
		if (leat_uuid_compare(&uuids[i], &uuids[kept - 1]) != 0)
			uuids[kept++] = uuids[i];
	return kept;
}

static enum leat_kind read_uuids(struct leat_reading *reading, const struct leat_field *field, const struct leat_json *value)
{
	struct leat_intent *out = reading->out;
	if (value->type != LEAT_JSON_ARRAY)
		return leat_reading_mistyped(reading, field->name, "an array of UUIDs", value);
	size_t count = count_items(value);
	if (count == 0 || count > LEAT_BULK_IDS)
		return leat_fail(reading->err, LEAT_PERMANENT, LEAT_CODE_INVALID_MESSAGE, "%s: expected 1 to %d UUIDs, found %zu", field->name,
			LEAT_BULK_IDS, count);
	out->targets = leat_alloc(count * sizeof *out->targets);
	struct leat_json_walk walk = leat_json_walk(value);
	size_t index = 0;
	for (struct leat_json name, item; leat_json_next(&walk, &name, &item); index++)
		if (!parse_uuid(reading, &item, &out->targets[index]))
			return leat_fail(reading->err, LEAT_PERMANENT, LEAT_CODE_INVALID_MESSAGE, "%s[%zu]: expected a UUID as text, found %s",
				field->name, index, leat_json_describe(&item).text);
	out->target_count = sort_uuids(out->targets, count);
	return LEAT_OK;
}

static enum leat_kind read_type(struct leat_reading *reading, const struct leat_field *field, const struct leat_json *value)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789_.-";
	static const char expected[] = "1 to 64 of a-z 0-9 _ . -";
	if (value->type != LEAT_JSON_STRING)
		return leat_reading_mistyped(reading, field->name, expected, value);
	struct leat_text text = leat_json_text(value, &reading->scratch);
	bool good = text.bytes > 0 && text.bytes <= TYPE_BYTES;
	for (size_t i = 0; good && i < text.bytes; i++)
		good = memchr(letters, text.at[i], sizeof letters - 1) != NULL;
	return good ? LEAT_OK : leat_reading_mistyped(reading, field->name, expected, value);
}

static enum leat_kind read_key(struct leat_reading *reading, const struct leat_field *field, const struct leat_json *value)
{
	if (value->type != LEAT_JSON_STRING)
		return leat_reading_mistyped(reading, field->name, "a text that is not empty", value);
	size_t bytes = leat_json_text(value, &reading->scratch).bytes;
	if (bytes == 0)
		return leat_reading_mistyped(reading, field->name, "a text that is not empty", value);
	if (bytes > (size_t)reading->limits->max_key_bytes)
		return leat_fail(reading->err, LEAT_PERMANENT, LEAT_CODE_TOO_LARGE,
			"%s: it has %zu bytes; the limit is %" PRId64 " (--max-key-bytes)", field->name, bytes, reading->limits->max_key_bytes);
	return LEAT_OK;
}

/* The name of a field of the entity: to be written or removed. */
static enum leat_kind read_name(struct leat_reading *reading, const struct leat_field *field, const struct leat_json *name)
{
	struct leat_text text = leat_json_text(name, &reading->scratch);
	reading->names++;
	if (text.bytes == 0)
		return leat_fail(reading->err, LEAT_PERMANENT, LEAT_CODE_INVALID_MESSAGE, "%s: a field name is empty", field->name);
	if (text.bytes > (size_t)reading->limits->max_field_name_bytes)
		return leat_fail(reading->err, LEAT_PERMANENT, LEAT_CODE_TOO_LARGE,
			"%s: the field name \"%s\" has %zu bytes; the limit is %" PRId64 " (--max-field-name-bytes)", field->name,
			leat_excerpt(text).text, text.bytes, reading->limits->max_field_name_bytes);
	return LEAT_OK;
}

static enum leat_kind read_object(struct leat_reading *reading, const struct leat_field *field, const struct leat_json *value)
{
	if (value->type != LEAT_JSON_OBJECT)
		return leat_reading_mistyped(reading, field->name, "an object", value);
	struct leat_json_walk walk = leat_json_walk(value);
	for (struct leat_json name, member; leat_json_next(&walk, &name, &member);)
		if (read_name(reading, field, &name) != LEAT_OK)
			return LEAT_PERMANENT;
	return LEAT_OK;
}

static enum leat_kind read_names(struct leat_reading *reading, const struct leat_field *field, const struct leat_json *value)
{
	if (value->type != LEAT_JSON_ARRAY)
		return leat_reading_mistyped(reading, field->name, "an array of field names", value);
	size_t index = 0;
	struct leat_json_walk walk = leat_json_walk(value);
	for (struct leat_json none, item; leat_json_next(&walk, &none, &item); index++) {
		if (item.type != LEAT_JSON_STRING)
			return leat_fail(reading->err, LEAT_PERMANENT, LEAT_CODE_INVALID_MESSAGE, "%s[%zu]: expected a field name, found %s",
				field->name, index, leat_json_describe(&item).text);
		if (read_name(reading, field, &item) != LEAT_OK)
			return LEAT_PERMANENT;
	}
	return LEAT_OK;
}

static enum leat_kind read_bool(struct leat_reading *reading, const struct leat_field *field, const struct leat_json *value)
{
	return value->type == LEAT_JSON_BOOL ? LEAT_OK : leat_reading_mistyped(reading, field->name, "true or false", value);
}

static enum leat_kind read_text(struct leat_reading *reading, const struct leat_field *field, const struct leat_json *value)
{
	char expected[64];
	snprintf(expected, sizeof expected, "a text of 1 to %" PRId64 " bytes without control characters", field->highest);
	if (value->type != LEAT_JSON_STRING)
		return leat_reading_mistyped(reading, field->name, expected, value);
	struct leat_text text = leat_json_text(value, &reading->scratch);
	bool good = text.bytes > 0 && text.bytes <= (size_t)field->highest && leat_text_is_printable(text);
	return good ? LEAT_OK : leat_reading_mistyped(reading, field->name, expected, value);
}

static enum leat_kind read_lines(struct leat_reading *reading, const struct leat_field *field, const struct leat_json *value)
{
	char expected[64];
	snprintf(expected, sizeof expected, "a text of 1 to %" PRId64 " bytes", field->highest);
	if (value->type != LEAT_JSON_STRING)
		return leat_reading_mistyped(reading, field->name, expected, value);
	size_t bytes = leat_json_text(value, &reading->scratch).bytes;
	bool good = bytes > 0 && bytes <= (size_t)field->highest;
	return good ? LEAT_OK : leat_reading_mistyped(reading, field->name, expected, value);
}

static enum leat_kind read_choice(struct leat_reading *reading, const struct leat_field *field, const struct leat_json *value)
{
	if (value->type == LEAT_JSON_STRING) {
		struct leat_text text = leat_json_text(value, &reading->scratch);
		for (const char *choice = field->choices; *choice != '\0';) {
			size_t bytes = strcspn(choice, "|");
			if (bytes == text.bytes && memcmp(choice, text.at, bytes) == 0)
				return LEAT_OK;
			choice += choice[bytes] == '|' ? bytes + 1 : bytes;
		}
	}
	LEAT_BUF_SCOPED expected = LEAT_BUF_INIT;
	leat_buf_printf(&expected, "one of %s", field->choices);
	return leat_reading_mistyped(reading, field->name, leat_buf_text(&expected), value);
}

/* Digits only: 1.0 and 1e0 are the same number, but not how one writes a count. */
static enum leat_kind read_number(struct leat_reading *reading, const struct leat_field *field, const struct leat_json *value)
{
	int64_t number = 0;
	size_t digits = 0;
	if (value->type == LEAT_JSON_NUMBER) {
		while (digits < value->source.bytes && digits < 18 && isdigit((unsigned char)value->source.at[digits]))
			number = number * 10 + (value->source.at[digits++] - '0');
	}
	if (digits > 0 && digits == value->source.bytes && number >= field->lowest && number <= field->highest)
		return LEAT_OK;
	char expected[80];
	snprintf(expected, sizeof expected, "a whole number from %" PRId64 " to %" PRId64, field->lowest, field->highest);
	return leat_reading_mistyped(reading, field->name, expected, value);
}

static enum leat_kind read_value(struct leat_reading *reading, const struct leat_field *field, const struct leat_json *value)
{
	(void)reading, (void)field, (void)value;
	return LEAT_OK;
}

static enum leat_kind read_definition(struct leat_reading *reading, const struct leat_field *field, const struct leat_json *value)
{
	(void)field;
	return leat_workflow_check(value, reading->limits, reading->err);
}

enum leat_kind leat_reading_field(struct leat_reading *reading, const struct leat_field *field, const struct leat_json *value)
{
	static enum leat_kind (*const readers[])(struct leat_reading *, const struct leat_field *, const struct leat_json *) = {
		[LEAT_FIELD_UUID] = read_uuid,
		[LEAT_FIELD_UUIDS] = read_uuids,
		[LEAT_FIELD_TYPE] = read_type,
		[LEAT_FIELD_KEY] = read_key,
		[LEAT_FIELD_OBJECT] = read_object,
		[LEAT_FIELD_NAMES] = read_names,
		[LEAT_FIELD_BOOL] = read_bool,
		[LEAT_FIELD_TEXT] = read_text,
		[LEAT_FIELD_LINES] = read_lines,
		[LEAT_FIELD_CHOICE] = read_choice,
		[LEAT_FIELD_NUMBER] = read_number,
		[LEAT_FIELD_VALUE] = read_value,
		[LEAT_FIELD_DEFINITION] = read_definition,
	};
	return readers[field->type](reading, field, value);
}
