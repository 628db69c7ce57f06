/* Streams: made once, told apart from what was expected, looked at, walked by subject. */
#include "bus_fixture.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

TestSuite(bus_stream, .init = setup, .fini = teardown);

Test(bus_stream, stream_is_made_once_and_differences_are_told_not_changed)
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

Test(bus_stream, stream_that_can_never_be_made_is_permanent)
{
	LEAT_BUF_SCOPED differences = LEAT_BUF_INIT;
	struct leat_stream_config overlapping = things;
	overlapping.name = "OTHER";
	cr_assert_eq(leat_stream_ensure(bus, &overlapping, &differences, &err), LEAT_PERMANENT);
	struct leat_stream_config copies = {.name = "COPIES", .subjects = {"copies"}, .duplicates_ms = 100, .replicas = 3};
	cr_assert_eq(leat_stream_ensure(bus, &copies, &differences, &err), LEAT_PERMANENT);
	cr_assert_not_null(strstr(err.text, "replicas"), "%s", err.text);
}

Test(bus_stream, a_message_that_is_gone_cannot_be_deleted_and_that_is_told)
{
	store_many(3);
	must(leat_stream_delete_message(bus, "THINGS", 2, &err));
	for (uint64_t gone = 2; gone <= 4; gone += 2) {
		cr_assert_eq(leat_stream_delete_message(bus, "THINGS", gone, &err), LEAT_PERMANENT);
		cr_expect_eq(err.code, LEAT_CODE_NOT_FOUND, "%s", err.text);
	}
}

Test(bus_stream, stream_state_tells_what_is_in_it)
{
	struct leat_stream_state state;
	must(leat_stream_get_state(bus, "THINGS", &state, &err));
	cr_assert_eq(state.messages, 0);
	cr_assert_eq(state.first_ns, 0);
	cr_assert_eq(state.last_ns, 0);
	store_many(3);
	must(leat_stream_get_state(bus, "THINGS", &state, &err));
	int64_t first_ns = 0;
	int64_t last_ns = 0;
	must(leat_stream_get_time(bus, "THINGS", 1, &first_ns, &err));
	must(leat_stream_get_time(bus, "THINGS", 3, &last_ns, &err));
	cr_assert_eq(state.messages, 3);
	cr_assert_eq(state.first_seq, 1);
	cr_assert_eq(state.last_seq, 3);
	cr_assert_eq(state.first_ns, first_ns);
	cr_assert_eq(state.last_ns, last_ns);
	cr_assert_lt(llabs(state.created_ns / 1000000000 - (int64_t)time(NULL)), 60);
	cr_assert_eq(leat_stream_get_state(bus, "NONE", &state, &err), LEAT_PERMANENT);
	cr_assert_eq(err.code, LEAT_CODE_NOT_FOUND);
	cr_assert_eq(leat_stream_get_time(bus, "THINGS", 4, &last_ns, &err), LEAT_PERMANENT);
	cr_assert_eq(err.code, LEAT_CODE_NOT_FOUND);
}

Test(bus_stream, stored_messages_can_be_walked_by_subject)
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
