/* What a redriven entity intent writes, and where: at the position of the message that was rejected, never over what came later. */
#include "redriving.h"

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

TestSuite(redrive, .init = setup, .fini = teardown);

static void expect_content(const char *expected)
{
	rig_sql_expect(&rig, expected, "select content from leat.entities where id = '" ENTITY_1 "' and tenant_id = '" RIG_TENANT_A "'");
}

/* "applied {detail}", "rejected not_found …" */
static void expect_ledger(int64_t position, const char *expected)
{
	rig_sql_expect(&rig, expected,
		"select concat_ws(' ', outcome, code, nullif(detail - 'message', '{}')) from leat.activity where position = %ld", (long)position);
}

/* A batch of its own each, so that every one meets what was before it as settled. */
#define PUT_EACH(...)                                                                                                                      \
	for (size_t each_ = 0; each_ < sizeof((struct message[]){__VA_ARGS__}) / sizeof(struct message); each_++)                              \
	put(&gate, ((struct message[]){__VA_ARGS__})[each_])

/* The floor, as it is when all was settled long ago. */
static void settle_all_below(int64_t seq)
{
	gate_decide_all(&gate, 0, seq);
}

/* ---- fields ---- */

Test(redrive, changes_none_of_the_fields_that_were_written_later)
{
	struct message dead = intent(2, "merge", ENTITY_1, "'content':{'a':2,'b':2,'c':2},'metadata':{'m':2}");
	put(&gate, intent(1, "upsert", ENTITY_1, "'content':{'a':1,'b':1,'c':1},'metadata':{'m':1}"));
	put(&gate, refused(dead));
	put(&gate, intent(3, "merge", ENTITY_1, "'content':{'a':3},'metadata':{'m':3}"));
	put(&gate, intent(4, "unset", ENTITY_1, "'content':['b']"));
	settle_all_below(4);
	cr_assert_eq(put(&gate, redrive(5, dead)), LEAT_OUTCOME_APPLIED);
	expect_content("{\"a\": 3, \"c\": 2}");
	rig_sql_expect(&rig, "{\"m\": 3}", "select metadata from leat.entities");
	rig_sql_expect(&rig, "{\"a\": 3, \"b\": 4, \"c\": 2}", "select content_positions from leat.entities");
	expect_ledger(2, "rejected internal");
	expect_ledger(5, "applied {\"origin_position\": 2}");
}

Test(redrive, in_one_batch_with_others_it_is_the_same)
{
	struct message dead = intent(2, "merge", ENTITY_1, "'content':{'a':2,'b':2}");
	struct message batch[] = {intent(4, "merge", ENTITY_1, "'content':{'c':4}"), redrive(5, dead),
		intent(6, "merge", ENTITY_1, "'content':{'d':6}"), intent(7, "upsert", ENTITY_2, "'content':{'a':7}")};
	PUT_EACH(intent(1, "upsert", ENTITY_1, "'content':{'a':1,'b':1}"), refused(dead), intent(3, "merge", ENTITY_1, "'content':{'a':3}"));
	PUT_EXPECT(&gate, batch, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED);
	expect_content("{\"a\": 3, \"b\": 2, \"c\": 4, \"d\": 6}");
	expect_ledger(6, "applied");
}

Test(redrive, of_a_bulk_an_unset_and_a_lock_stay_below_what_came_later)
{
	struct message bulk = bulk_intent(3, "'" ENTITY_1 "','" ENTITY_2 "'", "'content':{'a':3,'z':3}");
	struct message unset = intent(4, "unset", ENTITY_1, "'content':['b','c']");
	struct message lock = intent(5, "lock", ENTITY_1, "'fields':['x','y']");
	PUT_EACH(intent(1, "upsert", ENTITY_1, "'content':{'b':1,'c':1}"), intent(2, "upsert", ENTITY_2, ""), refused(bulk), refused(unset),
		refused(lock), intent(6, "merge", ENTITY_1, "'content':{'a':6,'b':6}"), intent(7, "unlock", ENTITY_1, "'fields':['x']"));
	settle_all_below(7);
	PUT_EACH(redrive(8, bulk), redrive(9, unset), redrive(10, lock));
	expect_content("{\"a\": 6, \"b\": 6, \"z\": 3}");
	rig_sql_expect(&rig, "{y}", "select locked_fields from leat.entities where id = '" ENTITY_1 "'");
	rig_sql_expect(&rig, "{\"a\": 3, \"z\": 3}", "select content from leat.entities where id = '" ENTITY_2 "'");
}

Test(redrive, with_now_it_is_the_newest_write)
{
	struct message dead = intent(2, "merge", ENTITY_1, "'content':{'a':2}");
	PUT_EACH(intent(1, "upsert", ENTITY_1, ""), refused(dead), intent(3, "merge", ENTITY_1, "'content':{'a':3}"));
	cr_assert_eq(put(&gate, redrive_with(4, dead, "Leat-Redrive: now\r\n")), LEAT_OUTCOME_APPLIED);
	expect_content("{\"a\": 2}");
	rig_sql_expect(&rig, "{\"a\": 4}", "select content_positions from leat.entities");
	expect_ledger(4, "applied {\"now\": true, \"origin_position\": 2}");
}

Test(redrive, an_outcome_shows_the_entity_and_nothing_of_the_ledger)
{
	struct message dead = intent(2, "merge", ENTITY_1, "'content':{'a':2}");
	struct message again = redrive(4, dead);
	struct answer first;
	struct answer second;
	again.reply_to = "leat.reply." RIG_TENANT_A ".x";
	PUT_EACH(intent(1, "upsert", ENTITY_1, ""), refused(dead), intent(3, "merge", ENTITY_1, "'content':{'a':3}"));
	put_all(&gate, &again, 1, &first);
	put_all(&gate, &again, 1, &second);
	cr_expect_str_eq(first.reply,
		"{\"status\":\"applied\",\"position\":4,\"result\":{\"content\": {\"a\": 3}, \"metadata\": {}, \"entity_id\": \"" ENTITY_1
		"\", \"skipped_fields\": []}}");
	cr_expect_str_eq(second.reply, first.reply, "a redelivery repeats the first outcome");
	cr_expect_eq(second.outcome, LEAT_OUTCOME_KNOWN);
	answers_free(&first, 1);
	answers_free(&second, 1);
}

/* ---- upserts and deletes ---- */

Test(redrive, of_an_upsert_gives_the_merges_that_found_nothing_their_place)
{
	struct message upsert = intent(1, "upsert", ENTITY_1, "'content':{'a':1,'b':1}");
	struct message merge = intent(2, "merge", ENTITY_1, "'content':{'a':2}");
	put(&gate, refused(upsert));
	cr_assert_eq(put(&gate, merge), LEAT_OUTCOME_PARKED);
	settle_all_below(2);
	expect_ledger(2, "rejected not_found");
	put(&gate, intent(3, "upsert", ENTITY_1, "'content':{'c':3}"));
	settle_all_below(3);
	PUT_EACH(redrive(4, upsert), redrive(5, merge));
	expect_content("{\"a\": 2, \"b\": 1, \"c\": 3}");
	rig_sql_expect(&rig, "1", "select upsert_positions[1] from leat.entities");
}

Test(redrive, of_a_delete_ends_only_what_was_before_it)
{
	struct message dead = intent(3, "delete", ENTITY_1, "");
	PUT_EACH(intent(1, "upsert", ENTITY_1, "'content':{'a':1,'b':1}"), intent(2, "merge", ENTITY_1, "'content':{'b':2}"), refused(dead),
		intent(4, "merge", ENTITY_1, "'content':{'between':4}"), intent(5, "upsert", ENTITY_1, "'content':{'c':5}"));
	settle_all_below(5);
	PUT_EACH(intent(6, "upsert", ENTITY_1, "'content':{'d':6}"), intent(7, "merge", ENTITY_1, "'content':{'e':7}"));
	settle_all_below(7);
	rig_sql_expect(&rig, "{1,6}", "select upsert_positions from leat.entities"); /* it has forgotten that of 5 */
	cr_assert_eq(put(&gate, redrive(8, dead)), LEAT_OUTCOME_APPLIED);
	expect_content("{\"c\": 5, \"d\": 6, \"e\": 7}");
	rig_sql_expect(
		&rig, "f 3 5", "select concat_ws(' ', deleted_at is not null, deleted_position, upsert_positions[1]) from leat.entities");
	rig_sql_expect(&rig, "3 tests", "select concat_ws(' ', position, actor) from leat.audit_log order by at desc, position limit 1");
}

Test(redrive, of_a_delete_below_no_later_upsert_deletes)
{
	struct message dead = intent(2, "delete", ENTITY_1, "");
	PUT_EACH(intent(1, "upsert", ENTITY_1, "'content':{'a':1}"), refused(dead), intent(3, "merge", ENTITY_1, "'content':{'b':3}"));
	settle_all_below(3);
	put(&gate, redrive(4, dead));
	rig_sql_expect(&rig, "t 2", "select concat_ws(' ', deleted_at is not null, deleted_position) from leat.entities");
}

Test(redrive, of_a_delete_and_the_upsert_behind_it_loses_nothing_written_after_them)
{
	struct message delete = intent(2, "delete", ENTITY_1, "");
	struct message upsert = intent(3, "upsert", ENTITY_1, "'content':{'b':3}");
	PUT_EACH(intent(1, "upsert", ENTITY_1, "'content':{'a':1}"), refused(delete), refused(upsert),
		intent(4, "merge", ENTITY_1, "'content':{'c':4}"), intent(5, "upsert", ENTITY_1, "'content':{'d':5}"));
	settle_all_below(5);
	put(&gate, redrive(6, delete));
	settle_all_below(6);
	expect_content("{\"d\": 5}");
	put(&gate, intent(7, "merge", ENTITY_1, "'content':{'e':7}")); /* would drop what is hidden below the floor */
	put(&gate, redrive(8, upsert));
	expect_content("{\"b\": 3, \"c\": 4, \"d\": 5, \"e\": 7}");
}

/* ---- once ---- */

Test(redrive, twice_is_a_duplicate)
{
	struct message dead = intent(2, "merge", ENTITY_1, "'content':{'a':2}");
	struct message twice[] = {redrive(5, dead), redrive(6, dead)};
	PUT_EACH(intent(1, "upsert", ENTITY_1, ""), refused(dead));
	cr_assert_eq(put(&gate, redrive(3, dead)), LEAT_OUTCOME_APPLIED);
	cr_assert_eq(put(&gate, redrive_with(4, dead, "Leat-Redrive: now\r\n")), LEAT_OUTCOME_DUPLICATE);
	PUT_EXPECT(&gate, twice, LEAT_OUTCOME_DUPLICATE, LEAT_OUTCOME_DUPLICATE);
	expect_ledger(6, "duplicate {\"origin_position\": 2, \"original_position\": 3}");
	rig_sql_expect(&rig, "{\"a\": 2}", "select content_positions from leat.entities");
}

Test(redrive, of_what_was_published_again_meanwhile_is_a_duplicate)
{
	struct message dead = with_id(intent(2, "merge", ENTITY_1, "'content':{'a':2}"), "order-1");
	PUT_EACH(intent(1, "upsert", ENTITY_1, ""), refused(dead), with_id(intent(3, "merge", ENTITY_1, "'content':{'a':3}"), "order-1"));
	cr_assert_eq(put(&gate, redrive(4, dead)), LEAT_OUTCOME_DUPLICATE);
	expect_content("{\"a\": 3}");
}

Test(redrive, uses_its_leat_id_up)
{
	struct message dead = with_id(intent(2, "merge", ENTITY_1, "'content':{'a':2}"), "order-1");
	PUT_EACH(intent(1, "upsert", ENTITY_1, ""), refused(dead));
	cr_assert_eq(put(&gate, redrive(3, dead)), LEAT_OUTCOME_APPLIED);
	cr_assert_eq(put(&gate, redrive(4, dead)), LEAT_OUTCOME_DUPLICATE);
	cr_assert_eq(put(&gate, with_id(intent(5, "merge", ENTITY_1, "'content':{'a':5}"), "order-1")), LEAT_OUTCOME_DUPLICATE);
}

Test(redrive, that_is_rejected_again_keeps_the_first_origin)
{
	struct message dead = intent(1, "merge", ENTITY_1, "'content':{'a':1}");
	put(&gate, dead);
	settle_all_below(1);
	cr_assert_eq(put(&gate, redrive(2, dead)), LEAT_OUTCOME_PARKED, "its upsert may be a redrive too, and on its way");
	settle_all_below(2);
	expect_ledger(2, "rejected not_found {\"origin_position\": 1}");
	char *headers =
		rig_sql_text(&rig, "select encode(headers, 'escape') from leat.outbox where subject like 'leat.dead.%%' order by seq desc limit 1");
	cr_expect_not_null(strstr(headers, "Leat-Origin-Subject: leat.intent." RIG_TENANT_A ".service.entity.merge\r\n"), "%s", headers);
	cr_expect_not_null(strstr(headers, "Leat-Origin-Seq: 1\r\nLeat-Origin-Position: 1\r\n"), "%s", headers);
	cr_expect_not_null(strstr(headers, "Leat-Actor: tests\r\n"), "%s", headers);
	char *second = strstr(strstr(headers, "Leat-Origin-Seq") + 1, "Leat-Origin-Seq");
	cr_expect_null(second, "%s", headers);
	free(headers);

	struct message upsert = intent(3, "upsert", ENTITY_1, "'content':{'b':3}");
	PUT_EACH(upsert, redrive_with(4, dead, "Leat-Redrive: now\r\n"));
	expect_content("{\"a\": 1, \"b\": 3}");
}

/* ---- what is refused ---- */

static void expect_refused(struct message message, const char *code, const char *why)
{
	struct answer answer;
	message.reply_to = "leat.reply." RIG_TENANT_A ".x";
	put_all(&gate, &message, 1, &answer);
	cr_expect_eq(answer.outcome, LEAT_OUTCOME_REJECTED);
	cr_expect(
		strstr(answer.reply, code) != NULL && strstr(answer.reply, why) != NULL, "expected %s, %s; found %s", code, why, answer.reply);
	answers_free(&answer, 1);
}

Test(redrive, of_anything_but_a_rejected_message_of_the_tenant_is_refused)
{
	struct message dead = intent(2, "merge", ENTITY_1, "'content':{'a':2}");
	struct message theirs = redrive(12, dead);
	struct message other = redrive(13, dead);
	struct message absent = dead;
	struct message bare = redrive(15, dead);
	struct message elsewhere = redrive(16, dead);
	struct message unknown = redrive_with(17, dead, "Leat-Redrive: later\r\n");
	PUT_EACH(intent(1, "upsert", ENTITY_1, ""), refused(dead));
	theirs.tenant = RIG_TENANT_B;
	other.verb = "upsert";
	absent.seq = 9;
	bare.headers = "Leat-Actor: tests\r\n";
	elsewhere.headers = "Leat-Origin-Stream: LEAT_RUN\r\nLeat-Origin-Seq: 2\r\n";
	theirs.reply_to = NULL;
	cr_expect_eq(put(&gate, theirs), LEAT_OUTCOME_REJECTED);
	expect_ledger(12, "rejected conflict {\"origin_position\": 2}");
	expect_refused(other, "conflict", "position 2 of LEAT_ENTITY is no rejected entity.upsert of this tenant");
	expect_refused(redrive(14, absent), "conflict", "--now");
	expect_refused(bare, "invalid_message", "Leat-Origin-Position");
	expect_refused(elsewhere, "invalid_message", "Leat-Origin-Stream: LEAT_ENTITY");
	expect_refused(unknown, "invalid_message", "Leat-Redrive: expected now");
	expect_content("{}");
	cr_expect_eq(put(&gate, redrive_with(18, absent, "Leat-Redrive: now\r\n")), LEAT_OUTCOME_APPLIED, "the ledger need not know it");
	expect_content("{\"a\": 2}");
}

Test(redrive, of_what_a_replay_has_applied_is_a_duplicate)
{
	struct message applied = intent(2, "merge", ENTITY_1, "'content':{'a':2}");
	PUT_EACH(intent(1, "upsert", ENTITY_1, ""), applied, intent(3, "unset", ENTITY_1, "'content':['a']"));
	cr_assert_eq(put(&gate, redrive(4, applied)), LEAT_OUTCOME_DUPLICATE);
	expect_ledger(4, "duplicate {\"origin_position\": 2, \"original_position\": 2}");
}

Test(redrive, by_the_sequence_alone_finds_the_newest_that_was_rejected)
{
	struct message dead = intent(2, "merge", ENTITY_1, "'content':{'a':2}");
	struct message again = redrive(3, dead);
	again.headers = "Leat-Origin-Stream: LEAT_ENTITY\r\nLeat-Origin-Seq: 2\r\n";
	PUT_EACH(intent(1, "upsert", ENTITY_1, ""), refused(dead));
	cr_assert_eq(put(&gate, again), LEAT_OUTCOME_APPLIED);
	expect_ledger(3, "applied {\"origin_position\": 2}");
}
