/* SQL clients beside the stream: the two merge functions, rows written by hand, what the triggers record of both. */
#include "intents.h"

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

TestSuite(direct, .init = setup, .fini = teardown);

static void expect_content(const char *expected)
{
	rig_sql_expect(&rig, expected, "select content from leat.entities");
}

/* The merge function of `part`, of ENTITY_1: what it returns. */
static void expect_merge(const char *expected, const char *part, const char *tenant, const char *object)
{
	rig_sql_expect(&rig, expected, "select coalesce(leat.merge_entity_%s('" ENTITY_1 "', '%s', %s)::text, 'null')", part, tenant, object);
}

/* ---- leat.merge_entity_content, leat.merge_entity_metadata ---- */

Test(direct, a_merge_returns_the_merged_object)
{
	put(&gate, intent(1, "upsert", ENTITY_1, "'content':{'a':1},'metadata':{'m':1}"));
	expect_merge("{\"a\": 1, \"b\": 2}", "content", RIG_TENANT_A, "'{\"b\":2}'");
	expect_merge("{\"m\": null}", "metadata", RIG_TENANT_A, "'{\"m\":null}'");
	expect_content("{\"a\": 1, \"b\": 2}");
}

Test(direct, a_merge_into_what_is_not_visible_returns_null)
{
	expect_merge("null", "content", RIG_TENANT_A, "'{}'");
	put(&gate, intent(1, "upsert", ENTITY_1, "'content':{'a':1}"));
	expect_merge("null", "content", RIG_TENANT_B, "'{\"a\":2}'");
	expect_merge("null", "metadata", RIG_TENANT_B, "'{\"a\":2}'");
	expect_content("{\"a\": 1}");
	put(&gate, intent(2, "delete", ENTITY_1, ""));
	expect_merge("null", "content", RIG_TENANT_A, "'{\"a\":2}'");
	expect_merge("null", "metadata", RIG_TENANT_A, "'{\"a\":2}'");
}

Test(direct, a_merge_of_anything_but_an_object_is_refused)
{
	static const char *const refused[] = {"null", "'null'", "'[]'", "'1'", "'\"{}\"'"};
	put(&gate, intent(1, "upsert", ENTITY_1, "'content':{'a':1}"));
	rig_sql(&rig,
		"create function refuses(p_sql text) returns boolean language plpgsql as"
		" 'begin execute p_sql; return false; exception when invalid_parameter_value then return true; end'");
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
		for (size_t part = 0; part < 2; part++)
			rig_sql_expect(&rig, "t", "select refuses($$select leat.merge_entity_%s('" ENTITY_1 "', '" RIG_TENANT_A "', %s)$$)",
				part == 0 ? "content" : "metadata", refused[i]);
	}
	expect_content("{\"a\": 1}");
}

Test(direct, a_merge_lies_above_what_came_before_and_below_what_comes_after)
{
	put(&gate, intent(1, "upsert", ENTITY_1, "'content':{'a':1}"));
	put(&gate, intent(5, "merge", ENTITY_1, "'content':{'b':5}"));
	expect_merge("{\"a\": \"direct\", \"b\": 5}", "content", RIG_TENANT_A, "'{\"a\":\"direct\"}'");
	put(&gate, intent(4, "merge", ENTITY_1, "'content':{'a':4,'c':4}"));
	expect_content("{\"a\": \"direct\", \"b\": 5, \"c\": 4}");
	put(&gate, intent(6, "merge", ENTITY_1, "'content':{'a':6}"));
	expect_content("{\"a\": 6, \"b\": 5, \"c\": 4}");
}

/* ---- rows that direct SQL made ---- */

Test(direct, an_update_by_hand_is_a_write_that_later_intents_merge_into)
{
	put(&gate, intent(1, "upsert", ENTITY_1, "'content':{'a':1}"));
	rig_sql(&rig, "update leat.entities set content = content || '{\"hand\": true}'");
	put(&gate, intent(2, "merge", ENTITY_1, "'content':{'b':2}"));
	put(&gate, intent(3, "unset", ENTITY_1, "'content':['a']"));
	expect_content("{\"b\": 2, \"hand\": true}");
	put(&gate, intent(4, "unset", ENTITY_1, "'content':['hand']"));
	expect_content("{\"b\": 2}");
}

Test(direct, a_row_inserted_by_hand_takes_intents_like_any_other)
{
	rig_sql(&rig,
		"insert into leat.entities (tenant_id, id, entity_type, content) values ('" RIG_TENANT_A "', '" ENTITY_1
		"', 'hand', '{\"a\": 0, \"b\": 0}')");
	cr_assert_eq(put(&gate, intent(1, "merge", ENTITY_1, "'content':{'a':1}")), LEAT_OUTCOME_APPLIED);
	cr_assert_eq(put(&gate, intent(2, "unset", ENTITY_1, "'content':['never']")), LEAT_OUTCOME_APPLIED);
	expect_content("{\"a\": 1, \"b\": 0}");
	cr_assert_eq(put(&gate, intent(3, "upsert", ENTITY_1, "'content':{'c':3}")), LEAT_OUTCOME_APPLIED);
	expect_content("{\"a\": 1, \"b\": 0, \"c\": 3}");
	cr_assert_eq(put(&gate, intent(4, "delete", ENTITY_1, "")), LEAT_OUTCOME_APPLIED);
	cr_assert_eq(put(&gate, intent(5, "upsert", ENTITY_1, "'content':{'d':5}")), LEAT_OUTCOME_APPLIED);
	expect_content("{\"d\": 5}");
}

/* ---- updated_at ---- */

Test(direct, every_change_moves_updated_at)
{
	static const char *const changes[] = {"update leat.entities set content = '{\"a\": 2}'",
		"update leat.entities set entity_type = 'other'",
		"select leat.merge_entity_metadata('" ENTITY_1 "', '" RIG_TENANT_A "', '{\"m\": 1}')"};
	put(&gate, intent(1, "upsert", ENTITY_1, "'content':{'a':1}"));
	for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
		char *before = rig_sql_text(&rig, "select updated_at from leat.entities");
		rig_sql(&rig, "%s", changes[i]);
		rig_sql_expect(&rig, "t", "select updated_at > '%s' from leat.entities", before);
		free(before);
	}
	char *before = rig_sql_text(&rig, "select updated_at from leat.entities");
	put(&gate, intent(2, "merge", ENTITY_1, "'content':{'a':3}"));
	rig_sql_expect(&rig, "t t", "select concat_ws(' ', updated_at > '%s', created_at < updated_at) from leat.entities", before);
	free(before);
}

/* ---- the audit log ---- */

#define AUDIT                                                                                                                              \
	"select string_agg(concat_ws(' ', operation, position, (old).content, '->', (new).content), ', ' order by at) from leat.audit_log"

Test(direct, every_visible_change_is_recorded_with_both_images)
{
	put(&gate, intent(1, "upsert", ENTITY_1, "'content':{'a':1}"));
	put(&gate, intent(2, "merge", ENTITY_1, "'content':{'a':2}"));
	put(&gate, intent(3, "delete", ENTITY_1, ""));
	rig_sql(&rig, "update leat.entities set content = '{\"a\": 3}'");
	rig_sql(&rig, "delete from leat.entities");
	rig_sql_expect(&rig,
		"insert 1 -> {\"a\": 1}, update 2 {\"a\": 1} -> {\"a\": 2}, update 3 {\"a\": 2} -> {}, update {} -> {\"a\": 3}, delete "
		"{\"a\": 3} ->",
		AUDIT);
	cr_assert_eq(rig_sql_int(&rig,
					 "select count(*) from leat.audit_log where tenant_id = '" RIG_TENANT_A "' and entity_id = '" ENTITY_1
					 "' and db_user = session_user"),
		5);
}

Test(direct, a_batch_records_each_entity_it_changes_once)
{
	struct message batch[] = {intent(1, "upsert", ENTITY_1, "'content':{'a':1}"), intent(2, "merge", ENTITY_1, "'content':{'b':2}"),
		intent(3, "upsert", ENTITY_2, "")};
	PUT_EXPECT(&gate, batch, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED);
	rig_sql_expect(&rig, "insert " ENTITY_1 " {\"a\": 1, \"b\": 2}, insert " ENTITY_2 " {}",
		"select string_agg(concat_ws(' ', operation, entity_id, (new).content), ', ' order by entity_id) from leat.audit_log");
}

Test(direct, what_nobody_can_see_is_not_recorded)
{
	put(&gate, intent(1, "upsert", ENTITY_1, "'content':{'a':1}"));
	put(&gate, intent(5, "merge", ENTITY_1, "'content':{'a':5}"));
	put(&gate, intent(3, "merge", ENTITY_1, "'content':{'a':3}"));
	put(&gate, intent(6, "merge", ENTITY_1, "'content':{'a':5}"));
	put(&gate, intent(4, "unset", ENTITY_1, "'content':['never']"));
	rig_sql(&rig, "update leat.entities set content = content");
	cr_assert_eq(rig_sql_int(&rig, "select count(*) from leat.audit_log"), 2);
}

Test(direct, what_was_rolled_back_is_not_recorded)
{
	put(&gate, intent(1, "upsert", ENTITY_1, "'content':{'a':1}"));
	rig_sql(&rig, "begin; update leat.entities set content = '{}'; delete from leat.entities; rollback");
	cr_assert_eq(rig_sql_int(&rig, "select count(*) from leat.audit_log"), 1);
	expect_content("{\"a\": 1}");
}

Test(direct, emptying_the_table_is_recorded_too)
{
	put(&gate, intent(1, "upsert", ENTITY_1, "'content':{'a':1}"));
	rig_sql(&rig, "truncate leat.entities");
	rig_sql_expect(
		&rig, "delete {\"a\": 1}", "select concat_ws(' ', operation, (old).content) from leat.audit_log where operation <> 'insert'");
}

/* Positions that direct SQL made up are its own entity's trouble: whatever they are, no intent is refused without end for them. */
Test(direct, made_up_positions_hold_up_no_intent)
{
	put(&gate, intent(1, "upsert", ENTITY_1, "'content':{'a':1}"));
	rig_sql(&rig, "update leat.entities set upsert_positions = '{1}', deleted_position = 3, last_position = 3");
	struct message batch[] = {intent(2, "upsert", ENTITY_2, ""), intent(3, "upsert", ENTITY_1, "'content':{'a':3}")};
	PUT_EXPECT(&gate, batch, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED);
	cr_expect_eq(put(&gate, intent(4, "upsert", ENTITY_1, "'content':{'a':4}")), LEAT_OUTCOME_APPLIED);
	rig_sql_expect(&rig, "{\"a\": 4}", "select content from leat.entities where id = '" ENTITY_1 "'");
}
