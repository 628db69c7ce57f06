/* `leat replay` into a database that was lost: all of it comes back, and nobody outside hears of it. */
#include "load.h"
#include "replaying.h"
#include "saying.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

TestSuite(replay, .init = setup, .fini = teardown, .timeout = 180);

static uint64_t last_seq(const char *stream)
{
	struct leat_stream_state state;
	struct leat_error err;
	cr_assert_eq(leat_stream_get_state(rig_bus(&rig), stream, &state, &err), LEAT_OK, "%s", err.text);
	return state.last_seq;
}

Test(replay, everything_comes_back_into_an_empty_database_and_nothing_goes_out)
{
	replaying_tell_story(&rig);
	char *expected = replaying_state(&rig);
	uint64_t dead = last_seq("LEAT_DEAD");
	replaying_lose_database(&rig);

	json_t *report = replaying_run(&rig, 0, RIG_ARGS(NULL));
	char *found = replaying_state(&rig);
	replaying_expect_same(found, expected);
	rig_sql_expect(&rig, "0", "select count(*) from leat.outbox");
	cr_expect_eq(replaying_number(report, "suppressed.dead_letters"), (int64_t)dead);
	cr_expect_eq(replaying_number(report, "suppressed.replies"), 40);
	cr_expect_gt(replaying_number(report, "suppressed.events"), 30);
	cr_expect_gt(replaying_number(report, "suppressed.resumes"), 2);
	cr_expect_eq(replaying_number(report, "suppressed.other_messages"), 1); /* the answer, to the run */
	cr_expect_eq(replaying_number(report, "streams.LEAT_ENTITY.known"), 0);
	json_decref(report);

	/* and once more: nothing is written */
	char *before = load_snapshot(&rig);
	report = replaying_run(&rig, 0, RIG_ARGS(NULL));
	char *after = load_snapshot(&rig);
	cr_assert_str_eq(after, before);
	cr_expect_eq(replaying_number(report, "streams.LEAT_ENTITY.applied"), 0);
	cr_expect_eq(replaying_number(report, "streams.LEAT_RUN.known"), (int64_t)last_seq("LEAT_RUN"));
	json_decref(report);

	/* consumers that start on it have nothing to do, and publish nothing but resumes of runs that can go on */
	uint64_t events = last_seq("LEAT_EVENTS");
	struct leat_child *consumer = load_start_consumer(&rig, "after", replaying_lanes);
	uint64_t seq =
		replaying_store(&rig, "service", "entity.upsert", NULL, "{'entity_id':'eeeeeeee-0000-4000-8000-0000000000ff','entity_type':'t'}");
	rig_sql_wait(&rig, 30, "applied", "select outcome from leat.activity where stream = 'LEAT_ENTITY' and position = %" PRIu64, seq);
	rig_sql_wait(&rig, 30, "0", "select count(*) from leat.outbox");
	cr_expect_eq(last_seq("LEAT_EVENTS"), events + 1);
	cr_expect_eq(last_seq("LEAT_DEAD"), dead);
	load_stop_consumer(consumer);
	free(before);
	free(after);
	free(found);
	free(expected);
}

Test(replay, ranges_are_applied_and_a_dry_run_says_what_they_would_bring)
{
	replaying_tell_story(&rig);
	char *expected = replaying_state(&rig);
	replaying_lose_database(&rig);
	json_t *report = replaying_run(&rig, 0, RIG_ARGS("--dry-run"));
	int64_t would_apply = 0;
	size_t i;
	json_t *plan;
	json_array_foreach(json_object_get(report, "would_apply"), i, plan) would_apply += json_integer_value(json_object_get(plan, "count"));
	cr_expect_eq(would_apply, (int64_t)(last_seq("LEAT_ENTITY") + last_seq("LEAT_CONTROL") + last_seq("LEAT_RUN")));
	rig_sql_expect(&rig, "0 0", "select (select count(*) from leat.activity) || ' ' || (select count(*) from leat.stream_epochs)");
	json_decref(report);

	report = replaying_run(&rig, 0, RIG_ARGS("--stream", "LEAT_ENTITY", "--from-seq", "3", "--to-seq", "13"));
	rig_sql_expect(&rig, "11 3 13",
		"select concat_ws(' ', count(*), min(position), max(position)) "
		"from (select position from leat.activity union all select position from leat.parked) known");
	rig_sql_expect(&rig, "0", "select count(*) from leat.activity where code in ('not_found', 'deleted')"); /* what it lacks may come */
	cr_expect_eq(replaying_number(report, "streams.LEAT_ENTITY.to_seq"), 13);
	json_decref(report);

	report = replaying_run(&rig, 0, RIG_ARGS("--subject", "leat.intent.*.*.workflow.>"));
	rig_sql_expect(&rig, "workflow", "select string_agg(distinct noun, ' ') from leat.activity where stream <> 'LEAT_ENTITY'");
	cr_expect_eq(replaying_number(report, "streams.LEAT_RUN.left_out"), (int64_t)last_seq("LEAT_RUN"));
	json_decref(report);

	report = replaying_run(&rig, 0, RIG_ARGS("--until", "1h"));
	cr_expect_eq(replaying_number(report, "streams.LEAT_RUN.applied"), 0);
	json_decref(report);

	replaying_lose_database(&rig);
	report = replaying_run(&rig, 0, RIG_ARGS("--since", "1h"));
	json_decref(report);
	char *found = replaying_state(&rig);
	replaying_expect_same(found, expected);
	free(found);
	free(expected);
}

/* An entity keeps all its upserts as long as a delete below them may still come. */
Test(replay, a_later_range_before_the_rest_comes_to_the_same)
{
	static const char id[] = "{'entity_id':'eeeeeeee-0000-4000-8000-0000000000aa'}";
	static const char upsert[] = "{'entity_id':'eeeeeeee-0000-4000-8000-0000000000aa','entity_type':'t','content':{'a':1}}";
	struct leat_child *consumer = load_start_consumer(&rig, "c", replaying_lanes);
	replaying_store(&rig, "service", "entity.upsert", NULL, upsert);
	replaying_store(&rig, "service", "entity.delete", NULL, id);
	uint64_t seq = replaying_store(&rig, "service", "entity.upsert", NULL, upsert);
	rig_sql_wait(&rig, 30, "3", "select count(*) from leat.activity where outcome = 'applied'");
	load_stop_consumer(consumer);
	char *expected = replaying_state(&rig);

	const char *const later[][5] = {{"--stream", "LEAT_ENTITY", "--from-seq", "3"}, {"--subject", "leat.intent.*.*.entity.upsert"}};
	for (size_t i = 0; i < 2; i++) {
		replaying_lose_database(&rig);
		json_decref(replaying_run(&rig, 0, later[i]));
		json_decref(replaying_run(&rig, 0, RIG_ARGS(NULL)));
		char *found = replaying_state(&rig);
		replaying_expect_same(found, expected);
		free(found);
	}
	rig_sql_expect(&rig, "3", "select position from leat.stream_floors where stream = 'LEAT_ENTITY'");

	char beyond[24];
	snprintf(beyond, sizeof beyond, "%" PRIu64, seq + 2);
	json_decref(replaying_run(&rig, 1, RIG_ARGS("--stream", "LEAT_ENTITY", "--from-seq", beyond)));
	rig_sql_expect(&rig, "3", "select position from leat.stream_floors where stream = 'LEAT_ENTITY'");
	free(expected);
}

static void purge_before(const char *stream, int seq)
{
	char subject[64];
	char request[32];
	struct leat_error err;
	snprintf(subject, sizeof subject, "$JS.API.STREAM.PURGE.%s", stream);
	snprintf(request, sizeof request, "{\"seq\":%d}", seq);
	cr_assert_eq(leat_bus_publish(rig_bus(&rig), subject, NULL, request, strlen(request), &err), LEAT_OK);
	struct leat_stream_state state;
	do
		cr_assert_eq(leat_stream_get_state(rig_bus(&rig), stream, &state, &err), LEAT_OK);
	while (state.first_seq < (uint64_t)seq);
}

/* Members and workflows that are decided in order begin where the stream does. */
Test(replay, what_is_gone_from_the_stream_is_told_and_holds_nothing_up)
{
	struct leat_child *consumer = load_start_consumer(&rig, "c", replaying_lanes);
	for (int i = 0; i < 10; i++) {
		char body[128];
		snprintf(body, sizeof body, "{'user_id':'88888888-0000-4000-8000-00000000000%d','role':'viewer'}", i);
		replaying_store(&rig, "service", "member.set", NULL, body);
	}
	load_store_entities(&rig, RIG_TENANT_A, 10);
	load_wait_settled(&rig, 20, 30);
	load_stop_consumer(consumer);
	replaying_lose_database(&rig);
	purge_before("LEAT_CONTROL", 4);
	purge_before("LEAT_ENTITY", 8);

	json_t *report = replaying_run(&rig, 0, RIG_ARGS(NULL));
	say_expect_log(&rig, "replay", "LEAT_CONTROL 1..3 are gone from the stream");
	say_expect_log(&rig, "replay", "LEAT_ENTITY 1..7 are gone from the stream");
	cr_expect_eq(replaying_number(report, "streams.LEAT_CONTROL.applied"), 7);
	cr_expect_eq(replaying_number(report, "streams.LEAT_ENTITY.gone"), 7);
	json_decref(report);
	rig_sql_expect(&rig, "7 3 0",
		"select concat_ws(' ', (select count(*) from leat.members), (select count(*) from leat.entities), (select count(*) from "
		"leat.parked))");
}

Test(replay, stopped_it_says_how_to_go_on)
{
	struct leat_child *consumer = load_start_consumer(&rig, "c", replaying_lanes);
	load_store_entities(&rig, RIG_TENANT_A, 100);
	load_store_merges(&rig, "f", 4000, 100);
	load_wait_settled(&rig, 4100, 60);
	load_stop_consumer(consumer);
	char *expected = replaying_state(&rig);
	replaying_lose_database(&rig);

	struct leat_child *replay = rig_start(&rig, "stopped", RIG_ARGS("replay", "--batch", "5"));
	rig_sql_wait(&rig, 30, "t", "select count(*) > 50 from leat.activity");
	leat_child_signal(replay, SIGINT);
	int status = 0;
	cr_assert(leat_child_wait(replay, 10000, &status));
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 130, "waitpid status %d", status);
	char *log = rig_log(&rig, "stopped");
	const char *since = strstr(log, "--since ");
	cr_assert_not_null(since, "%s", log);
	char time[64];
	snprintf(time, sizeof time, "%.*s", (int)strcspn(since + strlen("--since "), " `"), since + strlen("--since "));
	cr_assert_neq(rig_sql_int(&rig, "select count(*) from leat.activity"), 4100, "it ended before it was stopped");

	json_decref(replaying_run(&rig, 0, RIG_ARGS("--since", time)));
	char *found = replaying_state(&rig);
	replaying_expect_same(found, expected);
	free(log);
	free(found);
	free(expected);
}

Test(replay, database_that_is_ahead_of_the_stream_is_not_replayed_into)
{
	load_store_entities(&rig, RIG_TENANT_A, 5);
	json_decref(replaying_run(&rig, 0, RIG_ARGS(NULL)));
	rig_sql(&rig, "insert into leat.activity (stream, position, outcome, message_at) values ('LEAT_ENTITY', 9, 'applied', now())");
	json_decref(replaying_run(&rig, 1, RIG_ARGS(NULL)));
	say_expect_log(&rig, "replay", "has settled message 9 of LEAT_ENTITY, which the stream no longer holds");
	rig_sql(&rig, "delete from leat.activity where position = 9");

	/* made again, it is another epoch: its messages are no duplicates */
	rig_delete_stream(&rig, "LEAT_ENTITY");
	rig_migrate(&rig);
	load_store_entities(&rig, RIG_TENANT_A, 2);
	json_t *report = replaying_run(&rig, 0, RIG_ARGS(NULL));
	cr_expect_eq(replaying_number(report, "streams.LEAT_ENTITY.applied"), 2);
	rig_sql_expect(&rig, "2", "select count(*) from leat.activity where position >> 40 = 1");
	json_decref(report);
}

/* ---- runs alone ---- */

static uint64_t tell_control(const char *noun_verb, const char *body)
{
	uint64_t seq = replaying_store(&rig, "service", noun_verb, NULL, body);
	rig_sql_wait(&rig, 30, "t", "select exists (select from leat.activity where noun || '.' || verb = '%s' and position = %" PRIu64 ")",
		noun_verb, seq);
	return seq;
}

#define RUN "d0000000-0000-4000-8000-00000000000"
#define FLOW "f0000000-0000-4000-8000-000000000009"
#define DEFINITION "{'nodes':[{'id':'w','type':'worker','url':'http://worker.example/'}],'edges':[]}"
#define SAVE "{'workflow_id':'" FLOW "','action':'new','name':'w','definition':" DEFINITION "}"
#define START(number, more) "{'run_id':'" RUN number "','workflow_id':'" FLOW "'" more "}"

Test(replay, runs_alone_get_the_versions_of_then)
{
	static const char runs_sql[] = "select string_agg(concat(right(target_id::text, 1), ' ', outcome, ' ', coalesce(code, detail ->> "
								   "'version')), ', ' order by position)"
								   " from leat.activity where stream = 'LEAT_RUN'";
	struct leat_child *consumer = rig_start(&rig, "consume", RIG_ARGS("consume", "--lanes", "control,run,relay"));
	replaying_store(&rig, "service", "run.start", NULL, START("1", "")); /* waits for its workflow */
	tell_control("workflow.save", SAVE);
	rig_sql_wait(&rig, 30, "1", "select count(*) from leat.runs");
	tell_control("workflow.save", SAVE);
	tell_control("run.start", START("2", ""));
	tell_control("run.start", START("3", ",'version':1"));
	tell_control("workflow.save", SAVE);
	tell_control("workflow.delete", "{'workflow_id':'" FLOW "'}");
	tell_control("run.start", START("4", ""));
	rig_sql_wait(&rig, 30, "4", "select count(*) from leat.activity where stream = 'LEAT_RUN'");
	char *expected = rig_sql_text(&rig, "%s", runs_sql);
	cr_expect_str_eq(expected, "1 applied 1, 2 applied 2, 3 applied 1, 4 rejected workflow_deleted");
	cr_assert_eq(leat_child_stop(consumer, SIGTERM, 15000), 0);

	rig_sql(&rig, "delete from leat.runs; delete from leat.activity where stream = 'LEAT_RUN'");
	rig_sql(&rig, "delete from leat.stream_floors where stream = 'LEAT_RUN'");
	json_decref(replaying_run(&rig, 0, RIG_ARGS("--stream", "LEAT_RUN")));
	rig_sql_expect(&rig, expected, "%s", runs_sql);
	free(expected);
}

Test(replay, runs_without_their_workflows_are_refused)
{
	replaying_tell_story(&rig);
	char *expected = replaying_state(&rig);
	replaying_lose_database(&rig);
	say_run(&rig, "alone", 1, RIG_ARGS("replay", "--stream", "LEAT_RUN"));
	say_expect_log(&rig, "alone", "LEAT_RUN would be replayed without LEAT_CONTROL");
	rig_sql_expect(&rig, "0", "select count(*) from leat.activity");
	json_decref(replaying_run(&rig, 0, RIG_ARGS("--stream", "LEAT_ENTITY")));
	json_decref(replaying_run(&rig, 0, RIG_ARGS(NULL)));
	char *found = replaying_state(&rig);
	replaying_expect_same(found, expected);
	free(found);
	free(expected);
	rig_sql(&rig, "delete from leat.stream_floors where stream = 'LEAT_CONTROL'");
	say_run(&rig, "again", 1, RIG_ARGS("replay", "--stream", "LEAT_RUN"));
	say_run(&rig, "forced", 0, RIG_ARGS("replay", "--stream", "LEAT_RUN", "--force"));
}

Test(replay, what_is_away_at_the_beginning_is_said_at_once)
{
	char url[sizeof rig.database_url + 16];
	const char *slash = strrchr(rig.database_url, '/');
	snprintf(url, sizeof url, "%.*s/postgres", (int)(slash - rig.database_url), rig.database_url);
	say_run(&rig, "bare", 1, RIG_ARGS("replay", "--database-url", url));
	say_expect_log(&rig, "bare", "run `leat migrate`");
	say_run(&rig, "closed", 1, RIG_ARGS("replay", "--database-url", "postgresql://127.0.0.1:1/x"));
	say_expect_log(&rig, "closed", "LEAT_DATABASE_URL");
	say_run(&rig, "deaf", 1, RIG_ARGS("replay", "--nats-url", "nats://127.0.0.1:1"));
	say_expect_log(&rig, "deaf", "LEAT_NATS_URL");
}

Test(replay, asked_wrongly_it_says_what_it_expects)
{
	static const struct {
		const char *words[6];
		const char *said;
	} cases[] = {
		{{"replay", "--stream", "LEAT_WORK"}, "expected LEAT_ENTITY, LEAT_CONTROL or LEAT_RUN"},
		{{"replay", "--from-seq", "3"}, "name it by --stream"},
		{{"replay", "--since", "yesterday"}, "expected a time like"},
		{{"replay", "--subject", "a..b"}, "expected a subject"},
		{{"replay", "--stream", "LEAT_RUN", "--from-seq=5", "--to-seq=4"}, "is behind --to-seq 4"},
		{{"replay", "--since", "2h", "--stream", "LEAT_RUN", "--from-seq=5"}, "give one of them"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *words[8] = {0};
		memcpy(words, cases[i].words, sizeof cases[i].words);
		say_run(&rig, "wrong", 2, words);
		say_expect_log(&rig, "wrong", cases[i].said);
	}
}
