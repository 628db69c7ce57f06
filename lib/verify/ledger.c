/* The ledger in pages by primary key: nothing is held but one page. */
#include "state.h"

#include <string.h>

enum { PAGE_ROWS = 10000 };

void ledger_open(struct ledger *ledger, struct leat_pg *pg, const char *stream, int64_t after)
{
	*ledger = (struct ledger){.pg = pg, .stream = stream, .after = after};
}

void ledger_close(struct ledger *ledger)
{
	leat_pg_result_drop(&ledger->page);
}

static enum leat_kind fetch(struct ledger *ledger, struct leat_error *err)
{
	struct leat_pg_params params = {0};
	leat_pg_bind_text(&params, ledger->stream);
	leat_pg_bind_int8(&params, ledger->after);
	leat_pg_bind_int8(&params, PAGE_ROWS);
	leat_pg_result_drop(&ledger->page);
	ledger->next = 0;
	if (leat_pg_fetch(ledger->pg, "ledger", &params, &ledger->page, err) != LEAT_OK)
		return leat_fail_while(err, "the ledger");
	return LEAT_OK;
}

enum leat_kind ledger_next(struct ledger *ledger, struct leat_error *err)
{
	if (ledger->page == NULL || (ledger->next == leat_pg_rows(ledger->page) && ledger->next == PAGE_ROWS)) {
		if (fetch(ledger, err) != LEAT_OK)
			return err->kind;
	}
	ledger->ended = ledger->next == leat_pg_rows(ledger->page);
	if (ledger->ended)
		return LEAT_OK;
	size_t row = ledger->next++;
	const char *outcome = leat_pg_text(ledger->page, row, 2);
	ledger->position = leat_pg_int8(ledger->page, row, 0);
	ledger->at_us = leat_pg_time_us(ledger->page, row, 1);
	ledger->parked = strcmp(outcome, "parked") == 0;
	ledger->applied = strcmp(outcome, "applied") == 0;
	ledger->detail = leat_pg_text(ledger->page, row, 3);
	ledger->after = ledger->position;
	return LEAT_OK;
}
