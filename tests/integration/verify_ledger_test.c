/* `leat verify` about the ledger itself: what it took over from the messages, and which Leat-Ids are used up. */
#include "load.h"
#include "verifying.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct rig rig;
static uint64_t last_seq;

static void setup(void)
{
	rig_open(&rig);
	rig_migrate(&rig);
	load_start_consumer(&rig, "c", RIG_ARGS("--lanes", "entity,control,run,relay"));
}

static void teardown(void)
{
	rig_close(&rig);
}

TestSuite(verify_ledger, .init = setup, .fini = teardown);

#define ID(n) "\"entity_id\":\"eeeeeeee-0000-4000-8000-00000000000" n "\""
#define OTHER "eeeeeeee-0000-4000-8000-000000000008"
#define TRACE "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

static void publish(const char *kind, const char *verb, const char *headers, const char *body)
{
	char subject[160];
	snprintf(subject, sizeof subject, "leat.%s." RIG_TENANT_A ".service.entity.%s", kind, verb);
	last_seq = rig_publish(&rig, subject, headers, body);
}

static void wait_settled(void)
{
	verify_wait_floor(&rig, "LEAT_ENTITY", "leat-entity", last_seq);
	rig_sql_wait(&rig, 30, "0", "select count(*) from leat.parked");
}

/* 1 to 4 are applied, 5 and 6 are refused, by the decoder and by the database, 7 is a duplicate of 2. */
static void publish_some(void)
{
	publish("intent", "upsert", NULL, "{" ID("1") ",\"entity_type\":\"t\"}");
	publish("intent", "merge", "Leat-Id: two\r\nLeat-Actor: ann\r\n", "{" ID("1") ",\"content\":{\"a\":1}}");
	publish("intent", "merge", "Leat-Id: three\r\ntraceparent: " TRACE "\r\n", "{" ID("1") ",\"content\":{\"a\":2}}");
	publish("intent", "bulk", "Leat-Id: four\r\n", "{\"entity_ids\":[\"eeeeeeee-0000-4000-8000-000000000001\"],\"content\":{\"b\":1}}");
	publish("intent", "merge", "Leat-Id: five\r\n", "{\"typo\":1}");
	publish("intent", "merge", "Leat-Id: six\r\n", "{" ID("9") ",\"content\":{\"a\":1}}");
	publish("intent", "merge", "Leat-Id: two\r\n", "{" ID("1") ",\"content\":{\"a\":3}}");
	wait_settled();
	rig_sql_expect(&rig, "applied applied applied applied rejected rejected duplicate",
		"select string_agg(outcome, ' ' order by position) from leat.activity");
}

#define SET(position, columns) "update leat.activity set " columns " where position = " #position

Test(verify_ledger, a_column_that_does_not_say_what_its_message_says_is_named)
{
	publish_some();
	verify_expect(&rig, 0, "", NULL);
	rig_sql(&rig, SET(1, "tenant_id = '" RIG_TENANT_B "', actor = 'bob', code = 'conflict'"));
	rig_sql(&rig, SET(2, "leat_id = 'to', actor = null, role = 'user', noun = 'run'"));
	rig_sql(&rig, SET(3, "verb = 'unset', target_id = '" OTHER "', traceparent = null"));
	rig_sql(&rig, SET(4, "target_id = '" OTHER "', tenant_id = null, leat_id = null"));
	rig_sql(&rig, SET(5, "leat_id = 'v', target_id = '" OTHER "'"));
	rig_sql(&rig, SET(6, "target_id = '" OTHER "'"));
	rig_sql(&rig, SET(7, "leat_id = 'three'"));
	verify_expect(&rig, 1,
		"field ledger a 1 tenant_id: " RIG_TENANT_B " -> " RIG_TENANT_A " @1\n"
		"field ledger a 1 actor: bob -> nothing @1\n"
		"field ledger a 1 code: conflict -> nothing @1\n"
		"field ledger a 1 leat_id: to -> two @2\n"
		"field ledger a 1 actor: nothing -> ann @2\n"
		"field ledger a 1 role: user -> service @2\n"
		"field ledger a 1 noun: run -> entity @2\n"
		"field ledger a 1 verb: unset -> merge @3\n"
		"field ledger a 1 target_id: " OTHER " -> eeeeeeee-0000-4000-8000-000000000001 @3\n"
		"field ledger a 1 traceparent: nothing -> " TRACE " @3\n"
		"field ledger a  target_id: " OTHER " -> nothing @4\n"
		"field ledger a  tenant_id: nothing -> " RIG_TENANT_A " @4\n"
		"field ledger a  leat_id: nothing -> four @4\n"
		"field ledger a  leat_id: v -> five @5\n"
		"field ledger a 9 target_id: " OTHER " -> eeeeeeee-0000-4000-8000-000000000009 @6\n"
		"field ledger a 1 leat_id: three -> two @7\n",
		NULL);
}

#define NOBODY "leat.intent.nobody.service."
#define SERVICE "leat.intent." RIG_TENANT_A ".service."

/* As much as was understood stands in the ledger, of messages that were refused. */
Test(verify_ledger, what_could_not_be_understood_is_in_the_ledger_as_it_came)
{
	static const struct {
		const char *subject, *headers, *body;
	} messages[] = {
		{NOBODY "entity.merge", "Leat-Id: a\r\nLeat-Actor: b\r\ntraceparent: " TRACE "\r\n", "{}"},
		{NOBODY "workflow.save", NULL, "{}"},
		{NOBODY "run.start", "Leat-Id: a\r\n", "{}"},
		{SERVICE "entity.fly", "Leat-Id: a\r\n", "{" ID("1") "}"},
		{SERVICE "member.fly", NULL, "{}"},
		{SERVICE "interaction.ask", NULL, "{"},
		{SERVICE "entity.m\xC3\xA9rge", "Leat-Id: a\r\n", "{" ID("1") "}"},
		{SERVICE "workflow.s\xC3\xA4ve", NULL, "{}"},
		{"leat.intent." RIG_TENANT_A ".king.entity.delete", NULL, "{" ID("1") "}"},
		{"leat.intent." RIG_TENANT_A ".king.member.remove", NULL, "{}"},
		{SERVICE "entity.delete", "Leat-Actor: \xFF\r\ntraceparent: no\r\n", "{" ID("1") "}"},
		{SERVICE "entity.delete", "traceparent: no\r\nLeat-Reply-To: elsewhere\r\n", "{" ID("1") "}"},
		{SERVICE "member.remove", "Leat-Id: a\r\n", "{\"user_id\":\"a0000000-0000-4000-8000-000000000001\"}"},
		{"leat.redrive." RIG_TENANT_A ".service.entity.delete", NULL, "{" ID("1") "}"},
		{"leat.redrive." RIG_TENANT_A ".service.member.remove", "Leat-Id: b\r\n", "{}"},
		{SERVICE "run.cancel", "Leat-Id: a\r\n", "{\"run_id\":\"d0000000-0000-4000-8000-000000000001\"}"},
		{SERVICE "run.node", NULL, "[]"},
	};
	for (size_t i = 0; i < sizeof messages / sizeof *messages; i++)
		rig_publish(&rig, messages[i].subject, messages[i].headers, messages[i].body);
	rig_sql_wait(&rig, 30, "rejected", "select string_agg(distinct outcome, ' ') from leat.activity having count(*) = 17");
	verify_expect(&rig, 0, "", NULL);
	rig_sql(&rig, "update leat.activity set role = 'service', verb = 'save' where tenant_id is null and role is null");
	verify_expect(&rig, 1,
		"field ledger   verb: save -> nothing @1\nfield ledger   role: service -> nothing @1\n"
		"field ledger   verb: save -> nothing @1\nfield ledger   role: service -> nothing @1\n"
		"field ledger   verb: save -> nothing @1\nfield ledger   role: service -> nothing @1\n"
		"field ledger a  verb: save -> nothing @3\nfield ledger a  role: service -> nothing @3\n"
		"field ledger a  verb: save -> nothing @4\nfield ledger a  role: service -> nothing @4\n",
		NULL);
}

/* A whole stream of other times is another stream: verify_test.c. */
Test(verify_ledger, a_time_among_others_that_are_right_is_named)
{
	publish_some();
	char *time = rig_sql_text(
		&rig, "select to_char(message_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') from leat.activity where position = 3");
	char expected[200];
	snprintf(expected, sizeof expected, "field ledger   message_at: \"2020-01-01T00:00:00.000000Z\" -> \"%s\" @3", time);
	free(time);
	rig_sql(&rig, SET(3, "message_at = '2020-01-01 00:00:00+00'"));
	verify_expect(&rig, 1, expected, NULL);
}

Test(verify_ledger, a_leat_id_deleted_invented_or_changed_is_named)
{
	publish_some();
	rig_sql(&rig, "delete from leat.message_ids where leat_id = 'two'");
	rig_sql(&rig, "update leat.message_ids set position = 2 where leat_id = 'three'");
	rig_sql(&rig, "update leat.message_ids set tenant_id = '" RIG_TENANT_B "' where leat_id = 'four'");
	rig_sql(&rig,
		"insert into leat.message_ids (tenant_id, leat_id, stream, position) values ('" RIG_TENANT_A "', 'six', 'LEAT_ENTITY', 6),"
		" ('" RIG_TENANT_A "', 'seven', 'LEAT_WORK', 6), ('" RIG_TENANT_A "', chr(1) || 'redrive LEAT_ENTITY 6', 'LEAT_ENTITY', 6)");
	verify_expect(&rig, 1,
		"missing message_id a o @2\n"
		"field message_id a e position: 2 -> 3 @3\n"
		"missing message_id a r @4\n"
		"extra message_id b r: LEAT_ENTITY 4 -> nothing\n"
		"extra message_id a x: LEAT_ENTITY 6 -> nothing\n"
		"extra message_id a n: LEAT_WORK 6 -> nothing\n"
		"extra message_id a 6: LEAT_ENTITY 6 -> nothing\n",
		NULL);
}

/* The newest row stays, so that nobody takes the stream for a new one. */
Test(verify_ledger, what_was_forgotten_or_is_a_hole_has_no_leat_id_to_miss)
{
	publish_some();
	rig_sql(&rig, "delete from leat.activity where position = 3");
	verify_expect(&rig, 1, "hole ledger a 1 @3", NULL);
	rig_sql(&rig, "delete from leat.message_ids where leat_id = 'three'");
	rig_sql(&rig, "update leat.activity set message_at = now() - interval '10 years' where position < 3");
	rig_sql(&rig, "update leat.stream_epochs set first_seq = 3 where stream = 'LEAT_ENTITY'");
	rig_sql(&rig,
		"select * from leat.prune_ledger('LEAT_ENTITY', (select stream_created_at from leat.stream_epochs where stream = 'LEAT_ENTITY'), 3,"
		" now(), 1, 100, -1)");
	rig_sql_expect(&rig, "four", "select string_agg(leat_id, ' ') from leat.message_ids");
}

#define NOW "Leat-Redrive: now\r\n"

/* Once for the position of what was applied after all, whether the redrive has the origin's Leat-Id, one of its own or none. */
Test(verify_ledger, redrives_use_up_ids_of_their_own)
{
	publish_some();
	const char *origin = "Leat-Origin-Stream: LEAT_ENTITY\r\nLeat-Origin-Position: %d\r\n%s";
	static const struct {
		int position;
		const char *more;
	} redrives[] = {{2, "Leat-Id: two\r\n"}, {2, ""}, {2, "Leat-Id: again\r\n"}, {2, ""}, {6, ""}, {6, NOW}, {6, NOW}, {3, NOW}};
	publish("intent", "upsert", NULL, "{" ID("9") ",\"entity_type\":\"t\"}");
	for (size_t i = 0; i < sizeof redrives / sizeof *redrives; i++) {
		char headers[200];
		snprintf(headers, sizeof headers, origin, redrives[i].position, redrives[i].more);
		publish("redrive", "merge", headers,
			redrives[i].position == 6 ? "{" ID("9") ",\"content\":{\"a\":1}}" : "{" ID("1") ",\"content\":{\"a\":1}}");
		wait_settled();
	}
	rig_sql_expect(&rig, "duplicate duplicate duplicate duplicate rejected applied duplicate duplicate",
		"select string_agg(outcome, ' ' order by position) from leat.activity where position > 8");
	verify_expect(&rig, 0, "", NULL);
	rig_sql(&rig, "delete from leat.activity where position in (9, 10)"); /* as pruning does */
	rig_sql(&rig, "update leat.message_ids set position = 14 where leat_id = 'again'");
	verify_expect(&rig, 1, "hole ledger a 1 @9\nhole ledger a 1 @10\nextra message_id a n: LEAT_ENTITY 14 -> nothing", NULL);
}
