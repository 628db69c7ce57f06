/*
 * What locks guarantee, under everything at once: several consumers of which one after the other is killed, lockers that lock, unlock and
 * write the same entities. No write that was published after a lock's outcome was heard may count on the locked field (each locker judges
 * that, locker.h), and in the end every entity is the fold under the ledger's decisions.
 */
#include "load.h"
#include "locker.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

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

TestSuite(lock_race, .init = setup, .fini = teardown);

/* ---- consumers ---- */

static struct leat_child *consumers[CONSUMERS];

static void start_consumer(size_t number)
{
	char name[16];
	snprintf(name, sizeof name, "consumer-%zu", number);
	consumers[number] =
		load_start_consumer(&rig, name, RIG_ARGS("--ack-wait-ms", "1000", "--floor-check-ms", "50", "--retry-limit-ms", "200"));
}

struct progress {
	const struct locker *lockers;
	size_t steps; /* of all of them */
};

static bool has_come_so_far(void *argument)
{
	const struct progress *wanted = argument;
	size_t done = 0;
	for (size_t i = 0; i < LOCKERS; i++)
		done += wanted->lockers[i].done;
	return done >= wanted->steps;
}

/* ---- the race ---- */

static void store_kept_entities(struct told *kept)
{
	load_store_entities(&rig, RIG_TENANT_A, KEPT);
	for (size_t i = 0; i < KEPT; i++) {
		char id[37];
		kept[i] = (struct told){.message = {.seq = (int64_t)i + 1, .verb = "upsert"}};
		kept[i].fold = (struct leat_fold_intent){
			.position = (int64_t)i + 1, .verb = LEAT_FOLD_UPSERT, .targets = kept[i].targets, .target_count = 1, .entity_type = "thing"};
		load_entity(id, i);
		cr_assert(leat_uuid_parse(&kept[i].targets[0], id, 36) && leat_uuid_parse(&kept[i].fold.tenant, RIG_TENANT_A, 36));
	}
	load_wait_settled(&rig, KEPT, 30);
}

static void race(struct locker *lockers, struct lock_table *table, uint64_t seed, size_t steps, size_t kills)
{
	for (size_t i = 0; i < LOCKERS; i++)
		locker_start(&lockers[i], i, rig.nats.url, table, seed, steps);
	for (size_t kill = 0; kill < kills; kill++) {
		struct progress progress = {lockers, LOCKERS * steps * (kill + 1) / (kills + 1)};
		cr_assert(rig_wait_until(has_come_so_far, &progress, 300), "LEAT_SEED=%" PRIu64 ": the lockers are stuck", seed);
		leat_child_stop(consumers[kill % CONSUMERS], SIGKILL, 10000);
		start_consumer(kill % CONSUMERS);
	}
	size_t judged = 0;
	for (size_t i = 0; i < LOCKERS; i++) {
		locker_join(&lockers[i]);
		cr_assert_str_empty(lockers[i].failure, "LEAT_SEED=%" PRIu64 ": %s", seed, lockers[i].failure);
		judged += lockers[i].judged;
	}
	cr_assert_gt(judged, steps * LOCKERS / 20, "only %zu writes met a lock all the time", judged);
}

/* ---- what came of it ---- */

/* All that was published, as the stream has it. */
static void collect(struct story *out, uint64_t seed, const struct told *kept, const struct locker *lockers)
{
	*out = (struct story){.seed = seed, .count = KEPT};
	for (size_t i = 0; i < LOCKERS; i++)
		out->count += lockers[i].count;
	out->intents = leat_alloc_zero(out->count, sizeof *out->intents);
	for (size_t i = 0; i < KEPT; i++)
		out->intents[i] = kept[i];
	for (size_t i = 0; i < LOCKERS; i++)
		for (size_t n = 0; n < lockers[i].count; n++) {
			size_t at = (size_t)lockers[i].intents[n].fold.position - 1;
			cr_assert(at < out->count && out->intents[at].fold.position == 0, "position %zu is there twice, or too high", at + 1);
			out->intents[at] = lockers[i].intents[n];
		}
}

static void expect_fold(const struct story *story)
{
	struct leat_error err;
	struct leat_pg *pg = NULL;
	struct verdict *verdicts = leat_alloc(story->count * sizeof *verdicts);
	load_wait_settled(&rig, (int64_t)story->count, 60);
	cr_assert_eq(leat_pg_open(&pg, rig.database_url, "test", NULL, NULL, 0, &err), LEAT_OK, "%s", err.text);
	story_read_verdicts(pg, story, verdicts);
	story_expect_no_needless_rejection(story, verdicts);
	story_expect_entities(pg, story, verdicts);
	story_expect_sound_rows(pg, story);
	leat_pg_close(pg);
	free(verdicts);
}

static void expect_locked_as_known(const struct lock_table *table)
{
	for (size_t entity = 0; entity < KEPT; entity++)
		for (size_t owner = 0; owner < LOCKERS; owner++) {
			const struct lock_known *known = &table->known[entity][owner];
			char expected[40];
			char id[37];
			load_entity(id, entity);
			snprintf(expected, sizeof expected, "t %" PRId64, known->value);
			if (known->locked)
				rig_sql_expect(&rig, expected,
					"select concat_ws(' ', '%s' = any (locked_fields), coalesce(content ->> '%s', '-1')) from leat.entities"
					" where id = '%s'",
					locker_field(owner), locker_field(owner), id);
		}
}

Test(lock_race, nothing_published_after_a_locks_outcome_overwrites_the_field)
{
	static struct lock_table table = {.mutex = PTHREAD_MUTEX_INITIALIZER};
	static struct locker lockers[LOCKERS];
	static struct told kept[KEPT];
	struct story story;
	uint64_t seed = rig_seed();
	for (size_t i = 0; i < CONSUMERS; i++)
		start_consumer(i);
	store_kept_entities(kept);
	race(lockers, &table, seed, (size_t)rig_size(300, 5000), (size_t)rig_size(4, 40));
	collect(&story, seed, kept, lockers);
	expect_fold(&story);
	expect_locked_as_known(&table);
	story_free(&story);
	for (size_t i = 0; i < LOCKERS; i++)
		free(lockers[i].intents);
}
