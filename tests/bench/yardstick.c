/*
 * The yardsticks: what one would write without Leat. A table, a function that merges by `||` in one update, row triggers for audit and
 * updated_at; called once per merge, by pgbench as fast as it goes, or by a consumer written by hand.
 */
#include "bench.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECONDS "8"
#define PGBENCH_LIMIT_MS 60000
#define HANDS 4 /* calls at once by hand, as by a small pool of connections */
#define LOOK_MS 100

static const char schema[] =
	"create schema plain;"
	"create table plain.entities (tenant_id uuid not null, id uuid not null, entity_type text not null, content jsonb not null,"
	" metadata jsonb not null default '{}', created_at timestamptz not null default now(), updated_at timestamptz not null default now(),"
	" primary key (tenant_id, id)) with (fillfactor = 50);"
	"create table plain.audit_log (at timestamptz not null default now(), entity_id uuid not null, old jsonb, new jsonb);"
	"create function plain.merge_entity_content(p_entity_id uuid, p_tenant_id uuid, p_new jsonb) returns jsonb language sql as $$"
	" update plain.entities set content = content || p_new where tenant_id = p_tenant_id and id = p_entity_id returning content $$;"
	"create function plain.touch() returns trigger language plpgsql as $$ begin new.updated_at := now(); return new; end $$;"
	"create function plain.audit() returns trigger language plpgsql as $$ begin"
	" insert into plain.audit_log (entity_id, old, new) values (new.id, to_jsonb(old), to_jsonb(new)); return null; end $$;"
	"create trigger touch before update on plain.entities for each row execute function plain.touch();"
	"create trigger audit after update on plain.entities for each row execute function plain.audit();"
	"insert into plain.entities (tenant_id, id, entity_type, content)"
	" select ('11111111-0000-4000-8000-' || lpad((n % 10)::text, 12, '0'))::uuid, ('22222222-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid,"
	" 'order', jsonb_build_object('title', 'Order ' || n, 'status', 'new', 'progress', 0, 'sent', 0, 'customer', 'Customer ' || n,"
	" 'lines', '[1,2,3]'::jsonb, 'total', n + 0.5, 'note', 'none') from generate_series(0, 9999) n";

static const char script[] =
	"\\set n random(0, 9999)\n"
	"\\set v random(1, 1000000)\n"
	"select plain.merge_entity_content(('22222222-0000-4000-8000-' || lpad(:n::text, 12, '0'))::uuid,"
	" ('11111111-0000-4000-8000-' || lpad((:n::int % 10)::text, 12, '0'))::uuid,"
	" jsonb_build_object('status', 'step ' || :v::int % 100, 'progress', :v::int));\n";

void yardstick_install(struct stage *stage)
{
	struct leat_error err;
	bench_must(leat_pg_run_sql(stage->pg, schema, NULL, &err), &err);
}

/* ---- pgbench ---- */

static double read_tps(const char *path)
{
	char text[8192] = "";
	FILE *file = fopen(path, "re");
	if (file == NULL)
		bench_die("no %s", path);
	text[fread(text, 1, sizeof text - 1, file)] = '\0';
	fclose(file);
	const char *tps = strstr(text, "tps = ");
	if (tps == NULL)
		bench_die("pgbench: %s", text);
	return strtod(tps + strlen("tps = "), NULL);
}

static double run_pgbench(struct stage *stage, const char *script_path, const char *clients)
{
	char program[PATH_MAX];
	char output[PATH_MAX + 64];
	struct leat_error err;
	struct leat_child child;
	int status = -1;
	snprintf(output, sizeof output, "%s/pgbench.out", stage->bench->folder);
	bench_must(leat_program_find(program, "pgbench", "postgresql-15", &err), &err);
	const char *argv[] = {program, "-n", "-M", "prepared", "-c", clients, "-j", "2", "-T", SECONDS, "-f", script_path, stage->database_url, NULL};
	struct leat_child_spec spec = {.argv = argv, .output = output, .log = "/dev/null", .death_signal = SIGKILL};
	stage_rest(stage);
	bench_must(leat_child_start(&child, &spec, &err), &err);
	if (!leat_child_wait(&child, PGBENCH_LIMIT_MS, &status) || status != 0)
		bench_die("pgbench ended with status %d", status);
	return read_tps(output);
}

void yardstick_measure(struct bench *bench)
{
	static const char *const clients[] = {"8", "32"};
	struct stage stage;
	char path[PATH_MAX + 64];
	stage_open(&stage, bench, false);
	yardstick_install(&stage);
	snprintf(path, sizeof path, "%s/merge.sql", bench->folder);
	FILE *file = fopen(path, "we");
	if (file == NULL || fputs(script, file) < 0 || fclose(file) != 0)
		bench_die("can't write %s", path);
	for (size_t i = 0; i < sizeof clients / sizeof *clients; i++) {
		double per_s = run_pgbench(&stage, path, clients[i]);
		bench_print("{\"figure\":\"yardstick\",\"what\":\"plain merge function by pgbench\",\"clients\":%s,\"per_s\":%.0f}", clients[i], per_s);
		if (per_s > bench->yardstick_per_s)
			bench->yardstick_per_s = per_s;
	}
	stage_close(&stage);
}

/* ---- by hand ---- */

/* Subject and body of a message to the three parameters; leaves the checking to nobody, as such consumers do. */
static void bind_merge(struct leat_pg_params *params, const struct leat_msg *msg, char tenant[37], char entity[37], char content[512])
{
	const char *id = strstr(msg->data, "\"entity_id\":\"");
	const char *object = strstr(msg->data, "\"content\":");
	if (id == NULL || object == NULL)
		bench_die("not a message of the benchmark");
	object += strlen("\"content\":");
	snprintf(tenant, 37, "%s", msg->subject + strlen("leat.intent."));
	snprintf(entity, 37, "%s", id + strlen("\"entity_id\":\""));
	snprintf(content, 512, "%.*s", (int)(msg->data + msg->data_bytes - 1 - object), object);
	leat_pg_bind_text(params, entity);
	leat_pg_bind_text(params, tenant);
	leat_pg_bind_text(params, content);
}

static void consume_one(struct leat_pg *pg, struct leat_bus *bus, struct leat_msg *msg)
{
	struct leat_pg_params params = {0};
	struct leat_error err;
	char tenant[37];
	char entity[37];
	char content[512];
	bind_merge(&params, msg, tenant, entity, content);
	bench_must(leat_pg_run(pg, "merge", &params, NULL, &err), &err);
	leat_msg_ack(bus, msg);
	leat_msg_free(msg);
}

/* One of the hands: its own connections, one message at a time. */
struct hand {
	pthread_t thread;
	struct stage *stage;
	_Atomic size_t *left;
};

static void *work(void *argument)
{
	static const struct leat_pg_statement merge[] = {{"merge", "select plain.merge_entity_content($1::uuid, $2::uuid, $3::jsonb)"}};
	const struct hand *hand = argument;
	const struct leat_bus_options bus_options = {
		.url = hand->stage->nats.url, .name = "by hand", .request_timeout_ms = 10000, .retry_first_ms = 50, .retry_limit_ms = 500};
	const struct leat_pull_options options = {
		.stream = "LEAT_ENTITY", .durable = "by-hand", .ack_wait_ms = 10000, .max_ack_pending = 50000, .batch = 1, .batch_bytes = 8388608,
		.idle_heartbeat_ms = 5000};
	struct leat_bus *bus = NULL;
	struct leat_pg *pg = NULL;
	struct leat_pull *pull = NULL;
	struct leat_error err;
	bench_must(leat_pg_open(&pg, hand->stage->database_url, "by hand", merge, 1, &err), &err);
	bench_must(leat_bus_open(&bus, &bus_options, &err), &err);
	bench_must(leat_pull_open(&pull, bus, &options, &err), &err);
	while (atomic_load(hand->left) > 0) {
		struct leat_msg msg;
		enum leat_pull_event event = leat_pull_next(pull, LOOK_MS, &msg, &err);
		if (event == LEAT_PULL_BROKEN)
			bench_die("by hand: %s", err.text);
		if (event == LEAT_PULL_MESSAGE) {
			consume_one(pg, bus, &msg);
			atomic_fetch_sub(hand->left, 1);
		}
	}
	leat_pull_close(pull);
	leat_bus_close(bus);
	leat_pg_close(pg);
	return NULL;
}

void yardstick_consume(struct stage *stage, size_t count)
{
	struct hand hands[HANDS];
	_Atomic size_t left = count;
	for (size_t i = 0; i < HANDS; i++) {
		hands[i] = (struct hand){.stage = stage, .left = &left};
		if (pthread_create(&hands[i].thread, NULL, work, &hands[i]) != 0)
			bench_die("no thread");
	}
	for (size_t i = 0; i < HANDS; i++)
		pthread_join(hands[i].thread, NULL);
}
