/* The bus on a real nats-server: what it promises in include/leat/bus.h, also when the server dies, stalls or loses its streams. */
#include "harness.h"

#include "leat/bus.h"
#include "leat/clock.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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

static struct leat_bus_options options(void)
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

static void make_stream(void)
{
	LEAT_BUF_SCOPED differences = LEAT_BUF_INIT;
	must(leat_stream_ensure(bus, &things, &differences, &err));
	cr_assert_str_eq(leat_buf_text(&differences), "");
}

static void setup(void)
{
	rig_open(&rig);
	struct leat_bus_options wanted = options();
	must(leat_bus_open(&bus, &wanted, &err));
	make_stream();
}

static void teardown(void)
{
	leat_bus_close(bus);
	rig_close(&rig);
}

TestSuite(bus, .init = setup, .fini = teardown);

/* ---- helpers ---- */

static struct leat_outgoing outgoing(const char *subject, const char *headers, const char *text)
{
	return (struct leat_outgoing){.subject = subject, .headers = headers, .data = text, .data_bytes = strlen(text)};
}

static void store(const char *subject, const char *headers, const char *text)
{
	struct leat_outgoing message = outgoing(subject, headers, text);
	cr_assert_eq(leat_bus_store(bus, &message, 1), LEAT_OK, "%s", message.err.text);
}

static void store_many(size_t count)
{
	struct leat_outgoing *messages = leat_alloc_zero(count, sizeof *messages);
	for (size_t i = 0; i < count; i++)
		messages[i] = outgoing("things.many", NULL, "x");
	cr_assert_eq(leat_bus_store(bus, messages, count), LEAT_OK);
	free(messages);
}

static struct leat_pull *open_pull(const struct leat_pull_options *wanted)
{
	struct leat_pull *pull = NULL;
	must(leat_pull_open(&pull, bus, wanted, &err));
	return pull;
}

static struct leat_msg next(struct leat_pull *pull, int64_t timeout_ms)
{
	struct leat_msg msg;
	enum leat_pull_event event = leat_pull_next(pull, timeout_ms, &msg, &err);
	cr_assert_eq(event, LEAT_PULL_MESSAGE, "no message: %s", event == LEAT_PULL_BROKEN ? err.text : "none came");
	return msg;
}

/* Pulls until something else than a message comes, at most `seconds`. */
static enum leat_pull_event next_event(struct leat_pull *pull, int seconds)
{
	struct leat_msg msg;
	enum leat_pull_event event = leat_pull_next(pull, seconds * INT64_C(1000), &msg, &err);
	if (event == LEAT_PULL_MESSAGE)
		leat_msg_free(&msg);
	return event;
}

static void settle(struct leat_msg *msg)
{
	leat_msg_ack(bus, msg);
	leat_msg_free(msg);
}

/* JetStream's API without waiting for the answer; the test then waits for the effect. */
static void call_api(const char *subject, const char *request)
{
	must(leat_bus_publish(bus, subject, NULL, request, strlen(request), &err));
}

static bool stream_gone(void *name)
{
	struct leat_stream_state state;
	return leat_stream_get_state(bus, name, &state, &err) == LEAT_PERMANENT && err.code == LEAT_CODE_NOT_FOUND;
}

static bool durable_exists(void *name)
{
	struct leat_pull_info info;
	return leat_durable_get_info(bus, "THINGS", name, &info, &err) == LEAT_OK;
}

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

/* Settlements travel on their own: flushed, they are with the server, but not all worked off. */
static bool all_settled(void *durable)
{
	struct leat_pull_info info;
	must(leat_durable_get_info(bus, "THINGS", durable, &info, &err));
	return info.ack_pending == 0 && info.pending == 0;
}

/* ---- messages there and back ---- */

Test(bus, message_comes_with_its_place_headers_and_body)
{
	store("things.a", NULL, "first");
	store("things.b", "Leat-Id: 17\r\nX-Odd: caf\xc3\xa9 \xff\t|\r\nLeat-Id: 18\r\n", "second");
	struct leat_pull *pull = open_pull(&workers);

	struct leat_msg msg = next(pull, 5000);
	cr_assert_str_eq(msg.subject, "things.a");
	cr_assert_eq(msg.seq, 1);
	cr_assert_eq(msg.delivered, 1);
	cr_assert_null(leat_msg_header(&msg, "Leat-Id"));
	settle(&msg);

	msg = next(pull, 5000);
	int64_t stored_ns = 0;
	must(leat_stream_get_time(bus, "THINGS", 2, &stored_ns, &err));
	cr_assert_eq(msg.seq, 2);
	cr_assert_eq(msg.pending, 0);
	cr_assert_eq(msg.timestamp_ns, stored_ns);
	cr_assert_lt(llabs(msg.timestamp_ns / 1000000000 - (int64_t)time(NULL)), 60);
	cr_assert_eq(msg.data_bytes, 6);
	cr_assert_arr_eq(msg.data, "second", 6);
	cr_assert_str_eq(leat_msg_header(&msg, "Leat-Id"), "17");
	cr_assert_str_eq(leat_msg_header(&msg, "X-Odd"), "caf\xc3\xa9 \xff\t|");
	cr_assert_null(leat_msg_header(&msg, "leat-id"), "names are compared exactly");
	LEAT_BUF_SCOPED block = LEAT_BUF_INIT;
	leat_msg_add_headers(&msg, &block);
	cr_assert_not_null(strstr(leat_buf_text(&block), "Leat-Id: 17\r\nLeat-Id: 18\r\n"));
	cr_assert_not_null(strstr(leat_buf_text(&block), "X-Odd: caf\xc3\xa9 \xff\t|\r\n"));
	settle(&msg);

	cr_assert(rig_wait_until(all_settled, (void *)workers.durable, 5));
	struct leat_pull_info info;
	must(leat_pull_get_info(pull, &info, &err));
	cr_assert_eq(info.floor_seq, 2);
	leat_pull_close(pull);
}

Test(bus, empty_header_does_not_swallow_the_next_one)
{
	store("things.a", "Empty:\r\nnot a header\r\nBad Name: x\r\nLeat-Id: 17\r\n", "");
	struct leat_pull *pull = open_pull(&workers);
	struct leat_msg msg = next(pull, 5000);
	cr_assert_str_eq(leat_msg_header(&msg, "Empty"), "");
	cr_assert_str_eq(leat_msg_header(&msg, "Leat-Id"), "17");
	cr_assert_null(leat_msg_header(&msg, "Bad Name"), "a name that other clients choke on is left out");
	settle(&msg);
	leat_pull_close(pull);
}

/* The library drops such a message; it would come again for ever. */
Test(bus, message_that_looks_like_a_status_is_delivered)
{
	store("things.a", "Status: 503\r\n", "");
	store("things.a", "Status: 409\r\nDescription: Consumer Deleted\r\n", "");
	struct leat_pull *pull = open_pull(&workers);
	for (uint64_t seq = 1; seq <= 2; seq++) {
		struct leat_msg msg = next(pull, 5000);
		cr_assert_eq(msg.seq, seq);
		settle(&msg);
	}
	cr_assert(rig_wait_until(all_settled, (void *)workers.durable, 5));
	leat_pull_close(pull);
}

Test(bus, inbox_hears_what_is_published)
{
	struct leat_inbox *inbox = NULL;
	struct leat_msg msg;
	must(leat_inbox_open(&inbox, bus, "replies.*", &err));
	must(leat_bus_publish(bus, "replies.one", "A: b\r\n", "hello", 5, &err));
	must(leat_inbox_next(inbox, 5000, &msg, &err));
	cr_assert_str_eq(msg.subject, "replies.one");
	cr_assert_str_eq(msg.reply, "");
	cr_assert_eq(msg.seq, 0);
	cr_assert_str_eq(leat_msg_header(&msg, "A"), "b");
	cr_assert_arr_eq(msg.data, "hello", 5);
	leat_msg_free(&msg);
	cr_assert_eq(leat_inbox_next(inbox, 0, &msg, &err), LEAT_TEMPORARY);
	leat_inbox_close(inbox);
}

Test(bus, subject_that_would_break_the_protocol_is_refused)
{
	static const char *const bad[] = {"", "a b", "a\r\nPUB x 0", "a..b", ".a", "a.", "a.*", "a.>", "a\tb"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		cr_assert_eq(leat_bus_publish(bus, bad[i], NULL, "", 0, &err), LEAT_PERMANENT, "'%s'", bad[i]);
	must(leat_bus_flush(bus, &err));
	cr_assert(leat_bus_connected(bus));
	cr_assert_eq(leat_bus_reconnects(bus), 0);
}

Test(bus, server_is_known_after_connecting)
{
	char version[32];
	leat_bus_server_version(bus, version);
	cr_assert_geq(strtol(version, NULL, 10), 2, "'%s'", version);
	cr_assert_eq(leat_bus_max_payload(bus), 1048576);
}

/* ---- storing ---- */

Test(bus, store_tells_each_message_its_sequence_and_duplicates)
{
	struct leat_outgoing messages[] = {
		outgoing("things.a", NULL, "1"), outgoing("things.b", "K: v\r\n", "2"), outgoing("things.a", NULL, "3")};
	messages[0].id = "x";
	messages[1].id = "y";
	messages[2].id = "x";
	cr_assert_eq(leat_bus_store(bus, messages, 3), LEAT_OK);
	cr_assert_eq(messages[0].seq, 1);
	cr_assert_eq(messages[1].seq, 2);
	cr_assert_eq(messages[2].seq, 1);
	cr_assert_not(messages[0].duplicate);
	cr_assert_not(messages[1].duplicate);
	cr_assert(messages[2].duplicate);
}

Test(bus, store_without_a_stream_is_temporary_and_costs_the_others_nothing)
{
	struct leat_outgoing messages[] = {
		outgoing("things.a", NULL, "1"), outgoing("nobody.cares", NULL, "2"), outgoing("things.a", NULL, "3")};
	int64_t start_ms = leat_clock_ms();
	cr_assert_eq(leat_bus_store(bus, messages, 3), LEAT_TEMPORARY);
	cr_assert_lt(leat_clock_ms() - start_ms, 1500, "it should not have to wait for the time limit");
	cr_assert_eq(messages[0].kind, LEAT_OK);
	cr_assert_eq(messages[1].kind, LEAT_TEMPORARY);
	cr_assert_not_null(strstr(messages[1].err.text, "nobody.cares"));
	cr_assert_eq(messages[2].kind, LEAT_OK);
	cr_assert_eq(messages[2].seq, 2);
}

Test(bus, message_over_the_limit_is_too_large_and_harms_nothing)
{
	size_t limit = leat_bus_max_payload(bus);
	char *body = leat_alloc_zero(1, limit + 2);
	memset(body, 'x', limit + 1);
	struct leat_outgoing messages[] = {outgoing("things.a", NULL, body), outgoing("things.a", NULL, body),
		outgoing("things.a", "A: b\r\n", body), outgoing("things.a", NULL, "small")};
	messages[0].data_bytes = limit;
	messages[2].data_bytes = limit - 10; /* but with the header it is over */
	cr_assert_eq(leat_bus_store(bus, messages, 4), LEAT_PERMANENT);
	cr_assert_eq(messages[0].kind, LEAT_OK, "%s", messages[0].err.text);
	cr_assert_eq(messages[1].err.code, LEAT_CODE_TOO_LARGE);
	cr_assert_eq(messages[2].err.code, LEAT_CODE_TOO_LARGE);
	cr_assert_eq(messages[3].kind, LEAT_OK, "%s", messages[3].err.text);
	cr_assert_eq(leat_bus_reconnects(bus), 0);
	free(body);
}

Test(bus, headers_exactly_at_the_limit_are_taken)
{
	size_t limit = leat_bus_max_payload(bus);
	const char *headers = "A: b\r\nEmpty:\r\n";
	size_t headers_bytes = strlen("NATS/1.0\r\nA: b\r\nEmpty: \r\n\r\n");
	char *body = leat_alloc_zero(1, limit);
	struct leat_outgoing messages[] = {outgoing("things.a", headers, ""), outgoing("things.a", headers, "")};
	messages[0].data = messages[1].data = body;
	messages[0].data_bytes = limit - headers_bytes;
	messages[1].data_bytes = limit - headers_bytes + 1;
	cr_assert_eq(leat_bus_store(bus, messages, 2), LEAT_PERMANENT);
	cr_assert_eq(messages[0].kind, LEAT_OK, "%s", messages[0].err.text);
	cr_assert_eq(messages[1].err.code, LEAT_CODE_TOO_LARGE);
	free(body);
}

/* ---- streams ---- */

Test(bus, stream_is_made_once_and_differences_are_told_not_changed)
{
	LEAT_BUF_SCOPED differences = LEAT_BUF_INIT;
	must(leat_stream_ensure(bus, &things, &differences, &err));
	cr_assert_str_eq(leat_buf_text(&differences), "");

	struct leat_stream_config other = things;
	other.max_age_ms = 7 * 24 * INT64_C(3600000);
	other.subjects[1] = "more.*";
	other.max_msgs_per_subject = 100;
	must(leat_stream_ensure(bus, &other, &differences, &err));
	cr_assert_not_null(strstr(leat_buf_text(&differences), "THINGS: max_age is 1h, expected 168h\n"), "%s", leat_buf_text(&differences));
	cr_assert_not_null(strstr(leat_buf_text(&differences), "THINGS: subjects is things.>, expected things.> more.*\n"));
	cr_assert_not_null(strstr(leat_buf_text(&differences), "THINGS: max_msgs_per_subject is unlimited, expected 100\n"));

	leat_buf_clear(&differences);
	must(leat_stream_ensure(bus, &things, &differences, &err));
	cr_assert_str_eq(leat_buf_text(&differences), "");
}

Test(bus, stream_that_can_never_be_made_is_permanent)
{
	LEAT_BUF_SCOPED differences = LEAT_BUF_INIT;
	struct leat_stream_config overlapping = things;
	overlapping.name = "OTHER";
	cr_assert_eq(leat_stream_ensure(bus, &overlapping, &differences, &err), LEAT_PERMANENT);
	struct leat_stream_config copies = {.name = "COPIES", .subjects = {"copies"}, .duplicates_ms = 100, .replicas = 3};
	cr_assert_eq(leat_stream_ensure(bus, &copies, &differences, &err), LEAT_PERMANENT);
	cr_assert_not_null(strstr(err.text, "replicas"), "%s", err.text);
}

Test(bus, stream_state_tells_what_is_in_it)
{
	struct leat_stream_state state;
	must(leat_stream_get_state(bus, "THINGS", &state, &err));
	cr_assert_eq(state.messages, 0);
	cr_assert_eq(state.last_ns, 0);
	store_many(3);
	must(leat_stream_get_state(bus, "THINGS", &state, &err));
	int64_t last_ns = 0;
	must(leat_stream_get_time(bus, "THINGS", 3, &last_ns, &err));
	cr_assert_eq(state.messages, 3);
	cr_assert_eq(state.first_seq, 1);
	cr_assert_eq(state.last_seq, 3);
	cr_assert_eq(state.last_ns, last_ns);
	cr_assert_lt(llabs(state.created_ns / 1000000000 - (int64_t)time(NULL)), 60);
	cr_assert_eq(leat_stream_get_state(bus, "NONE", &state, &err), LEAT_PERMANENT);
	cr_assert_eq(err.code, LEAT_CODE_NOT_FOUND);
	cr_assert_eq(leat_stream_get_time(bus, "THINGS", 4, &last_ns, &err), LEAT_PERMANENT);
	cr_assert_eq(err.code, LEAT_CODE_NOT_FOUND);
}

Test(bus, stored_messages_can_be_walked_by_subject)
{
	char *big = leat_alloc_zero(1, 1000001);
	memset(big, 'y', 1000000);
	store("things.a.one", "Leat-Error: \xff odd\r\n", "{\"n\":1}");
	store("things.b.one", NULL, "between");
	store("things.a.two", NULL, big);
	uint64_t seq = 0;
	struct leat_msg msg;

	must(leat_stream_get_next(bus, "THINGS", "things.a.*", &seq, &msg, &err));
	cr_assert_eq(seq, 1);
	cr_assert_eq(msg.seq, 1);
	cr_assert_gt(msg.timestamp_ns, 0);
	cr_assert_str_eq(msg.subject, "things.a.one");
	cr_assert_str_eq(leat_msg_header(&msg, "Leat-Error"), "\xff odd");
	cr_assert_eq(msg.data_bytes, 7);
	cr_assert_arr_eq(msg.data, "{\"n\":1}", 7);
	leat_msg_free(&msg);

	seq++;
	must(leat_stream_get_next(bus, "THINGS", "things.a.*", &seq, &msg, &err));
	cr_assert_eq(seq, 3);
	cr_assert_null(leat_msg_header(&msg, "Leat-Error"));
	cr_assert_eq(msg.data_bytes, 1000000);
	cr_assert_arr_eq(msg.data, big, 1000000);
	leat_msg_free(&msg);

	seq++;
	cr_assert_eq(leat_stream_get_next(bus, "THINGS", "things.a.*", &seq, &msg, &err), LEAT_PERMANENT);
	cr_assert_eq(err.code, LEAT_CODE_NOT_FOUND);
	free(big);
}

/* ---- pulling ---- */

Test(bus, everything_comes_once_and_in_order_whatever_the_batch)
{
	static const int64_t batches[] = {1, 3, 100, 5000};
	size_t count = (size_t)rig_size(20000, 200000);
	store_many(count);
	for (size_t i = 0; i < sizeof batches / sizeof *batches; i++) {
		char durable[32];
		snprintf(durable, sizeof durable, "batch-%d", (int)batches[i]);
		struct leat_pull_options wanted = workers;
		wanted.durable = durable;
		wanted.batch = batches[i];
		wanted.max_ack_pending = 1000000;
		struct leat_pull *pull = open_pull(&wanted);
		size_t wanted_count = batches[i] < 10 ? 2000 : count;
		for (uint64_t seq = 1; seq <= wanted_count; seq++) {
			struct leat_msg msg = next(pull, 5000);
			cr_assert_eq(msg.seq, seq);
			settle(&msg);
		}
		if (wanted_count == count)
			cr_assert_eq(next_event(pull, 0), LEAT_PULL_EMPTY);
		leat_pull_close(pull);
	}
}

Test(bus, looking_does_not_wait_and_waiting_does_not_spin)
{
	struct leat_pull *pull = open_pull(&workers);
	int64_t start_ms = leat_clock_ms();
	for (int i = 0; i < 100; i++)
		cr_assert_eq(next_event(pull, 0), LEAT_PULL_EMPTY);
	cr_assert_lt(leat_clock_ms() - start_ms, 500);
	clock_t cpu = clock();
	cr_assert_eq(next_event(pull, 3), LEAT_PULL_EMPTY);
	double used_s = (double)(clock() - cpu) / CLOCKS_PER_SEC;
	cr_assert_lt(used_s, 0.06, "%.3f s of CPU in 3 s of waiting", used_s);
	leat_pull_close(pull);
}

/* A request lives six heartbeats; the next message must not wait for anything after that. */
Test(bus, pull_goes_on_after_its_requests_ran_out)
{
	struct leat_pull *pull = open_pull(&workers);
	cr_assert_eq(next_event(pull, 4), LEAT_PULL_EMPTY);
	int64_t start_ms = leat_clock_ms();
	store("things.a", NULL, "late");
	struct leat_msg msg = next(pull, 2000);
	cr_assert_lt(leat_clock_ms() - start_ms, 500);
	settle(&msg);
	leat_pull_close(pull);
}

Test(bus, message_given_back_with_a_delay_comes_after_it)
{
	store("things.a", NULL, "x");
	struct leat_pull *pull = open_pull(&workers);
	struct leat_msg msg = next(pull, 5000);
	int64_t start_ms = leat_clock_ms();
	leat_msg_nak(bus, &msg, 700);
	leat_msg_free(&msg);
	msg = next(pull, 5000);
	int64_t waited_ms = leat_clock_ms() - start_ms;
	cr_assert_eq(msg.seq, 1);
	cr_assert_eq(msg.delivered, 2);
	cr_assert(waited_ms >= 650 && waited_ms < 3000, "came after %d ms", (int)waited_ms);
	settle(&msg);
	leat_pull_close(pull);
}

Test(bus, progress_keeps_a_message_ours)
{
	struct leat_pull_options impatient = workers;
	impatient.ack_wait_ms = 1000;
	store("things.a", NULL, "x");
	struct leat_pull *pull = open_pull(&impatient);
	struct leat_msg msg = next(pull, 5000);
	int64_t end_ms = leat_clock_ms() + 2500;
	while (leat_clock_ms() < end_ms) {
		leat_msg_progress(bus, &msg);
		struct leat_msg again;
		cr_assert_eq(leat_pull_next(pull, 200, &again, &err), LEAT_PULL_EMPTY, "it came again");
	}
	leat_msg_free(&msg);
	msg = next(pull, 5000);
	cr_assert_eq(msg.delivered, 2, "without progress it comes again");
	settle(&msg);
	leat_pull_close(pull);
}

/* max_bytes below what one message needs would block the durable for ever. */
Test(bus, largest_message_passes_the_smallest_byte_limit)
{
	struct leat_pull_options tight = workers;
	tight.batch_bytes = 1048576;
	char *body = leat_alloc_zero(1, leat_bus_max_payload(bus) + 1);
	memset(body, 'x', leat_bus_max_payload(bus));
	for (int i = 0; i < 5; i++) {
		store("things.small", NULL, "x");
		store("things.a.rather.long.subject.that.the.server.counts.too", NULL, body);
	}
	struct leat_pull *pull = open_pull(&tight);
	for (uint64_t seq = 1; seq <= 10; seq++) {
		struct leat_msg msg = next(pull, 2000);
		cr_assert_eq(msg.seq, seq);
		cr_assert_eq(msg.data_bytes, seq % 2 == 0 ? leat_bus_max_payload(bus) : 1);
		settle(&msg);
	}
	leat_pull_close(pull);
	free(body);
}

Test(bus, closing_gives_back_what_was_queued)
{
	store_many(500);
	struct leat_pull *first = open_pull(&workers);
	struct leat_msg held = next(first, 5000);
	leat_pull_close(first);
	struct leat_pull *second = open_pull(&workers);
	int64_t start_ms = leat_clock_ms();
	for (int i = 0; i < 499; i++) {
		struct leat_msg msg = next(second, 2000);
		cr_assert_neq(msg.seq, held.seq);
		settle(&msg);
	}
	cr_assert_lt(leat_clock_ms() - start_ms, 3000, "they should not have to wait for AckWait");
	settle(&held); /* still valid */
	cr_assert(rig_wait_until(all_settled, (void *)workers.durable, 5));
	leat_pull_close(second);
}

Test(bus, paused_pull_asks_for_nothing)
{
	struct leat_pull *pull = open_pull(&workers);
	leat_pull_pause(pull, true);
	store_many(1);
	cr_assert_eq(next_event(pull, 1), LEAT_PULL_EMPTY);
	leat_pull_pause(pull, false);
	struct leat_msg msg = next(pull, 2000);
	settle(&msg);
	leat_pull_close(pull);
}

Test(bus, processes_of_a_group_share_the_messages)
{
	store_many(4000);
	struct leat_pull_options half = workers;
	half.batch = 100;
	struct leat_pull *pulls[] = {open_pull(&half), open_pull(&half)};
	int got[2] = {0};
	int64_t deadline_ms = leat_clock_ms() + 10000;
	while (got[0] + got[1] < 4000 && leat_clock_ms() < deadline_ms) {
		for (int i = 0; i < 2; i++) {
			struct leat_msg msg;
			if (leat_pull_next(pulls[i], 1, &msg, &err) == LEAT_PULL_MESSAGE) {
				got[i]++;
				settle(&msg);
			}
		}
	}
	cr_assert_eq(got[0] + got[1], 4000);
	cr_assert(got[0] > 400 && got[1] > 400, "%d and %d", got[0], got[1]);
	leat_pull_close(pulls[0]);
	leat_pull_close(pulls[1]);
}

/* ---- durables of others ---- */

Test(bus, durable_with_other_settings_is_used_as_it_is)
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

Test(bus, durable_that_loses_messages_is_refused)
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

/* ---- things break ---- */

Test(bus, consumer_deleted_under_a_waiting_pull_breaks_it)
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
Test(bus, consumer_deleted_before_asking_is_noticed_by_silence)
{
	struct leat_pull *pull = open_pull(&workers);
	call_api("$JS.API.CONSUMER.DELETE.THINGS.workers", "");
	struct leat_stream_state state;
	must(leat_stream_get_state(bus, "THINGS", &state, &err)); /* answered after the deletion */
	cr_assert_eq(next_event(pull, 10), LEAT_PULL_BROKEN);
	cr_assert_not_null(strstr(err.text, "silent"), "%s", err.text);
	leat_pull_close(pull);
}

Test(bus, deleted_stream_is_not_found_when_opened_again)
{
	struct leat_pull *pull = open_pull(&workers);
	cr_assert_eq(next_event(pull, 0), LEAT_PULL_EMPTY);
	call_api("$JS.API.STREAM.DELETE.THINGS", "");
	cr_assert(rig_wait_until(stream_gone, "THINGS", 5));
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

Test(bus, killed_server_breaks_the_pull_and_loses_nothing)
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

Test(bus, stalled_server_breaks_the_pull_by_missed_heartbeats)
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

Test(bus, no_server_is_temporary_and_a_bad_url_permanent)
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

/* Opening and closing while messages pour in: what crashes the library when a subscription is destroyed too early. */
Test(bus, subscriptions_come_and_go_under_load)
{
	int rounds = (int)rig_size(50, 2000);
	store_many(5000);
	for (int round = 0; round < rounds; round++) {
		struct leat_pull *pull = open_pull(&workers);
		struct leat_msg msg = next(pull, 5000);
		leat_msg_nak(bus, &msg, 0);
		leat_msg_free(&msg);
		leat_pull_close(pull);
	}
}
