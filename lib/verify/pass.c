/*
 * Which ids a pass is about. The key of an id is the sum of its first and last four bytes: one of them varies in every kind of UUID, and
 * both C and SQL have it at once. The last two digits of the key choose the sample, the rest the pass.
 */
#include "state.h"

#include "leat/clock.h"

#include <inttypes.h>

enum { PERCENT = 100, TELL_EVERY_MS = 200 };

static uint64_t word(const unsigned char *bytes)
{
	return (uint64_t)bytes[0] << 24 | (uint64_t)bytes[1] << 16 | (uint64_t)bytes[2] << 8 | bytes[3];
}

bool verify_in_pass(const struct verify *v, const struct leat_uuid *id)
{
	uint64_t key = word(id->bytes) + word(id->bytes + 12);
	return key % PERCENT < (uint64_t)v->options->sample_percent && key / PERCENT % v->modulus == v->remainder;
}

void verify_pass_sql(const struct verify *v, struct leat_buf *sql, const char *column)
{
	if (v->modulus == 1 && v->options->sample_percent == PERCENT)
		return;
	LEAT_BUF_SCOPED key = LEAT_BUF_INIT;
	leat_buf_printf(&key, "(('x' || left(%s::text, 8))::bit(32)::bigint + ('x' || right(%s::text, 8))::bit(32)::bigint)", column, column);
	leat_buf_printf(sql, " and (%s %% %d < %" PRId64 " and %s / %d %% %" PRIu64 " = %" PRIu64 ")", key.data, PERCENT,
		v->options->sample_percent, key.data, PERCENT, v->modulus, v->remainder);
}

struct part verify_split(struct verify *v)
{
	struct part later = {v->modulus * 2, v->remainder + v->modulus};
	v->modulus *= 2;
	return later;
}

void verify_progress(struct verify *v, const char *doing, const struct source *source, int64_t seq)
{
	if (v->options->progress == NULL || leat_clock_ms() < v->told_ms + TELL_EVERY_MS)
		return;
	v->told_ms = leat_clock_ms();
	v->options->progress(v->options->context,
		&(struct leat_verify_progress){.doing = doing,
			.stream = source != NULL ? verify_stream_name(source->stream) : NULL,
			.seq = seq,
			.last_seq = source != NULL ? (int64_t)source->state.last_seq : 0,
			.facts = v->report->facts,
			.passes = v->report->passes});
}
