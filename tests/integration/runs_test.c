/* `leat runs`: what is listed, how a graph is drawn, what is asked of runs and how it ends. */
#include "run_fixture.h"
#include "saying.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct rig rig;

static void setup(void)
{
	rig_open(&rig);
	rig_migrate(&rig);
	run_prepare(&rig);
}

static void teardown(void)
{
	rig_close(&rig);
}

TestSuite(runs, .init = setup, .fini = teardown);

#define NODE(id, type) "{'id':'" id "','type':'" type "'}"
#define DIAMOND NODE("a", "http") "," NODE("b", "http") "," NODE("c", "worker") "," NODE("d", "question")
#define DIAMOND_EDGES "['a','b'],['a','c'],['b','d'],['c','d']"

static void node(const char *run, const char *id, const char *members)
{
	char more[512];
	snprintf(more, sizeof more, ",'node_id':'%s',%s", id, members);
	run_fact(&rig, run, "node", more);
}

/* ---- list ---- */

/* The last digits of the runs that `leat runs list --json <more>` prints. */
static void expect_listed(const char *expected, const char *const *arguments)
{
	char *output = say_output(&rig, "list", 0, arguments);
	LEAT_BUF_SCOPED found = LEAT_BUF_INIT;
	for (char *line = strtok(output, "\n"); line != NULL; line = strtok(NULL, "\n")) {
		json_t *run = json_loads(line, 0, NULL);
		cr_assert_not_null(run, "%s", line);
		const char *id = json_string_value(json_object_get(run, "run_id"));
		leat_buf_printf(&found, "%s%s", found.len > 0 ? " " : "", id + strlen(id) - 1);
		json_decref(run);
	}
	cr_expect_str_eq(leat_buf_text(&found), expected);
	free(output);
}

static void make_four_runs(void)
{
	run_save(&rig, DIAMOND, DIAMOND_EDGES);
	for (int i = 1; i <= 4; i++) {
		char id[64];
		snprintf(id, sizeof id, "77777777-0000-4000-8000-00000000000%d", i);
		run_start(&rig, id, i % 2 == 0 ? ",'agent_id':'bot'" : "");
	}
	run_fact(&rig, "77777777-0000-4000-8000-000000000003", "cancel", "");
}

Test(runs, without_any_the_list_says_so)
{
	say_run(&rig, "list", 0, RIG_ARGS("runs", "list"));
	say_expect(&rig, "list", "no run matches");
	expect_listed("", RIG_ARGS("runs", "list", "--json"));
}

Test(runs, the_list_is_of_the_newest_that_match_newest_last)
{
	make_four_runs();
	expect_listed("1 2 3 4", RIG_ARGS("runs", "list", "--json"));
	expect_listed("3 4", RIG_ARGS("runs", "list", "--json", "--limit", "2"));
	expect_listed("2 4", RIG_ARGS("runs", "list", "--json", "--agent", "bot"));
	expect_listed("3", RIG_ARGS("runs", "list", "--json", "--status", "cancelled"));
	expect_listed("1 2 3 4", RIG_ARGS("runs", "list", "--json", "--tenant", RIG_TENANT_A, "--workflow", FLOW));
	expect_listed("", RIG_ARGS("runs", "list", "--json", "--tenant", RIG_TENANT_B));
	expect_listed("", RIG_ARGS("runs", "list", "--json", "--workflow", RUN_1));
	say_run(&rig, "table", 0, RIG_ARGS("runs", "list", "--status", "cancelled"));
	say_expect(&rig, "table",
		"RUN                                   TENANT                                WORKFLOW  VERSION  AGENT  STATUS     CREATED");
	say_expect(&rig, "table", "77777777-0000-4000-8000-000000000003  " RIG_TENANT_A "  flow            1  -      cancelled  20");
}

Test(runs, what_cannot_be_a_filter_is_refused)
{
	say_run(&rig, "tenant", 2, RIG_ARGS("runs", "list", "--tenant", "*"));
	say_run(&rig, "workflow", 2, RIG_ARGS("runs", "list", "--workflow", "flow"));
	say_run(&rig, "status", 2, RIG_ARGS("runs", "list", "--status", "done"));
	say_expect_log(&rig, "status", "--status: expected one of pending, running, ");
	say_run(&rig, "none", 2, RIG_ARGS("runs"));
	say_expect_log(&rig, "none", "expected list, show, resume, retry or cancel");
	say_run(&rig, "word", 2, RIG_ARGS("runs", "stop"));
}

Test(runs, before_the_first_migration_it_says_what_to_run)
{
	struct rig bare;
	rig_open(&bare);
	say_run(&bare, "list", 1, RIG_ARGS("runs", "list"));
	say_expect_log(&bare, "list", "`leat migrate`");
	rig_close(&bare);
}

/* ---- show ---- */

/* The first column of the table of nodes. */
static void expect_drawing(const char *run, const char *expected)
{
	char *output = say_output(&rig, "show", 0, RIG_ARGS("runs", "show", run));
	char *line = strstr(output, "\nNODE");
	cr_assert_not_null(line, "%s", output);
	size_t width = (size_t)(strstr(line, "TYPE") - line) - 1;
	LEAT_BUF_SCOPED found = LEAT_BUF_INIT;
	for (line = strchr(line + 1, '\n') + 1; *line != '\n' && *line != '\0'; line = strchr(line, '\n') + 1) {
		size_t bytes = strcspn(line, "\n");
		bytes = bytes < width ? bytes : width;
		while (bytes > 0 && line[bytes - 1] == ' ')
			bytes--;
		leat_buf_add(&found, line, bytes);
		leat_buf_add_text(&found, "\n");
	}
	cr_expect_str_eq(leat_buf_text(&found), expected, "expected\n%sfound\n%s", expected, output);
	free(output);
}

Test(runs, a_graph_is_drawn_downwards_in_layers)
{
	run_save(&rig, DIAMOND, DIAMOND_EDGES);
	run_start(&rig, RUN_1, "");
	expect_drawing(RUN_1,
		"*  a\n"
		"+-.\n"
		"* |  b\n"
		"| *  c\n"
		"+-'\n"
		"*  d\n");
	run_save(&rig, NODE("a", "http") "," NODE("b", "http"), "['a','b']");
	run_start(&rig, RUN_2, "");
	expect_drawing(RUN_2, "*  a\n*  b\n");
}

/* Lines that pass others, roots that begin late, leaves that end early. */
Test(runs, lines_that_cross_keep_to_their_columns)
{
	run_save(&rig,
		NODE("a", "http") "," NODE("b", "http") "," NODE("c", "http") "," NODE("d", "http") "," NODE("e", "http") "," NODE("f", "http"),
		"['a','c'],['a','d'],['a','e'],['b','e'],['c','f'],['e','f']");
	run_start(&rig, RUN_1, "");
	expect_drawing(RUN_1,
		"*  a\n"
		"+-.-.\n"
		"| | | *  b\n"
		"| | +-'\n"
		"* | |  c\n"
		"| * |  d\n"
		"|   *  e\n"
		"+---'\n"
		"*  f\n");
}

Test(runs, a_run_is_shown_with_its_nodes_states_and_what_to_do_next)
{
	run_save(&rig, DIAMOND, DIAMOND_EDGES);
	run_start(&rig, RUN_1, ",'agent_id':'bot'");
	node(RUN_1, "a", "'status':'running','attempt':1");
	node(RUN_1, "a", "'status':'completed','attempt':2");
	say_run(&rig, "running", 0, RIG_ARGS("runs", "show", RUN_1));
	say_expect(&rig, "running",
		"run         " RUN_1 "\ntenant      " RIG_TENANT_A "\nworkflow    " FLOW ", version 1, \"flow\"\nagent       bot\n");
	say_expect(&rig, "running", "  leat runs resume " RUN_1 " \\\n    --tenant " RIG_TENANT_A "\n");
	node(RUN_1, "b", "'status':'failed','error':'no \\u001b[31mway'");
	node(RUN_1, "c", "'status':'completed'");
	char *output = say_output(&rig, "failed", 0, RIG_ARGS("runs", "show", RUN_1));
	cr_expect_not_null(strstr(output, "\nstatus      failed, after "), "%s", output);
	cr_expect_not_null(strstr(output, "*  a    http      completed        2  20"), "%s", output);
	cr_expect_not_null(strstr(output, "no \\x1b[31mway\n"), "%s", output);
	cr_expect_not_null(strstr(output, "*  d    question  skipped          -  -"), "%s", output);
	cr_expect_not_null(strstr(output, "\n  leat runs retry " RUN_1 " \\\n    --tenant " RIG_TENANT_A "\n"), "%s", output);
	cr_expect_null(strchr(output, '\x1b'));
	free(output);
	say_run(&rig, "json", 0, RIG_ARGS("runs", "show", RUN_1, "--json"));
	say_expect(&rig, "json", "\"layer\":1");
}

Test(runs, items_below_a_split_are_counted_and_the_first_errors_told)
{
	run_save(&rig, "{'id':'s','type':'split','items':[1,2,3,4,5,6]}," NODE("x", "http") "," NODE("y", "http") "," NODE("c", "collect"),
		"['s','x'],['x','y'],['y','c']");
	run_start(&rig, RUN_1, "");
	for (int i = 0; i < 4; i++) {
		char name[32];
		snprintf(name, sizeof name, "x[%d]", i);
		node(RUN_1, name, "'status':'failed','error':'why'");
	}
	node(RUN_1, "x[4]", "'status':'completed'");
	node(RUN_1, "x[5]", "'status':'running'");
	say_run(&rig, "show", 0, RIG_ARGS("runs", "show", RUN_1));
	say_expect(&rig, "show", "*  x[]  http     1 completed, 1 running, 4 failed");
	say_expect(&rig, "show", "*  y[]  http     2 pending, 4 skipped");
	say_expect(&rig, "show", "x[2]: why\n");
	say_expect_not(&rig, "show", "x[3]: why\n");
}

Test(runs, a_graph_that_is_too_wide_is_told_in_words)
{
	LEAT_BUF_SCOPED nodes = LEAT_BUF_INIT;
	LEAT_BUF_SCOPED edges = LEAT_BUF_INIT;
	leat_buf_add_text(&nodes, NODE("root", "http"));
	for (int i = 0; i < 30; i++) {
		leat_buf_printf(&nodes, ",{'id':'n%d','type':'http'}", i);
		leat_buf_printf(&edges, "%s['root','n%d']", i > 0 ? "," : "", i);
	}
	run_save(&rig, leat_buf_text(&nodes), leat_buf_text(&edges));
	run_start(&rig, RUN_1, "");
	say_run(&rig, "show", 0, RIG_ARGS("runs", "show", RUN_1));
	say_expect(&rig, "show", "\nn29   http  pending        -  -           -  behind root\n");
	say_expect_not(&rig, "show", "*");
}

Test(runs, what_is_not_there_cannot_be_shown)
{
	say_run(&rig, "absent", 1, RIG_ARGS("runs", "show", RUN_1));
	say_expect_log(&rig, "absent", "there is no run " RUN_1);
	say_run(&rig, "word", 2, RIG_ARGS("runs", "show", "newest"));
	say_run(&rig, "none", 2, RIG_ARGS("runs", "show"));
}

/* ---- resume, retry, cancel ---- */

static const char *const eager[] = {"consume", "--lanes", "control,run,relay,keep", "--relay-tick-ms", "200", NULL};

/* The same by the stream, so that a consumer has it too. */
static void start_by_stream(void)
{
	run_save(&rig, DIAMOND, DIAMOND_EDGES);
	rig_start(&rig, "consume", eager);
	rig_intent(&rig, RIG_TENANT_A, "run.start", NULL, "{\"run_id\":\"" RUN_1 "\",\"workflow_id\":\"" FLOW "\"}");
	rig_sql_wait(&rig, 60, "pending", "select status from leat.runs");
}

Test(runs, a_run_is_cancelled_and_begun_again_and_the_actor_is_noted)
{
	start_by_stream();
	say_run(&rig, "cancel", 0, RIG_ARGS("runs", "cancel", RUN_1, "--tenant", RIG_TENANT_A, "--actor", "ann"));
	say_expect(&rig, "cancel", "cancelled, with 4 nodes that had not ended; see `leat runs show " RUN_1 "`\n");
	say_run(&rig, "again", 0, RIG_ARGS("runs", "cancel", RUN_1, "--tenant", RIG_TENANT_A));
	say_expect(&rig, "again", "nothing changed: the run was cancelled\n");
	say_run(&rig, "retry", 0, RIG_ARGS("runs", "retry", RUN_1, "--tenant", RIG_TENANT_A));
	say_expect(&rig, "retry", "running again, with 4 nodes to begin again; see `leat runs show " RUN_1 "`\n");
	say_run(&rig, "none", 1, RIG_ARGS("runs", "retry", RUN_1, "--tenant", RIG_TENANT_A));
	say_expect_log(&rig, "none", "conflict: ");
	say_run(&rig, "theirs", 1, RIG_ARGS("runs", "cancel", RUN_1, "--tenant", RIG_TENANT_B));
	say_expect_log(&rig, "theirs", "not_found: there is no run " RUN_1);
	rig_sql_expect(&rig, "service ann running",
		"select concat_ws(' ', a.role, a.actor, r.status) from leat.activity a, leat.runs r where a.verb = 'cancel' order by a.position "
		"limit 1");
}

static void expect_work(const char *body)
{
	struct leat_msg work;
	struct leat_error err;
	uint64_t seq = 1;
	struct leat_stream_state state;
	cr_assert_eq(leat_stream_get_state(rig_bus(&rig), "LEAT_WORK", &state, &err), LEAT_OK, "%s", err.text);
	seq = state.last_seq;
	cr_assert_eq(leat_stream_get_next(rig_bus(&rig), "LEAT_WORK", "leat.intent." RIG_TENANT_A ".service.run.resume", &seq, &work, &err),
		LEAT_OK, "%s", err.text);
	cr_expect_eq(work.data_bytes, strlen(body));
	cr_expect_eq(memcmp(work.data, body, strlen(body)), 0);
	leat_msg_free(&work);
}

Test(runs, a_resume_is_work_for_whoever_is_free)
{
	say_run(&rig, "run", 0, RIG_ARGS("runs", "resume", RUN_1, "--tenant", RIG_TENANT_A));
	say_expect(&rig, "run", "see `leat runs show " RUN_1 "`\n");
	expect_work("{\"run_id\":\"" RUN_1 "\"}");
	say_run(&rig, "agent", 0, RIG_ARGS("runs", "resume", "--agent", "a \"bot\"", "--tenant", RIG_TENANT_A));
	expect_work("{\"agent_id\":\"a \\\"bot\\\"\"}");
}

Test(runs, without_a_consumer_it_says_that_nobody_applies_it)
{
	say_run(&rig, "cancel", 1, RIG_ARGS("runs", "cancel", RUN_1, "--tenant", RIG_TENANT_A, "--publish-timeout-ms", "200"));
	say_expect_log(&rig, "cancel", "it is in LEAT_RUN at 1, but was not applied within 1 s; is a consumer running? see `leat status`");
}

Test(runs, what_cannot_be_asked_is_refused)
{
	say_run(&rig, "tenant", 2, RIG_ARGS("runs", "retry", RUN_1));
	say_expect_log(&rig, "tenant", "expected --tenant TENANT; `leat runs show RUN` says whose it is");
	say_run(&rig, "run", 2, RIG_ARGS("runs", "retry", "--tenant", RIG_TENANT_A));
	say_run(&rig, "both", 2, RIG_ARGS("runs", "resume", RUN_1, "--agent", "bot", "--tenant", RIG_TENANT_A));
	say_run(&rig, "agent", 2, RIG_ARGS("runs", "cancel", "--agent", "bot", "--tenant", RIG_TENANT_A));
	say_run(&rig, "word", 2, RIG_ARGS("runs", "cancel", "newest", "--tenant", RIG_TENANT_A));
	say_run(&rig, "actor", 2, RIG_ARGS("runs", "cancel", RUN_1, "--tenant", RIG_TENANT_A, "--actor", "a\nb"));
}

/* ---- leat status ---- */

Test(runs, the_status_counts_them_and_shows_their_lanes)
{
	say_run(&rig, "none", 1, RIG_ARGS("status"));
	say_expect(&rig, "none", "runs          0\n");
	make_four_runs();
	rig_start(&rig, "consume", RIG_ARGS("consume", "--lanes", "run,advance,relay,keep", "--max-runs", "1"));
	rig_sql_wait(&rig, 60, "2",
		"select count(*) from leat.processes, jsonb_each(lanes) l where l.key in ('run', 'advance') and l.value ->> 'state' = 'working'");
	say_run(&rig, "some", 0, RIG_ARGS("status"));
	say_expect(&rig, "some", "1 cancelled\n");
	say_expect(&rig, "some", "\nleat-run      LEAT_RUN ");
	say_expect(&rig, "some", "\nleat-advance  LEAT_WORK ");
	char *output = say_output(&rig, "json", 0, RIG_ARGS("status", "--json"));
	json_t *report = json_loads(output, 0, NULL);
	json_t *counts = json_object_get(json_object_get(json_object_get(report, "postgres"), "runs"), "cancelled");
	cr_expect_eq(json_integer_value(counts), 1, "%s", output);
	json_decref(report);
	free(output);
}
