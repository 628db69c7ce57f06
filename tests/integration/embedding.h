/* What the tests of the embed lane share: a rig with an endpoint, consumers that run the lane, entities that hold one number. */
#ifndef LEAT_TESTS_EMBEDDING_H
#define LEAT_TESTS_EMBEDDING_H

#include "endpoint.h"
#include "load.h"

#include <stddef.h>

#define EMBEDDING_KEY "sk-SECRET-0123456789"

extern struct rig rig;
extern struct endpoint endpoint;

/* Rig, schema, endpoint; LEAT_EMBED_* set for what is started after. */
void embedding_setup(void);
void embedding_teardown(void);

/* `leat consume` with no lanes but embed and keep, impatient; `more` up to NULL, or NULL. Returns once the lane works. */
struct leat_child *embedding_start(const char *name, const char *const *more);
/* Without waiting. */
struct leat_child *embedding_launch(const char *name, const char *const *more);
/* Waits until a process shows the lane in this state. */
void embedding_wait_state(const char *state);

/* Entities numbered from..to of tenant A: type "thing", content {"n": number}. */
void embedding_insert(int from, int to);
#define EMBEDDING_ID "('eeeeeeee-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid"

/*
 * Waits until every entity that is live and has content has the vector that the endpoint gives for it now, nothing else has one, and
 * nothing waits.
 */
void embedding_wait_settled(int seconds);

#endif
