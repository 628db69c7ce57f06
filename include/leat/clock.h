/* Time for waiting and retrying. What must agree between processes (leases, ages) is decided by database time, never here. */
#ifndef LEAT_CLOCK_H
#define LEAT_CLOCK_H

#include <stdint.h>

/* Monotonic milliseconds since some fixed point. Any thread. */
int64_t leat_clock_ms(void);

/*
 * Growing, jittered delays: first about `first_ms`, then doubling up to `limit_ms`; each is drawn evenly from the upper half
 * of its range, so that processes that failed together do not come back together. Set `next_ms` to 0 after a success.
 */
struct leat_backoff {
	int64_t first_ms;
	int64_t limit_ms;
	int64_t next_ms;
};

int64_t leat_backoff_delay_ms(struct leat_backoff *backoff);

#endif
