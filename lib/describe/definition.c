/* The schema of a workflow's definition, from the table of node types: a schema a type. What the graph has to be is not in it. */
#include "parts.h"

#include "leat/workflow.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define NAME_BYTES 64
#define NODE_ID "[A-Za-z0-9_-]{1,64}"

/* A value that is an object must not look like a reference: that is what it would be taken for. */
static json_t *not_reference(json_t *object)
{
	json_object_set_new(object, "not", describe_pack("{s:[s]}", "required", "$ref"));
	return object;
}

static json_t *describe_request_headers(void)
{
	json_t *value = describe_pack("{s:s, s:s}", "type", "string", "pattern", DESCRIBE_PRINTABLE);
	return not_reference(describe_pack("{s:s, s:i, s:{s:s}, s:{s:[o, o]}}", "type", "object", "maxProperties", LEAT_NODE_HEADERS,
		"propertyNames", "pattern", "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$", "additionalProperties", "anyOf", describe_ref("reference"), value));
}

static json_t *describe_value(const struct leat_node_param *param, const struct leat_params *limits)
{
	switch (param->value) {
	case LEAT_VALUE_ANY:
		return describe_ref("value");
	case LEAT_VALUE_ARRAY:
		return describe_pack("{s:s, s:o, s:I, s:I}", "type", "array", "items", describe_ref("value"), "minItems", (json_int_t)param->lowest,
			"maxItems", (json_int_t)param->highest);
	case LEAT_VALUE_TEXT:
		return describe_printable(param->lowest, param->highest);
	case LEAT_VALUE_CHOICE:
		return describe_choice(param->choices);
	case LEAT_VALUE_NUMBER:
		return describe_whole(param->lowest, param->highest);
	case LEAT_VALUE_URL:
		return describe_pack("{s:s, s:s}", "type", "string", "pattern", "^[Hh][Tt][Tt][Pp][Ss]?://[^ /?#@]+([/?#][^ ]*)?$");
	case LEAT_VALUE_HEADERS:
		return describe_request_headers();
	case LEAT_VALUE_UUID:
		return describe_ref("uuid");
	case LEAT_VALUE_ENTITY_TYPE:
		return describe_ref("entity_type");
	case LEAT_VALUE_ENTITY_KEY:
		return describe_ref("key");
	case LEAT_VALUE_FIELDS:
		return not_reference(describe_pack("{s:s, s:o, s:o, s:I}", "type", "object", "propertyNames", describe_ref("field_name"),
			"additionalProperties", describe_ref("value"), "maxProperties", (json_int_t)limits->max_fields));
	}
	assert(false);
	return NULL;
}

/* None of the second way; or all of it, and none of the first, which is one parameter. */
static json_t *describe_either(const char *const either[2])
{
	json_t *second = describe_way(either[1], true);
	assert(strchr(either[0], ' ') == NULL);
	json_object_update_new(second, describe_way(either[0], false));
	return describe_pack("{s:[o, o]}", "anyOf", describe_way(either[1], false), second);
}

static json_t *describe_any(const char *names)
{
	json_t *words = describe_words(names, ' ');
	json_t *ways = json_array();
	size_t i;
	json_t *word;
	json_array_foreach(words, i, word) json_array_append_new(ways, describe_pack("{s:[O]}", "required", word));
	json_decref(words);
	return describe_pack("{s:o}", "anyOf", ways);
}

static json_t *describe_param(const struct leat_node_param *param, const struct leat_params *limits)
{
	if (param->value == LEAT_VALUE_ANY) /* which a reference is too */
		return describe_pack("{s:s, s:[o]}", "description", param->about, "anyOf", describe_ref("value"));
	return describe_pack("{s:s, s:[o, o]}", "description", param->about, "anyOf", describe_ref("reference"), describe_value(param, limits));
}

static json_t *describe_node(const struct leat_node_type *type, const struct leat_params *limits)
{
	json_t *properties = describe_pack("{s:o, s:{s:s}}", "id", describe_ref("node_id"), "type", "const", type->name);
	json_t *required = describe_words("id|type", '|');
	json_t *rules = json_array();
	for (size_t i = 0; i < leat_node_param_count(type); i++) {
		json_object_set_new(properties, type->params[i].name, describe_param(&type->params[i], limits));
		if (type->params[i].required)
			json_array_append_new(required, json_string(type->params[i].name));
	}
	if (type->either[0] != NULL)
		json_array_append_new(rules, describe_either(type->either));
	if (type->needs_any != NULL)
		json_array_append_new(rules, describe_any(type->needs_any));
	json_t *out = describe_pack("{s:s+, s:s, s:s, s:o, s:o, s:b}", "title", "a node: ", type->name, "description", type->about, "type",
		"object", "properties", properties, "required", required, "additionalProperties", 0);
	describe_add_any(out, "allOf", rules);
	return out;
}

/* $ref by a pattern: as the name of a property, some readers of AsyncAPI take it for a reference of the document's. */
static void add_references(json_t *defs)
{
	json_object_set_new(defs, "reference",
		describe_pack("{s:s, s:s, s:s, s:{s:{s:s, s:s}}, s:[s], s:b}", "title", "a reference: what another node's output has there",
			"description", "<node>#<JSON Pointer>; input#… and, below a split, item#…", "type", "object", "patternProperties", "^\\$ref$",
			"type", "string", "pattern", "^" NODE_ID "#(/([^~]|~[01])*)?$", "required", "$ref", "additionalProperties", 0));
	json_object_set_new(defs, "value",
		describe_pack("{s:s, s:{s:s, s:[s]}, s:o, s:{s:o, s:o}}", "title", "any value, with references at any depth", "if", "type",
			"object", "required", "$ref", "then", describe_ref("reference"), "else", "items", describe_ref("value"), "additionalProperties",
			describe_ref("value")));
}

void describe_definition(json_t *defs, const struct leat_params *limits)
{
	size_t count;
	const struct leat_node_type *table = leat_node_table(&count);
	json_t *types = json_array();
	char name[NAME_BYTES];
	for (size_t i = 0; i < count; i++) {
		snprintf(name, sizeof name, "node.%s", table[i].name);
		json_object_set_new(defs, name, describe_node(&table[i], limits));
		json_array_append_new(types, describe_ref(name));
	}
	json_object_set_new(defs, "node_id",
		describe_pack("{s:s, s:s, s:s, s:{s:[s, s]}}", "title", "the id of a node", "type", "string", "pattern", "^" NODE_ID "$", "not",
			"enum", "input", "item"));
	add_references(defs);
	json_object_set_new(defs, "definition",
		describe_pack("{s:s, s:s, s:{s:{s:s, s:{s:o}, s:i, s:I}, s:{s:s, s:{s:s, s:o, s:i, s:i}}}, s:[s], s:b}", "title",
			"the definition of a workflow", "type", "object", "properties", "nodes", "type", "array", "items", "oneOf", types, "minItems",
			1, "maxItems", (json_int_t)limits->max_workflow_nodes, "edges", "type", "array", "items", "type", "array", "items",
			describe_ref("node_id"), "minItems", 2, "maxItems", 2, "required", "nodes", "additionalProperties", 0));
}
