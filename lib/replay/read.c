/*
 * The streams merged by time. Each has a message in its head, or has ended; the oldest is next, and of equal ones that of the stream that
 * comes first in enum leat_replay_stream.
 *
 * A stream without a message in its head holds up the others: what comes may be older. Messages of other subjects, and what the stream no
 * longer holds, are passed over here.
 */
#include "internal.h"

#include <inttypes.h>

#define GLANCE_MS 200
#define GAPS_TOLD 10 /* of each stream; the report has the sum of all */

/* Nothing up to `seq` is to be applied: what the stream does not hold, or, where `left_out`, other subjects. */
static void pass_over(struct replay_stream *s, uint64_t seq, bool left_out)
{
	s->read_seq = seq;
	if (left_out && !replay_is_passed(s, seq))
		s->complete = false;
	if (s->batch.count > 0)
		return;
	s->done_seq = seq;
	s->figures->next_seq = seq + 1;
	s->told = false;
}

static bool is_too_late(const struct replay *r, const struct leat_msg *msg)
{
	return r->options->until_ns > 0 && msg->timestamp_ns >= r->options->until_ns;
}

static void take(struct replay *r, struct replay_stream *s, struct leat_msg *msg)
{
	const char *wanted = r->options->subject;
	if (is_too_late(r, msg)) {
		s->ended = true;
		s->figures->end_seq = msg->seq - 1;
	} else if (wanted == NULL || leat_subject_matches(wanted, msg->subject)) {
		s->head = *msg;
		return;
	} else {
		s->figures->left_out++;
		pass_over(s, msg->seq, true);
	}
	leat_msg_free(msg);
}

static enum leat_kind fill_head(struct replay *r, struct replay_stream *s, struct leat_error *err)
{
	while (s->head.handle == NULL && !s->ended && !replay_stopped(r)) {
		struct leat_reading reading;
		switch (leat_reader_next(s->reader, GLANCE_MS, &reading, err)) {
		case LEAT_READ_MESSAGE:
			take(r, s, &reading.msg);
			r->backoff.next_ms = 0;
			break;
		case LEAT_READ_GONE:
			if (s->figures->gaps++ < GAPS_TOLD)
				replay_note(
					r, "%s %" PRIu64 "..%" PRIu64 " are gone from the stream", s->source->stream, reading.first_seq, reading.last_seq);
			s->figures->gone += reading.last_seq - reading.first_seq + 1;
			pass_over(s, reading.last_seq, false);
			break;
		case LEAT_READ_END:
			s->ended = true;
			break;
		case LEAT_READ_WAIT:
			if (leat_bus_closed(r->bus))
				return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INTERNAL, "NATS refuses the login by now");
			if (err->text[0] != '\0')
				replay_pause(r, "NATS", err);
			break;
		case LEAT_READ_FAILED:
			return err->kind;
		}
		r->options->progress(r->options->context, r->report);
	}
	return LEAT_OK;
}

enum leat_kind replay_read(struct replay *r, struct replay_stream **next, struct leat_error *err)
{
	*next = NULL;
	for (size_t i = 0; i < LEAT_REPLAY_STREAMS; i++) {
		struct replay_stream *s = &r->streams[i];
		if (s->source == NULL)
			continue;
		if (fill_head(r, s, err) != LEAT_OK)
			return err->kind;
		if (s->head.handle != NULL && (*next == NULL || s->head.timestamp_ns < (*next)->head.timestamp_ns))
			*next = s;
	}
	if (replay_stopped(r))
		*next = NULL;
	return LEAT_OK;
}
