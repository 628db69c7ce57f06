/*
 * A user's intents are written as `authenticated` with the tenant set for that transaction, whatever path they take; all else as
 * service_role, with no tenant set. And afterwards the session is what it was, also after an error.
 */
#include "intents.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define USER_A "authenticated " RIG_TENANT_A
#define USER_B "authenticated " RIG_TENANT_B
#define SERVICE "service_role none"

static struct rig rig;
static struct gate gate;

/* Notes who writes which row, as that one; refuses a row whose content has `boom`. */
static const char note_writers[] =
	"create table writes (n serial, entity text, tenant uuid, writer text);"
	"create function note_writer() returns trigger language plpgsql as $$ begin"
	" insert into public.writes (entity, tenant, writer) values (right(new.id::text, 1), new.tenant_id,"
	"  concat_ws(' ', current_user, coalesce(nullif(current_setting('leat.tenant_id', true), ''), 'none')));"
	" if new.content ? 'boom' then raise exception using errcode = 'division_by_zero', message = 'boom'; end if;"
	" return new; end $$;"
	"create trigger note_writer before insert or update on leat.entities for each row execute function note_writer();"
	"grant insert on writes to authenticated, service_role; grant usage on writes_n_seq to authenticated, service_role";

static void setup(void)
{
	gate_open_with_rig(&gate, &rig);
	rig_sql(&rig, note_writers);
}

static void teardown(void)
{
	gate_close_with_rig(&gate, &rig);
}

TestSuite(wall_role, .init = setup, .fini = teardown);

static struct message by(const char *role, const char *tenant, struct message message)
{
	message.role = role;
	message.tenant = tenant;
	return message;
}

static struct message user(struct message message)
{
	return by("user", RIG_TENANT_A, message);
}

/* Of every row that was written since the last time, in order of time and each once in a row: entity, who. */
static void expect_writers(const char *expected)
{
	rig_sql_expect(&rig, expected,
		"with taken as (delete from writes returning n, concat(entity, ' ', writer) as line)"
		" select string_agg(distinct line, ', ' order by line) from taken");
}

static void expect_session_as_it_was(void)
{
	LEAT_PG_RESULT_SCOPED *result = NULL;
	struct leat_error err;
	cr_assert_eq(
		leat_pg_run_sql(gate.pg, "select concat_ws(' ', current_user, nullif(current_setting('leat.tenant_id', true), ''))", &result, &err),
		LEAT_OK, "%s", err.text);
	cr_assert_str_eq(leat_pg_text(result, 0, 0), "service_role");
}

static void run_sql(const char *sql)
{
	struct leat_error err;
	cr_assert_eq(leat_pg_run_sql(gate.pg, sql, NULL, &err), LEAT_OK, "%s", err.text);
}

/* ---- who writes ---- */

/* The short path, the set-based one, and the general one by each way into it. */
Test(wall_role, a_users_intent_is_written_as_the_user_whatever_path_it_takes)
{
	static const struct {
		const char *verb;
		const char *members;
	} intents[] = {
		{"upsert", "'content':{'a':1,'b':1}"},
		{"merge", "'content':{'a':2}"},
		{"merge", "'metadata':{'a':2}"},
		{"lock", "'fields':['a']"},
		{"merge", "'content':{'a':3,'b':3},'respect_locks':true"},
		{"unlock", "'fields':['a']"},
		{"unset", "'content':['b']"},
		{"delete", ""},
		{"upsert", "'content':{'a':4}"},
	};
	static const char *const roles[] = {"user", "service", "engine"};
	int64_t seq = 1;
	for (size_t r = 0; r < sizeof roles / sizeof *roles; r++) {
		for (size_t i = 0; i < sizeof intents / sizeof *intents; i++) {
			struct message message = by(roles[r], RIG_TENANT_A, intent(seq++, intents[i].verb, ENTITY_1, intents[i].members));
			cr_expect_eq(put(&gate, message), LEAT_OUTCOME_APPLIED, "%s %s %s", roles[r], intents[i].verb, intents[i].members);
			expect_writers(r == 0 ? "1 " USER_A : "1 " SERVICE);
			expect_session_as_it_was();
		}
		struct message bulk = by(roles[r], RIG_TENANT_A, bulk_intent(seq++, "'" ENTITY_1 "'", "'content':{'a':5}"));
		cr_expect_eq(put(&gate, bulk), LEAT_OUTCOME_APPLIED);
		expect_writers(r == 0 ? "1 " USER_A : "1 " SERVICE);
		cr_expect_eq(put(&gate, by(roles[r], RIG_TENANT_A, intent(1, "merge", ENTITY_1, "'content':{'late':1}"))), LEAT_OUTCOME_KNOWN);
	}
	cr_assert_eq(rig_sql_int(&rig, "select count(*) from leat.activity where outcome <> 'applied'"), 0);
}

/* It would fall back on the others if its statement saw no row. */
Test(wall_role, the_short_path_takes_a_users_merge)
{
	LEAT_PG_RESULT_SCOPED *result = NULL;
	struct leat_error err;
	put(&gate, intent(1, "upsert", ENTITY_1, ""));
	expect_writers("1 " SERVICE);
	cr_assert_eq(leat_pg_run_sql(gate.pg,
					 "select leat.merge_single('" STREAM "', 2, now(), '" RIG_TENANT_A "', 'user', '" ENTITY_1
					 "', 'ann', null, null, '{\"content\":{\"a\":1}}'),"
					 " leat.merge_single('" STREAM "', 3, now(), '" RIG_TENANT_B "', 'user', '" ENTITY_1
					 "', 'ann', 'x', null, '{\"content\":{\"a\":1}}')",
					 &result, &err),
		LEAT_OK, "%s", err.text);
	cr_expect_str_eq(leat_pg_text(result, 0, 0), "t");
	cr_expect_str_eq(leat_pg_text(result, 0, 1), "f");
	expect_writers("1 " USER_A);
	expect_session_as_it_was();
	cr_expect_eq(rig_sql_int(&rig, "select count(*) from leat.message_ids"), 0);
}

Test(wall_role, a_users_late_intent_is_written_as_the_user_too)
{
	put(&gate, intent(1, "upsert", ENTITY_1, "'content':{'a':1}"));
	put(&gate, intent(9, "merge", ENTITY_1, "'content':{'a':9}"));
	put(&gate, intent(8, "delete", ENTITY_2, ""));
	put(&gate, intent(10, "upsert", ENTITY_2, ""));
	expect_writers("1 " SERVICE ", 2 " SERVICE);
	struct message batch[] = {user(intent(4, "merge", ENTITY_1, "'content':{'a':4,'b':4}")), user(intent(5, "upsert", ENTITY_2, ""))};
	PUT_EXPECT(&gate, batch, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED);
	expect_writers("1 " USER_A ", 2 " USER_A);
	put(&gate, user(intent(3, "merge", ENTITY_1, "'content':{'b':3,'c':3}")));
	expect_writers("1 " USER_A);
}

Test(wall_role, a_batch_of_many_writes_each_group_as_whoever_asked)
{
	struct message batch[] = {
		by("user", RIG_TENANT_A, intent(1, "upsert", ENTITY_1, "'content':{'a':1}")),
		by("user", RIG_TENANT_B, intent(2, "upsert", ENTITY_1, "'content':{'a':2}")),
		by("service", RIG_TENANT_B, intent(3, "upsert", ENTITY_2, "'content':{'a':3}")),
		by("user", RIG_TENANT_A, intent(4, "merge", ENTITY_1, "'content':{'b':4}")),
		by("engine", RIG_TENANT_A, intent(5, "upsert", ENTITY_2, "'content':{'b':4}")),
		by("user", RIG_TENANT_B, intent(6, "upsert", ENTITY_3, "'content':{'a':1}")),
	};
	PUT_EXPECT(&gate, batch, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED,
		LEAT_OUTCOME_APPLIED);
	expect_writers("1 " USER_A ", 1 " USER_B ", 2 " SERVICE ", 3 " USER_B);
	expect_session_as_it_was();

	/* the same again into what is there now: the set-based path without creating */
	struct message again[] = {
		by("user", RIG_TENANT_A, intent(11, "merge", ENTITY_1, "'content':{'a':1}")),
		by("user", RIG_TENANT_B, intent(12, "merge", ENTITY_1, "'content':{'a':2}")),
		by("service", RIG_TENANT_B, intent(13, "merge", ENTITY_2, "'content':{'a':4}")),
		by("user", RIG_TENANT_A, intent(14, "merge", ENTITY_1, "'content':{'b':5}")),
	};
	PUT_EXPECT(&gate, again, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED);
	expect_writers("1 " USER_A ", 1 " USER_B ", 2 " SERVICE);
	rig_sql_expect(&rig, "0", "select count(*) from writes where writer like 'authenticated%%' and writer not like '%%' || tenant");
}

Test(wall_role, one_entity_written_by_both_in_a_batch_is_written_by_each_in_turn)
{
	put(&gate, intent(1, "upsert", ENTITY_1, ""));
	expect_writers("1 " SERVICE);
	struct message batch[] = {intent(2, "merge", ENTITY_1, "'content':{'a':2,'b':2}"),
		user(intent(3, "merge", ENTITY_1, "'content':{'b':3,'c':3}")), intent(4, "merge", ENTITY_1, "'content':{'c':4}")};
	PUT_EXPECT(&gate, batch, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED);
	rig_sql_expect(&rig, SERVICE ", " USER_A ", " SERVICE, "select string_agg(writer, ', ' order by n) from writes");
	rig_sql_expect(&rig, "{\"a\": 2, \"b\": 3, \"c\": 4}", "select content from leat.entities");
}

Test(wall_role, a_users_intent_that_waited_is_decided_as_the_users)
{
	struct message waiting[] = {user(intent(5, "merge", ENTITY_1, "'content':{'a':5}")), user(intent(6, "delete", ENTITY_2, "")),
		by("service", RIG_TENANT_A, intent(7, "merge", ENTITY_3, "'content':{'a':7}")),
		user(bulk_intent(8, "'" ENTITY_1 "','" ENTITY_2 "'", "'content':{'c':8}"))};
	PUT_EXPECT(&gate, waiting, LEAT_OUTCOME_PARKED, LEAT_OUTCOME_PARKED, LEAT_OUTCOME_PARKED, LEAT_OUTCOME_PARKED);
	struct message created[] = {intent(1, "upsert", ENTITY_1, ""), intent(2, "upsert", ENTITY_2, ""), intent(3, "upsert", ENTITY_3, "")};
	PUT_EXPECT(&gate, created, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED);
	expect_writers("1 " SERVICE ", 2 " SERVICE ", 3 " SERVICE);
	cr_assert_eq(gate_decide_all(&gate, 0, 8), 0);
	expect_writers("1 " USER_A ", 2 " USER_A ", 3 " SERVICE);
	expect_session_as_it_was();
}

/* ---- the session afterwards ---- */

/* In one transaction the settings would show until its end. */
Test(wall_role, the_session_is_what_it_was_before_the_transaction_ends)
{
	run_sql("begin");
	cr_expect_eq(put(&gate, user(intent(1, "upsert", ENTITY_1, ""))), LEAT_OUTCOME_APPLIED);
	expect_session_as_it_was();
	cr_expect_eq(put(&gate, user(intent(2, "merge", ENTITY_1, "'content':{'a':2}"))), LEAT_OUTCOME_APPLIED);
	expect_session_as_it_was();
	struct message batch[] = {
		user(intent(3, "merge", ENTITY_1, "'content':{'a':2}")), by("user", RIG_TENANT_B, intent(4, "upsert", ENTITY_1, ""))};
	PUT_EXPECT(&gate, batch, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED);
	expect_session_as_it_was();
	cr_expect_eq(put(&gate, user(intent(5, "unset", ENTITY_1, "'content':['a']"))), LEAT_OUTCOME_APPLIED);
	expect_session_as_it_was();
	run_sql("commit");
}

Test(wall_role, the_session_is_what_it_was_after_an_error_under_any_path)
{
	static const char boom[] = "'content':{'boom':1}";
	struct message bad[][2] = {
		{user(intent(5, "merge", ENTITY_1, boom))},
		{user(intent(5, "upsert", ENTITY_2, boom))},
		{user(intent(5, "merge", ENTITY_1, "'content':{'boom':1},'respect_locks':true"))},
		{user(bulk_intent(5, "'" ENTITY_1 "'", boom))},
		{user(intent(5, "merge", ENTITY_1, boom)), by("user", RIG_TENANT_B, intent(6, "upsert", ENTITY_1, ""))},
		{by("user", RIG_TENANT_B, intent(5, "upsert", ENTITY_1, "")), user(intent(6, "unset", ENTITY_3, boom))},
	};
	put(&gate, intent(1, "upsert", ENTITY_1, ""));
	put(&gate, intent(2, "lock", ENTITY_1, "'fields':['x']"));
	put(&gate, intent(3, "upsert", ENTITY_3, "'content':{'x':1}"));
	bad[5][1].body = "{\"entity_id\":\"" ENTITY_3 "\",\"content\":\"no array\"}"; /* which no decoder would let through */
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		const struct message *batch[] = {&bad[i][0], &bad[i][1]};
		struct answer answers[2];
		struct leat_error err;
		enum leat_kind kind = gate_apply(&gate, batch, bad[i][1].verb != NULL ? 2 : 1, answers, &err);
		cr_expect_eq(kind, LEAT_PERMANENT, "batch %zu went through", i);
		expect_session_as_it_was();
	}
	cr_assert_eq(rig_sql_int(&rig, "select count(*) from leat.activity"), 3);
	cr_assert_eq(put(&gate, user(intent(9, "merge", ENTITY_1, "'content':{'fine':1}"))), LEAT_OUTCOME_APPLIED);
}

/* ---- the wall itself ---- */

/* The statements name the tenant; should one ever name another's, the policy is there still. */
Test(wall_role, the_policy_stands_behind_the_predicates)
{
	put(&gate, by("service", RIG_TENANT_B, intent(1, "upsert", ENTITY_1, "'content':{'of':'b'}")));
	rig_sql(&rig,
		"create function lead_astray() returns trigger language plpgsql as $$ begin new.tenant_id := '" RIG_TENANT_B
		"'; return new; end $$;"
		"create trigger lead_astray before insert on leat.entities for each row when (new.tenant_id = '" RIG_TENANT_A "')"
		" execute function lead_astray()");
	const struct message stray = user(intent(2, "upsert", ENTITY_2, ""));
	const struct message *batch[] = {&stray};
	struct answer answer;
	struct leat_error err;
	cr_assert_eq(gate_apply(&gate, batch, 1, &answer, &err), LEAT_TEMPORARY);
	cr_assert_not_null(strstr(err.text, "42501"), "%s", err.text);
	expect_session_as_it_was();
	cr_assert_eq(rig_sql_int(&rig, "select count(*) from leat.entities"), 1);
}

/* Users of one tenant in a batch with what another tenant's users wrote to the same ids. */
Test(wall_role, a_batch_of_two_tenants_users_keeps_them_apart)
{
	struct message batch[] = {
		by("user", RIG_TENANT_B, intent(1, "upsert", ENTITY_1, "'content':{'of':'b'}")),
		by("user", RIG_TENANT_A, intent(2, "merge", ENTITY_1, "'content':{'of':'a'}")),
		by("user", RIG_TENANT_A, intent(3, "delete", ENTITY_1, "")),
		by("user", RIG_TENANT_A, bulk_intent(4, "'" ENTITY_1 "'", "'content':{'of':'a'}")),
		by("user", RIG_TENANT_B, intent(5, "merge", ENTITY_1, "'metadata':{'of':'b'}")),
	};
	PUT_EXPECT(&gate, batch, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_PARKED, LEAT_OUTCOME_PARKED, LEAT_OUTCOME_PARKED, LEAT_OUTCOME_APPLIED);
	cr_assert_eq(gate_decide_all(&gate, 0, 5), 0);
	rig_sql_expect(&rig, "b {\"of\": \"b\"} {\"of\": \"b\"}",
		"select string_agg(concat_ws(' ', left(tenant_id::text, 1), content, metadata), ', ') from leat.entities");
	rig_sql_expect(&rig, "applied, rejected not_found, rejected not_found, rejected not_found, applied",
		"select string_agg(concat_ws(' ', outcome, code), ', ' order by position) from leat.activity");
}
