/* `leat verify`: what is equal is found equal, what was tampered with is named, and what can't be known is not called equal. */
#include "load.h"
#include "story.h"
#include "verifying.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static struct rig rig;
static struct leat_child *consumer;

static const char *const entity_lane[] = {"--lanes", "entity", NULL};

static void setup(void)
{
	rig_open(&rig);
	rig_migrate(&rig);
	consumer = load_start_consumer(&rig, "c", entity_lane);
}

static void teardown(void)
{
	rig_close(&rig);
}

TestSuite(verify, .init = setup, .fini = teardown);

/* ---- a stream ---- */

static uint64_t last_seq;

static void publish(const char *verb, const char *body)
{
	char noun_verb[32];
	snprintf(noun_verb, sizeof noun_verb, "entity.%s", verb);
	last_seq = rig_intent(&rig, RIG_TENANT_A, noun_verb, NULL, body);
}

static void wait_settled(void)
{
	rig_sql_wait(&rig, 30, "0", "select count(*) from leat.parked");
	verify_wait_floor(&rig, "LEAT_ENTITY", "leat-entity", last_seq);
	rig_sql_wait(&rig, 30, "0", "select count(*) from leat.parked");
}

#define ID(n) "\"entity_id\":\"eeeeeeee-0000-4000-8000-00000000000" n "\""

/* Two entities, and all verbs; positions 1 to 8. */
static void publish_some(void)
{
	publish("upsert", "{" ID("1") ",\"entity_type\":\"t\",\"content\":{\"a\":1,\"b\":\"x\"},\"metadata\":{\"m\":12345678901234567890.10}}");
	publish("upsert", "{" ID("2") ",\"entity_type\":\"t\",\"content\":{\"a\":[1,{\"y\":2,\"x\":1e2}]}}");
	publish("merge", "{" ID("1") ",\"content\":{\"a\":2,\"gone\":true}}");
	publish("unset", "{" ID("1") ",\"content\":[\"gone\"]}");
	publish("lock", "{" ID("1") ",\"fields\":[\"b\"]}");
	publish("merge", "{" ID("1") ",\"content\":{\"b\":\"no\",\"c\":3},\"respect_locks\":true}");
	publish("bulk",
		"{\"entity_ids\":[\"eeeeeeee-0000-4000-8000-000000000002\",\"eeeeeeee-0000-4000-8000-000000000009\"],\"content\":{\"k\":0.50}}");
	publish("merge", "{\"entity_id\":\"eeeeeeee-0000-4000-8000-000000000009\",\"content\":{\"a\":1}}");
	wait_settled();
}

#define ENTITY(n) "'eeeeeeee-0000-4000-8000-00000000000" n "'"

Test(verify, what_the_stream_made_is_equal)
{
	publish_some();
	verify_expect(&rig, 0, "", NULL);
	verify_expect(&rig, 0, "", RIG_ARGS("--sample", "10%"));
}

Test(verify, a_field_changed_by_hand_is_named)
{
	publish_some();
	rig_sql(&rig, "update leat.entities set content = content || '{\"a\":5}' where id = " ENTITY("1"));
	verify_expect(&rig, 1, "field entity a 1 content.a: 5 -> 2 @3", NULL);
	rig_sql(&rig, "update leat.entities set content = content - 'a' || '{\"new\":5}' where id = " ENTITY("1"));
	verify_expect(&rig, 1, "field entity a 1 content.a: nothing -> 2 @3\nfield entity a 1 content.new: 5 -> nothing", NULL);
}

Test(verify, a_row_deleted_is_named)
{
	publish_some();
	rig_sql(&rig, "delete from leat.entities where id = " ENTITY("2"));
	verify_expect(&rig, 1, "missing entity a 2 @2", NULL);
}

Test(verify, a_stamp_lowered_is_named)
{
	publish_some();
	rig_sql(&rig, "update leat.entities set content_positions = jsonb_set(content_positions, '{a}', '1') where id = " ENTITY("1"));
	verify_expect(&rig, 1, "stamp entity a 1 content.a: position 1 -> position 3 @3", NULL);
	rig_sql(&rig,
		"update leat.entities set content_positions = jsonb_set(content_positions, '{a}', '3'), last_position = 5 where id = " ENTITY("1"));
	verify_expect(&rig, 1, "stamp entity a 1 last_position: 5 -> 6 @6", NULL);
}

Test(verify, a_row_taken_from_the_ledger_is_named)
{
	publish_some();
	rig_sql(&rig, "delete from leat.activity where stream = 'LEAT_ENTITY' and position = 3");
	verify_expect(&rig, 1, "hole ledger a 1 @3", NULL);
}

Test(verify, an_entity_moved_to_another_tenant_is_named)
{
	publish_some();
	rig_sql(&rig, "update leat.entities set tenant_id = '" RIG_TENANT_B "' where id = " ENTITY("2"));
	verify_expect(&rig, 1, "moved entity a 2 @7", NULL);
}

Test(verify, a_row_that_nothing_made_is_named)
{
	publish_some();
	rig_sql(&rig, "update leat.entities set id = " ENTITY("7") " where id = " ENTITY("2"));
	verify_expect(&rig, 1, "missing entity a 2 @2\nextra entity a 7", NULL);
}

Test(verify, direct_calls_and_inserts_are_out_of_band)
{
	publish_some();
	rig_sql(&rig, "select leat.merge_entity_content(" ENTITY("1") ", '" RIG_TENANT_A "', '{\"c\":9,\"d\":{\"x\":1.0}}')");
	rig_sql(&rig, "select leat.merge_entity_metadata(" ENTITY("2") ", '" RIG_TENANT_A "', '{\"n\":null}')");
	rig_sql(&rig,
		"insert into leat.entities (tenant_id, id, entity_type, content) values ('" RIG_TENANT_A "', " ENTITY("5") ", 't', '{\"a\":1}')");
	static const char calls[] =
		"out_of_band entity a 1 content.d: {\"x\": 1.0} -> nothing\nout_of_band entity a 2 metadata.n: null -> nothing\n"
		"out_of_band entity a 5";
	LEAT_BUF_SCOPED expected = LEAT_BUF_INIT;
	leat_buf_printf(&expected, "%s\nout_of_band entity a 1 content.c: 9 -> 3 @6", calls);
	verify_expect(&rig, 0, expected.data, NULL);

	publish("merge", "{" ID("5") ",\"content\":{\"b\":1}}");
	publish("merge", "{" ID("1") ",\"content\":{\"c\":10}}");
	wait_settled();
	verify_expect(&rig, 0, calls, NULL); /* the intent has overtaken one of them */

	rig_sql(&rig, "update leat.entities set content = content || '{\"d\":2}' where id = " ENTITY("1"));
	leat_buf_clear(&expected);
	leat_buf_add_text(
		&expected, "field entity a 1 content.d: 2 -> nothing\nout_of_band entity a 2 metadata.n: null -> nothing\nout_of_band entity a 5");
	verify_expect(&rig, 1, expected.data, NULL);
}
