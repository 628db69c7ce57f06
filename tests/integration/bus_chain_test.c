/* Chains: messages whose order matters, stored one behind the other or not at all. */
#include "bus_fixture.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MANY 500

TestSuite(bus_chain, .init = setup, .fini = teardown);

/* Messages with the ids from-1 to to-1. */
struct link {
	struct leat_outgoing messages[MANY];
	char ids[MANY][16];
	size_t count;
};

static void make(struct link *link, size_t from, size_t to)
{
	link->count = to - from;
	for (size_t i = 0; i < link->count; i++) {
		snprintf(link->ids[i], sizeof link->ids[i], "id-%zu", from + i);
		link->messages[i] = (struct leat_outgoing){.subject = "things.a", .id = link->ids[i], .data = "x", .data_bytes = 1};
	}
}

static enum leat_kind try(struct leat_chain *chain, struct link *link)
{
	leat_chain_look(chain, bus);
	return leat_bus_store_chain(bus, chain, link->messages, link->count);
}

static uint64_t stored(void)
{
	struct leat_stream_state state;
	must(leat_stream_get_state(bus, "THINGS", &state, &err));
	return state.messages;
}

static void expect_in_order(size_t count)
{
	for (uint64_t seq = 1; seq <= count; seq++) {
		struct leat_msg msg;
		char expected[16];
		uint64_t found = seq;
		must(leat_stream_get_next(bus, "THINGS", ">", &found, &msg, &err));
		cr_assert_eq(found, seq);
		snprintf(expected, sizeof expected, "id-%" PRIu64, seq - 1);
		cr_assert_str_eq(leat_msg_header(&msg, "Nats-Msg-Id"), expected);
		leat_msg_free(&msg);
	}
	cr_assert_eq(stored(), count);
}

static void expect_all(const struct link *link, enum leat_kind kind)
{
	for (size_t i = 0; i < link->count; i++)
		cr_assert_eq(link->messages[i].kind, kind, "message %zu: %s", i, link->messages[i].err.text);
}

Test(bus_chain, messages_are_stored_in_order_and_each_has_its_sequence)
{
	struct leat_chain chain = {.stream = "THINGS"};
	static struct link link;
	make(&link, 0, 3);
	cr_assert_eq(try(&chain, &link), LEAT_OK, "%s", link.messages[0].err.text);
	cr_assert_eq(chain.state, LEAT_CHAIN_SURE);
	make(&link, 3, MANY);
	cr_assert_eq(leat_bus_store_chain(bus, &chain, link.messages, link.count), LEAT_OK, "%s", link.messages[0].err.text);
	expect_all(&link, LEAT_OK);
	cr_assert_eq(link.messages[0].seq, 4);
	cr_assert_eq(link.messages[link.count - 1].seq, MANY);
	expect_in_order(MANY);
}

/* The third of five can't be sent; `sure`: after a call that went well. */
static void expect_nothing_behind_a_failure(bool sure)
{
	struct leat_chain chain = {.stream = "THINGS"};
	static struct link link;
	size_t first = sure ? 1 : 0;
	make(&link, 0, first);
	if (sure)
		cr_assert_eq(try(&chain, &link), LEAT_OK);
	make(&link, first, first + 5);
	char *large = leat_alloc_zero(leat_bus_max_payload(bus) + 1, 1);
	link.messages[2].data = large;
	link.messages[2].data_bytes = leat_bus_max_payload(bus) + 1;
	enum leat_kind kind = try(&chain, &link);
	if (sure) {
		expect_all(&link, LEAT_TEMPORARY);
		cr_assert_eq(chain.state, LEAT_CHAIN_UNKNOWN);
		kind = try(&chain, &link);
	}
	free(large);
	cr_expect_eq(kind, LEAT_PERMANENT);
	for (size_t i = 0; i < 5; i++)
		cr_expect_eq(link.messages[i].kind, i < 2 ? LEAT_OK : i == 2 ? LEAT_PERMANENT : LEAT_TEMPORARY, "message %zu", i);
	expect_in_order(first + 2);
}

Test(bus_chain, behind_one_that_fails_nothing_is_stored)
{
	expect_nothing_behind_a_failure(false);
}

Test(bus_chain, behind_one_that_fails_nothing_is_stored_at_full_speed_either)
{
	expect_nothing_behind_a_failure(true);
}

Test(bus_chain, what_is_there_already_is_a_duplicate_and_the_rest_follows)
{
	struct leat_chain before = {.stream = "THINGS"};
	struct leat_chain after = {.stream = "THINGS"};
	static struct link link;
	make(&link, 0, 3);
	cr_assert_eq(try(&before, &link), LEAT_OK);
	make(&link, 0, 5);
	cr_assert_eq(try(&after, &link), LEAT_OK, "%s", link.messages[3].err.text);
	for (size_t i = 0; i < 5; i++)
		cr_expect_eq(link.messages[i].duplicate, i < 3, "message %zu", i);
	expect_in_order(5);
}

Test(bus_chain, whoever_hung_while_another_wrote_stores_nothing)
{
	struct leat_chain looked = {.stream = "THINGS"};
	struct leat_chain sure = {.stream = "THINGS"};
	struct leat_chain other = {.stream = "THINGS"};
	static struct link link;
	leat_chain_look(&looked, bus);
	make(&link, 0, 2);
	cr_assert_eq(try(&sure, &link), LEAT_OK);
	make(&link, 2, 4);
	cr_assert_eq(try(&other, &link), LEAT_OK);

	make(&link, 10, 13);
	cr_expect_eq(leat_bus_store_chain(bus, &looked, link.messages, link.count), LEAT_TEMPORARY);
	expect_all(&link, LEAT_TEMPORARY);
	cr_expect_eq(leat_bus_store_chain(bus, &sure, link.messages, link.count), LEAT_TEMPORARY);
	expect_all(&link, LEAT_TEMPORARY);
	cr_expect(looked.state == LEAT_CHAIN_UNKNOWN && sure.state == LEAT_CHAIN_UNKNOWN);
	expect_in_order(4);
}

Test(bus_chain, what_somebody_else_writes_costs_one_look)
{
	struct leat_chain chain = {.stream = "THINGS"};
	static struct link link;
	make(&link, 0, 3);
	cr_assert_eq(try(&chain, &link), LEAT_OK);
	store("things.b", NULL, "foreign");
	make(&link, 3, 6);
	cr_expect_eq(try(&chain, &link), LEAT_TEMPORARY);
	cr_expect_eq(try(&chain, &link), LEAT_OK, "%s", link.messages[0].err.text);
	cr_expect_eq(stored(), 7);
}

Test(bus_chain, without_its_stream_it_waits)
{
	struct leat_chain chain = {.stream = "NOTHING"};
	static struct link link;
	make(&link, 0, 2);
	cr_expect_eq(try(&chain, &link), LEAT_TEMPORARY);
	expect_all(&link, LEAT_TEMPORARY);
	cr_expect_not_null(strstr(link.messages[0].err.text, "NOTHING"), "%s", link.messages[0].err.text);
}

static bool has_stored(void *argument)
{
	struct leat_chain *chain = ((void **)argument)[0];
	return try(chain, ((void **)argument)[1]) == LEAT_OK;
}

Test(bus_chain, goes_on_when_the_server_comes_back)
{
	struct leat_chain chain = {.stream = "THINGS"};
	static struct link link;
	make(&link, 0, 3);
	cr_assert_eq(try(&chain, &link), LEAT_OK);
	leat_server_kill(&rig.nats);
	make(&link, 3, 6);
	cr_expect_eq(try(&chain, &link), LEAT_TEMPORARY);
	must(leat_server_restart(&rig.nats, &err));
	cr_assert(rig_wait_until(has_stored, (void *[]){&chain, &link}, 30), "%s", link.messages[0].err.text);
	expect_in_order(6);
}
