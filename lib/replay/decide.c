/*
 * What is parked: an entity's intent whose target was not there, and whatever waits for its place in an ordered stream or for a workflow.
 *
 * The happy path: Postgres is told the floor and decides all up to there, by the functions of the lanes. One that it refuses holds up the
 * others of its pass: passes get shorter until it is alone; then it is rejected where the refusal is for good, and waits otherwise.
 */
#include "internal.h"

#include <poll.h>
#include <time.h>

#define LIMIT 1000
#define REST_MS 15000 /* longer than run.start waits for its workflow */
#define LOOK_MS 100

struct pass {
	int64_t limit;
	int64_t only; /* a position; 0: any */
	const char *for_good;
	bool for_now;
};

static enum leat_kind call(struct replay *r, struct replay_stream *s, uint64_t floor_seq, const struct pass *pass,
	struct leat_pg_result **result, struct leat_error *err)
{
	struct leat_pg_params params = {0};
	leat_pg_bind_text(&params, s->source->stream);
	leat_pg_bind_int8(&params, s->epoch);
	leat_pg_bind_int8(&params, (int64_t)floor_seq);
	leat_pg_bind_int8(&params, pass->limit);
	leat_pg_bind_int8(&params, r->params->batch_bytes);
	leat_pg_bind_int8(&params, pass->only);
	leat_pg_bind_text(&params, pass->for_good);
	leat_pg_bind_int8(&params, pass->for_now);
	leat_pg_bind_int8(&params, (int64_t)leat_bus_max_payload(r->bus));
	return leat_pg_run(s->pg, "decide_parked", &params, result, err);
}

static enum leat_kind find_first(struct replay_stream *s, uint64_t floor_seq, int64_t *position, struct leat_error *err)
{
	LEAT_PG_RESULT_SCOPED *result = NULL;
	struct leat_pg_params params = {0};
	leat_pg_bind_text(&params, s->source->stream);
	leat_pg_bind_int8(&params, s->epoch);
	leat_pg_bind_int8(&params, (int64_t)floor_seq);
	enum leat_kind kind = leat_pg_run(s->pg, "first_parked", &params, &result, err);
	if (kind == LEAT_OK)
		*position = leat_pg_int8(result, 0, 0);
	return kind;
}

static enum leat_kind decide_refused(
	struct replay *r, struct replay_stream *s, uint64_t floor_seq, struct leat_pg_result **result, struct leat_error *err)
{
	struct pass pass = {.limit = 1};
	struct leat_error why = *err;
	if (find_first(s, floor_seq, &pass.only, err) != LEAT_OK)
		return err->kind;
	replay_note(r, "Postgres refuses a parked message of %s: %s", s->source->stream, why.text);
	pass.for_good = why.kind == LEAT_PERMANENT ? why.text : NULL;
	pass.for_now = why.kind == LEAT_TEMPORARY;
	return call(r, s, floor_seq, &pass, result, err);
}

/* One pass: *due tells whether there is more to decide. */
static enum leat_kind decide_some(struct replay *r, struct replay_stream *s, uint64_t floor_seq, bool *due, struct leat_error *err)
{
	LEAT_PG_RESULT_SCOPED *result = NULL;
	struct pass pass = {.limit = LIMIT};
	enum leat_kind kind = call(r, s, floor_seq, &pass, &result, err);
	while (kind != LEAT_OK && leat_pg_alive(s->pg) && pass.limit > 1) {
		pass.limit /= 2;
		kind = call(r, s, floor_seq, &pass, &result, err);
	}
	if (kind != LEAT_OK && leat_pg_alive(s->pg))
		kind = decide_refused(r, s, floor_seq, &result, err);
	if (kind != LEAT_OK)
		return kind;
	s->left = (uint64_t)leat_pg_int8(result, 0, 0);
	*due = leat_pg_bool(result, 0, 1);
	return LEAT_OK;
}

enum leat_kind replay_decide(struct replay *r, struct replay_stream *s, uint64_t floor_seq, struct leat_error *err)
{
	bool due = true;
	s->decided_ms = leat_clock_ms();
	while (due && !replay_stopped(r)) {
		if (decide_some(r, s, floor_seq, &due, err) != LEAT_OK)
			return err->kind;
	}
	s->told = true;
	return LEAT_OK;
}

enum leat_kind replay_decide_waiting(struct replay *r, int64_t clock_us, struct leat_error *err)
{
	struct replay_stream *s = &r->streams[LEAT_REPLAY_RUN];
	if (s->source == NULL || s->left == 0 || !replay_is_settled(s, s->done_seq))
		return LEAT_OK;
	struct leat_pg_params params = {0};
	leat_pg_bind_text(&params, s->source->stream);
	while (replay_open_pg(r, s, err) == LEAT_OK) {
		if (replay_set_mode(s, clock_us, err) == LEAT_OK &&
			leat_pg_run_once(s->pg, "select leat.hurry_parked($1)", &params, NULL, err) == LEAT_OK &&
			replay_decide(r, s, s->complete ? s->done_seq : 0, err) == LEAT_OK)
			return LEAT_OK;
		if (err->kind == LEAT_PERMANENT || !replay_pause(r, "Postgres", err))
			return err->kind;
	}
	return err->kind;
}

static enum leat_kind decide_rest_of(struct replay *r, struct replay_stream *s, struct leat_error *err)
{
	bool settled = replay_is_settled(s, s->done_seq);
	int64_t until_ms = leat_clock_ms() + REST_MS;
	for (;;) {
		struct timespec now;
		clock_gettime(CLOCK_REALTIME, &now);
		int64_t clock_us = now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
		enum leat_kind kind = replay_open_pg(r, s, err);
		if (kind == LEAT_OK)
			kind = replay_set_mode(s, settled ? clock_us : 0, err);
		if (kind == LEAT_OK)
			kind = replay_decide(r, s, s->complete ? s->done_seq : 0, err);
		if (kind == LEAT_OK)
			kind = replay_count_suppressed(r, s, err);
		if (kind == LEAT_PERMANENT || replay_stopped(r) || (kind != LEAT_OK && !replay_pause(r, "Postgres", err)))
			return kind;
		if (kind == LEAT_OK && (s->left == 0 || !s->complete || !settled || leat_clock_ms() > until_ms))
			break;
		poll(NULL, 0, LOOK_MS);
	}
	r->report->waiting += s->left;
	return LEAT_OK;
}

enum leat_kind replay_decide_rest(struct replay *r, struct leat_error *err)
{
	for (size_t i = 0; i < LEAT_REPLAY_STREAMS; i++) {
		if (r->streams[i].source != NULL && decide_rest_of(r, &r->streams[i], err) != LEAT_OK)
			return err->kind;
	}
	return LEAT_OK;
}
