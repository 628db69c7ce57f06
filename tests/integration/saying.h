/* What a command said: run to its end, then looked at. All of these fail the test. */
#ifndef LEAT_TESTS_SAYING_H
#define LEAT_TESTS_SAYING_H

#include "harness.h"

/* U+202E, which turns the direction of what follows: as numbers, since compilers rightly dislike it in a literal. */
extern const char say_right_to_left[];

/* Runs `leat <arguments>` to its end, as the process `name` of the rig; fails with what it logged when its exit status is another. */
void say_run(struct rig *rig, const char *name, int status, const char *const *arguments);
/* The same, and returns what it wrote to standard output: the caller's to free(). */
char *say_output(struct rig *rig, const char *name, int status, const char *const *arguments);
/* Its standard output, or its log, holds this text (does not). */
void say_expect(const struct rig *rig, const char *name, const char *text);
void say_expect_not(const struct rig *rig, const char *name, const char *text);
void say_expect_log(const struct rig *rig, const char *name, const char *text);
/* Waits until it does. */
void say_wait_log(const struct rig *rig, const char *name, const char *text);
/* How often `part` stands in `text`. */
size_t say_count(const char *text, const char *part);
/* A file in the rig's folder, which is where its processes run. */
void say_write_file(const struct rig *rig, const char *name, const char *text, size_t bytes);

#endif
