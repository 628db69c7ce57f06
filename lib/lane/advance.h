/*
 * Inside the advance lane only: what its files share. advance.c is the loop, advance_resume.c the messages of LEAT_WORK, advance_slot.c the
 * slots that they take, advance_claim.c claims what is ready, advance_lease.c holds it, advance_wake.c publishes resumes of the lane's own,
 * advance_call.c calls the outside, advance_ask.c asks other lanes for merge and question nodes, advance_report.c tells the facts that come
 * of it.
 */
#ifndef LEAT_LIB_LANE_ADVANCE_H
#define LEAT_LIB_LANE_ADVANCE_H

#include "lanes.h"

#include "leat/call.h"
#include "leat/egress.h"
#include "leat/http.h"
#include "leat/json.h"
#include "leat/workflow.h"

struct advance_slot;

/* What is to be done next for a node. */
enum advance_step {
	ADVANCE_CALL,    /* call, once at_ms is over and there is a place */
	ADVANCE_CALLING, /* http tells when that is over */
	ADVANCE_STORE,   /* store the message, once at_ms is over */
	ADVANCE_ASKED,   /* what was stored is an intent, whose outcome comes; at_ms: it is published again */
	ADVANCE_HOLD,    /* a worker has it: renew the lease once more */
	ADVANCE_OVER,    /* nothing; the claim is settled, or lost */
};

/* A node that this process has claimed. */
struct advance_task {
	struct advance_task *next; /* of the slot */
	struct advance_slot *slot;
	enum advance_step step;
	enum leat_node_kind kind;
	char *node; /* "x", "x[3]" */
	int64_t attempt;
	int64_t generation;
	struct leat_buf params;
	char **secret_headers; /* up to NULL, or NULL; the names lie in header_names */
	char *header_names;
	char *traceparent; /* or NULL */
	int64_t at_ms;
	int64_t tell_at_ms;     /* that it runs, unless its end is told before; 0: that was told, or it has not begun */
	int64_t lease_until_ms; /* by leat_clock_ms: never later than the database's own */
	int64_t tries;
	struct leat_call *call;      /* of the try under way */
	struct leat_http_call *http; /* the same */
	uint64_t number;             /* of the reply that is waited for */
	struct leat_buf subject;     /* of the message to be stored */
	struct leat_buf headers;
	struct leat_buf body;
	bool asks;   /* the message is an intent, and not the fact that ends the task */
	bool failed; /* the fact says so */
	struct leat_backoff backoff;
};

/* A run.resume in hand. Its message is settled, and the slot free, when all its tasks are over. */
struct advance_slot {
	bool used;
	bool fresh; /* its run was not asked for nodes yet */
	struct leat_msg msg;
	struct leat_uuid tenant_id;
	char tenant[LEAT_UUID_TEXT_BYTES];
	char run[LEAT_UUID_TEXT_BYTES];
	char *reply_to; /* or NULL */
	struct advance_task *tasks;
	bool more;           /* nodes were ready that it did not claim: to be claimed once claim_at_ms is over */
	int64_t claim_at_ms; /* after a failure */
	int64_t share_at_ms; /* while it has more: when others are told so again */
	struct leat_backoff share;
	bool given_back; /* a task went back unfinished: so does the message */
	int64_t claimed; /* for the outcome */
	int64_t extracted;
	struct leat_buf errors;
};

/* A run with nodes that rest. */
struct advance_wake {
	int64_t at_ms;
	char tenant[LEAT_UUID_TEXT_BYTES];
	char run[LEAT_UUID_TEXT_BYTES];
};

struct advance_lane {
	struct lane_link link;
	struct leat_lane *lane;
	const struct leat_params *params;
	struct leat_egress *egress;
	struct leat_http *http;
	struct leat_pull *pull;     /* NULL: not open */
	struct leat_inbox *replies; /* the same */
	char owner[LEAT_UUID_TEXT_BYTES];
	struct advance_slot *slots; /* max_runs of them */
	size_t turn;                /* slot that is served first */
	size_t calls;               /* under way */
	struct advance_wake *wakes; /* wake_count of them */
	size_t wake_count;
	uint64_t numbers;
	int64_t connect_at_ms;
	int64_t hold_at_ms;
	int64_t progress_at_ms;
	int64_t drain_until_ms; /* 0: not told to stop */
};

#define ADVANCE_EACH_SLOT(a, slot)                                                                                                         \
	for (struct advance_slot *slot = (a)->slots; slot < (a)->slots + (a)->params->max_runs; slot++)                                        \
		if (slot->used)

/* ---- advance.c ---- */

/* Postgres is lost: what is under way goes on, on its lease. */
void advance_lose_postgres(struct advance_lane *a, const char *why);

/* ---- advance_resume.c ---- */

/* How soon a message that something stands in the way of comes again; one that Postgres refuses. */
enum { ADVANCE_AGAIN_MS = 500, ADVANCE_FAILED_AGAIN_MS = 30000 };

/* Asks for as many messages as slots are free, takes those that are there, and begins with each. */
void advance_take_resumes(struct advance_lane *a);

/* ---- advance_slot.c ---- */

/* Slots whose tasks are over: claim what is left, or settle. */
void advance_settle_slots(struct advance_lane *a);
/* Tells NATS that what is in the slots is still worked on. */
void advance_renew_messages(struct advance_lane *a);
/* `result` is JSON. */
void advance_reply(struct advance_lane *a, const char *to, uint64_t seq, const char *result);

/* ---- advance_claim.c ---- */

extern const struct leat_pg_statement advance_statements[];
extern const size_t advance_statement_count;

/*
 * Claims what is ready of the slots' runs, no two of them the same: new tasks, and the slots are not fresh any more; but of several, those
 * stay so whose runs somebody has locked. Not OK: nothing is claimed.
 */
enum leat_kind advance_claim(struct advance_lane *a, struct advance_slot **slots, size_t count, struct leat_error *err)
	__attribute__((warn_unused_result));
/* ---- advance_lease.c ---- */

/* Renews all leases, and ends the tasks whose claim is gone: taken over, or of a run that was cancelled. */
void advance_hold(struct advance_lane *a);
/* Lets the claims of the slot's tasks rest, each until its at_ms; those that are gone are lost. False: they could not be. */
bool advance_rest_claims(struct advance_lane *a, struct advance_slot *slot) __attribute__((warn_unused_result));
/* Gives back all claims of tasks that are not over, or only of those that nothing was begun for. */
void advance_release(struct advance_lane *a, bool only_unbegun);
/* The process ends: what rests is the reaper's. */
void advance_leave_resting(struct advance_lane *a);
/* May a result of this task still be told? */
bool advance_still_ours(const struct advance_lane *a, const struct advance_task *task);
/* Its lease is over, and Postgres, which could tell whether it is still ours, is away: nothing is done with it until that is back. */
bool advance_is_in_doubt(const struct advance_lane *a, const struct advance_task *task);

/* ---- advance_wake.c ---- */

/* Frees a slot all of whose tasks wait for longer than a moment: their claims rest. */
void advance_rest(struct advance_lane *a, struct advance_slot *slot);
/* Tells others that the slot's run has more ready nodes than it claimed, now and then. */
void advance_share(struct advance_lane *a, struct advance_slot *slot);
/* Has one of our slots this run, and will claim whatever is ready of it? */
bool advance_has_more(const struct advance_lane *a, const char *run);
/* Resumes runs whose nodes have rested. When the next one has: INT64_MAX for none. */
void advance_wake(struct advance_lane *a);
int64_t advance_next_wake_ms(const struct advance_lane *a);

/* ---- advance_call.c ---- */

/* Starts calls while there are places, the slots in turns. */
void advance_start_calls(struct advance_lane *a);
/* What came of those that are over. */
void advance_take_answers(struct advance_lane *a);
/* Ends the task, whatever is under way for it. */
void advance_drop(struct advance_lane *a, struct advance_task *task);
/* The same, and says why: the claim is not ours any more. */
void advance_lose(struct advance_lane *a, struct advance_task *task);

/* ---- advance_ask.c ---- */

/* Prepares the intent of a merge or question node. */
void advance_ask(struct advance_lane *a, struct advance_task *task);
void advance_take_replies(struct advance_lane *a);

/* ---- advance_report.c ---- */

/* The call begins, for people to see; what is over soon is told together with its end. May be lost. */
void advance_note_running(struct advance_task *task);
/* Tells it now. */
void advance_tell_running(struct advance_lane *a, struct advance_task *task);
/* Of all that are due. */
void advance_tell_all_running(struct advance_lane *a);
/* The facts that end a task. `output` is JSON. */
void advance_complete(struct advance_lane *a, struct advance_task *task, struct leat_text output);
void advance_fail(struct advance_lane *a, struct advance_task *task, const char *error);
/* A question was put: it runs, until the answer comes as a fact. */
void advance_wait_for_answer(struct advance_lane *a, struct advance_task *task);
/* Stores what is to be stored. */
void advance_store(struct advance_lane *a);

/* ---- JSON ---- */

/* Adds the text with its quotes. */
void advance_add_text(struct leat_buf *out, const char *text);
/* A member of a checked object; type NONE when there is none. */
struct leat_json advance_member(const struct leat_json *object, const char *name);

#endif
