/*
 * A baseline: entities as they were at a position of LEAT_ENTITY, so that a later verification can begin there.
 *
 * A file of JSON lines. The first says of which stream and position it is, and whether it was verified; then one for each row: when it was
 * deleted, created, typed and last written, and its fields as [part, name, position, hash], the hash null for one that was removed; the
 * last line has their number, so that a file cut off is known for one.
 */
#ifndef LEAT_LIB_VERIFY_BASELINE_H
#define LEAT_LIB_VERIFY_BASELINE_H

#include "entity.h"

/* Takes the position of the file that is to be gone on from; nothing when there is none. */
enum leat_kind baseline_read_position(struct verify *v, struct leat_error *err) __attribute__((warn_unused_result));
/* What the file has of the pass. */
enum leat_kind baseline_load(struct verify *v, struct entity_table *table, struct leat_error *err) __attribute__((warn_unused_result));

/* Begins the file that is to be written, beside its name. Nothing, as the next two, when none is. */
enum leat_kind baseline_begin(struct verify *v, struct leat_error *err) __attribute__((warn_unused_result));
void baseline_add(struct verify *v, const struct entity *entity);
/* Moves it to its name, or, with `keep` false, removes it. */
enum leat_kind baseline_end(struct verify *v, bool keep, struct leat_error *err) __attribute__((warn_unused_result));

#endif
