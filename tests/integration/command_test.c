/* The table of commands: help, and what it says to those who mistype. Settings themselves are tests/unit/param_test.c. */
#include "saying.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct rig rig;

static void setup(void)
{
	rig_open(&rig);
}

static void teardown(void)
{
	rig_close(&rig);
}

TestSuite(command, .init = setup, .fini = teardown);

Test(command, help_lists_every_command_and_each_has_its_own)
{
	static const char *const commands[] = {"up", "migrate", "consume", "publish", "status", "doctor", "explain", "dead", "help", "version"};
	say_run(&rig, "help", 0, RIG_ARGS("help"));
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
		char line[64];
		snprintf(line, sizeof line, "  leat %s ", commands[i]);
		say_expect(&rig, "help", line);
		char *by_word = say_output(&rig, "word", 0, RIG_ARGS("help", commands[i]));
		char *by_flag = say_output(&rig, "flag", 0, RIG_ARGS(commands[i], "--help"));
		snprintf(line, sizeof line, "leat %s", commands[i]);
		cr_expect_eq(strncmp(by_word, line, strlen(line)), 0);
		cr_expect_str_eq(by_word, by_flag);
		free(by_word);
		free(by_flag);
	}
}

Test(command, help_settings_is_the_table_of_settings)
{
	say_run(&rig, "help", 0, RIG_ARGS("help", "settings"));
	say_expect(&rig, "help", "| `--nats-url` | `LEAT_NATS_URL` |");
}

Test(command, help_nodes_is_the_table_of_node_types)
{
	say_run(&rig, "help", 0, RIG_ARGS("help", "nodes"));
	say_expect(&rig, "help", "| `collect` | | | waits for all items of the split above it; the array is the output |");
	say_expect(&rig, "help", "| | `ttl_s`? | whole number, 1 to 31536000 | seconds until it expires |");
}

Test(command, help_lanes_is_the_table_of_lanes)
{
	say_run(&rig, "help", 0, RIG_ARGS("help", "lanes"));
	say_expect(&rig, "help", "| `entity` | applies entity intents |");
}

Test(command, a_mistake_ends_with_2_and_the_nearest_that_there_is)
{
	static const struct {
		const char *arguments[5];
		const char *said;
	} mistakes[] = {
		{{"migrat", NULL}, "did you mean migrate?"},
		{{"xyzzy", NULL}, "see `leat help`"},
		{{"migrate", "--nats-ulr=x", NULL}, "did you mean --nats-url?"},
		{{"consume", "--lnes", "entity", NULL}, "did you mean --lanes?"},
		{{"dead", "list", "--limt", NULL}, "did you mean --limit?"},
		{{"dead", "list", "--limit=0", NULL}, "expected a whole number from 1 on"},
		{{"dead", "list", "--json=yes", NULL}, "--json has no value"},
		{{"dead", "list", "--code", NULL}, "--code needs a value"},
		{{"dead", "burn", NULL}, "expected list, show, redrive or discard, found burn"},
		{{"status", "now", NULL}, "don't know what to do with \"now\""},
		{{"status", "--watch", "5", "now", NULL}, "don't know what to do with \"now\""},
		{{"explain", "thing", "--tenant", "11111111-1111-4111-8111-111111111111", NULL}, "expected a UUID, or an entity's TYPE:KEY"},
		{{"explain", "note:1", NULL}, "--tenant is missing"},
		{{"status", "--watch=0", NULL}, "--watch: expected a whole number from 1 on, found \"0\""},
		{{"status", "--watch=90000", NULL}, "--watch: expected at most a day"},
		{{"consume", "--batch", "none", NULL}, "--batch: expected a whole number"},
		{{"consume", "--queue-group", "a b", NULL}, "--queue-group: expected 1 to 100 letters, digits, - and _, found \"a b\""},
		{{"status", "--queue-group=", NULL}, "--queue-group: expected"},
		{{"consume", "--lanes", "foo", NULL},
			"--lanes: expected one or some of entity,control,run,query,advance,relay,keep,embed, found \"foo\""},
		{{"consume", "--lanes", "", NULL},
			"--lanes: expected one or some of entity,control,run,query,advance,relay,keep,embed, found \"\""},
		{{"consume", "--lanes", "entity,,keep", NULL}, "found \"entity,,keep\""},
		{{"up", "--lanes", "foo", NULL}, "--lanes: expected"},
		{{"migrate", "--log-level", "loud", NULL}, "expected debug, info, warn or error"},
	};
	for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
		char name[16];
		snprintf(name, sizeof name, "%zu", i);
		say_run(&rig, name, 2, mistakes[i].arguments);
		say_expect_log(&rig, name, mistakes[i].said);
	}
	say_run(&rig, "nothing", 2, RIG_ARGS(NULL));
}
