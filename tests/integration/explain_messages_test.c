/* `leat explain` of what is no entity: each message about a workflow, run, interaction or member, and what it did. */
#include "control.h"
#include "facts.h"
#include "saying.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define QUESTION "99999999-0000-4000-8000-000000000001"
#define ANN "33333333-0000-4000-8000-000000000001"
#define BOB "33333333-0000-4000-8000-000000000002"
#define NOBODY "33333333-0000-4000-8000-000000000009"

static struct rig rig;
static json_t *report;

static void setup(void)
{
	rig_open(&rig);
	rig_migrate(&rig);
	rig_start(&rig, "consume", RIG_ARGS("consume", "--lanes", "control,run,relay"));
}

static void teardown(void)
{
	json_decref(report);
	report = NULL;
	rig_close(&rig);
}

TestSuite(explain_messages, .init = setup, .fini = teardown);

static void save(const char *definition)
{
	char body[1024];
	snprintf(body, sizeof body, "{'workflow_id':'" WORKFLOW "','action':'new','name':'flow','definition':%s}", definition);
	control_expect(&rig, "applied", control_publish(&rig, RIG_TENANT_A, "service", "workflow.save", "deployer", body));
}

static void tell_run(const char *verb, const char *members)
{
	char noun_verb[32];
	char body[512];
	snprintf(noun_verb, sizeof noun_verb, "run.%s", verb);
	snprintf(body, sizeof body, "{'run_id':'" RUN_1 "'%s}", members);
	uint64_t seq = control_publish(&rig, RIG_TENANT_A, "service", noun_verb, NULL, body);
	rig_sql_wait(&rig, 30, "t", "select exists (select from leat.activity where stream = 'LEAT_RUN' and position = %" PRIu64 ")", seq);
}

static void explain(const char *noun, const char *id)
{
	char *output = say_output(&rig, "explain", 0, RIG_ARGS("explain", "--json", "--tenant", RIG_TENANT_A, noun, id));
	json_decref(report);
	report = json_loads(output, 0, NULL);
	cr_assert_not_null(report, "%s", output);
	free(output);
}

/* The messages told, from the oldest, as "verb outcome: did". */
static void expect_messages(const char *const *expected)
{
	const json_t *messages = json_object_get(report, "messages");
	char *all = json_dumps(report, JSON_INDENT(2));
	size_t i = 0;
	for (; expected[i] != NULL; i++) {
		char found[512];
		const json_t *message = json_array_get(messages, i);
		cr_assert_not_null(message, "less than %zu messages in\n%s", i + 1, all);
		snprintf(found, sizeof found, "%s %s: %s", json_string_value(json_object_get(message, "verb")),
			json_string_value(json_object_get(message, "outcome")), json_string_value(json_object_get(message, "did")));
		cr_expect_eq(strncmp(found, expected[i], strlen(expected[i])), 0, "expected %s, found %s", expected[i], found);
		cr_expect_gt(json_integer_value(json_object_get(message, "message_at_us")), 0);
	}
	cr_expect_eq(json_array_size(messages), i, "%s", all);
	free(all);
}
#define EXPECT_MESSAGES(...) expect_messages((const char *const[]){__VA_ARGS__, NULL})

Test(explain_messages, of_a_run_which_node_became_what_and_what_was_ignored)
{
	save("{'nodes':[{'id':'w','type':'worker','url':'http://worker.example/'}],'edges':[]}");
	tell_run("start", ",'workflow_id':'" WORKFLOW "'");
	tell_run("node", ",'node_id':'w','status':'failed','error':'no paper'");
	tell_run("node", ",'node_id':'w','status':'completed','output':1");
	tell_run("node", ",'node_id':'other','status':'completed'");
	tell_run("retry", "");
	tell_run("cancel", "");
	explain("run", RUN_1);
	EXPECT_MESSAGES("start applied: begins, version 1 of workflow " WORKFLOW, "node applied: node w is failed",
		"node applied: nothing: node \"w\" is failed already", "node rejected: nothing: run " RUN_1 " has no node \"other\"",
		"retry applied: 1 nodes begin again, generation 1", "cancel applied: 1 nodes are cancelled");
	rig_sql(&rig, "select leat.note_direct_change('run', '" RIG_TENANT_A "', '" RUN_1 "')");
	say_run(&rig, "table", 0, RIG_ARGS("explain", RUN_1, "--tenant", RIG_TENANT_A));
	say_expect(&rig, "table", "run " RUN_1 " of tenant " RIG_TENANT_A ": cancelled, version 1 of workflow " WORKFLOW "\n");
	say_expect(&rig, "table", "rejected: not_found");
	say_expect(&rig, "table", "changed it past the stream");
}

Test(explain_messages, of_a_workflow_which_version_each_save_made)
{
	save(CONTROL_DEFINITION);
	save(CONTROL_DEFINITION);
	control_expect(&rig, "rejected conflict",
		control_publish(&rig, RIG_TENANT_A, "service", "workflow.save", NULL,
			"{'workflow_id':'" WORKFLOW "','action':'edit','name':'flow','expected_version':1,'definition':" CONTROL_DEFINITION "}"));
	control_expect(
		&rig, "applied", control_publish(&rig, RIG_TENANT_A, "service", "workflow.delete", NULL, "{'workflow_id':'" WORKFLOW "'}"));
	explain("--json", WORKFLOW);
	cr_expect_str_eq(json_string_value(json_object_get(report, "noun")), "workflow");
	EXPECT_MESSAGES("save applied: version 1, the first", "save applied: version 2", "save rejected: nothing: the current version",
		"delete applied: deleted at version 2");
	say_run(&rig, "table", 0, RIG_ARGS("explain", WORKFLOW, "--tenant", RIG_TENANT_A));
	say_expect(&rig, "table", "flow, version 2, deleted\n");
	say_expect(&rig, "table", "deployer");
}

Test(explain_messages, of_a_question_who_won_also_once_it_is_gone)
{
	static const char ask[] = "{'interaction_id':'" QUESTION "','connection_id':'c','expected_user_id':'" ANN "','payload':{}}";
	static const char answer[] = "{'interaction_id':'" QUESTION "','connection_id':'c','user_id':'" ANN "','value':'yes'}";
	control_publish(&rig, RIG_TENANT_A, "service", "interaction.ask", NULL, ask);
	control_publish(&rig, RIG_TENANT_A, "user", "interaction.answer", ANN, answer);
	control_publish(&rig, RIG_TENANT_A, "user", "interaction.answer", ANN, answer);
	control_expect(&rig, "applied", control_publish(&rig, RIG_TENANT_A, "service", "interaction.ask", NULL, ask));
	explain("interaction", QUESTION);
	cr_expect_str_eq(json_string_value(json_object_get(json_object_get(report, "row"), "status")), "open");
	control_expect(&rig, "applied",
		control_publish(&rig, RIG_TENANT_A, "service", "interaction.withdraw", NULL,
			"{'interaction_id':'" QUESTION "','connection_id':'c','user_id':'" ANN "'}"));
	explain("--json", QUESTION);
	cr_expect(json_is_null(json_object_get(report, "row")));
	EXPECT_MESSAGES("ask applied: open until ", "answer applied: won, with \"yes\"", "answer rejected: nothing: question ",
		"ask applied: open until ", "withdraw applied: withdrawn");
	cr_expect_str_eq(json_string_value(json_object_get(json_array_get(json_object_get(report, "messages"), 1), "actor")), ANN);
	say_run(&rig, "table", 0, RIG_ARGS("explain", "interaction", QUESTION, "--tenant", RIG_TENANT_A));
	say_expect(&rig, "table", "does not exist\n");
}

Test(explain_messages, what_nothing_names_is_told_as_such_and_tenants_are_walls)
{
	control_expect(
		&rig, "applied", control_publish(&rig, RIG_TENANT_A, "service", "member.set", NULL, "{'user_id':'" BOB "','role':'editor'}"));
	control_expect(&rig, "applied", control_publish(&rig, RIG_TENANT_A, "service", "member.remove", NULL, "{'user_id':'" BOB "'}"));
	explain("member", BOB);
	EXPECT_MESSAGES("set applied: is editor", "remove applied: was editor, and is no member");
	say_run(&rig, "of-other", 1, RIG_ARGS("explain", BOB, "--tenant", RIG_TENANT_B));
	say_expect_log(&rig, "of-other", "has no entity, workflow, run, interaction or member " BOB);
	say_run(&rig, "nobody", 1, RIG_ARGS("explain", "run", NOBODY, "--tenant", RIG_TENANT_A));
	say_expect_log(&rig, "nobody", "has no run " NOBODY ", and the ledger no message that names it");
	say_run(&rig, "field", 2, RIG_ARGS("explain", "run", NOBODY, "title", "--tenant", RIG_TENANT_A));
	say_expect_log(&rig, "field", "only entities have fields");
	say_run(&rig, "unknown", 2, RIG_ARGS("explain", "robot", NOBODY, "title", "--tenant", RIG_TENANT_A));
}
