/* Which dead letters a command is about: those whose sequences are its words, those that match its filters, or all. */
#ifndef LEAT_DEAD_CHOICE_H
#define LEAT_DEAD_CHOICE_H

#include "dead.h"

struct dead_choice {
	const char *command; /* "dead redrive" */
	struct dead_filter filter;
	bool all;
	int words; /* the sequences */
	char **seqs;
	size_t absent; /* out: of the sequences, those that there are not; it was said */
};

/* What is left of argv after the flags. False when nothing was chosen, or too much, and then it was said. */
bool dead_choice_check(struct dead_choice *choice, int argc, char **argv) __attribute__((warn_unused_result));

/*
 * Calls `take` with one batch after the other, oldest first, of what was there at the beginning: at most DEAD_BATCH letters, which it does
 * not keep. Ends at the first that is not LEAT_OK.
 */
#define DEAD_BATCH 256
enum leat_kind dead_each(struct leat_bus *bus, struct dead_choice *choice,
	enum leat_kind (*take)(void *context, struct leat_msg *letters, size_t count, struct leat_error *err), void *context,
	struct leat_error *err) __attribute__((warn_unused_result));

#endif
