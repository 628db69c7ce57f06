/* `leat dead redrive`, `discard` and `list --count`, with a consumer at work: from the letter to the entity and back. */
#include "load.h"
#include "saying.h"

#include <criterion/criterion.h>
#include <inttypes.h>
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

TestSuite(redrive_command, .init = setup, .fini = teardown);

#define ID "\"entity_id\":\"eeeeeeee-0000-4000-8000-000000000001\""

/* What Postgres refuses for good, as a rule of somebody's would, until it is mended. */
static void refuse_bad_content(void)
{
	rig_sql(&rig, "alter table leat.entities add constraint no_bad check (not content ? 'bad')");
}

static void mend(void)
{
	rig_sql(&rig, "alter table leat.entities drop constraint no_bad");
}

static void expect_letters(const char *seqs)
{
	char *output = say_output(&rig, "letters", 0, RIG_ARGS("dead", "list", "--json", "--limit", "1000"));
	LEAT_BUF_SCOPED found = LEAT_BUF_INIT;
	for (const char *at = output; (at = strstr(at, "{\"seq\":")) != NULL; at++)
		leat_buf_printf(&found, "%s%ld", found.len > 0 ? " " : "", strtol(at + strlen("{\"seq\":"), NULL, 10));
	cr_expect_str_eq(leat_buf_text(&found), seqs);
	free(output);
}

/* An upsert, a merge that is refused, a later merge of the same field; the letter is 1. */
static void make_letter(void)
{
	load_start_consumer(&rig, "consumer", NULL);
	refuse_bad_content();
	rig_intent(&rig, RIG_TENANT_A, "entity.upsert", NULL, "{" ID ",\"entity_type\":\"t\",\"content\":{\"a\":1,\"b\":1}}");
	rig_intent(&rig, RIG_TENANT_A, "entity.merge", "Leat-Id: order-1\r\nLeat-Actor: ann\r\n", "{" ID ",\"content\":{\"a\":2,\"bad\":2}}");
	rig_intent(&rig, RIG_TENANT_A, "entity.merge", NULL, "{" ID ",\"content\":{\"a\":3}}");
	load_wait_settled(&rig, 3, 30);
	load_wait_dead(&rig, 1, 30);
	mend();
}

Test(redrive_command, a_letter_is_sent_again_below_what_came_later_and_is_gone)
{
	make_letter();
	say_run(&rig, "redrive", 0, RIG_ARGS("dead", "redrive", "1"));
	say_expect(&rig, "redrive", "1 sent again");
	load_wait_settled(&rig, 4, 30);
	rig_sql_expect(&rig, "{\"a\": 3, \"b\": 1, \"bad\": 2}", "select content from leat.entities");
	rig_sql_expect(&rig, "applied ann order-1 {\"origin_position\": 2}",
		"select concat_ws(' ', outcome, actor, leat_id, detail) from leat.activity where position = 4");
	expect_letters("");
	say_run(&rig, "again", 1, RIG_ARGS("dead", "redrive", "1"));
	say_expect_log(&rig, "again", "there is no dead letter 1");
}

Test(redrive_command, with_now_it_is_the_newest_write)
{
	make_letter();
	say_run(&rig, "redrive", 0, RIG_ARGS("dead", "redrive", "--now", "--code", "internal", "--since", "1h"));
	load_wait_settled(&rig, 4, 30);
	rig_sql_expect(&rig, "{\"a\": 2, \"b\": 1, \"bad\": 2}", "select content from leat.entities");
}

Test(redrive_command, what_is_rejected_again_comes_back_with_its_first_origin)
{
	make_letter();
	refuse_bad_content();
	say_run(&rig, "redrive", 0, RIG_ARGS("dead", "redrive", "--all"));
	load_wait_settled(&rig, 4, 30);
	load_wait_dead(&rig, 1, 30);
	expect_letters("2");
	say_run(&rig, "show", 0, RIG_ARGS("dead", "show", "2"));
	say_expect(&rig, "show", "  Leat-Origin-Subject: leat.intent." RIG_TENANT_A ".service.entity.merge\n");
	say_expect(&rig, "show", "  Leat-Origin-Seq: 2\n");
	say_expect(&rig, "show", "  Leat-Origin-Position: 2\n");
	rig_sql_expect(&rig, "rejected {\"origin_position\": 2}",
		"select concat_ws(' ', outcome, detail - 'message') from leat.activity where position = 4");
	say_expect(&rig, "show", "  leat dead redrive 2\n");
	mend();
	say_run(&rig, "redrive", 0, RIG_ARGS("dead", "redrive", "--verb", "entity.merge"));
	load_wait_settled(&rig, 5, 30);
	rig_sql_expect(&rig, "{\"a\": 3, \"b\": 1, \"bad\": 2}", "select content from leat.entities");
	expect_letters("");
}

/* As the relay would; no consumer runs. */
static void bury(const char *subject, const char *code, const char *more)
{
	LEAT_BUF_SCOPED headers = LEAT_BUF_INIT;
	leat_buf_printf(&headers, "Leat-Error-Code: %s\r\nLeat-Error: why\r\n%s", code, more);
	rig_publish(&rig, subject, leat_buf_text(&headers), "{}");
}

#define ORIGIN                                                                                                                             \
	"Leat-Origin-Subject: leat.intent." RIG_TENANT_A ".service.entity.merge\r\nLeat-Origin-Stream: LEAT_ENTITY\r\nLeat-Origin-Seq: 1\r\n"
#define MERGE_A "leat.dead." RIG_TENANT_A ".entity.merge"

/* The rows of the table of outcomes, in any number of spaces. */
static void expect_outcomes(const char *name, const char *expected)
{
	char *output = rig_output(&rig, name);
	LEAT_BUF_SCOPED found = LEAT_BUF_INIT;
	char *table = strstr(output, "OUTCOME");
	cr_assert_not_null(table, "%s", output);
	strtok(table, "\n"); /* the heads */
	for (char *line; (line = strtok(NULL, "\n")) != NULL;) {
		char words[3][32];
		cr_assert_eq(sscanf(line, "%31s %31s %31s", words[0], words[1], words[2]), 3, "%s", line);
		leat_buf_printf(&found, "%s %s %s\n", words[0], words[1], words[2]);
	}
	cr_expect_str_eq(leat_buf_text(&found), expected);
	free(output);
}

#define OTHER "\"entity_id\":\"eeeeeeee-0000-4000-8000-000000000002\""

Test(redrive_command, with_wait_the_outcomes_are_counted)
{
	make_letter();
	rig_intent(&rig, RIG_TENANT_A, "entity.merge", "Leat-Reply-To: leat.reply." RIG_TENANT_A ".nobody.1\r\n", "{" OTHER ",\"content\":{}}");
	rig_intent(&rig, RIG_TENANT_A, "entity.merge", NULL, "{" OTHER ",\"content\":{\"a\":1}}");
	load_wait_settled(&rig, 5, 30);
	load_wait_dead(&rig, 3, 30);
	say_run(&rig, "redrive", 1, RIG_ARGS("dead", "redrive", "--all", "--wait"));
	say_expect(&rig, "redrive", "3 sent again");
	expect_outcomes("redrive", "applied - 1\nrejected not_found 2\n");
	load_wait_dead(&rig, 2, 30);
	rig_intent(&rig, RIG_TENANT_A, "entity.upsert", NULL, "{" OTHER ",\"entity_type\":\"t\"}");
	say_run(&rig, "now", 0, RIG_ARGS("dead", "redrive", "--all", "--now", "--wait"));
	expect_outcomes("now", "applied - 2\n");
	expect_letters("");
}

Test(redrive_command, an_outcome_that_does_not_come_is_told)
{
	bury(MERGE_A, "internal", ORIGIN);
	say_run(&rig, "redrive", 1, RIG_ARGS("dead", "redrive", "--all", "--wait", "--publish-timeout-ms", "200"));
	say_expect(&rig, "redrive", "1 sent again");
	say_expect_log(&rig, "redrive", "1 sent again, but no outcome within");
	expect_letters("");
}

Test(redrive_command, many_go_in_the_order_of_their_messages)
{
	enum { MANY = 600 };
	struct load load = {0};
	load_start_consumer(&rig, "consumer", NULL);
	for (int i = 0; i < MANY; i++)
		load_add_intent(&load, RIG_TENANT_A, i == 0 ? "entity.upsert" : "entity.merge", NULL,
			"{" ID "%s,\"content\":{\"last\":%d,\"f%d\":%d}}", i == 0 ? ",\"entity_type\":\"t\",\"no\":1" : "", i, i % 7, i);
	load_store(&rig, &load); /* the upsert is invalid, and so nothing has its entity */
	load_wait_settled(&rig, MANY, 60);
	load_wait_dead(&rig, MANY, 60);
	rig_intent(&rig, RIG_TENANT_A, "entity.upsert", NULL, "{" ID ",\"entity_type\":\"t\",\"content\":{\"last\":\"newest\"}}");
	load_wait_settled(&rig, MANY + 1, 60);
	say_run(&rig, "redrive", 0, RIG_ARGS("dead", "redrive", "--code", "not_found", "--now"));
	say_expect(&rig, "redrive", "599 sent again");
	load_wait_settled(&rig, 2 * MANY, 60);
	rig_sql_expect(&rig, "599 593 599", "select concat_ws(' ', content ->> 'last', content ->> 'f5', content ->> 'f4') from leat.entities");
	load_wait_dead(&rig, 1, 30);
	load_free(&load);
}

Test(redrive_command, what_cannot_be_sent_again_is_named_and_stays)
{
	bury(MERGE_A, "too_large", ORIGIN "Leat-Body-Omitted: 9000000\r\n");
	bury("leat.dead.unroutable", "invalid_message", "Leat-Origin-Subject: leat.intent.nobody\r\n");
	bury(MERGE_A, "too_large", ORIGIN "Leat-Headers-Omitted: 90000\r\n");
	bury(MERGE_A, "internal", ORIGIN);
	say_run(&rig, "redrive", 1, RIG_ARGS("dead", "redrive", "--all"));
	say_expect(&rig, "redrive", "1 sent again");
	say_expect_log(&rig, "redrive", "letter 1 stays: its body was over the server's limit");
	say_expect_log(&rig, "redrive", "letter 2 stays: its subject does not say whose it was");
	say_expect_log(&rig, "redrive", "letter 3 stays: its headers were over the server's limit");
	expect_letters("1 2 3");
}

Test(redrive_command, a_resume_is_work_and_is_published_as_it_was)
{
	struct leat_stream_state work;
	struct leat_error err;
	bury("leat.dead." RIG_TENANT_A ".run.resume", "not_found",
		"Leat-Origin-Subject: leat.intent." RIG_TENANT_A ".engine.run.resume\r\nLeat-Origin-Stream: LEAT_WORK\r\nLeat-Origin-Seq: 5\r\n");
	say_run(&rig, "redrive", 0, RIG_ARGS("dead", "redrive", "--noun", "run"));
	cr_assert_eq(leat_stream_get_state(rig_bus(&rig), "LEAT_WORK", &work, &err), LEAT_OK, "%s", err.text);
	cr_expect_eq(work.messages, 1);
}

Test(redrive_command, discard_deletes_what_was_chosen_and_wants_a_yes)
{
	for (int i = 0; i < 3; i++)
		bury(i == 1 ? "leat.dead." RIG_TENANT_B ".entity.merge" : MERGE_A, i == 2 ? "internal" : "not_found", ORIGIN);
	say_run(&rig, "unasked", 2, RIG_ARGS("dead", "discard", "--all"));
	say_expect_log(&rig, "unasked", "say --yes");
	expect_letters("1 2 3");
	say_run(&rig, "tenant", 0, RIG_ARGS("dead", "discard", "--tenant", RIG_TENANT_B, "--yes"));
	say_expect(&rig, "tenant", "1 discarded\n");
	expect_letters("1 3");
	say_run(&rig, "one", 1, RIG_ARGS("dead", "discard", "3", "2", "--yes"));
	say_expect_log(&rig, "one", "there is no dead letter 2");
	expect_letters("1");
	say_run(&rig, "all", 0, RIG_ARGS("dead", "discard", "--all", "--yes"));
	expect_letters("");
}

Test(redrive_command, the_list_counts_codes)
{
	for (int i = 0; i < 5; i++)
		bury(MERGE_A, i < 3 ? "not_found" : i == 3 ? "internal" : "of_a_later_version", ORIGIN);
	say_run(&rig, "table", 0, RIG_ARGS("dead", "list", "--count"));
	say_expect(&rig, "table", "not_found      3  ");
	say_expect(&rig, "table", "other          1  ");
	say_run(&rig, "json", 0, RIG_ARGS("dead", "list", "--count", "--json", "--code", "internal"));
	say_expect(&rig, "json", "{\"code\":\"internal\",\"count\":1,\"oldest\":\"2");
	say_expect_not(&rig, "json", "not_found");
	say_run(&rig, "none", 0, RIG_ARGS("dead", "list", "--count", "--noun", "run"));
	say_expect(&rig, "none", "none of 5 dead letters matches\n");
	say_run(&rig, "later", 0, RIG_ARGS("dead", "list", "--since", "2100-01-01"));
	say_expect(&rig, "later", "none of 5 dead letters matches\n");
}

Test(redrive_command, which_ones_must_be_said_and_only_once)
{
	say_run(&rig, "none", 2, RIG_ARGS("dead", "redrive"));
	say_expect_log(&rig, "none", "which ones?");
	say_run(&rig, "both", 2, RIG_ARGS("dead", "redrive", "1", "--all"));
	say_run(&rig, "word", 2, RIG_ARGS("dead", "redrive", "newest"));
	say_run(&rig, "since", 2, RIG_ARGS("dead", "discard", "--since", "yesterday"));
	say_expect_log(&rig, "since", "--since: expected a time like 2026-11-22T10:00:00Z");
	say_run(&rig, "noun", 2, RIG_ARGS("dead", "list", "--noun", "entity.merge"));
	say_run(&rig, "twice", 2, RIG_ARGS("dead", "list", "--noun", "entity", "--verb", "entity.merge"));
}
