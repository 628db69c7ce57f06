/*
 * Streams that are not what they were: deleted and made again, or cut back as after a power loss. New messages bear sequences that the
 * ledger knows; all of them are applied, and what was applied before stays.
 */
#include "load.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>

#define ENTITIES 50
#define CUT 100 /* messages */

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

TestSuite(epoch, .init = setup, .fini = teardown);

static const char *const impatient[] = {"--ack-wait-ms", "1000", "--idle-heartbeat-ms", "500", "--retry-limit-ms", "500", NULL};

/* Every entity has the last value that load_store_merges gave it. */
static void expect_merged(const char *field, size_t count)
{
	rig_sql_expect(&rig, "",
		"select id || ': ' || content from leat.entities"
		" where (content ->> '%s')::int is distinct from ('x' || right(id::text, 8))::bit(32)::int + %zu limit 1",
		field, count - ENTITIES);
}

static void expect_all_applied(void)
{
	cr_assert_eq(rig_sql_int(&rig, "select count(*) from leat.activity where outcome <> 'applied'"), 0);
	cr_assert_eq(load_dead_count(&rig), 0);
}

/* ---- deleted and made again ---- */

static void make_stream_again(void)
{
	rig_delete_stream(&rig, "LEAT_ENTITY");
	rig_migrate(&rig);
}

static void recreate_with(size_t consumers)
{
	static const char *const names[] = {"first", "second"};
	for (size_t i = 0; i < consumers; i++)
		load_start_consumer(&rig, names[i], impatient);
	load_store_entities(&rig, RIG_TENANT_A, ENTITIES);
	load_store_merges(&rig, "before", 200, ENTITIES);
	load_wait_settled(&rig, ENTITIES + 200, 60);
	make_stream_again();
	load_store_merges(&rig, "after", 300, ENTITIES);
	load_wait_settled(&rig, ENTITIES + 200 + 300, 60);
	expect_all_applied();
	expect_merged("before", 200);
	expect_merged("after", 300);
	cr_assert_eq(rig_sql_int(&rig, "select max(epoch) from leat.stream_epochs where stream = 'LEAT_ENTITY'"), 1);
}

Test(epoch, a_stream_made_again_begins_a_new_epoch)
{
	recreate_with(1);
}

Test(epoch, two_consumers_agree_on_the_epoch_of_a_stream_made_again)
{
	recreate_with(2);
}

Test(epoch, a_stream_made_again_while_no_consumer_runs_begins_a_new_epoch)
{
	struct leat_child *first = load_start_consumer(&rig, "first", impatient);
	load_store_entities(&rig, RIG_TENANT_A, ENTITIES);
	load_store_merges(&rig, "before", 200, ENTITIES);
	load_wait_settled(&rig, ENTITIES + 200, 60);
	load_stop_consumer(first);
	make_stream_again();
	load_store_merges(&rig, "after", 300, ENTITIES);
	load_start_consumer(&rig, "first", impatient);
	load_wait_settled(&rig, ENTITIES + 200 + 300, 60);
	expect_all_applied();
	expect_merged("before", 200);
	expect_merged("after", 300);
}

/* ---- cut back ---- */

static void copy(const char *from, const char *to)
{
	struct leat_child child;
	struct leat_error err;
	int status = 0;
	const char *argv[] = {"/bin/sh", "-c", "rm -rf \"$2\" && cp -a \"$1\" \"$2\"", "sh", from, to, NULL};
	struct leat_child_spec spec = {.argv = argv, .death_signal = SIGKILL};
	cr_assert_eq(leat_child_start(&child, &spec, &err), LEAT_OK, "%s", err.text);
	cr_assert(leat_child_wait(&child, 60000, &status));
	cr_assert_eq(status, 0);
}

static void restart_nats(void)
{
	struct leat_error err;
	cr_assert_eq(leat_server_restart(&rig.nats, &err), LEAT_OK, "%s", err.text);
}

static bool connected(void *unused)
{
	(void)unused;
	return leat_bus_connected(rig_bus(&rig));
}

/* What of the store comes back: all of it, or the messages alone, so that the durable is ahead of them. */
enum part { ALL, MESSAGES };

/*
 * The server comes back with the store that it had before the last CUT messages, which were applied; then `after` messages are stored, some
 * with sequences that were used before.
 */
static void cut_with(size_t consumers, bool stopped, enum part part, size_t after)
{
	static const char *const names[] = {"first", "second"};
	struct leat_child *children[2];
	char kept[PATH_MAX + 64];
	char folder[PATH_MAX + 64];
	snprintf(kept, sizeof kept, "%s.kept", rig.nats.data);
	snprintf(folder, sizeof folder, "%s%s", rig.nats.data, part == ALL ? "" : "/jetstream/$G/streams/LEAT_ENTITY/msgs");
	for (size_t i = 0; i < consumers; i++)
		children[i] = load_start_consumer(&rig, names[i], impatient);
	load_store_entities(&rig, RIG_TENANT_A, ENTITIES);
	load_store_merges(&rig, "before", 200, ENTITIES);
	load_wait_settled(&rig, ENTITIES + 200, 60);

	leat_server_stop(&rig.nats);
	copy(folder, kept);
	restart_nats();
	cr_assert(rig_wait_until(connected, NULL, 30));
	load_store_merges(&rig, "lost", CUT, ENTITIES);
	load_wait_settled(&rig, ENTITIES + 200 + CUT, 60);
	for (size_t i = 0; i < consumers && stopped; i++)
		load_stop_consumer(children[i]);

	if (part == ALL)
		leat_server_kill(&rig.nats);
	else
		leat_server_stop(&rig.nats); /* the durable's state is on disk */
	copy(kept, folder);
	restart_nats();
	cr_assert(rig_wait_until(connected, NULL, 30));
	load_store_merges(&rig, "after", after, ENTITIES);
	for (size_t i = 0; i < consumers && stopped; i++)
		load_start_consumer(&rig, names[i], impatient);
	load_wait_settled(&rig, (int64_t)(ENTITIES + 200 + CUT + after), 60);
	expect_all_applied();
	expect_merged("before", 200);
	expect_merged("lost", CUT);
	expect_merged("after", after);
	cr_assert_eq(rig_sql_int(&rig, "select max(epoch) from leat.stream_epochs where stream = 'LEAT_ENTITY'"), 1);
}

Test(epoch, a_stream_cut_back_begins_a_new_epoch)
{
	cut_with(1, false, ALL, 2 * CUT);
}

Test(epoch, two_consumers_agree_on_the_epoch_of_a_stream_cut_back)
{
	cut_with(2, false, ALL, 2 * CUT);
}

Test(epoch, a_stream_cut_back_while_no_consumer_runs_begins_a_new_epoch)
{
	cut_with(1, true, ALL, 2 * CUT);
}

Test(epoch, a_durable_ahead_of_a_stream_cut_back_passes_nothing_over)
{
	cut_with(1, true, MESSAGES, 2 * CUT);
}

Test(epoch, two_consumers_agree_on_a_durable_ahead_of_a_stream_cut_back)
{
	cut_with(2, false, MESSAGES, 2 * CUT);
}
