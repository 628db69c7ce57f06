/* `leat doctor`: each thing is broken for real, and it has to say which, and what mends it. */
#include "leat/clock.h"
#include "logins.h"
#include "saying.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static struct rig rig;
static json_t *report;

static void setup(void)
{
	rig_open(&rig);
	rig_migrate(&rig);
}

static void teardown(void)
{
	json_decref(report);
	report = NULL;
	rig_close(&rig);
}

TestSuite(doctor, .init = setup, .fini = teardown);

/* ---- asking ---- */

/* `leat doctor --json ...` into `report`; it ends with 1 when it finds a fault. */
#define DIAGNOSE_WITH(...) diagnose(RIG_ARGS("doctor", "--json", __VA_ARGS__))
#define DIAGNOSE() diagnose(RIG_ARGS("doctor", "--json"))
static void diagnose(const char *const *arguments)
{
	int status = rig_run(&rig, "doctor", 60, arguments);
	char *output = rig_output(&rig, "doctor");
	json_decref(report);
	report = json_loads(output, 0, NULL);
	cr_assert_not_null(report, "%s", output);
	cr_assert_eq(status, json_integer_value(json_object_get(report, "faults")) > 0, "%s", output);
	free(output);
}

static const json_t *find(const char *text)
{
	size_t i;
	json_t *finding;
	json_array_foreach(json_object_get(report, "findings"), i, finding)
	{
		if (strstr(json_string_value(json_object_get(finding, "what")), text) != NULL)
			return finding;
	}
	return NULL;
}

static void expect(const char *level, const char *what, const char *mend)
{
	const json_t *finding = find(what);
	char *all = json_dumps(report, JSON_INDENT(2));
	cr_assert_not_null(finding, "nothing says \"%s\" in\n%s", what, all);
	cr_expect_str_eq(json_string_value(json_object_get(finding, "level")), level, "%s", what);
	cr_expect_not_null(strstr(json_string_value(json_object_get(finding, "mend")), mend), "\"%s\" is not what mends it in\n%s", mend, all);
	cr_expect_neq(*json_string_value(json_object_get(finding, "why")), '\0', "%s", what);
	free(all);
}

static void expect_no_fault(void)
{
	char *all = json_dumps(report, JSON_INDENT(2));
	cr_expect_eq(json_integer_value(json_object_get(report, "faults")), 0, "%s", all);
	free(all);
}

static void expect_skipped(size_t count)
{
	char *all = json_dumps(report, JSON_INDENT(2));
	cr_expect_eq(json_array_size(json_object_get(report, "skipped")), count, "%s", all);
	free(all);
}

static void ask_jetstream(const char *what, const char *request)
{
	LEAT_BUF_SCOPED answer = LEAT_BUF_INIT;
	struct leat_error err;
	cr_assert_eq(leat_bus_ask_jetstream(rig_bus(&rig), what, request, &answer, &err), LEAT_OK, "%s", err.text);
}

/* A consumer that has written its state, and applied `count` intents if any. */
static struct leat_child *start_consumer(int count)
{
	struct leat_child *consumer = rig_start(&rig, "consume", RIG_ARGS("consume", "--process-heartbeat-ms", "1000"));
	for (int i = 0; i < count; i++)
		rig_intent(&rig, RIG_TENANT_A, "entity.upsert", NULL, "{\"entity_type\":\"t\",\"key\":\"1\"}");
	rig_sql_wait(&rig, 30, "1", "select count(*) from leat.processes");
	rig_sql_wait(&rig, 30, "t", "select count(*) >= %d from leat.activity", count);
	return consumer;
}

static bool floor_is(void *wanted)
{
	struct leat_pull_info info;
	struct leat_error err;
	return leat_durable_get_info(rig_bus(&rig), "LEAT_ENTITY", "leat-entity", &info, &err) == LEAT_OK &&
		info.floor_seq == *(const uint64_t *)wanted;
}

/* Publishes so many more, applies all `total` there are, and stops. */
static void apply(int more, uint64_t total)
{
	struct leat_child *consumer = start_consumer(more);
	cr_assert(rig_wait_until(floor_is, &total, 30));
	cr_assert_eq(leat_child_stop(consumer, SIGTERM, 15000), 0);
}

/* ---- all is well, nothing is there, one is away ---- */

Test(doctor, of_what_is_well_it_says_nothing_bad)
{
	start_consumer(3);
	DIAGNOSE();
	expect_no_fault();
	expect_skipped(0);
	cr_expect_null(find("consumer"));
	say_run(&rig, "tables", 0, RIG_ARGS("doctor"));
	say_expect(&rig, "tables", ": 23 checks, 0 faults, ");
}

Test(doctor, it_leaves_nothing_behind)
{
	struct leat_stream_state events;
	struct leat_error err;
	DIAGNOSE();
	cr_assert_eq(leat_stream_get_state(rig_bus(&rig), "LEAT_EVENTS", &events, &err), LEAT_OK, "%s", err.text);
	cr_expect_eq(events.messages, 0);
	LEAT_BUF_SCOPED answer = LEAT_BUF_INIT;
	cr_assert_eq(leat_bus_ask_jetstream(rig_bus(&rig), "CONSUMER.NAMES.LEAT_EVENTS", NULL, &answer, &err), LEAT_OK, "%s", err.text);
	cr_expect_not_null(strstr(leat_buf_text(&answer), "\"total\":0"), "%s", leat_buf_text(&answer));
}

Test(doctor, before_the_first_migration_it_says_what_to_run)
{
	rig_close(&rig);
	rig_open(&rig);
	DIAGNOSE();
	expect("fault", "there is no stream LEAT_RUN", "leat migrate");
	expect("fault", "the schema is not there", "leat migrate");
	cr_expect_null(find("can't publish"));
}

Test(doctor, a_server_that_is_away_is_a_fault_and_the_other_is_looked_at)
{
	DIAGNOSE_WITH("--nats-url", "nats://127.0.0.1:1");
	expect("fault", "connecting to nats-server", "start nats-server");
	expect("warning", "no consumer of queue group leat", "leat consume");
	DIAGNOSE_WITH("--database-url", "postgresql://127.0.0.1:1/none");
	expect("fault", "Postgres: connection", "start Postgres");
	cr_expect_null(find("nats-server at"));
	rig_delete_stream(&rig, "LEAT_DEAD");
	DIAGNOSE_WITH("--database-url", "postgresql://127.0.0.1:1/none");
	expect("fault", "there is no stream LEAT_DEAD", "leat migrate");
}

/* ---- NATS ---- */

Test(doctor, a_stream_with_other_settings_is_told_setting_by_setting)
{
	ask_jetstream("STREAM.UPDATE.LEAT_ENTITY",
		"{\"name\":\"LEAT_ENTITY\",\"subjects\":[\"leat.intent.*.*.entity.*\"],\"max_age\":3600000000000,\"max_msgs_per_subject\":5,"
		"\"duplicate_window\":100000000,\"max_bytes\":1048576,\"retention\":\"limits\",\"storage\":\"file\",\"discard\":\"old\"}");
	DIAGNOSE();
	expect("fault", "stream LEAT_ENTITY: subjects is leat.intent.*.*.entity.*, expected", "nats stream edit LEAT_ENTITY --subjects");
	expect("fault", "stream LEAT_ENTITY: max_msgs_per_subject is 5, expected unlimited", "--max-msgs-per-subject \"-1\"");
	expect("warning", "stream LEAT_ENTITY: max_age is 1h, expected 168h", "--max-age \"168h\"");
	expect("warning", "stream LEAT_ENTITY: max_bytes is 1048576, expected unlimited", "--max-bytes \"-1\"");
	cr_expect_null(find("full"));
	char *large = leat_alloc(900001);
	memset(large, 'x', 900000);
	large[900000] = '\0';
	rig_publish(&rig, "leat.intent.a.b.entity.c", NULL, large);
	free(large);
	DIAGNOSE();
	expect("warning", "stream LEAT_ENTITY is 85 % full", "--max-bytes -1");
}

Test(doctor, a_durable_with_other_settings_is_told_setting_by_setting)
{
	ask_jetstream("CONSUMER.DURABLE.CREATE.LEAT_ENTITY.leat-entity",
		"{\"stream_name\":\"LEAT_ENTITY\",\"config\":{\"durable_name\":\"leat-entity\",\"deliver_policy\":\"all\",\"ack_policy\":"
		"\"explicit\","
		"\"ack_wait\":30000000000,\"max_deliver\":5,\"max_ack_pending\":1000,\"filter_subject\":\"leat.intent.*.*.entity.merge\"}}");
	start_consumer(0);
	DIAGNOSE();
	expect("warning", "consumer leat-entity of LEAT_ENTITY: ack_wait is 30s, expected 10s",
		"nats consumer edit LEAT_ENTITY leat-entity --wait 10s");
	expect("fault", "max_deliver is 5, expected unlimited", "--max-deliver -1");
	expect("fault", "filter_subject is leat.intent.*.*.entity.merge, expected none", "nats consumer rm LEAT_ENTITY leat-entity");
	expect("warning", "gives out 1000 intents at once; 1 processes take up to 3000 each", "--max-pending 3000");
	cr_expect_null(find("leat-run"));
}

Test(doctor, intents_that_nobody_pulls_are_a_fault)
{
	rig_intent(&rig, RIG_TENANT_A, "entity.upsert", NULL, "{\"entity_type\":\"t\",\"key\":\"1\"}");
	DIAGNOSE();
	expect("warning", "there is no consumer leat-entity of LEAT_ENTITY", "leat consume --queue-group leat");
	apply(1, 2);
	rig_intent(&rig, RIG_TENANT_A, "entity.upsert", NULL, "{\"entity_type\":\"t\",\"key\":\"1\"}");
	DIAGNOSE();
	expect("fault", "nobody pulls from consumer leat-entity of LEAT_ENTITY: 1 intents wait", "leat consume --queue-group leat");
}

Test(doctor, the_consumers_login_of_the_example_may_do_all_it_has_to)
{
	logins_start(&rig);
	logins_be("leat-admin");
	rig_migrate(&rig);
	logins_be("leat-consumer");
	setenv("LEAT_NATS_INBOX_PREFIX", "_INBOX_consumer", 1);
	DIAGNOSE();
	expect_no_fault();
	expect_skipped(1); /* only an administrator may ask what room the account has */
}

Test(doctor, what_the_login_may_not_publish_is_a_fault)
{
	logins_configure(&rig,
		"authorization {users: [{user: leat-consumer, password: secret,"
		" permissions: {publish: {deny: [\"leat.event.>\", \"leat.intent.*.engine.run.node\"]}}}]}\n");
	setenv("LEAT_NATS_USER", "leat-consumer", 1);
	setenv("LEAT_NATS_PASSWORD", "secret", 1);
	rig_migrate(&rig);
	DIAGNOSE();
	expect("fault", "this login can't publish leat.event.", "docker/nats-accounts.conf");
	expect(
		"fault", "this login can't publish leat.intent.00000000-0000-0000-0000-000000000000.engine.run.node", "docker/nats-accounts.conf");
	cr_expect_null(find("leat.dead."));
}

Test(doctor, dead_letters_that_wait_are_a_warning)
{
	rig_publish(&rig, "leat.dead.unroutable", "Leat-Error-Code: not_found\r\n", "");
	DIAGNOSE();
	expect("warning", "1 dead letter waits, the oldest since 20", "leat dead list");
}

/* ---- Postgres ---- */

static void set_in_database(const char *setting)
{
	char *name = rig_sql_text(&rig, "select current_database()");
	rig_sql(&rig, "alter database \"%s\" set %s", name, setting);
	free(name);
}

Test(doctor, what_a_commit_relies_on_is_looked_at)
{
	set_in_database("synchronous_commit = off");
	DIAGNOSE();
	expect("fault", "synchronous_commit is off", "RESET synchronous_commit");
	set_in_database("default_transaction_read_only = on");
	DIAGNOSE();
	expect("fault", "default_transaction_read_only is on", "primary");
}

Test(doctor, a_clock_that_is_wrong_is_told_by_how_much)
{
	rig_sql(&rig,
		"create schema wrong; grant usage on schema wrong to public; create function wrong.clock_timestamp() returns timestamptz"
		" language sql return pg_catalog.clock_timestamp() - interval '190 minutes'");
	DIAGNOSE();
	cr_expect_null(find("clock"));
	set_in_database("search_path = wrong, pg_catalog");
	DIAGNOSE();
	expect("fault", "the clock of Postgres is 3 h behind this machine's", "timedatectl");
}

Test(doctor, a_login_with_too_many_rights_is_a_warning)
{
	DIAGNOSE_WITH("--database-url", rig.database_url);
	expect("warning", "is a superuser", "CREATE ROLE leat LOGIN");
	DIAGNOSE();
	cr_expect_null(find("superuser"));
}

Test(doctor, walls_that_are_down_are_faults)
{
	rig_sql(&rig, "alter table leat.entities disable row level security");
	rig_sql(&rig, "grant select on leat.activity to authenticated");
	rig_sql(&rig, "revoke insert on leat.outbox from service_role");
	DIAGNOSE();
	expect("fault", "leat.entities has no row-level security", "ALTER TABLE leat.entities ENABLE ROW LEVEL SECURITY");
	expect("fault", "leat.activity may be read or written by authenticated", "REVOKE ALL ON leat.activity");
	expect("fault", "leat.outbox may not be read and written by service_role", "GRANT SELECT, INSERT, UPDATE, DELETE ON leat.outbox");
	cr_expect_null(find("leat.runs"));
}

Test(doctor, a_schema_of_another_binary_is_told)
{
	rig_sql(&rig, "update leat.schema_files set checksum = 'x' where name = 'functions/10_fields.sql'");
	rig_sql(&rig, "delete from leat.schema_files where name = 'functions/99_grants.sql'");
	DIAGNOSE();
	expect("fault", "2 files of the schema are not this binary's, functions/99_grants.sql first", "leat migrate");
	rig_migrate(&rig);
	DIAGNOSE();
	expect_no_fault();
	rig_sql(&rig, "update leat.processes set version = '0.0.1'");
	rig_sql(&rig,
		"insert into leat.processes (id, queue_group, host, pid, version, lanes) values (gen_random_uuid(), 'leat', 'h', 7, '0.0.9', "
		"'{}')");
	rig_sql(&rig, "insert into leat.schema_files (name, checksum) values ('migrations/9999_later.sql', 'x')");
	DIAGNOSE();
	expect("fault", "migrations/9999_later.sql was run in this database", "use the newer leat");
	expect("warning", "process h/7 is leat 0.0.9", "SIGTERM");
}

Test(doctor, what_was_dropped_switched_off_or_replaced_is_told_and_a_migration_makes_it_again)
{
	rig_sql(&rig, "drop trigger touch on leat.entities; alter table leat.outbox disable trigger suppress");
	rig_sql(&rig, "drop function leat.wake_relay() cascade");
	rig_sql(&rig, "create or replace function leat.milliseconds_since(p_at timestamptz) returns bigint language sql stable return -1");
	rig_sql(&rig, "create table leat.mine (a integer); create function leat.mine() returns integer language sql return 1");
	DIAGNOSE();
	expect("fault", "trigger touch on leat.entities is gone", "leat migrate");
	expect("fault", "trigger suppress on leat.outbox is switched off", "leat migrate");
	expect("fault", "trigger wake on leat.outbox is gone", "leat migrate");
	expect("fault", "function leat.wake_relay() is gone", "leat migrate");
	expect("fault", "function leat.milliseconds_since(timestamp with time zone) is another than it was", "leat migrate");
	cr_expect_null(find("mine"));
	rig_migrate(&rig);
	DIAGNOSE();
	expect_no_fault();
	cr_expect_eq(rig_sql_int(&rig, "select leat.milliseconds_since(now())"), 0);
}

Test(doctor, what_only_a_migration_made_is_told_until_it_is_there_again)
{
	char *made = rig_sql_text(&rig, "select pg_get_functiondef('leat.current_user_id'::regproc)");
	rig_sql(&rig, "create or replace function leat.current_user_id() returns uuid language sql stable as 'select null::uuid'");
	rig_sql(&rig, "drop policy member on leat.runs");
	DIAGNOSE();
	expect("fault", "policy member on leat.runs is gone", "sql/migrations");
	for (int i = 0; i < 2; i++) { /* nor does a migration take it for right */
		say_run(&rig, i == 0 ? "migrate" : "again", 0, RIG_ARGS("migrate"));
		say_expect(&rig, i == 0 ? "migrate" : "again", "policy member on leat.runs was gone, and still is: only a migration made it");
		say_expect(&rig, i == 0 ? "migrate" : "again", "function leat.current_user_id() was another than it was, and still is");
	}
	rig_sql(&rig, "%s", made);
	DIAGNOSE();
	cr_expect_null(find("current_user_id"));
	expect("fault", "policy member on leat.runs is gone", "sql/migrations");
	free(made);
}

/* ---- both ---- */

Test(doctor, a_database_ahead_of_its_stream_is_told)
{
	apply(5, 5);
	rig_sql(&rig, "update leat.stream_floors set position = 7 where stream = 'LEAT_ENTITY'");
	DIAGNOSE();
	expect("fault", "the floor that the database has of LEAT_ENTITY is 7, the stream ends at 5", "DELETE FROM leat.stream_floors");
	rig_sql(&rig, "delete from leat.stream_floors");
	DIAGNOSE();
	expect_no_fault();
	rig_delete_stream(&rig, "LEAT_ENTITY");
	rig_migrate(&rig);
	DIAGNOSE();
	expect("fault", "the database has settled message 5 of LEAT_ENTITY, which ends at 0", "leat consume");
	apply(1, 1);
	DIAGNOSE();
	expect_no_fault();
}

Test(doctor, a_database_behind_the_floor_is_to_be_replayed_into)
{
	apply(5, 5);
	DIAGNOSE();
	expect_no_fault();
	rig_sql(&rig, "create table kept as select * from leat.activity; delete from leat.activity where position > 2");
	DIAGNOSE();
	expect("fault", "the database ends at message 2 of LEAT_ENTITY, 5 and all before were acknowledged", "leat replay");
	rig_sql(&rig, "delete from leat.activity; insert into leat.activity select * from kept where position > 2");
	DIAGNOSE();
	expect("fault", "the ledger has forgotten message 1 of LEAT_ENTITY", "LEAT_LEDGER_RETENTION_H");
	rig_sql(&rig, "truncate leat.activity");
	DIAGNOSE();
	expect("fault", "the database ends at message 0 of LEAT_ENTITY", "leat replay");
}

/* ---- this machine ---- */

Test(doctor, nodes_that_may_call_nowhere_are_a_warning)
{
	rig_sql(&rig,
		"insert into leat.workflows (id, tenant_id, name, version) values ('" RIG_TENANT_B "', '" RIG_TENANT_A "', 'w', 1);"
		"insert into leat.workflow_versions (workflow_id, version, tenant_id, name, definition) values ('" RIG_TENANT_B
		"', 1, '" RIG_TENANT_A
		"', 'w', '{\"nodes\":[{\"id\":\"a\",\"type\":\"http\",\"method\":\"GET\",\"url\":\"http://h/\"}],\"edges\":[]}')");
	DIAGNOSE();
	expect("warning", "LEAT_ALLOW_HOSTS is not set", "LEAT_ALLOW_HOSTS=host");
	DIAGNOSE_WITH("--allow-hosts", "h");
	cr_expect_null(find("LEAT_ALLOW_HOSTS"));
}

Test(doctor, secrets_that_others_may_read_are_a_warning)
{
	char folder[sizeof rig.folder + 64];
	snprintf(folder, sizeof folder, "%s/secrets", rig.folder);
	DIAGNOSE_WITH("--secrets-dir", folder);
	expect("fault", "can't be read: No such file", "LEAT_SECRETS_DIR");
	cr_assert_eq(mkdir(folder, 0700), 0);
	snprintf(folder, sizeof folder, "%s/secrets/%s", rig.folder, RIG_TENANT_A);
	cr_assert_eq(mkdir(folder, 0700), 0);
	say_write_file(&rig, "secrets/" RIG_TENANT_A "/KEY", "hush", 4);
	snprintf(folder, sizeof folder, "%s/secrets/%s/KEY", rig.folder, RIG_TENANT_A);
	cr_assert_eq(chmod(folder, 0644), 0);
	*strstr(folder, "/" RIG_TENANT_A) = '\0';
	DIAGNOSE_WITH("--secrets-dir", folder);
	expect("warning", "secret " RIG_TENANT_A "/KEY may be read or written by others (mode 644)", "chmod 400");
	cr_assert_eq(chmod(folder, 0777), 0);
	DIAGNOSE_WITH("--secrets-dir", folder);
	expect("fault", "may be written by others (mode 777)", "chmod go-w");
}
