/*
 * Inside the entity lane only: its state, and what its files do for one another. entity.c is the loop, entity_messages.c the NATS side,
 * entity_postgres.c the other one, entity_floor.c what is parked.
 */
#ifndef LEAT_LIB_LANE_ENTITY_H
#define LEAT_LIB_LANE_ENTITY_H

#include "lanes.h"

#include "leat/entity.h"

#define ENTITY_STREAM "LEAT_ENTITY"

/* How long an idle lane sleeps at most before it looks at its orders; most parked intents decided at once. */
enum { ENTITY_IDLE_MS = 250, ENTITY_DECIDE_LIMIT = 1000 };

/* How often a refusal that should pass is met before what was refused is taken apart. */
enum { ENTITY_TRIES = 3 };

struct entity_lane {
	struct leat_lane *lane;
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
};

/* ---- entity_messages.c ---- */

/* Checks the stream's epoch and opens the durable, unless it is open; false after waiting a while. */
bool entity_open_pull(struct entity_lane *e);
void entity_close_pull(struct entity_lane *e);
/* Fetches and decodes what is there into the next batch, up to a full one, waiting at most timeout_ms for the first. */
void entity_collect(struct entity_lane *e, int64_t timeout_ms);
/* Tells NATS that what is in hand is still worked on, a third of AckWait after the last time. */
void entity_renew(struct entity_lane *e);
/* The batch is committed: replies, then acknowledgements. */
void entity_settle(struct entity_lane *e, struct leat_batch *batch);
void entity_give_back(struct entity_lane *e, struct leat_batch *batch, int64_t delay_ms);

/* ---- entity_postgres.c ---- */

/* Sends the next batch off. False: Postgres is lost. */
bool entity_launch(struct entity_lane *e);
/* Takes the answer for the batch in flight, whatever it is. False: Postgres is lost. */
bool entity_land(struct entity_lane *e);
/* Waits for the call that was sent, filling the next batch meanwhile. */
enum leat_kind entity_finish(struct entity_lane *e, struct leat_pg_result **result, struct leat_error *err)
	__attribute__((warn_unused_result));
/* Gives back what is in hand and closes what depends on the connection. */
void entity_lose_postgres(struct entity_lane *e, const char *why);

/* ---- entity_floor.c ---- */

/* Tells Postgres how far everything is settled, which decides what is parked. False: Postgres is lost. */
bool entity_look_at_floor(struct entity_lane *e);

#endif
