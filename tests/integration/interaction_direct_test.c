/*
 * Questions by direct SQL: who may claim and withdraw them, and that every change that can be seen is an event, by whatever path it came.
 */
#include "interaction_fixture.h"

TestSuite(interaction_direct, .init = setup, .fini = teardown);

#define OF(user) "'" QUESTION "', '" RIG_TENANT_A "', 'c1', '" user "')"
#define CLAIM(user) "select coalesce(leat.claim_interaction(" OF(user) "::text, 'none')"
#define WITHDRAW_IT(user) "select leat.withdraw_interaction(" OF(user)
#define CLAIMS_OF(user, tenant) "{\"sub\":\"" user "\",\"tenant_id\":\"" tenant "\"}"
#define PAYLOAD "{\"text\": \"Shall we?\"}"

/* By now: direct callers go by the database's clock. */
static void ask_now(const char *expires_in)
{
	rig_sql(&rig,
		"insert into leat.interactions (tenant_id, id, connection_id, expected_user_id, payload, expires_at)"
		" values ('" RIG_TENANT_A "', '" QUESTION "', 'c1', '" ANN "', '" PAYLOAD "', now() + interval '%s')"
		" on conflict (tenant_id, id) do update set status = 'open', value = null, claimed_at = null, expires_at = excluded.expires_at,"
		" asked_at = clock_timestamp()",
		expires_in);
}

/* ---- claiming ---- */

Test(interaction_direct, a_service_claims_once_in_the_scope)
{
	static const char *const strangers[] = {CLAIM(BOB),
		"select coalesce(leat.claim_interaction('" QUESTION "', '" RIG_TENANT_B "', 'c1', '" ANN "')::text, 'none')",
		"select coalesce(leat.claim_interaction('" QUESTION "', '" RIG_TENANT_A "', 'c2', '" ANN "')::text, 'none')",
		"select coalesce(leat.claim_interaction('" QUESTION_2 "', '" RIG_TENANT_A "', 'c1', '" ANN "')::text, 'none')",
		"select coalesce(leat.claim_interaction(null, null, null, null)::text, 'none')"};
	ask_now("1 minute");
	char *before = everything();
	for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++)
		client_expect(&lane, "none", "%s", strangers[i]);
	expect_unchanged(before);
	client_expect(&lane, PAYLOAD, CLAIM(ANN));
	client_expect(&lane, "none", CLAIM(ANN));
	rig_sql_expect(&rig, "answered t 0", "select concat_ws(' ', status, claimed_at > created_at, position, value) from leat.interactions");
}

Test(interaction_direct, past_its_time_it_is_not_to_be_had)
{
	ask_now("0 s");
	client_expect(&lane, "none", CLAIM(ANN));
	expect_questions("a1 open");
}

/* How a user's session says whose it is, and what its claim for ANN gives. */
struct session {
	const char *claims;
	const char *tenant;
	const char *user;
	const char *said;
};

Test(interaction_direct, a_user_claims_in_the_own_name_and_tenant)
{
	static const struct session sessions[] = {
		{CLAIMS_OF(ANN, RIG_TENANT_A), "", "", PAYLOAD},
		{"", RIG_TENANT_A, ANN, PAYLOAD},
		{"", RIG_TENANT_A, "", PAYLOAD}, /* a gateway that names nobody could name anybody */
		{CLAIMS_OF(BOB, RIG_TENANT_A), "", "", "none"},
		{CLAIMS_OF(BOB, RIG_TENANT_A), RIG_TENANT_A, ANN, "none"}, /* claims before settings */
		{CLAIMS_OF(ANN, RIG_TENANT_B), RIG_TENANT_A, "", "none"},
		{"{\"tenant_id\":\"" RIG_TENANT_A "\"}", "", ANN, "none"},
		{CLAIMS_OF("ann", RIG_TENANT_A), "", "", "none"},
		{"{\"sub\":\"" ANN "\"}", RIG_TENANT_A, "", "none"},
		{"", RIG_TENANT_A, BOB, "none"},
		{"", RIG_TENANT_A, "ann", "none"},
		{"", RIG_TENANT_B, ANN, "none"},
		{"", "", ANN, "none"},
		{"", "", "", "none"},
	};
	struct client user;
	client_open(&user, &rig, "authenticated");
	for (size_t i = 0; i < sizeof sessions / sizeof *sessions; i++) {
		ask_now("1 minute");
		client_set(&user, sessions[i].claims, sessions[i].tenant);
		client_expect(&user, "", "set leat.user_id = '%s'", sessions[i].user);
		char *said = client_ask(&user, CLAIM(ANN));
		cr_expect_str_eq(said, sessions[i].said, "session %zu: %s", i, said);
		free(said);
		client_expect(
			&user, "none", "select coalesce(leat.claim_interaction('" QUESTION "', '" RIG_TENANT_A "', 'c2', '" ANN "')::text, 'none')");
		expect_questions(strcmp(sessions[i].said, "none") == 0 ? "a1 open" : "a1 answered");
	}
	client_close(&user);
}

/* What a user sees of it is the question; there is no way to it but the claim. */
Test(interaction_direct, a_user_sees_the_own_questions_and_touches_none)
{
	static const char *const attempts[] = {WITHDRAW_IT(ANN), "update leat.interactions set status = 'answered', claimed_at = now()",
		"delete from leat.interactions", "select from leat.interactions for update",
		"select leat.win_interaction('" RIG_TENANT_A "', '" QUESTION "', 'c1', '" ANN "', null, null, now())",
		"select leat.sweep_interactions(1)",
		"insert into leat.interactions (tenant_id, id, connection_id, expected_user_id, payload, expires_at)"
		" values ('" RIG_TENANT_A "', '" QUESTION_2 "', 'c1', '" ANN "', '1', now())"};
	struct client user;
	ask_now("1 minute");
	client_open(&user, &rig, "authenticated");
	client_set(&user, CLAIMS_OF(BOB, RIG_TENANT_A), "");
	client_expect(&user, "0", "select count(*) from leat.interactions");
	client_set(&user, CLAIMS_OF(ANN, RIG_TENANT_A), "");
	client_expect(&user, PAYLOAD, "select payload from leat.interactions");
	for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++)
		client_expect_refused(&user, "42501", "%s", attempts[i]);
	client_close(&user);
}

Test(interaction_direct, of_two_at_once_the_second_waits_and_has_lost)
{
	struct client other;
	ask_now("1 minute");
	client_open(&other, &rig, "service_role");
	client_expect(&other, "", "begin");
	client_expect(&other, PAYLOAD, CLAIM(ANN));
	client_expect_refused(&lane, "55P03", "set local lock_timeout = '50ms'; " CLAIM(ANN));
	client_expect(&other, "", "commit");
	client_expect(&lane, "none", CLAIM(ANN));
	ask_now("1 minute");
	client_expect(&other, "", "begin");
	client_expect(&other, PAYLOAD, CLAIM(ANN));
	client_expect(&other, "", "rollback");
	client_expect(&lane, PAYLOAD, CLAIM(ANN));
	client_close(&other);
}

/* ---- withdrawing ---- */

Test(interaction_direct, a_service_withdraws_what_is_open_in_the_scope)
{
	ask_now("1 minute");
	client_expect(&lane, "f", WITHDRAW_IT(BOB));
	rig_sql_expect(&rig, "0", "select count(*) from leat.direct_changes");
	client_expect(&lane, PAYLOAD, CLAIM(ANN));
	rig_sql_expect(&rig, "interaction " QUESTION, "select string_agg(noun || ' ' || id, ', ') from leat.direct_changes");
	rig_sql(&rig, "truncate leat.direct_changes");
	client_expect(&lane, "f", WITHDRAW_IT(ANN));
	ask_now("1 minute");
	client_expect(&lane, "t", WITHDRAW_IT(ANN));
	client_expect(&lane, "f", WITHDRAW_IT(ANN));
	rig_sql_expect(&rig, "1", "select count(*) from leat.direct_changes");
	expect_questions("");
}

/* ---- events ---- */

/* All since the last look, those of a question in order: what, last digit of the id, position, and what only some have. */
static void expect_events(const char *expected)
{
	rig_sql_expect(&rig, expected,
		"select string_agg(concat_ws(' ', what, right(id::text, 1), '@' || (data ->> 'position'), data ->> 'value', data #>> "
		"'{payload,text}'),"
		" ', ' order by id, seq) from event");
	rig_sql(&rig, "truncate leat.outbox");
}

Test(interaction_direct, what_an_intent_does_to_a_question_is_an_event)
{
	apply((struct asking){.verb = "ask", .body = ASK_FOR(QUESTION, ANN, 10)});
	expect_events("asked 1 @1 Shall we?");
	apply((struct asking){.verb = "ask", .body = ASK_FOR(QUESTION, ANN, 10), .at_s = 1});
	expect_events("asked 1 @2 Shall we?");
	apply((struct asking){.verb = "answer", .body = ANSWER(QUESTION, ANN)});
	expect_events("answered 1 @3 yes");
	free(decide((struct asking){.verb = "answer", .body = ANSWER(QUESTION, ANN)}));
	free(decide((struct asking){.verb = "answer", .body = ANSWER(QUESTION, BOB)}));
	free(decide((struct asking){.verb = "ask", .body = ASK(QUESTION, BOB)}));
	expect_events("");
	apply((struct asking){.verb = "ask", .body = ASK_FOR(QUESTION, ANN, 10), .at_s = 2});
	expect_events("asked 1 @7 Shall we?");
	apply((struct asking){.verb = "expire", .body = EXPIRE(QUESTION), .role = "engine", .at_s = 20});
	apply((struct asking){.verb = "expire", .body = EXPIRE(QUESTION), .role = "engine", .at_s = 20});
	expect_events("expired 1 @8");
	apply((struct asking){.verb = "ask", .body = ASK(QUESTION, ANN), .at_s = 30});
	apply((struct asking){.verb = "withdraw", .body = WITHDRAW(QUESTION, ANN)});
	expect_events("asked 1 @10 Shall we?, withdrawn 1 @10");
}

#define TRACE "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

Test(interaction_direct, an_event_holds_what_a_poster_needs_and_the_trace)
{
	client_expect(&lane, TRACE, "select set_config('leat.traceparent', '" TRACE "', false)");
	apply((struct asking){.verb = "ask",
		.body = "{" SCOPE(QUESTION, "c1}}") ",'expected_user_id':'" ANN "','payload':{'n':null,'run_id':1},'run_id':'" RUN
											"','node_id':'n[0]','ttl_s':1}"});
	rig_sql_expect(&rig,
		"{\"run_id\": \"" RUN "\", \"node_id\": \"n[0]\", \"payload\": {\"n\": null, \"run_id\": 1}, \"position\": 1,"
		" \"expires_at\": \"2026-01-01T00:00:01+00:00\", \"connection_id\": \"c1}}\", \"expected_user_id\": \"" ANN "\"}",
		"select data from event");
	rig_sql_expect(&rig, "traceparent: " TRACE "\r\n", "select headers from event");
	rig_sql_expect(&rig, "leat.event." RIG_TENANT_A ".interaction." QUESTION, "select subject from leat.outbox");
	rig_sql(&rig, "truncate leat.outbox");
	apply((struct asking){.verb = "answer", .body = "{" SCOPE(QUESTION, "c1}}") ",'user_id':'" ANN "','value':[null]}"});
	rig_sql_expect(&rig,
		"{\"value\": [null], \"run_id\": \"" RUN "\", \"node_id\": \"n[0]\", \"user_id\": \"" ANN "\", \"position\": 2,"
		" \"connection_id\": \"c1}}\", \"expected_user_id\": \"" ANN "\"}",
		"select data from event");
}

Test(interaction_direct, what_is_too_long_for_the_server_can_be_left_out)
{
	apply((struct asking){.verb = "ask", .body = ASK_FOR(QUESTION, ANN, 10)});
	apply((struct asking){.verb = "answer", .body = ANSWER(QUESTION, ANN)});
	rig_sql_expect(&rig, "true null, null true",
		"select string_agg(concat(coalesce(short ->> 'payload_omitted', 'null'), ' ', coalesce(short ->> 'value_omitted', 'null')), ', ' "
		"order by"
		" seq) from (select seq, convert_from(short_body, 'UTF8')::jsonb as short from leat.outbox) o"
		" where not short ?| '{payload,value}' and short ->> 'expected_user_id' = '" ANN "'");
}

struct change {
	const char *sql;
	const char *events;
};

static const struct change changes[] = {
	{"select leat.claim_interaction(" OF(ANN), "answered 1 @1"},
	{"update leat.interactions set value = '1' where status = 'answered'", "answered 1 @1 1"},
	{"update leat.interactions set status = 'open', claimed_at = null, value = null, asked_at = asked_at + interval '1 s'",
		"asked 1 @1 Shall we?, asked 2 @2 Shall we?"},
	{"update leat.interactions set swept_at = now()", ""},
	{"update leat.interactions set position = position", ""},
	{"begin; update leat.interactions set status = 'expired'; rollback", ""},
	{"begin; savepoint s; update leat.interactions set status = 'expired'; rollback to s; commit", ""},
	{"update leat.interactions set status = 'expired' where id = '" QUESTION "'", "expired 1 @1"},
	{"delete from leat.interactions where id = '" QUESTION "'", ""},
	{"update leat.interactions set expires_at = expires_at + interval '1 day'", "asked 2 @2 Shall we?"},
	{"select leat.withdraw_interaction('" QUESTION_2 "', '" RIG_TENANT_A "', 'c1', '" ANN "')", "withdrawn 2 @2"},
	{"insert into leat.interactions (tenant_id, id, connection_id, expected_user_id, payload, expires_at)"
	 " values ('" RIG_TENANT_A "', '" QUESTION "', 'c', '" ANN "', '{\"text\":\"new\"}', now()) on conflict do nothing",
		"asked 1 @0 new"},
	{"update leat.interactions set id = '" QUESTION_2 "'", "withdrawn 1 @0, asked 2 @0 new"},
	{"delete from leat.interactions", "withdrawn 2 @0"},
};

Test(interaction_direct, what_direct_sql_does_to_a_question_is_an_event_once_it_is_committed)
{
	apply((struct asking){.verb = "ask", .body = ASK(QUESTION, ANN)});
	apply((struct asking){.verb = "ask", .body = ASK(QUESTION_2, ANN)});
	rig_sql(&rig, "update leat.interactions set expires_at = now() + interval '1 day'; truncate leat.outbox");
	for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
		char *said = client_ask(&lane, "%s", changes[i].sql);
		cr_assert_neq(said[strspn(said, "0123456789")], ':', "%s: %s", changes[i].sql, said);
		free(said);
		expect_events(changes[i].events);
	}
}

Test(interaction_direct, a_truncated_table_withdraws_what_was_open)
{
	apply((struct asking){.verb = "ask", .body = ASK(QUESTION, ANN)});
	apply((struct asking){.verb = "ask", .body = ASK(QUESTION_2, ANN)});
	apply((struct asking){.verb = "answer", .body = ANSWER(QUESTION_2, ANN)});
	rig_sql(&rig, "truncate leat.outbox");
	rig_sql(&rig, "truncate leat.interactions");
	expect_events("withdrawn 1 @1");
}

/* Any client can set it, and the relay writes it into a JSON text. */
Test(interaction_direct, what_is_no_trace_is_none)
{
	client_expect(&lane, "t", "select set_config('leat.traceparent', '" TRACE "\",\"data\":{}', false) is not null");
	apply((struct asking){.verb = "ask", .body = ASK(QUESTION, ANN)});
	rig_sql_expect(&rig, "", "select headers from event");
}
