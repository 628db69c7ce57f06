/* Answers over the server's limit come in pages, and the pages together are the whole: nothing missing, nothing twice. */
#include "query_fixture.h"

#include "logins.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct rig rig;
static struct asker asker;

static void setup(void)
{
	rig_open(&rig);
}

static void teardown(void)
{
	asker_close(&asker);
	rig_close(&rig);
}

TestSuite(query_pages, .init = setup, .fini = teardown);

/* A server that takes so many bytes at most; 0: its default, 1 MiB. */
static void start(int max_payload)
{
	if (max_payload > 0) {
		char config[64];
		snprintf(config, sizeof config, "max_payload: %d\n", max_payload);
		logins_configure(&rig, config);
	}
	rig_migrate(&rig);
	query_store(&rig);
	rig_start(&rig, "consumer", RIG_ARGS("consume", "--lanes", "query,keep"));
	query_wait_working(&rig, 1);
	asker_open(&asker, rig.nats.url, NULL, NULL);
}

/* ---- walking ---- */

struct walk {
	size_t pages;
	size_t longest; /* bytes of a page */
	json_t *whole;  /* the first page's result; what the others have more is put in there */
};

/* Members of objects and items of arrays are put together; a member that is there already fails the test, unless all pages repeat it. */
static void put_together(json_t *whole, json_t *part)
{
	const char *name;
	json_t *value;
	json_object_foreach(part, name, value)
	{
		json_t *before = json_object_get(whole, name);
		if (json_is_array(value) && before != NULL)
			json_array_extend(before, value);
		else if (json_is_object(value) && before != NULL)
			put_together(before, value);
		else if (before == NULL)
			json_object_set(whole, name, value);
		else
			cr_assert(json_equal(before, value), "%s is there twice", name);
	}
}

static char *body_with(json_t *body, const char *after)
{
	if (after != NULL)
		json_object_set_new(body, "after", json_string(after));
	return json_dumps(body, JSON_COMPACT);
}

static struct walk walk(const char *what, const char *first_body)
{
	struct walk all = {.whole = json_object()};
	json_t *body = json_loads(first_body, 0, NULL);
	char *after = NULL;
	do {
		char *request = body_with(body, after);
		char *text = asker_ask(&asker, what, VIEWER, request, 20000);
		json_t *answer = json_loads(text, 0, NULL);
		json_t *result = json_object_get(answer, "result");
		cr_assert_not_null(result, "%s: %.300s", request, text);
		all.longest = strlen(text) > all.longest ? strlen(text) : all.longest;
		free(after);
		after = json_is_string(json_object_get(result, "next")) ? leat_strdup(json_string_value(json_object_get(result, "next"))) : NULL;
		json_object_del(result, "next");
		put_together(all.whole, result);
		json_decref(answer);
		free(text);
		free(request);
		cr_assert_lt(++all.pages, 10000, "there is no end");
	} while (after != NULL);
	json_decref(body);
	return all;
}

static void expect_pages(const struct walk *all, size_t limit)
{
	cr_expect_gt(all->pages, 1, "all on one page");
	cr_expect_leq(all->longest, limit);
	cr_expect_gt(all->longest, limit / 2, "pages are not filled: %zu bytes at most", all->longest);
}

/* `part` of the whole is what the SQL expression says. */
static void expect_same(const struct walk *all, const char *part, const char *from)
{
	json_t *found = json_object_get(all->whole, part);
	char *text = json_dumps(found, JSON_COMPACT | JSON_ENCODE_ANY);
	rig_sql_expect(&rig, "t", "select $found$%s$found$::jsonb = (%s)", text, from);
	free(text);
}

#define ENTITY_OF(columns) "select " columns " from leat.entities where tenant_id = '" RIG_TENANT_A "' and id = '" OWN_ENTITY "'"

static void write_entity(const char *content, const char *metadata, const char *locked)
{
	rig_sql(&rig,
		"update leat.entities set content = (%s), metadata = (%s), locked_fields = (%s)"
		" where tenant_id = '" RIG_TENANT_A "' and id = '" OWN_ENTITY "'",
		content, metadata, locked);
}

static struct walk walk_entity(const char *role)
{
	char what[80];
	snprintf(what, sizeof what, RIG_TENANT_A ".%s.entity.get", role);
	return walk(what, "{\"entity_id\":\"" OWN_ENTITY "\"}");
}

/* ---- entities ---- */

Test(query_pages, an_entity_of_many_fields_comes_by_fields_whatever_their_names)
{
	static const char *const roles[] = {"user", "service"};
	start(4096);
	write_entity("select jsonb_object_agg(n || ' \"\n\t\\ ü ' || repeat('n', n % 90), repeat('x', n % 300)) from generate_series(1, 200) n",
		"select jsonb_object_agg('m' || n, jsonb_build_array(n, null, true)) from generate_series(1, 200) n",
		"select array_agg('locked ' || n) from generate_series(1, 200) n");
	for (size_t i = 0; i < 2; i++) {
		struct walk all = walk_entity(roles[i]);
		expect_pages(&all, 4096);
		expect_same(&all, "content", ENTITY_OF("content"));
		rig_sql_expect(&rig, "200", ENTITY_OF("cardinality(locked_fields)"));
		cr_expect_eq(json_array_size(json_object_get(all.whole, "locked_fields")), 200);
		expect_same(&all, "metadata", ENTITY_OF("metadata"));
		cr_expect_null(json_object_get(all.whole, "omitted_fields"));
		json_decref(all.whole);
	}
}

Test(query_pages, a_field_that_no_page_can_hold_is_named_and_the_others_come)
{
	start(4096);
	write_entity("select jsonb_object_agg('f' || n, repeat('x', case n when 7 then 5000 else 100 end)) from generate_series(1, 100) n",
		"select jsonb_build_object('large', repeat('y', 5000))", "'{}'");
	struct walk all = walk_entity("user");
	expect_pages(&all, 4096);
	expect_same(&all, "content", ENTITY_OF("content - 'f7'"));
	expect_same(&all, "metadata", "'{}'");
	expect_same(&all, "omitted_fields", "'{\"content\": [\"f7\"], \"metadata\": [\"large\"]}'");
	json_decref(all.whole);
}

Test(query_pages, an_entity_of_more_than_a_megabyte_comes_whole)
{
	start(0);
	write_entity("select jsonb_object_agg('field ' || n, repeat(n::text || ' ', 200 + n)) from generate_series(1, 1000) n",
		"select jsonb_object_agg('m' || n, repeat('x', 300000)) from generate_series(1, 3) n", "'{}'");
	struct walk all = walk_entity("user");
	expect_pages(&all, 1048576);
	expect_same(&all, "content", ENTITY_OF("content"));
	expect_same(&all, "metadata", ENTITY_OF("metadata"));
	json_decref(all.whole);
}

/* What is changed meanwhile does not move the others: each of them is there once. */
Test(query_pages, fields_that_come_and_go_between_pages_hide_no_other)
{
	start(4096);
	write_entity("select jsonb_object_agg('f' || n, repeat('x', 100)) from generate_series(1, 100) n", "'{}'", "'{}'");
	json_t *answer = NULL;
	cr_assert_str_eq(asker_code(&asker, RIG_TENANT_A ".service.entity.get", NULL, "{\"entity_id\":\"" OWN_ENTITY "\"}", &answer), "ok");
	json_t *first = json_object_get(answer, "result");
	char after[256];
	snprintf(after, sizeof after, "{\"entity_id\":\"" OWN_ENTITY "\",\"after\":\"%s\"}", json_string_value(json_object_get(first, "next")));
	/* all that the first page showed goes, and others come */
	const char *name;
	json_t *value;
	json_object_foreach(json_object_get(first, "content"), name, value) write_entity(ENTITY_OF("content"), "'{}'", "'{}'");
	char *shown = json_dumps(json_object_get(first, "content"), JSON_COMPACT);
	rig_sql(&rig,
		"update leat.entities set content = content - (select array_agg(k) from jsonb_object_keys('%s') k) || '{\"new 1\": 1, \"new 2\": "
		"2}'"
		" where tenant_id = '" RIG_TENANT_A "' and id = '" OWN_ENTITY "'",
		shown);
	struct walk rest = walk(RIG_TENANT_A ".service.entity.get", after);
	json_t *content = json_object_get(rest.whole, "content");
	json_object_del(content, "new 1");
	json_object_del(content, "new 2");
	put_together(content, json_object_get(first, "content"));
	cr_expect_eq(json_object_size(content), 100);
	free(shown);
	json_decref(rest.whole);
	json_decref(answer);
}

/* ---- definitions ---- */

Test(query_pages, a_definition_comes_by_nodes_then_edges_of_one_version)
{
	start(4096);
	rig_sql(&rig,
		"insert into leat.workflow_versions (workflow_id, version, tenant_id, name, definition)"
		" select '" OWN_WORKFLOW "', v, '" RIG_TENANT_A "', 'large', jsonb_build_object('nodes',"
		"  (select jsonb_agg(jsonb_build_object('id', format('v%%sn%%s', v, n), 'type', 'http', 'url', repeat('u', n)))"
		"   from generate_series(1, 200) n),"
		"  'edges', (select jsonb_agg(jsonb_build_array(format('v%%sn%%s', v, n), format('v%%sn%%s', v, n + 1))) from generate_series(1, "
		"199) n))"
		" from generate_series(3, 4) v;"
		"update leat.workflows set version = 3 where id = '" OWN_WORKFLOW "'");
	struct walk all = walk(RIG_TENANT_A ".user.workflow.get", "{\"workflow_id\":\"" OWN_WORKFLOW "\"}");
	expect_pages(&all, 4096);
	expect_same(&all, "definition", "select definition from leat.workflow_versions where workflow_id = '" OWN_WORKFLOW "' and version = 3");
	json_decref(all.whole);

	json_t *answer = NULL;
	cr_assert_str_eq(
		asker_code(&asker, RIG_TENANT_A ".user.workflow.get", VIEWER, "{\"workflow_id\":\"" OWN_WORKFLOW "\"}", &answer), "ok");
	rig_sql(&rig, "update leat.workflows set version = 4 where id = '" OWN_WORKFLOW "'"); /* saved between two pages */
	char after[256];
	snprintf(after, sizeof after, "{\"workflow_id\":\"" OWN_WORKFLOW "\",\"after\":\"%s\"}",
		json_string_value(json_object_get(json_object_get(answer, "result"), "next")));
	json_decref(answer);
	all = walk(RIG_TENANT_A ".user.workflow.get", after);
	cr_expect_eq(json_integer_value(json_object_get(all.whole, "version")), 3);
	cr_expect_eq(json_integer_value(json_object_get(all.whole, "current_version")), 4);
	cr_expect_eq(json_array_size(json_object_get(json_object_get(all.whole, "definition"), "edges")), 199);
	json_decref(all.whole);
}

Test(query_pages, a_node_that_no_page_can_hold_is_named)
{
	start(4096);
	rig_sql(&rig,
		"insert into leat.workflow_versions (workflow_id, version, tenant_id, name, definition)"
		" values ('" OWN_WORKFLOW "', 3, '" RIG_TENANT_A "', 'large', jsonb_build_object('edges', '[]'::jsonb, 'nodes',"
		"  (select jsonb_agg(jsonb_build_object('id', 'n' || n, 'url', repeat('u', n * 2500))) from generate_series(0, 2) n)))");
	struct walk all = walk(RIG_TENANT_A ".user.workflow.get", "{\"workflow_id\":\"" OWN_WORKFLOW "\",\"version\":3}");
	expect_same(&all, "omitted_nodes", "'[\"n2\"]'");
	cr_expect_eq(json_array_size(json_object_get(json_object_get(all.whole, "definition"), "nodes")), 2);
	json_decref(all.whole);
}

/* ---- lists ---- */

Test(query_pages, workflows_come_by_id_by_bytes_and_by_limit)
{
	start(4096);
	rig_sql(&rig,
		"insert into leat.workflows (id, tenant_id, name, version)"
		" select gen_random_uuid(), '" RIG_TENANT_A "', 'name \"' || n || repeat('x', n), 1 from generate_series(1, 150) n");
	static const char expected[] = "select jsonb_agg(w.id order by w.id) from leat.workflows w"
								   " where tenant_id = '" RIG_TENANT_A "' and deleted_at is null";
	static const char *const bodies[] = {"{}", "{\"limit\":1000}", "{\"limit\":7}"};
	for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
		struct walk all = walk(RIG_TENANT_A ".user.workflow.list", bodies[i]);
		json_t *ids = json_array();
		size_t row;
		json_t *workflow;
		json_array_foreach(json_object_get(all.whole, "workflows"), row, workflow)
			json_array_append(ids, json_object_get(workflow, "workflow_id"));
		json_object_set_new(all.whole, "ids", ids);
		expect_same(&all, "ids", expected);
		cr_expect_leq(all.longest, 4096);
		cr_expect_eq(all.pages >= 22, strstr(bodies[i], "7") != NULL, "%s: %zu pages", bodies[i], all.pages);
		json_decref(all.whole);
	}
}

Test(query_pages, questions_come_oldest_first_also_of_one_moment_and_with_a_payload_that_does_not_fit)
{
	start(4096);
	rig_sql(&rig,
		"insert into leat.interactions (tenant_id, id, connection_id, expected_user_id, payload, expires_at, created_at)"
		" select '" RIG_TENANT_A "', gen_random_uuid(), 'c', '" VIEWER "', to_jsonb(repeat('q', case n when 50 then 5000 else n end)),"
		"  now() + '1 h', now() + (n / 20) * interval '1.000001 s' from generate_series(1, 100) n");
	static const char expected[] =
		"select jsonb_agg(i.id order by i.created_at, i.id) from leat.interactions i where i.tenant_id = '" RIG_TENANT_A
		"' and i.status = 'open' and i.expected_user_id = '" VIEWER "'";
	struct walk all = walk(RIG_TENANT_A ".user.interaction.list", "{}");
	expect_pages(&all, 4096);
	json_t *ids = json_array();
	size_t row;
	size_t omitted = 0;
	json_t *question;
	json_array_foreach(json_object_get(all.whole, "interactions"), row, question)
	{
		json_array_append(ids, json_object_get(question, "interaction_id"));
		omitted += json_is_true(json_object_get(question, "payload_omitted"));
	}
	json_object_set_new(all.whole, "ids", ids);
	expect_same(&all, "ids", expected);
	cr_expect_eq(omitted, 1);
	json_decref(all.whole);
}

/* ---- what has no room at all ---- */

Test(query_pages, an_answer_that_no_limit_allows_is_too_large)
{
	start(0);
	rig_sql(&rig, "update leat.workflows set name = repeat('n', 1100000) where id = '" OWN_WORKFLOW "'");
	cr_expect_str_eq(asker_code(&asker, RIG_TENANT_A ".service.workflow.resolve", NULL,
						 "{\"workflow_id\":\"" OWN_WORKFLOW "\",\"action\":\"edit\"}", NULL),
		"too_large");
	cr_expect_str_eq(asker_code(&asker, RIG_TENANT_A ".service.workflow.list", NULL, "{}", NULL), "too_large");
	cr_expect_str_eq(asker_code(&asker, RIG_TENANT_A ".service.entity.get", NULL, "{\"entity_id\":\"" OWN_ENTITY "\"}", NULL), "ok");
}
