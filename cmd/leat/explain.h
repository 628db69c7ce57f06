/*
 * The parts of `leat explain`. What it knows is one JSON object, printed as it is or as tables. Of an entity, field by field:
 *
 *   {"entity_id", "tenant_id", "row":{…} or null,
 *    "fields":[{"part","field","value","position","by":"intent"|"direct"|"unknown", …who and when, "overwrote"?, "note"?}],
 *    "lost":[{"part","field","value","position", …who and when, "why"}],
 *    "looked_from":N, "unread":N}
 *
 * A value is JSON text; null where the field was removed, or where the stream no longer holds what was written.
 *
 * Of a workflow, run, interaction or member, message by message:
 *
 *   {"noun", "id", "tenant_id", "row":{…} or null, "messages":[{"position", …who and when, "outcome", "code", "detail", "did"}],
 *    "direct_us":N or null, "looked_from":N}
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
	char entity[LEAT_UUID_TEXT_BYTES]; /* or what else has that id */
	const char *noun;                  /* what it is; NULL: to be found out */
	const char *field;                 /* NULL: all; "title", or with its part, "content.title" */
	int64_t look_back;                 /* positions of the ledger that are read through */
	json_t *ledger;                    /* as leat.explain_entity says; each of "history" gets "writes" by explain_read_stream */
	json_t *fields;                    /* the result */
	json_t *lost;
	json_t *messages; /* as leat.explain_messages says, each with "did"; NULL: it is an entity */
	int64_t unread;   /* intents whose message the stream no longer holds */
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

/* ---- what is no entity: explain_messages.c ---- */

/* Fills `messages`. PERMANENT with not_found: nothing has that id, and the ledger no message about it. */
enum leat_kind explain_ask_messages(struct explain *explain, struct leat_error *err) __attribute__((warn_unused_result));
void explain_print_messages(const struct explain *explain);

/* ---- for tables ---- */

struct table;
/* A position as a cell: the message's sequence; "2:17" in the second epoch after the first. */
void explain_add_position(struct table *table, json_int_t position);

#endif
