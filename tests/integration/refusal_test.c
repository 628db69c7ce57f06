/*
 * What Postgres itself refuses, for a reason that the decoder can't know: a rule that somebody else put on the table. One such message
 * costs the others nothing but time, whether the refusal should pass or is for good, at once or when what was parked is decided.
 */
#include "load.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ENTITIES 20
#define ABSENT "dddddddd-0000-4000-8000-000000000001"
#define REPLIES "leat.reply." RIG_TENANT_A ".test"

static struct rig rig;

static void setup(void)
{
	rig_open(&rig);
	rig_migrate(&rig);
	load_start_consumer(&rig, "consumer", RIG_ARGS("--retry-first-ms", "10", "--retry-limit-ms", "100", "--floor-check-ms", "50"));
	load_store_entities(&rig, RIG_TENANT_A, ENTITIES);
	load_wait_settled(&rig, ENTITIES, 60);
}

static void teardown(void)
{
	rig_close(&rig);
}

TestSuite(refusal, .init = setup, .fini = teardown);

/* ---- the rule ---- */

/* Refuses rows with the field `magic`. The sequence counts how often: a sequence is not rolled back. */
static void refuse_magic(const char *sqlstate)
{
	rig_sql(&rig,
		"create sequence public.tries; grant usage on sequence public.tries to public;"
		"create function public.refuse() returns trigger language plpgsql as $$ begin"
		" if new.content ? 'magic' then"
		"  perform nextval('public.tries'); raise exception using errcode = '%s', message = 'no magic here';"
		" end if;"
		" return new; end $$;"
		"create trigger refuse before insert or update on leat.entities for each row execute function public.refuse()",
		sqlstate);
}

static void allow_magic(void)
{
	rig_sql(&rig, "drop trigger refuse on leat.entities");
}

static void wait_for_more_tries(void)
{
	int64_t so_far = rig_sql_int(&rig, "select last_value from public.tries");
	rig_sql_wait(&rig, 60, "t", "select last_value >= %" PRId64 " from public.tries", so_far + 5);
}

/* ---- the load ---- */

/* One merge into each entity. */
static void add_merges(struct load *load, const char *field)
{
	for (size_t i = 0; i < ENTITIES; i++) {
		char id[37];
		load_entity(id, i);
		load_add_intent(load, RIG_TENANT_A, "entity.merge", NULL, "{\"entity_id\":\"%s\",\"content\":{\"%s\":%zu}}", id, field, i);
	}
}

static void expect_field_everywhere(const char *field)
{
	cr_expect_eq(rig_sql_int(&rig, "select count(*) from leat.entities where content ? '%s'", field), ENTITIES, "%s", field);
}

static void wait_applied(int64_t count)
{
	char expected[32];
	snprintf(expected, sizeof expected, "%" PRId64, count);
	rig_sql_wait(&rig, 60, expected, "select count(*) from leat.activity where outcome = 'applied'");
}

/* ---- should pass ---- */

Test(refusal, one_that_should_pass_and_does_not_is_tried_again_and_holds_up_nobody)
{
	struct load load = {0};
	char id[37];
	load_entity(id, 7);
	refuse_magic("serialization_failure");
	add_merges(&load, "with");
	load_add_intent(&load, RIG_TENANT_A, "entity.merge", "Leat-Id: x\r\n", "{\"entity_id\":\"%s\",\"content\":{\"magic\":1}}", id);
	add_merges(&load, "behind");
	load_store(&rig, &load);
	load_free(&load);
	wait_applied(3 * ENTITIES);
	wait_for_more_tries();
	add_merges(&load, "later");
	load_store(&rig, &load);
	load_free(&load);
	wait_applied(4 * ENTITIES);
	expect_field_everywhere("with");
	expect_field_everywhere("behind");
	expect_field_everywhere("later");
	wait_for_more_tries();
	rig_sql_expect(&rig, "0 0 0",
		"select concat_ws(' ', (select count(*) from leat.activity where outcome <> 'applied'), (select count(*) from leat.message_ids),"
		" (select count(*) from leat.outbox))");
	cr_expect_eq(load_dead_count(&rig), 0);

	allow_magic();
	load_wait_settled(&rig, 4 * ENTITIES + 1, 60);
	rig_sql_expect(&rig, "1 applied", "select concat_ws(' ', count(*), max(outcome)) from leat.activity where leat_id = 'x'");
	rig_sql_expect(&rig, "1", "select content -> 'magic' from leat.entities where id = '%s'", id);
	cr_expect_eq(load_dead_count(&rig), 0);
}

Test(refusal, one_that_does_not_pass_for_a_while_overwrites_nothing_newer)
{
	struct load load = {0};
	char id[37];
	load_entity(id, 7);
	refuse_magic("deadlock_detected");
	load_add_intent(&load, RIG_TENANT_A, "entity.merge", NULL, "{\"entity_id\":\"%s\",\"content\":{\"magic\":1,\"a\":1}}", id);
	load_add_intent(&load, RIG_TENANT_A, "entity.merge", NULL, "{\"entity_id\":\"%s\",\"content\":{\"a\":2}}", id);
	load_store(&rig, &load);
	load_free(&load);
	wait_applied(ENTITIES + 1);
	wait_for_more_tries();
	allow_magic();
	load_wait_settled(&rig, ENTITIES + 2, 60);
	rig_sql_expect(&rig, "{\"a\": 2, \"magic\": 1}", "select content from leat.entities where id = '%s'", id);
}

/* ---- for good, when what was parked is decided ---- */

/* To an entity that is there, and to one that is not: so it waits for the floor. */
static void add_waiting(struct load *load, size_t entity, const char *headers, const char *field)
{
	char id[37];
	load_entity(id, entity);
	load_add_intent(
		load, RIG_TENANT_A, "entity.bulk", headers, "{\"entity_ids\":[\"%s\",\"" ABSENT "\"],\"content\":{\"%s\":%zu}}", id, field, entity);
}

static void expect_header(const struct leat_msg *msg, const char *name, const char *expected)
{
	const char *found = leat_msg_header(msg, name);
	cr_expect(
		found != NULL && strstr(found, expected) != NULL, "%s: expected %s, found %s", name, expected, found != NULL ? found : "none");
}

/* *seq: where to look from; then behind it. */
static void expect_internal_dead_letter(uint64_t *seq, const struct leat_outgoing *refused)
{
	struct leat_msg msg;
	struct leat_error err;
	char origin[24];
	snprintf(origin, sizeof origin, "%" PRIu64, refused->seq);
	cr_assert_eq(leat_stream_get_next(rig_bus(&rig), "LEAT_DEAD", "leat.dead." RIG_TENANT_A ".entity.bulk", seq, &msg, &err), LEAT_OK, "%s",
		err.text);
	++*seq;
	expect_header(&msg, "Leat-Error-Code", "internal");
	expect_header(&msg, "Leat-Error", "no magic here");
	expect_header(&msg, "Leat-Origin-Seq", origin);
	expect_header(&msg, "Mine", "1");
	cr_expect(msg.data_bytes == refused->data_bytes && memcmp(msg.data, refused->data, msg.data_bytes) == 0, "another body");
	leat_msg_free(&msg);
}

static void expect_reply(struct leat_inbox *inbox, const char *expected)
{
	struct leat_msg msg;
	struct leat_error err;
	cr_assert_eq(leat_inbox_next(inbox, 30000, &msg, &err), LEAT_OK, "no reply: %s", err.text);
	char text[1024];
	snprintf(text, sizeof text, "%.*s", (int)msg.data_bytes, msg.data);
	leat_msg_free(&msg);
	cr_expect(strstr(text, expected) != NULL, "expected %s, found %s", expected, text);
}

Test(refusal, parked_ones_refused_for_good_are_internal_and_those_around_them_are_decided)
{
	struct load load = {0};
	size_t refused[ENTITIES];
	size_t refusals = 0;
	struct leat_inbox *inbox = NULL;
	struct leat_error err;
	cr_assert_eq(leat_inbox_open(&inbox, rig_bus(&rig), REPLIES, &err), LEAT_OK, "%s", err.text);
	refuse_magic("raise_exception");
	for (size_t i = 0; i < ENTITIES; i++) {
		add_waiting(&load, i, NULL, "n");
		load_add_intent(&load, RIG_TENANT_A, "entity.merge", NULL, "{\"entity_id\":\"" ABSENT "\",\"content\":{\"n\":%zu}}", i);
		if (i % 6 != 4)
			continue;
		refused[refusals++] = load.count;
		add_waiting(&load, i, "Leat-Id: x\r\nMine: 1\r\nLeat-Reply-To: " REPLIES "\r\n", "magic");
	}
	load_store(&rig, &load);
	load_wait_settled(&rig, ENTITIES + (int64_t)load.count, 60);

	rig_sql_expect(&rig, "bulk applied 20, bulk rejected internal 3, merge rejected not_found 20",
		"select string_agg(concat_ws(' ', verb, outcome, code, n), ', ' order by verb, outcome) from (select verb, outcome, code, count(*)"
		" from leat.activity where verb <> 'upsert' group by verb, outcome, code) every (verb, outcome, code, n)");
	rig_sql_expect(&rig, "{\"missing\": [\"" ABSENT "\"], \"entities\": 2}",
		"select string_agg(distinct detail::text, ', ') from leat.activity where outcome = 'applied' and verb = 'bulk'");
	expect_field_everywhere("n");
	cr_expect_eq(rig_sql_int(&rig, "select count(*) from leat.entities where content ? 'magic'"), 0);
	cr_expect_eq(rig_sql_int(&rig, "select count(*) from leat.message_ids"), 0, "only what is applied uses a Leat-Id up");
	load_wait_dead(&rig, (int64_t)refusals + ENTITIES, 30);
	uint64_t seq = 1;
	for (size_t i = 0; i < refusals; i++) {
		expect_internal_dead_letter(&seq, &load.messages[refused[i]]);
		expect_reply(inbox, "\"code\":\"internal\"");
	}
	leat_inbox_close(inbox);
	load_free(&load);
}

Test(refusal, a_parked_one_that_should_pass_and_does_not_holds_up_nobody)
{
	struct load load = {0};
	refuse_magic("serialization_failure");
	for (size_t i = 0; i < ENTITIES; i++) {
		add_waiting(&load, i, NULL, "n");
		if (i == 4)
			add_waiting(&load, i, "Leat-Id: x\r\n", "magic");
	}
	load_store(&rig, &load);
	load_free(&load);
	wait_applied(2 * ENTITIES);
	rig_sql_wait(&rig, 60, "1", "select count(*) from leat.parked where retry_at > now()");
	allow_magic();
	rig_sql(&rig, "update leat.parked set retry_at = now()"); /* the minute is over */
	load_wait_settled(&rig, 2 * ENTITIES + 1, 60);
	cr_expect_eq(load_dead_count(&rig), 0);
}
