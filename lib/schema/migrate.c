/*
 * Bringing a database up to this binary.
 *
 * The happy path: one transaction takes the lock, makes the schema and its record of files, runs every migration that the record does
 * not have, then every file of functions whose checksum is another than recorded, and those after it, which may build on it; all of them
 * after a new migration, and where a function or trigger is not as it was left (objects.c), since they make it again. When nothing
 * changed, nothing is written.
 *
 * It fails, and changes nothing, when a migration that was run has another checksum now, when the record has a migration that this
 * binary does not know, or when a statement fails; the error names the file. A file of functions may be renamed or go away: its
 * functions are replaced by other files, or dropped by a migration.
 */
#include "objects.h"

#include <assert.h>
#include <string.h>

#define MIGRATIONS "migrations/"
#define FUNCTIONS "functions/"

/* The lock comes first and alone: what follows must see what its last holder committed. */
static const char take_lock[] = "begin; select pg_advisory_xact_lock(hashtext('leat.schema'))";

static const char make_record[] = "create schema if not exists leat;"
								  "create table if not exists leat.schema_files ("
								  "	name text collate \"C\" primary key,"
								  "	checksum text not null,"
								  "	applied_at timestamptz not null default now()"
								  ")";

static const char compare_file[] = "select encode(sha256(convert_to($2, 'UTF8')), 'hex') as checksum,"
								   " (select checksum from leat.schema_files where name = $1) as recorded";

static const char record_file[] = "insert into leat.schema_files (name, checksum) values ($1, $2)"
								  " on conflict (name) do update set checksum = excluded.checksum, applied_at = now()";

static const char list_migrations[] = "select name from leat.schema_files where name like 'migrations/%' order by name";

static bool starts_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool is_known(const char *name)
{
	for (size_t i = 0; i < leat_sql_file_count; i++) {
		if (strcmp(leat_sql_files[i].name, name) == 0)
			return true;
	}
	return false;
}

static enum leat_kind check_nothing_newer(struct leat_pg *pg, struct leat_error *err)
{
	LEAT_PG_RESULT_SCOPED *recorded = NULL;
	if (leat_pg_run_sql(pg, list_migrations, &recorded, err) != LEAT_OK)
		return err->kind;
	for (size_t row = 0; row < leat_pg_rows(recorded); row++) {
		const char *name = leat_pg_text(recorded, row, 0);
		if (!is_known(name))
			return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_CONFLICT,
				"%s was run in this database, and this binary does not know it: a newer leat was here; use that one", name);
	}
	return LEAT_OK;
}

static enum leat_kind run_file(struct leat_pg *pg, const struct leat_sql_file *file, const char *checksum, struct leat_error *err)
{
	struct leat_pg_params params = {0};
	leat_pg_bind_text(&params, file->name);
	leat_pg_bind_text(&params, checksum);
	if (leat_pg_run_sql(pg, file->text, NULL, err) != LEAT_OK || leat_pg_run_once(pg, record_file, &params, NULL, err) != LEAT_OK)
		return leat_fail_while(err, "running %s", file->name);
	return LEAT_OK;
}

/* Files of functions that are told of by their number alone. */
struct runs {
	size_t first;
	size_t again; /* since one before them changed */
};

static enum leat_kind bring_up(
	struct leat_pg *pg, const struct leat_sql_file *file, bool *changed, struct runs *run, struct leat_buf *report, struct leat_error *err)
{
	LEAT_PG_RESULT_SCOPED *found = NULL;
	struct leat_pg_params params = {0};
	leat_pg_bind_text(&params, file->name);
	leat_pg_bind_text(&params, file->text);
	if (leat_pg_run_once(pg, compare_file, &params, &found, err) != LEAT_OK)
		return err->kind;
	const char *checksum = leat_pg_text(found, 0, 0);
	const char *recorded = leat_pg_text(found, 0, 1);
	bool same = recorded != NULL && strcmp(recorded, checksum) == 0;
	bool again = same && *changed && starts_with(file->name, FUNCTIONS);
	if (same && !again)
		return LEAT_OK;
	if (recorded != NULL && starts_with(file->name, MIGRATIONS))
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_CONFLICT,
			"%s has another checksum than when it was run in this database (%.12s, then %.12s): a migration never changes; add a new one.\n"
			"This database was made by another version of Leat: go back to that version, or, for a trial, remove the folder .leat",
			file->name, checksum, recorded);
	if (run_file(pg, file, checksum, err) != LEAT_OK)
		return err->kind;
	*changed = true;
	if (again)
		run->again++;
	else if (recorded == NULL && !starts_with(file->name, MIGRATIONS))
		run->first++;
	else
		leat_buf_printf(report, "%s: %s\n", file->name, recorded == NULL ? "run" : "run again, it changed");
	return LEAT_OK;
}

/* Files come sorted by name. */
static enum leat_kind bring_up_all(struct leat_pg *pg, const char *folder, bool *changed, struct leat_buf *report, struct leat_error *err)
{
	struct runs run = {0};
	for (size_t i = 0; i < leat_sql_file_count; i++) {
		if (starts_with(leat_sql_files[i].name, folder) && bring_up(pg, &leat_sql_files[i], changed, &run, report, err) != LEAT_OK)
			return err->kind;
	}
	if (run.first > 0)
		leat_buf_printf(report, "%s %zu files run\n", folder, run.first);
	if (run.again > 0)
		leat_buf_printf(report, "%s %zu files run again, after what changed\n", folder, run.again);
	return LEAT_OK;
}

/* ---- what somebody dropped, switched off or replaced ---- */

static void report_damage(const struct leat_pg_result *damaged, const char *now, struct leat_buf *report)
{
	for (size_t row = 0; damaged != NULL && row < leat_pg_rows(damaged); row++)
		leat_buf_printf(report, "%s was %s%s\n", leat_pg_text(damaged, row, 0), leat_pg_text(damaged, row, 1), now);
}

/* All files of functions are run again because of it. */
static enum leat_kind find_damage(
	struct leat_pg *pg, struct leat_pg_result **damaged, bool *changed, struct leat_buf *report, struct leat_error *err)
{
	if (schema_objects_compare(pg, damaged, err) != LEAT_OK)
		return err->kind;
	report_damage(*damaged, ": all files of functions are run again", report);
	*changed = *damaged != NULL && leat_pg_rows(*damaged) > 0;
	return LEAT_OK;
}

static enum leat_kind note_objects(
	struct leat_pg *pg, const struct leat_pg_result *damaged, struct leat_buf *report, struct leat_error *err)
{
	LEAT_PG_RESULT_SCOPED *still = NULL;
	if (schema_objects_note(pg, damaged, err) != LEAT_OK || schema_objects_compare(pg, &still, err) != LEAT_OK)
		return err->kind;
	report_damage(still, ", and still is: only a migration made it; make it again as that file in sql/migrations says", report);
	return LEAT_OK;
}

static enum leat_kind run_transaction(struct leat_pg *pg, struct leat_buf *report, struct leat_error *err)
{
	LEAT_PG_RESULT_SCOPED *damaged = NULL;
	bool changed = false;
	if (leat_pg_run_sql(pg, take_lock, NULL, err) != LEAT_OK || leat_pg_run_sql(pg, make_record, NULL, err) != LEAT_OK ||
		check_nothing_newer(pg, err) != LEAT_OK || find_damage(pg, &damaged, &changed, report, err) != LEAT_OK ||
		bring_up_all(pg, MIGRATIONS, &changed, report, err) != LEAT_OK || bring_up_all(pg, FUNCTIONS, &changed, report, err) != LEAT_OK ||
		(changed && note_objects(pg, damaged, report, err) != LEAT_OK))
		return err->kind;
	return leat_pg_run_sql(pg, "commit", NULL, err);
}

enum leat_kind leat_schema_migrate(struct leat_pg *pg, struct leat_buf *report, struct leat_error *err)
{
	LEAT_BUF_SCOPED run = LEAT_BUF_INIT;
	if (run_transaction(pg, &run, err) == LEAT_OK) {
		leat_buf_add(report, run.data, run.len);
		return LEAT_OK;
	}
	if (strcmp(leat_pg_refusal(pg), "42501") == 0) { /* insufficient privilege: whoever migrates is there to mend it */
		err->kind = LEAT_PERMANENT;
		leat_fail_while(err, "this login may not migrate (README, Postgres, has the rights that takes)");
	}
	struct leat_error ignored; /* a connection that can't roll back is lost, and its transaction with it */
	if (leat_pg_run_sql(pg, "rollback", NULL, &ignored) != LEAT_OK)
		assert(!leat_pg_alive(pg));
	return err->kind;
}
