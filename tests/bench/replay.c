/*
 * How fast `leat replay` fills a database that was lost, beside the consumer that filled it before; and how much slower consumers are while
 * one replays the whole stream into their database, which must change nothing.
 */
#include "bench.h"

#include "leat/clock.h"

#include <inttypes.h>
#include <stdbool.h>
#include <sys/wait.h>

enum { MESSAGES = 200000, BESIDE = 100000, LOOK_MS = 10, WAIT_MS = 600000 };

#define STATE                                                                                                                              \
	"select hashtextextended(string_agg((tenant_id, id, entity_type, content, content_positions)::text, '' order by tenant_id, id), 0) "   \
	"from leat.entities"

static double per_s(int64_t count, int64_t since_ms)
{
	return (double)count * 1000 / (double)(leat_clock_ms() - since_ms);
}

static void start_replay(struct stage *stage, struct leat_child *child)
{
	const char *argv[] = {stage->bench->binary, "replay", NULL};
	stage_start(stage, child, argv);
}

/* True: it came to its end. */
static bool wait_replay(struct leat_child *child, int64_t timeout_ms)
{
	int status = -1;
	if (!leat_child_wait(child, timeout_ms, &status))
		return false;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		bench_die("leat replay ended badly: waitpid status %d", status);
	return true;
}

static double drain_by_one(struct stage *stage, int64_t count)
{
	int64_t began_ms = leat_clock_ms();
	stage_start_consumers(stage, 1);
	stage_wait_drained(stage, LEAT_DURABLE);
	double rate = per_s(count, began_ms);
	stage_stop_consumers(stage);
	return rate;
}

/* The same entities and the same ledger, in as many seconds as the consumer took or fewer. */
static void refill(struct stage *stage, double drain_per_s)
{
	struct leat_child replay;
	int64_t before = stage_ask(stage, STATE);
	stage_lose_database(stage);
	stage_rest(stage);
	int64_t began_ms = leat_clock_ms();
	start_replay(stage, &replay);
	if (!wait_replay(&replay, WAIT_MS))
		bench_die("leat replay does not come to its end");
	double replay_per_s = per_s(MESSAGES + BENCH_ENTITIES, began_ms);
	int64_t applied = stage_ask(stage, "select count(*) from leat.activity where outcome = 'applied'");
	if (applied != MESSAGES + BENCH_ENTITIES)
		bench_die("%" PRId64 " intents are applied, not %d", applied, MESSAGES + BENCH_ENTITIES);
	bench_print("{\"figure\":\"replay\",\"intents\":%d,\"per_s\":%.0f,\"drain_per_s\":%.0f,\"ratio\":%.2f,\"same_entities\":%s}",
		MESSAGES + BENCH_ENTITIES, replay_per_s, drain_per_s, replay_per_s / drain_per_s,
		stage_ask(stage, STATE) == before ? "true" : "false");
}

/* The whole stream is replayed until the consumer is done, as often as that takes. */
static double drain_beside_replays(struct stage *stage, int64_t count, int *replays)
{
	struct leat_child replay;
	int64_t began_ms = leat_clock_ms();
	stage_start_consumers(stage, 1);
	start_replay(stage, &replay);
	for (*replays = 1; !stage_is_drained(stage, LEAT_DURABLE);) {
		if (!wait_replay(&replay, LOOK_MS))
			continue;
		start_replay(stage, &replay);
		++*replays;
	}
	double rate = per_s(count, began_ms);
	if (!wait_replay(&replay, WAIT_MS))
		bench_die("leat replay does not come to its end");
	stage_stop_consumers(stage);
	return rate;
}

static void replay_beside(struct stage *stage, struct draw *draw)
{
	int replays;
	load_store_merges(stage, draw, BESIDE, LOAD_SERVICE);
	stage_rest(stage);
	double alone_per_s = drain_by_one(stage, BESIDE);
	load_store_merges(stage, draw, BESIDE, LOAD_SERVICE);
	stage_rest(stage);
	double beside_per_s = drain_beside_replays(stage, BESIDE, &replays);
	bench_print("{\"figure\":\"consumer beside a replay\",\"messages\":%d,\"per_s\":%.0f,\"alone_per_s\":%.0f,\"ratio\":%.2f,"
				"\"replays_begun\":%d}",
		BESIDE, beside_per_s, alone_per_s, beside_per_s / alone_per_s, replays);
}

void bench_replay(struct bench *bench)
{
	struct stage stage;
	struct draw draw;
	stage_open(&stage, bench, true);
	draw_init(&draw, false);
	load_store_merges(&stage, &draw, MESSAGES, LOAD_SERVICE);
	stage_rest(&stage);
	double drain_per_s = drain_by_one(&stage, MESSAGES);
	refill(&stage, drain_per_s);
	replay_beside(&stage, &draw);
	draw_fini(&draw);
	stage_close(&stage);
}
