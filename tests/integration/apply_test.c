/* What intents do to entities, one behaviour a test: merges, deletes, late and early ones, Leat-Ids, what waits and what comes of it. */
#include "intents.h"

#include <criterion/criterion.h>
#include <stdio.h>

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

TestSuite(apply, .init = setup, .fini = teardown);

static void expect_content(const char *entity, const char *expected)
{
	rig_sql_expect(&rig, expected, "select content from leat.entities where id = '%s' and tenant_id = '" RIG_TENANT_A "'", entity);
}

/* What the ledger says of a position: "applied", "rejected not_found", … */
static void expect_ledger(int64_t position, const char *expected)
{
	rig_sql_expect(&rig, expected, "select concat_ws(' ', outcome, code) from leat.activity where position = %ld", (long)position);
}

/* ---- writes ---- */

Test(apply, a_merge_keeps_what_it_does_not_name)
{
	cr_assert_eq(put(&gate, intent(1, "upsert", ENTITY_1, "'content':{'a':1,'b':1},'metadata':{'m':1}")), LEAT_OUTCOME_APPLIED);
	cr_assert_eq(put(&gate, intent(2, "merge", ENTITY_1, "'content':{'b':2,'c':null}")), LEAT_OUTCOME_APPLIED);
	expect_content(ENTITY_1, "{\"a\": 1, \"b\": 2, \"c\": null}");
	rig_sql_expect(&rig, "{\"m\": 1}", "select metadata from leat.entities");
}

Test(apply, an_older_write_never_overwrites_a_newer_one)
{
	put(&gate, intent(1, "upsert", ENTITY_1, ""));
	put(&gate, intent(5, "merge", ENTITY_1, "'content':{'a':5}"));
	cr_assert_eq(put(&gate, intent(3, "merge", ENTITY_1, "'content':{'a':3,'b':3}")), LEAT_OUTCOME_APPLIED);
	expect_content(ENTITY_1, "{\"a\": 5, \"b\": 3}");
}

Test(apply, a_removed_field_stays_removed_for_older_writes)
{
	put(&gate, intent(1, "upsert", ENTITY_1, "'content':{'a':1,'b':1}"));
	put(&gate, intent(4, "unset", ENTITY_1, "'content':['a','never']"));
	put(&gate, intent(2, "merge", ENTITY_1, "'content':{'a':2,'never':2}"));
	expect_content(ENTITY_1, "{\"b\": 1}");
	put(&gate, intent(5, "merge", ENTITY_1, "'content':{'a':5}"));
	expect_content(ENTITY_1, "{\"a\": 5, \"b\": 1}");
}

Test(apply, a_lower_upsert_that_comes_late_gives_what_it_has)
{
	struct message early = intent(2, "upsert", ENTITY_1, "'content':{'a':2,'b':2}");
	struct message late = intent(5, "upsert", ENTITY_1, "'content':{'a':5}");
	late.body = "{\"entity_id\":\"" ENTITY_1 "\",\"entity_type\":\"later\",\"content\":{\"a\":5}}";
	put(&gate, late);
	cr_assert_eq(put(&gate, early), LEAT_OUTCOME_APPLIED);
	expect_content(ENTITY_1, "{\"a\": 5, \"b\": 2}");
	rig_sql_expect(&rig, "later", "select entity_type from leat.entities");
	cr_assert_eq(put(&gate, intent(3, "merge", ENTITY_1, "'content':{'b':3}")), LEAT_OUTCOME_APPLIED);
	expect_content(ENTITY_1, "{\"a\": 5, \"b\": 3}");
}

Test(apply, a_key_names_the_entity_and_stays)
{
	static const char id[] = "a15a6fb6-4a5d-5b7c-9c39-000000000000";
	struct message keyed = {.seq = 1, .verb = "upsert", .entity = id, .body = "{\"key\":\"k 1\",\"entity_type\":\"order\"}"};
	put(&gate, keyed);
	put(&gate, intent(2, "upsert", id, "'content':{'a':2}"));
	rig_sql_expect(&rig, "t k 1 2", "select concat_ws(' ', entity_type, key, content ->> 'a') from leat.entities");
}

Test(apply, a_delete_hides_all_and_an_upsert_revives_with_only_what_came_after)
{
	put(&gate, intent(1, "upsert", ENTITY_1, "'content':{'a':1},'metadata':{'m':1}"));
	put(&gate, intent(5, "delete", ENTITY_1, ""));
	rig_sql_expect(&rig, "t {} {}", "select concat_ws(' ', deleted_at is not null, content, metadata) from leat.entities");
	cr_assert_eq(put(&gate, intent(3, "merge", ENTITY_1, "'content':{'a':3}")), LEAT_OUTCOME_APPLIED, "before the delete it counted");
	put(&gate, intent(7, "upsert", ENTITY_1, "'content':{'b':7}"));
	cr_assert_eq(put(&gate, intent(4, "merge", ENTITY_1, "'content':{'c':4}")), LEAT_OUTCOME_APPLIED);
	expect_content(ENTITY_1, "{\"b\": 7}");
	rig_sql_expect(&rig, "f {}", "select concat_ws(' ', deleted_at is not null, metadata) from leat.entities");
}

Test(apply, a_hidden_field_comes_to_light_with_the_upsert_that_was_late)
{
	put(&gate, intent(1, "upsert", ENTITY_1, "'content':{'a':1}"));
	put(&gate, intent(4, "merge", ENTITY_1, "'content':{'b':4},'metadata':{'m':4}"));
	put(&gate, intent(2, "delete", ENTITY_1, ""));
	put(&gate, intent(5, "upsert", ENTITY_1, "'content':{'c':5}"));
	expect_content(ENTITY_1, "{\"c\": 5}");
	put(&gate, intent(3, "upsert", ENTITY_1, "'content':{'d':3}"));
	expect_content(ENTITY_1, "{\"b\": 4, \"c\": 5, \"d\": 3}");
	rig_sql_expect(&rig, "{\"m\": 4}", "select metadata from leat.entities");
}

Test(apply, tenants_with_the_same_ids_never_meet)
{
	struct message theirs = intent(2, "merge", ENTITY_1, "'content':{'a':2}");
	theirs.tenant = RIG_TENANT_B;
	put(&gate, intent(1, "upsert", ENTITY_1, "'content':{'a':1}"));
	cr_assert_eq(put(&gate, theirs), LEAT_OUTCOME_PARKED);
	cr_assert_eq(gate_decide_all(&gate, 0, 2), 0);
	expect_ledger(2, "rejected not_found");
	expect_content(ENTITY_1, "{\"a\": 1}");
	cr_assert_eq(rig_sql_int(&rig, "select count(*) from leat.entities"), 1);
}

Test(apply, a_number_of_100000_digits_arrives_as_it_was_sent)
{
	const size_t digits = 100000;
	LEAT_BUF_SCOPED number = LEAT_BUF_INIT;
	LEAT_BUF_SCOPED body = LEAT_BUF_INIT;
	for (size_t i = 0; i < digits; i++)
		leat_buf_printf(&number, "%c", '1' + (char)(i % 9));
	leat_buf_printf(&body, "{\"entity_id\":\"" ENTITY_1 "\",\"content\":{\"n\":%s,\"fraction\":1.50}}", number.data);
	struct message message = {.seq = 2, .verb = "merge", .entity = ENTITY_1, .body = body.data};
	put(&gate, intent(1, "upsert", ENTITY_1, ""));
	put(&gate, message);
	put(&gate, intent(3, "unset", ENTITY_1, "'content':['other']"));
	rig_sql_expect(&rig, number.data, "select content ->> 'n' from leat.entities");
	rig_sql_expect(&rig, "1.50", "select content ->> 'fraction' from leat.entities");
}

/* ---- what waits ---- */

Test(apply, an_intent_before_its_entity_waits_and_is_applied_once_it_is_there)
{
	cr_assert_eq(put(&gate, intent(2, "merge", ENTITY_1, "'content':{'a':2}")), LEAT_OUTCOME_PARKED);
	cr_assert_eq(rig_sql_int(&rig, "select count(*) from leat.activity"), 0);
	cr_assert_eq(gate_decide_all(&gate, 0, 0), 1);
	put(&gate, intent(1, "upsert", ENTITY_1, "'content':{'a':1,'b':1}"));
	cr_assert_eq(gate_decide_all(&gate, 0, 2), 0);
	expect_ledger(2, "applied");
	expect_content(ENTITY_1, "{\"a\": 2, \"b\": 1}");
}

Test(apply, a_floor_below_it_decides_nothing)
{
	put(&gate, intent(3, "merge", ENTITY_1, "'content':{'a':3}"));
	put(&gate, intent(4, "delete", ENTITY_2, ""));
	cr_assert_eq(gate_decide_all(&gate, 0, 2), 2);
	cr_assert_eq(gate_decide_all(&gate, 0, 3), 1);
	expect_ledger(3, "rejected not_found");
}

Test(apply, what_never_comes_to_exist_is_not_found)
{
	struct message verbs[] = {intent(1, "merge", ENTITY_1, "'content':{'a':1}"), intent(2, "unset", ENTITY_1, "'content':['a']"),
		intent(3, "delete", ENTITY_1, ""), bulk_intent(4, "'" ENTITY_1 "','" ENTITY_2 "'", "'content':{'a':1}")};
	PUT_EXPECT(&gate, verbs, LEAT_OUTCOME_PARKED, LEAT_OUTCOME_PARKED, LEAT_OUTCOME_PARKED, LEAT_OUTCOME_PARKED);
	gate_decide_all(&gate, 0, 4);
	for (int64_t position = 1; position <= 4; position++)
		expect_ledger(position, "rejected not_found");
	cr_assert_eq(rig_sql_int(&rig, "select count(*) from leat.entities"), 0);
}

Test(apply, what_comes_after_a_delete_is_deleted)
{
	put(&gate, intent(1, "upsert", ENTITY_1, ""));
	put(&gate, intent(2, "delete", ENTITY_1, ""));
	struct message verbs[] = {intent(3, "merge", ENTITY_1, "'content':{'a':1}"), intent(4, "unset", ENTITY_1, "'content':['a']"),
		intent(5, "delete", ENTITY_1, "")};
	PUT_EXPECT(&gate, verbs, LEAT_OUTCOME_PARKED, LEAT_OUTCOME_PARKED, LEAT_OUTCOME_PARKED);
	gate_decide_all(&gate, 0, 5);
	for (int64_t position = 3; position <= 5; position++)
		expect_ledger(position, "rejected deleted");
}

/* The delete is decided after the last upsert came: those between the two must not be forgotten meanwhile. */
Test(apply, a_parked_delete_keeps_the_upserts_above_it)
{
	struct decided decided;
	struct leat_error err;
	put(&gate, intent(1, "merge", ENTITY_2, ""));
	put(&gate, intent(3, "delete", ENTITY_1, ""));
	put(&gate, intent(2, "upsert", ENTITY_1, "'content':{'a':2}"));
	put(&gate, intent(4, "upsert", ENTITY_1, "'content':{'b':4}"));
	put(&gate, intent(5, "merge", ENTITY_1, "'content':{'c':5}"));
	cr_assert_eq(gate_decide(&gate, 0, 5, 1, &decided, &err), LEAT_OK, "%s", err.text);
	cr_assert_eq(decided.remaining, 1, "the delete is not decided yet");
	put(&gate, intent(6, "upsert", ENTITY_1, "'content':{'d':6}"));
	cr_assert_eq(gate_decide_all(&gate, 0, 5), 0);
	expect_content(ENTITY_1, "{\"b\": 4, \"c\": 5, \"d\": 6}");
}

Test(apply, a_bulk_waits_for_the_entities_that_are_not_there_and_lists_them_at_last)
{
	put(&gate, intent(1, "upsert", ENTITY_1, "'content':{'a':1}"));
	struct message bulk =
		bulk_intent(3, "'" ENTITY_1 "','" ENTITY_2 "','" ENTITY_3 "','" ENTITY_1 "'", "'content':{'b':3},'metadata':{'m':3}");
	cr_assert_eq(put(&gate, bulk), LEAT_OUTCOME_PARKED);
	expect_content(ENTITY_1, "{\"a\": 1}");
	put(&gate, intent(2, "upsert", ENTITY_2, ""));
	gate_decide_all(&gate, 0, 3);
	expect_content(ENTITY_1, "{\"a\": 1, \"b\": 3}");
	expect_content(ENTITY_2, "{\"b\": 3}");
	rig_sql_expect(&rig, "applied {\"missing\": [\"" ENTITY_3 "\"], \"entities\": 3}",
		"select concat_ws(' ', outcome, detail) from leat.activity where position = 3");
}

Test(apply, a_bulk_to_all_that_exist_is_applied_at_once)
{
	struct message batch[] = {intent(1, "upsert", ENTITY_1, ""), intent(2, "upsert", ENTITY_2, ""),
		bulk_intent(3, "'" ENTITY_2 "','" ENTITY_1 "'", "'content':{'b':3}"), intent(4, "merge", ENTITY_1, "'content':{'b':4}")};
	PUT_EXPECT(&gate, batch, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED);
	expect_content(ENTITY_1, "{\"b\": 4}");
	expect_content(ENTITY_2, "{\"b\": 3}");
}

/* ---- Leat-Id ---- */

Test(apply, a_leat_id_counts_once_in_a_batch_and_across)
{
	struct message batch[] = {intent(1, "upsert", ENTITY_1, "'content':{'a':1}"),
		with_id(intent(2, "merge", ENTITY_1, "'content':{'a':2}"), "x"), with_id(intent(3, "merge", ENTITY_1, "'content':{'a':3}"), "x")};
	PUT_EXPECT(&gate, batch, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_DUPLICATE);
	cr_expect_eq(put(&gate, with_id(intent(4, "delete", ENTITY_1, ""), "x")), LEAT_OUTCOME_DUPLICATE);
	expect_content(ENTITY_1, "{\"a\": 2}");
	rig_sql_expect(&rig, "{\"original_position\": 2} {\"original_position\": 2}",
		"select string_agg(detail::text, ' ') from leat.activity where outcome = 'duplicate'");
}

/* Of many messages they are claimed without a look first, of few with one. */
Test(apply, a_leat_id_counts_once_in_a_large_batch_and_across)
{
	enum { COUNT = 20 };
	struct message batch[COUNT];
	struct answer answers[COUNT];
	char ids[3 * COUNT][16];
	int64_t seq = 1;
	put(&gate, with_id(intent(seq++, "upsert", ENTITY_1, ""), "3"));
	for (int turn = 0; turn < 3; turn++) { /* the first has one used up already, the second one twice, the third none */
		for (int i = 0; i < COUNT; i++) {
			char *id = ids[turn * COUNT + i];
			snprintf(id, sizeof ids[0], "%d", turn == 1 && i == 5 ? 24 : turn * COUNT + i);
			batch[i] = with_id(intent(seq++, "merge", ENTITY_1, "'content':{'a':1}"), id);
		}
		PUT_ALL(&gate, batch, answers);
		for (int i = 0; i < COUNT; i++)
			cr_expect_eq(
				answers[i].outcome, turn < 2 && i == 3 + 2 * turn ? LEAT_OUTCOME_DUPLICATE : LEAT_OUTCOME_APPLIED, "turn %d, %d", turn, i);
		answers_free(answers, COUNT);
	}
	rig_sql_expect(&rig, "5 {\"original_position\": 1}, 27 {\"original_position\": 26}",
		"select string_agg(concat_ws(' ', position, detail), ', ' order by position) from leat.activity where outcome = 'duplicate'");
	cr_expect_eq(rig_sql_int(&rig, "select count(*) from leat.message_ids"), 3 * COUNT - 1);
}

Test(apply, a_leat_id_belongs_to_its_tenant)
{
	struct message theirs = with_id(intent(2, "upsert", ENTITY_1, ""), "x");
	theirs.tenant = RIG_TENANT_B;
	struct message batch[] = {with_id(intent(1, "upsert", ENTITY_1, ""), "x"), theirs};
	PUT_EXPECT(&gate, batch, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED);
}

Test(apply, a_rejected_intent_does_not_use_its_leat_id_up)
{
	put(&gate, with_id(intent(1, "merge", ENTITY_1, "'content':{'a':1}"), "x"));
	gate_decide_all(&gate, 0, 1);
	expect_ledger(1, "rejected not_found");
	cr_assert_eq(put(&gate, with_id(intent(2, "upsert", ENTITY_1, "'content':{'a':2}"), "x")), LEAT_OUTCOME_APPLIED);
	cr_assert_eq(put(&gate, with_id(intent(3, "upsert", ENTITY_1, "'content':{'a':3}"), "x")), LEAT_OUTCOME_DUPLICATE);
	expect_content(ENTITY_1, "{\"a\": 2}");
}

Test(apply, a_duplicate_of_one_that_waits_counts_on_its_own)
{
	struct message batch[] = {
		with_id(intent(1, "merge", ENTITY_1, "'content':{'a':1}"), "x"), with_id(intent(2, "upsert", ENTITY_2, ""), "x")};
	PUT_EXPECT(&gate, batch, LEAT_OUTCOME_PARKED, LEAT_OUTCOME_APPLIED);
	gate_decide_all(&gate, 0, 2);
	expect_ledger(1, "duplicate");
	expect_ledger(2, "applied");
}

Test(apply, parked_copies_of_one_leat_id_are_decided_one_after_the_other)
{
	struct message batch[] = {intent(1, "upsert", ENTITY_2, ""), with_id(intent(2, "merge", ENTITY_1, "'content':{'a':1}"), "x")};
	PUT_EXPECT(&gate, batch, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_PARKED);
	put(&gate, with_id(intent(3, "merge", ENTITY_3, "'content':{'a':1}"), "x"));
	gate_decide_all(&gate, 0, 3);
	expect_ledger(2, "rejected not_found");
	expect_ledger(3, "rejected not_found");
	cr_assert_eq(rig_sql_int(&rig, "select count(*) from leat.message_ids"), 0);
}
