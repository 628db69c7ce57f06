/*
 * Loads: many intents at once, the consumers that take them, and what came of it. Whatever goes wrong in here fails the test.
 */
#ifndef LEAT_TESTS_LOAD_H
#define LEAT_TESTS_LOAD_H

#include "harness.h"
#include "leat/buf.h"

#include <stddef.h>

/* ---- publishing ---- */

/* Messages to be stored, in order; zero-initialise. What they hold is copied. */
struct load {
	struct leat_outgoing *messages;
	size_t count;
	size_t room;
};

/* `headers` may be NULL. */
void load_add(struct load *load, const char *subject, const char *headers, const void *body, size_t body_bytes);
/* An intent of the role `service`, its body printed. */
void load_add_intent(struct load *load, const char *tenant, const char *noun_verb, const char *headers, const char *format, ...)
	__attribute__((format(printf, 5, 6)));
/* Stores all, at most 1,000 at a time; each then has its seq. */
void load_store(struct rig *rig, struct load *load);
void load_free(struct load *load);

/* `count` entities of the tenant, by upsert, in the stream. load_entity(out, 7) is the id of the eighth. */
void load_store_entities(struct rig *rig, const char *tenant, size_t count);
void load_entity(char out[37], size_t number);
/* `count` merges, each into the next of so many entities; the field bears the name given, the Leat-Ids begin with it. */
void load_store_merges(struct rig *rig, const char *field, size_t count, size_t entities);

/* ---- consuming ---- */

/* `leat consume` as "c1", "c2", …; with `more` arguments up to NULL (or NULL). */
struct leat_child *load_start_consumer(struct rig *rig, const char *name, const char *const *more);
/* SIGTERM; it must exit 0 within the 10 s of issue and design. */
void load_stop_consumer(struct leat_child *consumer);

/* Waits until the ledger has this many rows, and then that nothing is parked and the outbox is empty. */
void load_wait_settled(struct rig *rig, int64_t rows, int seconds);
/* The number of messages in LEAT_DEAD; load_wait_dead waits for it. */
int64_t load_dead_count(struct rig *rig);
void load_wait_dead(struct rig *rig, int64_t count, int seconds);
/* All that reapplying must leave alone, as one line: rows with their xmin, ledger, ids, audit, outbox. The caller's to free(). */
char *load_snapshot(struct rig *rig);

/* ---- servers and processes ---- */

/* SIGKILL to all of it, and up again. The rig's connections work again after. */
void load_kill_and_restart(struct rig *rig, struct leat_server *server);

/* CPU time used so far, in ms. */
int64_t load_cpu_ms(pid_t pid);

#endif
