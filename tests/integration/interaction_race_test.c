/*
 * Many answers to one question at once, over several connections to NATS, decided by two consumers of which one is killed now and then:
 * one winner, the first in the stream who has a right to it; whoever has none consumes nothing, and hears what is heard of an id that never
 * was.
 */
#include "load.h"
#include "story.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>

#define PUBLISHERS 4
#define ANSWERS 200
#define EACH (ANSWERS / PUBLISHERS)
#define ANN "a0a0a0a0-0000-4000-8000-00000000000a"
#define BOB "b0b0b0b0-0000-4000-8000-00000000000b"
#define NEVER "99999999-0000-4000-8000-000000000000"

static struct rig rig;

static void setup(void)
{
	rig_open(&rig);
	rig_migrate(&rig);
}

static void teardown(void)
{
	rig_close(&rig);
}

TestSuite(interaction_race, .init = setup, .fini = teardown);

/* A way to answer; its name is in the Leat-Id. */
struct way {
	const char *name;
	const char *tenant;
	const char *role;
	const char *actor;
	const char *connection;
	const char *user;
	bool never; /* an id that never was */
};

static const struct way ways[] = {
	{"right", RIG_TENANT_A, "user", ANN, "c1", ANN, false},
	{"right", RIG_TENANT_A, "service", "bot", "c1", ANN, false},
	{"wrong", RIG_TENANT_B, "user", ANN, "c1", ANN, false},
	{"wrong", RIG_TENANT_B, "service", "bot", "c1", ANN, false},
	{"wrong", RIG_TENANT_A, "user", BOB, "c1", BOB, false},
	{"wrong", RIG_TENANT_A, "service", "bot", "c1", BOB, false},
	{"wrong", RIG_TENANT_A, "user", ANN, "c2", ANN, false},
	{"wrong", RIG_TENANT_A, "user", ANN, "c1", ANN, true},
	{"poser", RIG_TENANT_A, "user", BOB, "c1", ANN, false},
};

#define WAYS (sizeof ways / sizeof *ways)

static void question_of(char out[37], int round)
{
	snprintf(out, 37, "91919191-0000-4000-8000-%012d", round);
}

static void add_answer(struct load *load, const struct way *way, int round, size_t number)
{
	char question[37];
	char subject[160];
	char headers[160];
	char body[300];
	question_of(question, round);
	snprintf(subject, sizeof subject, "leat.intent.%s.%s.interaction.answer", way->tenant, way->role);
	snprintf(headers, sizeof headers, "Leat-Actor: %s\r\nLeat-Id: %d.%s.%zu\r\n", way->actor, round, way->name, number);
	int bytes = snprintf(body, sizeof body, "{\"interaction_id\":\"%s\",\"connection_id\":\"%s\",\"user_id\":\"%s\",\"value\":%zu}",
		way->never ? NEVER : question, way->connection, way->user, number);
	load_add(load, subject, headers, body, (size_t)bytes);
}

/* ---- publishing at once ---- */

struct publisher {
	pthread_t thread;
	struct leat_bus *bus;
	struct load load;
};

static void *publish(void *argument)
{
	struct publisher *publisher = argument;
	return leat_bus_store(publisher->bus, publisher->load.messages, publisher->load.count) == LEAT_OK ? publisher : NULL;
}

/* Every way as often as any other, and of each publisher in another order. */
static void load_answers(struct publisher *publishers, int round, struct chance *chance)
{
	size_t order[ANSWERS];
	for (size_t i = 0; i < ANSWERS; i++)
		order[i] = i;
	chance_shuffle(chance, order, ANSWERS);
	for (size_t i = 0; i < ANSWERS; i++)
		add_answer(&publishers[i / EACH].load, &ways[order[i] % WAYS], round, order[i]);
}

static void open_publishers(struct publisher *publishers)
{
	struct leat_bus_options options = {
		.url = rig.nats.url, .name = "publisher", .request_timeout_ms = 10000, .retry_first_ms = 20, .retry_limit_ms = 200};
	struct leat_error err;
	for (size_t i = 0; i < PUBLISHERS; i++)
		cr_assert_eq(leat_bus_open(&publishers[i].bus, &options, &err), LEAT_OK, "%s", err.text);
}

static void close_publishers(struct publisher *publishers)
{
	for (size_t i = 0; i < PUBLISHERS; i++)
		leat_bus_close(publishers[i].bus);
}

static void answer_at_once(struct publisher *publishers)
{
	for (size_t i = 0; i < PUBLISHERS; i++)
		cr_assert_eq(pthread_create(&publishers[i].thread, NULL, publish, &publishers[i]), 0);
	for (size_t i = 0; i < PUBLISHERS; i++) {
		void *stored;
		pthread_join(publishers[i].thread, &stored);
		cr_assert_not_null(stored, "not all answers are in the stream");
		load_free(&publishers[i].load);
	}
}

/* ---- what came of it ---- */

#define OF_ROUND "from leat.activity a where a.verb = 'answer' and split_part(a.leat_id, '.', 1) = '%d'"
#define NAME "split_part(a.leat_id, '.', 2)"

static void expect_one_winner(int round)
{
	char question[37];
	question_of(question, round);
	rig_sql_wait(&rig, 60, "200", "select count(*) " OF_ROUND, round);
	rig_sql_expect(&rig, "poser forbidden, right already_claimed, right applied, wrong not_found",
		"select string_agg(distinct " NAME " || ' ' || coalesce(a.code, a.outcome), ', ') " OF_ROUND, round);
	rig_sql_expect(&rig, "1", "select count(*) " OF_ROUND " and a.outcome = 'applied'", round);
	rig_sql_expect(&rig, "t",
		"select a.position = i.position and a.message_at = i.claimed_at and i.status = 'answered'"
		" and a.detail = jsonb_build_object('interaction_id', i.id, 'payload', i.payload, 'value', split_part(a.leat_id, '.', 3)::integer)"
		" and a.position = (select min(a.position) " OF_ROUND " and " NAME " = 'right')"
		" from leat.activity a, leat.interactions i where i.tenant_id = '" RIG_TENANT_A "' and i.id = '%s'"
		" and a.verb = 'answer' and a.target_id = i.id and a.outcome = 'applied'",
		round, question);
	/* byte for byte, but for the id that they asked for themselves */
	rig_sql_expect(
		&rig, "1", "select count(distinct replace(a.detail::text, a.target_id::text, 'ID')) " OF_ROUND " and " NAME " = 'wrong'", round);
	rig_sql_expect(&rig, "t", "select count(distinct a.target_id) = 2 " OF_ROUND " and " NAME " = 'wrong'", round);
	rig_sql_expect(&rig, "0", "select count(*) from leat.interactions where tenant_id = '" RIG_TENANT_B "' or id = '" NEVER "'");
}

/* One that was asked, one that was answered, of each question. */
static void expect_events(int rounds)
{
	struct leat_stream_state state;
	struct leat_error err;
	rig_sql_wait(&rig, 60, "0 0", "select concat_ws(' ', (select count(*) from leat.outbox), (select count(*) from leat.parked))");
	cr_assert_eq(leat_stream_get_state(rig_bus(&rig), "LEAT_EVENTS", &state, &err), LEAT_OK, "%s", err.text);
	cr_expect_eq((int)state.messages, 2 * rounds, "%d events", (int)state.messages);
	cr_expect_eq(load_dead_count(&rig), rounds * (ANSWERS - 1));
}

static const char *const impatient[] = {
	"--ack-wait-ms", "1000", "--idle-heartbeat-ms", "500", "--retry-limit-ms", "500", "--batch", "20", "--floor-check-ms", "50", NULL};

Test(interaction_race, of_many_answers_the_first_rightful_one_wins, .timeout = 600)
{
	int rounds = (int)rig_size(10, 100);
	struct chance chance = {rig_seed()};
	struct publisher publishers[PUBLISHERS] = {0};
	struct leat_child *first = load_start_consumer(&rig, "first", impatient);
	load_start_consumer(&rig, "second", impatient);
	open_publishers(publishers);
	for (int round = 0; round < rounds; round++) {
		char question[37];
		char body[300];
		question_of(question, round);
		snprintf(body, sizeof body,
			"{\"interaction_id\":\"%s\",\"connection_id\":\"c1\",\"expected_user_id\":\"" ANN "\",\"payload\":{\"round\":%d}}", question,
			round);
		load_answers(publishers, round, &chance);
		rig_intent(&rig, RIG_TENANT_A, "interaction.ask", NULL, body);
		answer_at_once(publishers);
		if (round % 4 == 2) {
			leat_child_stop(first, SIGKILL, 5000);
			first = load_start_consumer(&rig, "first", impatient);
		}
		expect_one_winner(round);
	}
	close_publishers(publishers);
	expect_events(rounds);
}
