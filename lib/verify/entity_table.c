/* Entities by tenant and id: open addressing, twice as many slots as entities at least. */
#include "entity.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_SIZE = 64 };

static size_t hash(const struct leat_uuid *tenant, const struct leat_uuid *id)
{
	uint64_t words[4];
	uint64_t sum = 0;
	memcpy(words, tenant->bytes, 16);
	memcpy(words + 2, id->bytes, 16);
	for (size_t i = 0; i < 4; i++) {
		sum = (sum ^ words[i]) * UINT64_C(0x9E3779B97F4A7C15);
		sum ^= sum >> 32;
	}
	sum *= UINT64_C(0x9E3779B97F4A7C15); /* the low bits choose the slot, and ids may differ in their last bytes alone */
	return (size_t)(sum ^ sum >> 32);
}

static size_t place_of(const struct entity_table *table, const struct leat_uuid *tenant, const struct leat_uuid *id)
{
	size_t at = hash(tenant, id) & (table->size - 1);
	while (table->slots[at] != NULL &&
		(memcmp(&table->slots[at]->id, id, sizeof *id) != 0 || memcmp(&table->slots[at]->tenant, tenant, sizeof *tenant) != 0))
		at = (at + 1) & (table->size - 1);
	return at;
}

struct entity *entity_table_find(const struct entity_table *table, const struct leat_uuid *tenant, const struct leat_uuid *id)
{
	return table->size == 0 ? NULL : table->slots[place_of(table, tenant, id)];
}

static void resize(struct entity_table *table, size_t size)
{
	struct entity_table grown = {.slots = leat_alloc_zero(size, sizeof(struct entity *)), .size = size};
	for (size_t i = 0; i < table->size; i++) {
		if (table->slots[i] != NULL)
			grown.slots[place_of(&grown, &table->slots[i]->tenant, &table->slots[i]->id)] = table->slots[i];
	}
	free(table->slots);
	table->slots = grown.slots;
	table->size = size;
}

struct entity *entity_table_get(struct entity_table *table, const struct leat_uuid *tenant, const struct leat_uuid *id)
{
	if (table->count * 2 >= table->size)
		resize(table, table->size == 0 ? FIRST_SIZE : table->size * 2);
	struct entity **slot = &table->slots[place_of(table, tenant, id)];
	if (*slot == NULL) {
		*slot = leat_alloc(sizeof **slot);
		entity_init(*slot, tenant, id);
		table->count++;
		table->bytes += entity_bytes(*slot);
	}
	return *slot;
}

void entity_table_filter(
	struct entity_table *table, bool (*keeps)(const struct verify *v, const struct leat_uuid *id), const struct verify *v)
{
	struct entity_table all = *table;
	*table = (struct entity_table){0};
	for (size_t i = 0; i < all.size; i++) {
		struct entity *entity = all.slots[i];
		if (entity == NULL)
			continue;
		if (keeps(v, &entity->id)) {
			if (table->count * 2 >= table->size)
				resize(table, table->size == 0 ? FIRST_SIZE : table->size * 2);
			table->slots[place_of(table, &entity->tenant, &entity->id)] = entity;
			table->count++;
			table->bytes += entity_bytes(entity);
		} else {
			entity_fini(entity);
			free(entity);
		}
	}
	free(all.slots);
}

void entity_table_free(struct entity_table *table)
{
	for (size_t i = 0; i < table->size; i++) {
		if (table->slots[i] == NULL)
			continue;
		entity_fini(table->slots[i]);
		free(table->slots[i]);
	}
	free(table->slots);
	*table = (struct entity_table){0};
}
