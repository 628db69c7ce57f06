/*
 * What a run is, given its facts: design.md section 6, written anew, so that verify has a second opinion to hold against leat.fold_run.
 *
 * One run, one fact at a time, in the order of their stream; only those that the ledger calls applied, and of these only those that it does
 * not say were ignored: which ones count was decided once. Each fact changes the nodes that it names, and then every node is looked at, in
 * an order in which they can run, for what follows. Pure; any thread.
 */
#ifndef LEAT_LIB_VERIFY_RUN_H
#define LEAT_LIB_VERIFY_RUN_H

#include "graph.h"
#include "reading.h"

#include "leat/uuid.h"

#define VERIFY_NO_ATTEMPTS (-1)

enum verify_status {
	VERIFY_PENDING,
	VERIFY_RUNNING,
	VERIFY_WAITING,
	VERIFY_COMPLETED,
	VERIFY_FAILED,
	VERIFY_SKIPPED, /* of nodes only */
	VERIFY_CANCELLED,
};
const char *verify_status_name(enum verify_status status);

/* One entry of node_states. */
struct verify_state {
	enum verify_status status;
	char *output; /* JSON text; NULL: null */
	char *error;  /* NULL: null */
	int64_t attempt;
	int64_t attempts_before; /* of a node that was retried: those up to then, which count no more; else VERIFY_NO_ATTEMPTS */
	int64_t generation;
	int64_t started_us; /* since 1970, or VERIFY_NEVER */
	int64_t finished_us;
	int64_t position; /* of the fact that changed it last */
};

/* Of one node of the graph: one state, or one an item once its split is completed. */
struct verify_states {
	struct verify_state *all;
	size_t count;
	bool per_item;
};

/* Everything in it is borrowed. */
struct verify_run_fact {
	const char *verb; /* of noun run: start, node, retry, cancel */
	int64_t position;
	int64_t at_us;
	struct leat_json body;
};

/* Zero-initialise. */
struct verify_run {
	const struct verify_graph *graph; /* NULL: it has not been started; borrowed */
	struct verify_states *nodes;      /* by place in the graph */
	enum verify_status status;
	char *input; /* JSON text */
	int64_t generation;
	int64_t position; /* of the fact that changed it last */
	int64_t created_us;
	int64_t updated_us;
	int64_t finished_us; /* or VERIFY_NEVER */
	bool unsure;         /* a collect came near the limit of its size, which is in the bytes that Postgres takes for it */
};

void verify_run_fini(struct verify_run *run);
/* Begins it; the graph has to live as long as the run. */
void verify_run_start(struct verify_run *run, const struct verify_graph *graph, const struct verify_run_fact *start);
/* Any other fact. False: it can't have been applied to the run as it is, and *why says so; nothing has changed. */
bool verify_run_apply(struct verify_run *run, const struct verify_run_fact *fact, struct leat_buf *why) __attribute__((warn_unused_result));

/* The key of a state in node_states. */
void verify_run_key(const struct verify_run *run, size_t node, size_t item, struct leat_buf *out);
/* The state as JSON text. */
void verify_run_print_state(const struct verify_state *state, struct leat_buf *out);
/* All of them: node_states. */
void verify_run_print_states(const struct verify_run *run, struct leat_buf *out);
/* ---- its parts ---- */

bool verify_is_over(const struct verify_state *state);
/* Puts a state into a status that it has begun for, or ended in, with the members that belong to it; the latter takes output and error. */
void verify_begin_state(struct verify_state *state, enum verify_status status, int64_t attempt, const struct verify_run_fact *fact);
void verify_end_state(
	struct verify_state *state, enum verify_status status, char *output, char *error, int64_t attempt, const struct verify_run_fact *fact);
/* Skipped or cancelled. */
void verify_drop_state(struct verify_state *state, enum verify_status status, const struct verify_run_fact *fact);
/* What follows from the states as they are: splits fan out, collects collect, what can't begin any more is skipped. */
void verify_run_settle(struct verify_run *run, const struct verify_run_fact *fact);
/* A pending state of that node could begin: all that it needs is completed. */
bool verify_run_is_ready(const struct verify_run *run, size_t node, size_t item);
/* `value` with its references replaced, outside of splits. False: one leads nowhere, and *out is the message that says so. */
bool verify_run_resolve(const struct verify_run *run, const struct leat_json *value, struct leat_buf *out)
	__attribute__((warn_unused_result));

#endif
