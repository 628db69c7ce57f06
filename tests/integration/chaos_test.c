/*
 * Chaos: generated intents from several connections at once, four consumers of which two are killed in every round, Postgres and
 * nats-server killed once each; and the state is that of the serial fold in stream order all the same.
 *
 * What the fold gets is read back from the stream: who publishes through a crash can't know in which order, or how often, his messages were
 * stored. A header tells which intent of the story a message is.
 */
#include "load.h"
#include "story.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PUBLISHERS 3
#define CONSUMERS 4
#define ENTITIES 67 /* per tenant: 201 */
#define SLICE 50    /* stored at once by one publisher */
#define NUMBER_HEADER "Test-Number"

static struct rig rig;

static void setup(void)
{
	rig_open_alone(&rig);
	rig_migrate(&rig);
}

static void teardown(void)
{
	rig_close(&rig);
}

TestSuite(chaos, .init = setup, .fini = teardown);

/* ---- publishers ---- */

/* Those that have to be stored by the end of this round; publishers stop there until the next. */
static _Atomic size_t allowed;

struct publisher {
	pthread_t thread;
	struct leat_bus *bus;
	const struct story *story;
	size_t first; /* publishes every PUBLISHERS-th intent from here on */
	_Atomic size_t stored;
	char failure[256];
};

static size_t pack(const struct publisher *publisher, size_t from, struct leat_outgoing *out, char (*subjects)[160], char (*headers)[96])
{
	size_t count = 0;
	for (size_t i = from; i < publisher->story->count && i < atomic_load(&allowed) && count < SLICE; i += PUBLISHERS, count++) {
		const struct message *message = &publisher->story->intents[i].message;
		snprintf(subjects[count], sizeof subjects[count], "leat.intent.%s.service.entity.%s", message->tenant, message->verb);
		int length = snprintf(headers[count], sizeof headers[count], NUMBER_HEADER ": %zu\r\n", i);
		if (message->leat_id != NULL)
			snprintf(headers[count] + length, sizeof headers[count] - (size_t)length, "Leat-Id: %s\r\n", message->leat_id);
		out[count] = (struct leat_outgoing){
			.subject = subjects[count], .headers = headers[count], .data = message->body, .data_bytes = strlen(message->body)};
	}
	return count;
}

/* Stores each until the server has confirmed it: a message whose confirmation was lost may be there twice. */
static bool store(struct publisher *publisher, struct leat_outgoing *messages, size_t count)
{
	while (leat_bus_store(publisher->bus, messages, count) != LEAT_OK) {
		size_t left = 0;
		for (size_t i = 0; i < count; i++) {
			if (messages[i].kind == LEAT_PERMANENT) {
				snprintf(publisher->failure, sizeof publisher->failure, "%.250s", messages[i].err.text);
				return false;
			}
			if (messages[i].kind == LEAT_TEMPORARY)
				messages[left++] = messages[i];
		}
		count = left;
	}
	return true;
}

static void *publish(void *argument)
{
	struct publisher *publisher = argument;
	struct leat_outgoing messages[SLICE];
	char subjects[SLICE][160];
	char headers[SLICE][96];
	for (size_t next = publisher->first; next < publisher->story->count;) {
		size_t count = pack(publisher, next, messages, subjects, headers);
		if (count == 0) {
			struct timespec pause = {.tv_nsec = 1000000};
			nanosleep(&pause, NULL); /* the round is over for us; the next one will tell */
			continue;
		}
		if (!store(publisher, messages, count))
			break;
		next += count * PUBLISHERS;
		atomic_fetch_add(&publisher->stored, count);
	}
	return NULL;
}

static void start_publishers(struct publisher *publishers, const struct story *story)
{
	for (size_t i = 0; i < PUBLISHERS; i++) {
		struct leat_error err;
		struct leat_bus_options options = {
			.url = rig.nats.url, .name = "publisher", .request_timeout_ms = 5000, .retry_first_ms = 20, .retry_limit_ms = 200};
		publishers[i].story = story;
		publishers[i].first = i;
		cr_assert_eq(leat_bus_open(&publishers[i].bus, &options, &err), LEAT_OK, "%s", err.text);
		cr_assert_eq(pthread_create(&publishers[i].thread, NULL, publish, &publishers[i]), 0);
	}
}

static bool have_stored(void *argument)
{
	struct publisher *publishers = argument;
	size_t stored = 0;
	for (size_t i = 0; i < PUBLISHERS; i++)
		stored += atomic_load(&publishers[i].stored);
	return stored >= atomic_load(&allowed);
}

/* ---- the chaos ---- */

static struct leat_child *consumers[CONSUMERS];

static void start_consumer(size_t number)
{
	char name[16];
	snprintf(name, sizeof name, "consumer-%zu", number);
	consumers[number] = load_start_consumer(&rig, name, RIG_ARGS("--retry-limit-ms", "500", "--batch", "100"));
}

static void kill_and_restart_consumer(size_t number)
{
	leat_child_stop(consumers[number], SIGKILL, 10000);
	start_consumer(number);
}

/* A part of the story is published; when some of it is in the ledger, two consumers die, in one round a server too. */
static void play_round(struct publisher *publishers, const struct story *story, size_t round, size_t rounds)
{
	int64_t before = rig_sql_int(&rig, "select count(*) from leat.activity");
	atomic_store(&allowed, story->count * (round + 1) / rounds);
	rig_sql_wait(&rig, 60, "t", "select count(*) > %" PRId64 " from leat.activity", before);
	kill_and_restart_consumer(round % 2);
	kill_and_restart_consumer(2 + round % 2);
	if (round == rounds / 3)
		load_kill_and_restart(&rig, &rig.postgres);
	if (round == rounds * 2 / 3)
		load_kill_and_restart(&rig, &rig.nats);
	cr_assert(rig_wait_until(have_stored, publishers, 60), "the publishers are stuck: %s%s%s", publishers[0].failure, publishers[1].failure,
		publishers[2].failure);
}

static void play(const struct story *story, size_t rounds)
{
	static struct publisher publishers[PUBLISHERS];
	for (size_t i = 0; i < CONSUMERS; i++)
		start_consumer(i);
	start_publishers(publishers, story);
	for (size_t round = 0; round < rounds; round++)
		play_round(publishers, story, round, rounds);
	for (size_t i = 0; i < PUBLISHERS; i++) {
		pthread_join(publishers[i].thread, NULL);
		leat_bus_close(publishers[i].bus);
		cr_assert_str_empty(publishers[i].failure, "%s", publishers[i].failure);
	}
}

/* ---- what came of it ---- */

/* The story as the stream has it: intents[i] has sequence i + 1. Its texts are those of `told`, which must live as long. */
static void read_stream(struct story *out, const struct story *told)
{
	struct leat_stream_state state;
	struct leat_error err;
	cr_assert_eq(leat_stream_get_state(rig_bus(&rig), STREAM, &state, &err), LEAT_OK, "%s", err.text);
	cr_assert_eq(state.messages, state.last_seq, "the stream has holes");
	*out = (struct story){.seed = told->seed, .count = state.last_seq, .intents = leat_alloc_zero(state.last_seq, sizeof(struct told))};
	for (uint64_t seq = 1; seq <= state.last_seq; seq++) {
		struct leat_msg msg;
		uint64_t found = seq;
		cr_assert_eq(leat_stream_get_next(rig_bus(&rig), STREAM, ">", &found, &msg, &err), LEAT_OK, "%s", err.text);
		const char *number = leat_msg_header(&msg, NUMBER_HEADER);
		cr_assert_not_null(number);
		out->intents[seq - 1] = told->intents[strtoull(number, NULL, 10)];
		out->intents[seq - 1].message.seq = (int64_t)seq;
		out->intents[seq - 1].fold.position = (int64_t)seq;
		leat_msg_free(&msg);
	}
}

/* Every dead letter is of a rejected intent, and each of those has one. */
static void expect_dead_letters(const struct story *stored, const struct verdict *verdicts)
{
	int64_t rejected = 0;
	for (size_t i = 0; i < stored->count; i++)
		rejected += verdicts[i].outcome == LEAT_OUTCOME_REJECTED;
	load_wait_dead(&rig, rejected, 60);
	bool *seen = leat_alloc_zero(stored->count, sizeof *seen);
	for (uint64_t seq = 1; rejected > 0; seq++, rejected--) {
		struct leat_msg msg;
		struct leat_error err;
		cr_assert_eq(leat_stream_get_next(rig_bus(&rig), "LEAT_DEAD", "leat.dead.>", &seq, &msg, &err), LEAT_OK, "%s", err.text);
		const char *origin = leat_msg_header(&msg, "Leat-Origin-Seq");
		const char *code = leat_msg_header(&msg, "Leat-Error-Code");
		cr_assert(origin != NULL && code != NULL);
		size_t intent = strtoull(origin, NULL, 10) - 1;
		cr_assert_lt(intent, stored->count);
		cr_assert_not(seen[intent], "two dead letters of position %zu", intent + 1);
		cr_assert_str_eq(code, verdicts[intent].code, "position %zu", intent + 1);
		seen[intent] = true;
		leat_msg_free(&msg);
	}
	free(seen);
}

static void expect_serial_fold(const struct story *told)
{
	struct story stored;
	read_stream(&stored, told);
	load_wait_settled(&rig, (int64_t)stored.count, 90);
	struct leat_error err;
	struct leat_pg *pg = NULL;
	cr_assert_eq(leat_pg_open(&pg, rig.database_url, "test", NULL, NULL, 0, &err), LEAT_OK, "%s", err.text);
	struct verdict *verdicts = leat_alloc(stored.count * sizeof *verdicts);
	story_read_verdicts(pg, &stored, verdicts);
	story_expect_no_needless_rejection(&stored, verdicts);
	story_expect_entities(pg, &stored, verdicts);
	story_expect_sound_rows(pg, &stored);
	expect_dead_letters(&stored, verdicts);
	free(verdicts);
	leat_pg_close(pg);
	story_free(&stored);
}

Test(chaos, every_entity_is_the_serial_fold_whatever_is_killed)
{
	static struct story told; /* read by the publishers as long as the process lives */
	uint64_t seed = rig_seed();
	story_tell(&told, seed, (size_t)rig_size(5000, 20000), ENTITIES);
	play(&told, (size_t)rig_size(6, 30));
	expect_serial_fold(&told);
	story_free(&told);
}
