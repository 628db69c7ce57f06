/*
 * A rig whose nats-server runs the configuration of docker/, with its users. Only what has to differ does: addresses, and the place of
 * the data and of certificates. The passwords are made up in the environment, as in production.
 */
#ifndef LEAT_TESTS_LOGINS_H
#define LEAT_TESTS_LOGINS_H

#include "harness.h"

#define SHOP "11111111-1111-4111-8111-111111111111" /* the two tenants of docker/nats-accounts.conf */
#define CLUB "22222222-2222-4222-8222-222222222222"

/* Replaces rig->nats by one that runs docker/nats-accounts.conf. */
void logins_start(struct rig *rig);
/* The same with docker/nats-tls.conf around it, and certificates_make. */
void logins_start_tls(struct rig *rig);
/* Replaces rig->nats by one with the configuration `text`, and a file for it. Again: writes the file, and waits until the server has taken
 * it up. */
void logins_configure(struct rig *rig, const char *text);

/* The password of a user of that configuration. Borrowed. */
const char *logins_password(const char *user);
/* From here on every `leat` that is started is this user. */
void logins_be(const char *user);

/* Writes a file of docker/ into the rig's folder, without its addresses and with certificates from there. */
void logins_copy(const struct rig *rig, const char *name);

/*
 * Makes in the rig's folder: ca.pem; server.pem and .key for localhost and 127.0.0.1; stranger.pem and .key for other.example; client.pem
 * and .key; all signed by that authority, and other-ca.pem, which signed none.
 */
void certificates_make(const struct rig *rig);
/* A file of the rig's folder, whole; the caller's to free(). */
char *logins_read(const struct rig *rig, const char *name);
/* "<rig's folder>/<name>", until the next but three calls. */
const char *logins_path(const struct rig *rig, const char *name);

#endif
