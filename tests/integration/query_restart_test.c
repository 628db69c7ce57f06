/* Queries while processes and servers come and go: who has been asked answers, once, or nobody is there and that is told at once. */
#include "query_fixture.h"

#include "load.h"

#include "leat/clock.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASKED RIG_TENANT_A ".service.entity.get"
#define BODY "{\"entity_id\":\"" OWN_ENTITY "\"}"

static struct rig rig;
static struct asker asker;

static void setup_with(void (*open)(struct rig *rig))
{
	open(&rig);
	rig_migrate(&rig);
	query_store(&rig);
	asker_open(&asker, rig.nats.url, NULL, NULL);
}

static void setup(void)
{
	setup_with(rig_open);
}

static void setup_alone(void)
{
	setup_with(rig_open_alone);
}

static void teardown(void)
{
	asker_close(&asker);
	rig_close(&rig);
}

TestSuite(query_restart, .init = setup, .fini = teardown);
TestSuite(query_outage, .init = setup_alone, .fini = teardown);

static struct leat_child *start_patient(size_t number, const char *query_wait_ms)
{
	char name[32];
	snprintf(name, sizeof name, "consumer-%zu", number);
	return rig_start(&rig, name,
		RIG_ARGS("consume", "--lanes", "query,keep", "--process-heartbeat-ms", "1000", "--retry-limit-ms", "200", "--query-wait-ms",
			query_wait_ms));
}

static struct leat_child *start_consumer(size_t number)
{
	return start_patient(number, "1000");
}

static bool is_answered(void *timeout_ms)
{
	char *text = asker_ask(&asker, ASKED, NULL, BODY, *(const int64_t *)timeout_ms);
	bool answered = strstr(text, "\"status\":\"ok\"") != NULL;
	free(text);
	return answered;
}

static bool is_nobody(void *unused)
{
	(void)unused;
	char *text = asker_ask(&asker, ASKED, NULL, BODY, 10000);
	bool nobody = strcmp(text, ASKER_NOBODY) == 0;
	free(text);
	return nobody;
}

static int64_t second_ms = 1000;

/* ---- nobody ---- */

Test(query_restart, without_a_consumer_there_are_no_responders_at_once)
{
	int64_t start_ms = leat_clock_ms();
	cr_expect(is_nobody(NULL));
	cr_expect_lt(leat_clock_ms() - start_ms, 2000);
	struct leat_child *consumer = start_consumer(1);
	query_wait_working(&rig, 1);
	cr_expect(is_answered(&second_ms));
	load_stop_consumer(consumer);
	cr_expect(is_nobody(NULL));
}

/* ---- a rolling restart ---- */

#define MOST 1000000

static struct pump {
	size_t sent;
	size_t answered;
	unsigned char *seen;
} pump;

static void take_answers(int64_t timeout_ms)
{
	size_t number;
	char *text;
	while (asker_take(&asker, timeout_ms, &number, &text)) {
		cr_assert_lt(number, pump.sent);
		cr_assert_not_null(strstr(text, "\"status\":\"ok\""), "%s", text);
		cr_assert_eq(pump.seen[number]++, 0, "request %zu was answered twice", number);
		pump.answered++;
		free(text);
		if (pump.answered == pump.sent)
			return;
	}
}

/* A hundred are under way all the time. */
static void keep_asking(size_t count)
{
	for (size_t i = 0; i < count; i++) {
		while (pump.sent - pump.answered >= 100)
			take_answers(10);
		cr_assert_lt(pump.sent, MOST);
		asker_send(&asker, pump.sent++, ASKED, NULL, BODY);
	}
	take_answers(1);
}

static bool is_working(size_t number)
{
	char name[32];
	snprintf(name, sizeof name, "consumer-%zu", number);
	char *log = rig_log(&rig, name);
	bool working = strstr(log, "query: working") != NULL;
	free(log);
	return working;
}

Test(query_restart, ten_thousand_requests_across_a_rolling_restart_lose_none_and_none_is_answered_twice, .timeout = 300)
{
	enum { CONSUMERS = 3, REQUESTS = 10000 };
	struct leat_child *consumers[2 * CONSUMERS];
	pump.seen = leat_alloc_zero(MOST, 1);
	for (size_t i = 0; i < CONSUMERS; i++)
		consumers[i] = start_consumer(i);
	query_wait_working(&rig, CONSUMERS);
	for (size_t i = 0; i < CONSUMERS; i++) {
		keep_asking(REQUESTS / CONSUMERS / 2);
		leat_child_signal(consumers[i], SIGTERM);
		consumers[CONSUMERS + i] = start_consumer(CONSUMERS + i);
		int status = -1;
		int64_t deadline_ms = leat_clock_ms() + 30000;
		while (!is_working(CONSUMERS + i) || leat_child_running(consumers[i])) {
			cr_assert_lt(leat_clock_ms(), deadline_ms);
			keep_asking(50);
		}
		cr_assert(leat_child_wait(consumers[i], 0, &status));
		cr_expect_eq(status, 0, "SIGTERM: waitpid status %d", status);
	}
	while (pump.sent < REQUESTS)
		keep_asking(100);
	int64_t deadline_ms = leat_clock_ms() + 10000;
	while (pump.answered < pump.sent) {
		cr_assert_lt(leat_clock_ms(), deadline_ms, "%zu of %zu are not answered", pump.sent - pump.answered, pump.sent);
		take_answers(100);
	}
	cr_expect(is_answered(&second_ms)); /* what came before it is here */
	size_t number;
	char *text;
	cr_expect_not(asker_take(&asker, 0, &number, &text), "one more answer than requests");
	free(pump.seen);
}

/* ---- kill -9 ---- */

static bool all_answered(void *unused)
{
	(void)unused;
	for (int i = 0; i < 20; i++) {
		if (!is_answered(&second_ms))
			return false;
	}
	return true;
}

Test(query_restart, a_killed_process_is_asked_no_more)
{
	struct leat_child *first = start_consumer(1);
	start_consumer(2);
	query_wait_working(&rig, 2);
	cr_expect(all_answered(NULL));
	leat_child_stop(first, SIGKILL, 10000);
	cr_expect(rig_wait_until(all_answered, NULL, 20));
}

Test(query_restart, nats_that_comes_back_finds_the_group_again)
{
	start_consumer(1);
	query_wait_working(&rig, 1);
	cr_assert(is_answered(&second_ms));
	leat_server_kill(&rig.nats);
	struct leat_error err;
	cr_assert_eq(leat_server_restart(&rig.nats, &err), LEAT_OK, "%s", err.text);
	asker_close(&asker);
	asker_open(&asker, rig.nats.url, NULL, NULL);
	cr_expect(rig_wait_until(is_answered, &second_ms, 20));
	cr_expect(is_answered(&second_ms));
}

/* ---- Postgres ---- */

static void take_one(const char *expected)
{
	size_t number;
	char *text = NULL;
	cr_assert(asker_take(&asker, 20000, &number, &text), "no answer");
	cr_expect_not_null(strstr(text, expected), "expected %s: %s", expected, text);
	free(text);
}

Test(query_outage, without_postgres_nobody_is_there_and_with_it_somebody_is_again)
{
	struct leat_error err;
	start_consumer(1);
	query_wait_working(&rig, 1);
	cr_assert(is_answered(&second_ms));
	leat_server_stop(&rig.postgres);
	cr_expect(rig_wait_until(is_nobody, NULL, 20));
	cr_assert_eq(leat_server_restart(&rig.postgres, &err), LEAT_OK, "%s", err.text);
	cr_expect(rig_wait_until(is_answered, &second_ms, 20));
}

/* Postgres dies under a request, and is back before the request's time is up: it is asked again. */
Test(query_outage, what_was_in_hand_is_asked_again)
{
	struct leat_error err;
	start_patient(1, "30000");
	query_wait_working(&rig, 1);
	leat_server_pause(&rig.postgres);
	for (size_t i = 0; i < 100; i++)
		asker_send(&asker, i, ASKED, NULL, BODY);
	leat_server_kill(&rig.postgres);
	cr_assert_eq(leat_server_restart(&rig.postgres, &err), LEAT_OK, "%s", err.text);
	for (size_t i = 0; i < 100; i++)
		take_one("\"status\":\"ok\"");
	cr_expect(rig_wait_until(is_answered, &second_ms, 20));
}

Test(query_outage, when_its_time_is_up_the_asker_is_told_to_ask_again)
{
	start_consumer(1);
	query_wait_working(&rig, 1);
	leat_server_pause(&rig.postgres);
	asker_send(&asker, 0, ASKED, NULL, BODY);
	take_one("ask again");
	cr_expect(is_nobody(NULL));
	leat_server_resume(&rig.postgres);
	cr_expect(rig_wait_until(is_answered, &second_ms, 20));
}

Test(query_outage, told_to_stop_without_postgres_it_answers_what_it_has_and_ends)
{
	struct leat_child *consumer = start_consumer(1);
	query_wait_working(&rig, 1);
	leat_server_pause(&rig.postgres);
	asker_send(&asker, 0, ASKED, NULL, BODY);
	leat_child_signal(consumer, SIGTERM);
	take_one("\"internal\"");
	int status = -1;
	cr_expect(leat_child_wait(consumer, 15000, &status));
	cr_expect_eq(status, 0);
	leat_server_resume(&rig.postgres);
}
