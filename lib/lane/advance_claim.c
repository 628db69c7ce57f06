/*
 * The advance lane's claims: rows of leat.claims, which say who calls for which node now. No transaction is open while it calls.
 *
 * The happy path: one statement claims what is ready of runs, of each as much as it may call for; each node becomes a task. The run lane
 * deletes a claim when it applies the fact that ends it; until then it is held under a lease (advance_lease.c).
 *
 * Possible failures: Postgres is lost, or a run's row is locked for too long: nothing is claimed.
 */
#include "advance.h"

#include <stdlib.h>
#include <string.h>

const struct leat_pg_statement advance_statements[] = {
	{"claim",
		"select ord, node_id, type, attempt, generation, params, error, secret_headers, traceparent, tries, busy"
		" from leat.claim_nodes_of($1, $2, $3::uuid, $4, $5)"},
	{"hold", "select ord from leat.hold_claims($1::uuid, $2, $3, $4, $5)"},
	{"rest", "select ord from leat.rest_claims($1::uuid, $2, $3, $4, $5, $6, $7)"},
	{"leave_resting", "select leat.leave_resting_claims($1::uuid)"},
	{"release", "select leat.release_claims($1::uuid, $2, $3, $4)"},
	{"check", "select code, message, early from leat.check_resume($1::uuid, $2, $3, $4::uuid, $5)"},
	{"resume_agent", "select leat.resume_agent($1::uuid, $2, $3)"},
	{"status", "select status from leat.runs where id = $1::uuid and tenant_id = $2::uuid"},
	{"bury", "select leat.bury('LEAT_WORK', $1, $2::uuid, 'run', 'resume', $3, $4, $5, $6, $7)"},
};
const size_t advance_statement_count = sizeof advance_statements / sizeof *advance_statements;

/* Columns of "claim". */
enum { ORD, NODE, TYPE, ATTEMPT, GENERATION, PARAMS, ERROR, SECRET_HEADERS, TRACEPARENT, TRIES, BUSY };

static void take_header_names(struct advance_task *task, const char *lines)
{
	if (lines == NULL)
		return;
	size_t count = 1;
	for (const char *at = lines; *at != '\0'; at++)
		count += *at == '\n';
	task->header_names = leat_strdup(lines);
	task->secret_headers = leat_alloc_zero(count + 1, sizeof *task->secret_headers);
	char *rest = task->header_names;
	for (size_t i = 0; i < count; i++)
		task->secret_headers[i] = strsep(&rest, "\n");
}

static struct advance_task *task_new(struct advance_lane *a, struct advance_slot *slot, const struct leat_pg_result *rows, size_t row)
{
	const char *type = leat_pg_text(rows, row, TYPE);
	const struct leat_node_type *known = leat_node_find((struct leat_text){type, strlen(type)});
	struct advance_task *task = leat_alloc_zero(1, sizeof *task);
	const char *params = leat_pg_text(rows, row, PARAMS);
	const char *traceparent = leat_pg_text(rows, row, TRACEPARENT);
	if (known == NULL) /* the table of types and the plan are of one version, or the statement would not be there */
		abort();
	task->slot = slot;
	task->kind = known->kind;
	task->node = leat_strdup(leat_pg_text(rows, row, NODE));
	task->attempt = leat_pg_int8(rows, row, ATTEMPT);
	task->generation = leat_pg_int8(rows, row, GENERATION);
	task->tries = leat_pg_int8(rows, row, TRIES);
	task->traceparent = traceparent != NULL ? leat_strdup(traceparent) : NULL;
	task->backoff = (struct leat_backoff){.first_ms = a->params->retry_first_ms, .limit_ms = a->params->retry_limit_ms};
	leat_buf_add_text(&task->params, params != NULL ? params : "");
	take_header_names(task, leat_pg_text(rows, row, SECRET_HEADERS));
	return task;
}

/* What this process lost without knowing yet, and has claimed again. */
static void drop_older(struct advance_lane *a, const struct advance_slot *mine, const char *node)
{
	ADVANCE_EACH_SLOT(a, slot)
	{
		for (struct advance_task *task = slot->tasks; task != NULL; task = task->next) {
			if (task->step != ADVANCE_OVER && strcmp(slot->run, mine->run) == 0 && strcmp(task->node, node) == 0)
				advance_lose(a, task);
		}
	}
}

static void begin(struct advance_lane *a, struct advance_task *task, const char *error)
{
	if (error != NULL)
		advance_fail(a, task, error);
	else if (task->kind == LEAT_NODE_HTTP || task->kind == LEAT_NODE_WORKER)
		task->step = ADVANCE_CALL;
	else
		advance_ask(a, task);
}

static size_t count_open(const struct advance_slot *slot)
{
	size_t count = 0;
	for (const struct advance_task *task = slot->tasks; task != NULL; task = task->next)
		count += task->step != ADVANCE_OVER;
	return count;
}

static void take_task(struct advance_lane *a, struct advance_slot *slot, const struct leat_pg_result *rows, size_t row, int64_t sent_ms)
{
	drop_older(a, slot, leat_pg_text(rows, row, NODE));
	struct advance_task *task = task_new(a, slot, rows, row);
	struct advance_task **end = &slot->tasks;
	while (*end != NULL)
		end = &(*end)->next;
	*end = task;
	task->lease_until_ms = sent_ms + a->params->lease_ms;
	slot->claimed++;
	begin(a, task, leat_pg_text(rows, row, ERROR));
}

static enum leat_kind ask(
	struct advance_lane *a, struct advance_slot **slots, size_t count, struct leat_pg_result **rows, struct leat_error *err)
{
	struct leat_pg_params params = {0};
	struct leat_pg_array runs = {0};
	struct leat_pg_array tenants = {0};
	struct leat_pg_array limits = {0};
	leat_pg_array_start(&runs, LEAT_PG_UUID);
	leat_pg_array_start(&tenants, LEAT_PG_UUID);
	leat_pg_array_start(&limits, LEAT_PG_INT8);
	for (size_t i = 0; i < count; i++) {
		struct leat_uuid run;
		if (!leat_uuid_parse(&run, slots[i]->run, strlen(slots[i]->run))) /* we wrote it */
			abort();
		leat_pg_array_add_uuid(&runs, &run);
		leat_pg_array_add_uuid(&tenants, &slots[i]->tenant_id);
		leat_pg_array_add_int8(&limits, a->params->max_calls - (int64_t)count_open(slots[i]));
	}
	leat_pg_bind_array(&params, &runs);
	leat_pg_bind_array(&params, &tenants);
	leat_pg_bind_text(&params, a->owner);
	leat_pg_bind_int8(&params, a->params->lease_ms);
	leat_pg_bind_array(&params, &limits);
	enum leat_kind kind = leat_pg_run(a->link.pg, "claim", &params, rows, err);
	leat_pg_array_free(&runs);
	leat_pg_array_free(&tenants);
	leat_pg_array_free(&limits);
	return kind;
}

enum leat_kind advance_claim(struct advance_lane *a, struct advance_slot **slots, size_t count, struct leat_error *err)
{
	LEAT_PG_RESULT_SCOPED *rows = NULL;
	int64_t sent_ms = leat_clock_ms();
	enum leat_kind kind = ask(a, slots, count, &rows, err);
	if (kind != LEAT_OK)
		return kind;
	for (size_t i = 0; i < count; i++)
		slots[i]->fresh = slots[i]->more = false;
	for (size_t row = 0; row < leat_pg_rows(rows); row++) {
		struct advance_slot *slot = slots[leat_pg_int8(rows, row, ORD) - 1];
		if (leat_pg_text(rows, row, NODE) != NULL)
			take_task(a, slot, rows, row, sent_ms);
		else if (leat_pg_bool(rows, row, BUSY))
			slot->fresh = true;
		else
			slot->more = true;
	}
	leat_lane_count(a->lane, LEAT_COUNT_BATCHES, 1);
	return LEAT_OK;
}
