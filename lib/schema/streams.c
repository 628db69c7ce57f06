/* The streams of design.md section 3: which subjects each takes, and how long it keeps what. */
#include "leat/schema.h"

#include <assert.h>

#define MS_PER_MIN INT64_C(60000)
#define MS_PER_H INT64_C(3600000)
#define INTENT_DUPLICATES_MS 100 /* the least that the server allows: an id of one tenant could swallow another's message */
#define OUTBOX_DUPLICATES_MS 120000
#define EVENTS_PER_SUBJECT 100

#define INTENTS(noun_verb) "leat.intent.*.*." noun_verb, "leat.redrive.*.*." noun_verb

static int64_t at_most(int64_t value, int64_t limit)
{
	return value < limit ? value : limit;
}

void leat_schema_streams(const struct leat_params *params, struct leat_stream_config out[LEAT_STREAMS])
{
	int64_t intents_ms = params->retention_h * MS_PER_H;
	int64_t events_ms = params->event_retention_min * MS_PER_MIN;
	const struct leat_stream_config streams[] = {
		{
			.name = "LEAT_ENTITY",
			.subjects = {INTENTS("entity.*")},
			.max_age_ms = intents_ms,
			.duplicates_ms = INTENT_DUPLICATES_MS,
		},
		{
			.name = "LEAT_CONTROL",
			.subjects = {INTENTS("workflow.*"), INTENTS("interaction.*"), INTENTS("member.*")},
			.max_age_ms = intents_ms,
			.duplicates_ms = INTENT_DUPLICATES_MS,
		},
		{
			.name = "LEAT_RUN",
			.subjects = {INTENTS("run.start"), INTENTS("run.node"), INTENTS("run.retry"), INTENTS("run.cancel")},
			.max_age_ms = intents_ms,
			.duplicates_ms = INTENT_DUPLICATES_MS,
		},
		{
			.name = "LEAT_WORK",
			.subjects = {"leat.intent.*.*.run.resume"},
			.work_queue = true,
			.max_age_ms = intents_ms,
			.duplicates_ms = INTENT_DUPLICATES_MS,
		},
		{
			.name = "LEAT_EVENTS",
			.subjects = {"leat.event.>"},
			.max_age_ms = events_ms,
			.duplicates_ms = at_most(OUTBOX_DUPLICATES_MS, events_ms),
			.max_msgs_per_subject = EVENTS_PER_SUBJECT,
		},
		{
			.name = "LEAT_DEAD",
			.subjects = {"leat.dead.>"},
			.max_age_ms = params->dead_retention_h * MS_PER_H,
			.duplicates_ms = OUTBOX_DUPLICATES_MS,
		},
	};
	static_assert(sizeof streams / sizeof *streams == LEAT_STREAMS, "as many as the header says");
	for (size_t i = 0; i < LEAT_STREAMS; i++) {
		out[i] = streams[i];
		out[i].replicas = params->replicas;
	}
}

enum leat_kind leat_schema_ensure_streams(
	struct leat_bus *bus, const struct leat_params *params, struct leat_buf *report, struct leat_error *err)
{
	struct leat_stream_config streams[LEAT_STREAMS];
	leat_schema_streams(params, streams);
	for (size_t i = 0; i < LEAT_STREAMS; i++) {
		if (leat_stream_ensure(bus, &streams[i], report, err) != LEAT_OK)
			return err->kind;
	}
	return LEAT_OK;
}
