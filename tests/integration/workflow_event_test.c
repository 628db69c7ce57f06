/* Every change of a workflow that can be seen is an event, by intents and by direct SQL; nothing else is. */
#include "control.h"
#include "deciding.h"
#include "intents.h"
#include "load.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FLOW_1 "77777777-0000-4000-8000-000000000001"
#define FLOW_2 "77777777-0000-4000-8000-000000000002"
#define TRACE "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

static struct rig rig;

static void setup(void)
{
	rig_open(&rig);
	install_schema(&rig);
}

static void teardown(void)
{
	rig_close(&rig);
}

TestSuite(workflow_event, .init = setup, .fini = teardown);

/* Of all in the outbox: tenant's first letter, last part of the type, last digit of the id, data; then they are forgotten. */
static void expect_events(const char *expected, const char *of)
{
	char *found = rig_sql_text(&rig,
		"select string_agg(concat_ws(' ', substr(subject, 12, 1), split_part(event, '.', 3), right(subject, 1),"
		" convert_from(body, 'UTF8')::jsonb), ', ' order by seq)"
		" from leat.outbox where subject ~ '^leat\\.event\\.[0-9a-f-]{36}\\.workflow\\.[0-9a-f-]{36}$' and event like 'leat.workflow.%%'");
	cr_expect_str_eq(found, expected, "%s: expected %s, found %s", of, expected, found);
	free(found);
	rig_sql_expect(&rig, "0", "select count(*) from leat.outbox where headers <> ''");
	rig_sql(&rig, "truncate leat.outbox");
}

#define DATA(name, version, position) "{\"name\": \"" name "\", \"version\": " version ", \"position\": " position "}"
#define INSERT(id, name) "insert into leat.workflows (id, tenant_id, name, version) values ('" id "', '" RIG_TENANT_A "', '" name "', 1)"

static const char *const changes[][2] = {
	{INSERT(FLOW_1, "a"), "a created 1 " DATA("a", "1", "0")},
	{INSERT(FLOW_1, "b") " on conflict (id) do nothing", ""},
	{"update leat.workflows set name = 'it''s \"b\"'", "a updated 1 " DATA("it's \\\"b\\\"", "1", "0")},
	{"update leat.workflows set name = name", ""},
	{"update leat.workflows set position = 4, updated_at = now()", ""},
	{"update leat.workflows set version = 2", "a updated 1 " DATA("it's \\\"b\\\"", "2", "4")},
	{"begin; update leat.workflows set version = 3; rollback", ""},
	{"update leat.workflows set name = 'c', deleted_at = now()", "a deleted 1 " DATA("c", "2", "4")},
	{"update leat.workflows set name = 'while deleted'", ""},
	{"update leat.workflows set deleted_at = null", "a created 1 " DATA("while deleted", "2", "4")},
	{"insert into leat.workflows (id, tenant_id, name, version, deleted_at) values ('" FLOW_2 "', '" RIG_TENANT_A "', 'gone', 1, now())",
		""},
	{"delete from leat.workflows where id = '" FLOW_2 "'", ""},
	{INSERT(FLOW_2, "b"), "a created 2 " DATA("b", "1", "0")},
	{"update leat.workflows set name = 'both'; delete from leat.workflows where id = '" FLOW_1 "'",
		"a updated 1 " DATA("both", "2", "4") ", a updated 2 " DATA("both", "1", "0") ", a deleted 1 " DATA("both", "2", "4")},
	{"delete from leat.workflows", "a deleted 2 " DATA("both", "1", "0")},
};

Test(workflow_event, a_direct_change_that_can_be_seen_is_an_event_and_no_other_is)
{
	struct client service;
	client_open(&service, &rig, "service_role");
	for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
		client_expect(&service, "", "%s", changes[i][0]);
		expect_events(changes[i][1], changes[i][0]);
	}
	client_close(&service);
}

Test(workflow_event, a_row_that_changes_hands_is_gone_for_the_one_and_new_for_the_other)
{
	rig_sql(&rig, INSERT(FLOW_1, "a") "; truncate leat.outbox; update leat.workflows set tenant_id = '" RIG_TENANT_B "'");
	rig_sql_expect(&rig, "a deleted, b created",
		"select string_agg(concat_ws(' ', substr(subject, 12, 1), split_part(event, '.', 3)), ', ' order by subject) from leat.outbox");
}

Test(workflow_event, a_direct_change_moves_updated_at)
{
	rig_sql(&rig, INSERT(FLOW_1, "a"));
	char *before = rig_sql_text(&rig, "select updated_at from leat.workflows");
	rig_sql(&rig, "update leat.workflows set name = 'b'");
	rig_sql_expect(&rig, "t", "select updated_at > '%s' from leat.workflows", before);
	free(before);
	rig_sql(&rig, "update leat.workflows set name = 'c', updated_at = to_timestamp(1)");
	rig_sql(&rig, "update leat.workflows set name = 'd', updated_at = to_timestamp(1), position = 9"); /* an intent of the same moment */
	rig_sql_expect(&rig, "1", "select extract(epoch from updated_at)::int from leat.workflows");
}

/* What is no trace, whoever set it, gets into no header. */
Test(workflow_event, the_trace_is_the_transactions)
{
	static const char *const traces[][2] = {{TRACE, "traceparent: " TRACE "\\r\\n"}, {"", ""}, {"00-\",\"x\":\"", ""}};
	rig_sql(&rig, INSERT(FLOW_1, "a"));
	for (size_t i = 0; i < sizeof traces / sizeof *traces; i++) {
		rig_sql(&rig,
			"truncate leat.outbox; begin; select set_config('leat.traceparent', '%s', true);"
			"update leat.workflows set version = version + 1; commit",
			traces[i][0]);
		rig_sql_expect(&rig, "t", "select convert_from(headers, 'UTF8') = E'%s' from leat.outbox", traces[i][1]);
	}
}

/* ---- to the end ---- */

/* The next event, but for its id and time: as text with sorted keys. The caller's to free(). */
static char *take_event(struct leat_inbox *inbox)
{
	struct leat_msg msg;
	struct leat_error err;
	cr_assert_eq(leat_inbox_next(inbox, 30000, &msg, &err), LEAT_OK, "no event: %s", err.text);
	json_t *event = json_loadb(msg.data, msg.data_bytes, 0, NULL);
	cr_assert_not_null(event, "%.*s", (int)msg.data_bytes, msg.data);
	leat_msg_free(&msg);
	json_object_del(event, "id");
	json_object_del(event, "time");
	char *text = json_dumps(event, JSON_SORT_KEYS | JSON_COMPACT);
	json_decref(event);
	return text;
}

static void expect_event(struct leat_inbox *inbox, const char *expected)
{
	char *found = take_event(inbox);
	cr_expect_str_eq(found, expected, "expected %s\nfound    %s", expected, found);
	free(found);
}

#define EVENT(type, data, trace)                                                                                                           \
	"{\"data\":{" data "},\"datacontenttype\":\"application/json\",\"source\":\"/leat/" RIG_TENANT_A "\",\"specversion\":\"1.0\","         \
	"\"subject\":\"" FLOW_1 "\"" trace ",\"type\":\"leat.workflow." type "\"}"
#define IDS "\"tenant_id\":\"" RIG_TENANT_A "\"," /* which sorts before version and workflow_id */
#define WRITTEN(name, version, position)                                                                                                   \
	"\"name\":\"" name "\",\"position\":" position "," IDS "\"version\":" version ",\"workflow_id\":\"" FLOW_1 "\""

TestSuite(workflow_event_stream);

Test(workflow_event_stream, a_subscriber_gets_cloud_events_with_the_trace_and_less_of_what_is_too_large)
{
	struct leat_inbox *inbox = NULL;
	struct leat_error err;
	rig_open(&rig);
	rig_migrate(&rig);
	load_start_consumer(&rig, "consumer", NULL);
	cr_assert_eq(leat_inbox_open(&inbox, rig_bus(&rig), "leat.event.>", &err), LEAT_OK, "%s", err.text);
	rig_intent(&rig, RIG_TENANT_A, "workflow.save", "traceparent: " TRACE "\r\n",
		"{\"workflow_id\":\"" FLOW_1 "\",\"action\":\"new\",\"name\":\"a\",\"definition\":{\"nodes\":[{\"id\":\"a\",\"type\":\"http\","
		"\"method\":\"GET\",\"url\":\"https://example.com/\"}],\"edges\":[]}}");
	expect_event(inbox, EVENT("created", WRITTEN("a", "1", "1"), ",\"traceparent\":\"" TRACE "\""));
	control_expect(&rig, "applied",
		control_publish(&rig, RIG_TENANT_A, "service", "workflow.save", NULL,
			"{'workflow_id':'" FLOW_1 "','action':'edit','name':'b','definition':" CONTROL_DEFINITION "}"));
	expect_event(inbox, EVENT("updated", WRITTEN("b", "2", "2"), ""));
	control_expect(
		&rig, "rejected", control_publish(&rig, RIG_TENANT_B, "service", "workflow.delete", NULL, "{'workflow_id':'" FLOW_1 "'}"));
	control_expect(
		&rig, "applied", control_publish(&rig, RIG_TENANT_A, "service", "workflow.delete", NULL, "{'workflow_id':'" FLOW_1 "'}"));
	expect_event(inbox, EVENT("deleted", WRITTEN("b", "2", "4"), ""));

	rig_sql(&rig,
		"insert into leat.outbox (subject, event, body, short_body) values"
		" ('leat.event." RIG_TENANT_A ".workflow." FLOW_1 "', 'leat.workflow.updated',"
		"  convert_to('{\"name\":\"' || repeat('x', 1200000) || '\"}', 'UTF8'), '{\"name_omitted\":true}'),"
		" ('leat.event." RIG_TENANT_A ".workflow." FLOW_1 "', 'leat.workflow.updated',"
		"  convert_to('{\"x\":{\"a\":1,\"changed\":\"' || repeat('x', 1200000) || '\"}}', 'UTF8'), null)");
	expect_event(inbox, EVENT("updated", "\"name_omitted\":true," IDS "\"workflow_id\":\"" FLOW_1 "\"", ""));
	expect_event(inbox, EVENT("updated", "\"data_omitted\":true," IDS "\"workflow_id\":\"" FLOW_1 "\"", ""));
	leat_inbox_close(inbox);
	rig_close(&rig);
}
