/* The advance lane when all goes well: who calls when, what goes out and what comes of it. */
#include "advancing.h"

#include "leat/clock.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(advance, .init = advancing_setup, .fini = advancing_teardown);

/* ---- the window ---- */

static int64_t began(const json_t *call)
{
	return json_integer_value(json_object_get(call, "began"));
}

static int64_t ended(const json_t *call)
{
	return json_integer_value(json_object_get(call, "ended"));
}

/* Each call but the first three began when one of those before it had just ended: the server tells, not the clock. */
static void expect_refilled_at_once(json_t *all, int64_t late_ms)
{
	size_t count = json_array_size(all);
	for (size_t i = 3; i < count; i++) {
		int64_t start = began(json_array_get(all, i));
		int64_t last_end = 0;
		for (size_t j = 0; j < i; j++) {
			int64_t end = ended(json_array_get(all, j));
			last_end = end <= start && end > last_end ? end : last_end;
		}
		cr_expect_leq(start - last_end, late_ms, "call %zu began %d ms after a slot was free", i, (int)(start - last_end));
	}
}

Test(advance, three_runs_at_once_and_a_free_slot_is_filled_at_once)
{
	static const int durations[15] = {900, 250, 400, 300, 850, 200, 650, 500, 350, 700, 280, 600, 450, 220, 800};
	advancing_save("{'nodes':[{'id':'a','type':'http','url':{'$ref':'input#'}}],'edges':[]}");
	for (int i = 0; i < 15; i++) {
		char input[128];
		snprintf(input, sizeof input, ",'input':'%s/ok/%d?ms=%d'", calls.base, i, durations[i]);
		advancing_start_run(i, input);
	}
	advancing_start("c1", ADVANCING_LANES, NULL);
	advancing_wait_runs(15, "completed", 60);
	json_t *all = endpoint_calls(&calls);
	cr_assert_eq(json_array_size(all), 15);
	cr_expect_eq(advancing_most_at_once(), 3);
	expect_refilled_at_once(all, 150);
	json_decref(all);
}

Test(advance, the_nodes_of_a_run_are_called_at_once_but_not_more_than_max_calls)
{
	advancing_save("{'nodes':[{'id':'get','type':'http','url':'$URL/items/x?n=20'},"
				   "{'id':'s','type':'split','items':{'$ref':'get#/items'}},"
				   "{'id':'a','type':'http','url':'$URL/ok/a?ms=300','method':'POST','body':{'it':{'$ref':'item#'}}},"
				   "{'id':'c','type':'collect'}],'edges':[['get','s'],['s','a'],['a','c']]}");
	advancing_start("c1", ADVANCING_LANES, RIG_ARGS("--max-calls", "8"));
	advancing_start_run(1, "");
	advancing_wait_run(1, "completed", 60);
	cr_expect_eq(advancing_most_at_once(), 8);
	cr_expect_eq(advancing_count("/ok/a"), 20);
	json_t *all = endpoint_calls(&calls);
	for (size_t i = 1; i < json_array_size(all); i++) /* every item has its own key and its own body */
		for (size_t j = 1; j < i; j++) {
			cr_expect_str_neq(json_string_value(json_object_get(json_array_get(all, i), "key")),
				json_string_value(json_object_get(json_array_get(all, j), "key")));
			cr_expect_str_neq(json_string_value(json_object_get(json_array_get(all, i), "body")),
				json_string_value(json_object_get(json_array_get(all, j), "body")));
		}
	json_decref(all);
	advancing_wait_runs(1, "completed", 10);
}

Test(advance, work_is_shared_by_processes_and_every_node_is_called_once)
{
	advancing_save_call("/ok/a?ms=100");
	advancing_start("c1", ADVANCING_LANES, NULL);
	advancing_start("c2", ADVANCING_LANES, NULL);
	rig_sql_wait(&advancing, 30, "2", "select count(*) from leat.processes where lanes #>> '{advance,state}' = 'working'");
	for (int i = 0; i < 40; i++)
		advancing_start_run(i, "");
	advancing_wait_runs(40, "completed", 60);
	cr_expect_eq(advancing_count("/ok/a"), 40);
	cr_expect_gt(advancing_most_at_once(), 3);
	cr_expect_leq(advancing_most_at_once(), 6);
}

Test(advance, the_items_of_one_split_are_shared_by_processes)
{
	advancing_save("{'nodes':[{'id':'get','type':'http','url':'$URL/items/x?n=32'},"
				   "{'id':'s','type':'split','items':{'$ref':'get#/items'}},"
				   "{'id':'a','type':'http','url':'$URL/ok/a?ms=300','method':'POST','body':{'it':{'$ref':'item#'}}},"
				   "{'id':'c','type':'collect'}],'edges':[['get','s'],['s','a'],['a','c']]}");
	advancing_start("c1", ADVANCING_LANES, RIG_ARGS("--max-calls", "4"));
	advancing_start("c2", "advance", RIG_ARGS("--max-calls", "4"));
	rig_sql_wait(&advancing, 30, "2",
		"select count(distinct pid) from pg_stat_activity where datname = current_database() and application_name = 'leat advance'");
	advancing_start_run(1, "");
	advancing_wait_runs(1, "completed", 60);
	cr_expect_eq(advancing_most_at_once(), 8);
	cr_expect_eq(advancing_count("/ok/a"), 32);
}

/* ---- what goes out ---- */

Test(advance, a_call_bears_its_key_its_trace_and_what_references_bring)
{
	static const char trace[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
	char headers[128];
	char run[37];
	char body[512];
	advancing_save("{'nodes':[{'id':'a','type':'http','url':'$URL/ok/a'},"
				   "{'id':'b','type':'http','method':'POST','url':'$URL/echo/b','headers':{'X-Test':{'$ref':'input#/t'}},"
				   "'body':{'n':{'$ref':'input#/n'},'was':{'$ref':'a#/times'}}}],'edges':[['a','b']]}");
	advancing_start("c1", ADVANCING_LANES, NULL);
	advancing_run_id(run, 1);
	snprintf(headers, sizeof headers, "traceparent: %s\r\n", trace);
	snprintf(body, sizeof body,
		"{\"run_id\":\"%s\",\"workflow_id\":\"" ADVANCING_WORKFLOW "\",\"input\":{\"t\":\"hello\",\"n\":12345678901234567890}}", run);
	rig_intent(&advancing, RIG_TENANT_A, "run.start", headers, body);
	advancing_wait_run(1, "completed", 60);
	advancing_expect_output(1, "b", "%%{\\\\\"n\\\\\": 12345678901234567890, \\\\\"was\\\\\": 1}%%");
	json_t *all = endpoint_calls(&calls);
	const json_t *second = json_array_get(all, 1);
	char key[128];
	snprintf(key, sizeof key, "%s/b/0", run);
	cr_expect_str_eq(json_string_value(json_object_get(second, "key")), key);
	cr_expect_str_eq(json_string_value(json_object_get(second, "traceparent")), trace);
	cr_expect_str_eq(json_string_value(json_object_get(second, "header")), "hello");
	json_decref(all);
	rig_sql_expect(&advancing, "0", "select count(*) from leat.activity where outcome = 'rejected'");
}

/* ---- the other kinds ---- */

Test(advance, a_worker_runs_until_its_own_word_comes)
{
	advancing_save("{'nodes':[{'id':'w','type':'worker','url':'$URL/accept/w'},"
				   "{'id':'b','type':'http','url':'$URL/ok/b'}],'edges':[['w','b']]}");
	advancing_start("c1", ADVANCING_LANES, NULL);
	advancing_start_run(1, "");
	advancing_wait_node(1, "w", "running", 60);
	advancing_wait_calls("/accept/w", 1, 10);
	rig_sql_expect(&advancing, "1", "select count(*) from leat.claims");
	advancing_publish("run.node", 1, ",'node_id':'w','status':'completed','output':{'done':true},'attempt':1");
	advancing_wait_runs(1, "completed", 60);
	advancing_expect_output(1, "w", "{\"done\": true}");
	cr_expect_eq(advancing_count("/accept/w"), 1);
}

Test(advance, a_merge_writes_what_is_not_locked_and_says_what_it_did)
{
	char output[256];
	advancing_save(
		"{'nodes':[{'id':'m','type':'merge','content':{'title':{'$ref':'input#/t'},'price':7},'metadata':{'seen':true}}],'edges':[]}");
	control_publish(
		&advancing, RIG_TENANT_A, "service", "entity.upsert", NULL, "{'entity_type':'thing','key':'k','content':{'title':'old'}}");
	advancing_start("c1", ADVANCING_LANES, NULL);
	rig_sql_wait(&advancing, 30, "1", "select count(*) from leat.entities");
	char *entity = rig_sql_text(&advancing, "select id from leat.entities");
	snprintf(output, sizeof output, "{'entity_id':'%s','fields':['title']}", entity);
	control_publish(&advancing, RIG_TENANT_A, "service", "entity.lock", NULL, output);
	rig_sql_wait(&advancing, 30, "t", "select locked_fields = '{title}' from leat.entities");
	snprintf(output, sizeof output, ",'entity_id':'%s','input':{'t':'new'}", entity);
	advancing_start_run(1, output);
	advancing_wait_runs(1, "completed", 60);
	snprintf(output, sizeof output, "{\"entity_id\": \"%s\", \"skipped_fields\": [\"title\"], \"fields_extracted\": 2}", entity);
	advancing_expect_output(1, "m", output);
	rig_sql_expect(&advancing, "{\"price\": 7, \"title\": \"old\"} {\"seen\": true}",
		"select content::text || ' ' || metadata::text from leat.entities");
	free(entity);
}

Test(advance, a_merge_that_is_rejected_fails_its_node_with_the_reason)
{
	advancing_save("{'nodes':[{'id':'m','type':'merge','entity_type':'thing','key':'nobody','content':{'a':1}},"
				   "{'id':'n','type':'merge','content':{'a':1}}],'edges':[]}");
	advancing_start("c1", ADVANCING_LANES, NULL);
	advancing_start_run(1, "");
	advancing_wait_runs(1, "failed", 60);
	advancing_expect_error(1, "m", "not_found: %%");
	advancing_expect_error(1, "n", "%%the run has none%%");
}

/* The intent that a merge node asks for. The caller's to leat_msg_free. */
static void wait_for_merge(struct leat_msg *out)
{
	static const char subject[] = "leat.intent." RIG_TENANT_A ".engine.entity.merge";
	struct leat_error err;
	int64_t until_ms = leat_clock_ms() + 30000;
	for (uint64_t seq = 1; leat_stream_get_next(rig_bus(&advancing), "LEAT_ENTITY", subject, &seq, out, &err) != LEAT_OK; seq = 1) {
		cr_assert_lt(leat_clock_ms(), until_ms, "%s", err.text);
		poll(NULL, 0, 20);
	}
}

/* Where the outcome of an intent goes is its sender's to say, and this process's name is no secret: it stands in every reply. */
Test(advance, another_tenants_word_is_no_outcome)
{
	char forged[160];
	struct leat_error err;
	advancing_save("{'nodes':[{'id':'m','type':'merge','entity_type':'thing','key':'k','content':{'a':1}}],'edges':[]}");
	control_publish(&advancing, RIG_TENANT_A, "service", "entity.upsert", NULL, "{'entity_type':'thing','key':'k'}");
	advancing_start("c1", "control,run,relay,keep,advance", NULL);
	advancing_start_run(1, "");
	advancing_wait_node(1, "m", "running", 60);

	struct leat_msg asked;
	wait_for_merge(&asked);
	const char *reply_to = leat_msg_header(&asked, "Leat-Reply-To");
	cr_assert_not_null(reply_to);
	snprintf(forged, sizeof forged, "leat.reply." RIG_TENANT_B "%s", reply_to + strlen("leat.reply." RIG_TENANT_B));
	static const char outcome[] = "{\"status\":\"rejected\",\"position\":1,\"code\":\"not_found\",\"message\":\"forged\"}";
	cr_assert_eq(leat_bus_publish(rig_bus(&advancing), forged, NULL, outcome, strlen(outcome), &err), LEAT_OK);
	cr_assert_eq(leat_bus_flush(rig_bus(&advancing), &err), LEAT_OK);
	leat_msg_free(&asked);

	advancing_start("c2", "entity", NULL);
	advancing_wait_runs(1, "completed", 60);
	rig_sql_expect(&advancing, "{\"a\": 1}", "select content from leat.entities");
}

Test(advance, a_question_waits_for_its_answer_which_is_the_output)
{
	advancing_save("{'nodes':[{'id':'q','type':'question','connection_id':'chat','expected_user_id':'eeeeeeee-0000-4000-8000-000000000001',"
				   "'payload':{'ask':{'$ref':'input#'}},'ttl_s':100}],'edges':[]}");
	advancing_start("c1", ADVANCING_LANES, NULL);
	advancing_start_run(1, ",'input':'really?'");
	advancing_wait_run(1, "waiting", 60);
	rig_sql_expect(&advancing, "{\"ask\": \"really?\"} q t",
		"select concat_ws(' ', payload, node_id, run_id = (select id from leat.runs)) from leat.interactions");
	rig_sql_wait(&advancing, 30, "0", "select count(*) from leat.claims");
	char *id = rig_sql_text(&advancing, "select id from leat.interactions");
	char body[512];
	snprintf(body, sizeof body,
		"{'interaction_id':'%s','connection_id':'chat','user_id':'eeeeeeee-0000-4000-8000-000000000001','value':{'yes':1}}", id);
	control_expect(&advancing, "applied", control_publish(&advancing, RIG_TENANT_A, "service", "interaction.answer", NULL, body));
	free(id);
}

Test(advance, a_question_that_cannot_be_put_fails_its_node)
{
	advancing_save("{'nodes':[{'id':'q','type':'question','connection_id':'chat','expected_user_id':{'$ref':'input#'},"
				   "'payload':{}}],'edges':[]}");
	advancing_start("c1", ADVANCING_LANES, NULL);
	advancing_start_run(1, ",'input':'nobody'");
	advancing_wait_runs(1, "failed", 60);
	advancing_expect_error(1, "q", "invalid_message: %%expected_user_id%%");
}

/* ---- resumes that are asked for ---- */

static char *wait_reply(struct leat_inbox *replies)
{
	struct leat_msg msg;
	struct leat_error err;
	cr_assert_eq(leat_inbox_next(replies, 30000, &msg, &err), LEAT_OK, "%s", err.text);
	char *text = leat_alloc_zero(msg.data_bytes + 1, 1);
	memcpy(text, msg.data, msg.data_bytes);
	leat_msg_free(&msg);
	return text;
}

Test(advance, an_agents_runs_are_resumed_one_by_one_and_a_resume_tells_what_it_did)
{
	struct leat_inbox *replies;
	struct leat_error err;
	char body[128];
	char run[37];
	static const char reply_to[] = "Leat-Reply-To: leat.reply." RIG_TENANT_A ".test\r\n";
	advancing_save_call("/500/a");
	struct leat_child *first = advancing_start("c1", ADVANCING_LANES, RIG_ARGS("--call-attempts", "1"));
	for (int i = 0; i < 3; i++)
		advancing_start_run(i, ",'agent_id':'bot 7'");
	advancing_wait_runs(3, "failed", 60);
	load_stop_consumer(first);
	advancing_start("c2", "run", NULL); /* nobody advances, and nobody is told to */
	for (int i = 0; i < 3; i++)
		advancing_publish("run.retry", i, "");
	rig_sql_wait(&advancing, 30, "3", "select count(*) from leat.runs where generation = 1 and status = 'running'");
	cr_assert_eq(leat_inbox_open(&replies, rig_bus(&advancing), "leat.reply." RIG_TENANT_A ".test", &err), LEAT_OK);
	rig_intent(&advancing, RIG_TENANT_A, "run.resume", reply_to, "{\"agent_id\":\"bot 7\"}");
	advancing_start("c3", "advance", RIG_ARGS("--call-attempts", "1"));
	char *said = wait_reply(replies);
	cr_expect_not_null(strstr(said, "\"result\":{\"agent_id\":\"bot 7\",\"resumed\":3}"), "%s", said);
	free(said);
	advancing_start("c4", "relay", NULL);
	advancing_wait_runs(3, "failed", 60);
	cr_expect_eq(advancing_count("/500/a"), 6);

	advancing_publish("run.retry", 1, "");
	advancing_wait_calls("/500/a", 7, 30);
	advancing_wait_runs(3, "failed", 60);
	advancing_run_id(run, 1);
	snprintf(body, sizeof body, "{\"run_id\":\"%s\"}", run);
	rig_intent(&advancing, RIG_TENANT_A, "run.resume", reply_to, body);
	said = wait_reply(replies);
	cr_expect_not_null(strstr(said, "\"status\":\"failed\",\"claimed_node_count\":0,\"fields_extracted\":0,\"errors\":[]"), "%s", said);
	free(said);
	leat_inbox_close(replies);
}

Test(advance, a_resume_that_may_not_be_is_a_dead_letter_and_its_sender_hears_why)
{
	struct leat_inbox *replies;
	struct leat_error err;
	advancing_start("c1", ADVANCING_LANES, NULL);
	cr_assert_eq(leat_inbox_open(&replies, rig_bus(&advancing), "leat.reply." RIG_TENANT_A ".test", &err), LEAT_OK);
	rig_publish(&advancing, "leat.intent." RIG_TENANT_A ".user.run.resume", "Leat-Actor: eeeeeeee-0000-4000-8000-000000000001\r\n",
		"{\"agent_id\":\"a\"}");
	rig_intent(&advancing, RIG_TENANT_A, "run.resume", "Leat-Reply-To: leat.reply." RIG_TENANT_A ".test\r\n", "{\"run\":1}");
	char *said = wait_reply(replies);
	cr_expect_not_null(
		strstr(said, "\"status\":\"rejected\",\"position\":2,\"code\":\"invalid_message\",\"message\":\"run.resume "), "%s", said);
	free(said);
	rig_intent(&advancing, RIG_TENANT_A, "run.resume", NULL, "{\"run_id\":\"dddddddd-0000-4000-8000-000000000009\"}");
	load_wait_dead(&advancing, 3, 60);
	leat_inbox_close(replies);
}

/* ---- idle ---- */

Test(advance, waiting_runs_and_an_idle_lane_cost_nothing)
{
	struct leat_child *consumer = advancing_start("c1", "advance", NULL);
	rig_sql_wait(&advancing, 30, "1",
		"select count(*) from pg_stat_activity where datname = current_database() and application_name = 'leat advance' and query ilike "
		"'listen%%' and state = 'idle'");
#define LAST_WORD                                                                                                                          \
	"select state_change || ' ' || query from pg_stat_activity where datname = current_database() and application_name = 'leat advance'"
	char *before = rig_sql_text(&advancing, LAST_WORD);
	int64_t cpu = load_cpu_ms(consumer->pid);
	for (int i = 0; i < 12; i++) {
		rig_sql(&advancing, "select pg_sleep(0.5)");
		rig_sql_expect(&advancing, before, LAST_WORD);
	}
	cr_expect_lt(load_cpu_ms(consumer->pid) - cpu, 200);
	free(before);
}
