/*
 * How the intents of a story ended: by the ledger, and by a program that takes one after the other. Every failure tells the seed.
 */
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

/* Marks the target and the field in the verdict on an intent that skipped it. */
static void read_skipped(const struct told *told, struct verdict *verdict, const char *entity, const char *field)
{
	const struct leat_fold_intent *intent = &told->fold;
	struct leat_uuid id;
	size_t target = 0;
	size_t write = 0;
	cr_assert(leat_uuid_parse(&id, entity, strlen(entity)));
	while (target < intent->target_count && leat_uuid_compare(&intent->targets[target], &id) != 0)
		target++;
	while (write < intent->parts[LEAT_FOLD_CONTENT].count && strcmp(intent->parts[LEAT_FOLD_CONTENT].writes[write].name, field) != 0)
		write++;
	cr_assert(told->respects_locks && target < intent->target_count && write < intent->parts[LEAT_FOLD_CONTENT].count,
		"position %" PRId64 " skipped %s of %s, and does not write it or respects no locks", intent->position, field, entity);
	verdict->skipped[target][write] = true;
}

static void read_all_skipped(struct leat_pg *pg, const struct story *story, struct verdict *verdicts)
{
	static const char sql[] = "select a.position, skipped.entity, field from leat.activity a"
							  " cross join lateral jsonb_each(case a.verb when 'bulk' then a.detail -> 'skipped_fields'"
							  "  else jsonb_build_object(a.target_id::text, a.detail -> 'skipped_fields') end) skipped (entity, fields)"
							  " cross join lateral jsonb_array_elements_text(skipped.fields) field where a.detail ? 'skipped_fields'";
	LEAT_PG_RESULT_SCOPED *result = NULL;
	struct leat_error err;
	cr_assert_eq(leat_pg_run_sql(pg, sql, &result, &err), LEAT_OK, "%s", err.text);
	for (size_t row = 0; row < leat_pg_rows(result); row++) {
		size_t intent = (size_t)leat_pg_int8(result, row, 0) - 1;
		read_skipped(&story->intents[intent], &verdicts[intent], leat_pg_text(result, row, 1), leat_pg_text(result, row, 2));
	}
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
	read_all_skipped(pg, story, verdicts);
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

static bool is_missing(const struct verdict *verdict, const struct leat_uuid *target)
{
	for (size_t i = 0; i < verdict->missing_count; i++)
		if (leat_uuid_compare(&verdict->missing[i], target) == 0)
			return true;
	return false;
}

bool story_as_decided(struct story_decided *out, const struct told *told, const struct verdict *verdict, size_t target)
{
	const struct leat_fold_intent *intent = &told->fold;
	if (is_missing(verdict, &intent->targets[target]))
		return false;
	out->fold = *intent;
	out->fold.targets = &intent->targets[target];
	out->fold.target_count = 1;
	out->fold.parts[LEAT_FOLD_CONTENT].writes = out->content;
	out->fold.parts[LEAT_FOLD_CONTENT].count = 0;
	for (size_t i = 0; i < intent->parts[LEAT_FOLD_CONTENT].count; i++)
		if (!verdict->skipped[target][i])
			out->content[out->fold.parts[LEAT_FOLD_CONTENT].count++] = intent->parts[LEAT_FOLD_CONTENT].writes[i];
	return true;
}

static bool is_locked(const struct leat_fold_state *state, const char *field)
{
	for (size_t i = 0; state != NULL && i < state->parts[LEAT_FOLD_LOCKS].count; i++)
		if (strcmp(state->parts[LEAT_FOLD_LOCKS].fields[i].name, field) == 0)
			return true;
	return false;
}

/* What of it a program skips that has got as far as this fold. */
static void skip_locked(const struct leat_fold *fold, const struct told *told, struct verdict *verdict)
{
	const struct leat_fold_intent *intent = &told->fold;
	for (size_t t = 0; t < intent->target_count && told->respects_locks; t++)
		for (size_t i = 0; i < intent->parts[LEAT_FOLD_CONTENT].count; i++)
			verdict->skipped[t][i] =
				is_locked(leat_fold_get(fold, &intent->tenant, &intent->targets[t]), intent->parts[LEAT_FOLD_CONTENT].writes[i].name);
}

/* Target by target, since each may skip other fields. `verdict` must be empty. */
static void decide(struct leat_fold *fold, const struct told *told, struct verdict *verdict)
{
	enum leat_fold_outcome outcome = LEAT_FOLD_APPLIED;
	size_t applied = 0;
	skip_locked(fold, told, verdict);
	for (size_t t = 0; t < told->fold.target_count; t++) {
		struct story_decided decided;
		size_t missing;
		cr_assert(story_as_decided(&decided, told, verdict, t));
		outcome = leat_fold_apply(fold, &decided.fold, &verdict->missing[verdict->missing_count], &missing);
		verdict->missing_count += missing;
		applied += outcome == LEAT_FOLD_APPLIED;
	}
	verdict->outcome = applied > 0 ? LEAT_OUTCOME_APPLIED : LEAT_OUTCOME_REJECTED;
	if (applied == 0)
		snprintf(verdict->code, sizeof verdict->code, "%s", leat_fold_outcome_name(outcome));
	if (applied == 0 || told->fold.verb != LEAT_FOLD_BULK)
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
		cr_assert_arr_eq(found[i].skipped, expected[i].skipped, sizeof found[i].skipped, SEED "position %zu, %s: other fields were skipped",
			story->seed, i + 1, story->intents[i].message.body);
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
