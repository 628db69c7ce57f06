/*
 * Writing and reading baselines.
 *
 * Everything up to a stream's position is in the rows of the snapshot, since it is below the floor and below all that is parked. What the
 * rows hold of later messages is no harm: folding those once more changes nothing in an entity, and the other folds pass over what a row's
 * own position says it has. Fails when the file can't be written or read, or is not one.
 */
#include "baseline.h"

#include "reading.h"
#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { VERSION = 3, MODE = 0600 };

/* Of what stands above the last line: of each line and what stands above it. */
static void add_to_digest(struct leat_uuid *digest, const char *line)
{
	struct leat_uuid above = *digest;
	leat_uuid_from_name(digest, &above, line, strcspn(line, "\n"));
}

static json_t *pack_end(uint64_t rows, const struct leat_uuid *digest)
{
	char text[LEAT_UUID_TEXT_BYTES];
	leat_uuid_format(digest, text);
	return json_pack("{s:I, s:s}", "end", (json_int_t)rows, "digest", text);
}

/* ---- writing ---- */

bool baseline_is_wanted(const struct verify *v)
{
	return v->baseline != NULL;
}

static void write_line(struct verify *v, json_t *line)
{
	char *text = line == NULL ? NULL : json_dumps(line, JSON_COMPACT);
	if (text == NULL)
		abort();
	add_to_digest(&v->baseline_digest, text);
	fputs(text, v->baseline);
	fputc('\n', v->baseline);
	free(text);
	json_decref(line);
}

static char *partial_name(const struct verify *v)
{
	struct leat_buf name = LEAT_BUF_INIT;
	leat_buf_printf(&name, "%s.partial", v->options->write);
	return leat_buf_take(&name);
}

/* Of each stream the floor, and below what is parked: that will be written later, at its own position. */
static enum leat_kind find_positions(struct verify *v, json_t *positions, struct leat_error *err)
{
	LEAT_PG_RESULT_SCOPED *parked = NULL;
	if (leat_pg_run_sql(v->pg, "select p.stream, min(p.position) from leat.parked p group by p.stream", &parked, err) != LEAT_OK)
		return err->kind;
	for (enum verify_stream stream = 0; stream < VERIFY_STREAMS; stream++) {
		int64_t position = v->sources[stream].floor;
		for (size_t row = 0; row < leat_pg_rows(parked); row++) {
			bool same = strcmp(leat_pg_text(parked, row, 0), verify_stream_name(stream)) == 0;
			if (same && leat_pg_int8(parked, row, 1) <= position)
				position = leat_pg_int8(parked, row, 1) - 1;
		}
		json_object_set_new(positions, verify_stream_name(stream), json_integer(position));
	}
	return LEAT_OK;
}

enum leat_kind baseline_begin(struct verify *v, struct leat_error *err)
{
	if (v->options->write == NULL)
		return LEAT_OK;
	json_t *positions = json_object();
	if (find_positions(v, positions, err) != LEAT_OK) {
		json_decref(positions);
		return err->kind;
	}
	char *name = partial_name(v);
	int file = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, MODE);
	v->baseline = file < 0 ? NULL : fdopen(file, "w");
	json_t *first = json_pack("{s:i, s:o}", "leat_baseline", VERSION, "positions", positions);
	if (v->baseline == NULL) {
		leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INTERNAL, "%s: %s", name, strerror(errno));
		json_decref(first);
	} else {
		v->baseline_digest = (struct leat_uuid){0};
		write_line(v, first);
	}
	free(name);
	return v->baseline == NULL ? err->kind : LEAT_OK;
}

void baseline_add(struct verify *v, const char *noun, json_t *row)
{
	write_line(v, json_pack("{s:s, s:o}", "noun", noun, "row", row));
	v->baseline_rows++;
}

static json_t *pack_hash(const char *json, size_t bytes)
{
	char hash[LEAT_UUID_TEXT_BYTES];
	verify_json_hash(hash, json, bytes);
	return json_string(hash);
}

static json_t *pack_members(const char *text)
{
	struct leat_json object = verify_json(text, strlen(text));
	struct leat_json_walk walk = leat_json_walk(&object);
	json_t *hashes = json_object();
	for (struct leat_json name, value; leat_json_next(&walk, &name, &value);) {
		char *member = verify_copy_text(&name);
		json_object_set_new(hashes, member, pack_hash(value.source.at, value.source.bytes));
		free(member);
	}
	return hashes;
}

static json_t *pack_column(const char *text, enum baseline_column as)
{
	if (text == NULL)
		return json_null();
	switch (as) {
	case BASELINE_TEXT:
		return json_string(text);
	case BASELINE_HASH:
		return json_pack("{s:o}", "hash", pack_hash(text, strlen(text)));
	case BASELINE_MEMBERS:
		return json_pack("{s:o}", "members", pack_members(text));
	}
	return NULL;
}

void baseline_add_row(
	struct verify *v, const char *noun, const struct leat_pg_result *page, size_t at, int columns, const enum baseline_column *as)
{
	if (!baseline_is_wanted(v))
		return;
	json_t *row = json_array();
	for (int column = 0; column < columns; column++)
		json_array_append_new(row, pack_column(leat_pg_text(page, at, column), as == NULL ? BASELINE_TEXT : as[column]));
	baseline_add(v, noun, row);
}

enum leat_kind baseline_end(struct verify *v, bool keep, struct leat_error *err)
{
	if (v->baseline == NULL)
		return LEAT_OK;
	write_line(v, pack_end(v->baseline_rows, &v->baseline_digest));
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
	struct leat_uuid digest; /* of the lines above the one at hand */
	bool begun;
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
	if (lines->begun)
		add_to_digest(&lines->digest, lines->line);
	lines->begun = true;
	if (getline(&lines->line, &lines->room, lines->in) < 0)
		return refuse(lines, ferror(lines->in) != 0 ? strerror(errno) : "the baseline is cut off", err);
	*out = json_loads(lines->line, 0, NULL);
	return *out != NULL ? LEAT_OK : refuse(lines, "this is no baseline", err);
}

static bool read_positions(struct verify *v, json_t *positions)
{
	for (enum verify_stream stream = 0; stream < VERIFY_STREAMS; stream++) {
		const json_t *position = json_object_get(positions, verify_stream_name(stream));
		if (!json_is_integer(position))
			return false;
		v->sources[stream].base = json_integer_value(position);
	}
	return true;
}

static enum leat_kind open_lines(struct verify *v, struct lines *lines, struct leat_error *err)
{
	const char *name = v->options->baseline;
	*lines = (struct lines){.name = name, .in = fopen(name, "r")};
	if (lines->in == NULL)
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INTERNAL, "%s: %s", name, strerror(errno));
	json_t *first;
	if (next_line(lines, &first, err) != LEAT_OK)
		return err->kind;
	int version = 0;
	json_t *positions = NULL;
	bool fine = json_unpack(first, "{s:i, s:o}", "leat_baseline", &version, "positions", &positions) == 0 && version == VERSION &&
		read_positions(v, positions);
	json_decref(first);
	return fine ? LEAT_OK : refuse(lines, "this is no baseline of this version", err);
}

enum leat_kind baseline_read_positions(struct verify *v, struct leat_error *err)
{
	LINES_SCOPED lines = {0};
	if (v->options->baseline == NULL)
		return LEAT_OK;
	if (open_lines(v, &lines, err) != LEAT_OK)
		return err->kind;
	for (enum verify_stream stream = 0; stream < VERIFY_STREAMS; stream++) {
		const struct source *source = &v->sources[stream];
		if (source->base > source->floor)
			verify_doubt(v, "%s: the baseline stands at %" PRId64 ", and what is settled ends at %" PRId64 "; is it of this database?",
				verify_stream_name(stream), source->base, source->floor);
	}
	return LEAT_OK;
}

/* False when the line is not one of a row. */
static bool load_row(json_t *line, bool (*load)(void *context, const char *noun, const json_t *row), void *context)
{
	const char *noun;
	json_t *row;
	return json_unpack(line, "{s:s, s:o}", "noun", &noun, "row", &row) == 0 && load(context, noun, row);
}

enum leat_kind baseline_load(
	struct verify *v, bool (*load)(void *context, const char *noun, const json_t *row), void *context, struct leat_error *err)
{
	LINES_SCOPED lines = {0};
	if (v->options->baseline == NULL)
		return LEAT_OK;
	if (open_lines(v, &lines, err) != LEAT_OK)
		return err->kind;
	for (uint64_t rows = 0;; rows++) {
		json_t *line;
		if (next_line(&lines, &line, err) != LEAT_OK)
			return err->kind;
		bool ended = json_object_get(line, "end") != NULL;
		json_t *end = ended ? pack_end(rows, &lines.digest) : NULL;
		bool fine = ended ? json_equal(line, end) : load_row(line, load, context);
		json_decref(end);
		json_decref(line);
		if (!fine)
			return refuse(&lines, ended ? "the baseline is not as it was written" : "a line is no row", err);
		if (ended)
			return LEAT_OK;
	}
}

/* ---- columns ---- */

const char *baseline_text(const json_t *row, size_t column)
{
	return json_string_value(json_array_get(row, column));
}

int64_t baseline_number(const json_t *row, size_t column)
{
	const char *text = baseline_text(row, column);
	return text == NULL ? VERIFY_NEVER : strtoll(text, NULL, 10);
}

bool baseline_id(const json_t *row, size_t column, struct leat_uuid *out)
{
	const char *text = baseline_text(row, column);
	return text != NULL && leat_uuid_parse(out, text, strlen(text));
}

char *baseline_copy(const json_t *row, size_t column)
{
	const char *text = baseline_text(row, column);
	return text == NULL ? NULL : leat_strdup(text);
}

struct verify_value baseline_value(const json_t *row, size_t column)
{
	const json_t *value = json_array_get(row, column);
	const char *hash = json_string_value(json_object_get(value, "hash"));
	const json_t *members = json_object_get(value, "members");
	if (hash != NULL)
		return (struct verify_value){leat_strdup(hash), true};
	if (members != NULL)
		return (struct verify_value){json_dumps(members, JSON_COMPACT), true};
	return (struct verify_value){baseline_copy(row, column), false};
}
