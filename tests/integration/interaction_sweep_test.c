/*
 * Questions past their time: what one pass of the keeper finds and leaves alone, and how it goes with answers that come at the same time.
 */
#include "interaction_fixture.h"
#include "load.h"

#include <signal.h>

#define QUESTIONS 5000
#define ANSWERS 3000
#define BATCHES 5

/* ---- a pass ---- */

TestSuite(interaction_sweep, .init = setup, .fini = teardown);

#define SWEEP "select leat.sweep_interactions(1000)"

/* So many of tenant A, question i past its time since i ms. */
static void make_stale(int count)
{
	rig_sql(&rig,
		"insert into leat.interactions (tenant_id, id, connection_id, expected_user_id, payload, expires_at)"
		" select '" RIG_TENANT_A "', leat.question(i), 'c1', '" ANN "', '1', now() - i * interval '1 ms' from generate_series(1, %d) i",
		count);
}

static void make_ids(void)
{
	rig_sql(
		&rig, "create function leat.question(i integer) returns uuid return ('91919191-0000-4000-8000-' || lpad(i::text, 12, '0'))::uuid");
}

/* As if the relay had published them. */
static void forget(void)
{
	rig_sql(&rig, "truncate leat.outbox");
}

/* The intents of this pass: tenant's first letter, ids. */
static void expect_intents(const char *expected)
{
	rig_sql_expect(&rig, expected,
		"select string_agg(concat(substr(subject, 13, 1), ' ', (select string_agg(right(named, 1), '+' order by named) from"
		"  jsonb_array_elements_text(convert_from(body, 'UTF8')::jsonb -> 'interaction_ids') named)), ', ' order by subject)"
		" from leat.outbox where subject like 'leat.intent.%%.engine.interaction.expire' and event is null");
	forget();
}

Test(interaction_sweep, a_pass_asks_each_tenant_to_expire_what_is_open_past_its_time)
{
	make_ids();
	make_stale(4);
	rig_sql(&rig, "update leat.interactions set expires_at = now() + interval '1 minute' where id = leat.question(2)");
	rig_sql(&rig, "update leat.interactions set status = 'answered', claimed_at = now() where id = leat.question(3)");
	rig_sql(&rig, "update leat.interactions set tenant_id = '" RIG_TENANT_B "' where id = leat.question(4)");
	rig_sql(&rig,
		"insert into leat.interactions (tenant_id, id, connection_id, expected_user_id, payload, expires_at)"
		" values ('" RIG_TENANT_A "', leat.question(5), 'c1', '" ANN "', '1', now())");
	forget();
	client_expect(&lane, "3", SWEEP);
	rig_sql_expect(&rig, "0", "select count(*) from event");
	expect_intents("a 1+5, b 4");
	expect_questions("a1 open, a2 open, a3 answered, a5 open, b4 open");
	rig_sql_expect(&rig, "3", "select count(*) from leat.interactions where swept_at is not null");
}

Test(interaction_sweep, much_takes_several_passes_the_oldest_first)
{
	make_ids();
	make_stale(QUESTIONS);
	forget();
	for (int pass = QUESTIONS / 1000; pass > 0; pass--) {
		client_expect(&lane, "1000", SWEEP);
		rig_sql_expect(&rig, pass == 1 ? "t" : "f", "select bool_and(swept_at is not null) from leat.interactions");
		rig_sql_expect(&rig, "t",
			"select bool_and((swept_at is not null) = (id > leat.question(%d))) and count(*) = %d from leat.interactions",
			(pass - 1) * 1000, QUESTIONS);
	}
	client_expect(&lane, "0", SWEEP);
	rig_sql_expect(&rig, "5 of 1000, 5000 in all",
		"select format('%%s of %%s, %%s in all', count(*), max(jsonb_array_length(ids)), (select count(distinct named)"
		"  from leat.outbox, jsonb_array_elements_text(convert_from(body, 'UTF8')::jsonb -> 'interaction_ids') named))"
		" from (select convert_from(body, 'UTF8')::jsonb -> 'interaction_ids' as ids from leat.outbox) o");
}

/* By the partial index: what is not due, and what is over, costs nothing. */
Test(interaction_sweep, an_idle_pass_looks_at_nothing)
{
	make_ids();
	make_stale(QUESTIONS);
	rig_sql(&rig, "update leat.interactions set status = 'expired' where id > leat.question(2500)");
	rig_sql(&rig, "update leat.interactions set expires_at = now() + interval '1 hour' where status = 'open'");
	rig_sql(&rig, "truncate leat.outbox");
	rig_sql(&rig, "vacuum analyze leat.interactions");
	/* of this connection, which has looked at nothing before; one: the planner asks the index for its lowest */
	client_expect(&lane, "t",
		SWEEP "; select pg_stat_get_xact_numscans('leat.interactions_to_expire'::regclass) > 0"
			  " and pg_stat_get_xact_tuples_returned('leat.interactions'::regclass) = 0"
			  " and pg_stat_get_xact_tuples_fetched('leat.interactions'::regclass) <= 1");
}

Test(interaction_sweep, who_was_told_is_told_again_after_a_minute_only)
{
	make_ids();
	make_stale(2);
	forget();
	client_expect(&lane, "2", SWEEP);
	forget();
	client_expect(&lane, "0", SWEEP);
	rig_sql(&rig, "update leat.interactions set swept_at = now() - interval '59 s' where id = leat.question(1)");
	rig_sql(&rig, "update leat.interactions set swept_at = now() - interval '61 s' where id = leat.question(2)");
	client_expect(&lane, "1", SWEEP);
	expect_intents("a 2");
}

Test(interaction_sweep, whom_somebody_holds_is_passed_over_and_not_waited_for)
{
	struct client other;
	make_ids();
	make_stale(3);
	forget();
	client_open(&other, &rig, "service_role");
	client_expect(&other, "", "begin");
	client_expect(&other, "", "select from leat.interactions where id = leat.question(2) for update");
	client_expect(&lane, "2", "set lock_timeout = '1ms'; " SWEEP);
	client_expect(&other, "", "rollback");
	expect_intents("a 1+3");
	client_expect(&lane, "1", SWEEP);
	client_close(&other);
}

Test(interaction_sweep, while_intents_can_not_go_out_no_more_are_made)
{
	make_ids();
	make_stale(2);
	forget();
	client_expect(&lane, "1", "select leat.sweep_interactions(1)");
	client_expect(&lane, "1", "select leat.sweep_interactions(1)");
	rig_sql(&rig, "update leat.interactions set swept_at = null");
	rig_sql(&rig, "update leat.outbox set created_at = now() - interval '6 s'");
	client_expect(&lane, "0", SWEEP);
	forget();
	client_expect(&lane, "2", SWEEP);
}

/* ---- the keeper ---- */

static const char *const eager[] = {"--interaction-sweep-ms", "100", "--ack-wait-ms", "1000", "--idle-heartbeat-ms", "500",
	"--relay-tick-ms", "200", "--floor-check-ms", "50", NULL};

static void open_streams(void)
{
	rig_open(&rig);
	rig_migrate(&rig);
	make_ids();
}

static void close_streams(void)
{
	rig_close(&rig);
}

TestSuite(interaction_keep, .init = open_streams, .fini = close_streams);

Test(interaction_keep, a_question_past_its_time_expires_by_itself_and_can_be_asked_again)
{
	static const char ask[] =
		"{\"interaction_id\":\"" QUESTION "\",\"connection_id\":\"c1\",\"expected_user_id\":\"" ANN "\",\"payload\":1,\"ttl_s\":1}";
	load_start_consumer(&rig, "consume", eager);
	for (int round = 1; round <= 2; round++) {
		rig_intent(&rig, RIG_TENANT_A, "interaction.ask", NULL, ask);
		rig_sql_wait(&rig, 30, "t",
			"select count(*) = 1 from leat.activity a, leat.interactions i where i.status = 'expired' and i.position = a.position"
			" and a.stream = 'LEAT_CONTROL' and a.verb = 'expire' and a.role = 'engine' and a.outcome = 'applied'"
			" and (select count(*) from leat.activity where verb = 'ask' and outcome = 'applied') = %d",
			round);
	}
	rig_sql_expect(&rig, "t", "select created_at < asked_at and claimed_at is null from leat.interactions");
	load_wait_settled(&rig, 4, 30);
	struct leat_stream_state state;
	struct leat_error err;
	cr_assert_eq(leat_stream_get_state(rig_bus(&rig), "LEAT_EVENTS", &state, &err), LEAT_OK, "%s", err.text);
	cr_expect_eq(state.messages, 4, "asked and expired, twice");
}

Test(interaction_keep, an_event_over_the_servers_limit_does_without_the_payload)
{
	struct leat_msg event;
	struct leat_error err;
	uint64_t seq = 1;
	load_start_consumer(&rig, "consume", eager);
	rig_sql(&rig,
		"insert into leat.interactions (tenant_id, id, connection_id, expected_user_id, payload, expires_at) values ('" RIG_TENANT_A
		"', '" QUESTION "', 'c1', '" ANN "', to_jsonb(repeat('x', 1100000)), now() + interval '1 day')");
	rig_sql_wait(&rig, 30, "0", "select count(*) from leat.outbox");
	cr_assert_eq(
		leat_stream_get_next(rig_bus(&rig), "LEAT_EVENTS", "leat.event." RIG_TENANT_A ".interaction." QUESTION, &seq, &event, &err),
		LEAT_OK, "%s", err.text);
	LEAT_BUF_SCOPED text = LEAT_BUF_INIT;
	leat_buf_add(&text, event.data, event.data_bytes);
	cr_expect_not_null(
		strstr(leat_buf_text(&text), "\"expected_user_id\": \"" ANN "\",\"payload_omitted\":true}}"), "%s", leat_buf_text(&text));
	leat_msg_free(&event);
}

/* Their time ends within six seconds, one after the other, in the order of their numbers. */
static void make_questions(void)
{
	rig_sql(&rig,
		"insert into leat.interactions (tenant_id, id, connection_id, expected_user_id, payload, expires_at)"
		" select case when i %% 3 = 0 then '" RIG_TENANT_B "' else '" RIG_TENANT_A "' end::uuid, leat.question(i), 'c1', '" ANN
		"', '1', now() + i * interval '1.2 ms' from generate_series(1, %d) i",
		QUESTIONS);
}

/* Every batch is to questions from all of the time, so that those of a later one come too late in part. */
static void store_answers(int batch)
{
	struct load load = {0};
	for (int i = batch; i < ANSWERS; i += BATCHES) {
		int question = 1 + i * (QUESTIONS - 1) / ANSWERS;
		load_add_intent(&load, question % 3 == 0 ? RIG_TENANT_B : RIG_TENANT_A, "interaction.answer", NULL,
			"{\"interaction_id\":\"91919191-0000-4000-8000-%012d\",\"connection_id\":\"c1\",\"user_id\":\"" ANN "\",\"value\":%d}",
			question, batch);
	}
	load_store(&rig, &load);
	load_free(&load);
}

/* Each question ends once, by whichever was first in the stream, and says so once. */
static void expect_each_ended_once(void)
{
	rig_sql_wait(&rig, 60, "0 open, 0 parked, 0 to publish, 3000 answers",
		"select format('%%s open, %%s parked, %%s to publish, %%s answers', (select count(*) from leat.interactions where status = 'open'),"
		" (select count(*) from leat.parked), (select count(*) from leat.outbox),"
		" (select count(*) from leat.activity where verb = 'answer'))");
	rig_sql_expect(&rig, "t",
		"select (select count(*) from leat.activity where verb = 'answer' and outcome = 'applied')"
		" = (select count(*) from leat.interactions i join leat.activity a on a.stream = 'LEAT_CONTROL' and a.position = i.position"
		"  and a.target_id = i.id and a.verb = 'answer' and a.outcome = 'applied' and a.message_at = i.claimed_at"
		"  where i.status = 'answered' and i.claimed_at < i.expires_at)");
	rig_sql_expect(&rig, "t",
		"with said as (select a.tenant_id, (jsonb_array_elements_text(a.detail -> 'expired'))::uuid as id, a.position, a.message_at"
		" from leat.activity a where a.verb = 'expire')"
		" select (select count(*) from said) = (select count(*) from leat.interactions i join said on said.tenant_id = i.tenant_id"
		" and said.id = i.id and said.position = i.position where i.status = 'expired' and i.expires_at <= said.message_at)"
		" and (select count(*) from said) = (select count(*) from leat.interactions where status = 'expired')");
	rig_sql_expect(
		&rig, "already_claimed", "select string_agg(distinct code, ' ') from leat.activity where verb = 'answer' and outcome = 'rejected'");
	struct leat_stream_state state;
	struct leat_error err;
	cr_assert_eq(leat_stream_get_state(rig_bus(&rig), "LEAT_EVENTS", &state, &err), LEAT_OK, "%s", err.text);
	cr_expect_eq(state.messages, 2 * QUESTIONS, "asked and ended, each once; %d events", (int)state.messages);
}

Test(interaction_keep, answers_race_with_the_end_of_time_and_whoever_is_first_wins, .timeout = 180)
{
	struct leat_child *first = load_start_consumer(&rig, "first", eager);
	load_start_consumer(&rig, "second", eager);
	rig_sql_wait(&rig, 30, "2", "select count(*) from leat.processes");
	make_questions();
	for (int batch = 0; batch < BATCHES; batch++) {
		store_answers(batch);
		rig_sql_wait(&rig, 60, "t", "select count(*) >= %d from leat.interactions where status = 'expired'", 200 * (batch + 1));
		if (batch == 1) {
			leat_child_stop(first, SIGKILL, 5000);
			load_start_consumer(&rig, "third", eager);
		}
	}
	expect_each_ended_once();
	rig_sql_expect(&rig, "t", "select count(*) > 0 from leat.interactions where status = 'answered'");
}
