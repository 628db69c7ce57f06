/* Questions that runs wait for: what becomes of them is told to the run, whoever answers, and to no other. */
#include "interaction_fixture.h"
#include "run_fixture.h"

static void open_run(void)
{
	setup();
	run_prepare(&rig);
	run_save(&rig, "{'id':'q','type':'question'},{'id':'h','type':'http'}", "['q','h']");
	run_start(&rig, RUN_1, "");
	rig_sql(&rig, "truncate leat.outbox");
}

TestSuite(run_answer, .init = open_run, .fini = teardown);

#define ASK_NODE(id, run, node)                                                                                                            \
	"{" SCOPE(id, "c1") ",'expected_user_id':'" ANN "','payload':1,'ttl_s':60,'run_id':'" run "','node_id':'" node "'}"

#define ASK_OF(id, generation)                                                                                                             \
	"{" SCOPE(id, "c1") ",'expected_user_id':'" ANN "','payload':1,'run_id':'" RUN_1 "','node_id':'q','generation':" generation "}"

static void ask(const char *body)
{
	apply((struct asking){.verb = "ask", .body = body, .role = "engine"});
}

static void relay(const char *expected)
{
	rig_sql_expect(&rig, expected, "select relay_facts()");
}

/* Asked, with the node waiting, as the advance lane leaves it. */
static void ask_and_wait(void)
{
	ask(ASK_NODE(QUESTION, RUN_1, "q"));
	run_fact(&rig, RUN_1, "node", ",'node_id':'q','status':'running','attempt':1");
	run_expect_states(&rig, RUN_1, "waiting: h pending, q waiting");
	run_expect_told(&rig, "");
}

Test(run_answer, an_answer_completes_the_node_with_its_value)
{
	ask_and_wait();
	apply((struct asking){.verb = "answer", .body = ANSWER(QUESTION, ANN), .at_s = 5});
	run_expect_told(&rig, "q completed 1 \"yes\"");
	relay("applied");
	run_expect_states(&rig, RUN_1, "running: h pending, q completed");
	rig_sql_expect(&rig, "\"yes\"", "select node_states -> 'q' -> 'output' from leat.runs");
	rig_sql_expect(&rig, "1", "select count(*) from leat.outbox where subject like '%%.engine.run.resume'");
}

Test(run_answer, an_answer_that_comes_before_the_node_waits_completes_it_too)
{
	ask(ASK_NODE(QUESTION, RUN_1, "q"));
	apply((struct asking){.verb = "answer", .body = ANSWER(QUESTION, ANN)});
	relay("applied");
	run_fact(&rig, RUN_1, "node", ",'node_id':'q','status':'running','attempt':1");
	run_expect_states(&rig, RUN_1, "running: h pending, q completed");
}

Test(run_answer, a_question_past_its_time_fails_the_node_as_expired)
{
	ask_and_wait();
	apply((struct asking){.verb = "expire", .body = EXPIRE(QUESTION), .role = "engine", .at_s = 61});
	run_expect_told(&rig, "q failed 1 expired");
	relay("applied");
	run_expect_states(&rig, RUN_1, "failed: h skipped, q failed");
	rig_sql_expect(&rig, "expired", "select node_states #>> '{q,error}' from leat.runs");
}

Test(run_answer, a_question_that_is_withdrawn_fails_the_node_as_withdrawn)
{
	ask_and_wait();
	apply((struct asking){.verb = "withdraw", .body = WITHDRAW(QUESTION, ANN)});
	run_expect_told(&rig, "q failed 1 withdrawn");
	relay("applied");
	run_expect_states(&rig, RUN_1, "failed: h skipped, q failed");
}

Test(run_answer, direct_sql_is_told_as_well)
{
	ask_and_wait();
	rig_sql(&rig, "update leat.interactions set expires_at = now() + interval '1 h'");
	client_expect(&lane, "1", "select leat.claim_interaction('" QUESTION "', '" RIG_TENANT_A "', 'c1', '" ANN "')");
	run_expect_told(&rig, "q completed 1 null");
	rig_sql(&rig, "delete from leat.outbox; update leat.interactions set status = 'open', claimed_at = null");
	rig_sql(&rig, "update leat.interactions set swept_at = now()");
	run_expect_told(&rig, "");
	rig_sql(&rig, "truncate leat.interactions");
	run_expect_told(&rig, "q failed 1 withdrawn");
}

Test(run_answer, a_user_who_claims_the_question_need_not_see_the_outbox)
{
	struct client user;
	ask_and_wait();
	rig_sql(&rig, "update leat.interactions set expires_at = now() + interval '1 h'");
	client_open(&user, &rig, "authenticated");
	client_set(&user, "{\"sub\":\"" ANN "\",\"tenant_id\":\"" RIG_TENANT_A "\"}", "");
	client_expect(&user, "1", "select leat.claim_interaction('" QUESTION "', '" RIG_TENANT_A "', 'c1', '" ANN "')");
	client_close(&user);
	run_expect_told(&rig, "q completed 1 null");
}

Test(run_answer, asking_again_is_nothing_to_the_run)
{
	ask_and_wait();
	ask(ASK_NODE(QUESTION, RUN_1, "q"));
	run_expect_told(&rig, "");
	apply((struct asking){.verb = "answer", .body = ANSWER(QUESTION, ANN)});
	relay("applied");
	ask(ASK_NODE(QUESTION, RUN_1, "q"));
	apply((struct asking){.verb = "withdraw", .body = WITHDRAW(QUESTION, ANN)});
	run_expect_told(&rig, "");
	run_expect_states(&rig, RUN_1, "running: h pending, q completed");
}

Test(run_answer, what_was_asked_before_a_retry_is_not_told)
{
	ask_and_wait();
	run_fact(&rig, RUN_1, "cancel", "");
	run_fact(&rig, RUN_1, "retry", "");
	apply((struct asking){.verb = "answer", .body = ANSWER(QUESTION, ANN)});
	run_expect_told(&rig, "");
	ask(ASK_NODE(QUESTION_2, RUN_1, "q"));
	apply((struct asking){.verb = "answer", .body = ANSWER(QUESTION_2, ANN)});
	run_expect_told(&rig, "q completed 2 \"yes\"");
}

Test(run_answer, a_question_of_before_a_retry_is_not_asked_any_more)
{
	run_fact(&rig, RUN_1, "cancel", "");
	run_fact(&rig, RUN_1, "retry", "");
	expect_decision((struct asking){.verb = "ask", .body = ASK_OF(QUESTION, "0"), .role = "engine"},
		"conflict: node \"q\" of run " RUN_1 " was retried since this was asked for generation 0 of it");
	rig_sql_expect(&rig, "0", "select count(*) from leat.interactions");
	ask(ASK_OF(QUESTION, "1"));
	apply((struct asking){.verb = "answer", .body = ANSWER(QUESTION, ANN)});
	run_expect_told(&rig, "q completed 1 \"yes\"");
	relay("applied");
	run_expect_states(&rig, RUN_1, "running: h pending, q completed");
}

Test(run_answer, an_answer_on_its_way_while_the_run_is_retried_counts_for_nothing)
{
	ask_and_wait();
	apply((struct asking){.verb = "answer", .body = ANSWER(QUESTION, ANN)});
	run_fact(&rig, RUN_1, "cancel", "");
	run_fact(&rig, RUN_1, "retry", "");
	run_expect_told(&rig, "q completed 1 \"yes\"");
	relay("applied");
	run_expect_states(&rig, RUN_1, "running: h pending, q pending");
}

Test(run_answer, a_run_that_is_cancelled_takes_its_open_questions_back)
{
	ask_and_wait();
	ask(ASK_NODE(QUESTION_2, RUN_1, "q"));
	apply((struct asking){.verb = "answer", .body = ANSWER(QUESTION_2, ANN)});
	rig_sql(&rig, "truncate leat.outbox");
	run_fact(&rig, RUN_1, "cancel", "");
	char *body = rig_sql_text(&rig,
		"select convert_from(body, 'UTF8') from leat.outbox where subject = 'leat.intent." RIG_TENANT_A ".engine.interaction.withdraw'");
	apply((struct asking){.verb = "withdraw", .body = body, .role = "engine"});
	free(body);
	expect_questions("a2 answered");
	run_expect_told(&rig, "");
}

Test(run_answer, only_a_waiting_question_node_of_the_same_tenant_is_told)
{
	static const char *const others[] = {
		ASK_NODE(QUESTION, RUN_1, "h"), ASK_NODE(QUESTION, RUN_1, "no"), ASK_NODE(QUESTION, RUN_2, "q"), ASK(QUESTION, ANN)};
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		ask(others[i]);
		apply((struct asking){.verb = "withdraw", .body = WITHDRAW(QUESTION, ANN)});
		run_expect_told(&rig, "");
	}
	apply((struct asking){.verb = "ask", .body = ASK_NODE(QUESTION, RUN_1, "q"), .tenant = RIG_TENANT_B});
	apply((struct asking){.verb = "answer", .body = ANSWER(QUESTION, ANN), .tenant = RIG_TENANT_B});
	run_expect_told(&rig, "");
	ask_and_wait();
	run_fact(&rig, RUN_1, "cancel", "");
	apply((struct asking){.verb = "answer", .body = ANSWER(QUESTION, ANN)});
	run_expect_told(&rig, "");
}

Test(run_answer, an_answer_that_is_too_long_for_a_fact_fails_the_node)
{
	ask_and_wait();
	rig_sql(&rig, "update leat.interactions set status = 'answered', claimed_at = now(), value = to_jsonb(repeat('x', 523262))");
	rig_sql_expect(&rig, "t",
		"select length(body) between 523264 and 524288 and convert_from(body, 'UTF8')::jsonb ->> 'status' = 'completed'"
		" from leat.outbox where subject like '%%.engine.run.node'");
	rig_sql(&rig, "delete from leat.outbox; update leat.interactions set status = 'open', claimed_at = null, value = null");
	rig_sql(&rig, "update leat.interactions set status = 'answered', claimed_at = now(), value = to_jsonb(repeat('x', 523263))");
	run_expect_told(&rig,
		"q failed 1 the answer has 523265 bytes as Postgres writes it; at most 523264 can be an output: ask for less, then retry the run");
}

Test(run_answer, questions_below_a_split_are_told_apart)
{
	run_save(
		&rig, "{'id':'s','type':'split','items':[1,2]},{'id':'q','type':'question'},{'id':'c','type':'collect'}", "['s','q'],['q','c']");
	run_start(&rig, RUN_2, "");
	ask(ASK_NODE(QUESTION, RUN_2, "q[1]"));
	ask(ASK_NODE(QUESTION_2, RUN_2, "q[0]"));
	apply((struct asking){.verb = "answer", .body = ANSWER(QUESTION, ANN)});
	apply((struct asking){.verb = "withdraw", .body = WITHDRAW(QUESTION_2, ANN)});
	run_expect_told(&rig, "q[1] completed 1 \"yes\", q[0] failed 1 withdrawn");
	relay("applied, applied");
	run_expect_states(&rig, RUN_2, "failed: c failed, q[0] failed, q[1] completed, s completed");
}

/* ---- an outbox that was lost ---- */

#define TELL_AGAIN "select seen || ' ' || told from leat.tell_answers_again(10)"

/* The keeper's clock goes on. */
static void let_minutes_pass(int count)
{
	rig_sql(&rig, "update leat.told_answers set told_at = told_at - interval '%d min', due_at = due_at - interval '%d min'", count, count);
}

Test(run_answer, an_answer_that_its_run_never_heard_is_told_again_and_counts_once)
{
	ask_and_wait();
	apply((struct asking){.verb = "answer", .body = ANSWER(QUESTION, ANN)});
	rig_sql(&rig, "truncate leat.outbox");
	client_expect(&lane, "0 0", TELL_AGAIN);
	let_minutes_pass(1);
	client_expect(&lane, "1 1", TELL_AGAIN);
	run_expect_told(&rig, "q completed 1 \"yes\"");
	client_expect(&lane, "0 0", TELL_AGAIN);
	let_minutes_pass(2);
	client_expect(&lane, "1 1", TELL_AGAIN);
	relay("applied, duplicate");
	run_expect_states(&rig, RUN_1, "running: h pending, q completed");
	let_minutes_pass(2); /* it was three minutes old: the next look is in three more */
	client_expect(&lane, "0 0", TELL_AGAIN);
	let_minutes_pass(2);
	client_expect(&lane, "1 0", TELL_AGAIN);
	rig_sql_expect(&rig, "0", "select count(*) from leat.told_answers");
}

Test(run_answer, that_a_question_was_withdrawn_is_told_again_too)
{
	ask_and_wait();
	apply((struct asking){.verb = "withdraw", .body = WITHDRAW(QUESTION, ANN)});
	rig_sql(&rig, "truncate leat.outbox");
	let_minutes_pass(1);
	client_expect(&lane, "1 1", TELL_AGAIN);
	run_expect_told(&rig, "q failed 1 withdrawn");
}

Test(run_answer, what_counts_for_nothing_any_more_is_forgotten)
{
	ask_and_wait();
	apply((struct asking){.verb = "answer", .body = ANSWER(QUESTION, ANN)});
	rig_sql(&rig, "truncate leat.outbox");
	run_fact(&rig, RUN_1, "cancel", "");
	run_fact(&rig, RUN_1, "retry", "");
	rig_sql(&rig, "truncate leat.outbox");
	let_minutes_pass(1);
	client_expect(&lane, "1 0", TELL_AGAIN);
	rig_sql_expect(&rig, "0 0", "select (select count(*) from leat.told_answers) || ' ' || (select count(*) from leat.outbox)");
}
