/* Embeddings when something goes wrong: the endpoint, one of the inputs, the lane, Postgres. Nothing is lost, nobody is held up. */
#include "embedding.h"

#include "leat/clock.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(embedding_failure, .init = embedding_setup, .fini = embedding_teardown);

static void expect_no_key_anywhere(const char *name)
{
	char *log = rig_log(&rig, name);
	cr_expect_null(strstr(log, EMBEDDING_KEY), "%s", log);
	free(log);
	rig_sql_expect(&rig, "0", "select count(*) from leat.embedding_queue where last_error like '%%" EMBEDDING_KEY "%%'");
}

/* ---- the endpoint ---- */

Test(embedding_failure, whatever_the_endpoint_does_the_vectors_come_in_the_end)
{
	static const char *const ways[] = {"500", "503", "garbage", "empty", "few", "many", "nan", "huge", "closes", "closes-early", "slow",
		"401", "404", "redirect", "shuffled"};
	embedding_start("c1", RIG_ARGS("--embed-timeout-ms", "500", "--embed-response-bytes", "100000"));
	for (int i = 0; i < (int)(sizeof ways / sizeof *ways); i++) {
		char plan[32];
		size_t before = endpoint_count_calls(&endpoint);
		snprintf(plan, sizeof plan, "[\"%s\"]", ways[i]);
		endpoint_plan(&endpoint, plan);
		embedding_insert(10 * i, 10 * i + 9);
		embedding_wait_settled(60);
		json_t *calls = endpoint_calls(&endpoint);
		cr_expect_str_eq(json_string_value(json_object_get(json_array_get(calls, before), "did")), ways[i]);
		cr_expect(strcmp(ways[i], "shuffled") == 0 || json_array_size(calls) > before + 1, "%s", ways[i]);
		json_decref(calls);
	}
	expect_no_key_anywhere("c1");
}

Test(embedding_failure, retry_after_is_honoured)
{
	embedding_start("c1", NULL);
	endpoint_plan(&endpoint, "[\"429\"]");
	embedding_insert(1, 1);
	embedding_wait_state("told to wait by the endpoint");
	embedding_insert(2, 2);
	embedding_wait_settled(60);
	json_t *calls = endpoint_calls(&endpoint);
	cr_assert_geq(json_array_size(calls), 2);
	json_int_t gap = json_integer_value(json_object_get(json_array_get(calls, 1), "at")) -
		json_integer_value(json_object_get(json_array_get(calls, 0), "at"));
	cr_expect_geq(gap, 1950); /* of two clocks that tick apart */
	json_decref(calls);
	embedding_wait_state("working");
}

Test(embedding_failure, a_key_that_is_refused_is_told_once_and_all_waits_until_it_works)
{
	endpoint_plan(&endpoint, "{\"forever\":\"401\"}");
	embedding_launch("c1", NULL);
	embedding_insert(1, 100);
	embedding_wait_state("refused by the endpoint");
	endpoint_wait_calls(&endpoint, 4, 60);
	char *log = rig_log(&rig, "c1");
	char *told = strstr(log, "HTTP 401: look at LEAT_EMBED_KEY");
	cr_expect(told != NULL && strstr(told + 1, "HTTP 401") == NULL, "%s", log);
	free(log);
	rig_sql_expect(&rig, "t", "select bool_and(most is null) from leat.embedding_queue");
	endpoint_plan(&endpoint, "[]");
	embedding_wait_settled(60);
	expect_no_key_anywhere("c1");
}

Test(embedding_failure, a_key_that_no_header_may_hold_is_told)
{
	setenv("LEAT_EMBED_KEY", "a\r\nX-Evil: 1", 1);
	embedding_launch("c1", NULL);
	embedding_wait_state("off, the key can\'\'t be sent");
	cr_expect_eq(endpoint_count_calls(&endpoint), 0);
}

Test(embedding_failure, a_url_that_is_none_is_told)
{
	setenv("LEAT_EMBED_URL", "127.0.0.1:80/v1/embeddings", 1);
	embedding_launch("c1", NULL);
	embedding_insert(1, 1);
	embedding_wait_state("the endpoint can\'\'t be called");
	char *log = rig_log(&rig, "c1");
	cr_expect_not_null(strstr(log, "expected http://"), "%s", log);
	free(log);
}

Test(embedding_failure, an_outage_of_the_endpoint_loses_nothing_and_queues_each_entity_once)
{
	embedding_start("c1", NULL);
	embedding_insert(1, 300);
	embedding_wait_settled(60);
	endpoint_stop(&endpoint);
	for (int round = 1; round <= 5; round++) {
		rig_sql(&rig, "update leat.entities set content = jsonb_build_object('n', (content ->> 'n')::int + 1000)");
		embedding_insert(300 + round, 300 + round);
	}
	embedding_wait_state("waiting for the endpoint");
	rig_sql_wait(&rig, 60, "t", "select max(attempts) >= 3 from leat.embedding_queue");
	rig_sql_expect(&rig, "305 305 t",
		"select concat_ws(' ', (select count(*) from (select entity_id from leat.embedding_queue union select entity_id from"
		" leat.embedding_changes) w), (select count(*) from leat.entities),"
		" (select max(last_error) like '%%connect%%' from leat.embedding_queue))");
	endpoint_start(&endpoint, &rig);
	embedding_wait_settled(60);
	cr_expect_leq(endpoint_count_inputs(&endpoint, ""), 320);
	embedding_wait_state("working");
}

/* ---- one of the inputs ---- */

static void insert_with(int count, const char *bad)
{
	embedding_insert(1, count);
	rig_sql(&rig, "update leat.entities set entity_type = '%s' where content = '{\"n\": 33}'", bad);
}

/* All but one have their vector. */
static void wait_for_the_others(int count)
{
	rig_sql_wait(&rig, 60, "t", "select count(*) = %d from leat.embeddings", count - 1);
	rig_sql_expect(
		&rig, "0", "select count(*) from leat.embeddings v join leat.entities e on e.id = v.entity_id where e.content = '{\"n\": 33}'");
}

Test(embedding_failure, an_input_that_is_refused_is_found_and_waits_alone)
{
	insert_with(64, "poison");
	embedding_start("c1", NULL);
	wait_for_the_others(64);
	rig_sql_wait(&rig, 60, "t",
		"select most = 0 and not calling and due_at between now() + interval '59 min' and now() + interval '60 min'"
		" and last_error like 'HTTP 400: %%this text is poison%%' from leat.embedding_queue");
	size_t calls = endpoint_count_calls(&endpoint);
	cr_expect_leq(calls, 14);

	rig_sql(&rig, "update leat.entities set content = content || '{\"more\": 1}' where entity_type = 'poison'"); /* alone again */
	endpoint_wait_calls(&endpoint, calls + 1, 60);
	rig_sql(&rig, "update leat.entities set entity_type = 'thing' where entity_type = 'poison'");
	embedding_wait_settled(60);
	char *log = rig_log(&rig, "c1");
	cr_expect(strstr(log, "the endpoint refuses entity ") != NULL && strstr(log, "this text is poison") == NULL, "%s", log);
	free(log);
}

Test(embedding_failure, an_input_that_breaks_the_endpoint_is_found_and_holds_up_nobody)
{
	insert_with(200, "crash");
	embedding_launch("c1", NULL); /* not waiting for it to work: it may be waiting most of the time */
	wait_for_the_others(200);
	rig_sql_wait(&rig, 60, "t", "select most = 1 and attempts > 4 and last_error = 'HTTP 500' from leat.embedding_queue");
	embedding_insert(201, 210);
	wait_for_the_others(210);
}

Test(embedding_failure, when_everything_is_refused_it_is_no_inputs_fault)
{
	endpoint_plan(&endpoint, "{\"forever\":\"400\"}");
	embedding_insert(1, 300);
	embedding_launch("c1", RIG_ARGS("--embed-retry-limit-ms", "600000", "--retry-first-ms", "3000"));
	embedding_wait_state("refused by the endpoint, whatever it is sent");
	cr_expect_leq(endpoint_count_calls(&endpoint), 20);
}

/* ---- the lane ---- */

Test(embedding_failure, an_outage_of_the_lane_loses_nothing)
{
	struct leat_child *consumer = embedding_start("c1", NULL);
	embedding_insert(1, 100);
	embedding_wait_settled(60);
	load_stop_consumer(consumer);
	rig_sql(&rig, "update leat.entities set content = '{\"n\": 1000}' where content ->> 'n' < '5'");
	rig_sql(&rig, "update leat.entities set content = '{\"n\": 1001}' where content = '{\"n\": 1000}'");
	rig_sql(&rig, "update leat.entities set deleted_at = now(), content = '{}' where content = '{\"n\": 50}'");
	rig_sql(&rig, "delete from leat.entities where content = '{\"n\": 51}'");
	embedding_insert(101, 110);
	size_t before = endpoint_count_inputs(&endpoint, "");
	rig_sql_expect(&rig, "t",
		"select count(*) = (select count(*) from leat.entities where content = '{\"n\": 1001}') + 12 from leat.embedding_changes");
	int64_t changed = rig_sql_int(&rig, "select count(*) - 2 from leat.embedding_changes");
	embedding_start("c2", NULL);
	embedding_wait_settled(60);
	cr_expect_eq((int64_t)(endpoint_count_inputs(&endpoint, "") - before), changed);
}

Test(embedding_failure, sigkill_during_a_call_is_made_good_when_the_lease_ends)
{
	static const char *const hasty[] = {"--embed-timeout-ms", "1500", "--embed-lease-ms", "1000", "--embed-tick-ms", "500", NULL};
	struct leat_child *first = embedding_start("c1", hasty);
	embedding_start("c2", hasty);
	endpoint_plan(&endpoint, "{\"forever\":\"hold\"}");
	embedding_insert(1, 100);
	endpoint_wait_calls(&endpoint, 2, 60);
	leat_child_stop(first, SIGKILL, 10000);
	endpoint_plan(&endpoint, "[]");
	endpoint_release(&endpoint);
	embedding_wait_settled(60);
}

Test(embedding_failure, sigterm_during_a_call_gives_it_back_at_once)
{
	static const char *const patient[] = {"--embed-timeout-ms", "600000", "--embed-lease-ms", "3600000", "--embed-tick-ms", "600000", NULL};
	struct leat_child *first = embedding_start("c1", patient);
	endpoint_plan(&endpoint, "{\"forever\":\"hold\"}");
	embedding_insert(1, 100);
	endpoint_wait_calls(&endpoint, 2, 60);
	endpoint_plan(&endpoint, "[]");
	embedding_start("c2", patient);
	load_stop_consumer(first);
	embedding_wait_settled(60);
	rig_sql_expect(&rig, "0", "select count(*) from leat.embedding_queue where attempts > 0");
}

/* ---- Postgres ---- */

Test(embedding_failure, a_lost_connection_during_a_call_loses_nothing)
{
	embedding_start("c1", RIG_ARGS("--embed-timeout-ms", "1500", "--embed-lease-ms", "1000", "--embed-tick-ms", "500"));
	endpoint_plan(&endpoint, "[\"hold\"]");
	embedding_insert(1, 10);
	endpoint_wait_calls(&endpoint, 1, 60);
	rig_sql_expect(&rig, "1",
		"select count(pg_terminate_backend(pid)) from pg_stat_activity"
		" where application_name = 'leat embed' and datname = current_database()");
	embedding_wait_settled(60);
	endpoint_release(&endpoint);
}

/* Somebody changes an entity and thinks long about the commit. */
Test(embedding_failure, a_transaction_that_stays_open_holds_up_neither_the_lane_nor_the_others)
{
	embedding_start("c1", RIG_ARGS("--embed-tick-ms", "600000"));
	endpoint_plan(&endpoint, "[\"hold\"]");
	embedding_insert(1, 10);
	endpoint_wait_calls(&endpoint, 1, 60);
	rig_sql(&rig, "update leat.entities set content = '{\"n\": 101}' where content = '{\"n\": 1}'"); /* waits for the call's end */
	rig_sql(&rig, "begin; update leat.entities set content = '{\"n\": 102}' where content = '{\"n\": 101}'");
	rig_sql(&rig, "update leat.entities set content = '{\"n\": 103}' where content = '{\"n\": 3}'");
	endpoint_release(&endpoint);
	rig_sql_wait(&rig, 60, "10", "select count(*) from leat.embeddings"); /* seen from within: the lane's commits */
	rig_sql(&rig, "commit");
	embedding_wait_settled(60);
	rig_sql_expect(&rig, "1 0 1",
		"select concat_ws(' ', count(*) filter (where embedding[1] = 102), count(*) filter (where embedding[1] = 101),"
		" count(*) filter (where embedding[1] = 103)) from leat.embeddings");
}

/* ---- all of it ---- */

static void store_merges(int from, int count, int entities)
{
	struct load load = {0};
	for (int n = from; n < from + count; n++) {
		char id[37];
		load_entity(id, (size_t)(n % entities));
		load_add_intent(&load, RIG_TENANT_A, "entity.merge", NULL, "{\"entity_id\":\"%s\",\"content\":{\"n\":%d}}", id, n);
	}
	load_store(&rig, &load);
	load_free(&load);
}

Test(embedding_failure, under_load_with_kills_every_vector_is_that_of_the_last_state)
{
	static const char *const all[] = {
		"--lanes", "entity,relay,keep,embed", "--ack-wait-ms", "1000", "--embed-lease-ms", "1000", "--embed-timeout-ms", "1000", NULL};
	int entities = 50;
	int rounds = (int)rig_size(6, 60);
	struct leat_child *consumers[2] = {embedding_start("c0", all), embedding_start("c1", all)};
	load_store_entities(&rig, RIG_TENANT_A, (size_t)entities);
	for (int round = 0; round < rounds; round++) {
		char name[32];
		endpoint_plan(&endpoint, round % 2 == 0 ? "[\"ok\",\"500\",\"garbage\",\"ok\",\"closes\"]" : "[\"ok\",\"hold\",\"429\"]");
		store_merges(round * 500, 500, entities);
		leat_child_stop(consumers[round % 2], SIGKILL, 10000);
		snprintf(name, sizeof name, "again-%d", round);
		consumers[round % 2] = embedding_launch(name, all);
		rig_sql_wait(&rig, 60, "t", "select count(*) >= %d from leat.activity", 25 * round);
	}
	endpoint_plan(&endpoint, "[]");
	endpoint_release(&endpoint);
	rig_sql_wait(&rig, 60, "t", "select count(*) = %d from leat.activity", entities + 500 * rounds);
	embedding_wait_settled(120);
	rig_sql_expect(&rig, "50", "select count(*) from leat.embeddings");
}
