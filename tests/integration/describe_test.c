/*
 * `leat schema` against what it describes: the decoder agrees with the schemas about thousands of messages, the official parser takes the
 * AsyncAPI document, and all that comes out of running consumers is valid.
 */
#include "endpoint.h"
#include "scripts.h"

#include "leat/describe.h"
#include "leat/event.h"
#include "leat/intent.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct rig rig;

static void setup(void)
{
	rig_open(&rig);
}

static void teardown(void)
{
	rig_close(&rig);
}

TestSuite(describe, .init = setup, .fini = teardown);

/* Runs `leat schema <word>`; `path` is where its output is. */
static void print_schema(char path[PATH_MAX + 32], const char *word)
{
	cr_assert_eq(rig_run(&rig, "schema", 20, RIG_ARGS("schema", word)), 0);
	snprintf(path, PATH_MAX + 32, "%s/schema.out", rig.folder);
}

static char *run_script(const char *const *argv, const char *const *environment)
{
	struct leat_child node;
	script_start(&node, &rig, "node", argv, environment);
	int status = script_wait(&node, 90);
	char *said = rig_output(&rig, "node");
	cr_assert_eq(status, 0, "%.4000s", said);
	return said;
}

/* ---- the AsyncAPI document ---- */

Test(describe, the_official_parser_takes_the_asyncapi_document_and_finds_every_message_in_it)
{
	char path[PATH_MAX + 32];
	char line[256];
	size_t count;
	print_schema(path, "--asyncapi");
	char *said = run_script(RIG_ARGS("node", "tests/clients/asyncapi.mjs", path), NULL);

	const struct leat_intent_type *intents = leat_intent_table(&count);
	for (size_t i = 0; i < count; i++) {
		snprintf(line, sizeof line, "receive leat.intent.{tenant}.{role}.%s.%s: %s.%s -> %s.%s.outcome\n", intents[i].noun, intents[i].verb,
			intents[i].noun, intents[i].verb, intents[i].noun, intents[i].verb);
		cr_expect_not_null(strstr(said, line), "%s is missing in\n%s", line, said);
	}
	const struct leat_intent_type *queries = leat_query_table(&count);
	for (size_t i = 0; i < count; i++) {
		snprintf(line, sizeof line, "receive leat.query.{tenant}.{role}.%s.%s: %s.%s -> %s.%s.answer\n", queries[i].noun, queries[i].verb,
			queries[i].noun, queries[i].verb, queries[i].noun, queries[i].verb);
		cr_expect_not_null(strstr(said, line), "%s is missing in\n%s", line, said);
	}
	const struct leat_event_type *events = leat_event_table(&count);
	for (size_t i = 0; i < count; i++) {
		snprintf(line, sizeof line, " leat.%s.%s", events[i].noun, events[i].what);
		cr_expect_not_null(strstr(said, line), "%s is missing in\n%s", line, said);
	}
	cr_expect_not_null(strstr(said, "send leat.dead.{tenant}.{noun}.{verb}: dead\n"), "%s", said);
	free(said);
}

/* ---- schema and decoder ---- */

static bool is_query(const char *name)
{
	size_t count;
	const struct leat_intent_type *table = leat_query_table(&count);
	for (size_t i = 0; i < count; i++)
		if (strncmp(name, table[i].noun, strlen(table[i].noun)) == 0 && strcmp(name + strlen(table[i].noun) + 1, table[i].verb) == 0)
			return true;
	return false;
}

static enum leat_kind decode(const char *name, const char *body, struct leat_error *err)
{
	struct leat_intent intent;
	struct leat_params limits;
	char subject[160];
	leat_params_init(&limits);
	snprintf(subject, sizeof subject, "leat.%s." RIG_TENANT_A ".service.%s", is_query(name) ? "query" : "intent", name);
	const struct leat_raw_intent raw = {.subject = subject, .body = body, .body_bytes = strlen(body)};
	enum leat_kind kind = is_query(name) ? leat_query_decode(&intent, &raw, &limits, err) : leat_intent_decode(&intent, &raw, &limits, err);
	leat_intent_fini(&intent);
	return kind;
}

/* What the graph of a definition has to be is not in the schema: what leat_workflow_check says of graphs. */
static bool is_about_the_graph(const char *name, const char *text)
{
	static const char *const phrases[] = {
		"stands twice", /* a node's id, an edge, a header in two cases */
		"there is no node",
		"an edge leads from it to itself",
		"they lead in a circle",
		"is not upstream",
		"can't refer to its own output",
		"runs once per item",
		"there is an item only between a split and its collect",
		"it collects nothing",
		"nothing follows this split",
		"leads to no collect",
		"it follows the split",
	};
	for (size_t i = 0; strcmp(name, "workflow.save") == 0 && i < sizeof phrases / sizeof *phrases; i++)
		if (strstr(text, phrases[i]) != NULL)
			return true;
	return false;
}

static void compare(const char *line, size_t counts[2])
{
	struct leat_error err = {0};
	json_error_t broken;
	json_auto_t *message = json_loads(line, 0, &broken);
	cr_assert_not_null(message, "%s: %s", broken.text, line);
	const char *name = json_string_value(json_object_get(message, "name"));
	const char *body = json_string_value(json_object_get(message, "body"));
	const char *reason = json_string_value(json_object_get(message, "reason"));
	bool valid = json_is_true(json_object_get(message, "valid"));
	bool good = decode(name, body, &err) == LEAT_OK;
	counts[good]++;
	if (reason != NULL)
		cr_expect(valid && !good, "%s: the schema %s, the decoder %s: %s\n%.300s", reason, valid ? "takes it" : "refuses it",
			good ? "takes it" : "refuses it", err.text, body);
	else if (valid != good && !(valid && is_about_the_graph(name, err.text)))
		cr_expect_fail("%s: the schema %s, the decoder %s: %s\n%.600s", name, valid ? "takes it" : "refuses it",
			good ? "takes it" : "refuses it", err.text, body);
}

Test(describe, schemas_and_decoder_agree_about_every_message)
{
	char path[PATH_MAX + 32];
	size_t counts[2] = {0, 0};
	print_schema(path, NULL);
	char *said = run_script(RIG_ARGS("node", "tests/clients/schema_variants.mjs", path, "tests/clients/sample.jsonl", "README.md"), NULL);
	char *rest = NULL;
	for (char *line = strtok_r(said, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest))
		compare(line, counts);
	cr_expect_gt(counts[true], 500);
	cr_expect_gt(counts[false], 5000);
	free(said);
}

/* ---- the command ---- */

Test(describe, one_schema_comes_with_all_that_it_refers_to)
{
	LEAT_BUF_SCOPED names = LEAT_BUF_INIT;
	struct leat_params limits;
	leat_params_init(&limits);
	leat_describe_names(&names, &limits);
	char *rest = NULL;
	for (char *line = strtok_r(names.data, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
		line[strcspn(line, " ")] = '\0';
		LEAT_BUF_SCOPED text = LEAT_BUF_INIT;
		cr_assert(leat_describe_schema(&text, line, &limits), "%s", line);
		json_auto_t *schema = json_loads(leat_buf_text(&text), 0, NULL);
		for (const char *at = leat_buf_text(&text); (at = strstr(at, "\"#/$defs/")) != NULL; at++) {
			char *referred = strndup(at + strlen("\"#/$defs/"), strcspn(at + 1, "\"") + 1 - strlen("\"#/$defs/"));
			cr_expect_not_null(json_object_get(json_object_get(schema, "$defs"), referred), "%s: %s", line, referred);
			free(referred);
		}
	}
}

Test(describe, a_name_that_is_none_ends_with_2)
{
	cr_expect_eq(rig_run(&rig, "schema", 20, RIG_ARGS("schema", "entity.murge")), 2);
	char *said = rig_log(&rig, "schema");
	cr_expect_not_null(strstr(said, "there is no schema \"entity.murge\"; `leat schema --list` names them all"), "%s", said);
	free(said);
}

/* ---- what comes out ---- */

Test(describe, all_that_comes_out_is_valid)
{
	char path[PATH_MAX + 32];
	char host[64];
	char nats[160];
	char base[80];
	struct endpoint calls = {.script = "tests/clients/calls.mjs"};
	rig_migrate(&rig);
	endpoint_start(&calls, &rig);
	snprintf(host, sizeof host, "127.0.0.1:%d", calls.port);
	setenv("LEAT_ALLOW_HOSTS", host, 1);
	rig_start(&rig, "consume", RIG_ARGS("consume", "--interaction-sweep-ms", "100"));
	rig_sql_wait(&rig, 60, "working", "select lanes #>> '{query,state}' from leat.processes");
	print_schema(path, NULL);
	snprintf(nats, sizeof nats, "LEAT_NATS_URL=%s", rig.nats.url);
	snprintf(base, sizeof base, "BASE=%s", calls.base);
	char *said = run_script(RIG_ARGS("node", "tests/clients/schema_tour.mjs", path), RIG_ARGS(nats, base, "TENANT=" RIG_TENANT_A));
	free(said);
	endpoint_stop(&calls);
}
