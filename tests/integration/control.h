/* Control intents through NATS and a consumer of the rig's, and how the ledger says that they ended. Whatever goes wrong fails the test. */
#ifndef LEAT_TESTS_CONTROL_H
#define LEAT_TESTS_CONTROL_H

#include "harness.h"

/* One node; nothing is wrong with it. In a body with ' for ". */
#define CONTROL_DEFINITION "{'nodes':[{'id':'a','type':'http','method':'GET','url':'https://example.com/'}],'edges':[]}"

/* Stores the intent; `body` with ' for ", `actor` NULL for none. Its sequence. */
uint64_t control_publish(struct rig *rig, const char *tenant, const char *role, const char *noun_verb, const char *actor, const char *body);
/* Waits until it is settled: "<outcome> <code> <message>" or "<outcome> <result>". The caller's to free(). */
char *control_outcome(struct rig *rig, uint64_t seq);
/* That must begin with `expected`. */
void control_expect(struct rig *rig, const char *expected, uint64_t seq);

#endif
