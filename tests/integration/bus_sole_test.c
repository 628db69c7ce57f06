/* Storing in a stream that we alone write to, where one confirmation stands for all; and what happens when we are not alone. */
#include "bus_fixture.h"

#include "leat/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MANY 500

TestSuite(bus_sole, .init = setup, .fini = teardown);

static struct leat_sole unknown(void)
{
	return (struct leat_sole){.until_ms = INT64_MAX};
}

/* Messages with the ids from to to-1. */
struct call {
	struct leat_outgoing messages[MANY];
	char ids[MANY][16];
	size_t count;
};

static void make(struct call *call, size_t from, size_t to)
{
	call->count = to - from;
	for (size_t i = 0; i < call->count; i++) {
		snprintf(call->ids[i], sizeof call->ids[i], "id-%zu", from + i);
		call->messages[i] = (struct leat_outgoing){.subject = "things.a", .id = call->ids[i], .data = "x", .data_bytes = 1};
	}
}

static enum leat_kind run(struct leat_sole *sole, struct call *call)
{
	return leat_bus_store_sole(bus, sole, call->messages, call->count);
}

static uint64_t stored(void)
{
	struct leat_stream_state state;
	must(leat_stream_get_state(bus, "THINGS", &state, &err));
	return state.messages;
}

/* Each message says where it is. */
static void expect_stored(const struct call *call)
{
	for (size_t i = 0; i < call->count; i++) {
		struct leat_msg msg;
		uint64_t seq = call->messages[i].seq;
		cr_assert_eq(call->messages[i].kind, LEAT_OK, "message %zu: %s", i, call->messages[i].err.text);
		must(leat_stream_get_next(bus, "THINGS", ">", &seq, &msg, &err));
		cr_assert_eq(seq, call->messages[i].seq);
		cr_assert_str_eq(leat_msg_header(&msg, "Nats-Msg-Id"), call->ids[i]);
		leat_msg_free(&msg);
	}
}

Test(bus_sole, every_message_has_its_sequence)
{
	struct leat_sole sole = unknown();
	static struct call call;
	make(&call, 0, 3);
	cr_assert_eq(run(&sole, &call), LEAT_OK);
	cr_assert_eq(sole.last_seq, 3);
	expect_stored(&call);
	make(&call, 3, MANY);
	cr_assert_eq(run(&sole, &call), LEAT_OK);
	cr_assert_eq(sole.last_seq, MANY);
	expect_stored(&call);
	cr_expect_eq(stored(), MANY);
}

Test(bus_sole, one_confirmation_is_asked_for_once_the_last_sequence_is_known)
{
	struct leat_sole sole = unknown();
	static struct call call;
	struct leat_inbox *answers;
	struct leat_msg msg;
	must(leat_inbox_open(&answers, bus, "_INBOX.>", &err));
	make(&call, 0, 3);
	cr_assert_eq(run(&sole, &call), LEAT_OK);
	for (int i = 0; i < 3; i++) {
		must(leat_inbox_next(answers, 5000, &msg, &err));
		leat_msg_free(&msg);
	}
	make(&call, 3, 13);
	cr_assert_eq(run(&sole, &call), LEAT_OK);
	must(leat_inbox_next(answers, 5000, &msg, &err));
	leat_msg_free(&msg);
	must(leat_bus_flush(bus, &err)); /* the server has sent whatever it had to say */
	cr_expect_eq(leat_inbox_next(answers, 100, &msg, &err), LEAT_TEMPORARY, "a second answer");
	leat_inbox_close(answers);
	cr_expect_eq(stored(), 13);
}

Test(bus_sole, one_that_can_never_be_stored_is_named_and_the_others_are_stored)
{
	struct leat_sole sole = unknown();
	static struct call call;
	char *large = leat_alloc_zero(leat_bus_max_payload(bus) + 1, 1);
	for (size_t from = 0; from < 10; from += 5) {
		make(&call, from, from + 5);
		call.messages[2].data = large;
		call.messages[2].data_bytes = leat_bus_max_payload(bus) + 1;
		cr_assert_eq(run(&sole, &call), LEAT_PERMANENT);
		for (size_t i = 0; i < 5; i++)
			cr_expect_eq(call.messages[i].kind, i == 2 ? LEAT_PERMANENT : LEAT_OK, "message %zu", i);
		make(&call, from + 2, from + 3);
		cr_assert_eq(run(&sole, &call), LEAT_OK); /* the next round begins with a known sequence */
	}
	free(large);
	cr_expect_eq(stored(), 10);
}

Test(bus_sole, what_is_there_already_is_a_duplicate)
{
	static struct call call;
	struct leat_sole before = unknown();
	make(&call, 0, 3);
	cr_assert_eq(run(&before, &call), LEAT_OK);
	struct leat_sole after = unknown();
	make(&call, 0, 5);
	cr_assert_eq(run(&after, &call), LEAT_OK);
	for (size_t i = 0; i < 5; i++)
		cr_expect_eq(call.messages[i].duplicate, i < 3, "message %zu", i);
	make(&call, 1, 6);
	cr_assert_eq(run(&before, &call), LEAT_OK, "it knew of three only");
	expect_stored(&call);
	cr_expect_eq(stored(), 6);
}

Test(bus_sole, a_foreign_message_makes_it_ask_for_every_confirmation)
{
	struct leat_sole sole = unknown();
	static struct call call;
	make(&call, 0, 3);
	cr_assert_eq(run(&sole, &call), LEAT_OK);
	store("things.b", NULL, "foreign");
	make(&call, 3, 6);
	cr_assert_eq(run(&sole, &call), LEAT_OK);
	for (size_t i = 0; i < 3; i++)
		cr_expect(call.messages[i].duplicate, "it was asked again");
	expect_stored(&call);
	cr_expect_eq(sole.last_seq, 0, "duplicates tell nothing of the end");
	cr_expect_eq(stored(), 7);
}

Test(bus_sole, past_its_time_it_sends_nothing)
{
	static struct call call;
	struct leat_sole sole = unknown();
	make(&call, 0, 3);
	cr_assert_eq(run(&sole, &call), LEAT_OK);
	sole.until_ms = leat_clock_ms();
	make(&call, 3, 6);
	for (int known = 1; known >= 0; known--) {
		cr_expect_eq(run(&sole, &call), LEAT_TEMPORARY);
		for (size_t i = 0; i < 3; i++)
			cr_expect_eq(call.messages[i].kind, LEAT_TEMPORARY);
		cr_expect_eq(sole.last_seq, 0);
	}
	cr_expect_eq(stored(), 3);
}

static bool is_stored(void *argument)
{
	return run(((void **)argument)[0], ((void **)argument)[1]) == LEAT_OK;
}

Test(bus_sole, goes_on_when_the_server_comes_back)
{
	struct leat_sole sole = unknown();
	static struct call call;
	make(&call, 0, 3);
	cr_assert_eq(run(&sole, &call), LEAT_OK);
	leat_server_kill(&rig.nats);
	make(&call, 3, 6);
	cr_expect_eq(run(&sole, &call), LEAT_TEMPORARY);
	must(leat_server_restart(&rig.nats, &err));
	cr_assert(rig_wait_until(is_stored, (void *[]){&sole, &call}, 30), "%s", call.messages[0].err.text);
	expect_stored(&call);
	cr_expect_eq(stored(), 6);
}
