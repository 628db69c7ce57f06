/*
 * A lane that consumes a stream of intents into Postgres, a batch a transaction: the same for all of them but for the statements.
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
#include "consume.h"

/* After something was parked: how soon the floor is looked at first. */
enum { FIRST_LOOK_MS = 20 };

static void work(struct consume_lane *c)
{
	leat_lane_enter(c->lane, "working", NULL);
	while (!c->pull_broken || c->flying != NULL || c->next->count > 0) {
		if (leat_lane_stopping(c->lane) && c->flying == NULL)
			return;
		if (c->flying == NULL)
			consume_collect(c, CONSUME_IDLE_MS);
		struct leat_batch *landed = c->flying;
		if (landed != NULL && !consume_land(c))
			return;
		c->flying = NULL;
		if (!consume_look_at_floor(c))
			return;
		/* Postgres gets its next work before the acknowledgements of the last go out. */
		if (c->next->count > 0 && !leat_lane_stopping(c->lane) && !consume_launch(c))
			return;
		if (landed != NULL)
			consume_settle(c, landed);
	}
}

void lane_consume(struct leat_lane *lane, const struct leat_source *source)
{
	struct consume_lane c = {
		.lane = lane,
		.source = source,
		.params = lane->process->params,
		.decide_limit = CONSUME_DECIDE_LIMIT,
		.floor_pace = {.first_ms = FIRST_LOOK_MS, .limit_ms = lane->process->params->floor_check_ms},
	};
	lane_link_init(&c.link, lane);
	leat_batch_init(&c.batches[0], c.params, source->stream);
	leat_batch_init(&c.batches[1], c.params, source->stream);
	c.next = &c.batches[0];

	while (!leat_lane_stopping(lane)) {
		if (!lane_link_open_bus(&c.link) || !lane_link_open_pg(&c.link, source->statements, source->statement_count) ||
			!consume_open_pull(&c))
			continue;
		work(&c);
		if (c.pull_broken && c.pull != NULL)
			consume_close_pull(&c);
	}

	if (c.link.bus != NULL) {
		consume_give_back(&c, &c.batches[0], 0);
		consume_give_back(&c, &c.batches[1], 0);
	}
	leat_pull_close(c.pull);
	leat_batch_fini(&c.batches[0]);
	leat_batch_fini(&c.batches[1]);
	lane_link_fini(&c.link);
}
