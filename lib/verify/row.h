/*
 * One row of a table held against what the fold says, column by column: each difference is a finding. Of a row that was changed by a direct
 * call (leat.direct_changes) the differences that such a call can make are only counted, and it is reported once, as out of band.
 */
#ifndef LEAT_LIB_VERIFY_ROW_H
#define LEAT_LIB_VERIFY_ROW_H

#include "reading.h"

/* For select lists: microseconds since 1970 of a timestamptz column, exactly. */
#define VERIFY_US(column) "(extract(epoch from " column ") * 1000000)::bigint"
/* Whether a direct call changed the thing; put `column`s of its row in. */
#define VERIFY_DIRECT(noun, tenant, id)                                                                                                    \
	"exists (select from leat.direct_changes d where d.noun = '" noun "' and d.tenant_id = " tenant " and d.id = " id ")"

/* All borrowed. */
struct verify_row {
	struct verify *v;
	enum verify_stream stream;
	const char *noun;
	const struct leat_uuid *tenant;
	const char *id;
	bool direct;
	const char *const *direct_fields; /* what a direct call may have changed, with what stands below it ("a" and "a.b"); ends with NULL */
	bool quiet;                       /* differences are counted, and not reported */
	size_t differences;               /* so far */
	size_t direct_differences;
};

/* Found and expected, NULL for null; position: the one that should have decided. */
void verify_row_text(struct verify_row *row, const char *field, const char *found, const char *expected, int64_t position);
/* The same of JSON text, by what it means. */
void verify_row_json(struct verify_row *row, const char *field, const char *found, const char *expected, int64_t position);
/* The same, where it may be a hash. */
void verify_row_value(struct verify_row *row, const char *field, const char *found, const struct verify_value *expected, int64_t position);
void verify_row_number(struct verify_row *row, const char *field, const char *found, int64_t expected, int64_t position);
/* found: as VERIFY_US has it; expected: microseconds, or VERIFY_NEVER for null. */
void verify_row_time(struct verify_row *row, const char *field, const char *found, int64_t expected, int64_t position);
/* The position that is kept in the row: it may be wrong where nothing else is. */
void verify_row_stamp(struct verify_row *row, const char *found, int64_t expected);
/* Anything else about the row as a whole; LEAT_VERIFY_MISSING, _EXTRA, _MOVED. */
void verify_row_report(
	struct verify_row *row, enum leat_verify_kind kind, const char *found, const char *expected, int64_t position, const char *explanation);
/* Whether it stands in another tenant than that, which is reported. */
bool verify_row_is_moved(struct verify_row *row, const struct leat_uuid *tenant, int64_t position);
/* A row that direct SQL inserted has this position, and no intent since: it is no business of the streams, nor of a baseline. */
bool verify_row_is_by_sql(const char *position);
/* Says that it was changed directly, if it was. */
void verify_row_end(struct verify_row *row);

/*
 * Whether a message about the thing is gone from the stream, so that nobody can tell what its row should be: the ledger knows of one whose
 * position is lost. Slow, but for when nothing is lost.
 */
bool verify_row_is_lost(const struct verify_row *row);
/*
 * Calls `compare`, which is to hold `what` against the row, and reports what differs, unless a message is lost that may explain it: then
 * the row is unknown.
 */
void verify_row_compare(
	struct verify_row *row, const struct verify_fold *fold, void (*compare)(struct verify_row *row, const void *what), const void *what);

/*
 * Calls `compare` for each row of a select (as text), in pages, at the snapshot, and counts them for `fold`, if any. The select ends in a
 * where clause, which the condition of the pass on `column` is added to.
 */
enum leat_kind verify_each_row(struct verify *v, const struct verify_fold *fold, const char *select, const char *column,
	void (*compare)(void *context, const struct leat_pg_result *page, size_t at), void *context, struct leat_error *err)
	__attribute__((warn_unused_result));

#endif
