/* Workflows as verify knows them from the stream, and their rows held against them. One thread. */
#ifndef LEAT_LIB_VERIFY_WORKFLOW_H
#define LEAT_LIB_VERIFY_WORKFLOW_H

#include "baseline.h"
#include "ids.h"
#include "reading.h"

struct verify_version {
	struct leat_uuid tenant;
	int64_t version;
	char *name;
	struct verify_value definition;
	char *actor;
	int64_t position;
	int64_t at_us;
	bool seen;
};

struct verify_workflow {
	struct leat_uuid tenant;
	char *name;
	int64_t version;
	int64_t position;
	int64_t first; /* the position that made it, or the baseline that has it */
	int64_t created_us;
	int64_t updated_us;
	int64_t deleted_us;
	struct verify_version *versions; /* rising */
	size_t count;
	bool whole;  /* its first save was seen */
	bool unsure; /* one that the ledger does not know was among them */
	bool seen;
};

struct verify_workflow_fold {
	struct verify *v;
	struct verify_ids all;
	size_t bytes;
};

/* Columns of rows, in the snapshot and in a baseline. */
enum {
	VERIFY_WORKFLOW_ID,
	VERIFY_WORKFLOW_TENANT,
	VERIFY_WORKFLOW_NAME,
	VERIFY_WORKFLOW_VERSION,
	VERIFY_WORKFLOW_POSITION,
	VERIFY_WORKFLOW_CREATED,
	VERIFY_WORKFLOW_UPDATED,
	VERIFY_WORKFLOW_DELETED,
	VERIFY_WORKFLOW_COLUMNS,
};
enum {
	VERIFY_VERSION_WORKFLOW,
	VERIFY_VERSION_TENANT,
	VERIFY_VERSION_NUMBER,
	VERIFY_VERSION_NAME,
	VERIFY_VERSION_DEFINITION,
	VERIFY_VERSION_POSITION,
	VERIFY_VERSION_ACTOR,
	VERIFY_VERSION_CREATED,
	VERIFY_VERSION_COLUMNS,
};

/* NULL when there is none. */
struct verify_version *verify_find_version(struct verify_workflow *workflow, int64_t version);
/* The fold's comparison, with leat.workflows and leat.workflow_versions. */
enum leat_kind verify_compare_workflows(void *fold, struct leat_error *err);

#endif
