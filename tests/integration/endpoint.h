/* The endpoint of tests/clients/endpoint.mjs: how a test starts it, tells it how to misbehave, and sees what it was called for. */
#ifndef LEAT_TESTS_ENDPOINT_H
#define LEAT_TESTS_ENDPOINT_H

#include "harness.h"

#include <jansson.h>

struct endpoint {
	const char *script; /* NULL: tests/clients/endpoint.mjs */
	struct leat_child child;
	struct rig *rig;
	char base[64]; /* http://127.0.0.1:port */
	int port;      /* of the first start; later ones take it again */
	int starts;
};

/* Started again after endpoint_stop, it has the port that it had, and forgot its calls. */
void endpoint_start(struct endpoint *endpoint, struct rig *rig);
void endpoint_stop(struct endpoint *endpoint);

/* One call, answered in time; the answer's body, the caller's to free(). */
char *endpoint_ask(const struct endpoint *endpoint, const char *method, const char *path, const char *body);
/* What the next calls meet: endpoint_plan(&endpoint, "[\"500\",\"ok\"]"), or "{\"forever\":\"500\"}". */
void endpoint_plan(const struct endpoint *endpoint, const char *plan);
void endpoint_release(const struct endpoint *endpoint);
/* The calls so far; the caller's to json_decref. */
json_t *endpoint_calls(const struct endpoint *endpoint);
/* Waits until there were so many. */
void endpoint_wait_calls(const struct endpoint *endpoint, size_t count, int seconds);
size_t endpoint_count_calls(const struct endpoint *endpoint);
/* How many of the calls had an input with `part` in it. */
size_t endpoint_count_inputs(const struct endpoint *endpoint, const char *part);

#endif
