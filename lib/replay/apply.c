/*
 * A batch into Postgres. The happy path: what is not settled yet is sent off, range by range, and what came of each is counted.
 *
 * Possible failure modes are those of the lanes: a lost connection, waited for; a refusal, taken apart (leat_batch_apply).
 */
#include "internal.h"

#include <assert.h>
#include <inttypes.h>
#include <poll.h>

#define GLANCE_MS 100
#define ANY_TIME 1 /* of no run: leat.replay only has to hold something */

bool replay_is_settled(const struct replay_stream *s, uint64_t seq)
{
	return s->durable && seq <= s->durable_floor;
}

/* ---- the connection's mode ---- */

enum leat_kind replay_set_mode(struct replay_stream *s, int64_t clock_us, struct leat_error *err)
{
	if (s->mode == clock_us)
		return LEAT_OK;
	struct leat_pg_params params = {0};
	leat_pg_bind_int8(&params, clock_us);
	enum leat_kind kind = leat_pg_run_once(s->pg,
		"select set_config('leat.replay', coalesce((timestamptz 'epoch' + nullif($1::bigint, 0) * interval '1 microsecond')::text, ''), "
		"false)",
		&params, NULL, err);
	s->mode = kind == LEAT_OK ? clock_us : -1;
	return kind;
}

enum leat_kind replay_count_suppressed(struct replay *r, struct replay_stream *s, struct leat_error *err)
{
	LEAT_PG_RESULT_SCOPED *result = NULL;
	struct leat_replay_report *report = r->report;
	uint64_t *const sums[] = {&report->suppressed_events, &report->suppressed_dead_letters, &report->suppressed_resumes,
		&report->suppressed_intents, &report->suppressed_replies};
	enum leat_kind kind =
		leat_pg_run_sql(s->pg, "select events, dead_letters, resumes, intents, replies from leat.suppressed()", &result, err);
	if (kind != LEAT_OK)
		return kind;
	for (int i = 0; i < 5; i++) {
		uint64_t now = (uint64_t)leat_pg_int8(result, 0, i);
		*sums[i] += now - (now >= s->suppressed[i] ? s->suppressed[i] : 0);
		s->suppressed[i] = now;
	}
	return LEAT_OK;
}

/* ---- which of them ---- */

enum leat_kind replay_probe(struct replay_stream *s, struct leat_pg_result **unsettled, struct leat_error *err)
{
	struct leat_batch *batch = &s->batch;
	struct leat_pg_array *seqs = &batch->arrays[LEAT_BATCH_SEQ];
	struct leat_pg_array *times = &batch->arrays[LEAT_BATCH_AT];
	leat_pg_array_start(seqs, leat_batch_types[LEAT_BATCH_SEQ]);
	leat_pg_array_start(times, leat_batch_types[LEAT_BATCH_AT]);
	for (size_t i = 0; i < batch->count; i++) {
		leat_pg_array_add_int8(seqs, (int64_t)batch->rows[i].msg.seq);
		leat_pg_array_add_time(times, batch->rows[i].msg.timestamp_ns);
	}
	struct leat_pg_params params = {0};
	leat_pg_bind_text(&params, batch->stream);
	leat_pg_bind_array(&params, seqs);
	leat_pg_bind_array(&params, times);
	return leat_pg_run_once(s->pg, "select * from leat.unsettled($1, $2, $3)", &params, unsettled, err);
}

/* ---- ranges ---- */

static enum leat_kind finish(struct replay *r, struct replay_stream *s, struct leat_pg_result **result, struct leat_error *err)
{
	bool pending = true;
	while (pending) {
		enum leat_kind kind = leat_pg_finish(s->pg, GLANCE_MS, &pending, result, err);
		if (kind != LEAT_OK)
			return kind;
		r->options->progress(r->options->context, r->report);
	}
	return LEAT_OK;
}

static void count(struct replay_stream *s, size_t from, size_t to)
{
	uint64_t *const counters[] = {
		[LEAT_OUTCOME_APPLIED] = &s->figures->applied,
		[LEAT_OUTCOME_DUPLICATE] = &s->figures->duplicate,
		[LEAT_OUTCOME_REJECTED] = &s->figures->rejected,
		[LEAT_OUTCOME_PARKED] = &s->figures->parked,
		[LEAT_OUTCOME_KNOWN] = &s->figures->known,
	};
	for (size_t i = from; i < to; i++) {
		assert(s->batch.rows[i].outcome < LEAT_OUTCOME_DEFERRED);
		++*counters[s->batch.rows[i].outcome];
		s->left += s->batch.rows[i].outcome == LEAT_OUTCOME_PARKED;
		s->probe = s->probe || s->batch.rows[i].outcome == LEAT_OUTCOME_KNOWN;
	}
}

struct attempts {
	struct replay *replay;
	struct replay_stream *stream;
};

static enum leat_kind attempt(void *context, size_t from, size_t to, struct leat_error *err)
{
	LEAT_PG_RESULT_SCOPED *result = NULL;
	struct replay *r = ((struct attempts *)context)->replay;
	struct replay_stream *s = ((struct attempts *)context)->stream;
	enum leat_kind kind = leat_batch_send(&s->batch, s->pg, from, to, (int64_t)leat_bus_max_payload(r->bus), err);
	if (kind == LEAT_OK)
		kind = finish(r, s, &result, err);
	if (kind != LEAT_OK)
		return kind;
	leat_batch_receive(&s->batch, from, to, result);
	count(s, from, to);
	return LEAT_OK;
}

static bool gives_up(const void *context, enum leat_kind kind)
{
	(void)kind;
	return !leat_pg_alive(((const struct attempts *)context)->stream->pg);
}

static bool pause_between(void *context, const struct leat_error *err)
{
	return replay_pause(((struct attempts *)context)->replay, "Postgres", err);
}

static void tell_refused(void *context, const struct leat_batch_row *row, bool deferred, const struct leat_error *err)
{
	struct replay_stream *s = ((struct attempts *)context)->stream;
	replay_note(
		((struct attempts *)context)->replay, "Postgres refuses message %" PRIu64 " of %s: %s", row->msg.seq, s->source->stream, err->text);
	if (!deferred)
		return;
	s->complete = false;
	s->figures->refused++;
}

static enum leat_kind apply_range(struct replay *r, struct replay_stream *s, size_t from, size_t to, struct leat_error *err)
{
	struct attempts attempts = {r, s};
	const struct leat_batch_way way = {&attempts, attempt, gives_up, pause_between, tell_refused};
	return leat_batch_apply(&s->batch, &way, from, to, err);
}

/* Those of `unsettled`, in order; NULL: all. */
static enum leat_kind apply_rows(struct replay *r, struct replay_stream *s, const struct leat_pg_result *unsettled, struct leat_error *err)
{
	struct leat_batch *batch = &s->batch;
	if (unsettled == NULL)
		return apply_range(r, s, 0, batch->count, err);
	size_t next = 0;
	size_t wanted = leat_pg_rows(unsettled);
	s->figures->known += batch->count - wanted;
	s->probe = wanted < batch->count;
	for (size_t i = 0; i < batch->count && next < wanted;) {
		size_t from = i;
		while (i < batch->count && next < wanted && batch->rows[i].msg.seq == (uint64_t)leat_pg_int8(unsettled, next, 0)) {
			i++;
			next++;
		}
		if (i == from)
			i++;
		else if (apply_range(r, s, from, i, err) != LEAT_OK)
			return err->kind;
	}
	return LEAT_OK;
}

/* ---- a batch ---- */

/* Nobody hears a second time what was answered before. */
static void drop_replies(struct replay *r, struct leat_batch *batch)
{
	for (size_t i = 0; i < batch->count; i++) {
		if (batch->rows[i].intent.reply_to != NULL)
			r->report->suppressed_replies++;
		batch->rows[i].intent.reply_to = NULL;
	}
}

static bool is_ordered(const struct replay_stream *s)
{
	return s->source != &leat_entity_source;
}

/* What the lanes decide in stream order begins where everything before it is settled: that holes are behind us, they have to be told. */
static enum leat_kind close_holes(struct replay *r, struct replay_stream *s, struct leat_error *err)
{
	uint64_t last = s->batch.rows[s->batch.count - 1].msg.seq;
	bool holes = last - s->done_seq != s->batch.count;
	if (!is_ordered(s) || !s->complete || (s->told && !holes))
		return LEAT_OK;
	return replay_decide(r, s, holes ? last - 1 : s->done_seq, err);
}

static enum leat_kind try_batch(struct replay *r, struct replay_stream *s, bool settled, struct leat_error *err)
{
	LEAT_PG_RESULT_SCOPED *unsettled = NULL;
	struct leat_batch *batch = &s->batch;
	const struct leat_msg *last = &batch->rows[batch->count - 1].msg;
	if (s->probe && replay_probe(s, &unsettled, err) != LEAT_OK)
		return err->kind;
	if (s->probe && leat_pg_rows(unsettled) == 0)
		return apply_rows(r, s, unsettled, err);
	if (replay_set_mode(s,
			!settled                            ? 0
				: s->source == &leat_run_source ? last->timestamp_ns / 1000
												: ANY_TIME,
			err) != LEAT_OK ||
		close_holes(r, s, err) != LEAT_OK)
		return err->kind;
	return apply_rows(r, s, unsettled, err);
}

static void pass_batch(struct replay_stream *s)
{
	s->done_seq = s->read_seq;
	s->told = is_ordered(s) && s->batch.rows[s->batch.count - 1].msg.seq == s->read_seq;
	s->figures->next_seq = s->read_seq + 1;
	leat_batch_clear(&s->batch);
}

/* Consumers that are at work get as much of the machine as this takes. */
static void be_polite(const struct replay *r, int64_t began_ms)
{
	int64_t took_ms = leat_clock_ms() - began_ms;
	if (r->polite)
		poll(NULL, 0, (int)(took_ms < 1000 ? took_ms : 1000));
}

enum leat_kind replay_apply(struct replay *r, struct replay_stream *s, struct leat_error *err)
{
	if (s->batch.count == 0)
		return LEAT_OK;
	if (r->options->dry_run)
		return replay_plan(r, s, err);
	int64_t began_ms = leat_clock_ms();
	leat_batch_close(&s->batch);
	bool settled = replay_is_settled(s, s->batch.rows[s->batch.count - 1].msg.seq);
	if (settled)
		drop_replies(r, &s->batch);
	while (replay_open_pg(r, s, err) == LEAT_OK) {
		enum leat_kind kind = try_batch(r, s, settled, err);
		if (kind == LEAT_OK) {
			r->backoff.next_ms = 0;
			pass_batch(s);
			r->options->progress(r->options->context, r->report);
			be_polite(r, began_ms);
			return LEAT_OK;
		}
		if (kind == LEAT_PERMANENT && leat_pg_alive(s->pg))
			return kind;
		s->probe = true; /* some of it may be settled by now */
		if (!replay_pause(r, "Postgres", err))
			return LEAT_TEMPORARY;
	}
	return err->kind;
}
