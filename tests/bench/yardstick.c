/*
 * The yardsticks: what one would write without Leat. A table, a function that merges by `||` in one update, row triggers for audit and
 * updated_at; called once per merge, by pgbench as fast as it goes, or by a consumer written by hand, by_hand.mjs.
 */
#include "bench.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECONDS "8"
#define PGBENCH_LIMIT_MS 60000
#define STOP_MS 10000

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
	" select ('11111111-0000-4000-8000-' || lpad((n % 10)::text, 12, '0'))::uuid, ('22222222-0000-4000-8000-' || lpad(n::text, 12, "
	"'0'))::uuid,"
	" 'order', jsonb_build_object('title', 'Order ' || n, 'status', 'new', 'progress', 0, 'sent', 0, 'customer', 'Customer ' || n,"
	" 'lines', '[1,2,3]'::jsonb, 'total', n + 0.5, 'note', 'none') from generate_series(0, 9999) n;"
	"grant usage on schema plain to public; grant all on all tables in schema plain to public";

static const char script[] = "\\set n random(0, 9999)\n"
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

double yardstick_pgbench(struct stage *stage, const char *text, const char *clients)
{
	char program[PATH_MAX];
	char output[PATH_MAX + 64];
	char path[PATH_MAX + 64];
	struct leat_error err;
	struct leat_child child;
	int status = -1;
	snprintf(path, sizeof path, "%s/pgbench.sql", stage->bench->folder);
	FILE *file = fopen(path, "we");
	if (file == NULL || fputs(text, file) < 0 || fclose(file) != 0)
		bench_die("can't write %s", path);
	snprintf(output, sizeof output, "%s/pgbench.out", stage->bench->folder);
	bench_must(leat_program_find(program, "pgbench", "postgresql-15", &err), &err);
	const char *argv[] = {program, "-n", "-M", "prepared", "-c", clients, "-j", "2", "-T", SECONDS, "-f", path, stage->database_url, NULL};
	struct leat_child_spec spec = {.argv = argv, .output = output, .death_signal = SIGKILL};
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
	stage_open(&stage, bench, false);
	yardstick_install(&stage);
	for (size_t i = 0; i < sizeof clients / sizeof *clients; i++) {
		double per_s = yardstick_pgbench(&stage, script, clients[i]);
		bench_print(
			"{\"figure\":\"yardstick\",\"what\":\"plain merge function by pgbench\",\"clients\":%s,\"per_s\":%.0f}", clients[i], per_s);
		if (per_s > bench->yardstick_per_s)
			bench->yardstick_per_s = per_s;
	}
	stage_close(&stage);
}

/* ---- by hand ---- */

void yardstick_start_consumer(struct stage *stage)
{
	static const char *const argv[] = {"node", "tests/bench/by_hand.mjs", NULL};
	stage_start(stage, &stage->by_hand, argv);
}

void yardstick_stop_consumer(struct stage *stage)
{
	leat_child_stop(&stage->by_hand, SIGTERM, STOP_MS);
}
