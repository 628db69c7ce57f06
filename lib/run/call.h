/* Inside lib/run only: a call as composing and judging know it. */
#ifndef LEAT_LIB_RUN_CALL_H
#define LEAT_LIB_RUN_CALL_H

#include "leat/call.h"
#include "leat/secret.h"

#define CALL_HEADERS 72 /* a node's 64, ours, and NULL */

struct leat_call {
	enum leat_node_kind kind;
	char *node_id;
	const struct leat_params *params;
	struct leat_secrets *secrets;
	int64_t max_attempts;
	struct leat_http_request request;
	char method[16];
	char *url;
	char *body;
	char *headers[CALL_HEADERS]; /* up to NULL; what `request.headers` is */
	size_t header_count;
};

#endif
