/* `leat migrate`: once, again, several at once, over what another version left, with servers that are late. */
#include "saying.h"

#include "leat/schema.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define SIDE_BY_SIDE 4

static struct rig rig;

static void setup(void)
{
	rig_open(&rig);
}

static void teardown(void)
{
	rig_close(&rig);
}

TestSuite(schema, .init = setup, .fini = teardown);

/* ---- the database ---- */

Test(schema, four_at_once_all_succeed_and_run_each_file_once)
{
	static const char *const names[SIDE_BY_SIDE] = {"first", "second", "third", "fourth"};
	struct leat_child *children[SIDE_BY_SIDE];
	size_t migrations = 0;
	size_t functions = 0;
	for (size_t i = 0; i < SIDE_BY_SIDE; i++)
		children[i] = rig_start(&rig, names[i], RIG_ARGS("migrate"));
	for (size_t i = 0; i < SIDE_BY_SIDE; i++) {
		int status = -1;
		cr_assert(leat_child_wait(children[i], 60000, &status));
		cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s", names[i]);
		char *output = rig_output(&rig, names[i]);
		migrations += say_count(output, ".sql: run\n");
		const char *told = strstr(output, "functions/ ");
		functions += told == NULL ? 0 : (size_t)strtoul(told + strlen("functions/ "), NULL, 10);
		free(output);
	}
	cr_expect_eq(migrations, (size_t)rig_sql_int(&rig, "select count(*) from leat.schema_files where name like 'migrations/%%'"));
	cr_expect_eq(functions, leat_sql_file_count - migrations);
	cr_expect_eq((size_t)rig_sql_int(&rig, "select count(*) from leat.schema_files"), leat_sql_file_count);
}

Test(schema, migrating_again_writes_nothing)
{
	rig_migrate(&rig);
	rig_sql(&rig, "create table before as select xmin::text as version, name from leat.schema_files");
	rig_sql(&rig, "create table functions as select xmin::text as version, oid from pg_proc");
	say_run(&rig, "again", 0, RIG_ARGS("migrate"));
	say_expect(&rig, "again", "the schema is up to date");
	cr_expect_eq(
		rig_sql_int(&rig, "select count(*) from leat.schema_files f join before b on b.name = f.name and b.version <> f.xmin::text"), 0);
	cr_expect_eq(rig_sql_int(&rig, "select count(*) from pg_proc p join functions f on f.oid = p.oid and f.version <> p.xmin::text"), 0);
}

Test(schema, a_migration_that_was_run_with_other_contents_is_refused_by_its_name)
{
	rig_migrate(&rig);
	rig_sql(&rig, "update leat.schema_files set checksum = 'another' where name = 'migrations/0001_entities.sql'");
	rig_sql(&rig, "update leat.schema_files set checksum = 'another' where name like 'functions/%%'");
	say_run(&rig, "again", 1, RIG_ARGS("migrate"));
	say_expect_log(&rig, "again", "migrations/0001_entities.sql has another checksum");
	say_expect_log(&rig, "again", "go back to that version, or, for a trial, remove the folder .leat\n");
	cr_expect_eq(
		rig_sql_int(&rig, "select count(*) from leat.schema_files where checksum <> 'another' and name not like 'migrations/%%'"), 0);
}

Test(schema, a_database_of_a_newer_version_is_refused)
{
	rig_migrate(&rig);
	rig_sql(&rig, "insert into leat.schema_files (name, checksum) values ('migrations/9999_future.sql', 'x')");
	say_run(&rig, "again", 1, RIG_ARGS("migrate"));
	say_expect_log(&rig, "again", "migrations/9999_future.sql");
}

Test(schema, a_functions_file_that_changed_is_run_again_with_those_after_it)
{
	rig_migrate(&rig);
	rig_sql(&rig, "create or replace function leat.milliseconds_since(p_at timestamptz) returns bigint language sql stable return -1");
	rig_sql(
		&rig, "delete from leat.schema_objects where name like 'function leat.milliseconds_since(%%'"); /* as an older version left it */
	rig_sql(&rig, "update leat.schema_files set checksum = 'older' where name = 'functions/92_status.sql'");
	char *output = say_output(&rig, "again", 0, RIG_ARGS("migrate"));
	char expected[128];
	snprintf(expected, sizeof expected,
		"functions/92_status.sql: run again, it changed\nfunctions/ %d files run again, after what changed\n",
		(int)rig_sql_int(&rig, "select count(*) from leat.schema_files where name > 'functions/92_status.sql' and name < 'g'"));
	cr_expect_not_null(strstr(output, expected), "%s", output);
	free(output);
	cr_expect_eq(rig_sql_int(&rig, "select leat.milliseconds_since(now())"), 0);
	cr_expect_eq(rig_sql_int(&rig, "select count(*) from leat.schema_files where checksum = 'older'"), 0);
}

Test(schema, every_functions_file_can_be_run_again)
{
	rig_migrate(&rig);
	rig_sql(&rig, "update leat.schema_files set checksum = 'older' where name like 'functions/%%'");
	char *output = say_output(&rig, "again", 0, RIG_ARGS("migrate"));
	cr_expect_eq(say_count(output, ": run again"),
		leat_sql_file_count - (size_t)rig_sql_int(&rig, "select count(*) from leat.schema_files where name like 'migrations/%%'"));
	free(output);
}

/* Functions are there already when a migration runs, other than in a new database; and rows. */
Test(schema, a_database_without_the_newest_migration_gets_it)
{
	rig_migrate(&rig);
	rig_sql(&rig, "do $$ declare v_fetch constant text := pg_get_functiondef('leat.fetch_outbox'::regproc); begin"
				  " drop function leat.fetch_outbox; alter table leat.outbox alter column events type integer;"
				  " drop domain leat.event_count; alter table leat.outbox add constraint outbox_events_check check (events between 1 and 1024);"
				  " execute v_fetch; end $$");
	rig_sql(&rig, "insert into leat.outbox (subject, body, events) values ('leat.event.>', '', 16)");
	rig_sql(&rig, "delete from leat.schema_files where name = 'migrations/0023_shorter_ways.sql'");
	rig_sql(&rig, "update leat.schema_files set checksum = 'older' where name like 'functions/%%'");
	say_run(&rig, "again", 0, RIG_ARGS("migrate"));
	say_expect(&rig, "again", "0023_shorter_ways.sql: run");
	rig_sql_expect(&rig, "leat.event_count 16",
		"select concat_ws(' ', pg_typeof(events), events) from leat.outbox where subject = 'leat.event.>'");
	cr_expect_eq(rig_sql_int(&rig, "select count(*) from leat.fetch_outbox(0, 100, 100000)"), 1);
}

Test(schema, a_statement_that_fails_names_its_file_and_undoes_all)
{
	rig_sql(&rig, "create schema leat; create table leat.entities (in_the_way boolean)");
	say_run(&rig, "migrate", 1, RIG_ARGS("migrate"));
	say_expect_log(&rig, "migrate", "running migrations/0001_entities.sql: Postgres (42P07)");
	cr_expect_eq(rig_sql_int(&rig, "select count(*) from pg_class where relnamespace = 'leat'::regnamespace"), 1);
}

Test(schema, the_migrate_url_goes_before_the_database_url)
{
	say_run(&rig, "migrate", 0, RIG_ARGS("migrate", "--database-url", "postgresql://127.0.0.1:1/none", "--migrate-url", rig.database_url));
	cr_expect_gt(rig_sql_int(&rig, "select count(*) from leat.schema_files"), 0);
}

Test(schema, what_waiting_cannot_mend_is_told_at_once)
{
	say_run(&rig, "migrate", 1, RIG_ARGS("migrate", "--migrate-url", "postgresql://[nonsense"));
	say_expect_log(&rig, "migrate", "expected postgresql://");
}

/* ---- the streams ---- */

static uint64_t messages(const char *stream)
{
	struct leat_stream_state state;
	struct leat_error err;
	cr_assert_eq(leat_stream_get_state(rig_bus(&rig), stream, &state, &err), LEAT_OK, "%s: %s", stream, err.text);
	return state.messages;
}

Test(schema, each_subject_is_stored_by_the_stream_of_its_lane)
{
	static const struct {
		const char *stream;
		const char *subject;
	} wanted[] = {
		{"LEAT_ENTITY", "leat.intent." RIG_TENANT_A ".user.entity.merge"},
		{"LEAT_ENTITY", "leat.redrive." RIG_TENANT_A ".service.entity.upsert"},
		{"LEAT_CONTROL", "leat.intent." RIG_TENANT_A ".service.workflow.save"},
		{"LEAT_CONTROL", "leat.redrive." RIG_TENANT_A ".service.interaction.ask"},
		{"LEAT_CONTROL", "leat.intent." RIG_TENANT_A ".service.member.add"},
		{"LEAT_RUN", "leat.intent." RIG_TENANT_A ".service.run.start"},
		{"LEAT_RUN", "leat.intent." RIG_TENANT_A ".engine.run.node"},
		{"LEAT_RUN", "leat.redrive." RIG_TENANT_A ".service.run.retry"},
		{"LEAT_RUN", "leat.intent." RIG_TENANT_A ".service.run.cancel"},
		{"LEAT_WORK", "leat.intent." RIG_TENANT_A ".service.run.resume"},
		{"LEAT_EVENTS", "leat.event." RIG_TENANT_A ".entity.1"},
		{"LEAT_DEAD", "leat.dead.unroutable"},
	};
	rig_migrate(&rig);
	for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
		uint64_t before = messages(wanted[i].stream);
		rig_publish(&rig, wanted[i].subject, NULL, "{}");
		cr_expect_eq(messages(wanted[i].stream), before + 1, "%s", wanted[i].subject);
	}
}

Test(schema, the_server_takes_each_stream_as_asked_and_intents_have_the_shortest_window)
{
	rig_migrate(&rig);
	struct leat_stream_config streams[LEAT_STREAMS];
	struct leat_params params;
	leat_params_init(&params);
	leat_schema_streams(&params, streams);
	for (size_t i = 0; i < LEAT_STREAMS; i++) {
		bool intents = strcmp(streams[i].name, "LEAT_EVENTS") != 0 && strcmp(streams[i].name, "LEAT_DEAD") != 0;
		cr_expect_eq(streams[i].duplicates_ms, intents ? 100 : 120000, "%s", streams[i].name);
		LEAT_BUF_SCOPED differences = LEAT_BUF_INIT;
		struct leat_error err;
		cr_assert_eq(leat_stream_ensure(rig_bus(&rig), &streams[i], &differences, &err), LEAT_OK, "%s", err.text);
		cr_expect_str_eq(leat_buf_text(&differences), ""); /* the server took it as it was asked for */
	}
}

Test(schema, events_are_kept_to_a_hundred_per_subject)
{
	rig_migrate(&rig);
	for (int i = 0; i < 130; i++)
		rig_publish(&rig, "leat.event." RIG_TENANT_A ".entity.1", NULL, "{}");
	rig_publish(&rig, "leat.event." RIG_TENANT_A ".entity.2", NULL, "{}");
	cr_expect_eq(messages("LEAT_EVENTS"), 101);
}

Test(schema, the_shortest_retention_of_events_makes_a_stream_too)
{
	say_run(&rig, "migrate", 0, RIG_ARGS("migrate", "--event-retention-min", "1"));
	cr_expect_eq(messages("LEAT_EVENTS"), 0);
}

Test(schema, a_stream_with_other_settings_is_reported_and_left_as_it_is)
{
	struct leat_stream_config other = {
		.name = "LEAT_DEAD", .subjects = {"leat.dead.>"}, .max_age_ms = 3600000, .duplicates_ms = 120000, .replicas = 1};
	LEAT_BUF_SCOPED differences = LEAT_BUF_INIT;
	struct leat_error err;
	cr_assert_eq(leat_stream_ensure(rig_bus(&rig), &other, &differences, &err), LEAT_OK, "%s", err.text);
	for (int round = 0; round < 2; round++) {
		say_run(&rig, round == 0 ? "migrate" : "again", 0, RIG_ARGS("migrate"));
		say_expect_log(&rig, round == 0 ? "migrate" : "again", "LEAT_DEAD: max_age is 1h, expected 720h");
	}
	cr_assert_eq(leat_stream_ensure(rig_bus(&rig), &other, &differences, &err), LEAT_OK, "%s", err.text);
	cr_expect_str_eq(leat_buf_text(&differences), "");
}

Test(schema, servers_that_are_still_starting_are_waited_for)
{
	struct leat_error err;
	leat_server_kill(&rig.nats);
	struct leat_child *migrate = rig_start(&rig, "migrate", RIG_ARGS("migrate"));
	say_wait_log(&rig, "migrate", "trying again for");
	cr_assert_eq(leat_server_restart(&rig.nats, &err), LEAT_OK, "%s", err.text);
	int status = -1;
	cr_assert(leat_child_wait(migrate, 40000, &status));
	cr_expect_eq(status, 0);
	cr_expect_eq(messages("LEAT_ENTITY"), 0);
}
