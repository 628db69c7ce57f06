/*
 * Consumers that start, and are killed, while messages come in all the time. Each looks at start whether the stream is still the one that
 * the ledger knows, while others settle what was stored after it began to look: that must never be taken for a stream that was made again
 * or cut.
 */
#include "load.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ENTITIES 50
#define SLICE 2 /* stored at once */
/* Between two slices: consumers keep up, so that what is settled is nearly as new as what is stored. */
#define PACE_NS 1000000

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

TestSuite(restart, .init = setup, .fini = teardown);

/* ---- the load ---- */

struct publisher {
	pthread_t thread;
	struct leat_bus *bus;
	_Atomic bool stop;
	size_t stored; /* merges; read it once the thread has ended */
	struct leat_error err;
};

static void make(struct leat_outgoing *message, char body[128], size_t number)
{
	char id[37];
	load_entity(id, number % ENTITIES);
	int bytes = snprintf(body, 128, "{\"entity_id\":\"%s\",\"content\":{\"n\":%zu}}", id, number);
	*message =
		(struct leat_outgoing){.subject = "leat.intent." RIG_TENANT_A ".service.entity.merge", .data = body, .data_bytes = (size_t)bytes};
}

/* Merge after merge, the numbers counting up, until told to stop. */
static void *publish(void *argument)
{
	struct publisher *publisher = argument;
	struct leat_outgoing messages[SLICE];
	char bodies[SLICE][128];
	const struct timespec pace = {.tv_nsec = PACE_NS};
	while (!atomic_load(&publisher->stop)) {
		for (size_t i = 0; i < SLICE; i++)
			make(&messages[i], bodies[i], publisher->stored + i);
		if (leat_bus_store(publisher->bus, messages, SLICE) != LEAT_OK) {
			publisher->err = messages[0].err;
			break;
		}
		publisher->stored += SLICE;
		nanosleep(&pace, NULL);
	}
	return NULL;
}

static void start_publisher(struct publisher *publisher)
{
	struct leat_error err;
	struct leat_bus_options options = {
		.url = rig.nats.url, .name = "publisher", .request_timeout_ms = 10000, .retry_first_ms = 20, .retry_limit_ms = 200};
	cr_assert_eq(leat_bus_open(&publisher->bus, &options, &err), LEAT_OK, "%s", err.text);
	cr_assert_eq(pthread_create(&publisher->thread, NULL, publish, publisher), 0);
}

static void stop_publisher(struct publisher *publisher)
{
	atomic_store(&publisher->stop, true);
	pthread_join(publisher->thread, NULL);
	leat_bus_close(publisher->bus);
	cr_assert_eq(publisher->err.kind, LEAT_OK, "%s", publisher->err.text);
}

/* ---- the consumers ---- */

static struct leat_child *start_consumer(size_t number)
{
	static const char *const impatient[] = {
		"--ack-wait-ms", "1000", "--process-heartbeat-ms", "1000", "--idle-heartbeat-ms", "500", "--retry-limit-ms", "500", NULL};
	char name[32];
	snprintf(name, sizeof name, "consumer-%zu", number);
	return load_start_consumer(&rig, name, impatient);
}

/* The next one has made itself known, or work goes on: so they are killed early and late. */
static void wait_for_a_sign(size_t round)
{
	if (round % 2 == 0) {
		rig_sql_wait(&rig, 60, "t", "select count(*) >= %zu from leat.processes", round + 2);
		return;
	}
	int64_t settled = rig_sql_int(&rig, "select count(*) from leat.activity");
	rig_sql_wait(&rig, 60, "t", "select count(*) > %" PRId64 " from leat.activity", settled);
}

/* There are two, of which the older one is killed in every round. */
static void replace_consumers(size_t rounds)
{
	struct leat_child *older = start_consumer(0);
	for (size_t round = 0; round < rounds; round++) {
		struct leat_child *newer = start_consumer(round + 1);
		wait_for_a_sign(round);
		leat_child_stop(older, SIGKILL, 10000);
		older = newer;
	}
}

/* ---- what came of it ---- */

static void expect_one_epoch(void)
{
	rig_sql_expect(&rig, "0 first seen",
		"select string_agg(concat_ws(' ', epoch, reason), ', ' order by epoch) from leat.stream_epochs where stream = 'LEAT_ENTITY'");
}

/* Every merge has one row in the ledger, and each entity the number that was the last to come for it. */
static void expect_applied_once(size_t merges)
{
	load_wait_settled(&rig, (int64_t)(ENTITIES + merges), 120);
	rig_sql_expect(&rig, "applied", "select string_agg(distinct outcome, ' ') from leat.activity");
	for (size_t i = 0; i < ENTITIES; i++) {
		char id[37];
		load_entity(id, i);
		size_t last = merges - ENTITIES + (i + ENTITIES - merges % ENTITIES) % ENTITIES;
		cr_assert_eq(rig_sql_int(&rig, "select content -> 'n' from leat.entities where id = '%s'", id), (int64_t)last, "entity %zu", i);
	}
	cr_assert_eq(load_dead_count(&rig), 0);
}

Test(restart, consumers_that_start_under_load_open_no_epoch_and_apply_all_once)
{
	static struct publisher publisher;
	load_store_entities(&rig, RIG_TENANT_A, ENTITIES);
	start_publisher(&publisher);
	replace_consumers((size_t)rig_size(12, 200));
	stop_publisher(&publisher);
	expect_one_epoch();
	expect_applied_once(publisher.stored);
	expect_one_epoch();
}

/* The second consumer has asked the stream how far it goes, and waits to ask the ledger; meanwhile the first settles what comes. */
Test(restart, what_others_settle_while_a_consumer_looks_is_no_cut)
{
	load_store_entities(&rig, RIG_TENANT_A, ENTITIES);
	start_consumer(1);
	load_wait_settled(&rig, ENTITIES, 60);
	rig_sql(&rig, "begin; lock table leat.stream_epochs in exclusive mode"); /* it can be read, which is all that the first needs */
	start_consumer(2);
	rig_sql_wait(
		&rig, 60, "t", "select exists (select from pg_locks l where not l.granted and pg_backend_pid() = any (pg_blocking_pids(l.pid)))");
	struct load load = {0};
	for (size_t number = 0; number < ENTITIES; number++) {
		char id[37];
		load_entity(id, number);
		load_add_intent(&load, RIG_TENANT_A, "entity.merge", NULL, "{\"entity_id\":\"%s\",\"content\":{\"n\":%zu}}", id, number);
	}
	load_store(&rig, &load);
	load_free(&load);
	rig_sql_wait(&rig, 60, "100", "select count(*) from leat.activity");
	rig_sql(&rig, "commit");
	rig_sql_wait(&rig, 60, "2", "select count(*) from leat.processes where lanes #>> '{entity,state}' = 'working'");
	expect_one_epoch();
	expect_applied_once(ENTITIES);
}
