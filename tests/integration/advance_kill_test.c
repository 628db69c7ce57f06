/*
 * Processes that die or stop while they hold calls: every run ends as it should, a call that is made again bears the same key, no result
 * counts twice.
 */
#include "advancing.h"

#include "leat/clock.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(advance_kill, .init = advancing_setup, .fini = advancing_teardown);

#define APPLIERS "entity,control,run,relay"
#define SHORT_LEASE "--lease-ms", "1000"

/* Waits until all leases are over, then does what the reaper does. */
static void outlive_leases(void)
{
	rig_sql_wait(&advancing, 30, "t", "select coalesce(max(leased_until) < clock_timestamp(), true) from leat.claims");
	advancing_reap();
}

/* Facts that ended a node and changed it; one for each node that is over. */
static void expect_each_result_once(void)
{
	rig_sql_expect(&advancing, "0",
		"select count(*) from (select target_id, detail ->> 'node_id' from leat.activity where verb = 'node' and outcome = 'applied'"
		" and detail ->> 'status' in ('completed', 'failed') group by 1, 2 having count(*) > 1) twice");
	rig_sql_expect(&advancing, "0", "select count(*) from leat.activity where outcome = 'rejected'");
}

Test(advance_kill, with_a_call_under_way)
{
	advancing_save_call("/hold/a");
	advancing_start("appliers", APPLIERS, NULL);
	struct leat_child *first = advancing_start("c1", "advance", RIG_ARGS(SHORT_LEASE));
	advancing_start_run(1, "");
	advancing_wait_calls("/hold/a", 1, 60);
	leat_child_stop(first, SIGKILL, 5000);
	endpoint_release(&calls);
	advancing_start("c2", "advance", RIG_ARGS(SHORT_LEASE));
	outlive_leases();
	advancing_wait_runs(1, "completed", 60);
	cr_expect_eq(advancing_count("/hold/a"), 2);
	advancing_expect_one_key("/hold/a");
	expect_each_result_once();
}

Test(advance_kill, with_an_answer_that_was_not_told)
{
	advancing_save_call("/hold/a");
	advancing_start("appliers", APPLIERS, NULL);
	struct leat_child *first = advancing_start("c1", "advance", RIG_ARGS(SHORT_LEASE));
	advancing_start_run(1, "");
	advancing_wait_calls("/hold/a", 1, 60);
	leat_server_pause(&advancing.nats);
	endpoint_release(&calls);
	rig_sql(&advancing, "select pg_sleep(0.3)"); /* long enough for the answer; if it is not, this is the point above */
	leat_child_stop(first, SIGKILL, 5000);
	leat_server_resume(&advancing.nats);
	advancing_start("c2", "advance", RIG_ARGS(SHORT_LEASE));
	outlive_leases();
	advancing_wait_runs(1, "completed", 60);
	advancing_expect_one_key("/hold/a");
	expect_each_result_once();
}

Test(advance_kill, with_a_result_that_was_told_and_not_applied)
{
	advancing_save_call("/ok/a");
	struct leat_child *appliers = advancing_start("appliers", APPLIERS, NULL);
	advancing_start_run(1, "");
	rig_sql_wait(&advancing, 60, "t", "select count(*) > 0 from leat.runs where not exists (select from leat.outbox)");
	load_stop_consumer(appliers);
	struct leat_child *first = advancing_start("c1", "advance", RIG_ARGS(SHORT_LEASE));
	struct leat_stream_state state = {0};
	struct leat_error err;
	for (int64_t until = leat_clock_ms() + 30000; state.messages < 3;) { /* run.start, running, completed */
		cr_assert_eq(leat_stream_get_state(rig_bus(&advancing), "LEAT_RUN", &state, &err), LEAT_OK, "%s", err.text);
		cr_assert_lt(leat_clock_ms(), until, "the result is not told");
	}
	leat_child_stop(first, SIGKILL, 5000);
	advancing_start("c2", "advance", RIG_ARGS(SHORT_LEASE));
	advancing_start("appliers", APPLIERS, NULL);
	advancing_wait_runs(1, "completed", 60);
	cr_expect_eq(advancing_count("/ok/a"), 1);
	expect_each_result_once();
}

Test(advance_kill, a_merge_that_was_applied_has_one_effect)
{
	advancing_save("{'nodes':[{'id':'m','type':'merge','entity_type':'thing','key':'k','content':{'n':{'$ref':'input#'}}}],'edges':[]}");
	control_publish(&advancing, RIG_TENANT_A, "service", "entity.upsert", NULL, "{'entity_type':'thing','key':'k'}");
	struct leat_child *appliers = advancing_start("appliers", APPLIERS, NULL);
	advancing_start_run(1, ",'input':5");
	rig_sql_wait(&advancing, 60, "t", "select count(*) > 0 from leat.runs where not exists (select from leat.outbox)");
	load_stop_consumer(appliers);
	struct leat_child *first = advancing_start("c1", "advance", RIG_ARGS(SHORT_LEASE));
	struct leat_stream_state state = {0};
	struct leat_error err;
	for (int64_t until = leat_clock_ms() + 30000; state.messages < 2;) { /* the upsert, the merge */
		cr_assert_eq(leat_stream_get_state(rig_bus(&advancing), "LEAT_ENTITY", &state, &err), LEAT_OK, "%s", err.text);
		cr_assert_lt(leat_clock_ms(), until, "the merge is not published");
	}
	leat_child_stop(first, SIGKILL, 5000); /* its outcome goes nowhere */
	advancing_start("appliers", APPLIERS, NULL);
	advancing_start("c2", "advance", RIG_ARGS(SHORT_LEASE));
	outlive_leases();
	advancing_wait_runs(1, "completed", 60);
	advancing_expect_output(1, "m", "%%\"skipped_fields\": [], \"fields_extracted\": 1}");
	rig_sql_expect(
		&advancing, "applied duplicate", "select string_agg(outcome, ' ' order by position) from leat.activity where verb = 'merge'");
}

Test(advance_kill, a_process_that_sleeps_past_its_lease_has_nothing_to_say)
{
	advancing_save_call("/hold/a");
	advancing_start("appliers", APPLIERS, NULL);
	struct leat_child *first = advancing_start("c1", "advance", RIG_ARGS(SHORT_LEASE, "--call-timeout-ms", "60000"));
	advancing_start_run(1, "");
	advancing_wait_calls("/hold/a", 1, 60);
	leat_child_signal(first, SIGSTOP);
	advancing_start("c2", "advance", RIG_ARGS(SHORT_LEASE));
	outlive_leases();
	advancing_wait_calls("/hold/a", 2, 30);
	endpoint_release(&calls);
	advancing_wait_runs(1, "completed", 60);
	leat_child_signal(first, SIGCONT);
	advancing_save_call("/ok/b");
	for (int i = 2; i < 12; i++)
		advancing_start_run(i, "");
	advancing_wait_runs(11, "completed", 60);
	rig_sql_expect(&advancing, "1",
		"select count(*) from leat.activity a join leat.runs r on r.id = a.target_id"
		" where r.id = 'dddddddd-0000-4000-8000-000000000001' and leat_id like '%%/completed'");
	load_stop_consumer(first);
	char *log = rig_log(&advancing, "c1");
	cr_expect_not_null(strstr(log, "no longer ours"), "%s", log);
	free(log);
	advancing_expect_one_key("/hold/a");
	expect_each_result_once();
}

/* ---- at any time ---- */

enum { FIRST_RUNS = 12, KILLED_EVERY_MS = 400 };

static int runs;

static bool all_over(void)
{
	return rig_sql_int(&advancing, "select count(*) from leat.runs where status = 'completed'") == runs;
}

/* Of all calls: one for each node of each run, however often it was called. */
static size_t count_keys(void)
{
	json_t *all = endpoint_calls(&calls);
	json_t *keys = json_object();
	size_t i;
	json_t *call;
	json_array_foreach(all, i, call) json_object_set_new(keys, json_string_value(json_object_get(call, "key")), json_true());
	size_t count = json_object_size(keys);
	json_decref(keys);
	json_decref(all);
	return count;
}

Test(advance_kill, at_any_time_every_run_ends_and_every_call_keeps_its_key, .timeout = 1200)
{
	struct leat_child *consumers[2];
	unsigned seed = (unsigned)rig_seed();
	int64_t kills = rig_size(8, 50);
	advancing_save("{'nodes':[{'id':'get','type':'http','url':'$URL/items/x?n=5&ms=50'},"
				   "{'id':'s','type':'split','items':{'$ref':'get#/items'}},"
				   "{'id':'a','type':'http','url':'$URL/ok/a?ms=120','method':'POST','body':{'$ref':'item#'}},"
				   "{'id':'c','type':'collect'},{'id':'z','type':'http','url':'$URL/ok/z?ms=60'}],"
				   "'edges':[['get','s'],['s','a'],['a','c'],['c','z']]}");
	advancing_start("appliers", APPLIERS, NULL);
	for (runs = 0; runs < FIRST_RUNS; runs++)
		advancing_start_run(runs, "");
	for (int i = 0; i < 2; i++)
		consumers[i] = advancing_start(i == 0 ? "c0" : "c1", "advance", RIG_ARGS(SHORT_LEASE));
	for (int64_t kill = 0; kill < kills; kill++) { /* there is always one under way */
		int victim = (int)(kill % 2);
		poll(NULL, 0, (int)(rand_r(&seed) % KILLED_EVERY_MS));
		leat_child_stop(consumers[victim], SIGKILL, 5000);
		consumers[victim] = advancing_start(victim == 0 ? "c0" : "c1", "advance", RIG_ARGS(SHORT_LEASE));
		advancing_start_run(runs++, "");
		advancing_reap();
	}
	for (int64_t until = leat_clock_ms() + 60000; !all_over(); poll(NULL, 0, 200)) {
		cr_assert_lt(leat_clock_ms(), until, "a run is stuck");
		advancing_reap();
	}
	advancing_wait_runs(runs, "completed", 30);
	expect_each_result_once();
	rig_sql_expect(&advancing, "0", "select count(*) from leat.runs where jsonb_array_length(node_states #> '{c,output}') <> 5");
	cr_expect_eq(count_keys(), (size_t)runs * 7);
}
