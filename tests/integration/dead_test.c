/* `leat dead`: finding dead letters, and looking at one without harm. */
#include "saying.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

TestSuite(dead, .init = setup, .fini = teardown);

#define MERGE_A "leat.dead." RIG_TENANT_A ".entity.merge"
#define MERGE_B "leat.dead." RIG_TENANT_B ".entity.merge"

/* As the relay would. */
static uint64_t bury(const char *subject, const char *code, const char *error, const char *body)
{
	char headers[1024];
	snprintf(headers, sizeof headers,
		"Leat-Id: mine\r\nLeat-Error-Code: %s\r\nLeat-Error: %s\r\nLeat-Origin-Subject: leat.intent.the.origin\r\n"
		"Leat-Origin-Stream: LEAT_ENTITY\r\nLeat-Origin-Seq: 77\r\n",
		code, error);
	return rig_publish(&rig, subject, headers, body);
}

/* The sequences that `leat dead list --json <more>` prints, as "3 5 9". */
static void expect_listed(const char *expected, const char *const *arguments)
{
	char *output = say_output(&rig, "list", 0, arguments);
	LEAT_BUF_SCOPED seqs = LEAT_BUF_INIT;
	for (char *line = strtok(output, "\n"); line != NULL; line = strtok(NULL, "\n")) {
		json_error_t error;
		json_t *letter = json_loads(line, 0, &error);
		cr_assert_not_null(letter, "%s: %s", error.text, line);
		leat_buf_printf(&seqs, "%s%" JSON_INTEGER_FORMAT, seqs.len > 0 ? " " : "", json_integer_value(json_object_get(letter, "seq")));
		json_decref(letter);
	}
	cr_expect_str_eq(leat_buf_text(&seqs), expected);
	free(output);
}

Test(dead, without_any_the_list_says_so)
{
	say_run(&rig, "list", 0, RIG_ARGS("dead", "list"));
	say_expect(&rig, "list", "no dead letters");
	expect_listed("", RIG_ARGS("dead", "list", "--json"));
}

Test(dead, the_list_is_of_the_newest_that_match_newest_last)
{
	for (int i = 1; i <= 300; i++)
		bury(i % 2 == 0 ? MERGE_A : MERGE_B, i % 100 == 0 ? "conflict" : "not_found", "why", "{}");
	bury("leat.dead." RIG_TENANT_A ".entity.delete", "deleted", "why", "{}");
	bury("leat.dead.unroutable", "unknown_verb", "why", "{}");
	expect_listed("300 301 302", RIG_ARGS("dead", "list", "--json", "--limit", "3"));
	expect_listed("100 200 300", RIG_ARGS("dead", "list", "--json", "--code", "conflict"));
	expect_listed("200 300", RIG_ARGS("dead", "list", "--json", "--code", "conflict", "--limit=2"));
	expect_listed("298 300 301", RIG_ARGS("dead", "list", "--json", "--tenant", RIG_TENANT_A, "--limit", "3"));
	expect_listed("298 300", RIG_ARGS("dead", "list", "--json", "--tenant", RIG_TENANT_A, "--verb", "entity.merge", "--limit", "2"));
	expect_listed("301", RIG_ARGS("dead", "list", "--json", "--verb", "entity.delete"));
	expect_listed("", RIG_ARGS("dead", "list", "--json", "--code", "internal"));
	char *all = say_output(&rig, "all", 0, RIG_ARGS("dead", "list"));
	cr_expect_eq(say_count(all, "\n"), 51); /* with the heading */
	free(all);
	char *more = say_output(&rig, "more", 0, RIG_ARGS("dead", "list", "--limit", "100000"));
	cr_expect_eq(say_count(more, "\n"), 303);
	free(more);
}

Test(dead, when_none_matches_it_says_of_how_many)
{
	for (int i = 0; i < 3; i++)
		bury(MERGE_A, "not_found", "why", "{}");
	say_run(&rig, "code", 0, RIG_ARGS("dead", "list", "--code", "conflict"));
	say_expect(&rig, "code", "none of 3 dead letters matches\n");
	say_run(&rig, "tenant", 0, RIG_ARGS("dead", "list", "--tenant", RIG_TENANT_B));
	say_expect(&rig, "tenant", "none of 3 dead letters matches\n");
}

Test(dead, a_line_of_the_list_tells_what_where_and_why)
{
	bury(MERGE_A, "not_found", "entity_id: does not exist", "{}");
	bury("leat.dead.unroutable", "unknown_verb", "a \xff byte and a \x1b[31m colour", "{}");
	say_run(&rig, "list", 0, RIG_ARGS("dead", "list"));
	say_expect(&rig, "list", RIG_TENANT_A "  entity.merge            not_found     entity_id: does not exist\n");
	say_expect(
		&rig, "list", "-                                     leat.intent.the.origin  unknown_verb  a \\xff byte and a \\x1b[31m colour\n");
	char *output = say_output(&rig, "json", 0, RIG_ARGS("dead", "list", "--json", "--limit", "1"));
	json_t *letter = json_loads(output, 0, NULL);
	cr_assert_not_null(letter, "%s", output);
	cr_expect_str_eq(json_string_value(json_object_get(letter, "error")), "a \\xff byte and a \\x1b[31m colour");
	cr_expect_str_eq(json_string_value(json_object_get(letter, "origin_stream")), "LEAT_ENTITY");
	cr_expect_eq(json_integer_value(json_object_get(letter, "origin_seq")), 77);
	json_decref(letter);
	free(output);
}

Test(dead, show_prints_headers_and_json_without_rounding_a_number)
{
	char body[256];
	snprintf(body, sizeof body, "{\"content\":{\"n\":12345678901234567890,\"r\":1.50,\"e\":{},\"list\":[1,\"%s\"]}}", say_right_to_left);
	bury(MERGE_A, "not_found", "why", body);
	say_run(&rig, "show", 0, RIG_ARGS("dead", "show", "1"));
	say_expect(&rig, "show", "tenant    " RIG_TENANT_A "\n");
	say_expect(&rig, "show", "  Leat-Id: mine\n");
	say_expect(&rig, "show", "  Leat-Origin-Seq: 77\n");
	say_expect(&rig, "show", "  leat publish entity.merge --tenant " RIG_TENANT_A " --wait\n");
	LEAT_BUF_SCOPED head = LEAT_BUF_INIT;
	leat_buf_printf(&head, "\nbody, %zu bytes as sent, indented here\n{\n", strlen(body));
	say_expect(&rig, "show", leat_buf_text(&head));
	say_expect(&rig, "show",
		"{\n  \"content\": {\n    \"n\": 12345678901234567890,\n    \"r\": 1.50,\n    \"e\": {},\n"
		"    \"list\": [\n      1,\n      \"\\u202e\"\n    ]\n  }\n}\n");
}

Test(dead, show_prints_other_text_with_its_lines_and_escapes_the_rest)
{
	bury(MERGE_A, "invalid_json", "why \x1b[2J", "not\tJSON\nat all \xc2\x9b!");
	say_run(&rig, "show", 0, RIG_ARGS("dead", "show", "1"));
	say_expect(&rig, "show", "not\tJSON\nat all \\x9b!\n");
	say_expect(&rig, "show", "why \\x1b[2J");
	say_expect_not(&rig, "show", "\x1b");
}

Test(dead, show_prints_bytes_that_are_no_text_in_hexadecimal)
{
	bury(MERGE_A, "invalid_json", "why", "\x1b[31mred\xff and more than a row");
	say_run(&rig, "show", 0, RIG_ARGS("dead", "show", "1"));
	say_expect(&rig, "show",
		"00000000  1b 5b 33 31 6d 72 65 64 ff 20 61 6e 64 20 6d 6f  .[31mred. and mo\n"
		"00000010  72 65 20 74 68 61 6e 20 61 20 72 6f 77           re than a row\n");
	say_expect_not(&rig, "show", "\x1b");
}

Test(dead, show_tells_that_a_body_was_left_out)
{
	rig_publish(&rig, MERGE_A, "Leat-Error-Code: too_large\r\nLeat-Body-Omitted: 9000000\r\n", "");
	say_run(&rig, "show", 0, RIG_ARGS("dead", "show", "1"));
	say_expect(&rig, "show", "over the server's limit; bytes: 9000000\n");
}

Test(dead, show_puts_nothing_unknown_into_what_to_do_next)
{
	bury("leat.dead." RIG_TENANT_A ".entity.$(reboot)", "unknown_verb", "why", "{}");
	bury("leat.dead.unroutable", "unknown_verb", "why", "{}");
	say_run(&rig, "verb", 0, RIG_ARGS("dead", "show", "1"));
	say_expect(&rig, "verb", "\n  leat publish NOUN.VERB --tenant TENANT --wait\n");
	say_run(&rig, "unroutable", 0, RIG_ARGS("dead", "show", "2"));
	say_expect(&rig, "unroutable", "\n  leat publish NOUN.VERB --tenant TENANT --wait\n");
}

Test(dead, what_is_not_there_cannot_be_shown)
{
	bury(MERGE_A, "not_found", "why", "{}");
	say_run(&rig, "absent", 1, RIG_ARGS("dead", "show", "2"));
	say_expect_log(&rig, "absent", "there is no dead letter 2");
	say_run(&rig, "zero", 2, RIG_ARGS("dead", "show", "0"));
	say_run(&rig, "word", 2, RIG_ARGS("dead", "show", "newest"));
	say_run(&rig, "none", 2, RIG_ARGS("dead", "show"));
}

Test(dead, what_cannot_be_a_filter_is_refused)
{
	say_run(&rig, "tenant", 2, RIG_ARGS("dead", "list", "--tenant", "*"));
	say_run(&rig, "verb", 2, RIG_ARGS("dead", "list", "--verb", "merge"));
	say_run(&rig, "code", 2, RIG_ARGS("dead", "list", "--code", "nope"));
	say_expect_log(&rig, "code", "--code: expected one of invalid_json, invalid_message, ");
	say_expect_log(&rig, "code", ", already_claimed, internal, found \"nope\"");
	say_run(&rig, "empty", 2, RIG_ARGS("dead", "list", "--code="));
}

Test(dead, before_the_first_migration_it_says_what_to_run)
{
	struct rig bare;
	rig_open(&bare);
	say_run(&bare, "list", 1, RIG_ARGS("dead", "list"));
	say_expect_log(&bare, "list", "run `leat migrate`");
	rig_close(&bare);
}

static bool is_buried(void *argument)
{
	(void)argument;
	struct leat_stream_state state;
	struct leat_error err;
	return leat_stream_get_state(rig_bus(&rig), "LEAT_DEAD", &state, &err) == LEAT_OK && state.messages == 1;
}

Test(dead, an_intent_that_a_consumer_rejects_is_listed_and_shown)
{
	rig_start(&rig, "consume", RIG_ARGS("consume"));
	rig_intent(&rig, RIG_TENANT_A, "entity.upsert", "Leat-Id: a1\r\nNats-Expected-Stream: LEAT_ENTITY\r\n", "{\"entity_typ\":1}");
	cr_assert(rig_wait_until(is_buried, NULL, 30));
	say_run(&rig, "list", 0, RIG_ARGS("dead", "list", "--tenant", RIG_TENANT_A, "--verb", "entity.upsert", "--code", "invalid_message"));
	say_expect(&rig, "list", RIG_TENANT_A "  entity.upsert  invalid_message  ");
	say_run(&rig, "show", 0, RIG_ARGS("dead", "show", "1"));
	say_expect(&rig, "show", "  Leat-Id: a1\n");
	say_expect(&rig, "show", "  Leat-Origin-Seq: 1\n");
	say_expect_not(&rig, "show", "Nats-Expected-Stream");
	say_expect(&rig, "show", "{\n  \"entity_typ\": 1\n}\n");
}
