/*
 * A baseline: what the tables held at a position of each stream, so that a later verification can begin there.
 *
 * A file of JSON lines. The first has the position of each stream, then comes one for each row: its noun and, as the fold that it is of
 * wrote it, the row. The last has their number and a digest of the lines above, so that a file that was cut off or changed is known for one.
 * Of JSON values there are hashes, enough to find a difference, so that the file holds nobody's data; but of a run that is not completed its
 * input and what its nodes said so far stand there as they are, since the facts to come rest on them: for its owner's eyes alone.
 */
#ifndef LEAT_LIB_VERIFY_BASELINE_H
#define LEAT_LIB_VERIFY_BASELINE_H

#include "verify.h"

#include <jansson.h>

/* ---- writing; nothing happens where no baseline is written ---- */

/* Begins the file beside its name. */
enum leat_kind baseline_begin(struct verify *v, struct leat_error *err) __attribute__((warn_unused_result));
bool baseline_is_wanted(const struct verify *v);
/* Takes `row`. Only where one is wanted. */
void baseline_add(struct verify *v, const char *noun, json_t *row);
/* How a column is kept: as it is; as the hash of a JSON value; or as an object of the hashes of its members. */
enum baseline_column { BASELINE_TEXT, BASELINE_HASH, BASELINE_MEMBERS };
/* An array of the first `columns` of a row. `as`: one for each, or NULL for all as they are. */
void baseline_add_row(struct verify *v, const char *noun, const struct leat_pg_result *page, size_t at, int columns,
	const enum baseline_column *as);
/* Moves it to its name, or, with `keep` false, removes it. */
enum leat_kind baseline_end(struct verify *v, bool keep, struct leat_error *err) __attribute__((warn_unused_result));

/* ---- reading ---- */

/* Takes the positions of the file that is to be gone on from; nothing when there is none. */
enum leat_kind baseline_read_positions(struct verify *v, struct leat_error *err) __attribute__((warn_unused_result));
/* Calls `load` for each of its rows, until that says false: it is none. */
enum leat_kind baseline_load(
	struct verify *v, bool (*load)(void *context, const char *noun, const json_t *row), void *context, struct leat_error *err)
	__attribute__((warn_unused_result));

/* Columns of what baseline_add_row wrote. NULL, VERIFY_NEVER and false for null, and for what is none; copies are the caller's to free(). */
const char *baseline_text(const json_t *row, size_t column);
char *baseline_copy(const json_t *row, size_t column);
int64_t baseline_number(const json_t *row, size_t column);
bool baseline_id(const json_t *row, size_t column, struct leat_uuid *out);
/* Of members the text of the object, which says that it is hashed. */
struct verify_value baseline_value(const json_t *row, size_t column);

#endif
