/*
 * What an applied intent writes to each of its targets, read from its body and from what the ledger adds: fields that were locked when it
 * was applied (skipped_fields: of one target an array, of a bulk by target), and targets that a bulk did not find (missing). Nothing can
 * fail.
 */
#include "entity.h"

#include <string.h>

struct apply {
	struct entity_table *table;
	const struct verify_fact *fact;
	struct leat_json type, key, content, metadata, fields;
	struct leat_json skipped;
	struct leat_json missing;
};

static bool is_name(struct leat_text text, const char *name)
{
	return text.bytes == strlen(name) && memcmp(text.at, name, text.bytes) == 0;
}

static void read_body(struct apply *apply)
{
	LEAT_BUF_SCOPED scratch = LEAT_BUF_INIT;
	struct leat_json body = verify_json(apply->fact->body, apply->fact->body_bytes);
	struct leat_json_walk walk = leat_json_walk(&body);
	struct leat_json key;
	struct leat_json value;
	while (leat_json_next(&walk, &key, &value)) {
		struct leat_text name = leat_json_text(&key, &scratch);
		struct leat_json *to = is_name(name, "content") ? &apply->content
			: is_name(name, "metadata")                 ? &apply->metadata
			: is_name(name, "entity_type")              ? &apply->type
			: is_name(name, "key")                      ? &apply->key
			: is_name(name, "fields")                   ? &apply->fields
														: NULL;
		if (to != NULL)
			*to = value;
	}
	if (apply->fact->detail.type != LEAT_JSON_NONE) {
		apply->skipped = verify_json_member(&apply->fact->detail, "skipped_fields");
		apply->missing = verify_json_member(&apply->fact->detail, "missing");
	}
}

/* Whether an array of strings holds the text. */
static bool array_holds(const struct leat_json *array, struct leat_text text)
{
	if (array->type != LEAT_JSON_ARRAY)
		return false;
	LEAT_BUF_SCOPED scratch = LEAT_BUF_INIT;
	struct leat_json_walk walk = leat_json_walk(array);
	struct leat_json name;
	struct leat_json value;
	while (leat_json_next(&walk, &name, &value)) {
		struct leat_text item = leat_json_text(&value, &scratch);
		if (item.bytes == text.bytes && memcmp(item.at, text.at, text.bytes) == 0)
			return true;
	}
	return false;
}

/* An object's members are written, an array's names are removed or locked. */
static void write_part(const struct apply *apply, struct entity *entity, enum entity_part part, const struct leat_json *values,
	bool removes, const struct leat_json *skipped)
{
	if (values->type == LEAT_JSON_NONE)
		return;
	LEAT_BUF_SCOPED scratch = LEAT_BUF_INIT;
	struct leat_json_walk walk = leat_json_walk(values);
	struct leat_json name;
	struct leat_json value;
	while (leat_json_next(&walk, &name, &value)) {
		bool member = values->type == LEAT_JSON_OBJECT;
		struct leat_text field = leat_json_text(member ? &name : &value, &scratch);
		if (array_holds(skipped, field))
			continue;
		struct leat_text written = member ? value.source : (struct leat_text){"true", 4};
		entity_write(entity, part, field, removes ? NULL : written.at, written.bytes, apply->fact->write_position);
	}
}

static void upsert(const struct apply *apply, struct entity *entity)
{
	LEAT_BUF_SCOPED type_scratch = LEAT_BUF_INIT;
	LEAT_BUF_SCOPED key_scratch = LEAT_BUF_INIT;
	struct leat_text type = leat_json_text(&apply->type, &type_scratch);
	struct leat_text key = {0};
	if (apply->key.type == LEAT_JSON_STRING)
		key = leat_json_text(&apply->key, &key_scratch);
	entity_upsert(entity, type.at, type.bytes, key.at, key.bytes, apply->fact->write_position);
}

static void change(const struct apply *apply, const struct leat_uuid *target, const struct leat_json *skipped)
{
	static const struct leat_json none = {0};
	const char *verb = apply->fact->intent->type->verb;
	int64_t position = apply->fact->write_position;
	struct entity *entity = entity_table_get(apply->table, &apply->fact->intent->subject.tenant, target);
	apply->table->bytes -= entity_bytes(entity);
	if (position > entity->last)
		entity->last = position;
	if (strcmp(verb, "delete") == 0) {
		entity_delete(entity, position);
	} else if (position > entity->deleted || strcmp(verb, "upsert") == 0) {
		bool removes = strcmp(verb, "unset") == 0;
		if (strcmp(verb, "upsert") == 0)
			upsert(apply, entity);
		if (position > entity->deleted) {
			write_part(apply, entity, ENTITY_CONTENT, &apply->content, removes, skipped);
			write_part(apply, entity, ENTITY_METADATA, &apply->metadata, removes, &none);
			write_part(apply, entity, ENTITY_LOCKS, &apply->fields, strcmp(verb, "unlock") == 0, &none);
		}
	}
	apply->table->bytes += entity_bytes(entity);
}

void entity_apply(struct entity_table *table, const struct verify_fact *fact,
	bool (*wants)(const struct verify *v, const struct leat_uuid *id), const struct verify *v)
{
	const struct leat_intent *intent = fact->intent;
	struct apply apply = {.table = table, .fact = fact};
	if (intent->targets == NULL) {
		if (!wants(v, &intent->target))
			return;
		read_body(&apply);
		change(&apply, &intent->target, &apply.skipped);
		return;
	}
	read_body(&apply);
	for (size_t i = 0; i < intent->target_count; i++) {
		char id[LEAT_UUID_TEXT_BYTES];
		if (!wants(v, &intent->targets[i]))
			continue;
		leat_uuid_format(&intent->targets[i], id);
		if (array_holds(&apply.missing, (struct leat_text){id, strlen(id)}))
			continue;
		struct leat_json skipped = verify_json_member(&apply.skipped, id);
		change(&apply, &intent->targets[i], &skipped);
	}
}
