/*
 * The inside of `leat verify`: what its folds are given, what they say, and the table that they stand in.
 *
 * One verification is one snapshot of the database and one or more passes. In a pass every fold is opened, fed the facts of its streams
 * (LEAT_CONTROL whole, then LEAT_ENTITY, then LEAT_RUN; each stream in order of position), asked to compare what it has with the tables of
 * the snapshot, and closed. A pass is about the ids of verify_in_pass alone: when the folds together outgrow their memory, the pass is
 * split in two while it runs, and each fold drops what is not in it any more.
 *
 * A fold knows nothing of the lanes and of the SQL functions: it takes decisions from the ledger, and values from the messages. All of it
 * belongs to one thread.
 */
#ifndef LEAT_LIB_VERIFY_H
#define LEAT_LIB_VERIFY_H

#include "leat/buf.h"
#include "leat/error.h"
#include "leat/intent.h"
#include "leat/json.h"
#include "leat/pg.h"
#include "leat/uuid.h"
#include "leat/verify.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- facts ---- */

enum verify_stream { VERIFY_CONTROL, VERIFY_ENTITY, VERIFY_RUN, VERIFY_STREAMS };
const char *verify_stream_name(enum verify_stream stream); /* "LEAT_ENTITY" */

/*
 * A message of the stream that the ledger of the snapshot calls applied, and what else it says of it. Duplicates and rejected ones are no
 * facts, since they change nothing, nor are those that the snapshot's ledger does not know (above the cut, parked). Everything is borrowed,
 * until the feed returns.
 */
struct verify_fact {
	enum verify_stream stream;
	int64_t position;
	int64_t write_position; /* of what it writes: the origin's for a redrive, else `position` */
	int64_t at_us;          /* the message's time, microseconds since 1970, as Postgres keeps it */
	const struct leat_intent *intent;
	const char *body; /* what `intent` was decoded from: JSON text that leat_json_walk may walk */
	size_t body_bytes;
	struct leat_json detail; /* what the ledger adds, an object; LEAT_JSON_NONE for nothing. Never of a hole */
	/*
	 * Below the floor, and yet the ledger does not know it. It has been reported; a fold takes it for applied, so that what it wrote is not
	 * reported once more, and does not report a difference that has its position.
	 */
	bool hole;
};

/* ---- findings ---- */

/* All borrowed until verify_report returns. Values are JSON text, or plain text where the column is no JSON; NULL: there is none. */
struct verify_finding {
	enum leat_verify_kind kind;
	enum verify_stream stream;
	const char *noun;               /* "entity", "workflow", "member", "interaction", "run", "ledger", "message_id" */
	const struct leat_uuid *tenant; /* NULL: not known */
	const char *id;
	const char *field;       /* as in "content.name", "node_states.fetch.output", "status"; NULL: the row as a whole */
	const char *found;       /* in the database */
	const char *expected;    /* by the fold */
	int64_t position;        /* that should have won; 0: none */
	const char *explanation; /* what else there is to say, a phrase; NULL for nothing */
};

struct verify;

void verify_report(struct verify *v, const struct verify_finding *finding);
/* Why what was found equal may not be: "LEAT_RUN: 1..20 are gone from the stream". The verdict is at best "could not tell". */
void verify_doubt(struct verify *v, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- folds ---- */

struct verify_fold {
	const char *noun;                                        /* what it is called in the summary, "entities" */
	unsigned streams;                                        /* bits: 1u << enum verify_stream */
	void *(*open)(struct verify *v, struct leat_error *err); /* NULL: *err says why */
	/*
	 * Takes a row of the baseline, before the first fact: it is what came of all facts up to the row's own position. True also for what is
	 * another fold's, or not of the pass; false: it can't be read. NULL: none of its rows stand there.
	 */
	bool (*load)(void *fold, const char *noun, const json_t *row);
	void (*feed)(void *fold, const struct verify_fact *fact);
	/* Drops what verify_in_pass says no of from now on. */
	void (*narrow)(void *fold);
	/* About how much is allocated. Cheap: called every few thousand facts. */
	size_t (*bytes)(const void *fold);
	/* Reads the tables of v's snapshot, reports, and says by verify_count how many rows it compared. */
	enum leat_kind (*compare)(void *fold, struct leat_error *err);
	void (*close)(void *fold);
};

extern const struct verify_fold verify_entities;
extern const struct verify_fold verify_workflows;
extern const struct verify_fold verify_members;
extern const struct verify_fold verify_interactions;
extern const struct verify_fold verify_runs;
extern const struct verify_fold verify_message_ids;

/*
 * Whether something with that id is the business of this pass, and of the sample. The same in SQL, for where clauses, of a uuid column:
 * verify_pass_sql appends a condition on it, " and (…)", "" when everything is.
 */
bool verify_in_pass(const struct verify *v, const struct leat_uuid *id);
void verify_pass_sql(const struct verify *v, struct leat_buf *sql, const char *column);

/* The connection with the snapshot open, read only. Tables may be large: read them in pages by key. */
struct leat_pg *verify_pg(const struct verify *v);
void verify_count(struct verify *v, const struct verify_fold *fold, uint64_t rows);
/*
 * What a fold can't know, since the message is gone from the stream: a position that no fact of this pass had, although it was settled, or
 * may have been. verify_knows_all: there is none. What rests on a lost position is no finding; verify_count_unknown counts the rows. A row
 * may still be found different by what is known of it. Meaningful once the stream has been fed.
 */
bool verify_knows_all(const struct verify *v, enum verify_stream stream);
bool verify_is_lost(const struct verify *v, enum verify_stream stream, int64_t position);
/* Whether the fact of that position was a hole. */
bool verify_is_hole(const struct verify *v, enum verify_stream stream, int64_t position);
void verify_count_unknown(struct verify *v, const struct verify_fold *fold, uint64_t rows);

/* ---- values ---- */

/* Whether two JSON texts are the same jsonb: members in any order, numbers by value and never rounded, strings by what they say. */
bool verify_json_equal(const char *a, size_t a_bytes, const char *b, size_t b_bytes);
/* Appends the one text that all equal ones have in common. */
void verify_json_canonical(struct leat_buf *out, const char *json, size_t bytes);
/* What stands for a value in a baseline: a UUID of the canonical text. */
void verify_json_hash(char out[LEAT_UUID_TEXT_BYTES], const char *json, size_t bytes);
/* A value of a fold's: JSON text or, from a baseline, its hash; NULL: null. */
struct verify_value {
	char *text;
	bool hashed;
};
/* A value of a checked text, as leat_json_walk takes it. */
struct leat_json verify_json(const char *text, size_t bytes);
/* The member of that name, or LEAT_JSON_NONE. */
struct leat_json verify_json_member(const struct leat_json *object, const char *name);

#endif
