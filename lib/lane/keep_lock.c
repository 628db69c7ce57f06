/*
 * What one process of all does, it does while it holds this lock. The happy path: the first to ask gets it, and keeps it until its
 * connection ends; then whoever asks next has it. It fails by losing Postgres, and with it the lock, which is the lane's to mend.
 */
#include "keep.h"

#include "leat/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum leat_kind keep_lock_try(struct keep_lock *lock, struct leat_error *err)
{
	LEAT_PG_RESULT_SCOPED *result = NULL;
	const struct leat_pg_params none = {0};
	if (lock->held)
		return LEAT_OK;
	if (leat_pg_run(lock->link->pg, "keep_lock", &none, &result, err) != LEAT_OK)
		return err->kind;
	lock->held = leat_pg_bool(result, 0, 0);
	return LEAT_OK;
}

enum leat_kind keep_lock_give_back(struct keep_lock *lock, struct leat_error *err)
{
	const struct leat_pg_params none = {0};
	lock->held = false;
	return leat_pg_run(lock->link->pg, "keep_unlock", &none, NULL, err);
}

void keep_tell(char told[KEEP_TOLD_BYTES], const char *trouble, int64_t every_ms)
{
	char now[KEEP_TOLD_BYTES];
	snprintf(now, sizeof now, "%s", trouble);
	if (strcmp(told, now) == 0)
		return;
	memcpy(told, now, sizeof now);
	if (*trouble != '\0')
		leat_log(LEAT_LOG_WARN, "keep", "%s; trying again every %" PRId64 " ms", trouble, every_ms);
}
