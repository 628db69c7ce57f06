/*
 * Runs of workflows. The makespan: fifteen runs of one call each; the bound is what nobody can beat who has as many slots: the longest
 * call, or all of them over the slots. The engine: many runs of a chain of calls that take no time; the yardstick is one call of
 * leat.update_node_state a transition, by pgbench. Waiting: what many runs cost that wait for people.
 */
#include "bench.h"

#include "leat/clock.h"

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TENANT "11111111-0000-4000-8000-000000000000"
#define WORKFLOW "33333333-0000-4000-8000-000000000000"
#define SLOTS 3      /* of a process: the default of --max-runs */
#define MS_PER_S 100 /* a second of the model's is so long here */
#define LIMIT_MS 300000
#define START_MS 10000
#define LOOK_MS 100 /* times are those of the rows: looking more often would only cost time */

/* Drawn evenly from 2 to 10; of many such draws, one in whose order list scheduling comes to the bound, so that what is above it is ours.
 */
static const double seconds[] = {9.7, 6.8, 8.9, 6.4, 6.1, 9.0, 2.3, 3.3, 9.1, 2.7, 6.1, 7.2, 6.7, 6.5, 2.9};
#define CALLS (sizeof seconds / sizeof *seconds)

#define CHAIN 5
#define CHAINS 2000
#define TRANSITIONS_PER_NODE 2 /* running, completed */

#define WAITING 10000

/* ---- the server that is called ---- */

/* It writes the port that it found into a file. */
static int read_port(const char *path)
{
	int64_t deadline_ms = leat_clock_ms() + START_MS;
	int port = 0;
	while (port == 0) {
		if (leat_clock_ms() > deadline_ms)
			bench_die("slow.mjs does not listen");
		poll(NULL, 0, 20);
		char line[16] = "";
		FILE *file = fopen(path, "re");
		if (file == NULL)
			continue;
		if (fgets(line, sizeof line, file) != NULL && strchr(line, '\n') != NULL)
			port = (int)strtol(line, NULL, 10);
		fclose(file);
	}
	return port;
}

static int start_server(struct stage *stage, struct leat_child *server)
{
	static const char *const argv[] = {"node", "tests/bench/slow.mjs", NULL};
	char path[PATH_MAX + 64];
	char host[64];
	struct leat_error err;
	snprintf(path, sizeof path, "%s/%s/slow.out", stage->bench->folder, stage->name);
	struct leat_child_spec spec = {.argv = argv, .output = path, .log = "/dev/null", .death_signal = SIGKILL};
	bench_must(leat_child_start(server, &spec, &err), &err);
	int port = read_port(path);
	snprintf(host, sizeof host, "127.0.0.1:%d", port);
	setenv("LEAT_ALLOW_HOSTS", host, 1);
	return port;
}

/* ---- messages ---- */

static void store(struct stage *stage, const char *verb, struct leat_buf *bodies, size_t count)
{
	struct leat_outgoing *messages = leat_alloc(count * sizeof *messages);
	char subject[128];
	snprintf(subject, sizeof subject, "leat.intent." TENANT ".service.%s", verb);
	for (size_t i = 0; i < count; i++)
		messages[i] = (struct leat_outgoing){.subject = subject, .data = leat_buf_text(&bodies[i]), .data_bytes = bodies[i].len};
	for (size_t from = 0; from < count; from += 1000) {
		size_t slice = count - from < 1000 ? count - from : 1000;
		if (leat_bus_store(stage->bus, messages + from, slice) != LEAT_OK)
			bench_die("%s was not stored", verb);
	}
	free(messages);
	for (size_t i = 0; i < count; i++)
		leat_buf_free(&bodies[i]);
}

static void save_workflow(struct stage *stage, const char *nodes_and_edges)
{
	struct leat_buf body = LEAT_BUF_INIT;
	leat_buf_printf(&body, "{\"workflow_id\":\"" WORKFLOW "\",\"action\":\"new\",\"name\":\"bench\",\"definition\":{%s}}", nodes_and_edges);
	store(stage, "workflow.save", &body, 1);
}

static void add_start(struct leat_buf *body, size_t number, const char *input)
{
	leat_buf_printf(body, "{\"run_id\":\"44444444-0000-4000-8000-%012zu\",\"workflow_id\":\"" WORKFLOW "\",\"input\":%s}", number, input);
}

static void wait_for(struct stage *stage, const char *sql, int64_t expected)
{
	int64_t deadline_ms = leat_clock_ms() + LIMIT_MS;
	while (stage_ask(stage, sql) != expected) {
		if (leat_clock_ms() > deadline_ms)
			bench_die("%" PRId64 " and not %" PRId64 ": %s; see %s/%s/log", stage_ask(stage, sql), expected, sql, stage->bench->folder,
				stage->name);
		poll(NULL, 0, LOOK_MS);
	}
}

/* Runs that are over; all must have been completed. */
static void wait_for_runs(struct stage *stage, size_t count)
{
	wait_for(stage, "select count(*) from leat.runs where finished_at is not null", (int64_t)count);
	if (stage_ask(stage, "select count(*) from leat.runs where status <> 'completed'") != 0)
		bench_die("not all runs were completed; see %s/%s/log", stage->bench->folder, stage->name);
}

/* ---- the makespan ---- */

static double bound_ms(size_t processes)
{
	double sum = 0;
	double longest = 0;
	for (size_t i = 0; i < CALLS; i++) {
		sum += seconds[i];
		longest = seconds[i] > longest ? seconds[i] : longest;
	}
	double shared = sum / (double)(SLOTS * processes);
	return MS_PER_S * (shared > longest ? shared : longest);
}

/* Each call by whichever slot is free first, in the order of the runs, and no time lost in between. */
static double list_schedule_ms(size_t processes)
{
	double free_at[BENCH_CONSUMERS * SLOTS] = {0};
	double end = 0;
	for (size_t i = 0; i < CALLS; i++) {
		size_t first = 0;
		for (size_t slot = 1; slot < SLOTS * processes; slot++)
			first = free_at[slot] < free_at[first] ? slot : first;
		free_at[first] += seconds[i];
		end = free_at[first] > end ? free_at[first] : end;
	}
	return MS_PER_S * end;
}

/* As many at a time as there are slots, the next ones when the last of them is over. */
static double batches_ms(size_t processes)
{
	double sum = 0;
	size_t width = SLOTS * processes;
	for (size_t from = 0; from < CALLS; from += width) {
		double longest = 0;
		for (size_t i = from; i < CALLS && i < from + width; i++)
			longest = seconds[i] > longest ? seconds[i] : longest;
		sum += longest;
	}
	return MS_PER_S * sum;
}

static void measure_makespan(struct bench *bench, size_t processes)
{
	struct stage stage;
	struct leat_child server;
	char definition[256];
	struct leat_buf starts[CALLS] = {{0}};
	stage_open(&stage, bench, false);
	int port = start_server(&stage, &server);
	stage_start_consumers(&stage, processes);
	wait_for(&stage, "select count(*) from leat.processes", (int64_t)processes);
	snprintf(
		definition, sizeof definition, "\"nodes\":[{\"id\":\"call\",\"type\":\"http\",\"url\":{\"$ref\":\"input#/url\"}}],\"edges\":[]");
	save_workflow(&stage, definition);
	for (size_t i = 0; i < CALLS; i++) {
		char input[96];
		snprintf(input, sizeof input, "{\"url\":\"http://127.0.0.1:%d/?ms=%.0f\"}", port, seconds[i] * MS_PER_S);
		add_start(&starts[i], i, input);
	}
	wait_for(&stage, "select count(*) from leat.workflows", 1);
	store(&stage, "run.start", starts, CALLS);
	wait_for_runs(&stage, CALLS);
	/* Both ends are times of messages: of the first start, of the last result. */
	double ms = stage_ask_ms(&stage, "select 1000 * extract(epoch from max(finished_at) - min(created_at)) from leat.runs");
	double bound = bound_ms(processes);
	double list = list_schedule_ms(processes);
	bench_print(
		"{\"figure\":\"makespan\",\"processes\":%zu,\"runs\":%zu,\"ms\":%.0f,\"bound_ms\":%.0f,\"ratio\":%.3f,\"list_schedule_ms\":%.0f,"
		"\"of_list_schedule\":%.3f,\"in_batches_ms\":%.0f}",
		processes, CALLS, ms, bound, ms / bound, list, ms / list, batches_ms(processes));
	stage_stop_consumers(&stage);
	leat_child_stop(&server, SIGTERM, 5000);
	stage_close(&stage);
}

void bench_makespan(struct bench *bench)
{
	for (size_t processes = 1; processes <= 2; processes++)
		measure_makespan(bench, processes);
}

/* ---- the engine ---- */

/* n0 -> n1 -> …; all nodes call the same. */
static void save_chain(struct stage *stage, int port)
{
	LEAT_BUF_SCOPED definition = LEAT_BUF_INIT;
	leat_buf_add_text(&definition, "\"nodes\":[");
	for (int i = 0; i < CHAIN; i++)
		leat_buf_printf(&definition, "%s{\"id\":\"n%d\",\"type\":\"http\",\"url\":\"http://127.0.0.1:%d/\"}", i > 0 ? "," : "", i, port);
	leat_buf_add_text(&definition, "],\"edges\":[");
	for (int i = 1; i < CHAIN; i++)
		leat_buf_printf(&definition, "%s[\"n%d\",\"n%d\"]", i > 1 ? "," : "", i - 1, i);
	leat_buf_add_text(&definition, "]");
	save_workflow(stage, leat_buf_text(&definition));
}

static void store_runs(struct stage *stage, size_t count)
{
	struct leat_buf *starts = leat_alloc(count * sizeof *starts);
	for (size_t i = 0; i < count; i++) {
		starts[i] = (struct leat_buf)LEAT_BUF_INIT;
		add_start(&starts[i], i, "{}");
	}
	store(stage, "run.start", starts, count);
	free(starts);
}

/*
 * One call a transition: the n-th goes to run n % runs, so that no two clients are at one run at a time, and each run's come in order. More
 * runs than pgbench can finish in its times.
 */
static const char transition_script[] =
	"select leat.update_node_state(('44444444-0000-4000-8000-' || lpad((s % :runs)::text, 12, '0'))::uuid, 'n' || (s / :runs / 2),"
	" case when s / :runs % 2 = 0 then 'running' else 'completed' end, case when s / :runs % 2 = 1 then jsonb_build_object('ok', true) end)"
	" from nextval('step') s;\n";

static double measure_transitions(struct bench *bench)
{
	enum { RUNS = 30000 };
	static const char *const clients[] = {"8", "32"};
	struct stage stage;
	struct leat_error err;
	char script[1024];
	double best = 0;
	stage_open(&stage, bench, false);
	setenv("LEAT_LANES", "control,run", 1);
	stage_start_consumers(&stage, 1);
	save_chain(&stage, 9);
	store_runs(&stage, RUNS);
	wait_for(&stage, "select count(*) from leat.runs", RUNS);
	stage_stop_consumers(&stage);
	unsetenv("LEAT_LANES");
	bench_must(leat_pg_run_sql(stage.pg, "create sequence step minvalue 0 start 0", NULL, &err), &err);
	snprintf(script, sizeof script, "\\set runs %d\n%s", RUNS, transition_script);
	for (size_t i = 0; i < sizeof clients / sizeof *clients; i++) {
		double per_s = yardstick_pgbench(&stage, script, clients[i]);
		bench_print("{\"figure\":\"engine yardstick\",\"what\":\"leat.update_node_state by pgbench\",\"clients\":%s,\"per_s\":%.0f}",
			clients[i], per_s);
		best = per_s > best ? per_s : best;
	}
	stage_close(&stage);
	return best;
}

void bench_engine(struct bench *bench)
{
	double yardstick = measure_transitions(bench);
	struct stage stage;
	struct leat_child server;
	stage_open(&stage, bench, false);
	int port = start_server(&stage, &server);
	setenv("LEAT_MAX_RUNS", "100", 1);
	setenv("LEAT_MAX_CALLS", "100", 1);
	stage_start_consumers(&stage, 1);
	save_chain(&stage, port);
	wait_for(&stage, "select count(*) from leat.workflows", 1);
	store_runs(&stage, CHAINS);
	wait_for_runs(&stage, CHAINS);
	double s = stage_ask_ms(&stage, "select extract(epoch from max(finished_at) - min(created_at)) from leat.runs");
	double per_s = (double)CHAINS * CHAIN * TRANSITIONS_PER_NODE / s;
	bench_print("{\"figure\":\"engine\",\"runs\":%d,\"nodes_each\":%d,\"max_runs\":100,\"seconds\":%.2f,\"transitions_per_s\":%.0f,"
				"\"yardstick_per_s\":%.0f,\"ratio\":%.2f}",
		CHAINS, CHAIN, s, per_s, yardstick, per_s / yardstick);
	unsetenv("LEAT_MAX_RUNS");
	unsetenv("LEAT_MAX_CALLS");
	stage_stop_consumers(&stage);
	leat_child_stop(&server, SIGTERM, 5000);
	stage_close(&stage);
}

/* ---- waiting ---- */

void bench_waiting(struct bench *bench)
{
	struct stage stage;
	stage_open(&stage, bench, false);
	stage_start_consumers(&stage, 1);
	save_workflow(&stage,
		"\"nodes\":[{\"id\":\"ask\",\"type\":\"question\",\"connection_id\":\"chat\","
		"\"expected_user_id\":\"" TENANT "\",\"payload\":{}}],\"edges\":[]");
	wait_for(&stage, "select count(*) from leat.workflows", 1);
	footprint_print_idle(&stage, "idle without runs");
	store_runs(&stage, WAITING);
	wait_for(&stage, "select count(*) from leat.runs where status = 'waiting'", WAITING);
	wait_for(&stage, "select count(*) from leat.outbox", 0);
	footprint_print_idle(&stage, "idle with 10,000 runs that wait");
	stage_close(&stage);
}
