/* Bad messages among good ones: each gets its dead letter, and no good one suffers or waits. */
#include "dead_letter_fixture.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(dead_letter_batch, .init = setup, .fini = teardown);

struct bad {
	const char *subject;
	const char *headers;
	const char *body; /* NULL: the one of large_body */
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
	{"leat.redrive." RIG_TENANT_A ".service.entity.merge", NULL, "{" ID ",\"content\":{\"a\":1}}", "invalid_message"},
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
	load_add_intent(
		load, RIG_TENANT_A, "entity.merge", "Leat-Actor: good\r\n", "{\"entity_id\":\"%s\",\"content\":{\"%s\":%zu}}", id, field, number);
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
		" where actor = 'good' and position > %" PRId64,
		before);
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
		expect_body(&msg, body);
		expect_header(&msg, "Leat-Origin-Subject", bad->subject);
		leat_msg_free(&msg);
	}
	free(seen);
}

Test(dead_letter_batch, bad_messages_cost_the_good_ones_nothing)
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

Test(dead_letter_batch, merges_into_nothing_are_not_found_and_delay_nobody)
{
	const size_t absent = 1000;
	struct load load = {0};
	int64_t alone_ms = run("alone", absent, 0);
	int64_t before = rig_sql_int(&rig, "select count(*) from leat.activity");
	for (size_t i = 0; i < absent; i++) {
		load_add_intent(
			&load, RIG_TENANT_A, "entity.merge", NULL, "{\"entity_id\":\"dddddddd-0000-4000-8000-%012zu\",\"content\":{\"a\":1}}", i);
		add_good(&load, "among", i);
	}
	load_store(&rig, &load);
	load_wait_settled(&rig, before + (int64_t)load.count, 30);
	load_free(&load);
	int64_t among_ms = rig_sql_int(&rig,
		"select max(extract(epoch from at - message_at) * 1000)::bigint from leat.activity where actor = 'good' and position > %" PRId64,
		before);
	expect_good_applied("among", absent);
	cr_assert_eq(
		rig_sql_int(&rig, "select count(*) from leat.activity where outcome = 'rejected' and code = 'not_found'"), (int64_t)absent);
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

Test(dead_letter_batch, what_postgres_refuses_is_internal_and_takes_nobody_along)
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
