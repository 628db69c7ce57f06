/*
 * The query lane: requests on leat.query.> are answered from Postgres. All processes of the queue group subscribe, and NATS hands each
 * request to one of them.
 *
 * The happy path: requests are taken as they come, all that are there at once; one call asks Postgres for all of them; the answers go out.
 * It subscribes only while it has Postgres: without, NATS tells the asker that nobody is there, or another process answers.
 *
 * Possible failures: Postgres is lost: the lane leaves the group; what it has already been given waits a while for Postgres to come back
 * (query_wait_ms), and is then answered with an error. Told to stop, it leaves the group first, and answers what it was given until then.
 * NATS is lost: nobody can be answered; the library subscribes again. Killed: what was in hand is never answered, and the asker's own time
 * limit tells.
 */
#include "query.h"

/* Of the time to end, so much is for answering; the rest is for telling those who are left that they must ask again. */
enum { DRAIN_PARTS = 4 };

static const char away[] = "Postgres is not there; ask again in a moment";

/* What was given to this process and not taken yet, once it gets no more. False: Postgres is lost. */
static bool answer_rest(struct query_lane *q, int64_t until_ms)
{
	do {
		if (q->count > 0 && !query_answer(q))
			return false;
		if (leat_clock_ms() >= until_ms)
			return true;
	} while (query_take(q, 0));
	return true;
}

static void turn_away_all(struct query_lane *q, const char *why)
{
	do
		query_turn_away(q, why);
	while (query_take(q, 0));
}

static void give_up_when_late(struct query_lane *q)
{
	if (!q->ended || leat_clock_ms() < q->give_up_ms)
		return;
	turn_away_all(q, away);
	query_close_inbox(q);
}

static void lose_postgres(struct query_lane *q)
{
	query_end_inbox(q);
	lane_link_close_pg(&q->link);
	leat_lane_count(q->lane, LEAT_COUNT_RECONNECTS, 1);
	if (q->count == 0)
		q->give_up_ms = leat_clock_ms() + q->params->query_wait_ms;
}

/* Until Postgres is lost, the process stops, or the connection to NATS has to be opened again. */
static void work(struct query_lane *q)
{
	leat_lane_enter(q->lane, "working", NULL);
	while (!leat_lane_stopping(q->lane) && !leat_bus_closed(q->link.bus)) {
		bool came = query_take(q, QUERY_IDLE_MS);
		if (!(came ? query_answer(q) : query_has_postgres(q))) {
			lose_postgres(q);
			return;
		}
	}
}

/* Postgres is back: first those who wait. */
static bool catch_up(struct query_lane *q)
{
	if (!q->ended)
		return true;
	if (!answer_rest(q, INT64_MAX)) {
		lose_postgres(q);
		return false;
	}
	query_close_inbox(q);
	return true;
}

static void leave(struct query_lane *q)
{
	if (q->inbox == NULL)
		return;
	query_end_inbox(q);
	if (q->link.pg != NULL)
		answer_rest(q, leat_clock_ms() + q->params->drain_ms - q->params->drain_ms / DRAIN_PARTS);
	turn_away_all(q, "this process stops; ask again, another one answers");
	query_close_inbox(q);
}

void lane_query_run(struct leat_lane *lane)
{
	struct query_lane q = {.lane = lane, .params = lane->process->params};
	lane_link_init(&q.link, lane);
	while (!leat_lane_stopping(lane)) {
		if (q.link.bus != NULL && leat_bus_closed(q.link.bus)) {
			query_drop(&q); /* nobody hears an answer */
			query_close_inbox(&q);
		}
		if (!lane_link_open_bus(&q.link))
			continue;
		give_up_when_late(&q);
		if (query_open_postgres(&q) && catch_up(&q) && query_open_inbox(&q))
			work(&q);
	}
	leave(&q);
	for (size_t i = 0; i < QUERY_COLUMNS; i++)
		leat_pg_array_free(&q.arrays[i]);
	lane_link_fini(&q.link);
}
