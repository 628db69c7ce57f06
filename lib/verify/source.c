/*
 * What a stream is: its state, its floor, its epochs.
 *
 * The floor is the higher of two that are both safe: what the durable of the queue group acknowledges, asked before the snapshot is taken,
 * since a message is acknowledged after the commit that settles it; and what the snapshot itself has noted. A stream that was deleted and
 * made again since a consumer last looked opens an epoch of its own here, as it will there: its messages are not those that the ledger
 * settled.
 */
#include "state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *verify_stream_name(enum verify_stream stream)
{
	static const char *const names[] = {"LEAT_CONTROL", "LEAT_ENTITY", "LEAT_RUN"};
	return names[stream];
}

static const char *const lanes[] = {"control", "entity", "run"};

enum leat_kind source_look(struct verify *v, enum verify_stream stream, struct leat_error *err)
{
	struct source *source = &v->sources[stream];
	*source = (struct source){.stream = stream};
	enum leat_kind kind = leat_stream_get_state(v->bus, verify_stream_name(stream), &source->state, err);
	if (kind != LEAT_OK && err->code == LEAT_CODE_NOT_FOUND) {
		verify_doubt(v, "%s: there is no such stream; run `leat migrate`", verify_stream_name(stream));
		return LEAT_OK;
	}
	if (kind != LEAT_OK)
		return kind;
	source->exists = true;
	char durable[LEAT_QUEUE_GROUP_BYTES + sizeof "-control"];
	snprintf(durable, sizeof durable, "%s-%s", v->options->params->queue_group, lanes[stream]);
	struct leat_pull_info info;
	kind = leat_durable_get_info(v->bus, verify_stream_name(stream), durable, &info, err);
	if (kind == LEAT_OK)
		source->floor = (int64_t)info.floor_seq; /* a sequence so far: the epochs are not known yet */
	else if (err->code != LEAT_CODE_NOT_FOUND)
		return kind;
	return LEAT_OK;
}

static void add_epoch(struct source *source, struct epoch epoch)
{
	source->epochs = leat_realloc(source->epochs, (source->epoch_count + 1) * sizeof *source->epochs);
	source->epochs[source->epoch_count++] = epoch;
}

enum leat_kind source_load(struct verify *v, enum verify_stream stream, struct leat_error *err)
{
	struct source *source = &v->sources[stream];
	LEAT_PG_RESULT_SCOPED *epochs = NULL;
	LEAT_PG_RESULT_SCOPED *noted = NULL;
	struct leat_pg_params params = {0};
	leat_pg_bind_text(&params, verify_stream_name(stream));
	if (leat_pg_run_once(v->pg,
			"select e.epoch, case when isfinite(e.opened_at) then (extract(epoch from e.opened_at) * 1000000)::bigint end, e.first_seq, "
			"(extract(epoch from e.stream_created_at) * 1000000)::bigint from leat.stream_epochs e where e.stream = $1 order by e.epoch",
			&params, &epochs, err) != LEAT_OK ||
		leat_pg_run_once(
			v->pg, "select coalesce(max(f.position), 0) from leat.stream_floors f where f.stream = $1", &params, &noted, err) != LEAT_OK)
		return err->kind;

	int64_t created_us = 0;
	for (size_t i = 0; i < leat_pg_rows(epochs); i++) {
		bool timed = leat_pg_text(epochs, i, 1) != NULL;
		add_epoch(
			source, (struct epoch){leat_pg_int8(epochs, i, 0), timed ? leat_pg_int8(epochs, i, 1) : INT64_MIN, leat_pg_int8(epochs, i, 2)});
		created_us = leat_pg_text(epochs, i, 3) != NULL ? leat_pg_int8(epochs, i, 3) : 0;
	}
	if (source->epoch_count == 0)
		add_epoch(source, (struct epoch){0, INT64_MIN, 1});
	if (source->epochs[0].first_seq == 0)
		source->epochs[0].first_seq = 1;

	int64_t current = source->epochs[source->epoch_count - 1].number;
	if (source->exists && created_us != 0 && created_us < source->state.created_ns / 1000) {
		verify_doubt(v, "%s: was deleted and made again, and no consumer has looked at it since", verify_stream_name(stream));
		add_epoch(source, (struct epoch){current + 1, source->state.created_ns / 1000, 1});
		source->floor = 0;
	} else if (source->floor > 0) {
		source->floor = source->floor >= source->epochs[source->epoch_count - 1].first_seq ? current << EPOCH_BITS | source->floor : 0;
	}
	if (leat_pg_int8(noted, 0, 0) > source->floor)
		source->floor = leat_pg_int8(noted, 0, 0);
	return LEAT_OK;
}

void source_fini(struct source *source)
{
	free(source->epochs);
	ranges_free(&source->lost);
	ranges_free(&source->holes);
	ranges_free(&source->told);
	*source = (struct source){0};
}

int64_t source_position(const struct source *source, int64_t seq, int64_t at_us)
{
	size_t i = source->epoch_count - 1;
	while (i > 0 && source->epochs[i].opened_us > at_us)
		i--;
	return source->epochs[i].number << EPOCH_BITS | seq;
}
