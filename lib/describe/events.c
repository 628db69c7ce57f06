/* Schemas of events, from their table: a CloudEvent of each type. */
#include "parts.h"

#include "leat/event.h"

#include <stdio.h>

#define NAME_BYTES 64

static json_t *describe_data(const struct leat_event_type *type, const struct leat_shape *shape)
{
	char id[NAME_BYTES];
	snprintf(id, sizeof id, "%s_id", type->noun);
	return describe_shape(shape, describe_pack("{s:o, s:o}", "tenant_id", describe_ref("uuid"), id, describe_ref("uuid")));
}

static json_t *describe_event(const struct leat_event_type *type, const char *name)
{
	json_t *data = describe_data(type, type->data[0]);
	if (type->data[1] != NULL)
		data = describe_pack("{s:[o, o]}", "anyOf", data, describe_data(type, type->data[1]));
	json_t *properties = describe_pack("{s:{s:s}, s:o, s:{s:s, s:s}, s:{s:s}, s:o, s:o, s:{s:s}, s:{s:s}, s:o}", "specversion", "const",
		"1.0", "id", describe_ref("uuid"), "source", "type", "string", "pattern", "^/leat/[0-9a-f-]{36}$", "type", "const", name, "subject",
		describe_ref("uuid"), "time", describe_ref("time"), "datacontenttype", "const", "application/json", "traceparent", "type", "string",
		"data", data);
	return describe_pack("{s:s, s:s, s:s, s:o, s:o}", "title", name, "description", type->about, "type", "object", "properties", properties,
		"required", describe_words("specversion|id|source|type|subject|time|datacontenttype|data", '|'));
}

void describe_events(json_t *defs)
{
	size_t count;
	const struct leat_event_type *table = leat_event_table(&count);
	char name[NAME_BYTES];
	for (size_t i = 0; i < count; i++) {
		snprintf(name, sizeof name, "leat.%s.%s", table[i].noun, table[i].what);
		json_object_set_new(defs, name, describe_event(&table[i], name));
	}
}
