/*
 * The leases of the advance lane's claims.
 *
 * The happy path: one statement every third of a lease renews all leases of the process, until their tasks are over.
 *
 * Possible failures: a claim is gone when it is to be renewed (the reaper gave it to others, or the run was cancelled): its task is
 * dropped. Postgres is away: leases run out by our own clock, which began before the database's, and nothing is told past that; when it is
 * back, all are renewed first. A process that was stopped and goes on finds its leases over.
 */
#include "advance.h"

#include "leat/log.h"

#include <stdlib.h>
#include <string.h>

/* Of a lease, so much is for a result's way to the stream. */
enum { MARGIN_PARTS = 10, MARGIN_LIMIT_MS = 2000 };

bool advance_still_ours(const struct advance_lane *a, const struct advance_task *task)
{
	int64_t margin = a->params->lease_ms / MARGIN_PARTS;
	return leat_clock_ms() + (margin < MARGIN_LIMIT_MS ? margin : MARGIN_LIMIT_MS) < task->lease_until_ms;
}

bool advance_is_in_doubt(const struct advance_lane *a, const struct advance_task *task)
{
	return a->link.pg == NULL && !advance_still_ours(a, task);
}

/* Tasks, and the arrays that name their claims. */
struct named {
	struct advance_task **tasks;
	size_t count;
	struct leat_pg_array runs;
	struct leat_pg_array nodes;
	struct leat_pg_array attempts;
};

static void named_free(struct named *named)
{
	free(named->tasks);
	leat_pg_array_free(&named->runs);
	leat_pg_array_free(&named->nodes);
	leat_pg_array_free(&named->attempts);
}

static bool is_any(const struct advance_task *task)
{
	return task->step != ADVANCE_OVER;
}

/* A worker's claim stays. */
static bool is_unfinished(const struct advance_task *task)
{
	return task->step != ADVANCE_OVER && task->step != ADVANCE_HOLD;
}

static bool is_unbegun(const struct advance_task *task)
{
	return task->step == ADVANCE_CALL;
}

/* Of one slot; NULL: of all. */
static void name_tasks(
	struct advance_lane *a, struct named *out, const struct advance_slot *only, bool (*wanted)(const struct advance_task *task))
{
	*out = (struct named){0};
	leat_pg_array_start(&out->runs, LEAT_PG_UUID);
	leat_pg_array_start(&out->nodes, LEAT_PG_TEXT);
	leat_pg_array_start(&out->attempts, LEAT_PG_INT8);
	ADVANCE_EACH_SLOT(a, slot)
	{
		for (struct advance_task *task = slot->tasks; task != NULL; task = task->next) {
			struct leat_uuid run;
			if ((only != NULL && slot != only) || !wanted(task) || !leat_uuid_parse(&run, slot->run, strlen(slot->run)))
				continue;
			out->tasks = leat_realloc(out->tasks, (out->count + 1) * sizeof *out->tasks);
			out->tasks[out->count++] = task;
			leat_pg_array_add_uuid(&out->runs, &run);
			leat_pg_array_add_text(&out->nodes, task->node);
			leat_pg_array_add_int8(&out->attempts, task->attempt);
		}
	}
}

static void bind_named(struct leat_pg_params *params, const struct advance_lane *a, struct named *named)
{
	leat_pg_bind_text(params, a->owner);
	leat_pg_bind_array(params, &named->runs);
	leat_pg_bind_array(params, &named->nodes);
	leat_pg_bind_array(params, &named->attempts);
}

/* Which of them still are ours: `held` has one bool each. */
static enum leat_kind renew(struct advance_lane *a, struct named *named, bool *held, struct leat_error *err)
{
	LEAT_PG_RESULT_SCOPED *rows = NULL;
	struct leat_pg_params params = {0};
	bind_named(&params, a, named);
	leat_pg_bind_int8(&params, a->params->lease_ms);
	enum leat_kind kind = leat_pg_run(a->link.pg, "hold", &params, &rows, err);
	for (size_t row = 0; kind == LEAT_OK && row < leat_pg_rows(rows); row++)
		held[leat_pg_int8(rows, row, 0) - 1] = true;
	return kind;
}

void advance_hold(struct advance_lane *a)
{
	struct named named;
	struct leat_error err;
	int64_t sent_ms = leat_clock_ms();
	if (sent_ms < a->hold_at_ms || a->link.pg == NULL)
		return;
	a->hold_at_ms = sent_ms + a->params->lease_ms / LANE_LEASE_PARTS;
	name_tasks(a, &named, NULL, is_any);
	if (named.count > 0) {
		bool *held = leat_alloc_zero(named.count, sizeof *held);
		enum leat_kind kind = renew(a, &named, held, &err);
		for (size_t i = 0; kind == LEAT_OK && i < named.count; i++) {
			struct advance_task *task = named.tasks[i];
			task->lease_until_ms = sent_ms + a->params->lease_ms;
			if (task->step == ADVANCE_HOLD) /* gone, where the worker was quick */
				task->step = ADVANCE_OVER;
			else if (!held[i])
				advance_lose(a, task);
		}
		free(held);
		if (kind != LEAT_OK && !leat_pg_alive(a->link.pg))
			advance_lose_postgres(a, err.text);
		else if (kind != LEAT_OK)
			leat_log(LEAT_LOG_WARN, "advance", "leases could not be renewed: %s", err.text);
	}
	named_free(&named);
}

/* Which of them were still ours: `rested` has one bool each. */
static enum leat_kind rest(struct advance_lane *a, struct named *named, bool *rested, struct leat_error *err)
{
	LEAT_PG_RESULT_SCOPED *rows = NULL;
	struct leat_pg_params params = {0};
	struct leat_pg_array tries = {0};
	struct leat_pg_array waits = {0};
	int64_t now = leat_clock_ms();
	leat_pg_array_start(&tries, LEAT_PG_INT8);
	leat_pg_array_start(&waits, LEAT_PG_INT8);
	for (size_t i = 0; i < named->count; i++) {
		leat_pg_array_add_int8(&tries, named->tasks[i]->tries);
		leat_pg_array_add_int8(&waits, named->tasks[i]->at_ms - now);
	}
	bind_named(&params, a, named);
	leat_pg_bind_array(&params, &tries);
	leat_pg_bind_array(&params, &waits);
	leat_pg_bind_int8(&params, a->params->lease_ms);
	enum leat_kind kind = leat_pg_run(a->link.pg, "rest", &params, &rows, err);
	for (size_t row = 0; kind == LEAT_OK && row < leat_pg_rows(rows); row++)
		rested[leat_pg_int8(rows, row, 0) - 1] = true;
	leat_pg_array_free(&tries);
	leat_pg_array_free(&waits);
	return kind;
}

bool advance_rest_claims(struct advance_lane *a, struct advance_slot *slot)
{
	struct named named;
	struct leat_error err;
	name_tasks(a, &named, slot, is_any);
	if (named.count == 0) {
		named_free(&named);
		return true;
	}
	bool *rested = leat_alloc_zero(named.count, sizeof *rested);
	enum leat_kind kind = rest(a, &named, rested, &err);
	for (size_t i = 0; kind == LEAT_OK && i < named.count; i++) {
		if (!rested[i])
			advance_lose(a, named.tasks[i]);
	}
	free(rested);
	named_free(&named);
	if (kind == LEAT_OK)
		return true;
	leat_log(LEAT_LOG_WARN, "advance", "run %s: its claims could not rest, and keep their slot: %s", slot->run, err.text);
	if (!leat_pg_alive(a->link.pg))
		advance_lose_postgres(a, err.text);
	return false;
}

void advance_leave_resting(struct advance_lane *a)
{
	struct leat_pg_params params = {0};
	struct leat_error err;
	if (a->wake_count == 0)
		return;
	leat_pg_bind_text(&params, a->owner);
	if (a->link.pg == NULL || leat_pg_run(a->link.pg, "leave_resting", &params, NULL, &err) != LEAT_OK)
		leat_log(LEAT_LOG_WARN, "advance", "%zu runs with nodes that rest are resumed when their leases end", a->wake_count);
}

void advance_release(struct advance_lane *a, bool only_unbegun)
{
	struct named named;
	struct leat_error err;
	struct leat_pg_params params = {0};
	name_tasks(a, &named, NULL, only_unbegun ? is_unbegun : is_unfinished);
	for (size_t i = 0; i < named.count; i++) {
		advance_drop(a, named.tasks[i]);
		named.tasks[i]->slot->given_back = true;
	}
	bind_named(&params, a, &named);
	if (named.count > 0 && (a->link.pg == NULL || leat_pg_run(a->link.pg, "release", &params, NULL, &err) != LEAT_OK))
		leat_log(LEAT_LOG_WARN, "advance", "claims could not be given back: others take them when their leases end");
	named_free(&named);
}
