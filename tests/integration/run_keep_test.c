/* What keeps runs going when somebody falls silent, with real consumers: a process that is killed, a worker that dies, a resume that is
 * lost. */
#include "advancing.h"
#include "asker.h"

#include "leat/clock.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(run_keep, .init = advancing_setup, .fini = advancing_teardown);

#define LANES ADVANCING_LANES ",query"
#define USER "eeeeeeee-0000-4000-8000-000000000001"

static const char *const eager[] = {"--lease-ms", "1500", "--reap-every-ms", "200", "--relay-tick-ms", "200", NULL};

#define WORKER                                                                                                                             \
	"{'nodes':[{'id':'w','type':'worker','url':'$URL/accept/w','max_attempts':2},{'id':'b','type':'http','url':'$URL/ok/"                  \
	"b'}],'edges':[['w','b']]}"

Test(run_keep, what_a_killed_process_held_is_called_again_with_the_same_key)
{
	advancing_save("{'nodes':[{'id':'a','type':'http','url':'$URL/hold/a'}],'edges':[]}");
	struct leat_child *killed = advancing_start("c1", LANES, eager);
	advancing_start_run(1, "");
	advancing_wait_calls("/hold/a", 1, 60);
	kill(killed->pid, SIGKILL);
	cr_assert(rig_wait_until(rig_gone, &killed->pid, 10));
	advancing_start("c2", LANES, eager);
	advancing_wait_calls("/hold/a", 2, 60);
	rig_sql_expect(&advancing, "2", "select max(attempt) from leat.claims");
	endpoint_release(&calls);
	advancing_wait_runs(1, "completed", 60);
	advancing_expect_one_key("/hold/a");
}

Test(run_keep, a_worker_that_is_never_heard_of_again_fails_its_node_after_its_attempts)
{
	advancing_save(WORKER);
	advancing_start("c1", LANES, eager);
	advancing_start_run(1, "");
	advancing_wait_runs(1, "failed", 60);
	advancing_expect_error(1, "w", "worker_heartbeat_lost");
	advancing_wait_node(1, "b", "skipped", 1);
	cr_expect_eq(advancing_count("/accept/w"), 2);
	advancing_expect_one_key("/accept/w");
	rig_sql_expect(&advancing, "2", "select node_states #>> '{w,attempt}' from leat.runs");
}

static const char *heartbeat(struct asker *worker, const char *role, int attempt)
{
	char what[128];
	char body[256];
	snprintf(what, sizeof what, RIG_TENANT_A ".%s.run.heartbeat", role);
	snprintf(body, sizeof body, "{\"run_id\":\"dddddddd-0000-4000-8000-000000000001\",\"node_id\":\"w\",\"attempt\":%d}", attempt);
	return asker_code(worker, what, USER, body, NULL);
}

Test(run_keep, a_worker_that_shows_that_it_works_keeps_its_node)
{
	struct asker worker;
	advancing_save(WORKER);
	advancing_start("c1", LANES, eager);
	asker_open(&worker, advancing.nats.url, NULL, NULL);
	advancing_start_run(1, "");
	advancing_wait_node(1, "w", "running", 60);
	rig_sql_wait(&advancing, 30, "t", "select exists (select from leat.processes where lanes #>> '{query,state}' = 'working')");
	int64_t until_ms = leat_clock_ms() + 4000; /* more than two leases */
	while (leat_clock_ms() < until_ms) {
		rig_sql_wait(&advancing, 10, "t", "select leased_until < now() + interval '1 s' from leat.claims");
		cr_assert_str_eq(heartbeat(&worker, "service", 1), "ok");
	}
	cr_expect_str_eq(heartbeat(&worker, "service", 2), "conflict");
	cr_expect_str_eq(heartbeat(&worker, "user", 1), "forbidden");
	advancing_publish("run.node", 1, ",'node_id':'w','status':'completed','output':1,'attempt':1");
	advancing_wait_runs(1, "completed", 60);
	cr_expect_eq(advancing_count("/accept/w"), 1);
	cr_expect_str_eq(heartbeat(&worker, "service", 1), "conflict");
	asker_close(&worker);
}

Test(run_keep, a_run_whose_resume_was_lost_is_resumed_again)
{
	struct leat_error err;
	advancing_save("{'nodes':[{'id':'a','type':'http','url':'$URL/ok/a'}],'edges':[]}");
	advancing_start("c1", "control,run,relay", NULL);
	advancing_start_run(1, "");
	advancing_wait_run(1, "pending", 60);
	rig_sql_wait(&advancing, 30, "0", "select count(*) from leat.outbox");
	cr_assert_eq(leat_bus_publish(rig_bus(&advancing), "$JS.API.STREAM.PURGE.LEAT_WORK", NULL, "{}", 2, &err), LEAT_OK, "%s", err.text);
	advancing_start("c2", "advance,keep,relay", eager);
	advancing_wait_runs(1, "completed", 60);
	cr_expect_eq(advancing_count("/ok/a"), 1);
}

Test(run_keep, a_run_that_waits_for_a_person_goes_on_with_the_answer_and_another_ends_in_time)
{
	advancing_save(
		"{'nodes':[{'id':'q','type':'question','connection_id':'chat','expected_user_id':'" USER
		"','payload':{},'ttl_s':{'$ref':'input#'}},{'id':'b','type':'http','url':'$URL/ok/b','method':'POST','body':{'$ref':'q#/said'}}],"
		"'edges':[['q','b']]}");
	advancing_start("c1", LANES, (const char *const[]){"--interaction-sweep-ms", "200", "--relay-tick-ms", "200", NULL});
	advancing_start_run(1, ",'input':100");
	advancing_start_run(2, ",'input':1");
	advancing_wait_run(2, "failed", 60);
	advancing_expect_error(2, "q", "expired");
	advancing_wait_run(1, "waiting", 60);
	char *id = rig_sql_text(&advancing, "select id from leat.interactions where status = 'open'");
	char body[512];
	snprintf(body, sizeof body, "{'interaction_id':'%s','connection_id':'chat','user_id':'" USER "','value':{'said':'yes'}}", id);
	control_expect(&advancing, "applied", control_publish(&advancing, RIG_TENANT_A, "service", "interaction.answer", NULL, body));
	free(id);
	advancing_wait_run(1, "completed", 60);
	advancing_expect_output(1, "q", "{\"said\": \"yes\"}");
	cr_expect_eq(advancing_count("/ok/b"), 1);
}
