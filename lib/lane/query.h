/*
 * Inside the query lane only: its state, and what its files do for one another. query.c is the loop, query_requests.c the NATS side,
 * query_postgres.c the other one.
 */
#ifndef LEAT_LIB_LANE_QUERY_H
#define LEAT_LIB_LANE_QUERY_H

#include "lanes.h"

#include "leat/intent.h"

/* Most requests in hand; how long an idle lane sleeps at most before it looks at its orders, and whether Postgres is still there. */
enum { QUERY_HAND = 64, QUERY_IDLE_MS = 250 };

/* The parameters of leat.answer_queries but the last: an array each. */
enum query_column {
	QUERY_TENANT,
	QUERY_ROLE,
	QUERY_ACTOR,
	QUERY_NOUN,
	QUERY_VERB,
	QUERY_TARGET,
	QUERY_BODY,
	QUERY_COLUMNS,
};

/* A request that is still to be answered, decoded and found good. */
struct query_request {
	struct leat_msg msg;
	struct leat_intent intent;
};

struct query_lane {
	struct lane_link link;
	struct leat_lane *lane;
	const struct leat_params *params;
	struct leat_inbox *inbox; /* NULL: not open */
	bool ended;               /* the inbox gets no more; what is left in it is taken still */
	struct query_request hand[QUERY_HAND];
	size_t count;
	int64_t give_up_ms; /* when what is in hand is answered without Postgres */
	struct leat_pg_array arrays[QUERY_COLUMNS];
	bool mute; /* the last answer could not be sent, which was logged */
};

/* ---- query_requests.c ---- */

/* Joins the group, unless it has; false after waiting a while. */
bool query_open_inbox(struct query_lane *q);
/* No more requests come; those that were delivered are still answered. */
void query_end_inbox(struct query_lane *q);
void query_close_inbox(struct query_lane *q);
/*
 * Takes what is there into the empty hand, waiting at most timeout_ms for the first. What can't be understood is answered at once. False:
 * nothing came.
 */
bool query_take(struct query_lane *q, int64_t timeout_ms);
/* Answers request `at` of the hand with this JSON text. */
void query_reply(struct query_lane *q, size_t at, const char *answer);
/* Answers all that are in hand: not now, ask again. */
void query_turn_away(struct query_lane *q, const char *why);
/* Takes the last one out of the hand, answered so unless `why` is NULL. */
void query_drop_last(struct query_lane *q, const char *why);
/* Whether an answer may go there. Pure. */
bool query_may_reply(const char *subject);
/* The hand is empty again. */
void query_drop(struct query_lane *q);

/* ---- query_postgres.c ---- */

/* Connects, unless it is; false after waiting a while. */
bool query_open_postgres(struct query_lane *q);
/* Is the connection still there? Asks nobody, it only looks whether the server hung up. */
bool query_has_postgres(struct query_lane *q);
/* Answers all that are in hand. False: Postgres is lost, and they are still there. */
bool query_answer(struct query_lane *q);

#endif
