/* Neighbours are joined, so that a stream without its first million messages is one range. Out of memory aborts. */
#include "ranges.h"

#include "leat/buf.h"

#include <assert.h>
#include <stdlib.h>

void ranges_add(struct ranges *ranges, int64_t first, int64_t last)
{
	assert(first <= last);
	struct range *newest = ranges->count > 0 ? &ranges->list[ranges->count - 1] : NULL;
	assert(newest == NULL || newest->last < first);
	if (newest != NULL && newest->last + 1 == first) {
		newest->last = last;
		return;
	}
	if (ranges->count == ranges->room)
		ranges->list = leat_realloc(ranges->list, (ranges->room = ranges->room * 2 + 8) * sizeof *ranges->list);
	ranges->list[ranges->count++] = (struct range){first, last};
}

bool ranges_hold(const struct ranges *ranges, int64_t position)
{
	size_t low = 0;
	size_t high = ranges->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (ranges->list[middle].last < position)
			low = middle + 1;
		else
			high = middle;
	}
	return low < ranges->count && ranges->list[low].first <= position;
}

void ranges_free(struct ranges *ranges)
{
	free(ranges->list);
	*ranges = (struct ranges){0};
}
