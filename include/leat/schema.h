/*
 * The schema: sql/migrations run once, in order, with recorded checksums; sql/functions are replaced whenever they changed. All of it is
 * embedded in the binary.
 */
#ifndef LEAT_SCHEMA_H
#define LEAT_SCHEMA_H

#include "leat/bus.h"
#include "leat/error.h"
#include "leat/param.h"
#include "leat/pg.h"

#include <stddef.h>

/* Name below sql/, for example "migrations/0001_entities.sql"; sorted by name. */
struct leat_sql_file {
	const char *name;
	const char *text;
};

extern const struct leat_sql_file leat_sql_files[];
extern const size_t leat_sql_file_count;

/*
 * Brings the database up to this binary, in one transaction under an advisory lock, so that any number may start at once. Idempotent.
 * `report` gets a line per migration that was run, per file of functions that changed and for the others together, and per function or trigger that is not as it was left, once all is committed: such are made
 * again by running all files of functions. PERMANENT: a migration that was run has another checksum now, or the
 * database was migrated by a newer binary, or the login lacks a right. Any other statement that failed: as leat/pg.h says of its SQLSTATE.
 * Each names the file.
 */
enum leat_kind leat_schema_migrate(struct leat_pg *pg, struct leat_buf *report, struct leat_error *err) __attribute__((warn_unused_result));

/* Files of the schema, counted, and the first of them by name. */
struct leat_schema_files {
	int64_t count;
	char first[100];
};

struct leat_schema_gap {
	struct leat_schema_files not_run; /* of this binary's, in this database */
	struct leat_schema_files changed; /* run with another text */
	struct leat_schema_files unknown; /* migrations that this binary does not have: a newer one was here */
};

/* What leat_schema_migrate would have to do; asks only. Any role that may read leat.schema_files. TEMPORARY: there is no schema yet. */
enum leat_kind leat_schema_compare(struct leat_pg *pg, struct leat_schema_gap *out, struct leat_error *err)
	__attribute__((warn_unused_result));

/*
 * Functions, triggers and policies that are not as leat_schema_migrate left them: `tell` gets each ("trigger touch on leat.entities"), and
 * what became of it ("gone", "switched off", "another than it was"). Asks only; on a connection outside of a transaction, of any role that
 * may read leat.schema_objects.
 */
enum leat_kind leat_schema_find_damage(struct leat_pg *pg, void (*tell)(void *context, const char *object, const char *what), void *context,
	struct leat_error *err) __attribute__((warn_unused_result));

/* The streams of design.md section 3 with this installation's retention; *count of them. */
#define LEAT_STREAMS 6
void leat_schema_streams(const struct leat_params *params, struct leat_stream_config out[LEAT_STREAMS]);

/* Makes what is missing; what exists with other settings goes to `report`, a line each, and stays as it is. */
enum leat_kind leat_schema_ensure_streams(struct leat_bus *bus, const struct leat_params *params, struct leat_buf *report,
	struct leat_error *err) __attribute__((warn_unused_result));

#endif
