/* Inside lib/outbox only: which events may be on their way at the same time. */
#ifndef LEAT_LIB_OUTBOX_ROUNDS_H
#define LEAT_LIB_OUTBOX_ROUNDS_H

#include <stddef.h>

/*
 * No two of one subject in one round, so that none can overtake another: the round of a message is how many of its subject are before it.
 * round_of and order have room for `count`; order lists the messages by round, in each as they came. Returns the number of rounds.
 */
size_t outbox_rounds(const char *const *subjects, size_t count, size_t *round_of, size_t *order);

#endif
