/*
 * The run lane with consumers: facts through NATS, results of a split from many connections at the same instant, consumers that are killed,
 * and what another database makes of the same streams.
 */
#include "control.h"
#include "facts.h"
#include "leat/buf.h"
#include "load.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ITEMS 200
#define WRITERS 8
#define CONSUMERS 3

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

TestSuite(run_lane, .init = setup, .fini = teardown);

static const char *const impatient[] = {
	"--lanes", "control,run,relay,keep", "--ack-wait-ms", "1000", "--idle-heartbeat-ms", "500", "--retry-limit-ms", "500", NULL};

/* A split over workers, which a collect ends, and a node behind it. */
static void save_workflow(void)
{
	control_publish(&rig, RIG_TENANT_A, "service", "workflow.save", NULL,
		"{'workflow_id':'" WORKFLOW "','action':'new','name':'w','definition':{'nodes':["
		"{'id':'s','type':'split','items':{'$ref':'input#/items'}},{'id':'w','type':'worker','url':'http://worker.example/'},"
		"{'id':'c','type':'collect'},{'id':'e','type':'worker','url':'http://worker.example/'}],"
		"'edges':[['s','w'],['w','c'],['c','e']]}}");
}

static void run_name(char out[48], size_t number)
{
	snprintf(out, 48, "d0000000-0000-4000-8000-%012zu", number);
}

static void start_run(size_t number, int items)
{
	LEAT_BUF_SCOPED body = LEAT_BUF_INIT;
	char run[48];
	run_name(run, number);
	leat_buf_printf(&body, "{\"run_id\":\"%s\",\"workflow_id\":\"" WORKFLOW "\",\"input\":{\"items\":[", run);
	for (int i = 0; i < items; i++)
		leat_buf_printf(&body, "%s%d", i > 0 ? "," : "", i);
	leat_buf_add_text(&body, "]}}");
	rig_intent(&rig, RIG_TENANT_A, "run.start", NULL, leat_buf_text(&body));
}

/* ---- at the same instant ---- */

/* A thread with a connection of its own, which stores the results of every WRITERS-th item. */
struct writer {
	pthread_t thread;
	pthread_barrier_t *start;
	struct leat_bus *bus;
	size_t number;
	size_t run;
	int items;
	bool failed;
};

static void *write_results(void *argument)
{
	struct writer *writer = argument;
	struct leat_outgoing messages[ITEMS / WRITERS] = {0};
	char bodies[ITEMS / WRITERS][160];
	char ids[ITEMS / WRITERS][96];
	char run[48];
	size_t count = 0;
	run_name(run, writer->run);
	for (int item = (int)writer->number; item < writer->items; item += WRITERS, count++) {
		snprintf(bodies[count], sizeof bodies[0], "{\"run_id\":\"%s\",\"node_id\":\"w[%d]\",\"status\":\"completed\",\"output\":%d}", run,
			item, item);
		snprintf(ids[count], sizeof ids[0], "Leat-Id: %s/w[%d]/0\r\n", run, item);
		messages[count] = (struct leat_outgoing){.subject = "leat.intent." RIG_TENANT_A ".service.run.node",
			.headers = ids[count],
			.data = bodies[count],
			.data_bytes = strlen(bodies[count])};
	}
	pthread_barrier_wait(writer->start);
	writer->failed = count > 0 && leat_bus_store(writer->bus, messages, count) != LEAT_OK;
	return NULL;
}

static void connect_writers(struct writer writers[WRITERS], pthread_barrier_t *start)
{
	for (size_t i = 0; i < WRITERS; i++) {
		struct leat_bus_options options = {
			.url = rig.nats.url, .name = "writer", .request_timeout_ms = 10000, .retry_first_ms = 20, .retry_limit_ms = 200};
		struct leat_error err;
		writers[i] = (struct writer){.start = start, .number = i};
		cr_assert_eq(leat_bus_open(&writers[i].bus, &options, &err), LEAT_OK, "%s", err.text);
	}
}

static void store_results(struct writer writers[WRITERS], size_t run, int items)
{
	for (size_t i = 0; i < WRITERS; i++) {
		writers[i].run = run;
		writers[i].items = items;
		cr_assert_eq(pthread_create(&writers[i].thread, NULL, write_results, &writers[i]), 0);
	}
	for (size_t i = 0; i < WRITERS; i++) {
		pthread_join(writers[i].thread, NULL);
		cr_assert_not(writers[i].failed);
	}
}

Test(run_lane, results_of_a_split_at_the_same_instant_are_collected_once_and_in_order, .timeout = 300)
{
	static const int sizes[] = {1, 3, ITEMS};
	const size_t rounds = (size_t)rig_size(10, 100);
	struct writer writers[WRITERS];
	pthread_barrier_t start;
	pthread_barrier_init(&start, NULL, WRITERS);
	connect_writers(writers, &start);
	struct leat_child *first = load_start_consumer(&rig, "c1", impatient);
	struct leat_child *second = load_start_consumer(&rig, "c2", impatient);
	save_workflow();
	for (size_t round = 0; round < rounds; round++) {
		int items = sizes[round % 3];
		char run[48];
		run_name(run, round);
		start_run(round, items);
		store_results(writers, round, items);
		rig_sql_wait(&rig, 30, "completed", "select node_states -> 'c' ->> 'status' from leat.runs where id = '%s'", run);
		rig_sql_expect(&rig, "t",
			"select node_states -> 'c' -> 'output' = (select jsonb_agg(n order by n) from generate_series(0, %d) n) from leat.runs"
			" where id = '%s'",
			items - 1, run);
		rig_sql_expect(&rig, "e",
			"select string_agg(key, ' ') from leat.runs, jsonb_each(node_states) where id = '%s' and value ->> 'status' <> 'completed'",
			run);
	}
	rig_sql_expect(&rig, "0", "select count(*) from leat.activity where outcome <> 'applied'");
	cr_expect_eq(load_dead_count(&rig), 0);
	load_stop_consumer(first);
	load_stop_consumer(second);
	for (size_t i = 0; i < WRITERS; i++)
		leat_bus_close(writers[i].bus);
	pthread_barrier_destroy(&start);
}

/* ---- killed, and replayed ---- */

static void store_slice(size_t from, size_t runs)
{
	struct load load = {0};
	for (size_t number = from; number < from + runs; number++)
		load_add_intent(&load, RIG_TENANT_A, "run.start", NULL,
			"{\"run_id\":\"d0000000-0000-4000-8000-%012zu\",\"workflow_id\":\"" WORKFLOW "\",\"input\":{\"items\":[1,2]}}", number);
	for (size_t step = 0; step < 4; step++)
		for (size_t number = from; number < from + runs; number++) {
			static const char *const nodes[] = {"w[1]", "w[0]", "e", "e"};
			static const char *const statuses[] = {"completed", "completed", "running", "completed"};
			const char *status = step == 0 && number % 10 == 9 ? "failed" : statuses[step];
			load_add_intent(&load, RIG_TENANT_A, "run.node", NULL,
				"{\"run_id\":\"d0000000-0000-4000-8000-%012zu\",\"node_id\":\"%s\",\"status\":\"%s\"}", number, nodes[step], status);
		}
	load_store(&rig, &load);
	load_free(&load);
}

/* The streams from their beginning into an empty database: first what workflows there are, then the runs. */
static void expect_replayed(void)
{
	static struct rig other;
	rig_open(&other);
	rig_migrate(&other);
	char *expected = facts_runs(&rig);
	int64_t facts = rig_sql_int(&rig, "select count(*) from leat.activity where stream = 'LEAT_RUN'");
	struct leat_child *control =
		load_start_consumer(&other, "control", RIG_ARGS("--nats-url", rig.nats.url, "--queue-group", "replay", "--lanes", "control"));
	rig_sql_wait(&other, 30, "1", "select count(*) from leat.activity where stream = 'LEAT_CONTROL'");
	load_stop_consumer(control);
	struct leat_child *run =
		load_start_consumer(&other, "run", RIG_ARGS("--nats-url", rig.nats.url, "--queue-group", "replay", "--lanes", "run"));
	char count[32];
	snprintf(count, sizeof count, "%" PRId64, facts);
	rig_sql_wait(&other, 60, count, "select count(*) from leat.activity where stream = 'LEAT_RUN'");
	char *found = facts_runs(&other);
	cr_expect_str_eq(found, expected);
	load_stop_consumer(run);
	rig_close(&other);
	free(expected);
	free(found);
}

Test(run_lane, consumers_that_are_killed_lose_nothing_and_a_replay_makes_the_same_runs, .timeout = 600)
{
	const size_t slices = (size_t)rig_size(20, 200);
	const size_t runs = 10; /* of each slice */
	struct leat_child *consumers[CONSUMERS];
	char names[CONSUMERS][16];
	for (size_t i = 0; i < CONSUMERS; i++) {
		snprintf(names[i], sizeof names[i], "c%zu", i + 1);
		consumers[i] = load_start_consumer(&rig, names[i], impatient);
	}
	save_workflow();
	for (size_t slice = 0; slice < slices; slice++) {
		store_slice(slice * runs, runs);
		if (slice % 4 != 3)
			continue;
		size_t victim = slice / 4 % CONSUMERS;
		leat_child_stop(consumers[victim], SIGKILL, 5000);
		consumers[victim] = load_start_consumer(&rig, names[victim], impatient);
	}
	load_wait_settled(&rig, (int64_t)(slices * runs * 5 + 1), 120);
	char *ended = rig_sql_text(&rig,
		"select string_agg(status || ' ' || n, ', ' order by status) from"
		" (select status, count(*) as n from leat.runs group by 1) r");
	char expected[64];
	snprintf(expected, sizeof expected, "completed %zu, failed %zu", slices * runs * 9 / 10, slices * runs / 10);
	cr_expect_str_eq(ended, expected);
	free(ended);
	for (size_t i = 0; i < CONSUMERS; i++)
		load_stop_consumer(consumers[i]);
	expect_replayed();
}
