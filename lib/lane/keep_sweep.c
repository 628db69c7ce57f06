/*
 * Questions past their time: noted, and intents to expire them put into the outbox, by one statement of leat.sweep_interactions.
 *
 * The happy path: the process that holds the keeper's lock asks every interaction_sweep_ms, and finds none. A pass that was full is
 * followed by another after a rest, until one is not. Nothing is decided here: an answer that is before the intent in the stream wins.
 *
 * It fails by losing Postgres, which is the lane's to mend. What the database refuses is logged, once, and tried again in the next pass.
 */
#include "keep.h"

enum { SWEEP_LIMIT = 1000 };

/* Sets *found to how many there were; of another process to sweep, none. */
static enum leat_kind sweep(struct keep_sweep *sweep, int64_t *found, struct leat_error *err)
{
	LEAT_PG_RESULT_SCOPED *result = NULL;
	struct leat_pg_params params = {0};
	*found = 0;
	if (keep_lock_try(sweep->lock, err) != LEAT_OK)
		return err->kind;
	if (!sweep->lock->held)
		return LEAT_OK;
	leat_pg_bind_int8(&params, SWEEP_LIMIT);
	if (leat_pg_run(sweep->lock->link->pg, "sweep_interactions", &params, &result, err) != LEAT_OK)
		return leat_fail_while(err, "looking for questions past their time");
	*found = leat_pg_int8(result, 0, 0);
	return LEAT_OK;
}

void keep_sweep_start(struct keep_sweep *sweep, struct keep_lock *lock)
{
	sweep->lock = lock;
	sweep->due_ms = 0;
}

bool keep_sweep_step(struct keep_sweep *s, struct leat_error *err)
{
	const struct leat_lane *lane = s->lock->link->lane;
	int64_t every_ms = lane->process->params->interaction_sweep_ms;
	int64_t began_ms = leat_clock_ms();
	int64_t found;
	bool swept = sweep(s, &found, err) == LEAT_OK;
	if (!swept && !leat_pg_alive(s->lock->link->pg))
		return false;
	keep_tell(s->told, swept ? "" : err->text, every_ms);
	int64_t now_ms = leat_clock_ms();
	int64_t rest_ms = now_ms - began_ms > KEEP_REST_MS ? now_ms - began_ms : KEEP_REST_MS;
	s->due_ms = found == SWEEP_LIMIT ? now_ms + rest_ms : began_ms + every_ms;
	return true;
}
