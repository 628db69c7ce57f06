/* The HTTP client against a real server that misbehaves. */
#include "endpoint.h"

#include "leat/buf.h"
#include "leat/clock.h"
#include "leat/http.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static struct rig rig;
static struct endpoint endpoint;
static struct leat_http *http;

static void setup(void)
{
	struct leat_error err;
	rig_open(&rig);
	endpoint_start(&endpoint, &rig);
	cr_assert_eq(leat_http_open(&http, &err), LEAT_OK, "%s", err.text);
}

static void teardown(void)
{
	leat_http_close(http);
	endpoint_stop(&endpoint);
	rig_close(&rig);
}

TestSuite(http, .init = setup, .fini = teardown);

/* A GET of a path, or of a whole URL, with the client's defaults of these tests. */
static struct leat_http_request get(const char *path)
{
	static char url[256];
	snprintf(url, sizeof url, "%s%s", path[0] == '/' ? endpoint.base : "", path);
	return (struct leat_http_request){.method = "GET", .url = url, .timeout_ms = 20000, .response_bytes = 1 << 20};
}

static struct leat_http_call *start(const struct leat_http_request *request)
{
	struct leat_http_call *call;
	struct leat_error err;
	cr_assert_eq(leat_http_start(http, request, &call, &err), LEAT_OK, "%s", err.text);
	return call;
}

static struct leat_http_answer next(void)
{
	struct leat_http_answer answer;
	int64_t deadline = leat_clock_ms() + 60000;
	while (!leat_http_next(http, &answer)) {
		cr_assert_lt(leat_clock_ms(), deadline, "no call is over");
		leat_http_wait(http, NULL, 0, 1000);
	}
	return answer;
}

static struct leat_http_answer run(const struct leat_http_request *request)
{
	start(request);
	return next();
}

static void expect_end(const char *path, enum leat_http_end end, int status)
{
	struct leat_http_request request = get(path);
	struct leat_http_answer answer = run(&request);
	cr_expect(answer.end == end && answer.status == status, "%s: %d, %d %s", path, answer.end, answer.status, answer.why);
	cr_expect_eq(answer.why[0] == '\0', end == LEAT_HTTP_ANSWERED, "%s: %s", path, answer.why);
	cr_expect(end == LEAT_HTTP_ANSWERED || answer.body_bytes == 0);
	leat_http_answer_free(&answer);
}

/* ---- what goes out ---- */

static void expect_echo(const struct leat_http_request *request, const char *const *parts)
{
	struct leat_http_answer answer = run(request);
	cr_assert(answer.end == LEAT_HTTP_ANSWERED && answer.status == 200, "%s", answer.why);
	for (size_t i = 0; parts[i] != NULL; i++)
		cr_expect_not_null(strstr(answer.body, parts[i]), "%s is not in %s", parts[i], answer.body);
	cr_expect_null(strstr(answer.body, "x-www-form-urlencoded"), "%s", answer.body);
	cr_expect_null(strstr(answer.body, "\"expect\""), "%s", answer.body);
	leat_http_answer_free(&answer);
}

Test(http, method_headers_and_body_arrive_as_they_are)
{
	struct leat_http_request request = get("/echo?a=b");
	expect_echo(&request, RIG_ARGS("\"method\":\"GET\"", "\"url\":\"/echo?a=b\"", "\"user-agent\":\"leat/"));
	request.method = "PUT";
	request.headers = RIG_ARGS("Idempotency-Key: a b", "X-Empty:", "Content-Type: application/json");
	request.body = "{\"\xc3\xa4\":1}";
	request.body_bytes = strlen(request.body);
	expect_echo(&request,
		RIG_ARGS("\"method\":\"PUT\"", "\"idempotency-key\":\"a b\"", "\"x-empty\":\"\"", "\"content-type\":\"application/json\"",
			"{\\\"\xc3\xa4\\\":1}"));
	request = get("/echo");
	request.method = "DELETE";
	expect_echo(&request, RIG_ARGS("\"method\":\"DELETE\"", "\"body\":\"\""));
	request.method = "POST";
	expect_echo(&request, RIG_ARGS("\"method\":\"POST\"", "\"content-length\":\"0\""));
}

Test(http, the_request_may_change_once_the_call_has_started)
{
	char body[] = "before";
	struct leat_http_request request = get("/echo");
	request.method = "POST";
	request.body = body;
	request.body_bytes = strlen(body);
	start(&request);
	memset(body, 'x', strlen(body));
	struct leat_http_answer answer = next();
	cr_expect_not_null(strstr(answer.body, "\"body\":\"before\""), "%s", answer.body);
	leat_http_answer_free(&answer);
}

Test(http, a_body_of_two_megabytes_arrives_at_once)
{
	struct leat_http_request request = get("/v1/embeddings");
	LEAT_BUF_SCOPED body = LEAT_BUF_INIT;
	leat_buf_add_text(&body, "{\"model\":\"m\",\"input\":[\"");
	for (size_t i = 0; i < 2 << 20; i += 16)
		leat_buf_add_text(&body, "sixteen letters.");
	leat_buf_add_text(&body, "\"]}");
	request.method = "POST";
	request.body = body.data;
	request.body_bytes = body.len;
	struct leat_http_answer answer = run(&request);
	cr_expect_not_null(strstr(answer.body, "[-1,2097152]"), "%d %s", answer.status, answer.why);
	leat_http_answer_free(&answer);
}

Test(http, what_http_does_not_allow_is_refused_before_anything_is_called)
{
	static const struct {
		const char *method;
		const char *url;
		const char *header;
		const char *says;
	} cases[] = {
		{"GET", "ftp://127.0.0.1/", NULL, "expected http://"},
		{"GET", "file:///etc/passwd", NULL, "expected http://"},
		{"GET", "127.0.0.1/x", NULL, "expected http://"},
		{"GET", "", NULL, "expected http://"},
		{"GET", "http://", NULL, "expected http://"},
		{"GET", "http://127.0.0.1/a b", NULL, "expected http://"},
		{"GET", "http://127.0.0.1/\r\nX: y", NULL, "expected http://"},
		{"", "http://127.0.0.1/", NULL, "method"},
		{"GE T", "http://127.0.0.1/", NULL, "method"},
		{"GET\r\n", "http://127.0.0.1/", NULL, "method"},
		{"GET", "http://127.0.0.1/", "X: secret\r\nY: b", "header 1"},
		{"GET", "http://127.0.0.1/", "X: secret\n", "header 1"},
		{"GET", "http://127.0.0.1/", "secret", "header 1"},
		{"GET", "http://127.0.0.1/", ": secret", "header 1"},
		{"GET", "http://127.0.0.1/", "X Y: secret", "header 1"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct leat_error err;
		const char *headers[] = {cases[i].header, NULL};
		const struct leat_http_request request = {
			.method = cases[i].method, .url = cases[i].url, .headers = headers, .timeout_ms = 1000, .response_bytes = 1};
		cr_expect_eq(leat_http_start(http, &request, NULL, &err), LEAT_PERMANENT, "case %zu", i);
		cr_expect(strstr(err.text, cases[i].says) != NULL && strstr(err.text, "secret") == NULL, "case %zu: %s", i, err.text);
	}
	cr_expect_eq(leat_http_under_way(http), 0);
}

Test(http, proxies_of_the_environment_are_not_used)
{
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
	expect_end("/echo", LEAT_HTTP_ANSWERED, 200);
}

/* ---- what comes back ---- */

Test(http, every_kind_of_end_is_told)
{
	expect_end("/do/500", LEAT_HTTP_ANSWERED, 500);
	expect_end("/do/redirect", LEAT_HTTP_ANSWERED, 307);
	expect_end("/do/empty", LEAT_HTTP_ANSWERED, 200);
	expect_end("/do/closes", LEAT_HTTP_FAILED, 0);
	expect_end("/do/closes-early", LEAT_HTTP_FAILED, 200);
	expect_end("/do/huge", LEAT_HTTP_TOO_LARGE, 200);
	expect_end("http://127.0.0.1:1/", LEAT_HTTP_FAILED, 0);
	expect_end("http://no-such-host.invalid/", LEAT_HTTP_FAILED, 0);
	cr_expect_eq(leat_http_under_way(http), 0);
}

Test(http, the_limit_of_a_body_holds_to_the_byte)
{
	struct leat_http_request request = get("/do/500"); /* "oops" */
	for (size_t limit = 3; limit <= 4; limit++) {
		request.response_bytes = limit;
		struct leat_http_answer answer = run(&request);
		cr_expect_eq(answer.end, limit == 4 ? LEAT_HTTP_ANSWERED : LEAT_HTTP_TOO_LARGE);
		cr_expect_str_eq(answer.body, limit == 4 ? "oops" : "");
		leat_http_answer_free(&answer);
	}
}

Test(http, a_call_ends_when_its_time_is_up)
{
	struct leat_http_request request = get("/do/slow");
	request.timeout_ms = 300;
	int64_t before = leat_clock_ms();
	struct leat_http_answer answer = run(&request);
	int64_t took = leat_clock_ms() - before;
	cr_expect(answer.end == LEAT_HTTP_FAILED && strstr(answer.why, "timed out") != NULL, "%s", answer.why);
	cr_expect(took >= 290 && took < 10000, "%ld ms", (long)took);
	leat_http_answer_free(&answer);
}

Test(http, retry_after_is_read_in_both_forms)
{
	static const struct {
		const char *path;
		int64_t least;
		int64_t most;
	} cases[] = {{"/do/429", 2000, 2000}, {"/do/429-date", 5000, 10000}, {"/do/500", 0, 0}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct leat_http_request request = get(cases[i].path);
		struct leat_http_answer answer = run(&request);
		cr_expect(answer.retry_after_ms >= cases[i].least && answer.retry_after_ms <= cases[i].most, "%s: %ld", cases[i].path,
			(long)answer.retry_after_ms);
		leat_http_answer_free(&answer);
	}
}

/* ---- several at once ---- */

Test(http, slow_calls_hold_up_no_other_and_each_brings_back_what_was_given)
{
	struct leat_http_request slow = get("/do/slow");
	int marks[8];
	for (int i = 0; i < 8; i++)
		start(&slow);
	struct leat_http_request quick = get("/echo");
	for (int i = 0; i < 8; i++) {
		quick.opaque = &marks[i];
		start(&quick);
	}
	unsigned seen = 0;
	for (int i = 0; i < 8; i++) {
		struct leat_http_answer answer = next();
		cr_expect_eq(answer.status, 200);
		seen |= 1U << ((int *)answer.opaque - marks);
		leat_http_answer_free(&answer);
	}
	cr_expect_eq(seen, 0xff);
	cr_expect_eq(leat_http_under_way(http), 8);
	leat_http_abort_all(http);
	cr_expect_eq(leat_http_under_way(http), 0);
}

Test(http, an_aborted_call_is_not_told_of)
{
	struct leat_http_answer answer;
	struct leat_http_request slow = get("/do/slow");
	struct leat_http_call *first = start(&slow);
	start(&slow);
	struct leat_http_call *third = start(&slow);
	leat_http_abort(http, first);
	leat_http_abort(http, third);
	cr_expect_eq(leat_http_under_way(http), 1);
	leat_http_wait(http, NULL, 0, 0);
	cr_expect(!leat_http_next(http, &answer));
}

Test(http, waiting_ends_when_a_descriptor_is_readable)
{
	struct leat_http_request slow = get("/do/slow");
	int fd = eventfd(1, EFD_CLOEXEC);
	for (int round = 0; round < 2; round++) { /* without a call, and with one */
		int64_t before = leat_clock_ms();
		for (int i = 0; i < 5; i++) /* curl has timers of its own */
			leat_http_wait(http, &fd, 1, 60000);
		cr_expect_lt(leat_clock_ms() - before, 30000);
		start(&slow);
	}
	close(fd);
}

Test(http, a_connection_is_used_again)
{
	struct leat_http_request request = get("/port");
	char *ports[2];
	for (int i = 0; i < 2; i++) {
		struct leat_http_answer answer = run(&request);
		ports[i] = answer.body;
	}
	cr_expect_str_eq(ports[0], ports[1]);
	free(ports[0]);
	free(ports[1]);
}
