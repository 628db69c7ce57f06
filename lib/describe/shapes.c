/* Schemas of what Leat writes, from its shapes. */
#include "parts.h"

#include <assert.h>
#include <stdbool.h>

static json_t *array_of(json_t *items)
{
	return describe_pack("{s:s, s:o}", "type", "array", "items", items);
}

static json_t *map_of(json_t *values)
{
	return describe_pack("{s:s, s:o}", "type", "object", "additionalProperties", values);
}

static json_t *text(void)
{
	return describe_pack("{s:s}", "type", "string");
}

static json_t *describe_member(const struct leat_member *member)
{
	switch (member->type) {
	case LEAT_MEMBER_UUID:
		return describe_ref("uuid");
	case LEAT_MEMBER_TEXT:
		return text();
	case LEAT_MEMBER_TIME:
		return describe_ref("time");
	case LEAT_MEMBER_COUNT:
		return describe_ref("count");
	case LEAT_MEMBER_TRUE:
		return describe_pack("{s:b}", "const", 1);
	case LEAT_MEMBER_CHOICE:
		return describe_choice(member->choices);
	case LEAT_MEMBER_VALUE:
		return json_true();
	case LEAT_MEMBER_FIELDS:
		return describe_pack("{s:s}", "type", "object");
	case LEAT_MEMBER_TEXTS:
		return array_of(text());
	case LEAT_MEMBER_UUIDS:
		return array_of(describe_ref("uuid"));
	case LEAT_MEMBER_NODES:
		return array_of(describe_pack("{s:s}", "type", "object"));
	case LEAT_MEMBER_EDGES:
		return array_of(array_of(text()));
	case LEAT_MEMBER_OBJECT:
		return describe_shape(member->shape, NULL);
	case LEAT_MEMBER_LIST:
		return array_of(describe_shape(member->shape, NULL));
	case LEAT_MEMBER_MAP:
		return map_of(member->shape != NULL ? describe_shape(member->shape, NULL) : describe_choice(member->choices));
	case LEAT_MEMBER_SKIPPED:
		return map_of(array_of(text()));
	}
	assert(false);
	return NULL;
}

static json_t *describe_nullable(json_t *value)
{
	return describe_pack("{s:[o, {s:s}]}", "anyOf", value, "type", "null");
}

json_t *describe_shape(const struct leat_shape *shape, json_t *more)
{
	json_t *properties = more != NULL ? more : json_object();
	json_t *required = json_array();
	const char *name;
	json_t *value;
	json_object_foreach(properties, name, value) json_array_append_new(required, json_string(name));
	for (const struct leat_member *member = shape->members; member < shape->members + LEAT_SHAPE_MEMBERS && member->name != NULL;
		 member++) {
		value = describe_member(member);
		json_object_set_new(properties, member->name, member->presence == LEAT_NULLABLE ? describe_nullable(value) : value);
		if (member->presence != LEAT_SOMETIMES)
			json_array_append_new(required, json_string(member->name));
	}
	return describe_pack(
		"{s:s, s:s, s:o, s:o}", "description", shape->about, "type", "object", "properties", properties, "required", required);
}

json_t *describe_shapes(const struct leat_shape *const shapes[2])
{
	json_t *first = describe_shape(shapes[0], NULL);
	return shapes[1] != NULL ? describe_pack("{s:[o, o]}", "anyOf", first, describe_shape(shapes[1], NULL)) : first;
}
