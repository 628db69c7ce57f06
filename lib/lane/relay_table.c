/* The relay and its table: the lock, fetching, settling, and keeping both the table and the part of it that is looked at small. */
#include "relay.h"

/* Of leat.fetch_outbox. */
enum { COLUMN_SEQ = 0, COLUMN_APART = 9 };

enum { RAISE_ROWS = 1000, RAISE_MS = 20 };

/* The answer to a fetch shows that the lock was held when it was asked for; so much later, another may hold it. */
enum { HOLD_MS = 60000 };

/* What an empty table may keep: under load, where it is empty for moments, and in peace. */
#define KEEP_BUSY_BYTES (INT64_C(16) << 20)
#define KEEP_IDLE_BYTES (INT64_C(1) << 20)

static const struct leat_pg_statement statements[] = {
	{"lock", "select pg_try_advisory_lock(hashtext('leat.relay'), 0)"},
	{"fall_asleep", "select pg_try_advisory_lock(hashtext('leat.relay'), 1)"},
	{"wake", "select pg_advisory_unlock(hashtext('leat.relay'), 1)"},
	{"fetch", "select * from leat.fetch_outbox($1::bigint, $2::integer, $3::bigint)"},
	{"apart", "select leat.take_bundles_apart($1)"},
	{"sent", "select leat.outbox_sent($1)"},
	{"refused", "select leat.outbox_refused($1)"},
	{"floor", "select * from leat.outbox_floor($1::bigint, $2::bigint, $3::text[])"},
	{"shrink", "select leat.shrink_outbox($1::bigint)"},
};

/* Always by the index: what is known of this table's size was true a while ago. */
static const char settings_sql[] = "set plan_cache_mode = force_generic_plan; set enable_seqscan = off; set enable_bitmapscan = off;"
								   " set enable_sort = off; set jit = off";

bool relay_open_pg(struct relay *relay)
{
	if (relay->link.pg != NULL)
		return true;
	struct leat_error err;
	if (!lane_link_open_pg(&relay->link, statements, sizeof statements / sizeof *statements))
		return false;
	if (leat_pg_run_sql(relay->link.pg, settings_sql, NULL, &err) == LEAT_OK)
		return true;
	lane_link_close_pg(&relay->link);
	lane_link_wait(&relay->link, "waiting for Postgres", err.text);
	return false;
}

enum leat_kind relay_take_lock(struct relay *relay, struct leat_error *err)
{
	LEAT_PG_RESULT_SCOPED *result = NULL;
	const struct leat_pg_params none = {0};
	if (leat_pg_run(relay->link.pg, "lock", &none, &result, err) != LEAT_OK)
		return err->kind;
	relay->held = leat_pg_bool(result, 0, 0);
	if (!relay->held)
		return LEAT_OK;
	relay_forget_floor(relay);
	relay->asleep = false;
	relay->pause_ms = 0;
	relay->events.last_seq = 0;
	relay->large = true;
	return leat_pg_run_sql(relay->link.pg, "listen leat_outbox", NULL, err);
}

enum leat_kind relay_fall_asleep(struct relay *relay, struct leat_error *err)
{
	LEAT_PG_RESULT_SCOPED *result = NULL;
	const struct leat_pg_params none = {0};
	enum leat_kind kind = leat_pg_run(relay->link.pg, "fall_asleep", &none, &result, err);
	if (kind == LEAT_OK)
		relay->asleep = leat_pg_bool(result, 0, 0);
	return kind;
}

enum leat_kind relay_wake(struct relay *relay, struct leat_error *err)
{
	const struct leat_pg_params none = {0};
	relay->asleep = false;
	relay->pause_ms = 0;
	return leat_pg_run(relay->link.pg, "wake", &none, NULL, err);
}

enum leat_kind relay_fetch(struct relay *relay, struct leat_pg_result **rows, struct leat_error *err)
{
	struct leat_pg_params params = {0};
	leat_pg_bind_int8(&params, relay->floor.seq);
	leat_pg_bind_int8(&params, relay->params->relay_batch);
	leat_pg_bind_int8(&params, relay->params->batch_bytes);
	relay->events.until_ms = leat_clock_ms() + HOLD_MS;
	if (leat_pg_fetch(relay->link.pg, "fetch", &params, rows, err) != LEAT_OK)
		return err->kind;
	size_t count = leat_pg_rows(*rows);
	if (count == 0)
		return LEAT_OK;
	int64_t last = leat_pg_int8(*rows, count - 1, COLUMN_SEQ);
	if (last > relay->floor.highest)
		relay->floor.highest = last;
	relay->floor.rows += (int64_t)count;
	relay->large = true;
	return LEAT_OK;
}

static enum leat_kind mark(struct leat_pg *pg, const char *statement, struct leat_pg_array *rows, struct leat_error *err)
{
	if (rows->count == 0)
		return LEAT_OK;
	struct leat_pg_params params = {0};
	leat_pg_bind_array(&params, rows);
	return leat_pg_run(pg, statement, &params, NULL, err);
}

enum leat_kind relay_take_apart(struct relay *relay, struct leat_pg_result *rows, bool *apart, struct leat_error *err)
{
	struct leat_pg_array seqs = {0};
	leat_pg_array_start(&seqs, LEAT_PG_INT8);
	for (size_t row = 0; row < leat_pg_rows(rows); row++) {
		if (leat_pg_int8(rows, row, COLUMN_APART) != 0)
			leat_pg_array_add_int8(&seqs, leat_pg_int8(rows, row, COLUMN_SEQ));
	}
	*apart = seqs.count > 0;
	enum leat_kind kind = mark(relay->link.pg, "apart", &seqs, err);
	leat_pg_array_free(&seqs);
	return kind;
}

enum leat_kind relay_settle(struct relay *relay, struct leat_outbox_result *result, struct leat_error *err)
{
	enum leat_kind kind = mark(relay->link.pg, "apart", &result->apart, err);
	if (kind == LEAT_OK)
		kind = mark(relay->link.pg, "sent", &result->sent, err);
	if (kind == LEAT_OK)
		kind = mark(relay->link.pg, "refused", &result->refused, err);
	return kind;
}

/* ---- the floor ---- */

void relay_forget_floor(struct relay *relay)
{
	struct relay_floor *floor = &relay->floor;
	floor->seq = 0;
	floor->next = 0;
	floor->highest = 0;
	floor->rows = 0;
	leat_buf_clear(&floor->writers);
	leat_buf_add_text(&floor->writers, "{}");
}

enum leat_kind relay_raise_floor(struct relay *relay, struct leat_error *err)
{
	struct relay_floor *floor = &relay->floor;
	LEAT_PG_RESULT_SCOPED *result = NULL;
	if (floor->rows < RAISE_ROWS || leat_clock_ms() < floor->looked_ms + RAISE_MS)
		return LEAT_OK;
	struct leat_pg_params params = {0};
	leat_pg_bind_int8(&params, floor->seq);
	leat_pg_bind_int8(&params, floor->next);
	leat_pg_bind_text(&params, leat_buf_text(&floor->writers));
	if (leat_pg_run(relay->link.pg, "floor", &params, &result, err) != LEAT_OK)
		return err->kind;
	floor->looked_ms = leat_clock_ms();
	if (!leat_pg_bool(result, 0, 0))
		return LEAT_OK;
	floor->seq = floor->next;
	floor->next = floor->highest;
	floor->rows = floor->next - floor->seq;
	leat_buf_clear(&floor->writers);
	leat_buf_add_text(&floor->writers, leat_pg_text(result, 0, 1));
	return LEAT_OK;
}

/* ---- the size ---- */

enum leat_kind relay_shrink(struct relay *relay, bool idle, struct leat_error *err)
{
	LEAT_PG_RESULT_SCOPED *result = NULL;
	if (!relay->large)
		return LEAT_OK;
	struct leat_pg_params params = {0};
	leat_pg_bind_int8(&params, idle ? KEEP_IDLE_BYTES : KEEP_BUSY_BYTES);
	if (leat_pg_run(relay->link.pg, "shrink", &params, &result, err) != LEAT_OK)
		return err->kind;
	relay->large = !idle || !leat_pg_bool(result, 0, 0);
	return LEAT_OK;
}
