/*
 * Facts of runs handed to the functions of the run lane, without NATS in between, and what became of the runs. Messages are those of
 * tests/integration/intents.h. Whatever goes wrong in here fails the test.
 */
#ifndef LEAT_TESTS_FACTS_H
#define LEAT_TESTS_FACTS_H

#include "intents.h"

#define WORKFLOW "f0000000-0000-4000-8000-000000000001"
#define RUN_1 "d0000000-0000-4000-8000-000000000001"
#define RUN_2 "d0000000-0000-4000-8000-000000000002"

/* Saves a version of WORKFLOW, of tenant A; definitions with ' for ". */
void facts_save(struct rig *rig, const char *definition);
/* Nodes as [id, type] and edges as in definitions: "a>b a>c b>d c>d", with type http but for names that begin with s (split over
 * input#/items), c (collect), w (worker), q (question), m (merge). */
void facts_save_graph(struct rig *rig, const char *edges);

/*
 * A fact of a run, by the engine. `what`: "start", "retry", "cancel", or a node's id and status: "a completed". `members`, with ' for ",
 * follow in the body; "" for none. The text lives until 4,096 more were made.
 */
struct message fact(int64_t seq, const char *run, const char *what, const char *members);

/* "a completed, b pending", in the order of names. */
void facts_expect_states(struct rig *rig, const char *run, const char *expected);
void facts_expect_status(struct rig *rig, const char *run, const char *expected);
/* What runs hold that a replay must yield again, as one line. The caller's to free(). */
char *facts_runs(struct rig *rig);

#endif
