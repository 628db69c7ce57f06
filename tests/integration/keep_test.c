/*
 * The keep lane forgetting what is old: with real streams that drop messages, with NATS away, with two of it, while it has much to do.
 *
 * Messages are aged in the ledger. That a pass was made is told by a marker: an old row in the default part of the audit log, which goes
 * before the ledger's turn.
 */
#include "load.h"
#include "saying.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

#define ENTITIES 20

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

TestSuite(keep, .init = setup, .fini = teardown);

static const char *const busy[] = {"--prune-every-ms", "100", "--process-heartbeat-ms", "1000", "--retry-limit-ms", "500", "--ack-wait-ms",
	"1000", "--idle-heartbeat-ms", "500", NULL};

static void age_ledger(void)
{
	rig_sql(&rig, "update leat.activity set message_at = message_at - interval '10 days'");
}

/* Twice, so that between the two there was a whole pass. */
static void wait_for_pass(void)
{
	for (int i = 0; i < 2; i++) {
		rig_sql(&rig,
			"insert into leat.audit_log (at, tenant_id, entity_id, operation) values (now() - interval '31 days', gen_random_uuid(),"
			" gen_random_uuid(), 'insert')");
		rig_sql_wait(&rig, 30, "0", "select count(*) from leat.audit_log_default");
	}
}

/* The stream drops what lies before this sequence, as it does by age. */
static void drop_messages_before(uint64_t seq)
{
	char body[64];
	struct leat_error err;
	struct leat_stream_state state;
	snprintf(body, sizeof body, "{\"seq\":%" PRIu64 "}", seq);
	cr_assert_eq(
		leat_bus_publish(rig_bus(&rig), "$JS.API.STREAM.PURGE.LEAT_ENTITY", NULL, body, strlen(body), &err), LEAT_OK, "%s", err.text);
	cr_assert_eq(leat_stream_get_state(rig_bus(&rig), "LEAT_ENTITY", &state, &err), LEAT_OK, "%s", err.text);
	cr_assert_eq(state.first_seq, seq);
}

static void settle_entities(size_t count)
{
	load_store_entities(&rig, RIG_TENANT_A, count);
	load_wait_settled(&rig, (int64_t)count, 60);
}

static void expect_rows(int64_t rows)
{
	cr_assert_eq(rig_sql_int(&rig, "select count(*) from leat.activity"), rows);
}

static void wait_for_rows(const char *rows)
{
	rig_sql_wait(&rig, 30, rows, "select count(*) from leat.activity");
}

/* How often this process was seen, as told by its row. */
static void wait_for_heartbeats(int count)
{
	for (int i = 0; i < count; i++) {
		char *seen = rig_sql_text(&rig, "select max(seen_at) from leat.processes");
		rig_sql_wait(&rig, 10, "t", "select max(seen_at) > '%s' from leat.processes", seen);
		free(seen);
	}
}

/* ---- the ledger ---- */

Test(keep, the_ledger_is_kept_as_long_as_the_stream_keeps_the_message)
{
	load_start_consumer(&rig, "consume", busy);
	load_store_entities(&rig, RIG_TENANT_A, ENTITIES);
	load_store_merges(&rig, "a", 5, ENTITIES);
	load_wait_settled(&rig, ENTITIES + 5, 60);
	age_ledger();
	wait_for_pass();
	expect_rows(ENTITIES + 5);

	drop_messages_before(ENTITIES + 4);
	wait_for_rows("2");
	rig_sql_expect(&rig, "a-3 a-4", "select string_agg(leat_id, ' ' order by leat_id) from leat.message_ids");
	rig_sql_wait(&rig, 10, "t", "select (lanes #>> '{keep,pruned}')::integer >= %d from leat.processes", ENTITIES + 3);

	rig_intent(&rig, RIG_TENANT_A, "entity.upsert", "Leat-Id: a-0\r\n", "{\"entity_type\":\"thing\",\"key\":\"again\"}");
	rig_intent(&rig, RIG_TENANT_A, "entity.upsert", "Leat-Id: a-4\r\n", "{\"entity_type\":\"thing\",\"key\":\"never\"}");
	load_wait_settled(&rig, 4, 30);
	rig_sql_expect(&rig, "again", "select string_agg(key, ' ') from leat.entities where key is not null");
}

Test(keep, what_is_young_stays_whatever_the_stream_drops)
{
	load_start_consumer(&rig, "consume", busy);
	settle_entities(ENTITIES);
	drop_messages_before(ENTITIES);
	wait_for_pass();
	expect_rows(ENTITIES);
}

Test(keep, a_stream_made_again_after_all_but_the_newest_row_went_begins_a_new_epoch)
{
	load_start_consumer(&rig, "consume", busy);
	settle_entities(ENTITIES);
	age_ledger();
	drop_messages_before(ENTITIES + 1);
	wait_for_rows("1");
	rig_delete_stream(&rig, "LEAT_ENTITY");
	rig_migrate(&rig);
	load_store_merges(&rig, "a", ENTITIES, ENTITIES);
	load_wait_settled(&rig, ENTITIES + 1, 60);
	rig_sql_expect(&rig, "1", "select max(epoch) from leat.stream_epochs where stream = 'LEAT_ENTITY'");
	cr_expect_eq(rig_sql_int(&rig, "select count(*) from leat.entities where content ? 'a'"), ENTITIES);
}

Test(keep, while_nats_is_away_the_ledger_waits_and_heartbeats_go_on)
{
	load_start_consumer(&rig, "consume", busy);
	settle_entities(ENTITIES);
	drop_messages_before(ENTITIES + 1);
	struct leat_error err;
	leat_server_stop(&rig.nats);
	say_wait_log(&rig, "consume", "asking NATS what the streams still hold, before the ledger is pruned: ");
	age_ledger();
	wait_for_pass();
	wait_for_heartbeats(2);
	expect_rows(ENTITIES);
	cr_assert_eq(leat_server_restart(&rig.nats, &err), LEAT_OK, "%s", err.text);
	wait_for_rows("1");
	char *log = rig_log(&rig, "consume");
	/* told once; the question that was under way may have failed in another way than those after it */
	cr_expect_leq(say_count(log, "asking NATS what"), 2, "%s", log);
	free(log);
}

/* ---- how it does it ---- */

Test(keep, much_to_do_keeps_no_heartbeat_and_no_end_waiting)
{
	const char *const slowly[] = {"--prune-every-ms", "100", "--process-heartbeat-ms", "1000", "--prune-batch", "1", NULL};
	struct leat_child *consumer = load_start_consumer(&rig, "consume", slowly);
	settle_entities(2000);
	age_ledger();
	drop_messages_before(2001);
	rig_sql_wait(&rig, 30, "t", "select count(*) < 2000 from leat.activity");
	wait_for_heartbeats(3);
	int64_t left = rig_sql_int(&rig, "select count(*) from leat.activity");
	cr_assert_gt(left, 1, "all is done before anything was seen");
	load_stop_consumer(consumer);
	left = rig_sql_int(&rig, "select count(*) from leat.activity");
	cr_assert_gt(left, 1, "it went on to the end");
	load_start_consumer(&rig, "consume", busy);
	wait_for_rows("1");
}

#define HOLDERS                                                                                                                            \
	"from pg_locks l join pg_database d on d.oid = l.database and d.datname = current_database()"                                          \
	" where l.locktype = 'advisory' and l.classid = hashtext('leat.keep')::bigint & 4294967295 and l.granted"

Test(keep, one_of_two_prunes_and_when_it_is_killed_the_other)
{
	struct leat_child *first = load_start_consumer(&rig, "first", busy);
	rig_sql_wait(&rig, 30, "1", "select count(*) " HOLDERS);
	int64_t backend = rig_sql_int(&rig, "select l.pid " HOLDERS);
	load_start_consumer(&rig, "second", busy);
	rig_sql_wait(&rig, 30, "2", "select count(*) from leat.processes");
	wait_for_heartbeats(3);
	cr_expect_eq(rig_sql_int(&rig, "select l.pid " HOLDERS), backend);
	leat_child_stop(first, SIGKILL, 5000);
	rig_sql_wait(&rig, 30, "1", "select count(*) " HOLDERS " and l.pid <> %" PRId64, backend);
	wait_for_pass();
}

Test(keep, a_log_that_somebody_reads_for_long_holds_up_neither_keeper_nor_intents)
{
	rig_sql(
		&rig, "create table old partition of leat.audit_log for values from (now() - interval '40 days') to (now() - interval '39 days')");
	rig_sql(&rig, "begin; select count(*) from leat.audit_log");
	load_start_consumer(&rig, "consume", busy);
	say_wait_log(&rig, "consume", "somebody holds a lock on leat.audit_log: public.old was not dropped; trying again every 100 ms");
	load_store_entities(&rig, RIG_TENANT_A, ENTITIES);
	load_wait_settled(&rig, ENTITIES, 30);
	wait_for_heartbeats(2);
	rig_sql(&rig, "commit");
	rig_sql_wait(&rig, 30, "t", "select to_regclass('old') is null");
	say_wait_log(&rig, "consume", "dropped 1 of the audit log's parts");
}
