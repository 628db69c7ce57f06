/*
 * The entity lane: messages of LEAT_ENTITY into Postgres, a batch a transaction.
 *
 * The happy path: two batches take turns. While Postgres works on one, the messages for the other are fetched and decoded; when it has
 * committed, the other is sent at once, and only then are the messages of the first acknowledged.
 *
 * Possible failures: Postgres is lost: what is in hand is given back, nothing is fetched until it is there again. A race is lost (SQLSTATE
 * class 40 and the like): the same batch again, a little later. Postgres refuses the batch for good: it is taken apart until the guilty
 * intent is alone, and that one is rejected. The durable is lost: it is opened again, after a look whether the stream is still the same.
 * Killed at any point: what was not committed comes again as new, what was committed and not acknowledged comes again and is known to the
 * ledger.
 */
#include "entity.h"

/* After something was parked: how soon the floor is looked at first. */
enum { FIRST_LOOK_MS = 20 };

static void work(struct entity_lane *e)
{
	leat_lane_enter(e->lane, "working", NULL);
	while (!e->pull_broken || e->flying != NULL || e->next->count > 0) {
		if (leat_lane_stopping(e->lane) && e->flying == NULL)
			return;
		if (e->flying == NULL)
			entity_collect(e, ENTITY_IDLE_MS);
		struct leat_batch *landed = e->flying;
		if (landed != NULL && !entity_land(e))
			return;
		e->flying = NULL;
		if (!entity_look_at_floor(e))
			return;
		/* Postgres gets its next work before the acknowledgements of the last go out. */
		if (e->next->count > 0 && !leat_lane_stopping(e->lane) && !entity_launch(e))
			return;
		if (landed != NULL)
			entity_settle(e, landed);
	}
}

void lane_entity_run(struct leat_lane *lane)
{
	struct entity_lane e = {
		.lane = lane,
		.params = lane->process->params,
		.decide_limit = ENTITY_DECIDE_LIMIT,
		.floor_pace = {.first_ms = FIRST_LOOK_MS, .limit_ms = lane->process->params->floor_check_ms},
	};
	lane_link_init(&e.link, lane);
	leat_batch_init(&e.batches[0], e.params);
	leat_batch_init(&e.batches[1], e.params);
	e.next = &e.batches[0];

	while (!leat_lane_stopping(lane)) {
		if (!lane_link_open_bus(&e.link) || !lane_link_open_pg(&e.link, leat_entity_statements, leat_entity_statement_count) ||
			!entity_open_pull(&e))
			continue;
		work(&e);
		if (e.pull_broken && e.pull != NULL)
			entity_close_pull(&e);
	}

	if (e.link.bus != NULL) {
		entity_give_back(&e, &e.batches[0], 0);
		entity_give_back(&e, &e.batches[1], 0);
	}
	leat_pull_close(e.pull);
	leat_batch_fini(&e.batches[0]);
	leat_batch_fini(&e.batches[1]);
	lane_link_fini(&e.link);
}
