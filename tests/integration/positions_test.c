/*
 * Positions when a stream is not what it was: deleted and made again, or cut back. New messages that come with sequences that were used
 * before are new; old ones that come again are known.
 */
#include "intents.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <pthread.h>

#define EPOCH_1 (INT64_C(1) << 40)

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

TestSuite(positions, .init = setup, .fini = teardown);

/* Milliseconds as in struct message, as SQL. */
#define AT "timestamptz 'epoch' + (1700000000000 + %" PRId64 ") * interval '1 millisecond'"

/* What leat.check_stream makes of a stream created then: "<epoch> <newest sequence> <its time>". */
static void expect_check(const char *expected, int64_t created_ms)
{
	rig_sql_expect(&rig, expected,
		"select concat_ws(' ', epoch, last_seq, (extract(epoch from last_at) * 1000 - 1700000000000)::bigint) from "
		"leat.check_stream('" STREAM "', " AT ")",
		created_ms);
}

static void stream_was_cut(int32_t epoch, int64_t last_ms)
{
	rig_sql(&rig, "select leat.stream_was_cut('" STREAM "', %d, " AT ")", epoch, last_ms);
}

static void expect_epochs(int64_t count)
{
	cr_assert_eq(rig_sql_int(&rig, "select count(*) from leat.stream_epochs"), count);
}

static void expect_content(const char *expected)
{
	rig_sql_expect(&rig, expected, "select content from leat.entities");
}

/* "<epoch>|<sequence> …", in order of position. */
static void expect_ledger(const char *expected)
{
	rig_sql_expect(&rig, expected,
		"select string_agg(concat(position >> 40, '|', position & ((1::bigint << 40) - 1)), ' ' order by position) from leat.activity");
}

static struct message merge_at(int64_t seq, int64_t at_ms, const char *members)
{
	struct message message = intent(seq, "merge", ENTITY_1, members);
	message.at_ms = at_ms;
	return message;
}

static void put_upsert_and_merges(int64_t last)
{
	put(&gate, intent(1, "upsert", ENTITY_1, ""));
	for (int64_t seq = 2; seq <= last; seq++)
		cr_assert_eq(put(&gate, intent(seq, "merge", ENTITY_1, "'content':{'a':'old'}")), LEAT_OUTCOME_APPLIED);
}

/* ---- a stream that stays ---- */

Test(positions, a_stream_that_stays_has_one_epoch)
{
	expect_check("0", 0);
	expect_check("0", 0);
	put_upsert_and_merges(3);
	expect_check("0 3 3", 0);
	expect_epochs(1);
	expect_ledger("0|1 0|2 0|3");
}

Test(positions, the_newest_known_message_may_be_one_that_waits)
{
	expect_check("0", 0);
	put_upsert_and_merges(3);
	put(&gate, intent(7, "merge", ENTITY_2, ""));
	expect_check("0 7 7", 0);
}

Test(positions, messages_may_come_before_the_first_look)
{
	put_upsert_and_merges(2);
	expect_check("0 2 2", 0);
	expect_epochs(1);
}

/* ---- deleted and made again ---- */

Test(positions, a_stream_made_again_begins_an_epoch)
{
	expect_check("0", 0);
	put_upsert_and_merges(4);
	expect_check("1", 1000);
	expect_check("1", 1000);
	expect_epochs(2);
	cr_assert_eq(put(&gate, merge_at(2, 1002, "'content':{'a':'new'}")), LEAT_OUTCOME_APPLIED);
	expect_content("{\"a\": \"new\"}");
	expect_ledger("0|1 0|2 0|3 0|4 1|2");
	expect_check("1 2 1002", 1000);
}

Test(positions, what_is_still_in_hand_of_the_old_stream_is_known)
{
	expect_check("0", 0);
	put_upsert_and_merges(4);
	expect_check("1", 1000);
	struct message batch[] = {
		intent(3, "merge", ENTITY_1, "'content':{'a':'old'}"), merge_at(4, 1004, "'content':{'a':'new'}"), merge_at(5, 5, "")};
	PUT_EXPECT(&gate, batch, LEAT_OUTCOME_KNOWN, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED);
	expect_ledger("0|1 0|2 0|3 0|4 0|5 1|4");
	expect_content("{\"a\": \"new\"}");
}

/* Few merges go a shorter way (leat.merge_few), on which all are of the newest epoch. */
Test(positions, a_few_merges_of_both_streams_are_told_apart)
{
	expect_check("0", 0);
	const struct message upserts[] = {intent(1, "upsert", ENTITY_1, ""), intent(2, "upsert", ENTITY_2, "")};
	PUT_EXPECT(&gate, upserts, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED);
	cr_assert_eq(put(&gate, intent(5, "merge", ENTITY_2, "'content':{'a':'old'}")), LEAT_OUTCOME_APPLIED);
	expect_check("1", 1000);
	cr_assert_eq(put(&gate, merge_at(1, 1001, "'content':{'a':'new'}")), LEAT_OUTCOME_APPLIED);
	const struct message batch[] = {merge_at(2, 1002, "'content':{'a':'newer'}"), intent(5, "merge", ENTITY_2, "'content':{'a':'old'}")};
	PUT_EXPECT(&gate, batch, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_KNOWN);
	expect_ledger("0|1 0|2 0|5 1|1 1|2");
}

/* Both looked before either had opened it: the second waits for the first. */
static void *notice(void *result)
{
	struct leat_error err;
	if (leat_pg_run_sql(gate.pg, "select epoch from leat.check_stream('" STREAM "', timestamptz 'epoch' + interval '1700000001 seconds')",
			result, &err) != LEAT_OK)
		cr_log_error("%s", err.text);
	return NULL;
}

Test(positions, two_that_notice_at_once_open_one_epoch)
{
	LEAT_PG_RESULT_SCOPED *pid = NULL;
	LEAT_PG_RESULT_SCOPED *second = NULL;
	struct leat_error err;
	pthread_t thread;
	expect_check("0", 0);
	cr_assert_eq(leat_pg_run_sql(gate.pg, "select pg_backend_pid()", &pid, &err), LEAT_OK, "%s", err.text);
	rig_sql(&rig, "begin");
	expect_check("1", 1000);
	cr_assert_eq(pthread_create(&thread, NULL, notice, &second), 0);
	rig_sql_wait(&rig, 20, "t", "select cardinality(pg_blocking_pids(%s)) > 0", leat_pg_text(pid, 0, 0));
	rig_sql(&rig, "commit");
	pthread_join(thread, NULL);
	cr_assert_not_null(second);
	cr_expect_eq(leat_pg_int8(second, 0, 0), 1);
	expect_epochs(2);
}

/* ---- cut back ---- */

Test(positions, a_stream_that_was_cut_begins_an_epoch_after_the_newest_known)
{
	expect_check("0", 0);
	put_upsert_and_merges(8);
	stream_was_cut(0, 8);
	stream_was_cut(0, 8);
	expect_epochs(2);
	expect_check("1", 0);
	struct message batch[] = {intent(5, "merge", ENTITY_1, "'content':{'a':'old'}"), merge_at(6, 100, "'content':{'a':'new'}"),
		merge_at(7, 101, "'content':{'b':'new'}"), merge_at(20, 102, "'content':{'c':'new'}")};
	PUT_EXPECT(&gate, batch, LEAT_OUTCOME_KNOWN, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED);
	expect_content("{\"a\": \"new\", \"b\": \"new\", \"c\": \"new\"}");
	expect_ledger("0|1 0|2 0|3 0|4 0|5 0|6 0|7 0|8 1|6 1|7 1|20");
}

Test(positions, a_second_cut_begins_a_third_epoch)
{
	expect_check("0", 0);
	put_upsert_and_merges(4);
	stream_was_cut(0, 4);
	put(&gate, merge_at(3, 100, "'content':{'a':'second'}"));
	expect_check("1 3 100", 0);
	stream_was_cut(1, 100);
	put(&gate, merge_at(3, 200, "'content':{'a':'third'}"));
	cr_expect_eq(put(&gate, merge_at(3, 100, "'content':{'a':'second'}")), LEAT_OUTCOME_KNOWN);
	cr_expect_eq(put(&gate, merge_at(3, 3, "'content':{'a':'old'}")), LEAT_OUTCOME_KNOWN);
	expect_content("{\"a\": \"third\"}");
	expect_ledger("0|1 0|2 0|3 0|4 1|3 2|3");
}

/* ---- nobody looked ---- */

Test(positions, a_sequence_that_comes_again_with_another_message_begins_an_epoch)
{
	put_upsert_and_merges(6);
	struct message batch[] = {intent(4, "merge", ENTITY_1, "'content':{'a':'old'}"), merge_at(5, 100, "'content':{'a':'new'}"),
		merge_at(6, 101, "'content':{'b':'new'}"), merge_at(7, 102, "'content':{'c':'new'}")};
	PUT_EXPECT(&gate, batch, LEAT_OUTCOME_KNOWN, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED);
	expect_epochs(2);
	expect_content("{\"a\": \"new\", \"b\": \"new\", \"c\": \"new\"}");
	expect_ledger("0|1 0|2 0|3 0|4 0|5 0|6 1|5 1|6 1|7");
	PUT_EXPECT(&gate, batch, LEAT_OUTCOME_KNOWN, LEAT_OUTCOME_KNOWN, LEAT_OUTCOME_KNOWN, LEAT_OUTCOME_KNOWN);
}

Test(positions, a_parked_message_holds_its_sequence_too)
{
	put_upsert_and_merges(3);
	struct message waiting = intent(6, "merge", ENTITY_2, "");
	put(&gate, waiting);
	cr_assert_eq(put(&gate, merge_at(6, 100, "'content':{'a':'new'}")), LEAT_OUTCOME_APPLIED);
	cr_expect_eq(put(&gate, waiting), LEAT_OUTCOME_KNOWN, "it is older than the epoch");
	expect_ledger("0|1 0|2 0|3 1|6");
	cr_assert_eq(rig_sql_int(&rig, "select count(*) from leat.parked"), 1);
}

/* The same sequence twice in one batch: unsettled of the old stream, and new. */
Test(positions, two_messages_of_one_sequence_in_one_batch_are_two)
{
	expect_check("0", 0);
	put_upsert_and_merges(4);
	stream_was_cut(0, 4);
	struct message batch[] = {merge_at(4, 4, "'content':{'a':'old'}"), merge_at(4, 100, "'content':{'a':'new'}")};
	PUT_EXPECT(&gate, batch, LEAT_OUTCOME_KNOWN, LEAT_OUTCOME_APPLIED);
	expect_content("{\"a\": \"new\"}");
}

/* Neither is known yet, and nobody noticed the cut. */
Test(positions, two_unknown_messages_of_one_sequence_in_one_batch_are_two)
{
	put_upsert_and_merges(3);
	struct message batch[] = {merge_at(4, 4, "'content':{'a':'old'}"), merge_at(4, 100, "'content':{'a':'new'}"), merge_at(5, 101, "")};
	PUT_EXPECT(&gate, batch, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED);
	expect_content("{\"a\": \"new\"}");
	expect_ledger("0|1 0|2 0|3 0|4 1|4 1|5");
}

/* ---- the floor ---- */

static void expect_floor(int64_t expected)
{
	cr_assert_eq(rig_sql_int(&rig, "select position from leat.stream_floors"), expected);
}

Test(positions, the_floor_never_goes_back)
{
	put_upsert_and_merges(5);
	gate_decide_all(&gate, 0, 5);
	gate_decide_all(&gate, 0, 3);
	expect_floor(5);
}

Test(positions, the_floor_that_is_kept_is_below_what_is_parked)
{
	struct decided decided;
	struct leat_error err;
	put_upsert_and_merges(2);
	for (int64_t seq = 3; seq <= 6; seq++)
		put(&gate, intent(seq, "merge", ENTITY_2, ""));
	cr_assert_eq(gate_decide(&gate, 0, 6, 2, &decided, &err), LEAT_OK, "%s", err.text);
	cr_assert_eq(decided.decided, 2);
	cr_assert_eq(decided.remaining, 2);
	expect_floor(4);
	gate_decide_all(&gate, 0, 6);
	expect_floor(6);
}

Test(positions, a_sequence_below_the_first_of_an_epoch_belongs_to_the_one_before)
{
	expect_check("0", 0);
	put_upsert_and_merges(8);
	stream_was_cut(0, 8);
	gate_decide_all(&gate, 1, 5);
	expect_floor(5);
	put(&gate, merge_at(6, 100, ""));
	put(&gate, merge_at(7, 101, ""));
	gate_decide_all(&gate, 1, 5);
	expect_floor(5);
	gate_decide_all(&gate, 1, 7);
	expect_floor(EPOCH_1 | 7);
}

Test(positions, what_waits_from_an_old_epoch_is_decided_once_the_floor_is_in_the_next)
{
	expect_check("0", 0);
	put_upsert_and_merges(3);
	put(&gate, intent(900, "merge", ENTITY_2, ""));
	expect_check("1", 1000);
	put(&gate, merge_at(1, 1001, ""));
	cr_assert_eq(gate_decide_all(&gate, 1, 0), 1);
	cr_assert_eq(gate_decide_all(&gate, 1, 1), 0);
	rig_sql_expect(&rig, "rejected not_found", "select concat_ws(' ', outcome, code) from leat.activity where position = 900");
}
