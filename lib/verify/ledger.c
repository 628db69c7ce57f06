/*
 * The ledger in pages by primary key, on a connection of its own: while the rows of one page are folded, the server makes the next. Two
 * pages are held at most. Fails as the database does.
 */
#include "state.h"

enum { PAGE_ROWS = 4000, LOOK_MS = 1000 };

void ledger_open(struct ledger *ledger, struct leat_pg *pg, const char *stream, int64_t after)
{
	*ledger = (struct ledger){.pg = pg, .stream = stream, .after = after};
}

/* For the page behind `after`. */
static enum leat_kind ask(struct ledger *ledger, struct leat_error *err)
{
	struct leat_pg_params params = {0};
	leat_pg_bind_text(&params, ledger->stream);
	leat_pg_bind_int8(&params, ledger->after);
	leat_pg_bind_int8(&params, PAGE_ROWS);
	enum leat_kind kind = leat_pg_send_fetch(ledger->pg, "ledger", &params, err);
	ledger->asked = kind == LEAT_OK;
	return kind;
}

static enum leat_kind await(struct ledger *ledger, struct leat_error *err)
{
	enum leat_kind kind = LEAT_OK;
	for (bool pending = true; pending && kind == LEAT_OK;)
		kind = leat_pg_finish(ledger->pg, LOOK_MS, &pending, &ledger->page, err);
	ledger->asked = false;
	return kind;
}

/* A page that is not full is the last. */
static enum leat_kind turn_page(struct ledger *ledger, struct leat_error *err)
{
	leat_pg_result_drop(&ledger->page);
	ledger->next = 0;
	if ((!ledger->asked && ask(ledger, err) != LEAT_OK) || await(ledger, err) != LEAT_OK)
		return err->kind;
	ledger->rows = leat_pg_rows(ledger->page);
	if (ledger->rows < PAGE_ROWS)
		return LEAT_OK;
	ledger->after = leat_pg_int8(ledger->page, ledger->rows - 1, LEDGER_POSITION);
	return ask(ledger, err);
}

static enum ledger_outcome outcome_of(const char *name)
{
	switch (*name) {
	case 'a':
		return LEDGER_APPLIED;
	case 'd':
		return LEDGER_DUPLICATE;
	case 'r':
		return LEDGER_REJECTED;
	default:
		return LEDGER_PARKED;
	}
}

enum leat_kind ledger_next(struct ledger *ledger, struct leat_error *err)
{
	if ((ledger->page == NULL || ledger->next == PAGE_ROWS) && turn_page(ledger, err) != LEAT_OK)
		return leat_fail_while(err, "the ledger");
	ledger->ended = ledger->next == ledger->rows;
	if (ledger->ended)
		return LEAT_OK;
	size_t row = ledger->row = ledger->next++;
	ledger->position = leat_pg_int8(ledger->page, row, LEDGER_POSITION);
	ledger->at_us = leat_pg_time_us(ledger->page, row, LEDGER_AT);
	ledger->outcome = outcome_of(leat_pg_text(ledger->page, row, LEDGER_OUTCOME));
	ledger->detail = leat_pg_text(ledger->page, row, LEDGER_DETAIL);
	return LEAT_OK;
}

const char *ledger_text(const struct ledger *ledger, enum ledger_column column)
{
	return leat_pg_text(ledger->page, ledger->row, (int)column);
}

const unsigned char *ledger_uuid(const struct ledger *ledger, enum ledger_column column)
{
	return (const unsigned char *)leat_pg_text(ledger->page, ledger->row, (int)column);
}

void ledger_close(struct ledger *ledger)
{
	struct leat_error ignored; /* whoever closes before the end has one of their own to tell */
	leat_pg_result_drop(&ledger->page);
	if (ledger->asked && await(ledger, &ignored) == LEAT_OK)
		leat_pg_result_drop(&ledger->page);
}
