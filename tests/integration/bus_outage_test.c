/* A server that dies, hangs or is not there: the bus says so in time, loses nothing, and comes back by itself. */
#include "bus_fixture.h"

#include "leat/clock.h"

#include <stdlib.h>
#include <string.h>

TestSuite(bus_outage, .init = setup, .fini = teardown);

static bool reconnected(void *unused)
{
	(void)unused;
	return leat_bus_connected(bus);
}

static bool came_back_once(void *unused)
{
	(void)unused;
	return leat_bus_connected(bus) && leat_bus_reconnects(bus) == 1;
}

static bool lost(void *unused)
{
	(void)unused;
	return !leat_bus_connected(bus);
}

Test(bus_outage, killed_server_breaks_the_pull_and_loses_nothing)
{
	store_many(3000);
	struct leat_pull *pull = open_pull(&workers);
	bool *seen = leat_alloc_zero(3001, sizeof *seen);
	for (int i = 0; i < 1000; i++) {
		struct leat_msg msg = next(pull, 5000);
		seen[msg.seq] = true;
		settle(&msg);
	}
	leat_server_kill(&rig.nats);
	cr_assert(rig_wait_until(lost, NULL, 10));
	int64_t deadline_ms = leat_clock_ms() + 10000;
	while (next_event(pull, 1) != LEAT_PULL_BROKEN) /* what was queued may still be handed out */
		cr_assert_lt(leat_clock_ms(), deadline_ms, "still not broken");
	struct leat_outgoing message = outgoing("things.a", NULL, "meanwhile");
	cr_assert_eq(leat_bus_store(bus, &message, 1), LEAT_TEMPORARY);
	int64_t start_ms = leat_clock_ms();
	leat_pull_close(pull);
	cr_assert_lt(leat_clock_ms() - start_ms, 4000);
	cr_assert_eq(leat_pull_open(&pull, bus, &workers, &err), LEAT_TEMPORARY, "%s", err.text);

	must(leat_server_restart(&rig.nats, &err));
	cr_assert(rig_wait_until(came_back_once, NULL, 10));
	store("things.a", NULL, "after");
	pull = open_pull(&workers);
	seen = leat_realloc(seen, 3002 * sizeof *seen);
	seen[3001] = false;
	deadline_ms = leat_clock_ms() + 40000; /* what was in hand comes again after AckWait */
	while (!all_settled((void *)workers.durable) && leat_clock_ms() < deadline_ms) {
		struct leat_msg msg;
		enum leat_pull_event event;
		while ((event = leat_pull_next(pull, 200, &msg, &err)) == LEAT_PULL_MESSAGE) {
			seen[msg.seq] = true;
			settle(&msg);
		}
		cr_assert_eq(event, LEAT_PULL_EMPTY, "%s", err.text);
	}
	for (size_t seq = 1; seq <= 3001; seq++)
		cr_assert(seen[seq], "message %zu never came", seq);
	cr_assert(all_settled((void *)workers.durable));
	leat_pull_close(pull);
	free(seen);
}

Test(bus_outage, stalled_server_breaks_the_pull_by_missed_heartbeats)
{
	struct leat_pull *pull = open_pull(&workers);
	cr_assert_eq(next_event(pull, 0), LEAT_PULL_EMPTY);
	leat_server_pause(&rig.nats);
	int64_t start_ms = leat_clock_ms();
	cr_assert_eq(next_event(pull, 10), LEAT_PULL_BROKEN);
	cr_assert_lt(leat_clock_ms() - start_ms, 3000);
	cr_assert_not_null(strstr(err.text, "heartbeat"), "%s", err.text);
	leat_pull_close(pull);
	struct leat_outgoing message = outgoing("things.a", NULL, "x");
	cr_assert_eq(leat_bus_store(bus, &message, 1), LEAT_TEMPORARY);
	leat_server_resume(&rig.nats);
	cr_assert(rig_wait_until(reconnected, NULL, 10));
	pull = open_pull(&workers);
	struct leat_msg msg = next(pull, 5000); /* it was on its way all the same */
	settle(&msg);
	leat_pull_close(pull);
}

Test(bus_outage, no_server_is_temporary_and_a_bad_url_permanent)
{
	struct leat_bus *other;
	struct leat_bus_options wanted = options();
	leat_server_stop(&rig.nats);
	cr_assert_eq(leat_bus_open(&other, &wanted, &err), LEAT_TEMPORARY, "%s", err.text);
	wanted.url = "nats://127.0.0.1:port";
	cr_assert_eq(leat_bus_open(&other, &wanted, &err), LEAT_PERMANENT, "%s", err.text);
	wanted.url = "";
	cr_assert_eq(leat_bus_open(&other, &wanted, &err), LEAT_PERMANENT, "%s", err.text);
	must(leat_server_restart(&rig.nats, &err));
}
