/*
 * Is a stream still the one that the ledger knows? Design.md section 3, Position.
 *
 * A stream that was made again has another creation time, which Postgres remembers. One that was cut (power loss, restored snapshot) no
 * longer holds the newest message that was settled, or holds another one in its place. Either opens a new epoch before anything is pulled.
 */
#include "lanes.h"

#include "leat/log.h"

#include <inttypes.h>

static enum leat_kind look_for_cut(
	const char *stream, struct leat_bus *bus, const struct leat_stream_state *state, struct leat_source_mark *mark, struct leat_error *err)
{
	int64_t stored_ns = 0;
	struct leat_stream_state fresh = *state;
	enum leat_kind kind = LEAT_OK;
	if (mark->last_seq > fresh.last_seq) /* another process may have settled it after the state was read */
		kind = leat_stream_get_state(bus, stream, &fresh, err);
	mark->cut = mark->last_seq > fresh.last_seq;
	if (kind != LEAT_OK || mark->cut || mark->last_seq == 0)
		return kind;
	kind = leat_stream_get_time(bus, stream, mark->last_seq, &stored_ns, err);
	if (kind != LEAT_OK) /* no longer held: retention, which is no cut */
		return err->code == LEAT_CODE_NOT_FOUND ? LEAT_OK : kind;
	mark->cut = stored_ns / 1000 != mark->last_us;
	return LEAT_OK;
}

enum leat_kind leat_source_check(
	const struct leat_source *source, struct leat_bus *bus, struct leat_pg *pg, struct leat_source_mark *out, struct leat_error *err)
{
	struct leat_stream_state state;
	enum leat_kind kind = leat_stream_get_state(bus, source->stream, &state, err);
	if (kind != LEAT_OK)
		return kind;

	LEAT_PG_RESULT_SCOPED *known = NULL;
	struct leat_pg_params params = {0};
	leat_pg_bind_text(&params, source->stream);
	leat_pg_bind_int8(&params, state.created_ns / 1000);
	kind = leat_pg_run(pg, "check_stream", &params, &known, err);
	if (kind != LEAT_OK)
		return kind;
	*out = (struct leat_source_mark){
		.epoch = leat_pg_int8(known, 0, 0),
		.last_seq = (uint64_t)leat_pg_int8(known, 0, 1),
		.last_us = leat_pg_int8(known, 0, 2),
	};
	return look_for_cut(source->stream, bus, &state, out, err);
}

static enum leat_kind open_epoch(struct lane_link *link, const struct leat_source *source, const char *durable,
	const struct leat_source_mark *mark, struct leat_error *err)
{
	leat_log(LEAT_LOG_WARN, link->lane->type->name,
		"%s no longer holds message %" PRIu64 " as it was settled (power loss, restored stream?): opening epoch %" PRId64, source->stream,
		mark->last_seq, mark->epoch + 1);
	struct leat_pg_params params = {0};
	leat_pg_bind_text(&params, source->stream);
	leat_pg_bind_int8(&params, mark->epoch);
	leat_pg_bind_int8(&params, mark->last_us);
	/* First, so that it happens in any case: a durable that was not cut along would pass over the sequences it has seen. */
	enum leat_kind kind = leat_durable_delete(link->bus, source->stream, durable, err);
	return kind == LEAT_OK ? leat_pg_run(link->pg, "stream_was_cut", &params, NULL, err) : kind;
}

enum leat_kind lane_stream_check(
	struct lane_link *link, const struct leat_source *source, const char *durable, int64_t *epoch, struct leat_error *err)
{
	struct leat_source_mark mark;
	enum leat_kind kind = leat_source_check(source, link->bus, link->pg, &mark, err);
	if (kind != LEAT_OK)
		return kind;
	*epoch = mark.cut ? mark.epoch + 1 : mark.epoch;
	return mark.cut ? open_epoch(link, source, durable, &mark, err) : LEAT_OK;
}
