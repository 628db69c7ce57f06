/*
 * Inside the keep lane only: keep.c is the loop and the heartbeat, keep_lock.c says which process does what one alone does:
 * keep_retention.c forgets what is old, keep_sweep.c finds questions past their time, keep_reap.c claims past their lease.
 */
#ifndef LEAT_LIB_LANE_KEEP_H
#define LEAT_LIB_LANE_KEEP_H

#include "lanes.h"

enum { KEEP_STEPS = 5, KEEP_TOLD_BYTES = 200 };

/* A step that has more to do comes again after a rest as long as it took, this long at least. */
enum { KEEP_REST_MS = 10 };

/* The advisory lock of the one process of all that prunes and sweeps; it ends with its connection. */
struct keep_lock {
	struct lane_link *link;
	bool held;
};

/* Tries to get it, unless it is held; `held` tells. */
enum leat_kind keep_lock_try(struct keep_lock *lock, struct leat_error *err) __attribute__((warn_unused_result));
enum leat_kind keep_lock_give_back(struct keep_lock *lock, struct leat_error *err) __attribute__((warn_unused_result));

/* Logs a trouble once, until it is another; "": there is none. `told` is what was logged last. */
void keep_tell(char told[KEEP_TOLD_BYTES], const char *trouble, int64_t every_ms);

/* A pass, every prune_every_ms, taken in steps that are short, so that heartbeats go on in between. */
struct keep_retention {
	struct lane_link *link;
	struct keep_lock *lock;
	int64_t due_ms;  /* when the next step is, by leat_clock_ms */
	int64_t pass_ms; /* when this pass began */
	bool unasked;    /* NATS did not answer in this pass */
	size_t step;
	size_t ledger; /* whose turn it is */
	bool asked;    /* `stream` is what the server says of it */
	struct leat_stream_state stream;
	int64_t after;                          /* the position where its next chunk begins */
	char told[KEEP_STEPS][KEEP_TOLD_BYTES]; /* what was logged last, step by step */
};

/* For a connection that was just opened, with the statements of keep.c. The lock is borrowed. */
void keep_retention_start(struct keep_retention *r, struct keep_lock *lock);
/* Takes the step that is due. False: Postgres is lost, *err says why. */
bool keep_retention_step(struct keep_retention *r, struct leat_error *err) __attribute__((warn_unused_result));

/* A pass, every interaction_sweep_ms, and as long as there is more. */
struct keep_sweep {
	struct keep_lock *lock;
	int64_t due_ms;             /* when the next pass is, by leat_clock_ms */
	char told[KEEP_TOLD_BYTES]; /* what was logged last */
};

/* As those of keep_retention. */
void keep_sweep_start(struct keep_sweep *sweep, struct keep_lock *lock);
bool keep_sweep_step(struct keep_sweep *sweep, struct leat_error *err) __attribute__((warn_unused_result));

/* A pass, every reap_every_ms, in steps: claims, then runs under way, by id. */
struct keep_reap {
	struct keep_lock *lock;
	int64_t due_ms;  /* when the next step is, by leat_clock_ms */
	int64_t pass_ms; /* when this pass began */
	bool under_way;  /* the next step is of the same pass */
	bool walking;    /* claims are done; runs behind `after` are not */
	char after[LEAT_UUID_TEXT_BYTES];
	int64_t room;               /* resumes that this pass may still ask for */
	char told[KEEP_TOLD_BYTES]; /* what was logged last */
};

/* As those of keep_retention. */
void keep_reap_start(struct keep_reap *reap, struct keep_lock *lock);
bool keep_reap_step(struct keep_reap *reap, struct leat_error *err) __attribute__((warn_unused_result));

#endif
