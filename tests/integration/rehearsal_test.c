/*
 * A bad day, rehearsed: the database is backed up at a random moment under load, work goes on, consumers and database are lost. The backup
 * is put back, `leat replay` brings what it misses out of the streams, and `leat verify` finds nothing that differs; nor does it once new
 * consumers are at work.
 */
#include "advancing.h"
#include "saying.h"
#include "story.h"

#include "leat/pg.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CONSUMERS 2
#define ENTITY_INTENTS 4000
#define SLICE 10
#define PERSON "00000000-0000-4000-8000-00000000000a"

/* A Postgres of its own: dropping a database waits until all that the server has is on disk. */
TestSuite(rehearsal, .init = advancing_setup_alone, .fini = advancing_teardown);

/* ---- services that write entities all the time ---- */

static struct load load;
static _Atomic bool written_enough;

static void tell_entities(uint64_t seed)
{
	struct story story;
	story_tell(&story, seed, ENTITY_INTENTS, 40);
	for (size_t i = 0; i < story.count; i++) {
		const struct message *message = &story.intents[i].message;
		char subject[160];
		char headers[64] = "";
		snprintf(subject, sizeof subject, "leat.intent.%s.service.entity.%s", message->tenant, message->verb);
		if (message->leat_id != NULL)
			snprintf(headers, sizeof headers, "Leat-Id: %s\r\n", message->leat_id);
		load_add(&load, subject, headers, message->body, strlen(message->body));
	}
	story_free(&story);
}

static void *write_entities(void *bus)
{
	const struct timespec pause = {.tv_nsec = 3000000};
	for (size_t from = 0; from < load.count && !atomic_load(&written_enough); from += SLICE) {
		nanosleep(&pause, NULL); /* the pace: there is something to write until the database is lost */
		if (leat_bus_store(bus, load.messages + from, SLICE) != LEAT_OK)
			return "not stored";
	}
	return NULL;
}

/* ---- people and workers ---- */

static struct chance chance;
static int runs;

static void save_workflow(void)
{
	advancing_save("{'nodes':[{'id':'get','type':'http','url':'$URL/items/get?n=3'},"
				   "{'id':'s','type':'split','items':{'$ref':'get#/items'}},"
				   "{'id':'call','type':'http','url':'$URL/ok/call'},{'id':'work','type':'worker','url':'$URL/accept/work'},"
				   "{'id':'c','type':'collect'},{'id':'bad','type':'http','url':'$URL/404/bad','max_attempts':1},"
				   "{'id':'ask','type':'question','connection_id':'desk','expected_user_id':'" PERSON "','payload':{'all':{'$ref':'c#'}}},"
				   "{'id':'m','type':'merge','content':{'answer':{'$ref':'ask#'}}}],"
				   "'edges':[['get','s'],['s','call'],['call','work'],['work','c'],['c','ask'],['ask','m'],['get','bad']]}");
}

static void start_run(void)
{
	char entity[37];
	char upsert[128];
	char more[128];
	load_entity(entity, (size_t)++runs);
	snprintf(upsert, sizeof upsert, "{'entity_id':'%s','entity_type':'thing'}", entity);
	if (chance_percent(&chance, 80)) /* of the others, the merge fails */
		control_publish(&advancing, RIG_TENANT_A, "service", "entity.upsert", NULL, upsert);
	snprintf(more, sizeof more, ",'agent_id':'agent-%zu','entity_id':'%s'", chance_of(&chance, 3), entity);
	advancing_start_run(runs, more);
}

/* Publishes the intent whose body the query makes, when it makes one. */
static void publish_found(const char *noun_verb, const char *query)
{
	char *body = rig_sql_text(&advancing, "%s order by random() limit 1", query);
	if (body[0] != '\0')
		control_publish(&advancing, RIG_TENANT_A, "service", noun_verb, NULL, body);
	free(body);
}

static void bring_result(void)
{
	publish_found("run.node",
		"select json_build_object('run_id', r.id, 'node_id', n.key, 'status', 'completed', 'output', r.id || n.key)"
		" from leat.runs r cross join jsonb_each(r.node_states) n where n.key like 'work[%' and n.value ->> 'status' = 'running'");
}

static void answer_question(void)
{
	publish_found("interaction.answer",
		"select json_build_object('interaction_id', i.id, 'connection_id', 'desk', 'user_id', '" PERSON "', 'value', i.id)"
		" from leat.interactions i where i.status = 'open'");
}

static void change_member(void)
{
	static const char *const roles[] = {"owner", "admin", "editor", "viewer"};
	char body[128];
	size_t user = chance_of(&chance, 5);
	bool remove = chance_percent(&chance, 30);
	snprintf(body, sizeof body,
		remove ? "{'user_id':'00000000-0000-4000-8000-%012zu'}" : "{'user_id':'00000000-0000-4000-8000-%012zu','role':'%s'}", user,
		roles[chance_of(&chance, 4)]);
	control_publish(&advancing, RIG_TENANT_A, "service", remove ? "member.remove" : "member.set", NULL, body);
}

static void change_some_run(void)
{
	if (runs == 0)
		return;
	advancing_publish(chance_percent(&chance, 80) ? "run.retry" : "run.cancel", 1 + (int)chance_of(&chance, (size_t)runs), "");
}

static void live(size_t steps)
{
	static void (*const deeds[])(void) = {
		start_run, bring_result, bring_result, bring_result, answer_question, answer_question, change_member, change_some_run};
	for (size_t step = 0; step < steps; step++)
		deeds[chance_of(&chance, sizeof deeds / sizeof *deeds)]();
}

/* ---- the bad day ---- */

static void run_program(const char *const *argv)
{
	char log[PATH_MAX + 32];
	struct leat_child child;
	struct leat_error err;
	int status = -1;
	snprintf(log, sizeof log, "%s/%s.log", advancing.folder, argv[0]);
	struct leat_child_spec spec = {.argv = argv, .log = log, .death_signal = SIGKILL};
	cr_assert_eq(leat_child_start(&child, &spec, &err), LEAT_OK, "%s", err.text);
	cr_assert(leat_child_wait(&child, 60000, &status) && status == 0, "%s failed: %s", argv[0], log);
}

static void back_up(const char *file)
{
	run_program(RIG_ARGS("pg_dump", "--format=custom", "--file", file, "--dbname", advancing.database_url));
}

static void lose_database_and_put_back(const char *file)
{
	const char *slash = strrchr(advancing.database_url, '/');
	char server[sizeof advancing.database_url + 16];
	char sql[128];
	struct leat_pg *pg = NULL;
	struct leat_error err;
	snprintf(server, sizeof server, "%.*s/postgres", (int)(slash - advancing.database_url), advancing.database_url);
	cr_assert_eq(leat_pg_open(&pg, server, "test", NULL, NULL, 0, &err), LEAT_OK, "%s", err.text);
	snprintf(sql, sizeof sql, "drop database \"%s\" with (force)", slash + 1);
	cr_assert_eq(leat_pg_run_sql(pg, sql, NULL, &err), LEAT_OK, "%s", err.text);
	snprintf(sql, sizeof sql, "create database \"%s\"", slash + 1);
	cr_assert_eq(leat_pg_run_sql(pg, sql, NULL, &err), LEAT_OK, "%s", err.text);
	leat_pg_close(pg);
	run_program(RIG_ARGS("pg_restore", "--exit-on-error", "--dbname", advancing.database_url, file));
	rig_sql_wait(&advancing, 10, "1", "select 1"); /* the rig's own connection was lost too */
}

static void expect_all_settled(const char *stream)
{
	struct leat_stream_state state;
	struct leat_error err;
	cr_assert_eq(leat_stream_get_state(rig_bus(&advancing), stream, &state, &err), LEAT_OK, "%s", err.text);
	cr_expect_eq(rig_sql_int(&advancing, "select count(*) from leat.activity where stream = '%s'", stream), (int64_t)state.last_seq,
		"not all of %s", stream);
}

static struct leat_child *consumers[CONSUMERS];

static void start_consumers(void)
{
	for (size_t i = 0; i < CONSUMERS; i++) {
		char name[16];
		snprintf(name, sizeof name, "c%zu", i + 1);
		consumers[i] = advancing_start(name, ADVANCING_LANES, NULL);
	}
}

static void rehearse(uint64_t seed)
{
	char backup[PATH_MAX + 16];
	struct leat_bus *bus;
	struct leat_bus_options options = {.url = advancing.nats.url, .name = "services", .request_timeout_ms = 5000};
	struct leat_error err;
	pthread_t services;
	void *failure;
	chance = (struct chance){seed};
	atomic_store(&written_enough, false);
	snprintf(backup, sizeof backup, "%s/backup", advancing.folder);
	tell_entities(seed);
	cr_assert_eq(leat_bus_open(&bus, &options, &err), LEAT_OK, "%s", err.text);

	start_consumers();
	save_workflow();
	cr_assert_eq(pthread_create(&services, NULL, write_entities, bus), 0);
	live(10 + chance_of(&chance, 60));
	back_up(backup);
	live(10 + chance_of(&chance, 60));
	for (size_t i = 0; i < CONSUMERS; i++)
		leat_child_stop(consumers[i], SIGKILL, 10000);
	live(chance_of(&chance, 10));
	atomic_store(&written_enough, true);
	pthread_join(services, &failure);
	cr_assert_null(failure, "%s", (const char *)failure);
	leat_bus_close(bus);

	lose_database_and_put_back(backup);
	say_run(&advancing, "replay", 0, RIG_ARGS("replay"));
	expect_all_settled("LEAT_ENTITY");
	expect_all_settled("LEAT_CONTROL");
	expect_all_settled("LEAT_RUN");
	say_run(&advancing, "verify", 0, RIG_ARGS("verify"));

	start_consumers();
	live(40);
	say_run(&advancing, "verify", 0, RIG_ARGS("verify"));
	for (size_t i = 0; i < CONSUMERS; i++)
		load_stop_consumer(consumers[i]);
	load_free(&load);
}

/* One bad day after the other. */
Test(rehearsal, backup_loss_restore_and_replay_and_verify_says_equal)
{
	uint64_t seed = rig_seed();
	for (int64_t day = 0; day < rig_size(2, 20); day++)
		rehearse(seed + (uint64_t)day);
}
