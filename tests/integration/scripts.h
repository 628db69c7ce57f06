/* Programs that users run beside `leat`: the tour, clients in other languages. */
#ifndef LEAT_TESTS_SCRIPTS_H
#define LEAT_TESTS_SCRIPTS_H

#include "harness.h"

/*
 * Starts argv in the checkout, with `environment` over the test's own. What it writes is read by rig_output and rig_log with this name.
 * It gets SIGTERM when the test ends.
 */
void script_start(struct leat_child *out, const struct rig *rig, const char *name, const char *const *argv, const char *const *environment);
/* Waits for its end, which must come within `seconds`. Returns the exit status, 128 + signal when it was killed. */
int script_wait(struct leat_child *script, int seconds);

/* A file of the checkout, whole; the caller's to free(). */
char *script_read(const char *path);

#endif
