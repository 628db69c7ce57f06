/*
 * The size of replies: a result that is too large for the server, or for the memory of one batch, is left out, and the reply says so. The
 * outcome always arrives.
 */
#include "intents.h"
#include "load.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REPLY_TO "leat.reply." RIG_TENANT_A ".test"
#define ROOM (INT64_C(8) << 20) /* of the replies to one batch, in bytes */
#define SHORT 200               /* more than any reply without a result */

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

TestSuite(reply, .init = setup, .fini = teardown);

/* ENTITY_1, by hand, with a field of so many bytes. */
static void insert_entity(int64_t bytes)
{
	rig_sql(&rig,
		"insert into leat.entities (tenant_id, id, entity_type, content)"
		" values ('" RIG_TENANT_A "', '" ENTITY_1 "', 'large', jsonb_build_object('blob', repeat('x', %" PRId64 ")))",
		bytes);
}

/* `count` merges into ENTITY_1, from sequence 1 on, that all ask for a reply of at most `reply_bytes`; what is selected of the answers. */
static char *ask(const char *selected, int64_t count, int64_t reply_bytes)
{
	return rig_sql_text(&rig,
		"select %s from (select n, array(select g::bigint from generate_series(1, n) g) as seqs from (values (%" PRId64 "::int)) v (n)) m"
		" cross join lateral leat.apply_entity_intents('" STREAM "', m.seqs,"
		"  array(select timestamptz 'epoch' + (1700000000000 + seq) * interval '1 millisecond' from unnest(m.seqs) seq),"
		"  array_fill('leat.intent.x'::text, array[n]), array_fill('" RIG_TENANT_A
		"'::uuid, array[n]), array_fill('service'::text, array[n]),"
		"  array_fill('merge'::text, array[n]), array_fill('" ENTITY_1 "'::uuid, array[n]), array_fill(null::text, array[n]),"
		"  array_fill(null::text, array[n]), array_fill('" REPLY_TO
		"'::text, array[n]), array_fill(null::text, array[n]), array_fill(''::bytea, array[n]),"
		"  array_fill('{\"entity_id\":\"" ENTITY_1
		"\"}'::bytea, array[n]), array_fill(null::text, array[n]), array_fill(null::text, array[n]),"
		"  %" PRId64 ") said",
		selected, count, reply_bytes);
}

static int64_t number(char *text)
{
	int64_t value = strtoll(text, NULL, 10);
	free(text);
	return value;
}

static void expect_text(const char *expected, char *found)
{
	cr_assert_str_eq(found, expected, "expected %s, found %s", expected, found);
	free(found);
}

/* ---- one reply ---- */

Test(reply, a_result_is_left_out_of_a_reply_over_the_limit)
{
	static const char omitted[] = "{\"status\":\"applied\",\"position\":1,\"result_omitted\":true}";
	insert_entity(1000);
	int64_t bytes = number(ask("octet_length(reply)", 1, 1000000));
	cr_assert_gt(bytes, 1000);
	/* the same message again, so that the reply is the same to the byte */
	expect_text("1000", ask("length(reply::jsonb #>> '{result,content,blob}')", 1, bytes));
	expect_text(omitted, ask("reply", 1, bytes - 1));
	expect_text(omitted, ask("short_reply", 1, bytes));
}

/* ---- all replies to a batch ---- */

/* Takes "<replies> <results in them> <bytes of all>". */
static void expect_bounded(int64_t asked, char *counts)
{
	char *rest = counts;
	int64_t replies = strtoll(rest, &rest, 10);
	int64_t results = strtoll(rest, &rest, 10);
	int64_t bytes = strtoll(rest, &rest, 10);
	free(counts);
	cr_expect_eq(replies, asked);
	cr_expect_eq(results, 8, "%" PRId64 " results of a million bytes each", results);
	cr_expect_leq(bytes, ROOM + asked * SHORT, "%" PRId64 " bytes", bytes);
}

Test(reply, the_replies_to_a_batch_have_a_bound)
{
	insert_entity(1000000);
	expect_bounded(
		20, ask("concat_ws(' ', count(reply), count(*) filter (where reply like '%\"result\":%'), sum(octet_length(reply)))", 20, 2000000));
}

Test(reply, the_replies_to_what_was_parked_have_a_bound)
{
	for (int64_t seq = 1; seq <= 20; seq++) {
		struct message waiting = intent(seq, "merge", ENTITY_1, "");
		waiting.reply_to = REPLY_TO;
		cr_assert_eq(put(&gate, waiting), LEAT_OUTCOME_PARKED);
	}
	insert_entity(1000000);
	cr_assert_eq(gate_decide_all(&gate, 0, 20), 0);
	expect_bounded(20,
		rig_sql_text(&rig,
			"select concat_ws(' ', count(*), count(*) filter (where convert_from(body, 'UTF8') like '%%\"result\":%%'), sum(length(body)))"
			" from leat.outbox where subject = '" REPLY_TO "'"));
}

/* ---- to the end ---- */

static void expect_reply(struct leat_inbox *inbox, const char *expected)
{
	struct leat_msg msg;
	struct leat_error err;
	cr_assert_eq(leat_inbox_next(inbox, 30000, &msg, &err), LEAT_OK, "no reply: %s", err.text);
	char text[SHORT];
	snprintf(text, sizeof text, "%.*s", (int)(msg.data_bytes < sizeof text ? msg.data_bytes : sizeof text - 1), msg.data);
	leat_msg_free(&msg);
	cr_expect(strstr(text, expected) == text, "expected %s, found %s", expected, text);
}

Test(reply, an_entity_that_has_grown_over_the_servers_limit_is_left_out)
{
	struct leat_inbox *inbox = NULL;
	struct leat_error err;
	rig_migrate(&rig);
	load_start_consumer(&rig, "consumer", NULL);
	cr_assert_eq(leat_inbox_open(&inbox, rig_bus(&rig), REPLY_TO, &err), LEAT_OK, "%s", err.text);
	rig_intent(&rig, RIG_TENANT_A, "entity.upsert", NULL, "{\"entity_id\":\"" ENTITY_1 "\",\"entity_type\":\"large\"}");
	for (int part = 0; part < 3; part++) {
		const size_t bytes = 400000;
		char *body = leat_alloc(bytes + 200);
		int start = sprintf(body, "{\"entity_id\":\"" ENTITY_1 "\",\"content\":{\"part_%d\":\"", part);
		memset(body + start, 'x', bytes);
		memcpy(body + start + bytes, "\"}}", sizeof "\"}}");
		rig_intent(&rig, RIG_TENANT_A, "entity.merge", "Leat-Reply-To: " REPLY_TO "\r\n", body);
		free(body);
		char expected[SHORT];
		snprintf(expected, sizeof expected, "{\"status\":\"applied\",\"position\":%d,%s", part + 2,
			part < 2 ? "\"result\":{" : "\"result_omitted\":true}");
		expect_reply(inbox, expected);
	}
	leat_inbox_close(inbox);
}
