#include "leat/clock.h"

#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

int64_t leat_clock_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t leat_backoff_delay_ms(struct leat_backoff *backoff)
{
	int64_t range = backoff->next_ms > 0 ? backoff->next_ms : backoff->first_ms;
	if (range > backoff->limit_ms)
		range = backoff->limit_ms;
	backoff->next_ms = range * 2;
	uint32_t draw = 0;
	if (getrandom(&draw, sizeof draw, GRND_NONBLOCK) != (ssize_t)sizeof draw)
		draw = (uint32_t)leat_clock_ms();
	int64_t half = range / 2;
	return range - half + (half > 0 ? (int64_t)(draw % (uint64_t)(half + 1)) : 0);
}
