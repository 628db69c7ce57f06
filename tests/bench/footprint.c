/* What a consumer needs: memory after few and after many messages; and Postgres and CPU while there is nothing to do. */
#include "bench.h"

#include <inttypes.h>
#include <poll.h>

#define FEW 50000
#define MANY 200000
#define LONG_FEW 100000
#define LONG_MANY 1000000
#define IDLE_S 20

/* ---- memory ---- */

void bench_memory(struct bench *bench)
{
	size_t few = bench->longer ? LONG_FEW : FEW;
	size_t many = bench->longer ? LONG_MANY : MANY;
	struct stage stage;
	struct draw draw;
	draw_init(&draw, false);
	stage_open(&stage, bench, true);
	stage_start_consumers(&stage, 1);
	load_store_merges(&stage, &draw, few, LOAD_SERVICE);
	stage_wait_drained(&stage, LEAT_DURABLE);
	int64_t after_few_kb = bench_resident_kb(stage.consumers[0].pid);
	load_store_merges(&stage, &draw, many - few, LOAD_SERVICE);
	stage_wait_drained(&stage, LEAT_DURABLE);
	int64_t after_many_kb = bench_resident_kb(stage.consumers[0].pid);
	bench_print("{\"figure\":\"memory\",\"messages\":[%zu,%zu],\"resident_mb\":[%.1f,%.1f],\"growth\":%.3f}", few, many,
		(double)after_few_kb / 1024, (double)after_many_kb / 1024, (double)after_many_kb / (double)after_few_kb);
	stage_close(&stage);
	draw_fini(&draw);
}

/* ---- idle ---- */

/* Transactions of the consumer's connections; what the question itself adds is taken off by the caller. */
static int64_t transactions(struct stage *stage)
{
	return stage_ask(stage, "select xact_commit + xact_rollback from pg_stat_database where datname = current_database()");
}

/* What was done is in the statistics once each connection has reported: an idle one does within 10 s. */
#define SETTLE_MS 12000

/* Autovacuum's transactions count like anybody's. */
static void set_autovacuum(struct stage *stage, bool on)
{
	struct leat_error err;
	const char *setting = on ? "alter system reset autovacuum" : "alter system set autovacuum = off";
	bench_must(leat_pg_run_sql(stage->pg, setting, NULL, &err), &err);
	bench_must(leat_pg_run_sql(stage->pg, "select pg_reload_conf()", NULL, &err), &err);
}

void footprint_print_idle(struct stage *stage, const char *figure)
{
	set_autovacuum(stage, false);
	poll(NULL, 0, SETTLE_MS);
	pid_t consumer = stage->consumers[0].pid;
	int64_t transactions_before = transactions(stage);
	int64_t cpu_before_ms = bench_cpu_ms(consumer);
	int64_t before_kb = bench_resident_kb(consumer);
	poll(NULL, 0, IDLE_S * 1000);
	int64_t cpu_ms = bench_cpu_ms(consumer) - cpu_before_ms;
	int64_t done = transactions(stage) - transactions_before - 1;
	bench_print("{\"figure\":\"%s\",\"seconds\":%d,\"transactions_per_s\":%.2f,\"cpu_percent_of_a_core\":%.2f,\"resident_kb\":[%" PRId64
				",%" PRId64 "]}",
		figure, IDLE_S, (double)done / IDLE_S, (double)cpu_ms / (10.0 * IDLE_S), before_kb, bench_resident_kb(consumer));
	set_autovacuum(stage, true);
}

void bench_idle(struct bench *bench)
{
	struct stage stage;
	stage_open(&stage, bench, true);
	stage_start_consumers(&stage, 1);
	stage_wait_drained(&stage, LEAT_DURABLE);
	footprint_print_idle(&stage, "idle");
	stage_close(&stage);
}
