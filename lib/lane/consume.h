/*
 * Inside the lanes that consume a stream of intents: entity.c and control.c say which and by what statements. Their state, and what the
 * files do for one another: consume.c is the loop, consume_messages.c the NATS side, consume_postgres.c the other one, consume_floor.c what
 * is parked.
 */
#ifndef LEAT_LIB_LANE_CONSUME_H
#define LEAT_LIB_LANE_CONSUME_H

#include "lanes.h"

#include "leat/batch.h"
#include "leat/source.h"

/* Statements that are the same for all of them (leat/source.h). */
#define CONSUME_CHECK_STREAM                                                                                                               \
	"select epoch, last_seq, (extract(epoch from last_at) * 1000000)::bigint from leat.check_stream($1, "                                  \
	"timestamptz 'epoch' + $2::bigint * interval '1 microsecond')"
#define CONSUME_STREAM_WAS_CUT "select leat.stream_was_cut($1, $2::integer, timestamptz 'epoch' + $3::bigint * interval '1 microsecond')"
#define CONSUME_FIRST_PARKED "select leat.first_parked($1, $2::integer, $3)"
#define CONSUME_DECIDE_PARAMETERS "$1, $2::integer, $3, $4::integer, $5, nullif($6::bigint, 0), $7, $8::bigint <> 0, $9"

/* Runs the lane until it is told to stop; its durable is named <group>-<lane>. */
void lane_consume(struct leat_lane *lane, const struct leat_source *source);

/* How long an idle lane sleeps at most before it looks at its orders; most parked intents decided at once. */
enum { CONSUME_IDLE_MS = 250, CONSUME_DECIDE_LIMIT = 1000 };

struct consume_lane {
	struct leat_lane *lane;
	const struct leat_source *source;
	const struct leat_params *params;
	struct lane_link link;
	struct leat_pull *pull; /* NULL: not open */
	bool pull_broken;
	struct leat_batch batches[2];
	struct leat_batch *flying; /* Postgres works on it; NULL: on none */
	struct leat_batch *next;   /* being filled */
	int64_t progress_at_ms;    /* when the messages in hand are to be renewed */
	int64_t cancel_at_ms;      /* while stopping */
	bool cancelled;

	int64_t epoch;
	uint64_t floor_seq; /* last one that Postgres was told */
	bool floor_wanted;  /* something was settled since, or is parked */
	int64_t decide_limit;
	int decide_tries; /* how often it was refused since it worked last */
	int64_t floor_at_ms;
	struct leat_backoff floor_pace;
	int64_t retry_at_ms; /* when the first of what was put aside has its turn; 0: nothing is */
};

/* ---- consume_messages.c ---- */

/* Checks the stream's epoch and opens the durable, unless it is open; false after waiting a while. */
bool consume_open_pull(struct consume_lane *c);
void consume_close_pull(struct consume_lane *c);
/* Fetches and decodes what is there into the next batch, up to a full one, waiting at most timeout_ms for the first. */
void consume_collect(struct consume_lane *c, int64_t timeout_ms);
/* Tells NATS that what is in hand is still worked on, a third of AckWait after the last time. */
void consume_renew(struct consume_lane *c);
/* The batch is committed: replies, then acknowledgements. */
void consume_settle(struct consume_lane *c, struct leat_batch *batch);
void consume_give_back(struct consume_lane *c, struct leat_batch *batch, int64_t delay_ms);

/* ---- consume_postgres.c ---- */

/* Sends the next batch off. False: Postgres is lost. */
bool consume_launch(struct consume_lane *c);
/* Takes the answer for the batch in flight, whatever it is. False: Postgres is lost. */
bool consume_land(struct consume_lane *c);
/* Waits for the call that was sent, filling the next batch meanwhile. */
enum leat_kind consume_finish(struct consume_lane *c, struct leat_pg_result **result, struct leat_error *err)
	__attribute__((warn_unused_result));
/* Gives back what is in hand and closes what depends on the connection. */
void consume_lose_postgres(struct consume_lane *c, const char *why);

/* ---- consume_floor.c ---- */

/* Tells Postgres how far everything is settled, which decides what is parked. False: Postgres is lost. */
bool consume_look_at_floor(struct consume_lane *c);

#endif
