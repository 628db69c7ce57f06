/*
 * HTTP: many calls at once from one thread, each with a deadline and a limit. Only lib/http includes curl.
 *
 * The happy path: leat_http_start as many as one likes, leat_http_wait until something happens, leat_http_next for each that is over.
 * Connections are kept and used again, TLS sessions too. A call is over by its own timeout at the latest, so nothing waits for ever.
 *
 * http and https only; redirects are answers like any other; proxies, cookies, netrc and compression are not used; certificates are
 * checked. A client belongs to one thread.
 */
#ifndef LEAT_HTTP_H
#define LEAT_HTTP_H

#include "leat/egress.h"
#include "leat/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct leat_http;
struct leat_http_call; /* one call, from its start until leat_http_next or leat_http_abort: then the pointer is void */

/* LEAT_OK, or TEMPORARY when the system has no more descriptors. */
enum leat_kind leat_http_open(struct leat_http **out, struct leat_error *err) __attribute__((warn_unused_result));
/*
 * Calls that begin from here on also believe certificates that the authorities in this PEM file signed; "": the system's alone. The file is
 * read again for new connections, so that it may be replaced. PERMANENT: it can't be read, or holds no certificate.
 */
enum leat_kind leat_http_trust(struct leat_http *http, const char *ca_file, struct leat_error *err) __attribute__((warn_unused_result));
/* Aborts what is under way. Does nothing with NULL. */
void leat_http_close(struct leat_http *http);

/* All is copied. Zero-initialise. */
struct leat_http_request {
	const char *method; /* "POST" */
	const char *url;
	const char *const *headers; /* "Name: value" each, up to NULL; may be NULL. No User-Agent: ours. */
	const void *body;           /* may be NULL with body_bytes 0 */
	size_t body_bytes;
	int64_t timeout_ms;               /* from its start to the answer's last byte, at least 1 */
	size_t response_bytes;            /* the largest body of an answer */
	const struct leat_egress *egress; /* where it may go; NULL: anywhere. Lives as long as the call. */
	void *opaque;                     /* the caller's */
};

/*
 * PERMANENT, and nothing is called: the URL is not one of http or https, its host is not one that `egress` allows (forbidden), or the
 * method or a header is not what HTTP allows. The text names what is wrong and never quotes a header. `call` may be NULL.
 */
enum leat_kind leat_http_start(struct leat_http *http, const struct leat_http_request *request, struct leat_http_call **call,
	struct leat_error *err) __attribute__((warn_unused_result));
/* Ends it: what the other side does with it is not known. leat_http_next does not tell of it. */
void leat_http_abort(struct leat_http *http, struct leat_http_call *call);
void leat_http_abort_all(struct leat_http *http);
/* Started, and not yet taken by leat_http_next. */
size_t leat_http_under_way(const struct leat_http *http);

#define LEAT_HTTP_FDS 4

/*
 * Lets the calls go on until one is over, one of `fds` (at most LEAT_HTTP_FDS) is readable, or timeout_ms have passed; it may return
 * earlier. Nothing is read from `fds`. With no call it just waits.
 */
void leat_http_wait(struct leat_http *http, const int *fds, size_t fd_count, int64_t timeout_ms);

enum leat_http_end {
	LEAT_HTTP_ANSWERED,
	LEAT_HTTP_FAILED,    /* before the answer was complete: no connection, time up, closed early */
	LEAT_HTTP_TOO_LARGE, /* the answer's body is over the limit */
	LEAT_HTTP_REFUSED,   /* not begun: the host's name led to an address that `egress` does not allow it */
	LEAT_HTTP_UNTRUSTED, /* not begun: the server's certificate is of nobody that is believed, of another host, or not of today */
};

struct leat_http_answer {
	enum leat_http_end end;
	int status;             /* 200; 0 when there was none */
	int64_t retry_after_ms; /* of Retry-After in either form (RFC 9110, 10.2.3), 0 for none; a date is counted from now */
	char *body;             /* '\0' behind it; only of ANSWERED, else "" */
	size_t body_bytes;
	void *opaque;
	char why[400]; /* not ANSWERED: the reason for people, on one line */
};

/* False when none is over. `out` is the caller's to leat_http_answer_free. */
bool leat_http_next(struct leat_http *http, struct leat_http_answer *out);
void leat_http_answer_free(struct leat_http_answer *answer);

#endif
