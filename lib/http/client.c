/*
 * The client: calls under way in one curl multi handle, told of one by one as they end.
 *
 * Nothing here fails but the opening: whatever goes wrong with a call is that call's end.
 */
#include "internal.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct leat_http {
	CURLM *multi;
	CURLSH *sessions; /* of TLS, for the calls that come after; connections are the multi handle's */
	char *ca_file;    /* or NULL */
	struct leat_http_call *first;
	size_t count;
};

static void init_curl(void)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		abort();
}

static void expect_ok(CURLMcode code)
{
	if (code != CURLM_OK) /* a handle misused, or out of memory */
		abort();
}

enum leat_kind leat_http_open(struct leat_http **out, struct leat_error *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, init_curl);
	CURLM *multi = curl_multi_init();
	if (multi == NULL)
		return leat_fail(err, LEAT_TEMPORARY, LEAT_CODE_INTERNAL, "curl can't start: is there a descriptor left?");
	*out = leat_alloc_zero(1, sizeof **out);
	(*out)->multi = multi;
	(*out)->sessions = curl_share_init();
	if ((*out)->sessions == NULL || curl_share_setopt((*out)->sessions, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION) != CURLSHE_OK)
		abort();
	return LEAT_OK;
}

void leat_http_close(struct leat_http *http)
{
	if (http == NULL)
		return;
	leat_http_abort_all(http);
	expect_ok(curl_multi_cleanup(http->multi));
	if (curl_share_cleanup(http->sessions) != CURLSHE_OK) /* a call still uses it */
		abort();
	free(http->ca_file);
	free(http);
}

/* Whether a line of it begins a certificate; of any kind that OpenSSL knows. */
static bool holds_certificate(FILE *file)
{
	char line[128];
	while (fgets(line, sizeof line, file) != NULL) {
		if (strncmp(line, "-----BEGIN ", 11) == 0 && strstr(line, "CERTIFICATE-----") != NULL)
			return true;
	}
	return false;
}

enum leat_kind leat_http_trust(struct leat_http *http, const char *ca_file, struct leat_error *err)
{
	free(http->ca_file);
	http->ca_file = NULL;
	if (ca_file[0] == '\0')
		return LEAT_OK;
	FILE *file = fopen(ca_file, "re");
	if (file == NULL)
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INTERNAL, "can't read %s: %s", ca_file, strerror(errno));
	bool good = holds_certificate(file);
	fclose(file);
	if (!good)
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INTERNAL, "%s holds no certificate; a PEM file is expected", ca_file);
	http->ca_file = leat_strdup(ca_file);
	return LEAT_OK;
}

enum leat_kind leat_http_start(
	struct leat_http *http, const struct leat_http_request *request, struct leat_http_call **out, struct leat_error *err)
{
	struct leat_http_call *call = http_call_new(request, http->ca_file, err);
	if (call == NULL)
		return err->kind;
	if (curl_easy_setopt(call->easy, CURLOPT_SHARE, http->sessions) != CURLE_OK)
		abort();
	expect_ok(curl_multi_add_handle(http->multi, call->easy));
	call->next = http->first;
	if (call->next != NULL)
		call->next->before = call;
	http->first = call;
	http->count++;
	if (out != NULL)
		*out = call;
	return LEAT_OK;
}

/* Out of the client; still the caller's to free. */
static void take_out(struct leat_http *http, struct leat_http_call *call)
{
	expect_ok(curl_multi_remove_handle(http->multi, call->easy));
	if (call->before != NULL)
		call->before->next = call->next;
	else
		http->first = call->next;
	if (call->next != NULL)
		call->next->before = call->before;
	http->count--;
}

void leat_http_abort(struct leat_http *http, struct leat_http_call *call)
{
	take_out(http, call);
	http_call_free(call);
}

void leat_http_abort_all(struct leat_http *http)
{
	while (http->first != NULL)
		leat_http_abort(http, http->first);
}

size_t leat_http_under_way(const struct leat_http *http)
{
	return http->count;
}

void leat_http_wait(struct leat_http *http, const int *fds, size_t fd_count, int64_t timeout_ms)
{
	struct curl_waitfd extra[LEAT_HTTP_FDS];
	int running;
	assert(fd_count <= LEAT_HTTP_FDS);
	for (size_t i = 0; i < fd_count; i++)
		extra[i] = (struct curl_waitfd){.fd = fds[i], .events = CURL_WAIT_POLLIN};
	expect_ok(curl_multi_perform(http->multi, &running));
	if ((size_t)running < http->count) /* one is over already */
		return;
	int most = timeout_ms < 0 ? 0 : timeout_ms < INT_MAX ? (int)timeout_ms : INT_MAX;
	expect_ok(curl_multi_poll(http->multi, extra, (unsigned)fd_count, most, NULL));
	expect_ok(curl_multi_perform(http->multi, &running));
}

bool leat_http_next(struct leat_http *http, struct leat_http_answer *out)
{
	int left;
	CURLMsg *message = curl_multi_info_read(http->multi, &left);
	if (message == NULL)
		return false;
	assert(message->msg == CURLMSG_DONE);
	CURLcode code = message->data.result; /* the message goes with the handle */
	struct leat_http_call *call = NULL;
	if (curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &call) != CURLE_OK)
		abort();
	http_call_conclude(call, code, out);
	take_out(http, call);
	http_call_free(call);
	return true;
}

void leat_http_answer_free(struct leat_http_answer *answer)
{
	free(answer->body);
	*answer = (struct leat_http_answer){0};
}
