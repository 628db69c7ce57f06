/* The lock set of an entity: converges by position as its fields do, whatever order locks, unlocks, deletes and upserts come in. */
#include "intents.h"
#include "load.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static struct rig rig;
static struct gate gate;

static void setup(void)
{
	gate_open_with_rig(&gate, &rig);
}

static void teardown(void)
{
	gate_close_with_rig(&gate, &rig);
}

TestSuite(locks, .init = setup, .fini = teardown);

/* "{a,b} {"a": 2, "b": 2}": names, and where each was last locked or unlocked. */
static void expect_locks(const char *expected)
{
	rig_sql_expect(&rig, expected, "select concat_ws(' ', locked_fields, lock_positions) from leat.entities where id = '" ENTITY_1 "'");
}

static void expect_ledger(const char *expected)
{
	rig_sql_expect(&rig, expected, "select string_agg(concat_ws(' ', position, outcome, code), ', ' order by position) from leat.activity");
}

static struct message lock(int64_t seq, const char *fields)
{
	return intent(seq, "lock", ENTITY_1, fields);
}

static struct message unlock(int64_t seq, const char *fields)
{
	return intent(seq, "unlock", ENTITY_1, fields);
}

/* ---- names ---- */

Test(locks, fields_are_locked_until_they_are_unlocked)
{
	put(&gate, intent(1, "upsert", ENTITY_1, "'content':{'a':1}"));
	expect_locks("{} {}");
	cr_assert_eq(put(&gate, lock(2, "'fields':['b','a']")), LEAT_OUTCOME_APPLIED);
	expect_locks("{a,b} {\"a\": 2, \"b\": 2}");
	cr_assert_eq(put(&gate, lock(3, "'fields':['c','b']")), LEAT_OUTCOME_APPLIED);
	expect_locks("{a,b,c} {\"a\": 2, \"b\": 3, \"c\": 3}");
	cr_assert_eq(put(&gate, unlock(4, "'fields':['b','never']")), LEAT_OUTCOME_APPLIED);
	expect_locks("{a,c} {\"a\": 2, \"b\": 4, \"c\": 3, \"never\": 4}");
	rig_sql_expect(&rig, "{\"a\": 1}", "select content from leat.entities");
	expect_ledger("1 applied, 2 applied, 3 applied, 4 applied");
}

Test(locks, a_name_that_comes_twice_counts_once)
{
	put(&gate, intent(1, "upsert", ENTITY_1, ""));
	cr_assert_eq(put(&gate, lock(2, "'fields':['b','a','b']")), LEAT_OUTCOME_APPLIED);
	expect_locks("{a,b} {\"a\": 2, \"b\": 2}");
	cr_assert_eq(put(&gate, unlock(3, "'fields':['a','a']")), LEAT_OUTCOME_APPLIED);
	expect_locks("{b} {\"a\": 3, \"b\": 2}");
}

/* By bytes, as the fold has them, and not by their length or a collation. */
Test(locks, names_stand_in_order_of_their_bytes)
{
	put(&gate, intent(1, "upsert", ENTITY_1, ""));
	put(&gate, lock(2, "'fields':['é','b','aa','B','a b']"));
	rig_sql_expect(&rig, "{B,\"a b\",aa,b,é}", "select locked_fields from leat.entities");
}

/* ---- positions ---- */

Test(locks, an_unlock_that_comes_before_the_older_lock_still_ends_it)
{
	put(&gate, intent(1, "upsert", ENTITY_1, ""));
	put(&gate, unlock(4, "'fields':['a']"));
	cr_assert_eq(put(&gate, lock(3, "'fields':['a','b']")), LEAT_OUTCOME_APPLIED);
	expect_locks("{b} {\"a\": 4, \"b\": 3}");
}

Test(locks, an_unlock_that_comes_after_the_newer_lock_changes_nothing)
{
	put(&gate, intent(1, "upsert", ENTITY_1, ""));
	put(&gate, lock(4, "'fields':['a']"));
	cr_assert_eq(put(&gate, unlock(3, "'fields':['a']")), LEAT_OUTCOME_APPLIED);
	expect_locks("{a} {\"a\": 4}");
}

Test(locks, a_late_lock_counts_beside_newer_writes)
{
	put(&gate, intent(1, "upsert", ENTITY_1, "'content':{'a':1}"));
	put(&gate, intent(5, "merge", ENTITY_1, "'content':{'a':5}"));
	cr_assert_eq(put(&gate, lock(3, "'fields':['a']")), LEAT_OUTCOME_APPLIED);
	expect_locks("{a} {\"a\": 3}");
	rig_sql_expect(&rig, "{\"a\": 5} 5", "select concat_ws(' ', content, last_position) from leat.entities");
}

Test(locks, one_batch_is_as_one_by_one)
{
	struct message batch[] = {intent(1, "upsert", ENTITY_1, "'content':{'a':1}"), lock(2, "'fields':['a','b']"),
		intent(3, "merge", ENTITY_1, "'content':{'b':3}"), unlock(4, "'fields':['a']"), lock(5, "'fields':['c']")};
	PUT_EXPECT(&gate, batch, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED);
	expect_locks("{b,c} {\"a\": 4, \"b\": 2, \"c\": 5}");
	rig_sql_expect(&rig, "{\"a\": 1, \"b\": 3}", "select content from leat.entities");
}

/* ---- an entity that is not there ---- */

Test(locks, a_lock_on_nothing_waits_and_is_not_found)
{
	cr_assert_eq(put(&gate, lock(1, "'fields':['a']")), LEAT_OUTCOME_PARKED);
	cr_assert_eq(put(&gate, unlock(2, "'fields':['a']")), LEAT_OUTCOME_PARKED);
	cr_assert_eq(gate_decide_all(&gate, 0, 2), 0);
	expect_ledger("1 rejected not_found, 2 rejected not_found");
	cr_assert_eq(rig_sql_int(&rig, "select count(*) from leat.entities"), 0);
}

Test(locks, a_lock_that_comes_before_its_entity_waits_for_it)
{
	cr_assert_eq(put(&gate, lock(2, "'fields':['a']")), LEAT_OUTCOME_PARKED);
	put(&gate, intent(1, "upsert", ENTITY_1, ""));
	expect_locks("{} {}");
	cr_assert_eq(gate_decide_all(&gate, 0, 2), 0);
	expect_ledger("1 applied, 2 applied");
	expect_locks("{a} {\"a\": 2}");
}

Test(locks, a_delete_ends_locks_and_a_revived_entity_has_none)
{
	put(&gate, intent(1, "upsert", ENTITY_1, "'content':{'a':1}"));
	put(&gate, lock(2, "'fields':['a','b']"));
	put(&gate, intent(5, "delete", ENTITY_1, ""));
	rig_sql_expect(&rig, "{}", "select locked_fields from leat.entities");
	cr_assert_eq(put(&gate, lock(4, "'fields':['c']")), LEAT_OUTCOME_APPLIED, "it counts, and the delete ended it");
	cr_assert_eq(put(&gate, lock(6, "'fields':['d']")), LEAT_OUTCOME_PARKED);
	put(&gate, intent(7, "upsert", ENTITY_1, "'content':{'a':7}"));
	expect_locks("{} {}");
	cr_assert_eq(gate_decide_all(&gate, 0, 7), 0);
	expect_ledger("1 applied, 2 applied, 4 applied, 5 applied, 6 rejected deleted, 7 applied");
	expect_locks("{} {}");
	put(&gate, lock(8, "'fields':['a']"));
	expect_locks("{a} {\"a\": 8}");
}

/* Locked at 4 and 5, after a delete that came late; it is seen once the upsert at 3 turns up, too. */
Test(locks, a_lock_below_the_upsert_comes_to_light_with_an_older_one)
{
	put(&gate, intent(1, "upsert", ENTITY_1, "'content':{'a':1}"));
	put(&gate, lock(4, "'fields':['a','b']"));
	put(&gate, unlock(5, "'fields':['b']"));
	put(&gate, intent(2, "delete", ENTITY_1, ""));
	rig_sql_expect(&rig, "{}", "select locked_fields from leat.entities");
	put(&gate, intent(6, "upsert", ENTITY_1, "'content':{'d':6}"));
	rig_sql_expect(&rig, "{}", "select locked_fields from leat.entities");
	put(&gate, intent(3, "upsert", ENTITY_1, ""));
	expect_locks("{a} {\"a\": 4, \"b\": 5}");
}

/* ---- again ---- */

Test(locks, reapplying_changes_no_row)
{
	struct message batch[] = {intent(1, "upsert", ENTITY_1, "'content':{'a':1}"), lock(2, "'fields':['a','b']"),
		intent(3, "merge", ENTITY_1, "'content':{'a':3,'c':3},'respect_locks':true"), unlock(4, "'fields':['b']")};
	PUT_EXPECT(&gate, batch, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED);
	char *before = load_snapshot(&rig);
	PUT_EXPECT(&gate, batch, LEAT_OUTCOME_KNOWN, LEAT_OUTCOME_KNOWN, LEAT_OUTCOME_KNOWN, LEAT_OUTCOME_KNOWN);
	for (size_t i = 0; i < 4; i++)
		cr_assert_eq(put(&gate, batch[i]), LEAT_OUTCOME_KNOWN);
	char *after = load_snapshot(&rig);
	cr_assert_str_eq(after, before, "before %s, after %s", before, after);
	free(before);
	free(after);
}

Test(locks, is_seen_in_the_audit_log_and_as_an_event)
{
	put(&gate, intent(1, "upsert", ENTITY_1, ""));
	rig_sql(&rig, "truncate leat.audit_log, leat.outbox");
	put(&gate, lock(2, "'fields':['a']"));
	rig_sql_expect(&rig, "update 2 tests {} {a}",
		"select concat_ws(' ', operation, position, actor, (old).locked_fields, (new).locked_fields) from leat.audit_log");
	rig_sql_expect(&rig, "leat.entity.updated 2 [\"a\"] []",
		"select concat_ws(' ', event, data -> 'position', data #> '{changed,locked_fields}', data #> '{changed,content}')"
		" from leat.outbox, lateral (select convert_from(body, 'UTF8')::jsonb) body (data)");
	rig_sql(&rig, "truncate leat.audit_log, leat.outbox");
	put(&gate, lock(3, "'fields':['a']"));
	cr_assert_eq(rig_sql_int(&rig, "select count(*) from leat.audit_log"), 0, "locked again: nothing to see");
	cr_assert_eq(rig_sql_int(&rig, "select count(*) from leat.outbox"), 0);
}

/* ---- who ---- */

static struct message by_user_of(const char *tenant, struct message message)
{
	message.role = "user";
	message.tenant = tenant;
	return message;
}

Test(locks, users_lock_the_entities_of_their_tenant_only)
{
	put(&gate, intent(1, "upsert", ENTITY_1, ""));
	cr_assert_eq(put(&gate, by_user_of(RIG_TENANT_A, lock(2, "'fields':['a','b']"))), LEAT_OUTCOME_APPLIED);
	cr_assert_eq(put(&gate, by_user_of(RIG_TENANT_A, unlock(3, "'fields':['b']"))), LEAT_OUTCOME_APPLIED);
	cr_assert_eq(put(&gate, by_user_of(RIG_TENANT_B, unlock(4, "'fields':['a']"))), LEAT_OUTCOME_PARKED);
	cr_assert_eq(gate_decide_all(&gate, 0, 4), 0);
	expect_ledger("1 applied, 2 applied, 3 applied, 4 rejected not_found");
	expect_locks("{a} {\"a\": 2, \"b\": 3}");
}

/* ---- by direct SQL ---- */

/* What SQL locked has no position: it counts from the upsert on, below all intents after it. */
Test(locks, what_direct_sql_locked_can_be_unlocked)
{
	put(&gate, intent(1, "upsert", ENTITY_1, ""));
	rig_sql(&rig, "update leat.entities set locked_fields = '{c,b,NULL,c}'");
	put(&gate, lock(3, "'fields':['a']"));
	expect_locks("{a,b,c} {\"a\": 3, \"b\": 1, \"c\": 1}");
	put(&gate, unlock(2, "'fields':['b']"));
	expect_locks("{a,c} {\"a\": 3, \"b\": 2, \"c\": 1}");
}

Test(locks, what_direct_sql_unlocked_stays_so_until_a_later_lock)
{
	put(&gate, intent(1, "upsert", ENTITY_1, ""));
	put(&gate, lock(3, "'fields':['a']"));
	rig_sql(&rig, "update leat.entities set locked_fields = '{}'");
	put(&gate, lock(2, "'fields':['a','b']"));
	rig_sql_expect(&rig, "{b}", "select locked_fields from leat.entities");
	put(&gate, lock(4, "'fields':['a']"));
	expect_locks("{a,b} {\"a\": 4, \"b\": 2}");
}
