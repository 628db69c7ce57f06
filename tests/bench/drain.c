/* How fast a full stream is applied: from the start of the consumers to the last acknowledgement, which comes after the commit. */
#include "bench.h"

#include "leat/clock.h"

#include <inttypes.h>
#include <stdio.h>

#define MESSAGES 200000

struct kind {
	const char *keys;
	bool zipf;
	enum load_role role;
};

static double drain(struct bench *bench, const struct kind *kind, size_t consumers)
{
	struct stage stage;
	struct draw draw;
	stage_open(&stage, bench, true);
	draw_init(&draw, kind->zipf);
	load_store_merges(&stage, &draw, MESSAGES, kind->role);
	draw_fini(&draw);
	stage_rest(&stage);

	int64_t started_ms = leat_clock_ms();
	stage_start_consumers(&stage, consumers);
	stage_wait_drained(&stage, LEAT_DURABLE);
	double seconds = (double)(leat_clock_ms() - started_ms) / 1000;

	int64_t applied = stage_ask(&stage, "select count(*) from leat.activity where verb = 'merge' and outcome = 'applied'");
	if (applied != MESSAGES)
		bench_die("%" PRId64 " merges applied, %d published", applied, MESSAGES);
	stage_close(&stage);
	return MESSAGES / seconds;
}

void bench_drain(struct bench *bench)
{
	static const size_t consumers[] = {1, 2, 4};
	static const struct kind kinds[] = {
		{"uniform", false, LOAD_SERVICE},
		{"zipf 1.1", true, LOAD_SERVICE},
		{"uniform", false, LOAD_USERS},
	};
	yardstick_measure(bench);
	for (const struct kind *kind = kinds; kind < kinds + sizeof kinds / sizeof *kinds; kind++) {
		double of_one = 0;
		for (size_t i = 0; i < sizeof consumers / sizeof *consumers; i++) {
			double per_s = drain(bench, kind, consumers[i]);
			if (consumers[i] == 1)
				of_one = per_s;
			bench_print("{\"figure\":\"drain\",\"keys\":\"%s\",\"by\":\"%s\",\"consumers\":%zu,\"messages\":%d,\"per_s\":%.0f,\"yardstick_"
						"per_s\":%.0f,"
						"\"ratio\":%.2f,\"of_one_consumer\":%.2f}",
				kind->keys, kind->role == LOAD_USERS ? "users" : "a service", consumers[i], MESSAGES, per_s, bench->yardstick_per_s,
				per_s / bench->yardstick_per_s, per_s / of_one);
		}
	}
}
