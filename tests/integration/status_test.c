/* `leat status`: what it counts, what it calls a problem, and that each server's part is told without the other. */
#include "leat/clock.h"
#include "saying.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOWHERE_NATS "nats://127.0.0.1:1"
#define NOWHERE_POSTGRES "postgresql://127.0.0.1:1/none"

static struct rig rig;
static json_t *report;

static void setup(void)
{
	rig_open(&rig);
	rig_migrate(&rig);
}

static void teardown(void)
{
	json_decref(report);
	report = NULL;
	rig_close(&rig);
}

TestSuite(status, .init = setup, .fini = teardown);

/* ---- asking ---- */

/* `leat status --json` into `report`. Returns the exit status. */
static int ask(void)
{
	int status = rig_run(&rig, "status", 60, RIG_ARGS("status", "--json", "--process-heartbeat-ms", "1000"));
	char *output = rig_output(&rig, "status");
	json_error_t error;
	json_decref(report);
	report = json_loads(output, 0, &error);
	cr_assert_not_null(report, "%s: %s", error.text, output);
	cr_assert_eq(status == 0, json_is_true(json_object_get(report, "healthy")), "%s", output);
	free(output);
	return status;
}

/* The value under these names, one below the other, up to NULL; a number is an index. */
static json_t *part(const char *first, ...)
{
	va_list names;
	json_t *value = json_object_get(report, first);
	va_start(names, first);
	for (const char *name; (name = va_arg(names, const char *)) != NULL;)
		value = json_is_array(value) ? json_array_get(value, strtoul(name, NULL, 10)) : json_object_get(value, name);
	va_end(names);
	cr_assert_not_null(value, "under %s there is something missing", first);
	return value;
}

#define NUMBER(...) json_integer_value(part(__VA_ARGS__, NULL))
#define TEXT(...) json_string_value(part(__VA_ARGS__, NULL))

static bool is_healthy(void *wanted)
{
	return (ask() == 0) == *(const bool *)wanted;
}

static void wait_until_healthy(bool wanted)
{
	cr_assert(rig_wait_until(is_healthy, &wanted, 60), "it never became %s", wanted ? "healthy" : "unhealthy");
}

static struct leat_child *start_consumer(void)
{
	return rig_start(&rig, "consume", RIG_ARGS("consume", "--process-heartbeat-ms", "1000"));
}

static void expect_problem(const char *text)
{
	size_t i;
	json_t *problem;
	json_array_foreach(part("problems", NULL), i, problem)
	{
		if (strstr(json_string_value(problem), text) != NULL)
			return;
	}
	cr_assert_fail("no problem says: %s", text);
}

/* ---- health ---- */

Test(status, with_a_consumer_all_is_well)
{
	start_consumer();
	wait_until_healthy(true);
	cr_expect_eq(json_array_size(part("problems", NULL)), 0);
	cr_expect_eq(json_array_size(part("nats", "streams", NULL)), 6);
	cr_expect_str_eq(TEXT("postgres", "processes", "0", "queue_group"), "leat");
	cr_expect_not_null(TEXT("postgres", "processes", "0", "lanes", "entity", "state"));
	cr_expect(json_is_true(part("postgres", "processes", "0", "alive", NULL)));
	say_run(&rig, "quiet", 0, RIG_ARGS("status", "--quiet"));
	char *output = rig_output(&rig, "quiet");
	cr_expect_str_eq(output, "");
	free(output);
}

Test(status, without_a_consumer_it_ends_with_1_and_says_why)
{
	cr_expect_eq(ask(), 1);
	expect_problem("no consumer of queue group leat was seen");
	say_run(&rig, "quiet", 1, RIG_ARGS("status", "--quiet"));
	say_expect(&rig, "quiet", "no consumer of queue group leat was seen within 3 heartbeats");
}

Test(status, a_state_that_changed_is_told_before_the_next_heartbeat)
{
	static const char state[] = "select coalesce(min(lanes #>> '{entity,state}'), '') from leat.processes";
	rig_delete_stream(&rig, "LEAT_ENTITY");
	rig_start(&rig, "consume", RIG_ARGS("consume", "--process-heartbeat-ms", "60000"));
	rig_sql_wait(&rig, 30, "waiting for the stream (run leat migrate)", "%s", state);
	rig_migrate(&rig);
	rig_sql_wait(&rig, 30, "working", "%s", state);
}

Test(status, a_consumer_of_another_group_is_shown_and_does_not_count)
{
	rig_start(&rig, "consume", RIG_ARGS("consume", "--queue-group", "other"));
	rig_sql_wait(&rig, 30, "1", "select count(*) from leat.processes");
	cr_expect_eq(ask(), 1);
	cr_expect_str_eq(TEXT("postgres", "processes", "0", "queue_group"), "other");
	say_run(&rig, "of-other", 0, RIG_ARGS("status", "--queue-group", "other"));
}

Test(status, a_consumer_that_was_killed_is_missed_after_three_heartbeats)
{
	struct leat_child *consumer = start_consumer();
	wait_until_healthy(true);
	leat_child_stop(consumer, SIGKILL, 0);
	wait_until_healthy(false);
	cr_expect_geq(NUMBER("postgres", "processes", "0", "seen_ms"), 3000);
	cr_expect(json_is_false(part("postgres", "processes", "0", "alive", NULL)));
}

Test(status, a_consumer_that_was_stopped_is_forgotten_at_once)
{
	struct leat_child *consumer = start_consumer();
	wait_until_healthy(true);
	cr_assert_eq(leat_child_stop(consumer, SIGTERM, 15000), 0);
	cr_expect_eq(ask(), 1);
	cr_expect_eq(json_array_size(part("postgres", "processes", NULL)), 0);
}

Test(status, without_nats_the_part_of_postgres_is_shown)
{
	start_consumer();
	wait_until_healthy(true);
	say_run(&rig, "tables", 1, RIG_ARGS("status", "--nats-url", NOWHERE_NATS));
	say_expect(&rig, "tables", "NATS          NOT REACHABLE");
	say_expect(&rig, "tables", "Postgres      reachable, version 15");
	say_expect(&rig, "tables", "entity");
	say_expect(&rig, "tables", "PROBLEM: NATS: connecting to nats-server at " NOWHERE_NATS ": ");
	say_expect_not(&rig, "tables", "no consumer");
}

Test(status, without_postgres_the_part_of_nats_is_shown)
{
	say_run(&rig, "tables", 1, RIG_ARGS("status", "--database-url", NOWHERE_POSTGRES));
	say_expect(&rig, "tables", "NATS          reachable, version 2.");
	say_expect(&rig, "tables", "Postgres      NOT REACHABLE");
	say_expect(&rig, "tables", "LEAT_ENTITY");
	say_expect(&rig, "tables", "PROBLEM: Postgres: ");
}

Test(status, a_server_that_answers_nothing_is_as_good_as_down)
{
	struct rig own;
	rig_open_alone(&own);
	leat_server_pause(&own.postgres);
	leat_server_pause(&own.nats);
	say_run(&own, "tables", 1, RIG_ARGS("status"));
	say_expect(&own, "tables", "NATS          NOT REACHABLE");
	say_expect(&own, "tables", "Postgres      NOT REACHABLE");
	rig_close(&own);
}

Test(status, before_the_first_migration_it_says_what_to_run)
{
	struct rig bare;
	rig_open(&bare);
	say_run(&bare, "tables", 1, RIG_ARGS("status"));
	say_expect(&bare, "tables", "there is no stream LEAT_ENTITY; run `leat migrate`");
	say_expect(&bare, "tables", "is the schema up to date? run `leat migrate`");
	rig_close(&bare);
}

/* ---- counts ---- */

Test(status, what_waits_in_the_stream_is_the_consumers_lag)
{
	struct leat_child *consumer = start_consumer();
	rig_intent(&rig, RIG_TENANT_A, "entity.upsert", NULL, "{\"entity_type\":\"t\",\"key\":\"1\"}");
	rig_sql_wait(&rig, 30, "1", "select count(*) from leat.activity");
	leat_child_stop(consumer, SIGTERM, 15000);
	for (int i = 0; i < 5; i++)
		rig_intent(&rig, RIG_TENANT_A, "entity.upsert", NULL, "{\"entity_type\":\"t\",\"key\":\"1\"}");
	cr_expect_eq(ask(), 1);
	cr_expect_str_eq(TEXT("nats", "lanes", "0", "durable"), "leat-entity");
	cr_expect_eq(NUMBER("nats", "lanes", "0", "pending"), 5);
	cr_expect_eq(NUMBER("nats", "lanes", "0", "in_flight"), 0);
	cr_expect_eq(NUMBER("nats", "lanes", "0", "floor_seq"), 1);
	cr_expect_str_eq(TEXT("nats", "streams", "0", "name"), "LEAT_ENTITY");
	cr_expect_eq(NUMBER("nats", "streams", "0", "messages"), 6);
	cr_expect_eq(NUMBER("nats", "streams", "0", "last_seq"), 6);
}

static bool has_applied(void *wanted)
{
	return ask() == 0 && NUMBER("postgres", "processes", "0", "lanes", "entity", "applied") == *(const json_int_t *)wanted;
}

Test(status, a_consumer_tells_what_it_applied)
{
	json_int_t wanted = 3;
	start_consumer();
	for (json_int_t i = 0; i < wanted; i++)
		rig_intent(&rig, RIG_TENANT_A, "entity.upsert", NULL, "{\"entity_type\":\"t\",\"key\":\"1\"}");
	cr_expect(rig_wait_until(has_applied, &wanted, 60));
}

Test(status, what_waits_in_the_database_is_counted)
{
	rig_sql(&rig,
		"insert into leat.outbox (subject, body, created_at, retry_at)"
		" select 'leat.dead.x', '', now() - interval '90 seconds', case n when 1 then now() end from generate_series(1, 3) n");
	rig_sql(&rig,
		"insert into leat.parked (stream, position, message_at, subject, tenant_id, role, verb, headers, body)"
		" values ('LEAT_ENTITY', 1, now(), '', '" RIG_TENANT_A "', 'service', 'merge', '', '')");
	ask();
	cr_expect_eq(NUMBER("postgres", "outbox", "waiting"), 3);
	cr_expect_eq(NUMBER("postgres", "outbox", "refused"), 1);
	cr_expect_geq(NUMBER("postgres", "outbox", "oldest_ms"), 90000);
	cr_expect_eq(NUMBER("postgres", "parked"), 1);
	say_run(&rig, "tables", 1, RIG_ARGS("status"));
	say_expect(&rig, "tables", "outbox        3, the oldest for 90 s, 1 refused by NATS\n");
	say_expect(&rig, "tables", "parked        1\n");
}

Test(status, dead_letters_are_counted_by_code)
{
	for (int i = 0; i < 5; i++)
		rig_publish(&rig, "leat.dead.unroutable", i < 3 ? "Leat-Error-Code: not_found\r\n" : "Leat-Error-Code: \x1b[31m\r\n", "");
	ask();
	cr_expect_eq(NUMBER("nats", "dead", "total"), 5);
	cr_expect_eq(NUMBER("nats", "dead", "newest_by_code", "not_found"), 3);
	cr_expect_eq(NUMBER("nats", "dead", "newest_by_code", "\\x1b[31m"), 2);
}

Test(status, how_long_the_oldest_waits_and_how_fast_it_went_are_told)
{
	struct leat_child *consumer = start_consumer();
	for (int i = 0; i < 120; i++)
		rig_intent(&rig, RIG_TENANT_A, "entity.upsert", NULL, "{\"entity_type\":\"t\",\"key\":\"1\"}");
	rig_sql_wait(&rig, 30, "120", "select count(*) from leat.activity");
	leat_child_stop(consumer, SIGTERM, 15000);
	rig_intent(&rig, RIG_TENANT_A, "entity.upsert", NULL, "{\"entity_type\":\"t\",\"key\":\"1\"}");
	int64_t published_ms = leat_clock_ms();
	cr_expect_eq(ask(), 1);
	cr_expect_eq(NUMBER("nats", "lanes", "0", "lag"), 1);
	cr_expect_leq(NUMBER("nats", "lanes", "0", "oldest_ms"), leat_clock_ms() - published_ms + 1000);
	cr_expect_float_eq(json_real_value(part("nats", "lanes", "0", "rate_per_s", NULL)), 2.0, 0.01);
	cr_expect_float_eq(json_real_value(part("nats", "lanes", "1", "rate_per_s", NULL)), 0.0, 0.01);
	cr_expect_gt(NUMBER("postgres", "connections"), 0);
	rig_sql(&rig, "update leat.activity set at = at - interval '1 hour' where position <= 90");
	ask();
	cr_expect_float_eq(json_real_value(part("nats", "lanes", "0", "rate_per_s", NULL)), 0.5, 0.01);
	rig_sql(&rig, "update leat.activity set at = at - interval '1 hour'");
	ask();
	cr_expect_float_eq(json_real_value(part("nats", "lanes", "0", "rate_per_s", NULL)), 0.0, 0.01);
}

Test(status, what_is_settled_is_counted_in_the_newest_epoch_and_across_holes)
{
	rig_sql(&rig,
		"insert into leat.activity (stream, position, outcome, message_at, at)"
		" select 'LEAT_RUN', p, 'applied', now(), now() - case when p < 50 then interval '1 hour' else interval '1 second' end"
		" from generate_series(1, 1000) p where p %% 10 = 0");
	rig_sql_expect(&rig, "951", "select leat.settled_lately('LEAT_RUN', 60)");
	rig_sql(&rig,
		"insert into leat.activity (stream, position, outcome, message_at) select 'LEAT_RUN', 1::bigint << 40 | p, 'applied', now()"
		" from generate_series(1, 7) p");
	rig_sql_expect(&rig, "7", "select leat.settled_lately('LEAT_RUN', 60)");
	rig_sql_expect(&rig, "0", "select leat.settled_lately('LEAT_ENTITY', 60)");
}

/* ---- the terminal ---- */

Test(status, nothing_that_others_wrote_reaches_the_terminal_as_a_command)
{
	rig_sql(&rig,
		"insert into leat.processes (id, queue_group, host, pid, version, lanes) values (gen_random_uuid(), 'leat',"
		" E'\\x1b]0;title\\x07', 1, '1', '{\"entity\": {\"state\": \"\\u001b[2J\\u202e\"}}')");
	rig_publish(&rig, "leat.dead.unroutable", "Leat-Error-Code: \x1b[31m\r\n", "");
	say_run(&rig, "tables", 0, RIG_ARGS("status"));
	say_expect_not(&rig, "tables", "\x1b");
	say_expect_not(&rig, "tables", say_right_to_left);
	say_expect(&rig, "tables", "\\x1b]0;title\\x07/1");
	say_expect(&rig, "tables", "\\x1b[2J\\u202e");
}

static bool was_drawn_twice(void *argument)
{
	(void)argument;
	char *output = rig_output(&rig, "watch");
	bool done = say_count(output, "\n") >= 2;
	free(output);
	return done;
}

Test(status, watching_tells_it_again_and_again)
{
	rig_start(&rig, "watch", RIG_ARGS("status", "--watch", "1", "--json"));
	cr_expect(rig_wait_until(was_drawn_twice, NULL, 30));
}
