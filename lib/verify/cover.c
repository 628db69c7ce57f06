/*
 * A position without a message matters when it was settled, or may have been: a row of the ledger that was applied, or a gap in the
 * sequences that neither the stream nor the ledger explains, with something settled above it. A gap with nothing settled above is nobody's
 * loss yet.
 */
#include "state.h"

#include <assert.h>

void cover_init(struct cover *cover, const struct epoch *epochs, size_t epoch_count, int64_t base, struct ranges *lost)
{
	*cover = (struct cover){.epochs = epochs, .epoch_count = epoch_count, .lost = lost, .at = base};
}

void cover_fini(struct cover *cover)
{
	ranges_free(&cover->pending);
}

/* The first position of an epoch, as far as is known; 0: not at all. */
static int64_t first_of(const struct cover *cover, int64_t number)
{
	for (size_t i = 0; i < cover->epoch_count; i++) {
		if (cover->epochs[i].number == number)
			return cover->epochs[i].first_seq == 0 ? 0 : number << EPOCH_BITS | cover->epochs[i].first_seq;
	}
	return 0;
}

static void find_gap(struct cover *cover, int64_t position)
{
	int64_t first = cover->at + 1;
	if (EPOCH_OF(position) != EPOCH_OF(cover->at))
		first = first_of(cover, EPOCH_OF(position));
	if (first > 0 && first < position)
		ranges_add(&cover->pending, first, position - 1);
}

void cover_step(struct cover *cover, int64_t position, bool message, bool row, bool needed)
{
	assert(position > cover->at && (message || row));
	find_gap(cover, position);
	if (!message && needed)
		ranges_add(&cover->pending, position, position);
	cover->at = position;
	if (!row)
		return;
	for (size_t i = 0; i < cover->pending.count; i++)
		ranges_add(cover->lost, cover->pending.list[i].first, cover->pending.list[i].last);
	cover->pending.count = 0;
}
