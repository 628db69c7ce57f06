/* Telling a story: every choice is drawn from the seed. Nothing here fails. */
#include "story.h"

#include "leat/buf.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TENANTS 3
#define RIG_TENANT_C "cccccccc-cccc-4ccc-8ccc-cccccccccccc"

static const char *const tenants[TENANTS] = {RIG_TENANT_A, RIG_TENANT_B, RIG_TENANT_C};
static const unsigned users_percent[] = {
	5, 50, 95}; /* one by story: entities of which some are written by users only, by both, by no user */

/* As it is, and as JSON. */
static const char *const names[][2] = {{"a", "\"a\""}, {"b", "\"b\""}, {"c", "\"\\u0063\""}, {"é \"", "\"é \\\"\""}, {"0", "\"0\""}};

size_t chance_of(struct chance *chance, size_t of)
{
	uint64_t z = chance->state += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (size_t)((z ^ (z >> 31)) % of);
}

bool chance_percent(struct chance *chance, unsigned percent)
{
	return chance_of(chance, 100) < percent;
}

void chance_shuffle(struct chance *chance, size_t *values, size_t count)
{
	for (size_t i = count; i > 1; i--) {
		size_t other = chance_of(chance, i);
		size_t kept = values[i - 1];
		values[i - 1] = values[other];
		values[other] = kept;
	}
}

static enum leat_fold_verb draw_verb(struct chance *chance)
{
	size_t drawn = chance_of(chance, 100);
	return drawn < 25 ? LEAT_FOLD_UPSERT
		: drawn < 60  ? LEAT_FOLD_MERGE
		: drawn < 70  ? LEAT_FOLD_BULK
		: drawn < 80  ? LEAT_FOLD_UNSET
		: drawn < 86  ? LEAT_FOLD_LOCK
		: drawn < 90  ? LEAT_FOLD_UNLOCK
					  : LEAT_FOLD_DELETE;
}

/* ---- targets ---- */

/* The odd ones have a key. */
static bool has_key(size_t entity)
{
	return entity % 2 == 1;
}

static struct leat_uuid entity_id(const struct leat_uuid *tenant, size_t entity)
{
	struct leat_uuid id;
	char text[64];
	if (has_key(entity)) {
		snprintf(text, sizeof text, "keyed:key-%zu", entity);
		leat_uuid_from_name(&id, tenant, text, strlen(text));
	} else {
		snprintf(text, sizeof text, "eeeeeeee-0000-4000-8000-%012zx", entity);
		cr_assert(leat_uuid_parse(&id, text, strlen(text)));
	}
	return id;
}

static void add_bulk(struct told *told, struct leat_buf *body, struct chance *chance, size_t entities)
{
	size_t count = 1 + chance_of(chance, entities < STORY_TARGETS ? entities : STORY_TARGETS);
	size_t order[STORY_ENTITIES];
	cr_assert_leq(entities, STORY_ENTITIES);
	for (size_t i = 0; i < entities; i++)
		order[i] = i;
	chance_shuffle(chance, order, entities);

	leat_buf_add_text(body, "\"entity_ids\":[");
	for (size_t i = 0; i < count; i++) {
		char text[LEAT_UUID_TEXT_BYTES];
		told->targets[i] = entity_id(&told->fold.tenant, order[i]);
		leat_uuid_format(&told->targets[i], text);
		leat_buf_printf(body, "%s\"%s\"", i > 0 ? "," : "", text);
	}
	leat_buf_add_text(body, "]");
	told->fold.target_count = count;
}

static void add_target(struct told *told, struct leat_buf *body, struct chance *chance, size_t entity)
{
	enum leat_fold_verb verb = told->fold.verb;
	told->targets[0] = entity_id(&told->fold.tenant, entity);
	told->fold.target_count = 1;
	leat_uuid_format(&told->targets[0], told->entity);
	told->message.entity = told->entity;
	if (has_key(entity) && (verb == LEAT_FOLD_UPSERT || verb == LEAT_FOLD_MERGE) && chance_percent(chance, 70)) {
		snprintf(told->key, sizeof told->key, "key-%zu", entity);
		snprintf(told->type, sizeof told->type, "keyed");
		leat_buf_printf(body, "\"entity_type\":\"%s\",\"key\":\"%s\"", told->type, told->key);
	} else {
		leat_buf_printf(body, "\"entity_id\":\"%s\"", told->entity);
		snprintf(told->type, sizeof told->type, "t%zu", chance_of(chance, 3));
		if (verb == LEAT_FOLD_UPSERT)
			leat_buf_printf(body, ",\"entity_type\":\"%s\"", told->type);
	}
	if (verb == LEAT_FOLD_UPSERT) {
		told->fold.entity_type = told->type;
		told->fold.key = told->key[0] != '\0' ? told->key : NULL;
	}
}

/* ---- fields ---- */

static void draw_value(char out[64], struct chance *chance, int64_t seq)
{
	switch (chance_of(chance, 6)) {
	case 0:
		snprintf(out, 64, "null");
		break;
	case 1:
		snprintf(out, 64, "\"of %" PRId64 "\"", seq);
		break;
	case 2:
		snprintf(out, 64, "{\"n\":[%" PRId64 ",{}],\"a\":null}", seq);
		break;
	case 3:
		snprintf(out, 64, "1234567890123456789012345678901234567890.%" PRId64 "0", seq);
		break;
	default:
		snprintf(out, 64, "%" PRId64, seq);
	}
}

static void add_fields(struct told *told, struct leat_buf *body, struct chance *chance, enum leat_fold_part part)
{
	static const char *const part_names[] = {"content", "metadata"};
	bool removes = told->fold.verb == LEAT_FOLD_UNSET;
	size_t count = chance_of(chance, STORY_FIELDS);
	size_t first = chance_of(chance, sizeof names / sizeof *names);
	if (removes && part == LEAT_FOLD_METADATA && told->fold.parts[LEAT_FOLD_CONTENT].count == 0 && count == 0)
		count = 1; /* an unset names something */
	if (count == 0 && chance_percent(chance, 50))
		return;
	leat_buf_printf(body, ",\"%s\":%c", part_names[part], removes ? '[' : '{');
	for (size_t i = 0; i < count; i++) {
		const char *const *name = names[(first + i) % (sizeof names / sizeof *names)];
		char *value = told->values[part][i];
		leat_buf_printf(body, "%s%s", i > 0 ? "," : "", name[1]);
		if (!removes) {
			draw_value(value, chance, told->fold.position);
			leat_buf_printf(body, ":%s", value);
		}
		told->writes[part][i] = (struct leat_fold_write){name[0], removes ? NULL : value};
	}
	leat_buf_add_text(body, removes ? "]" : "}");
	told->fold.parts[part].writes = told->writes[part];
	told->fold.parts[part].count = count;
}

static void add_locks(struct told *told, struct leat_buf *body, struct chance *chance)
{
	size_t count = 1 + chance_of(chance, STORY_FIELDS);
	size_t first = chance_of(chance, sizeof names / sizeof *names);
	leat_buf_add_text(body, ",\"fields\":[");
	for (size_t i = 0; i < count; i++) {
		const char *const *name = names[(first + i) % (sizeof names / sizeof *names)];
		leat_buf_printf(body, "%s%s", i > 0 ? "," : "", name[1]);
		told->writes[LEAT_FOLD_LOCKS][i] = (struct leat_fold_write){name[0], told->fold.verb == LEAT_FOLD_LOCK ? "true" : NULL};
	}
	leat_buf_add_text(body, "]");
	told->fold.parts[LEAT_FOLD_LOCKS].writes = told->writes[LEAT_FOLD_LOCKS];
	told->fold.parts[LEAT_FOLD_LOCKS].count = count;
}

static void add_respect(struct told *told, struct leat_buf *body, struct chance *chance, unsigned percent)
{
	told->respects_locks = chance_percent(chance, percent);
	if (told->respects_locks || chance_percent(chance, 20))
		leat_buf_printf(body, ",\"respect_locks\":%s", told->respects_locks ? "true" : "false");
}

/* What a story is about. */
struct plot {
	size_t entities;
	unsigned users;    /* percent of the intents */
	unsigned respects; /* percent of the merges respect locks */
	size_t births;     /* so many upserts come first, one an entity, and only merges after; 0: all verbs, mixed */
};

/* All but the target. */
static void add_rest(struct told *told, struct leat_buf *body, struct chance *chance, const struct plot *plot)
{
	enum leat_fold_verb verb = told->fold.verb;
	if (verb == LEAT_FOLD_DELETE)
		return;
	if (verb == LEAT_FOLD_LOCK || verb == LEAT_FOLD_UNLOCK) {
		add_locks(told, body, chance);
		return;
	}
	add_fields(told, body, chance, LEAT_FOLD_CONTENT);
	add_fields(told, body, chance, LEAT_FOLD_METADATA);
	if (verb == LEAT_FOLD_MERGE || verb == LEAT_FOLD_BULK)
		add_respect(told, body, chance, plot->respects);
}

/* ---- all of it ---- */

static void tell(struct told *told, int64_t seq, struct chance *chance, const struct plot *plot, size_t ids_used[TENANTS])
{
	LEAT_BUF_SCOPED body = LEAT_BUF_INIT;
	size_t number = (size_t)seq - 1;
	bool is_birth = number < plot->births;
	size_t tenant = is_birth ? number % TENANTS : chance_of(chance, TENANTS);
	told->fold.position = seq;
	told->fold.verb = is_birth ? LEAT_FOLD_UPSERT : plot->births > 0 ? LEAT_FOLD_MERGE : draw_verb(chance);
	told->fold.targets = told->targets;
	cr_assert(leat_uuid_parse(&told->fold.tenant, tenants[tenant], strlen(tenants[tenant])));
	told->message =
		(struct message){.seq = seq, .tenant = tenants[tenant], .verb = leat_fold_verb_name(told->fold.verb), .body = told->body};
	told->message.role = chance_percent(chance, plot->users) ? "user" : chance_percent(chance, 50) ? "service" : "engine";

	leat_buf_add_text(&body, "{");
	if (told->fold.verb == LEAT_FOLD_BULK)
		add_bulk(told, &body, chance, plot->entities);
	else
		add_target(told, &body, chance, is_birth ? number / TENANTS : chance_of(chance, plot->entities));
	add_rest(told, &body, chance, plot);
	leat_buf_add_text(&body, "}");
	cr_assert_lt(body.len, sizeof told->body);
	memcpy(told->body, body.data, body.len + 1);

	if (chance_percent(chance, 60)) {
		bool again = ids_used[tenant] > 0 && chance_percent(chance, 8);
		size_t id = again ? chance_of(chance, ids_used[tenant]) : ids_used[tenant]++;
		snprintf(told->leat_id, sizeof told->leat_id, "id-%zu", id);
		told->message.leat_id = told->leat_id;
	}
}

static void tell_all(struct story *story, uint64_t seed, size_t count, const struct plot *plot)
{
	struct chance chance = {seed};
	size_t ids_used[TENANTS] = {0};
	*story = (struct story){.seed = seed, .count = count, .intents = leat_alloc_zero(count, sizeof(struct told))};
	for (size_t i = 0; i < count; i++)
		tell(&story->intents[i], (int64_t)i + 1, &chance, plot, ids_used);
}

void story_tell(struct story *story, uint64_t seed, size_t count, size_t entities)
{
	tell_all(story, seed, count, &(struct plot){.entities = entities, .users = users_percent[seed % 3], .respects = 50});
}

void story_tell_merges(struct story *story, uint64_t seed, size_t count, size_t entities)
{
	static const unsigned users[] = {0, 100, 10};
	tell_all(story, seed, count,
		&(struct plot){.entities = entities, .users = users[seed % 3], .respects = seed % 2 == 0 ? 0 : 1, .births = entities * TENANTS});
}

void story_free(struct story *story)
{
	free(story->intents);
	*story = (struct story){0};
}
