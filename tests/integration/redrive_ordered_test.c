/* Redrives of what is decided in order, workflows, members, questions and runs: decided anew, at their new place in the stream. */
#include "facts.h"
#include "redriving.h"

#include <criterion/criterion.h>

#define ANN "00000000-0000-4000-8000-00000000000a"

static struct rig rig;
static struct gate gate;

static void setup(void)
{
	rig_open(&rig);
	install_schema(&rig);
}

static void teardown(void)
{
	gate_close(&gate);
	rig_close(&rig);
}

TestSuite(redrive_ordered, .init = setup, .fini = teardown);

static struct message set_role(int64_t seq, const char *body)
{
	return (struct message){.seq = seq, .noun = "member", .verb = "set", .entity = ANN, .body = body};
}

static void expect_ledger(int64_t position, const char *expected)
{
	rig_sql_expect(&rig, expected,
		"select concat_ws(' ', outcome, code, detail ->> 'origin_position', detail ->> 'original_position')"
		" from leat.activity where position = %ld",
		(long)position);
}

Test(redrive_ordered, a_control_intent_is_decided_now_and_once)
{
	struct message dead = set_role(1, "{\"user_id\":\"" ANN "\",\"role\":\"owner\"}");
	gate_open_control(&gate, &rig);
	put(&gate, refused(dead));
	cr_assert_eq(put(&gate, set_role(2, "{\"user_id\":\"" ANN "\",\"role\":\"viewer\"}")), LEAT_OUTCOME_APPLIED);
	cr_assert_eq(put(&gate, redrive(3, dead)), LEAT_OUTCOME_APPLIED);
	rig_sql_expect(&rig, "owner", "select role from leat.members");
	cr_assert_eq(put(&gate, redrive(4, dead)), LEAT_OUTCOME_DUPLICATE);
	expect_ledger(3, "applied 1");
	expect_ledger(4, "duplicate 1 3");
}

Test(redrive_ordered, a_control_redrive_waits_for_its_turn)
{
	struct message dead = set_role(1, "{\"user_id\":\"" ANN "\",\"role\":\"owner\"}");
	gate_open_control(&gate, &rig);
	put(&gate, refused(dead));
	cr_assert_eq(put(&gate, redrive(3, dead)), LEAT_OUTCOME_PARKED);
	cr_assert_eq(put(&gate, set_role(2, "{\"user_id\":\"" ANN "\",\"role\":\"viewer\"}")), LEAT_OUTCOME_APPLIED);
	rig_sql_expect(&rig, "owner", "select role from leat.members");
	expect_ledger(3, "applied 1");
}

Test(redrive_ordered, a_control_redrive_of_what_was_not_rejected_is_refused)
{
	struct message absent = set_role(7, "{\"user_id\":\"" ANN "\",\"role\":\"owner\"}");
	gate_open_control(&gate, &rig);
	cr_assert_eq(put(&gate, redrive(1, absent)), LEAT_OUTCOME_REJECTED);
	expect_ledger(1, "rejected conflict 7");
	cr_assert_eq(put(&gate, redrive_with(2, absent, "Leat-Redrive: now\r\n")), LEAT_OUTCOME_APPLIED);
}

Test(redrive_ordered, a_fact_of_a_run_is_decided_now_and_once)
{
	struct message start = fact(1, RUN_1, "start", "");
	struct message done = fact(2, RUN_1, "a completed", "'output':1");
	gate_open_run(&gate, &rig);
	facts_save_graph(&rig, "a>b");
	start.noun = "run";
	done.noun = "run";
	put(&gate, refused(start));
	cr_assert_eq(put(&gate, done), LEAT_OUTCOME_REJECTED);
	struct message batch[] = {redrive(3, start), redrive(4, done), redrive(5, done)};
	PUT_EXPECT(&gate, batch, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_DUPLICATE);
	facts_expect_states(&rig, RUN_1, "a completed, b pending");
	cr_assert_eq(put(&gate, redrive(6, start)), LEAT_OUTCOME_DUPLICATE);
	expect_ledger(3, "applied 1");
	expect_ledger(5, "duplicate 2 4");
	expect_ledger(6, "duplicate 1 3");
}

Test(redrive_ordered, a_fact_that_is_rejected_again_keeps_the_first_origin)
{
	struct message done = fact(1, RUN_1, "a completed", "");
	gate_open_run(&gate, &rig);
	done.noun = "run";
	put(&gate, done);
	put(&gate, redrive(2, done));
	expect_ledger(2, "rejected not_found 1");
	cr_expect_eq(rig_sql_int(&rig,
					 "select count(*) from leat.outbox where subject like 'leat.dead.%%'"
					 " and encode(headers, 'escape') like '%%Leat-Origin-Seq: 1' || E'\\r\\n' || '%%'"),
		2);
}
