/*
 * Nodes that nobody works on any more: claims past their lease, runs that could go on while nobody does, and answers that never arrived.
 * Each kind is found by one statement (sql/functions/75_claim_reaper.sql, 84_run_answers.sql), which tells what follows through the outbox.
 *
 * The happy path: the process that holds the keeper's lock looks every reap_every_ms, and finds nothing. First come claims, then answers,
 * then the runs under way, a chunk at a time with a rest in between.
 *
 * A run that waits its turn in LEAT_WORK, or whose facts wait in LEAT_RUN, is not left alone. So the server is asked: no more resumes are
 * put there than make WORK_MOST with those that are there already, and while facts are far behind, runs are not looked at.
 *
 * It fails by losing Postgres, which is the lane's to mend; then it begins anew a part of a lease later, so that holders can renew theirs
 * first. While NATS can't be asked, only claims are looked at. What the database refuses is logged, once, and tried again in the next pass.
 */
#include "keep.h"

#include "leat/log.h"

#include <inttypes.h>
#include <stdio.h>

enum { CLAIMS_LIMIT = 500, ANSWERS_LIMIT = 500, RUNS_LIMIT = 500, WORK_MOST = 1000, FACTS_BEHIND = 1000 };

#define BEFORE_ALL "00000000-0000-0000-0000-000000000000"

static const struct leat_params *settings(const struct keep_reap *r)
{
	return r->lock->link->lane->process->params;
}

/* *more: there may be others. */
static enum leat_kind reap_claims(struct keep_reap *r, bool *more, struct leat_error *err)
{
	LEAT_PG_RESULT_SCOPED *result = NULL;
	struct leat_pg_params params = {0};
	leat_pg_bind_int8(&params, settings(r)->call_attempts);
	leat_pg_bind_int8(&params, CLAIMS_LIMIT);
	leat_pg_bind_int8(&params, settings(r)->lease_ms / LANE_LEASE_PARTS);
	if (leat_pg_run(r->lock->link->pg, "reap_claims", &params, &result, err) != LEAT_OK)
		return leat_fail_while(err, "looking for claims past their lease");
	int64_t reaped = leat_pg_int8(result, 0, 0);
	*more = reaped == CLAIMS_LIMIT;
	if (reaped > 0)
		leat_log(LEAT_LOG_WARN, "keep",
			"%" PRId64 " claims were past their lease; of these, %" PRId64 " nodes had no attempt left and fail", reaped,
			leat_pg_int8(result, 0, 1));
	return LEAT_OK;
}

/* Sets room: how many resumes may be asked for; below 0: nobody knows yet which runs are left alone. */
static enum leat_kind ask_nats(struct keep_reap *r, struct leat_error *err)
{
	struct leat_stream_state work;
	struct leat_pull_info facts = {0};
	struct lane_link *link = r->lock->link;
	char durable[LEAT_QUEUE_GROUP_BYTES + sizeof "-run"];
	snprintf(durable, sizeof durable, "%s-run", settings(r)->queue_group);
	if (lane_link_try_bus(link, err) != LEAT_OK)
		return err->kind;
	if (!leat_bus_connected(link->bus))
		return leat_fail(err, LEAT_TEMPORARY, LEAT_CODE_INTERNAL, "not connected");
	if (leat_stream_get_state(link->bus, "LEAT_WORK", &work, err) != LEAT_OK)
		return err->kind;
	/* without that durable nobody has ever applied a fact, and there are no runs */
	if (leat_durable_get_info(link->bus, "LEAT_RUN", durable, &facts, err) != LEAT_OK && err->code != LEAT_CODE_NOT_FOUND)
		return err->kind;
	r->room = work.messages < WORK_MOST ? WORK_MOST - (int64_t)work.messages : 0;
	if (facts.pending > FACTS_BEHIND)
		r->room = -1;
	return LEAT_OK;
}

static enum leat_kind tell_answers_again(struct keep_reap *r, bool *more, struct leat_error *err)
{
	LEAT_PG_RESULT_SCOPED *result = NULL;
	struct leat_pg_params params = {0};
	leat_pg_bind_int8(&params, ANSWERS_LIMIT);
	if (leat_pg_run(r->lock->link->pg, "tell_answers_again", &params, &result, err) != LEAT_OK)
		return leat_fail_while(err, "looking for answers that their runs never heard");
	int64_t told = leat_pg_int8(result, 0, 1);
	*more = leat_pg_int8(result, 0, 0) == ANSWERS_LIMIT;
	if (told > 0)
		leat_log(LEAT_LOG_WARN, "keep", "%" PRId64 " nodes still wait for questions that are over; told again", told);
	return LEAT_OK;
}

static enum leat_kind find_stalled(struct keep_reap *r, bool *more, struct leat_error *err)
{
	LEAT_PG_RESULT_SCOPED *result = NULL;
	struct leat_pg_params params = {0};
	leat_pg_bind_text(&params, r->after);
	leat_pg_bind_int8(&params, settings(r)->reap_every_ms);
	leat_pg_bind_int8(&params, settings(r)->lease_ms);
	leat_pg_bind_int8(&params, RUNS_LIMIT);
	leat_pg_bind_int8(&params, r->room);
	if (leat_pg_run(r->lock->link->pg, "find_stalled_runs", &params, &result, err) != LEAT_OK)
		return leat_fail_while(err, "looking for runs that nobody goes on with");
	const char *next = leat_pg_text(result, 0, 0);
	int64_t resumed = leat_pg_int8(result, 0, 1);
	int64_t adopted = leat_pg_int8(result, 0, 2);
	*more = next != NULL;
	if (next != NULL)
		snprintf(r->after, sizeof r->after, "%s", next);
	r->room -= resumed;
	if (resumed > 0)
		leat_log(LEAT_LOG_WARN, "keep", "%" PRId64 " runs had nodes that nobody began with; resumed again", resumed);
	if (adopted > 0)
		leat_log(LEAT_LOG_WARN, "keep", "%" PRId64 " nodes are running and nobody's; they have lease_ms to end", adopted);
	return LEAT_OK;
}

/* *more: the pass goes on. */
static enum leat_kind step(struct keep_reap *r, bool *more, struct leat_error *err)
{
	*more = false;
	if (keep_lock_try(r->lock, err) != LEAT_OK)
		return err->kind;
	if (!r->lock->held)
		return LEAT_OK;
	if (r->walking)
		return find_stalled(r, more, err);
	if (reap_claims(r, more, err) != LEAT_OK)
		return err->kind;
	if (*more)
		return LEAT_OK;
	if (ask_nats(r, err) != LEAT_OK)
		return leat_fail_while(err, "asking NATS what waits there, before looking for runs that nobody goes on with");
	if (r->room < 0 || tell_answers_again(r, more, err) != LEAT_OK)
		return r->room < 0 ? LEAT_OK : err->kind;
	r->walking = !*more;
	*more = true;
	return LEAT_OK;
}

static void begin_pass(struct keep_reap *r)
{
	r->pass_ms = leat_clock_ms();
	r->walking = false;
	snprintf(r->after, sizeof r->after, "%s", BEFORE_ALL);
}

/* After an outage nobody may have renewed a lease: first the holders have their turn. */
void keep_reap_start(struct keep_reap *reap, struct keep_lock *lock)
{
	bool again = reap->lock != NULL;
	reap->lock = lock;
	reap->due_ms = again ? leat_clock_ms() + settings(reap)->lease_ms / LANE_LEASE_PARTS : 0;
	reap->under_way = false;
}

bool keep_reap_step(struct keep_reap *r, struct leat_error *err)
{
	int64_t began_ms = leat_clock_ms();
	if (!r->under_way)
		begin_pass(r);
	bool well = step(r, &r->under_way, err) == LEAT_OK;
	if (!well && !leat_pg_alive(r->lock->link->pg))
		return false;
	r->under_way = well && r->under_way;
	if (!r->under_way)
		keep_tell(r->told, well ? "" : err->text, settings(r)->reap_every_ms);
	int64_t now_ms = leat_clock_ms();
	int64_t rest_ms = now_ms - began_ms > KEEP_REST_MS ? now_ms - began_ms : KEEP_REST_MS;
	r->due_ms = r->under_way ? now_ms + rest_ms : r->pass_ms + settings(r)->reap_every_ms;
	return true;
}
