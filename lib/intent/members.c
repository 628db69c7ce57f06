/*
 * The members of a checked body against the table's row: each known and of its type, none missing, one target, within the limits.
 * Happy path: one walk over the members, then the rules that need all of them. Fails at the first fault, naming the field.
 */
#include "reading.h"

#include <inttypes.h>
#include <string.h>

static enum leat_kind unknown_field(struct leat_reading *reading, struct leat_text name)
{
	const struct leat_intent_type *type = reading->out->type;
	size_t count = leat_intent_field_count(type);
	LEAT_BUF_SCOPED known = LEAT_BUF_INIT;
	for (size_t i = 0; i < count; i++) {
		if (leat_text_is_near(name, type->fields[i].name))
			return leat_fail(reading->err, LEAT_PERMANENT, LEAT_CODE_INVALID_MESSAGE, "%s.%s has no field \"%s\"; did you mean \"%s\"?",
				type->noun, type->verb, leat_excerpt(name).text, type->fields[i].name);
		leat_buf_printf(&known, "%s%s", i > 0 ? ", " : "", type->fields[i].name);
	}
	return leat_fail(reading->err, LEAT_PERMANENT, LEAT_CODE_INVALID_MESSAGE, "%s.%s has no field \"%s\"; it has %s", type->noun,
		type->verb, leat_excerpt(name).text, leat_buf_text(&known));
}

static enum leat_kind read_member(struct leat_reading *reading, const struct leat_json *name, const struct leat_json *value)
{
	struct leat_text text = leat_json_text(name, &reading->scratch);
	const struct leat_intent_type *type = reading->out->type;
	size_t count = leat_intent_field_count(type);
	for (size_t i = 0; i < count; i++) {
		const struct leat_field *field = &type->fields[i];
		if (strlen(field->name) != text.bytes || memcmp(field->name, text.at, text.bytes) != 0)
			continue;
		reading->found[i] = *value;
		return leat_reading_field(reading, field, value);
	}
	return unknown_field(reading, text);
}

static enum leat_kind read_members(struct leat_reading *reading, const struct leat_json *body)
{
	if (body->type != LEAT_JSON_OBJECT)
		return leat_reading_mistyped(reading, "the body", "an object", body);
	struct leat_json_walk walk = leat_json_walk(body);
	for (struct leat_json name, value; leat_json_next(&walk, &name, &value);)
		if (read_member(reading, &name, &value) != LEAT_OK)
			return LEAT_PERMANENT;
	return LEAT_OK;
}

/* ---- what needs all of them ---- */

/* NULL when the message has no such field or it was not sent. */
static const struct leat_json *get(const struct leat_reading *reading, enum leat_field_type wanted)
{
	const struct leat_intent_type *type = reading->out->type;
	const struct leat_field *field = leat_intent_field(type, wanted);
	const struct leat_json *found = field != NULL ? &reading->found[field - type->fields] : NULL;
	return found != NULL && found->type != LEAT_JSON_NONE ? found : NULL;
}

static enum leat_kind check_required(struct leat_reading *reading)
{
	const struct leat_intent_type *type = reading->out->type;
	for (size_t i = 0; i < leat_intent_field_count(type); i++)
		if (type->fields[i].required && reading->found[i].type == LEAT_JSON_NONE)
			return leat_fail(
				reading->err, LEAT_PERMANENT, LEAT_CODE_INVALID_MESSAGE, "%s.%s needs %s", type->noun, type->verb, type->fields[i].name);
	return LEAT_OK;
}

static void name_target(struct leat_reading *reading, const struct leat_json *entity_type, const struct leat_json *key)
{
	LEAT_BUF_SCOPED name = LEAT_BUF_INIT;
	struct leat_text text = leat_json_text(entity_type, &reading->scratch);
	leat_buf_add(&name, text.at, text.bytes);
	leat_buf_add_text(&name, ":");
	text = leat_json_text(key, &reading->scratch);
	leat_buf_add(&name, text.at, text.bytes);
	leat_uuid_from_name(&reading->out->target, &reading->out->subject.tenant, name.data, name.len);
}

/* entity_type and key, where they stand for the id. */
static void choose_target(struct leat_reading *reading)
{
	const struct leat_json *key = get(reading, LEAT_FIELD_KEY);
	if (key != NULL)
		name_target(reading, get(reading, LEAT_FIELD_TYPE), key);
}

static enum leat_kind refuse_nothing(struct leat_reading *reading)
{
	const struct leat_intent_type *type = reading->out->type;
	LEAT_BUF_SCOPED where = LEAT_BUF_INIT;
	for (size_t i = 0; i < leat_intent_field_count(type); i++)
		if (type->fields[i].type == LEAT_FIELD_NAMES)
			leat_buf_printf(&where, "%s%s", where.len > 0 ? " or " : "", type->fields[i].name);
	return leat_fail(reading->err, LEAT_PERMANENT, LEAT_CODE_INVALID_MESSAGE, "%s.%s needs at least one field name in %s", type->noun,
		type->verb, leat_buf_text(&where));
}

static enum leat_kind check_names(struct leat_reading *reading)
{
	if (leat_intent_field(reading->out->type, LEAT_FIELD_NAMES) != NULL && reading->names == 0)
		return refuse_nothing(reading);
	if (reading->names > reading->limits->max_fields)
		return leat_fail(reading->err, LEAT_PERMANENT, LEAT_CODE_TOO_LARGE,
			"the message names %" PRId64 " fields; the limit is %" PRId64 " (--max-fields)", reading->names, reading->limits->max_fields);
	return LEAT_OK;
}

static enum leat_kind read_all(struct leat_reading *reading, const struct leat_json *body)
{
	if (read_members(reading, body) != LEAT_OK || check_required(reading) != LEAT_OK || leat_reading_check_together(reading) != LEAT_OK)
		return LEAT_PERMANENT;
	if (reading->out->type->target == LEAT_TARGET_ID_OR_KEY)
		choose_target(reading);
	return check_names(reading);
}

enum leat_kind leat_fields_read(
	struct leat_intent *out, const struct leat_json *body, const struct leat_params *limits, struct leat_error *err)
{
	struct leat_reading reading = {.out = out, .limits = limits, .err = err};
	enum leat_kind kind = read_all(&reading, body);
	leat_buf_free(&reading.scratch);
	return kind;
}
