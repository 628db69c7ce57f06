/*
 * Writing and reading baselines. Values are kept as hashes: enough to find a difference, and the file holds nobody's data.
 *
 * Everything up to the position is in the rows of the snapshot, since it is below the floor and below all that is parked. What the rows
 * hold of later intents is no harm: folding those once more changes nothing. Fails when the file can't be written or read, or is not one.
 */
#include "baseline.h"

#include "state.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { VERSION = 1 };

/* ---- writing ---- */

static void write_line(FILE *out, json_t *line)
{
	json_dumpf(line, out, JSON_COMPACT);
	fputc('\n', out);
	json_decref(line);
}

static json_t *text_or_null(const char *text)
{
	json_t *value = text != NULL ? json_string(text) : json_null();
	if (value == NULL)
		abort();
	return value;
}

static char *partial_name(const struct verify *v)
{
	struct leat_buf name = LEAT_BUF_INIT;
	leat_buf_printf(&name, "%s.partial", v->options->write);
	return leat_buf_take(&name);
}

/* Below what is parked too: that will be written later, at its own position. */
static enum leat_kind find_position(struct verify *v, int64_t *position, struct leat_error *err)
{
	LEAT_PG_RESULT_SCOPED *parked = NULL;
	if (leat_pg_run_sql(v->pg, "select min(p.position) from leat.parked p where p.stream = 'LEAT_ENTITY'", &parked, err) != LEAT_OK)
		return err->kind;
	*position = v->sources[VERIFY_ENTITY].floor;
	if (leat_pg_text(parked, 0, 0) != NULL && leat_pg_int8(parked, 0, 0) <= *position)
		*position = leat_pg_int8(parked, 0, 0) - 1;
	return LEAT_OK;
}

enum leat_kind baseline_begin(struct verify *v, struct leat_error *err)
{
	int64_t position = 0;
	if (v->options->write == NULL)
		return LEAT_OK;
	if (find_position(v, &position, err) != LEAT_OK)
		return err->kind;
	char *name = partial_name(v);
	v->baseline = fopen(name, "w");
	if (v->baseline == NULL)
		leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INTERNAL, "%s: %s", name, strerror(errno));
	else
		write_line(v->baseline,
			json_pack("{s:i, s:s, s:I}", "leat_baseline", VERSION, "stream", verify_stream_name(VERIFY_ENTITY), "position",
				(json_int_t)position));
	free(name);
	return v->baseline == NULL ? err->kind : LEAT_OK;
}

void baseline_add(struct verify *v, const struct entity *entity)
{
	if (v->baseline == NULL)
		return;
	char tenant[LEAT_UUID_TEXT_BYTES];
	char id[LEAT_UUID_TEXT_BYTES];
	leat_uuid_format(&entity->tenant, tenant);
	leat_uuid_format(&entity->id, id);
	json_t *fields = json_array();
	for (size_t i = 0; i < entity->count; i++) {
		const struct entity_field *field = &entity->fields[i];
		char hash[LEAT_UUID_TEXT_BYTES];
		if (field->position == ENTITY_NEVER)
			continue;
		if (!field->removed && !field->hashed)
			entity_hash(hash, entity_value(field), field->value_bytes);
		json_array_append_new(fields,
			json_pack("[i, s, I, o]", (int)field->part, field->text, (json_int_t)field->position,
				text_or_null(field->hashed ? entity_value(field)
						: field->removed   ? NULL
										   : hash)));
	}
	write_line(v->baseline,
		json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:o, s:o, s:o}", "tenant", tenant, "id", id, "deleted", (json_int_t)entity->deleted,
			"since", (json_int_t)entity->since, "typed", (json_int_t)entity->type_since, "last", (json_int_t)entity->last, "type",
			text_or_null(entity->type), "key", text_or_null(entity->key), "fields", fields));
	v->baseline_rows++;
}

enum leat_kind baseline_end(struct verify *v, bool keep, struct leat_error *err)
{
	if (v->baseline == NULL)
		return LEAT_OK;
	write_line(v->baseline, json_pack("{s:I}", "end", (json_int_t)v->baseline_rows));
	bool written = fflush(v->baseline) == 0 && fsync(fileno(v->baseline)) == 0;
	written = fclose(v->baseline) == 0 && written;
	v->baseline = NULL;
	char *name = partial_name(v);
	enum leat_kind kind = LEAT_OK;
	if (keep && (!written || rename(name, v->options->write) != 0))
		kind = leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INTERNAL, "%s: %s", v->options->write, strerror(errno));
	if (!keep || kind != LEAT_OK)
		unlink(name);
	free(name);
	return kind;
}

/* ---- reading ---- */

struct lines {
	const char *name;
	FILE *in;
	char *line;
	size_t room;
};

static void close_lines(struct lines *lines)
{
	if (lines->in != NULL)
		fclose(lines->in);
	free(lines->line);
}

#define LINES_SCOPED __attribute__((cleanup(close_lines))) struct lines

static enum leat_kind refuse(const struct lines *lines, const char *why, struct leat_error *err)
{
	return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INVALID_MESSAGE, "%s: %s; write one with `leat baseline`", lines->name, why);
}

/* *out is the caller's to json_decref; NULL when it fails. */
static enum leat_kind next_line(struct lines *lines, json_t **out, struct leat_error *err)
{
	*out = NULL;
	if (getline(&lines->line, &lines->room, lines->in) < 0)
		return refuse(lines, ferror(lines->in) != 0 ? strerror(errno) : "the baseline is cut off", err);
	*out = json_loads(lines->line, 0, NULL);
	return *out != NULL ? LEAT_OK : refuse(lines, "this is no baseline", err);
}

static enum leat_kind open_lines(struct lines *lines, const char *name, int64_t *position, struct leat_error *err)
{
	*lines = (struct lines){.name = name, .in = fopen(name, "r")};
	if (lines->in == NULL)
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INTERNAL, "%s: %s", name, strerror(errno));
	json_t *first;
	if (next_line(lines, &first, err) != LEAT_OK)
		return err->kind;
	int version = 0;
	const char *stream = "";
	json_int_t read = 0;
	bool fine = json_unpack(first, "{s:i, s:s, s:I}", "leat_baseline", &version, "stream", &stream, "position", &read) == 0 &&
		version == VERSION && strcmp(stream, verify_stream_name(VERIFY_ENTITY)) == 0;
	json_decref(first);
	*position = read;
	return fine ? LEAT_OK : refuse(lines, "this is no baseline of this version", err);
}

enum leat_kind baseline_read_position(struct verify *v, struct leat_error *err)
{
	LINES_SCOPED lines = {0};
	if (v->options->baseline == NULL)
		return LEAT_OK;
	return open_lines(&lines, v->options->baseline, &v->sources[VERIFY_ENTITY].base, err);
}

static bool load_fields(struct entity *entity, const json_t *fields)
{
	const json_t *field;
	size_t i;
	json_array_foreach(fields, i, field)
	{
		int part;
		const char *name;
		json_int_t position;
		const json_t *hash;
		if (json_unpack((json_t *)field, "[i, s, I, o]", &part, &name, &position, &hash) != 0 || part < 0 || part >= ENTITY_PARTS)
			return false;
		const char *value = json_string_value(hash);
		struct entity_field *written = entity_write(
			entity, (enum entity_part)part, (struct leat_text){name, strlen(name)}, value, value != NULL ? strlen(value) : 0, position);
		if (written == NULL)
			return false;
		written->hashed = value != NULL;
	}
	return true;
}

/* False when the line is not one of a row. */
static bool load_row(const struct verify *v, struct entity_table *table, json_t *line)
{
	const char *tenant_text;
	const char *id_text;
	json_int_t deleted;
	json_int_t since;
	json_int_t typed;
	json_int_t last;
	const json_t *type;
	const json_t *key;
	const json_t *fields;
	struct leat_uuid tenant;
	struct leat_uuid id;
	if (json_unpack(line, "{s:s, s:s, s:I, s:I, s:I, s:I, s:o, s:o, s:o}", "tenant", &tenant_text, "id", &id_text, "deleted", &deleted,
			"since", &since, "typed", &typed, "last", &last, "type", &type, "key", &key, "fields", &fields) != 0 ||
		!leat_uuid_parse(&tenant, tenant_text, strlen(tenant_text)) || !leat_uuid_parse(&id, id_text, strlen(id_text)))
		return false;
	if (!verify_in_pass(v, &id))
		return true;
	struct entity *entity = entity_table_get(table, &tenant, &id);
	table->bytes -= entity_bytes(entity);
	entity->deleted = deleted > entity->deleted ? deleted : entity->deleted;
	entity->since = since > entity->deleted ? since : ENTITY_NEVER;
	entity->type_since = typed;
	entity->last = last;
	entity->type = json_is_string(type) ? leat_strdup(json_string_value(type)) : NULL;
	entity->key = json_is_string(key) ? leat_strdup(json_string_value(key)) : NULL;
	bool fine = load_fields(entity, fields);
	table->bytes += entity_bytes(entity);
	return fine;
}

enum leat_kind baseline_load(struct verify *v, struct entity_table *table, struct leat_error *err)
{
	LINES_SCOPED lines = {0};
	int64_t position;
	if (v->options->baseline == NULL)
		return LEAT_OK;
	if (open_lines(&lines, v->options->baseline, &position, err) != LEAT_OK)
		return err->kind;
	for (uint64_t rows = 0;; rows++) {
		json_t *line;
		if (next_line(&lines, &line, err) != LEAT_OK)
			return err->kind;
		const json_t *end = json_object_get(line, "end");
		bool ended = end != NULL;
		bool fine = ended ? (uint64_t)json_integer_value(end) == rows : load_row(v, table, line);
		json_decref(line);
		if (!fine)
			return refuse(&lines, ended ? "the baseline is cut off" : "a line is no row", err);
		if (ended)
			return LEAT_OK;
	}
}
