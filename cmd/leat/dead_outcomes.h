/* What came of letters that were sent again, counted by outcome. */
#ifndef LEAT_DEAD_OUTCOMES_H
#define LEAT_DEAD_OUTCOMES_H

#include "outcomes.h"

#define DEAD_OUTCOMES 32

struct dead_outcomes {
	struct outcomes outcomes; /* closed: nobody waits */
	int64_t timeout_ms;
	size_t asked; /* messages whose outcome comes here; the index of the next */
	size_t missing;
	struct {
		struct outcome outcome;
		size_t count;
	} kinds[DEAD_OUTCOMES]; /* up to `kind_count`; there are fewer than that */
	size_t kind_count;
};

/*
 * Waits for the last `count` that were asked for, of which `stored` were stored. Once one has not come in time nobody is waited for any
 * more: a consumer that is not there would cost that time again and again.
 */
void dead_outcomes_wait(struct dead_outcomes *all, size_t count, size_t stored);
/* All are applied, or were before. Prints a table of them. */
bool dead_outcomes_print(const struct dead_outcomes *all);

#endif
