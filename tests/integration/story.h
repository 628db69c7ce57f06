/*
 * Stories: generated streams of entity intents, and what has to come of them.
 *
 * A story is a function of its seed. It has all verbs and roles, few entities with the same ids in three tenants, few field names so that
 * writes collide, and Leat-Ids of which some come again. Each intent is there twice: as a message, and as the fold sees it.
 */
#ifndef LEAT_TESTS_STORY_H
#define LEAT_TESTS_STORY_H

#include "intents.h"
#include "leat/fold.h"

#define STORY_TARGETS 6 /* most of a bulk */
#define STORY_FIELDS 4  /* most that an intent writes to content, or to metadata, or locks */

/* splitmix64 */
struct chance {
	uint64_t state;
};

/* 0 to of - 1 */
size_t chance_of(struct chance *chance, size_t of);
bool chance_percent(struct chance *chance, unsigned percent);
void chance_shuffle(struct chance *chance, size_t *values, size_t count);

struct told {
	struct message message;
	struct leat_fold_intent fold;
	bool respects_locks;
	/* what the two are made of */
	struct leat_uuid targets[STORY_TARGETS];
	struct leat_fold_write writes[LEAT_FOLD_PARTS][STORY_FIELDS];
	char values[LEAT_FOLD_PARTS][STORY_FIELDS][64];
	char entity[LEAT_UUID_TEXT_BYTES];
	char leat_id[24];
	char type[8];
	char key[32];
	char body[2048];
};

struct story {
	uint64_t seed;
	struct told *intents; /* intents[i] has sequence i + 1 */
	size_t count;
};

#define STORY_ENTITIES 67

/* `entities` per tenant, at most STORY_ENTITIES. Free it. */
void story_tell(struct story *story, uint64_t seed, size_t count, size_t entities);
/* Of merges, after an upsert of each entity. */
void story_tell_merges(struct story *story, uint64_t seed, size_t count, size_t entities);
void story_free(struct story *story);

/* ---- how each intent ended: story_verdict.c. All positions are of epoch 0. ---- */

/* How the ledger says that an intent ended. */
struct verdict {
	enum leat_outcome outcome; /* APPLIED, DUPLICATE or REJECTED */
	char code[24];
	struct leat_uuid missing[STORY_TARGETS]; /* of a bulk that was applied */
	size_t missing_count;
	bool skipped[STORY_TARGETS][STORY_FIELDS]; /* by target, and by its write to content: left out, since the field was locked */
};

/* One per intent, in order; each must stand in the ledger once and nothing else in it, and nothing may be parked. */
void story_read_verdicts(struct leat_pg *pg, const struct story *story, struct verdict *verdicts);
/* What a program would decide that takes one after the other, duplicates and locks as well. */
void story_decide_serially(const struct story *story, struct verdict *verdicts);

void story_expect_same_verdicts(const struct story *story, const struct verdict *found, const struct verdict *expected);
/*
 * The duplicates being what they are: whatever the serial fold applies was applied; what was rejected, the serial fold rejects with the
 * same code; one Leat-Id was applied once, and every duplicate has one that was applied.
 */
void story_expect_no_needless_rejection(const struct story *story, const struct verdict *found);

/* An intent as it was decided about one of its targets: what the fold gets. It borrows from what it is made of. */
struct story_decided {
	struct leat_fold_intent fold;
	struct leat_fold_write content[STORY_FIELDS];
};
/* The target-th; false when it was missing. Fill `out` where it stays. */
bool story_as_decided(struct story_decided *out, const struct told *told, const struct verdict *verdict, size_t target);

/* ---- what came of it: story_check.c ---- */

/* Every entity is the fold of the intents that were applied, field by field with positions; and the serial fold without the duplicates. */
void story_expect_entities(struct leat_pg *pg, const struct story *story, const struct verdict *verdicts);
/* What must hold of positions whatever came. */
void story_expect_sound_rows(struct leat_pg *pg, const struct story *story);

#endif
