/* Applying any part of a stream again changes no row and writes none. Another queue group's durable starts at the beginning: it does just
 * that. */
#include "load.h"
#include "story.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

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

TestSuite(reapply, .init = setup, .fini = teardown);

static int64_t store_story(uint64_t seed, size_t count)
{
	struct story story;
	struct load load = {0};
	story_tell(&story, seed, count, 30);
	for (size_t i = 0; i < count; i++) {
		const struct message *message = &story.intents[i].message;
		char verb[64];
		char id[64];
		snprintf(verb, sizeof verb, "entity.%s", message->verb);
		snprintf(id, sizeof id, "Leat-Id: %s\r\n", message->leat_id != NULL ? message->leat_id : "");
		load_add_intent(&load, message->tenant, verb, message->leat_id != NULL ? id : NULL, "%s", message->body);
	}
	load_add_intent(&load, RIG_TENANT_A, "entity.upsert", NULL, "no JSON at all");
	load_store(&rig, &load);
	int64_t stored = (int64_t)load.count;
	load_free(&load);
	story_free(&story);
	return stored;
}

/* A consumer, a story, and all of it settled; returns how many messages it has, and how many of them are dead letters. */
static int64_t consume_story(size_t count, int64_t *dead)
{
	load_start_consumer(&rig, "first", RIG_ARGS("--process-heartbeat-ms", "1000"));
	int64_t stored = store_story(rig_seed(), count);
	load_wait_settled(&rig, stored, 90);
	*dead = rig_sql_int(&rig, "select count(*) from leat.activity where outcome = 'rejected'");
	load_wait_dead(&rig, *dead, 30);
	return stored;
}

static void expect_untouched(const char *before, int64_t dead)
{
	char *after = load_snapshot(&rig);
	cr_assert_str_eq(after, before);
	free(after);
	cr_assert_eq(load_dead_count(&rig), dead);
}

static void wait_until_consumed(const char *group, int64_t messages)
{
	rig_sql_wait(&rig, 90, "t",
		"select coalesce(sum((lanes #>> '{entity,known}')::int), 0) >= %lld from leat.processes where queue_group = '%s'",
		(long long)messages, group);
}

Test(reapply, another_queue_group_changes_nothing)
{
	int64_t dead;
	int64_t stored = consume_story((size_t)rig_size(2000, 20000), &dead);
	char *before = load_snapshot(&rig);

	load_start_consumer(&rig, "other", RIG_ARGS("--queue-group", "other", "--process-heartbeat-ms", "1000"));
	wait_until_consumed("other", stored);
	expect_untouched(before, dead);
	free(before);
}

/* Cut into other batches than the first time, and looked at while it goes on. */
Test(reapply, small_batches_change_nothing)
{
	int64_t dead;
	int64_t stored = consume_story((size_t)rig_size(1000, 10000), &dead);
	char *before = load_snapshot(&rig);

	load_start_consumer(&rig, "small", RIG_ARGS("--queue-group", "small", "--batch", "7", "--process-heartbeat-ms", "1000"));
	wait_until_consumed("small", stored * 2 / 3);
	expect_untouched(before, dead);
	free(before);
}
