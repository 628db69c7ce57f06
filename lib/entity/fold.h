/* Fields of an entity, kept by name: for the two folds. */
#ifndef LEAT_LIB_FOLD_H
#define LEAT_LIB_FOLD_H

#include "leat/fold.h"

/* Takes the write unless a field of that name has one of a higher position. A removed field stays, with the value NULL. */
void leat_fold_fields_write(struct leat_fold_fields *fields, const struct leat_fold_write *write, int64_t position);
void leat_fold_fields_drop_removed(struct leat_fold_fields *fields);
void leat_fold_fields_clear(struct leat_fold_fields *fields);

#endif
