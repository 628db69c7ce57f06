/*
 * What the tests of the bus run on: a nats-server with one stream, THINGS, of the subjects things.>, and a connection to it; and the
 * calls that must succeed, each in a line.
 */
#ifndef LEAT_TESTS_BUS_FIXTURE_H
#define LEAT_TESTS_BUS_FIXTURE_H

#include "harness.h"
#include "leat/bus.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static struct rig rig;
static struct leat_bus *bus;
static struct leat_error err;

static const struct leat_stream_config things = {
	.name = "THINGS",
	.subjects = {"things.>"},
	.max_age_ms = 3600000,
	.duplicates_ms = 60000,
	.replicas = 1,
};

static const struct leat_pull_options workers = {
	.stream = "THINGS",
	.durable = "workers",
	.ack_wait_ms = 10000,
	.max_ack_pending = 50000,
	.batch = 1000,
	.batch_bytes = 8388608,
	.idle_heartbeat_ms = 500,
};

static inline struct leat_bus_options options(void)
{
	return (struct leat_bus_options){
		.url = rig.nats.url,
		.name = "bus_test",
		.request_timeout_ms = 2000,
		.retry_first_ms = 20,
		.retry_limit_ms = 200,
	};
}

#define must(call) cr_assert_eq((call), LEAT_OK, "%s", err.text)

static inline void make_stream(void)
{
	LEAT_BUF_SCOPED differences = LEAT_BUF_INIT;
	must(leat_stream_ensure(bus, &things, &differences, &err));
	cr_assert_str_eq(leat_buf_text(&differences), "");
}

static inline void setup(void)
{
	rig_open(&rig);
	struct leat_bus_options wanted = options();
	must(leat_bus_open(&bus, &wanted, &err));
	make_stream();
}

static inline void teardown(void)
{
	leat_bus_close(bus);
	rig_close(&rig);
}

/* ---- storing ---- */

static inline struct leat_outgoing outgoing(const char *subject, const char *headers, const char *text)
{
	return (struct leat_outgoing){.subject = subject, .headers = headers, .data = text, .data_bytes = strlen(text)};
}

static inline void store(const char *subject, const char *headers, const char *text)
{
	struct leat_outgoing message = outgoing(subject, headers, text);
	cr_assert_eq(leat_bus_store(bus, &message, 1), LEAT_OK, "%s", message.err.text);
}

static inline void store_many(size_t count)
{
	struct leat_outgoing *messages = leat_alloc_zero(count, sizeof *messages);
	for (size_t i = 0; i < count; i++)
		messages[i] = outgoing("things.many", NULL, "x");
	cr_assert_eq(leat_bus_store(bus, messages, count), LEAT_OK);
	free(messages);
}

/* ---- pulling ---- */

static inline struct leat_pull *open_pull(const struct leat_pull_options *wanted)
{
	struct leat_pull *pull = NULL;
	must(leat_pull_open(&pull, bus, wanted, &err));
	return pull;
}

static inline struct leat_msg next(struct leat_pull *pull, int64_t timeout_ms)
{
	struct leat_msg msg;
	enum leat_pull_event event = leat_pull_next(pull, timeout_ms, &msg, &err);
	cr_assert_eq(event, LEAT_PULL_MESSAGE, "no message: %s", event == LEAT_PULL_BROKEN ? err.text : "none came");
	return msg;
}

/* Pulls until something else than a message comes, at most `seconds`. */
static inline enum leat_pull_event next_event(struct leat_pull *pull, int seconds)
{
	struct leat_msg msg;
	enum leat_pull_event event = leat_pull_next(pull, seconds * INT64_C(1000), &msg, &err);
	if (event == LEAT_PULL_MESSAGE)
		leat_msg_free(&msg);
	return event;
}

static inline void settle(struct leat_msg *msg)
{
	leat_msg_ack(bus, msg);
	leat_msg_free(msg);
}

/* Settlements travel on their own: flushed, they are with the server, but not all worked off. */
static inline bool all_settled(void *durable)
{
	struct leat_pull_info info;
	must(leat_durable_get_info(bus, "THINGS", durable, &info, &err));
	return info.ack_pending == 0 && info.pending == 0;
}

#endif
