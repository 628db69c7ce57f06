/*
 * The definition, for people first: each function below is a clause of design.md section 4.
 *
 *   D  the highest delete
 *   C  the lowest upsert above D; the entity exists if there is one
 *   each field's value is that of the highest write or unset at or above C
 *
 * Every clause is a minimum or a maximum over the set, so the order in which the intents stand has no say. Nothing here can fail.
 */
#include "leat/buf.h"

#include "fold.h"

#include <stdlib.h>

/* The intents about one entity. */
struct set {
	const struct leat_fold_intent **intents;
	size_t count;
};

static bool is_about(const struct leat_fold_intent *intent, const struct leat_uuid *tenant, const struct leat_uuid *entity)
{
	if (leat_uuid_compare(&intent->tenant, tenant) != 0)
		return false;
	for (size_t i = 0; i < intent->target_count; i++)
		if (leat_uuid_compare(&intent->targets[i], entity) == 0)
			return true;
	return false;
}

static int64_t highest_delete(const struct set *set)
{
	int64_t highest = 0;
	for (size_t i = 0; i < set->count; i++)
		if (set->intents[i]->verb == LEAT_FOLD_DELETE && set->intents[i]->position > highest)
			highest = set->intents[i]->position;
	return highest;
}

static int64_t lowest_upsert_above(const struct set *set, int64_t position)
{
	int64_t lowest = 0;
	for (size_t i = 0; i < set->count; i++) {
		const struct leat_fold_intent *intent = set->intents[i];
		if (intent->verb == LEAT_FOLD_UPSERT && intent->position > position && (lowest == 0 || intent->position < lowest))
			lowest = intent->position;
	}
	return lowest;
}

static const char *type_of_highest_upsert(const struct set *set)
{
	const struct leat_fold_intent *highest = NULL;
	for (size_t i = 0; i < set->count; i++)
		if (set->intents[i]->verb == LEAT_FOLD_UPSERT && (highest == NULL || set->intents[i]->position > highest->position))
			highest = set->intents[i];
	return highest != NULL ? highest->entity_type : NULL;
}

/* All that have one have the same: the id is made of it. */
static const char *key_of_any_upsert(const struct set *set)
{
	for (size_t i = 0; i < set->count; i++)
		if (set->intents[i]->verb == LEAT_FOLD_UPSERT && set->intents[i]->key != NULL)
			return set->intents[i]->key;
	return NULL;
}

static void take_highest_writes(struct leat_fold_fields *fields, const struct set *set, enum leat_fold_part part, int64_t from)
{
	for (size_t i = 0; i < set->count; i++) {
		const struct leat_fold_intent *intent = set->intents[i];
		if (intent->position < from)
			continue;
		for (size_t w = 0; w < intent->parts[part].count; w++)
			leat_fold_fields_write(fields, &intent->parts[part].writes[w], intent->position);
	}
	leat_fold_fields_drop_removed(fields);
}

void leat_fold_set(struct leat_fold_state *out, const struct leat_uuid *tenant, const struct leat_uuid *entity,
	const struct leat_fold_intent *intents, size_t count)
{
	struct set set = {leat_alloc(count * sizeof(struct leat_fold_intent *)), 0};
	for (size_t i = 0; i < count; i++)
		if (is_about(&intents[i], tenant, entity))
			set.intents[set.count++] = &intents[i];

	*out = (struct leat_fold_state){0};
	out->deleted_position = highest_delete(&set);
	out->exists_since = lowest_upsert_above(&set, out->deleted_position);
	out->exists = out->exists_since > 0;
	out->entity_type = type_of_highest_upsert(&set);
	out->key = key_of_any_upsert(&set);
	out->deleted = !out->exists && out->entity_type != NULL;
	for (enum leat_fold_part part = 0; out->exists && part < LEAT_FOLD_PARTS; part++)
		take_highest_writes(&out->parts[part], &set, part, out->exists_since);
	free(set.intents);
}
