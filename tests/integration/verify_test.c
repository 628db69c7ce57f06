/* `leat verify`: what is equal is found equal, what was tampered with is named, and what can't be known is not called equal. */
#include "load.h"
#include "saying.h"
#include "story.h"
#include "verifying.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <limits.h>
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

Test(verify, a_stamp_that_says_inserted_directly_excuses_nothing)
{
	publish_some();
	rig_sql(&rig, "insert into leat.entities (tenant_id, id, entity_type) values ('" RIG_TENANT_A "', " ENTITY("5") ", 't')");
	publish("upsert", "{" ID("5") ",\"entity_type\":\"t\",\"content\":{\"a\":1}}");
	wait_settled();
	verify_expect(&rig, 0, "out_of_band entity a 5", NULL);
	rig_sql(&rig, "update leat.entities set upsert_positions = '{0}' where id = " ENTITY("1"));
	verify_expect(&rig, 1, "stamp entity a 1 upsert_positions: 0 -> 1 @1\nout_of_band entity a 5", NULL);
	rig_sql(&rig, "update leat.entities set content = content || '{\"new\":5}', key = 'k' where id = " ENTITY("1"));
	verify_expect(&rig, 1,
		"stamp entity a 1 upsert_positions: 0 -> 1 @1\nfield entity a 1 content.new: 5 -> nothing\n"
		"field entity a 1 key: k -> nothing @1\nout_of_band entity a 5",
		NULL);
}

Test(verify, a_stamp_of_a_removed_field_that_is_lowered_or_gone_is_named)
{
	publish_some();
	rig_sql(&rig, "update leat.entities set content_positions = jsonb_set(content_positions, '{gone}', '0') where id = " ENTITY("1"));
	verify_expect(&rig, 1, "stamp entity a 1 content.gone: position 0 -> position 4 @4", NULL);
	rig_sql(&rig, "update leat.entities set content_positions = content_positions - 'gone' where id = " ENTITY("1"));
	verify_expect(&rig, 1, "stamp entity a 1 content.gone: no position -> position 4 @4", NULL);
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

/* ---- redrives ---- */

/* Refused as by a rule of somebody's, and sent again once later writes have been applied: a merge at 9, a delete at 10. */
Test(verify, what_was_redriven_below_later_writes_is_equal)
{
	load_start_consumer(&rig, "relay", RIG_ARGS("--lanes", "relay"));
	publish_some();
	rig_sql(&rig, "alter table leat.entities add constraint picky check (not content ? 'bad' and deleted_at is null)");
	publish("merge", "{" ID("1") ",\"content\":{\"a\":4,\"bad\":1}}");
	publish("delete", "{" ID("2") "}");
	load_wait_dead(&rig, 3, 30); /* with the merge of publish_some that found nothing */
	rig_sql(&rig, "alter table leat.entities drop constraint picky");
	publish("merge", "{" ID("1") ",\"content\":{\"a\":5}}");
	publish("upsert", "{" ID("2") ",\"entity_type\":\"t\",\"content\":{\"later\":1}}");
	wait_settled();
	verify_expect(&rig, 0, "", NULL);
	cr_assert_eq(rig_run(&rig, "redrive", 60, RIG_ARGS("dead", "redrive", "--code", "internal")), 0);
	last_seq += 2;
	wait_settled();
	rig_sql_expect(&rig, "1: 5 1 2: null 1",
		"select string_agg(right(id::text, 1) || ': ' || concat_ws(' ', coalesce(content -> 'a', 'null'), content -> 'bad', content -> "
		"'later'),"
		" ' ' order by id) from leat.entities");
	verify_expect(&rig, 0, "", NULL);
	rig_sql(&rig, "update leat.entities set content = content || '{\"bad\":2}' where id = " ENTITY("1"));
	verify_expect(&rig, 1, "field entity a 1 content.bad: 2 -> 1 @9", NULL);
}

/* ---- what can't be known ---- */

struct messages {
	uint64_t left;
};

static bool stream_holds(void *context)
{
	struct leat_stream_state state;
	struct leat_error err;
	return leat_stream_get_state(rig_bus(&rig), "LEAT_ENTITY", &state, &err) == LEAT_OK &&
		state.messages == ((const struct messages *)context)->left;
}

/* Has the server delete or purge, which leaves so many messages. */
static void ask_stream(const char *api, const char *request, uint64_t left)
{
	struct messages expected = {left};
	struct leat_error err;
	char subject[64];
	snprintf(subject, sizeof subject, "$JS.API.STREAM.%s.LEAT_ENTITY", api);
	cr_assert_eq(leat_bus_publish(rig_bus(&rig), subject, NULL, request, strlen(request), &err), LEAT_OK);
	cr_assert(rig_wait_until(stream_holds, &expected, 10), "%s %s", api, request);
}

Test(verify, what_makes_a_difference_is_shown_before_what_is_out_of_band)
{
	publish_some();
	rig_sql(&rig,
		"select leat.merge_entity_content(e.id, e.tenant_id, '{\"d1\":1,\"d2\":2,\"d3\":3}') from leat.entities e where id = " ENTITY("1"));
	rig_sql(&rig, "update leat.entities set content = content || '{\"k\":5}' where id = " ENTITY("2"));
	verify_expect(&rig, 1, "field entity a 2 content.k: 5 -> 0.50 @7", RIG_ARGS("--limit", "1"));
}

Test(verify, a_stream_that_was_cut_is_never_equal)
{
	publish_some();
	ask_stream("PURGE", "{\"seq\":3}", 6);
	verify_expect_doubt(&rig, "LEAT_ENTITY: 1..2 are gone", NULL);
	rig_sql(&rig, "delete from leat.activity where position < 3"); /* as pruning does */
	verify_expect_doubt(&rig, "LEAT_ENTITY: 1..2 are gone", NULL);
	rig_sql(&rig, "update leat.entities set content = content || '{\"a\":5}' where id = " ENTITY("1"));
	verify_expect(&rig, 1, "field entity a 1 content.a: 5 -> 2 @3", NULL);
	rig_sql(&rig, "update leat.entities set content_positions = jsonb_set(content_positions, '{a}', '2') where id = " ENTITY("1"));
	verify_expect(&rig, 1, "field entity a 1 content.a: 5 -> 2 @3", NULL);
}

Test(verify, a_gap_that_was_applied_is_never_equal)
{
	publish_some();
	ask_stream("MSG.DELETE", "{\"seq\":8}", 7); /* it was rejected, and is nobody's loss */
	verify_expect(&rig, 0, "", NULL);
	ask_stream("MSG.DELETE", "{\"seq\":3}", 6);
	verify_expect_doubt(&rig, "LEAT_ENTITY: 3..3 are gone from the middle", NULL);
}

Test(verify, a_stream_made_again_is_never_equal)
{
	publish_some();
	load_stop_consumer(consumer);
	rig_delete_stream(&rig, "LEAT_ENTITY");
	verify_expect_doubt(&rig, "LEAT_ENTITY: there is no such stream", NULL);
	rig_migrate(&rig);
	verify_expect_doubt(&rig, "LEAT_ENTITY: was deleted and made again", NULL);
	consumer = load_start_consumer(&rig, "c", entity_lane);
	publish("merge", "{" ID("1") ",\"content\":{\"a\":7}}");
	wait_settled();
	verify_expect_doubt(&rig, "a stream that was deleted or cut back", NULL);
}

Test(verify, a_database_ahead_of_the_stream_is_never_equal)
{
	publish_some();
	rig_sql(&rig,
		"update leat.entities set content_positions = jsonb_set(content_positions, '{a}', '20'), last_position = 20,"
		" content = content || '{\"a\":9}' where id = " ENTITY("1"));
	rig_sql(&rig,
		"insert into leat.activity (stream, position, tenant_id, noun, verb, target_id, outcome, message_at) values ('LEAT_ENTITY', 20, "
		"'" RIG_TENANT_A "', 'entity', 'merge', " ENTITY("1") ", 'applied', now())");
	verify_expect_doubt(&rig, "ahead of the stream", NULL);
}

/* ---- many, and from a baseline ---- */

static void publish_story(const struct story *story)
{
	struct load load = {0};
	for (size_t i = 0; i < story->count; i++) {
		const struct message *message = &story->intents[i].message;
		char subject[160];
		char headers[96] = "";
		snprintf(subject, sizeof subject, "leat.intent.%s.service.entity.%s", message->tenant, message->verb);
		if (message->leat_id != NULL)
			snprintf(headers, sizeof headers, "Leat-Id: %s\r\n", message->leat_id);
		load_add(&load, subject, headers, message->body, strlen(message->body));
	}
	load_store(&rig, &load);
	last_seq = load.messages[load.count - 1].seq;
	load_free(&load);
}

/* However many passes it takes, while intents come in, and again from where a baseline was taken. */
Test(verify, a_story_is_equal_in_one_pass_or_many_and_from_a_baseline)
{
	struct story story;
	story_tell(&story, rig_seed(), (size_t)rig_size(1000, 20000), STORY_ENTITIES);
	publish_story(&story);
	verify_expect(&rig, 0, "", NULL);
	wait_settled();
	verify_expect(&rig, 0, "", NULL);
	cr_assert_eq(rig_run(&rig, "baseline", 60, RIG_ARGS("baseline", "b1")), 0);
	verify_expect(&rig, 0, "", RIG_ARGS("--baseline", "b1"));

	uint64_t cut = last_seq;
	char request[64];
	publish_story(&story); /* its Leat-Ids are used up by now, where it has any */
	wait_settled();
	snprintf(request, sizeof request, "{\"seq\":%" PRIu64 "}", cut + 1);
	ask_stream("PURGE", request, last_seq - cut);
	verify_expect(&rig, 0, "", RIG_ARGS("--baseline", "b1"));
	cr_assert_eq(rig_run(&rig, "baseline", 60, RIG_ARGS("baseline", "b2", "--baseline", "b1")), 0);
	cr_assert_eq(rig_run(&rig, "baseline", 60, RIG_ARGS("baseline", "b3")), 2);
	verify_expect(&rig, 0, "", RIG_ARGS("--baseline", "b2"));
	rig_sql(&rig,
		"update leat.entities e set content = jsonb_set(content, array[f], '\"by hand\"') from (select tenant_id, id, (select min(k) from "
		"jsonb_object_keys(content) k) as f from leat.entities where content <> '{}' order by tenant_id, id limit 1) x "
		"where e.tenant_id = x.tenant_id and e.id = x.id");
	cr_assert_eq(rig_run(&rig, "verify", 60, RIG_ARGS("verify", "--baseline", "b2")), 1);
	story_free(&story);
}

/* What nobody can tell any more is taken from the rows as they are. */
Test(verify, a_baseline_can_be_written_in_good_faith)
{
	publish_some();
	ask_stream("PURGE", "{\"seq\":5}", 4);
	cr_assert_eq(rig_run(&rig, "baseline", 60, RIG_ARGS("baseline", "b")), 2);
	cr_assert_eq(rig_run(&rig, "verify", 60, RIG_ARGS("verify", "--baseline", "b")), 2);
	cr_assert_eq(rig_run(&rig, "baseline", 60, RIG_ARGS("baseline", "b", "--trust")), 2);
	verify_expect(&rig, 0, "", RIG_ARGS("--baseline", "b"));
	say_run(&rig, "again", 2, RIG_ARGS("baseline", "b", "--baseline", "b"));
	say_expect_log(&rig, "again", "b is there already: name another file");
	say_run(&rig, "forced", 0, RIG_ARGS("baseline", "b", "--baseline", "b", "--force"));
	verify_expect(&rig, 0, "", RIG_ARGS("--baseline", "b"));
	publish("merge", "{" ID("1") ",\"content\":{\"b\":\"y\"}}");
	wait_settled();
	verify_expect(&rig, 0, "", RIG_ARGS("--baseline", "b"));
	rig_sql(&rig, "delete from leat.entities where id = " ENTITY("2"));
	verify_expect(&rig, 1, "missing entity a 2 @2", RIG_ARGS("--baseline", "b"));
}

Test(verify, a_file_that_is_no_baseline_is_refused)
{
	publish_some();
	cr_assert_eq(rig_run(&rig, "verify", 60, RIG_ARGS("verify", "--baseline", "nowhere")), 2);
	cr_assert_eq(rig_run(&rig, "baseline", 60, RIG_ARGS("baseline", "b1")), 0);
	rig_sql(&rig, "delete from leat.entities where id = " ENTITY("2"));
	cr_assert_eq(rig_run(&rig, "baseline", 60, RIG_ARGS("baseline", "b2")), 1);
	cr_assert_eq(rig_run(&rig, "verify", 60, RIG_ARGS("verify", "--baseline", "b2")), 2);
}

/* One digit of it. */
Test(verify, a_baseline_that_was_changed_is_refused)
{
	char name[PATH_MAX + 2];
	char text[4096];
	publish_some();
	cr_assert_eq(rig_run(&rig, "baseline", 60, RIG_ARGS("baseline", "b")), 0);
	snprintf(name, sizeof name, "%s/b", rig.folder);
	FILE *file = fopen(name, "r+");
	cr_assert_not_null(file);
	text[fread(text, 1, sizeof text - 1, file)] = '\0';
	char *typed = strstr(text, "\"typed\":");
	cr_assert_not_null(typed);
	cr_assert_eq(fseek(file, typed + strlen("\"typed\":") - text, SEEK_SET), 0);
	fputc('9', file);
	fclose(file);
	cr_assert_eq(rig_run(&rig, "verify", 60, RIG_ARGS("verify", "--baseline", "b")), 2);
}
