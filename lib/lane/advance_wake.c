/*
 * The resumes that the advance lane publishes itself: for runs that somebody should look at, now or later.
 *
 * The happy path: all that a slot still has to do is to wait, because servers asked for patience. Its claims rest in Postgres, the slot is
 * free for another run, and when the time has come the run is resumed, by whoever has a free slot then. And a run with more ready nodes
 * than this process may call for is resumed at once, so that other processes take their share, and again after a while, less and less
 * often, as long as it has more.
 *
 * Possible failures: NATS is away: resumed when it is back. The process ends, or is killed: the reaper resumes what rests. A resume is
 * lost: the reaper does the same; of a run that has more, the next one comes anyway.
 */
#include "advance.h"

#include "leat/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Waits shorter than REST_MS keep the slot. Nodes of a run that rest until about the same time are called for together. */
enum { REST_MS = 1000, TOGETHER_MS = 500, SHARE_FIRST_MS = 1000, SHARE_LIMIT_MS = 20000 };

/* False: it is to be tried again. */
static bool resume(struct advance_lane *a, const char *tenant, const char *run)
{
	char subject[128];
	char body[64];
	struct leat_error err;
	snprintf(subject, sizeof subject, "leat.intent.%s.engine.run.resume", tenant);
	snprintf(body, sizeof body, "{\"run_id\":\"%s\"}", run);
	return a->link.bus != NULL && leat_bus_publish(a->link.bus, subject, NULL, body, strlen(body), &err) == LEAT_OK;
}

/* ---- rest ---- */

static void wake_at(struct advance_lane *a, const struct advance_slot *slot, int64_t at_ms)
{
	for (size_t i = 0; i < a->wake_count; i++) {
		const struct advance_wake *other = &a->wakes[i];
		if (strcmp(other->run, slot->run) == 0 && other->at_ms >= at_ms && other->at_ms < at_ms + TOGETHER_MS)
			return;
	}
	a->wakes = leat_realloc(a->wakes, (a->wake_count + 1) * sizeof *a->wakes);
	struct advance_wake *wake = &a->wakes[a->wake_count++];
	*wake = (struct advance_wake){.at_ms = at_ms + TOGETHER_MS / 2};
	memcpy(wake->tenant, slot->tenant, sizeof wake->tenant);
	memcpy(wake->run, slot->run, sizeof wake->run);
}

void advance_rest(struct advance_lane *a, struct advance_slot *slot)
{
	int64_t now = leat_clock_ms();
	if (slot->tasks == NULL || a->link.pg == NULL || a->drain_until_ms != 0 || now < slot->claim_at_ms)
		return;
	for (const struct advance_task *task = slot->tasks; task != NULL; task = task->next) {
		bool waits = task->step == ADVANCE_OVER || (task->step == ADVANCE_CALL && task->tries > 0 && task->at_ms >= now + REST_MS);
		if (!waits)
			return;
	}
	if (!advance_rest_claims(a, slot)) {
		slot->claim_at_ms = now + ADVANCE_AGAIN_MS;
		return;
	}
	for (struct advance_task *task = slot->tasks; task != NULL; task = task->next) {
		if (task->step == ADVANCE_OVER)
			continue;
		wake_at(a, slot, task->at_ms);
		advance_drop(a, task);
	}
}

/* ---- shares ---- */

void advance_share(struct advance_lane *a, struct advance_slot *slot)
{
	int64_t now = leat_clock_ms();
	if (!slot->more || now < slot->share_at_ms || a->drain_until_ms != 0)
		return;
	if (slot->share.first_ms == 0)
		slot->share = (struct leat_backoff){.first_ms = SHARE_FIRST_MS, .limit_ms = SHARE_LIMIT_MS};
	slot->share_at_ms = now + leat_backoff_delay_ms(&slot->share);
	if (!resume(a, slot->tenant, slot->run))
		leat_log(LEAT_LOG_DEBUG, "advance", "run %s: others were not told that it has more", slot->run);
}

bool advance_has_more(const struct advance_lane *a, const char *run)
{
	ADVANCE_EACH_SLOT(a, slot)
	{
		if (slot->more && strcmp(slot->run, run) == 0)
			return true;
	}
	return false;
}

/* ---- when the time has come ---- */

void advance_wake(struct advance_lane *a)
{
	int64_t now = leat_clock_ms();
	for (size_t i = 0; i < a->wake_count;) {
		struct advance_wake *wake = &a->wakes[i];
		if (now < wake->at_ms) {
			i++;
		} else if (resume(a, wake->tenant, wake->run)) {
			*wake = a->wakes[--a->wake_count];
		} else {
			wake->at_ms = now + ADVANCE_AGAIN_MS;
			i++;
		}
	}
}

int64_t advance_next_wake_ms(const struct advance_lane *a)
{
	int64_t next = INT64_MAX;
	for (size_t i = 0; i < a->wake_count; i++) {
		if (a->wakes[i].at_ms < next)
			next = a->wakes[i].at_ms;
	}
	return next;
}
