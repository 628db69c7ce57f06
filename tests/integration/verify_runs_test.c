/* `leat verify` about workflows, members, questions and runs: what is equal, what was tampered with, and what direct calls did. */
#include "load.h"
#include "verifying.h"

#include "leat/verify.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct rig rig;
static uint64_t control_seq;
static uint64_t run_seq;

static const char *const lanes[] = {"--lanes", "control,run,relay", NULL};

static void setup(void)
{
	rig_open(&rig);
	rig_migrate(&rig);
	load_start_consumer(&rig, "c", lanes);
}

static void teardown(void)
{
	rig_close(&rig);
}

TestSuite(verify_runs, .init = setup, .fini = teardown);

/* ---- streams ---- */

#define FLOW "\"workflow_id\":\"f0000000-0000-4000-8000-000000000001\""
#define RUN(n) "\"run_id\":\"d0000000-0000-4000-8000-00000000000" n "\""
#define USER "\"user_id\":\"a0000000-0000-4000-8000-00000000000"
#define QUESTION(n) "\"interaction_id\":\"b0000000-0000-4000-8000-00000000000" n "\",\"connection_id\":\"c1\""
#define THE_RUN(n) "'d0000000-0000-4000-8000-00000000000" n "'"
#define THE_QUESTION(n) "'b0000000-0000-4000-8000-00000000000" n "'"

static void control(const char *noun_verb, const char *body)
{
	control_seq = rig_intent(&rig, RIG_TENANT_A, noun_verb, NULL, body);
}

static void run(const char *verb, const char *body)
{
	char noun_verb[32];
	snprintf(noun_verb, sizeof noun_verb, "run.%s", verb);
	run_seq = rig_intent(&rig, RIG_TENANT_A, noun_verb, NULL, body);
}

/* Also what the answers to questions tell runs, of which only the relay knows how many there are. */
static void wait_settled(void)
{
	verify_wait_floor(&rig, "LEAT_CONTROL", "leat-control", control_seq);
	verify_wait_floor(&rig, "LEAT_RUN", "leat-run", run_seq);
	rig_sql_wait(&rig, 30, "0", "select count(*) from leat.parked");
}

#define WORKER(id) "{\"id\":\"" id "\",\"type\":\"worker\",\"url\":\"http://worker.test/\"}"
#define GRAPH                                                                                                                              \
	"{\"nodes\":[" WORKER("a") ",{\"id\":\"s\",\"type\":\"split\",\"items\":{\"$ref\":\"a#/list\"}}," WORKER(                              \
		"x") ",{\"id\":\"c\",\"type\":\"collect\"},"                                                                                       \
			 "{\"id\":\"q\",\"type\":\"question\",\"connection_id\":\"c1\",\"expected_user_id\":\"a0000000-0000-4000-8000-000000000001\"," \
			 "\"payload\":1},{\"id\":\"t\",\"type\":\"split\",\"items\":[1,[2]]},{\"id\":\"d\",\"type\":\"collect\"}],"                    \
			 "\"edges\":[[\"a\",\"s\"],[\"s\",\"x\"],[\"x\",\"c\"],[\"c\",\"q\"],[\"t\",\"d\"]]}"
#define DEFINITION "\"definition\":" GRAPH
#define NODE(run, node, more) "{" RUN(run) ",\"node_id\":\"" node "\"," more "}"
#define DONE(output) "\"status\":\"completed\",\"output\":" output

/* Run 1 is answered and completed; 2 failed, was retried and is at work again; 3 was cancelled. Of the questions 1 is answered, 2 open, 3
 * withdrawn. */
static void publish_all(void)
{
	control("member.set", "{" USER "1\",\"role\":\"viewer\"}");
	control("member.set", "{" USER "1\",\"role\":\"owner\"}");
	control("member.set", "{" USER "2\",\"role\":\"editor\"}");
	control("member.remove", "{" USER "2\"}");
	control("workflow.save", "{" FLOW ",\"action\":\"new\",\"name\":\"first\"," DEFINITION "}");
	control("workflow.save", "{" FLOW ",\"action\":\"edit\",\"name\":\"second\"," DEFINITION "}");
	wait_settled();
	run("start", "{" RUN("1") "," FLOW ",\"agent_id\":\"me\",\"input\":{\"n\":12345678901234567890.10}}");
	run("node", NODE("1", "a", "\"status\":\"running\",\"attempt\":1"));
	run("node", NODE("1", "a", DONE("{\"list\":[1,{\"k\":[]}]}")));
	run("node", NODE("1", "x[1]", DONE("\"\\u00e9\"")));
	run("node", NODE("1", "x[0]", DONE("1.50")));
	wait_settled();
	control("interaction.ask",
		"{" QUESTION("1") ",\"expected_user_id\":\"a0000000-0000-4000-8000-000000000001\",\"payload\":{\"t\":1}," RUN(
			"1") ",\"node_id\":\"q\"}");
	control(
		"interaction.ask", "{" QUESTION("2") ",\"expected_user_id\":\"a0000000-0000-4000-8000-000000000001\",\"payload\":2,\"ttl_s\":60}");
	control("interaction.ask", "{" QUESTION("3") ",\"expected_user_id\":\"a0000000-0000-4000-8000-000000000001\",\"payload\":3}");
	control("interaction.withdraw", "{" QUESTION("3") ",\"expected_user_id\":\"a0000000-0000-4000-8000-000000000001\"}");
	control("interaction.answer", "{" QUESTION("1") "," USER "1\",\"value\":{\"yes\":true}}");
	run("start", "{" RUN("2") "," FLOW ",\"version\":1}");
	run("node", NODE("2", "a", DONE("{\"list\":[7,8,9]}")));
	run("node", NODE("2", "x[0]", DONE("7")));
	run("node", NODE("2", "x[1]", "\"status\":\"failed\",\"error\":\"no luck\""));
	run("node", NODE("2", "x[2]", "\"status\":\"failed\""));
	run("retry", "{" RUN("2") "}");
	run("node", NODE("2", "x[1]", "\"status\":\"running\",\"attempt\":2"));
	run("start", "{" RUN("3") "," FLOW "}");
	run("cancel", "{" RUN("3") "}");
	run("node", NODE("3", "a", DONE("1")));
	wait_settled();
	rig_sql_wait(&rig, 30, "completed running cancelled", "select string_agg(status, ' ' order by id) from leat.runs");
	wait_settled();
}

/* ---- */

Test(verify_runs, what_the_streams_made_is_equal, .timeout = 120)
{
	publish_all();
	verify_expect(&rig, 0, "", NULL);
	verify_expect(&rig, 0, "", RIG_ARGS("--sample", "50%"));
}

Test(verify_runs, what_was_tampered_with_is_named, .timeout = 120)
{
	publish_all();
	rig_sql(&rig, "update leat.runs set node_states = jsonb_set(node_states, '{x[0],output}', '1.51') where id = " THE_RUN("1"));
	rig_sql(&rig, "delete from leat.runs where id = " THE_RUN("3"));
	rig_sql(&rig,
		"alter table leat.workflow_versions disable trigger immutable;"
		"update leat.workflow_versions set definition = '{\"nodes\":[]}' where version = 1");
	rig_sql(&rig, "update leat.interactions set value = '{\"yes\":false}' where id = " THE_QUESTION("1"));
	rig_sql(&rig, "update leat.interactions set position = 1 where id = " THE_QUESTION("2"));
	rig_sql(&rig, "update leat.members set role = 'admin'");
	rig_sql(&rig, "update leat.workflows set deleted_at = null, name = 'third'");
	char *position = rig_sql_text(
		&rig, "select position from leat.activity where stream = 'LEAT_RUN' and target_id = " THE_RUN("3") " and verb = 'cancel'");
	char expected[2048];
	snprintf(expected, sizeof expected,
		"field run a 1 node_states.x[0].output: 1.51 -> 1.50 @5\n"
		"missing run a 3: nothing -> cancelled @%s\n"
		"field interaction a 1 value: {\"yes\": false} -> {\"yes\":true} @11\n"
		"stamp interaction a 2 position: 1 -> 8 @8\n"
		"field member a 1 role: admin -> owner @2\n"
		"field workflow a 1 name: third -> second @6\n"
		"field workflow a 1 definition: {\"nodes\": []} -> " GRAPH " @5\n",
		position);
	free(position);
	verify_expect(&rig, 1, expected, NULL);
}

Test(verify_runs, direct_calls_and_inserts_are_out_of_band, .timeout = 120)
{
	publish_all();
	rig_sql(&rig, "select leat.update_node_state(" THE_RUN("2") ", 'x[1]', 'completed', '8')");
	rig_sql(&rig, "select leat.claim_interaction(" THE_QUESTION("2") ", '" RIG_TENANT_A "', 'c1', 'a0000000-0000-4000-8000-000000000001')");
	rig_sql(&rig,
		"insert into leat.members (tenant_id, user_id, role) values ('" RIG_TENANT_A
		"', 'a0000000-0000-4000-8000-000000000007', 'editor')");
	verify_expect(&rig, 0, "out_of_band run a 2\nout_of_band interaction a 2\nout_of_band member a 7", NULL);
}

/* A time of its own, also where an intent says more of the member later. */
Test(verify_runs, a_member_inserted_directly_is_out_of_band_once_it_is_set, .timeout = 120)
{
	publish_all();
	rig_sql(&rig,
		"insert into leat.members (tenant_id, user_id, role) values ('" RIG_TENANT_A
		"', 'a0000000-0000-4000-8000-000000000007', 'editor')");
	control("member.set", "{" USER "7\",\"role\":\"admin\"}");
	control("member.set", "{" USER "7\",\"role\":\"viewer\"}");
	uint64_t last_set = control_seq;
	wait_settled();
	verify_expect(&rig, 0, "out_of_band member a 7", NULL);
	rig_sql(&rig, "update leat.members set created_at = '2020-01-01 00:00:00+00', role = 'owner'");
	char *first = rig_sql_text(&rig,
		"select to_char(message_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') from leat.activity where stream = "
		"'LEAT_CONTROL' and position = 1");
	char expected[512];
	snprintf(expected, sizeof expected,
		"out_of_band member a 7\nfield member a 7 role: owner -> viewer @%" PRIu64 "\n"
		"field member a 1 created_at: \"2020-01-01T00:00:00.000000Z\" -> \"%s\" @2",
		last_set, first);
	free(first);
	verify_expect(&rig, 1, expected, NULL);
	control("member.remove", "{" USER "1\"}");
	control("member.remove", "{" USER "7\"}");
	control("member.set", "{" USER "7\",\"role\":\"viewer\"}");
	wait_settled();
	verify_expect(&rig, 0, "", NULL);
}

/* User 2 was removed by an intent. */
Test(verify_runs, a_removed_member_whom_direct_sql_inserts_is_out_of_band, .timeout = 120)
{
	publish_all();
	rig_sql(&rig,
		"insert into leat.members (tenant_id, user_id, role) values ('" RIG_TENANT_A
		"', 'a0000000-0000-4000-8000-000000000002', 'editor')");
	verify_expect(&rig, 0, "out_of_band member a 2", NULL);
	rig_sql(&rig, "update leat.members set position = 4 where position = 0");
	verify_expect(&rig, 1, "extra member a 2: editor -> nothing @4", NULL);
}

#define USER_1 "'a0000000-0000-4000-8000-000000000001'"

/* Run 2: x[0] was completed by a fact, x[1] by the call. Question 2: the call keeps no answer. */
Test(verify_runs, direct_calls_do_not_hide_what_they_can_not_change, .timeout = 120)
{
	publish_all();
	rig_sql(&rig, "select leat.update_node_state(" THE_RUN("2") ", 'x[1]', 'completed', '8')");
	rig_sql(&rig, "select leat.claim_interaction(" THE_QUESTION("2") ", '" RIG_TENANT_A "', 'c1', " USER_1 ")");
	verify_expect(&rig, 0, "out_of_band run a 2\nout_of_band interaction a 2", NULL);
	rig_sql(&rig,
		"update leat.runs set agent_id = 'me', input = '{\"n\":1}', generation = 7, node_states = jsonb_set(jsonb_set(node_states,"
		" '{x[0],output}', '70'), '{x[1],output}', '80') where id = " THE_RUN("2"));
	rig_sql(
		&rig, "update leat.interactions set payload = '4', value = '5', expected_user_id = " THE_RUN("2") " where id = " THE_QUESTION("2"));
	char *start = rig_sql_text(&rig, "select max(position) from leat.activity where stream = 'LEAT_RUN' and target_id = " THE_RUN("2"));
	char *done = rig_sql_text(&rig,
		"select max(position) from leat.activity where stream = 'LEAT_RUN' and target_id = " THE_RUN(
			"2") " and detail ->> 'node_id' = 'x[0]'");
	char expected[1024];
	snprintf(expected, sizeof expected,
		"out_of_band run a 2\nfield run a 2 agent_id: me -> nothing @%s\nfield run a 2 input: {\"n\": 1} -> {} @%s\n"
		"field run a 2 generation: 7 -> 1 @%s\nfield run a 2 node_states.x[0].output: 70 -> 7 @%s\n"
		"out_of_band interaction a 2\nfield interaction a 2 payload: 4 -> 2 @8\nfield interaction a 2 value: 5 -> nothing @8\n"
		"field interaction a 2 expected_user_id: d0000000-0000-4000-8000-000000000002 -> a0000000-0000-4000-8000-000000000001 @8\n",
		start, start, start, done);
	free(start);
	free(done);
	verify_expect(&rig, 1, expected, NULL);
}

/* What comes after them is folded as the database did, or is explained. */
Test(verify_runs, intents_after_direct_calls_are_no_difference, .timeout = 120)
{
	publish_all();
	rig_sql(&rig, "select leat.withdraw_interaction(" THE_QUESTION("2") ", '" RIG_TENANT_A "', 'c1', " USER_1 ")");
	control("interaction.ask", "{" QUESTION("2") ",\"expected_user_id\":\"a0000000-0000-4000-8000-000000000001\",\"payload\":22}");
	rig_sql(&rig, "select leat.update_node_state(" THE_RUN("2") ", 'x[1]', 'failed', null, 'by hand')");
	rig_sql(&rig, "select leat.update_node_state(" THE_RUN("2") ", 'x[2]', 'running')");
	run("node", NODE("2", "x[2]", DONE("9")));
	wait_settled();
	run("retry", "{" RUN("2") "}");
	run("node", NODE("2", "x[1]", DONE("8")));
	wait_settled();
	verify_expect(&rig, 0, "out_of_band run a 2\nout_of_band interaction a 2", NULL);
}

static void verify(struct leat_verify_report *report, struct leat_verify_options options)
{
	struct leat_params params;
	struct leat_error err;
	leat_params_init(&params);
	params.nats_url = rig.nats.url;
	params.database_url = rig.database_url;
	options.params = &params;
	options.sample_percent = 100;
	options.most_findings = 10;
	cr_assert_eq(leat_verify(report, &options, &err), LEAT_OK, "%s", err.text);
}

/* Run 2 is dropped or kept when it is half told, whichever pass it is in. */
Test(verify_runs, passes_are_split_until_they_fit, .timeout = 120)
{
	publish_all();
	rig_sql(&rig, "update leat.runs set node_states = jsonb_set(node_states, '{x[0],output}', '1.51') where id = " THE_RUN("1"));
	rig_sql(&rig, "update leat.runs set node_states = jsonb_set(node_states, '{x[0],output}', '8') where id = " THE_RUN("2"));
	static const int64_t limits[] = {1 << 20, 1 << 13, 1 << 12};
	for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
		LEAT_VERIFY_REPORT_SCOPED report;
		verify(&report, (struct leat_verify_options){.memory_bytes = limits[i], .memory_facts = 1});
		cr_expect_eq(report.verdict, LEAT_VERIFY_DIFFERENT);
		cr_expect_eq(report.counts[LEAT_VERIFY_FIELD], 2, "%" PRIu64 " fields", report.counts[LEAT_VERIFY_FIELD]);
		cr_expect_eq(report.finding_count, 2, "%zu findings", report.finding_count);
		cr_expect(i == 0 ? report.passes == 1 : report.passes > i, "%" PRIu64 " passes in %" PRId64 " bytes", report.passes, limits[i]);
	}
}

/* ---- from a baseline ---- */

static bool is_empty(void *context)
{
	struct leat_stream_state state;
	struct leat_error err;
	return leat_stream_get_state(rig_bus(&rig), context, &state, &err) == LEAT_OK && state.messages == 0;
}

/* As retention does, in a week. */
static void cut_streams(void)
{
	static char streams[][16] = {"LEAT_CONTROL", "LEAT_ENTITY", "LEAT_RUN"};
	for (size_t i = 0; i < sizeof streams / sizeof *streams; i++) {
		char subject[80];
		struct leat_error err;
		snprintf(subject, sizeof subject, "$JS.API.STREAM.PURGE.%s", streams[i]);
		cr_assert_eq(leat_bus_publish(rig_bus(&rig), subject, NULL, "", 0, &err), LEAT_OK);
		cr_assert(rig_wait_until(is_empty, streams[i], 10));
	}
}

/* Something happens to all that was there. */
static void go_on(void)
{
	control("member.set", "{" USER "1\",\"role\":\"editor\"}");
	control("workflow.save", "{" FLOW ",\"action\":\"edit\",\"name\":\"third\"," DEFINITION "}");
	control("interaction.answer", "{" QUESTION("2") "," USER "1\",\"value\":[2]}");
	run("node", NODE("2", "x[1]", DONE("8")));
	run("node", NODE("2", "x[2]", DONE("9")));
	run("retry", "{" RUN("3") "}");
	run("node", NODE("3", "a", DONE("{\"list\":[]}")));
	run("start", "{" RUN("4") "," FLOW ",\"version\":1}");
	wait_settled();
	rig_sql_wait(&rig, 30, "completed running running running", "select string_agg(status, ' ' order by id) from leat.runs");
	wait_settled();
}

Test(verify_runs, a_baseline_takes_the_place_of_what_the_streams_no_longer_hold, .timeout = 120)
{
	publish_all();
	cr_assert_eq(rig_run(&rig, "baseline", 60, RIG_ARGS("baseline", "b1")), 0);
	verify_expect(&rig, 0, "", RIG_ARGS("--baseline", "b1"));
	cut_streams();
	verify_expect_doubt(&rig, "LEAT_CONTROL: 1..", NULL);
	verify_expect(&rig, 0, "", RIG_ARGS("--baseline", "b1"));
	go_on();
	verify_expect(&rig, 0, "", RIG_ARGS("--baseline", "b1"));
	cr_assert_eq(rig_run(&rig, "baseline", 60, RIG_ARGS("baseline", "b2", "--baseline", "b1")), 0);
	cut_streams();
	verify_expect(&rig, 0, "", RIG_ARGS("--baseline", "b2"));
	verify_expect_doubt(&rig, "LEAT_RUN: ", RIG_ARGS("--baseline", "b1"));
}

Test(verify_runs, what_differs_from_a_baseline_is_named, .timeout = 120)
{
	publish_all();
	cr_assert_eq(rig_run(&rig, "baseline", 60, RIG_ARGS("baseline", "b")), 0);
	char *position = rig_sql_text(&rig, "select position from leat.runs where id = " THE_RUN("2"));
	cut_streams();
	go_on();
	rig_sql(&rig, "update leat.runs set node_states = node_states || '{\"z\":2}' where id = " THE_RUN("1"));
	rig_sql(&rig, "update leat.runs set node_states = jsonb_set(node_states, '{x[0],output}', '8') where id = " THE_RUN("2"));
	char *last = rig_sql_text(&rig, "select position from leat.runs where id = " THE_RUN("3"));
	rig_sql(&rig, "delete from leat.runs where id = " THE_RUN("3"));
	rig_sql(&rig, "update leat.interactions set payload = '2' where id = " THE_QUESTION("1"));
	rig_sql(&rig, "update leat.interactions set payload = '3' where id = " THE_QUESTION("2"));
	rig_sql(&rig, "update leat.members set role = 'admin'");
	char expected[2048];
	snprintf(expected, sizeof expected,
		"field run a 1 node_states.z: 2 -> nothing @16\n"
		"field run a 2 node_states.x[0].output: 8 -> 7 @%s\n"
		"missing run a 3: nothing -> running @%s\n"
		"field interaction a 1 payload: 2 -> c39a1236-b464-5a52-8623-3659eae31a69 @11\n"
		"field interaction a 2 payload: 3 -> a95190a5-8d29-526f-ad55-0ab1183530b3 @14\n"
		"field member a 1 role: admin -> editor @12\n",
		position, last);
	free(position);
	free(last);
	verify_expect(&rig, 1, expected, RIG_ARGS("--baseline", "b"));
}

/* With a baseline and without. */
Test(verify_runs, a_version_that_was_moved_to_another_tenant_is_named, .timeout = 120)
{
	publish_all();
	cr_assert_eq(rig_run(&rig, "baseline", 60, RIG_ARGS("baseline", "b")), 0);
	rig_sql(&rig,
		"alter table leat.workflow_versions disable trigger immutable;"
		"update leat.workflow_versions set tenant_id = '" RIG_TENANT_B "' where version = 1");
	verify_expect(&rig, 1, "moved workflow b 1: " RIG_TENANT_B " -> " RIG_TENANT_A " @5", NULL);
	cut_streams();
	verify_expect(&rig, 1, "moved workflow b 1: " RIG_TENANT_B " -> " RIG_TENANT_A " @5", RIG_ARGS("--baseline", "b"));
}

/* Of what is over a baseline has hashes alone: of each node one, so that it can be named. However many passes it takes. */
Test(verify_runs, the_state_of_a_completed_run_is_held_against_its_hash, .timeout = 120)
{
	static const int64_t limits[] = {1 << 20, 1 << 12};
	publish_all();
	cr_assert_eq(rig_run(&rig, "baseline", 60, RIG_ARGS("baseline", "b")), 0);
	cut_streams();
	rig_sql(&rig, "update leat.runs set node_states = jsonb_set(node_states, '{x[0],output}', '1.51') where id = " THE_RUN("1"));
	char file[PATH_MAX + 2];
	snprintf(file, sizeof file, "%s/b", rig.folder);
	for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
		LEAT_VERIFY_REPORT_SCOPED report;
		verify(&report, (struct leat_verify_options){.baseline = file, .memory_bytes = limits[i], .memory_facts = 1});
		cr_assert_eq(report.finding_count, 1, "%zu findings", report.finding_count);
		cr_expect(i == 0 ? report.passes == 1 : report.passes > 1, "%" PRIu64 " passes", report.passes);
		cr_expect_eq(report.findings[0].kind, LEAT_VERIFY_FIELD);
		cr_expect_str_eq(report.findings[0].field, "node_states.x[0]");
	}
}

/* What the facts of a run make of it nobody can tell without its definition, but that it is there. */
Test(verify_runs, a_definition_that_differs_from_a_baseline_is_named, .timeout = 120)
{
	publish_all();
	cr_assert_eq(rig_run(&rig, "baseline", 60, RIG_ARGS("baseline", "b")), 0);
	cut_streams();
	rig_sql(&rig,
		"set session_replication_role = replica;"
		"update leat.workflow_versions set definition = '{\"nodes\":[]}' where version = 2;"
		"delete from leat.workflow_versions where version = 1");
	char *position = rig_sql_text(&rig, "select position from leat.runs where id = " THE_RUN("3"));
	rig_sql(&rig, "delete from leat.runs where id = " THE_RUN("3"));
	char expected[512];
	snprintf(expected, sizeof expected,
		"field workflow a 2 definition: {\"nodes\": []} -> 331b1623-cfe8-5743-a43b-8445edf3018e @6\n"
		"missing workflow a 1 @5\n"
		"missing run a 3: nothing -> cancelled @%s\n",
		position);
	free(position);
	verify_expect(&rig, 1, expected, RIG_ARGS("--baseline", "b"));
}
