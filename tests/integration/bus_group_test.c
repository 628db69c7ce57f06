/* Subscriptions of a queue group: one of them gets each request, ending one loses none, a reconnect restores it. */
#include "bus_fixture.h"

#include "leat/clock.h"

#include <stdio.h>

TestSuite(bus_group, .init = setup, .fini = teardown);

#define SUBJECT "ask.something"

static struct leat_inbox *join(struct leat_bus *at)
{
	struct leat_inbox *inbox = NULL;
	must(leat_inbox_join(&inbox, at, SUBJECT, "answerers", &err));
	return inbox;
}

static struct leat_bus *another(const char *name)
{
	struct leat_bus *opened = NULL;
	struct leat_bus_options wanted = options();
	wanted.name = name;
	must(leat_bus_open(&opened, &wanted, &err));
	return opened;
}

static void ask(struct leat_bus *asker, size_t first, size_t count)
{
	for (size_t i = first; i < first + count; i++) {
		char number[24];
		snprintf(number, sizeof number, "%zu", i);
		must(leat_bus_publish(asker, SUBJECT, NULL, number, strlen(number), &err));
	}
	must(leat_bus_flush(asker, &err));
}

/* Takes what there is, each number counted once. */
static size_t take(struct leat_inbox *inbox, int64_t timeout_ms, unsigned char *seen)
{
	struct leat_msg msg;
	size_t count = 0;
	for (; leat_inbox_next(inbox, timeout_ms, &msg, &err) == LEAT_OK; count++) {
		seen[strtoul(msg.data, NULL, 10)]++;
		leat_msg_free(&msg);
	}
	return count;
}

static void expect_each_once(const unsigned char *seen, size_t count)
{
	for (size_t i = 0; i < count; i++)
		cr_assert_eq(seen[i], 1, "request %zu came %d times", i, seen[i]);
}

Test(bus_group, a_burst_of_ten_thousand_waits_until_it_is_taken_and_each_goes_to_one)
{
	enum { BURST = 10000 };
	static unsigned char seen[BURST];
	struct leat_bus *other = another("other");
	struct leat_inbox *inboxes[] = {join(bus), join(other)};
	struct leat_bus *asker = another("asker");
	ask(asker, 0, BURST);
	leat_inbox_end(inboxes[0]);
	leat_inbox_end(inboxes[1]);
	size_t taken[] = {take(inboxes[0], 0, seen), take(inboxes[1], 0, seen)};
	cr_expect_eq(taken[0] + taken[1], BURST);
	cr_expect(taken[0] > 0 && taken[1] > 0, "all went to one of them");
	expect_each_once(seen, BURST);
	leat_inbox_close(inboxes[0]);
	leat_inbox_close(inboxes[1]);
	leat_bus_close(asker);
	leat_bus_close(other);
}

/* One after the other ends while requests come in, and the next has joined: none goes to nobody, none to two. */
Test(bus_group, none_is_lost_while_one_ends_and_another_takes_over)
{
	enum { ROUNDS = 20, EACH = 100 };
	static unsigned char seen[ROUNDS * EACH];
	struct leat_bus *asker = another("asker");
	struct leat_inbox *inbox = join(bus);
	for (size_t round = 0; round < ROUNDS; round++) {
		struct leat_inbox *next_one = join(bus);
		for (size_t i = 0; i < EACH; i++) {
			char number[24];
			snprintf(number, sizeof number, "%zu", round * EACH + i);
			must(leat_bus_publish(asker, SUBJECT, NULL, number, strlen(number), &err));
		}
		leat_inbox_end(inbox); /* some of them are still on their way */
		take(inbox, 0, seen);
		leat_inbox_close(inbox);
		inbox = next_one;
	}
	must(leat_bus_flush(asker, &err));
	leat_inbox_end(inbox);
	take(inbox, 0, seen);
	expect_each_once(seen, ROUNDS * EACH);
	leat_inbox_close(inbox);
	leat_bus_close(asker);
}

static bool came_back(void *count)
{
	return leat_bus_connected(bus) && leat_bus_reconnects(bus) == *(const uint64_t *)count;
}

Test(bus_group, a_reconnect_subscribes_again_in_the_group)
{
	enum { COUNT = 100 };
	unsigned char seen[COUNT] = {0};
	struct leat_inbox *inboxes[] = {join(bus), join(bus)};
	uint64_t once = 1;
	leat_server_kill(&rig.nats);
	must(leat_server_restart(&rig.nats, &err));
	cr_assert(rig_wait_until(came_back, &once, 20));
	must(leat_bus_flush(bus, &err));
	struct leat_bus *asker = another("asker");
	ask(asker, 0, COUNT);
	leat_inbox_end(inboxes[0]);
	leat_inbox_end(inboxes[1]);
	cr_expect_eq(take(inboxes[0], 0, seen) + take(inboxes[1], 0, seen), COUNT);
	expect_each_once(seen, COUNT);
	leat_inbox_close(inboxes[0]);
	leat_inbox_close(inboxes[1]);
	leat_bus_close(asker);
}

Test(bus_group, ending_with_the_server_away_does_not_hang)
{
	struct leat_inbox *inbox = join(bus);
	leat_server_pause(&rig.nats);
	int64_t start_ms = leat_clock_ms();
	leat_inbox_end(inbox);
	cr_assert_lt(leat_clock_ms() - start_ms, 5000);
	leat_inbox_close(inbox);
	leat_server_resume(&rig.nats);
}

Test(bus_group, a_bad_name_or_subject_is_permanent)
{
	struct leat_inbox *inbox = NULL;
	cr_expect_eq(leat_inbox_join(&inbox, bus, SUBJECT, "two words", &err), LEAT_PERMANENT);
	cr_expect_eq(leat_inbox_join(&inbox, bus, "ask..something", "answerers", &err), LEAT_PERMANENT);
	cr_expect_null(inbox);
}
