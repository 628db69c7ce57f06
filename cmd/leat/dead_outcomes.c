/* Letters that were sent again, counted by status and code. */
#include "dead_outcomes.h"

#include "command.h"
#include "table.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void count_one(void *context, size_t place, struct leat_msg *reply)
{
	(void)place;
	struct dead_outcomes *all = context;
	struct outcome outcome;
	outcome_read(&outcome, reply);
	leat_msg_free(reply);
	size_t i = 0;
	while (i < all->kind_count &&
		(strcmp(all->kinds[i].outcome.status, outcome.status) != 0 || strcmp(all->kinds[i].outcome.code, outcome.code) != 0))
		i++;
	if (i == DEAD_OUTCOMES) /* more than there are codes: whoever says such a thing counts with the last */
		i--;
	if (i == all->kind_count) {
		all->kinds[i].outcome = outcome;
		all->kind_count++;
	}
	all->kinds[i].count++;
}

void dead_outcomes_wait(struct dead_outcomes *all, size_t count, size_t stored)
{
	if (all->missing > 0)
		all->missing += stored;
	else
		all->missing = outcomes_wait(&all->outcomes, all->asked - count, count, stored, all->timeout_ms, count_one, all);
}

bool dead_outcomes_print(const struct dead_outcomes *all)
{
	static const char *const heads[] = {"OUTCOME", "CODE", ">COUNT", NULL};
	TABLE_SCOPED table;
	bool well = all->missing == 0;
	table_init(&table, heads);
	for (size_t i = 0; i < all->kind_count; i++) {
		table_add(&table, "%s", all->kinds[i].outcome.status);
		table_add(&table, "%s", all->kinds[i].outcome.code);
		table_add(&table, "%zu", all->kinds[i].count);
		well = well && strcmp(all->kinds[i].outcome.status, "rejected") != 0;
	}
	if (all->kind_count > 0)
		table_print(&table);
	if (all->missing > 0)
		command_fail("dead redrive", false, "%zu sent again, but no outcome within %" PRId64 " s; is a consumer running? see `leat status`",
			all->missing, all->timeout_ms / 1000);
	return well;
}
