/* What the tests of nodes' calls share: a rig with an endpoint, and a client. */
#ifndef LEAT_TESTS_CALLS_H
#define LEAT_TESTS_CALLS_H

#include "endpoint.h"

#include "leat/http.h"

#include <stddef.h>

struct calls {
	struct rig rig;
	struct endpoint endpoint;
	struct leat_http *http;
};

void calls_open(struct calls *calls);
void calls_close(struct calls *calls);

/* Waits for the next call that is over. */
struct leat_http_answer calls_next(struct calls *calls);
/* A list of hosts, with the endpoint's port for each '#'. The caller's to leat_egress_free. */
struct leat_egress *calls_allow(const struct calls *calls, const char *list);
/* Connections that the endpoint has seen; those of the endpoint_ functions count, except the ones of this. */
int calls_count_connections(const struct calls *calls);

#endif
