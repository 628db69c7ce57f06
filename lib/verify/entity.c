/* One entity: minima and maxima over its writes. Nothing here can fail: out of memory aborts. */
#include "entity.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void entity_init(struct entity *entity, const struct leat_uuid *tenant, const struct leat_uuid *id)
{
	*entity = (struct entity){.tenant = *tenant, .id = *id, .since = ENTITY_NEVER};
}

void entity_fini(struct entity *entity)
{
	for (size_t i = 0; i < entity->count; i++)
		free(entity->fields[i].text);
	free(entity->fields);
	free(entity->type);
	free(entity->key);
	*entity = (struct entity){0};
}

size_t entity_bytes(const struct entity *entity)
{
	enum { HEAP = 16 }; /* of each allocation */
	size_t bytes = sizeof *entity + HEAP + entity->room * sizeof *entity->fields + HEAP + entity->text_bytes + entity->count * HEAP;
	return bytes + (entity->type != NULL ? strlen(entity->type) + HEAP : 0) + (entity->key != NULL ? strlen(entity->key) + HEAP : 0);
}

/* ---- fields ---- */

static int compare_names(const struct entity_field *field, enum entity_part part, struct leat_text name)
{
	if (field->part != part)
		return field->part < part ? -1 : 1;
	size_t common = field->name_bytes < name.bytes ? field->name_bytes : name.bytes;
	int order = memcmp(field->text, name.at, common);
	return order != 0 ? order : (field->name_bytes > name.bytes) - (field->name_bytes < name.bytes);
}

/* Where the field stands, or would have to. */
static size_t place_of(const struct entity *entity, enum entity_part part, struct leat_text name)
{
	size_t low = 0;
	size_t high = entity->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (compare_names(&entity->fields[middle], part, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct entity_field *entity_find(const struct entity *entity, enum entity_part part, struct leat_text name)
{
	size_t at = place_of(entity, part, name);
	bool found = at < entity->count && compare_names(&entity->fields[at], part, name) == 0;
	return found ? &entity->fields[at] : NULL;
}

static struct entity_field *add_field(struct entity *entity, size_t at, enum entity_part part, struct leat_text name)
{
	if (entity->count == entity->room) {
		entity->room = entity->room * 2 + 4;
		entity->fields = leat_realloc(entity->fields, entity->room * sizeof *entity->fields);
	}
	assert(entity->fields != NULL);
	struct entity_field *field = &entity->fields[at];
	memmove(field + 1, field, (entity->count - at) * sizeof *field);
	entity->count++;
	*field = (struct entity_field){
		.part = part, .name_bytes = (uint32_t)name.bytes, .room = (uint32_t)name.bytes + 2, .position = ENTITY_NEVER, .removed = true};
	field->text = leat_alloc(field->room);
	entity->text_bytes += field->room;
	memcpy(field->text, name.at, name.bytes);
	field->text[name.bytes] = field->text[name.bytes + 1] = '\0';
	return field;
}

static void set_value(struct entity *entity, struct entity_field *field, const char *value, size_t bytes)
{
	size_t needed = field->name_bytes + bytes + 2;
	if (needed > field->room || needed < field->room / 4) {
		field->text = leat_realloc(field->text, needed);
		entity->text_bytes += needed - field->room;
		field->room = (uint32_t)needed;
	}
	char *at = field->text + field->name_bytes + 1;
	if (bytes > 0)
		memcpy(at, value, bytes);
	at[bytes] = '\0';
	field->value_bytes = (uint32_t)bytes;
	field->removed = value == NULL;
	field->hashed = false;
}

struct entity_field *entity_write(
	struct entity *entity, enum entity_part part, struct leat_text name, const char *value, size_t value_bytes, int64_t position)
{
	size_t at = place_of(entity, part, name);
	struct entity_field *field = NULL;
	if (at < entity->count && compare_names(&entity->fields[at], part, name) == 0) {
		field = &entity->fields[at];
		if (field->position >= position)
			return NULL;
	} else {
		field = add_field(entity, at, part, name);
	}
	set_value(entity, field, value, value != NULL ? value_bytes : 0);
	field->position = position;
	return field;
}

void entity_set(struct entity *entity, enum entity_part part, struct leat_text name, const char *value, size_t value_bytes)
{
	struct entity_field *field = entity_find(entity, part, name);
	set_value(entity, field != NULL ? field : add_field(entity, place_of(entity, part, name), part, name), value, value_bytes);
}

const char *entity_value(const struct entity_field *field)
{
	return field->removed ? NULL : field->text + field->name_bytes + 1;
}

/* ---- life and death ---- */

static void set_text(char **text, const char *value, size_t bytes)
{
	free(*text);
	*text = leat_alloc(bytes + 1);
	memcpy(*text, value, bytes);
	(*text)[bytes] = '\0';
}

void entity_upsert(struct entity *entity, const char *type, size_t type_bytes, const char *key, size_t key_bytes, int64_t position)
{
	if (position > entity->type_since) {
		entity->type_since = position;
		set_text(&entity->type, type, type_bytes);
	}
	if (entity->key == NULL && key != NULL)
		set_text(&entity->key, key, key_bytes);
	if (position > entity->deleted && (entity->since == ENTITY_NEVER || position < entity->since))
		entity->since = position;
}

/* The upserts between the lowest and this one are not kept: whoever redrives a delete has to be told first, see entities.c. */
void entity_delete(struct entity *entity, int64_t position)
{
	if (position <= entity->deleted)
		return;
	entity->deleted = position;
	if (entity->since < position)
		entity->since = ENTITY_NEVER;
	size_t kept = 0;
	for (size_t i = 0; i < entity->count; i++) {
		if (entity->fields[i].position < position) {
			entity->text_bytes -= entity->fields[i].room;
			free(entity->fields[i].text);
		} else {
			entity->fields[kept++] = entity->fields[i];
		}
	}
	entity->count = kept;
}
