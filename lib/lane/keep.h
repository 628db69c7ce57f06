/*
 * Inside the keep lane only: keep.c is the loop and the heartbeat, keep_retention.c forgets what is old.
 */
#ifndef LEAT_LIB_LANE_KEEP_H
#define LEAT_LIB_LANE_KEEP_H

#include "lanes.h"

enum { KEEP_STEPS = 5, KEEP_TOLD_BYTES = 200 };

/* A pass, every prune_every_ms, taken in steps that are short, so that heartbeats go on in between. */
struct keep_retention {
	struct lane_link *link;
	int64_t due_ms;  /* when the next step is, by leat_clock_ms */
	int64_t pass_ms; /* when this pass began */
	bool held;       /* this process is the one that prunes */
	bool unasked;    /* NATS did not answer in this pass */
	size_t step;
	size_t ledger; /* whose turn it is */
	bool asked;    /* `stream` is what the server says of it */
	struct leat_stream_state stream;
	int64_t after;                          /* the position where its next chunk begins */
	char told[KEEP_STEPS][KEEP_TOLD_BYTES]; /* what was logged last, step by step */
};

/* For a connection that was just opened, with the statements of keep.c. */
void keep_retention_start(struct keep_retention *r, struct lane_link *link);
/* Takes the step that is due. False: Postgres is lost, *err says why. */
bool keep_retention_step(struct keep_retention *r, struct leat_error *err) __attribute__((warn_unused_result));

#endif
