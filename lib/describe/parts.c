/* The small ones that others are made of. */
#include "parts.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

json_t *describe_pack(const char *format, ...)
{
	va_list arguments;
	json_error_t err;
	va_start(arguments, format);
	json_t *out = json_vpack_ex(&err, 0, format, arguments);
	va_end(arguments);
	assert(out != NULL);
	return out;
}

json_t *describe_ref(const char *name)
{
	return describe_pack("{s:s+}", "$ref", DESCRIBE_REFERENCE, name);
}

json_t *describe_words(const char *words, char between)
{
	json_t *out = json_array();
	const char stop[] = {between, '\0'};
	for (const char *at = words; *at != '\0';) {
		size_t bytes = strcspn(at, stop);
		json_array_append_new(out, json_stringn(at, bytes));
		at += bytes + (at[bytes] == between);
	}
	return out;
}

json_t *describe_choice(const char *choices)
{
	return describe_pack("{s:s, s:o}", "type", "string", "enum", describe_words(choices, '|'));
}

json_t *describe_text(int64_t lowest, int64_t highest)
{
	char about[64];
	snprintf(about, sizeof about, "at most %lld bytes of UTF-8", (long long)highest);
	return describe_pack(
		"{s:s, s:s, s:I, s:I}", "type", "string", "description", about, "minLength", (json_int_t)lowest, "maxLength", (json_int_t)highest);
}

json_t *describe_printable(int64_t lowest, int64_t highest)
{
	json_t *out = describe_text(lowest, highest);
	json_object_set_new(out, "pattern", json_string(DESCRIBE_PRINTABLE));
	return out;
}

json_t *describe_whole(int64_t lowest, int64_t highest)
{
	return describe_pack("{s:s, s:I, s:I}", "type", "integer", "minimum", (json_int_t)lowest, "maximum", (json_int_t)highest);
}

json_t *describe_way(const char *way, bool all)
{
	json_t *names = describe_words(way, ' ');
	if (all)
		return describe_pack("{s:o}", "required", names);
	json_t *none = json_object();
	size_t i;
	json_t *name;
	json_array_foreach(names, i, name) json_object_set_new(none, json_string_value(name), json_false());
	json_decref(names);
	return describe_pack("{s:o}", "properties", none);
}

void describe_add_any(json_t *object, const char *name, json_t *array)
{
	if (json_array_size(array) > 0)
		json_object_set(object, name, array);
	json_decref(array);
}

/* ---- basics ---- */

void describe_basics(json_t *defs, const struct leat_params *limits)
{
	json_object_set_new(defs, "uuid",
		describe_pack("{s:s, s:s, s:s}", "title", "a UUID", "type", "string", "pattern",
			"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"));
	json_object_set_new(
		defs, "time", describe_pack("{s:s, s:s, s:s}", "title", "a time as in RFC 3339", "type", "string", "format", "date-time"));
	json_object_set_new(defs, "count", describe_pack("{s:s, s:s, s:i}", "title", "a whole number", "type", "integer", "minimum", 0));
	json_object_set_new(defs, "position",
		describe_pack("{s:s, s:s, s:s, s:i}", "title", "a place in a stream", "description", "epoch << 40 | sequence, up to 63 bits",
			"type", "integer", "minimum", 0));
	json_object_set_new(defs, "entity_type",
		describe_pack("{s:s, s:s, s:s}", "title", "the type of an entity", "type", "string", "pattern", "^[a-z0-9_.-]{1,64}$"));
	json_t *key = describe_text(1, limits->max_key_bytes);
	json_object_set_new(key, "title", json_string("the key of an entity among those of its type"));
	json_object_set_new(defs, "key", key);
	json_object_set_new(defs, "field_name", describe_text(1, limits->max_field_name_bytes));
	json_object_set_new(json_object_get(defs, "field_name"), "title", json_string("the name of an entity's field"));

	json_t *codes = json_array();
	for (enum leat_code code = LEAT_CODE_NONE + 1; code <= LEAT_CODE_INTERNAL; code++)
		json_array_append_new(codes, json_string(leat_code_name(code)));
	json_object_set_new(
		defs, "code", describe_pack("{s:s, s:s, s:o}", "title", "why a message was rejected", "type", "string", "enum", codes));
}
