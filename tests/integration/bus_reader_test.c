/* Reading a stream through: every message once and in order, every hole told, and nobody else's consumer touched. */
#include "bus_fixture.h"

#include "leat/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(bus_reader, .init = setup, .fini = teardown);

static struct leat_reader *open_reader(uint64_t from_seq, uint64_t to_seq)
{
	struct leat_reader *reader = NULL;
	must(leat_reader_open(&reader, bus, "THINGS", from_seq, to_seq, &err));
	return reader;
}

/* "m1 m2 gone 3-5 m6 end": what the reader tells, up to the end or a failure. */
static void read_through(struct leat_reader *reader, struct leat_buf *told)
{
	int64_t deadline_ms = leat_clock_ms() + 20000;
	for (;;) {
		struct leat_reading reading;
		cr_assert_lt(leat_clock_ms(), deadline_ms, "no end: %s", leat_buf_text(told));
		switch (leat_reader_next(reader, 5000, &reading, &err)) {
		case LEAT_READ_MESSAGE:
			leat_buf_printf(told, "m%" PRIu64 " ", reading.msg.seq);
			leat_msg_free(&reading.msg);
			continue;
		case LEAT_READ_GONE:
			leat_buf_printf(told, "gone %" PRIu64 "-%" PRIu64 " ", reading.first_seq, reading.last_seq);
			continue;
		case LEAT_READ_WAIT:
			continue;
		case LEAT_READ_END:
			leat_buf_add_text(told, "end");
			return;
		case LEAT_READ_FAILED:
			leat_buf_add_text(told, leat_code_name(err.code));
			return;
		}
	}
}

static void expect(uint64_t from_seq, uint64_t to_seq, const char *expected)
{
	LEAT_BUF_SCOPED told = LEAT_BUF_INIT;
	struct leat_reader *reader = open_reader(from_seq, to_seq);
	read_through(reader, &told);
	cr_assert_str_eq(leat_buf_text(&told), expected);
	leat_reader_close(reader);
}

struct count {
	uint64_t messages;
};

static bool stream_holds(void *expected)
{
	struct leat_stream_state state;
	must(leat_stream_get_state(bus, "THINGS", &state, &err));
	return state.messages == ((const struct count *)expected)->messages;
}

/* Asks the server for something that leaves so many messages. */
static void ask_until(uint64_t left, const char *api, const char *request)
{
	struct count expected = {left};
	char subject[64];
	snprintf(subject, sizeof subject, "$JS.API.STREAM.%s.THINGS", api);
	must(leat_bus_publish(bus, subject, NULL, request, strlen(request), &err));
	cr_assert(rig_wait_until(stream_holds, &expected, 10), "%s %s", api, request);
}

Test(bus_reader, everything_comes_once_and_in_order)
{
	size_t count = (size_t)rig_size(20000, 200000);
	store("things.a", "Leat-Id: 7\r\n", "{\"n\":1}");
	store_many(count - 1);
	struct leat_reader *reader = open_reader(0, 0);
	cr_assert_eq(leat_reader_end_seq(reader), count);
	store_many(10); /* after it was opened: not read */
	struct leat_reading reading;
	int64_t start_ms = leat_clock_ms();
	for (uint64_t seq = 1; seq <= count; seq++) {
		cr_assert_eq(leat_reader_next(reader, 5000, &reading, &err), LEAT_READ_MESSAGE, "%s", err.text);
		cr_assert_eq(reading.msg.seq, seq);
		cr_assert_gt(reading.msg.timestamp_ns, 0);
		if (seq == 1)
			cr_assert_str_eq(leat_msg_header(&reading.msg, "Leat-Id"), "7");
		leat_msg_free(&reading.msg);
	}
	printf("# %zu messages in %" PRId64 " ms\n", count, leat_clock_ms() - start_ms);
	for (int i = 0; i < 3; i++)
		cr_assert_eq(leat_reader_next(reader, 0, &reading, &err), LEAT_READ_END);
	leat_reader_close(reader);
}

Test(bus_reader, range_is_read_from_its_first_to_its_last)
{
	expect(0, 0, "end");
	store_many(5);
	expect(2, 4, "m2 m3 m4 end");
	expect(4, 0, "m4 m5 end");
	expect(3, 99, "m3 m4 m5 end");
	expect(6, 0, "end");
	expect(4, 3, "end");
	struct leat_reader *reader = NULL;
	cr_assert_eq(leat_reader_open(&reader, bus, "NONE", 0, 0, &err), LEAT_PERMANENT);
	cr_assert_eq(err.code, LEAT_CODE_NOT_FOUND);
}

Test(bus_reader, what_the_stream_no_longer_holds_is_told_as_ranges)
{
	store_many(12);
	ask_until(9, "PURGE", "{\"seq\":4}");
	ask_until(8, "MSG.DELETE", "{\"seq\":6}");
	ask_until(7, "MSG.DELETE", "{\"seq\":7}");
	ask_until(6, "MSG.DELETE", "{\"seq\":11}");
	ask_until(5, "MSG.DELETE", "{\"seq\":12}");
	expect(0, 0, "gone 1-3 m4 m5 gone 6-7 m8 m9 m10 gone 11-12 end");
	expect(2, 2, "gone 2-2 end");
	expect(6, 6, "gone 6-6 end");
	expect(7, 8, "gone 7-7 m8 end");
	expect(12, 0, "gone 12-12 end");
	store_many(1);
	expect(10, 12, "m10 gone 11-12 end");
	ask_until(0, "PURGE", "");
	expect(0, 0, "gone 1-13 end");
}

Test(bus_reader, reading_survives_a_server_that_is_killed)
{
	store_many(5000);
	struct leat_reader *reader = open_reader(0, 0);
	struct leat_reading reading;
	uint64_t seq = 1;
	int64_t deadline_ms = leat_clock_ms() + 30000;
	for (; seq <= 5000; seq++) {
		enum leat_read read = leat_reader_next(reader, 500, &reading, &err);
		cr_assert_lt(leat_clock_ms(), deadline_ms);
		if (seq == 100) {
			leat_server_kill(&rig.nats);
			must(leat_server_restart(&rig.nats, &err));
		}
		if (read == LEAT_READ_WAIT) {
			seq--;
			continue;
		}
		cr_assert_eq(read, LEAT_READ_MESSAGE, "%s", err.text);
		cr_assert_eq(reading.msg.seq, seq);
		leat_msg_free(&reading.msg);
	}
	cr_assert_eq(leat_reader_next(reader, 500, &reading, &err), LEAT_READ_END);
	leat_reader_close(reader);
}

Test(bus_reader, a_stream_that_was_made_again_is_another_one)
{
	store_many(3000);
	struct leat_reader *reader = open_reader(0, 0);
	struct leat_reading reading;
	cr_assert_eq(leat_reader_next(reader, 5000, &reading, &err), LEAT_READ_MESSAGE);
	leat_msg_free(&reading.msg);
	rig_delete_stream(&rig, "THINGS");
	make_stream();
	store_many(4000);
	LEAT_BUF_SCOPED told = LEAT_BUF_INIT;
	read_through(reader, &told);
	const char *verdict = strrchr(leat_buf_text(&told), ' ');
	cr_assert_str_eq(verdict, " conflict", "%s", err.text);
	cr_assert_not_null(strstr(err.text, "THINGS was made again"), "%s", err.text);
	struct leat_error again;
	cr_assert_eq(leat_reader_next(reader, 0, &reading, &again), LEAT_READ_FAILED);
	cr_assert_str_eq(again.text, err.text);
	leat_reader_close(reader);
}

Test(bus_reader, no_consumer_is_left_behind_and_none_is_touched)
{
	store_many(3000);
	struct leat_pull *pull = open_pull(&workers);
	struct leat_pull_info before;
	struct leat_pull_info after;
	must(leat_pull_get_info(pull, &before, &err));
	expect(2998, 0, "m2998 m2999 m3000 end");
	struct leat_reader *reader = open_reader(0, 0);
	struct leat_reading reading;
	cr_assert_eq(leat_reader_next(reader, 5000, &reading, &err), LEAT_READ_MESSAGE);
	leat_msg_free(&reading.msg);
	leat_reader_close(reader); /* in the middle */
	must(leat_pull_get_info(pull, &after, &err));
	cr_assert_eq(memcmp(&before, &after, sizeof before), 0);
	leat_pull_close(pull);
	struct leat_stream_state state;
	must(leat_stream_get_state(bus, "THINGS", &state, &err));
	cr_assert_eq(state.consumers, 1);
}

Test(bus_reader, a_time_is_found_among_the_messages)
{
	int64_t times_ns[10];
	for (uint64_t i = 1; i < 10; i++) {
		store_many(1);
		must(leat_stream_get_time(bus, "THINGS", i, &times_ns[i], &err));
	}
	ask_until(8, "MSG.DELETE", "{\"seq\":4}");
	ask_until(7, "MSG.DELETE", "{\"seq\":1}");
	static const struct {
		uint64_t from;
		int at; /* message whose time is asked for, 1 ns later where `past` */
		bool past;
		uint64_t found;
	} cases[] = {
		{0, 2, false, 2}, {0, 2, true, 3}, {0, 3, true, 4}, {0, 9, false, 9}, {0, 9, true, 10}, {7, 2, false, 7}, {12, 2, false, 12}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		uint64_t seq = cases[i].from;
		must(leat_stream_find_time(bus, "THINGS", times_ns[cases[i].at] + cases[i].past, &seq, &err));
		cr_assert_eq(seq, cases[i].found, "case %zu: %" PRIu64, i, seq);
	}
}
