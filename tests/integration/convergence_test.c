/*
 * Promise 1: the state of an entity is a function of the set of its intents. Stories are delivered in every way that a stream, a crash and
 * several consumers can think of; what the tables hold at the end must be what the fold makes of the intents that the ledger calls applied.
 */
#include "story.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECTIONS 3

static struct rig rig;

static void setup(void)
{
	rig_open(&rig);
	install_schema(&rig);
}

static void teardown(void)
{
	rig_close(&rig);
}

TestSuite(convergence, .init = setup, .fini = teardown);

/* ---- deliveries: which message comes next ---- */

struct deliveries {
	pthread_mutex_t lock;
	const struct story *story;
	struct chance chance;
	size_t *queue; /* indexes of intents */
	size_t head;
	size_t tail;
	size_t room;
	bool *settled;  /* by index: acknowledged */
	size_t at_work; /* batches that are not over */
	char failure[600];
};

static void deliver(struct deliveries *deliveries, size_t intent)
{
	cr_assert_lt(deliveries->tail, deliveries->room);
	deliveries->queue[deliveries->tail++] = intent;
}

/* Each once, some twice. `spread`: how far from its place in the stream a message may come; 0 for in order. */
static void deliveries_open(struct deliveries *deliveries, const struct story *story, uint64_t seed, size_t spread)
{
	*deliveries = (struct deliveries){.story = story, .chance = {seed}, .room = story->count * 8};
	pthread_mutex_init(&deliveries->lock, NULL);
	deliveries->queue = leat_alloc(deliveries->room * sizeof *deliveries->queue);
	deliveries->settled = leat_alloc_zero(story->count, sizeof *deliveries->settled);
	for (size_t i = 0; i < story->count; i++) {
		deliver(deliveries, i);
		if (spread > 0 && chance_percent(&deliveries->chance, 15))
			deliver(deliveries, i);
	}
	for (size_t from = 0; from < deliveries->tail && spread > 0; from += spread) {
		size_t left = deliveries->tail - from;
		chance_shuffle(&deliveries->chance, deliveries->queue + from, left < spread ? left : spread);
	}
}

static void deliveries_close(struct deliveries *deliveries)
{
	pthread_mutex_destroy(&deliveries->lock);
	free(deliveries->queue);
	free(deliveries->settled);
}

static int by_sequence(const void *a, const void *b)
{
	const struct message *left = *(const struct message *const *)a;
	const struct message *right = *(const struct message *const *)b;
	return left->seq < right->seq ? -1 : left->seq > right->seq;
}

/* The next batch, in order of sequence, each message once; empty when there is none. */
static size_t take_batch(struct deliveries *deliveries, size_t most, const struct message **batch)
{
	size_t count = 0;
	while (count < most && deliveries->head < deliveries->tail) {
		const struct message *message = &deliveries->story->intents[deliveries->queue[deliveries->head]].message;
		bool twice = false;
		for (size_t i = 0; i < count; i++)
			twice = twice || batch[i] == message;
		if (twice)
			break;
		batch[count++] = message;
		deliveries->head++;
	}
	qsort(batch, count, sizeof *batch, by_sequence);
	return count;
}

static void acknowledge(struct deliveries *deliveries, const struct message *const *batch, size_t count)
{
	for (size_t i = 0; i < count; i++)
		deliveries->settled[batch[i]->seq - 1] = true;
}

static int64_t ack_floor(const struct deliveries *deliveries)
{
	size_t floor = 0;
	while (floor < deliveries->story->count && deliveries->settled[floor])
		floor++;
	return (int64_t)floor;
}

/* ---- the run of a story ---- */

static void forget_all(void)
{
	rig_sql(&rig,
		"truncate leat.entities, leat.activity, leat.message_ids, leat.parked, leat.outbox, leat.audit_log, leat.stream_floors,"
		" leat.stream_epochs");
}

static void apply_batch(struct gate *gate, struct deliveries *deliveries, size_t most)
{
	const struct message *batch[LONGEST_BATCH];
	struct answer answers[LONGEST_BATCH];
	struct leat_error err;
	size_t count = take_batch(deliveries, most, batch);
	cr_assert_eq(gate_apply(gate, batch, count, answers, &err), LEAT_OK, "LEAT_SEED=%" PRIu64 ": %s", deliveries->story->seed, err.text);
	acknowledge(deliveries, batch, count);
}

static void decide_some(struct gate *gate, struct deliveries *deliveries)
{
	struct leat_error err;
	struct decided decided;
	int64_t floor = ack_floor(deliveries) - (int64_t)chance_of(&deliveries->chance, 3);
	int32_t limit = 1 + (int32_t)chance_of(&deliveries->chance, 20);
	cr_assert_eq(gate_decide(gate, 0, floor > 0 ? floor : 0, limit, &decided, &err), LEAT_OK, "LEAT_SEED=%" PRIu64 ": %s",
		deliveries->story->seed, err.text);
}

static char *snapshot(struct leat_pg *pg)
{
	static const char sql[] =
		"select concat_ws(' ', (select md5(string_agg(concat(tenant_id, id, xmin, ctid), ',' order by tenant_id, id)) from leat.entities),"
		" (select count(*) from leat.audit_log), (select md5(string_agg(a::text, ',' order by position)) from leat.activity a),"
		" (select count(*) from leat.message_ids), (select count(*) from leat.outbox), (select count(*) from leat.parked))";
	LEAT_PG_RESULT_SCOPED *result = NULL;
	struct leat_error err;
	cr_assert_eq(leat_pg_run_sql(pg, sql, &result, &err), LEAT_OK, "%s", err.text);
	return leat_strdup(leat_pg_text(result, 0, 0));
}

static void expect_idempotent(struct gate *gate, const struct story *story)
{
	struct deliveries again;
	char *before = snapshot(gate->pg);
	deliveries_open(&again, story, story->seed + 1, story->count);
	while (again.head < again.tail)
		apply_batch(gate, &again, 1 + chance_of(&again.chance, 100));
	deliveries_close(&again);
	char *after = snapshot(gate->pg);
	cr_assert_str_eq(after, before, "LEAT_SEED=%" PRIu64 ": applying it again changed something\n%s\n%s", story->seed, before, after);
	free(before);
	free(after);
}

static void expect_convergence(struct gate *gate, const struct story *story)
{
	struct verdict *verdicts = leat_alloc(story->count * sizeof *verdicts);
	cr_assert_eq(gate_decide_all(gate, 0, (int64_t)story->count), 0, "LEAT_SEED=%" PRIu64, story->seed);
	story_read_verdicts(gate->pg, story, verdicts);
	story_expect_no_needless_rejection(story, verdicts);
	story_expect_entities(gate->pg, story, verdicts);
	story_expect_sound_rows(gate->pg, story);
	expect_idempotent(gate, story);
	free(verdicts);
}

/* Seeds from the given one on; LEAT_SEED repeats the first of them. */
static void each_seed(int64_t rounds, void (*run)(struct gate *gate, uint64_t seed))
{
	struct gate gate;
	gate_open(&gate, &rig);
	uint64_t first = rig_seed();
	for (int64_t i = 0; i < rounds; i++) {
		forget_all();
		run(&gate, first + (uint64_t)i);
	}
	gate_close(&gate);
}

/* ---- one connection ---- */

static void run_in_order(struct gate *gate, uint64_t seed)
{
	struct story story;
	struct deliveries deliveries;
	story_tell(&story, seed, 150, 1 + seed % 6);
	deliveries_open(&deliveries, &story, seed, 0);
	struct verdict *found = leat_alloc(story.count * sizeof *found);
	struct verdict *serial = leat_alloc(story.count * sizeof *serial);
	while (deliveries.head < deliveries.tail) {
		apply_batch(gate, &deliveries, 1);
		gate_decide_all(gate, 0, ack_floor(&deliveries));
	}
	story_read_verdicts(gate->pg, &story, found);
	story_decide_serially(&story, serial);
	story_expect_same_verdicts(&story, found, serial);
	expect_convergence(gate, &story);
	free(found);
	free(serial);
	deliveries_close(&deliveries);
	story_free(&story);
}

Test(convergence, one_by_one_in_order_is_the_serial_fold_outcomes_and_all)
{
	each_seed(rig_size(5, 300), run_in_order);
}

static void apply_shuffled(struct gate *gate, const struct story *story)
{
	static const size_t spreads[] = {0, 3, 20, 1000};
	struct deliveries deliveries;
	deliveries_open(&deliveries, story, story->seed, spreads[story->seed % 4]);
	size_t most = 1 + chance_of(&deliveries.chance, 60);
	unsigned often = (unsigned)chance_of(&deliveries.chance, 80);
	while (deliveries.head < deliveries.tail) {
		apply_batch(gate, &deliveries, 1 + chance_of(&deliveries.chance, most));
		if (chance_percent(&deliveries.chance, often))
			decide_some(gate, &deliveries);
	}
	expect_convergence(gate, story);
	deliveries_close(&deliveries);
}

static void run_shuffled(struct gate *gate, uint64_t seed)
{
	struct story story;
	story_tell(&story, seed, 120 + seed % 100, 1 + seed % 12);
	apply_shuffled(gate, &story);
	story_free(&story);
}

Test(convergence, any_order_and_any_batches_give_the_fold_of_what_was_applied)
{
	each_seed(rig_size(28, 3000), run_shuffled);
}

static void run_merges_shuffled(struct gate *gate, uint64_t seed)
{
	struct story story;
	story_tell_merges(&story, seed, 200 + seed % 200, 1 + seed % 12);
	apply_shuffled(gate, &story);
	story_free(&story);
}

Test(convergence, merges_alone_in_any_order_and_any_batches_give_it_too)
{
	each_seed(rig_size(28, 3000), run_merges_shuffled);
}

/* ---- several connections at once ---- */

/* A batch that lost a race is given again, as the lane does. */
static bool apply_batch_beside_others(struct gate *gate, struct deliveries *deliveries, size_t most)
{
	const struct message *batch[LONGEST_BATCH];
	struct answer answers[LONGEST_BATCH];
	struct leat_error err;
	pthread_mutex_lock(&deliveries->lock);
	size_t count = take_batch(deliveries, chance_percent(&deliveries->chance, 30) ? 1 : most, batch);
	deliveries->at_work += count > 0;
	bool over = count == 0 && deliveries->at_work == 0;
	pthread_mutex_unlock(&deliveries->lock);
	if (count == 0)
		return !over;

	enum leat_kind kind;
	do
		kind = gate_apply(gate, batch, count, answers, &err);
	while (kind == LEAT_TEMPORARY && leat_pg_alive(gate->pg));

	pthread_mutex_lock(&deliveries->lock);
	deliveries->at_work--;
	if (kind == LEAT_OK)
		acknowledge(deliveries, batch, count);
	else
		snprintf(deliveries->failure, sizeof deliveries->failure, "applying: %s", err.text);
	bool failed = deliveries->failure[0] != '\0';
	pthread_mutex_unlock(&deliveries->lock);
	return !failed;
}

struct worker {
	pthread_t thread;
	struct gate gate;
	struct deliveries *deliveries;
};

static void *work(void *argument)
{
	struct worker *worker = argument;
	while (apply_batch_beside_others(&worker->gate, worker->deliveries, 40))
		;
	return NULL;
}

/* Keeps deciding while the others apply. */
static void *decide_meanwhile(void *argument)
{
	struct worker *worker = argument;
	struct deliveries *deliveries = worker->deliveries;
	struct leat_error err;
	struct decided decided;
	for (bool over = false; !over;) {
		pthread_mutex_lock(&deliveries->lock);
		int64_t floor = ack_floor(deliveries);
		over = (deliveries->head == deliveries->tail && deliveries->at_work == 0) || deliveries->failure[0] != '\0';
		pthread_mutex_unlock(&deliveries->lock);
		enum leat_kind kind = gate_decide(&worker->gate, 0, floor, 30, &decided, &err);
		if (kind == LEAT_PERMANENT) {
			pthread_mutex_lock(&deliveries->lock);
			snprintf(deliveries->failure, sizeof deliveries->failure, "deciding: %s", err.text);
			pthread_mutex_unlock(&deliveries->lock);
		}
	}
	return NULL;
}

static void apply_beside(struct gate *gate, const struct story *story)
{
	struct deliveries deliveries;
	struct worker workers[CONNECTIONS + 1];
	deliveries_open(&deliveries, story, story->seed, 50);
	for (size_t i = 0; i <= CONNECTIONS; i++) {
		workers[i].deliveries = &deliveries;
		gate_open(&workers[i].gate, &rig);
		cr_assert_eq(pthread_create(&workers[i].thread, NULL, i < CONNECTIONS ? work : decide_meanwhile, &workers[i]), 0);
	}
	for (size_t i = 0; i <= CONNECTIONS; i++) {
		pthread_join(workers[i].thread, NULL);
		gate_close(&workers[i].gate);
	}
	cr_assert_str_empty(deliveries.failure, "LEAT_SEED=%" PRIu64 ": %s", story->seed, deliveries.failure);
	expect_convergence(gate, story);
	deliveries_close(&deliveries);
}

static void run_beside(struct gate *gate, uint64_t seed)
{
	struct story story;
	story_tell(&story, seed, 800, 2 + seed % 20);
	apply_beside(gate, &story);
	story_free(&story);
}

Test(convergence, several_connections_at_once_give_the_fold_of_what_was_applied)
{
	each_seed(rig_size(4, 300), run_beside);
}

static void run_merges_beside(struct gate *gate, uint64_t seed)
{
	struct story story;
	story_tell_merges(&story, seed, 800, 2 + seed % 20);
	apply_beside(gate, &story);
	story_free(&story);
}

Test(convergence, several_connections_that_merge_at_once_give_it_too)
{
	each_seed(rig_size(4, 300), run_merges_beside);
}
