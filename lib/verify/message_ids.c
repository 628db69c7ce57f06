/*
 * Leat-Ids: leat.message_ids, held against the ledger. A row there for each applied message with a Leat-Id that the ledger still has, and
 * none beside: a row too few, and a repeat of the message would be applied; a row too many, and a message would be swallowed.
 *
 * What the ledger says of the messages has been compared with the streams by then (columns.c), so that the table is held against the
 * ledger as a whole, by one join: it needs no memory here, and also covers what the streams do not hold any more. What follows from a row
 * of the ledger that is missing or wrong has been reported with it. Fails as the database does.
 *
 * A redrive of what had been applied after all uses up its Leat-Id for the origin's position (sql/functions/35_redrives.sql), and is a
 * duplicate of that. Its own row of the ledger is forgotten in time; the Leat-Id that Leat makes for it tells the same.
 */
#include "row.h"
#include "state.h"

#include <stdlib.h>
#include <string.h>

static const char differing[] =
	"select coalesce(used.tenant_id, m.tenant_id), coalesce(used.leat_id, m.leat_id), used.stream, used.position, m.stream, m.position,"
	" m.leat_id is not distinct from chr(1) || 'redrive ' || m.stream || ' ' || m.position and coalesce("
	"  (select a.outcome = 'applied' from leat.activity a where a.stream = m.stream and a.position = m.position), true)"
	" from (select a.tenant_id, a.leat_id, a.stream, a.position from leat.activity a"
	"  where a.outcome = 'applied' and a.leat_id is not null) used"
	" full join leat.message_ids m on m.tenant_id = used.tenant_id and m.leat_id = used.leat_id"
	" left join (select distinct a.tenant_id, a.leat_id, a.stream, (a.detail ->> 'origin_position')::bigint as position from leat.activity "
	"a"
	"  where a.outcome = 'duplicate' and a.detail -> 'origin_position' = a.detail -> 'original_position') redriven"
	" on used.position is null and redriven.tenant_id = m.tenant_id and redriven.leat_id = m.leat_id and redriven.stream = m.stream"
	"  and redriven.position = m.position"
	" where (used.stream, used.position) is distinct from (m.stream, m.position) and redriven.position is null";
enum { TENANT, LEAT_ID, USED_STREAM, USED_POSITION, STREAM, POSITION, OF_REDRIVE };

static const char key[] = "md5(coalesce(used.leat_id, m.leat_id))::uuid";

struct message_ids {
	struct verify *v;
};

static void *open_fold(struct verify *v, struct leat_error *err)
{
	(void)err;
	struct message_ids *fold = leat_alloc_zero(1, sizeof *fold);
	fold->v = v;
	return fold;
}

static void close_fold(void *of)
{
	free(of);
}

static void narrow(void *of)
{
	(void)of;
}

static size_t bytes_of(const void *of)
{
	(void)of;
	return 0;
}

/* VERIFY_STREAMS: none is called that. */
static enum verify_stream stream_of(const char *name)
{
	enum verify_stream stream = 0;
	while (stream < VERIFY_STREAMS && (name == NULL || strcmp(verify_stream_name(stream), name) != 0))
		stream++;
	return stream;
}

/* That the ledger has no row of this position, or a wrong one, has been reported. */
static bool is_told(const struct verify *v, enum verify_stream stream, int64_t position)
{
	return stream < VERIFY_STREAMS && (verify_is_hole(v, stream, position) || ranges_hold(&v->sources[stream].told, position));
}

static void compare_id(void *of, const struct leat_pg_result *page, size_t at)
{
	const struct message_ids *fold = of;
	const char *id = leat_pg_text(page, at, LEAT_ID);
	const char *used_stream = leat_pg_text(page, at, USED_STREAM);
	const char *row_stream = leat_pg_text(page, at, STREAM);
	const char *tenant_text = leat_pg_text(page, at, TENANT);
	enum verify_stream expected = stream_of(used_stream);
	enum verify_stream found = stream_of(row_stream);
	int64_t used = leat_pg_int8(page, at, USED_POSITION);
	struct leat_uuid tenant;
	leat_uuid_parse(&tenant, tenant_text, strlen(tenant_text));
	if (is_told(fold->v, expected, used) || is_told(fold->v, found, leat_pg_int8(page, at, POSITION)))
		return;
	struct verify_row row = {.v = fold->v,
		.stream = expected < VERIFY_STREAMS ? expected : found,
		.noun = "message_id",
		.tenant = &tenant,
		.id = id + (*id == '\1')};
	if (row.stream == VERIFY_STREAMS)
		row.stream = VERIFY_CONTROL; /* a row made up of nothing: any is as good */
	if (row_stream == NULL) {
		verify_row_report(&row, LEAT_VERIFY_MISSING, NULL, NULL, used, "a repeat of the message would be applied once more");
	} else if (used_stream != NULL) {
		verify_row_text(&row, "stream", row_stream, used_stream, used);
		verify_row_text(&row, "position", leat_pg_text(page, at, POSITION), leat_pg_text(page, at, USED_POSITION), used);
	} else if (!leat_pg_bool(page, at, OF_REDRIVE)) {
		LEAT_BUF_SCOPED where = LEAT_BUF_INIT;
		leat_buf_printf(&where, "%s %s", row_stream, leat_pg_text(page, at, POSITION));
		verify_row_report(
			&row, LEAT_VERIFY_EXTRA, where.data, NULL, 0, "no applied message has this Leat-Id; the next one that has it would be lost");
	}
}

/* How many there are. */
static enum leat_kind count(const struct message_ids *fold, struct leat_error *err)
{
	LEAT_BUF_SCOPED sql = LEAT_BUF_INIT;
	LEAT_PG_RESULT_SCOPED *result = NULL;
	leat_buf_add_text(&sql, "select count(*) from leat.message_ids m where true");
	verify_pass_sql(fold->v, &sql, "md5(m.leat_id)::uuid");
	if (leat_pg_run_sql(verify_pg(fold->v), sql.data, &result, err) != LEAT_OK)
		return err->kind;
	verify_count(fold->v, &verify_message_ids, (uint64_t)leat_pg_int8(result, 0, 0));
	return LEAT_OK;
}

static enum leat_kind compare(void *of, struct leat_error *err)
{
	struct message_ids *fold = of;
	if (count(fold, err) != LEAT_OK)
		return leat_fail_while(err, "leat.message_ids");
	return verify_each_row(fold->v, NULL, differing, key, compare_id, fold, err);
}

const struct verify_fold verify_message_ids = {
	.noun = "message ids",
	.streams = 0,
	.open = open_fold,
	.narrow = narrow,
	.bytes = bytes_of,
	.compare = compare,
	.close = close_fold,
};
