/* What came of a story, against what had to. Every failure tells the seed. */
#include "story.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEED "LEAT_SEED=%" PRIu64 ": "

/* ---- entities ---- */

struct identity {
	struct leat_uuid tenant;
	struct leat_uuid id;
};

static void add_json_text(struct leat_buf *out, const char *text)
{
	if (text == NULL) {
		leat_buf_add_text(out, "null");
		return;
	}
	leat_buf_add_text(out, "\"");
	for (; *text != '\0'; text++)
		leat_buf_printf(out, *text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
	leat_buf_add_text(out, "\"");
}

static void add_json_fields(struct leat_buf *out, const char *part, const struct leat_fold_fields *fields)
{
	leat_buf_printf(out, ",\"%s\":{", part);
	for (size_t i = 0; i < fields->count; i++) {
		leat_buf_add_text(out, i > 0 ? "," : "");
		add_json_text(out, fields->fields[i].name);
		leat_buf_printf(out, ":%s", fields->fields[i].value);
	}
	leat_buf_printf(out, "},\"%s_positions\":{", part);
	for (size_t i = 0; i < fields->count; i++) {
		leat_buf_add_text(out, i > 0 ? "," : "");
		add_json_text(out, fields->fields[i].name);
		leat_buf_printf(out, ":%" PRId64, fields->fields[i].position);
	}
	leat_buf_add_text(out, "}");
}

/* As the query below makes it of a row. */
static void add_json_state(struct leat_buf *out, const struct leat_fold_state *state)
{
	leat_buf_clear(out);
	leat_buf_printf(out,
		"{\"exists\":%s,\"deleted_position\":%" PRId64 ",\"exists_since\":%" PRId64 ",\"entity_type\":", state->exists ? "true" : "false",
		state->deleted_position, state->exists_since);
	add_json_text(out, state->entity_type);
	leat_buf_add_text(out, ",\"key\":");
	add_json_text(out, state->key);
	add_json_fields(out, "content", &state->parts[LEAT_FOLD_CONTENT]);
	add_json_fields(out, "metadata", &state->parts[LEAT_FOLD_METADATA]);
	add_json_fields(out, "lock", &state->parts[LEAT_FOLD_LOCKS]);
	leat_buf_add_text(out, "}");
}

static const char find_differences[] =
	"with expected as (select * from unnest($1::uuid[], $2::uuid[], $3::text[]) as expected (tenant_id, id, state)),"
	"found as ("
	" select e.tenant_id, e.id, jsonb_build_object('exists', e.deleted_at is null, 'deleted_position', e.deleted_position,"
	"  'exists_since', coalesce(e.upsert_positions[1], 0), 'entity_type', e.entity_type, 'key', e.key,"
	"  'content', e.content, 'metadata', e.metadata,"
	"  'lock', (select coalesce(jsonb_object_agg(field, true), '{}') from unnest(e.locked_fields) field),"
	"  'lock_positions', (select coalesce(jsonb_object_agg(field, e.lock_positions -> field), '{}') from unnest(e.locked_fields) field),"
	"  'content_positions', (select coalesce(jsonb_object_agg(field, at), '{}') from jsonb_each(e.content_positions) p (field, at) where "
	"e.content ? field),"
	"  'metadata_positions', (select coalesce(jsonb_object_agg(field, at), '{}') from jsonb_each(e.metadata_positions) p (field, at) where "
	"e.metadata ? field)"
	" ) as state from leat.entities e)"
	"select format(E'entity %s of %s\\n\\texpected %s\\n\\tfound    %s', id, tenant_id, expected.state::jsonb, found.state)"
	" from expected full join found using (tenant_id, id) where expected.state::jsonb is distinct from found.state order by 1";

static void expect_rows(
	struct leat_pg *pg, uint64_t seed, const struct identity *entities, const struct leat_fold_state *states, size_t count)
{
	struct leat_pg_array arrays[3] = {0};
	struct leat_pg_params params = {0};
	LEAT_PG_RESULT_SCOPED *result = NULL;
	LEAT_BUF_SCOPED text = LEAT_BUF_INIT;
	struct leat_error err;
	leat_pg_array_start(&arrays[0], LEAT_PG_UUID);
	leat_pg_array_start(&arrays[1], LEAT_PG_UUID);
	leat_pg_array_start(&arrays[2], LEAT_PG_TEXT);
	for (size_t i = 0; i < count; i++) {
		if (states[i].entity_type == NULL)
			continue; /* never created: no row */
		leat_pg_array_add_uuid(&arrays[0], &entities[i].tenant);
		leat_pg_array_add_uuid(&arrays[1], &entities[i].id);
		add_json_state(&text, &states[i]);
		leat_pg_array_add_text(&arrays[2], text.data);
	}
	for (size_t i = 0; i < 3; i++)
		leat_pg_bind_array(&params, &arrays[i]);
	cr_assert_eq(leat_pg_run_once(pg, find_differences, &params, &result, &err), LEAT_OK, "%s", err.text);
	cr_assert_eq(leat_pg_rows(result), 0, SEED "%zu entities differ; %s", seed, leat_pg_rows(result), leat_pg_text(result, 0, 0));
	for (size_t i = 0; i < 3; i++)
		leat_pg_array_free(&arrays[i]);
}

static size_t list_entities(const struct story *story, struct identity *entities)
{
	size_t count = 0;
	for (size_t i = 0; i < story->count; i++) {
		const struct leat_fold_intent *intent = &story->intents[i].fold;
		for (size_t t = 0; t < intent->target_count; t++) {
			size_t known = 0;
			while (known < count &&
				(leat_uuid_compare(&entities[known].tenant, &intent->tenant) != 0 ||
					leat_uuid_compare(&entities[known].id, &intent->targets[t]) != 0))
				known++;
			if (known == count)
				entities[count++] = (struct identity){intent->tenant, intent->targets[t]};
		}
	}
	return count;
}

/* The intents that were applied, about each target that they did not miss. Room in both for STORY_TARGETS an intent. */
static size_t list_applied(
	const struct story *story, const struct verdict *verdicts, struct leat_fold_intent *applied, struct story_decided *decided)
{
	size_t count = 0;
	for (size_t i = 0; i < story->count; i++) {
		const struct told *told = &story->intents[i];
		for (size_t t = 0; t < told->fold.target_count && verdicts[i].outcome == LEAT_OUTCOME_APPLIED; t++) {
			if (!story_as_decided(&decided[count], told, &verdicts[i], t))
				continue;
			applied[count] = decided[count].fold;
			count++;
		}
	}
	return count;
}

/* All but the deletes that hit nothing: the serial fold leaves them out. */
static void expect_same_state(uint64_t seed, const struct leat_fold_state *of_set, const struct leat_fold_state *serial)
{
	LEAT_BUF_SCOPED expected = LEAT_BUF_INIT;
	LEAT_BUF_SCOPED found = LEAT_BUF_INIT;
	struct leat_fold_state same_delete = serial != NULL ? *serial : (struct leat_fold_state){0};
	same_delete.deleted_position = of_set->deleted_position;
	add_json_state(&expected, &same_delete);
	add_json_state(&found, of_set);
	cr_assert_str_eq(found.data, expected.data, SEED "the two folds differ\n\tserial %s\n\tset    %s", seed, expected.data, found.data);
}

/* In stream order, what was rejected too; what was skipped is as the ledger says. */
static struct leat_fold *fold_all_but_duplicates(const struct story *story, const struct verdict *verdicts)
{
	struct leat_fold *fold = leat_fold_new();
	for (size_t i = 0; i < story->count; i++) {
		for (size_t t = 0; t < story->intents[i].fold.target_count && verdicts[i].outcome != LEAT_OUTCOME_DUPLICATE; t++) {
			struct story_decided decided;
			struct leat_uuid missing;
			size_t missing_count;
			if (story_as_decided(&decided, &story->intents[i], &verdicts[i], t))
				leat_fold_apply(fold, &decided.fold, &missing, &missing_count);
		}
	}
	return fold;
}

void story_expect_entities(struct leat_pg *pg, const struct story *story, const struct verdict *verdicts)
{
	struct identity *entities = leat_alloc(story->count * STORY_TARGETS * sizeof *entities);
	struct leat_fold_intent *applied = leat_alloc(story->count * STORY_TARGETS * sizeof *applied);
	struct story_decided *decided = leat_alloc(story->count * STORY_TARGETS * sizeof *decided);
	size_t count = list_entities(story, entities);
	size_t applied_count = list_applied(story, verdicts, applied, decided);
	struct leat_fold_state *states = leat_alloc(count * sizeof *states);
	struct leat_fold *serial = fold_all_but_duplicates(story, verdicts);

	for (size_t i = 0; i < count; i++) {
		leat_fold_set(&states[i], &entities[i].tenant, &entities[i].id, applied, applied_count);
		expect_same_state(story->seed, &states[i], leat_fold_get(serial, &entities[i].tenant, &entities[i].id));
	}
	expect_rows(pg, story->seed, entities, states, count);

	for (size_t i = 0; i < count; i++)
		leat_fold_state_fini(&states[i]);
	leat_fold_free(serial);
	free(states);
	free(decided);
	free(applied);
	free(entities);
}

void story_expect_sound_rows(struct leat_pg *pg, const struct story *story)
{
	static const char sql[] =
		"select to_jsonb(e)::text from leat.entities e where not ((e.deleted_at is null) = (e.upsert_positions <> '{}')"
		" and e.upsert_positions = array(select distinct u from unnest(e.upsert_positions) u order by u)"
		" and coalesce(e.upsert_positions[1], e.deleted_position + 1) > e.deleted_position"
		" and e.last_position >= greatest(e.deleted_position, e.type_position, e.upsert_positions[cardinality(e.upsert_positions)])"
		" and (e.deleted_at is null or (e.content = '{}' and e.metadata = '{}' and e.locked_fields = '{}'))"
		" and e.locked_fields = array(select distinct field collate \"C\" from unnest(e.locked_fields) field order by 1)"
		" and not exists (select from (values (e.content, e.content_positions, e.hidden -> 'content'),"
		"   (e.metadata, e.metadata_positions, e.hidden -> 'metadata'),"
		"   (leat.names_at(to_jsonb(e.locked_fields), 0), e.lock_positions, e.hidden -> 'locks')) part (visible, positions, hidden)"
		"  where exists (select from jsonb_object_keys(visible) field where (positions ->> field)::bigint < e.upsert_positions[1] or not "
		"positions ? field)"
		"   or exists (select from jsonb_object_keys(coalesce(hidden, '{}')) field"
		"    where visible ? field or not positions ? field or (positions ->> field)::bigint >= coalesce(e.upsert_positions[1], "
		"e.last_position + 1)"
		"     or (positions ->> field)::bigint <= e.deleted_position)))";
	LEAT_PG_RESULT_SCOPED *result = NULL;
	struct leat_error err;
	cr_assert_eq(leat_pg_run_sql(pg, sql, &result, &err), LEAT_OK, "%s", err.text);
	cr_assert_eq(leat_pg_rows(result), 0, SEED "unsound: %s", story->seed, leat_pg_text(result, 0, 0));
}
