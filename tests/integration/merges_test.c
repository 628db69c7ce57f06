/*
 * Batches that only merge (leat.merge_entity_groups, and leat.merge_few for the smallest): no look at the rows first, and the same result.
 * The fold of such batches in any order is in convergence_test.c, their locks in overlap_test.c.
 */
#include "intents.h"
#include "load.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static struct rig rig;
static struct gate gate;

static void make_entities(void)
{
	const struct message upserts[] = {intent(1, "upsert", ENTITY_1, "'content':{'a':1}"),
		intent(2, "upsert", ENTITY_2, "'content':{'a':2}"), intent(3, "upsert", ENTITY_3, "'content':{'a':3},'metadata':{'m':3}")};
	PUT_EXPECT(&gate, upserts, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED);
}

static void setup(void)
{
	gate_open_with_rig(&gate, &rig);
	make_entities();
}

static void teardown(void)
{
	gate_close_with_rig(&gate, &rig);
}

TestSuite(merges, .init = setup, .fini = teardown);

static void expect_content(const char *entity, const char *expected)
{
	rig_sql_expect(&rig, expected, "select content from leat.entities where id = '%s'", entity);
}

static struct message by_user(const char *tenant, struct message message)
{
	message.tenant = tenant;
	message.role = "user";
	return message;
}

/* Whether the connection looks at the rows before it merges, since some were missing a moment ago. */
static bool looks_first(void)
{
	LEAT_PG_RESULT_SCOPED *result = NULL;
	struct leat_error err;
	cr_assert_eq(
		leat_pg_run_sql(gate.pg, "select coalesce(nullif(current_setting('leat.look_first', true), ''), '0')::bigint", &result, &err),
		LEAT_OK, "%s", err.text);
	return leat_pg_int8(result, 0, 0) > 0;
}

/* ---- without a look ---- */

Test(merges, fields_that_are_newer_are_left_alone)
{
	put(&gate, intent(50, "merge", ENTITY_1, "'content':{'a':50},'metadata':{'m':50}"));
	const struct message batch[] = {intent(40, "merge", ENTITY_1, "'content':{'a':40,'b':40}"),
		intent(41, "merge", ENTITY_2, "'content':{'b':41}"), intent(42, "merge", ENTITY_1, "'content':{'c':42},'metadata':{'m':42,'n':42}"),
		intent(43, "merge", ENTITY_3, ""), intent(44, "merge", ENTITY_2, "'content':{'b':44}")};
	PUT_EXPECT(&gate, batch, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED);
	cr_assert_not(looks_first());
	rig_sql_expect(&rig,
		"{\"a\": 50, \"b\": 40, \"c\": 42} {\"m\": 50, \"n\": 42} {\"a\": 50, \"b\": 40, \"c\": 42} {\"m\": 50, \"n\": 42} 50",
		"select concat_ws(' ', content, metadata, content_positions, metadata_positions, last_position) from leat.entities where id = "
		"'" ENTITY_1 "'");
	expect_content(ENTITY_2, "{\"a\": 2, \"b\": 44}");
}

Test(merges, one_that_waits_for_its_entity_holds_up_nobody)
{
	static const char missing[] = "eeeeeeee-0000-4000-8000-000000000009";
	for (int64_t at = 10; at <= 20; at += 10) { /* the second batch knows of the first */
		const struct message batch[] = {intent(at, "merge", ENTITY_1, "'content':{'b':1}"),
			intent(at + 1, "merge", ENTITY_2, "'content':{'b':2}"), intent(at + 2, "merge", missing, "'content':{'b':9}"),
			intent(at + 3, "merge", ENTITY_3, "'content':{'b':3}"), intent(at + 4, "merge", ENTITY_1, "'content':{'c':1}")};
		PUT_EXPECT(
			&gate, batch, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_PARKED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED);
		cr_assert(looks_first());
	}
	expect_content(ENTITY_1, "{\"a\": 1, \"b\": 1, \"c\": 1}");
	rig_sql_expect(&rig, "8", "select count(*) from leat.activity where verb = 'merge'");
	cr_assert_eq(gate_decide_all(&gate, 0, 30), 0);
	rig_sql_expect(&rig, "rejected not_found 2",
		"select concat_ws(' ', outcome, code, count(*)) from leat.activity where target_id = '%s' group by outcome, code", missing);
}

Test(merges, what_the_login_was_set_to_by_somebody_holds_up_nothing)
{
	static const char *const values[] = {"abc", "-1", "99999999999"};
	for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
		LEAT_PG_RESULT_SCOPED *result = NULL;
		struct leat_error err;
		char sql[64];
		snprintf(sql, sizeof sql, "set leat.look_first = '%s'", values[i]);
		cr_assert_eq(leat_pg_run_sql(gate.pg, sql, &result, &err), LEAT_OK, "%s", err.text);
		int64_t at = 10 + (int64_t)i * 10;
		const struct message batch[] = {
			intent(at, "merge", ENTITY_1, "'content':{'b':1}"), intent(at + 1, "unset", ENTITY_2, "'content':['a']")};
		PUT_EXPECT(&gate, batch, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED);
	}
}

Test(merges, users_merge_in_their_tenant_only)
{
	struct message theirs = intent(4, "upsert", "eeeeeeee-0000-4000-8000-00000000000b", "'content':{'b':0}");
	theirs.tenant = RIG_TENANT_B;
	put(&gate, theirs);
	const struct message own[] = {by_user(RIG_TENANT_B, intent(10, "merge", theirs.entity, "'content':{'b':10}")),
		by_user(RIG_TENANT_A, intent(11, "merge", ENTITY_2, "'content':{'a':11}")),
		by_user(RIG_TENANT_A, intent(12, "merge", ENTITY_1, "'content':{'a':12}")),
		by_user(RIG_TENANT_B, intent(13, "merge", theirs.entity, "'content':{'c':13}")),
		by_user(RIG_TENANT_A, intent(14, "merge", ENTITY_3, "'content':{'a':14}"))};
	PUT_EXPECT(&gate, own, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED);
	cr_assert_not(looks_first());
	expect_content(theirs.entity, "{\"b\": 10, \"c\": 13}");
	expect_content(ENTITY_1, "{\"a\": 12}");

	const struct message strange[] = {by_user(RIG_TENANT_B, intent(20, "merge", ENTITY_1, "'content':{'a':20}")),
		by_user(RIG_TENANT_A, intent(21, "merge", ENTITY_1, "'content':{'b':21}")),
		by_user(RIG_TENANT_A, intent(22, "merge", theirs.entity, "'content':{'b':22}")),
		by_user(RIG_TENANT_A, intent(23, "merge", ENTITY_2, "'content':{'b':23}")),
		by_user(RIG_TENANT_B, intent(24, "merge", theirs.entity, "'content':{'d':24}"))};
	PUT_EXPECT(&gate, strange, LEAT_OUTCOME_PARKED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_PARKED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED);
	expect_content(ENTITY_1, "{\"a\": 12, \"b\": 21}");
	expect_content(theirs.entity, "{\"b\": 10, \"c\": 13, \"d\": 24}");
}

/* ---- beside other consumers ---- */

/* What others settled lies between these and after them, so that nothing is known for sure but by the ledger's index. */
Test(merges, what_was_settled_among_them_is_known_and_the_rest_is_new)
{
	enum { BATCH = 20, KNOWN = 7 };
	struct message batch[BATCH];
	struct answer answers[BATCH];
	for (size_t i = 0; i < BATCH; i++)
		batch[i] = intent(101 + (int64_t)i * 2, "merge", i % 2 == 0 ? ENTITY_1 : ENTITY_2, "'content':{'b':1}");
	put(&gate, batch[KNOWN]);
	put(&gate, intent(102, "merge", ENTITY_3, "'content':{'b':3}"));
	put(&gate, intent(500, "merge", ENTITY_3, "'content':{'b':4}"));
	char *before = load_snapshot(&rig);
	PUT_ALL(&gate, batch, answers);
	for (size_t i = 0; i < BATCH; i++)
		cr_assert_eq(answers[i].outcome, i == KNOWN ? LEAT_OUTCOME_KNOWN : LEAT_OUTCOME_APPLIED, "%zu: %d", i, answers[i].outcome);
	answers_free(answers, BATCH);
	rig_sql_expect(&rig, "20", "select count(*) from leat.activity where position between 101 and 139 and position %% 2 = 1");

	char *after = load_snapshot(&rig);
	cr_assert_str_neq(after, before);
	free(before);
	PUT_ALL(&gate, batch, answers);
	for (size_t i = 0; i < BATCH; i++)
		cr_assert_eq(answers[i].outcome, LEAT_OUTCOME_KNOWN);
	answers_free(answers, BATCH);
	char *again = load_snapshot(&rig);
	cr_assert_str_eq(again, after);
	free(after);
	free(again);
}

Test(merges, one_that_is_parked_among_them_stays_so)
{
	enum { BATCH = 20 };
	struct message batch[BATCH];
	struct answer answers[BATCH];
	for (size_t i = 0; i < BATCH; i++)
		batch[i] = intent(101 + (int64_t)i, "merge", i == 5 ? "eeeeeeee-0000-4000-8000-000000000009" : ENTITY_2, "'content':{'b':1}");
	cr_assert_eq(put(&gate, batch[5]), LEAT_OUTCOME_PARKED);
	put(&gate, intent(500, "merge", ENTITY_3, "'content':{'b':4}"));
	PUT_ALL(&gate, batch, answers);
	for (size_t i = 0; i < BATCH; i++)
		cr_assert_eq(answers[i].outcome, i == 5 ? LEAT_OUTCOME_KNOWN : LEAT_OUTCOME_APPLIED, "%zu: %d", i, answers[i].outcome);
	answers_free(answers, BATCH);
}

/* ---- a few ---- */

/* All that there is to know of the three entities and their merges, but for times; then it is as at first. */
static char *take_state(void)
{
	char *state = rig_sql_text(&rig,
		"select concat_ws(E'\\n',"
		" (select jsonb_agg(to_jsonb(e) - '{created_at,updated_at}'::text[] order by id) from leat.entities e where id <= '" ENTITY_3 "'),"
		" (select jsonb_agg(to_jsonb(a) - 'at' order by position) from leat.activity a where position < 20),"
		" (select jsonb_agg(to_jsonb(m) - 'at' order by position) from leat.message_ids m),"
		" (select jsonb_agg(jsonb_build_array(entity_id, operation, position, db_user, (old).content, (new).content, (new).metadata)"
		" order by position) from leat.audit_log where position < 20),"
		" (select string_agg(concat_ws(' ', subject, event, convert_from(body, 'UTF8')), E'\\n' order by subject) from leat.outbox"
		" where event = 'leat.entity.updated' and subject like '%%" ENTITY_1 "'))");
	rig_sql(&rig, "truncate leat.entities, leat.activity, leat.message_ids, leat.audit_log, leat.outbox, leat.stream_epochs");
	make_entities();
	return state;
}

Test(merges, a_few_write_what_they_write_in_company)
{
	const struct message batch[] = {with_id(intent(10, "merge", ENTITY_2, "'content':{'b':[10]},'metadata':{'m':10}"), "x"),
		intent(11, "merge", ENTITY_3, "'content':{'a':11},'respect_locks':true"),
		with_id(intent(12, "merge", ENTITY_1, "'content':{'b':12}"), "w"), intent(30, "upsert", "eeeeeeee-0000-4000-8000-00000000000a", ""),
		intent(31, "upsert", "eeeeeeee-0000-4000-8000-00000000000b", "")};
	char *states[2];
	static const size_t counts[] = {3, 5}; /* the merges alone; all */
	for (size_t i = 0; i < 2; i++) {
		struct answer answers[5];
		put_all(&gate, batch, counts[i], answers);
		for (size_t k = 0; k < counts[i]; k++)
			cr_assert_eq(answers[k].outcome, LEAT_OUTCOME_APPLIED);
		answers_free(answers, counts[i]);
		states[i] = take_state();
	}
	cr_assert_str_eq(states[0], states[1], "a few\n%s\nin company\n%s", states[0], states[1]);
	free(states[0]);
	free(states[1]);
}

Test(merges, a_few_of_one_entity_are_one_change)
{
	const struct message batch[] = {
		intent(10, "merge", ENTITY_1, "'content':{'b':10}"), intent(11, "merge", ENTITY_1, "'content':{'b':11}")};
	PUT_EXPECT(&gate, batch, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED);
	expect_content(ENTITY_1, "{\"a\": 1, \"b\": 11}");
	rig_sql_expect(&rig, "1 1",
		"select concat_ws(' ', (select count(*) from leat.audit_log where operation = 'update'),"
		" (select count(*) from leat.outbox where event = 'leat.entity.updated'))");
}

Test(merges, a_few_of_which_one_ends_otherwise_leave_no_trace_of_the_attempt)
{
	put(&gate, with_id(intent(9, "merge", ENTITY_1, "'content':{'b':9}"), "used"));
	const struct message duplicate[] = {with_id(intent(10, "merge", ENTITY_2, "'content':{'b':10}"), "new"),
		with_id(intent(11, "merge", ENTITY_1, "'content':{'b':11}"), "used")};
	PUT_EXPECT(&gate, duplicate, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_DUPLICATE);
	const struct message early[] = {with_id(intent(12, "merge", ENTITY_2, "'content':{'b':12}"), "y"),
		with_id(intent(13, "merge", "eeeeeeee-0000-4000-8000-000000000009", "'content':{'b':13}"), "z")};
	PUT_EXPECT(&gate, early, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_PARKED);
	const struct message older[] = {
		intent(7, "merge", ENTITY_2, "'content':{'b':7,'c':7}"), intent(8, "merge", ENTITY_3, "'content':{'b':8}")};
	PUT_EXPECT(&gate, older, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED);
	const struct message settled[] = {
		intent(8, "merge", ENTITY_3, "'content':{'b':8}"), intent(14, "merge", ENTITY_1, "'content':{'b':14}")};
	PUT_EXPECT(&gate, settled, LEAT_OUTCOME_KNOWN, LEAT_OUTCOME_APPLIED);
	expect_content(ENTITY_1, "{\"a\": 1, \"b\": 14}");
	expect_content(ENTITY_2, "{\"a\": 2, \"b\": 12, \"c\": 7}");
	expect_content(ENTITY_3, "{\"a\": 3, \"b\": 8}");
	rig_sql_expect(&rig, "new used y", "select string_agg(leat_id, ' ' order by leat_id) from leat.message_ids");
}
