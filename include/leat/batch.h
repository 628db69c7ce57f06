/*
 * A batch of intents of one stream: messages in, one call, outcomes out.
 *
 * The call is a prepared statement of the connection, `apply` or for a batch of one `apply_one`, which takes LEAT_BATCH_PARAMETERS, arrays
 * or scalars, and gives rows (ord, status, code, reply, short_reply) of the type leat.settled in sql/functions.
 *
 * The life of a batch: leat_batch_add takes messages and decodes them; leat_batch_close sorts; leat_batch_send starts the call for a
 * range of rows and leat_batch_receive reads its answer into them, or leat_batch_apply does both, taking apart what Postgres refuses; the
 * lane then settles each row; leat_batch_clear frees the messages and keeps the memory. One thread.
 */
#ifndef LEAT_BATCH_H
#define LEAT_BATCH_H

#include "leat/bus.h"
#include "leat/error.h"
#include "leat/intent.h"
#include "leat/param.h"
#include "leat/pg.h"

#include <stdbool.h>
#include <stddef.h>

/* What the database did with an intent: type leat.settled in sql/functions. */
enum leat_outcome {
	LEAT_OUTCOME_APPLIED,
	LEAT_OUTCOME_DUPLICATE,
	LEAT_OUTCOME_REJECTED,
	LEAT_OUTCOME_PARKED,   /* decided once the floor has passed it */
	LEAT_OUTCOME_KNOWN,    /* settled or parked before: this is a redelivery */
	LEAT_OUTCOME_DEFERRED, /* Postgres keeps refusing it, and nobody can tell for how long: give it back */
};

/* The status of a leat.settled; aborts on a name that sql/ does not use. */
enum leat_outcome leat_outcome_parse(const char *status);

/* One intent. Texts are borrowed from `msg` unless said otherwise. */
struct leat_batch_row {
	struct leat_msg msg;
	struct leat_intent intent;
	size_t headers_at; /* of the batch's header bytes */
	size_t headers_bytes;
	char *subject;   /* heap, UTF-8: how the subject goes into the database when it is not UTF-8; NULL: as it is */
	char *rejection; /* heap: why it was rejected before the database saw it; NULL: it was not */
	enum leat_code code;
	enum leat_outcome outcome;
	char *reply;       /* heap: what to send to intent.reply_to; NULL for nothing */
	char *short_reply; /* heap: the same, when that is over the server's limit */
};

/* The columns of the call, in their order, between the stream's name and the longest reply that the server takes. */
enum leat_batch_column {
	LEAT_BATCH_SEQ,
	LEAT_BATCH_AT,
	LEAT_BATCH_SUBJECT,
	LEAT_BATCH_TENANT,
	LEAT_BATCH_ROLE,
	LEAT_BATCH_VERB,
	LEAT_BATCH_TARGET,
	LEAT_BATCH_ACTOR,
	LEAT_BATCH_ID,
	LEAT_BATCH_REPLY_TO,
	LEAT_BATCH_TRACEPARENT,
	LEAT_BATCH_HEADERS,
	LEAT_BATCH_BODY,
	LEAT_BATCH_CODE,
	LEAT_BATCH_MESSAGE,
	LEAT_BATCH_COLUMNS,
};
extern const enum leat_pg_type leat_batch_types[LEAT_BATCH_COLUMNS];
#define LEAT_BATCH_PARAMETERS "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17"
#define LEAT_BATCH_ANSWER "ord, status, code, reply, short_reply"

struct leat_batch {
	const struct leat_params *params;
	const char *stream;
	struct leat_batch_row *rows;
	size_t count;
	size_t room;
	size_t bytes;   /* of the messages */
	size_t targets; /* of the intents; those of a bulk count each */
	struct leat_buf headers;
	struct leat_pg_array arrays[LEAT_BATCH_COLUMNS];
};

/* `stream` is borrowed. */
void leat_batch_init(struct leat_batch *batch, const struct leat_params *params, const char *stream);
void leat_batch_fini(struct leat_batch *batch);
bool leat_batch_full(const struct leat_batch *batch);
/* Takes the message. */
void leat_batch_add(struct leat_batch *batch, struct leat_msg *msg);
/* Puts the rows in stream order and drops second copies of one message. Nothing may be added after. */
void leat_batch_close(struct leat_batch *batch);
/*
 * Starts the call for rows [from, to). Then leat_pg_finish, and leat_batch_receive with its result. reply_bytes: the longest reply that
 * the server takes.
 */
enum leat_kind leat_batch_send(struct leat_batch *batch, struct leat_pg *pg, size_t from, size_t to, int64_t reply_bytes,
	struct leat_error *err) __attribute__((warn_unused_result));
void leat_batch_receive(struct leat_batch *batch, size_t from, size_t to, const struct leat_pg_result *result);
/* The decoder, or the database, refused this row for good: from now on it goes in as rejected. */
void leat_batch_reject(struct leat_batch_row *row, enum leat_code code, const char *why);

/* What leat_batch_apply calls. */
struct leat_batch_way {
	void *context;
	/* The call for rows [from, to), from leat_batch_send to leat_batch_receive. */
	enum leat_kind (*attempt)(void *context, size_t from, size_t to, struct leat_error *err);
	/* Is there no point in going on: the connection is lost, or the process stops? */
	bool (*gives_up)(const void *context, enum leat_kind kind);
	/* Waits before the next attempt; false: it is told to stop. */
	bool (*pause)(void *context, const struct leat_error *err);
	/* A row is alone and refused: for good, and goes in as rejected; or `deferred`, since nobody can tell for how long. */
	void (*refused)(void *context, const struct leat_batch_row *row, bool deferred, const struct leat_error *err);
};

/*
 * Rows [from, to), in one transaction if Postgres takes them so. What should pass (a lost race) is tried LEAT_BATCH_TRIES times. A refusal
 * for good, or one that does not pass, halves the range until one row is alone, so that it holds up nobody else. TEMPORARY only when there
 * is no point in going on: any of them may be applied or not.
 */
enum { LEAT_BATCH_TRIES = 3 };
enum leat_kind leat_batch_apply(struct leat_batch *batch, const struct leat_batch_way *way, size_t from, size_t to, struct leat_error *err)
	__attribute__((warn_unused_result));
/* Frees the messages. */
void leat_batch_clear(struct leat_batch *batch);

#endif
