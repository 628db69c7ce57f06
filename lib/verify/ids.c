/* Open addressing, at most half full; ids are random enough for FNV-1a. */
#include "ids.h"

#include "leat/buf.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static size_t place_of(const struct verify_ids *ids, const struct verify_id *key)
{
	unsigned char bytes[sizeof *key];
	uint64_t hash = UINT64_C(14695981039346656037);
	memcpy(bytes, key, sizeof *key);
	for (size_t i = 0; i < sizeof bytes; i++)
		hash = (hash ^ bytes[i]) * UINT64_C(1099511628211);
	size_t place = (size_t)(hash ^ hash >> 32) & (ids->room - 1);
	while (ids->slots[place].value != NULL && memcmp(&ids->slots[place].key, key, sizeof *key) != 0)
		place = (place + 1) & (ids->room - 1);
	return place;
}

void *verify_ids_find(const struct verify_ids *ids, const struct verify_id *key)
{
	return ids->count == 0 ? NULL : ids->slots[place_of(ids, key)].value;
}

static void grow(struct verify_ids *ids)
{
	struct verify_ids old = *ids;
	ids->room = old.room == 0 ? 64 : old.room * 2;
	ids->slots = leat_alloc_zero(ids->room, sizeof *ids->slots);
	for (size_t i = 0; i < old.room; i++)
		if (old.slots[i].value != NULL)
			ids->slots[place_of(ids, &old.slots[i].key)] = old.slots[i];
	free(old.slots);
}

void verify_ids_add(struct verify_ids *ids, const struct verify_id *key, void *value)
{
	assert(value != NULL);
	if (ids->count * 2 >= ids->room)
		grow(ids);
	struct verify_id_slot *slot = &ids->slots[place_of(ids, key)];
	assert(slot->value == NULL);
	*slot = (struct verify_id_slot){*key, value};
	ids->count++;
}

void *verify_ids_next(const struct verify_ids *ids, size_t *at, struct verify_id *key)
{
	while (*at < ids->room && ids->slots[*at].value == NULL)
		++*at;
	if (*at >= ids->room)
		return NULL;
	*key = ids->slots[*at].key;
	return ids->slots[(*at)++].value;
}

void verify_ids_narrow(struct verify_ids *ids, const struct verify *v, void (*drop)(void *fold, void *value), void *fold)
{
	struct verify_ids kept = {0};
	struct verify_id key;
	void *value;
	for (size_t at = 0; (value = verify_ids_next(ids, &at, &key)) != NULL;) {
		if (verify_in_pass(v, &key.id))
			verify_ids_add(&kept, &key, value);
		else
			drop(fold, value);
	}
	verify_ids_fini(ids);
	*ids = kept;
}

void verify_ids_drop(struct verify_ids *ids, void (*drop)(void *fold, void *value), void *fold)
{
	struct verify_id key;
	void *value;
	for (size_t at = 0; (value = verify_ids_next(ids, &at, &key)) != NULL;)
		drop(fold, value);
	verify_ids_fini(ids);
}

void verify_ids_fini(struct verify_ids *ids)
{
	free(ids->slots);
	*ids = (struct verify_ids){0};
}
