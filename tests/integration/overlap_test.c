/* Many batches over the same few rows, from several connections at once: none is the victim of a deadlock, none has to be tried again. */
#include "intents.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECTIONS 4
#define ENTITIES 40
#define LONGEST 60

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

TestSuite(overlap, .init = setup, .fini = teardown);

struct slot {
	struct message message;
	char entity[LEAT_UUID_TEXT_BYTES];
	char body[256];
};

/* What a worker does. */
struct work {
	const char *verbs[6];
	size_t verb_count;
	size_t batch;
	int64_t batches;
};

struct worker {
	struct slot slots[LONGEST];
	pthread_t thread;
	struct gate gate;
	uint64_t state; /* of chance */
	int64_t position;
	const struct work *work;
	char failure[600];
};

static size_t chance(struct worker *worker, size_t of)
{
	worker->state = worker->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (size_t)(worker->state >> 33) % of;
}

static void name_entity(char out[LEAT_UUID_TEXT_BYTES], size_t number)
{
	snprintf(out, LEAT_UUID_TEXT_BYTES, "eeeeeeee-0000-4000-8000-%012zx", number % ENTITIES);
}

static void fill(struct worker *worker, struct slot *slot)
{
	const char *verb = worker->work->verbs[chance(worker, worker->work->verb_count)];
	size_t number = chance(worker, ENTITIES);
	char other[LEAT_UUID_TEXT_BYTES];
	name_entity(slot->entity, number);
	name_entity(other, number + 1 + chance(worker, ENTITIES - 1));
	slot->message = (struct message){.seq = worker->position += CONNECTIONS, .verb = verb, .entity = slot->entity, .body = slot->body};
	if (strcmp(verb, "bulk") == 0) {
		slot->message.entity = NULL;
		snprintf(slot->body, sizeof slot->body, "{\"entity_ids\":[\"%.36s\",\"%.36s\"],\"content\":{\"a\":1}}", slot->entity, other);
	} else if (strcmp(verb, "unset") == 0) {
		snprintf(slot->body, sizeof slot->body, "{\"entity_id\":\"%.36s\",\"content\":[\"b\"]}", slot->entity);
	} else {
		const char *type = strcmp(verb, "upsert") == 0 ? ",\"entity_type\":\"t\"" : "";
		snprintf(slot->body, sizeof slot->body, "{\"entity_id\":\"%.36s\"%s,\"content\":{\"a\":%" PRId64 ",\"b\":2}}", slot->entity, type,
			slot->message.seq);
	}
}

static void *work(void *argument)
{
	struct worker *worker = argument;
	const struct message *batch[LONGEST];
	struct answer answers[LONGEST];
	struct leat_error err;
	for (int64_t i = 0; i < worker->work->batches; i++) {
		for (size_t m = 0; m < worker->work->batch; m++) {
			fill(worker, &worker->slots[m]);
			batch[m] = &worker->slots[m].message;
		}
		if (gate_apply(&worker->gate, batch, worker->work->batch, answers, &err) != LEAT_OK) {
			snprintf(worker->failure, sizeof worker->failure, "%s", err.text);
			return NULL;
		}
	}
	return NULL;
}

static void run(uint64_t seed, const struct work *todo)
{
	struct worker workers[CONNECTIONS] = {0};
	for (size_t i = 0; i < CONNECTIONS; i++) {
		workers[i].state = seed + i;
		workers[i].position = ENTITIES + (int64_t)i;
		workers[i].work = todo;
		gate_open(&workers[i].gate, &rig);
		cr_assert_eq(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
	}
	for (size_t i = 0; i < CONNECTIONS; i++) {
		pthread_join(workers[i].thread, NULL);
		gate_close(&workers[i].gate);
	}
	for (size_t i = 0; i < CONNECTIONS; i++)
		cr_assert_str_empty(workers[i].failure, "LEAT_SEED=%" PRIu64 ": %s", seed, workers[i].failure);
}

static void make_entities(void)
{
	struct gate gate;
	gate_open(&gate, &rig);
	for (int64_t i = 0; i < ENTITIES; i++) {
		char entity[LEAT_UUID_TEXT_BYTES];
		name_entity(entity, (size_t)i);
		put(&gate, intent(i + 1, "upsert", entity, ""));
	}
	gate_close(&gate);
}

Test(overlap, batches_over_the_same_rows_never_deadlock)
{
	make_entities();
	run(rig_seed(),
		&(struct work){
			.verbs = {"merge", "merge", "merge", "unset", "bulk"}, .verb_count = 5, .batch = LONGEST, .batches = rig_size(30, 1000)});
	cr_assert_eq(rig_sql_int(&rig, "select count(*) from leat.parked"), 0);
}

Test(overlap, batches_that_only_merge_never_deadlock)
{
	static const size_t batches[] = {LONGEST, 12, 4, 2}; /* the last two go the short way */
	make_entities();
	for (size_t i = 0; i < sizeof batches / sizeof *batches; i++) {
		rig_sql(&rig, "truncate leat.activity");
		run(rig_seed(), &(struct work){.verbs = {"merge"}, .verb_count = 1, .batch = batches[i], .batches = rig_size(60, 2000)});
	}
	cr_assert_eq(rig_sql_int(&rig, "select count(*) from leat.parked"), 0);
}

Test(overlap, batches_that_create_the_same_rows_never_deadlock)
{
	uint64_t seed = rig_seed();
	for (int64_t round = 0; round < rig_size(6, 300); round++) {
		rig_sql(&rig, "truncate leat.entities, leat.activity, leat.parked, leat.outbox, leat.audit_log");
		run(seed + (uint64_t)round,
			&(struct work){
				.verbs = {"merge", "merge", "merge", "unset", "bulk", "upsert"}, .verb_count = 6, .batch = LONGEST, .batches = 4});
	}
}
