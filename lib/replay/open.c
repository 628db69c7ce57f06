/*
 * How a replay begins. The happy path: each stream is the one that the ledger knows; its durable is asked how far it has settled; its
 * reader is opened where the range begins.
 *
 * It refuses, and says what to do, where the ledger knows messages that the stream does not hold as they were: their sequences would be
 * mistaken for others'. It refuses runs without the workflows that they start from, since a run.start would be rejected for good. It warns
 * where consumers run on a database that is behind what they have settled: a restored one, to be replayed before they start.
 */
#include "internal.h"

#include <inttypes.h>
#include <stdio.h>

static enum leat_kind check_stream(struct replay *r, struct replay_stream *s, struct leat_source_mark *mark, struct leat_error *err)
{
	bool dry = r->options->dry_run;
	enum leat_kind kind = dry ? leat_pg_run_sql(s->pg, "begin", NULL, err) : LEAT_OK;
	if (kind == LEAT_OK)
		kind = leat_source_check(s->source, r->bus, s->pg, mark, err);
	struct leat_error second;
	if (dry && leat_pg_run_sql(s->pg, "rollback", NULL, &second) != LEAT_OK && kind == LEAT_OK) {
		*err = second;
		kind = second.kind;
	}
	if (kind != LEAT_OK)
		return kind;
	s->epoch = mark->epoch;
	if (!mark->cut)
		return LEAT_OK;
	return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_CONFLICT,
		"the database has settled message %" PRIu64 " of %s, which the stream no longer holds as it was: it was cut back or restored. "
		"Start a consumer, which opens a new epoch, and replay again",
		mark->last_seq, s->source->stream);
}

static enum leat_kind ask_durable(struct replay *r, struct replay_stream *s, struct leat_error *err)
{
	char durable[128];
	struct leat_pull_info info;
	snprintf(durable, sizeof durable, "%s-%s", r->params->queue_group, s->source->lane);
	enum leat_kind kind = leat_durable_get_info(r->bus, s->source->stream, durable, &info, err);
	s->durable = kind == LEAT_OK;
	if (s->durable)
		s->durable_floor = info.floor_seq;
	else if (err->code == LEAT_CODE_NOT_FOUND)
		replay_note(r, "%s has no consumer %s: nothing of it counts as settled, and what is applied has its events and dead letters",
			s->source->stream, durable);
	return err->code == LEAT_CODE_NOT_FOUND ? LEAT_OK : kind;
}

static enum leat_kind ask_number(struct replay_stream *s, const char *sql, int64_t *out, struct leat_error *err)
{
	LEAT_PG_RESULT_SCOPED *result = NULL;
	struct leat_pg_params params = {0};
	leat_pg_bind_text(&params, s->source->stream);
	leat_pg_bind_int8(&params, s->epoch);
	enum leat_kind kind = leat_pg_run_once(s->pg, sql, &params, &result, err);
	if (kind == LEAT_OK)
		*out = leat_pg_rows(result) > 0 ? leat_pg_int8(result, 0, 0) : 0;
	return kind;
}

static enum leat_kind warn_of_consumers(
	struct replay *r, struct replay_stream *s, const struct leat_source_mark *mark, struct leat_error *err)
{
	int64_t alive = 0;
	if (ask_number(s, "select leat.processes_alive() where $1::text is not null and $2::integer is not null", &alive, err) != LEAT_OK)
		return err->kind;
	r->polite = alive > 0;
	if (alive > 0 && s->durable && mark->last_seq < s->durable_floor)
		replay_note(r,
			"%" PRId64 " consumer process%s seen in the last minute, and the database is behind what they settled of %s (%" PRIu64
			", not %" PRIu64 "): was it restored? Stop them until the replay is over, or intents that depend on order may be decided early",
			alive, alive == 1 ? " was" : "es were", s->source->stream, s->durable_floor, mark->last_seq);
	return LEAT_OK;
}

bool replay_is_passed(const struct replay_stream *s, uint64_t seq)
{
	if (seq <= s->mark)
		return true;
	return s->source != &leat_entity_source && (!s->durable || seq <= s->durable_floor);
}

static enum leat_kind begin_at(struct replay *r, struct replay_stream *s, uint64_t from_seq, struct leat_error *err)
{
	int64_t mark = 0;
	const struct leat_stream_state *state = leat_reader_get_state(s->reader);
	if (ask_number(s,
			"select f.position & ((1::bigint << 40) - 1) from leat.stream_floors f where f.stream = $1 and f.position >> 40 = $2::bigint",
			&mark, err) != LEAT_OK)
		return err->kind;
	if (r->options->from_seq > state->last_seq + 1)
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INVALID_MESSAGE, "%s ends at %" PRIu64 ": there is nothing from %" PRIu64 " on",
			s->source->stream, state->last_seq, from_seq);
	s->mark = (uint64_t)mark;
	s->figures->first_seq = from_seq;
	s->figures->next_seq = from_seq;
	s->figures->end_seq = leat_reader_end_seq(s->reader);
	s->done_seq = from_seq - 1;
	s->read_seq = s->done_seq;
	s->complete = from_seq <= state->first_seq || replay_is_passed(s, s->done_seq);
	s->told = s->done_seq <= s->mark;
	return LEAT_OK;
}

static enum leat_kind try_open(struct replay *r, struct replay_stream *s, struct leat_error *err)
{
	struct leat_source_mark mark;
	uint64_t from_seq = r->options->from_seq > 0 ? r->options->from_seq : 1;
	if (replay_open_pg(r, s, err) != LEAT_OK || check_stream(r, s, &mark, err) != LEAT_OK || ask_durable(r, s, err) != LEAT_OK ||
		warn_of_consumers(r, s, &mark, err) != LEAT_OK)
		return err->kind;
	if (r->options->since_ns > 0 && leat_stream_find_time(r->bus, s->source->stream, r->options->since_ns, &from_seq, err) != LEAT_OK)
		return err->kind;
	if (leat_reader_open(&s->reader, r->bus, s->source->stream, from_seq, r->options->to_seq, err) != LEAT_OK)
		return err->kind;
	return begin_at(r, s, from_seq, err);
}

/* ---- runs alone ---- */

/* How far LEAT_CONTROL is settled: by the durable or, without one, its end. */
static enum leat_kind find_control_end(struct replay *r, uint64_t *end_seq, struct leat_error *err)
{
	char durable[128];
	struct leat_pull_info info;
	struct leat_stream_state state;
	snprintf(durable, sizeof durable, "%s-%s", r->params->queue_group, leat_control_source.lane);
	enum leat_kind kind = leat_durable_get_info(r->bus, leat_control_source.stream, durable, &info, err);
	*end_seq = info.floor_seq;
	if (kind == LEAT_OK || err->code != LEAT_CODE_NOT_FOUND)
		return kind;
	kind = leat_stream_get_state(r->bus, leat_control_source.stream, &state, err);
	*end_seq = state.last_seq;
	return kind;
}

static enum leat_kind ask_control_floor(struct replay *r, uint64_t *floor_seq, struct leat_error *err)
{
	static const char floor_sql[] =
		"select coalesce(max(f.position & ((1::bigint << 40) - 1)), 0) from leat.stream_floors f"
		" where f.stream = $1 and f.position >> 40 = (select max(e.epoch) from leat.stream_epochs e where e.stream = f.stream)";
	LEAT_PG_RESULT_SCOPED *result = NULL;
	struct leat_pg_params params = {0};
	leat_pg_bind_text(&params, leat_control_source.stream);
	enum leat_kind kind = leat_pg_run_once(r->streams[LEAT_REPLAY_RUN].pg, floor_sql, &params, &result, err);
	if (kind == LEAT_OK)
		*floor_seq = (uint64_t)leat_pg_int8(result, 0, 0);
	return kind;
}

static enum leat_kind check_workflows(struct replay *r, struct leat_error *err)
{
	uint64_t floor_seq;
	uint64_t end_seq;
	struct leat_msg first;
	if (r->streams[LEAT_REPLAY_RUN].source == NULL || r->streams[LEAT_REPLAY_CONTROL].source != NULL || r->options->dry_run ||
		r->options->force)
		return LEAT_OK;
	if (ask_control_floor(r, &floor_seq, err) != LEAT_OK || find_control_end(r, &end_seq, err) != LEAT_OK)
		return err->kind;
	uint64_t seq = floor_seq + 1;
	if (leat_stream_get_next(r->bus, leat_control_source.stream, ">", &seq, &first, err) != LEAT_OK)
		return err->code == LEAT_CODE_NOT_FOUND ? LEAT_OK : err->kind;
	leat_msg_free(&first);
	if (seq > end_seq)
		return LEAT_OK;
	return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_CONFLICT,
		"LEAT_RUN would be replayed without LEAT_CONTROL, of which this database lacks what was settled from message %" PRIu64
		" on: runs of workflows that are not there would be rejected for good.\n"
		"Replay all (without --stream), or LEAT_CONTROL first; --force goes on all the same",
		seq);
}

enum leat_kind replay_open(struct replay *r, struct leat_error *err)
{
	if (replay_open_bus(r, err) != LEAT_OK)
		return err->kind;
	for (size_t i = 0; i < LEAT_REPLAY_STREAMS; i++) {
		struct replay_stream *s = &r->streams[i];
		if (s->source == NULL)
			continue;
		if (try_open(r, s, err) != LEAT_OK)
			return err->code == LEAT_CODE_NOT_FOUND ? leat_fail_while(err, "run `leat migrate`") : err->kind;
	}
	if (check_workflows(r, err) != LEAT_OK)
		return err->kind;
	r->begun = true;
	return LEAT_OK;
}
