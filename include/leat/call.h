/*
 * A node's call to the outside: from its parameters to an HTTP request, and from the answer to what becomes of the node.
 *
 * The happy path, for each try: leat_call_compose, leat_call_start, and when leat_http_next tells that it is over, leat_call_judge, then
 * leat_call_free. A try that follows is composed anew, so that a secret that was rotated meanwhile counts. Nothing here waits or keeps
 * state between calls; any thread, a call belongs to one.
 *
 * Values of secrets are in a call and in what it sends. They are in no error text and in no output.
 */
#ifndef LEAT_CALL_H
#define LEAT_CALL_H

#include "leat/buf.h"
#include "leat/egress.h"
#include "leat/error.h"
#include "leat/http.h"
#include "leat/param.h"
#include "leat/text.h"
#include "leat/uuid.h"
#include "leat/workflow.h"

#include <stdint.h>

/* What the claim of an http or worker node knows. All borrowed, for leat_call_compose only. */
struct leat_call_node {
	struct leat_uuid tenant;
	enum leat_node_kind kind; /* LEAT_NODE_HTTP or LEAT_NODE_WORKER */
	const char *run_id;       /* 36 characters */
	const char *node_id;      /* "x", or "x[3]" below a split */
	int64_t generation;
	int64_t attempt;         /* of the claim: what Leat-Attempt says */
	const char *traceparent; /* NULL for none */
	/* JSON object: the node's parameters with every reference replaced. Other members, such as id and type, are ignored. */
	struct leat_text params;
	/* Names of the headers whose saved text holds ${secret:…}, up to NULL; may be NULL. In others such a text is sent as it is. */
	const char *const *secret_headers;
};

struct leat_call;

/*
 * What is sent: method (GET for http, POST for worker when left out), url, the node's headers with secrets put in, and the body as the
 * JSON that it is, byte by byte. Besides: `Idempotency-Key: <run>/<node>/<generation>`; `Content-Type: application/json` where there is a
 * body and the node names no other; `traceparent` where it names no other; of workers `Leat-Run`, `Leat-Node` and `Leat-Attempt`.
 * Settings read: secrets_dir, call_timeout_ms, call_attempts, call_response_bytes, max_nesting, max_body_bytes, max_key_bytes.
 * `egress` and `params` are borrowed until leat_call_free.
 *
 * PERMANENT, and the node fails with the text: a parameter is missing or not of its type (a reference may have brought anything), a
 * secret is not there. The text names node and parameter: `node "a": url: expected …, found …`.
 */
enum leat_kind leat_call_compose(struct leat_call **out, const struct leat_call_node *node, const struct leat_egress *egress,
	const struct leat_params *params, struct leat_error *err) __attribute__((warn_unused_result));
/* Does nothing with NULL. The call it started may go on. */
void leat_call_free(struct leat_call *call);

/* Borrowed until leat_call_free. */
const struct leat_http_request *leat_call_request(const struct leat_call *call);
/* The node's, else call_attempts. */
int64_t leat_call_max_attempts(const struct leat_call *call);

/* Starts it; `opaque` comes back in the answer. PERMANENT, and the node fails with the text: as leat_http_start, with the node's name. */
enum leat_kind leat_call_start(const struct leat_call *call, struct leat_http *http, void *opaque, struct leat_http_call **out,
	struct leat_error *err) __attribute__((warn_unused_result));

/* ---- what came back ---- */

enum leat_call_end {
	LEAT_CALL_COMPLETED, /* `output` is the node's */
	LEAT_CALL_ACCEPTED,  /* by a worker; the output comes by a run.node */
	LEAT_CALL_RETRY,     /* again, not before retry_ms from now */
	LEAT_CALL_FAILED,    /* `error` is the node's */
};

struct leat_call_verdict {
	enum leat_call_end end;
	int64_t retry_ms;       /* of RETRY */
	struct leat_buf output; /* of COMPLETED: JSON that a run.node may hold */
	char error[512];        /* of RETRY and FAILED: for people, UTF-8 on one line; says what to do */
};

#define LEAT_CALL_RETRY_FIRST_MS 500
#define LEAT_CALL_RETRY_LIMIT_MS 30000
#define LEAT_CALL_RETRY_AFTER_LIMIT_MS 300000

/*
 * `tries` were made, this one counts; `draw` is any number, drawn evenly. Reads the answer and leaves it to its owner.
 *
 *   2xx                                     COMPLETED with the JSON of the body, null for an empty one; of a worker ACCEPTED, whatever the
 * body 408, 425, 429, 5xx, no complete answer  RETRY while tries < max_attempts, else FAILED anything else FAILED: other statuses,
 * redirects, a refused address, a certificate that is not believed, a body that is too large or not JSON
 *
 * A retry waits for 0 to LEAT_CALL_RETRY_FIRST_MS at first, each further one for up to twice as long, up to LEAT_CALL_RETRY_LIMIT_MS, any
 * time in that range being as likely; Retry-After, up to LEAT_CALL_RETRY_AFTER_LIMIT_MS, is added to it.
 */
void leat_call_judge(
	struct leat_call_verdict *out, const struct leat_call *call, int64_t tries, const struct leat_http_answer *answer, uint32_t draw);
void leat_call_verdict_fini(struct leat_call_verdict *verdict);

#endif
