/*
 * leat.update_node_state, as any SQL client calls it: one door, by one table of changes, with all that follows in the same transaction;
 * from many connections at the same instant.
 */
#include "client.h"
#include "facts.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct rig rig;
static struct client client;

static void setup(void)
{
	rig_open(&rig);
	install_schema(&rig);
	client_open(&client, &rig, "service_role");
}

static void teardown(void)
{
	client_close(&client);
	rig_close(&rig);
}

TestSuite(run_direct, .init = setup, .fini = teardown);

static void start(const char *run, int items)
{
	struct gate gate;
	struct message message = fact(rig_sql_int(&rig, "select count(*) + 1 from leat.activity"), run, "start", "");
	char *body = rig_sql_text(&rig,
		"select json_build_object('run_id', '%s', 'workflow_id', '" WORKFLOW "', 'input', json_build_object('items',"
		" coalesce((select json_agg(n) from generate_series(1, %d) n), '[]')))",
		run, items);
	message.body = body;
	gate_open_run(&gate, &rig);
	cr_assert_eq(put(&gate, message), LEAT_OUTCOME_APPLIED);
	gate_close(&gate);
	free(body);
}

Test(run_direct, returns_the_run_with_all_that_follows)
{
	facts_save_graph(&rig, "a>b s>x x>c");
	start(RUN_1, 1);
	client_expect(&client, "running 7",
		"select status || ' ' || (node_states -> 'a' ->> 'output') from leat.update_node_state('" RUN_1 "', 'a', 'completed', '7')");
	client_expect(
		&client, "[null]", "select node_states -> 'c' ->> 'output' from leat.update_node_state('" RUN_1 "', 'x[0]', 'completed')");
	client_expect(&client, "failed too bad",
		"select status || ' ' || (node_states -> 'b' ->> 'error') from leat.update_node_state('" RUN_1
		"', 'b', 'failed', null, 'too bad')");
	client_expect(&client, "t", "select leat.update_node_state('" RUN_2 "', 'a', 'completed') is null");
	cr_expect_eq(rig_sql_int(&rig, "select count(*) from leat.outbox where subject like '%%.run.resume'"), 2);
	rig_sql_expect(&rig, "run " RUN_1, "select string_agg(noun || ' ' || id, ', ') from leat.direct_changes");
}

/* Each change of a node that is alone in its run, whatever it was. */
Test(run_direct, nothing_changes_but_what_the_table_of_changes_has)
{
	static const char *const statuses[] = {"pending", "running", "waiting", "completed", "failed", "skipped", "cancelled"};
	facts_save_graph(&rig, "w");
	start(RUN_1, 0);
	for (size_t was = 0; was < 7; was++)
		for (size_t becomes = 0; becomes < 7; becomes++) {
			client_expect(&client, "",
				"update leat.runs set node_states = jsonb_build_object('w', node_states -> 'w' || '{\"status\":\"%1$s\"}'),"
				" status = case '%1$s' when 'skipped' then 'failed' else '%1$s' end,"
				" finished_at = case when '%1$s' not in ('pending', 'running', 'waiting') then now() end",
				statuses[was]);
			bool allowed = becomes > 0 &&
				rig_sql_int(&rig, "select count(*) from leat.node_transitions() where was = '%s' and becomes = '%s'", statuses[was],
					statuses[becomes]) == 1;
			if (allowed)
				client_expect(&client, statuses[becomes],
					"select node_states -> 'w' ->> 'status' from leat.update_node_state('" RUN_1 "', 'w', '%s')", statuses[becomes]);
			else
				client_expect_refused(&client, "22023", "select leat.update_node_state('" RUN_1 "', 'w', '%s')", statuses[becomes]);
		}
}

Test(run_direct, what_cannot_begin_or_is_not_there_is_refused)
{
	facts_save_graph(&rig, "a>b");
	start(RUN_1, 0);
	client_expect_refused(&client, "22023", "select leat.update_node_state('" RUN_1 "', 'b', 'running')");
	client_expect_refused(&client, "22023", "select leat.update_node_state('" RUN_1 "', 'z', 'running')");
	client_expect_refused(&client, "22023", "select leat.update_node_state('" RUN_1 "', 'a', 'done')");
	client_expect_refused(&client, "22023", "select leat.update_node_state('" RUN_1 "', 'a', null)");
	facts_expect_states(&rig, RUN_1, "a pending, b pending");
}

Test(run_direct, the_table_itself_takes_no_run_that_contradicts_its_nodes)
{
	facts_save_graph(&rig, "a>b");
	start(RUN_1, 0);
	client_expect_refused(&client, "23514", "update leat.runs set status = 'completed', finished_at = now()");
	client_expect_refused(&client, "23514", "update leat.runs set status = 'failed', finished_at = now()");
	client_expect_refused(&client, "23514", "update leat.runs set status = 'cancelled'");
	client_expect_refused(&client, "23514", "update leat.runs set node_states = '{\"a\":{\"status\":\"done\"}}'");
	client_expect_refused(&client, "23514", "update leat.runs set status = 'waiting', node_states = '{\"a\":{\"status\":\"running\"}}'");
}

/* All wait for the run, which somebody holds; then they have it at once. */
static void complete_from_everywhere(const char *run, int items)
{
	static struct client clients[200];
	struct client holder;
	client_open(&holder, &rig, "service_role");
	client_expect(&holder, "running", "begin; select status from leat.runs where id = '%s' for update", run);
	for (int i = 0; i < items; i++) {
		char sql[160];
		client_open(&clients[i], &rig, "service_role");
		snprintf(sql, sizeof sql, "select id from leat.update_node_state('%s', 'x[%d]', 'completed', '%d')", run, i, i);
		client_send(&clients[i], sql);
	}
	for (int i = 0; i < items; i++)
		client_await_lock(&clients[i], &rig);
	client_expect(&holder, "", "commit");
	for (int i = 0; i < items; i++) {
		char *answer = client_receive(&clients[i]);
		cr_expect_str_eq(answer, run);
		free(answer);
		client_close(&clients[i]);
	}
	client_close(&holder);
}

Test(run_direct, many_connections_at_once_lose_nothing_and_the_collect_fires_once, .timeout = 1200)
{
	static const int sizes[] = {1, 3, 200};
	facts_save_graph(&rig, "s>x x>c c>e");
	for (int64_t round = 0; round < rig_size(10, 100); round++) {
		char run[48];
		int items = sizes[round % 3];
		snprintf(run, sizeof run, "d0000000-0000-4000-8000-%012" PRId64, round);
		start(run, items);
		complete_from_everywhere(run, items);
		rig_sql_expect(&rig, "t",
			"select node_states -> 'c' -> 'output' = (select jsonb_agg(n order by n) from generate_series(0, %d) n) from leat.runs where "
			"id = '%s'",
			items - 1, run);
		rig_sql_expect(&rig, "completed,pending",
			"select string_agg(distinct value ->> 'status', ',') from leat.runs, jsonb_each(node_states) where id = '%s'", run);
		cr_expect_eq(rig_sql_int(&rig,
						 "select count(*) from leat.outbox where event = 'leat.run.node' and subject like '%%%s'"
						 " and convert_from(body, 'UTF8')::jsonb -> 'nodes' ? 'c'",
						 run),
			1);
	}
}
