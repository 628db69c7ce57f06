/*
 * One call: from a request to curl's options, and from what curl says to an answer.
 *
 * It fails at once when the request is none that HTTP allows, so that no line break in a header ever reaches the wire, and when its host is
 * none that the caller allows, so that not even its name is asked for.
 */
#include "internal.h"

#include "leat/version.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { CONNECT_MS = 10000, RETRY_AFTER_MOST_S = 7 * 24 * 3600 };

/* ---- the request ---- */

/* RFC 9110, 5.6.2: what methods and names of headers are made of. */
static size_t token_bytes(const char *text)
{
	return strspn(text, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
}

static bool is_header(const char *header)
{
	size_t name = token_bytes(header);
	if (name == 0 || header[name] != ':')
		return false;
	for (const char *at = header + name; *at != '\0'; at++) {
		if (((unsigned char)*at < ' ' && *at != '\t') || *at == '\x7f')
			return false;
	}
	return true;
}

static void add_header(struct leat_http_call *call, const char *header)
{
	struct curl_slist *longer = curl_slist_append(call->headers, header);
	if (longer == NULL)
		abort();
	call->headers = longer;
}

/* curl takes "Name:" as the wish to leave a header of its own out; one with an empty value is "Name;". */
static enum leat_kind add_headers(struct leat_http_call *call, const char *const *headers, struct leat_error *err)
{
	bool typed = false;
	for (size_t i = 0; headers != NULL && headers[i] != NULL; i++) {
		const char *header = headers[i];
		size_t name = token_bytes(header);
		if (!is_header(header))
			return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INVALID_MESSAGE,
				"header %zu: expected \"Name: value\" without line breaks or other control characters", i + 1);
		typed = typed || strncasecmp(header, "content-type:", sizeof "content-type:" - 1) == 0;
		if (header[name + 1 + strspn(header + name + 1, " \t")] != '\0') {
			add_header(call, header);
		} else {
			LEAT_BUF_SCOPED empty = LEAT_BUF_INIT;
			leat_buf_printf(&empty, "%.*s;", (int)name, header);
			add_header(call, empty.data);
		}
	}
	if (!typed)
		add_header(call, "Content-Type:"); /* curl would say it is a form */
	add_header(call, "Expect:");           /* or a large body waits a second for a 100 Continue */
	return LEAT_OK;
}

/* ---- where it goes ---- */

static char *get_part(CURLU *url, CURLUPart part)
{
	char *text = NULL;
	CURLUcode code = curl_url_get(url, part, &text, CURLU_DEFAULT_PORT);
	if (code == CURLUE_OUT_OF_MEMORY)
		abort();
	return text;
}

/* What curl reads in the URL is what is checked here and what it then calls; an IPv4 address is in its usual form by now. */
static enum leat_kind read_url(struct leat_http_call *call, const char *text, struct leat_error *err)
{
	call->url = curl_url();
	if (call->url == NULL)
		abort();
	CURLUcode code = curl_url_set(call->url, CURLUPART_URL, text, 0);
	char *scheme = code == CURLUE_OK ? get_part(call->url, CURLUPART_SCHEME) : NULL;
	bool good = scheme != NULL && (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
	curl_free(scheme);
	if (!good)
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INVALID_MESSAGE, "URL: expected http://… or https://…%s%s",
			code != CURLUE_OK ? ": " : "", code != CURLUE_OK ? curl_url_strerror(code) : "");
	char *host = get_part(call->url, CURLUPART_HOST);
	char *port = get_part(call->url, CURLUPART_PORT);
	assert(host != NULL && port != NULL);
	size_t bytes = strlen(host);
	bool brackets = host[0] == '[' && host[bytes - 1] == ']';
	call->host = leat_strdup(brackets ? host + 1 : host);
	if (brackets)
		call->host[bytes - 2] = '\0';
	call->port = (uint16_t)strtoul(port, NULL, 10);
	curl_free(host);
	curl_free(port);
	return LEAT_OK;
}

/* curl asks here for each address that a host has: the one that it is about to connect to, whatever the name led to before. */
static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct leat_http_call *call = arg;
	assert(purpose == CURLSOCKTYPE_IPCXN);
	if (leat_egress_check_address(call->egress, call->host, call->port, &address->addr, &call->refusal) != LEAT_OK)
		return CURL_SOCKET_BAD;
	call->connected = true;
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* ---- the answer's body ---- */

static size_t take_body(char *bytes, size_t one, size_t count, void *arg)
{
	struct leat_http_call *call = arg;
	size_t more = one * count;
	if (more > call->response_limit - call->response.len) {
		call->too_large = true;
		return CURL_WRITEFUNC_ERROR;
	}
	leat_buf_add(&call->response, bytes, more);
	return more;
}

/* ---- options ---- */

#define SET(call, option, value)                                                                                                           \
	do {                                                                                                                                   \
		if (curl_easy_setopt((call)->easy, (option), (value)) != CURLE_OK)                                                                 \
			abort(); /* out of memory, or a curl that was built without it */                                                              \
	} while (false)

static void set_bounds(struct leat_http_call *call, int64_t timeout_ms)
{
	SET(call, CURLOPT_PROTOCOLS_STR, "http,https");
	SET(call, CURLOPT_FOLLOWLOCATION, 0L);
	SET(call, CURLOPT_PROXY, ""); /* whatever the environment says */
	SET(call, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	SET(call, CURLOPT_NOSIGNAL, 1L);
	SET(call, CURLOPT_QUICK_EXIT, 1L); /* an abort does not wait for a slow name server */
	SET(call, CURLOPT_SSL_VERIFYPEER, 1L);
	SET(call, CURLOPT_SSL_VERIFYHOST, 2L);
	SET(call, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
	SET(call, CURLOPT_CONNECTTIMEOUT_MS, (long)(timeout_ms < CONNECT_MS ? timeout_ms : CONNECT_MS));
}

static void set_egress(struct leat_http_call *call)
{
	SET(call, CURLOPT_CURLU, call->url);
	if (call->egress == NULL)
		return;
	SET(call, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	SET(call, CURLOPT_OPENSOCKETDATA, call);
}

static void set_request(struct leat_http_call *call, const struct leat_http_request *request)
{
	SET(call, CURLOPT_USERAGENT, "leat/" LEAT_VERSION);
	SET(call, CURLOPT_HTTPHEADER, call->headers);
	if (strcmp(request->method, "HEAD") == 0) {
		SET(call, CURLOPT_NOBODY, 1L);
	} else if (request->body_bytes > 0 || strcmp(request->method, "POST") == 0) {
		SET(call, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->request.len);
		SET(call, CURLOPT_POSTFIELDS, leat_buf_text(&call->request));
	}
	SET(call, CURLOPT_CUSTOMREQUEST, request->method);
}

static void set_response(struct leat_http_call *call)
{
	SET(call, CURLOPT_WRITEFUNCTION, take_body);
	SET(call, CURLOPT_WRITEDATA, call);
	SET(call, CURLOPT_ERRORBUFFER, call->why);
	SET(call, CURLOPT_PRIVATE, call);
}

static enum leat_kind read_request(struct leat_http_call *call, const struct leat_http_request *request, struct leat_error *err)
{
	if (read_url(call, request->url, err) != LEAT_OK)
		return LEAT_PERMANENT;
	if (request->method[0] == '\0' || request->method[token_bytes(request->method)] != '\0')
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INVALID_MESSAGE, "expected a method such as GET or POST");
	if (request->egress != NULL && leat_egress_check_host(request->egress, call->host, call->port, err) != LEAT_OK)
		return LEAT_PERMANENT;
	return add_headers(call, request->headers, err);
}

struct leat_http_call *http_call_new(const struct leat_http_request *request, const char *ca_file, struct leat_error *err)
{
	assert(request->timeout_ms > 0);
	struct leat_http_call *call = leat_alloc_zero(1, sizeof *call);
	call->egress = request->egress;
	call->response_limit = request->response_bytes;
	call->opaque = request->opaque;
	if (read_request(call, request, err) != LEAT_OK) {
		http_call_free(call);
		return NULL;
	}
	call->easy = curl_easy_init();
	if (call->easy == NULL)
		abort();
	leat_buf_add(&call->request, request->body, request->body_bytes);
	set_bounds(call, request->timeout_ms);
	if (ca_file != NULL) /* the system's are in a directory of theirs, CURLOPT_CAPATH */
		SET(call, CURLOPT_CAINFO, ca_file);
	set_egress(call);
	set_request(call, request);
	set_response(call);
	return call;
}

/* Headers may hold secrets. */
static void clear_headers(struct curl_slist *headers)
{
	for (struct curl_slist *header = headers; header != NULL; header = header->next)
		explicit_bzero(header->data, strlen(header->data));
	curl_slist_free_all(headers);
}

void http_call_free(struct leat_http_call *call)
{
	curl_easy_cleanup(call->easy);
	curl_url_cleanup(call->url);
	clear_headers(call->headers);
	leat_buf_free(&call->request);
	leat_buf_free(&call->response);
	free(call->host);
	free(call);
}

/* ---- how it ended ---- */

static int64_t retry_after_ms(struct leat_http_call *call)
{
	curl_off_t seconds = 0;
	if (curl_easy_getinfo(call->easy, CURLINFO_RETRY_AFTER, &seconds) != CURLE_OK || seconds < 0)
		return 0;
	return (seconds < RETRY_AFTER_MOST_S ? seconds : RETRY_AFTER_MOST_S) * 1000;
}

/* A host may have several addresses; one that was tried makes it a call like any other. */
static bool was_refused(const struct leat_http_call *call)
{
	return call->refusal.kind != LEAT_OK && !call->connected;
}

static void explain(const struct leat_http_call *call, CURLcode code, struct leat_http_answer *out)
{
	if (was_refused(call))
		snprintf(out->why, sizeof out->why, "%.*s", (int)sizeof out->why - 1, call->refusal.text);
	else if (call->too_large)
		snprintf(out->why, sizeof out->why, "the answer is larger than %zu bytes", call->response_limit);
	else
		snprintf(out->why, sizeof out->why, "%s", call->why[0] != '\0' ? call->why : curl_easy_strerror(code));
	for (char *at = out->why; *at != '\0'; at++) {
		if ((unsigned char)*at < ' ')
			*at = ' ';
	}
}

static enum leat_http_end end_of(const struct leat_http_call *call, CURLcode code)
{
	if (was_refused(call))
		return LEAT_HTTP_REFUSED;
	if (call->too_large)
		return LEAT_HTTP_TOO_LARGE;
	return code == CURLE_PEER_FAILED_VERIFICATION ? LEAT_HTTP_UNTRUSTED : LEAT_HTTP_FAILED;
}

void http_call_conclude(struct leat_http_call *call, CURLcode code, struct leat_http_answer *out)
{
	long status = 0;
	*out = (struct leat_http_answer){.opaque = call->opaque};
	if (curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK)
		out->status = (int)status;
	out->retry_after_ms = retry_after_ms(call);
	if (code == CURLE_OK) {
		out->end = LEAT_HTTP_ANSWERED;
	} else {
		out->end = end_of(call, code);
		explain(call, code, out);
		leat_buf_free(&call->response);
	}
	out->body_bytes = call->response.len;
	out->body = leat_buf_take(&call->response);
}
