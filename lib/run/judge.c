/*
 * What an answer means for the node: the one place that maps HTTP to how a node goes on.
 *
 * The happy path: a 2xx with JSON is the node's output. A failure is told in a text for people that ends with what to do; what the server
 * said itself is quoted in it, and no secret is in either.
 */
#include "call.h"

#include "leat/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* What a run.node may hold besides the output: names, ids and quotes. */
#define ENVELOPE_BYTES 1024

static bool is_success(int status)
{
	return status >= 200 && status < 300;
}

/* Whatever it is, it may be gone the next time. */
static bool may_pass(const struct leat_http_answer *answer)
{
	int status = answer->status;
	if (answer->end == LEAT_HTTP_FAILED)
		return true;
	return answer->end != LEAT_HTTP_REFUSED && answer->end != LEAT_HTTP_UNTRUSTED &&
		(status == 408 || status == 425 || status == 429 || status >= 500);
}

/* ---- texts ---- */

static const char *advise(int status)
{
	switch (status) {
	case 401:
	case 403:
		return "look at the node's headers and their secrets";
	case 404:
	case 405:
		return "look at the node's url and method";
	case 400:
	case 409:
	case 413:
	case 415:
	case 422:
		return "look at what the node sends in body and headers";
	default:
		if (status >= 300 && status < 400)
			return "it points elsewhere, and that is not followed: give the final address as the node's url";
		return status >= 500 ? "look at the server, then retry the run" : "look at the node's request";
	}
}

/* The beginning of what the server said, without secrets; they are taken out first, since one that is cut is not known any more. */
static void quote_body(const struct leat_call *call, const struct leat_http_answer *answer, struct leat_buf *out)
{
	LEAT_BUF_SCOPED said = LEAT_BUF_INIT;
	if (answer->body_bytes == 0)
		return;
	leat_secrets_redact(call->secrets, (struct leat_text){answer->body, answer->body_bytes}, &said);
	leat_buf_printf(out, " and says \"%s\"", leat_excerpt((struct leat_text){leat_buf_text(&said), said.len}).text);
}

/* On one line, '?' for what is not UTF-8 or a control character. */
static void add_printable(struct leat_buf *out, const char *at, const char *end)
{
	while (at < end) {
		size_t bytes = leat_utf8_bytes(at, end);
		bool printable = bytes > 0 && leat_text_is_printable((struct leat_text){at, bytes});
		leat_buf_add(out, printable ? at : "?", printable ? bytes : 1);
		at += bytes > 0 ? bytes : 1;
	}
}

/* Whatever went into the text, no secret leaves in it. It is cut where it is too long. */
static void set_error(struct leat_call_verdict *out, const struct leat_call *call, const struct leat_buf *text)
{
	LEAT_BUF_SCOPED said = LEAT_BUF_INIT;
	LEAT_BUF_SCOPED line = LEAT_BUF_INIT;
	struct leat_error err;
	leat_secrets_redact(call->secrets, (struct leat_text){leat_buf_text(text), text->len}, &said);
	add_printable(&line, said.data, said.data + said.len);
	leat_fail(&err, LEAT_PERMANENT, LEAT_CODE_NONE, "%s", leat_buf_text(&line));
	snprintf(out->error, sizeof out->error, "%s", err.text);
}

static void fail(struct leat_call_verdict *out, const struct leat_call *call, const struct leat_buf *text)
{
	out->end = LEAT_CALL_FAILED;
	set_error(out, call, text);
}

/* What happened, as far as one sentence goes: what to do follows. */
static void describe(const struct leat_call *call, const struct leat_http_answer *answer, struct leat_buf *out)
{
	if (answer->end == LEAT_HTTP_ANSWERED || (answer->end == LEAT_HTTP_TOO_LARGE && !is_success(answer->status))) {
		leat_buf_printf(out, "the server answers %d", answer->status);
		quote_body(call, answer, out);
	} else {
		leat_buf_printf(out, "the call got no answer: %s", answer->why);
	}
}

/* ---- again ---- */

static int64_t spread(int64_t limit_ms, uint32_t draw)
{
	return (int64_t)((uint64_t)limit_ms * draw / UINT32_MAX);
}

/* Full jitter: any time up to a limit that doubles, so that those that failed together don't come back together. */
static int64_t delay_ms(int64_t tries, int64_t retry_after_ms, uint32_t draw)
{
	int64_t limit = LEAT_CALL_RETRY_FIRST_MS;
	for (int64_t i = 1; i < tries && limit < LEAT_CALL_RETRY_LIMIT_MS; i++)
		limit *= 2;
	if (limit > LEAT_CALL_RETRY_LIMIT_MS)
		limit = LEAT_CALL_RETRY_LIMIT_MS;
	int64_t asked = retry_after_ms < LEAT_CALL_RETRY_AFTER_LIMIT_MS ? retry_after_ms : LEAT_CALL_RETRY_AFTER_LIMIT_MS;
	return asked + spread(limit, draw);
}

static void judge_passing(
	struct leat_call_verdict *out, const struct leat_call *call, int64_t tries, const struct leat_http_answer *answer, uint32_t draw)
{
	LEAT_BUF_SCOPED text = LEAT_BUF_INIT;
	describe(call, answer, &text);
	if (tries < call->max_attempts) {
		out->end = LEAT_CALL_RETRY;
		out->retry_ms = delay_ms(tries, answer->retry_after_ms, draw);
		leat_buf_printf(&text, "; it is called again, %" PRId64 " of %" PRId64 " tries are made", tries, call->max_attempts);
		set_error(out, call, &text);
		return;
	}
	leat_buf_printf(&text, "; %" PRId64 " of %" PRId64 " tries are made (max_attempts): %s", tries, call->max_attempts,
		answer->end == LEAT_HTTP_FAILED ? "look at the server, url and timeout_ms, then retry the run" : advise(answer->status));
	fail(out, call, &text);
}

/* ---- the output ---- */

static void fail_output(struct leat_call_verdict *out, const struct leat_call *call, const char *why)
{
	LEAT_BUF_SCOPED text = LEAT_BUF_INIT;
	leat_buf_printf(&text, "the answer can't be the node's output: %s; an http node takes JSON, or no body at all", why);
	fail(out, call, &text);
}

static void fail_large(struct leat_call_verdict *out, const struct leat_call *call, int64_t limit, const char *setting)
{
	LEAT_BUF_SCOPED text = LEAT_BUF_INIT;
	leat_buf_printf(&text, "the answer is larger than %" PRId64 " bytes; ask for less, or let whoever runs Leat raise %s", limit, setting);
	fail(out, call, &text);
}

/* The output stands one level deep in its run.node. */
static bool is_usable(const struct leat_call *call, struct leat_text body, struct leat_error *err)
{
	struct leat_json json;
	return leat_json_check(&json, body.at, body.bytes, call->params->max_nesting - 1, err) == LEAT_OK;
}

static void take_output(struct leat_call_verdict *out, const struct leat_call *call, struct leat_text body)
{
	struct leat_error err;
	if (!is_usable(call, body, &err)) {
		fail_output(out, call, err.text);
		return;
	}
	if (!leat_secrets_redact_json(call->secrets, body, &out->output))
		leat_buf_add(&out->output, body.at, body.bytes);
	else if (!is_usable(call, (struct leat_text){out->output.data, out->output.len}, &err)) /* names that have become the same */
		fail_output(out, call, err.text);
	int64_t limit = call->params->max_body_bytes - ENVELOPE_BYTES;
	if ((int64_t)out->output.len > limit)
		fail_large(out, call, limit, "--max-body-bytes");
}

static void judge_success(struct leat_call_verdict *out, const struct leat_call *call, const struct leat_http_answer *answer)
{
	struct leat_text body = {answer->body, answer->body_bytes};
	out->end = call->kind == LEAT_NODE_WORKER ? LEAT_CALL_ACCEPTED : LEAT_CALL_COMPLETED;
	if (out->end == LEAT_CALL_ACCEPTED)
		return;
	if (answer->end == LEAT_HTTP_TOO_LARGE)
		fail_large(out, call, call->params->call_response_bytes, "--call-response-bytes");
	else if (body.bytes == 0)
		leat_buf_add_text(&out->output, "null");
	else
		take_output(out, call, body);
	if (out->end == LEAT_CALL_FAILED)
		leat_buf_free(&out->output);
}

/* ---- the verdict ---- */

void leat_call_judge(
	struct leat_call_verdict *out, const struct leat_call *call, int64_t tries, const struct leat_http_answer *answer, uint32_t draw)
{
	*out = (struct leat_call_verdict){0};
	bool accepted = call->kind == LEAT_NODE_WORKER && is_success(answer->status); /* whatever became of the body */
	if (accepted || (is_success(answer->status) && !may_pass(answer))) {
		judge_success(out, call, answer);
	} else if (may_pass(answer)) {
		judge_passing(out, call, tries, answer, draw);
	} else {
		LEAT_BUF_SCOPED text = LEAT_BUF_INIT;
		if (answer->end == LEAT_HTTP_REFUSED) {
			leat_buf_add_text(&text, answer->why);
		} else if (answer->end == LEAT_HTTP_UNTRUSTED) {
			leat_buf_printf(&text,
				"the server's certificate is not believed (%s): look at the url's host and at the certificate, or let whoever"
				" runs Leat put the authority that signed it into --call-tls-ca",
				answer->why);
		} else {
			describe(call, answer, &text);
			leat_buf_printf(&text, ": %s", advise(answer->status));
		}
		fail(out, call, &text);
	}
}

void leat_call_verdict_fini(struct leat_call_verdict *verdict)
{
	leat_buf_free(&verdict->output);
	*verdict = (struct leat_call_verdict){0};
}
