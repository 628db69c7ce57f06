/*
 * Intents of the control lane handed to the functions that decide them, without NATS in between, as the lane does it: as service_role, each
 * in a transaction.
 */
#ifndef LEAT_TESTS_DECIDING_H
#define LEAT_TESTS_DECIDING_H

#include "client.h"

#include <stdint.h>

struct asked {
	const char *noun_verb; /* workflow.save */
	int64_t position;      /* also its time, in seconds since 1970 */
	const char *target;
	const char *body;   /* with ' for "; NULL: {} */
	const char *tenant; /* NULL: RIG_TENANT_A */
	const char *role;   /* NULL: service */
	const char *actor;  /* NULL: none */
};

/* The statement that decides it: its value is "<code> <message>" or the result. The caller's to free(). */
char *asked_sql(const struct asked *asked);
/* That value must begin with `expected`. */
void expect_decision(struct client *client, const char *expected, struct asked asked);

#define USER_OWNER "00000000-0000-4000-8000-000000000001"
#define USER_ADMIN "00000000-0000-4000-8000-000000000002"
#define USER_EDITOR "00000000-0000-4000-8000-000000000003"
#define USER_VIEWER "00000000-0000-4000-8000-000000000004"
#define USER_NOBODY "00000000-0000-4000-8000-000000000005"

/* Tenant A's, one of each role; tenant B has the user who is A's viewer as its owner. */
void add_members(struct rig *rig);

#endif
