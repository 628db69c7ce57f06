/* A run as verify knows it from the stream, and its row of leat.runs held against it. One thread. */
#ifndef LEAT_LIB_VERIFY_RUNS_H
#define LEAT_LIB_VERIFY_RUNS_H

#include "baseline.h"
#include "row.h"
#include "run.h"

/* Zero-initialise. Until it is started, `run.graph` is NULL and the rest says nothing. */
struct verify_known_run {
	struct verify_run run;
	struct leat_uuid tenant;
	struct leat_uuid workflow;
	int64_t version;
	char *agent;
	char *entity;
	char *actor;
	char *traceparent;
	char *refusal;      /* why a fact that the ledger calls applied does not fit; NULL: all did */
	int64_t refused_at; /* its position */
	bool unsure;        /* a fact that the ledger does not know was among them, or its definition is nowhere */
	char *completed; /* from a baseline, of one that was completed: its states, but their hashes; its input is one too, and there is no graph */
	bool from_baseline;
	bool seen;
	size_t bytes;
};

/* Of `leat.runs r`; a baseline has them too, but for the last. */
#define VERIFY_RUN_COLUMNS                                                                                                                 \
	"r.id, r.tenant_id, r.workflow_id, r.version, r.agent_id, r.entity_id, r.status, r.input, r.node_states, r.generation, r.position,"    \
	" " VERIFY_US("r.created_at") ", " VERIFY_US("r.updated_at") ", " VERIFY_US("r.finished_at") ", r.actor, r.traceparent,"               \
																								 " " VERIFY_DIRECT(                        \
																									 "run", "r.tenant_id", "r.id")
enum {
	VERIFY_RUN_ID,
	VERIFY_RUN_TENANT,
	VERIFY_RUN_WORKFLOW,
	VERIFY_RUN_VERSION,
	VERIFY_RUN_AGENT,
	VERIFY_RUN_ENTITY,
	VERIFY_RUN_STATUS,
	VERIFY_RUN_INPUT,
	VERIFY_RUN_STATES,
	VERIFY_RUN_GENERATION,
	VERIFY_RUN_POSITION,
	VERIFY_RUN_CREATED,
	VERIFY_RUN_UPDATED,
	VERIFY_RUN_FINISHED,
	VERIFY_RUN_ACTOR,
	VERIFY_RUN_TRACEPARENT,
	VERIFY_RUN_COLUMNS_KEPT,
	VERIFY_RUN_DIRECT = VERIFY_RUN_COLUMNS_KEPT,
};

/* What a row is held against, and where the row stands. */
struct verify_run_row {
	const struct verify_known_run *known;
	const struct leat_pg_result *page;
	size_t at;
};
void verify_compare_run(struct verify_row *row, const void *run_row);
/* What leat.update_node_state changes. */
extern const char *const verify_run_direct_fields[];
/* node_states alone, JSON text: whole, and where it differs, node by node and member by member. */
void verify_compare_states(struct verify_row *row, const struct verify_run *run, const char *found);


/* ---- in a baseline: run_baseline.c ---- */

void verify_baseline_run(struct verify *v, const struct leat_pg_result *page, size_t at);
/* Fills what is zero but for `version` and `workflow`. False: it can't be read. Without a graph its states are left out. */
bool verify_load_run(struct verify_known_run *known, const json_t *row, const struct verify_graph *graph);

#endif
