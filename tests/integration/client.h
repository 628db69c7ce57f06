/*
 * A SQL client beside the lanes, as a person in psql or a gateway would be: it logs in as `leat`, who owns nothing, acts as a role, and may
 * say by its claims whose it is. What the database refuses is an answer like any other, so that answers can be compared. One thread.
 */
#ifndef LEAT_TESTS_CLIENT_H
#define LEAT_TESTS_CLIENT_H

#include "harness.h"

struct client {
	void *connection; /* PGconn */
};

/* Logs in as `leat`, or as somebody else; `role` NULL: acts as who logged in. */
void client_open(struct client *client, const struct rig *rig, const char *role);
void client_open_login(struct client *client, const struct rig *rig, const char *login);
void client_close(struct client *client);
/* Sets for the session what a user's tenant is told from; "" for none. */
void client_set(struct client *client, const char *claims, const char *leat_tenant_id);

/*
 * Runs the statement, or several as one transaction. The first column of the first row of the last, "" when there is none, or all that the
 * database says of an error: "SQLSTATE: message, detail, hint, context". The caller's to free().
 */
char *client_ask(struct client *client, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same in two steps, so that others may act while it waits; client_await_lock waits until it waits for somebody else's lock. */
void client_send(struct client *client, const char *sql);
void client_await_lock(struct client *client, struct rig *rig);
char *client_receive(struct client *client);
/* That must be `expected`; must be a refusal with that SQLSTATE. */
void client_expect(struct client *client, const char *expected, const char *format, ...) __attribute__((format(printf, 3, 4)));
void client_expect_refused(struct client *client, const char *sqlstate, const char *format, ...) __attribute__((format(printf, 3, 4)));

#define CLAIMS_A "{\"sub\":\"ann\",\"tenant_id\":\"" RIG_TENANT_A "\"}"

#endif
