/*
 * Questions to people, decided one intent after the other: who wins, what losers hear, and that those outside of a question's scope learn
 * nothing. Through NATS, with many at once: interaction_race_test.c.
 */
#include "interaction_fixture.h"

TestSuite(interaction, .init = setup, .fini = teardown);

#define ASKED(expires)                                                                                                                     \
	"{\"created_at\": \"2026-01-01T00:00:00+00:00\", \"expires_at\": \"" expires "+00:00\", \"interaction_id\": \"" QUESTION "\"}"

/* ---- asking ---- */

Test(interaction, a_question_is_a_row_that_bears_the_times_of_its_message)
{
	expect_decision((struct asking){.verb = "ask",
						.body = "{" SCOPE(QUESTION, "c1") ",'expected_user_id':'" ANN "','payload':[1],'ttl_s':90,"
														  "'run_id':'" RUN "','node_id':'n[0]'}"},
		ASKED("2026-01-01T00:01:30"));
	rig_sql_expect(&rig, "c1 " ANN " [1] " RUN " n[0] open 1 t t",
		"select concat_ws(' ', connection_id, expected_user_id, payload, run_id, node_id, status, position, asked_at = created_at,"
		" num_nulls(value, claimed_at, swept_at) = 3) from leat.interactions where tenant_id = '" RIG_TENANT_A "' and id = '" QUESTION "'");
}

Test(interaction, who_does_not_say_for_how_long_asks_for_a_day)
{
	expect_decision((struct asking){.verb = "ask", .body = ASK(QUESTION, ANN)}, ASKED("2026-01-02T00:00:00"));
}

/* However it stood, open, answered or expired. */
Test(interaction, asked_again_it_is_open_and_as_old_as_it_was)
{
	static const struct asking ends[] = {
		{.verb = "ask", .body = ASK_FOR(QUESTION, ANN, 9), .at_s = 1},
		{.verb = "answer", .body = ANSWER(QUESTION, ANN), .at_s = 1},
		{.verb = "expire", .body = EXPIRE(QUESTION), .role = "engine", .at_s = 100},
	};
	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
		rig_sql(&rig, "truncate leat.interactions");
		apply((struct asking){.verb = "ask", .body = ASK_FOR(QUESTION, ANN, 10)});
		apply(ends[i]);
		rig_sql(&rig, "update leat.interactions set swept_at = now()");
		expect_decision((struct asking){.verb = "ask",
							.body = "{" SCOPE(QUESTION, "c1") ",'expected_user_id':'" ANN "','payload':'new','ttl_s':60,'node_id':'m'}",
							.at_s = 200},
			ASKED("2026-01-01T00:04:20"));
		rig_sql_expect(&rig, "\"new\" m open t t 0",
			"select concat_ws(' ', payload, node_id, status, asked_at = created_at + interval '200 s', position = %lld,"
			" num_nonnulls(run_id, value, claimed_at, swept_at)) from leat.interactions",
			(long long)position);
		apply((struct asking){.verb = "answer", .body = ANSWER(QUESTION, ANN), .at_s = 259});
	}
}

Test(interaction, asked_again_in_another_scope_it_is_a_conflict_and_stays_as_it_was)
{
	static const char *const others[] = {"{" SCOPE(QUESTION, "c2") ",'expected_user_id':'" ANN "','payload':1}", ASK(QUESTION, BOB)};
	apply((struct asking){.verb = "ask", .body = ASK(QUESTION, ANN)});
	char *before = everything();
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		expect_decision((struct asking){.verb = "ask", .body = others[i]},
			"conflict: question " QUESTION " was asked of another user or on another connection; ask under a new interaction_id");
	expect_unchanged(before);
}

Test(interaction, each_tenant_has_ids_of_its_own)
{
	apply((struct asking){.verb = "ask", .body = ASK(QUESTION, ANN)});
	apply((struct asking){.verb = "ask", .body = ASK(QUESTION, BOB), .tenant = RIG_TENANT_B});
	apply((struct asking){.verb = "answer", .body = ANSWER(QUESTION, BOB), .tenant = RIG_TENANT_B});
	expect_questions("a1 open, b1 answered");
}

/* ---- answering ---- */

#define WON "{\"value\": \"yes\", \"payload\": {\"text\": \"Shall we?\"}, \"interaction_id\": \"" QUESTION "\"}"

Test(interaction, the_winner_gets_the_payload)
{
	apply((struct asking){.verb = "ask", .body = ASK(QUESTION, ANN)});
	expect_decision((struct asking){.verb = "answer", .body = ANSWER(QUESTION, ANN), .role = "user", .actor = ANN, .at_s = 5}, WON);
	rig_sql_expect(&rig, "answered \"yes\" t 2",
		"select concat_ws(' ', status, value, claimed_at = created_at + interval '5 s', position) from leat.interactions");
}

Test(interaction, a_service_answers_for_whom_it_was_asked)
{
	apply((struct asking){.verb = "ask", .body = ASK(QUESTION, ANN)});
	expect_decision((struct asking){.verb = "answer", .body = ANSWER(QUESTION, ANN), .actor = "bot"}, WON);
}

Test(interaction, nothing_is_an_answer_and_a_question)
{
	apply((struct asking){.verb = "ask", .body = "{" SCOPE(QUESTION, "c1") ",'expected_user_id':'" ANN "','payload':null}"});
	expect_decision((struct asking){.verb = "answer", .body = "{" SCOPE(QUESTION, "c1") ",'user_id':'" ANN "','value':null}"},
		"{\"value\": null, \"payload\": null, \"interaction_id\": \"" QUESTION "\"}");
	rig_sql_expect(&rig, "answered null", "select concat_ws(' ', status, value) from leat.interactions");
}

Test(interaction, who_comes_second_hears_when_it_was_answered)
{
	apply((struct asking){.verb = "ask", .body = ASK(QUESTION, ANN)});
	apply((struct asking){.verb = "answer", .body = ANSWER(QUESTION, ANN), .at_s = 5});
	char *before = everything();
	expect_decision((struct asking){.verb = "answer", .body = ANSWER(QUESTION, ANN), .at_s = 6},
		"already_claimed: question " QUESTION " was answered at 2026-01-01T00:00:05+00:00");
	expect_unchanged(before);
}

Test(interaction, its_time_ends_at_expires_at_swept_or_not)
{
	apply((struct asking){.verb = "ask", .body = ASK_FOR(QUESTION, ANN, 10)});
	apply((struct asking){.verb = "ask", .body = ASK_FOR(QUESTION_2, ANN, 10)});
	char *before = everything();
	expect_decision((struct asking){.verb = "answer", .body = ANSWER(QUESTION, ANN), .at_s = 10},
		"already_claimed: question " QUESTION " expired at 2026-01-01T00:00:10+00:00");
	expect_unchanged(before);
	apply((struct asking){.verb = "answer", .body = ANSWER(QUESTION_2, ANN), .at_s = 9});
	apply((struct asking){.verb = "expire", .body = EXPIRE(QUESTION), .role = "engine", .at_s = 20});
	expect_decision((struct asking){.verb = "answer", .body = ANSWER(QUESTION, ANN), .at_s = 5},
		"already_claimed: question " QUESTION " expired at 2026-01-01T00:00:10+00:00");
	expect_questions("a1 expired, a2 answered");
}

/* What a stranger hears is byte for byte what is heard of an id that never was, before and after somebody has won. */
static void expect_secret(struct asking asking)
{
	asking.verb = "answer";
	char *before = everything();
	expect_decision(asking, "not_found: there is no question " QUESTION " to this user on this connection");
	expect_unchanged(before);
}

static void expect_secret_from_strangers(void)
{
	static const struct asking strangers[] = {
		{.body = ANSWER(QUESTION, ANN), .tenant = RIG_TENANT_B},
		{.body = ANSWER(QUESTION, ANN), .tenant = RIG_TENANT_B, .role = "user", .actor = ANN},
		{.body = ANSWER(QUESTION, BOB)},
		{.body = ANSWER(QUESTION, BOB), .role = "user", .actor = BOB},
		{.body = "{" SCOPE(QUESTION, "c2") ",'user_id':'" ANN "','value':1}"},
		{.body = "{" SCOPE(QUESTION, "C1") ",'user_id':'" ANN "','value':1}"},
		{.body = "{" SCOPE(QUESTION, "c2") ",'user_id':'" ANN "','value':1}", .role = "user", .actor = ANN},
		{.body = ANSWER(QUESTION, BOB), .role = "engine"},
	};
	for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++)
		expect_secret(strangers[i]);
}

Test(interaction, strangers_hear_what_is_heard_of_an_id_that_never_was)
{
	expect_secret((struct asking){.body = ANSWER(QUESTION, ANN)});
	apply((struct asking){.verb = "ask", .body = ASK_FOR(QUESTION, ANN, 10)});
	expect_secret_from_strangers();
	apply((struct asking){.verb = "answer", .body = ANSWER(QUESTION, ANN)});
	expect_secret_from_strangers();
	apply((struct asking){.verb = "ask", .body = ASK_FOR(QUESTION, ANN, 10)});
	apply((struct asking){.verb = "expire", .body = EXPIRE(QUESTION), .role = "engine", .at_s = 20});
	expect_secret_from_strangers();
}

Test(interaction, a_user_answers_in_the_own_name_only_whether_the_question_is_there_or_not)
{
	static const struct asking posing = {.verb = "answer", .body = ANSWER(QUESTION, ANN), .role = "user", .actor = BOB};
	static const char said[] = "forbidden: user_id is " ANN ", but the user in Leat-Actor is " BOB;
	expect_decision(posing, said);
	apply((struct asking){.verb = "ask", .body = ASK(QUESTION, ANN)});
	char *before = everything();
	expect_decision(posing, said);
	expect_decision((struct asking){.verb = "answer", .body = ANSWER(QUESTION, ANN), .role = "user", .actor = "ann"},
		"forbidden: interaction.answer needs the user's id, a UUID, in Leat-Actor");
	expect_decision((struct asking){.verb = "answer", .body = ANSWER(QUESTION, ANN), .role = "user"},
		"forbidden: interaction.answer needs the user's id, a UUID, in Leat-Actor");
	expect_unchanged(before);
}

/* ---- who else may what ---- */

Test(interaction, users_ask_and_withdraw_nothing_and_only_the_engine_ends_a_questions_time)
{
	static const struct asking forbidden[] = {
		{.verb = "ask", .body = ASK(QUESTION_2, ANN), .role = "user", .actor = ANN},
		{.verb = "withdraw", .body = WITHDRAW(QUESTION, ANN), .role = "user", .actor = ANN},
		{.verb = "expire", .body = EXPIRE(QUESTION), .role = "user", .actor = ANN, .at_s = 20},
		{.verb = "expire", .body = EXPIRE(QUESTION), .at_s = 20},
	};
	rig_sql(&rig, "insert into leat.members (tenant_id, user_id, role) values ('" RIG_TENANT_A "', '" ANN "', 'owner')");
	apply((struct asking){.verb = "ask", .body = ASK_FOR(QUESTION, ANN, 10)});
	char *before = everything();
	for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++) {
		char *said = decide(forbidden[i]);
		cr_expect_eq(strncmp(said, "forbidden: ", 11), 0, "%zu: %s", i, said);
		free(said);
	}
	expect_unchanged(before);
}

/* ---- withdrawing ---- */

#define OF_USER(members) "{" SCOPE(QUESTION, "c1") members "}"

Test(interaction, a_withdrawn_question_is_gone)
{
	apply((struct asking){.verb = "ask", .body = ASK(QUESTION, ANN)});
	expect_decision((struct asking){.verb = "withdraw", .body = WITHDRAW(QUESTION, ANN)}, "{\"interaction_id\": \"" QUESTION "\"}");
	expect_questions("");
	apply((struct asking){.verb = "ask", .body = ASK(QUESTION, ANN)});
	apply((struct asking){.verb = "withdraw", .body = OF_USER(",'user_id':'" ANN "'")});
	expect_questions("");
	expect_decision((struct asking){.verb = "answer", .body = ANSWER(QUESTION, ANN)},
		"not_found: there is no question " QUESTION " to this user on this connection");
}

Test(interaction, what_is_answered_or_expired_or_anothers_can_not_be_withdrawn)
{
	static const struct asking others[] = {
		{.verb = "withdraw", .body = WITHDRAW(QUESTION, BOB)},
		{.verb = "withdraw", .body = "{" SCOPE(QUESTION, "c2") ",'expected_user_id':'" ANN "'}"},
		{.verb = "withdraw", .body = WITHDRAW(QUESTION, ANN), .tenant = RIG_TENANT_B},
	};
	apply((struct asking){.verb = "ask", .body = ASK(QUESTION, ANN)});
	apply((struct asking){.verb = "ask", .body = ASK_FOR(QUESTION_2, ANN, 10)});
	for (int answered = 0; answered < 2; answered++) {
		char *before = everything();
		for (size_t i = 0; i < sizeof others / sizeof *others; i++)
			expect_decision(others[i], "not_found: there is no question " QUESTION " to this user on this connection");
		expect_unchanged(before);
		if (answered == 0)
			apply((struct asking){.verb = "answer", .body = ANSWER(QUESTION, ANN), .at_s = 5});
	}
	expect_decision((struct asking){.verb = "withdraw", .body = WITHDRAW(QUESTION, ANN), .at_s = 6},
		"already_claimed: question " QUESTION " was answered at 2026-01-01T00:00:05+00:00");
	apply((struct asking){.verb = "expire", .body = EXPIRE(QUESTION_2), .role = "engine", .at_s = 10});
	expect_decision((struct asking){.verb = "withdraw", .body = WITHDRAW(QUESTION_2, ANN), .at_s = 11},
		"already_claimed: question " QUESTION_2 " expired at 2026-01-01T00:00:10+00:00");
	expect_questions("a1 answered, a2 expired");
}

Test(interaction, whose_question_is_withdrawn_is_said_once)
{
	static const char *const bodies[] = {OF_USER(""), OF_USER(",'user_id':'" ANN "','expected_user_id':'" ANN "'")};
	apply((struct asking){.verb = "ask", .body = ASK(QUESTION, ANN)});
	for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
		expect_decision((struct asking){.verb = "withdraw", .body = bodies[i]},
			"invalid_message: expected either expected_user_id or user_id: the user whom the question was put to");
	expect_questions("a1 open");
}

/* ---- expiring ---- */

#define EXPIRE_ALL "{'interaction_ids':['" QUESTION_2 "','" QUESTION "','91919191-0000-4000-8000-000000000003','" QUESTION "','" RUN "']}"

Test(interaction, only_open_ones_past_their_time_expire_and_only_of_the_tenant)
{
	static const struct asking all = {.verb = "expire", .body = EXPIRE_ALL, .role = "engine", .at_s = 10};
	apply((struct asking){.verb = "ask", .body = ASK_FOR(QUESTION, ANN, 10)});
	apply((struct asking){.verb = "ask", .body = ASK_FOR(QUESTION, ANN, 10), .tenant = RIG_TENANT_B});
	apply((struct asking){.verb = "ask", .body = ASK_FOR(QUESTION_2, ANN, 11)});
	apply((struct asking){.verb = "ask", .body = ASK_FOR("91919191-0000-4000-8000-000000000003", ANN, 10)});
	apply((struct asking){.verb = "answer", .body = ANSWER("91919191-0000-4000-8000-000000000003", ANN)});
	expect_decision(all, "{\"expired\": [\"" QUESTION "\"]}");
	rig_sql_expect(&rig, "6", "select position from leat.interactions where status = 'expired'");
	expect_questions("a1 expired, a2 open, a3 answered, b1 open");
	char *before = everything();
	expect_decision(all, "{\"expired\": []}");
	expect_unchanged(before);
}
