/* What an answer means for its node. */
#include "calling.h"

#include "leat/json.h"

#include <stdio.h>

static struct leat_params params;

static void setup(void)
{
	leat_params_init(&params);
}

TestSuite(judge, .init = setup);

/* The verdict on the first of three tries, drawn in the middle. */
static struct leat_call_verdict judge(enum leat_node_kind kind, enum leat_http_end end, int status, const char *body)
{
	const struct leat_call_node node = {.kind = kind};
	struct leat_call *call = must_compose(&node, "{'url':'http://x'}", &params);
	struct leat_call_verdict verdict;
	char *copy = leat_strdup(body);
	struct leat_http_answer answer = {.end = end, .status = status, .body = copy, .body_bytes = strlen(body)};
	if (end != LEAT_HTTP_ANSWERED)
		snprintf(answer.why, sizeof answer.why, "because");
	leat_call_judge(&verdict, call, 1, &answer, UINT32_MAX / 2);
	free(copy);
	leat_call_free(call);
	return verdict;
}

Test(judge, every_end_has_its_verdict)
{
	static const struct {
		enum leat_http_end end;
		int status;
		enum leat_call_end of_http;
		enum leat_call_end of_worker;
	} cases[] = {
		{LEAT_HTTP_ANSWERED, 200, LEAT_CALL_COMPLETED, LEAT_CALL_ACCEPTED},
		{LEAT_HTTP_ANSWERED, 202, LEAT_CALL_COMPLETED, LEAT_CALL_ACCEPTED},
		{LEAT_HTTP_ANSWERED, 299, LEAT_CALL_COMPLETED, LEAT_CALL_ACCEPTED},
		{LEAT_HTTP_ANSWERED, 101, LEAT_CALL_FAILED, LEAT_CALL_FAILED},
		{LEAT_HTTP_ANSWERED, 301, LEAT_CALL_FAILED, LEAT_CALL_FAILED},
		{LEAT_HTTP_ANSWERED, 304, LEAT_CALL_FAILED, LEAT_CALL_FAILED},
		{LEAT_HTTP_ANSWERED, 400, LEAT_CALL_FAILED, LEAT_CALL_FAILED},
		{LEAT_HTTP_ANSWERED, 404, LEAT_CALL_FAILED, LEAT_CALL_FAILED},
		{LEAT_HTTP_ANSWERED, 408, LEAT_CALL_RETRY, LEAT_CALL_RETRY},
		{LEAT_HTTP_ANSWERED, 425, LEAT_CALL_RETRY, LEAT_CALL_RETRY},
		{LEAT_HTTP_ANSWERED, 429, LEAT_CALL_RETRY, LEAT_CALL_RETRY},
		{LEAT_HTTP_ANSWERED, 500, LEAT_CALL_RETRY, LEAT_CALL_RETRY},
		{LEAT_HTTP_ANSWERED, 599, LEAT_CALL_RETRY, LEAT_CALL_RETRY},
		{LEAT_HTTP_FAILED, 0, LEAT_CALL_RETRY, LEAT_CALL_RETRY},
		{LEAT_HTTP_FAILED, 200, LEAT_CALL_RETRY, LEAT_CALL_ACCEPTED},
		{LEAT_HTTP_FAILED, 404, LEAT_CALL_RETRY, LEAT_CALL_RETRY},
		{LEAT_HTTP_TOO_LARGE, 200, LEAT_CALL_FAILED, LEAT_CALL_ACCEPTED},
		{LEAT_HTTP_TOO_LARGE, 404, LEAT_CALL_FAILED, LEAT_CALL_FAILED},
		{LEAT_HTTP_TOO_LARGE, 500, LEAT_CALL_RETRY, LEAT_CALL_RETRY},
		{LEAT_HTTP_REFUSED, 0, LEAT_CALL_FAILED, LEAT_CALL_FAILED},
		{LEAT_HTTP_UNTRUSTED, 0, LEAT_CALL_FAILED, LEAT_CALL_FAILED},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		for (int worker = 0; worker <= 1; worker++) {
			struct leat_call_verdict verdict = judge(
				worker ? LEAT_NODE_WORKER : LEAT_NODE_HTTP, cases[i].end, cases[i].status, cases[i].end == LEAT_HTTP_ANSWERED ? "{}" : "");
			enum leat_call_end expected = worker ? cases[i].of_worker : cases[i].of_http;
			cr_expect_eq(verdict.end, expected, "%d %d: %d %s", cases[i].end, cases[i].status, verdict.end, verdict.error);
			cr_expect_eq(verdict.error[0] == '\0', expected == LEAT_CALL_COMPLETED || expected == LEAT_CALL_ACCEPTED);
			cr_expect_eq(verdict.output.len > 0, expected == LEAT_CALL_COMPLETED);
			leat_call_verdict_fini(&verdict);
		}
	}
}

static void expect_output(const char *body, const char *output)
{
	struct leat_call_verdict verdict = judge(LEAT_NODE_HTTP, LEAT_HTTP_ANSWERED, 200, body);
	cr_expect_eq(verdict.end, LEAT_CALL_COMPLETED, "%s: %s", body, verdict.error);
	cr_expect_str_eq(leat_buf_text(&verdict.output), output);
	leat_call_verdict_fini(&verdict);
}

static void expect_failure(enum leat_http_end end, int status, const char *body, const char *text)
{
	struct leat_call_verdict verdict = judge(LEAT_NODE_HTTP, end, status, body);
	cr_expect_eq(verdict.end, LEAT_CALL_FAILED, "%s", body);
	cr_expect_str_eq(verdict.error, text, "says     %s\nexpected %s", verdict.error, text);
	leat_call_verdict_fini(&verdict);
}

#define NO_OUTPUT "the answer can't be the node's output: "
#define TAKES "; an http node takes JSON, or no body at all"

Test(judge, the_output_is_the_json_as_it_was_sent)
{
	expect_output("", "null");
	expect_output(" {\"a\" : 1.10, \"b\":12345678901234567890} ", " {\"a\" : 1.10, \"b\":12345678901234567890} ");
	expect_output("7", "7");
}

Test(judge, what_postgres_would_not_take_is_no_output)
{
	expect_failure(LEAT_HTTP_ANSWERED, 200, "<html>", NO_OUTPUT "the body is not JSON: expected a value at byte 1, found < (0x3C)" TAKES);
	expect_failure(LEAT_HTTP_ANSWERED, 200, "{\"a\":1,\"a\":2}", NO_OUTPUT "the body: the name \"a\" stands twice in one object" TAKES);
	expect_failure(LEAT_HTTP_ANSWERED, 200, "\"\\u0000\"", NO_OUTPUT "the body: the character \\u0000 can't be stored; leave it out" TAKES);
	params.max_nesting = 3; /* one level is the run.node's own */
	expect_output("[[1]]", "[[1]]");
	expect_failure(LEAT_HTTP_ANSWERED, 200, "[[[1]]]", NO_OUTPUT "[0][0] is nested 3 levels deep; the limit is 2 (--max-nesting)" TAKES);
}

Test(judge, an_output_has_to_fit_into_the_intent_that_brings_it)
{
	params.max_body_bytes = 1024 + 5;
	expect_output("[123]", "[123]");
	expect_failure(LEAT_HTTP_ANSWERED, 200, "[1234]",
		"the answer is larger than 5 bytes; ask for less, or let whoever runs Leat raise --max-body-bytes");
}

Test(judge, a_failure_says_what_to_do)
{
	expect_failure(LEAT_HTTP_ANSWERED, 302, "",
		"the server answers 302: it points elsewhere, and that is not followed: give the final address as the node's url");
	expect_failure(
		LEAT_HTTP_ANSWERED, 401, "no\x01\xff", "the server answers 401 and says \"no??\": look at the node's headers and their secrets");
	expect_failure(LEAT_HTTP_ANSWERED, 404, "", "the server answers 404: look at the node's url and method");
	expect_failure(LEAT_HTTP_ANSWERED, 422, "{\"e\":1}",
		"the server answers 422 and says \"{\"e\":1}\": look at what the node sends in body and headers");
	expect_failure(LEAT_HTTP_ANSWERED, 418, "", "the server answers 418: look at the node's request");
	expect_failure(LEAT_HTTP_TOO_LARGE, 200, "",
		"the answer is larger than 524288 bytes; ask for less, or let whoever runs Leat raise --call-response-bytes");
	expect_failure(LEAT_HTTP_REFUSED, 0, "", "because");
	expect_failure(LEAT_HTTP_UNTRUSTED, 0, "",
		"the server's certificate is not believed (because): look at the url's host and at the certificate, or let whoever runs Leat put "
		"the"
		" authority that signed it into --call-tls-ca");
	params.call_attempts = 1;
	expect_failure(LEAT_HTTP_ANSWERED, 503, "",
		"the server answers 503; 1 of 1 tries are made (max_attempts): look at the server, then retry the run");
	expect_failure(LEAT_HTTP_FAILED, 0, "",
		"the call got no answer: because; 1 of 1 tries are made (max_attempts): look at the server, url and timeout_ms, then retry the "
		"run");
}

/* ---- again ---- */

static int64_t delay(int64_t tries, int64_t retry_after_ms, uint32_t draw)
{
	const struct leat_call_node node = {.kind = LEAT_NODE_HTTP};
	struct leat_call *call = must_compose(&node, "{'url':'http://x','max_attempts':20}", &params);
	char empty[] = "";
	const struct leat_http_answer answer = {.end = LEAT_HTTP_ANSWERED, .status = 429, .body = empty, .retry_after_ms = retry_after_ms};
	struct leat_call_verdict verdict;
	leat_call_judge(&verdict, call, tries, &answer, draw);
	cr_expect_eq(verdict.end, tries < 20 ? LEAT_CALL_RETRY : LEAT_CALL_FAILED, "%d", (int)tries);
	leat_call_free(call);
	return verdict.retry_ms;
}

Test(judge, delays_are_drawn_from_a_range_that_doubles)
{
	cr_expect_eq(delay(1, 0, 0), 0);
	cr_expect_eq(delay(1, 0, UINT32_MAX), 500);
	cr_expect_eq(delay(1, 0, UINT32_MAX / 2), 249);
	cr_expect_eq(delay(2, 0, UINT32_MAX), 1000);
	cr_expect_eq(delay(6, 0, UINT32_MAX), 16000);
	cr_expect_eq(delay(7, 0, UINT32_MAX), 30000);
	cr_expect_eq(delay(19, 0, UINT32_MAX), 30000);
	cr_expect_eq(delay(20, 0, UINT32_MAX), 0);
}

Test(judge, retry_after_is_kept_to_up_to_five_minutes)
{
	cr_expect_eq(delay(1, 2000, 0), 2000);
	cr_expect_eq(delay(1, 2000, UINT32_MAX), 2500);
	cr_expect_eq(delay(1, 300000, 0), 300000);
	cr_expect_eq(delay(1, 604800000, 0), 300000);
}
