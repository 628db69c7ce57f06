/*
 * The benchmark: figures as JSON lines on standard output, each with its yardstick from the same run on the same servers.
 *
 * A stage is what one figure is measured on: a nats-server of its own with Leat's streams, a database of its own in the run's Postgres, and
 * ENTITIES entities in it. Whatever goes wrong ends the run with a message.
 */
#ifndef LEAT_BENCH_H
#define LEAT_BENCH_H

#include "leat/buf.h"
#include "leat/bus.h"
#include "leat/local.h"
#include "leat/pg.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BENCH_TENANTS 10
#define BENCH_ENTITIES 10000 /* of all tenants together */
#define BENCH_CONSUMERS 8

struct bench {
	char folder[PATH_MAX];
	const char *binary; /* the program under test */
	struct leat_server postgres;
	bool longer;            /* larger counts */
	double yardstick_per_s; /* of the plain merge function, once it was measured */
	size_t stages;
};

/* ---- stage.c ---- */

struct stage {
	struct bench *bench;
	char name[32]; /* of folder and database */
	struct leat_server nats;
	char database_url[256];
	struct leat_bus *bus;
	struct leat_pg *pg;
	struct leat_child consumers[BENCH_CONSUMERS];
	size_t consumer_count;
	struct leat_child by_hand;
};

/* With schema and streams; `entities`: with entities, applied by a consumer that is gone again. */
void stage_open(struct stage *stage, struct bench *bench, bool entities);
void stage_close(struct stage *stage);
/* The streams stay; the database is another one, empty. */
void stage_lose_database(struct stage *stage);
void stage_start_consumers(struct stage *stage, size_t count);
void stage_stop_consumers(struct stage *stage);
/* Starts a program that finds the stage's servers in its environment. */
void stage_start(struct stage *stage, struct leat_child *child, const char *const argv[]);
#define LEAT_DURABLE "leat-entity"
/* Waits until somebody pulls from the durable. */
void stage_wait_pulled(struct stage *stage, const char *durable);
/* Waits until the durable has nothing to deliver and nothing unsettled. */
void stage_wait_drained(struct stage *stage, const char *durable);
bool stage_is_drained(struct stage *stage, const char *durable);
/* The dust of what came before is settled: vacuum, checkpoint. */
void stage_rest(struct stage *stage);
int64_t stage_ask(struct stage *stage, const char *sql);
double stage_ask_ms(struct stage *stage, const char *sql);

/* ---- load.c ---- */

/* Which entity a message is for. */
struct draw {
	uint64_t state;     /* splitmix64 */
	double *cumulative; /* NULL: evenly; otherwise BENCH_ENTITIES, Zipf */
};

void draw_init(struct draw *draw, bool zipf);
void draw_fini(struct draw *draw);
size_t draw_entity(struct draw *draw);

/* "11111111-0000-4000-8000-000000000007", "22222222-0000-4000-8000-000000001234": numbers in decimal, so that SQL can make them too. */
void load_tenant_id(char out[37], size_t entity);
void load_entity_id(char out[37], size_t entity);
/* Stores `count` merges of two fields each, each with a Leat-Id; by a service, or by the users of the tenant, each with its Leat-Actor. */
enum load_role { LOAD_SERVICE, LOAD_USERS };
void load_store_merges(struct stage *stage, struct draw *draw, size_t count, enum load_role role);
void load_store_entities(struct stage *stage);
/* Publishes one merge without waiting for its confirmation; its Leat-Id and its field `sent` begin with the time in microseconds. */
void load_send_stamped(struct stage *stage, struct draw *draw, size_t number);

/* ---- yardstick.c ---- */

/* What others do: a plain table, a two-line function, row triggers. In the stage's database. */
void yardstick_install(struct stage *stage);
/* Runs of a script per second, by pgbench with so many clients. */
double yardstick_pgbench(struct stage *stage, const char *text, const char *clients);
/* Calls of that function per second by pgbench, the best of 8 and 32 clients; prints both. */
void yardstick_measure(struct bench *bench);
/* A consumer of the stage's stream as one writes it by hand; its durable is YARDSTICK_DURABLE. */
#define YARDSTICK_DURABLE "by-hand"
void yardstick_start_consumer(struct stage *stage);
void yardstick_stop_consumer(struct stage *stage);

/* ---- footprint.c ---- */

/* What the stage's first consumer costs while there is nothing to do. */
void footprint_print_idle(struct stage *stage, const char *figure);

/* ---- the parts ---- */

void bench_drain(struct bench *bench);
void bench_latency(struct bench *bench);
void bench_memory(struct bench *bench);
void bench_idle(struct bench *bench);
void bench_relay(struct bench *bench);
void bench_makespan(struct bench *bench);
void bench_engine(struct bench *bench);
void bench_waiting(struct bench *bench);
void bench_verify(struct bench *bench);
void bench_replay(struct bench *bench);

/* ---- main.c ---- */

void bench_die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
void bench_must(enum leat_kind kind, const struct leat_error *err);
/* One JSON line. */
void bench_print(const char *format, ...) __attribute__((format(printf, 1, 2)));
int64_t bench_cpu_ms(pid_t pid);
int64_t bench_resident_kb(pid_t pid);

#endif
