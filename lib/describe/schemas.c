/* All schemas as one document, or one of them with what it refers to. */
#include "leat/describe.h"

#include "parts.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define DRAFT "https://json-schema.org/draft/2020-12/schema"

json_t *describe_all(const struct leat_params *limits)
{
	json_t *defs = json_object();
	describe_intents(defs, limits);
	describe_queries(defs, limits);
	describe_events(defs);
	describe_headers(defs);
	describe_definition(defs, limits);
	describe_basics(defs, limits);
	return defs;
}

void describe_write(struct leat_buf *out, const json_t *document)
{
	char *text = json_dumps(document, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
	assert(text != NULL);
	leat_buf_printf(out, "%s\n", text);
	free(text);
}

void leat_describe_names(struct leat_buf *out, const struct leat_params *limits)
{
	json_auto_t *all = describe_all(limits);
	const char *name;
	json_t *schema;
	json_object_foreach(all, name, schema)
	{
		const char *about = json_string_value(json_object_get(schema, "title"));
		if (strcmp(about, name) == 0)
			about = json_string_value(json_object_get(schema, "description"));
		leat_buf_printf(out, "%-29s  %s\n", name, about);
	}
}

/* Adds to `defs` what the schema refers to, and what that does. */
static void add_referred(json_t *defs, const json_t *all, const json_t *schema)
{
	const char *name;
	json_t *value;
	size_t i;
	json_array_foreach(schema, i, value) add_referred(defs, all, value);
	json_object_foreach((json_t *)schema, name, value)
	{
		const char *referred = strcmp(name, "$ref") == 0 ? json_string_value(value) : NULL;
		if (referred == NULL) {
			add_referred(defs, all, value);
			continue;
		}
		referred += strlen(DESCRIBE_REFERENCE);
		json_t *found = json_object_get(all, referred);
		assert(found != NULL);
		if (json_object_get(defs, referred) == NULL && json_object_set(defs, referred, found) == 0)
			add_referred(defs, all, found);
	}
}

bool leat_describe_schema(struct leat_buf *out, const char *name, const struct leat_params *limits)
{
	json_auto_t *all = describe_all(limits);
	json_auto_t *document = describe_pack("{s:s}", "$schema", DRAFT);
	json_t *defs = json_object();
	json_t *schema = name != NULL ? json_object_get(all, name) : NULL;
	if (name == NULL) {
		json_object_set_new(document, "title", json_string("messages of Leat"));
		json_object_update(defs, all);
	} else if (schema != NULL) {
		json_object_update(document, schema);
		add_referred(defs, all, schema);
	}
	json_object_set_new(document, "$defs", defs);
	if (name == NULL || schema != NULL)
		describe_write(out, document);
	return name == NULL || schema != NULL;
}
