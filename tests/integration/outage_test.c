/*
 * Outages under load: Postgres or nats-server stops, or hangs, and comes back. No message is lost or dead-lettered, the consumer waits
 * without using the processor, and catches up by itself.
 */
#include "load.h"

#include "leat/clock.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>

#define ENTITIES 100
#define MERGES 1000    /* each time */
#define CPU_PERCENT 10 /* of a core, at most, with sanitizers and all */

static struct rig rig;

static void setup(void)
{
	rig_open_alone(&rig);
	rig_migrate(&rig);
}

static void teardown(void)
{
	rig_close(&rig);
}

TestSuite(outage, .init = setup, .fini = teardown);

static const char *const settings[] = {"--retry-limit-ms", "1000", "--idle-heartbeat-ms", "500", "--batch", "100", NULL};

static void expect_merged(const char *field)
{
	cr_assert_eq(rig_sql_int(&rig, "select count(*) from leat.entities where (content ->> '%s')::int >= %d", field, MERGES - ENTITIES),
		ENTITIES, "%s is not everywhere", field);
}

/* ---- the ways to stop ---- */

static void stop(struct leat_server *server)
{
	leat_server_stop(server);
}

static void start(struct leat_server *server)
{
	struct leat_error err;
	cr_assert_eq(leat_server_restart(server, &err), LEAT_OK, "%s", err.text);
}

static void pause_it(struct leat_server *server)
{
	leat_server_pause(server);
}

static void resume_it(struct leat_server *server)
{
	leat_server_resume(server);
}

/* How much of a core the process uses while the time passes: here waiting is what is measured. */
static int64_t cpu_percent_for(pid_t pid, int64_t ms)
{
	int64_t used_ms = load_cpu_ms(pid);
	int64_t started_ms = leat_clock_ms();
	poll(NULL, 0, (int)ms);
	return (load_cpu_ms(pid) - used_ms) * 100 / (leat_clock_ms() - started_ms);
}

static bool connected(void *unused)
{
	(void)unused;
	return leat_bus_connected(rig_bus(&rig));
}

static void outage(struct leat_server *server, void (*leave)(struct leat_server *), void (*come_back)(struct leat_server *))
{
	bool of_nats = server == &rig.nats;
	struct leat_child *consumer = load_start_consumer(&rig, "consumer", settings);
	load_store_entities(&rig, RIG_TENANT_A, ENTITIES);
	load_wait_settled(&rig, ENTITIES, 60);
	load_store_merges(&rig, "before", MERGES, ENTITIES);
	rig_sql_wait(&rig, 60, "t", "select count(*) > %d from leat.activity", ENTITIES);
	leave(server);
	if (!of_nats)
		load_store_merges(&rig, "during", MERGES, ENTITIES);
	int64_t percent = cpu_percent_for(consumer->pid, rig_size(5000, 60000));
	come_back(server);
	cr_assert(rig_wait_until(connected, NULL, 60));
	rig_sql_wait(&rig, 60, "1", "select 1");
	if (of_nats)
		load_store_merges(&rig, "during", MERGES, ENTITIES);
	load_store_merges(&rig, "after", MERGES, ENTITIES);

	load_wait_settled(&rig, ENTITIES + 3 * MERGES, 120);
	expect_merged("before");
	expect_merged("during");
	expect_merged("after");
	cr_assert_eq(rig_sql_int(&rig, "select count(*) from leat.activity where outcome <> 'applied'"), 0);
	cr_assert_eq(load_dead_count(&rig), 0);
	cr_assert_leq(percent, CPU_PERCENT, "%" PRId64 " %% of a core for waiting", percent);
	cr_assert(leat_child_running(consumer));
	load_stop_consumer(consumer);
}

Test(outage, postgres_stops)
{
	outage(&rig.postgres, stop, start);
}

Test(outage, postgres_hangs)
{
	outage(&rig.postgres, pause_it, resume_it);
}

Test(outage, nats_stops)
{
	outage(&rig.nats, stop, start);
}

Test(outage, nats_hangs)
{
	outage(&rig.nats, pause_it, resume_it);
}
