/*
 * What the tests of the advance lane share: a rig, consumers, an HTTP server that does what a call's path says (tests/clients/calls.mjs),
 * and runs of workflows whose calls go there. All that is JSON is given with ' for ". Whatever goes wrong in here fails the test.
 */
#ifndef LEAT_TESTS_ADVANCING_H
#define LEAT_TESTS_ADVANCING_H

#include "control.h"
#include "endpoint.h"
#include "load.h"

extern struct rig advancing;
extern struct endpoint calls;

#define ADVANCING_WORKFLOW "cccccccc-0000-4000-8000-000000000001"
#define ADVANCING_LANES "entity,control,run,relay,keep,advance"

/* Rig, schema, server; the host that nodes may call is set for what is started after. */
void advancing_setup(void);
/* With a nats-server of this configuration: logins_configure. */
void advancing_setup_with(const char *nats);
/* With a Postgres of its own. */
void advancing_setup_alone(void);
void advancing_teardown(void);

/* `leat consume`, impatient, with these lanes; `more` up to NULL, or NULL. */
struct leat_child *advancing_start(const char *name, const char *lanes, const char *const *more);

/* Saves it as a version of ADVANCING_WORKFLOW; "$URL" in it is the server's. */
void advancing_save(const char *definition);
/* One node, "a", that calls this path. */
void advancing_save_call(const char *path);
/* The id of the run with this number. */
void advancing_run_id(char out[37], int number);
/* Publishes run.start for the version saved last; `more` stands behind run_id and workflow_id: ",'input':1", or "". */
void advancing_start_run(int number, const char *more);
/* Publishes a message of the noun `run` for that run, by a service: "run.cancel", or "run.node" with more members. */
void advancing_publish(const char *noun_verb, int number, const char *more);
/* Waits until that run has the status; until a node of it has. */
void advancing_wait_run(int number, const char *status, int seconds);
void advancing_wait_node(int number, const char *node, const char *status, int seconds);
/* Of so many runs, all have the status, and no claim is left. */
void advancing_wait_runs(int count, const char *status, int seconds);
/* The node's output or error must be like this pattern of SQL. */
void advancing_expect_output(int number, const char *node, const char *like);
void advancing_expect_error(int number, const char *node, const char *like);
/* What a keeper does: claims past their lease go, and their runs are resumed. */
void advancing_reap(void);

/* ---- the calls that the server saw ---- */

/* How many calls had this beginning of a path. */
size_t advancing_count(const char *path);
/* Waits until there were so many. */
void advancing_wait_calls(const char *path, size_t count, int seconds);
/* The most that were under way at once. */
size_t advancing_most_at_once(void);
/* All calls of one path had one and the same Idempotency-Key. */
void advancing_expect_one_key(const char *path);

#endif
