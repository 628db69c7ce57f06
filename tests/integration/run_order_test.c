/*
 * The order of the run lane, at its SQL functions: whatever comes in which call, facts are applied in the order of their stream, so that
 * another database that is given the same stream holds the same runs, byte for byte. What has to wait holds back its own run and no other.
 */
#include "client.h"
#include "facts.h"
#include "story.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct rig rig;
static struct gate gate;

static void setup(void)
{
	rig_open(&rig);
	install_schema(&rig);
	gate_open_run(&gate, &rig);
}

static void teardown(void)
{
	gate_close(&gate);
	rig_close(&rig);
}

TestSuite(run_order, .init = setup, .fini = teardown);

static void expect_floor(int64_t seq)
{
	cr_expect_eq(rig_sql_int(&rig, "select position & 1099511627775 from leat.stream_floors where stream = 'LEAT_RUN'"), seq);
}

Test(run_order, what_comes_too_early_waits_and_is_applied_by_whoever_closes_the_gap)
{
	facts_save_graph(&rig, "a>b");
	cr_expect_eq(put(&gate, fact(4, RUN_1, "b completed", "")), LEAT_OUTCOME_PARKED);
	cr_expect_eq(put(&gate, fact(2, RUN_1, "a running", "'attempt':1")), LEAT_OUTCOME_PARKED);
	cr_expect_eq(put(&gate, fact(4, RUN_1, "b completed", "")), LEAT_OUTCOME_KNOWN, "delivered again");
	cr_expect_eq(put(&gate, fact(1, RUN_1, "start", "")), LEAT_OUTCOME_APPLIED);
	facts_expect_states(&rig, RUN_1, "a running, b pending");
	expect_floor(2);
	cr_expect_eq(put(&gate, fact(3, RUN_1, "a completed", "")), LEAT_OUTCOME_APPLIED);
	facts_expect_states(&rig, RUN_1, "a completed, b completed");
	expect_floor(4);
	cr_expect_eq(rig_sql_int(&rig, "select count(*) from leat.parked"), 0);
	facts_expect_status(&rig, RUN_1, "completed");
}

/* A constraint of the operator's own, say. */
Test(run_order, what_postgres_refuses_for_good_is_internal_and_alone_wherever_it_waited)
{
	facts_save_graph(&rig, "a>b");
	rig_sql(&rig, "alter table leat.runs add constraint nobody_says_boo check (node_states::text not like '%%boo%%')");
	cr_expect_eq(put(&gate, fact(4, RUN_1, "a completed", "'output':'boo'")), LEAT_OUTCOME_PARKED);
	struct message batch[] = {fact(1, RUN_1, "start", ""), fact(2, RUN_2, "start", ""), fact(3, RUN_1, "a running", "'attempt':1"),
		fact(5, RUN_2, "a completed", ""), fact(6, RUN_1, "a completed", "'output':'well'")};
	PUT_EXPECT(&gate, batch, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED);
	rig_sql_expect(
		&rig, "4 internal", "select string_agg(concat_ws(' ', position, code), ', ') from leat.activity where outcome = 'rejected'");
	rig_sql_expect(&rig, "0", "select count(*) from leat.parked");
	facts_expect_states(&rig, RUN_1, "a completed, b pending");
	facts_expect_states(&rig, RUN_2, "a completed, b pending");
	expect_floor(6);
}

Test(run_order, a_result_that_postgres_refuses_for_good_fails_its_node)
{
	facts_save_graph(&rig, "a>b");
	rig_sql(&rig, "alter table leat.runs add constraint nobody_says_boo check (node_states::text not like '%%boo%%')");
	struct message batch[] = {fact(1, RUN_1, "start", ""), fact(2, RUN_1, "a completed", "'attempt':1,'generation':0,'output':'boo'")};
	PUT_EXPECT(&gate, batch, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_REJECTED);
	rig_sql_expect(&rig, "a failed 1 0 t",
		"select concat_ws(' ', b ->> 'node_id', b ->> 'status', b ->> 'attempt', b ->> 'generation',"
		" b ->> 'error' like 'the output cannot be kept: %%nobody_says_boo%%')"
		" from (select convert_from(body, 'UTF8')::jsonb as b from leat.outbox where subject like '%%.engine.run.node') o");
	cr_expect_eq(put(&gate, fact(3, RUN_1, "a failed", "'error':'boo'")), LEAT_OUTCOME_REJECTED);
	rig_sql_expect(&rig, "1", "select count(*) from leat.outbox where subject like '%%.engine.run.node'"); /* that leads to nothing */
}

Test(run_order, what_waits_is_waited_for_although_postgres_refuses_another)
{
	static const char elsewhere[] = "{\"run_id\":\"" RUN_1 "\",\"workflow_id\":\"f0000000-0000-4000-8000-000000000009\"}";
	facts_save_graph(&rig, "a>b");
	rig_sql(&rig, "alter table leat.runs add constraint nobody_says_boo check (node_states::text not like '%%boo%%')");
	struct message start = fact(2, RUN_1, "start", "");
	start.body = elsewhere;
	start.at_ms = rig_sql_int(&rig, "select (extract(epoch from now()) * 1000)::bigint - 1700000000000");
	struct message batch[] = {
		fact(1, RUN_2, "start", ""), start, fact(3, RUN_1, "a completed", ""), fact(4, RUN_2, "a completed", "'output':'boo'")};
	PUT_EXPECT(&gate, batch, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_PARKED, LEAT_OUTCOME_PARKED, LEAT_OUTCOME_REJECTED);
	rig_sql_expect(&rig, "2 3", "select string_agg(position::text, ' ' order by position) from leat.parked");
}

Test(run_order, a_batch_with_gaps_closes_anothers)
{
	facts_save_graph(&rig, "a>b");
	struct message odd[] = {fact(3, RUN_1, "b completed", ""), fact(5, RUN_2, "a completed", ""), fact(7, RUN_2, "cancel", "")};
	struct message even[] = {
		fact(1, RUN_1, "start", ""), fact(2, RUN_1, "a completed", ""), fact(4, RUN_2, "start", ""), fact(6, RUN_2, "b running", "")};
	PUT_EXPECT(&gate, odd, LEAT_OUTCOME_PARKED, LEAT_OUTCOME_PARKED, LEAT_OUTCOME_PARKED);
	PUT_EXPECT(&gate, even, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED);
	facts_expect_states(&rig, RUN_1, "a completed, b completed");
	facts_expect_states(&rig, RUN_2, "a completed, b cancelled");
	expect_floor(7);
}

Test(run_order, what_the_decoder_rejected_waits_for_nothing_and_holds_up_nothing)
{
	facts_save_graph(&rig, "a>b");
	struct message bad = {.seq = 2, .noun = "run", .verb = "node", .body = "{}", .code = "invalid_message"};
	cr_expect_eq(put(&gate, bad), LEAT_OUTCOME_REJECTED);
	cr_expect_eq(put(&gate, fact(3, RUN_1, "a completed", "")), LEAT_OUTCOME_PARKED);
	cr_expect_eq(put(&gate, fact(1, RUN_1, "start", "")), LEAT_OUTCOME_APPLIED);
	facts_expect_states(&rig, RUN_1, "a completed, b pending");
	expect_floor(3);
}

Test(run_order, a_gap_that_nobody_closes_ends_when_the_floor_has_passed_it)
{
	facts_save_graph(&rig, "a>b");
	put(&gate, fact(1, RUN_1, "start", ""));
	cr_expect_eq(put(&gate, fact(3, RUN_1, "a completed", "")), LEAT_OUTCOME_PARKED);
	cr_expect_eq(gate_decide_all(&gate, 0, 1), 1);
	facts_expect_states(&rig, RUN_1, "a pending, b pending");
	cr_expect_eq(gate_decide_all(&gate, 0, 3), 0);
	facts_expect_states(&rig, RUN_1, "a completed, b pending");
}

Test(run_order, a_reply_to_what_waited_goes_through_the_outbox)
{
	facts_save_graph(&rig, "a>b");
	struct message late = fact(2, RUN_1, "a completed", "");
	late.reply_to = "leat.reply." RIG_TENANT_A ".1";
	cr_expect_eq(put(&gate, late), LEAT_OUTCOME_PARKED);
	put(&gate, fact(1, RUN_1, "start", ""));
	rig_sql_expect(&rig, "{\"status\":\"applied\",\"position\":2,\"result\":{\"status\": \"completed\", \"node_id\": \"a\"}}",
		"select convert_from(body, 'UTF8') from leat.outbox where subject = 'leat.reply." RIG_TENANT_A ".1'");
}

/* What is delivered again is answered again, and only to whoever asked: without a subject there is nowhere to send to. */
Test(run_order, a_fact_that_comes_again_is_answered_as_often_as_its_reply_is_asked_for)
{
	facts_save_graph(&rig, "a");
	struct message start = fact(1, RUN_1, "start", "");
	struct message asked = fact(2, RUN_1, "a completed", "");
	asked.reply_to = "leat.reply." RIG_TENANT_A ".me";
	for (int round = 1; round <= 2; round++) {
		struct answer answers[2];
		struct message both[2] = {start, asked};
		PUT_ALL(&gate, both, answers);
		cr_expect_eq(answers[0].outcome, round == 1 ? LEAT_OUTCOME_APPLIED : LEAT_OUTCOME_KNOWN);
		cr_expect_eq(answers[1].outcome, answers[0].outcome);
		cr_expect_null(answers[0].reply, "%s", answers[0].reply);
		cr_expect_not_null(answers[1].reply);
		answers_free(answers, 2);
	}
}

Test(run_order, a_leat_id_has_one_effect_and_a_refused_one_is_not_used_up)
{
	facts_save_graph(&rig, "a>b");
	struct message early = fact(2, RUN_1, "b completed", "");
	struct message again = fact(4, RUN_1, "b completed", "");
	struct message third = fact(6, RUN_1, "b completed", "");
	early.leat_id = again.leat_id = third.leat_id = "once";
	struct message batch[] = {
		fact(1, RUN_1, "start", ""), early, fact(3, RUN_1, "a completed", ""), again, fact(5, RUN_2, "start", ""), third};
	PUT_EXPECT(&gate, batch, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_REJECTED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED,
		LEAT_OUTCOME_DUPLICATE);
	facts_expect_status(&rig, RUN_1, "completed");
	rig_sql_expect(&rig, "4", "select detail ->> 'original_position' from leat.activity where position = 6");
	third.seq = 7;
	cr_expect_eq(put(&gate, third), LEAT_OUTCOME_DUPLICATE);
	rig_sql_expect(&rig, "4", "select string_agg(position::text, ' ') from leat.message_ids");
}

/* ---- put aside ---- */

Test(run_order, what_meets_a_lock_is_put_aside_with_what_comes_behind_it_and_holds_up_nobody)
{
	struct client holder;
	facts_save_graph(&rig, "a>b");
	struct message starts[] = {fact(1, RUN_1, "start", ""), fact(2, RUN_2, "start", "")};
	PUT_EXPECT(&gate, starts, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED);
	client_open(&holder, &rig, "service_role");
	client_expect(&holder, "pending", "begin; select status from leat.runs where id = '" RUN_1 "' for update");

	struct message batch[] = {fact(3, RUN_1, "a completed", ""), fact(4, RUN_2, "a completed", "")};
	PUT_EXPECT(&gate, batch, LEAT_OUTCOME_PARKED, LEAT_OUTCOME_APPLIED);
	facts_expect_states(&rig, RUN_2, "a completed, b pending");
	rig_sql(&rig, "update leat.parked set retry_at = now() + interval '1 hour'");
	client_expect(&holder, "", "rollback");
	client_close(&holder);
	cr_expect_eq(put(&gate, fact(5, RUN_1, "b completed", "")), LEAT_OUTCOME_PARKED, "behind it");
	cr_expect_eq(put(&gate, fact(6, RUN_2, "b completed", "")), LEAT_OUTCOME_APPLIED);
	expect_floor(6);

	rig_sql(&rig, "update leat.parked set retry_at = now()");
	cr_expect_eq(gate_decide_all(&gate, 0, 6), 0);
	facts_expect_states(&rig, RUN_1, "a completed, b completed");
}

Test(run_order, what_was_put_aside_keeps_its_place_where_more_waits_than_one_batch_takes)
{
	struct client holder;
	facts_save_graph(&rig, "a>b");
	struct message starts[] = {fact(1, RUN_1, "start", ""), fact(2, RUN_2, "start", "")};
	PUT_EXPECT(&gate, starts, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED);
	client_open(&holder, &rig, "service_role");
	client_expect(&holder, "2", "begin; select count(*) from (select id from leat.runs for update) locked");
	cr_expect_eq(put(&gate, fact(3, RUN_1, "a completed", "")), LEAT_OUTCOME_PARKED);
	rig_sql(&rig,
		"insert into leat.parked select (jsonb_populate_record(p, jsonb_build_object('position', at))).*"
		" from leat.parked p, generate_series(4, 1003) at");
	cr_expect_eq(put(&gate, fact(1004, RUN_2, "a completed", "")), LEAT_OUTCOME_PARKED);
	client_expect(&holder, "", "rollback");
	client_close(&holder);

	rig_sql(&rig, "update leat.parked set retry_at = now()");
	cr_expect_eq(put(&gate, fact(1005, RUN_2, "b completed", "")), LEAT_OUTCOME_PARKED, "behind it");
	rig_sql(&rig, "update leat.parked set retry_at = now()");
	cr_expect_eq(gate_decide_all(&gate, 0, 1005), 0);
	facts_expect_states(&rig, RUN_2, "a completed, b completed");
}

static int64_t now_ms(void)
{
	return rig_sql_int(&rig, "select (extract(epoch from now()) * 1000)::bigint - 1700000000000");
}

Test(run_order, a_start_waits_for_a_workflow_that_is_on_its_way)
{
	struct message start = fact(1, RUN_1, "start", "");
	start.at_ms = now_ms();
	struct message next = fact(2, RUN_1, "a completed", "");
	next.at_ms = start.at_ms;
	struct message batch[] = {start, next};
	PUT_EXPECT(&gate, batch, LEAT_OUTCOME_PARKED, LEAT_OUTCOME_PARKED);
	expect_floor(2);
	rig_sql_expect(&rig, "t", "select leat.next_retry_ms('LEAT_RUN') between 0 and 200");
	facts_save_graph(&rig, "a>b");
	rig_sql(&rig, "update leat.parked set retry_at = now()");
	cr_expect_eq(gate_decide_all(&gate, 0, 2), 0);
	facts_expect_states(&rig, RUN_1, "a completed, b pending");
	rig_sql_expect(&rig, "-1", "select leat.next_retry_ms('LEAT_RUN')");
}

/* Whether the second of them counts shows once the first is settled. */
Test(run_order, what_was_put_aside_keeps_its_place_where_a_leat_id_comes_again_behind_it)
{
	facts_save_graph(&rig, "a>b");
	struct message batch[] = {fact(1, RUN_1, "start", "'version':2"), fact(2, RUN_2, "start", ""), fact(3, RUN_2, "start", ""),
		fact(4, RUN_1, "start", "'version':1"), fact(5, RUN_1, "a completed", "")};
	batch[1].leat_id = batch[2].leat_id = "twice";
	for (size_t i = 0; i < 5; i++)
		batch[i].at_ms = now_ms();
	PUT_EXPECT(&gate, batch, LEAT_OUTCOME_PARKED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_DUPLICATE, LEAT_OUTCOME_PARKED, LEAT_OUTCOME_PARKED);
	facts_save_graph(&rig, "a>b");
	rig_sql(&rig, "update leat.parked set retry_at = now()");
	cr_expect_eq(gate_decide_all(&gate, 0, 5), 0);
	rig_sql_expect(&rig, "2", "select version from leat.runs where id = '" RUN_1 "'");
	facts_expect_states(&rig, RUN_1, "a completed, b pending");
}

Test(run_order, a_start_waits_ten_seconds_and_no_longer)
{
	struct message start = fact(1, RUN_1, "start", "");
	start.at_ms = now_ms() - 10001;
	cr_expect_eq(put(&gate, start), LEAT_OUTCOME_REJECTED);
	rig_sql_expect(&rig, "not_found", "select code from leat.activity");
}

/* ---- the same stream, whatever comes when ---- */

#define RUNS 6
#define FACTS 400

static const char *const nodes[] = {"a", "b", "d", "s", "x[0]", "x[1]", "x[2]", "y[0]", "y[1]", "y[2]", "c", "e", "q", "x"};

static struct message any_fact(struct chance *chance, int64_t seq)
{
	static char runs[RUNS][48];
	size_t which = chance_of(chance, RUNS);
	char *run = runs[which];
	char what[40];
	char members[64] = "";
	snprintf(run, sizeof runs[0], "d0000000-0000-4000-8000-%012zu", which);
	size_t kind = seq <= RUNS * 2 ? 0 : chance_of(chance, 30);
	if (kind == 0)
		return fact(seq, run, "start", chance_of(chance, 8) == 0 ? "'input':{'items':7}" : "'input':{'items':[1,2,3]}");
	if (kind == 1 || kind == 2)
		return fact(seq, run, "retry", "");
	if (kind == 3 && seq > FACTS / 2) /* for a cancelled run nothing counts any more */
		return fact(seq, run, "cancel", "");
	static const char *const statuses[] = {"running", "completed", "completed", "completed", "completed", "failed"};
	const char *status = statuses[chance_of(chance, 6)];
	snprintf(what, sizeof what, "%s %s", nodes[chance_of(chance, sizeof nodes / sizeof *nodes)], status);
	if (strcmp(status, "completed") == 0 && chance_of(chance, 3) > 0)
		snprintf(members, sizeof members, "'output':%" PRId64, seq);
	else if (strcmp(status, "completed") == 0) /* soon of attempts before a retry: then nothing comes of it */
		snprintf(members, sizeof members, "'output':%" PRId64 ",'attempt':%zu", seq, 1 + chance_of(chance, 3));
	struct message message = fact(seq, run, what, members);
	static char ids[FACTS + 1][16];
	snprintf(ids[seq], sizeof ids[0], "%zu", chance_of(chance, 3 * FACTS));
	message.leat_id = ids[seq];
	return message;
}

/* One batch after the other, in order. */
static void put_in_order(struct gate *to, const struct message *facts, size_t batch)
{
	static struct answer answers[FACTS];
	for (size_t from = 0; from < FACTS; from += batch) {
		size_t count = FACTS - from < batch ? FACTS - from : batch;
		put_all(to, facts + from, count, answers);
		answers_free(answers, count);
	}
}

/* Batches of neighbours, as several consumers might have them in hand: any of the next few comes next, some of them twice. */
static void put_in_any_order(struct gate *to, const struct message *facts, struct chance *chance)
{
	static struct answer answers[FACTS];
	bool put_already[FACTS] = {false};
	for (size_t first = 0; first < FACTS;) {
		struct message batch[40];
		size_t count = 0;
		for (size_t i = first; i < FACTS && i < first + 40; i++)
			if (chance_of(chance, 3) == 0) {
				batch[count++] = facts[i];
				put_already[i] = true;
			}
		if (count > 0)
			put_all(to, batch, count, answers);
		answers_free(answers, count);
		while (first < FACTS && put_already[first])
			first++;
	}
}

static void expect_same(struct rig *other, const char *expected)
{
	char *found = facts_runs(other);
	cr_expect_str_eq(found, expected);
	free(found);
}

Test(run_order, the_same_stream_makes_the_same_runs_byte_for_byte, .timeout = 300)
{
	static struct message facts[FACTS];
	static struct rig others[2];
	uint64_t seed = rig_seed();
	struct chance chance = {seed};
	for (int64_t i = 0; i < FACTS; i++)
		facts[i] = any_fact(&chance, i + 1);
	const char *graph = "a>b a>d s>x b>x x>y y>c c>e d>e q>e";

	facts_save_graph(&rig, graph);
	put_in_order(&gate, facts, 1);
	char *expected = facts_runs(&rig);
	cr_expect_gt(
		rig_sql_int(&rig, "select count(*) from leat.activity where outcome = 'applied' and not coalesce(detail ? 'ignored', false)"),
		FACTS / 20, "LEAT_SEED=%" PRIu64 ": of these facts hardly any does something", seed);
	for (size_t i = 0; i < 2; i++) {
		struct gate other;
		rig_open(&others[i]);
		install_schema(&others[i]);
		facts_save_graph(&others[i], graph);
		gate_open_run(&other, &others[i]);
		if (i == 0)
			put_in_order(&other, facts, FACTS);
		else
			put_in_any_order(&other, facts, &chance);
		expect_same(&others[i], expected);
		rig_sql_expect(&others[i], "0", "select count(*) from leat.parked");
		gate_close(&other);
		rig_close(&others[i]);
	}
	free(expected);
}
