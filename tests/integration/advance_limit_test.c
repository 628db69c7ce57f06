/* What a node brings or asks for and some limit is too small for: its node says so, or has it. None waits for ever. */
#include "advancing.h"

#include "leat/buf.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define PERSON "eeeeeeee-0000-4000-8000-000000000001"

/* Answers the only question with [1,1,…], which Postgres writes with blanks between. */
static void answer_with(int ones)
{
	LEAT_BUF_SCOPED body = LEAT_BUF_INIT;
	char *id = rig_sql_text(&advancing, "select id from leat.interactions");
	leat_buf_printf(&body, "{'interaction_id':'%s','connection_id':'chat','user_id':'" PERSON "','value':[1", id);
	for (int i = 1; i < ones; i++)
		leat_buf_add_text(&body, ",1");
	leat_buf_add_text(&body, "]}");
	control_expect(&advancing, "applied", control_publish(&advancing, RIG_TENANT_A, "service", "interaction.answer", NULL, body.data));
	free(id);
}

static void ask(void)
{
	advancing_save(
		"{'nodes':[{'id':'q','type':'question','connection_id':'chat','expected_user_id':'" PERSON "','payload':1}],'edges':[]}");
	advancing_start_run(1, "");
	advancing_wait_run(1, "waiting", 60);
}

/* ---- --max-body-bytes ---- */

TestSuite(advance_limit, .init = advancing_setup, .fini = advancing_teardown);

Test(advance_limit, an_answer_that_could_be_given_is_the_output_though_its_fact_is_longer)
{
	advancing_start("c1", ADVANCING_LANES, RIG_ARGS("--max-body-bytes", "1024"));
	ask();
	answer_with(420);
	advancing_wait_run(1, "completed", 60);
	rig_sql_expect(&advancing, "420", "select jsonb_array_length(node_states #> '{q,output}') from leat.runs");
}

Test(advance_limit, a_merge_or_question_that_another_process_finds_too_large_fails_its_node)
{
	advancing_save("{'nodes':[{'id':'a','type':'http','url':'$URL/items/a?n=200'},"
				   "{'id':'q','type':'question','connection_id':'chat','expected_user_id':'" PERSON "','payload':{'$ref':'a#'}},"
				   "{'id':'m','type':'merge','entity_type':'note','key':'k','content':{'x':{'$ref':'a#'}}}],"
				   "'edges':[['a','q'],['a','m']]}");
	advancing_start("c1", "run,relay,keep,advance", NULL);
	advancing_start("c2", "control,entity", RIG_ARGS("--max-body-bytes", "1024"));
	advancing_start_run(1, "");
	advancing_wait_runs(1, "failed", 60);
	advancing_expect_error(1, "q", "too_large: %%the limit is 1024 (--max-body-bytes)");
	advancing_expect_error(1, "m", "too_large: %%the limit is 1024 (--max-body-bytes)");
}

Test(advance_limit, an_output_that_another_process_would_find_too_large_counts)
{
	advancing_save_call("/items/a?n=200");
	advancing_start("c1", "control,relay,keep,advance", NULL);
	advancing_start("c2", "run", RIG_ARGS("--max-body-bytes", "1024"));
	advancing_start_run(1, "");
	advancing_wait_runs(1, "completed", 60);
}

/* ---- max_payload of nats-server ---- */

static void setup_small(void)
{
	advancing_setup_with("max_payload: 16384\n");
}

TestSuite(advance_payload, .init = setup_small, .fini = advancing_teardown);

Test(advance_payload, what_nats_server_does_not_take_fails_its_node)
{
	advancing_save("{'nodes':[{'id':'a','type':'http','url':'$URL/items/a?n=2000'},{'id':'b','type':'http','url':'$URL/items/b?n=700'},"
				   "{'id':'m','type':'merge','entity_type':'note','key':'k','content':{'x':{'$ref':'b#'},'y':{'$ref':'b#'}}}],"
				   "'edges':[['b','m']]}");
	advancing_start("c1", ADVANCING_LANES, NULL);
	advancing_start_run(1, "");
	advancing_wait_runs(1, "failed", 60);
	advancing_expect_error(1, "a", "the output can''t be published: %%nats-server takes 16384%%max_payload");
	advancing_expect_error(1, "m", "what the node asks for can''t be published: %%nats-server takes 16384%%max_payload");
	advancing_wait_node(1, "b", "completed", 1);
}

Test(advance_payload, an_answer_whose_fact_nats_server_does_not_take_fails_its_node)
{
	advancing_start("c1", ADVANCING_LANES, NULL);
	ask();
	answer_with(7000);
	advancing_wait_run(1, "failed", 60);
	advancing_expect_error(1, "q", "the answer has 21000 bytes%%(max_payload)%%");
}
