/* Messages: how they come out after they were stored or published, and what a batch of them is told when it is stored. */
#include "bus_fixture.h"

#include "leat/clock.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

TestSuite(bus_message, .init = setup, .fini = teardown);

/* ---- messages there and back ---- */

Test(bus_message, message_comes_with_its_place_headers_and_body)
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

Test(bus_message, empty_header_does_not_swallow_the_next_one)
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
Test(bus_message, message_that_looks_like_a_status_is_delivered)
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

Test(bus_message, inbox_hears_what_is_published)
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

Test(bus_message, subject_that_would_break_the_protocol_is_refused)
{
	static const char *const bad[] = {"", "a b", "a\r\nPUB x 0", "a..b", ".a", "a.", "a.*", "a.>", "a\tb"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		cr_assert_eq(leat_bus_publish(bus, bad[i], NULL, "", 0, &err), LEAT_PERMANENT, "'%s'", bad[i]);
	must(leat_bus_flush(bus, &err));
	cr_assert(leat_bus_connected(bus));
	cr_assert_eq(leat_bus_reconnects(bus), 0);
}

Test(bus_message, server_is_known_after_connecting)
{
	char version[32];
	leat_bus_server_version(bus, version);
	cr_assert_geq(strtol(version, NULL, 10), 2, "'%s'", version);
	cr_assert_eq(leat_bus_max_payload(bus), 1048576);
}

/* ---- storing ---- */

Test(bus_message, store_tells_each_message_its_sequence_and_duplicates)
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

Test(bus_message, store_without_a_stream_is_temporary_and_costs_the_others_nothing)
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

Test(bus_message, message_over_the_limit_is_too_large_and_harms_nothing)
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

Test(bus_message, headers_exactly_at_the_limit_are_taken)
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
