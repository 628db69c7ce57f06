/* Schemas of intents and queries, and of what is said of them, from their tables. */
#include "parts.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>

#define NAME_BYTES 64

static json_t *describe_field(const struct leat_field *field, const struct leat_params *limits)
{
	switch (field->type) {
	case LEAT_FIELD_UUID:
		return describe_ref("uuid");
	case LEAT_FIELD_UUIDS:
		return describe_pack(
			"{s:s, s:o, s:i, s:i}", "type", "array", "items", describe_ref("uuid"), "minItems", 1, "maxItems", LEAT_BULK_IDS);
	case LEAT_FIELD_TYPE:
		return describe_ref("entity_type");
	case LEAT_FIELD_KEY:
		return describe_ref("key");
	case LEAT_FIELD_OBJECT:
		return describe_pack("{s:s, s:o, s:I}", "type", "object", "propertyNames", describe_ref("field_name"), "maxProperties",
			(json_int_t)limits->max_fields);
	case LEAT_FIELD_NAMES:
		return describe_pack(
			"{s:s, s:o, s:I}", "type", "array", "items", describe_ref("field_name"), "maxItems", (json_int_t)limits->max_fields);
	case LEAT_FIELD_BOOL:
		return describe_pack("{s:s}", "type", "boolean");
	case LEAT_FIELD_TEXT:
		return describe_printable(1, field->highest);
	case LEAT_FIELD_LINES:
		return describe_text(1, field->highest);
	case LEAT_FIELD_CHOICE:
		return describe_choice(field->choices);
	case LEAT_FIELD_NUMBER:
		return describe_whole(field->lowest, field->highest);
	case LEAT_FIELD_VALUE:
		return json_true();
	case LEAT_FIELD_DEFINITION:
		return describe_ref("definition");
	}
	assert(false);
	return NULL;
}

/* ---- what needs several fields ---- */

/* {"<word>":[…]} where there are any. Takes `ways`. */
static void add_rule(json_t *rules, const char *word, json_t *ways)
{
	json_t *rule = json_object();
	describe_add_any(rule, word, ways);
	if (json_object_size(rule) > 0)
		json_array_append(rules, rule);
	json_decref(rule);
}

static void add_either(json_t *rules, const struct leat_intent_type *type)
{
	json_t *ways = json_array();
	for (int way = 0; way < 2 && type->either[way] != NULL; way++) {
		json_t *rule = describe_way(type->either[way], true);
		json_object_update_new(rule, describe_way(type->either[1 - way], false));
		json_array_append_new(ways, rule);
	}
	add_rule(rules, "oneOf", ways);
}

/* Where there are lists of names, one of them has a name in it. */
static void add_names(json_t *rules, const struct leat_intent_type *type)
{
	json_t *lists = json_array();
	for (size_t i = 0; i < leat_intent_field_count(type); i++)
		if (type->fields[i].type == LEAT_FIELD_NAMES)
			json_array_append_new(lists,
				describe_pack("{s:[s], s:{s:{s:i}}}", "required", type->fields[i].name, "properties", type->fields[i].name, "minItems", 1));
	add_rule(rules, "anyOf", lists);
}

static void add_only_with(json_t *rules, const struct leat_intent_type *type)
{
	for (size_t i = 0; i < leat_intent_field_count(type); i++) {
		const struct leat_field *field = &type->fields[i];
		if (field->only_with != NULL)
			json_array_append_new(rules,
				describe_pack("{s:[{s:o}, {s:[s], s:{s:{s:s}}}]}", "anyOf", "properties", describe_pack("{s:b}", field->name, 0),
					"required", field->only_with, "properties", field->only_with, "const", field->only_when));
	}
}

static json_t *describe_body(const struct leat_intent_type *type, const char *name, const struct leat_params *limits)
{
	json_t *properties = json_object();
	json_t *required = json_array();
	for (size_t i = 0; i < leat_intent_field_count(type); i++) {
		json_object_set_new(properties, type->fields[i].name, describe_field(&type->fields[i], limits));
		if (type->fields[i].required)
			json_array_append_new(required, json_string(type->fields[i].name));
	}
	json_t *out = describe_pack("{s:s, s:s, s:s, s:o, s:o, s:b}", "title", name, "description", type->about, "type", "object", "properties",
		properties, "required", required, "additionalProperties", 0);
	json_t *rules = json_array();
	add_either(rules, type);
	add_names(rules, type);
	add_only_with(rules, type);
	describe_add_any(out, "allOf", rules);
	return out;
}

/* ---- outcomes and answers ---- */

static json_t *describe_said(const char *status, const char *required, json_t *more)
{
	json_t *properties = describe_pack("{s:{s:s}}", "status", "const", status);
	json_object_update_new(properties, more);
	return describe_pack("{s:s, s:o, s:o}", "type", "object", "properties", properties, "required", describe_words(required, '|'));
}

/* Of a duplicate: what is known of the one that counted, and where that is. */
static json_t *describe_repeated(const struct leat_shape *const shapes[2])
{
	json_t *properties = describe_pack("{s:o}", "original_position", describe_ref("position"));
	for (int i = 0; i < 2 && shapes[i] != NULL; i++) {
		json_t *shape = describe_shape(shapes[i], NULL);
		json_object_update_missing(properties, json_object_get(shape, "properties"));
		json_decref(shape);
	}
	return describe_pack("{s:s, s:o, s:[s]}", "type", "object", "properties", properties, "required", "original_position");
}

static json_t *describe_outcome(const struct leat_intent_type *type, const char *name)
{
	json_t *applied = describe_said("applied", "status|position",
		describe_pack("{s:o, s:o, s:{s:b}}", "position", describe_ref("position"), "result", describe_shapes(type->results),
			"result_omitted", "const", 1));
	json_t *duplicate = describe_said("duplicate", "status|position",
		describe_pack("{s:o, s:o, s:{s:b}}", "position", describe_ref("position"), "result", describe_repeated(type->results),
			"result_omitted", "const", 1));
	return describe_pack("{s:s+, s:[o, o, o]}", "title", "how it ended: ", name, "oneOf", applied, duplicate, describe_ref("rejected"));
}

static json_t *describe_answer(const struct leat_intent_type *type, const char *name)
{
	json_t *answer = describe_said("ok", "status|result", describe_pack("{s:o}", "result", describe_shapes(type->results)));
	return describe_pack("{s:s+, s:[o, o]}", "title", "the answer to ", name, "oneOf", answer, describe_ref("refused"));
}

/* Of each row the body, and under its name with `ending` what `describe_end` makes of it. */
static void describe_table(json_t *defs, const struct leat_intent_type *table, size_t count, const struct leat_params *limits,
	const char *ending, json_t *(*describe_end)(const struct leat_intent_type *type, const char *name))
{
	char name[NAME_BYTES];
	char end[NAME_BYTES + 8];
	for (size_t i = 0; i < count; i++) {
		snprintf(name, sizeof name, "%s.%s", table[i].noun, table[i].verb);
		json_object_set_new(defs, name, describe_body(&table[i], name, limits));
		snprintf(end, sizeof end, "%s.%s", name, ending);
		json_object_set_new(defs, end, describe_end(&table[i], name));
	}
}

void describe_intents(json_t *defs, const struct leat_params *limits)
{
	size_t count;
	const struct leat_intent_type *table = leat_intent_table(&count);
	describe_table(defs, table, count, limits, "outcome", describe_outcome);
	json_object_set_new(defs, "rejected",
		describe_said("rejected", "status|position|code|message",
			describe_pack(
				"{s:o, s:o, s:{s:s}}", "position", describe_ref("position"), "code", describe_ref("code"), "message", "type", "string")));
	json_object_set_new(json_object_get(defs, "rejected"), "title", json_string("an outcome: it was rejected for good"));
}

void describe_queries(json_t *defs, const struct leat_params *limits)
{
	size_t count;
	const struct leat_intent_type *table = leat_query_table(&count);
	describe_table(defs, table, count, limits, "answer", describe_answer);
	json_object_set_new(defs, "refused",
		describe_said(
			"rejected", "status|code|message", describe_pack("{s:o, s:{s:s}}", "code", describe_ref("code"), "message", "type", "string")));
	json_object_set_new(json_object_get(defs, "refused"), "title", json_string("an answer: the query was refused"));
}
