/*
 * The replay's loop: the next message by time goes into its stream's batch, and a batch is applied when it is full or something else has
 * its turn. The header tells the order that is kept, and what happens when a server is away.
 */
#include "internal.h"

#include <stdlib.h>

static const struct leat_source *const sources[] = {
	[LEAT_REPLAY_CONTROL] = &leat_control_source,
	[LEAT_REPLAY_ENTITY] = &leat_entity_source,
	[LEAT_REPLAY_RUN] = &leat_run_source,
};

const char *leat_replay_stream_name(enum leat_replay_stream stream)
{
	return sources[stream]->stream;
}

/* ---- whose turn it is ---- */

/* The floor moves on while a replay does, or entities would remember all their upserts; and an intent that is parked may have its turn. */
static enum leat_kind look_at_floor(struct replay *r, struct replay_stream *s, struct leat_error *err)
{
	if (r->options->dry_run || !s->complete || s->left + (s->told ? 0 : 1) == 0 ||
		leat_clock_ms() < s->decided_ms + r->params->floor_check_ms)
		return LEAT_OK;
	enum leat_kind kind = replay_decide(r, s, s->done_seq, err);
	if (kind == LEAT_OK)
		kind = replay_count_suppressed(r, s, err);
	return kind == LEAT_PERMANENT ? kind : LEAT_OK; /* a lost connection is noticed by the next batch */
}

static enum leat_kind apply(struct replay *r, struct replay_stream *s, struct leat_error *err)
{
	bool any = s->batch.count > 0;
	if (replay_apply(r, s, err) != LEAT_OK)
		return err->kind;
	return any ? look_at_floor(r, s, err) : LEAT_OK;
}

/*
 * Runs and what they depend on keep their order. A run that waits for its workflow has its turn before anything later has, and after every
 * single message that might bring the workflow.
 */
static enum leat_kind give_way(struct replay *r, struct replay_stream *s, struct leat_error *err)
{
	struct replay_stream *control = &r->streams[LEAT_REPLAY_CONTROL];
	struct replay_stream *run = &r->streams[LEAT_REPLAY_RUN];
	if (s == control) {
		if (apply(r, run, err) != LEAT_OK)
			return err->kind;
		return replay_decide_waiting(r, s->head.timestamp_ns / 1000, err);
	}
	if (s == run &&
		(apply(r, control, err) != LEAT_OK ||
			(run->batch.count == 0 && replay_decide_waiting(r, s->head.timestamp_ns / 1000, err) != LEAT_OK)))
		return err->kind;
	return LEAT_OK;
}

static enum leat_kind take(struct replay *r, struct replay_stream *s, struct leat_error *err)
{
	struct leat_batch *batch = &s->batch;
	s->taken_ns = s->head.timestamp_ns;
	s->read_seq = s->head.seq;
	if (give_way(r, s, err) != LEAT_OK)
		return err->kind;
	if (batch->count > 0 && replay_is_settled(s, batch->rows[0].msg.seq) != replay_is_settled(s, s->head.seq) &&
		apply(r, s, err) != LEAT_OK)
		return err->kind;
	bool alone = s->which == LEAT_REPLAY_CONTROL && r->streams[LEAT_REPLAY_RUN].left > 0;
	leat_batch_add(batch, &s->head);
	if ((alone || leat_batch_full(batch)) && apply(r, s, err) != LEAT_OK)
		return err->kind;
	return alone ? replay_decide_waiting(r, s->taken_ns / 1000, err) : LEAT_OK;
}

/* ---- from the beginning to the end ---- */

static enum leat_kind run(struct replay *r, struct leat_error *err)
{
	if (replay_open(r, err) != LEAT_OK)
		return err->kind;
	for (;;) {
		struct replay_stream *next;
		if (replay_read(r, &next, err) != LEAT_OK || (next != NULL && take(r, next, err) != LEAT_OK))
			return err->kind;
		if (next == NULL)
			break;
	}
	for (size_t i = 0; i < LEAT_REPLAY_STREAMS; i++) {
		if (!replay_stopped(r) && apply(r, &r->streams[i], err) != LEAT_OK)
			return err->kind;
	}
	return replay_stopped(r) || r->options->dry_run ? LEAT_OK : replay_decide_rest(r, err);
}

/* Of a stream, the first message that is not applied, or the last that is: the reader has not said yet what follows it. */
static int64_t next_ns_of(const struct replay_stream *s)
{
	if (s->batch.count > 0)
		return s->batch.rows[0].msg.timestamp_ns;
	return s->head.handle != NULL ? s->head.timestamp_ns : s->taken_ns;
}

/* Everything stored before it is applied; 0: nobody can tell. */
static int64_t next_ns(const struct replay *r)
{
	int64_t oldest_ns = INT64_MAX;
	for (size_t i = 0; i < LEAT_REPLAY_STREAMS; i++) {
		const struct replay_stream *s = &r->streams[i];
		if (s->source != NULL && !(s->ended && s->batch.count == 0 && s->head.handle == NULL) && next_ns_of(s) < oldest_ns)
			oldest_ns = next_ns_of(s);
	}
	return oldest_ns < INT64_MAX ? oldest_ns : 0;
}

static void begin(
	struct replay *r, const struct leat_params *params, const struct leat_replay_options *options, struct leat_replay_report *report)
{
	*report = (struct leat_replay_report){0};
	*r = (struct replay){
		.params = params,
		.options = options,
		.report = report,
		.backoff = {.first_ms = params->retry_first_ms, .limit_ms = params->retry_limit_ms},
	};
	for (size_t i = 0; i < LEAT_REPLAY_STREAMS; i++) {
		struct replay_stream *s = &r->streams[i];
		s->which = (enum leat_replay_stream)i;
		s->source = options->streams[i] ? sources[i] : NULL;
		s->figures = &report->streams[i];
		s->probe = true;
		s->mode = -1;
		leat_batch_init(&s->batch, params, sources[i]->stream);
	}
}

static void end(struct replay *r)
{
	for (size_t i = 0; i < LEAT_REPLAY_STREAMS; i++) {
		struct replay_stream *s = &r->streams[i];
		leat_reader_close(s->reader);
		leat_msg_free(&s->head);
		leat_batch_fini(&s->batch);
		replay_close_pg(s);
	}
	leat_bus_close(r->bus);
}

enum leat_kind leat_replay(
	const struct leat_params *params, const struct leat_replay_options *options, struct leat_replay_report *report, struct leat_error *err)
{
	struct replay r;
	begin(&r, params, options, report);
	enum leat_kind kind = run(&r, err);
	report->stopped = replay_stopped(&r);
	report->next_ns = next_ns(&r);
	if (report->stopped && kind == LEAT_TEMPORARY)
		kind = LEAT_OK;
	end(&r);
	return kind;
}

void leat_replay_report_fini(struct leat_replay_report *report)
{
	free(report->plans);
	*report = (struct leat_replay_report){0};
}
