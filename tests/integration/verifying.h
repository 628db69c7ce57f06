/* `leat verify` on the rig, and what it found. Whatever goes wrong in here fails the test. */
#ifndef LEAT_TESTS_VERIFYING_H
#define LEAT_TESTS_VERIFYING_H

#include "harness.h"

/*
 * Runs `leat verify --json <more>`, which must end with `status`, and say `findings`: a line each, in any order, of
 * "kind noun tenant id field: database -> expected @position", where what is null is left out with the space before it. Ids and tenants are
 * shown by their last character. "" for none.
 */
void verify_expect(struct rig *rig, int status, const char *findings, const char *const *more);
/* Runs it, and the reasons why it could not tell must hold `reason`. */
void verify_expect_doubt(struct rig *rig, const char *reason, const char *const *more);
/* Waits until the floors have passed this message of the lane's stream. */
void verify_wait_floor(struct rig *rig, const char *stream, const char *durable, uint64_t seq);

#endif
