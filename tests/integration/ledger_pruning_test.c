/*
 * leat.prune_ledger: what goes, what stays, and that what stays is enough. The messages are of 2023 (tests/integration/intents.c), so that
 * all are old; what the stream holds is what a test says.
 */
#include "intents.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>

static struct rig rig;
static struct gate gate;

#define AT "timestamptz 'epoch' + (1700000000000 + %" PRId64 ") * interval '1 millisecond'"
#define EVERYTHING 1000000 /* the stream begins behind all that there is */
#define WEEK_H 168

static void setup(void)
{
	gate_open_with_rig(&gate, &rig);
	rig_sql(&rig, "select leat.check_stream('" STREAM "', timestamptz 'epoch' + 1700000000000 * interval '1 millisecond')");
}

static void teardown(void)
{
	gate_close_with_rig(&gate, &rig);
}

TestSuite(ledger_pruning, .init = setup, .fini = teardown);

/* A second after those of put_many. */
static void put_second_later(int64_t first, int64_t last)
{
	for (int64_t seq = first; seq <= last; seq++) {
		struct message message = intent(seq, "upsert", ENTITY_1, "");
		message.at_ms = 1000 + seq;
		cr_assert_eq(put(&gate, message), LEAT_OUTCOME_APPLIED);
	}
}

/* Messages 1 to `last`, each an upsert with its sequence as Leat-Id. */
static void put_many(int64_t last)
{
	static char ids[64][8];
	for (int64_t seq = 1; seq <= last; seq++) {
		struct message message = intent(seq, "upsert", ENTITY_1, "");
		snprintf(ids[seq], sizeof ids[seq], "%" PRId64, seq);
		message.leat_id = ids[seq];
		cr_assert_eq(put(&gate, message), LEAT_OUTCOME_APPLIED);
	}
}

/* Of the stream made at created_ms, whose first message is this one; chunk by chunk until there is no more. Returns how many rows went. */
static int64_t prune(int64_t created_ms, int64_t first_seq, int64_t first_ms, int limit)
{
	int64_t total = 0;
	int64_t after = -1;
	for (bool more = true; more;) {
		rig_sql(&rig,
			"create temporary table chunk as select * from leat.prune_ledger('" STREAM "', " AT ", %" PRId64 ", " AT ", %d, %d, %" PRId64
			")",
			created_ms, first_seq, first_ms, WEEK_H, limit, after);
		int64_t pruned = rig_sql_int(&rig, "select pruned from chunk");
		cr_assert_leq(pruned, limit);
		total += pruned;
		after = rig_sql_int(&rig, "select after from chunk");
		more = rig_sql_int(&rig, "select more::integer from chunk") != 0;
		rig_sql(&rig, "drop table chunk");
	}
	return total;
}

/* "<epoch>|<sequence> …", in order of position. */
static void expect_ledger(const char *expected)
{
	rig_sql_expect(&rig, expected,
		"select string_agg(concat(position >> 40, '|', position & ((1::bigint << 40) - 1)), ' ' order by position) from leat.activity");
}

static void expect_ids(const char *expected)
{
	rig_sql_expect(&rig, expected, "select string_agg(leat_id, ' ' order by leat_id) from leat.message_ids");
}

static enum leat_outcome put_with_id(int64_t seq, const char *leat_id)
{
	struct message message = intent(seq, "upsert", ENTITY_1, "");
	message.leat_id = leat_id;
	return put(&gate, message);
}

/* ---- what goes ---- */

Test(ledger_pruning, what_lies_before_the_streams_first_message_goes_and_its_ids_can_be_used_again)
{
	put_many(6);
	cr_expect_eq(prune(0, 4, 4, 100), 3);
	expect_ledger("0|4 0|5 0|6");
	expect_ids("4 5 6");
	cr_expect_eq(prune(0, 4, 4, 100), 0);
	cr_expect_eq(put_with_id(7, "1"), LEAT_OUTCOME_APPLIED);
	cr_expect_eq(put_with_id(8, "4"), LEAT_OUTCOME_DUPLICATE);
	cr_expect_eq(put_with_id(5, "5"), LEAT_OUTCOME_KNOWN);
}

Test(ledger_pruning, chunks_are_no_longer_than_asked_and_reach_the_same)
{
	put_many(12);
	rig_sql_expect(&rig, "(2,2,t)", "select leat.prune_ledger('" STREAM "', " AT ", 10, null, 168, 2, -1)", INT64_C(0));
	rig_sql_expect(&rig, "(4,2,t)", "select leat.prune_ledger('" STREAM "', " AT ", 10, null, 168, 2, 2)", INT64_C(0));
	cr_expect_eq(prune(0, 10, 10, 3), 5);
	expect_ledger("0|10 0|11 0|12");
	expect_ids("10 11 12");
}

Test(ledger_pruning, an_id_that_another_message_used_up_stays)
{
	struct message refused = intent(1, "upsert", ENTITY_1, "");
	refused.leat_id = "x";
	refused.code = "invalid_message";
	cr_assert_eq(put(&gate, refused), LEAT_OUTCOME_REJECTED);
	cr_assert_eq(put_with_id(2, "x"), LEAT_OUTCOME_APPLIED);
	cr_assert_eq(put_with_id(3, "x"), LEAT_OUTCOME_DUPLICATE);
	cr_expect_eq(prune(0, 2, 2, 100), 1);
	cr_expect_eq(put_with_id(4, "x"), LEAT_OUTCOME_DUPLICATE);
	cr_expect_eq(prune(0, 3, 3, 100), 1);
	expect_ids("");
	cr_expect_eq(put_with_id(5, "x"), LEAT_OUTCOME_APPLIED);
	cr_expect_eq(prune(0, 5, 5, 100), 2);
	expect_ids("x");
}

/* ---- what stays ---- */

Test(ledger_pruning, what_is_younger_than_the_retention_stays_whatever_the_stream_holds)
{
	put_many(6);
	rig_sql(&rig, "update leat.activity set message_at = now() - interval '6 days' where position >= 4");
	cr_expect_eq(prune(0, EVERYTHING, EVERYTHING, 100), 3);
	expect_ledger("0|4 0|5 0|6");
}

Test(ledger_pruning, a_message_that_came_with_a_later_time_stays_and_holds_up_no_other)
{
	put_many(6);
	rig_sql(&rig, "update leat.activity set message_at = now() where position = 2");
	cr_expect_eq(prune(0, EVERYTHING, EVERYTHING, 100), 4);
	expect_ledger("0|2 0|6");
}

Test(ledger_pruning, of_a_stream_that_the_ledger_does_not_know_yet_nothing_goes)
{
	put_many(3);
	cr_expect_eq(prune(1000, EVERYTHING, EVERYTHING, 100), 0);
	rig_sql_expect(&rig, "(-1,0,f)", "select leat.prune_ledger('OTHER', " AT ", 10, null, 168, 2, -1)", INT64_C(0));
	expect_ledger("0|1 0|2 0|3");
}

Test(ledger_pruning, what_is_parked_stays)
{
	put_many(2);
	cr_assert_eq(put(&gate, intent(3, "merge", ENTITY_2, "")), LEAT_OUTCOME_PARKED);
	cr_assert_eq(put(&gate, intent(4, "merge", ENTITY_1, "")), LEAT_OUTCOME_APPLIED);
	cr_expect_eq(prune(0, EVERYTHING, EVERYTHING, 100), 2);
	cr_expect_eq(gate_decide_all(&gate, 0, 4), 0);
	expect_ledger("0|3 0|4");
}

/* ---- epochs ---- */

Test(ledger_pruning, an_idle_stream_keeps_its_newest_row_so_that_its_end_is_known)
{
	put_many(5);
	cr_expect_eq(prune(0, EVERYTHING, EVERYTHING, 100), 4);
	expect_ledger("0|5");
	rig_sql_expect(&rig, "0 5", "select concat_ws(' ', epoch, last_seq) from leat.check_stream('" STREAM "', " AT ")", INT64_C(0));
	cr_expect_eq(put_with_id(5, "5"), LEAT_OUTCOME_KNOWN);
	struct message reused = intent(5, "upsert", ENTITY_1, "");
	reused.at_ms = 2000;
	cr_expect_eq(put(&gate, reused), LEAT_OUTCOME_APPLIED);
	expect_ledger("0|5 1|5");
}

Test(ledger_pruning, of_a_stream_made_again_the_old_epoch_goes_but_for_its_newest_row)
{
	put_many(5);
	rig_sql(&rig, "select leat.check_stream('" STREAM "', " AT ")", INT64_C(1000));
	put_second_later(1, 3);
	cr_expect_eq(prune(1000, 2, 1002, 2), 5);
	expect_ledger("0|5 1|2 1|3");
	cr_expect_eq(prune(1000, EVERYTHING, EVERYTHING, 2), 1);
	expect_ledger("0|5 1|3");
}

Test(ledger_pruning, what_lies_before_a_cut_stays_while_the_stream_may_hold_it)
{
	put_many(6);
	rig_sql(&rig, "select leat.stream_was_cut('" STREAM "', 0, " AT ")", INT64_C(6));
	put_second_later(5, 7);
	cr_expect_eq(prune(0, 3, 3, 100), 2);
	expect_ledger("0|3 0|4 0|5 0|6 1|5 1|6 1|7");
	cr_expect_eq(prune(0, 6, 1006, 100), 4);
	expect_ledger("0|6 1|6 1|7");
}
