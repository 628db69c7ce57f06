/*
 * The parts of `leat explain`. What it knows is one JSON object, printed as it is or as tables:
 *
 *   {"entity_id", "tenant_id", "row":{…} or null,
 *    "fields":[{"part","field","value","position","by":"intent"|"direct"|"unknown", …who and when, "note"?}],
 *    "lost":[{"part","field","value","position", …who and when, "why"}],
 *    "looked_from":N, "unread":N}
 *
 * A value is JSON text; null where the field was removed, or where the stream no longer holds what was written.
 */
#ifndef LEAT_EXPLAIN_H
#define LEAT_EXPLAIN_H

#include "leat/bus.h"
#include "leat/pg.h"
#include "leat/uuid.h"

#include <jansson.h>

#define EXPLAIN_STREAM "LEAT_ENTITY"

struct explain {
	struct leat_bus *bus;
	struct leat_pg *pg;
	char tenant[LEAT_UUID_TEXT_BYTES];
	char entity[LEAT_UUID_TEXT_BYTES];
	const char *field; /* NULL: all; "title", or with its part, "content.title" */
	int64_t look_back; /* positions of the ledger that are read through */
	json_t *ledger;    /* as leat.explain_entity says; each of "history" gets "writes" by explain_read_stream */
	json_t *fields;    /* the result */
	json_t *lost;
	int64_t unread; /* intents whose message the stream no longer holds */
};

/* Members, "" and 0 where there are none. */
const char *explain_text(const json_t *object, const char *name);
json_int_t explain_number(const json_t *object, const char *name);

/*
 * Reads the message of each intent of the history: what it names becomes "writes", {"content":{name: text or null}, "metadata":…,
 * "locks":…}; without a message there are none. A bulk that is about others is dropped from the history.
 */
enum leat_kind explain_read_stream(struct explain *explain, struct leat_error *err) __attribute__((warn_unused_result));

/* Fills `fields` and `lost`. */
enum leat_kind explain_judge(struct explain *explain, struct leat_error *err) __attribute__((warn_unused_result));

void explain_print(const struct explain *explain);

#endif
