/*
 * The advance lane's slots: each has a run.resume message, and the nodes that were claimed for it.
 *
 * The happy path: tasks end one by one; when none is left, the sender hears the outcome if it asked for one, the message is acknowledged,
 * and the slot is free. Who found nothing ready does that at once. A run with more ready nodes than calls may be under way gets them
 * claimed by and by, here and by others (advance_wake.c).
 *
 * Possible failures: a task went back unfinished (the process ends): so does the message, for others. Killed: the message comes again after
 * AckWait, which is renewed until then.
 */
#include "advance.h"

#include "leat/log.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

enum { PROGRESS_PARTS = 3, REFILL_PARTS = 4 };

static void task_free(struct advance_task *task)
{
	assert(task->http == NULL && task->call == NULL);
	free(task->node);
	free(task->traceparent);
	free(task->secret_headers);
	free(task->header_names);
	leat_buf_free(&task->params);
	leat_buf_free(&task->subject);
	leat_buf_free(&task->headers);
	leat_buf_free(&task->body);
	free(task);
}

void advance_reply(struct advance_lane *a, const char *to, uint64_t seq, const char *result)
{
	LEAT_BUF_SCOPED body = LEAT_BUF_INIT;
	struct leat_error err;
	leat_buf_printf(&body, "{\"status\":\"applied\",\"position\":%" PRIu64 ",\"result\":%s}", seq, result);
	if (leat_bus_publish(a->link.bus, to, NULL, body.data, body.len, &err) != LEAT_OK)
		leat_log(LEAT_LOG_WARN, "advance", "reply to %s not sent: %s", to, err.text);
}

/* How the run stands now: what this slot has told may not be applied yet. */
static void add_status(struct advance_lane *a, const struct advance_slot *slot, struct leat_buf *out)
{
	LEAT_PG_RESULT_SCOPED *rows = NULL;
	struct leat_pg_params params = {0};
	struct leat_error err;
	const char *status = NULL;
	leat_pg_bind_text(&params, slot->run);
	leat_pg_bind_text(&params, slot->tenant);
	if (a->link.pg != NULL && leat_pg_run(a->link.pg, "status", &params, &rows, &err) == LEAT_OK && leat_pg_rows(rows) > 0)
		status = leat_pg_text(rows, 0, 0);
	if (status != NULL)
		leat_buf_printf(out, "\"%s\"", status);
	else
		leat_buf_add_text(out, "null");
}

static void tell_outcome(struct advance_lane *a, const struct advance_slot *slot)
{
	LEAT_BUF_SCOPED result = LEAT_BUF_INIT;
	leat_buf_printf(&result, "{\"run_id\":\"%s\",\"status\":", slot->run);
	add_status(a, slot, &result);
	leat_buf_printf(&result, ",\"claimed_node_count\":%" PRId64 ",\"fields_extracted\":%" PRId64 ",\"errors\":[%s]}", slot->claimed,
		slot->extracted, leat_buf_text(&slot->errors));
	advance_reply(a, slot->reply_to, slot->msg.seq, result.data);
}

static void slot_clear(struct advance_lane *a, struct advance_slot *slot)
{
	if (a->link.bus != NULL && slot->given_back)
		leat_msg_nak(a->link.bus, &slot->msg, 0);
	else if (a->link.bus != NULL)
		leat_msg_ack(a->link.bus, &slot->msg);
	leat_msg_free(&slot->msg);
	for (struct advance_task *next, *task = slot->tasks; task != NULL; task = next) {
		next = task->next;
		task_free(task);
	}
	free(slot->reply_to);
	leat_buf_free(&slot->errors);
	*slot = (struct advance_slot){0};
}

/* ---- meanwhile ---- */

static void free_over(struct advance_slot *slot)
{
	for (struct advance_task **at = &slot->tasks; *at != NULL;) {
		struct advance_task *task = *at;
		if (task->step == ADVANCE_OVER) {
			*at = task->next;
			task_free(task);
		} else {
			at = &task->next;
		}
	}
}

/* A run with more nodes than it may have calls gets new ones when a part of those is over. */
static void claim_more(struct advance_lane *a, struct advance_slot *slot)
{
	struct leat_error err;
	size_t open = 0;
	int64_t now = leat_clock_ms();
	for (const struct advance_task *task = slot->tasks; task != NULL; task = task->next)
		open++;
	size_t room = (size_t)a->params->max_calls - open;
	bool enough = open > 0 && room * REFILL_PARTS < (size_t)a->params->max_calls;
	if (!slot->more || enough || now < slot->claim_at_ms || a->link.pg == NULL || advance_claim(a, &slot, 1, &err) == LEAT_OK)
		return;
	slot->claim_at_ms = now + (err.kind == LEAT_PERMANENT ? ADVANCE_FAILED_AGAIN_MS : ADVANCE_AGAIN_MS);
	leat_log(LEAT_LOG_WARN, "advance", "run %s: no more of its nodes could be claimed: %s", slot->run, err.text);
	if (!leat_pg_alive(a->link.pg))
		advance_lose_postgres(a, err.text);
}

/* With more to do, it was not finished by us. */
static void settle(struct advance_lane *a, struct advance_slot *slot)
{
	slot->given_back = slot->given_back || slot->more;
	if (slot->reply_to != NULL && !slot->given_back && a->link.bus != NULL)
		tell_outcome(a, slot);
	slot_clear(a, slot);
}

void advance_settle_slots(struct advance_lane *a)
{
	ADVANCE_EACH_SLOT(a, slot)
	{
		advance_rest(a, slot);
		free_over(slot);
		if (a->drain_until_ms == 0)
			claim_more(a, slot);
		advance_share(a, slot);
		if (slot->tasks == NULL && (!slot->more || a->drain_until_ms != 0))
			settle(a, slot);
	}
}

void advance_renew_messages(struct advance_lane *a)
{
	int64_t now = leat_clock_ms();
	if (now < a->progress_at_ms)
		return;
	a->progress_at_ms = now + a->params->ack_wait_ms / PROGRESS_PARTS;
	if (a->link.bus == NULL)
		return;
	ADVANCE_EACH_SLOT(a, slot)
	leat_msg_progress(a->link.bus, &slot->msg);
	if (a->pull != NULL)
		leat_pull_progress(a->pull);
}
