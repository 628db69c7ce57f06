/*
 * Functions, triggers and policies: whether they are still as `leat migrate` left them. It records a checksum of each in
 * leat.schema_objects, of the words in which Postgres describes it.
 *
 * The happy path finds nothing. What differs was dropped, switched off or replaced by somebody. Another major version of Postgres may use
 * other words: then nothing is compared, and the next migration records it all again. What was made besides is nobody's business here, and
 * so are the triggers for embeddings, which come and go (sql/functions/95_embedding_switch.sql).
 */
#include "objects.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* Names are written out where nothing is found without its schema. */
static const char pin[] = "set local search_path = pg_catalog";
static const char unpin[] = "set local search_path = default";

#define CHECKSUM(text) "encode(sha256(convert_to(" text ", 'UTF8')), 'hex')"
#define MAJOR "current_setting('server_version_num')::integer / 10000"
#define OBJECTS                                                                                                                            \
	"now as ("                                                                                                                             \
	" select 'function ' || p.oid::regprocedure as name, " CHECKSUM(                                                                       \
		"pg_get_functiondef(p.oid)") " as checksum, true as works"                                                                         \
									 " from pg_proc p where p.pronamespace = to_regnamespace('leat') and p.prokind in ('f', 'p')"          \
									 " union all"                                                                                          \
									 " select 'trigger ' || quote_ident(t.tgname) || ' on ' || t.tgrelid::regclass, " CHECKSUM(            \
										 "pg_get_triggerdef(t.oid)") ","                                                                   \
																	 "  t.tgenabled in ('O', 'A')"                                         \
																	 " from pg_trigger t join pg_class c on c.oid = t.tgrelid"             \
																	 " where c.relnamespace = to_regnamespace('leat') and not "            \
																	 "t.tgisinternal and not starts_with(t.tgname, 'embed_')"              \
																	 " union all"                                                          \
																	 " select 'policy ' || quote_ident(o.polname) || ' on ' || "           \
																	 "o.polrelid::regclass, " CHECKSUM(                                    \
																		 "concat_ws(' ', o.polcmd, o.polpermissive,"                       \
																		 "  (select array_agg(pg_get_userbyid(r) order by "                \
																		 "pg_get_userbyid(r)) from unnest(o.polroles) r),"                 \
																		 "  pg_get_expr(o.polqual, o.polrelid), "                          \
																		 "pg_get_expr(o.polwithcheck, o.polrelid))") ", true"              \
																													 " from pg_policy o "  \
																													 "join pg_class c on " \
																													 "c.oid = o.polrelid " \
																													 "where "              \
																													 "c.relnamespace = "   \
																													 "to_regnamespace('"   \
																													 "leat'))"

static const char is_recorded[] = "select to_regclass('leat.schema_objects') is not null";

static const char compare_objects[] =
	"with " OBJECTS
	" select name, case when now.name is null then 'gone' when not works then 'switched off' else 'another than it was' end,"
	"  coalesce(now.checksum, '')"
	" from leat.schema_objects recorded left join now using (name)"
	" where recorded.server = " MAJOR " and (now.name is null or not works or now.checksum <> recorded.checksum)"
	" union all"
	" select 'the record of functions and triggers', 'not of this version of Postgres', ''"
	" where not exists (select from leat.schema_objects where server = " MAJOR ")"
	" order by 1";

static const char note_objects[] =
	"with " OBJECTS ", kept as ("
	" select name from unnest($1::text[], $2::text[]) damaged (name, found) left join now using (name)"
	" where coalesce(now.checksum, '') = damaged.found"
	"), forgotten as ("
	" delete from leat.schema_objects recorded"
	" where not exists (select from now where now.name = recorded.name) and not exists (select from kept where kept.name = recorded.name))"
	" insert into leat.schema_objects as recorded (name, checksum, server)"
	" select now.name, now.checksum, " MAJOR " from now where not exists (select from kept where kept.name = now.name)"
	" on conflict (name) do update set checksum = excluded.checksum, server = excluded.server"
	" where (recorded.checksum, recorded.server) is distinct from (excluded.checksum, excluded.server)";

enum leat_kind schema_objects_compare(struct leat_pg *pg, struct leat_pg_result **out, struct leat_error *err)
{
	LEAT_PG_RESULT_SCOPED *recorded = NULL;
	*out = NULL;
	if (leat_pg_run_sql(pg, is_recorded, &recorded, err) != LEAT_OK)
		return err->kind;
	if (strcmp(leat_pg_text(recorded, 0, 0), "t") != 0)
		return LEAT_OK;
	if (leat_pg_run_sql(pg, pin, NULL, err) != LEAT_OK || leat_pg_run_sql(pg, compare_objects, out, err) != LEAT_OK)
		return err->kind;
	return leat_pg_run_sql(pg, unpin, NULL, err);
}

enum leat_kind schema_objects_note(struct leat_pg *pg, const struct leat_pg_result *damaged, struct leat_error *err)
{
	struct leat_pg_array names = {0};
	struct leat_pg_array found = {0};
	struct leat_pg_params params = {0};
	leat_pg_array_start(&names, LEAT_PG_TEXT);
	leat_pg_array_start(&found, LEAT_PG_TEXT);
	for (size_t row = 0; damaged != NULL && row < leat_pg_rows(damaged); row++) {
		leat_pg_array_add_text(&names, leat_pg_text(damaged, row, 0));
		leat_pg_array_add_text(&found, leat_pg_text(damaged, row, 2));
	}
	leat_pg_bind_array(&params, &names);
	leat_pg_bind_array(&params, &found);
	enum leat_kind kind = leat_pg_run_sql(pg, pin, NULL, err);
	if (kind == LEAT_OK)
		kind = leat_pg_run_once(pg, note_objects, &params, NULL, err);
	if (kind == LEAT_OK)
		kind = leat_pg_run_sql(pg, unpin, NULL, err);
	leat_pg_array_free(&names);
	leat_pg_array_free(&found);
	return kind;
}

enum leat_kind leat_schema_find_damage(
	struct leat_pg *pg, void (*tell)(void *context, const char *object, const char *what), void *context, struct leat_error *err)
{
	LEAT_PG_RESULT_SCOPED *damaged = NULL;
	struct leat_error ignored; /* a connection that can't roll back is lost, and its transaction with it */
	enum leat_kind kind = leat_pg_run_sql(pg, "begin read only", NULL, err);
	if (kind == LEAT_OK)
		kind = schema_objects_compare(pg, &damaged, err);
	if (leat_pg_run_sql(pg, "rollback", NULL, &ignored) != LEAT_OK)
		assert(!leat_pg_alive(pg));
	for (size_t row = 0; kind == LEAT_OK && damaged != NULL && row < leat_pg_rows(damaged); row++)
		tell(context, leat_pg_text(damaged, row, 0), leat_pg_text(damaged, row, 1));
	return kind;
}
