/* Pulling: in order, once, without waiting for what is there or turning while nothing is; and what becomes of what was not settled. */
#include "bus_fixture.h"

#include "leat/clock.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

TestSuite(bus_pull, .init = setup, .fini = teardown);

Test(bus_pull, everything_comes_once_and_in_order_whatever_the_batch)
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

Test(bus_pull, looking_does_not_wait_and_waiting_does_not_spin)
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
Test(bus_pull, pull_goes_on_after_its_requests_ran_out)
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

Test(bus_pull, message_given_back_with_a_delay_comes_after_it)
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

Test(bus_pull, progress_keeps_a_message_ours)
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

static bool something_came_again(void *pull)
{
	struct leat_pull_info info;
	leat_pull_progress(pull);
	must(leat_pull_get_info(pull, &info, &err));
	return info.redelivered > 0;
}

/* The first is handed out and not renewed: when it comes again, the AckWait of all the others is over too. */
Test(bus_pull, progress_keeps_what_waits_to_be_handed_out)
{
	struct leat_pull_options impatient = workers;
	impatient.ack_wait_ms = 2000;
	store_many(20);
	struct leat_pull *pull = open_pull(&impatient);
	struct leat_msg first = next(pull, 5000);
	cr_assert(rig_wait_until(something_came_again, pull, 10));
	for (uint64_t seq = 2; seq <= 20; seq++) {
		struct leat_msg msg = next(pull, 5000);
		cr_assert_eq(msg.seq, seq);
		settle(&msg);
	}
	struct leat_msg again = next(pull, 5000);
	cr_assert_eq(again.seq, first.seq);
	settle(&again);
	cr_assert_eq(leat_pull_next(pull, 500, &again, &err), LEAT_PULL_EMPTY, "%d came again", (int)again.seq);
	leat_msg_free(&first);
	leat_pull_close(pull);
}

/* max_bytes below what one message needs would block the durable for ever. */
Test(bus_pull, largest_message_passes_the_smallest_byte_limit)
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

Test(bus_pull, closing_gives_back_what_was_queued)
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

Test(bus_pull, paused_pull_asks_for_nothing)
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

Test(bus_pull, processes_of_a_group_share_the_messages)
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

/* Opening and closing while messages pour in: what crashes the library when a subscription is destroyed too early. */
Test(bus_pull, subscriptions_come_and_go_under_load)
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

/* ---- as many as there are free hands ---- */

static uint64_t delivered_and_unsettled(struct leat_pull *pull)
{
	struct leat_pull_info info;
	must(leat_pull_get_info(pull, &info, &err));
	return info.ack_pending;
}

static bool is_readable(int fd, int timeout_ms)
{
	struct pollfd wanted = {.fd = fd, .events = POLLIN};
	return poll(&wanted, 1, timeout_ms) > 0;
}

Test(bus_pull, no_more_is_fetched_than_there_are_free_hands_and_the_next_comes_at_once)
{
	store_many(20);
	struct leat_pull *pull = open_pull(&workers);
	leat_pull_set_batch(pull, 0);
	cr_assert_eq(next_event(pull, 0), LEAT_PULL_EMPTY);
	cr_assert_not(is_readable(leat_pull_fd(pull), 300));
	cr_assert_eq(delivered_and_unsettled(pull), 0);

	struct leat_msg held[3];
	for (int64_t hands = 3; hands > 0; hands--) {
		leat_pull_set_batch(pull, hands);
		held[hands - 1] = next(pull, 5000);
	}
	leat_pull_set_batch(pull, 0);
	cr_assert_eq(next_event(pull, 0), LEAT_PULL_EMPTY);
	cr_assert_not(is_readable(leat_pull_fd(pull), 300));
	cr_assert_eq(delivered_and_unsettled(pull), 3);

	for (uint64_t seq = 4; seq <= 20; seq++) { /* each hand that is free gets one, before any other is */
		settle(&held[seq % 3]);
		leat_pull_set_batch(pull, 1);
		held[seq % 3] = next(pull, 2000);
		cr_assert_eq(held[seq % 3].seq, seq);
		leat_pull_set_batch(pull, 0);
		cr_assert_eq(next_event(pull, 0), LEAT_PULL_EMPTY);
	}
	for (size_t i = 0; i < 3; i++)
		settle(&held[i]);
	leat_pull_close(pull);
}

Test(bus_pull, its_descriptor_tells_of_what_has_arrived_until_it_is_taken)
{
	struct leat_pull *pull = open_pull(&workers);
	cr_assert_eq(next_event(pull, 0), LEAT_PULL_EMPTY); /* asks */
	int fd = leat_pull_fd(pull);
	cr_assert_eq(leat_pull_fd(pull), fd);
	for (int round = 0; round < 50; round++) {
		store("things.a", NULL, "x");
		cr_assert(is_readable(fd, 5000), "round %d", round);
		struct leat_msg msg = next(pull, 0);
		settle(&msg);
		while (next_event(pull, 0) == LEAT_PULL_MESSAGE)
			continue;
	}
	cr_assert_not(is_readable(fd, 0));
	leat_pull_close(pull);

	store("things.a", NULL, "y"); /* asked for when something is here already, it tells too */
	pull = open_pull(&workers);
	cr_assert_eq(next_event(pull, 0), LEAT_PULL_EMPTY);
	struct leat_msg first = next(pull, 5000);
	store("things.a", NULL, "z");
	while (delivered_and_unsettled(pull) < 2)
		continue;
	must(leat_bus_flush(bus, &err));
	cr_assert(is_readable(leat_pull_fd(pull), 2000));
	settle(&first);
	leat_pull_close(pull);
}
