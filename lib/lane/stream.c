/*
 * Is a stream still the one that the ledger knows? Design.md section 3, Position.
 *
 * A stream that was made again has another creation time, which Postgres remembers. One that was cut (power loss, restored snapshot) no
 * longer holds the newest message that was settled, or holds another one in its place. Either opens a new epoch before anything is pulled.
 */
#include "lanes.h"

#include "leat/log.h"

#include <inttypes.h>

struct mark {
	uint64_t seq; /* newest settled message of the epoch; 0: none */
	int64_t at_us;
};

static enum leat_kind is_cut(struct leat_bus *bus, const char *stream, const struct leat_stream_state *state, const struct mark *mark,
	bool *cut, struct leat_error *err)
{
	int64_t stored_ns = 0;
	struct leat_stream_state fresh = *state;
	enum leat_kind kind = LEAT_OK;
	if (mark->seq > fresh.last_seq) /* another process may have settled it after the state was read */
		kind = leat_stream_get_state(bus, stream, &fresh, err);
	*cut = mark->seq > fresh.last_seq;
	if (kind != LEAT_OK || *cut || mark->seq == 0)
		return kind;
	kind = leat_stream_get_time(bus, stream, mark->seq, &stored_ns, err);
	if (kind != LEAT_OK) /* no longer held: retention, which is no cut */
		return err->code == LEAT_CODE_NOT_FOUND ? LEAT_OK : kind;
	*cut = stored_ns / 1000 != mark->at_us;
	return LEAT_OK;
}

static enum leat_kind open_epoch(
	struct lane_link *link, const char *stream, const char *durable, int64_t *epoch, const struct mark *mark, struct leat_error *err)
{
	leat_log(LEAT_LOG_WARN, link->lane->type->name,
		"%s no longer holds message %" PRIu64 " as it was settled (power loss, restored stream?): opening epoch %" PRId64, stream,
		mark->seq, *epoch + 1);
	struct leat_pg_params params = {0};
	leat_pg_bind_text(&params, stream);
	leat_pg_bind_int8(&params, *epoch);
	leat_pg_bind_int8(&params, mark->at_us);
	/* First, so that it happens in any case: a durable that was not cut along would pass over the sequences it has seen. */
	enum leat_kind kind = leat_durable_delete(link->bus, stream, durable, err);
	if (kind == LEAT_OK)
		kind = leat_pg_run(link->pg, "stream_was_cut", &params, NULL, err);
	if (kind == LEAT_OK)
		++*epoch;
	return kind;
}

enum leat_kind lane_stream_check(struct lane_link *link, const char *stream, const char *durable, int64_t *epoch, struct leat_error *err)
{
	struct leat_stream_state state;
	enum leat_kind kind = leat_stream_get_state(link->bus, stream, &state, err);
	if (kind != LEAT_OK)
		return kind;

	LEAT_PG_RESULT_SCOPED *known = NULL;
	struct leat_pg_params params = {0};
	leat_pg_bind_text(&params, stream);
	leat_pg_bind_int8(&params, state.created_ns / 1000);
	kind = leat_pg_run(link->pg, "check_stream", &params, &known, err);
	if (kind != LEAT_OK)
		return kind;
	*epoch = leat_pg_int8(known, 0, 0);

	bool cut = false;
	const struct mark mark = {.seq = (uint64_t)leat_pg_int8(known, 0, 1), .at_us = leat_pg_int8(known, 0, 2)};
	kind = is_cut(link->bus, stream, &state, &mark, &cut, err);
	return kind == LEAT_OK && cut ? open_epoch(link, stream, durable, epoch, &mark, err) : kind;
}
