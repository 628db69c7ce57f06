/*
 * From a stream and its ledger to facts: two readers, both in order of position, side by side.
 *
 * Happy path: each row of the ledger has its message, known by position and time, and says what it says (columns.c); those that were
 * applied become facts. A row without a message: what it wrote can't be folded; cover.c says whether that matters. A message without a row:
 * above the floor it is not settled yet, at or below it is a hole, which is reported, and folded as if it had been applied. Fails when one
 * of the servers is away for long.
 */
#include "state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WAIT_MS = 1000, MOST_WAITS = 30, DOUBTS = 8 };

typedef void feed_fact(struct verify *v, const struct verify_fact *fact, void *context);

struct merge {
	struct verify *v;
	struct source *source;
	feed_fact *feed;
	void *context;
	struct ledger ledger;
	struct cover cover;
	struct leat_reader *reader;
	bool has_message;
	bool has_row;
	struct leat_reading reading;
	int64_t position; /* of the message */
	int64_t last;     /* of the one before */
	struct ranges replaced;
	struct changed {
		int64_t position; /* 0: none */
		int64_t found_us;
		int64_t expected_us;
	} changed;             /* the newest of those, until it is known why */
	struct ranges retimed; /* of those, what is the same message and has another time in the ledger */
};

/* ---- reading ---- */

/* A message that stands before others of an older time breaks the order that positions rest on: it is passed over, and said. */
static bool is_in_order(struct merge *m)
{
	int64_t at_us = m->reading.msg.timestamp_ns / 1000;
	m->position = source_position(m->source, (int64_t)m->reading.msg.seq, at_us);
	if (m->position > m->last) {
		m->last = m->position;
		return true;
	}
	verify_doubt(m->v, "%s: message %" PRIu64 " is older than the one before it; the clocks of the NATS servers must agree",
		verify_stream_name(m->source->stream), m->reading.msg.seq);
	return false;
}

static enum leat_kind next_message(struct merge *m, struct leat_error *err)
{
	const char *stream = verify_stream_name(m->source->stream);
	for (int waits = 0; m->reader != NULL && waits < MOST_WAITS;) {
		switch (leat_reader_next(m->reader, WAIT_MS, &m->reading, err)) {
		case LEAT_READ_MESSAGE:
			waits = 0;
			m->has_message = is_in_order(m);
			if (m->has_message && m->position > m->source->base)
				return LEAT_OK;
			m->has_message = false;
			leat_msg_free(&m->reading.msg);
			break;
		case LEAT_READ_GONE:
			break; /* seen by cover.c */
		case LEAT_READ_WAIT:
			waits++;
			break;
		case LEAT_READ_FAILED:
			if (err->code != LEAT_CODE_CONFLICT && err->code != LEAT_CODE_NOT_FOUND)
				return leat_fail_while(err, "%s", stream);
			verify_doubt(m->v, "%s: changed while it was read: %s", stream, err->text);
			return LEAT_OK;
		case LEAT_READ_END:
			return LEAT_OK;
		}
	}
	return m->reader == NULL ? LEAT_OK : leat_fail(err, LEAT_TEMPORARY, LEAT_CODE_NONE, "%s: nothing came for %d s", stream, MOST_WAITS);
}

static enum leat_kind next_row(struct merge *m, struct leat_error *err)
{
	enum leat_kind kind = ledger_next(&m->ledger, err);
	m->has_row = kind == LEAT_OK && !m->ledger.ended;
	return kind;
}

/* ---- facts ---- */

static void report_hole(struct merge *m, const struct leat_intent *intent, const struct leat_error *err)
{
	char explanation[200];
	char id[LEAT_UUID_TEXT_BYTES] = "";
	snprintf(explanation, sizeof explanation, "%.*s.%.*s is below the floor and not in the ledger%s%.80s", (int)intent->subject.noun_bytes,
		intent->subject.noun, (int)intent->subject.verb_bytes, intent->subject.verb, err != NULL ? "; it reads: " : "",
		err != NULL ? err->text : "");
	if (intent->type != NULL && intent->target_count == 0)
		leat_uuid_format(&intent->target, id);
	verify_report(m->v,
		&(struct verify_finding){.kind = LEAT_VERIFY_HOLE,
			.stream = m->source->stream,
			.noun = "ledger",
			.tenant = intent->subject.routable ? &intent->subject.tenant : NULL,
			.id = *id != '\0' ? id : NULL,
			.position = m->position,
			.explanation = explanation});
}

static int64_t write_position(const struct merge *m, const struct leat_json *detail)
{
	if (m->source->stream != VERIFY_ENTITY || detail->type == LEAT_JSON_NONE || verify_json_member(detail, "now").type != LEAT_JSON_NONE)
		return m->position;
	struct leat_json origin = verify_json_member(detail, "origin_position");
	return origin.type == LEAT_JSON_NUMBER ? strtoll(origin.source.at, NULL, 10) : m->position;
}

/* The message at hand, with the row at hand, unless that is a hole. */
static void take(struct merge *m, bool hole)
{
	struct leat_error err;
	const struct leat_msg *msg = &m->reading.msg;
	const struct leat_raw_intent raw = {
		.subject = msg->subject,
		.body = msg->data,
		.body_bytes = msg->data_bytes,
		.id = leat_msg_header(msg, "Leat-Id"),
		.actor = leat_msg_header(msg, "Leat-Actor"),
		.traceparent = leat_msg_header(msg, "traceparent"),
	};
	struct leat_intent intent;
	enum leat_kind kind = leat_intent_decode(&intent, &raw, m->v->options->params, &err);
	if (hole && !m->v->again)
		report_hole(m, &intent, kind == LEAT_OK ? NULL : &err);
	if (hole)
		ranges_add(&m->source->holes, m->position, m->position);
	if (!hole && !m->v->again)
		columns_compare(m->v, m->source, &m->ledger, &intent, msg->subject, kind == LEAT_OK);
	if (!hole && m->ledger.outcome != LEDGER_APPLIED) {
		leat_intent_fini(&intent);
		return;
	}
	if (kind == LEAT_OK && !(hole && intent.subject.redrive)) {
		struct verify_fact fact = {.stream = m->source->stream,
			.position = m->position,
			.write_position = m->position,
			.at_us = msg->timestamp_ns / 1000,
			.intent = &intent,
			.body = msg->data,
			.body_bytes = msg->data_bytes,
			.hole = hole};
		if (!hole && m->ledger.detail != NULL) {
			fact.detail = verify_json(m->ledger.detail, strlen(m->ledger.detail));
			fact.write_position = write_position(m, &fact.detail);
		}
		m->feed(m->v, &fact, m->context);
	} else if (!hole) {
		verify_doubt(m->v, "%s: message %" PRIu64 " was applied, and can't be understood with the settings of this process: %s",
			verify_stream_name(m->source->stream), msg->seq, err.text);
	}
	leat_intent_fini(&intent);
}

/* Another message than the one that was settled, or its row has another time. */
static void note_changed(struct merge *m, int64_t position)
{
	ranges_add(&m->replaced, position, position);
	m->changed = (struct changed){position, m->ledger.at_us, m->reading.msg.timestamp_ns / 1000};
}

/* A message that is the same, behind such a one: so that one was not replaced, and the newest of a row of them is named. */
static void judge_changed(struct merge *m, int64_t position)
{
	if (m->changed.position == 0)
		return;
	if (EPOCH_OF(m->changed.position) == EPOCH_OF(position)) {
		ranges_add(&m->retimed, m->changed.position, m->changed.position);
		if (!m->v->again)
			columns_report_time(m->v, m->source, m->changed.position, m->changed.found_us, m->changed.expected_us);
	}
	m->changed.position = 0;
}

/* The one of the two that comes first, or both. */
static enum leat_kind step(struct merge *m, struct leat_error *err)
{
	bool message = m->has_message && (!m->has_row || m->position <= m->ledger.position);
	bool row = m->has_row && (!m->has_message || m->ledger.position <= m->position);
	bool same = message && row && m->reading.msg.timestamp_ns / 1000 == m->ledger.at_us;
	bool needed = row && m->ledger.outcome == LEDGER_APPLIED;
	int64_t position = message ? m->position : m->ledger.position;
	if (message && row && !same)
		note_changed(m, position);
	if (same)
		judge_changed(m, position);
	cover_step(&m->cover, position, same || (message && !row), row, needed);
	enum leat_kind kind = LEAT_OK;
	bool told = m->v->again || m->ledger.outcome == LEDGER_PARKED;
	if (same ? needed || !told : message && !row && position <= m->source->floor)
		take(m, !same);
	verify_progress(m->v, "reading", m->source, SEQ_OF(position));
	if (message) {
		m->has_message = false;
		leat_msg_free(&m->reading.msg);
		if (kind == LEAT_OK)
			kind = next_message(m, err);
	}
	if (row && kind == LEAT_OK)
		kind = next_row(m, err);
	return kind;
}

/* ---- what is lost ---- */

static void explain_lost(const struct merge *m, const struct range *range)
{
	struct verify *v = m->v;
	const struct source *source = m->source;
	const char *name = verify_stream_name(source->stream);
	int64_t first = SEQ_OF(range->first);
	int64_t last = SEQ_OF(range->last);
	int64_t current = source->epochs[source->epoch_count - 1].number;
	if (ranges_hold(&m->retimed, range->last))
		verify_doubt(v, "%s: the ledger has other times of %" PRId64 "..%" PRId64 " than their messages; what those wrote is left out",
			name, first, last);
	else if (ranges_hold(&m->replaced, range->first) || ranges_hold(&m->replaced, range->last))
		verify_doubt(v,
			"%s: %" PRId64 "..%" PRId64 " are other messages by now than those that were settled: the stream was made again or restored",
			name, first, last);
	else if (EPOCH_OF(range->first) < current)
		verify_doubt(v, "%s: %" PRId64 "..%" PRId64 " were settled from a stream that was deleted or cut back since (epoch %" PRId64 ")",
			name, first, last, EPOCH_OF(range->first));
	else if (!source->exists || (uint64_t)first > source->state.last_seq)
		verify_doubt(v, "%s: the database is ahead of the stream: it settled %" PRId64 "..%" PRId64 ", the stream ends at %" PRIu64, name,
			first, last, source->state.last_seq);
	else if ((uint64_t)last < source->state.first_seq || (uint64_t)first < source->state.first_seq)
		verify_doubt(v,
			"%s: %" PRId64 "..%" PRId64 " are gone: the stream keeps what is younger, and begins at %" PRIu64
			"; go on from a baseline (`leat baseline`)",
			name, first, last, source->state.first_seq);
	else
		verify_doubt(v, "%s: %" PRId64 "..%" PRId64 " are gone from the middle of the stream", name, first, last);
}

static void explain(struct merge *m)
{
	const struct ranges *lost = &m->source->lost;
	for (size_t i = 0; i < lost->count && i < DOUBTS; i++)
		explain_lost(m, &lost->list[i]);
	if (lost->count > DOUBTS)
		verify_doubt(m->v, "%s: and %zu more ranges are gone", verify_stream_name(m->source->stream), lost->count - DOUBTS);
}

enum leat_kind facts_read(struct verify *v, struct source *source, feed_fact *feed, void *context, struct leat_error *err)
{
	struct merge m = {.v = v, .source = source, .feed = feed, .context = context};
	ranges_free(&source->lost);
	ranges_free(&source->holes);
	ledger_open(&m.ledger, v->ledger_pg, verify_stream_name(source->stream), source->base);
	cover_init(&m.cover, source->epochs, source->epoch_count, source->base, &source->lost);
	bool one_epoch = EPOCH_OF(source->base) == source->epochs[source->epoch_count - 1].number;
	enum leat_kind kind = LEAT_OK;
	if (source->exists)
		kind = leat_reader_open(
			&m.reader, v->bus, verify_stream_name(source->stream), one_epoch ? (uint64_t)SEQ_OF(source->base) + 1 : 0, 0, err);
	if (kind == LEAT_OK)
		kind = next_row(&m, err);
	if (kind == LEAT_OK)
		kind = next_message(&m, err);
	while (kind == LEAT_OK && (m.has_row || (m.has_message && m.position <= source->floor)))
		kind = step(&m, err);
	if (kind == LEAT_OK)
		explain(&m);
	if (m.has_message)
		leat_msg_free(&m.reading.msg);
	leat_reader_close(m.reader);
	cover_fini(&m.cover);
	ledger_close(&m.ledger);
	ranges_free(&m.replaced);
	ranges_free(&m.retimed);
	return kind;
}
