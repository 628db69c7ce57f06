/* Queries about runs: who may ask, what is told, and pages that together are the whole. */
#include "query_fixture.h"
#include "run_fixture.h"

#include "leat/buf.h"

#include <stdlib.h>
#include <string.h>

static struct rig rig;
static struct asker asker;

static void setup(void)
{
	rig_open(&rig);
	rig_migrate(&rig);
	run_prepare(&rig);
	run_save(&rig, "{'id':'s','type':'split','items':{'$ref':'input#/items'}},{'id':'x','type':'http'},{'id':'c','type':'collect'}",
		"['s','x'],['x','c']");
	rig_sql(&rig, "insert into leat.members (tenant_id, user_id, role) values ('" RIG_TENANT_A "', '" VIEWER "', 'viewer')");
	rig_start(&rig, "consumer", RIG_ARGS("consume", "--lanes", "query,keep"));
	query_wait_working(&rig, 1);
	asker_open(&asker, rig.nats.url, NULL, NULL);
}

static void teardown(void)
{
	asker_close(&asker);
	rig_close(&rig);
}

TestSuite(run_query, .init = setup, .fini = teardown);

#define GET "{\"run_id\":\"" RUN_1 "\"}"

static const char *ask(const char *what, const char *body, json_t **answer)
{
	return asker_code(&asker, what, VIEWER, body, answer);
}

/* What the members of the tenant get; the caller's to json_decref. */
static json_t *get(const char *what, const char *body)
{
	json_t *answer = NULL;
	cr_assert_str_eq(ask(what, body, &answer), "ok", "%s %s", what, body);
	json_t *result = json_incref(json_object_get(answer, "result"));
	json_decref(answer);
	return result;
}

static void expect_text(const json_t *object, const char *name, const char *expected)
{
	const char *found = json_string_value(json_object_get(object, name));
	cr_expect_str_eq(found != NULL ? found : "null", expected, "%s", name);
}

Test(run_query, members_and_services_read_the_runs_of_their_tenant_and_nobody_else)
{
	run_start(&rig, RUN_1, ",'input':{'items':[]}");
	cr_expect_str_eq(ask(RIG_TENANT_A ".user.run.get", GET, NULL), "ok");
	cr_expect_str_eq(ask(RIG_TENANT_A ".service.run.get", GET, NULL), "ok");
	cr_expect_str_eq(ask(RIG_TENANT_B ".service.run.get", GET, NULL), "not_found");
	cr_expect_str_eq(ask(RIG_TENANT_B ".user.run.get", GET, NULL), "forbidden");
	cr_expect_str_eq(asker_code(&asker, RIG_TENANT_A ".user.run.list", STRANGER, "{}", NULL), "forbidden");
	cr_expect_str_eq(asker_code(&asker, RIG_TENANT_A ".user.run.list", NULL, "{}", NULL), "forbidden");
	cr_expect_str_eq(ask(RIG_TENANT_A ".service.run.get", "{\"run_id\":\"" RUN_2 "\"}", NULL), "not_found");
	cr_expect_str_eq(ask(RIG_TENANT_A ".service.run.list", "{\"after\":\"x\"}", NULL), "invalid_message");
	cr_expect_str_eq(ask(RIG_TENANT_A ".service.run.list", "{\"status\":\"done\"}", NULL), "invalid_message");
	json_t *theirs = get(RIG_TENANT_B ".service.run.list", "{}");
	cr_expect_eq(json_array_size(json_object_get(theirs, "runs")), 0);
	json_decref(theirs);
}

Test(run_query, a_run_is_told_with_its_input_and_the_states_of_its_nodes)
{
	run_start(&rig, RUN_1, ",'agent_id':'bot','input':{'items':[7]}");
	run_fact(&rig, RUN_1, "node", ",'node_id':'x[0]','status':'completed','output':{'n':1.50}");
	json_t *run = get(RIG_TENANT_A ".user.run.get", GET);
	expect_text(run, "run_id", RUN_1);
	expect_text(run, "workflow_id", FLOW);
	expect_text(run, "agent_id", "bot");
	expect_text(run, "entity_id", "null");
	expect_text(run, "status", "completed");
	json_t *states = json_object_get(run, "node_states");
	cr_expect_eq(json_object_size(states), 3);
	expect_text(json_object_get(states, "x[0]"), "status", "completed");
	expect_text(json_object_get(states, "c"), "status", "completed");
	cr_expect_null(json_object_get(run, "next"));
	json_decref(run);
	char *text = asker_ask(&asker, RIG_TENANT_A ".user.run.get", VIEWER, GET, 10000);
	cr_expect_not_null(strstr(text, "\"input\":{\"items\": [7]}"), "%s", text);
	cr_expect_not_null(strstr(text, "1.50"), "%s", text);
	free(text);
}

/* The last digits of the runs. */
static void expect_listed(const char *body, const char *expected)
{
	json_t *result = get(RIG_TENANT_A ".user.run.list", body);
	LEAT_BUF_SCOPED found = LEAT_BUF_INIT;
	size_t i;
	json_t *run;
	json_array_foreach(json_object_get(result, "runs"), i, run)
	{
		const char *id = json_string_value(json_object_get(run, "run_id"));
		leat_buf_add_text(&found, id + strlen(id) - 1);
		cr_expect_null(json_object_get(run, "node_states"));
	}
	cr_expect_str_eq(leat_buf_text(&found), expected, "%s", body);
	json_decref(result);
}

Test(run_query, the_newest_are_listed_first_and_filtered)
{
	for (int i = 1; i <= 5; i++) {
		char run[64];
		snprintf(run, sizeof run, "77777777-0000-4000-8000-00000000000%d", i);
		run_start(&rig, run, i % 2 == 0 ? ",'agent_id':'bot','input':{'items':[1]}" : ",'input':{'items':[]}");
	}
	expect_listed("{}", "54321");
	expect_listed("{\"agent_id\":\"bot\"}", "42");
	expect_listed("{\"status\":\"completed\"}", "531");
	expect_listed("{\"status\":\"completed\",\"agent_id\":\"bot\"}", "");
	expect_listed("{\"workflow_id\":\"" FLOW "\",\"limit\":2}", "54");
	expect_listed("{\"workflow_id\":\"" RUN_1 "\"}", "");
}

Test(run_query, pages_of_a_list_are_together_all_of_it)
{
	char body[256] = "{\"limit\":2}";
	LEAT_BUF_SCOPED found = LEAT_BUF_INIT;
	int pages = 0;
	for (int i = 1; i <= 5; i++) {
		char run[64];
		snprintf(run, sizeof run, "77777777-0000-4000-8000-00000000000%d", i);
		run_start(&rig, run, ",'input':{'items':[]}");
	}
	rig_sql(&rig, "update leat.runs set created_at = '2026-01-01'"); /* then the ids decide */
	for (const char *next = body; next != NULL && pages < 10; pages++) {
		json_t *result = get(RIG_TENANT_A ".service.run.list", body);
		size_t i;
		json_t *run;
		json_array_foreach(json_object_get(result, "runs"), i, run)
			leat_buf_add_text(&found, json_string_value(json_object_get(run, "run_id")) + 35);
		next = json_string_value(json_object_get(result, "next"));
		if (next != NULL)
			snprintf(body, sizeof body, "{\"limit\":2,\"after\":\"%s\"}", next);
		json_decref(result);
	}
	cr_expect_str_eq(leat_buf_text(&found), "54321");
	cr_expect_eq(pages, 3);
}

/* Forty nodes of 100 kB each, one of over a megabyte: several answers, which hold each node once, that one without its output. */
Test(run_query, pages_of_a_run_are_together_all_of_its_nodes)
{
	run_start(&rig, RUN_1, ",'input':{'items':[1]}");
	rig_sql(&rig,
		"update leat.runs set node_states = node_states || (select jsonb_object_agg('y[' || i || ']', jsonb_build_object('status', "
		"'completed',"
		" 'output', repeat('z', case i when 7 then 1200000 else 100000 end))) from generate_series(0, 39) i)");
	char body[256] = GET;
	int pages = 0;
	size_t nodes = 0;
	size_t omitted = 0;
	for (const char *next = body; next != NULL; pages++) {
		json_t *result = get(RIG_TENANT_A ".user.run.get", body);
		const char *name;
		json_t *state;
		cr_expect_eq(json_object_get(result, "input") != NULL, pages == 0);
		json_object_foreach(json_object_get(result, "node_states"), name, state)
		{
			nodes++;
			omitted += json_is_true(json_object_get(state, "output_omitted"));
			cr_expect_eq(json_is_true(json_object_get(state, "output_omitted")), strcmp(name, "y[7]") == 0);
		}
		next = json_string_value(json_object_get(result, "next"));
		if (next != NULL)
			snprintf(body, sizeof body, "{\"run_id\":\"" RUN_1 "\",\"after\":\"%s\"}", next);
		json_decref(result);
	}
	cr_expect_eq(nodes, 43);
	cr_expect_eq(omitted, 1);
	cr_expect_geq(pages, 4);
}
