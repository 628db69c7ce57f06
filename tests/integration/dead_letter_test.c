/* Dead letters: each bad message arrives in LEAT_DEAD as it was sent, with the right code, whatever it carries; and no good one suffers. */
#include "load.h"

#include "leat/outbox.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENTITIES 100
#define DELETED (ENTITIES - 1) /* this one is deleted */
#define INTENT "leat.intent." RIG_TENANT_A ".service.entity."
#define DEAD "leat.dead." RIG_TENANT_A ".entity."
#define ID "\"entity_id\":\"eeeeeeee-0000-4000-8000-000000000001\""
#define REPLY_LIMIT_S 60

static struct rig rig;

static void setup(void)
{
	rig_open(&rig);
	rig_migrate(&rig);
	load_start_consumer(&rig, "consumer", NULL);
	load_store_entities(&rig, RIG_TENANT_A, ENTITIES);
	char id[37];
	char body[64];
	load_entity(id, DELETED);
	snprintf(body, sizeof body, "{\"entity_id\":\"%s\"}", id);
	rig_intent(&rig, RIG_TENANT_A, "entity.delete", NULL, body);
	load_wait_settled(&rig, ENTITIES + 1, 60);
}

static void teardown(void)
{
	rig_close(&rig);
}

TestSuite(dead_letter, .init = setup, .fini = teardown);

/* ---- reading them ---- */

/* The dead letter of the message with that sequence, waiting for it. Free it. */
static void find_dead(uint64_t origin_seq, struct leat_msg *out)
{
	struct leat_error err;
	rig_sql_wait(&rig, REPLY_LIMIT_S, "t",
		"select exists (select from leat.activity where position = %" PRIu64 ") and not exists (select from leat.outbox)", origin_seq);
	for (uint64_t seq = 1; leat_stream_get_next(rig_bus(&rig), "LEAT_DEAD", "leat.dead.>", &seq, out, &err) == LEAT_OK; seq++) {
		const char *origin = leat_msg_header(out, "Leat-Origin-Seq");
		cr_assert_not_null(origin);
		if (strtoull(origin, NULL, 10) == origin_seq)
			return;
		leat_msg_free(out);
	}
	cr_assert_fail("message %" PRIu64 " has no dead letter: %s", origin_seq, err.text);
}

static void expect_header(const struct leat_msg *msg, const char *name, const char *expected)
{
	const char *found = leat_msg_header(msg, name);
	cr_assert(found != NULL && strcmp(found, expected) == 0, "%s: expected %s, found %s", name, expected, found != NULL ? found : "none");
}

static uint64_t store_bad(const char *headers, const char *body)
{
	return rig_publish(&rig, INTENT "explode", headers, body);
}

static void expect_arrives(uint64_t seq, const char *code, const char *body)
{
	struct leat_msg msg;
	find_dead(seq, &msg);
	expect_header(&msg, "Leat-Error-Code", code);
	expect_header(&msg, "Leat-Origin-Stream", "LEAT_ENTITY");
	cr_assert(msg.data_bytes == strlen(body) && memcmp(msg.data, body, msg.data_bytes) == 0, "another body: %.*s", (int)msg.data_bytes, msg.data);
	leat_msg_free(&msg);
}

/* ---- whatever it carries ---- */

Test(dead_letter, headers_that_would_make_a_publish_fail_are_left_behind)
{
	char last_sequence[64];
	uint64_t seq = store_bad("Nats-Expected-Stream: LEAT_ENTITY\r\nMine: 1\r\n", "{\"n\":1}");
	expect_arrives(seq, "unknown_verb", "{\"n\":1}");
	snprintf(last_sequence, sizeof last_sequence, "Nats-Expected-Last-Sequence: %" PRIu64 "\r\nMine: 1\r\n", seq);
	seq = store_bad(last_sequence, "{\"n\":2}");
	expect_arrives(seq, "unknown_verb", "{\"n\":2}");
	expect_arrives(store_bad("Nats-Msg-Id: one\r\n", "{\"n\":3}"), "unknown_verb", "{\"n\":3}");
	load_wait_dead(&rig, 3, REPLY_LIMIT_S);

	struct leat_msg msg;
	find_dead(seq, &msg);
	expect_header(&msg, "Mine", "1");
	expect_header(&msg, "Leat-Origin-Subject", INTENT "explode");
	cr_assert_str_eq(msg.subject, DEAD "explode");
	cr_assert_null(leat_msg_header(&msg, "Nats-Expected-Last-Sequence"));
	leat_msg_free(&msg);
}

/* The stream has to be told first to take such messages at all. */
static bool stores_rollup(void *seq)
{
	static const char body[] = "{\"rolled\":\"up\"}";
	struct leat_outgoing message = {.subject = INTENT "rollup", .headers = "Nats-Rollup: sub\r\n", .data = body, .data_bytes = strlen(body)};
	if (leat_bus_store(rig_bus(&rig), &message, 1) != LEAT_OK)
		return false;
	*(uint64_t *)seq = message.seq;
	return true;
}

Test(dead_letter, a_rollup_rolls_nothing_up_in_the_dead_letters)
{
	static const char config[] =
		"{\"name\":\"LEAT_ENTITY\",\"subjects\":[\"leat.intent.*.*.entity.*\",\"leat.redrive.*.*.entity.*\"],\"retention\":\"limits\","
		"\"storage\":\"file\",\"discard\":\"old\",\"max_age\":604800000000000,\"duplicate_window\":100000000,\"num_replicas\":1,"
		"\"max_consumers\":-1,\"max_msgs\":-1,\"max_bytes\":-1,\"max_msg_size\":-1,\"max_msgs_per_subject\":-1,\"allow_rollup_hdrs\":true}";
	struct leat_error err;
	uint64_t seq = 0;
	cr_assert_eq(leat_bus_publish(rig_bus(&rig), "$JS.API.STREAM.UPDATE.LEAT_ENTITY", NULL, config, strlen(config), &err), LEAT_OK, "%s", err.text);
	cr_assert(rig_wait_until(stores_rollup, &seq, 30), "the stream takes no rollup");
	expect_arrives(seq, "unknown_verb", "{\"rolled\":\"up\"}");
}

Test(dead_letter, a_reply_address_that_is_not_ones_own_is_a_fault_like_any_other)
{
	static const char *const targets[] = {"leat.reply." RIG_TENANT_A ".>", "leat.reply." RIG_TENANT_A ".*.x", "*", "leat.reply." RIG_TENANT_B ".x",
		"leat.dead." RIG_TENANT_A ".entity.merge"};
	static const char body[] = "{" ID ",\"content\":{\"n\":1}}";
	for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
		char header[160];
		struct leat_msg msg;
		snprintf(header, sizeof header, "Leat-Reply-To: %s\r\n", targets[i]);
		uint64_t seq = rig_publish(&rig, INTENT "merge", header, body);
		expect_arrives(seq, "invalid_message", body);
		find_dead(seq, &msg);
		expect_header(&msg, "Leat-Reply-To", targets[i]);
		leat_msg_free(&msg);
	}
}

Test(dead_letter, a_body_with_no_room_for_the_headers_is_left_out)
{
	size_t bytes = leat_bus_max_payload(rig_bus(&rig)) - 150;
	char *body = leat_alloc(bytes + 1);
	memset(body, ' ', bytes);
	body[bytes] = '\0';
	uint64_t seq = rig_publish(&rig, INTENT "merge", "Mine: 1\r\n", body);
	free(body);
	struct leat_msg msg;
	char expected[32];
	find_dead(seq, &msg);
	snprintf(expected, sizeof expected, "%zu", bytes);
	expect_header(&msg, "Leat-Body-Omitted", expected);
	expect_header(&msg, "Leat-Error-Code", "too_large");
	expect_header(&msg, "Mine", "1");
	cr_assert_eq(msg.data_bytes, 0);
	leat_msg_free(&msg);
}

Test(dead_letter, headers_over_the_limit_of_a_stream_are_left_out)
{
	char *headers = leat_alloc(65300 + 1);
	int start = snprintf(headers, 65301, "Mine: ");
	memset(headers + start, 'x', 65300 - (size_t)start);
	memcpy(headers + 65298, "\r\n", 3);
	uint64_t seq = store_bad(headers, "{\"n\":1}");
	free(headers);
	expect_arrives(seq, "unknown_verb", "{\"n\":1}");
	struct leat_msg msg;
	find_dead(seq, &msg);
	cr_assert_not_null(leat_msg_header(&msg, "Leat-Headers-Omitted"));
	cr_assert_null(leat_msg_header(&msg, "Mine"));
	leat_msg_free(&msg);
}

/* ---- replies in the outbox ---- */

/* Publishes one row with that subject. The seq of the row, 1, is in *sent or not. */
static enum leat_kind publish_row(const char *subject, struct leat_pg_array *sent, struct leat_pg_array *refused)
{
	struct leat_pg *pg;
	struct leat_error err;
	LEAT_PG_RESULT_SCOPED *rows = NULL;
	char sql[256];
	snprintf(sql, sizeof sql, "select 1, gen_random_uuid(), '%s', ''::bytea, 'body'::bytea, null::bytea", subject);
	cr_assert_eq(leat_pg_open(&pg, rig.database_url, "test", NULL, 0, &err), LEAT_OK, "%s", err.text);
	cr_assert_eq(leat_pg_run_sql(pg, sql, &rows, &err), LEAT_OK, "%s", err.text);
	leat_pg_array_start(sent, LEAT_PG_INT8);
	leat_pg_array_start(refused, LEAT_PG_INT8);
	enum leat_kind kind = leat_outbox_publish(rig_bus(&rig), rows, sent, refused, &err);
	leat_pg_close(pg);
	return kind;
}

Test(dead_letter, a_reply_that_the_server_has_not_read_is_not_out)
{
	struct leat_pg_array sent = {0};
	struct leat_pg_array refused = {0};
	leat_server_pause(&rig.nats);
	enum leat_kind kind = publish_row("leat.reply." RIG_TENANT_A ".x", &sent, &refused);
	leat_server_resume(&rig.nats);
	cr_expect_eq(kind, LEAT_TEMPORARY);
	cr_expect(sent.count == 0 && refused.count == 0, "%u sent, %u refused", sent.count, refused.count);
	leat_pg_array_free(&sent);
	leat_pg_array_free(&refused);
}

Test(dead_letter, a_reply_that_can_never_go_out_is_dropped)
{
	struct leat_pg_array sent = {0};
	struct leat_pg_array refused = {0};
	cr_expect_eq(publish_row("leat.reply." RIG_TENANT_A ".a b", &sent, &refused), LEAT_OK);
	cr_expect(sent.count == 1 && refused.count == 0, "%u sent, %u refused", sent.count, refused.count);
	leat_pg_array_free(&sent);
	leat_pg_array_free(&refused);
}

/* ---- bad ones among good ones ---- */

struct bad {
	const char *subject;
	const char *headers;
	const char *body; /* NULL: made by make_large */
	const char *code;
};

static const struct bad bads[] = {
	{INTENT "merge", NULL, "", "invalid_json"},
	{INTENT "merge", NULL, "{" ID ",", "invalid_json"},
	{INTENT "merge", NULL, "{" ID ",\"content\":{\"a\":\"\xff\"}}", "invalid_json"},
	{INTENT "merge", NULL, "[]", "invalid_message"},
	{INTENT "merge", NULL, "{" ID ",\"contents\":{}}", "invalid_message"},
	{INTENT "merge", NULL, "{\"content\":{\"a\":1}}", "invalid_message"},
	{INTENT "merge", NULL, "{" ID ",\"content\":[1]}", "invalid_message"},
	{INTENT "merge", NULL, "{" ID ",\"content\":{\"a\":1,\"a\":2}}", "invalid_message"},
	{INTENT "merge", NULL, "{" ID ",\"content\":{\"a\":\"\\u0000\"}}", "invalid_message"},
	{INTENT "merge", NULL, "{" ID ",\"content\":{\"a\":1e400000}}", "invalid_message"},
	{INTENT "unset", NULL, "{" ID "}", "invalid_message"},
	{INTENT "bulk", NULL, "{\"entity_ids\":[]}", "invalid_message"},
	{INTENT "merge", "Leat-Id: \r\n", "{" ID ",\"content\":{\"a\":1}}", "invalid_message"},
	{"leat.intent." RIG_TENANT_A ".nobody.entity.merge", NULL, "{" ID ",\"content\":{\"a\":1}}", "invalid_message"},
	{INTENT "explode", NULL, "{}", "unknown_verb"},
	{"leat.redrive." RIG_TENANT_A ".service.entity.merge", NULL, "{" ID "}", "unknown_verb"},
	{"leat.intent.nobody.service.entity.merge", NULL, "{" ID "}", NULL},
	{INTENT "merge", NULL, NULL, "too_large"},
	{INTENT "merge", NULL, "{\"entity_id\":\"dddddddd-0000-4000-8000-000000000000\",\"content\":{\"a\":1}}", "not_found"},
	{INTENT "bulk", NULL, "{\"entity_ids\":[\"dddddddd-0000-4000-8000-000000000000\"],\"content\":{\"a\":1}}", "not_found"},
	{INTENT "merge", NULL, "{\"entity_id\":\"eeeeeeee-0000-4000-8000-000000000063\",\"content\":{\"a\":1}}", "deleted"},
};
#define BADS (sizeof bads / sizeof *bads)

static const char *large_body(void)
{
	static char body[8192];
	if (body[0] == '\0') {
		size_t used = (size_t)snprintf(body, sizeof body, "{" ID ",\"content\":{\"deep\":");
		memset(body + used, '[', 100);
		memset(body + used + 100, ']', 100);
		snprintf(body + used + 200, sizeof body - used - 200, "}}");
	}
	return body;
}

static const char *body_of(const struct bad *bad)
{
	return bad->body != NULL ? bad->body : large_body();
}

static void add_bad(struct load *load, size_t number)
{
	const struct bad *bad = &bads[number % BADS];
	char headers[128];
	snprintf(headers, sizeof headers, "Test-Number: %zu\r\n%s", number, bad->headers != NULL ? bad->headers : "");
	load_add(load, bad->subject, headers, body_of(bad), strlen(body_of(bad)));
}

static void add_good(struct load *load, const char *field, size_t number)
{
	char id[37];
	load_entity(id, 2 + number % (DELETED - 2));
	load_add_intent(load, RIG_TENANT_A, "entity.merge", "Leat-Actor: good\r\n", "{\"entity_id\":\"%s\",\"content\":{\"%s\":%zu}}", id, field, number);
}

/* A second, on a machine that may be busy with other tests: then the good ones alone take longer too. */
static void expect_no_delay(int64_t alone_ms, int64_t among_ms)
{
	cr_assert_leq(among_ms, 3 * alone_ms + 1000, "%" PRId64 " ms among bad ones, %" PRId64 " ms alone", among_ms, alone_ms);
}

/* Good ones, and after every tenth of them a bad one; returns the longest time from storing to settling of a good one, in ms. */
static int64_t run(const char *field, size_t good, size_t bad)
{
	struct load load = {0};
	int64_t before = rig_sql_int(&rig, "select count(*) from leat.activity");
	for (size_t i = 0; i < good; i++) {
		add_good(&load, field, i);
		if (i % 10 == 9 && i / 10 < bad)
			add_bad(&load, i / 10);
	}
	load_store(&rig, &load);
	load_wait_settled(&rig, before + (int64_t)load.count, 120);
	load_free(&load);
	return rig_sql_int(&rig,
		"select coalesce(max(extract(epoch from at - message_at) * 1000), 0)::bigint from leat.activity"
		" where actor = 'good' and position > %" PRId64, before);
}

static void expect_good_applied(const char *field, size_t good)
{
	cr_assert_eq(rig_sql_int(&rig, "select count(*) from leat.activity where actor = 'good' and outcome <> 'applied'"), 0);
	cr_assert_eq(rig_sql_int(&rig, "select max((content ->> '%s')::int) from leat.entities", field), (int64_t)good - 1);
	cr_assert_eq(rig_sql_int(&rig, "select count(*) from leat.entities where content ? '%s'", field), DELETED - 2);
}

static void expect_one_dead_letter_each(size_t count)
{
	bool *seen = leat_alloc_zero(count, sizeof *seen);
	for (uint64_t seq = 1; seq <= count; seq++) {
		struct leat_msg msg;
		struct leat_error err;
		cr_assert_eq(leat_stream_get_next(rig_bus(&rig), "LEAT_DEAD", "leat.dead.>", &seq, &msg, &err), LEAT_OK, "%s", err.text);
		const char *number = leat_msg_header(&msg, "Test-Number");
		cr_assert_not_null(number, "a dead letter of something else: %s", msg.subject);
		size_t at = strtoull(number, NULL, 10);
		cr_assert(at < count && !seen[at], "bad message %zu has two dead letters", at);
		seen[at] = true;

		const struct bad *bad = &bads[at % BADS];
		const char *body = body_of(bad);
		const char *code = leat_msg_header(&msg, "Leat-Error-Code");
		cr_assert_not_null(code);
		if (bad->code != NULL)
			cr_assert_str_eq(code, bad->code, "%s %s", bad->subject, body);
		else
			cr_assert_str_eq(msg.subject, "leat.dead.unroutable");
		cr_assert(msg.data_bytes == strlen(body) && memcmp(msg.data, body, msg.data_bytes) == 0, "another body than %s", body);
		expect_header(&msg, "Leat-Origin-Subject", bad->subject);
		leat_msg_free(&msg);
	}
	free(seen);
}

Test(dead_letter, bad_messages_cost_the_good_ones_nothing)
{
	size_t good = (size_t)rig_size(2000, 10000);
	size_t bad = good / 10;
	int64_t alone_ms = run("alone", good, 0);
	int64_t among_ms = run("among", good, bad);
	expect_good_applied("alone", good);
	expect_good_applied("among", good);
	load_wait_dead(&rig, (int64_t)bad, 60);
	expect_one_dead_letter_each(bad);
	expect_no_delay(alone_ms, among_ms);
}

Test(dead_letter, merges_into_nothing_are_not_found_and_delay_nobody)
{
	const size_t absent = 1000;
	struct load load = {0};
	int64_t alone_ms = run("alone", absent, 0);
	int64_t before = rig_sql_int(&rig, "select count(*) from leat.activity");
	for (size_t i = 0; i < absent; i++) {
		load_add_intent(&load, RIG_TENANT_A, "entity.merge", NULL, "{\"entity_id\":\"dddddddd-0000-4000-8000-%012zu\",\"content\":{\"a\":1}}", i);
		add_good(&load, "among", i);
	}
	load_store(&rig, &load);
	load_wait_settled(&rig, before + (int64_t)load.count, 30);
	load_free(&load);
	int64_t among_ms = rig_sql_int(&rig,
		"select max(extract(epoch from at - message_at) * 1000)::bigint from leat.activity where actor = 'good' and position > %" PRId64, before);
	expect_good_applied("among", absent);
	cr_assert_eq(rig_sql_int(&rig, "select count(*) from leat.activity where outcome = 'rejected' and code = 'not_found'"), (int64_t)absent);
	load_wait_dead(&rig, (int64_t)absent, 30);
	expect_no_delay(alone_ms, among_ms);
}

/* ---- what Postgres alone refuses ---- */

/* A rule that somebody else put on the table: the decoder can't know of it. */
static void refuse_magic(void)
{
	rig_sql(&rig,
		"create function public.refuse() returns trigger language plpgsql as $$"
		" begin if new.content ? 'magic' then raise exception 'no magic here'; end if; return new; end $$;"
		"create trigger refuse before insert or update on leat.entities for each row execute function public.refuse()");
}

Test(dead_letter, what_postgres_refuses_is_internal_and_takes_nobody_along)
{
	static const char body[] = "{" ID ",\"content\":{\"magic\":1}}";
	const size_t good = (size_t)rig_size(1000, 10000);
	const int64_t bad = 5;
	struct load load = {0};
	int64_t before = rig_sql_int(&rig, "select count(*) from leat.activity");
	refuse_magic();
	for (size_t i = 0; i < good; i++) {
		add_good(&load, "n", i);
		if (i % (good / (size_t)bad) == 7)
			load_add(&load, INTENT "merge", "Mine: 1\r\n", body, strlen(body));
	}
	load_store(&rig, &load);
	load_wait_settled(&rig, before + (int64_t)load.count, 60);
	expect_good_applied("n", good);
	load_wait_dead(&rig, bad, 60);
	for (size_t i = 0; i < load.count; i++) {
		struct leat_msg msg;
		if (load.messages[i].data_bytes != strlen(body) || memcmp(load.messages[i].data, body, strlen(body)) != 0)
			continue;
		expect_arrives(load.messages[i].seq, "internal", body);
		find_dead(load.messages[i].seq, &msg);
		expect_header(&msg, "Mine", "1");
		cr_assert(strstr(leat_msg_header(&msg, "Leat-Error"), "no magic here") != NULL);
		leat_msg_free(&msg);
	}
	cr_assert_eq(rig_sql_int(&rig, "select count(*) from leat.activity where code = 'internal'"), bad);
	load_free(&load);
}
