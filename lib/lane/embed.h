/* Inside the embed lane only: what its files share. */
#ifndef LEAT_LIB_LANE_EMBED_H
#define LEAT_LIB_LANE_EMBED_H

#include "lanes.h"

#include "leat/embed.h"
#include "leat/http.h"

#define EMBED_CALLS 16 /* the highest embed_calls */

/* One call under way: the rows that it is for, and the token that proves the lease on them. */
struct embed_call {
	bool used;
	char token[LEAT_UUID_TEXT_BYTES];
	size_t count;
	struct leat_pg_array tenants;
	struct leat_pg_array entities;
	char first[2 * LEAT_UUID_TEXT_BYTES + 32]; /* the first one, for the log */
	int64_t attempts;                          /* of the row that has most */
	int64_t most;                              /* as in leat.embedding_queue; -1 for null */
};

struct embed_lane {
	struct lane_link link;
	struct leat_lane *lane;
	const struct leat_params *params;
	struct leat_http *http;
	char authorization[4200]; /* the header, "" without a key */
	struct embed_call calls[EMBED_CALLS];
	struct leat_backoff postgres;
	struct leat_backoff pause; /* of the lane as a whole: the endpoint is not well */
	int64_t paused_until_ms;
	int failures;     /* calls that failed since one went well */
	int refusals;     /* new ones since one went well */
	bool started;     /* embedding was switched on */
	bool standing_by; /* and off again, or on with another model */
	bool look;        /* something may be due */
	int64_t next_look_ms;
};

/* May one more call be made? Of an endpoint that is not well, one at a time tells. */
bool embed_has_room(const struct embed_lane *e);
/*
 * Claims what is due and calls for it, if there is a call to spare. LEAT_OK too when nothing is due: `look` is false then. Anything else
 * when Postgres failed.
 */
enum leat_kind embed_launch(struct embed_lane *e, struct leat_error *err);

/* Stores or postpones what a call that is over was for. Not LEAT_OK when Postgres failed. */
enum leat_kind embed_settle(struct embed_lane *e, struct leat_http_answer *answer, struct leat_error *err);
/* Aborts every call and gives back what they were for. */
enum leat_kind embed_give_back(struct embed_lane *e, struct leat_error *err);
/* The rows of a call are due again after delay_ms. `most` as in struct embed_call; error NULL: they were not tried. */
enum leat_kind embed_postpone(
	struct embed_lane *e, struct embed_call *call, int64_t delay_ms, int64_t most, const char *error, struct leat_error *err);
/* No claim until then; the state says why. */
void embed_pause(struct embed_lane *e, int64_t delay_ms, const char *state, const char *why);
void embed_call_clear(struct embed_call *call);

#endif
