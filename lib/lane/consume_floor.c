/*
 * The floor: what was parked because its target was not there is decided once everything before it is settled, which the durable's ack
 * floor tells.
 *
 * It is looked at while something is parked or was settled since the last look, at growing intervals, and when what was put aside has its
 * turn; an idle lane asks nobody.
 */
#include "consume.h"

#include "leat/log.h"

/* What is to be decided, and how Postgres refused that; zero: all that can be. */
struct pass {
	int64_t only;         /* a position */
	const char *for_good; /* why */
	bool for_now;
};

static enum leat_kind call(
	struct consume_lane *c, uint64_t floor_seq, const struct pass *pass, struct leat_pg_result **result, struct leat_error *err)
{
	struct leat_pg_params params = {0};
	leat_pg_bind_text(&params, c->source->stream);
	leat_pg_bind_int8(&params, c->epoch);
	leat_pg_bind_int8(&params, (int64_t)floor_seq);
	leat_pg_bind_int8(&params, c->decide_limit);
	leat_pg_bind_int8(&params, c->params->batch_bytes);
	leat_pg_bind_int8(&params, pass->only);
	leat_pg_bind_text(&params, pass->for_good);
	leat_pg_bind_int8(&params, pass->for_now);
	leat_pg_bind_int8(&params, (int64_t)leat_bus_max_payload(c->link.bus));
	enum leat_kind kind = leat_pg_send(c->link.pg, "decide_parked", &params, err);
	return kind == LEAT_OK ? consume_finish(c, result, err) : kind;
}

/* By its position: the first may be another one a moment later, when another process decides too. */
static enum leat_kind find_first(struct consume_lane *c, uint64_t floor_seq, int64_t *position, struct leat_error *err)
{
	LEAT_PG_RESULT_SCOPED *result = NULL;
	struct leat_pg_params params = {0};
	leat_pg_bind_text(&params, c->source->stream);
	leat_pg_bind_int8(&params, c->epoch);
	leat_pg_bind_int8(&params, (int64_t)floor_seq);
	enum leat_kind kind = leat_pg_run(c->link.pg, "first_parked", &params, &result, err);
	if (kind == LEAT_OK)
		*position = leat_pg_int8(result, 0, 0);
	return kind;
}

/*
 * Decides what is parked up to the floor. One that Postgres refuses, for good or again and again, holds up the rest of its pass: passes get
 * shorter until it is alone, and then it is rejected, or waits while the others are decided.
 */
static enum leat_kind decide(struct consume_lane *c, uint64_t floor_seq, struct leat_pg_result **result, struct leat_error *err)
{
	struct pass pass = {0};
	struct leat_error why;
	for (;;) {
		enum leat_kind kind = call(c, floor_seq, &pass, result, err);
		if (kind == LEAT_OK) {
			c->decide_tries = 0;
			c->decide_limit = c->decide_limit < CONSUME_DECIDE_LIMIT / 2 ? c->decide_limit * 2 : CONSUME_DECIDE_LIMIT;
		}
		if (kind == LEAT_OK || pass.for_good != NULL || pass.for_now)
			return kind;
		if (kind == LEAT_TEMPORARY && (!leat_pg_alive(c->link.pg) || leat_lane_stopping(c->lane) || ++c->decide_tries < LEAT_BATCH_TRIES))
			return kind;
		if (c->decide_limit > 1) {
			c->decide_limit /= 2;
		} else if (pass.only == 0) {
			if (find_first(c, floor_seq, &pass.only, err) != LEAT_OK)
				return err->kind;
		} else {
			leat_log(LEAT_LOG_ERROR, c->lane->type->name, "Postgres refuses a parked message: %s", err->text);
			why = *err;
			pass.for_now = kind == LEAT_TEMPORARY;
			pass.for_good = pass.for_now ? NULL : why.text;
		}
	}
}

bool consume_look_at_floor(struct consume_lane *c)
{
	struct leat_pull_info info;
	struct leat_error err;
	bool retry = c->retry_at_ms != 0 && leat_clock_ms() >= c->retry_at_ms;
	bool due = atomic_exchange(&c->lane->parked_seen, false) || retry;
	if ((!c->floor_wanted && !due) || c->pull_broken || (!retry && leat_clock_ms() < c->floor_at_ms))
		return true;
	c->floor_at_ms = leat_clock_ms() + leat_backoff_delay_ms(&c->floor_pace);
	if (leat_pull_get_info(c->pull, &info, &err) != LEAT_OK)
		return true; /* the pull notices what is wrong */
	if (info.floor_seq == c->floor_seq && !due)
		return true;

	LEAT_PG_RESULT_SCOPED *result = NULL;
	if (decide(c, info.floor_seq, &result, &err) != LEAT_OK) {
		if (leat_pg_alive(c->link.pg)) {
			leat_log(LEAT_LOG_WARN, c->lane->type->name, "deciding what is parked: %s", err.text);
			return true;
		}
		consume_lose_postgres(c, err.text);
		return false;
	}
	bool left = leat_pg_int8(result, 0, 0) > 0;
	bool more = leat_pg_bool(result, 0, 1);
	int64_t retry_ms = leat_pg_int8(result, 0, 2);
	c->retry_at_ms = retry_ms < 0 ? 0 : leat_clock_ms() + retry_ms + 1;
	c->floor_seq = more ? 0 : info.floor_seq;
	c->floor_wanted = left || info.ack_pending > 0;
	if (more)
		c->floor_at_ms = 0;
	return true;
}
