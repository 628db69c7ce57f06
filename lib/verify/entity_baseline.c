/*
 * An entity as a line of a baseline: when it was deleted, created, typed and last written, and its fields as [part, name, position, hash],
 * the hash null for one that was removed.
 */
#include "baseline.h"
#include "entity.h"

#include <stdlib.h>
#include <string.h>

static json_t *text_or_null(const char *text)
{
	json_t *value = text != NULL ? json_string(text) : json_null();
	if (value == NULL)
		abort();
	return value;
}

void entity_baseline_add(struct verify *v, const struct entity *entity)
{
	if (!baseline_is_wanted(v))
		return;
	char tenant[LEAT_UUID_TEXT_BYTES];
	char id[LEAT_UUID_TEXT_BYTES];
	leat_uuid_format(&entity->tenant, tenant);
	leat_uuid_format(&entity->id, id);
	json_t *fields = json_array();
	for (size_t i = 0; i < entity->count; i++) {
		const struct entity_field *field = &entity->fields[i];
		char hash[LEAT_UUID_TEXT_BYTES];
		if (field->position == ENTITY_NEVER)
			continue;
		if (!field->removed && !field->hashed)
			verify_json_hash(hash, entity_value(field), field->value_bytes);
		json_array_append_new(fields,
			json_pack("[i, s, I, o]", (int)field->part, field->text, (json_int_t)field->position,
				text_or_null(field->hashed ? entity_value(field)
						: field->removed   ? NULL
										   : hash)));
	}
	baseline_add(v, "entity",
		json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:o, s:o, s:o}", "tenant", tenant, "id", id, "deleted", (json_int_t)entity->deleted,
			"since", (json_int_t)entity->since, "typed", (json_int_t)entity->type_since, "last", (json_int_t)entity->last, "type",
			text_or_null(entity->type), "key", text_or_null(entity->key), "fields", fields));
}

static bool load_fields(struct entity *entity, const json_t *fields)
{
	const json_t *field;
	size_t i;
	json_array_foreach(fields, i, field)
	{
		int part;
		const char *name;
		json_int_t position;
		const json_t *hash;
		if (json_unpack((json_t *)field, "[i, s, I, o]", &part, &name, &position, &hash) != 0 || part < 0 || part >= ENTITY_PARTS)
			return false;
		const char *value = json_string_value(hash);
		struct entity_field *written = entity_write(
			entity, (enum entity_part)part, (struct leat_text){name, strlen(name)}, value, value != NULL ? strlen(value) : 0, position);
		if (written == NULL)
			return false;
		written->hashed = value != NULL;
	}
	return true;
}

bool entity_baseline_load(const struct verify *v, struct entity_table *table, const json_t *line)
{
	const char *tenant_text;
	const char *id_text;
	json_int_t deleted;
	json_int_t since;
	json_int_t typed;
	json_int_t last;
	const json_t *type;
	const json_t *key;
	const json_t *fields;
	struct leat_uuid tenant;
	struct leat_uuid id;
	if (json_unpack((json_t *)line, "{s:s, s:s, s:I, s:I, s:I, s:I, s:o, s:o, s:o}", "tenant", &tenant_text, "id", &id_text, "deleted",
			&deleted, "since", &since, "typed", &typed, "last", &last, "type", &type, "key", &key, "fields", &fields) != 0 ||
		!leat_uuid_parse(&tenant, tenant_text, strlen(tenant_text)) || !leat_uuid_parse(&id, id_text, strlen(id_text)))
		return false;
	if (!verify_in_pass(v, &id))
		return true;
	struct entity *entity = entity_table_get(table, &tenant, &id);
	table->bytes -= entity_bytes(entity);
	entity->deleted = deleted > entity->deleted ? deleted : entity->deleted;
	entity->since = since > entity->deleted ? since : ENTITY_NEVER;
	entity->type_since = typed;
	entity->last = last;
	free(entity->type);
	free(entity->key);
	entity->type = json_is_string(type) ? leat_strdup(json_string_value(type)) : NULL;
	entity->key = json_is_string(key) ? leat_strdup(json_string_value(key)) : NULL;
	bool fine = load_fields(entity, fields);
	table->bytes += entity_bytes(entity);
	return fine;
}
