/* Inside lib/http only: a call as its files know it. */
#ifndef LEAT_LIB_HTTP_INTERNAL_H
#define LEAT_LIB_HTTP_INTERNAL_H

#include "leat/buf.h"
#include "leat/http.h"

#include <curl/curl.h>

struct leat_http_call {
	struct leat_http_call *next;
	struct leat_http_call *before;
	CURL *easy;
	CURLU *url;
	const struct leat_egress *egress; /* NULL: anywhere */
	char *host;                       /* without brackets */
	uint16_t port;
	struct curl_slist *headers;
	struct leat_buf request;
	struct leat_buf response;
	size_t response_limit;
	bool too_large;
	bool connected;            /* an address was tried */
	struct leat_error refusal; /* of the last address that was not; kind LEAT_OK for none */
	void *opaque;
	char why[CURL_ERROR_SIZE];
};

/* A call that is ready to go, or NULL with PERMANENT in *err. ca_file: NULL for the system's authorities alone. */
struct leat_http_call *http_call_new(const struct leat_http_request *request, const char *ca_file, struct leat_error *err);
/* It must not be in a multi handle any more. */
void http_call_free(struct leat_http_call *call);
/* What came of it; takes the response's body. */
void http_call_conclude(struct leat_http_call *call, CURLcode code, struct leat_http_answer *out);

#endif
