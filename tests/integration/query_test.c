/* Queries as whoever asks sees them: who gets what, what is refused and why. */
#include "query_fixture.h"

#include "leat/buf.h"
#include "leat/uuid.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct rig rig;
static struct asker asker;

static void setup(void)
{
	rig_open(&rig);
	rig_migrate(&rig);
	query_store(&rig);
	rig_start(&rig, "consumer", RIG_ARGS("consume", "--lanes", "query,keep"));
	query_wait_working(&rig, 1);
	asker_open(&asker, rig.nats.url, NULL, NULL);
}

static void teardown(void)
{
	asker_close(&asker);
	rig_close(&rig);
}

TestSuite(query, .init = setup, .fini = teardown);

/* ---- who may ask what ---- */

enum who { MEMBER, OUTSIDER, NAMELESS, SERVICE, ENGINE, WHO };

static const struct {
	const char *role;
	const char *actor;
} people[WHO] = {
	[MEMBER] = {"user", VIEWER},
	[OUTSIDER] = {"user", STRANGER},
	[NAMELESS] = {"user", NULL},
	[SERVICE] = {"service", "web-shop"},
	[ENGINE] = {"engine", NULL},
};

#define ONE(field, id, more) "{\"" field "\":\"" id "\"" more "}"
#define FOR_MEMBERS                                                                                                                        \
	{                                                                                                                                      \
		"ok", "forbidden", "forbidden", "ok", "ok"                                                                                         \
	}
#define FOR_USERS                                                                                                                          \
	{                                                                                                                                      \
		"ok", "ok", "forbidden", "ok", "ok"                                                                                                \
	}
#define ALL(code)                                                                                                                          \
	{                                                                                                                                      \
		code, code, code, code, code                                                                                                       \
	}
/* Whoever may not read entities is told that first; what is not there is told to the others. */
#define NAMED(code)                                                                                                                        \
	{                                                                                                                                      \
		code, code, "forbidden", code, code                                                                                                \
	}

/* `new` authorises first, the others resolve first: so anybody may hear that an id is taken, or free. */
static const struct {
	const char *query;
	const char *body;
	const char *codes[WHO]; /* asked of tenant A */
} matrix[] = {
	{"workflow.resolve", ONE("workflow_id", OWN_WORKFLOW, ",\"action\":\"new\""), FOR_MEMBERS},
	{"workflow.resolve", ONE("workflow_id", OWN_WORKFLOW, ",\"action\":\"edit\""), FOR_MEMBERS},
	{"workflow.resolve", ONE("workflow_id", OWN_WORKFLOW, ",\"action\":\"version\",\"version\":1"), FOR_MEMBERS},
	{"workflow.resolve", ONE("workflow_id", OWN_WORKFLOW, ",\"action\":\"version\",\"version\":3"), ALL("not_found")},
	{"workflow.resolve", ONE("workflow_id", OWN_WORKFLOW, ",\"action\":\"edit\",\"version\":1"), ALL("invalid_message")},
	{"workflow.resolve", ONE("workflow_id", NO_WORKFLOW, ",\"action\":\"new\""), FOR_MEMBERS},
	{"workflow.resolve", ONE("workflow_id", NO_WORKFLOW, ",\"action\":\"edit\""), ALL("not_found")},
	{"workflow.resolve", ONE("workflow_id", THEIR_WORKFLOW, ",\"action\":\"edit\""), ALL("wrong_tenant")},
	{"workflow.resolve", ONE("workflow_id", DELETED_WORKFLOW, ",\"action\":\"edit\""), ALL("workflow_deleted")},
	{"workflow.get", ONE("workflow_id", OWN_WORKFLOW, ""), FOR_MEMBERS},
	{"workflow.get", ONE("workflow_id", OWN_WORKFLOW, ",\"version\":1"), FOR_MEMBERS},
	{"workflow.get", ONE("workflow_id", OWN_WORKFLOW, ",\"version\":3"), ALL("not_found")},
	{"workflow.get", ONE("workflow_id", THEIR_WORKFLOW, ""), ALL("wrong_tenant")},
	{"workflow.get", ONE("workflow_id", DELETED_WORKFLOW, ""), ALL("workflow_deleted")},
	{"workflow.get", ONE("workflow_id", NO_WORKFLOW, ""), ALL("not_found")},
	{"workflow.list", "{}", FOR_MEMBERS},
	{"entity.get", ONE("entity_id", OWN_ENTITY, ""), FOR_USERS},
	{"entity.get", ONE("entity_id", THEIR_ENTITY, ""), NAMED("not_found")},
	{"entity.get", ONE("entity_id", DELETED_ENTITY, ""), NAMED("deleted")},
	{"interaction.list", "{}", FOR_USERS},
	{"interaction.list", "{\"all\":true}", FOR_USERS},
};

Test(query, the_matrix_of_who_may_ask_what)
{
	for (size_t i = 0; i < sizeof matrix / sizeof *matrix; i++) {
		for (enum who who = 0; who < WHO; who++) {
			char what[128];
			snprintf(what, sizeof what, RIG_TENANT_A ".%s.%s", people[who].role, matrix[i].query);
			json_t *answer = NULL;
			const char *code = asker_code(&asker, what, people[who].actor, matrix[i].body, &answer);
			char *text = json_dumps(answer, 0);
			cr_expect_str_eq(code, matrix[i].codes[who], "%s by %s %s: %s, expected %s: %s", matrix[i].body, what,
				people[who].actor != NULL ? people[who].actor : "", code, matrix[i].codes[who], text);
			cr_expect(strcmp(code, "ok") == 0 || strlen(json_string_value(json_object_get(answer, "message"))) > 10, "%s", text);
			cr_expect_null(strstr(text, SECRET), "what is B's: %s", text);
			free(text);
			json_decref(answer);
		}
	}
}

/* Nothing of A's is seen by who asks as B, though A's member asks and a question of B's is for that member. */
Test(query, another_tenant_sees_nothing_of_it)
{
	static const struct {
		const char *query;
		const char *body;
		const char *user;
		const char *service;
	} asked[] = {
		{"workflow.get", ONE("workflow_id", OWN_WORKFLOW, ""), "wrong_tenant", "wrong_tenant"},
		{"workflow.list", "{}", "forbidden", "ok"},
		{"entity.get", ONE("entity_id", OWN_ENTITY, ""), "not_found", "not_found"},
		{"interaction.list", "{\"all\":true}", "ok", "ok"},
	};
	for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
		for (int service = 0; service < 2; service++) {
			char what[128];
			snprintf(what, sizeof what, RIG_TENANT_B ".%s.%s", service ? "service" : "user", asked[i].query);
			json_t *answer = NULL;
			const char *code = asker_code(&asker, what, VIEWER, asked[i].body, &answer);
			char *text = json_dumps(answer, 0);
			cr_expect_str_eq(code, service ? asked[i].service : asked[i].user, "%s: %s", what, text);
			cr_expect_null(strstr(text, "\"own\""), "%s: %s", what, text);
			cr_expect_null(strstr(text, "\"ask\":"), "%s: %s", what, text);
			free(text);
			json_decref(answer);
		}
	}
}

/* ---- what is answered ---- */

static void expect_result(const char *role, const char *query, const char *body, const char *expected)
{
	char what[128];
	snprintf(what, sizeof what, RIG_TENANT_A ".%s.%s", role, query);
	json_t *answer = NULL;
	cr_assert_str_eq(asker_code(&asker, what, VIEWER, body, &answer), "ok");
	json_t *result = json_object_get(answer, "result");
	json_t *wanted = json_loads(expected, 0, NULL);
	cr_assert_not_null(wanted, "%s", expected);
	const char *name;
	json_t *value;
	json_object_foreach(wanted, name, value)
	{
		char *found = json_dumps(json_object_get(result, name), JSON_ENCODE_ANY);
		cr_expect(json_equal(json_object_get(result, name), value), "%s %s: %s is %s, expected %s", query, body, name, found, expected);
		free(found);
	}
	json_decref(wanted);
	json_decref(answer);
}

Test(query, answers_hold_what_the_readme_says)
{
	static const char *const roles[] = {"user", "service"};
	for (size_t i = 0; i < 2; i++) {
		expect_result(roles[i], "workflow.resolve", ONE("workflow_id", OWN_WORKFLOW, ",\"action\":\"new\""),
			"{\"kind\":\"existing\",\"workflow_id\":\"" OWN_WORKFLOW "\",\"name\":\"own\",\"version\":2}");
		expect_result(roles[i], "workflow.resolve", ONE("workflow_id", NO_WORKFLOW, ",\"action\":\"new\""),
			"{\"kind\":\"new\",\"workflow_id\":\"" NO_WORKFLOW "\",\"version\":0}");
		expect_result(roles[i], "workflow.get", ONE("workflow_id", OWN_WORKFLOW, ""),
			"{\"workflow_id\":\"" OWN_WORKFLOW "\",\"kind\":\"existing\",\"name\":\"own 2\",\"version\":2,\"current_version\":2,"
			"\"definition\":{\"nodes\":[{\"id\":\"first\",\"type\":\"http\",\"url\":\"own\"}],\"edges\":[]}}");
		expect_result(roles[i], "workflow.get", ONE("workflow_id", OWN_WORKFLOW, ",\"version\":1"),
			"{\"kind\":\"version\",\"name\":\"own 1\",\"version\":1,\"current_version\":2}");
		expect_result(roles[i], "entity.get", ONE("entity_id", OWN_ENTITY, ""),
			"{\"entity_id\":\"" OWN_ENTITY "\",\"entity_type\":\"note\",\"key\":null,\"content\":{\"text\":\"own\"},\"metadata\":{},"
			"\"locked_fields\":[]}");
	}
}

/* The members named `name` of the rows of a list, in order, with commas. */
static void expect_list(const char *role, const char *query, const char *body, const char *rows, const char *name, const char *expected)
{
	char what[128];
	snprintf(what, sizeof what, RIG_TENANT_A ".%s.%s", role, query);
	json_t *answer = NULL;
	cr_assert_str_eq(asker_code(&asker, what, VIEWER, body, &answer), "ok");
	LEAT_BUF_SCOPED found = LEAT_BUF_INIT;
	size_t i;
	json_t *row;
	json_array_foreach(json_object_get(json_object_get(answer, "result"), rows), i, row)
	{
		char *value = json_dumps(json_object_get(row, name), JSON_ENCODE_ANY);
		leat_buf_printf(&found, "%s%s", i > 0 ? "," : "", value);
		free(value);
	}
	cr_expect_str_eq(leat_buf_text(&found), expected, "%s of %s: %s", query, role, leat_buf_text(&found));
	json_decref(answer);
}

Test(query, lists_leave_out_what_is_deleted_answered_or_for_others)
{
	expect_list("user", "workflow.list", "", "workflows", "name", "\"own\"");
	expect_list("service", "workflow.list", "{}", "workflows", "name", "\"own\"");
	expect_list("user", "interaction.list", "", "interactions", "payload", "{\"ask\": 1}");
	expect_list("service", "interaction.list", "", "interactions", "payload", "{\"ask\": 2},{\"ask\": 1}");
	expect_list("user", "interaction.list", "{\"all\":true}", "interactions", "value", "\"yes\",null");
	expect_list("service", "interaction.list", "{\"all\":true}", "interactions", "payload", "{\"ask\": 3},{\"ask\": 2},{\"ask\": 1}");
}

Test(query, a_key_names_an_entity)
{
	struct leat_uuid tenant;
	struct leat_uuid id;
	char text[LEAT_UUID_TEXT_BYTES];
	cr_assert(leat_uuid_parse(&tenant, RIG_TENANT_A, strlen(RIG_TENANT_A)));
	leat_uuid_from_name(&id, &tenant, "note:first", strlen("note:first"));
	leat_uuid_format(&id, text);
	rig_sql(&rig, "insert into leat.entities (tenant_id, id, entity_type, key) values ('" RIG_TENANT_A "', '%s', 'note', 'first')", text);
	expect_result("user", "entity.get", "{\"entity_type\":\"note\",\"key\":\"first\"}", "{\"key\":\"first\",\"content\":{}}");
}

/* ---- what is no query ---- */

Test(query, a_bad_request_is_told_what_is_wrong)
{
	static const struct {
		const char *what;
		const char *actor;
		const char *body;
		const char *code;
	} bad[] = {
		{RIG_TENANT_A ".service.entity.get", NULL, "{", "invalid_json"},
		{RIG_TENANT_A ".service.entity.get", NULL, "{}", "invalid_message"},
		{RIG_TENANT_A ".service.entity.get", NULL, ONE("entity_id", OWN_ENTITY, ",\"of\":1"), "invalid_message"},
		{RIG_TENANT_A ".service.entity.get", NULL, ONE("entity_id", OWN_ENTITY, ",\"after\":\"x\""), "invalid_message"},
		{RIG_TENANT_A ".service.workflow.list", NULL, "{\"after\":\"1\"}", "invalid_message"},
		{RIG_TENANT_A ".service.workflow.list", NULL, "{\"limit\":0}", "invalid_message"},
		{RIG_TENANT_A ".service.workflow.get", NULL, ONE("workflow_id", OWN_WORKFLOW, ",\"after\":\"9999999999.1\""), "invalid_message"},
		{RIG_TENANT_A ".service.workflow.get", NULL, ONE("workflow_id", OWN_WORKFLOW, ",\"version\":1,\"after\":\"2.1\""),
			"invalid_message"},
		{RIG_TENANT_A ".service.interaction.list", NULL, "{\"after\":\"1." OWN_ENTITY "x\"}", "invalid_message"},
		{RIG_TENANT_A ".service.entity.put", NULL, "{}", "unknown_verb"},
		{RIG_TENANT_A ".service.entity.merge", NULL, "{}", "unknown_verb"},
		{RIG_TENANT_A ".service.entity", NULL, "{}", "invalid_message"},
		{RIG_TENANT_A ".admin.workflow.list", NULL, "{}", "invalid_message"},
		{"shop.service.workflow.list", NULL, "{}", "invalid_message"},
		{RIG_TENANT_A "x.service.workflow.list", NULL, "{}", "invalid_message"},
		{RIG_TENANT_A ".user.workflow.list", "ann", "{}", "forbidden"},
		{RIG_TENANT_A ".user.workflow.list", VIEWER "'", "{}", "forbidden"},
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		const char *code = asker_code(&asker, bad[i].what, bad[i].actor, bad[i].body, NULL);
		cr_expect_str_eq(code, bad[i].code, "%s %s: %s", bad[i].what, bad[i].body, code);
	}
	LEAT_BUF_SCOPED large = LEAT_BUF_INIT;
	leat_buf_add_text(&large, "{\"entity_id\":\"");
	for (size_t i = 0; i < 60000; i++)
		leat_buf_add_text(&large, "0123456789");
	leat_buf_add_text(&large, "\"}");
	cr_expect_str_eq(asker_code(&asker, RIG_TENANT_A ".service.entity.get", NULL, leat_buf_text(&large), NULL), "too_large");
}

/* Requests in one call: what Postgres refuses is one request's affair. */
Test(query, a_query_that_fails_in_postgres_fails_alone)
{
	enum { COUNT = 200 };
	static unsigned char seen[COUNT];
	rig_sql(&rig,
		"create function leat.break() returns boolean language plpgsql as $$ begin raise exception 'broken'; end $$;"
		"grant execute on function leat.break() to authenticated, service_role;"
		"create policy broken on leat.entities as restrictive for select to authenticated using (leat.break())");
	for (size_t i = 0; i < COUNT; i++)
		asker_send(&asker, i, i % 2 == 0 ? RIG_TENANT_A ".user.entity.get" : RIG_TENANT_A ".service.entity.get", VIEWER,
			ONE("entity_id", OWN_ENTITY, ""));
	for (size_t i = 0; i < COUNT; i++) {
		size_t number;
		char *text = NULL;
		cr_assert(asker_take(&asker, 10000, &number, &text));
		cr_expect_not_null(strstr(text, number % 2 == 0 ? "\"internal\"" : "\"own\""), "%s", text);
		cr_expect_null(strstr(text, "broken"), "what Postgres says stays in its log: %s", text);
		cr_expect_eq(seen[number]++, 0);
		free(text);
	}
	cr_expect_str_eq(asker_code(&asker, RIG_TENANT_A ".user.workflow.list", VIEWER, "{}", NULL), "ok");
}
