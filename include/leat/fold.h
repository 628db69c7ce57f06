/*
 * What an entity is, given the intents that count: the definition of design.md section 4, as a pure function of a set and as a fold.
 *
 * This is the specification, kept so simple that it can be checked by reading. The SQL in sql/functions must give the same state for
 * the intents that the ledger calls applied. No I/O, no shared state, any thread.
 *
 * Two independent readings of the same thing, which the tests hold against each other:
 *   leat_fold_set     looks at all intents at once; their order is of no consequence
 *   leat_fold_apply   takes them one by one in order of position, like a program without concurrency, and says how each ends
 */
#ifndef LEAT_FOLD_H
#define LEAT_FOLD_H

#include "leat/uuid.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum leat_fold_verb {
	LEAT_FOLD_UPSERT,
	LEAT_FOLD_MERGE,
	LEAT_FOLD_BULK,
	LEAT_FOLD_UNSET,
	LEAT_FOLD_LOCK,
	LEAT_FOLD_UNLOCK,
	LEAT_FOLD_DELETE,
};
/* A field of the locks is the name of a locked field of the content; its value says nothing. */
enum leat_fold_part { LEAT_FOLD_CONTENT, LEAT_FOLD_METADATA, LEAT_FOLD_LOCKS, LEAT_FOLD_PARTS };

/* ---- in: intents ---- */

struct leat_fold_write {
	const char *name;
	const char *value; /* JSON text, as it was sent; NULL: the field is removed */
};

/*
 * Everything in it is borrowed, and must live as long as what was made of it.
 *
 * Which fields a write that respects locks skipped was decided when it was applied, and stands in the ledger: they must not be among its
 * writes here. A bulk that skipped more in one target than in another goes in as several intents of its position, each target in one.
 */
struct leat_fold_intent {
	int64_t position; /* above 0; no two intents about an entity have the same */
	enum leat_fold_verb verb;
	struct leat_uuid tenant;
	const struct leat_uuid *targets; /* each once; several only in a bulk */
	size_t target_count;
	const char *entity_type; /* of an upsert */
	const char *key;         /* of an upsert that named its target by key; NULL otherwise */
	struct {
		const struct leat_fold_write *writes; /* an unset and an unlock remove, the others don't */
		size_t count;
	} parts[LEAT_FOLD_PARTS];
};

/* ---- out: an entity ---- */

struct leat_fold_field {
	const char *name;
	const char *value; /* borrowed from the intent that wrote it */
	int64_t position;  /* of that intent */
};

struct leat_fold_fields {
	struct leat_fold_field *fields; /* by name, compared as bytes */
	size_t count;
};

struct leat_fold_state {
	bool exists;
	bool deleted;                                   /* there are upserts, and a delete above all of them */
	int64_t deleted_position;                       /* D: the highest delete; 0 for none */
	int64_t exists_since;                           /* C: the lowest upsert above D; 0 when it does not exist */
	const char *entity_type;                        /* of the highest upsert, NULL when there is none; borrowed */
	const char *key;                                /* of any upsert that has one, NULL when none has; borrowed */
	struct leat_fold_fields parts[LEAT_FOLD_PARTS]; /* nothing in them when it does not exist */
};

#define LEAT_FOLD_STATE_SCOPED __attribute__((cleanup(leat_fold_state_fini))) struct leat_fold_state
void leat_fold_state_fini(struct leat_fold_state *state);

/*
 * The state of one entity as a function of a set of intents; those of other entities are passed over. The set is that of the intents that
 * the ledger says are applied. A target that a bulk did not find must not be among its targets here. Finish *out.
 */
void leat_fold_set(struct leat_fold_state *out, const struct leat_uuid *tenant, const struct leat_uuid *entity,
	const struct leat_fold_intent *intents, size_t count);

/* ---- the serial fold ---- */

struct leat_fold;

enum leat_fold_outcome { LEAT_FOLD_APPLIED, LEAT_FOLD_NOT_FOUND, LEAT_FOLD_DELETED };

struct leat_fold *leat_fold_new(void) __attribute__((malloc, returns_nonnull));
void leat_fold_free(struct leat_fold *fold);

/*
 * The next intent; its position must not be below those before. A bulk is applied when one of its targets exists, and not found otherwise.
 * `missing`: room for target_count; gets the targets that don't exist, in the order of `targets`; *missing_count of them.
 */
enum leat_fold_outcome leat_fold_apply(
	struct leat_fold *fold, const struct leat_fold_intent *intent, struct leat_uuid *missing, size_t *missing_count);

/* NULL for an entity that was never created. Borrowed until the next leat_fold_apply. */
const struct leat_fold_state *leat_fold_get(const struct leat_fold *fold, const struct leat_uuid *tenant, const struct leat_uuid *entity);

/* "upsert", "applied", "not_found", …: as on the wire and in the ledger. Static. */
const char *leat_fold_verb_name(enum leat_fold_verb verb);
const char *leat_fold_outcome_name(enum leat_fold_outcome outcome);

#endif
