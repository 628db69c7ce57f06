/*
 * From publishing to the commit, at a steady 1,000 messages a second. Both ends are measured by this machine's clock: the publisher stamps
 * each message, and Postgres keeps the time of each commit. The yardstick is a consumer written by hand: a call, a commit, an ack a
 * message.
 */
#include "bench.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#define PER_S 1000
#define SECONDS 10
#define TURNS_LONG 6
#define NS_PER_S 1000000000

/* `sent` in microseconds, `at` the commit. What was sent in the first seconds is left out: both sides get warm. */
#define LATENCY "1000 * percentile_cont(%s) within group (order by extract(epoch from at) - sent / 1000000.0)"
#define WARM " where sent > (select min(sent) from message) + 2000000"

static const char leat_latency[] =
	"with message as (select pg_xact_commit_timestamp(xmin) as at, split_part(leat_id, '-', 1)::bigint as sent from leat.activity"
	" where verb = 'merge') select " LATENCY " from message" WARM;
static const char by_hand_latency[] =
	"with message as (select pg_xact_commit_timestamp(xmin) as at, (new #>> '{content,sent}')::bigint as sent from plain.audit_log)"
	" select " LATENCY " from message" WARM;

/* At its time each, however long the one before took. */
static void publish_steadily(struct stage *stage)
{
	struct draw draw;
	struct timespec due;
	draw_init(&draw, false);
	clock_gettime(CLOCK_MONOTONIC, &due);
	for (size_t i = 0; i < (size_t)PER_S * SECONDS; i++) {
		due.tv_nsec += NS_PER_S / PER_S;
		if (due.tv_nsec >= NS_PER_S) {
			due.tv_nsec -= NS_PER_S;
			due.tv_sec++;
		}
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
		load_send_stamped(stage, &draw, i);
	}
	draw_fini(&draw);
}

static double ask(struct stage *stage, const char *format, const char *share)
{
	char sql[1024];
	snprintf(sql, sizeof sql, format, share);
	return stage_ask_ms(stage, sql);
}

static void print_latency(struct stage *stage, const char *figure, const char *sql)
{
	bench_print("{\"figure\":\"%s\",\"messages_per_s\":%d,\"seconds\":%d,\"p50_ms\":%.2f,\"p99_ms\":%.2f,\"max_ms\":%.2f}", figure, PER_S,
		SECONDS, ask(stage, sql, "0.5"), ask(stage, sql, "0.99"), ask(stage, sql, "1"));
}

static void measure_by_hand(struct bench *bench)
{
	struct stage stage;
	stage_open(&stage, bench, false);
	yardstick_install(&stage);
	stage_rest(&stage);
	yardstick_start_consumer(&stage);
	stage_wait_pulled(&stage, YARDSTICK_DURABLE);
	publish_steadily(&stage);
	stage_wait_drained(&stage, YARDSTICK_DURABLE);
	yardstick_stop_consumer(&stage);
	print_latency(&stage, "latency by hand (yardstick)", by_hand_latency);
	stage_close(&stage);
}

static void measure_leat(struct bench *bench)
{
	struct stage stage;
	stage_open(&stage, bench, true);
	stage_rest(&stage);
	stage_start_consumers(&stage, 1);
	stage_wait_pulled(&stage, LEAT_DURABLE);
	publish_steadily(&stage);
	stage_wait_drained(&stage, LEAT_DURABLE);
	int64_t applied = stage_ask(&stage, "select count(*) from leat.activity where verb = 'merge' and outcome = 'applied'");
	if (applied != PER_S * SECONDS)
		bench_die("%" PRId64 " merges applied, %d published", applied, PER_S * SECONDS);
	print_latency(&stage, "latency", leat_latency);
	stage_close(&stage);
}

/* In turns, since a busy machine strikes now the one and now the other. */
void bench_latency(struct bench *bench)
{
	for (int turn = 0; turn < (bench->longer ? TURNS_LONG : 1); turn++) {
		measure_by_hand(bench);
		measure_leat(bench);
	}
}
