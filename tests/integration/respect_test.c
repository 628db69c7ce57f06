/*
 * respect_locks: a write that says so leaves alone what is locked when it is decided, says what it was, and is never decided again.
 *
 * ENTITY_1 exists in every test, with a and b at position 1.
 */
#include "beside.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdlib.h>

#define REPLY_TO "leat.reply." RIG_TENANT_A ".1"
#define RESPECTS ",'respect_locks':true"
#define BOTH "'" ENTITY_1 "','" ENTITY_2 "'"

static struct rig rig;
static struct gate gate;

static void setup(void)
{
	gate_open_with_rig(&gate, &rig);
	put(&gate, intent(1, "upsert", ENTITY_1, "'content':{'a':1,'b':1}"));
}

static void teardown(void)
{
	gate_close_with_rig(&gate, &rig);
}

TestSuite(respect, .init = setup, .fini = teardown);

static void expect_content(const char *entity, const char *expected)
{
	rig_sql_expect(&rig, expected, "select content from leat.entities where id = '%s'", entity);
}

/* What the ledger says was skipped: "" for nothing. */
static void expect_skipped(int64_t position, const char *expected)
{
	rig_sql_expect(&rig, expected,
		"select coalesce(detail ->> 'skipped_fields', '') from leat.activity where position = %" PRId64 " and outcome = 'applied'",
		position);
}

static struct message asking(struct message message)
{
	message.reply_to = REPLY_TO;
	return message;
}

/* The reply has this status and these skipped_fields. */
static void expect_said(const struct answer *answer, const char *status, const char *skipped)
{
	cr_assert_not_null(answer->reply);
	rig_sql_expect(&rig, status, "select '%s'::jsonb ->> 'status'", answer->reply);
	rig_sql_expect(&rig, skipped, "select '%s'::jsonb #>> '{result,skipped_fields}'", answer->reply);
}

static void expect_reply(struct message message, const char *status, const char *skipped)
{
	struct answer answer;
	message = asking(message);
	put_all(&gate, &message, 1, &answer);
	expect_said(&answer, status, skipped);
	answers_free(&answer, 1);
}

/* ---- a merge ---- */

Test(respect, a_merge_leaves_locked_fields_alone_and_writes_the_rest)
{
	put(&gate, intent(2, "lock", ENTITY_1, "'fields':['b','a','é']"));
	expect_reply(intent(3, "merge", ENTITY_1, "'content':{'é':3,'b':3,'c':3,'a':3},'metadata':{'a':3}" RESPECTS), "applied",
		"[\"a\", \"b\", \"é\"]");
	expect_skipped(3, "[\"a\", \"b\", \"é\"]");
	rig_sql_expect(&rig, "{\"a\": 1, \"b\": 1, \"c\": 3} {\"a\": 1, \"b\": 1, \"c\": 3} {\"a\": 3}",
		"select concat_ws(' ', content, content_positions, metadata) from leat.entities");
}

Test(respect, a_merge_alone_and_without_a_reply_says_it_in_the_ledger)
{
	put(&gate, intent(2, "lock", ENTITY_1, "'fields':['b']"));
	cr_assert_eq(put(&gate, intent(3, "merge", ENTITY_1, "'content':{'a':3,'b':3}" RESPECTS)), LEAT_OUTCOME_APPLIED);
	expect_skipped(3, "[\"b\"]");
	expect_content(ENTITY_1, "{\"a\": 3, \"b\": 1}");
}

Test(respect, nothing_is_skipped_where_other_fields_are_locked)
{
	put(&gate, intent(2, "lock", ENTITY_1, "'fields':['b']"));
	expect_reply(intent(3, "merge", ENTITY_1, "'content':{'a':3}" RESPECTS), "applied", "[]");
	expect_reply(intent(4, "merge", ENTITY_1, "'metadata':{'b':4}" RESPECTS), "applied", "[]");
	expect_skipped(3, "");
	expect_skipped(4, "");
	rig_sql_expect(&rig, "{\"a\": 3, \"b\": 1} {\"b\": 4}", "select concat_ws(' ', content, metadata) from leat.entities");
}

Test(respect, a_merge_of_locked_fields_only_is_applied_and_nobody_sees_a_change)
{
	put(&gate, intent(2, "lock", ENTITY_1, "'fields':['a','b']"));
	rig_sql(&rig, "truncate leat.audit_log, leat.outbox");
	expect_reply(intent(3, "merge", ENTITY_1, "'content':{'a':3,'b':3}" RESPECTS), "applied", "[\"a\", \"b\"]");
	expect_content(ENTITY_1, "{\"a\": 1, \"b\": 1}");
	cr_assert_eq(rig_sql_int(&rig, "select count(*) from leat.audit_log"), 0);
	cr_assert_eq(rig_sql_int(&rig, "select count(*) from leat.outbox"), 0);
}

Test(respect, a_field_that_is_not_there_can_be_locked_too)
{
	put(&gate, intent(2, "lock", ENTITY_1, "'fields':['c']"));
	expect_reply(intent(3, "merge", ENTITY_1, "'content':{'c':3}" RESPECTS), "applied", "[\"c\"]");
	expect_content(ENTITY_1, "{\"a\": 1, \"b\": 1}");
}

Test(respect, after_the_unlock_it_writes_again)
{
	put(&gate, intent(2, "lock", ENTITY_1, "'fields':['a','b']"));
	put(&gate, intent(3, "unlock", ENTITY_1, "'fields':['a']"));
	expect_reply(intent(4, "merge", ENTITY_1, "'content':{'a':4,'b':4}" RESPECTS), "applied", "[\"b\"]");
	expect_content(ENTITY_1, "{\"a\": 4, \"b\": 1}");
}

Test(respect, who_does_not_say_so_is_not_bound)
{
	put(&gate, intent(2, "lock", ENTITY_1, "'fields':['a','b','c']"));
	put(&gate, intent(3, "merge", ENTITY_1, "'content':{'a':3}"));
	expect_content(ENTITY_1, "{\"a\": 3, \"b\": 1}");
	put(&gate, intent(4, "merge", ENTITY_1, "'content':{'a':4},'respect_locks':false"));
	expect_content(ENTITY_1, "{\"a\": 4, \"b\": 1}");
	put(&gate, intent(5, "upsert", ENTITY_1, "'content':{'a':5}"));
	expect_content(ENTITY_1, "{\"a\": 5, \"b\": 1}");
	put(&gate, bulk_intent(6, "'" ENTITY_1 "'", "'content':{'a':6}"));
	expect_content(ENTITY_1, "{\"a\": 6, \"b\": 1}");
	put(&gate, intent(7, "unset", ENTITY_1, "'content':['b']"));
	expect_content(ENTITY_1, "{\"a\": 6}");
	rig_sql(&rig, "select leat.merge_entity_content('" ENTITY_1 "', '" RIG_TENANT_A "', '{\"c\": 8}')");
	expect_content(ENTITY_1, "{\"a\": 6, \"c\": 8}");
	rig_sql_expect(&rig, "{a,b,c}", "select locked_fields from leat.entities");
}

Test(respect, what_direct_sql_locked_is_locked_too)
{
	rig_sql(&rig, "update leat.entities set locked_fields = '{b,NULL,a,b}'");
	expect_reply(intent(2, "merge", ENTITY_1, "'content':{'a':2,'b':2,'c':2}" RESPECTS), "applied", "[\"a\", \"b\"]");
	rig_sql(&rig, "update leat.entities set locked_fields = '{}'");
	expect_reply(intent(3, "merge", ENTITY_1, "'content':{'a':3}" RESPECTS), "applied", "[]");
	expect_content(ENTITY_1, "{\"a\": 3, \"b\": 1, \"c\": 2}");
}

Test(respect, users_are_bound_as_services_are)
{
	struct message merge = intent(3, "merge", ENTITY_1, "'content':{'a':3,'c':3}" RESPECTS);
	merge.role = "user";
	put(&gate, intent(2, "lock", ENTITY_1, "'fields':['a']"));
	expect_reply(merge, "applied", "[\"a\"]");
	expect_content(ENTITY_1, "{\"a\": 1, \"b\": 1, \"c\": 3}");
}

/* ---- when it is decided ---- */

Test(respect, what_is_decided_after_the_lock_skips_wherever_it_stands_in_the_stream)
{
	put(&gate, intent(5, "lock", ENTITY_1, "'fields':['a']"));
	expect_reply(intent(3, "merge", ENTITY_1, "'content':{'a':3,'b':3}" RESPECTS), "applied", "[\"a\"]");
	expect_content(ENTITY_1, "{\"a\": 1, \"b\": 3}");
}

Test(respect, what_was_decided_before_the_lock_stays_wherever_it_stands_in_the_stream)
{
	expect_reply(intent(5, "merge", ENTITY_1, "'content':{'a':5}" RESPECTS), "applied", "[]");
	put(&gate, intent(3, "lock", ENTITY_1, "'fields':['a']"));
	expect_content(ENTITY_1, "{\"a\": 5, \"b\": 1}");
	rig_sql_expect(&rig, "{a}", "select locked_fields from leat.entities");
}

Test(respect, what_waited_is_decided_at_the_end_of_the_wait)
{
	put(&gate, intent(4, "merge", ENTITY_2, "'content':{'a':4,'b':4}" RESPECTS));
	put(&gate, intent(2, "upsert", ENTITY_2, "'content':{'a':2}"));
	put(&gate, intent(3, "lock", ENTITY_2, "'fields':['a']"));
	cr_assert_eq(gate_decide_all(&gate, 0, 4), 0);
	expect_skipped(4, "[\"a\"]");
	expect_content(ENTITY_2, "{\"a\": 2, \"b\": 4}");
}

Test(respect, of_an_entity_deleted_later_nothing_is_said)
{
	put(&gate, intent(2, "lock", ENTITY_1, "'fields':['a']"));
	put(&gate, intent(4, "delete", ENTITY_1, ""));
	cr_assert_eq(put(&gate, intent(3, "merge", ENTITY_1, "'content':{'a':3}" RESPECTS)), LEAT_OUTCOME_APPLIED);
	expect_skipped(3, "");
	expect_content(ENTITY_1, "{}");
}

/* ---- batches ---- */

Test(respect, in_one_batch_each_finds_the_locks_as_they_are_at_its_turn)
{
	static const char *const skipped[] = {"[]", "[]", "[\"a\", \"b\"]", "[]", "[]", "[]", "[\"b\"]"};
	struct message batch[] = {asking(intent(2, "merge", ENTITY_1, "'content':{'a':2}" RESPECTS)),
		asking(intent(3, "lock", ENTITY_1, "'fields':['a']")), asking(intent(4, "merge", ENTITY_1, "'content':{'a':4,'b':4}" RESPECTS)),
		asking(intent(5, "merge", ENTITY_1, "'content':{'c':5}")), asking(intent(6, "unlock", ENTITY_1, "'fields':['a']")),
		asking(intent(7, "merge", ENTITY_1, "'content':{'d':7}" RESPECTS)),
		asking(intent(9, "merge", ENTITY_1, "'content':{'a':9,'b':9}" RESPECTS))};
	struct answer answers[7];
	put(&gate, intent(8, "lock", ENTITY_1, "'fields':['b']"));
	PUT_ALL(&gate, batch, answers);
	for (size_t i = 0; i < 7; i++)
		expect_said(&answers[i], "applied", skipped[i]);
	answers_free(answers, 7);
	expect_content(ENTITY_1, "{\"a\": 9, \"b\": 1, \"c\": 5, \"d\": 7}");
}

/* Two entities without locks go by the set-based path, the one with locks intent by intent, in one batch. */
Test(respect, in_a_batch_of_many_the_locked_ones_are_found)
{
	struct message made[] = {intent(2, "upsert", ENTITY_2, "'content':{'a':2}"), intent(3, "lock", ENTITY_2, "'fields':['a']"),
		intent(4, "upsert", ENTITY_3, "'content':{'a':4}")};
	PUT_EXPECT(&gate, made, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED);
	struct message batch[] = {intent(5, "merge", ENTITY_1, "'content':{'a':5}"),
		intent(6, "merge", ENTITY_2, "'content':{'a':6,'b':6}" RESPECTS), intent(7, "merge", ENTITY_3, "'content':{'a':7}" RESPECTS),
		intent(8, "merge", ENTITY_2, "'content':{'c':8}"), intent(9, "merge", ENTITY_1, "'content':{'b':9}" RESPECTS)};
	PUT_EXPECT(&gate, batch, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED);
	expect_content(ENTITY_1, "{\"a\": 5, \"b\": 9}");
	expect_content(ENTITY_2, "{\"a\": 2, \"b\": 6, \"c\": 8}");
	expect_content(ENTITY_3, "{\"a\": 7}");
	expect_skipped(6, "[\"a\"]");
	expect_skipped(7, "");
}

/* Two merges in one batch, so that the set-based path takes the locked field out. */
Test(respect, what_is_not_skipped_keeps_its_text_and_its_place)
{
	struct message batch[] = {intent(3, "merge", ENTITY_1, "'content':{'a':3,'é':12345678901234567890.50,'n':null}" RESPECTS),
		intent(5, "merge", ENTITY_1, "'content':{'a':5,'b':5,'c':5},'metadata':{'a':5}" RESPECTS)};
	batch[0].role = batch[1].role = "user";
	put(&gate, intent(2, "lock", ENTITY_1, "'fields':['a']"));
	put(&gate, intent(6, "merge", ENTITY_1, "'content':{'c':6}"));
	PUT_EXPECT(&gate, batch, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED);
	rig_sql_expect(&rig,
		"{\"a\": 1, \"b\": 5, \"c\": 6, \"n\": null, \"é\": 12345678901234567890.50} {\"a\": 1, \"b\": 5, \"c\": 6, \"n\": 3, \"é\": 3} "
		"{\"a\": 5}",
		"select concat_ws(' ', content, content_positions, metadata) from leat.entities");
	expect_skipped(3, "[\"a\"]");
	expect_skipped(5, "[\"a\"]");
}

/* ---- a bulk ---- */

Test(respect, a_bulk_tells_what_it_skipped_in_which)
{
	put(&gate, intent(2, "upsert", ENTITY_2, "'content':{'b':2}"));
	put(&gate, intent(3, "upsert", ENTITY_3, ""));
	put(&gate, intent(4, "lock", ENTITY_1, "'fields':['b','a']"));
	put(&gate, intent(5, "lock", ENTITY_2, "'fields':['b','z']"));
	expect_reply(bulk_intent(6, BOTH ",'" ENTITY_3 "'", "'content':{'b':6,'c':6}" RESPECTS), "applied",
		"{\"" ENTITY_1 "\": [\"b\"], \"" ENTITY_2 "\": [\"b\"]}");
	expect_content(ENTITY_1, "{\"a\": 1, \"b\": 1, \"c\": 6}");
	expect_content(ENTITY_2, "{\"b\": 2, \"c\": 6}");
	expect_content(ENTITY_3, "{\"b\": 6, \"c\": 6}");
	rig_sql_expect(&rig, "3 []", "select concat_ws(' ', detail -> 'entities', detail -> 'missing') from leat.activity where position = 6");
}

Test(respect, a_bulk_that_misses_some_tells_both)
{
	put(&gate, intent(2, "lock", ENTITY_1, "'fields':['a']"));
	cr_assert_eq(put(&gate, bulk_intent(3, BOTH, "'content':{'a':3}" RESPECTS)), LEAT_OUTCOME_PARKED);
	cr_assert_eq(gate_decide_all(&gate, 0, 3), 0);
	rig_sql_expect(&rig, "t",
		"select detail = '{\"entities\":2,\"missing\":[\"" ENTITY_2 "\"],\"skipped_fields\":{\"" ENTITY_1 "\":[\"a\"]}}'"
		" from leat.activity where position = 3");
	expect_content(ENTITY_1, "{\"a\": 1, \"b\": 1}");
}

/* ---- once decided ---- */

Test(respect, a_redelivery_repeats_what_was_skipped_though_nothing_is_locked_any_more)
{
	const struct message merge = intent(3, "merge", ENTITY_1, "'content':{'a':3,'c':3}" RESPECTS);
	const struct message bulk = bulk_intent(4, "'" ENTITY_1 "'", "'content':{'a':4}" RESPECTS);
	put(&gate, intent(2, "lock", ENTITY_1, "'fields':['a']"));
	put(&gate, merge);
	put(&gate, bulk);
	put(&gate, intent(5, "unlock", ENTITY_1, "'fields':['a']"));
	expect_reply(merge, "applied", "[\"a\"]");
	expect_reply(bulk, "applied", "{\"" ENTITY_1 "\": [\"a\"]}");
	expect_content(ENTITY_1, "{\"a\": 1, \"b\": 1, \"c\": 3}");
}

Test(respect, a_redelivery_of_what_was_written_says_so_though_the_field_is_locked_now)
{
	const struct message merge = intent(2, "merge", ENTITY_1, "'content':{'a':2}" RESPECTS);
	put(&gate, merge);
	put(&gate, intent(3, "lock", ENTITY_1, "'fields':['a']"));
	expect_reply(merge, "applied", "[]");
}

/* Whoever lost a reply asks again with the same Leat-Id. */
Test(respect, a_duplicate_tells_what_the_first_skipped)
{
	const struct message again = with_id(intent(5, "merge", ENTITY_1, "'content':{'a':5}" RESPECTS), "x");
	put(&gate, intent(2, "lock", ENTITY_1, "'fields':['a']"));
	put(&gate, with_id(intent(3, "merge", ENTITY_1, "'content':{'a':3}" RESPECTS), "x"));
	put(&gate, intent(4, "unlock", ENTITY_1, "'fields':['a']"));
	expect_reply(again, "duplicate", "[\"a\"]");
	expect_reply(again, "duplicate", "[\"a\"]");
	expect_reply(with_id(intent(6, "unset", ENTITY_1, "'content':['a']"), "x"), "duplicate", "[]");
	expect_content(ENTITY_1, "{\"a\": 1, \"b\": 1}");
}

Test(respect, a_duplicate_in_the_same_batch_tells_it_too)
{
	struct message batch[] = {with_id(intent(3, "merge", ENTITY_1, "'content':{'a':3}" RESPECTS), "x"),
		asking(with_id(intent(4, "merge", ENTITY_1, "'content':{'a':4}" RESPECTS), "x"))};
	struct answer answers[2];
	put(&gate, intent(2, "lock", ENTITY_1, "'fields':['a']"));
	PUT_ALL(&gate, batch, answers);
	expect_said(&answers[1], "duplicate", "[\"a\"]");
	answers_free(answers, 2);
}

/* ---- two connections ---- */

/* How the others end is for the ledger to tell. */
static void put_others_beside(struct message first, const struct message *const *others, size_t count)
{
	struct answer answers[2];
	cr_assert_leq(count, 2);
	put_beside(&rig, &gate, first, others, count, answers);
	answers_free(answers, count);
}

static void expect_lock_found_by(const struct message *const *waiting, size_t count)
{
	int64_t seq = waiting[0]->seq;
	put_others_beside(intent(seq - 1, "lock", ENTITY_1, "'fields':['a']"), waiting, count);
	put(&gate, intent(seq + 2, "unlock", ENTITY_1, "'fields':['a']"));
}

/* Alone it takes the short path, with company the set-based one, as a bulk the general one. */
Test(respect, a_write_that_waited_for_the_row_finds_the_lock)
{
	const struct message alone = intent(3, "merge", ENTITY_1, "'content':{'a':3,'c':3}" RESPECTS);
	const struct message first = intent(7, "merge", ENTITY_1, "'content':{'a':7}" RESPECTS);
	const struct message second = intent(8, "merge", ENTITY_1, "'content':{'d':8}" RESPECTS);
	const struct message bulk = bulk_intent(11, "'" ENTITY_1 "'", "'content':{'a':11,'e':11}" RESPECTS);
	expect_lock_found_by((const struct message *const[]){&alone}, 1);
	expect_lock_found_by((const struct message *const[]){&first, &second}, 2);
	expect_lock_found_by((const struct message *const[]){&bulk}, 1);
	expect_skipped(3, "[\"a\"]");
	expect_skipped(7, "[\"a\"]");
	expect_skipped(8, "");
	expect_skipped(11, "{\"" ENTITY_1 "\": [\"a\"]}");
	expect_content(ENTITY_1, "{\"a\": 1, \"b\": 1, \"c\": 3, \"d\": 8, \"e\": 11}");
}

Test(respect, a_lock_that_waited_for_the_row_comes_after_the_write)
{
	const struct message lock = intent(2, "lock", ENTITY_1, "'fields':['a']");
	const struct message *const others[] = {&lock};
	put_others_beside(intent(3, "merge", ENTITY_1, "'content':{'a':3}" RESPECTS), others, 1);
	expect_skipped(3, "");
	rig_sql_expect(&rig, "{\"a\": 3, \"b\": 1} {a}", "select concat_ws(' ', content, locked_fields) from leat.entities");
}
