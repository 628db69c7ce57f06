/*
 * The control lane under load, with several consumers that are killed: every intent is decided once, and in the order of the stream, which
 * the versions of workflows show.
 */
#include "load.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORKFLOWS 20
#define SLICE 50 /* stored at once */
#define CONSUMERS 3

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

TestSuite(control_lane, .init = setup, .fini = teardown);

static const char *const impatient[] = {"--ack-wait-ms", "1000", "--idle-heartbeat-ms", "500", "--retry-limit-ms", "500", NULL};

/* Saves number from, from + 1, …; each bears its number as the workflow's name. */
static void store_saves(size_t from, size_t count)
{
	struct load load = {0};
	for (size_t number = from; number < from + count; number++)
		load_add_intent(&load, RIG_TENANT_A, "workflow.save", NULL,
			"{\"workflow_id\":\"aaaaaaaa-0000-4000-8000-%012zu\",\"action\":\"new\",\"name\":\"%zu\",\"definition\":{\"nodes\":[{\"id\":"
			"\"a\","
			"\"type\":\"http\",\"url\":\"http://example.com/\"}],\"edges\":[]}}",
			number * 7 % WORKFLOWS, number);
	load_store(&rig, &load);
	load_free(&load);
}

/* The k-th save of a workflow made version k, whoever applied it and when. */
static void expect_stream_order(void)
{
	rig_sql_expect(&rig, "",
		"select saves.target_id || ' ' || saves.position from ("
		" select a.target_id, a.position, a.detail, row_number() over (partition by a.target_id order by a.position) as version"
		" from leat.activity a where a.verb = 'save') saves"
		" left join leat.workflow_versions v on v.workflow_id = target_id and v.version = saves.version"
		" where (detail ->> 'version')::bigint is distinct from saves.version or v.name::bigint + 1 is distinct from saves.position"
		" limit 1");
	rig_sql_expect(&rig, "0", "select count(*) from leat.activity where outcome <> 'applied'");
	cr_expect_eq(load_dead_count(&rig), 0);
}

Test(control_lane, consumers_that_are_killed_keep_the_order_of_the_stream, .timeout = 600)
{
	const size_t slices = (size_t)rig_size(20, 400);
	struct leat_child *consumers[CONSUMERS];
	char names[CONSUMERS][16];
	for (size_t i = 0; i < CONSUMERS; i++) {
		snprintf(names[i], sizeof names[i], "c%zu", i + 1);
		consumers[i] = load_start_consumer(&rig, names[i], impatient);
	}
	for (size_t slice = 0; slice < slices; slice++) {
		store_saves(slice * SLICE, SLICE);
		if (slice % 4 != 3)
			continue;
		size_t victim = slice / 4 % CONSUMERS;
		leat_child_stop(consumers[victim], SIGKILL, 5000);
		consumers[victim] = load_start_consumer(&rig, names[victim], impatient);
	}
	load_wait_settled(&rig, (int64_t)(slices * SLICE), 120);
	expect_stream_order();
	for (size_t i = 0; i < CONSUMERS; i++)
		load_stop_consumer(consumers[i]);
}

Test(control_lane, a_second_queue_group_changes_nothing)
{
	struct leat_child *first = load_start_consumer(&rig, "c1", NULL);
	store_saves(0, 4 * SLICE);
	load_wait_settled(&rig, 4 * SLICE, 60);
	char *before = rig_sql_text(&rig, "select count(*) || ' ' || sum(xmin::text::bigint) from leat.workflow_versions");
	struct leat_child *second = load_start_consumer(&rig, "c2", (const char *const[]){"--queue-group", "other", NULL});
	rig_sql_wait(&rig, 30, "200", "select lanes -> 'control' ->> 'known' from leat.processes where queue_group = 'other'");
	rig_sql_expect(&rig, before, "select count(*) || ' ' || sum(xmin::text::bigint) from leat.workflow_versions");
	expect_stream_order();
	free(before);
	load_stop_consumer(first);
	load_stop_consumer(second);
}

static bool is_cut_to_ten(void *unused)
{
	(void)unused;
	struct leat_error err;
	struct leat_stream_state state;
	return leat_stream_get_state(rig_bus(&rig), "LEAT_CONTROL", &state, &err) == LEAT_OK && state.messages == 10;
}

/* Retention took the rest before any consumer ran. */
Test(control_lane, a_stream_that_does_not_begin_at_1_is_applied_from_where_it_begins)
{
	static const char keep[] = "{\"keep\":10}";
	struct leat_error err;
	store_saves(0, SLICE);
	cr_assert_eq(
		leat_bus_publish(rig_bus(&rig), "$JS.API.STREAM.PURGE.LEAT_CONTROL", NULL, keep, strlen(keep), &err), LEAT_OK, "%s", err.text);
	cr_assert(rig_wait_until(is_cut_to_ten, NULL, 10));
	struct leat_child *consumer = load_start_consumer(&rig, "c1", NULL);
	load_wait_settled(&rig, 10, 60);
	rig_sql_expect(&rig, "41", "select min(position) from leat.activity");
	store_saves(SLICE, SLICE);
	load_wait_settled(&rig, 10 + SLICE, 60);
	load_stop_consumer(consumer);
}
