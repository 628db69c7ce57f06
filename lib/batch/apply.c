/*
 * A batch against a Postgres that may refuse it. The happy path: one attempt. Otherwise the range is halved until whoever is guilty is
 * alone: rejected when the refusal is for good, deferred when nobody can tell, or when not even the rejection can be written; that stays in
 * the stream, and in the log.
 */
#include "leat/batch.h"

/* True: it goes in as rejected from now on. */
static bool refuse(struct leat_batch_row *row, const struct leat_batch_way *way, enum leat_kind kind, const struct leat_error *err)
{
	bool for_good = kind != LEAT_TEMPORARY && row->rejection == NULL;
	if (for_good)
		leat_batch_reject(row, LEAT_CODE_INTERNAL, err->text);
	else
		row->outcome = LEAT_OUTCOME_DEFERRED;
	way->refused(way->context, row, !for_good, err);
	return for_good;
}

enum leat_kind leat_batch_apply(struct leat_batch *batch, const struct leat_batch_way *way, size_t from, size_t to, struct leat_error *err)
{
	for (int tries = 1;; tries++) {
		enum leat_kind kind = way->attempt(way->context, from, to, err);
		if (kind == LEAT_OK)
			return LEAT_OK;
		if (way->gives_up(way->context, kind))
			return LEAT_TEMPORARY;
		if (kind == LEAT_TEMPORARY && tries < LEAT_BATCH_TRIES) {
			if (!way->pause(way->context, err))
				return LEAT_TEMPORARY;
			continue;
		}
		if (to - from > 1) {
			size_t half = from + (to - from) / 2;
			kind = leat_batch_apply(batch, way, from, half, err);
			return kind == LEAT_OK ? leat_batch_apply(batch, way, half, to, err) : kind;
		}
		if (!refuse(&batch->rows[from], way, kind, err))
			return LEAT_OK;
	}
}
