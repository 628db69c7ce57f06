/* Embeddings of entities: what is called for and what is stored while the endpoint does well. */
#include "embedding.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(embedding, .init = embedding_setup, .fini = embedding_teardown);

#define TRIGGERS "(select count(*) from pg_trigger where tgname like 'embed_%%')"
#define WAITING "(select count(*) from leat.embedding_queue) + (select count(*) from leat.embedding_changes)"

/* ---- on and off ---- */

Test(embedding, without_an_endpoint_there_is_no_trigger_no_queue_and_no_connection)
{
	setenv("LEAT_EMBED_URL", "", 1);
	embedding_launch("off", RIG_ARGS("--lanes", "entity,relay,keep,embed"));
	embedding_wait_state("off");
	embedding_insert(1, 5);
	rig_sql_expect(&rig, "0 0 0",
		"select concat_ws(' ', " TRIGGERS ", " WAITING ","
		" (select count(*) from pg_stat_activity where application_name = 'leat embed' and datname = current_database()))");
}

Test(embedding, stopped_it_is_off_and_started_again_only_what_changed_is_called_for)
{
	struct leat_child *consumer = embedding_start("c1", NULL);
	embedding_insert(1, 10);
	embedding_wait_settled(60);
	rig_sql(&rig, "select leat.stop_embedding()");
	rig_sql_expect(&rig, "0 0", "select concat_ws(' ', " TRIGGERS ", " WAITING ")");
	embedding_wait_state("standing by: embedding was stopped, or started with another model");

	rig_sql(&rig, "update leat.entities set content = '{\"n\": 70}' where content = '{\"n\": 7}'");
	rig_sql(&rig, "update leat.entities set deleted_at = now(), content = '{}' where content = '{\"n\": 3}'");
	rig_sql(&rig, "delete from leat.entities where content = '{\"n\": 4}'");
	rig_sql_expect(&rig, "0", "select " WAITING);
	size_t before = endpoint_count_inputs(&endpoint, "");
	load_stop_consumer(consumer);
	embedding_start("c2", NULL);
	embedding_wait_settled(60);
	cr_expect_eq(endpoint_count_inputs(&endpoint, ""), before + 1);
	cr_expect_eq(endpoint_count_inputs(&endpoint, "{\"n\": 70}"), 1);
}

Test(embedding, switched_on_by_two_at_once_it_is_on_once)
{
	embedding_insert(1, 100);
	embedding_launch("c1", NULL);
	embedding_launch("c2", NULL);
	rig_sql_wait(&rig, 60, "100", "select count(*) from leat.embeddings");
	embedding_wait_settled(60);
	rig_sql_expect(&rig, "4 1", "select concat_ws(' ', " TRIGGERS ", (select count(*) from leat.embedding_state where filled))");
	cr_expect_eq(endpoint_count_inputs(&endpoint, ""), 100);
}

Test(embedding, with_another_model_all_is_embedded_again)
{
	struct leat_child *consumer = embedding_start("c1", NULL);
	embedding_insert(1, 100);
	embedding_wait_settled(60);
	setenv("LEAT_EMBED_MODEL", "m-2", 1);
	embedding_start("c2", NULL);
	rig_sql_wait(&rig, 60, "100", "select count(*) from leat.embeddings where model = 'm-2'");
	embedding_wait_settled(60);
	embedding_wait_state("standing by: embedding was stopped, or started with another model");
	cr_expect_eq(endpoint_count_inputs(&endpoint, ""), 200);

	rig_sql(&rig,
		"select count(pg_terminate_backend(pid)) from pg_stat_activity"
		" where application_name = 'leat embed' and datname = current_database()");
	rig_sql_wait(
		&rig, 60, "2", "select count(*) from pg_stat_activity where application_name = 'leat embed' and datname = current_database()");
	embedding_insert(101, 101);
	embedding_wait_settled(60);
	rig_sql_expect(&rig, "m-2", "select distinct model from leat.embeddings"); /* connecting again is not starting */
	load_stop_consumer(consumer);
}

/* ---- what is sent ---- */

Test(embedding, a_request_has_the_model_the_key_and_at_most_a_batch_of_inputs)
{
	embedding_insert(1, 200);
	embedding_start("c1", NULL);
	embedding_wait_settled(60);
	json_t *calls = endpoint_calls(&endpoint);
	cr_expect_eq(json_array_size(calls), 4);
	size_t i;
	json_t *call;
	json_array_foreach(calls, i, call)
	{
		const char *authorization = json_string_value(json_object_get(call, "authorization"));
		cr_expect_str_eq(json_string_value(json_object_get(call, "model")), "m-1");
		cr_expect_str_eq(authorization, "Bearer " EMBEDDING_KEY);
		cr_expect_leq(json_array_size(json_object_get(call, "inputs")), 64);
	}
	json_decref(calls);
	cr_expect_eq(endpoint_count_inputs(&endpoint, "thing\n{\"n\": 200}"), 1);
}

#define EURO "\xe2\x82\xac"
#define GRIN "\xf0\x9f\x98\x80"

Test(embedding, a_long_text_is_cut_between_characters)
{
	static const struct {
		int bytes;
		const char *input;
	} cases[] = {
		{100, "t\n{\"a\": \"" EURO GRIN "x\"}"},
		{19, "t\n{\"a\": \"" EURO GRIN "x\"}"},
		{18, "t\n{\"a\": \"" EURO GRIN "x\""},
		{16, "t\n{\"a\": \"" EURO GRIN},
		{15, "t\n{\"a\": \"" EURO},
		{13, "t\n{\"a\": \"" EURO},
		{12, "t\n{\"a\": \"" EURO},
		{11, "t\n{\"a\": \""},
		{9, "t\n{\"a\": \""},
		{1, "t"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		rig_sql_expect(&rig, cases[i].input, "select leat.embedding_input('t', '{\"a\": \"" EURO GRIN "x\"}', %d)", cases[i].bytes);
}

/* ---- what is stored ---- */

Test(embedding, intents_and_direct_sql_both_lead_to_a_vector_at_their_position)
{
	char id[37];
	load_entity(id, 1);
	embedding_start("c1", RIG_ARGS("--lanes", "entity,relay,keep,embed"));
	LEAT_BUF_SCOPED body = LEAT_BUF_INIT;
	leat_buf_printf(&body, "{\"entity_id\":\"%s\",\"entity_type\":\"thing\",\"content\":{\"n\":5}}", id);
	uint64_t seq = rig_intent(&rig, RIG_TENANT_A, "entity.upsert", NULL, body.data);
	rig_sql_wait(&rig, 60, "{5,14}", "select embedding from leat.embeddings");
	cr_expect_eq((uint64_t)rig_sql_int(&rig, "select position from leat.embeddings"), seq);

	rig_sql(&rig, "select leat.merge_entity_content('%s', '" RIG_TENANT_A "', '{\"n\": 6}')", id);
	rig_sql_wait(&rig, 60, "{6,14}", "select embedding from leat.embeddings");
	rig_sql(&rig, "begin; update leat.entities set content = '{\"n\": 7}'; rollback");
	rig_sql(&rig, "update leat.entities set metadata = '{\"seen\": true}', key = 'k'");
	rig_sql_expect(&rig, "0", "select " WAITING);
	rig_sql(&rig, "update leat.entities set entity_type = 'other thing'");
	rig_sql_wait(&rig, 60, "{6,20}", "select embedding from leat.embeddings");
	embedding_wait_settled(60);
	cr_expect_eq(endpoint_count_calls(&endpoint), 3);
	rig_sql_expect(&rig, "0", "select count(*) from leat.audit_log where db_user is null or operation not in ('insert', 'update')");
}

Test(embedding, a_text_that_is_the_same_again_is_not_called_for)
{
	embedding_start("c1", NULL);
	embedding_insert(1, 1);
	embedding_wait_settled(60);
	rig_sql(&rig,
		"begin; update leat.entities set content = '{\"n\": 2}'; update leat.entities set content = '{\"n\": 1}', last_position = 9; "
		"commit");
	embedding_wait_settled(60);
	cr_expect_eq(endpoint_count_calls(&endpoint), 1);
	rig_sql_expect(&rig, "9", "select position from leat.embeddings");
}

Test(embedding, what_is_deleted_or_empty_has_no_vector_and_is_not_called_for)
{
	embedding_start("c1", NULL);
	embedding_insert(1, 6);
	embedding_wait_settled(60);
	size_t before = endpoint_count_calls(&endpoint);
	rig_sql(&rig, "update leat.entities set deleted_at = now(), content = '{}' where content = '{\"n\": 1}'");
	rig_sql(&rig, "update leat.entities set content = '{}' where content = '{\"n\": 2}'");
	rig_sql(&rig, "delete from leat.entities where content = '{\"n\": 3}'");
	embedding_wait_settled(60);
	rig_sql_expect(&rig, "3", "select count(*) from leat.embeddings");
	rig_sql(&rig, "insert into leat.entities (tenant_id, id, entity_type) values ('" RIG_TENANT_A "', gen_random_uuid(), 'empty')");
	embedding_wait_settled(60);
	rig_sql(&rig, "truncate leat.entities");
	embedding_wait_settled(60);
	rig_sql_expect(&rig, "0", "select count(*) from leat.embeddings");
	cr_expect_eq(endpoint_count_calls(&endpoint), before);
}

Test(embedding, an_entity_removed_and_made_again_starts_anew_whatever_its_position)
{
	embedding_start("c1", NULL);
	embedding_insert(1, 1);
	rig_sql(&rig, "update leat.entities set last_position = 1000, content = '{\"n\": 2}'");
	rig_sql_wait(&rig, 60, "1000", "select position from leat.embeddings");
	embedding_wait_settled(60);
	rig_sql(&rig, "begin; delete from leat.entities");
	embedding_insert(1, 1);
	rig_sql(&rig, "commit");
	embedding_wait_settled(60);
	rig_sql_expect(&rig, "0 {1,14}", "select concat_ws(' ', position, embedding) from leat.embeddings");
}

/* ---- many at once ---- */

Test(embedding, what_was_there_before_is_embedded_too)
{
	embedding_insert(1, 3000);
	embedding_start("c1", NULL);
	embedding_wait_settled(120);
	cr_expect_eq(endpoint_count_inputs(&endpoint, ""), 3000);
}

Test(embedding, two_processes_call_for_each_entity_once)
{
	embedding_start("c1", NULL);
	embedding_start("c2", NULL);
	endpoint_plan(&endpoint, "[\"hold\",\"hold\",\"hold\"]");
	embedding_insert(1, 1000);
	endpoint_wait_calls(&endpoint, 3, 60);
	endpoint_release(&endpoint);
	embedding_wait_settled(60);
	cr_expect_eq(endpoint_count_inputs(&endpoint, ""), 1000);
	rig_sql_wait(&rig, 60, "1000 t",
		"select concat_ws(' ', sum(embedded), min(embedded) > 0)"
		" from (select (lanes #>> '{embed,embedded}')::int as embedded from leat.processes) p");
}

Test(embedding, twenty_updates_while_a_call_is_under_way_cost_one_more_call)
{
	embedding_start("c1", NULL);
	endpoint_plan(&endpoint, "[\"hold\"]");
	embedding_insert(0, 0);
	endpoint_wait_calls(&endpoint, 1, 60);
	for (int n = 1; n <= 20; n++)
		rig_sql(&rig, "update leat.entities set content = '{\"n\": %d}'", n);
	rig_sql_expect(&rig, "2", "select " WAITING);
	endpoint_release(&endpoint);
	embedding_wait_settled(60);
	cr_expect_eq(endpoint_count_calls(&endpoint), 2);
	rig_sql_expect(&rig, "{20,15}", "select embedding from leat.embeddings");
}

/* ---- who may see and write ---- */

Test(embedding, a_tenant_sees_its_own_vectors_and_nothing_else_of_it)
{
	embedding_start("c1", NULL);
	embedding_insert(1, 2);
	rig_sql(&rig,
		"insert into leat.entities (tenant_id, id, entity_type, content)"
		" values ('" RIG_TENANT_B "', gen_random_uuid(), 'thing', '{\"n\": 9}')");
	rig_sql_wait(&rig, 60, "3", "select count(*) from leat.embeddings");
	rig_sql(&rig, "set role authenticated");
	rig_sql_expect(&rig, "0", "select count(*) from leat.embeddings");
	rig_sql(&rig, "set leat.tenant_id = '" RIG_TENANT_B "'");
	rig_sql_expect(&rig, "{9,14}", "select string_agg(embedding::text, ' ') from leat.embeddings");
	rig_sql_expect(&rig, "f f f f f f",
		"select concat_ws(' ', has_table_privilege('leat.embeddings', 'insert, update, delete'), "
		"has_table_privilege('leat.embedding_queue',"
		" 'select'), has_table_privilege('leat.embedding_changes', 'select, insert'), has_table_privilege('leat.embedding_state', "
		"'select'),"
		" has_function_privilege('leat.start_embedding(text)', 'execute'), has_function_privilege('leat.stop_embedding()', 'execute'))");
	rig_sql(&rig, "update leat.entities set content = '{\"n\": 10}'"); /* of this tenant; the trigger notes it all the same */
	rig_sql(&rig, "reset role");
	embedding_wait_settled(60);
	rig_sql_expect(&rig, "1", "select count(*) from leat.embeddings where embedding[1] = 10");
}

/* Claims the only entity's row; the token is the caller's to free(). */
static char *claim(void)
{
	return rig_sql_text(&rig, "select token from leat.claim_embeddings('m-1', 64, 8192, 60000) where input is not null");
}

static int64_t store(const char *token, int n)
{
	return rig_sql_int(
		&rig, "select leat.store_embeddings('%s', 'm-1', array_agg(tenant_id), array_agg(id), array['{%d}']) from leat.entities", token, n);
}

Test(embedding, a_late_result_is_not_stored_over_a_newer_one)
{
	rig_sql(&rig, "select leat.start_embedding('m-1')");
	embedding_insert(1, 1);
	char *late = claim();
	rig_sql(&rig, "update leat.entities set content = '{\"n\": 2}'");
	rig_sql_expect(&rig, "", "select token from leat.claim_embeddings('m-1', 64, 8192, 60000)"); /* it is being called for */
	rig_sql(&rig, "update leat.embedding_queue set due_at = now() - interval '1 s'");            /* the lease is over */
	char *newer = claim();
	cr_assert(strlen(late) == 36 && strlen(newer) == 36);
	cr_expect_eq(store(late, 1), 0);
	rig_sql_expect(&rig, "0", "select count(*) from leat.embeddings");
	cr_expect_eq(store(newer, 2), 1);
	cr_expect_eq(store(late, 1), 0);
	rig_sql_expect(&rig, "{2}", "select embedding from leat.embeddings");
	rig_sql_expect(&rig, "0", "select " WAITING);
	free(late);
	free(newer);
}

Test(embedding, a_result_is_not_stored_over_that_of_a_higher_position)
{
	rig_sql(&rig, "select leat.start_embedding('m-1')");
	embedding_insert(1, 1);
	char *token = claim();
	rig_sql(&rig,
		"insert into leat.embeddings (tenant_id, entity_id, position, model, embedding, input_md5)"
		" select tenant_id, id, 1, 'm-1', '{9}', gen_random_uuid() from leat.entities");
	cr_expect_eq(store(token, 1), 1);
	rig_sql_expect(&rig, "{9}", "select embedding from leat.embeddings");
	rig_sql_expect(&rig, "0", "select " WAITING);
	free(token);
}

Test(embedding, a_call_from_before_the_model_changed_is_not_stored)
{
	rig_sql(&rig, "select leat.start_embedding('m-1')");
	embedding_insert(1, 1);
	char *token = claim();
	rig_sql(&rig, "select leat.start_embedding('m-2')");
	cr_expect_eq(store(token, 1), 0);
	rig_sql_expect(&rig, "", "select token from leat.claim_embeddings('m-1', 64, 8192, 60000)");
	rig_sql_expect(&rig, "1", "select count(*) from leat.claim_embeddings('m-2', 64, 8192, 60000)");
	free(token);
}
