/* `leat explain`: who wrote each field, who lost to it and why, and what is said of what is gone. */
#include "saying.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENTITY "eeeeeeee-0000-4000-8000-000000000001"
#define OTHER "eeeeeeee-0000-4000-8000-000000000002"

static struct rig rig;
static json_t *report;

static void setup(void)
{
	rig_open(&rig);
	rig_migrate(&rig);
	rig_start(&rig, "consume", RIG_ARGS("consume", "--lanes", "entity"));
}

static void teardown(void)
{
	json_decref(report);
	report = NULL;
	rig_close(&rig);
}

TestSuite(explain, .init = setup, .fini = teardown);

/* Publishes an intent about ENTITY and waits until it is settled. `members`, with ' for ", follow its id. */
static void put_with(const char *headers, const char *verb, const char *members)
{
	char body[512];
	char noun_verb[32];
	snprintf(noun_verb, sizeof noun_verb, "entity.%s", verb);
	if (strcmp(verb, "bulk") == 0)
		snprintf(body, sizeof body, "{\"entity_ids\":[\"" OTHER "\",\"" ENTITY "\"]%s}", members);
	else
		snprintf(body, sizeof body, "{\"entity_id\":\"" ENTITY "\"%s}", members);
	for (char *at = body; *at != '\0'; at++)
		*at = (char)(*at == '\'' ? '"' : *at);
	uint64_t seq = rig_intent(&rig, RIG_TENANT_A, noun_verb, headers, body);
	rig_sql_wait(&rig, 30, "t", "select exists (select from leat.activity where position = %ju)", (uintmax_t)seq);
}

static void put(const char *verb, const char *members)
{
	put_with(NULL, verb, members);
}

static void upsert(const char *content)
{
	char members[256];
	snprintf(members, sizeof members, ",'entity_type':'note','content':%s", content);
	put_with("Leat-Id: first\r\nLeat-Actor: ann\r\n", "upsert", members);
}

/* `leat explain --json ENTITY [field]` into `report`. */
static void explain(const char *field)
{
	char *output =
		say_output(&rig, "explain", 0, RIG_ARGS("explain", "--json", "--tenant", RIG_TENANT_A, ENTITY, field != NULL ? field : "--json"));
	json_decref(report);
	report = json_loads(output, 0, NULL);
	cr_assert_not_null(report, "%s", output);
	free(output);
}

/* Of "fields" or "lost" the one of that name, and of that position if it is not 0. */
static const json_t *find(const char *list, const char *field, json_int_t position)
{
	size_t i;
	json_t *entry;
	json_array_foreach(json_object_get(report, list), i, entry)
	{
		if (strcmp(json_string_value(json_object_get(entry, "field")), field) == 0 &&
			(position == 0 || json_integer_value(json_object_get(entry, "position")) == position))
			return entry;
	}
	return NULL;
}

static void expect_text(const json_t *entry, const char *member, const char *expected)
{
	char *all = json_dumps(report, JSON_INDENT(2));
	cr_assert_not_null(entry, "it is not in\n%s", all);
	const char *found = json_string_value(json_object_get(entry, member));
	cr_expect_str_eq(found != NULL ? found : "null", expected, "%s in\n%s", member, all);
	free(all);
}

static void expect_written(const char *field, const char *value, json_int_t position, const char *by)
{
	const json_t *entry = find("fields", field, position);
	expect_text(entry, "value", value);
	expect_text(entry, "by", by);
}

static void expect_lost(const char *field, json_int_t position, const char *why)
{
	expect_text(find("lost", field, position), "why", why);
}

Test(explain, each_field_names_the_intent_that_wrote_it)
{
	upsert("{'a':1,'b':12345678901234567890}");
	put("merge", ",'content':{'a':2},'metadata':{'m':null}");
	put("unset", ",'content':['c']");
	explain(NULL);
	expect_written("a", "2", 2, "intent");
	expect_written("b", "12345678901234567890", 1, "intent");
	expect_written("m", "null", 2, "intent");
	expect_written("c", "null", 3, "intent");
	const json_t *b = find("fields", "b", 1);
	expect_text(b, "actor", "ann");
	expect_text(b, "role", "service");
	expect_text(b, "verb", "upsert");
	expect_text(b, "leat_id", "first");
	expect_lost("a", 1, "overwritten at 2");
	cr_expect_eq(json_array_size(json_object_get(report, "lost")), 1);
}

Test(explain, a_field_alone_can_be_asked_for_and_by_its_part)
{
	upsert("{'a':1,'b':1}");
	put("merge", ",'content':{'a':2,'b':2},'metadata':{'a':3}");
	explain("a");
	cr_expect_eq(json_array_size(json_object_get(report, "fields")), 2);
	explain("metadata.a");
	cr_expect_eq(json_array_size(json_object_get(report, "fields")), 1);
	cr_expect_eq(json_array_size(json_object_get(report, "lost")), 0);
	explain("content.a");
	expect_lost("a", 1, "overwritten at 2");
	cr_expect_null(find("lost", "b", 0));
}

Test(explain, each_way_to_lose_is_told)
{
	upsert("{'a':1}");                                             /* 1 */
	put("lock", ",'fields':['a']");                                /* 2 */
	put("merge", ",'content':{'a':2,'b':2},'respect_locks':true"); /* 3 */
	upsert("{'a':9}");                                             /* 4 */
	explain(NULL);
	expect_written("a", "1", 1, "intent");
	expect_lost("a", 3, "the field was locked");
	expect_lost("a", 4, "a duplicate of 1");
	put("bulk", ",'content':{'b':7}");  /* 5 */
	put("delete", "");                  /* 6 */
	put("merge", ",'content':{'a':3}"); /* 7: parked, then rejected */
	explain(NULL);
	expect_lost("b", 5, "below the delete at 6");
	expect_lost("b", 3, "below the delete at 6");
	expect_lost("a", 7, "rejected: deleted");
	put("upsert", ",'entity_type':'note','content':{'a':5}"); /* 8 */
	explain(NULL);
	expect_written("a", "5", 8, "intent");
	expect_lost("a", 1, "below the delete at 6");
}

Test(explain, direct_sql_is_named_as_such)
{
	upsert("{'a':1,'b':1}");
	rig_sql(&rig, "select leat.merge_entity_content('" ENTITY "', '" RIG_TENANT_A "', '{\"a\":2,\"d\":3}')");
	rig_sql(&rig, "update leat.entities set metadata = '{\"x\":1}'");
	explain(NULL);
	expect_written("a", "2", 1, "direct");
	expect_written("b", "1", 1, "intent");
	expect_written("d", "3", 1, "direct");
	expect_written("x", "1", 0, "direct");
	expect_text(find("fields", "a", 0), "db_user", "postgres");
	say_run(&rig, "table", 0, RIG_ARGS("explain", ENTITY, "a", "--tenant", RIG_TENANT_A));
	say_expect(&rig, "table", "direct SQL");
}

Test(explain, of_a_field_that_direct_sql_wrote_the_writers_before_it_are_told)
{
	upsert("{'a':1,'b':1}");            /* 1 */
	put("merge", ",'content':{'a':2}"); /* 2 */
	put("merge", ",'content':{'b':3}"); /* 3 */
	rig_sql(&rig, "select leat.merge_entity_content('" ENTITY "', '" RIG_TENANT_A "', '{\"a\":9}')");
	explain(NULL);
	expect_written("a", "9", 3, "direct");
	expect_text(find("fields", "a", 0), "note", "it overwrote 2");
	cr_expect_eq(json_integer_value(json_object_get(find("fields", "a", 0), "overwrote")), 2);
	expect_lost("a", 2, "overwritten by direct SQL");
	expect_lost("a", 1, "overwritten at 2");
	expect_text(find("lost", "a", 1), "actor", "ann");
	expect_lost("b", 1, "overwritten at 3");
	rig_sql(&rig, "update leat.entities set content = content || '{\"b\":7}'"); /* keeps the position of whom it overwrote */
	explain("b");
	expect_written("b", "7", 3, "direct");
	expect_lost("b", 3, "overwritten by direct SQL");
}

Test(explain, what_the_stream_no_longer_holds_is_said_to_be_gone)
{
	LEAT_BUF_SCOPED answer = LEAT_BUF_INIT;
	struct leat_error err;
	upsert("{'a':1}");
	put("merge", ",'content':{'b':2}");
	cr_assert_eq(leat_bus_ask_jetstream(rig_bus(&rig), "STREAM.PURGE.LEAT_ENTITY", "{\"seq\":2}", &answer, &err), LEAT_OK, "%s", err.text);
	explain(NULL);
	expect_written("a", "1", 1, "intent");
	expect_text(find("fields", "a", 1), "note", "the stream no longer holds its message");
	expect_text(find("fields", "a", 1), "actor", "ann");
	cr_expect_eq(json_integer_value(json_object_get(report, "unread")), 1);
	rig_sql(&rig, "delete from leat.activity where position = 1");
	explain(NULL);
	expect_written("a", "1", 1, "unknown");
	expect_written("b", "2", 2, "intent");
	say_run(&rig, "table", 0, RIG_ARGS("explain", ENTITY, "--tenant", RIG_TENANT_A));
	say_expect(&rig, "table", "the ledger no longer has that intent");
}

Test(explain, an_entity_is_found_by_its_key_and_only_in_its_tenant)
{
	rig_intent(&rig, RIG_TENANT_A, "entity.upsert", NULL, "{\"entity_type\":\"note\",\"key\":\"k\",\"content\":{\"a\":\"\\u001b[31m\"}}");
	rig_sql_wait(&rig, 30, "1", "select count(*) from leat.entities");
	say_run(&rig, "by-key", 0, RIG_ARGS("explain", "note:k", "--tenant", RIG_TENANT_A));
	say_expect(&rig, "by-key", "note, key k\nexists since the upsert at 1\n");
	say_expect(&rig, "by-key", "content.a");
	say_expect_not(&rig, "by-key", "\x1b");
	say_run(&rig, "of-other", 1, RIG_ARGS("explain", "note:k", "--tenant", RIG_TENANT_B));
	say_expect_log(&rig, "of-other", "has no entity");
}
