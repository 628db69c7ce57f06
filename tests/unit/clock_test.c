#include "leat/clock.h"

#include <criterion/criterion.h>

Test(clock, never_goes_back)
{
	int64_t before = leat_clock_ms();
	for (int i = 0; i < 1000; i++) {
		int64_t now = leat_clock_ms();
		cr_assert(now >= before);
		before = now;
	}
}

Test(backoff, doubles_up_to_its_limit_in_the_upper_half)
{
	static const int64_t ranges[] = {100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000};
	for (int round = 0; round < 100; round++) {
		struct leat_backoff backoff = {.first_ms = 100, .limit_ms = 5000};
		for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
			int64_t delay = leat_backoff_delay_ms(&backoff);
			cr_expect(delay >= ranges[i] / 2 && delay <= ranges[i], "delay %zu is %ld", i, (long)delay);
		}
	}
}

Test(backoff, draws_differ)
{
	int64_t first = 0;
	int different = 0;
	for (int i = 0; i < 50; i++) {
		struct leat_backoff backoff = {.first_ms = 10000, .limit_ms = 10000};
		int64_t delay = leat_backoff_delay_ms(&backoff);
		different += i > 0 && delay != first;
		first = i == 0 ? delay : first;
	}
	cr_expect(different > 0);
}

Test(backoff, a_success_starts_it_anew)
{
	struct leat_backoff backoff = {.first_ms = 10, .limit_ms = 100000};
	for (int i = 0; i < 8; i++)
		leat_backoff_delay_ms(&backoff);
	cr_expect(leat_backoff_delay_ms(&backoff) > 10);
	backoff.next_ms = 0;
	cr_expect(leat_backoff_delay_ms(&backoff) <= 10);
}

Test(backoff, the_limit_holds_from_the_first_delay_on)
{
	struct leat_backoff backoff = {.first_ms = 60000, .limit_ms = 10};
	cr_expect(leat_backoff_delay_ms(&backoff) <= 10);
}

Test(backoff, one_millisecond_is_never_none)
{
	struct leat_backoff backoff = {.first_ms = 1, .limit_ms = 1};
	cr_expect(leat_backoff_delay_ms(&backoff) == 1);
}
