/*
 * The relay, as those see it who read the events: each id once, none missing, those of a subject in order, whatever is killed and whoever
 * hangs. Events are written by SQL, in many transactions at once that often share subjects; each says in its body how many of its subject
 * were committed before it. Half of the transactions write theirs as one bundle.
 */
#include "load.h"

#include "leat/pg.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WRITERS 3
#define SUBJECTS 12
#define CONSUMERS 2
#define MB (INT64_C(1) << 20)

static struct rig rig;

/* Everything is kept, so that all of it can be looked at in the end. */
static void make_stream(void)
{
	static const struct leat_stream_config events = {
		.name = "LEAT_EVENTS", .subjects = {"leat.event.>"}, .max_age_ms = 3600000, .duplicates_ms = 120000, .replicas = 1};
	LEAT_BUF_SCOPED differences = LEAT_BUF_INIT;
	struct leat_error err;
	cr_assert_eq(leat_stream_ensure(rig_bus(&rig), &events, &differences, &err), LEAT_OK, "%s", err.text);
}

static const char schema[] =
	"create table counters (subject text primary key, n integer not null default 0);"
	"create function write_events(p_subjects text[], p_bundle boolean default random() < 0.5) returns void language plpgsql as $$ begin"
	"	perform from counters c where c.subject = any (p_subjects) order by c.subject for update;"
	"	with counted as (update counters c set n = c.n + 1 where c.subject = any (p_subjects) returning c.subject, c.n)"
	"	insert into leat.outbox (subject, event, body, events) select c.subject, null, convert_to(c.n::text, 'UTF8'), null"
	"	from counted c where not p_bundle union all"
	"	select 'leat.event.>', 'test', convert_to(string_agg(c.subject || E'\\t\\t\\t' || c.n, E'\\n'), 'UTF8'), count(*)"
	"	from counted c having p_bundle; end $$";

static void setup(void)
{
	rig_open_alone(&rig);
	make_stream();
	rig_migrate(&rig);
	rig_sql(&rig, schema);
	rig_sql(&rig, "insert into counters (subject) select 'leat.event.' || n from generate_series(1, %d) n", SUBJECTS);
}

static void teardown(void)
{
	rig_close(&rig);
}

TestSuite(relay, .init = setup, .fini = teardown);

/* ---- the stream ---- */

static uint64_t last_seq(void)
{
	struct leat_stream_state state;
	struct leat_error err;
	return leat_stream_get_state(rig_bus(&rig), "LEAT_EVENTS", &state, &err) == LEAT_OK ? state.last_seq : 0;
}

static bool has_grown_to(void *wanted)
{
	return last_seq() >= *(uint64_t *)wanted;
}

static void wait_for_seq(uint64_t wanted)
{
	cr_assert(rig_wait_until(has_grown_to, &wanted, 90), "no more than %" PRIu64 " events, expected %" PRIu64, last_seq(), wanted);
}

/* For events that go on coming: of one that is on its way already, nobody knows whether it counts. */
static void wait_for_more(uint64_t count)
{
	wait_for_seq(last_seq() + count);
}

static void wait_empty(void)
{
	rig_sql_wait(&rig, 90, "0", "select count(*) from leat.outbox");
}

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void expect_each_once(char **ids, size_t count)
{
	qsort(ids, count, sizeof *ids, compare_texts);
	for (size_t i = 0; i < count; i++) {
		cr_expect(i == 0 || strcmp(ids[i], ids[i - 1]) != 0, "%s is there twice", ids[i]);
		if (i > 0)
			free(ids[i - 1]);
	}
	if (count > 0)
		free(ids[count - 1]);
	free(ids);
}

/* Reads the stream as a subscriber would: the nth of a subject says n, and the last what was committed. */
static void expect_once_each_and_in_order(void)
{
	static const struct leat_pull_options options = {.stream = "LEAT_EVENTS",
		.durable = "reader",
		.ack_wait_ms = 60000,
		.max_ack_pending = 1000000,
		.batch = 1000,
		.batch_bytes = 8388608,
		.idle_heartbeat_ms = 1000};
	struct leat_pull *pull;
	struct leat_error err;
	int64_t seen[SUBJECTS + 1] = {0};
	uint64_t count = last_seq();
	char **ids = leat_alloc_zero(count, sizeof *ids);
	cr_assert_eq(leat_pull_open(&pull, rig_bus(&rig), &options, &err), LEAT_OK, "%s", err.text);
	for (size_t i = 0; i < count; i++) {
		struct leat_msg msg;
		cr_assert_eq(leat_pull_next(pull, 30000, &msg, &err), LEAT_PULL_MESSAGE);
		long subject = strtol(msg.subject + strlen("leat.event."), NULL, 10);
		cr_assert(subject >= 1 && subject <= SUBJECTS);
		cr_assert_eq(strtoll(msg.data, NULL, 10), ++seen[subject], "%s: number %" PRId64 " says %.*s", msg.subject, seen[subject],
			(int)msg.data_bytes, msg.data);
		ids[i] = leat_strdup(leat_msg_header(&msg, "Nats-Msg-Id"));
		leat_msg_ack(rig_bus(&rig), &msg);
		leat_msg_free(&msg);
	}
	leat_pull_close(pull);
	expect_each_once(ids, count);
	for (int subject = 1; subject <= SUBJECTS; subject++)
		cr_expect_eq(rig_sql_int(&rig, "select n from counters where subject = 'leat.event.%d'", subject), seen[subject]);
}

/* ---- writers ---- */

static _Atomic bool written_enough;

struct writer {
	pthread_t thread;
	uint64_t random;
};

static uint64_t draw(uint64_t *state, uint64_t below)
{
	*state = *state * 6364136223846793005U + 1442695040888963407U;
	return (*state >> 33) % below;
}

/* One to three statements, of a few subjects each; one transaction of ten is taken back. */
static void print_transaction(struct leat_buf *sql, uint64_t *random)
{
	leat_buf_clear(sql);
	leat_buf_add_text(sql, "begin; ");
	for (uint64_t statement = draw(random, 3) + 1; statement > 0; statement--) {
		leat_buf_add_text(sql, "select write_events('{");
		for (uint64_t i = draw(random, 5) + 1; i > 0; i--)
			leat_buf_printf(sql, "leat.event.%" PRIu64 "%s", draw(random, SUBJECTS) + 1, i > 1 ? "," : "}'); ");
	}
	leat_buf_add_text(sql, draw(random, 10) == 0 ? "rollback" : "commit");
}

static void *write_events(void *argument)
{
	struct writer *writer = argument;
	struct leat_pg *pg = NULL;
	struct leat_error err;
	LEAT_BUF_SCOPED sql = LEAT_BUF_INIT;
	const struct timespec pause = {.tv_nsec = 2000000};
	while (!atomic_load(&written_enough)) {
		nanosleep(&pause, NULL); /* the pace: the relay keeps up, so that it meets what has just been written */
		if (pg == NULL && leat_pg_open(&pg, rig.database_url, "writer", NULL, NULL, 0, &err) != LEAT_OK)
			continue;
		print_transaction(&sql, &writer->random);
		if (leat_pg_run_sql(pg, leat_buf_text(&sql), NULL, &err) == LEAT_OK)
			continue;
		leat_pg_close(pg); /* Postgres went, or two transactions waited for each other */
		pg = NULL;
	}
	leat_pg_close(pg);
	return NULL;
}

static struct writer writers[WRITERS];

static void start_writers(uint64_t seed)
{
	atomic_store(&written_enough, false);
	for (size_t i = 0; i < WRITERS; i++) {
		writers[i].random = seed + i;
		cr_assert_eq(pthread_create(&writers[i].thread, NULL, write_events, &writers[i]), 0);
	}
}

static void stop_writers(void)
{
	atomic_store(&written_enough, true);
	for (size_t i = 0; i < WRITERS; i++)
		pthread_join(writers[i].thread, NULL);
}

/* ---- consumers ---- */

static struct leat_child *consumers[CONSUMERS];

static void start_consumer(size_t number, const char *batch, const char *tick)
{
	char name[32];
	snprintf(name, sizeof name, "consumer-%zu", number);
	consumers[number] = load_start_consumer(
		&rig, name, RIG_ARGS("--lanes", "relay,keep", "--relay-batch", batch, "--relay-tick-ms", tick, "--retry-limit-ms", "200"));
}

/* The one that relays, as far as it has told. */
static size_t find_relaying(void)
{
	int64_t pid = rig_sql_int(&rig,
		"select coalesce((select pid from leat.processes where lanes #>> '{relay,state}' = 'working' order by started_at desc limit 1), "
		"0)");
	for (size_t i = 0; i < CONSUMERS; i++) {
		if (consumers[i]->pid == pid)
			return i;
	}
	return 0;
}

static void kill_consumer(size_t number, uint64_t *random)
{
	static const char *const batches[] = {"7", "50", "1000"};
	leat_child_stop(consumers[number], SIGKILL, 10000);
	start_consumer(number, batches[draw(random, 3)], "100");
}

/* It holds its breath, its session is ended, another takes over; then it goes on where it was. */
static void hang_consumer(size_t number)
{
	leat_child_signal(consumers[number], SIGSTOP);
	rig_sql(&rig,
		"select pg_terminate_backend(l.pid) from pg_locks l join pg_stat_activity a on a.pid = l.pid"
		" where l.locktype = 'advisory' and a.application_name = 'leat relay'");
	wait_for_more(100);
	leat_child_signal(consumers[number], SIGCONT);
}

/* ---- whatever happens ---- */

static void play(uint64_t seed, size_t rounds, void (*disturb)(size_t round, size_t rounds, uint64_t *random))
{
	uint64_t random = seed;
	for (size_t i = 0; i < CONSUMERS; i++)
		start_consumer(i, "50", "100");
	start_writers(seed);
	for (size_t round = 0; round < rounds; round++) {
		wait_for_more(draw(&random, 300) + 1);
		disturb(round, rounds, &random);
	}
	wait_for_more(100);
	stop_writers();
	wait_empty();
	expect_once_each_and_in_order();
}

static void kill_something(size_t round, size_t rounds, uint64_t *random)
{
	if (round % (rounds / 2) == rounds / 6)
		load_kill_and_restart(&rig, &rig.nats);
	if (round % (rounds / 2) == rounds / 3)
		load_kill_and_restart(&rig, &rig.postgres);
	kill_consumer(find_relaying(), random);
	if (draw(random, 4) == 0)
		kill_consumer(draw(random, CONSUMERS), random);
}

Test(relay, events_come_once_each_and_in_order_whatever_is_killed)
{
	play(rig_seed(), (size_t)rig_size(12, 120), kill_something);
}

static void hang_one(size_t round, size_t rounds, uint64_t *random)
{
	(void)round;
	(void)rounds;
	(void)random;
	hang_consumer(find_relaying());
}

Test(relay, one_that_hung_does_not_mix_in_what_it_had_in_hand)
{
	play(rig_seed(), (size_t)rig_size(4, 50), hang_one);
}

/* ---- late commits ---- */

Test(relay, a_late_commit_is_not_passed_over)
{
	struct leat_pg *late;
	struct leat_error err;
	uint64_t before;
	start_consumer(0, "100", "60000"); /* nothing but being woken helps */
	cr_assert_eq(leat_pg_open(&late, rig.database_url, "late", NULL, NULL, 0, &err), LEAT_OK, "%s", err.text);
	cr_assert_eq(leat_pg_run_sql(late, "begin; select write_events('{leat.event.1}')", NULL, &err), LEAT_OK, "%s", err.text);
	for (int round = 0; round < 5; round++) {
		before = last_seq();
		for (int i = 0; i < 50; i++)
			rig_sql(&rig, "select write_events(array(select 'leat.event.' || n from generate_series(2, %d) n))", SUBJECTS);
		uint64_t wanted = before + UINT64_C(50) * (SUBJECTS - 1);
		cr_assert(rig_wait_until(has_grown_to, &wanted, 30));
	}
	before = last_seq();
	cr_assert_eq(leat_pg_run_sql(late, "commit", NULL, &err), LEAT_OK, "%s", err.text);
	leat_pg_close(late);
	rig_sql(&rig, "select write_events('{leat.event.1}')");
	wait_empty();
	cr_expect_eq(last_seq(), before + 2);
	expect_once_each_and_in_order();
}

/* ---- events that are refused ---- */

static bool has_a_stream(void *unused)
{
	struct leat_stream_state state;
	struct leat_error err;
	(void)unused;
	return leat_stream_get_state(rig_bus(&rig), "LEAT_EVENTS", &state, &err) == LEAT_OK;
}

/* An operator's limit, which the messages of Leat may be over. */
static void make_stream_with_limit(void)
{
	static const char config[] =
		"{\"name\":\"LEAT_EVENTS\",\"subjects\":[\"leat.event.>\"],\"retention\":\"limits\",\"max_consumers\":-1,"
		"\"max_msgs\":-1,\"max_bytes\":-1,\"max_age\":0,\"max_msg_size\":1000,\"storage\":\"file\",\"num_replicas\":1}";
	struct leat_error err;
	rig_delete_stream(&rig, "LEAT_EVENTS");
	cr_assert_eq(leat_bus_publish(rig_bus(&rig), "$JS.API.STREAM.CREATE.LEAT_EVENTS", NULL, config, strlen(config), &err), LEAT_OK);
	cr_assert(rig_wait_until(has_a_stream, NULL, 30));
}

Test(relay, an_event_that_is_refused_holds_up_its_own_subject_only)
{
	make_stream_with_limit();
	rig_sql(&rig, "update counters set n = 1 where subject = 'leat.event.1'");
	rig_sql(&rig, "insert into leat.outbox (subject, body) values ('leat.event.1', convert_to(repeat('x', 2000), 'UTF8'))");
	rig_sql(&rig, "select write_events('{leat.event.1,leat.event.2}')");
	start_consumer(0, "50", "100");
	wait_for_seq(1);
	rig_sql(&rig, "select write_events('{leat.event.1,leat.event.2}')");
	wait_for_seq(2);
	rig_sql_wait(&rig, 30, "refused, waits, waits",
		"select string_agg(case when retry_at > now() then 'refused' else 'waits' end, ', ' order by seq) from leat.outbox");
	rig_sql(&rig, "update leat.outbox set body = '1', retry_at = now() where retry_at is not null");
	wait_empty();
	expect_once_each_and_in_order();
}

/* Three events of which the first is too long for the stream, in one bundle. */
#define BUNDLE_OF_THREE                                                                                                                    \
	"insert into leat.outbox (subject, event, body, events) values ('leat.event.>', 'test',"                                               \
	" convert_to(E'leat.event.1\\t\\t\\t' || repeat('x', 2000) || E'\\nleat.event.2\\t\\t\\t1\\nleat.event.3\\t\\t\\t1', 'UTF8'), 3)"

Test(relay, an_event_of_a_bundle_that_is_refused_holds_up_its_own_subject_only)
{
	make_stream_with_limit();
	rig_sql(&rig, "update counters set n = 1 where subject in ('leat.event.1', 'leat.event.2', 'leat.event.3')");
	rig_sql(&rig, BUNDLE_OF_THREE);
	rig_sql(&rig, "select write_events('{leat.event.1,leat.event.2}', true)");
	start_consumer(0, "50", "100");
	wait_for_seq(3);
	rig_sql(&rig, "select write_events('{leat.event.1,leat.event.3}', true)");
	wait_for_seq(4);
	rig_sql_wait(&rig, 30, "refused, waits, waits",
		"select string_agg(case when retry_at > now() then 'refused' else 'waits' end, ', ' order by seq) from leat.outbox");
	rig_sql(&rig, "update leat.outbox set body = '1', retry_at = now() where retry_at is not null");
	wait_empty();
	expect_once_each_and_in_order();
}

/* The ids of its events are the same in C and in SQL, so that the stream knows them again. */
Test(relay, a_bundle_taken_apart_after_it_was_published_is_published_once)
{
	rig_sql(&rig, "update counters set n = 50");
	rig_sql(&rig,
		"create function write_bundle() returns bigint language sql as $$ insert into leat.outbox (id, subject, event, body, events)"
		" select '12345678-1234-4123-8123-ffffffffff00', 'leat.event.>', 'test', convert_to(string_agg("
		"  'leat.event.' || 1 + mod(n, 12) || E'\\t\\t\\t' || 1 + n / 12, E'\\n' order by n), 'UTF8'), 600"
		" from generate_series(0, 599) n returning seq $$");
	rig_sql(&rig, "select write_bundle()");
	start_consumer(0, "50", "1000");
	wait_for_seq(600);
	wait_empty();
	rig_sql(&rig, "select leat.take_bundles_apart(array[write_bundle()])");
	wait_empty();
	expect_once_each_and_in_order();
}

/* ---- the table ---- */

static int64_t outbox_bytes(void)
{
	return rig_sql_int(&rig, "select pg_total_relation_size('leat.outbox')");
}

Test(relay, bursts_leave_no_bloat)
{
	const int bursts = 8;
	const int64_t burst = rig_size(15000, 100000);
	start_consumer(0, "1000", "100");
	for (int i = 0; i < bursts; i++) {
		rig_sql(&rig,
			"insert into leat.outbox (subject, body) select 'leat.event.' || n %% 1000, convert_to(repeat('x', 500), 'UTF8')"
			" from generate_series(1, %" PRId64 ") n",
			burst);
		cr_expect_gt(outbox_bytes(), 5 * MB, "a burst too small for a verdict");
		rig_sql_wait(
			&rig, 90, "0 t", "select concat_ws(' ', count(*), pg_total_relation_size('leat.outbox') <= %" PRId64 ") from leat.outbox", MB);
	}
	cr_expect_eq(last_seq(), (uint64_t)(burst * bursts));
}

Test(relay, the_table_is_left_alone_while_somebody_writes)
{
	struct leat_pg *writer;
	struct leat_error err;
	rig_sql(&rig,
		"insert into leat.outbox (subject, body) select 'leat.event.1', convert_to(repeat('x', 500), 'UTF8')"
		" from generate_series(1, 5000); delete from leat.outbox");
	cr_assert_eq(leat_pg_open(&writer, rig.database_url, "writer", NULL, NULL, 0, &err), LEAT_OK, "%s", err.text);
	cr_assert_eq(leat_pg_run_sql(writer, "begin; select write_events('{leat.event.1}')", NULL, &err), LEAT_OK, "%s", err.text);
	rig_sql_expect(&rig, "f", "select leat.shrink_outbox(0)");
	cr_assert_eq(leat_pg_run_sql(writer, "commit", NULL, &err), LEAT_OK, "%s", err.text);
	leat_pg_close(writer);
	rig_sql_expect(&rig, "f", "select leat.shrink_outbox(0)");
	rig_sql_expect(&rig, "1", "select count(*) from leat.outbox");
	rig_sql(&rig, "delete from leat.outbox");
	rig_sql_expect(&rig, "t", "select leat.shrink_outbox(0)");
	cr_expect_leq(outbox_bytes(), MB / 16);
}
