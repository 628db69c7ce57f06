/* A set of positions, added in rising order: for what is lost, and for the holes of the ledger. */
#ifndef LEAT_LIB_VERIFY_RANGES_H
#define LEAT_LIB_VERIFY_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ranges {
	struct range {
		int64_t first;
		int64_t last;
	} * list;
	size_t count;
	size_t room;
};

/* [first, last], above all that was added before. */
void ranges_add(struct ranges *ranges, int64_t first, int64_t last);
bool ranges_hold(const struct ranges *ranges, int64_t position);
void ranges_free(struct ranges *ranges);

#endif
