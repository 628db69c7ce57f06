/*
 * Lanes: a consumer process is some of these, each one thread with its own connections. They share nothing but this file's counters.
 * A lane that loses a server waits and comes back by itself, for ever; it ends only when it is told to stop.
 */
#ifndef LEAT_LANE_H
#define LEAT_LANE_H

#include "leat/buf.h"
#include "leat/error.h"
#include "leat/param.h"
#include "leat/uuid.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum leat_counter {
	LEAT_COUNT_APPLIED,
	LEAT_COUNT_DUPLICATE,
	LEAT_COUNT_REJECTED,
	LEAT_COUNT_PARKED,
	LEAT_COUNT_KNOWN,     /* redelivered, settled before */
	LEAT_COUNT_PUBLISHED, /* outbox rows */
	LEAT_COUNT_PRUNED,    /* rows of ledger and audit log that were old */
	LEAT_COUNT_EMBEDDED,  /* entities whose vector was stored */
	LEAT_COUNT_ANSWERED,  /* queries */
	LEAT_COUNT_BATCHES,
	LEAT_COUNT_RETRIES,    /* batches tried again after a failure that may pass, or taken apart after one that may not */
	LEAT_COUNT_RECONNECTS, /* of either server, or a durable opened again */
	LEAT_COUNTERS,
};

struct leat_process;

/* One lane of one process. Its thread writes, any thread reads. */
struct leat_lane {
	const struct leat_lane_type *type;
	struct leat_process *process;
	_Atomic uint64_t counters[LEAT_COUNTERS];
	_Atomic(const char *) state; /* a static text: "working", "waiting for Postgres" */
	_Atomic int64_t state_since_ms;
	_Atomic bool parked_seen; /* keep saw parked intents: a lane that consumes looks at its floor */
};

struct leat_lane_type {
	const char *name;
	const char *about;
	void (*run)(struct leat_lane *lane); /* returns once leat_lane_stopping() */
};

#define LEAT_LANES 8

/* The lanes of a list with commas, each once, in its order. PERMANENT: none, or one that there isn't; the text names --lanes. */
enum leat_kind leat_lanes_choose(const char *names, const struct leat_lane_type *chosen[LEAT_LANES], size_t *count, struct leat_error *err)
	__attribute__((warn_unused_result));
/* Markdown rows: `| lane | does |`. */
void leat_lanes_describe(struct leat_buf *out);

/* What the lanes of one process have in common; all of it is constant after start or atomic. */
struct leat_process {
	const struct leat_params *params;
	struct leat_uuid id;
	_Atomic bool stopping;
	int stop_fd;   /* readable once the process stops */
	int change_fd; /* readable once a lane entered another state; keep empties it */
	struct leat_lane lanes[LEAT_LANES];
	size_t lane_count;
};

/*
 * Runs the lanes named in params->lanes until `stop` says so, then at most drain_ms longer. It has to be called before the process has any
 * other thread: it blocks SIGTERM and SIGINT for all of them and waits for one. LEAT_OK after a clean end, PERMANENT for an unknown lane.
 * When a lane does not end in time it warns and ends the process with 0: what is in hand comes again after AckWait.
 */
enum leat_kind leat_process_run(const struct leat_params *params, struct leat_error *err) __attribute__((warn_unused_result));

/* For the lanes. */
bool leat_lane_stopping(const struct leat_lane *lane);
void leat_lane_count(struct leat_lane *lane, enum leat_counter counter, uint64_t more);
/* Logs when it differs from the state before: once per change, with `why` (may be NULL). */
void leat_lane_enter(struct leat_lane *lane, const char *state, const char *why);
/* Sleeps; returns early when the process stops. */
void leat_lane_sleep(const struct leat_lane *lane, int64_t ms);
/* {"entity":{"state":"working","since_ms":12,"applied":3,…},…} */
void leat_process_describe(const struct leat_process *process, struct leat_buf *json);
const char *leat_counter_name(enum leat_counter counter);

#endif
