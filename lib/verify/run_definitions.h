/* The graphs that runs walk: what was saved in the stream as each version, or else what leat.workflow_versions holds. One thread. */
#ifndef LEAT_LIB_VERIFY_RUN_DEFINITIONS_H
#define LEAT_LIB_VERIFY_RUN_DEFINITIONS_H

#include "graph.h"
#include "ids.h"
#include "verify.h"

/* Zero-initialise. */
struct verify_definitions {
	struct verify_ids all;
	size_t bytes;
};

/* What the ledger says of an applied workflow.save: its version, and the definition in its body. */
void verify_definitions_note(struct verify_definitions *definitions, const struct verify_fact *save);
/*
 * Borrowed until _fini. *out NULL: the version is nowhere, or no workflow that can run. TEMPORARY or PERMANENT as the database fails, which
 * is asked for a version that no save in the stream made.
 */
enum leat_kind verify_definitions_get(struct verify_definitions *definitions, struct leat_pg *pg, const struct leat_uuid *workflow,
	int64_t version, const struct verify_graph **out, struct leat_error *err) __attribute__((warn_unused_result));
void verify_definitions_fini(struct verify_definitions *definitions);

#endif
