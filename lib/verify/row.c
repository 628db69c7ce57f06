/* Comparing columns. Nothing here can fail; what differs is reported at once. */
#include "row.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Whether a direct call may have made the difference. What is said of the row as a whole, and is no loss, is said at its end. */
static bool is_direct(const struct verify_row *row, const struct verify_finding *finding)
{
	if (!row->direct)
		return false;
	if (finding->field == NULL)
		return finding->kind == LEAT_VERIFY_FIELD || finding->kind == LEAT_VERIFY_OUT_OF_BAND;
	for (const char *const *name = row->direct_fields; name != NULL && *name != NULL; name++) {
		size_t bytes = strlen(*name);
		if (strncmp(finding->field, *name, bytes) == 0 && (finding->field[bytes] == '\0' || finding->field[bytes] == '.'))
			return true;
	}
	return false;
}

static void report(struct verify_row *row, struct verify_finding finding)
{
	row->differences++;
	if (row->quiet)
		return;
	if (is_direct(row, &finding)) {
		row->direct_differences++;
		return;
	}
	finding.stream = row->stream;
	finding.noun = row->noun;
	finding.tenant = row->tenant;
	finding.id = row->id;
	verify_report(row->v, &finding);
}

static void report_field(struct verify_row *row, const char *field, const char *found, const char *expected, int64_t position)
{
	report(row,
		(struct verify_finding){.kind = LEAT_VERIFY_FIELD, .field = field, .found = found, .expected = expected, .position = position});
}

void verify_row_text(struct verify_row *row, const char *field, const char *found, const char *expected, int64_t position)
{
	bool same = found == NULL || expected == NULL ? found == expected : strcmp(found, expected) == 0;
	if (!same)
		report_field(row, field, found, expected, position);
}

void verify_row_json(struct verify_row *row, const char *field, const char *found, const char *expected, int64_t position)
{
	bool same = found == NULL || expected == NULL ? found == expected : verify_json_equal(found, strlen(found), expected, strlen(expected));
	if (!same)
		report_field(row, field, found, expected, position);
}

void verify_row_value(struct verify_row *row, const char *field, const char *found, const struct verify_value *expected, int64_t position)
{
	char hash[LEAT_UUID_TEXT_BYTES] = "";
	if (expected->text == NULL || !expected->hashed) {
		verify_row_json(row, field, found, expected->text, position);
		return;
	}
	if (found != NULL)
		verify_json_hash(hash, found, strlen(found));
	if (strcmp(hash, expected->text) != 0)
		report(row,
			(struct verify_finding){.kind = LEAT_VERIFY_FIELD,
				.field = field,
				.found = found,
				.expected = expected->text,
				.position = position,
				.explanation = "the expected value is the hash that the baseline has"});
}

void verify_row_number(struct verify_row *row, const char *field, const char *found, int64_t expected, int64_t position)
{
	char text[24];
	snprintf(text, sizeof text, "%" PRId64, expected);
	verify_row_text(row, field, found, text, position);
}

void verify_row_time(struct verify_row *row, const char *field, const char *found, int64_t expected, int64_t position)
{
	int64_t found_us = found == NULL ? VERIFY_NEVER : strtoll(found, NULL, 10);
	if (found_us == expected)
		return;
	LEAT_BUF_SCOPED in_row = LEAT_BUF_INIT;
	LEAT_BUF_SCOPED in_fold = LEAT_BUF_INIT;
	verify_print_time(found_us, &in_row);
	verify_print_time(expected, &in_fold);
	report_field(row, field, in_row.data, in_fold.data, position);
}

void verify_row_stamp(struct verify_row *row, const char *found, int64_t expected)
{
	char text[24];
	snprintf(text, sizeof text, "%" PRId64, expected);
	if (strcmp(found, text) != 0)
		report(row,
			(struct verify_finding){
				.kind = LEAT_VERIFY_STAMP, .field = "position", .found = found, .expected = text, .position = expected});
}

void verify_row_report(
	struct verify_row *row, enum leat_verify_kind kind, const char *found, const char *expected, int64_t position, const char *explanation)
{
	report(
		row, (struct verify_finding){.kind = kind, .found = found, .expected = expected, .position = position, .explanation = explanation});
}

bool verify_row_is_moved(struct verify_row *row, const struct leat_uuid *tenant, int64_t position)
{
	if (leat_uuid_compare(row->tenant, tenant) == 0)
		return false;
	char found[LEAT_UUID_TEXT_BYTES];
	char expected[LEAT_UUID_TEXT_BYTES];
	leat_uuid_format(row->tenant, found);
	leat_uuid_format(tenant, expected);
	verify_row_report(row, LEAT_VERIFY_MOVED, found, expected, position, NULL);
	return true;
}

bool verify_row_is_by_sql(const char *position)
{
	return strcmp(position, "0") == 0;
}

void verify_row_end(struct verify_row *row)
{
	if (!row->direct)
		return;
	char explanation[96];
	snprintf(
		explanation, sizeof explanation, "changed by a direct call; it differs from the streams in %zu places", row->direct_differences);
	row->direct = false;
	verify_row_report(row, LEAT_VERIFY_OUT_OF_BAND, NULL, NULL, 0, explanation);
}

bool verify_row_is_lost(const struct verify_row *row)
{
	if (verify_knows_all(row->v, row->stream))
		return false;
	LEAT_PG_RESULT_SCOPED *result = NULL;
	struct leat_error err;
	struct leat_pg_params params = {0};
	char id[LEAT_UUID_TEXT_BYTES];
	snprintf(id, sizeof id, "%s", row->id); /* of a version: its workflow's */
	leat_pg_bind_text(&params, verify_stream_name(row->stream));
	leat_pg_bind_text(&params, row->noun);
	leat_pg_bind_text(&params, id);
	const char *sql =
		"select a.position from leat.activity a where a.stream = $1 and a.noun = $2 and (a.target_id = $3::uuid or a.target_id is null)"
		" and a.outcome = 'applied'";
	if (leat_pg_run_once(verify_pg(row->v), sql, &params, &result, &err) != LEAT_OK) {
		verify_doubt(row->v, "the ledger could not be asked about %s %s: %s", row->noun, row->id, err.text);
		return true;
	}
	for (size_t i = 0; i < leat_pg_rows(result); i++)
		if (verify_is_lost(row->v, row->stream, leat_pg_int8(result, i, 0)))
			return true;
	return false;
}

void verify_row_compare(
	struct verify_row *row, const struct verify_fold *fold, void (*compare)(struct verify_row *row, const void *what), const void *what)
{
	row->quiet = true;
	compare(row, what);
	row->quiet = false;
	if (row->differences > 0 && verify_row_is_lost(row)) {
		verify_count_unknown(row->v, fold, 1);
	} else if (row->differences > 0) {
		row->differences = 0;
		compare(row, what);
	}
}
