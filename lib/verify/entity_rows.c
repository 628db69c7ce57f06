/*
 * The rows of leat.entities that the pass is about, by primary key, page by page; a page shrinks where rows are large.
 *
 * A field that a direct call wrote has a mark in the row: the position that the call took, and the hash of the value. It counts while both
 * are what the field has now; an UPDATE by hand after the call is none of it.
 */
#include "entity.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_ROWS = 100, MOST_ROWS = 2000, SMALL_PAGE_BYTES = 1 << 20, LARGE_PAGE_BYTES = 8 << 20 };

enum column { TENANT, ID, TYPE, KEY, DELETED_AT, LAST, TYPE_SINCE, DELETED, SINCE, FIRST_PART, COLUMNS = FIRST_PART + 3 * ENTITY_PARTS };

#define MARKED(part)                                                                                                                       \
	"(select jsonb_agg(m.field) from jsonb_each(e.direct -> '" part "') m (field, mark) "                                                  \
	"where m.mark ->> 0 = e." part "_positions ->> m.field and m.mark ->> 1 = md5((e." part " -> m.field)::text))"

static const char columns[] =
	"select e.tenant_id, e.id, e.entity_type, e.key, e.deleted_at is not null, e.last_position, e.type_position, e.deleted_position, "
	"coalesce(e.upsert_positions[1], -1), e.content, e.content_positions, " MARKED("content") ", e.metadata, e.metadata_positions, " MARKED(
		"metadata") ", to_jsonb(e.locked_fields), e.lock_positions, null "
					"from leat.entities e where (e.tenant_id, e.id) > ($1::uuid, $2::uuid)";

void entity_rows_open(struct entity_rows *rows, struct verify *v)
{
	*rows = (struct entity_rows){.v = v, .limit = FIRST_ROWS};
	memcpy(rows->tenant, "00000000-0000-0000-0000-000000000000", LEAT_UUID_TEXT_BYTES);
	memcpy(rows->id, rows->tenant, LEAT_UUID_TEXT_BYTES);
}

void entity_rows_close(struct entity_rows *rows)
{
	leat_pg_result_drop(&rows->page);
}

static void choose_limit(struct entity_rows *rows)
{
	size_t bytes = 0;
	for (size_t row = 0; row < leat_pg_rows(rows->page); row++) {
		for (int column = 0; column < COLUMNS; column++)
			bytes += leat_pg_text(rows->page, row, column) != NULL ? strlen(leat_pg_text(rows->page, row, column)) : 0;
	}
	if (bytes < SMALL_PAGE_BYTES && rows->limit < MOST_ROWS)
		rows->limit *= 2;
	if (bytes > LARGE_PAGE_BYTES && rows->limit > 1)
		rows->limit /= 2;
}

static enum leat_kind fetch(struct entity_rows *rows, struct leat_error *err)
{
	LEAT_BUF_SCOPED sql = LEAT_BUF_INIT;
	struct leat_pg_params params = {0};
	leat_pg_bind_text(&params, rows->tenant);
	leat_pg_bind_text(&params, rows->id);
	leat_buf_add_text(&sql, columns);
	verify_pass_sql(rows->v, &sql, "e.id");
	leat_buf_printf(&sql, " order by e.tenant_id, e.id limit %" PRId64, rows->limit);
	leat_pg_result_drop(&rows->page);
	rows->next = 0;
	if (leat_pg_run_once(verify_pg(rows->v), sql.data, &params, &rows->page, err) != LEAT_OK)
		return leat_fail_while(err, "leat.entities");
	choose_limit(rows);
	return LEAT_OK;
}

/* ---- a row as an entity ---- */

static struct leat_json column_json(const struct leat_pg_result *page, size_t row, int column)
{
	const char *text = leat_pg_text(page, row, column);
	if (text == NULL)
		return (struct leat_json){0};
	return verify_json(text, strlen(text));
}

/* First the positions, then the values, whose position must not be touched. */
static void read_part(struct entity *entity, enum entity_part part, const struct leat_json *values, const struct leat_json *positions)
{
	LEAT_BUF_SCOPED scratch = LEAT_BUF_INIT;
	struct leat_json name;
	struct leat_json value;
	for (struct leat_json_walk walk = leat_json_walk(positions); leat_json_next(&walk, &name, &value);)
		entity_write(entity, part, leat_json_text(&name, &scratch), NULL, 0, strtoll(value.source.at, NULL, 10));
	for (struct leat_json_walk walk = leat_json_walk(values); leat_json_next(&walk, &name, &value);) {
		bool member = values->type == LEAT_JSON_OBJECT;
		if (!member && value.type != LEAT_JSON_STRING)
			continue; /* a null among the locked fields, which locks nothing */
		struct leat_text field = leat_json_text(member ? &name : &value, &scratch);
		struct leat_text text = member ? value.source : (struct leat_text){"true", 4};
		entity_set(entity, part, field, text.at, text.bytes);
	}
}

static void read_marks(struct entity *entity, enum entity_part part, const struct leat_json *marks)
{
	LEAT_BUF_SCOPED scratch = LEAT_BUF_INIT;
	struct leat_json name;
	struct leat_json value;
	if (marks->type == LEAT_JSON_NONE)
		return;
	for (struct leat_json_walk walk = leat_json_walk(marks); leat_json_next(&walk, &name, &value);)
		entity_find(entity, part, leat_json_text(&value, &scratch))->direct = true;
}

static void read_row(const struct leat_pg_result *page, size_t row, struct entity_row *out)
{
	struct entity *entity = &out->entity;
	struct leat_uuid tenant;
	struct leat_uuid id;
	leat_uuid_parse(&tenant, leat_pg_text(page, row, TENANT), LEAT_UUID_TEXT_BYTES - 1);
	leat_uuid_parse(&id, leat_pg_text(page, row, ID), LEAT_UUID_TEXT_BYTES - 1);
	entity_init(entity, &tenant, &id);
	entity->type = leat_strdup(leat_pg_text(page, row, TYPE));
	entity->key = leat_pg_text(page, row, KEY) != NULL ? leat_strdup(leat_pg_text(page, row, KEY)) : NULL;
	entity->last = leat_pg_int8(page, row, LAST);
	entity->type_since = leat_pg_int8(page, row, TYPE_SINCE);
	entity->deleted = leat_pg_int8(page, row, DELETED);
	entity->since = leat_pg_int8(page, row, SINCE);
	out->deleted_at = leat_pg_bool(page, row, DELETED_AT);
	for (enum entity_part part = 0; part < ENTITY_PARTS; part++) {
		int column = FIRST_PART + 3 * (int)part;
		struct leat_json values = column_json(page, row, column);
		struct leat_json positions = column_json(page, row, column + 1);
		struct leat_json marks = column_json(page, row, column + 2);
		read_part(entity, part, &values, &positions);
		read_marks(entity, part, &marks);
	}
}

enum leat_kind entity_rows_next(struct entity_rows *rows, struct entity_row *out, bool *more, struct leat_error *err)
{
	bool past = rows->page == NULL || rows->next == leat_pg_rows(rows->page);
	if (past && fetch(rows, err) != LEAT_OK)
		return err->kind;
	*more = rows->next < leat_pg_rows(rows->page);
	if (!*more)
		return LEAT_OK;
	size_t row = rows->next++;
	leat_pg_uuid(rows->page, row, TENANT, rows->tenant);
	leat_pg_uuid(rows->page, row, ID, rows->id);
	read_row(rows->page, row, out);
	return LEAT_OK;
}
