/*
 * Lockers: threads that lock, unlock and write the same few entities at once, each over a connection of its own, and judge every outcome
 * that they hear by what was known before they asked.
 *
 * Of each kept entity every locker owns one field: it alone locks and unlocks it, and writes it without respect_locks, which it does
 * only while it has not locked it. All the others write it too, respecting locks. So once the owner has heard that the field is locked, and
 * until it sends the unlock, nobody's write may count that was published in between. The table tells all of them what the owners have
 * heard. Fields that nobody owns, and the mortal entities, get everything from everybody: they are for the fold.
 */
#ifndef LEAT_TESTS_LOCKER_H
#define LEAT_TESTS_LOCKER_H

#include "story.h"

#include <pthread.h>
#include <stdatomic.h>

#define LOCKERS 4
#define KEPT 2     /* entities that nobody deletes; they must exist */
#define ENTITIES 4 /* with the mortal ones */

/* Of a field with an owner. */
struct lock_known {
	bool locked;     /* the owner has heard the lock's outcome, and has sent no unlock since */
	int64_t changes; /* of `locked` */
	int64_t value;   /* of the field when it was locked; -1: it was not there */
};

struct lock_table {
	pthread_mutex_t mutex;
	struct lock_known known[KEPT][LOCKERS];
};

struct locker {
	pthread_t thread;
	size_t number;
	struct lock_table *table;
	struct leat_bus *bus;
	struct leat_inbox *inbox;
	struct chance chance;
	struct told *intents; /* what it published, with the stream's sequences; they point into themselves */
	size_t count;
	size_t steps;
	_Atomic size_t done; /* steps */
	size_t judged;       /* writes to fields that were known to be locked all the time */
	char failure[600];   /* "": none */
};

/* Publishes one intent a step, in tenant A, to entities load_entity(0) to load_entity(ENTITIES - 1). */
void locker_start(struct locker *locker, size_t number, const char *nats_url, struct lock_table *table, uint64_t seed, size_t steps);
/* Waits for its last step. Free `intents` after. */
void locker_join(struct locker *locker);

const char *locker_field(size_t number); /* that it owns */

#endif
