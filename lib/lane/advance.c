/*
 * The advance lane: whatever is ready of a run is called for, a few runs at a time, and what comes back is published as facts. It changes
 * no run itself.
 *
 * The happy path: a run.resume is fetched when one of the process's max_runs slots is free, and not before; what is ready of its run is
 * claimed under a lease; all of it goes out at once, on one HTTP client; each result is stored in LEAT_RUN as it comes; when all are, the
 * message is acknowledged and the slot is free. What the results make ready comes as another resume, to whoever has a free slot.
 *
 * Possible failures: Postgres is lost: nothing new is taken, calls go on and are told of while their leases last; later results wait
 * until it is back and says whether their claims still are ours. NATS is lost: results are
 * kept as long. Killed at any point: the message comes again and finds the nodes claimed; when the leases end, the reaper resumes the run,
 * and the calls are made again with the same idempotency keys. Told to stop: what has not begun goes back at once, calls may end within
 * half of drain_ms, the rest is aborted and goes back. Leases keep a late one of two holders from telling, and where clocks lie, the
 * attempt that every fact has does, when it is applied.
 */
#include "advance.h"

#include "leat/log.h"

#include <stdio.h>
#include <stdlib.h>

/* An idle lane looks at what it has open so often; NATS, Postgres, calls and the end of the process wake it. */
enum { IDLE_MS = 1000, DRAIN_PARTS = 2 };

/* ---- connections ---- */

void advance_lose_postgres(struct advance_lane *a, const char *why)
{
	leat_lane_count(a->lane, LEAT_COUNT_RECONNECTS, 1);
	leat_lane_enter(a->lane, "waiting for Postgres", why);
	lane_link_close_pg(&a->link);
	a->connect_at_ms = leat_clock_ms() + leat_backoff_delay_ms(&a->link.backoff);
}

static enum leat_kind open_pull(struct advance_lane *a, struct leat_error *err)
{
	const struct leat_params *p = a->params;
	char durable[128];
	if (a->pull != NULL)
		return LEAT_OK;
	snprintf(durable, sizeof durable, "%s-%s", p->queue_group, a->lane->type->name);
	const struct leat_pull_options options = {
		.stream = "LEAT_WORK",
		.durable = durable,
		.ack_wait_ms = p->ack_wait_ms,
		.max_ack_pending = p->max_ack_pending,
		.batch = p->max_runs,
		.batch_bytes = p->batch_bytes,
		.idle_heartbeat_ms = p->idle_heartbeat_ms,
	};
	return leat_pull_open(&a->pull, a->link.bus, &options, err);
}

/* What outcomes come to: of any tenant, and of nobody but this process. */
static enum leat_kind open_replies(struct advance_lane *a, struct leat_error *err)
{
	char subject[128];
	if (a->replies != NULL)
		return LEAT_OK;
	snprintf(subject, sizeof subject, "leat.reply.*.advance.%s.*", a->owner);
	return leat_inbox_open(&a->replies, a->link.bus, subject, err);
}

static void close_bus(struct advance_lane *a)
{
	leat_inbox_close(a->replies);
	a->replies = NULL;
	leat_pull_close(a->pull);
	a->pull = NULL;
}

static enum leat_kind open_bus(struct advance_lane *a, struct leat_error *err)
{
	if (a->link.bus != NULL && leat_bus_closed(a->link.bus))
		close_bus(a);
	enum leat_kind kind = lane_link_try_bus(&a->link, err);
	if (kind == LEAT_OK && !leat_bus_connected(a->link.bus)) /* it comes back by itself; asking it now would only take time */
		return leat_fail(err, LEAT_TEMPORARY, LEAT_CODE_INTERNAL, "not connected to nats-server");
	if (kind == LEAT_OK)
		kind = open_replies(a, err);
	return kind == LEAT_OK ? open_pull(a, err) : kind;
}

static enum leat_kind open_postgres(struct advance_lane *a, struct leat_error *err)
{
	if (a->link.pg != NULL)
		return LEAT_OK;
	enum leat_kind kind = lane_link_try_pg(&a->link, advance_statements, advance_statement_count, err);
	if (kind == LEAT_OK)
		kind = leat_pg_run_sql(a->link.pg, "listen leat_cancel", NULL, err);
	if (kind != LEAT_OK)
		lane_link_close_pg(&a->link);
	a->hold_at_ms = 0; /* what was cancelled meanwhile was not heard */
	return kind;
}

/* Opens what is not, one try each; never waits, since calls may be under way. */
static void be_connected(struct advance_lane *a)
{
	struct leat_error err;
	bool open = a->link.pg != NULL && a->pull != NULL && a->replies != NULL && !leat_bus_closed(a->link.bus);
	if (open || leat_clock_ms() < a->connect_at_ms)
		return;
	if (open_postgres(a, &err) != LEAT_OK) {
		leat_lane_enter(a->lane, "waiting for Postgres", err.text);
	} else if (open_bus(a, &err) != LEAT_OK) {
		bool stream = err.code == LEAT_CODE_NOT_FOUND;
		leat_lane_enter(a->lane, stream ? "waiting for the stream (run leat migrate)" : "waiting for NATS", err.text);
	} else {
		a->link.backoff.next_ms = 0;
		leat_lane_enter(a->lane, "working", NULL);
		return;
	}
	a->connect_at_ms = leat_clock_ms() + leat_backoff_delay_ms(&a->link.backoff);
}

/* ---- waiting ---- */

/* Whether a run was cancelled: then some of our claims may be gone, which holding them tells. */
static void hear(struct advance_lane *a)
{
	struct leat_error err;
	bool woken;
	if (a->link.pg == NULL)
		return;
	if (leat_pg_wait_notify(a->link.pg, 0, &woken, &err) != LEAT_OK)
		advance_lose_postgres(a, err.text);
	else if (woken)
		a->hold_at_ms = 0;
}

static void sooner(int64_t *at_ms, int64_t other_ms)
{
	if (other_ms < *at_ms)
		*at_ms = other_ms;
}

/* Until something is to be done that nothing wakes for. */
static int64_t next_deed_ms(const struct advance_lane *a)
{
	int64_t next = leat_clock_ms() + IDLE_MS;
	bool room = a->calls < (size_t)a->params->max_calls;
	bool tasks = false;
	ADVANCE_EACH_SLOT(a, slot)
	{
		for (const struct advance_task *task = slot->tasks; task != NULL; task = task->next) {
			tasks = true;
			if (advance_is_in_doubt(a, task))
				continue;
			if (task->tell_at_ms != 0)
				sooner(&next, task->tell_at_ms);
			if (task->step == ADVANCE_ASKED || (task->step == ADVANCE_CALL && room) || (task->step == ADVANCE_STORE && a->link.bus != NULL))
				sooner(&next, task->at_ms);
		}
		if (slot->tasks == NULL && a->link.pg != NULL) /* it has more */
			sooner(&next, slot->claim_at_ms);
		if (slot->more && a->drain_until_ms == 0)
			sooner(&next, slot->share_at_ms);
		sooner(&next, a->progress_at_ms);
	}
	sooner(&next, advance_next_wake_ms(a));
	if (tasks && a->link.pg != NULL)
		sooner(&next, a->hold_at_ms);
	if (a->link.pg == NULL || a->pull == NULL)
		sooner(&next, a->connect_at_ms);
	if (a->drain_until_ms != 0)
		sooner(&next, a->drain_until_ms);
	return next;
}

static void wait_for_news(struct advance_lane *a)
{
	int fds[LEAT_HTTP_FDS];
	size_t count = 0;
	hear(a); /* it may have come along with an answer, and the socket has nothing more */
	if (a->drain_until_ms == 0)
		fds[count++] = a->lane->process->stop_fd; /* once the process stops it stays readable */
	if (a->link.pg != NULL)
		fds[count++] = leat_pg_socket(a->link.pg);
	if (a->pull != NULL)
		fds[count++] = leat_pull_fd(a->pull);
	if (a->replies != NULL)
		fds[count++] = leat_inbox_fd(a->replies);
	leat_http_wait(a->http, fds, count, next_deed_ms(a) - leat_clock_ms());
	hear(a);
}

/* ---- the loop ---- */

static bool is_busy(const struct advance_lane *a)
{
	ADVANCE_EACH_SLOT(a, slot)
	return true;
	return false;
}

static void step(struct advance_lane *a)
{
	be_connected(a);
	advance_hold(a);
	advance_take_answers(a);
	advance_take_replies(a);
	advance_store(a);
	advance_tell_all_running(a);
	advance_settle_slots(a);
	advance_wake(a);
	advance_take_resumes(a);
	advance_start_calls(a);
	advance_store(a); /* what failed at once, and what is asked of other lanes */
	advance_settle_slots(a);
	advance_renew_messages(a);
	wait_for_news(a);
}

/* What has not begun goes back at once; the rest has until drain_until_ms. */
static void drain(struct advance_lane *a)
{
	a->drain_until_ms = leat_clock_ms() + a->params->drain_ms / DRAIN_PARTS;
	advance_release(a, true);
	advance_settle_slots(a);
	while (is_busy(a) && leat_clock_ms() < a->drain_until_ms)
		step(a);
	advance_release(a, false);
	advance_settle_slots(a);
	advance_leave_resting(a);
}

static void end(struct advance_lane *a)
{
	close_bus(a);
	leat_http_close(a->http);
	lane_link_fini(&a->link);
	leat_egress_free(a->egress);
	free(a->wakes);
	free(a->slots);
}

static void work(struct advance_lane *a)
{
	while (!leat_lane_stopping(a->lane))
		step(a);
	drain(a);
	end(a);
}

void lane_advance_run(struct leat_lane *lane)
{
	const struct leat_params *params = lane->process->params;
	struct advance_lane a = {.lane = lane, .params = params};
	struct leat_uuid owner;
	struct leat_error err;
	if (leat_egress_parse(&a.egress, params->allow_hosts, &err) != LEAT_OK) {
		leat_lane_enter(lane, "off, LEAT_ALLOW_HOSTS is no list of hosts", err.text);
		return;
	}
	leat_uuid_random(&owner);
	leat_uuid_format(&owner, a.owner);
	a.slots = leat_alloc_zero((size_t)params->max_runs, sizeof *a.slots);
	lane_link_init(&a.link, lane);
	while (leat_http_open(&a.http, &err) != LEAT_OK) {
		lane_link_wait(&a.link, "waiting for a descriptor", err.text);
		if (leat_lane_stopping(lane)) {
			leat_egress_free(a.egress);
			free(a.slots);
			return;
		}
	}
	if (leat_http_trust(a.http, params->call_tls_ca, &err) != LEAT_OK) {
		leat_lane_enter(lane, "off, LEAT_CALL_TLS_CA is no file of certificates", err.text);
		end(&a);
		return;
	}
	work(&a);
}
