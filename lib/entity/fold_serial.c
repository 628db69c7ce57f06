/*
 * The serial fold: what a program would do that applies one intent after the other, with nobody else around.
 *
 * An upsert creates or revives, a delete ends, all else changes what exists. It knows neither C nor D, so that it disagrees with
 * leat_fold_set if one of the two is wrong. It fails only as intents do: by their outcome.
 */
#include "leat/buf.h"

#include "fold.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct entity {
	struct leat_uuid tenant;
	struct leat_uuid id;
	struct leat_fold_state state;
};

struct leat_fold {
	struct entity *entities; /* by tenant and id */
	size_t count;
	int64_t position; /* of the last intent */
};

struct leat_fold *leat_fold_new(void)
{
	return leat_alloc_zero(1, sizeof(struct leat_fold));
}

void leat_fold_free(struct leat_fold *fold)
{
	if (fold == NULL)
		return;
	for (size_t i = 0; i < fold->count; i++)
		leat_fold_state_fini(&fold->entities[i].state);
	free(fold->entities);
	free(fold);
}

/* ---- entities ---- */

static int compare(const struct entity *entity, const struct leat_uuid *tenant, const struct leat_uuid *id)
{
	int order = leat_uuid_compare(&entity->tenant, tenant);
	return order != 0 ? order : leat_uuid_compare(&entity->id, id);
}

/* Where it stands, or would have to. */
static size_t place_of(const struct leat_fold *fold, const struct leat_uuid *tenant, const struct leat_uuid *id)
{
	size_t low = 0;
	size_t high = fold->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (compare(&fold->entities[middle], tenant, id) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct leat_fold_state *find(const struct leat_fold *fold, const struct leat_uuid *tenant, const struct leat_uuid *id)
{
	size_t at = place_of(fold, tenant, id);
	return at < fold->count && compare(&fold->entities[at], tenant, id) == 0 ? &fold->entities[at].state : NULL;
}

const struct leat_fold_state *leat_fold_get(const struct leat_fold *fold, const struct leat_uuid *tenant, const struct leat_uuid *entity)
{
	return find(fold, tenant, entity);
}

static struct leat_fold_state *find_or_add(struct leat_fold *fold, const struct leat_uuid *tenant, const struct leat_uuid *id)
{
	struct leat_fold_state *known = find(fold, tenant, id);
	if (known != NULL)
		return known;
	fold->entities = leat_realloc(fold->entities, (fold->count + 1) * sizeof *fold->entities);
	size_t at = place_of(fold, tenant, id);
	memmove(&fold->entities[at + 1], &fold->entities[at], (fold->count - at) * sizeof *fold->entities);
	fold->entities[at] = (struct entity){.tenant = *tenant, .id = *id};
	fold->count++;
	return &fold->entities[at].state;
}

/* ---- intents ---- */

static void write_fields(struct leat_fold_state *state, const struct leat_fold_intent *intent)
{
	for (enum leat_fold_part part = 0; part < LEAT_FOLD_PARTS; part++) {
		for (size_t i = 0; i < intent->parts[part].count; i++)
			leat_fold_fields_write(&state->parts[part], &intent->parts[part].writes[i], intent->position);
		leat_fold_fields_drop_removed(&state->parts[part]);
	}
}

static void upsert(struct leat_fold_state *state, const struct leat_fold_intent *intent)
{
	if (!state->exists)
		state->exists_since = intent->position;
	state->exists = true;
	state->deleted = false;
	state->entity_type = intent->entity_type;
	if (intent->key != NULL)
		state->key = intent->key;
	write_fields(state, intent);
}

static void end(struct leat_fold_state *state, int64_t position)
{
	state->exists = false;
	state->deleted = true;
	state->deleted_position = position;
	state->exists_since = 0;
	for (enum leat_fold_part part = 0; part < LEAT_FOLD_PARTS; part++)
		leat_fold_fields_clear(&state->parts[part]);
}

static enum leat_fold_outcome change(struct leat_fold *fold, const struct leat_fold_intent *intent, const struct leat_uuid *target)
{
	if (intent->verb == LEAT_FOLD_UPSERT) {
		upsert(find_or_add(fold, &intent->tenant, target), intent);
		return LEAT_FOLD_APPLIED;
	}
	struct leat_fold_state *state = find(fold, &intent->tenant, target);
	if (state == NULL)
		return LEAT_FOLD_NOT_FOUND;
	if (!state->exists)
		return LEAT_FOLD_DELETED;
	if (intent->verb == LEAT_FOLD_DELETE)
		end(state, intent->position);
	else
		write_fields(state, intent);
	return LEAT_FOLD_APPLIED;
}

enum leat_fold_outcome leat_fold_apply(
	struct leat_fold *fold, const struct leat_fold_intent *intent, struct leat_uuid *missing, size_t *missing_count)
{
	assert(intent->position >= fold->position && intent->target_count > 0);
	assert(intent->verb == LEAT_FOLD_BULK || intent->target_count == 1);
	fold->position = intent->position;

	enum leat_fold_outcome outcome = LEAT_FOLD_APPLIED;
	*missing_count = 0;
	for (size_t i = 0; i < intent->target_count; i++) {
		outcome = change(fold, intent, &intent->targets[i]);
		if (outcome != LEAT_FOLD_APPLIED)
			missing[(*missing_count)++] = intent->targets[i];
	}
	if (intent->verb == LEAT_FOLD_BULK)
		return *missing_count < intent->target_count ? LEAT_FOLD_APPLIED : LEAT_FOLD_NOT_FOUND;
	return outcome;
}

/* ---- names ---- */

const char *leat_fold_verb_name(enum leat_fold_verb verb)
{
	static const char *const names[] = {"upsert", "merge", "bulk", "unset", "lock", "unlock", "delete"};
	return names[verb];
}

const char *leat_fold_outcome_name(enum leat_fold_outcome outcome)
{
	static const char *const names[] = {"applied", "not_found", "deleted"};
	return names[outcome];
}
