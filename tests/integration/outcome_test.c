/* What is said of an intent: the ledger, dead letters, replies; and that a redelivery says it again and does nothing. */
#include "intents.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define REPLY_TO "leat.reply." RIG_TENANT_A ".1"

static struct rig rig;
static struct gate gate;

static void setup(void)
{
	gate_open_with_rig(&gate, &rig);
}

static void teardown(void)
{
	gate_close_with_rig(&gate, &rig);
}

TestSuite(outcome, .init = setup, .fini = teardown);

static struct message asking(struct message message)
{
	message.reply_to = REPLY_TO;
	return message;
}

/* Replies are compared as jsonb: the order of members is nobody's business. */
static void expect_reply(const char *expected, const char *found)
{
	cr_assert_not_null(found, "no reply; expected %s", expected);
	char *same = rig_sql_text(&rig, "select '%s'::jsonb = '%s'::jsonb", expected, found);
	cr_assert_str_eq(same, "t", "expected %s, found %s", expected, found);
	free(same);
}

static void expect_answer(struct message message, const char *reply, const char *short_reply)
{
	struct answer answer;
	put_all(&gate, &message, 1, &answer);
	expect_reply(reply, answer.reply);
	expect_reply(short_reply, answer.short_reply);
	answers_free(&answer, 1);
}

/* ---- replies ---- */

Test(outcome, a_reply_holds_the_entity_as_it_is_after)
{
	expect_answer(asking(intent(1, "upsert", ENTITY_1, "'content':{'a':1},'metadata':{'m':1}")),
		"{\"status\":\"applied\",\"position\":1,\"result\":{\"entity_id\":\"" ENTITY_1
		"\",\"content\":{\"a\":1},\"metadata\":{\"m\":1},\"skipped_fields\":[]}}",
		"{\"status\":\"applied\",\"position\":1,\"result_omitted\":true}");
}

Test(outcome, nobody_who_did_not_ask_gets_a_reply)
{
	struct message batch[] = {intent(1, "upsert", ENTITY_1, ""), asking(intent(2, "merge", ENTITY_1, "'content':{'a':2}"))};
	struct answer answers[2];
	PUT_ALL(&gate, batch, answers);
	cr_expect_null(answers[0].reply);
	cr_expect_not_null(answers[1].reply);
	answers_free(answers, 2);
}

Test(outcome, a_duplicate_tells_which_one_counts)
{
	struct message first = intent(1, "upsert", ENTITY_1, "'content':{'a':1}");
	struct message second = asking(intent(2, "merge", ENTITY_1, "'content':{'a':2}"));
	first.leat_id = second.leat_id = "x";
	put(&gate, first);
	expect_answer(second,
		"{\"status\":\"duplicate\",\"position\":2,\"result\":{\"entity_id\":\"" ENTITY_1
		"\",\"content\":{\"a\":1},\"metadata\":{},\"skipped_fields\":[],\"original_position\":1}}",
		"{\"status\":\"duplicate\",\"position\":2,\"result_omitted\":true}");
}

Test(outcome, a_bulk_tells_what_was_missing)
{
	struct message batch[] = {intent(1, "upsert", ENTITY_1, ""), bulk_intent(2, "'" ENTITY_1 "','" ENTITY_2 "'", "'content':{'a':2}")};
	struct answer answers[2];
	batch[1].reply_to = REPLY_TO;
	PUT_ALL(&gate, batch, answers);
	cr_expect_null(answers[1].reply, "it is not decided yet");
	gate_decide_all(&gate, 0, 2);
	char *reply = rig_sql_text(&rig, "select convert_from(body, 'UTF8') from leat.outbox where subject = '" REPLY_TO "'");
	expect_reply("{\"status\":\"applied\",\"position\":2,\"result\":{\"entities\":2,\"missing\":[\"" ENTITY_2 "\"]}}", reply);
	free(reply);
}

Test(outcome, what_waited_is_answered_when_it_is_decided)
{
	put(&gate, asking(intent(1, "merge", ENTITY_1, "'content':{'a':1}")));
	cr_assert_eq(rig_sql_int(&rig, "select count(*) from leat.outbox"), 0);
	gate_decide_all(&gate, 0, 1);
	rig_sql_expect(&rig, "rejected not_found t",
		"select concat_ws(' ', reply ->> 'status', reply ->> 'code', short_body = body) from leat.outbox,"
		" lateral (select convert_from(body, 'UTF8')::jsonb) said (reply) where subject = '" REPLY_TO "'");
}

/* ---- redelivery ---- */

Test(outcome, a_redelivery_repeats_the_first_outcome_and_does_nothing)
{
	struct message batch[] = {asking(intent(1, "upsert", ENTITY_1, "'content':{'a':1}")),
		asking(intent(2, "merge", ENTITY_1, "'content':{'a':2}")), asking(intent(3, "merge", ENTITY_2, ""))};
	struct answer first[3];
	struct answer again[3];
	batch[0].leat_id = batch[1].leat_id = "x";
	PUT_ALL(&gate, batch, first);
	gate_decide_all(&gate, 0, 3);
	char *before = rig_sql_text(&rig, "select concat(xmin, ctid) from leat.entities");
	char *dead = rig_sql_text(&rig, "select convert_from(body, 'UTF8') from leat.outbox where subject = '" REPLY_TO "'");
	PUT_ALL(&gate, batch, again);
	for (size_t i = 0; i < 3; i++)
		cr_expect_eq(again[i].outcome, LEAT_OUTCOME_KNOWN);
	expect_reply(first[0].reply, again[0].reply);
	expect_reply(first[1].reply, again[1].reply);
	expect_reply(dead, again[2].reply);
	rig_sql_expect(&rig, before, "select concat(xmin, ctid) from leat.entities");
	cr_expect_eq(rig_sql_int(&rig, "select count(*) from leat.activity"), 3);
	cr_expect_eq(rig_sql_int(&rig, "select count(*) from leat.audit_log"), 1);
	cr_expect_eq(rig_sql_int(&rig, "select count(*) from leat.outbox"), 3, "one event, one dead letter, one reply");
	free(before);
	free(dead);
	answers_free(first, 3);
	answers_free(again, 3);
}

Test(outcome, a_redelivery_of_what_waits_keeps_waiting)
{
	struct message waiting = intent(1, "merge", ENTITY_1, "");
	put(&gate, waiting);
	cr_assert_eq(put(&gate, waiting), LEAT_OUTCOME_KNOWN);
	cr_assert_eq(rig_sql_int(&rig, "select count(*) from leat.parked"), 1);
}

/* ---- dead letters and the ledger ---- */

Test(outcome, a_dead_letter_has_the_body_the_headers_and_why)
{
	struct message message = intent(7, "merge", ENTITY_1, "'content':{'a':1}");
	message.headers = "Leat-Id: x\r\nX-Other: 1\r\n";
	put(&gate, message);
	gate_decide_all(&gate, 0, 7);
	rig_sql_expect(&rig, "leat.dead." RIG_TENANT_A ".entity.merge", "select subject from leat.outbox");
	rig_sql_expect(&rig, message.body, "select convert_from(body, 'UTF8') from leat.outbox");
	rig_sql_expect(&rig,
		"Leat-Id: x\r\nX-Other: 1\r\nLeat-Error-Code: not_found\r\n"
		"Leat-Error: entity_id: " ENTITY_1 " does not exist; create it with entity.upsert\r\n"
		"Leat-Origin-Subject: leat.intent." RIG_TENANT_A ".service.entity.merge\r\nLeat-Origin-Stream: " STREAM
		"\r\nLeat-Origin-Seq: 7\r\nLeat-Origin-Position: 7\r\n",
		"select convert_from(headers, 'UTF8') from leat.outbox");
}

Test(outcome, what_the_decoder_rejects_is_recorded_and_costs_the_others_nothing)
{
	struct message batch[] = {intent(1, "upsert", ENTITY_1, ""),
		{.seq = 2, .verb = "merge", .body = "{", .code = "invalid_json", .reply_to = REPLY_TO},
		{.seq = 3, .tenant = "nobody", .verb = "merge", .body = "{}", .code = "invalid_message"},
		intent(4, "merge", ENTITY_1, "'content':{'a':4}")};
	struct answer answers[4];
	PUT_ALL(&gate, batch, answers);
	cr_expect_eq(answers[0].outcome, LEAT_OUTCOME_APPLIED);
	cr_expect_eq(answers[1].outcome, LEAT_OUTCOME_REJECTED);
	cr_expect_str_eq(answers[1].code, "invalid_json");
	cr_expect_eq(answers[2].outcome, LEAT_OUTCOME_REJECTED);
	cr_expect_eq(answers[3].outcome, LEAT_OUTCOME_APPLIED);
	expect_reply("{\"status\":\"rejected\",\"position\":2,\"code\":\"invalid_json\",\"message\":\"as the test says\"}", answers[1].reply);
	answers_free(answers, 4);
	rig_sql_expect(&rig, "applied, rejected invalid_json, rejected invalid_message, applied",
		"select string_agg(concat_ws(' ', outcome, code), ', ' order by position) from leat.activity");
	rig_sql_expect(&rig, "leat.dead." RIG_TENANT_A ".entity.merge, leat.dead.unroutable",
		"select string_agg(subject, ', ' order by seq) from leat.outbox where subject like 'leat.dead.%%'");
}

Test(outcome, a_rejected_message_with_a_used_leat_id_is_still_rejected)
{
	struct message good = intent(1, "upsert", ENTITY_1, "");
	struct message bad = {.seq = 2, .verb = "merge", .body = "{", .code = "invalid_json", .leat_id = "x"};
	good.leat_id = "x";
	put(&gate, good);
	cr_expect_eq(put(&gate, bad), LEAT_OUTCOME_REJECTED);
	bad.seq = 3;
	bad.leat_id = "y";
	put(&gate, bad);
	cr_expect_eq(rig_sql_int(&rig, "select count(*) from leat.message_ids"), 1);
}

Test(outcome, the_ledger_tells_who_did_what_and_when)
{
	struct message message = intent(3, "upsert", ENTITY_1, "");
	message.leat_id = "x";
	put(&gate, message);
	rig_sql_expect(&rig, STREAM " 3 x " RIG_TENANT_A " tests service entity upsert " ENTITY_1 " applied 1700000000.003000",
		"select concat_ws(' ', stream, position, leat_id, tenant_id, actor, role, noun, verb, target_id, outcome, code,"
		" extract(epoch from message_at)) from leat.activity");
}

/* ---- two hands ---- */

/*
 * The same message in two hands: one found the entity missing and parked it; the other, which had looked before that, was held up by a
 * Leat-Id and applies it. Deciding it then must do nothing, and hinder nothing else.
 */
Test(outcome, what_was_parked_and_applied_at_once_does_not_stay_in_the_way)
{
	struct message in_two_hands = asking(intent(2, "merge", ENTITY_1, "'content':{'a':2}"));
	put(&gate, intent(1, "upsert", ENTITY_1, ""));
	put(&gate, in_two_hands);
	rig_sql(&rig,
		"insert into leat.parked (stream, position, message_at, subject, tenant_id, role, verb, entity_id, actor, leat_id, reply_to, "
		"headers, body)"
		" select stream, position, message_at, 'leat.intent.x', tenant_id, role, verb, target_id, actor, leat_id, '" REPLY_TO "', '', '%s'"
		" from leat.activity where position = 2",
		in_two_hands.body);
	put(&gate, intent(3, "merge", ENTITY_2, ""));
	cr_assert_eq(gate_decide_all(&gate, 0, 3), 0);
	rig_sql_expect(&rig, "applied, applied, rejected", "select string_agg(outcome, ', ' order by position) from leat.activity");
	cr_assert_eq(
		rig_sql_int(&rig, "select count(*) from leat.outbox where subject = '" REPLY_TO "'"), 0, "it was answered when it was applied");
}
