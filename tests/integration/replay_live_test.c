/* `leat replay` on a database at work: consumers beside it, servers that go away, messages that nobody has applied yet. */
#include "load.h"
#include "replaying.h"

#include "leat/clock.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

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

TestSuite(replay_live, .init = setup, .fini = teardown, .timeout = 180);

static uint64_t last_seq(const char *stream)
{
	struct leat_stream_state state;
	struct leat_error err;
	cr_assert_eq(leat_stream_get_state(rig_bus(&rig), stream, &state, &err), LEAT_OK, "%s", err.text);
	return state.last_seq;
}

Test(replay_live, nothing_changes_and_nothing_goes_out_while_consumers_work)
{
	const int64_t count = rig_size(3000, 30000);
	replaying_tell_story(&rig);
	struct leat_child *consumers[] = {
		load_start_consumer(&rig, "c1", replaying_lanes),
		load_start_consumer(&rig, "c2", replaying_lanes),
	};
	rig_sql_wait(&rig, 30, "2", "select count(*) from leat.processes where seen_at > now() - interval '10 seconds'");
	uint64_t events = last_seq("LEAT_EVENTS");
	uint64_t dead = last_seq("LEAT_DEAD");
	int64_t rows = rig_sql_int(&rig, "select count(*) from leat.activity");

	/* each message makes one entity, and so one event, whoever applies it */
	struct leat_child *replays[3];
	static const char *const names[] = {"r1", "r2", "r3"};
	for (int64_t i = 0; i < count; i += count / 3) {
		struct load load = {0};
		for (int64_t number = i; number < i + count / 3; number++)
			load_add_intent(&load, RIG_TENANT_A, "entity.upsert", NULL, "{\"entity_type\":\"new\",\"key\":\"%" PRId64 "\"}", number);
		load_store(&rig, &load);
		load_free(&load);
		replays[i / (count / 3)] = rig_start(&rig, names[i / (count / 3)], RIG_ARGS("replay"));
	}
	load_wait_settled(&rig, rows + count, 60);
	for (size_t i = 0; i < 3; i++) {
		int status = 0;
		cr_assert(leat_child_wait(replays[i], 60000, &status));
		char *log = rig_log(&rig, names[i]);
		cr_assert_eq(status, 0, "%s", log);
		free(log);
	}
	rig_sql_wait(&rig, 30, "0", "select count(*) from leat.outbox");
	cr_expect_eq(last_seq("LEAT_EVENTS"), events + (uint64_t)count);
	cr_expect_eq(last_seq("LEAT_DEAD"), dead);

	char *before = load_snapshot(&rig);
	json_decref(replaying_run(&rig, 0, RIG_ARGS(NULL)));
	char *after = load_snapshot(&rig);
	cr_expect_str_eq(after, before);
	cr_expect_eq(last_seq("LEAT_EVENTS"), events + (uint64_t)count);
	for (size_t i = 0; i < 2; i++)
		load_stop_consumer(consumers[i]);
	free(before);
	free(after);
}

/* What no consumer has had yet is not suppressed: it has its events and dead letters, and its reply once the consumer comes by. */
Test(replay_live, what_nobody_has_applied_has_its_effects)
{
	struct leat_child *consumer = load_start_consumer(&rig, "c1", replaying_lanes);
	load_store_entities(&rig, RIG_TENANT_A, 10);
	load_wait_settled(&rig, 10, 30);
	load_stop_consumer(consumer);
	uint64_t events = last_seq("LEAT_EVENTS");
	struct leat_inbox *inbox = NULL;
	struct leat_error err;
	cr_assert_eq(leat_inbox_open(&inbox, rig_bus(&rig), "leat.reply." RIG_TENANT_A ".test", &err), LEAT_OK, "%s", err.text);
	replaying_store(&rig, "service", "entity.merge", "Leat-Reply-To: leat.reply." RIG_TENANT_A ".test\r\n",
		"{'entity_id':'eeeeeeee-0000-4000-8000-000000000001','content':{'new':1}}");
	replaying_store(&rig, "service", "entity.merge", NULL, "[]");

	json_t *report = replaying_run(&rig, 0, RIG_ARGS(NULL));
	cr_expect_eq(replaying_number(report, "streams.LEAT_ENTITY.applied"), 1);
	cr_expect_eq(replaying_number(report, "streams.LEAT_ENTITY.rejected"), 1);
	cr_expect_eq(replaying_number(report, "streams.LEAT_ENTITY.known"), 10);
	cr_expect_eq(replaying_number(report, "suppressed.events"), 0);
	json_decref(report);
	rig_sql_expect(&rig, "2", "select count(*) from leat.outbox");

	consumer = load_start_consumer(&rig, "c2", replaying_lanes);
	struct leat_msg reply;
	cr_assert_eq(leat_inbox_next(inbox, 20000, &reply, &err), LEAT_OK, "%s", err.text);
	leat_msg_free(&reply);
	rig_sql_wait(&rig, 30, "0", "select count(*) from leat.outbox");
	cr_expect_eq(last_seq("LEAT_EVENTS"), events + 1);
	load_wait_dead(&rig, 1, 10);
	load_stop_consumer(consumer);
	leat_inbox_close(inbox);
}

Test(replay_live, servers_that_go_away_are_waited_for)
{
	struct leat_child *consumer = load_start_consumer(&rig, "c", replaying_lanes);
	load_store_entities(&rig, RIG_TENANT_A, 100);
	load_store_merges(&rig, "f", 5000, 100);
	load_wait_settled(&rig, 5100, 60);
	load_stop_consumer(consumer);
	char *expected = replaying_state(&rig);
	replaying_lose_database(&rig);

	struct leat_child *replay = rig_start(&rig, "replay", RIG_ARGS("replay", "--batch", "5", "--retry-limit-ms", "200"));
	rig_sql_wait(&rig, 30, "t", "select count(*) > 20 from leat.activity");
	load_kill_and_restart(&rig, &rig.postgres);
	load_kill_and_restart(&rig, &rig.nats);
	int status = 0;
	cr_assert(leat_child_wait(replay, 60000, &status));
	char *log = rig_log(&rig, "replay");
	cr_assert_eq(status, 0, "%s", log);
	char *found = replaying_state(&rig);
	replaying_expect_same(found, expected);
	free(log);
	free(found);
	free(expected);
}

#define FLOW "f0000000-0000-4000-8000-000000000009"
#define RUN "d0000000-0000-4000-8000-000000000009"
#define QUESTION "99999999-0000-4000-8000-000000000009"
#define PERSON "88888888-0000-4000-8000-000000000009"

/* The database is lost after a question was answered, and before the outbox told the run: the fact is in no stream. */
Test(replay_live, an_answer_that_was_lost_with_the_outbox_reaches_its_run)
{
	static const char *const deaf[] = {"--lanes", "control,run", NULL};
	static const char *const again[] = {"--lanes", "control,run,relay,keep", "--reap-every-ms", "200", NULL};
	struct leat_child *consumer = load_start_consumer(&rig, "c1", deaf);
	replaying_store(&rig, "service", "workflow.save", NULL,
		"{'workflow_id':'" FLOW "','action':'new','name':'w','definition':{'nodes':[{'id':'q','type':'question','connection_id':'x',"
		"'expected_user_id':'" PERSON "','payload':{}}],'edges':[]}}");
	replaying_store(&rig, "service", "run.start", NULL, "{'run_id':'" RUN "','workflow_id':'" FLOW "'}");
	replaying_store(&rig, "engine", "run.node", NULL, "{'run_id':'" RUN "','node_id':'q','status':'running','attempt':1}");
	rig_sql_wait(&rig, 30, "waiting", "select status from leat.runs");
	replaying_store(&rig, "service", "interaction.ask", NULL,
		"{'interaction_id':'" QUESTION "','connection_id':'x','expected_user_id':'" PERSON "','payload':1,'run_id':'" RUN
		"','node_id':'q'}");
	replaying_store(&rig, "service", "interaction.answer", NULL,
		"{'interaction_id':'" QUESTION "','connection_id':'x','user_id':'" PERSON "','value':{'yes':true}}");
	rig_sql_wait(&rig, 30, "1", "select count(*) from leat.outbox where subject like '%%.run.node'");
	rig_sql_wait(&rig, 30, "answered", "select status from leat.interactions");
	load_stop_consumer(consumer);
	replaying_lose_database(&rig);

	json_t *report = replaying_run(&rig, 0, RIG_ARGS(NULL));
	cr_expect_eq(replaying_number(report, "suppressed.other_messages"), 1);
	json_decref(report);
	rig_sql_expect(&rig, "waiting 0", "select (select status from leat.runs) || ' ' || (select count(*) from leat.outbox)");
	rig_sql(&rig, "update leat.told_answers set due_at = now()"); /* instead of a minute */
	consumer = load_start_consumer(&rig, "c2", again);
	rig_sql_wait(&rig, 30, "completed {\"yes\": true}", "select concat_ws(' ', status, node_states -> 'q' -> 'output') from leat.runs");
	load_stop_consumer(consumer);
}
