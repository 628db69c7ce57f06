/*
 * A NATS client at the level of the protocol: what a login can do that no library offers (a publish whose reply is any subject), and what
 * the server says to it, word for word. A server that does not answer in time fails the test.
 */
#ifndef LEAT_TESTS_WIRE_H
#define LEAT_TESTS_WIRE_H

#include "leat/buf.h"

#include <stdbool.h>

struct wire {
	int fd;
	struct leat_buf heard; /* all that came and was not taken */
	size_t looked;         /* up to here the server's PINGs were answered */
};

/* False when the server refuses the login; *out must be closed all the same. */
bool wire_open(struct wire *out, int port, const char *user, const char *password);
void wire_close(struct wire *wire);

/* `reply` NULL: none. */
void wire_publish(struct wire *wire, const char *subject, const char *reply, const char *body);
void wire_subscribe(struct wire *wire, const char *subject);
/* Returns, once the server has dealt with all of that, what it sent until then: errors ("-ERR …") and messages. The caller's to free(). */
char *wire_settle(struct wire *wire);
/* Reads on until the text came; all until then is the caller's to free(). */
char *wire_wait(struct wire *wire, const char *text);

enum wire_answer {
	WIRE_STORED,  /* a stream has it */
	WIRE_NOBODY,  /* nobody listens at that subject, as far as this login reaches */
	WIRE_REFUSED, /* by the server: permissions */
	WIRE_ERROR,   /* by JetStream: an "error" in its answer */
	WIRE_ANSWER,  /* any other answer: it was done */
};

/* Publishes with an inbox of its own, <prefix>.<…>, and tells which answer came. */
enum wire_answer wire_ask(struct wire *wire, const char *prefix, const char *subject, const char *body);

#endif
