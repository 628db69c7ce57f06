/*
 * The order of the control lane, at its SQL functions: whatever comes in which call, intents are decided in the order of their stream. What
 * is too early waits in leat.parked; what meets somebody's lock is put aside and holds up nobody.
 */
#include "client.h"
#include "intents.h"

#include "leat/clock.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANN "00000000-0000-4000-8000-00000000000a"
#define BOB "00000000-0000-4000-8000-00000000000b"

static struct rig rig;
static struct gate gate;

static void setup(void)
{
	rig_open(&rig);
	install_schema(&rig);
	gate_open_control(&gate, &rig);
}

static void teardown(void)
{
	gate_close(&gate);
	rig_close(&rig);
}

TestSuite(control_order, .init = setup, .fini = teardown);

/* Makes Ann something, at position seq. */
static struct message set_role(int64_t seq, const char *role)
{
	static char bodies[16][128];
	static size_t next;
	char *body = bodies[next++ % 16];
	snprintf(body, sizeof bodies[0], "{\"user_id\":\"" ANN "\",\"role\":\"%s\"}", role);
	return (struct message){.seq = seq, .noun = "member", .verb = "set", .entity = ANN, .body = body};
}

static void expect_role(const char *role)
{
	rig_sql_expect(&rig, role, "select role from leat.members where tenant_id = '" RIG_TENANT_A "' and user_id = '" ANN "'");
}

/* "1 2 3" */
static void expect_decided(const char *positions)
{
	rig_sql_expect(&rig, positions,
		"select string_agg((position & 1099511627775)::text, ' ' order by at, position) from leat.activity where stream = 'LEAT_CONTROL'");
}

static void expect_floor(int64_t seq)
{
	cr_expect_eq(rig_sql_int(&rig, "select position & 1099511627775 from leat.stream_floors where stream = 'LEAT_CONTROL'"), seq);
}

Test(control_order, what_continues_the_stream_is_decided_at_once)
{
	struct message batch[] = {set_role(1, "viewer"), set_role(2, "editor"), set_role(3, "admin")};
	PUT_EXPECT(&gate, batch, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED);
	expect_role("admin");
	expect_floor(3);
	cr_expect_eq(put(&gate, set_role(4, "owner")), LEAT_OUTCOME_APPLIED);
	expect_role("owner");
}

Test(control_order, what_comes_too_early_waits_and_is_decided_by_whoever_closes_the_gap)
{
	cr_expect_eq(put(&gate, set_role(4, "admin")), LEAT_OUTCOME_PARKED);
	cr_expect_eq(put(&gate, set_role(2, "editor")), LEAT_OUTCOME_PARKED);
	rig_sql_expect(&rig, "", "select role from leat.members");
	cr_expect_eq(put(&gate, set_role(4, "admin")), LEAT_OUTCOME_KNOWN, "delivered again");
	cr_expect_eq(put(&gate, set_role(1, "viewer")), LEAT_OUTCOME_APPLIED);
	expect_role("editor");
	expect_floor(2);
	cr_expect_eq(put(&gate, set_role(3, "owner")), LEAT_OUTCOME_APPLIED);
	expect_role("admin");
	expect_decided("1 2 3 4");
	expect_floor(4);
	cr_expect_eq(rig_sql_int(&rig, "select count(*) from leat.parked"), 0);
}

Test(control_order, a_batch_with_a_gap_in_it_closes_anothers)
{
	struct message odd[] = {set_role(3, "viewer"), set_role(5, "editor"), set_role(7, "admin")};
	struct message even[] = {set_role(1, "owner"), set_role(2, "owner"), set_role(4, "owner"), set_role(6, "owner")};
	PUT_EXPECT(&gate, odd, LEAT_OUTCOME_PARKED, LEAT_OUTCOME_PARKED, LEAT_OUTCOME_PARKED);
	PUT_EXPECT(&gate, even, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED);
	expect_decided("1 2 3 4 5 6 7");
	expect_role("admin");
}

Test(control_order, what_the_decoder_rejected_waits_for_nothing_and_holds_up_nothing)
{
	struct message bad = {.seq = 2, .noun = "member", .verb = "set", .body = "{}", .code = "invalid_message"};
	cr_expect_eq(put(&gate, bad), LEAT_OUTCOME_REJECTED);
	struct message good[] = {set_role(1, "viewer"), set_role(3, "editor")};
	PUT_EXPECT(&gate, good, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED);
	expect_role("editor");
}

/* The stream lost message 3, or began with message 3: the durable's ack floor passes it. */
Test(control_order, a_gap_that_nobody_closes_ends_when_the_floor_has_passed_it)
{
	cr_expect_eq(put(&gate, set_role(4, "admin")), LEAT_OUTCOME_PARKED);
	cr_expect_eq(gate_decide_all(&gate, 0, 2), 1);
	rig_sql_expect(&rig, "", "select role from leat.members");
	cr_expect_eq(gate_decide_all(&gate, 0, 4), 0);
	expect_role("admin");
	cr_expect_eq(put(&gate, set_role(5, "owner")), LEAT_OUTCOME_APPLIED);
	expect_floor(5);
}

/* Whoever guesses a Leat-Id learns that it was used, and nothing of the question that it answered. */
Test(control_order, a_duplicate_tells_a_user_only_what_that_user_was_told)
{
	static const char question[] = "00000000-0000-4000-8000-00000000000c";
	static const char ask[] = "{\"interaction_id\":\"00000000-0000-4000-8000-00000000000c\",\"connection_id\":\"c1\","
							  "\"expected_user_id\":\"" ANN "\",\"payload\":\"secret\"}";
	static const char answer[] = "{\"interaction_id\":\"00000000-0000-4000-8000-00000000000c\",\"connection_id\":\"c1\","
								 "\"user_id\":\"" ANN "\",\"value\":1}";
	static const struct {
		const char *role;
		const char *actor;
		bool told;
	} senders[] = {{"user", ANN, true}, {"user", BOB, false}, {"user", NULL, false}, {"service", "web", true}};
	put(&gate, (struct message){.seq = 1, .noun = "interaction", .verb = "ask", .entity = question, .body = ask});
	struct message first = {.seq = 2,
		.role = "user",
		.actor = ANN,
		.noun = "interaction",
		.verb = "answer",
		.entity = question,
		.body = answer,
		.leat_id = "guessed",
		.reply_to = "leat.reply." RIG_TENANT_A ".1"};
	cr_expect_eq(put(&gate, first), LEAT_OUTCOME_APPLIED);
	for (size_t i = 0; i < sizeof senders / sizeof *senders; i++) {
		struct answer heard;
		struct message again = first;
		again.seq = 3 + (int64_t)i;
		again.role = senders[i].role;
		again.actor = senders[i].actor;
		put_all(&gate, &again, 1, &heard);
		cr_expect_eq(heard.outcome, LEAT_OUTCOME_DUPLICATE);
		cr_expect_eq(strstr(heard.reply, "secret") != NULL, senders[i].told, "%s", heard.reply);
		answers_free(&heard, 1);
	}
}

/* What is parked was acknowledged, so that the ack floor passes it: it must be decided before what comes after the floor. */
Test(control_order, the_floor_may_be_above_what_is_parked)
{
	struct leat_error err;
	struct decided round;
	struct message early[] = {set_role(3, "viewer"), set_role(4, "editor"), set_role(5, "admin")};
	PUT_EXPECT(&gate, early, LEAT_OUTCOME_PARKED, LEAT_OUTCOME_PARKED, LEAT_OUTCOME_PARKED);
	cr_assert_eq(gate_decide(&gate, 0, 5, 1, &round, &err), LEAT_OK, "%s", err.text);
	cr_expect_eq(round.decided, 1);
	cr_expect_eq(round.remaining, 2);
	expect_role("viewer");
	cr_expect_eq(put(&gate, set_role(6, "owner")), LEAT_OUTCOME_APPLIED);
	expect_decided("3 4 5 6");
	expect_role("owner");
}

Test(control_order, a_reply_to_what_waited_goes_through_the_outbox_and_a_redelivery_repeats_it)
{
	struct message late = set_role(2, "editor");
	struct message first = set_role(1, "viewer");
	struct answer answer;
	late.reply_to = "leat.reply." RIG_TENANT_A ".1";
	first.reply_to = "leat.reply." RIG_TENANT_A ".2";
	put_all(&gate, &late, 1, &answer);
	cr_expect_eq(answer.outcome, LEAT_OUTCOME_PARKED);
	cr_expect_null(answer.reply);
	put_all(&gate, &first, 1, &answer);
	cr_expect(strstr(answer.reply, "\"status\":\"applied\",\"position\":1") != NULL, "%s", answer.reply);
	answers_free(&answer, 1);
	rig_sql_expect(&rig, "{\"status\":\"applied\",\"position\":2,\"result\":{\"role\": \"editor\", \"user_id\": \"" ANN "\"}}",
		"select convert_from(body, 'UTF8') from leat.outbox where subject = 'leat.reply." RIG_TENANT_A ".1'");
	put_all(&gate, &late, 1, &answer);
	cr_expect_eq(answer.outcome, LEAT_OUTCOME_KNOWN);
	cr_expect(strstr(answer.reply, "\"status\":\"applied\",\"position\":2") != NULL, "%s", answer.reply);
	answers_free(&answer, 1);
}

Test(control_order, a_leat_id_has_one_effect_whichever_of_its_messages_came_first)
{
	struct message second = set_role(2, "editor");
	struct message first = set_role(1, "viewer");
	second.leat_id = first.leat_id = "once";
	cr_expect_eq(put(&gate, second), LEAT_OUTCOME_PARKED);
	cr_expect_eq(put(&gate, first), LEAT_OUTCOME_APPLIED);
	rig_sql_expect(&rig, "duplicate {\"role\": \"viewer\", \"user_id\": \"" ANN "\", \"original_position\": 1}",
		"select outcome || ' ' || detail from leat.activity where position = 2");
	expect_role("viewer");

	struct message refused = {
		.seq = 3, .noun = "member", .verb = "remove", .entity = BOB, .body = "{\"user_id\":\"" BOB "\"}", .leat_id = "not used up"};
	struct message again = set_role(4, "admin");
	again.leat_id = refused.leat_id;
	cr_expect_eq(put(&gate, refused), LEAT_OUTCOME_REJECTED);
	cr_expect_eq(put(&gate, again), LEAT_OUTCOME_APPLIED);
	expect_role("admin");
}

Test(control_order, what_meets_a_lock_is_put_aside_and_holds_up_nobody)
{
	struct client holder;
	put(&gate, set_role(1, "viewer"));
	client_open(&holder, &rig, "service_role");
	client_expect(&holder, "viewer", "begin; select role from leat.members where user_id = '" ANN "' for update");

	struct message bob = {.seq = 3,
		.tenant = RIG_TENANT_B,
		.noun = "member",
		.verb = "set",
		.entity = BOB,
		.body = "{\"user_id\":\"" BOB "\",\"role\":\"owner\"}"};
	struct message batch[] = {set_role(2, "editor"), bob};
	PUT_EXPECT(&gate, batch, LEAT_OUTCOME_PARKED, LEAT_OUTCOME_APPLIED);
	rig_sql_expect(&rig, "owner", "select role from leat.members where user_id = '" BOB "'");
	expect_role("viewer");
	expect_floor(3);

	client_expect(&holder, "", "rollback");
	client_close(&holder);
	rig_sql(&rig, "update leat.parked set retry_at = now()");
	cr_expect_eq(gate_decide_all(&gate, 0, 3), 0);
	expect_role("editor");
	expect_decided("1 3 2");
}

Test(control_order, what_names_the_target_of_one_put_aside_is_decided_behind_it)
{
	struct client holder;
	client_open(&holder, &rig, "service_role");
	client_expect(&holder, "", "begin; lock table leat.members in exclusive mode");
	cr_expect_eq(put(&gate, set_role(1, "viewer")), LEAT_OUTCOME_PARKED);
	client_expect(&holder, "", "rollback");
	client_close(&holder);

	struct message gone = {.seq = 2, .noun = "member", .verb = "remove", .entity = ANN, .body = "{\"user_id\":\"" ANN "\"}"};
	struct message bob = {.seq = 3, .noun = "member", .verb = "set", .entity = BOB, .body = "{\"user_id\":\"" BOB "\",\"role\":\"owner\"}"};
	struct message batch[] = {gone, bob, set_role(4, "editor")};
	PUT_EXPECT(&gate, batch, LEAT_OUTCOME_PARKED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_PARKED);
	expect_floor(4);
	rig_sql(&rig, "update leat.parked set retry_at = now() where position = 4"); /* which does not overtake */
	cr_expect_eq(gate_decide_all(&gate, 0, 4), 3);
	rig_sql(&rig, "update leat.parked set retry_at = now() where position = 1"); /* with which those behind it have their turn */
	cr_expect_eq(gate_decide_all(&gate, 0, 4), 0);
	rig_sql_expect(&rig, "0", "select count(*) from leat.activity where outcome <> 'applied'");
	expect_role("editor");
}

/* 40 waits of half a second each would be 20 s, in which nobody's intents are decided. */
Test(control_order, however_many_meet_locks_the_others_wait_a_second)
{
	struct client holder;
	static char ids[40][40];
	static char bodies[40][128];
	struct message batch[41];
	struct answer answers[41];
	rig_sql(&rig,
		"insert into leat.members (tenant_id, user_id, role) select '" RIG_TENANT_A
		"', ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, 'viewer' from generate_series(0, 39) n");
	client_open(&holder, &rig, "service_role");
	client_expect(&holder, "40", "begin; select count(*) from (select from leat.members for update) m");
	for (size_t i = 0; i < 40; i++) {
		snprintf(ids[i], sizeof ids[i], "00000000-0000-4000-8000-%012zu", i);
		snprintf(bodies[i], sizeof bodies[i], "{\"user_id\":\"%s\",\"role\":\"editor\"}", ids[i]);
		batch[i] = (struct message){.seq = (int64_t)i + 1, .noun = "member", .verb = "set", .entity = ids[i], .body = bodies[i]};
	}
	batch[40] = (struct message){.seq = 41,
		.tenant = RIG_TENANT_B,
		.noun = "member",
		.verb = "set",
		.entity = BOB,
		.body = "{\"user_id\":\"" BOB "\",\"role\":\"owner\"}"};
	int64_t began = leat_clock_ms();
	PUT_ALL(&gate, batch, answers);
	cr_expect_lt(leat_clock_ms() - began, 8000);
	cr_expect_eq(answers[40].outcome, LEAT_OUTCOME_APPLIED);
	answers_free(answers, 41);
	rig_sql_expect(&rig, "40", "select count(*) from leat.parked where retry_at is not null");
	client_expect(&holder, "", "rollback");
	client_close(&holder);
}

/* A trigger of the operator's own, say. */
Test(control_order, what_postgres_refuses_for_good_is_internal_and_alone)
{
	rig_sql(&rig, "alter table leat.members add constraint nobody_is_admin check (role <> 'admin')");
	struct message batch[] = {set_role(1, "viewer"), set_role(2, "admin"), set_role(3, "editor")};
	PUT_EXPECT(&gate, batch, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_REJECTED, LEAT_OUTCOME_APPLIED);
	expect_role("editor");
	rig_sql_expect(&rig, "internal", "select code from leat.activity where position = 2");
	rig_sql_expect(&rig, "leat.dead." RIG_TENANT_A ".member.set", "select subject from leat.outbox");
}

Test(control_order, a_new_epoch_begins_where_its_stream_begins)
{
	struct message before[] = {set_role(1, "viewer"), set_role(2, "editor")};
	PUT_EXPECT(&gate, before, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED);
	struct message again = set_role(1, "admin");
	again.at_ms = 100000;
	cr_expect_eq(put(&gate, again), LEAT_OUTCOME_PARKED);
	cr_expect_eq(gate_decide_all(&gate, 1, 1), 0);
	expect_role("admin");
	again = set_role(2, "owner");
	again.at_ms = 100001;
	cr_expect_eq(put(&gate, again), LEAT_OUTCOME_APPLIED);
	cr_expect_eq(rig_sql_int(&rig, "select max(position) >> 40 from leat.activity"), 1);
}
