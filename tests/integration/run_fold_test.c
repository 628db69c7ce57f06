/* A run as the fold of its facts, at the SQL functions of the run lane: what becomes ready, what is skipped, when it is over, and how. */
#include "facts.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct rig rig;
static struct gate gate;
static int64_t seq;

static void setup(void)
{
	rig_open(&rig);
	install_schema(&rig);
	gate_open_run(&gate, &rig);
	seq = 0;
}

static void teardown(void)
{
	gate_close(&gate);
	rig_close(&rig);
}

TestSuite(run_fold, .init = setup, .fini = teardown);

/* The next fact of RUN_1, which must be applied. */
static void tell(const char *what, const char *members)
{
	cr_assert_eq(put(&gate, fact(++seq, RUN_1, what, members)), LEAT_OUTCOME_APPLIED, "%s %s", what, members);
}

/* The next fact must be rejected with that code. */
static void tell_rejected(const char *code, struct message message)
{
	struct answer answer;
	message.seq = ++seq;
	message.reply_to = "leat.reply." RIG_TENANT_A ".1";
	put_all(&gate, &message, 1, &answer);
	cr_expect_eq(answer.outcome, LEAT_OUTCOME_REJECTED, "%s", answer.reply);
	cr_expect_str_eq(answer.code, code, "%s", answer.reply);
	answers_free(&answer, 1);
}

static void expect(const char *status, const char *states)
{
	facts_expect_status(&rig, RUN_1, status);
	facts_expect_states(&rig, RUN_1, states);
}

/* How often somebody was called to go on with RUN_1 since the last look. */
static void expect_resumes(int64_t count)
{
	cr_expect_eq(rig_sql_int(&rig,
					 "with gone as (delete from leat.outbox where subject = 'leat.intent." RIG_TENANT_A ".engine.run.resume'"
					 " and convert_from(body, 'UTF8')::jsonb = '{\"run_id\":\"" RUN_1 "\"}' returning 1) select count(*) from gone"),
		count);
}

static void expect_member(const char *node, const char *member, const char *value)
{
	rig_sql_expect(&rig, value, "select node_states -> '%s' ->> '%s' from leat.runs where id = '" RUN_1 "'", node, member);
}

/* ---- one after the other ---- */

Test(run_fold, a_chain_goes_node_by_node_and_calls_for_each)
{
	facts_save_graph(&rig, "a>b b>e");
	tell("start", "'input':{'x':1}");
	expect("pending", "a pending, b pending, e pending");
	expect_resumes(1);
	tell("a running", "'attempt':1");
	expect("running", "a running, b pending, e pending");
	rig_sql_expect(&rig, "t", "select ready_since is null from leat.runs");
	tell("a completed", "'attempt':1,'output':{'y':1.50}");
	expect_resumes(1);
	expect_member("a", "output", "{\"y\": 1.50}");
	rig_sql_expect(&rig, "f", "select ready_since is null from leat.runs");
	tell("b completed", "'attempt':1");
	tell("e running", "");
	expect_resumes(1);
	tell("e completed", "'output':3");
	expect("completed", "a completed, b completed, e completed");
	expect_resumes(0);
	expect_member("e", "started_at", "2023-11-14T22:13:20.005000Z");
	expect_member("e", "finished_at", "2023-11-14T22:13:20.006000Z");
	rig_sql_expect(&rig, "t", "select finished_at = to_timestamp(1700000000.006) and position = 6 from leat.runs");
}

Test(run_fold, a_diamond_waits_for_both_sides)
{
	facts_save_graph(&rig, "a>b a>d b>e d>e");
	tell("start", "");
	tell("a completed", "");
	expect_resumes(2);
	tell("d completed", "");
	expect_resumes(0);
	tell_rejected("conflict", fact(0, RUN_1, "e completed", ""));
	tell("b completed", "");
	expect_resumes(1);
	expect("running", "a completed, b completed, d completed, e pending");
	tell("e completed", "");
	expect("completed", "a completed, b completed, d completed, e completed");
}

Test(run_fold, all_facts_of_a_run_in_one_batch_end_as_one_by_one)
{
	facts_save_graph(&rig, "a>b b>e");
	struct message batch[] = {fact(1, RUN_1, "start", ""), fact(2, RUN_1, "a completed", ""), fact(3, RUN_1, "b running", ""),
		fact(4, RUN_1, "b completed", ""), fact(5, RUN_1, "e completed", "")};
	struct answer answers[5];
	PUT_ALL(&gate, batch, answers);
	answers_free(answers, 5);
	expect("completed", "a completed, b completed, e completed");
	expect_resumes(0);
	cr_expect_eq(rig_sql_int(&rig, "select count(*) from leat.activity where noun = 'run' and outcome = 'applied'"), 5);
	rig_sql_expect(&rig, "leat.run.started leat.run.node leat.run.completed",
		"select string_agg(event, ' ' order by seq) from leat.outbox where event like 'leat.run.%%'");
}

/* ---- splits ---- */

static void start_split(int items)
{
	char input[8000] = "";
	for (int i = 0; i < items; i++)
		snprintf(input + strlen(input), sizeof input - strlen(input), "%s%d", i > 0 ? "," : "", i * 10);
	char *body =
		rig_sql_text(&rig, "select '{\"run_id\":\"" RUN_1 "\",\"workflow_id\":\"" WORKFLOW "\",\"input\":{\"items\":[%s]}}'", input);
	struct message start = {.seq = ++seq, .role = "engine", .noun = "run", .verb = "start", .entity = RUN_1, .body = body};
	cr_assert_eq(put(&gate, start), LEAT_OUTCOME_APPLIED);
	free(body);
}

Test(run_fold, a_split_of_nothing_is_collected_at_once)
{
	facts_save_graph(&rig, "s>a a>c c>e");
	start_split(0);
	expect("running", "c completed, e pending, s completed");
	expect_member("c", "output", "[]");
	expect_resumes(1);
}

Test(run_fold, a_split_next_to_its_collect_brings_the_items)
{
	facts_save_graph(&rig, "s>c a>c c>e");
	start_split(2);
	expect("running", "a pending, c pending, e pending, s completed");
	tell("a completed", "");
	expect("running", "a completed, c completed, e pending, s completed");
	rig_sql_expect(&rig, "t", "select node_states #> '{c,output}' = node_states #> '{s,output}' from leat.runs");
	facts_save_graph(&rig, "s>c");
	cr_expect_eq(put(&gate, fact(++seq, RUN_2, "start", "'input':{'items':[]}")), LEAT_OUTCOME_APPLIED);
	facts_expect_states(&rig, RUN_2, "c completed, s completed");
	rig_sql_expect(&rig, "[]", "select node_states #> '{c,output}' from leat.runs where id = '" RUN_2 "'");
}

Test(run_fold, a_split_of_one)
{
	facts_save_graph(&rig, "s>a a>c");
	start_split(1);
	expect("running", "a[0] pending, c pending, s completed");
	tell("a[0] completed", "'output':'x'");
	expect("completed", "a[0] completed, c completed, s completed");
	expect_member("c", "output", "[\"x\"]");
}

Test(run_fold, items_are_collected_in_their_order_whatever_order_they_end_in)
{
	facts_save_graph(&rig, "s>a a>b b>c c>e");
	start_split(3);
	expect(
		"running", "a[0] pending, a[1] pending, a[2] pending, b[0] pending, b[1] pending, b[2] pending, c pending, e pending, s completed");
	tell("a[2] completed", "");
	tell("b[2] completed", "'output':2");
	tell("a[0] completed", "");
	tell("a[1] completed", "");
	tell_rejected("conflict", fact(0, RUN_1, "c completed", ""));
	tell("b[1] completed", "'output':1");
	tell("b[0] completed", "'output':0");
	expect_member("c", "output", "[0, 1, 2]");
	expect("running",
		"a[0] completed, a[1] completed, a[2] completed, b[0] completed, b[1] completed, b[2] completed, c completed, e pending, s "
		"completed");
}

Test(run_fold, several_nodes_before_a_collect_make_an_object_an_item)
{
	facts_save_graph(&rig, "s>a s>b a>c b>c");
	start_split(2);
	tell("a[0] completed", "'output':1");
	tell("b[0] completed", "'output':2");
	tell("b[1] completed", "'output':4");
	tell("a[1] completed", "'output':3");
	expect_member("c", "output", "[{\"a\": 1, \"b\": 2}, {\"a\": 3, \"b\": 4}]");
}

Test(run_fold, two_hundred_items_in_one_batch)
{
	static struct message batch[200];
	static struct answer answers[200];
	facts_save_graph(&rig, "s>a a>c c>e");
	start_split(200);
	for (int i = 0; i < 200; i++) {
		char what[32];
		char output[32];
		snprintf(what, sizeof what, "a[%d] completed", (i * 77) % 200);
		snprintf(output, sizeof output, "'output':%d", (i * 77) % 200);
		batch[i] = fact(++seq, RUN_1, what, output);
	}
	PUT_ALL(&gate, batch, answers);
	answers_free(answers, 200);
	rig_sql_expect(&rig, "t",
		"select node_states -> 'c' -> 'output' = (select jsonb_agg(n order by n) from generate_series(0, 199) n) from leat.runs");
	rig_sql_expect(&rig, "completed 202 pending 1",
		"select string_agg(s || ' ' || n, ' ' order by s) from (select value ->> 'status' as s, count(*) as n"
		" from leat.runs, jsonb_each(node_states) group by 1) x");
	expect_resumes(2);
}

Test(run_fold, a_node_outside_that_items_need_holds_them_back)
{
	facts_save_graph(&rig, "s>a b>a a>c");
	start_split(2);
	tell_rejected("conflict", fact(0, RUN_1, "a[0] completed", ""));
	expect_resumes(1);
	tell("b completed", "");
	expect_resumes(1);
	tell("a[0] completed", "");
	tell("a[1] completed", "");
	facts_expect_status(&rig, RUN_1, "completed");
}

Test(run_fold, what_is_no_array_fails_the_split_and_skips_what_is_below)
{
	facts_save_graph(&rig, "s>a a>c c>e");
	tell("start", "'input':{'items':{}}");
	expect("failed", "a skipped, c skipped, e skipped, s failed");
	expect_member("s", "error", "items: expected an array, found object");
}

Test(run_fold, a_reference_that_leads_nowhere_fails_the_split_by_its_name)
{
	facts_save_graph(&rig, "s>a a>c");
	tell("start", "'input':{'item':[]}");
	expect_member("s", "error", "items: the reference \"input#/items\" leads nowhere: there is no member \"items\"");
}

Test(run_fold, more_items_than_a_thousand_fail_the_split)
{
	facts_save_graph(&rig, "s>a a>c");
	facts_save(&rig,
		"{'nodes':[{'id':'b','type':'http'},{'id':'s','type':'split','items':{'$ref':'b#'}},{'id':'a','type':'http'},"
		"{'id':'c','type':'collect'}],'edges':[['b','s'],['s','a'],['a','c']]}");
	tell("start", "");
	char *body = rig_sql_text(&rig,
		"select json_build_object('run_id', '" RUN_1 "', 'node_id', 'b', 'status', 'completed', 'output',"
		" (select json_agg(n) from generate_series(1, 1001) n))");
	struct message many = {.seq = ++seq, .role = "engine", .noun = "run", .verb = "node", .entity = RUN_1, .body = body};
	cr_assert_eq(put(&gate, many), LEAT_OUTCOME_APPLIED);
	free(body);
	expect_member("s", "error", "items: there are 1001; the limit is 1000");
	facts_expect_status(&rig, RUN_1, "failed");
}

/* ---- failure ---- */

Test(run_fold, what_does_not_depend_on_a_failed_node_goes_on_before_the_run_fails)
{
	facts_save_graph(&rig, "a>b b>e d>f e>g f>g");
	tell("start", "");
	tell("a failed", "'error':'no luck'");
	expect("running", "a failed, b skipped, d pending, e skipped, f pending, g skipped");
	tell("d completed", "");
	expect_resumes(2);
	tell("f running", "");
	facts_expect_status(&rig, RUN_1, "running");
	tell("f completed", "");
	expect("failed", "a failed, b skipped, d completed, e skipped, f completed, g skipped");
	expect_member("a", "error", "no luck");
}

Test(run_fold, a_failed_item_fails_its_collect_once_the_others_are_over)
{
	facts_save_graph(&rig, "s>a a>b b>c c>e");
	start_split(3);
	tell("a[1] failed", "'error':'bad item'");
	expect(
		"running", "a[0] pending, a[1] failed, a[2] pending, b[0] pending, b[1] skipped, b[2] pending, c pending, e pending, s completed");
	tell("a[0] completed", "");
	tell("b[0] completed", "");
	tell("a[2] completed", "");
	facts_expect_status(&rig, RUN_1, "running");
	tell("b[2] completed", "");
	expect("failed",
		"a[0] completed, a[1] failed, a[2] completed, b[0] completed, b[1] skipped, b[2] completed, c failed, e skipped, s completed");
	expect_member("c", "error", "1 of its items failed; a[1]: bad item");
}

Test(run_fold, a_failure_outside_skips_the_items_that_need_it_and_their_collect)
{
	facts_save_graph(&rig, "s>a b>d a>d d>c");
	start_split(2);
	tell("b failed", "");
	expect("running", "a[0] pending, a[1] pending, b failed, c skipped, d[0] skipped, d[1] skipped, s completed");
	tell("a[0] completed", "");
	tell("a[1] completed", "");
	facts_expect_status(&rig, RUN_1, "failed");
}

/* ---- retry and cancel ---- */

Test(run_fold, a_retry_starts_again_from_what_failed_only)
{
	facts_save_graph(&rig, "s>a a>c c>e b>e");
	start_split(2);
	tell("b completed", "'output':'kept'");
	tell("a[0] completed", "'output':0");
	tell("a[1] failed", "'error':'x','attempt':3");
	expect_resumes(1);
	facts_expect_status(&rig, RUN_1, "failed");
	tell("retry", "");
	expect("running", "a[0] completed, a[1] pending, b completed, c pending, e pending, s completed");
	expect_resumes(1);
	expect_member("a[1]", "generation", "1");
	expect_member("a[1]", "attempt", "3");
	expect_member("a[1]", "attempts_before", "3");
	expect_member("a[1]", "error", "");
	expect_member("a[0]", "generation", "0");
	rig_sql_expect(&rig, "1 t", "select generation || ' ' || (finished_at is null)::text::char(1) from leat.runs");
	tell("a[1] completed", "'output':1");
	expect_member("a[1]", "attempt", "4");
	expect_member("c", "output", "[0, 1]");
	expect_resumes(1);
	tell("e completed", "");
	facts_expect_status(&rig, RUN_1, "completed");
	tell_rejected("conflict", fact(0, RUN_1, "retry", ""));
}

Test(run_fold, a_split_that_failed_is_retried_with_what_it_refers_to)
{
	facts_save(&rig,
		"{'nodes':[{'id':'s','type':'split','items':[1,2,{'$ref':'input#/x'}]},{'id':'a','type':'http'},{'id':'c','type':'collect'}],"
		"'edges':[['s','a'],['a','c']]}");
	tell("start", "");
	expect("failed", "a skipped, c skipped, s failed");
	rig_sql(&rig, "update leat.runs set input = '{\"x\":3}'");
	tell("retry", "");
	expect("running", "a[0] pending, a[1] pending, a[2] pending, c pending, s completed");
	expect_member("s", "output", "[1, 2, 3]");
	expect_member("a[2]", "generation", "1");
	expect_resumes(1);
}

Test(run_fold, a_cancelled_run_takes_no_more_facts_until_it_is_retried)
{
	facts_save_graph(&rig, "a>b q>b e");
	tell("start", "");
	tell("a completed", "");
	tell("q running", "");
	tell("e running", "");
	rig_sql(&rig,
		"insert into leat.claims (run_id, node_id, tenant_id, owner, attempt, generation, leased_until)"
		" values ('" RUN_1 "', 'e', '" RIG_TENANT_A "', gen_random_uuid(), 1, 0, now())");
	tell("cancel", "");
	expect("cancelled", "a completed, b cancelled, e cancelled, q cancelled");
	cr_expect_eq(rig_sql_int(&rig, "select count(*) from leat.claims"), 0);
	tell("e completed", "");
	tell("cancel", "");
	expect("cancelled", "a completed, b cancelled, e cancelled, q cancelled");
	tell("retry", "");
	expect("running", "a completed, b pending, e pending, q pending");
}

/* ---- waiting, attempts, what is refused ---- */

Test(run_fold, a_run_waits_when_only_people_are_left)
{
	facts_save_graph(&rig, "q>b a");
	tell("start", "");
	tell("q running", "'attempt':1");
	expect("running", "a pending, b pending, q waiting");
	tell("a completed", "");
	facts_expect_status(&rig, RUN_1, "waiting");
	rig_sql_expect(&rig, "t", "select ready_since is null from leat.runs");
	tell("q completed", "'output':'yes'");
	expect("running", "a completed, b pending, q completed");
}

Test(run_fold, of_a_nodes_attempts_the_latest_counts_and_the_first_end)
{
	facts_save_graph(&rig, "w");
	tell("start", "");
	tell("w running", "'attempt':1");
	tell("w running", "'attempt':2");
	tell("w failed", "'attempt':1,'error':'too late'");
	expect("running", "w running");
	expect_member("w", "attempt", "2");
	rig_sql(&rig,
		"insert into leat.claims (run_id, node_id, tenant_id, owner, attempt, generation, leased_until)"
		" values ('" RUN_1 "', 'w', '" RIG_TENANT_A "', gen_random_uuid(), 2, 0, now())");
	tell("w completed", "'attempt':2,'output':1");
	cr_expect_eq(rig_sql_int(&rig, "select count(*) from leat.claims"), 0);
	tell("w failed", "'attempt':3");
	tell("w running", "'attempt':3");
	expect("completed", "w completed");
	rig_sql_expect(&rig, "3", "select count(*) from leat.activity where detail ? 'ignored' and outcome = 'applied'");
	cr_expect_eq(rig_sql_int(&rig, "select count(*) from leat.outbox where subject like 'leat.dead.%%'"), 0);
}

Test(run_fold, headers_that_a_reference_brings_hold_no_secrets_whatever_they_are_called)
{
	facts_save(&rig,
		"{'nodes':[{'id':'a','type':'http','url':'http://a.test/','headers':{'X-A':'${secret:KEY}','X-B':'b','X-C':{'$ref':'input#/c'}}},"
		"{'id':'b','type':'http','url':'http://a.test/','headers':{'$ref':'input#/${secret:KEY}'}}],'edges':[]}");
	tell("start", "'input':{'c':'${secret:KEY}','${secret:KEY}':{'$ref':'${secret:KEY}'}}");
	rig_sql_expect(&rig, "a: X-A, b: ",
		"select string_agg(concat(node_id, ': ', secret_headers), ', ' order by node_id)"
		" from leat.claim_nodes('" RUN_1 "', '" RIG_TENANT_A "', gen_random_uuid(), 60000, 9)");
}

/* Plans are made by what a table was: where it was empty, a statement that joins it reads all of it for every row of all of it. */
Test(run_fold, ending_claims_reads_no_more_of_them_though_their_table_was_empty_when_it_was_analyzed)
{
#define INSERT_CLAIMS                                                                                                                      \
	"insert into leat.claims (run_id, node_id, tenant_id, owner, attempt, generation, leased_until)"                                       \
	" select gen_random_uuid(), 'n', gen_random_uuid(), gen_random_uuid(), 1, 0, now() from generate_series(1, %d)"
	rig_sql(&rig, INSERT_CLAIMS, 2000);
	rig_sql(&rig, "delete from leat.claims");
	rig_sql(&rig, INSERT_CLAIMS, 1);
	rig_sql(&rig, "analyze leat.claims");
	rig_sql(&rig, INSERT_CLAIMS, 99);
	rig_sql(&rig,
		"do $$ declare v_read bigint; begin"
		" perform leat.write_runs('{}', '{}', '{}', array_agg(c.run_id), array_agg(c.node_id), '{}') from leat.claims c;"
		" select sum(pg_stat_get_xact_tuples_returned(i.indexrelid)) into v_read from pg_index i where i.indrelid = "
		"'leat.claims'::regclass;"
		" if v_read > 10000 then raise 'of 100 claims, it read %%', v_read; end if; end $$");
	cr_expect_eq(rig_sql_int(&rig, "select count(*) from leat.claims"), 0);
}

/* Else the attempt that follows would be beyond an integer, and with it the pass of the keeper that is to begin it for everybody. */
Test(run_fold, a_service_cannot_use_up_the_numbers_of_attempts)
{
	facts_save_graph(&rig, "w");
	tell("start", "");
	struct message service = fact(0, RUN_1, "w running", "'attempt':1000000001");
	service.role = "service";
	tell_rejected("invalid_message", service);
	service = fact(0, RUN_1, "w failed", "'attempt':2147483647");
	service.role = "service";
	tell_rejected("invalid_message", service);
	expect("pending", "w pending");
	service = fact(++seq, RUN_1, "w failed", "'attempt':1000000000");
	service.role = "service";
	cr_expect_eq(put(&gate, service), LEAT_OUTCOME_APPLIED);
	tell("retry", "");
	rig_sql(&rig,
		"insert into leat.claims (run_id, node_id, tenant_id, owner, attempt, generation, leased_until)"
		" values ('" RUN_1 "', 'w', '" RIG_TENANT_A "', gen_random_uuid(), 1000000001, 1, now())");
	rig_sql_expect(&rig, "1 0", "select concat(reaped, ' ', lost) from leat.reap_claims(3, 100)");
	rig_sql_expect(&rig, "1000000002", "select attempt from leat.claims");
}

Test(run_fold, what_was_begun_before_a_retry_counts_for_nothing_after_it)
{
	facts_save_graph(&rig, "w");
	tell("start", "");
	tell("w running", "'attempt':1");
	tell("w failed", "'attempt':2");
	tell("retry", "");
	tell("w running", "'attempt':2");
	tell("w completed", "'attempt':1,'output':'of the first generation'");
	expect("running", "w pending");
	tell("w running", "");
	expect_member("w", "attempt", "3");
	tell("w completed", "'attempt':2,'output':'of the first generation'");
	expect("running", "w running");
	tell("w completed", "'attempt':3,'output':'of the second'");
	expect_member("w", "output", "of the second");
	rig_sql_expect(&rig, "3", "select count(*) from leat.activity where detail ? 'ignored'");
}

/* Attempt 1 began, which nobody was told, as its message may be lost. */
Test(run_fold, what_is_of_another_generation_counts_for_nothing_whatever_its_attempt)
{
	facts_save_graph(&rig, "w");
	tell("start", "");
	tell("cancel", "");
	tell("retry", "");
	tell("w completed", "'attempt':1,'generation':0,'output':'of the first generation'");
	expect("running", "w pending");
	tell("w completed", "'attempt':1,'generation':2");
	expect("running", "w pending");
	rig_sql_expect(&rig, "2", "select count(*) from leat.activity where detail ? 'ignored'");
	tell("w completed", "'attempt':1,'generation':1,'output':'of the second'");
	expect_member("w", "output", "of the second");
}

Test(run_fold, what_is_refused_says_why_and_changes_nothing)
{
	facts_save_graph(&rig, "a>b w");
	struct message foreign = fact(0, RUN_1, "start", "");
	tell_rejected("not_found", fact(0, RUN_2, "a completed", ""));
	tell("start", "");
	char *before = facts_runs(&rig);
	foreign.tenant = RIG_TENANT_B;
	tell_rejected("wrong_tenant", foreign);
	tell_rejected("conflict", fact(0, RUN_1, "start", ""));
	struct message theirs = fact(0, RUN_1, "cancel", "");
	theirs.tenant = RIG_TENANT_B;
	tell_rejected("not_found", theirs);
	tell_rejected("not_found", fact(0, RUN_1, "z completed", ""));
	tell_rejected("not_found", fact(0, RUN_1, "a[0] completed", ""));
	tell_rejected("conflict", fact(0, RUN_1, "b running", ""));
	tell_rejected("conflict", fact(0, RUN_1, "retry", ""));
	tell_rejected("invalid_message", fact(0, RUN_1, "a completed", "'error':'x'"));
	tell_rejected("invalid_message", fact(0, RUN_1, "a failed", "'output':1"));
	struct message service = fact(0, RUN_1, "a completed", "");
	service.role = "service";
	tell_rejected("forbidden", service);
	service.role = "user";
	tell_rejected("forbidden", service);
	char *after = facts_runs(&rig);
	cr_expect_str_eq(after, before);
	free(before);
	free(after);
	struct message worker = fact(++seq, RUN_1, "w completed", "");
	worker.role = "service";
	cr_expect_eq(put(&gate, worker), LEAT_OUTCOME_APPLIED);
}

Test(run_fold, a_version_that_is_no_workflow_cannot_run)
{
	facts_save(&rig, "{'nodes':[{'id':'a','type':'http'},{'id':'b','type':'http'}],'edges':[['a','b'],['b','a']]}");
	tell_rejected("conflict", fact(0, RUN_1, "start", ""));
	facts_save_graph(&rig, "a");
	tell_rejected("conflict", fact(0, RUN_1, "start", "'version':1"));
	tell("start", "");
	rig_sql_expect(&rig, "2", "select version from leat.runs");
}
