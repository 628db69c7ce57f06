/* What the outbox costs: events that are committed already, until the last is in the stream; one consumer that does nothing else. */
#include "bench.h"

#include "leat/clock.h"

#include <poll.h>
#include <stdio.h>

#define EVENTS 200000
#define LONG_EVENTS 1000000
#define LOOK_MS 5
#define WAIT_LIMIT_MS 600000

/* As many subjects as there are entities, in a mixed order; bodies as long as an event's. */
static void insert_events(struct stage *stage, size_t count)
{
	struct leat_error err;
	char sql[512];
	snprintf(sql, sizeof sql,
		"insert into leat.outbox (subject, headers, body)"
		" select format('leat.event.11111111-0000-4000-8000-000000000001.entity.22222222-0000-4000-8000-%%s',"
		"   lpad((n %% 10000 * 7919 %% %d)::text, 12, '0')),"
		"  'Content-Type: application/cloudevents+json\r\n', convert_to(repeat('x', 400), 'UTF8')"
		" from generate_series(1, %zu) n",
		BENCH_ENTITIES, count);
	bench_must(leat_pg_run_sql(stage->pg, sql, NULL, &err), &err);
}

static void wait_empty(struct stage *stage)
{
	int64_t deadline = leat_clock_ms() + WAIT_LIMIT_MS;
	while (stage_ask(stage, "select count(*) from (select from leat.outbox limit 1) x") > 0) {
		if (leat_clock_ms() > deadline)
			bench_die("the outbox is not empty after %d s; see %s/%s/log", WAIT_LIMIT_MS / 1000, stage->bench->folder, stage->name);
		poll(NULL, 0, LOOK_MS);
	}
}

static int64_t backend(struct stage *stage)
{
	return stage_ask(
		stage, "select coalesce(max(pid), 0) from pg_stat_activity where application_name = 'leat relay' and datname = current_database()");
}

void bench_relay(struct bench *bench)
{
	size_t count = bench->longer ? LONG_EVENTS : EVENTS;
	struct stage stage;
	stage_open(&stage, bench, false);
	stage_start_consumers(&stage, 1);
	insert_events(&stage, BENCH_ENTITIES);
	wait_empty(&stage);
	pid_t pids[] = {stage.consumers[0].pid, (pid_t)backend(&stage), stage.nats.child.pid};
	int64_t cpu_ms[3];
	for (size_t i = 0; i < 3; i++)
		cpu_ms[i] = bench_cpu_ms(pids[i]);
	insert_events(&stage, count);
	int64_t start_ms = leat_clock_ms();
	wait_empty(&stage);
	int64_t took_ms = leat_clock_ms() - start_ms;
	for (size_t i = 0; i < 3; i++)
		cpu_ms[i] = bench_cpu_ms(pids[i]) - cpu_ms[i];
	bench_print("{\"figure\":\"relay\",\"events\":%zu,\"events_per_s\":%.0f,\"cpu_us_per_event\":{\"consumer\":%.1f,\"postgres\":%.1f,"
				"\"nats\":%.1f},"
				"\"outbox_mb\":%.1f}",
		count, (double)count * 1000 / (double)took_ms, (double)cpu_ms[0] * 1000 / (double)count, (double)cpu_ms[1] * 1000 / (double)count,
		(double)cpu_ms[2] * 1000 / (double)count, (double)stage_ask(&stage, "select pg_total_relation_size('leat.outbox')") / 1e6);
	stage_close(&stage);
}
