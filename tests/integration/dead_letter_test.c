/* A dead letter arrives as the message was sent, with the right code, whatever the message carries. */
#include "dead_letter_fixture.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEAD "leat.dead." RIG_TENANT_A ".entity."

TestSuite(dead_letter, .init = setup, .fini = teardown);

static uint64_t store_bad(const char *headers, const char *body)
{
	return rig_publish(&rig, INTENT "explode", headers, body);
}

Test(dead_letter, headers_that_would_make_a_publish_fail_are_left_behind)
{
	char last_sequence[64];
	uint64_t seq = store_bad("Nats-Expected-Stream: LEAT_ENTITY\r\nMine: 1\r\n", "{\"n\":1}");
	expect_arrives(seq, "unknown_verb", "{\"n\":1}");
	snprintf(last_sequence, sizeof last_sequence, "Nats-Expected-Last-Sequence: %" PRIu64 "\r\nMine: 1\r\n", seq);
	seq = store_bad(last_sequence, "{\"n\":2}");
	expect_arrives(seq, "unknown_verb", "{\"n\":2}");
	expect_arrives(store_bad("Nats-Msg-Id: one\r\n", "{\"n\":3}"), "unknown_verb", "{\"n\":3}");
	load_wait_dead(&rig, 3, REPLY_LIMIT_S);

	struct leat_msg msg;
	find_dead(seq, &msg);
	expect_header(&msg, "Mine", "1");
	expect_header(&msg, "Leat-Origin-Subject", INTENT "explode");
	cr_assert_str_eq(msg.subject, DEAD "explode");
	cr_assert_null(leat_msg_header(&msg, "Nats-Expected-Last-Sequence"));
	leat_msg_free(&msg);
}

/* The stream has to be told first to take such messages at all. */
static bool stores_rollup(void *seq)
{
	static const char body[] = "{\"rolled\":\"up\"}";
	struct leat_outgoing message = {
		.subject = INTENT "rollup", .headers = "Nats-Rollup: sub\r\n", .data = body, .data_bytes = strlen(body)};
	if (leat_bus_store(rig_bus(&rig), &message, 1) != LEAT_OK)
		return false;
	*(uint64_t *)seq = message.seq;
	return true;
}

Test(dead_letter, a_rollup_rolls_nothing_up_in_the_dead_letters)
{
	static const char config[] =
		"{\"name\":\"LEAT_ENTITY\",\"subjects\":[\"leat.intent.*.*.entity.*\",\"leat.redrive.*.*.entity.*\"],\"retention\":\"limits\","
		"\"storage\":\"file\",\"discard\":\"old\",\"max_age\":604800000000000,\"duplicate_window\":100000000,\"num_replicas\":1,"
		"\"max_consumers\":-1,\"max_msgs\":-1,\"max_bytes\":-1,\"max_msg_size\":-1,\"max_msgs_per_subject\":-1,\"allow_rollup_hdrs\":true}";
	struct leat_error err;
	uint64_t seq = 0;
	cr_assert_eq(
		leat_bus_publish(rig_bus(&rig), "$JS.API.STREAM.UPDATE.LEAT_ENTITY", NULL, config, strlen(config), &err), LEAT_OK, "%s", err.text);
	cr_assert(rig_wait_until(stores_rollup, &seq, 30), "the stream takes no rollup");
	expect_arrives(seq, "unknown_verb", "{\"rolled\":\"up\"}");
}

Test(dead_letter, a_reply_address_that_is_not_ones_own_is_a_fault_like_any_other)
{
	static const char *const targets[] = {"leat.reply." RIG_TENANT_A ".>", "leat.reply." RIG_TENANT_A ".*.x", "*",
		"leat.reply." RIG_TENANT_B ".x", "leat.dead." RIG_TENANT_A ".entity.merge"};
	static const char body[] = "{" ID ",\"content\":{\"n\":1}}";
	for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
		char header[160];
		struct leat_msg msg;
		snprintf(header, sizeof header, "Leat-Reply-To: %s\r\n", targets[i]);
		uint64_t seq = rig_publish(&rig, INTENT "merge", header, body);
		expect_arrives(seq, "invalid_message", body);
		find_dead(seq, &msg);
		expect_header(&msg, "Leat-Reply-To", targets[i]);
		leat_msg_free(&msg);
	}
}

Test(dead_letter, a_body_with_no_room_for_the_headers_is_left_out)
{
	size_t bytes = leat_bus_max_payload(rig_bus(&rig)) - 150;
	char *body = leat_alloc(bytes + 1);
	memset(body, ' ', bytes);
	body[bytes] = '\0';
	uint64_t seq = rig_publish(&rig, INTENT "merge", "Mine: 1\r\n", body);
	free(body);
	struct leat_msg msg;
	char expected[32];
	find_dead(seq, &msg);
	snprintf(expected, sizeof expected, "%zu", bytes);
	expect_header(&msg, "Leat-Body-Omitted", expected);
	expect_header(&msg, "Leat-Error-Code", "too_large");
	expect_header(&msg, "Mine", "1");
	cr_assert_eq(msg.data_bytes, 0);
	leat_msg_free(&msg);
}

Test(dead_letter, headers_over_the_limit_of_a_stream_are_left_out)
{
	char *headers = leat_alloc(65300 + 1);
	int start = snprintf(headers, 65301, "Mine: ");
	memset(headers + start, 'x', 65300 - (size_t)start);
	memcpy(headers + 65298, "\r\n", 3);
	uint64_t seq = store_bad(headers, "{\"n\":1}");
	free(headers);
	expect_arrives(seq, "unknown_verb", "{\"n\":1}");
	struct leat_msg msg;
	find_dead(seq, &msg);
	cr_assert_not_null(leat_msg_header(&msg, "Leat-Headers-Omitted"));
	cr_assert_null(leat_msg_header(&msg, "Mine"));
	leat_msg_free(&msg);
}
