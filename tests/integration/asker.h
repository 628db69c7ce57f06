/*
 * Whoever asks: an ordinary NATS client (nats.c itself) that makes requests, one at a time or many at once. What cannot be sent fails the
 * test. One thread.
 */
#ifndef LEAT_TESTS_ASKER_H
#define LEAT_TESTS_ASKER_H

#include "harness.h"

#include <jansson.h>

struct asker {
	void *connection;   /* natsConnection */
	void *subscription; /* natsSubscription: the answers to asker_send */
	char inbox[64];
};

#define ASKER_NOBODY "no responders"
#define ASKER_SILENCE "no answer in time"

/* `user` NULL: without a login. */
void asker_open(struct asker *out, const char *url, const char *user, const char *password);
void asker_close(struct asker *asker);

/*
 * The answer's text, or one of the two above. `actor` NULL: none. `what` is what comes behind leat.query.: "<tenant>.user.entity.get". The
 * caller's to free().
 */
char *asker_ask(struct asker *asker, const char *what, const char *actor, const char *body, int64_t timeout_ms);
/* The answer must come within 10 s: its `code`, or its `status` where it has none; "not JSON" otherwise. *answer, which may be NULL, is the
 * caller's to json_decref. */
const char *asker_code(struct asker *asker, const char *what, const char *actor, const char *body, json_t **answer);

/* Many at once: sends, without waiting, a request that is known by its number; then takes the answers as they come. */
void asker_send(struct asker *asker, size_t number, const char *what, const char *actor, const char *body);
/* False when none came in time. *number tells which is answered; the text is the caller's to free(). */
bool asker_take(struct asker *asker, int64_t timeout_ms, size_t *number, char **text);

#endif
