/*
 * The advance lane's calls: http and worker nodes.
 *
 * The happy path: a task that waits gets one of the process's max_calls places, its request is composed (secrets are read now) and started;
 * when it is over, leat_call_judge says what it means. A worker that accepted keeps the claim, until its own run.node or the reaper.
 *
 * Possible failures: a try that may go well later leaves its place to others and comes again after a while, on the same claim and with the
 * same idempotency key. What can't go well fails the node. The claim is lost meanwhile: the call is aborted, its result belongs to nobody.
 */
#include "advance.h"

#include "leat/log.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/random.h>

static uint32_t draw(void)
{
	uint32_t number = 0;
	if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number)
		abort();
	return number;
}

static void end_try(struct advance_lane *a, struct advance_task *task)
{
	assert(task->http != NULL && a->calls > 0);
	a->calls--;
	task->http = NULL;
	leat_call_free(task->call);
	task->call = NULL;
}

void advance_drop(struct advance_lane *a, struct advance_task *task)
{
	if (task->http != NULL) {
		leat_http_abort(a->http, task->http);
		end_try(a, task);
	}
	task->step = ADVANCE_OVER;
}

void advance_lose(struct advance_lane *a, struct advance_task *task)
{
	leat_log(LEAT_LOG_INFO, "advance",
		"run %s, node %s, attempt %lld: no longer ours (cancelled, or its lease was over); what came of it"
		" is dropped",
		task->slot->run, task->node, (long long)task->attempt);
	advance_drop(a, task);
}

/* ---- starting ---- */

static enum leat_kind start(struct advance_lane *a, struct advance_task *task, struct leat_error *err)
{
	const struct leat_call_node node = {
		.tenant = task->slot->tenant_id,
		.kind = task->kind,
		.run_id = task->slot->run,
		.node_id = task->node,
		.generation = task->generation,
		.attempt = task->attempt,
		.traceparent = task->traceparent,
		.params = {task->params.data, task->params.len},
		.secret_headers = (const char *const *)task->secret_headers,
	};
	if (leat_call_compose(&task->call, &node, a->egress, a->params, err) != LEAT_OK)
		return err->kind;
	enum leat_kind kind = leat_call_start(task->call, a->http, task, &task->http, err);
	if (kind != LEAT_OK) {
		leat_call_free(task->call);
		task->call = NULL;
	}
	return kind;
}

static void call(struct advance_lane *a, struct advance_task *task)
{
	struct leat_error err;
	if (start(a, task, &err) != LEAT_OK) {
		advance_fail(a, task, err.text);
		return;
	}
	a->calls++;
	task->step = ADVANCE_CALLING;
	if (++task->tries == 1)
		advance_note_running(task);
}

/* The slot's first task that is due; NULL for none. */
static struct advance_task *find_due(const struct advance_lane *a, const struct advance_slot *slot, int64_t now)
{
	struct advance_task *task = slot->used ? slot->tasks : NULL;
	while (task != NULL && (task->step != ADVANCE_CALL || now < task->at_ms || advance_is_in_doubt(a, task)))
		task = task->next;
	return task;
}

void advance_start_calls(struct advance_lane *a)
{
	const size_t slots = (size_t)a->params->max_runs;
	const int64_t now = leat_clock_ms();
	for (size_t idle = 0; idle < slots && a->calls < (size_t)a->params->max_calls;) {
		struct advance_task *task = find_due(a, &a->slots[a->turn], now);
		a->turn = (a->turn + 1) % slots;
		idle = task != NULL ? 0 : idle + 1;
		if (task == NULL)
			continue;
		if (advance_still_ours(a, task))
			call(a, task);
		else
			advance_lose(a, task);
	}
}

/* ---- ending ---- */

static void conclude(struct advance_lane *a, struct advance_task *task, const struct leat_http_answer *answer)
{
	struct leat_call_verdict verdict;
	leat_call_judge(&verdict, task->call, task->tries, answer, draw());
	end_try(a, task);
	switch (verdict.end) {
	case LEAT_CALL_COMPLETED:
		advance_complete(a, task, (struct leat_text){verdict.output.data, verdict.output.len});
		break;
	case LEAT_CALL_ACCEPTED:
		advance_tell_running(a, task);
		task->step = ADVANCE_HOLD;
		a->hold_at_ms = 0;
		break;
	case LEAT_CALL_RETRY:
		advance_tell_running(a, task);
		leat_lane_count(a->lane, LEAT_COUNT_RETRIES, 1);
		leat_log(LEAT_LOG_DEBUG, "advance", "run %s, node %s: %s", task->slot->run, task->node, verdict.error);
		task->step = ADVANCE_CALL;
		task->at_ms = leat_clock_ms() + verdict.retry_ms;
		break;
	case LEAT_CALL_FAILED:
		advance_fail(a, task, verdict.error);
		break;
	}
	leat_call_verdict_fini(&verdict);
}

void advance_take_answers(struct advance_lane *a)
{
	struct leat_http_answer answer;
	while (leat_http_next(a->http, &answer)) {
		conclude(a, answer.opaque, &answer);
		leat_http_answer_free(&answer);
	}
}
