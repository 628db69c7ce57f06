/*
 * Forgetting what is old: parts of the audit log, and what the ledger has of messages that their stream no longer holds. One process at a
 * time does, whoever holds the keeper's lock (keep_lock.c).
 *
 * The happy path: a pass is a row of short steps, in each at most one transaction. A step that has more to do comes again after a rest as
 * long as it took. The server is asked what each stream holds before its ledger is touched.
 *
 * It fails by losing Postgres, which is the lane's to mend. When NATS can't be asked the ledger waits, and the lock goes back, in case that
 * another process can ask. What the database refuses is logged, once, and tried again in the next pass.
 */
#include "keep.h"

#include "leat/log.h"

#include <assert.h>
#include <inttypes.h>

/* Parts of the audit log are made so far ahead. */
enum { DAYS_AHEAD = 7 };

static const char *const ledgers[] = {"LEAT_CONTROL", "LEAT_ENTITY", "LEAT_RUN", "LEAT_WORK"};

#define LEDGER_COUNT (sizeof ledgers / sizeof *ledgers)

static void tell(struct keep_retention *r, const char *text)
{
	keep_tell(r->told[r->step], text, r->link->lane->process->params->prune_every_ms);
}

static enum leat_kind run(struct keep_retention *r, const char *statement, const struct leat_pg_params *params,
	struct leat_pg_result **result, struct leat_error *err)
{
	*result = NULL;
	return leat_pg_run(r->link->pg, statement, params, result, err);
}

/* ---- the steps ---- */

/* Without the lock there is nothing to do in this pass. */
static enum leat_kind take_lock(struct keep_retention *r, bool *more, struct leat_error *err)
{
	*more = false;
	if (keep_lock_try(r->lock, err) != LEAT_OK)
		return err->kind;
	if (!r->lock->held)
		r->step = KEEP_STEPS - 1;
	return LEAT_OK;
}

static enum leat_kind parts(struct keep_retention *r, const char *statement, int64_t parameter, const char *done, struct leat_error *err)
{
	LEAT_PG_RESULT_SCOPED *result = NULL;
	struct leat_pg_params params = {0};
	leat_pg_bind_int8(&params, parameter);
	if (run(r, statement, &params, &result, err) != LEAT_OK)
		return leat_fail_while(err, "looking after the parts of leat.audit_log");
	int64_t count = leat_pg_int8(result, 0, 0);
	const char *trouble = leat_pg_text(result, 0, 1);
	if (count > 0)
		leat_log(LEAT_LOG_INFO, "keep", "%s %" PRId64 " of the audit log's parts", done, count);
	tell(r, trouble != NULL ? trouble : "");
	return LEAT_OK;
}

static enum leat_kind make_parts(struct keep_retention *r, bool *more, struct leat_error *err)
{
	*more = false;
	return parts(r, "make_audit_parts", DAYS_AHEAD, "made", err);
}

static enum leat_kind drop_parts(struct keep_retention *r, bool *more, struct leat_error *err)
{
	*more = false;
	return parts(r, "drop_audit_parts", r->link->lane->process->params->audit_retention_h, "dropped", err);
}

static enum leat_kind expire_audit_rows(struct keep_retention *r, bool *more, struct leat_error *err)
{
	const struct leat_params *settings = r->link->lane->process->params;
	LEAT_PG_RESULT_SCOPED *result = NULL;
	struct leat_pg_params params = {0};
	leat_pg_bind_int8(&params, settings->audit_retention_h);
	leat_pg_bind_int8(&params, settings->prune_batch);
	*more = false;
	if (run(r, "expire_audit_rows", &params, &result, err) != LEAT_OK)
		return err->kind;
	int64_t deleted = leat_pg_int8(result, 0, 0);
	leat_lane_count(r->link->lane, LEAT_COUNT_PRUNED, (uint64_t)deleted);
	*more = deleted == settings->prune_batch;
	tell(r, "");
	return LEAT_OK;
}

static enum leat_kind ask(struct keep_retention *r, struct leat_error *err)
{
	enum leat_kind kind = lane_link_try_bus(r->link, err);
	if (kind == LEAT_OK && !leat_bus_connected(r->link->bus))
		kind = leat_fail(err, LEAT_TEMPORARY, LEAT_CODE_INTERNAL, "not connected");
	if (kind == LEAT_OK)
		kind = leat_stream_get_state(r->link->bus, ledgers[r->ledger], &r->stream, err);
	r->asked = kind == LEAT_OK;
	r->after = -1;
	if (kind == LEAT_OK || err->code == LEAT_CODE_NOT_FOUND)
		return kind;
	r->unasked = true;
	return leat_fail_while(err, "asking NATS what the streams still hold, before the ledger is pruned");
}

static enum leat_kind prune_chunk(struct keep_retention *r, bool *more, struct leat_error *err)
{
	const struct leat_params *settings = r->link->lane->process->params;
	LEAT_PG_RESULT_SCOPED *result = NULL;
	struct leat_pg_params params = {0};
	leat_pg_bind_text(&params, ledgers[r->ledger]);
	leat_pg_bind_int8(&params, r->stream.created_ns / 1000);
	leat_pg_bind_int8(&params, (int64_t)r->stream.first_seq);
	if (r->stream.first_ns > 0)
		leat_pg_bind_int8(&params, r->stream.first_ns / 1000);
	else
		leat_pg_bind_text(&params, NULL);
	leat_pg_bind_int8(&params, settings->ledger_retention_h > 0 ? settings->ledger_retention_h : settings->retention_h);
	leat_pg_bind_int8(&params, settings->prune_batch);
	leat_pg_bind_int8(&params, r->after);
	if (run(r, "prune_ledger", &params, &result, err) != LEAT_OK)
		return err->kind;
	r->after = leat_pg_int8(result, 0, 0);
	leat_lane_count(r->link->lane, LEAT_COUNT_PRUNED, (uint64_t)leat_pg_int8(result, 0, 1));
	*more = leat_pg_bool(result, 0, 2);
	return LEAT_OK;
}

/* One chunk of one stream's ledger. A stream that there isn't is one that was deleted, or not made yet: who knows. */
static enum leat_kind prune_ledgers(struct keep_retention *r, bool *more, struct leat_error *err)
{
	enum leat_kind kind = r->asked ? LEAT_OK : ask(r, err);
	*more = false;
	if (kind == LEAT_OK)
		kind = prune_chunk(r, more, err);
	if (r->unasked || (kind != LEAT_OK && err->code != LEAT_CODE_NOT_FOUND))
		return kind;
	if (!*more) {
		r->asked = false;
		*more = ++r->ledger < LEDGER_COUNT;
	}
	if (!*more)
		tell(r, "");
	return LEAT_OK;
}

static enum leat_kind (*const steps[])(struct keep_retention *r, bool *more, struct leat_error *err) = {
	take_lock, make_parts, drop_parts, expire_audit_rows, prune_ledgers};

static_assert(sizeof steps / sizeof *steps == KEEP_STEPS, "as many as keep.h says");

/* ---- the pass ---- */

static bool end_pass(struct keep_retention *r, struct leat_error *err)
{
	bool well = !(r->lock->held && r->unasked) || keep_lock_give_back(r->lock, err) == LEAT_OK;
	r->step = 0;
	r->ledger = 0;
	r->asked = false;
	r->unasked = false;
	r->due_ms = r->pass_ms + r->link->lane->process->params->prune_every_ms;
	return well;
}

void keep_retention_start(struct keep_retention *r, struct keep_lock *lock)
{
	r->link = lock->link;
	r->lock = lock;
	r->due_ms = 0;
	r->unasked = false;
	r->step = 0;
	r->ledger = 0;
	r->asked = false;
}

bool keep_retention_step(struct keep_retention *r, struct leat_error *err)
{
	bool more = false;
	int64_t began_ms = leat_clock_ms();
	if (r->step == 0)
		r->pass_ms = began_ms;
	if (steps[r->step](r, &more, err) != LEAT_OK) {
		if (!leat_pg_alive(r->link->pg))
			return false;
		tell(r, err->text);
		more = false;
	}
	int64_t took_ms = leat_clock_ms() - began_ms;
	r->due_ms = began_ms + took_ms + (took_ms > KEEP_REST_MS ? took_ms : KEEP_REST_MS);
	if (!more && ++r->step == KEEP_STEPS)
		return end_pass(r, err);
	return true;
}
