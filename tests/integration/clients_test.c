/* Clients in other languages, as the README shows them, against a running consumer. */
#include "scripts.h"

#include "leat/uuid.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct rig rig;

static void setup(void)
{
	rig_open(&rig);
	rig_migrate(&rig);
	rig_start(&rig, "consume", RIG_ARGS("consume"));
}

static void teardown(void)
{
	rig_close(&rig);
}

TestSuite(clients, .init = setup, .fini = teardown);

Test(clients, node_publishes_waits_for_the_outcome_and_is_told_of_a_mistake)
{
	struct leat_child node;
	char url[160];
	snprintf(url, sizeof url, "LEAT_NATS_URL=%s", rig.nats.url);
	script_start(&node, &rig, "node", RIG_ARGS("node", "tests/clients/publish.mjs"), RIG_ARGS(url, "TENANT=" RIG_TENANT_A));
	cr_assert_eq(script_wait(&node, 60), 0);

	char *content = rig_sql_text(&rig, "SELECT content FROM leat.entities WHERE tenant_id = '" RIG_TENANT_A "' AND key = 'first'");
	cr_expect_str_eq(content, "{\"read\": true, \"text\": \"hello\", \"likes\": 3, \"colour\": \"green\"}");
	free(content);
	cr_expect_eq(rig_sql_int(&rig, "SELECT count(*) FROM leat.activity WHERE actor = 'web-shop' AND outcome = 'applied'"), 4);

	char *said = rig_output(&rig, "node");
	cr_expect_not_null(strstr(said, "status: 'applied'"), "%s", said);
	cr_expect_not_null(strstr(said, "did you mean \"content\"?"), "%s", said);
	free(said);
}

Test(clients, node_asks_and_puts_pages_together)
{
	struct leat_child node;
	char url[160];
	struct leat_uuid tenant;
	struct leat_uuid entity;
	char id[LEAT_UUID_TEXT_BYTES];
	leat_uuid_parse(&tenant, RIG_TENANT_A, strlen(RIG_TENANT_A));
	leat_uuid_from_name(&entity, &tenant, "note:first", strlen("note:first"));
	leat_uuid_format(&entity, id);
	rig_sql(&rig,
		"insert into leat.entities (tenant_id, id, entity_type, key, content) select '" RIG_TENANT_A "', '%s', 'note', 'first',"
		" jsonb_object_agg('part ' || n, repeat('x', 300000)) || '{\"text\": \"hello\"}' from generate_series(1, 5) n",
		id);
	rig_sql_wait(&rig, 60, "working", "select lanes #>> '{query,state}' from leat.processes");
	snprintf(url, sizeof url, "LEAT_NATS_URL=%s", rig.nats.url);
	script_start(&node, &rig, "node", RIG_ARGS("node", "tests/clients/query.mjs"), RIG_ARGS(url, "TENANT=" RIG_TENANT_A));
	cr_assert_eq(script_wait(&node, 60), 0);

	char *said = rig_output(&rig, "node");
	cr_expect_not_null(strstr(said, "text: 'hello'"), "%.2000s", said);
	for (int part = 1; part <= 5; part++) {
		char name[32];
		snprintf(name, sizeof name, "'part %d': 'xxx", part);
		cr_expect_not_null(strstr(said, name), "%s is missing", name);
	}
	cr_expect_not_null(strstr(said, "{ workflows: [] }"));
	cr_expect_not_null(strstr(said, "entity.get: not_found: there is no entity"));
	free(said);
}

/* ---- a gateway ---- */

/* Events of both tenants. */
static void change_entities(int64_t from, int64_t to)
{
	rig_sql(&rig,
		"insert into leat.entities (tenant_id, id, entity_type)"
		" select t::uuid, format('eeeeeeee-0000-4000-8000-%%s', lpad(n::text, 12, '0'))::uuid, 'thing'"
		" from generate_series(%" PRId64 ", %" PRId64 ") n, unnest(array['" RIG_TENANT_A "', '" RIG_TENANT_B "']) t",
		from, to - 1);
	rig_sql(&rig, "update leat.entities set content = content || '{\"seen\": %" PRId64 "}' where tenant_id = '" RIG_TENANT_A "'", to);
}

/* Reads `count` events behind *seen into `found` (id: subject), and moves *seen; each must be a new one, further on in the stream. */
static void read_events(int64_t *seen, int64_t count, json_t *found)
{
	struct leat_child node;
	char url[160];
	char from[32];
	char limit[32];
	snprintf(url, sizeof url, "LEAT_NATS_URL=%s", rig.nats.url);
	snprintf(from, sizeof from, "%" PRId64, *seen);
	snprintf(limit, sizeof limit, "%" PRId64, count);
	script_start(&node, &rig, "gateway", RIG_ARGS("node", "tests/clients/gateway.mjs", from, limit), RIG_ARGS(url, "TENANT=" RIG_TENANT_A));
	cr_assert_eq(script_wait(&node, 60), 0);

	char *said = rig_output(&rig, "gateway");
	char *rest = NULL;
	for (char *line = strtok_r(said, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest), count--) {
		json_t *event = json_loads(line, 0, NULL);
		cr_assert_not_null(event, "%s", line);
		int64_t seq = json_integer_value(json_object_get(event, "seq"));
		const char *id = json_string_value(json_object_get(event, "id"));
		cr_assert_gt(seq, *seen, "%s", line);
		cr_assert_not_null(id);
		cr_assert_null(json_object_get(found, id), "twice: %s", line);
		json_object_set(found, id, json_object_get(event, "subject"));
		*seen = seq;
		json_decref(event);
	}
	free(said);
	cr_assert_eq(count, 0, "%" PRId64 " are missing", count);
}

Test(clients, a_gateway_that_comes_back_with_the_last_sequence_it_saw_misses_nothing)
{
	json_t *found = json_object();
	int64_t seen = 0;
	change_entities(0, 100); /* 100 created, 100 updated */
	read_events(&seen, 130, found);
	change_entities(100, 150); /* while it is away: 50 created, 150 updated */
	read_events(&seen, 200, found);
	read_events(&seen, 70, found);
	cr_expect_eq(json_object_size(found), 400);
	const char *id;
	json_t *subject;
	json_object_foreach(found, id, subject)
		cr_expect(strstr(json_string_value(subject), "leat.event." RIG_TENANT_A ".entity.") == json_string_value(subject), "%s",
			json_string_value(subject));
	json_decref(found);
}
