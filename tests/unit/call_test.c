/* A node's request: what its parameters become, and what a reference may not have brought. */
#include "calling.h"

static struct leat_params params;

static void setup(void)
{
	leat_params_init(&params);
}

TestSuite(call, .init = setup);

static const struct leat_call_node http = {.kind = LEAT_NODE_HTTP};

static void expect_header(const struct leat_call *call, const char *name, const char *value)
{
	const char *header = find_header(call, name);
	cr_expect_eq(header == NULL, value == NULL, "%s: %s", name, header);
	cr_expect(header == NULL || value == NULL || strcmp(header + strlen(name) + 2, value) == 0, "%s", header);
}

Test(call, what_is_left_out_has_its_default)
{
	struct leat_call *call = must_compose(&http, "{'id':'a','type':'http','url':'http://x/y?z=%20'}", &params);
	const struct leat_http_request *request = leat_call_request(call);
	cr_expect_str_eq(request->method, "GET");
	cr_expect_str_eq(request->url, "http://x/y?z=%20");
	cr_expect(request->body == NULL && request->body_bytes == 0 && request->timeout_ms == 30000 && request->response_bytes == 524288);
	cr_expect_eq(leat_call_max_attempts(call), 3);
	expect_header(call, "Idempotency-Key", RUN "/a/0");
	expect_header(call, "Content-Type", NULL);
	expect_header(call, "traceparent", NULL);
	expect_header(call, "Leat-Run", NULL);
	cr_expect_null(request->headers[1]);
	leat_call_free(call);
}

Test(call, what_is_given_is_sent_and_the_body_byte_by_byte)
{
	struct leat_call *call = must_compose(&http,
		"{'url':'https://x','method':'PUT','headers':{'X-A':'b c','x-empty':''},'timeout_ms':7,'max_attempts':20,"
		"'body':{'n':123456789012345678901234567890.10, 'e':1E400 ,'t':'\\u00e4\\n'}}",
		&params);
	const struct leat_http_request *request = leat_call_request(call);
	cr_expect_str_eq(request->method, "PUT");
	cr_expect_str_eq(request->body, "{\"n\":123456789012345678901234567890.10, \"e\":1E400 ,\"t\":\"\\u00e4\\n\"}");
	cr_expect_eq(request->body_bytes, strlen(request->body));
	cr_expect(request->timeout_ms == 7 && leat_call_max_attempts(call) == 20);
	expect_header(call, "X-A", "b c");
	expect_header(call, "x-empty", "");
	expect_header(call, "Content-Type", "application/json");
	leat_call_free(call);
}

Test(call, any_json_is_a_body)
{
	static const char *const bodies[] = {"null", "false", "0", "[]", "{}"};
	for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
		LEAT_BUF_SCOPED text = LEAT_BUF_INIT;
		leat_buf_printf(&text, "{'url':'http://x','body':%s}", bodies[i]);
		struct leat_call *call = must_compose(&http, text.data, &params);
		cr_expect_str_eq(leat_call_request(call)->body, bodies[i]);
		expect_header(call, "Content-Type", "application/json");
		leat_call_free(call);
	}
}

Test(call, headers_of_the_node_come_before_ours)
{
	struct leat_call_node node = http;
	node.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
	struct leat_call *call = must_compose(&node, "{'url':'http://x','body':1,'headers':{'content-TYPE':'text/plain'}}", &params);
	expect_header(call, "content-TYPE", "text/plain");
	expect_header(call, "Content-Type", NULL);
	expect_header(call, "traceparent", node.traceparent);
	leat_call_free(call);
	call = must_compose(&node, "{'url':'http://x','headers':{'Traceparent':'mine'}}", &params);
	expect_header(call, "Traceparent", "mine");
	expect_header(call, "traceparent", NULL);
	leat_call_free(call);
}

Test(call, a_worker_is_told_what_it_works_on)
{
	const struct leat_call_node node = {.kind = LEAT_NODE_WORKER, .node_id = "x[12]", .generation = 2, .attempt = 3};
	struct leat_call *call = must_compose(&node, "{'url':'http://x'}", &params);
	cr_expect_str_eq(leat_call_request(call)->method, "POST");
	expect_header(call, "Leat-Run", RUN);
	expect_header(call, "Leat-Node", "x[12]");
	expect_header(call, "Leat-Attempt", "3");
	expect_header(call, "Idempotency-Key", RUN "/x[12]/2");
	leat_call_free(call);
}

Test(call, settings_give_the_limits)
{
	params.call_timeout_ms = 11;
	params.call_attempts = 12;
	params.call_response_bytes = 2048;
	struct leat_call *call = must_compose(&http, "{'url':'http://x'}", &params);
	cr_expect(leat_call_request(call)->timeout_ms == 11 && leat_call_request(call)->response_bytes == 2048);
	cr_expect_eq(leat_call_max_attempts(call), 12);
	leat_call_free(call);
}

Test(call, what_a_reference_brought_is_checked_by_type)
{
	static const struct {
		const char *parameters;
		const char *expected; /* behind `node "a": `, with ' for " */
	} cases[] = {
		{"[]", "parameters: expected an object, found an array"},
		{"{}", "url is missing"},
		{"{'url':null}", "url: expected an http:// or https:// URL with a host, found null"},
		{"{'url':'ftp://x'}", "url: expected an http:// or https:// URL with a host, found the text 'ftp://x'"},
		{"{'url':'http://u:p@x'}", "url: no user or password may stand before the host; send them in a header, as ${secret:NAME}"},
		{"{'url':'http://x/\\r\\nA: b'}",
			"url: expected a URL without spaces and control characters (%20 for a space), found the text 'http://x/\\r\\nA: b'"},
		{"{'url':'http://x','method':'TRACE'}", "method: expected one of GET|HEAD|POST|PUT|PATCH|DELETE, found the text 'TRACE'"},
		{"{'url':'http://x','method':['GET']}", "method: expected one of GET|HEAD|POST|PUT|PATCH|DELETE, found an array"},
		{"{'url':'http://x','timeout_ms':1.5}", "timeout_ms: expected a whole number from 1 to 600000, found the number 1.5"},
		{"{'url':'http://x','max_attempts':'3'}", "max_attempts: expected a whole number from 1 to 20, found the text '3'"},
		{"{'url':'http://x','headers':[]}", "headers: expected an object of texts, found an array"},
		{"{'url':'http://x','headers':{'A':7}}", "headers: A: expected a text"},
		{"{'url':'http://x','headers':{'A':{'$ref':'b#'}}}", "headers: A: expected a text"},
		{"{'url':'http://x','headers':{'A':'b\\r\\nC: d'}}", "headers: A: a header's value can't hold control characters"},
		{"{'url':'http://x','headers':{'A: b\\r\\nC':'d'}}",
			"headers: 'A: b??C' is no name of a header; expected letters, digits and !#$%&'*+-.^_`|~"},
		{"{'url':'http://x','headers':{'Host':'y'}}", "headers: Leat sets Host itself; leave it out"},
		{"{'url':'http://x','headers':{'idempotency-key':'y'}}", "headers: Leat sets idempotency-key itself; leave it out"},
		{"{'url':'http://x','headers':{'Leat-Run':'y'}}", "headers: Leat sets Leat-Run itself; leave it out"},
		{"{'url':'http://x','method':'HEAD','body':1}", "body: HEAD sends none; leave it out, or use POST"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct leat_call *call;
		struct leat_error err;
		LEAT_BUF_SCOPED expected = LEAT_BUF_INIT;
		LEAT_BUF_SCOPED said = LEAT_BUF_INIT;
		leat_buf_printf(&expected, "node 'a': %s", cases[i].expected);
		cr_expect_eq(compose(&call, &http, cases[i].parameters, &params, &err), LEAT_PERMANENT, "%s", cases[i].parameters);
		for (const char *at = err.text; *at != '\0'; at++)
			leat_buf_add(&said, *at == '"' ? "'" : at, 1);
		cr_expect_str_eq(said.data, expected.data, "says     %s\nexpected %s", said.data, expected.data);
		leat_call_free(call);
	}
}

/* ---- secrets ---- */

Test(call, only_headers_that_were_saved_with_a_secret_are_looked_into)
{
	struct leat_call_node node = http;
	struct leat_call *call = must_compose(&node, "{'url':'http://x','headers':{'A':'${secret:KEY}'},'body':'${secret:KEY}'}", &params);
	expect_header(call, "A", "${secret:KEY}");
	leat_call_free(call);
	node.secret_headers = (const char *const[]){"B", NULL};
	call = must_compose(&node, "{'url':'http://x','headers':{'A':'${secret:KEY}'}}", &params);
	expect_header(call, "A", "${secret:KEY}");
	leat_call_free(call);
}

Test(call, a_secret_that_is_not_there_fails_the_node)
{
	static const struct {
		const char *value;
		const char *says;
	} cases[] = {
		{"Bearer ${secret:KEY}", "node \"a\": headers: A: secret KEY: there are no secrets; set LEAT_SECRETS_DIR"},
		{"${secret:../KEY}", "malformed secret"},
		{"${secret:}", "malformed secret"},
	};
	struct leat_call_node node = http;
	node.secret_headers = (const char *const[]){"a", NULL}; /* names of headers are the same in either case */
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct leat_call *call;
		struct leat_error err;
		LEAT_BUF_SCOPED text = LEAT_BUF_INIT;
		leat_buf_printf(&text, "{'url':'http://x','headers':{'A':'%s'}}", cases[i].value);
		cr_expect_eq(compose(&call, &node, text.data, &params, &err), LEAT_PERMANENT);
		cr_expect_not_null(strstr(err.text, cases[i].says), "%s", err.text);
	}
}
