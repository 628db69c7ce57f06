/* The story: see replaying_tell_story for what it comes by. */
#include "replaying.h"

#include "load.h"

#include "leat/buf.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FLOW "f0000000-0000-4000-8000-000000000001"
#define LATE_FLOW "f0000000-0000-4000-8000-000000000002"
#define QUESTION "99999999-0000-4000-8000-000000000001"
#define PERSON "88888888-0000-4000-8000-000000000001"

const char *const replaying_lanes[] = {"--lanes", "entity,control,run,relay,keep", "--idle-heartbeat-ms", "500", NULL};

uint64_t replaying_store(struct rig *rig, const char *role, const char *noun_verb, const char *headers, const char *body)
{
	char subject[160];
	char *json = leat_strdup(body);
	for (char *at = json; (at = strchr(at, '\'')) != NULL;)
		*at = '"';
	snprintf(subject, sizeof subject, "leat.intent." RIG_TENANT_A ".%s.%s", role, noun_verb);
	uint64_t seq = rig_publish(rig, subject, headers, json);
	free(json);
	return seq;
}

static void wait_settled(struct rig *rig, const char *stream, uint64_t seq)
{
	rig_sql_wait(rig, 30, "t", "select exists (select from leat.activity where stream = '%s' and position = %" PRIu64 ")", stream, seq);
}

/* ---- entities: every verb, duplicates, locks, rejections, a target that comes later, a reply ---- */

static void store_entities(struct rig *rig, const char *id)
{
	char body[256];
	static const struct {
		const char *verb;
		const char *headers;
		const char *body; /* %s: the entity */
	} intents[] = {
		{"merge", NULL, "{'entity_id':'%s','content':{'early':1}}"},
		{"upsert", "Leat-Id: u\r\n", "{'entity_id':'%s','entity_type':'t','content':{'a':1,'b':{'c':2}},'metadata':{'m':1}}"},
		{"merge", "Leat-Id: one\r\nLeat-Actor: somebody\r\n", "{'entity_id':'%s','content':{'a':2}}"},
		{"merge", "Leat-Id: one\r\n", "{'entity_id':'%s','content':{'a':3}}"},
		{"lock", NULL, "{'entity_id':'%s','fields':['a']}"},
		{"merge", "Leat-Reply-To: leat.reply." RIG_TENANT_A ".test\r\n", "{'entity_id':'%s','content':{'a':4,'d':5},'respect_locks':true}"},
		{"unset", NULL, "{'entity_id':'%s','content':['b']}"},
		{"unlock", NULL, "{'entity_id':'%s','fields':['a']}"},
		{"merge", NULL, "{'entity_id':'%s','content':[1]}"},
		{"merge", NULL, "{'entity_id':'00000000-0000-4000-8000-000000000bad','content':{}}%.0s"},
		{"bulk", NULL, "{'entity_ids':['%s','00000000-0000-4000-8000-000000000bad'],'metadata':{'bulk':true}}"},
	};
	for (size_t i = 0; i < sizeof intents / sizeof *intents; i++) {
		char verb[32];
		snprintf(verb, sizeof verb, "entity.%s", intents[i].verb);
		snprintf(body, sizeof body, intents[i].body, id); /* NOLINT: formats are those above */
		replaying_store(rig, "service", verb, intents[i].headers, body);
	}
}

static void tell_of_entities(struct rig *rig)
{
	for (size_t i = 0; i < 40; i++) {
		char id[37];
		char body[128];
		load_entity(id, i);
		store_entities(rig, id);
		if (i % 4 == 0) {
			snprintf(body, sizeof body, "{'entity_id':'%s'}", id);
			replaying_store(rig, "service", "entity.delete", NULL, body);
		}
		if (i % 8 == 0) {
			snprintf(body, sizeof body, "{'entity_id':'%s','entity_type':'again','content':{'z':1}}", id);
			replaying_store(rig, "service", "entity.upsert", NULL, body);
		}
	}
}

/* ---- workflows, runs that are pinned to versions of them, a question, a retry ---- */

static uint64_t save(struct rig *rig, const char *flow, const char *more_nodes, const char *more_edges)
{
	char body[768];
	snprintf(body, sizeof body,
		"{'workflow_id':'%s','action':'new','name':'w','definition':{'nodes':["
		"{'id':'s','type':'split','items':{'$ref':'input#/items'}},{'id':'w','type':'worker','url':'http://worker.example/'},"
		"{'id':'c','type':'collect'},{'id':'q','type':'question','connection_id':'x','expected_user_id':'" PERSON "','payload':{}}%s],"
		"'edges':[['s','w'],['w','c'],['c','q']%s]}}",
		flow, more_nodes, more_edges);
	return replaying_store(rig, "service", "workflow.save", NULL, body);
}

static void start(struct rig *rig, const char *flow, unsigned int run)
{
	char body[256];
	snprintf(body, sizeof body, "{'run_id':'d0000000-0000-4000-8000-%012u','workflow_id':'%s','input':{'items':[1,2]}}", run, flow);
	replaying_store(rig, "service", "run.start", NULL, body);
}

static uint64_t set_node(struct rig *rig, unsigned int run, const char *node, const char *status, const char *more)
{
	char body[256];
	snprintf(body, sizeof body, "{'run_id':'d0000000-0000-4000-8000-%012u','node_id':'%s','status':'%s'%s}", run, node, status, more);
	return replaying_store(rig, "engine", "run.node", NULL, body);
}

static void finish_items(struct rig *rig, unsigned int run)
{
	set_node(rig, run, "w[1]", "completed", ",'output':{'n':2}");
	set_node(rig, run, "w[0]", run % 3 == 0 ? "failed" : "completed", run % 3 == 0 ? ",'error':'no'" : ",'output':[1]");
}

static void ask_and_answer(struct rig *rig, unsigned int run)
{
	char body[512];
	uint64_t asked = set_node(rig, run, "q", "waiting", "");
	wait_settled(rig, "LEAT_RUN", asked);
	snprintf(body, sizeof body,
		"{'interaction_id':'" QUESTION "','connection_id':'x','expected_user_id':'" PERSON "','payload':{'text':'?'},"
		"'run_id':'d0000000-0000-4000-8000-%012u','node_id':'q'}",
		run);
	replaying_store(rig, "service", "interaction.ask", NULL, body);
	replaying_store(rig, "service", "interaction.answer", NULL,
		"{'interaction_id':'" QUESTION "','connection_id':'x','user_id':'" PERSON "','value':{'yes':true}}");
	rig_sql_wait(rig, 30, "completed", "select status from leat.runs where id = 'd0000000-0000-4000-8000-%012u'", run);
}

static void tell_of_runs(struct rig *rig)
{
	replaying_store(rig, "service", "member.set", NULL, "{'user_id':'" PERSON "','role':'editor'}");
	wait_settled(rig, "LEAT_CONTROL", save(rig, FLOW, "", ""));
	for (unsigned int run = 1; run <= 6; run++)
		start(rig, FLOW, run);
	for (unsigned int run = 1; run <= 6; run++)
		finish_items(rig, run);
	wait_settled(rig, "LEAT_RUN", set_node(rig, 6, "nobody", "completed", ""));
	wait_settled(rig, "LEAT_CONTROL", save(rig, FLOW, ",{'id':'e','type':'worker','url':'http://worker.example/'}", ",['q','e']"));
	start(rig, FLOW, 7);
	finish_items(rig, 7);
	ask_and_answer(rig, 1);
	replaying_store(rig, "service", "run.retry", NULL, "{'run_id':'d0000000-0000-4000-8000-000000000003'}");
	replaying_store(rig, "service", "run.cancel", NULL, "{'run_id':'d0000000-0000-4000-8000-000000000006'}");
	start(rig, LATE_FLOW, 8); /* before its workflow */
	set_node(rig, 8, "s", "completed", "");
	rig_sql_wait(rig, 30, "t", "select count(*) > 0 from leat.parked where stream = 'LEAT_RUN' and retry_at is not null");
	save(rig, LATE_FLOW, "", "");
	rig_sql_wait(rig, 30, "t", "select exists (select from leat.runs where id = 'd0000000-0000-4000-8000-000000000008')");
	save(rig, LATE_FLOW, ",{'id':'e','type':'worker','url':'http://worker.example/'}", ",['q','e']");
	replaying_store(rig, "service", "workflow.delete", NULL, "{'workflow_id':'00000000-0000-4000-8000-000000000bad'}");
}

void replaying_tell_story(struct rig *rig)
{
	struct leat_child *consumer = load_start_consumer(rig, "story", replaying_lanes);
	tell_of_runs(rig);
	tell_of_entities(rig);
	struct leat_stream_state state;
	struct leat_error err;
	int64_t rows = 0;
	static const char *const streams[] = {"LEAT_ENTITY", "LEAT_CONTROL", "LEAT_RUN"};
	for (size_t i = 0; i < sizeof streams / sizeof *streams; i++) {
		cr_assert_eq(leat_stream_get_state(rig_bus(rig), streams[i], &state, &err), LEAT_OK, "%s", err.text);
		rows += (int64_t)state.messages;
	}
	load_wait_settled(rig, rows, 60);
	load_stop_consumer(consumer);
}

void replaying_lose_database(struct rig *rig)
{
	rig_sql(rig, "set client_min_messages = error; drop schema leat cascade");
	rig_migrate(rig);
}

char *replaying_state(struct rig *rig)
{
	return rig_sql_text(rig,
		"set timezone = 'UTC'; select concat_ws(E'\\n',"
		" (select string_agg((to_jsonb(e) - '{created_at,updated_at,deleted_at}'::text[] || jsonb_build_object('deleted', deleted_at is "
		"not null))::text, E'\\n' order by tenant_id, id) from leat.entities e),"
		" (select string_agg((to_jsonb(a) - 'at')::text, E'\\n' order by stream, position) from leat.activity a),"
		" (select string_agg((to_jsonb(m) - 'at')::text, E'\\n' order by tenant_id, leat_id) from leat.message_ids m),"
		" (select string_agg((to_jsonb(w))::text, E'\\n' order by id) from leat.workflows w),"
		" (select string_agg((to_jsonb(v))::text, E'\\n' order by workflow_id, version) from leat.workflow_versions v),"
		" (select string_agg((to_jsonb(m))::text, E'\\n' order by tenant_id, user_id) from leat.members m),"
		" (select string_agg((to_jsonb(i) - 'swept_at')::text, E'\\n' order by tenant_id, id) from leat.interactions i),"
		" (select string_agg((to_jsonb(r) - 'ready_since')::text || (ready_since is null), E'\\n' order by id) from leat.runs r),"
		" (select string_agg(stream || ' ' || position, E'\\n' order by stream) from leat.stream_floors where stream <> 'LEAT_ENTITY' and "
		"position > 0),"
		" (select count(*) from leat.parked))");
}

void replaying_expect_same(const char *found, const char *expected)
{
	size_t at = 0;
	while (found[at] == expected[at] && found[at] != '\0')
		at++;
	size_t line = at;
	while (line > 0 && expected[line - 1] != '\n')
		line--;
	cr_assert_eq(found[at], expected[at], "\nfound:    %.*s\nexpected: %.*s", (int)strcspn(found + line, "\n"), found + line,
		(int)strcspn(expected + line, "\n"), expected + line);
}

json_t *replaying_run(struct rig *rig, int status, const char *const *arguments)
{
	const char *words[32] = {"replay", "--json"};
	for (size_t i = 0; arguments[i] != NULL; i++) {
		cr_assert_lt(i, 29);
		words[i + 2] = arguments[i];
	}
	int found = rig_run(rig, "replay", 60, words);
	char *log = rig_log(rig, "replay");
	char *output = rig_output(rig, "replay");
	cr_assert_eq(found, status, "leat replay ended with %d: %s", found, log);
	json_t *report = json_loads(output, 0, NULL);
	cr_assert_not_null(report, "no JSON: %s", output);
	free(log);
	free(output);
	return report;
}

int64_t replaying_number(const json_t *report, const char *path)
{
	char name[64];
	const json_t *at = report;
	while (*path != '\0') {
		size_t bytes = strcspn(path, ".");
		snprintf(name, sizeof name, "%.*s", (int)bytes, path);
		at = json_object_get(at, name);
		path += bytes + (path[bytes] == '.');
	}
	cr_assert(json_is_integer(at), "no %s in the report", name);
	return json_integer_value(at);
}
