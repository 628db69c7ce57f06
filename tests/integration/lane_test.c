/*
 * The life and death of a consumer process: what it gives back at SIGTERM, what remains after SIGKILL between any two steps, and what it
 * does when its durable or its stream is deleted underneath.
 *
 * The test holds a consumer at a certain step with a row lock: the batch that wants to write the row waits inside Postgres.
 */
#include "load.h"

#include "leat/batch.h"
#include "leat/clock.h"
#include "leat/pg.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define ENTITIES 20
#define REPLIES "leat.reply." RIG_TENANT_A ".test"

static struct rig rig;

static void setup(void)
{
	rig_open(&rig);
	rig_migrate(&rig);
}

static void teardown(void)
{
	rig_close(&rig);
}

TestSuite(lane, .init = setup, .fini = teardown);

static const char *const impatient[] = {
	"--ack-wait-ms", "1000", "--process-heartbeat-ms", "1000", "--idle-heartbeat-ms", "500", "--retry-limit-ms", "500", NULL};

/* ---- steps ---- */

/* Consumer "first" runs, the entities are there. */
static struct leat_child *start_first(const char *const *more)
{
	struct leat_child *first = load_start_consumer(&rig, "first", more);
	load_store_entities(&rig, RIG_TENANT_A, ENTITIES);
	load_wait_settled(&rig, ENTITIES, 60);
	return first;
}

/* The last one that was started works. */
static void wait_for_second(void)
{
	rig_sql_wait(&rig, 60, "t",
		"select count(*) = 2 and (array_agg(lanes #>> '{entity,state}' order by started_at desc))[1] = 'working' from leat.processes");
}

/* One merge into each entity, the first of which nobody can write until unlock_entity. */
static void store_merges(void)
{
	struct load load = {0};
	for (size_t i = 0; i < ENTITIES; i++) {
		char id[37];
		load_entity(id, i);
		load_add_intent(&load, RIG_TENANT_A, "entity.merge", NULL, "{\"entity_id\":\"%s\",\"content\":{\"n\":%zu}}", id, i);
	}
	load_store(&rig, &load);
	load_free(&load);
}

static void lock_entity(void)
{
	char id[37];
	load_entity(id, 0);
	rig_sql(&rig, "begin");
	rig_sql(&rig, "select from leat.entities where id = '%s' for update", id);
}

static void wait_until_blocked(void)
{
	rig_sql_wait(
		&rig, 60, "t", "select exists (select from pg_locks l where not l.granted and pg_backend_pid() = any (pg_blocking_pids(l.pid)))");
}

static void unlock_entity(void)
{
	rig_sql(&rig, "commit");
}

static void expect_each_merge_once(void)
{
	load_wait_settled(&rig, 2 * (int64_t)ENTITIES, 60);
	cr_assert_eq(rig_sql_int(&rig, "select count(*) from leat.activity where verb = 'merge' and outcome = 'applied'"), ENTITIES);
	cr_assert_eq(rig_sql_int(&rig, "select count(*) from leat.audit_log where operation = 'update'"), ENTITIES);
	cr_assert_eq(rig_sql_int(&rig, "select count(*) from leat.entities where content ? 'n'"), ENTITIES);
	cr_assert_eq(load_dead_count(&rig), 0);
}

/* ---- SIGTERM ---- */

Test(lane, sigterm_ends_an_idle_consumer_with_0)
{
	struct leat_child *first = start_first(NULL);
	load_stop_consumer(first);
	cr_assert_eq(rig_sql_int(&rig, "select count(*) from leat.processes"), 0, "it has not signed off");
}

Test(lane, sigterm_gives_back_at_once_what_is_in_hand)
{
	struct leat_child *first = start_first(NULL);
	lock_entity();
	store_merges();
	wait_until_blocked();
	load_start_consumer(&rig, "second", RIG_ARGS("--process-heartbeat-ms", "1000"));
	wait_for_second();
	load_stop_consumer(first);
	int64_t ended_ms = leat_clock_ms();
	unlock_entity();
	expect_each_merge_once();
	int64_t took_ms = leat_clock_ms() - ended_ms;
	cr_assert_lt(took_ms, 5000, "%" PRId64 " ms: that is AckWait, and not given back", took_ms);
}

Test(lane, sigterm_under_load_loses_and_repeats_nothing)
{
	struct leat_child *first = load_start_consumer(&rig, "first", RIG_ARGS("--batch", "50"));
	struct load load = {0};
	int64_t count = rig_size(3000, 30000);
	for (int64_t i = 0; i < count; i++) {
		char id[37];
		load_entity(id, (size_t)i);
		load_add_intent(&load, RIG_TENANT_A, "entity.upsert", NULL, "{\"entity_id\":\"%s\",\"entity_type\":\"thing\"}", id);
	}
	load_store(&rig, &load);
	load_free(&load);
	rig_sql_wait(&rig, 60, "t", "select count(*) > 0 from leat.activity");
	load_stop_consumer(first);
	load_start_consumer(&rig, "second", NULL);
	load_wait_settled(&rig, count, 60);
	cr_assert_eq(rig_sql_int(&rig, "select count(*) from leat.audit_log"), count);
}

/* ---- SIGKILL ---- */

Test(lane, sigkill_before_the_commit_applies_it_once)
{
	struct leat_child *first = start_first(impatient);
	lock_entity();
	store_merges();
	wait_until_blocked();
	leat_child_stop(first, SIGKILL, 10000);
	load_start_consumer(&rig, "second", impatient);
	wait_for_second(); /* the dead one has not signed off */
	unlock_entity();
	expect_each_merge_once();
}

static void expect_reply(struct leat_inbox *inbox, const char *expected)
{
	struct leat_msg msg;
	struct leat_error err;
	cr_assert_eq(leat_inbox_next(inbox, 30000, &msg, &err), LEAT_OK, "no reply: %s", err.text);
	char text[1024];
	snprintf(text, sizeof text, "%.*s", (int)msg.data_bytes, msg.data);
	leat_msg_free(&msg);
	cr_assert(strstr(text, expected) == text, "expected %s, found %s", expected, text);
}

/* The consumer is stopped while Postgres still works: the commit does not need it, and it never sees the answer. */
static void settle_without(struct leat_child *consumer, const char *headers, const char *body)
{
	int64_t before = rig_sql_int(&rig, "select count(*) from leat.activity");
	rig_sql(&rig, "begin; lock table leat.activity in share mode");
	rig_intent(&rig, RIG_TENANT_A, "entity.merge", headers, body);
	wait_until_blocked();
	leat_child_signal(consumer, SIGSTOP);
	rig_sql(&rig, "commit");
	rig_sql_wait(&rig, 60, "t", "select count(*) = %" PRId64 " from leat.activity", before + 1);
	leat_child_stop(consumer, SIGKILL, 10000);
}

Test(lane, sigkill_between_commit_and_ack_applies_once_and_repeats_the_outcome)
{
	static const struct {
		const char *body;
		const char *reply;
	} intents[] = {
		{"{\"entity_id\":\"eeeeeeee-0000-4000-8000-000000000000\",\"content\":{\"n\":1}}", "{\"status\":\"applied\",\"position\":21,"},
		{"{\"entity_id\":\"eeeeeeee-0000-4000-8000-000000000000\",\"content\":{\"n\":2}}", "{\"status\":\"duplicate\",\"position\":22,"},
		{"no JSON", "{\"status\":\"rejected\",\"position\":23,\"code\":\"invalid_json\""},
	};
	struct leat_child *consumer = start_first(impatient);
	struct leat_inbox *inbox = NULL;
	struct leat_error err;
	cr_assert_eq(leat_inbox_open(&inbox, rig_bus(&rig), REPLIES, &err), LEAT_OK, "%s", err.text);
	for (int i = 0; i < 3; i++) {
		char name[32];
		snprintf(name, sizeof name, "after-%d", i);
		settle_without(consumer, "Leat-Id: x\r\nLeat-Reply-To: " REPLIES "\r\n", intents[i].body);
		consumer = load_start_consumer(&rig, name, impatient);
		expect_reply(inbox, intents[i].reply);
		rig_sql_wait(&rig, 60, "t", "select sum((lanes #>> '{entity,known}')::int) > %d from leat.processes", i);
	}
	cr_assert_eq(rig_sql_int(&rig, "select count(*) from leat.activity"), ENTITIES + 3);
	cr_assert_eq(rig_sql_int(&rig, "select count(*) from leat.audit_log where operation = 'update'"), 1);
	load_wait_dead(&rig, 1, 30);
	leat_inbox_close(inbox);
}

/* ---- deleted underneath ---- */

static int status(char **output)
{
	int code = rig_run(&rig, "status", 30, RIG_ARGS("status", "--json"));
	*output = rig_output(&rig, "status");
	return code;
}

Test(lane, a_durable_deleted_underneath_is_made_again)
{
	struct leat_error err;
	start_first(impatient);
	cr_assert_eq(
		leat_bus_publish(rig_bus(&rig), "$JS.API.CONSUMER.DELETE.LEAT_ENTITY.leat-entity", NULL, "", 0, &err), LEAT_OK, "%s", err.text);
	rig_sql_wait(
		&rig, 60, "t", "select (lanes #>> '{entity,reconnects}')::int > 0 and lanes #>> '{entity,state}' = 'working' from leat.processes");
	store_merges();
	expect_each_merge_once();
	char *output;
	cr_assert_eq(status(&output), 0, "%s", output);
	free(output);
}

Test(lane, a_stream_deleted_underneath_is_told_and_waited_for)
{
	start_first(impatient);
	rig_delete_stream(&rig, "LEAT_ENTITY");
	rig_sql_wait(&rig, 60, "waiting for the stream (run leat migrate)", "select lanes #>> '{entity,state}' from leat.processes");
	char *output;
	cr_assert_eq(status(&output), 1, "%s", output);
	cr_assert(strstr(output, "there is no stream LEAT_ENTITY") != NULL, "%s", output);
	free(output);

	rig_migrate(&rig);
	store_merges(); /* with sequences that the ledger knows from before */
	expect_each_merge_once();
	rig_sql_wait(&rig, 60, "working", "select lanes #>> '{entity,state}' from leat.processes");
	cr_assert_eq(status(&output), 0, "%s", output);
	free(output);
}

/* ---- what is held at once ---- */

static struct leat_msg message_with_headers(size_t bytes)
{
	struct leat_msg msg;
	struct leat_error err;
	char *headers = leat_alloc(bytes + 1);
	int start = snprintf(headers, bytes + 1, "Mine: ");
	memset(headers + start, 'x', bytes - (size_t)start);
	memcpy(headers + bytes - 2, "\r\n", 3);
	uint64_t seq = rig_intent(&rig, RIG_TENANT_A, "entity.merge", headers, "{}");
	free(headers);
	cr_assert_eq(leat_stream_get_next(rig_bus(&rig), "LEAT_ENTITY", ">", &seq, &msg, &err), LEAT_OK, "%s", err.text);
	return msg;
}

Test(lane, headers_count_toward_the_bytes_of_a_batch)
{
	struct leat_params params;
	struct leat_batch batch;
	leat_params_init(&params);
	params.batch_bytes = 10000;
	leat_batch_init(&batch, &params, "LEAT_ENTITY");
	struct leat_msg msg = message_with_headers(6000);
	leat_batch_add(&batch, &msg);
	cr_expect(!leat_batch_full(&batch));
	msg = message_with_headers(6000);
	leat_batch_add(&batch, &msg);
	cr_expect(leat_batch_full(&batch));
	leat_batch_fini(&batch);
}

Test(lane, the_memory_of_an_ordinary_batch_is_kept_and_that_of_a_large_one_freed)
{
	static const size_t sizes[] = {1 << 20, 20 << 20};
	struct leat_params params;
	struct leat_batch batch;
	leat_params_init(&params);
	leat_batch_init(&batch, &params, "LEAT_ENTITY");
	for (size_t i = 0; i < 2; i++) {
		char *body = leat_alloc_zero(sizes[i], 1);
		leat_pg_array_start(&batch.arrays[0], LEAT_PG_BYTES);
		leat_pg_array_add_bytes(&batch.arrays[0], body, sizes[i]);
		free(body);
		leat_batch_clear(&batch);
		cr_expect((batch.arrays[0].bytes.cap > 0) == (i == 0), "%zu bytes: %zu are kept", sizes[i], batch.arrays[0].bytes.cap);
	}
	leat_batch_fini(&batch);
}

Test(lane, headers_count_toward_the_bytes_that_the_relay_fetches)
{
	rig_sql(&rig,
		"insert into leat.outbox (subject, headers, body) select 'leat.dead.x', convert_to(repeat('x', 6000), 'UTF8'), ''"
		" from generate_series(1, 5)");
	cr_expect_eq(rig_sql_int(&rig, "select count(*) from leat.fetch_outbox(0, 10, 10000)"), 2);
}

/* ---- hosts that vanish ---- */

/* True when one of this process's sockets gives up after that time without an acknowledgement. */
static bool some_socket_gives_up_after(unsigned wanted_ms)
{
	for (int fd = 3; fd < 256; fd++) {
		unsigned found_ms = 0;
		socklen_t bytes = sizeof found_ms;
		if (getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &found_ms, &bytes) == 0 && found_ms == wanted_ms)
			return true;
	}
	return false;
}

Test(lane, both_sides_of_a_connection_notice_that_the_other_vanished)
{
	struct leat_pg *pg;
	struct leat_error err;
	LEAT_PG_RESULT_SCOPED *result = NULL;
	cr_assert_eq(leat_pg_open(&pg, rig.database_url, "test", NULL, NULL, 0, &err), LEAT_OK, "%s", err.text);
	cr_expect(some_socket_gives_up_after(20000));
	cr_assert_eq(leat_pg_run_sql(pg,
					 "select concat_ws(' ', current_setting('tcp_keepalives_idle'), current_setting('tcp_keepalives_interval'),"
					 " current_setting('tcp_keepalives_count'), current_setting('tcp_user_timeout'))",
					 &result, &err),
		LEAT_OK, "%s", err.text);
	cr_expect_str_eq(leat_pg_text(result, 0, 0), "10 5 3 20000");
	leat_pg_close(pg);
}
