/* Reading a table of the snapshot through a cursor, so that it need not fit into memory. Fails as the database does. */
#include "row.h"

#define FETCH "fetch 100 from verify_rows"

enum leat_kind verify_each_row(struct verify *v, const struct verify_fold *fold, const char *select, const char *column,
	void (*compare)(void *context, const struct leat_pg_result *page, size_t at), void *context, struct leat_error *err)
{
	LEAT_BUF_SCOPED sql = LEAT_BUF_INIT;
	leat_buf_printf(&sql, "declare verify_rows no scroll cursor for %s", select);
	verify_pass_sql(v, &sql, column);
	enum leat_kind kind = leat_pg_run_sql(verify_pg(v), leat_buf_text(&sql), NULL, err);
	for (bool more = true; more && kind == LEAT_OK;) {
		LEAT_PG_RESULT_SCOPED *page = NULL;
		kind = leat_pg_run_sql(verify_pg(v), FETCH, &page, err);
		size_t rows = kind == LEAT_OK ? leat_pg_rows(page) : 0;
		for (size_t at = 0; at < rows; at++)
			compare(context, page, at);
		if (fold != NULL)
			verify_count(v, fold, rows);
		more = rows > 0;
	}
	return kind == LEAT_OK ? leat_pg_run_sql(verify_pg(v), "close verify_rows", NULL, err) : kind;
}
