/* Durables that others made or took away: used as they are, refused when they would lose messages, missed when they are gone. */
#include "bus_fixture.h"

#include "leat/clock.h"

#include <string.h>

TestSuite(bus_durable, .init = setup, .fini = teardown);

/* JetStream's API without waiting for the answer; the test then waits for the effect. */
static void call_api(const char *subject, const char *request)
{
	must(leat_bus_publish(bus, subject, NULL, request, strlen(request), &err));
}

/* ---- made by others ---- */

static bool durable_exists(void *name)
{
	struct leat_pull_info info;
	return leat_durable_get_info(bus, "THINGS", name, &info, &err) == LEAT_OK;
}

Test(bus_durable, durable_with_other_settings_is_used_as_it_is)
{
	call_api("$JS.API.CONSUMER.DURABLE.CREATE.THINGS.workers",
		"{\"stream_name\":\"THINGS\",\"config\":{\"durable_name\":\"workers\",\"ack_policy\":\"explicit\",\"deliver_policy\":\"all\","
		"\"ack_wait\":1000000000,\"max_ack_pending\":2}}");
	cr_assert(rig_wait_until(durable_exists, "workers", 5));
	store_many(3);
	struct leat_pull *pull = open_pull(&workers);
	struct leat_msg one = next(pull, 5000);
	struct leat_msg two = next(pull, 5000);
	cr_assert_eq(next_event(pull, 0), LEAT_PULL_EMPTY, "its own max_ack_pending holds the third back");
	settle(&one);
	settle(&two);
	leat_pull_close(pull);
}

Test(bus_durable, durable_that_loses_messages_is_refused)
{
	struct leat_pull *pull;
	struct leat_pull_options wanted = workers;
	call_api("$JS.API.CONSUMER.DURABLE.CREATE.THINGS.pushes",
		"{\"stream_name\":\"THINGS\",\"config\":{\"durable_name\":\"pushes\",\"ack_policy\":\"explicit\",\"deliver_policy\":\"all\","
		"\"deliver_subject\":\"somewhere\"}}");
	call_api("$JS.API.CONSUMER.DURABLE.CREATE.THINGS.ackall",
		"{\"stream_name\":\"THINGS\",\"config\":{\"durable_name\":\"ackall\",\"ack_policy\":\"all\",\"deliver_policy\":\"all\"}}");
	cr_assert(rig_wait_until(durable_exists, "pushes", 5));
	cr_assert(rig_wait_until(durable_exists, "ackall", 5));
	wanted.durable = "pushes";
	cr_assert_eq(leat_pull_open(&pull, bus, &wanted, &err), LEAT_PERMANENT);
	cr_assert_not_null(strstr(err.text, "pushes"), "%s", err.text);
	wanted.durable = "ackall";
	cr_assert_eq(leat_pull_open(&pull, bus, &wanted, &err), LEAT_PERMANENT);
	cr_assert_not_null(strstr(err.text, "ack policy"), "%s", err.text);
	wanted.durable = "no.such.name";
	cr_assert_eq(leat_pull_open(&pull, bus, &wanted, &err), LEAT_PERMANENT);
}

/* ---- deleted underneath ---- */

Test(bus_durable, consumer_deleted_under_a_waiting_pull_breaks_it)
{
	struct leat_pull *pull = open_pull(&workers);
	cr_assert_eq(next_event(pull, 0), LEAT_PULL_EMPTY);
	call_api("$JS.API.CONSUMER.DELETE.THINGS.workers", "");
	int64_t start_ms = leat_clock_ms();
	cr_assert_eq(next_event(pull, 10), LEAT_PULL_BROKEN);
	cr_assert_lt(leat_clock_ms() - start_ms, 1000);
	cr_assert_not_null(strstr(err.text, "Consumer Deleted"), "%s", err.text);
	leat_pull_close(pull);
	store("things.a", NULL, "x");
	pull = open_pull(&workers);
	struct leat_msg msg = next(pull, 5000);
	settle(&msg);
	leat_pull_close(pull);
}

/* No request was open, so nobody tells: only the missing heartbeats do. */
Test(bus_durable, consumer_deleted_before_asking_is_noticed_by_silence)
{
	struct leat_pull *pull = open_pull(&workers);
	call_api("$JS.API.CONSUMER.DELETE.THINGS.workers", "");
	struct leat_stream_state state;
	must(leat_stream_get_state(bus, "THINGS", &state, &err)); /* answered after the deletion */
	cr_assert_eq(next_event(pull, 10), LEAT_PULL_BROKEN);
	cr_assert_not_null(strstr(err.text, "silent"), "%s", err.text);
	leat_pull_close(pull);
}

Test(bus_durable, deleted_stream_is_not_found_when_opened_again)
{
	struct leat_pull *pull = open_pull(&workers);
	cr_assert_eq(next_event(pull, 0), LEAT_PULL_EMPTY);
	rig_delete_stream(&rig, "THINGS");
	cr_assert_eq(next_event(pull, 10), LEAT_PULL_BROKEN);
	leat_pull_close(pull);
	cr_assert_eq(leat_pull_open(&pull, bus, &workers, &err), LEAT_PERMANENT);
	cr_assert_eq(err.code, LEAT_CODE_NOT_FOUND);
	make_stream();
	store("things.a", NULL, "x");
	pull = open_pull(&workers);
	struct leat_msg msg = next(pull, 5000);
	cr_assert_eq(msg.seq, 1);
	settle(&msg);
	leat_pull_close(pull);
}
