/* Stages: servers, schema, consumers, and waiting until they are done. */
#include "bench.h"

#include "leat/clock.h"

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define LOOK_MS 10
#define TELL_MS 20000 /* so often is said what is waited for */
#define WAIT_LIMIT_MS 600000
#define REQUEST_MS 30000

void stage_start(struct stage *stage, struct leat_child *child, const char *const argv[])
{
	char nats[160];
	char database[300];
	char migrate_url[300];
	char log[PATH_MAX + 64];
	snprintf(nats, sizeof nats, "LEAT_NATS_URL=%s", stage->nats.url);
	snprintf(database, sizeof database, "LEAT_DATABASE_URL=postgresql://leat@%s", strchr(stage->database_url, '@') + 1);
	snprintf(migrate_url, sizeof migrate_url, "LEAT_MIGRATE_URL=%s", stage->database_url);
	snprintf(log, sizeof log, "%s/%s/log", stage->bench->folder, stage->name);
	const char *environment[] = {nats, database, migrate_url, NULL};
	struct leat_child_spec spec = {.argv = argv, .environment = environment, .log = log, .death_signal = SIGKILL};
	struct leat_error err;
	bench_must(leat_child_start(child, &spec, &err), &err);
}

static void start_leat(struct stage *stage, struct leat_child *child, const char *command)
{
	const char *argv[] = {stage->bench->binary, command, NULL};
	stage_start(stage, child, argv);
}

static void migrate(struct stage *stage)
{
	struct leat_child child;
	int status = -1;
	start_leat(stage, &child, "migrate");
	if (!leat_child_wait(&child, REQUEST_MS, &status) || status != 0)
		bench_die("leat migrate failed");
}

static void tell_postgres(struct stage *stage, const char *sql)
{
	struct leat_error err;
	struct leat_pg *pg = NULL;
	bench_must(leat_pg_open(&pg, stage->bench->postgres.url, "bench", NULL, NULL, 0, &err), &err);
	bench_must(leat_pg_run_sql(pg, sql, NULL, &err), &err);
	leat_pg_close(pg);
}

static void make_database(struct stage *stage)
{
	struct leat_error err;
	char sql[128];
	const char *server = stage->bench->postgres.url;
	const char *slash = strrchr(server, '/');
	snprintf(sql, sizeof sql, "create database %s", stage->name);
	tell_postgres(stage, sql);
	snprintf(stage->database_url, sizeof stage->database_url, "%.*s/%s", (int)(slash - server), server, stage->name);
	migrate(stage);
	bench_must(leat_pg_open(&stage->pg, stage->database_url, "bench", NULL, NULL, 0, &err), &err);
}

static void drop_database(struct stage *stage)
{
	char sql[128];
	leat_pg_close(stage->pg);
	stage->pg = NULL;
	snprintf(sql, sizeof sql, "drop database %s with (force)", stage->name);
	tell_postgres(stage, sql);
}

void stage_lose_database(struct stage *stage)
{
	drop_database(stage);
	make_database(stage);
}

void stage_open(struct stage *stage, struct bench *bench, bool entities)
{
	struct leat_error err;
	char folder[PATH_MAX + 64];
	*stage = (struct stage){.bench = bench};
	snprintf(stage->name, sizeof stage->name, "stage%zu", ++bench->stages);
	snprintf(folder, sizeof folder, "%s/%s", bench->folder, stage->name);
	if (mkdir(folder, 0755) != 0)
		bench_die("can't make %s", folder);
	bench_must(leat_server_start(&stage->nats, LEAT_SERVER_NATS, folder, 0, &err), &err);
	make_database(stage);

	const struct leat_bus_options options = {
		.url = stage->nats.url, .name = "bench", .request_timeout_ms = REQUEST_MS, .retry_first_ms = 50, .retry_limit_ms = 500};
	bench_must(leat_bus_open(&stage->bus, &options, &err), &err);
	if (entities) {
		load_store_entities(stage);
		stage_start_consumers(stage, 1);
		stage_wait_drained(stage, LEAT_DURABLE);
		stage_stop_consumers(stage);
	}
}

void stage_close(struct stage *stage)
{
	stage_stop_consumers(stage);
	leat_bus_close(stage->bus);
	leat_server_stop(&stage->nats);
	drop_database(stage);
}

void stage_start_consumers(struct stage *stage, size_t count)
{
	while (stage->consumer_count < count)
		start_leat(stage, &stage->consumers[stage->consumer_count++], "consume");
}

void stage_stop_consumers(struct stage *stage)
{
	for (size_t i = 0; i < stage->consumer_count; i++) {
		int status = leat_child_stop(&stage->consumers[i], SIGTERM, 15000);
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
			bench_die("a consumer ended badly: waitpid status %d", status);
	}
	stage->consumer_count = 0;
}

static bool is_pulled(const struct leat_pull_info *info)
{
	return info->waiting > 0;
}

static bool is_drained(const struct leat_pull_info *info)
{
	return info->pending == 0 && info->ack_pending == 0;
}

/* The end of what its consumers wrote; the folder goes with the run. */
static void print_log(const struct stage *stage)
{
	char path[PATH_MAX + 64];
	char text[2048] = "";
	snprintf(path, sizeof path, "%s/%s/log", stage->bench->folder, stage->name);
	FILE *file = fopen(path, "re");
	if (file == NULL)
		return;
	if (fseek(file, -(long)sizeof text, SEEK_END) != 0)
		rewind(file);
	fwrite(text, 1, fread(text, 1, sizeof text, file), stderr);
	fclose(file);
}

/* What nobody works on any more would be waited for until the limit. */
static void check_consumers(const struct stage *stage)
{
	bool alive = stage->by_hand.pid == 0 || leat_child_running(&stage->by_hand);
	for (size_t i = 0; i < stage->consumer_count; i++)
		alive = alive && leat_child_running(&stage->consumers[i]);
	if (alive)
		return;
	print_log(stage);
	bench_die("a consumer has ended");
}

static void wait_until(struct stage *stage, const char *durable, bool (*is_so)(const struct leat_pull_info *info))
{
	int64_t deadline = leat_clock_ms() + WAIT_LIMIT_MS;
	int64_t tell_at_ms = leat_clock_ms() + TELL_MS;
	struct leat_pull_info info = {0};
	struct leat_error err;
	for (;;) {
		enum leat_kind kind = leat_durable_get_info(stage->bus, "LEAT_ENTITY", durable, &info, &err);
		if (kind != LEAT_OK && err.code != LEAT_CODE_NOT_FOUND)
			bench_must(kind, &err);
		if (kind == LEAT_OK && is_so(&info))
			return;
		if (leat_clock_ms() > deadline) {
			print_log(stage);
			bench_die("durable %s: %" PRIu64 " waiting, %" PRIu64 " unsettled, %" PRIu64 " pulls", durable, info.pending, info.ack_pending,
				info.waiting);
		}
		check_consumers(stage);
		if (leat_clock_ms() > tell_at_ms) {
			fprintf(stderr, "bench: %s: %" PRIu64 " waiting, %" PRIu64 " unsettled, %" PRIu64 " pulls\n", durable, info.pending,
				info.ack_pending, info.waiting);
			tell_at_ms += TELL_MS;
		}
		poll(NULL, 0, LOOK_MS);
	}
}

bool stage_is_drained(struct stage *stage, const char *durable)
{
	struct leat_pull_info info;
	struct leat_error err;
	bench_must(leat_durable_get_info(stage->bus, "LEAT_ENTITY", durable, &info, &err), &err);
	return is_drained(&info);
}

void stage_wait_pulled(struct stage *stage, const char *durable)
{
	wait_until(stage, durable, is_pulled);
}

void stage_wait_drained(struct stage *stage, const char *durable)
{
	wait_until(stage, durable, is_drained);
}

void stage_rest(struct stage *stage)
{
	static const char *const statements[] = {"vacuum analyze", "checkpoint"};
	for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) {
		struct leat_error err;
		bench_must(leat_pg_run_sql(stage->pg, statements[i], NULL, &err), &err);
	}
}

int64_t stage_ask(struct stage *stage, const char *sql)
{
	LEAT_PG_RESULT_SCOPED *result = NULL;
	struct leat_error err;
	bench_must(leat_pg_run_sql(stage->pg, sql, &result, &err), &err);
	return leat_pg_int8(result, 0, 0);
}

double stage_ask_ms(struct stage *stage, const char *sql)
{
	LEAT_PG_RESULT_SCOPED *result = NULL;
	struct leat_error err;
	bench_must(leat_pg_run_sql(stage->pg, sql, &result, &err), &err);
	return strtod(leat_pg_text(result, 0, 0), NULL);
}
