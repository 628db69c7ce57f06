/* The advance lane when something goes wrong outside of it: what is called, who cancels, a server away. Neighbours never notice. */
#include "advancing.h"

#include "leat/clock.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(advance_failure, .init = advancing_setup, .fini = advancing_teardown);

/* ---- endpoints ---- */

Test(advance_failure, a_call_is_tried_again_with_the_same_key)
{
	advancing_save_call("/flaky/a");
	advancing_start("c1", ADVANCING_LANES, NULL);
	advancing_start_run(1, "");
	advancing_wait_runs(1, "completed", 60);
	cr_expect_eq(advancing_count("/flaky/a"), 3);
	advancing_expect_one_key("/flaky/a");
	advancing_expect_output(1, "a", "%%\"times\": 3%%");
}

Test(advance_failure, each_bad_endpoint_is_a_clear_error_on_its_node_and_no_others)
{
	advancing_save("{'nodes':[{'id':'ok','type':'http','url':'$URL/ok/a'},{'id':'behind','type':'http','url':'$URL/ok/behind'},"
				   "{'id':'e500','type':'http','url':'$URL/500/a','max_attempts':2},{'id':'skipped','type':'http','url':'$URL/ok/never'},"
				   "{'id':'e404','type':'http','url':'$URL/404/a'},{'id':'redirect','type':'http','url':'$URL/redirect/a'},"
				   "{'id':'garbage','type':'http','url':'$URL/garbage/a'},{'id':'big','type':'http','url':'$URL/big/a'},"
				   "{'id':'closes','type':'http','url':'$URL/closes/a','max_attempts':1},"
				   "{'id':'hang','type':'http','url':'$URL/hang/a','timeout_ms':300,'max_attempts':1},"
				   "{'id':'host','type':'http','url':'http://127.0.0.1:1/'},"
				   "{'id':'url','type':'http','url':{'$ref':'input#'}},"
				   "{'id':'secret','type':'http','url':'$URL/ok/never','headers':{'X-Test':'${secret:NONE}'}}],"
				   "'edges':[['ok','behind'],['e500','skipped']]}");
	struct leat_child *consumer = advancing_start("c1", ADVANCING_LANES, NULL);
	advancing_start_run(1, ",'input':7");
	advancing_wait_runs(1, "failed", 60);
	advancing_wait_node(1, "behind", "completed", 1);
	advancing_wait_node(1, "skipped", "skipped", 1);
	advancing_expect_error(1, "e500", "%%500%%");
	advancing_expect_error(1, "e404", "%%404%%");
	advancing_expect_error(1, "redirect", "%%302%%");
	advancing_expect_error(1, "garbage", "%%JSON%%");
	advancing_expect_error(1, "big", "%%larger than%%");
	advancing_expect_error(1, "closes", "_%%");
	advancing_expect_error(1, "hang", "%%time%%");
	advancing_expect_error(1, "host", "%%127.0.0.1%%");
	advancing_expect_error(1, "url", "%%url%%7%%");
	advancing_expect_error(1, "secret", "%%NONE%%");
	cr_expect_eq(advancing_count("/ok/never"), 0);
	cr_expect_eq(advancing_count("/500/a"), 2);
	load_stop_consumer(consumer);
}

static int count_descriptors(pid_t pid)
{
	char path[64];
	int count = 0;
	snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
	DIR *folder = opendir(path);
	cr_assert_not_null(folder);
	while (readdir(folder) != NULL)
		count++;
	closedir(folder);
	return count;
}

Test(advance_failure, runs_that_fail_leave_no_slot_descriptor_or_memory_behind)
{
	int count = (int)rig_size(80, 1000);
	advancing_save("{'nodes':[{'id':'a','type':'http','url':'$URL/404/a'},{'id':'b','type':'http','url':'$URL/garbage/b'},"
				   "{'id':'c','type':'http','url':'$URL/closes/c','max_attempts':1},"
				   "{'id':'d','type':'http','url':'$URL/hang/d','timeout_ms':50,'max_attempts':1}],'edges':[]}");
	struct leat_child *consumer = advancing_start("c1", ADVANCING_LANES, NULL);
	for (int i = 0; i < 10; i++)
		advancing_start_run(i, "");
	advancing_wait_runs(10, "failed", 60);
	int before = count_descriptors(consumer->pid);
	for (int i = 10; i < count; i++)
		advancing_start_run(i, "");
	advancing_wait_runs(count, "failed", 300);
	cr_expect_leq(count_descriptors(consumer->pid), before + 12); /* connections that are kept, of max_calls at once */
	advancing_save_call("/ok/after");
	for (int i = 0; i < 6; i++)
		advancing_start_run(count + i, "");
	advancing_wait_runs(6, "completed", 30);
	load_stop_consumer(consumer); /* the sanitizer tells of memory */
}

Test(advance_failure, an_output_that_no_message_holds_fails_its_node)
{
	advancing_save_call("/items/a?n=200");
	advancing_start("c1", ADVANCING_LANES, RIG_ARGS("--max-body-bytes", "1100"));
	advancing_start_run(1, "");
	advancing_wait_runs(1, "failed", 60);
	advancing_expect_error(1, "a", "%%max%%body%%bytes%%");
}

/* ---- patience ---- */

Test(advance_failure, runs_that_wait_for_a_server_hold_up_no_other)
{
	enum { BUSY = 20 };
	advancing_save("{'nodes':[{'id':'a','type':'http','url':'$URL/busy/a','max_attempts':20}],'edges':[]}");
	struct leat_child *consumer = advancing_start("c1", ADVANCING_LANES, NULL);
	for (int i = 0; i < BUSY; i++)
		advancing_start_run(i, "");
	advancing_wait_calls("/busy/a", 3, 60);
	advancing_save_call("/ok/b");
	advancing_start_run(BUSY, "");
	advancing_wait_run(BUSY, "completed", 30);
	advancing_wait_calls("/busy/a", BUSY, 30);
	rig_sql_expect(&advancing, "0",
		"select count(*) from leat.runs where workflow_id = '" ADVANCING_WORKFLOW "' and finished_at is not null and version = 1");
	endpoint_release(&calls);
	advancing_wait_runs(BUSY + 1, "completed", 60);
	rig_sql_expect(&advancing, "1", "select max(node_states #>> '{a,attempt}') from leat.runs"); /* all tries are of one attempt */
	load_stop_consumer(consumer);
}

Test(advance_failure, tries_are_counted_on_over_a_rest)
{
	advancing_save("{'nodes':[{'id':'a','type':'http','url':'$URL/busy/a','max_attempts':3}],'edges':[]}");
	advancing_start("c1", ADVANCING_LANES, NULL);
	advancing_start_run(1, "");
	advancing_wait_runs(1, "failed", 60);
	cr_expect_eq(advancing_count("/busy/a"), 3);
	advancing_expect_one_key("/busy/a");
	advancing_expect_error(1, "a", "%%429%%3 of 3%%");
}

/* ---- cancel ---- */

static bool all_gone(void *path)
{
	json_t *all = endpoint_calls(&calls);
	size_t gone = 0;
	size_t i;
	json_t *call;
	json_array_foreach(all, i, call)
	{
		const char *ended = json_string_value(json_object_get(call, "ended"));
		gone += strcmp(json_string_value(json_object_get(call, "path")), path) == 0 && ended != NULL && strcmp(ended, "gone") == 0;
	}
	json_decref(all);
	return gone > 0;
}

Test(advance_failure, cancelling_a_run_aborts_its_calls_and_frees_its_slot)
{
	static char path[] = "/hang/a";
	advancing_save_call(path);
	advancing_start("c1", ADVANCING_LANES, RIG_ARGS("--max-runs", "1"));
	advancing_start_run(1, "");
	advancing_wait_calls(path, 1, 60);
	advancing_publish("run.cancel", 1, "");
	cr_expect(rig_wait_until(all_gone, path, 10), "the call goes on");
	advancing_wait_runs(1, "cancelled", 30);
	advancing_save_call("/ok/b");
	advancing_start_run(2, "");
	advancing_wait_run(2, "completed", 30);
	cr_expect_eq(advancing_count(path), 1);
}

Test(advance_failure, a_run_that_is_retried_calls_with_the_next_generation_what_failed_and_nothing_else)
{
	advancing_save(
		"{'nodes':[{'id':'a','type':'http','url':'$URL/ok/a'},{'id':'b','type':'http','url':'$URL/404/b'}],'edges':[['a','b']]}");
	advancing_start("c1", ADVANCING_LANES, NULL);
	advancing_start_run(1, "");
	advancing_wait_runs(1, "failed", 60);
	advancing_publish("run.retry", 1, "");
	advancing_wait_calls("/404/b", 2, 30);
	advancing_wait_runs(1, "failed", 60);
	cr_expect_eq(advancing_count("/ok/a"), 1);
	json_t *all = endpoint_calls(&calls);
	const char *key = json_string_value(json_object_get(json_array_get(all, 2), "key"));
	cr_expect_str_eq(strrchr(key, '/'), "/1");
	json_decref(all);
}

/* ---- the end of a process ---- */

Test(advance_failure, told_to_stop_it_lets_calls_end_and_gives_the_others_to_who_is_there)
{
	advancing_save("{'nodes':[{'id':'a','type':'http','url':'$URL/ok/a?ms=700'},{'id':'b','type':'http','url':'$URL/hang/b'},"
				   "{'id':'c','type':'http','url':'$URL/hang/c'}],'edges':[]}");
	struct leat_child *first = advancing_start("c1", ADVANCING_LANES, RIG_ARGS("--drain-ms", "4000", "--max-calls", "2"));
	advancing_start_run(1, "");
	advancing_wait_calls("/", 2, 60);
	advancing_start("c2", ADVANCING_LANES, RIG_ARGS("--max-calls", "3"));
	rig_sql_wait(&advancing, 30, "2", "select count(*) from leat.processes where lanes #>> '{advance,state}' = 'working'");
	load_stop_consumer(first);
	advancing_wait_calls("/ok/a", 1, 30);
	advancing_wait_calls("/hang/b", 1, 30);
	advancing_wait_calls("/hang/c", 1, 30);
	rig_sql_wait(&advancing, 20, "2", "select count(distinct node_id) from leat.claims");
	rig_sql_expect(&advancing, "t", "select count(distinct owner) = 1 from leat.claims");
	char *log = rig_log(&advancing, "c1");
	cr_expect_null(strstr(log, "did not end in time"), "%s", log);
	free(log);
}

/* ---- servers away ---- */

TestSuite(advance_outage, .init = advancing_setup_alone, .fini = advancing_teardown);

Test(advance_outage, a_result_that_comes_while_postgres_is_away_counts)
{
	advancing_save_call("/hold/a");
	advancing_start("c1", ADVANCING_LANES, NULL);
	advancing_start_run(1, "");
	advancing_wait_calls("/hold/a", 1, 60);
	load_kill_and_restart(&advancing, &advancing.postgres);
	endpoint_release(&calls);
	advancing_wait_runs(1, "completed", 60);
	cr_expect_eq(advancing_count("/hold/a"), 1);
}

Test(advance_outage, a_result_counts_though_postgres_was_away_for_longer_than_a_lease)
{
	advancing_save_call("/hold/a");
	advancing_start("c1", ADVANCING_LANES, RIG_ARGS("--lease-ms", "1500", "--reap-every-ms", "100"));
	advancing_start_run(1, "");
	advancing_wait_calls("/hold/a", 1, 60);
	leat_server_kill(&advancing.postgres);
	int64_t over_ms = leat_clock_ms() + 1500;
	endpoint_release(&calls);
	while (leat_clock_ms() < over_ms) /* the lease ends by the clock, and by nothing else */
		poll(NULL, 0, (int)(over_ms - leat_clock_ms()) + 1);
	load_kill_and_restart(&advancing, &advancing.postgres);
	advancing_wait_runs(1, "completed", 60);
	cr_expect_eq(advancing_count("/hold/a"), 1);
	rig_sql_expect(&advancing, "1", "select node_states #>> '{a,attempt}' from leat.runs");
}

Test(advance_outage, a_call_that_outlasts_an_outage_longer_than_its_lease_is_not_made_again)
{
	advancing_save_call("/hold/a");
	advancing_start("c1", ADVANCING_LANES, RIG_ARGS("--lease-ms", "1500", "--reap-every-ms", "100"));
	advancing_start_run(1, "");
	advancing_wait_calls("/hold/a", 1, 60);
	leat_server_kill(&advancing.postgres);
	for (int64_t over_ms = leat_clock_ms() + 1500; leat_clock_ms() < over_ms;)
		poll(NULL, 0, (int)(over_ms - leat_clock_ms()) + 1);
	load_kill_and_restart(&advancing, &advancing.postgres);
	rig_sql_wait(&advancing, 30, "t", "select leased_until > now() from leat.claims");
	endpoint_release(&calls);
	advancing_wait_runs(1, "completed", 60);
	cr_expect_eq(advancing_count("/hold/a"), 1);
}

Test(advance_outage, a_result_that_comes_while_nats_is_away_counts)
{
	advancing_save_call("/hold/a");
	struct leat_child *consumer = advancing_start("c1", ADVANCING_LANES, NULL);
	advancing_start_run(1, "");
	advancing_wait_calls("/hold/a", 1, 60);
	leat_server_kill(&advancing.nats);
	endpoint_release(&calls);
	int64_t cpu = load_cpu_ms(consumer->pid);
	rig_sql(&advancing, "select pg_sleep(2)");
	cr_expect_lt(load_cpu_ms(consumer->pid) - cpu, 1500, "it turns while NATS is away");
	load_kill_and_restart(&advancing, &advancing.nats);
	advancing_wait_runs(1, "completed", 60);
	cr_expect_eq(advancing_count("/hold/a"), 1);
}
