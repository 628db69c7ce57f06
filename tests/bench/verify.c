/*
 * How fast `leat verify` folds a stream: intents a second from the first message to the last, ledger and decoding included, beside an
 * ordered reader alone that drains the same stream; and what one core would make of it, by the processor's time that all threads took,
 * comparing included.
 */
#include "bench.h"

#include "leat/clock.h"
#include "leat/verify.h"

#include <inttypes.h>

#include <time.h>

enum { MESSAGES = 200000, WAIT_MS = 1000, MEMORY_BYTES = 1 << 30 };

/* Of all threads of this process. */
static double cpu_s(void)
{
	struct timespec used;
	if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) != 0)
		bench_die("no processor time is kept here");
	return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

static double read_alone(struct stage *stage, double *per_core_s)
{
	struct leat_reader *reader = NULL;
	struct leat_reading reading;
	struct leat_error err;
	uint64_t count = 0;
	double cpu_began_s = cpu_s();
	int64_t began_ms = leat_clock_ms();
	bench_must(leat_reader_open(&reader, stage->bus, "LEAT_ENTITY", 0, 0, &err), &err);
	for (enum leat_read read; (read = leat_reader_next(reader, WAIT_MS, &reading, &err)) != LEAT_READ_END;) {
		if (read == LEAT_READ_FAILED)
			bench_die("%s", err.text);
		if (read != LEAT_READ_MESSAGE)
			continue;
		leat_msg_free(&reading.msg);
		count++;
	}
	leat_reader_close(reader);
	*per_core_s = (double)count / (cpu_s() - cpu_began_s);
	return (double)count * 1000 / (double)(leat_clock_ms() - began_ms);
}

void bench_verify(struct bench *bench)
{
	struct stage stage;
	struct draw draw;
	struct leat_params params;
	struct leat_error err;
	LEAT_VERIFY_REPORT_SCOPED report;
	stage_open(&stage, bench, true);
	draw_init(&draw, false);
	load_store_merges(&stage, &draw, MESSAGES, LOAD_SERVICE);
	draw_fini(&draw);
	stage_start_consumers(&stage, 1);
	stage_wait_drained(&stage, LEAT_DURABLE);
	stage_stop_consumers(&stage);
	stage_rest(&stage);

	double reader_per_core_s;
	double reader_per_s = read_alone(&stage, &reader_per_core_s);
	leat_params_init(&params);
	params.nats_url = stage.nats.url;
	params.database_url = stage.database_url;
	const struct leat_verify_options options = {.params = &params, .sample_percent = 100, .memory_bytes = MEMORY_BYTES, .most_findings = 1};
	double cpu_began_s = cpu_s();
	int64_t began_ms = leat_clock_ms();
	bench_must(leat_verify(&report, &options, &err), &err);
	double seconds = (double)(leat_clock_ms() - began_ms) / 1000;
	if (report.verdict != LEAT_VERIFY_EQUAL)
		bench_die("verify says %s", leat_verify_verdict_name(report.verdict));
	double per_core_s = (double)report.facts / (cpu_s() - cpu_began_s);
	double per_s = (double)report.facts * 1000 / (double)report.read_ms;
	bench_print("{\"figure\":\"verify\",\"intents\":%" PRIu64
				",\"per_s\":%.0f,\"reader_per_s\":%.0f,\"ratio\":%.2f,\"per_core_s\":%.0f,\"reader_per_core_s\":%.0f,"
				"\"seconds_with_comparing\":%.1f}",
		report.facts, per_s, reader_per_s, per_s / reader_per_s, per_core_s, reader_per_core_s, seconds);
	stage_close(&stage);
}
