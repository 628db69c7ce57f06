/*
 * What the tests of `leat replay` stand on: a story in all three streams that comes by every kind of outcome, a database that is lost, and
 * all that a replay must bring back as one text. Whatever goes wrong fails the test.
 */
#ifndef LEAT_TESTS_REPLAYING_H
#define LEAT_TESTS_REPLAYING_H

#include "harness.h"

#include <jansson.h>

/* The lanes that make no calls. */
extern const char *const replaying_lanes[];

/* Stores an intent of tenant A; body with ' for ", headers NULL for none. Its sequence. */
uint64_t replaying_store(struct rig *rig, const char *role, const char *noun_verb, const char *headers, const char *body);
/* Stores the story, one consumer applying it, which is gone at the end. */
void replaying_tell_story(struct rig *rig);
/* The database of the rig is lost, and made anew by `leat migrate`. */
void replaying_lose_database(struct rig *rig);
/* What the streams determine: every row but for times of the database's own. The caller's to free(). */
char *replaying_state(struct rig *rig);
/* Two such states: the first line that differs is told. */
void replaying_expect_same(const char *found, const char *expected);
/* Runs `leat replay --json <arguments up to NULL>`, which must end with `status`; its report is the caller's to json_decref. */
json_t *replaying_run(struct rig *rig, int status, const char *const *arguments);
/* A number of the report, by path: "streams.LEAT_RUN.applied". */
int64_t replaying_number(const json_t *report, const char *path);

#endif
