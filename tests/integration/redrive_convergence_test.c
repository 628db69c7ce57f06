/*
 * Promise 1 with redrives mixed in: a random part of a story is refused at first, and then sent again, in any order, in any batches,
 * together with messages that are late, while the floor moves on. Once all that is rejected was sent again in the order of the stream, the
 * entities must be what the serial fold makes of the story as if nothing had ever been refused.
 */
#include "redriving.h"
#include "story.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdlib.h>

static struct rig rig;

static void setup(void)
{
	rig_open(&rig);
	install_schema(&rig);
}

static void teardown(void)
{
	rig_close(&rig);
}

TestSuite(redrive_convergence, .init = setup, .fini = teardown);

/* One story on its way: what comes next has the highest sequence so far, or is one of those that are late. */
struct journey {
	struct gate *gate;
	const struct story *story;
	struct chance chance;
	int64_t last_seq; /* of the stream */
	size_t *late;     /* indexes of intents that no consumer has settled yet */
	size_t late_count;
};

static int by_sequence(const void *a, const void *b)
{
	const struct message *left = *(const struct message *const *)a;
	const struct message *right = *(const struct message *const *)b;
	return left->seq < right->seq ? -1 : left->seq > right->seq;
}

/* A batch of redrives of these intents, with a few that are late. */
static void apply(struct journey *journey, const size_t *again, size_t count)
{
	struct message messages[64];
	const struct message *batch[64];
	struct answer answers[64];
	struct leat_error err;
	size_t filled = 0;
	for (size_t i = 0; i < count; i++)
		messages[filled++] = redrive(++journey->last_seq, journey->story->intents[again[i]].message);
	while (journey->late_count > 0 && filled < 40 && chance_percent(&journey->chance, 50))
		messages[filled++] = journey->story->intents[journey->late[--journey->late_count]].message;
	for (size_t i = 0; i < filled; i++)
		batch[i] = &messages[i];
	qsort(batch, filled, sizeof *batch, by_sequence);
	if (filled > 0)
		cr_assert_eq(
			gate_apply(journey->gate, batch, filled, answers, &err), LEAT_OK, "LEAT_SEED=%" PRIu64 ": %s", journey->story->seed, err.text);
}

/* All below the first that is late is settled. */
static void move_floor(struct journey *journey)
{
	int64_t floor = journey->last_seq;
	for (size_t i = 0; i < journey->late_count; i++)
		floor = floor > (int64_t)journey->late[i] ? (int64_t)journey->late[i] : floor;
	gate_decide_all(journey->gate, 0, floor);
}

/* Some are refused, some held back. */
static void tell_first(struct journey *journey)
{
	const struct story *story = journey->story;
	for (size_t i = 0; i < story->count; i++) {
		struct message message = story->intents[i].message;
		if (chance_percent(&journey->chance, 15)) {
			journey->late[journey->late_count++] = i;
			continue;
		}
		put(journey->gate, chance_percent(&journey->chance, 30) ? refused(message) : message);
		if (chance_percent(&journey->chance, 10))
			move_floor(journey);
	}
	chance_shuffle(&journey->chance, journey->late, journey->late_count);
	journey->last_seq = (int64_t)story->count;
}

/* The intents that are rejected and were not applied since, in the order of the stream. */
static size_t list_rejected(struct leat_pg *pg, size_t *out)
{
	static const char sql[] =
		"select a.position - 1 from leat.activity a where a.outcome = 'rejected' and not a.detail ? 'origin_position' and not exists ("
		" select from leat.activity b where b.detail ->> 'origin_position' = a.position::text and b.outcome <> 'rejected') order by 1";
	LEAT_PG_RESULT_SCOPED *result = NULL;
	struct leat_error err;
	cr_assert_eq(leat_pg_run_sql(pg, sql, &result, &err), LEAT_OK, "%s", err.text);
	for (size_t i = 0; i < leat_pg_rows(result); i++)
		out[i] = (size_t)leat_pg_int8(result, i, 0);
	return leat_pg_rows(result);
}

/* Sends what is rejected again, each once. */
static void redrive_all(struct journey *journey, bool shuffled)
{
	size_t *rejected = leat_alloc(journey->story->count * sizeof *rejected);
	size_t count = list_rejected(journey->gate->pg, rejected);
	if (shuffled)
		chance_shuffle(&journey->chance, rejected, count);
	for (size_t from = 0, most; from < count; from += most) {
		most = 1 + chance_of(&journey->chance, shuffled ? 20 : 1);
		most = most < count - from ? most : count - from;
		apply(journey, rejected + from, most);
		if (!shuffled || chance_percent(&journey->chance, 30))
			move_floor(journey);
	}
	free(rejected);
}

/* The ledger as if each intent had ended at its place as its last redrive did. */
static void forget_redrives(struct gate *gate)
{
	static const char sql[] =
		"with last as (select distinct on (detail ->> 'origin_position') position, outcome, code, detail, leat_id from leat.activity"
		"  where detail ? 'origin_position' order by detail ->> 'origin_position', outcome = 'applied' desc, outcome, position desc),"
		" gone as (delete from leat.activity where detail ? 'origin_position')"
		" update leat.activity a set outcome = last.outcome, code = last.code, detail = last.detail from last"
		" where a.position = (last.detail ->> 'origin_position')::bigint";
	LEAT_PG_RESULT_SCOPED *result = NULL;
	struct leat_error err;
	cr_assert_eq(leat_pg_run_sql(gate->pg, sql, &result, &err), LEAT_OK, "%s", err.text);
}

static void run(struct gate *gate, uint64_t seed)
{
	struct story story;
	struct journey journey = {.gate = gate, .story = &story, .chance = {seed}};
	story_tell(&story, seed, 60 + seed % 60, 1 + seed % 6);
	journey.late = leat_alloc(story.count * sizeof *journey.late);
	struct verdict *verdicts = leat_alloc(story.count * sizeof *verdicts);
	tell_first(&journey);
	for (size_t rounds = chance_of(&journey.chance, 3); rounds > 0; rounds--)
		redrive_all(&journey, true);
	while (journey.late_count > 0)
		apply(&journey, NULL, 0);
	move_floor(&journey);
	redrive_all(&journey, false);
	forget_redrives(gate);
	story_read_verdicts(gate->pg, &story, verdicts);
	story_expect_entities(gate->pg, &story, verdicts);
	story_expect_sound_rows(gate->pg, &story);
	free(verdicts);
	free(journey.late);
	story_free(&story);
}

Test(redrive_convergence, any_order_of_redrives_gives_the_fold_of_the_whole_story)
{
	struct gate gate;
	gate_open(&gate, &rig);
	uint64_t first = rig_seed();
	for (int64_t i = 0; i < rig_size(6, 2000); i++) {
		rig_sql(&rig,
			"truncate leat.entities, leat.activity, leat.message_ids, leat.parked, leat.outbox, leat.audit_log, leat.stream_floors,"
			" leat.stream_epochs");
		run(&gate, first + (uint64_t)i);
	}
	gate_close(&gate);
}
