/*
 * The ledger beside the streams: everything up to a durable's ack floor has been settled, so that the ledger knows it. When it ends before
 * the floor, the database is older than that (a backup was restored); when it begins after the stream's first message, it has forgotten
 * what can still be delivered or replayed. When it, or the floor that the database has noted, ends behind the stream, the stream is the
 * older.
 */
#include "doctor.h"

#include <inttypes.h>
#include <string.h>

#define SEQ_BITS 40

/* How far the ledger of the newest epoch goes; parked intents are acknowledged and not in the ledger yet. Index: primary keys. */
static const char reach_sql[] = "select jsonb_build_object('epoch', e.epoch, 'opened_us', (extract(epoch from greatest(e.opened_at, "
								"'epoch')) * 1000000)::bigint, 'reach', greatest("
								"  (select a.position from leat.activity a where a.stream = e.stream order by a.position desc limit 1),"
								"  (select p.position from leat.parked p where p.stream = e.stream order by p.position desc limit 1)),"
								" 'floor', (select f.position from leat.stream_floors f where f.stream = e.stream))"
								" from leat.stream_epochs e where e.stream = $1 order by e.epoch desc limit 1";

static const char known_sql[] = "select to_jsonb(exists (select from leat.activity a where a.stream = $1 and a.position = $2)"
								" or exists (select from leat.parked p where p.stream = $1 and p.position = $2))";

static bool is_known(struct doctor *d, const char *stream, int64_t position)
{
	struct leat_pg_params params = {0};
	leat_pg_bind_text(&params, stream);
	leat_pg_bind_int8(&params, position);
	json_auto_t *found = doctor_query(d, d->pg, known_sql, &params);
	return found == NULL || json_is_true(found);
}

static void tell_behind(struct doctor *d, const char *stream, uint64_t reach, uint64_t floor)
{
	doctor_find(d, DOCTOR_FAULT, "the database ends at message %" PRIu64 " of %s, %" PRIu64 " and all before were acknowledged", reach,
		stream, floor);
	doctor_why(d, "a backup was restored, or this is another database: NATS will not deliver again what is in between");
	doctor_mend(d, "leat replay, before any consumer is started");
}

static void tell_forgotten(struct doctor *d, const char *stream, uint64_t first)
{
	doctor_find(d, DOCTOR_FAULT, "the ledger has forgotten message %" PRIu64 " of %s, which the stream still holds", first, stream);
	doctor_why(
		d, "delivered again, or replayed, it would have its effect a second time in answers and events, and its Leat-Id counts no more");
	doctor_mend(d, "set LEAT_LEDGER_RETENTION_H to the stream's max_age at least, and let nobody else delete from leat.activity");
}

/* The sequence of a position of the newest epoch; 0: it is of an earlier one, or there is none. */
static uint64_t seq_of(const json_t *ledger, const char *member)
{
	int64_t position = doctor_number(ledger, member);
	return position >> SEQ_BITS == doctor_number(ledger, "epoch") ? (uint64_t)(position & ((INT64_C(1) << SEQ_BITS) - 1)) : 0;
}

static json_t *ask_reach(struct doctor *d, const char *stream)
{
	struct leat_pg_params params = {0};
	leat_pg_bind_text(&params, stream);
	return doctor_query(d, d->pg, reach_sql, &params);
}

static void tell_ahead(struct doctor *d, const char *stream, uint64_t reach, uint64_t last)
{
	doctor_find(d, DOCTOR_FAULT, "the database has settled message %" PRIu64 " of %s, which ends at %" PRIu64, reach, stream, last);
	doctor_why(
		d, "the stream was made again, cut back or restored, or this is another NATS: what it stores next has sequences that are taken");
	doctor_mend(d, "leat consume, which opens a new epoch before it takes anything; `leat verify` and `leat replay` can't tell until then");
}

static void tell_floor(struct doctor *d, const char *stream, uint64_t floor, uint64_t last)
{
	doctor_find(d, DOCTOR_FAULT, "the floor that the database has of %s is %" PRIu64 ", the stream ends at %" PRIu64, stream, floor, last);
	doctor_why(
		d, "up to there everything counts as settled: what depends on order is decided early, and a floor never goes back by itself");
	doctor_mend(d, "stop the consumers, DELETE FROM leat.stream_floors WHERE stream = '%s', start them: the lanes note it again", stream);
}

/* The stream is asked last: it has all that the ledger knows by then. */
static void check_end(struct doctor *d, const char *stream)
{
	struct leat_error err;
	struct leat_stream_state state;
	json_auto_t *ledger = ask_reach(d, stream);
	if (ledger == NULL || json_is_null(ledger))
		return;
	if (leat_stream_get_state(d->bus, stream, &state, &err) != LEAT_OK) {
		if (err.code != LEAT_CODE_NOT_FOUND) /* that is told by other checks */
			doctor_skip(d, "%s", err.text);
	} else if (seq_of(ledger, "reach") > state.last_seq) {
		tell_ahead(d, stream, seq_of(ledger, "reach"), state.last_seq);
	} else if (seq_of(ledger, "floor") > state.last_seq) {
		tell_floor(d, stream, seq_of(ledger, "floor"), state.last_seq);
	}
}

static void check_stream(struct doctor *d, const struct doctor_lane *lane)
{
	struct leat_error err;
	struct leat_pull_info info;
	struct leat_stream_state state;
	struct leat_stream_state after;
	char durable[DOCTOR_DURABLE_BYTES];
	doctor_durable_name(d, lane, durable);
	if (leat_durable_get_info(d->bus, lane->stream, durable, &info, &err) != LEAT_OK ||
		leat_stream_get_state(d->bus, lane->stream, &state, &err) != LEAT_OK) {
		if (err.code != LEAT_CODE_NOT_FOUND) /* that is told by other checks */
			doctor_skip(d, "%s", err.text);
		return;
	}
	json_auto_t *ledger = ask_reach(d, lane->stream);
	if (ledger == NULL || info.floor_seq == 0 || info.floor_seq > state.last_seq)
		return;
	int64_t epoch = doctor_number(ledger, "epoch");
	uint64_t reach = seq_of(ledger, "reach");
	if (reach < info.floor_seq) {
		tell_behind(d, lane->stream, reach, info.floor_seq);
		return;
	}
	/* Of an earlier epoch, or not settled yet. */
	if (state.messages == 0 || state.first_seq > info.floor_seq || state.first_ns / 1000 < doctor_number(ledger, "opened_us"))
		return;
	if (is_known(d, lane->stream, epoch << SEQ_BITS | (int64_t)state.first_seq))
		return;
	if (leat_stream_get_state(d->bus, lane->stream, &after, &err) == LEAT_OK && after.first_seq == state.first_seq)
		tell_forgotten(d, lane->stream, state.first_seq);
}

void doctor_check_ledger(struct doctor *d)
{
	for (size_t i = 0; i < DOCTOR_LANES; i++) {
		if (!doctor_lanes[i].ledger)
			continue;
		check_stream(d, &doctor_lanes[i]);
		check_end(d, doctor_lanes[i].stream);
	}
}
