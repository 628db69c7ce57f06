/* `leat publish`: what it stores, what it refuses, which outcomes it waits for. */
#include "saying.h"

#include "leat/uuid.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct rig rig;

static void setup(void)
{
	rig_open(&rig);
	rig_migrate(&rig);
}

static void teardown(void)
{
	rig_close(&rig);
}

TestSuite(publish, .init = setup, .fini = teardown);

static void write_lines(const char *lines)
{
	say_write_file(&rig, "lines", lines, strlen(lines));
}

/* ---- what is stored ---- */

/* The message with that sequence of LEAT_ENTITY. The caller frees it. */
static struct leat_msg stored(uint64_t seq)
{
	struct leat_msg msg;
	struct leat_error err;
	uint64_t found = seq;
	cr_assert_eq(leat_stream_get_next(rig_bus(&rig), "LEAT_ENTITY", ">", &found, &msg, &err), LEAT_OK, "%s", err.text);
	cr_assert_eq(found, seq);
	return msg;
}

/* `id` NULL: a random UUID. */
static void expect_stored(uint64_t seq, const char *subject, const char *body, const char *id, const char *actor)
{
	struct leat_msg msg = stored(seq);
	const char *found_id = leat_msg_header(&msg, "Leat-Id");
	const char *found_actor = leat_msg_header(&msg, "Leat-Actor");
	cr_expect_str_eq(msg.subject, subject);
	cr_expect(msg.data_bytes == strlen(body) && memcmp(msg.data, body, msg.data_bytes) == 0, "found %.*s", (int)msg.data_bytes, msg.data);
	struct leat_uuid random;
	cr_assert_not_null(found_id);
	if (id != NULL)
		cr_expect_str_eq(found_id, id);
	else
		cr_expect(leat_uuid_parse(&random, found_id, strlen(found_id)), "Leat-Id: %s", found_id);
	cr_expect_str_eq(found_actor != NULL ? found_actor : "", actor != NULL ? actor : "");
	cr_expect_null(leat_msg_header(&msg, "Nats-Msg-Id"));
	leat_msg_free(&msg);
}

static uint64_t count_stored(void)
{
	struct leat_stream_state state;
	struct leat_error err;
	cr_assert_eq(leat_stream_get_state(rig_bus(&rig), "LEAT_ENTITY", &state, &err), LEAT_OK, "%s", err.text);
	return state.messages;
}

static bool are_stored(void *count)
{
	return count_stored() == *(const uint64_t *)count;
}

#define MERGE_A "leat.intent." RIG_TENANT_A ".service.entity.merge"

Test(publish, lines_are_stored_byte_for_byte_in_their_order)
{
	write_lines("{\"content\":{\"n\":12345678901234567890, \"r\":0.10}}\n\n  \nnot JSON at all\n{\"last\":true}");
	say_run(&rig, "publish", 0, RIG_ARGS("publish", "entity.merge", "--tenant", RIG_TENANT_A, "lines"));
	say_expect(&rig, "publish", "published 3 messages, last sequence 3");
	expect_stored(1, MERGE_A, "{\"content\":{\"n\":12345678901234567890, \"r\":0.10}}", NULL, NULL);
	expect_stored(2, MERGE_A, "not JSON at all", NULL, NULL);
	expect_stored(3, MERGE_A, "{\"last\":true}", NULL, NULL);
}

Test(publish, role_and_actor_are_those_of_the_flags)
{
	write_lines("{}\n");
	say_run(&rig, "publish", 0,
		RIG_ARGS("publish", "entity.merge", "lines", "--tenant", RIG_TENANT_B, "--role=user", "--actor", "Zoë from the gateway"));
	expect_stored(1, "leat.intent." RIG_TENANT_B ".user.entity.merge", "{}", NULL, "Zoë from the gateway");
}

Test(publish, one_line_has_the_id_as_given)
{
	write_lines("\n{}\n\n");
	say_run(&rig, "publish", 0, RIG_ARGS("publish", "entity.merge", "--tenant", RIG_TENANT_A, "--id", "order 7", "lines"));
	expect_stored(1, MERGE_A, "{}", "order 7", NULL);
}

Test(publish, without_an_id_each_message_has_its_own_however_often_it_is_published)
{
	write_lines("{}\n{}\n");
	for (int i = 0; i < 2; i++)
		say_run(&rig, "publish", 0, RIG_ARGS("publish", "entity.merge", "--tenant", RIG_TENANT_A, "lines"));
	char ids[4][64];
	for (uint64_t seq = 1; seq <= 4; seq++) {
		expect_stored(seq, MERGE_A, "{}", NULL, NULL);
		struct leat_msg msg = stored(seq);
		snprintf(ids[seq - 1], sizeof ids[0], "%s", leat_msg_header(&msg, "Leat-Id"));
		leat_msg_free(&msg);
		for (uint64_t before = 1; before < seq; before++)
			cr_expect_str_neq(ids[before - 1], ids[seq - 1]);
	}
}

Test(publish, several_lines_have_numbered_ids_through_all_batches)
{
	LEAT_BUF_SCOPED lines = LEAT_BUF_INIT;
	for (int i = 1; i <= 1200; i++)
		leat_buf_printf(&lines, "{\"n\":%d}\n", i);
	say_write_file(&rig, "lines", lines.data, lines.len);
	say_run(&rig, "publish", 0, RIG_ARGS("publish", "entity.merge", "--tenant", RIG_TENANT_A, "--id", "x", "lines"));
	say_expect(&rig, "publish", "published 1200 messages, last sequence 1200");
	expect_stored(1, MERGE_A, "{\"n\":1}", "x-1", NULL);
	expect_stored(500, MERGE_A, "{\"n\":500}", "x-500", NULL);
	expect_stored(501, MERGE_A, "{\"n\":501}", "x-501", NULL);
	expect_stored(1200, MERGE_A, "{\"n\":1200}", "x-1200", NULL);
}

Test(publish, an_envelope_says_what_it_is_and_its_body_keeps_its_bytes)
{
	write_lines("{\"intent\":\"entity.merge\",\"tenant\":\"" RIG_TENANT_A "\",\"id\":\"a\\u0062c\",\"actor\":\"me\","
				"\"body\": {\"n\":12345678901234567890,  \"r\":1.50} }\n"
				"{\"body\":[1],\"intent\":\"entity.delete\",\"role\":\"engine\"}\n"
				"{\"intent\":\"entity.merge\",\"raw\":\"{\\\"half\\n\"}\n");
	say_run(&rig, "publish", 0, RIG_ARGS("publish", "--tenant", RIG_TENANT_B, "lines"));
	expect_stored(1, MERGE_A, "{\"n\":12345678901234567890,  \"r\":1.50}", "abc", "me");
	expect_stored(2, "leat.intent." RIG_TENANT_B ".engine.entity.delete", "[1]", NULL, NULL);
	expect_stored(3, "leat.intent." RIG_TENANT_B ".service.entity.merge", "{\"half\n", NULL, NULL);
}

Test(publish, lines_of_a_pipe_are_published_as_they_come)
{
	char path[PATH_MAX + 8];
	snprintf(path, sizeof path, "%s/pipe", rig.folder);
	cr_assert_eq(mkfifo(path, 0600), 0);
	int pipe = open(path, O_RDWR | O_CLOEXEC);
	cr_assert_geq(pipe, 0);
	struct leat_child *publish = rig_start(&rig, "publish", RIG_ARGS("publish", "entity.merge", "--tenant", RIG_TENANT_A, "pipe"));
	static const char *const arriving[] = {"{}\n{", "}\n{", "}\n{"}; /* half a line behind each */
	for (uint64_t i = 0; i < 3; i++) {
		uint64_t wanted = i + 1;
		cr_assert_eq(write(pipe, arriving[i], strlen(arriving[i])), (ssize_t)strlen(arriving[i]));
		cr_assert(rig_wait_until(are_stored, &wanted, 20), "line %d was not published", (int)wanted);
	}
	leat_child_stop(publish, SIGTERM, 5000);
	close(pipe);
}

/* ---- what is refused ---- */

Test(publish, what_cannot_be_a_message_is_refused_before_anything_is_sent)
{
	static const struct {
		const char *arguments[10];
		const char *said;
	} mistakes[] = {
		{{"publish", "entity.merge", "lines", NULL}, "tenant is missing"},
		{{"publish", "entity.merge", "--tenant", "A", "lines", NULL}, "tenant: expected a UUID, found \"A\""},
		{{"publish", "entity.*", "--tenant", RIG_TENANT_A, "lines", NULL}, "intent: expected NOUN.VERB"},
		{{"publish", "entity", "--tenant", RIG_TENANT_A, "lines", NULL}, "intent: expected NOUN.VERB"},
		{{"publish", "entity.merge now", "--tenant", RIG_TENANT_A, "lines", NULL}, "intent: expected NOUN.VERB"},
		{{"publish", "a.b.c", "--tenant", RIG_TENANT_A, "lines", NULL}, "intent: expected NOUN.VERB"},
		{{"publish", "entity.merge", "--tenant", RIG_TENANT_A, "--role", "root", "lines", NULL}, "role: expected user, service or engine"},
		{{"publish", "entity.merge", "--tenant", RIG_TENANT_A, "--id", "a\r\nNats-Rollup: all", "lines", NULL}, "id: expected text"},
		{{"publish", "entity.merge", "--tenant", RIG_TENANT_A, "--actor", "", "lines", NULL}, "actor: expected text"},
		{{"publish", "no-such.jsonl", NULL}, "no-such.jsonl is neither a NOUN.VERB nor a file"},
		{{"publish", "foo", "--tenant", RIG_TENANT_A, NULL},
			"foo is neither a NOUN.VERB nor a file; there are entity.upsert, entity.merge"},
		{{"publish", "foo.bar", "--tenant", RIG_TENANT_A, NULL}, "foo.bar is neither a NOUN.VERB nor a file"},
		{{"publish", "entity.merg", "--tenant", RIG_TENANT_A, NULL}, "did you mean entity.merge?"},
		{{"publish", "entity.mrege", "--tenant", RIG_TENANT_A, "lines", NULL},
			"entity.mrege is no message that there is; did you mean entity.merge?"},
		{{"publish", "entity.merge", NULL}, "tenant is missing"},
	};
	write_lines("{}\n");
	for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
		char name[16];
		snprintf(name, sizeof name, "%zu", i);
		say_run(&rig, name, 2, mistakes[i].arguments);
		say_expect_log(&rig, name, mistakes[i].said);
	}
	cr_expect_eq(count_stored(), 0);
}

Test(publish, without_a_line_it_says_that_nothing_was_read)
{
	write_lines(" \n\n");
	say_run(&rig, "publish", 0, RIG_ARGS("publish", "entity.merge", "--tenant", RIG_TENANT_A, "lines"));
	say_expect(&rig, "publish", "nothing was read");
	say_expect_not(&rig, "publish", "published 0");
	say_run(&rig, "wait", 0, RIG_ARGS("publish", "--wait", "lines"));
	say_expect_log(&rig, "wait", "nothing was read");
}

Test(publish, an_envelope_that_is_wrong_is_told_by_its_line_and_ends_it)
{
	static const struct {
		const char *line;
		const char *said;
	} wrong[] = {
		{"{\"intent\":\"entity.merge\",\"body\":{}", "line 3: envelope"},
		{"[]", "line 3: expected an object"},
		{"{\"intent\":\"entity.merge\",\"body\":{},\"bodi\":1}", "line 3: bodi: expected a text, found the number 1"},
		{"{\"intent\":\"entity.merge\",\"body\":{},\"why\":\"x\"}", "line 3: why is nothing that an envelope has"},
		{"{\"intent\":\"entity.merge\",\"body\":{},\"raw\":\"\"}", "line 3: expected one of body and raw, found both"},
		{"{\"intent\":\"entity.merge\"}", "line 3: body is missing"},
		{"{\"body\":{}}", "line 3: intent is missing"},
		{"{\"intent\":\"entity.merge\",\"tenant\":\"x\",\"body\":{}}", "line 3: tenant: expected a UUID"},
		{"{\"intent\":\"entity.merge\",\"body\":{\"a\":1,\"a\":2}}",
			"line 3: envelope (one with \"raw\" instead of \"body\" takes any text)"},
	};
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		LEAT_BUF_SCOPED lines = LEAT_BUF_INIT;
		char name[16];
		snprintf(name, sizeof name, "%zu", i);
		leat_buf_printf(
			&lines, "{\"intent\":\"entity.merge\",\"body\":{}}\n\n%s\n{\"intent\":\"entity.merge\",\"body\":{}}\n", wrong[i].line);
		say_write_file(&rig, "lines", lines.data, lines.len);
		say_run(&rig, name, 1, RIG_ARGS("publish", "--tenant", RIG_TENANT_A, "lines"));
		say_expect_log(&rig, name, wrong[i].said);
		say_expect(&rig, name, "published 1 message,");
		cr_expect_eq(count_stored(), i + 1, "%s", wrong[i].line);
	}
}

Test(publish, a_line_that_no_stream_takes_is_told_by_its_number)
{
	write_lines("{\"intent\":\"entity.merge\",\"body\":{}}\n{\"intent\":\"nobodys.thing\",\"body\":{}}\n");
	say_run(&rig, "publish", 1, RIG_ARGS("publish", "--tenant", RIG_TENANT_A, "lines"));
	say_expect_log(&rig, "publish", "line 2: no stream takes leat.intent." RIG_TENANT_A ".service.nobodys.thing");
	say_expect(&rig, "publish", "published 1 message, last sequence 1");
}

Test(publish, without_a_server_it_ends_with_1)
{
	write_lines("{}\n");
	say_run(&rig, "publish", 1,
		RIG_ARGS(
			"publish", "entity.merge", "--tenant", RIG_TENANT_A, "--nats-url", "nats://me:secret@127.0.0.1:1,nats://127.0.0.1:2", "lines"));
	say_expect_log(&rig, "publish", "connecting to nats-server at nats://127.0.0.1:1,nats://127.0.0.1:2: ");
	char *log = rig_log(&rig, "publish");
	cr_expect_null(strstr(log, "secret"), "%s", log);
	free(log);
}

/* ---- outcomes ---- */

/* Plays the consumer: answers the message with that sequence. */
static void answer(uint64_t seq, const char *outcome)
{
	struct leat_error err;
	struct leat_msg msg = stored(seq);
	const char *reply_to = leat_msg_header(&msg, "Leat-Reply-To");
	cr_assert_not_null(reply_to);
	cr_assert_eq(strncmp(reply_to, "leat.reply." RIG_TENANT_A ".", strlen("leat.reply." RIG_TENANT_A ".")), 0, "%s", reply_to);
	cr_assert_eq(leat_bus_publish(rig_bus(&rig), reply_to, NULL, outcome, strlen(outcome), &err), LEAT_OK, "%s", err.text);
	leat_msg_free(&msg);
}

static int end_of(struct leat_child *child)
{
	int status = -1;
	cr_assert(leat_child_wait(child, 60000, &status));
	return WEXITSTATUS(status);
}

Test(publish, outcomes_are_printed_in_the_order_of_the_lines_each_once)
{
	write_lines("{}\n{}\n{}\n");
	struct leat_child *publish =
		rig_start(&rig, "publish", RIG_ARGS("publish", "entity.merge", "--tenant", RIG_TENANT_A, "--wait", "lines"));
	cr_assert(rig_wait_until(are_stored, &(uint64_t){3}, 20));
	answer(3, "{\"status\":\"applied\",\"position\":3}");
	answer(2, "{\"result\":{\"content\":{\"status\":\"rejected\",\"n\":12345678901234567890}},\"status\":\"duplicate\"}");
	answer(3, "{\"status\":\"applied\",\"position\":3}");
	answer(1, "{\"status\":\"applied\",\"position\":1}");
	cr_expect_eq(end_of(publish), 0);
	char *output = rig_output(&rig, "publish");
	cr_expect_str_eq(output,
		"{\"status\":\"applied\",\"position\":1}\n"
		"{\"result\":{\"content\":{\"status\":\"rejected\",\"n\":12345678901234567890}},\"status\":\"duplicate\"}\n"
		"{\"status\":\"applied\",\"position\":3}\n");
	free(output);
}

Test(publish, an_outcome_that_is_a_rejection_makes_it_end_with_1_after_all_the_others)
{
	write_lines("{}\n{}\n{}\n");
	struct leat_child *publish =
		rig_start(&rig, "publish", RIG_ARGS("publish", "entity.merge", "--tenant", RIG_TENANT_A, "--wait", "lines"));
	cr_assert(rig_wait_until(are_stored, &(uint64_t){3}, 20));
	answer(1, "{\"status\":\"rejected\",\"code\":\"not_found\"}");
	answer(2, "{\"status\":\"applied\"}");
	answer(3, "{\"status\":\"applied\"}");
	cr_expect_eq(end_of(publish), 1);
	char *output = rig_output(&rig, "publish");
	cr_expect_eq(say_count(output, "\n"), 3, "%s", output);
	free(output);
}

Test(publish, lines_without_an_outcome_in_time_are_told)
{
	write_lines("{}\n{}\n{}\n");
	struct leat_child *publish = rig_start(
		&rig, "publish", RIG_ARGS("publish", "entity.merge", "--tenant", RIG_TENANT_A, "--wait", "--publish-timeout-ms", "500", "lines"));
	cr_assert(rig_wait_until(are_stored, &(uint64_t){3}, 20));
	answer(2, "{\"status\":\"applied\",\"position\":2}");
	cr_expect_eq(end_of(publish), 1);
	say_expect(&rig, "publish", "{\"status\":\"applied\",\"position\":2}\n");
	say_expect_log(&rig, "publish", "line 1 and 1 more: published, but no outcome within 3 s");
}

Test(publish, a_consumer_answers_each_line_of_several_tenants)
{
	rig_start(&rig, "consume", RIG_ARGS("consume"));
	write_lines(
		"{\"intent\":\"entity.upsert\",\"tenant\":\"" RIG_TENANT_A
		"\",\"id\":\"1\",\"body\":{\"entity_type\":\"t\",\"key\":\"k\",\"content\":{\"n\":12345678901234567890}}}\n"
		"{\"intent\":\"entity.upsert\",\"tenant\":\"" RIG_TENANT_A "\",\"id\":\"1\",\"body\":{\"entity_type\":\"t\",\"key\":\"k\"}}\n"
		"{\"intent\":\"entity.upsert\",\"tenant\":\"" RIG_TENANT_B "\",\"id\":\"1\",\"body\":{\"entity_type\":\"t\",\"key\":\"k\"}}\n"
		"{\"intent\":\"entity.upsert\",\"tenant\":\"" RIG_TENANT_B "\",\"raw\":\"nonsense\"}\n"
		"{\"intent\":\"entity.merge\",\"tenant\":\"" RIG_TENANT_B
		"\",\"body\":{\"entity_type\":\"t\",\"key\":\"absent\",\"content\":{}}}\n");
	char *output = say_output(&rig, "publish", 1, RIG_ARGS("publish", "--wait", "lines"));
	static const char *const expected[] = {"applied", "duplicate", "applied", "rejected", "rejected"};
	char *line = output;
	for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
		char *end = strchr(line, '\n');
		cr_assert_not_null(end, "%zu lines in: %s", i, output);
		*end = '\0';
		json_t *outcome = json_loads(line, JSON_DECODE_INT_AS_REAL, NULL);
		const char *status = json_string_value(json_object_get(outcome, "status"));
		cr_expect_str_eq(status != NULL ? status : "none", expected[i], "%s", line);
		cr_expect_eq(json_number_value(json_object_get(outcome, "position")), (double)(i + 1));
		json_decref(outcome);
		if (i == 0)
			cr_expect_not_null(strstr(line, "12345678901234567890"), "%s", line);
		line = end + 1;
	}
	cr_expect_str_eq(line, "");
	free(output);
}
