/* What came of a story, against what had to. Every failure tells the seed. */
#include "story.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEED "LEAT_SEED=%" PRIu64 ": "

static const char *verdict_name(const struct verdict *verdict)
{
	return verdict->outcome == LEAT_OUTCOME_REJECTED ? verdict->code : verdict->outcome == LEAT_OUTCOME_DUPLICATE ? "duplicate" : "applied";
}

/* ---- the ledger ---- */

static void read_missing(struct verdict *verdict, const char *list)
{
	for (; *list != '\0'; list += list[LEAT_UUID_TEXT_BYTES - 1] == ',' ? LEAT_UUID_TEXT_BYTES : LEAT_UUID_TEXT_BYTES - 1) {
		cr_assert_lt(verdict->missing_count, STORY_TARGETS);
		cr_assert(leat_uuid_parse(&verdict->missing[verdict->missing_count++], list, LEAT_UUID_TEXT_BYTES - 1), "%s", list);
	}
}

static int64_t count_of(struct leat_pg *pg, const char *sql)
{
	LEAT_PG_RESULT_SCOPED *result = NULL;
	struct leat_error err;
	cr_assert_eq(leat_pg_run_sql(pg, sql, &result, &err), LEAT_OK, "%s", err.text);
	return leat_pg_int8(result, 0, 0);
}

void story_read_verdicts(struct leat_pg *pg, const struct story *story, struct verdict *verdicts)
{
	static const char sql[] =
		"select position, outcome, code, array_to_string(array(select jsonb_array_elements_text(detail -> 'missing')), ',')"
		" from leat.activity order by position";
	LEAT_PG_RESULT_SCOPED *result = NULL;
	struct leat_error err;
	cr_assert_eq(count_of(pg, "select count(*) from leat.parked"), 0, SEED "still parked", story->seed);
	cr_assert_eq(leat_pg_run_sql(pg, sql, &result, &err), LEAT_OK, "%s", err.text);
	cr_assert_eq(
		leat_pg_rows(result), story->count, SEED "%zu rows in the ledger, %zu intents", story->seed, leat_pg_rows(result), story->count);
	for (size_t i = 0; i < story->count; i++) {
		const char *outcome = leat_pg_text(result, i, 1);
		const char *code = leat_pg_text(result, i, 2);
		cr_assert_eq(leat_pg_int8(result, i, 0), (int64_t)i + 1, SEED "the ledger lacks position %zu", story->seed, i + 1);
		verdicts[i] = (struct verdict){.outcome = LEAT_OUTCOME_APPLIED};
		if (strcmp(outcome, "duplicate") == 0)
			verdicts[i].outcome = LEAT_OUTCOME_DUPLICATE;
		else if (strcmp(outcome, "rejected") == 0)
			verdicts[i].outcome = LEAT_OUTCOME_REJECTED;
		snprintf(verdicts[i].code, sizeof verdicts[i].code, "%s", code != NULL ? code : "");
		read_missing(&verdicts[i], leat_pg_text(result, i, 3));
	}
}

/* ---- verdicts ---- */

/* The intent of that Leat-Id that was applied; NULL when none was. */
static const struct told *applied_of_id(const struct story *story, const struct verdict *verdicts, size_t before, const struct told *asked)
{
	for (size_t i = 0; i < before; i++) {
		const struct told *other = &story->intents[i];
		if (other != asked && verdicts[i].outcome == LEAT_OUTCOME_APPLIED && other->message.leat_id != NULL &&
			strcmp(other->leat_id, asked->leat_id) == 0 && leat_uuid_compare(&other->fold.tenant, &asked->fold.tenant) == 0)
			return other;
	}
	return NULL;
}

static void decide(struct leat_fold *fold, const struct told *told, struct verdict *verdict)
{
	enum leat_fold_outcome outcome = leat_fold_apply(fold, &told->fold, verdict->missing, &verdict->missing_count);
	verdict->outcome = outcome == LEAT_FOLD_APPLIED ? LEAT_OUTCOME_APPLIED : LEAT_OUTCOME_REJECTED;
	if (outcome != LEAT_FOLD_APPLIED)
		snprintf(verdict->code, sizeof verdict->code, "%s", leat_fold_outcome_name(outcome));
	if (outcome != LEAT_FOLD_APPLIED || told->fold.verb != LEAT_FOLD_BULK)
		verdict->missing_count = 0;
}

void story_decide_serially(const struct story *story, struct verdict *verdicts)
{
	struct leat_fold *fold = leat_fold_new();
	for (size_t i = 0; i < story->count; i++) {
		const struct told *told = &story->intents[i];
		verdicts[i] = (struct verdict){0};
		if (told->message.leat_id != NULL && applied_of_id(story, verdicts, i, told) != NULL)
			verdicts[i].outcome = LEAT_OUTCOME_DUPLICATE;
		else
			decide(fold, told, &verdicts[i]);
	}
	leat_fold_free(fold);
}

static bool is_missing(const struct verdict *verdict, const struct leat_uuid *target)
{
	for (size_t i = 0; i < verdict->missing_count; i++)
		if (leat_uuid_compare(&verdict->missing[i], target) == 0)
			return true;
	return false;
}

/* Is everything that `found` did not find also missing in `expected`? */
static bool misses_no_more(const struct verdict *found, const struct verdict *expected)
{
	for (size_t i = 0; i < found->missing_count; i++)
		if (!is_missing(expected, &found->missing[i]))
			return false;
	return true;
}

void story_expect_same_verdicts(const struct story *story, const struct verdict *found, const struct verdict *expected)
{
	for (size_t i = 0; i < story->count; i++) {
		cr_assert_str_eq(verdict_name(&found[i]), verdict_name(&expected[i]), SEED "position %zu, %s: %s, expected %s", story->seed, i + 1,
			story->intents[i].message.verb, verdict_name(&found[i]), verdict_name(&expected[i]));
		cr_assert(misses_no_more(&found[i], &expected[i]) && misses_no_more(&expected[i], &found[i]),
			SEED "position %zu: other targets are missing", story->seed, i + 1);
	}
}

void story_expect_no_needless_rejection(const struct story *story, const struct verdict *found)
{
	struct leat_fold *fold = leat_fold_new();
	for (size_t i = 0; i < story->count; i++) {
		const struct told *told = &story->intents[i];
		const struct told *same = told->message.leat_id != NULL ? applied_of_id(story, found, story->count, told) : NULL;
		if (found[i].outcome == LEAT_OUTCOME_DUPLICATE) {
			cr_assert_not_null(same, SEED "position %zu is a duplicate of nothing", story->seed, i + 1);
			continue;
		}
		cr_assert(found[i].outcome == LEAT_OUTCOME_REJECTED || same == NULL, SEED "%s was applied twice, at %zu and %" PRId64, story->seed,
			told->leat_id, i + 1, same->message.seq);
		struct verdict serial = {0};
		decide(fold, told, &serial);
		cr_assert(found[i].outcome == LEAT_OUTCOME_APPLIED || strcmp(found[i].code, serial.code) == 0,
			SEED "position %zu, %s: %s, but one after the other it is %s", story->seed, i + 1, told->message.verb, verdict_name(&found[i]),
			verdict_name(&serial));
		cr_assert(serial.outcome != LEAT_OUTCOME_APPLIED || misses_no_more(&found[i], &serial), SEED "position %zu misses too much",
			story->seed, i + 1);
	}
	leat_fold_free(fold);
}

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
	leat_buf_add_text(out, "}");
}

static const char find_differences[] =
	"with expected as (select * from unnest($1::uuid[], $2::uuid[], $3::text[]) as expected (tenant_id, id, state)),"
	"found as ("
	" select e.tenant_id, e.id, jsonb_build_object('exists', e.deleted_at is null, 'deleted_position', e.deleted_position,"
	"  'exists_since', coalesce(e.upsert_positions[1], 0), 'entity_type', e.entity_type, 'key', e.key,"
	"  'content', e.content, 'metadata', e.metadata,"
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

/* The intents that were applied, without the targets that they missed. `targets`: room for STORY_TARGETS each. */
static size_t list_applied(
	const struct story *story, const struct verdict *verdicts, struct leat_fold_intent *applied, struct leat_uuid (*targets)[STORY_TARGETS])
{
	size_t count = 0;
	for (size_t i = 0; i < story->count; i++) {
		if (verdicts[i].outcome != LEAT_OUTCOME_APPLIED)
			continue;
		const struct leat_fold_intent *intent = &story->intents[i].fold;
		applied[count] = *intent;
		applied[count].targets = targets[i];
		applied[count].target_count = 0;
		for (size_t t = 0; t < intent->target_count; t++)
			if (!is_missing(&verdicts[i], &intent->targets[t]))
				targets[i][applied[count].target_count++] = intent->targets[t];
		count++;
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

static struct leat_fold *fold_all_but_duplicates(const struct story *story, const struct verdict *verdicts)
{
	struct leat_fold *fold = leat_fold_new();
	for (size_t i = 0; i < story->count; i++) {
		struct verdict unused = {0};
		if (verdicts[i].outcome != LEAT_OUTCOME_DUPLICATE)
			decide(fold, &story->intents[i], &unused);
	}
	return fold;
}

void story_expect_entities(struct leat_pg *pg, const struct story *story, const struct verdict *verdicts)
{
	struct identity *entities = leat_alloc(story->count * STORY_TARGETS * sizeof *entities);
	struct leat_fold_intent *applied = leat_alloc(story->count * sizeof *applied);
	struct leat_uuid(*targets)[STORY_TARGETS] = leat_alloc(story->count * sizeof *targets);
	size_t count = list_entities(story, entities);
	size_t applied_count = list_applied(story, verdicts, applied, targets);
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
	free(targets);
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
		" and (e.deleted_at is null or (e.content = '{}' and e.metadata = '{}'))"
		" and not exists (select from (values (e.content, e.content_positions, e.hidden -> 'content'),"
		"   (e.metadata, e.metadata_positions, e.hidden -> 'metadata')) part (visible, positions, hidden)"
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
