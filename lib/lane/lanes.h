/* Inside lib/lane only: the lanes, and how they get their connections. */
#ifndef LEAT_LIB_LANES_H
#define LEAT_LIB_LANES_H

#include "leat/bus.h"
#include "leat/clock.h"
#include "leat/lane.h"
#include "leat/pg.h"
#include "leat/source.h"

/* Leases of claims are renewed so many times in their length; after an outage, holders have a part for it before the reaper looks. */
enum { LANE_LEASE_PARTS = 3 };

void lane_entity_run(struct leat_lane *lane);
void lane_control_run(struct leat_lane *lane);
void lane_run_run(struct leat_lane *lane);
void lane_query_run(struct leat_lane *lane);
void lane_advance_run(struct leat_lane *lane);
void lane_relay_run(struct leat_lane *lane);
void lane_keep_run(struct leat_lane *lane);
void lane_embed_run(struct leat_lane *lane);

/* A lane's own connections and how long to wait before the next try. */
struct lane_link {
	struct leat_lane *lane;
	struct leat_bus *bus;       /* NULL: not open */
	struct leat_pg *pg;         /* NULL: not open */
	int64_t request_timeout_ms; /* of bus; 0: that of the settings */
	struct leat_backoff backoff;
};

void lane_link_init(struct lane_link *link, struct leat_lane *lane);
void lane_link_fini(struct lane_link *link);
/* One try each; false after waiting a while, so that the caller can look whether it should stop. Opening what is open already is true. */
bool lane_link_open_bus(struct lane_link *link);
bool lane_link_open_pg(struct lane_link *link, const struct leat_pg_statement *statements, size_t count);
/* The same for a lane that has something else to do meanwhile: waits for nothing, and leaves the lane's state alone. */
enum leat_kind lane_link_try_bus(struct lane_link *link, struct leat_error *err) __attribute__((warn_unused_result));
enum leat_kind lane_link_try_pg(struct lane_link *link, const struct leat_pg_statement *statements, size_t count, struct leat_error *err)
	__attribute__((warn_unused_result));
void lane_link_close_pg(struct lane_link *link);
/* Enters the state, logging it once, and waits out the next delay. */
void lane_link_wait(struct lane_link *link, const char *state, const char *why);

/*
 * Is the stream still the one that the ledger knows? Sets *epoch, a new one where it is not. Called whenever a durable is opened, before it
 * is. Needs the prepared statements check_stream and stream_was_cut.
 */
enum leat_kind lane_stream_check(struct lane_link *link, const struct leat_source *source, const char *durable, int64_t *epoch,
	struct leat_error *err) __attribute__((warn_unused_result));

#endif
