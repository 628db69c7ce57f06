/*
 * Nodes that nobody works on any more: what the keeper finds of them, leaves alone and tells, by its functions.
 *
 * Leases are set into the past instead of being waited for.
 */
#include "intents.h"
#include "run_fixture.h"

static struct rig rig;
static struct client keeper;

#define OWNER "0a0a0a0a-0000-4000-8000-000000000001"
#define REAP "select concat(reaped, ' ', lost) from leat.reap_claims(3, 100)"
#define FIND                                                                                                                               \
	"select concat(next, ' ', resumed, ' ', adopted) from leat.find_stalled_runs('00000000-0000-0000-0000-000000000000', 30000, 60000, "   \
	"100, 100)"

static void open_runs(void)
{
	rig_open(&rig);
	install_schema(&rig);
	run_prepare(&rig);
	client_open(&keeper, &rig, "service_role");
	run_save(&rig,
		"{'id':'a','type':'worker','max_attempts':2},{'id':'b','type':'http'},{'id':'q','type':'question'},{'id':'z','type':'http'}",
		"['a','z']");
	run_start(&rig, RUN_1, "");
	rig_sql(&rig, "truncate leat.outbox");
}

static void close_runs(void)
{
	client_close(&keeper);
	rig_close(&rig);
}

TestSuite(run_reaper, .init = open_runs, .fini = close_runs);

/* As the advance lane would; the lease ends in so many seconds. */
static void claim(const char *run, const char *node, int attempt, int lease_s)
{
	rig_sql(&rig,
		"insert into leat.claims (run_id, node_id, tenant_id, owner, attempt, generation, leased_until) select id, '%s', tenant_id, '" OWNER
		"', %d, generation, now() + interval '%d s' from leat.runs where id = '%s'",
		node, attempt, lease_s, run);
}

static void expect_claims(const char *expected)
{
	rig_sql_expect(&rig, expected,
		"select string_agg(concat_ws(' ', node_id, attempt, case owner when '" OWNER "' then 'owned' when leat.no_owner() then 'held' end,"
		" case when leased_until > now() then 'leased' end), ', ' order by run_id, node_id) from leat.claims");
}

/* The runs that are resumed, by their last digit. */
static void expect_resumed(const char *expected)
{
	rig_sql_expect(&rig, expected,
		"select string_agg(right(convert_from(body, 'UTF8')::jsonb ->> 'run_id', 1), ' ' order by seq) from leat.outbox"
		" where subject = 'leat.intent." RIG_TENANT_A ".engine.run.resume'");
}

/* ---- claims ---- */

Test(run_reaper, who_is_within_the_lease_is_left_alone)
{
	claim(RUN_1, "a", 1, 5);
	client_expect(&keeper, "0 0", REAP);
	expect_claims("a 1 owned leased");
	rig_sql_expect(&rig, "0", "select count(*) from leat.outbox");
}

Test(run_reaper, past_the_lease_a_node_is_let_go_its_attempt_counts_and_its_run_is_resumed)
{
	claim(RUN_1, "a", 1, 0);
	claim(RUN_1, "b", 2, -5);
	client_expect(&keeper, "2 0", REAP);
	expect_claims("a 2 held leased, b 3 held leased");
	expect_resumed("1");
	run_expect_told(&rig, "b running 2, a running 1");
	rig_sql_expect(&rig, "a 2, b 3, q 1", /* whoever takes it over begins the next attempt, even before the last one is told of */
		"select string_agg(concat(node_id, ' ', attempt), ', ' order by node_id) from leat.claim_nodes('" RUN_1 "', '" RIG_TENANT_A
		"', '" OWNER "', 1000, 10)");
	rig_sql_expect(&rig, "applied, applied", "select relay_facts()");
	run_expect_states(&rig, RUN_1, "running: a running, b running, q pending, z pending");
}

Test(run_reaper, when_its_attempts_are_used_up_the_node_fails)
{
	run_fact(&rig, RUN_1, "node", ",'node_id':'a','status':'running','attempt':2");
	claim(RUN_1, "a", 2, -1);
	claim(RUN_1, "b", 3, -2);
	client_expect(&keeper, "2 2", REAP);
	expect_claims("a 2 held leased, b 3 held leased");
	run_expect_told(&rig, "b failed 3 worker_heartbeat_lost, a failed 2 worker_heartbeat_lost");
	expect_resumed("");
	client_expect(&keeper, "", "select leat.renew_claim('" RIG_TENANT_A "', '" RUN_1 "', 'a', 2, 1000)");
	rig_sql_expect(&rig, "applied, applied", "select relay_facts()");
	expect_claims("");
	run_expect_states(&rig, RUN_1, "running: a failed, b failed, q pending, z skipped");
}

Test(run_reaper, a_retried_node_has_all_its_attempts_again)
{
	run_fact(&rig, RUN_1, "node", ",'node_id':'a','status':'failed','attempt':2");
	run_fact(&rig, RUN_1, "retry", "");
	rig_sql(&rig, "truncate leat.outbox");
	claim(RUN_1, "a", 3, -1);
	client_expect(&keeper, "1 0", REAP);
	run_expect_told(&rig, "a running 3");
	rig_sql_expect(&rig, "applied", "select relay_facts()");
	rig_sql(&rig, "update leat.claims set not_before = null, leased_until = now()");
	client_expect(&keeper, "1 1", REAP);
	run_expect_told(&rig, "a failed 4 worker_heartbeat_lost");
}

Test(run_reaper, that_a_node_failed_is_told_again_while_nobody_hears_it_and_counts_once)
{
	claim(RUN_1, "b", 3, -1);
	client_expect(&keeper, "1 1", REAP);
	client_expect(&keeper, "0 0", REAP);
	rig_sql(&rig, "update leat.claims set leased_until = now()");
	client_expect(&keeper, "1 1", REAP);
	rig_sql_expect(&rig, "applied, duplicate", "select relay_facts()");
	expect_claims("");
}

Test(run_reaper, a_result_that_came_first_wins)
{
	claim(RUN_1, "b", 3, -1);
	client_expect(&keeper, "1 1", REAP);
	run_fact(&rig, RUN_1, "node", ",'node_id':'b','status':'completed','attempt':3,'output':1");
	rig_sql_expect(&rig, "applied", "select relay_facts()");
	run_expect_states(&rig, RUN_1, "running: a pending, b completed, q pending, z pending");
}

Test(run_reaper, claims_of_what_is_over_or_waits_for_people_go_without_a_word)
{
	run_fact(&rig, RUN_1, "node", ",'node_id':'q','status':'running','attempt':1");
	run_fact(&rig, RUN_1, "node", ",'node_id':'b','status':'completed'");
	run_start(&rig, RUN_2, "");
	run_fact(&rig, RUN_2, "cancel", "");
	rig_sql(&rig, "truncate leat.outbox");
	claim(RUN_1, "q", 1, -1);
	claim(RUN_1, "b", 1, -1);
	claim(RUN_1, "none", 1, -1);
	claim(RUN_2, "a", 1, -1);
	rig_sql(&rig, "insert into leat.claims values ('" RUN_OF_B "', 'a', '" RIG_TENANT_B "', '" OWNER "', 9, 0, now(), now())");
	client_expect(&keeper, "5 0", REAP);
	expect_claims("");
	rig_sql_expect(&rig, "0", "select count(*) from leat.outbox");
}

Test(run_reaper, whom_somebody_renews_is_not_waited_for)
{
	struct client holder;
	claim(RUN_1, "a", 1, -1);
	claim(RUN_1, "b", 1, -1);
	client_open(&holder, &rig, "service_role");
	client_expect(&holder, "", "begin");
	client_expect(&holder, "t", "select leat.renew_claim('" RIG_TENANT_A "', '" RUN_1 "', 'a', 1, 60000) > now()");
	client_expect(&keeper, "1 0", "set lock_timeout = '1ms'; " REAP);
	client_expect(&holder, "", "commit");
	client_expect(&keeper, "0 0", REAP);
	expect_claims("a 1 owned leased, b 2 held leased");
	client_close(&holder);
}

Test(run_reaper, much_takes_several_passes_and_each_run_is_resumed_once_in_a_pass)
{
	for (int i = 1; i <= 4; i++)
		claim(RUN_1, (const char *const[]){"a", "b", "z", "q"}[i - 1], 1, -i);
	client_expect(&keeper, "3 0", "select concat(reaped, ' ', lost) from leat.reap_claims(3, 3)");
	expect_claims("a 1 owned, b 2 held leased, q 1 held leased, z 2 held leased");
	expect_resumed("1");
	client_expect(&keeper, "1 0", REAP);
	expect_resumed("1 1");
}

Test(run_reaper, just_after_postgres_came_back_nobody_is_reaped)
{
	claim(RUN_1, "a", 1, -1);
	client_expect(&keeper, "0 0", "select concat(reaped, ' ', lost) from leat.reap_claims(3, 100, 1000000000000)");
	expect_claims("a 1 owned");
	client_expect(&keeper, "1 0", REAP);
}

/* ---- rest ---- */

#define CLAIM                                                                                                                              \
	"select string_agg(concat_ws(' ', coalesce(node_id, 'more'), attempt, tries), ', ' order by node_id) from leat.claim_nodes('" RUN_1    \
	"', '" RIG_TENANT_A "', '" OWNER "', 60000, 10) where node_id = 'a'"

Test(run_reaper, a_claim_that_rests_is_nobodys_until_its_time_and_then_goes_on_with_its_tries)
{
	client_expect(&keeper, "a 1 0", CLAIM);
	run_fact(&rig, RUN_1, "node", ",'node_id':'a','status':'running','attempt':1");
	client_expect(
		&keeper, "1", "select ord from leat.rest_claims('" OWNER "', array['" RUN_1 "']::uuid[], '{a}', '{1}', '{2}', '{30000}', 60000)");
	client_expect(&keeper, "", CLAIM);
	client_expect(&keeper, "0 0", REAP);
	rig_sql(&rig, "update leat.claims set not_before = now()");
	client_expect(&keeper, "a 1 2", CLAIM);
	client_expect(&keeper, "", CLAIM);
}

Test(run_reaper, a_run_whose_rest_nobody_ended_is_resumed_and_keeps_its_tries)
{
	client_expect(&keeper, "a 1 0", CLAIM);
	client_expect(
		&keeper, "1", "select ord from leat.rest_claims('" OWNER "', array['" RUN_1 "']::uuid[], '{a}', '{1}', '{2}', '{0}', 60000)");
	client_expect(&keeper, "0 0", REAP);
	client_expect(&keeper, "", "select leat.leave_resting_claims('" OWNER "')");
	client_expect(&keeper, "1 0", REAP);
	expect_resumed("1");
	run_expect_told(&rig, "");
	client_expect(&keeper, "0 0", REAP);
	client_expect(&keeper, "a 1 2", CLAIM);
}

Test(run_reaper, a_claim_that_a_crash_forgot_is_made_again_for_who_still_has_the_node_and_no_other)
{
#define HOLD(node, attempt)                                                                                                                \
	"select count(*) from leat.hold_claims('" OWNER "', array['" RUN_1 "']::uuid[], '{" node "}', '{" attempt "}', 60000)"
	client_expect(&keeper, "1", HOLD("a", "1"));
	expect_claims("a 1 owned leased");
	claim(RUN_1, "b", 2, 5);
	client_expect(&keeper, "0", HOLD("b", "1"));
	run_fact(&rig, RUN_1, "node", ",'node_id':'b','status':'completed'");
	client_expect(&keeper, "0", HOLD("b", "2"));
	run_fact(&rig, RUN_1, "node", ",'node_id':'a','status':'failed','attempt':1");
	run_fact(&rig, RUN_1, "retry", "");
	client_expect(&keeper, "0", HOLD("a", "1"));
	expect_claims("");
}

/* ---- heartbeats ---- */

Test(run_reaper, a_heartbeat_renews_the_lease_of_the_current_attempt_in_its_tenant_only)
{
	claim(RUN_1, "a", 2, 1);
	client_expect(&keeper, "", "select leat.renew_claim('" RIG_TENANT_A "', '" RUN_1 "', 'a', 1, 60000)");
	client_expect(&keeper, "", "select leat.renew_claim('" RIG_TENANT_B "', '" RUN_1 "', 'a', 2, 60000)");
	client_expect(&keeper, "", "select leat.renew_claim('" RIG_TENANT_A "', '" RUN_1 "', 'b', 2, 60000)");
	rig_sql_expect(&rig, "t", "select leased_until < now() + interval '2 s' from leat.claims");
	client_expect(&keeper, "t",
		"select leat.renew_claim('" RIG_TENANT_A "', '" RUN_1
		"', 'a', 2, 60000) between now() + interval '59 s' and now() + interval '61 s'");
	rig_sql_expect(&rig, "t", "select leased_until > now() + interval '50 s' from leat.claims");
}

/* ---- runs left alone ---- */

/* As if all that happened had been so long ago. */
static void age_runs(int seconds)
{
	rig_sql(&rig,
		"update leat.runs set updated_at = updated_at - interval '%d s', created_at = created_at - interval '%d s',"
		" ready_since = ready_since - interval '%d s'",
		seconds, seconds, seconds);
}

static void claim_all_that_is_ready(void)
{
	rig_sql_expect(&rig, "3", "select count(*) from leat.claim_nodes('" RUN_1 "', '" RIG_TENANT_A "', '" OWNER "', 100000, 10)");
}

Test(run_reaper, a_run_that_nobody_begins_with_is_resumed_again)
{
	client_expect(&keeper, " 0 0", FIND);
	age_runs(29);
	client_expect(&keeper, " 0 0", FIND);
	age_runs(2);
	client_expect(&keeper, " 1 0", FIND);
	expect_resumed("1");
	client_expect(&keeper, " 0 0", FIND); /* not before the time is over once more */
	age_runs(31);
	client_expect(&keeper, " 1 0", FIND);
}

Test(run_reaper, a_run_whose_ready_nodes_are_all_claimed_is_left_alone)
{
	claim_all_that_is_ready();
	age_runs(100);
	client_expect(&keeper, " 0 0", FIND);
	rig_sql(&rig, "delete from leat.claims where node_id = 'b'");
	client_expect(&keeper, " 1 0", FIND);
}

Test(run_reaper, a_node_that_runs_and_is_nobodys_gets_a_lease_and_is_reaped_after_it)
{
	claim_all_that_is_ready();
	run_fact(&rig, RUN_1, "node", ",'node_id':'a','status':'running','attempt':1");
	run_fact(&rig, RUN_1, "node", ",'node_id':'b','status':'running','attempt':1");
	rig_sql(&rig, "delete from leat.claims where node_id = 'a'; truncate leat.outbox");
	client_expect(&keeper, " 0 0", FIND);
	age_runs(31);
	client_expect(&keeper, " 0 1", FIND);
	expect_claims("a 1 leased, b 1 owned leased, q 1 owned leased");
	client_expect(&keeper, " 0 0", FIND);
	rig_sql(&rig, "update leat.claims set leased_until = now() where node_id = 'a'");
	client_expect(&keeper, "1 0", REAP);
	expect_resumed("1");
}

Test(run_reaper, runs_are_walked_in_chunks_and_no_more_are_resumed_than_there_is_room_for)
{
	rig_sql_expect(&rig, "applied",
		"select max(apply_fact('" RIG_TENANT_A "', 'start', 'engine', ('77777777-0000-4000-8000-1' || lpad(i::text, 11, '0'))::uuid, null,"
		" format('{\"run_id\":\"77777777-0000-4000-8000-1%%s\",\"workflow_id\":\"" FLOW "\"}', lpad(i::text, 11, '0'))))"
		" from generate_series(1, 9) i");
	rig_sql(&rig, "truncate leat.outbox");
	age_runs(31);
	client_expect(&keeper, "77777777-0000-4000-8000-100000000003 4 0",
		"select concat(next, ' ', resumed, ' ', adopted) from leat.find_stalled_runs('00000000-0000-0000-0000-000000000000', 30000, 60000, "
		"4, 100)");
	client_expect(&keeper, "77777777-0000-4000-8000-100000000007 1 0",
		"select concat(next, ' ', resumed, ' ', adopted) from leat.find_stalled_runs('77777777-0000-4000-8000-100000000003', 30000, 60000, "
		"4, 1)");
	client_expect(&keeper, " 2 0",
		"select concat(next, ' ', resumed, ' ', adopted) from leat.find_stalled_runs('77777777-0000-4000-8000-100000000007', 30000, 60000, "
		"4, 9)");
}

/* By the partial indexes: runs that wait for people, and those that are over, cost nothing. */
Test(run_reaper, idle_runs_are_not_looked_at)
{
	rig_sql(&rig,
		"insert into leat.runs (id, tenant_id, workflow_id, version, status, node_states, updated_at, finished_at)"
		" select gen_random_uuid(), tenant_id, workflow_id, version, case i %% 2 when 0 then 'waiting' else 'completed' end, case i %% 2 "
		"when 0"
		" then node_states else '{}' end, now() - interval '1 day', case i %% 2 when 1 then now() end"
		" from leat.runs, generate_series(1, 10000) i where id = '" RUN_1 "'");
	rig_sql(&rig, "vacuum analyze leat.runs");
	rig_sql(&rig, "select pg_stat_reset()");
	client_expect(&keeper, "0 0", REAP);
	client_expect(&keeper, " 0 0", FIND);
	client_expect(&keeper, "f", "select pg_stat_force_next_flush() is null");
	rig_sql_wait(&rig, 10, "t", "select idx_scan > 0 from pg_stat_user_indexes where indexrelname = 'runs_under_way'");
	rig_sql_expect(&rig, "t", /* one is under way; the planner may ask the index for its ends */
		"select seq_tup_read = 0 and idx_tup_fetch <= 3 from pg_stat_user_tables where relname = 'runs'");
}
