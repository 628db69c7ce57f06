/* Inside the relay lane only: its state, and what it does with the table. */
#ifndef LEAT_LIB_LANE_RELAY_H
#define LEAT_LIB_LANE_RELAY_H

#include "lanes.h"
#include "leat/outbox.h"

/* Which rows need not be looked at any more: leat.outbox_floor has the reasoning. */
struct relay_floor {
	int64_t seq;             /* every row at or below is gone, and none will come */
	int64_t next;            /* what it will be once `writers` are gone */
	int64_t highest;         /* seen so far */
	struct leat_buf writers; /* a text[] literal */
	int64_t rows;            /* seen since seq was raised */
	int64_t looked_ms;
};

struct relay {
	struct lane_link link;
	const struct leat_params *params;
	struct leat_sole events;
	bool held;        /* the lock */
	bool asleep;      /* whoever writes wakes it by NOTIFY */
	int64_t pause_ms; /* the last one since it found something; 0: none */
	struct relay_floor floor;
	bool large; /* the table may be */
};

/* ---- relay_table.c; all of them fail as leat_pg_run does ---- */

/* Opens the connection and prepares; false after waiting a while. */
bool relay_open_pg(struct relay *relay);
/* Tries to become the one that relays, and listens. */
enum leat_kind relay_take_lock(struct relay *relay, struct leat_error *err) __attribute__((warn_unused_result));
/* asleep stays false while somebody has written and not committed. */
enum leat_kind relay_fall_asleep(struct relay *relay, struct leat_error *err) __attribute__((warn_unused_result));
enum leat_kind relay_wake(struct relay *relay, struct leat_error *err) __attribute__((warn_unused_result));
enum leat_kind relay_fetch(struct relay *relay, struct leat_pg_result **rows, struct leat_error *err) __attribute__((warn_unused_result));
/* *apart: there were bundles of which some events have to wait; they are rows now, so everything is to be fetched again. */
enum leat_kind relay_take_apart(struct relay *relay, struct leat_pg_result *rows, bool *apart, struct leat_error *err)
	__attribute__((warn_unused_result));
/* Rows that are out are deleted, those that can't be are put off; bundles that are neither are taken apart before. */
enum leat_kind relay_settle(struct relay *relay, struct leat_outbox_result *result, struct leat_error *err)
	__attribute__((warn_unused_result));
/* Everything is looked at again: at the tick, and where something is not as it was. */
void relay_forget_floor(struct relay *relay);
/* After rows were settled: may rows be forgotten? Asks now and then only. */
enum leat_kind relay_raise_floor(struct relay *relay, struct leat_error *err) __attribute__((warn_unused_result));
/* The table is empty, as it seems; `idle`: and nobody has written for a while. */
enum leat_kind relay_shrink(struct relay *relay, bool idle, struct leat_error *err) __attribute__((warn_unused_result));

#endif
