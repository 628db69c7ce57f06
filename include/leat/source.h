/*
 * The sources: the three streams of intents that are folded into Postgres, and the statements that do it. What lanes (lib/lane) and a
 * replay (lib/replay) have in common, so that a replay applies by the very same code.
 */
#ifndef LEAT_SOURCE_H
#define LEAT_SOURCE_H

#include "leat/bus.h"
#include "leat/error.h"
#include "leat/pg.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct leat_source {
	const char *lane; /* its durable is named <group>-<lane> */
	const char *stream;
	/*
	 * apply and apply_one (leat/batch.h), and the same for all of them: decide_parked, first_parked, check_stream, stream_was_cut.
	 * To be prepared on a connection that acts as service_role.
	 */
	const struct leat_pg_statement *statements;
	size_t statement_count;
};

extern const struct leat_source leat_entity_source;
extern const struct leat_source leat_control_source; /* decided strictly in stream order, as runs are */
extern const struct leat_source leat_run_source;

struct leat_source_mark {
	int64_t epoch;     /* the current one */
	uint64_t last_seq; /* newest message of it that is settled or parked; 0: none */
	int64_t last_us;   /* when that was stored */
	bool cut;          /* the stream does not hold it, or another one in its place */
};

/*
 * Is the stream still the one that the ledger knows? One that was made again has another creation time, and gets a new epoch here. `pg`:
 * with the source's statements. PERMANENT with not_found where there is no such stream.
 */
enum leat_kind leat_source_check(const struct leat_source *source, struct leat_bus *bus, struct leat_pg *pg, struct leat_source_mark *out,
	struct leat_error *err) __attribute__((warn_unused_result));

#endif
