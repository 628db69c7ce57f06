/* How a database's schema stands to this binary's: by the record that `leat migrate` keeps, without running anything. */
#include "leat/schema.h"

#include <stdio.h>
#include <string.h>

/* A file of functions that this binary does not have may have been renamed, or its functions moved; a migration may not. */
static const char compare_files[] =
	"with compared as ("
	"	select name, case when recorded.name is null then 'not run'"
	"		when ours.name is null then 'unknown'"
	"		when recorded.checksum <> encode(sha256(convert_to(ours.text, 'UTF8')), 'hex') then 'changed' end as state"
	"	from unnest($1::text[], $2::text[]) ours (name, text) full join leat.schema_files recorded using (name)"
	"	where ours.name is not null or name like 'migrations/%')"
	" select state, count(*), min(name) from compared where state is not null group by state";

enum leat_kind leat_schema_compare(struct leat_pg *pg, struct leat_schema_gap *out, struct leat_error *err)
{
	*out = (struct leat_schema_gap){0};
	struct leat_pg_array names = {0};
	struct leat_pg_array texts = {0};
	leat_pg_array_start(&names, LEAT_PG_TEXT);
	leat_pg_array_start(&texts, LEAT_PG_TEXT);
	for (size_t i = 0; i < leat_sql_file_count; i++) {
		leat_pg_array_add_text(&names, leat_sql_files[i].name);
		leat_pg_array_add_text(&texts, leat_sql_files[i].text);
	}
	struct leat_pg_params params = {0};
	leat_pg_bind_array(&params, &names);
	leat_pg_bind_array(&params, &texts);
	LEAT_PG_RESULT_SCOPED *result = NULL;
	enum leat_kind kind = leat_pg_run_once(pg, compare_files, &params, &result, err);
	for (size_t row = 0; kind == LEAT_OK && row < leat_pg_rows(result); row++) {
		const char *state = leat_pg_text(result, row, 0);
		struct leat_schema_files *files = strcmp(state, "not run") == 0 ? &out->not_run
			: strcmp(state, "changed") == 0                             ? &out->changed
																		: &out->unknown;
		files->count = leat_pg_int8(result, row, 1);
		snprintf(files->first, sizeof files->first, "%s", leat_pg_text(result, row, 2));
	}
	leat_pg_array_free(&names);
	leat_pg_array_free(&texts);
	return kind;
}
