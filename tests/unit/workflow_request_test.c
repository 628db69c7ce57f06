/* What may stand in a request: method, url, headers, and secrets in their values only. */
#include "workflow_checking.h"

Test(workflow_request, methods)
{
	static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"};
	for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
		LEAT_BUF_SCOPED members = LEAT_BUF_INIT;
		leat_buf_printf(&members, HTTP ",'method':'%s'", methods[i]);
		expect_node(members.data, NULL);
	}
#define RULE_METHOD "method: expected one of GET|HEAD|POST|PUT|PATCH|DELETE, found "
	static const struct node_sample samples[] = {
		{HTTP ",'method':'get'", RULE_METHOD "the text 'get'"},
		{HTTP ",'method':''", RULE_METHOD "the text ''"},
		{HTTP ",'method':'GET|HEAD'", RULE_METHOD "the text 'GET|HEAD'"},
		{HTTP ",'method':'CONNECT'", RULE_METHOD "the text 'CONNECT'"},
		{HTTP ",'method':1", RULE_METHOD "the number 1"},
		{HTTP ",'method':{'$ref':'input#/method'}", NULL},
	};
	EXPECT_NODES(samples);
}

static void expect_urls(const char *const *urls, size_t count, const char *expected)
{
	for (size_t i = 0; i < count; i++) {
		LEAT_BUF_SCOPED members = LEAT_BUF_INIT;
		LEAT_BUF_SCOPED text = LEAT_BUF_INIT;
		leat_buf_printf(&members, "'type':'worker','url':%s", urls[i]);
		leat_buf_printf(&text, "url: %s", expected != NULL ? expected : "");
		if (expected != NULL && strstr(expected, "found") != NULL)
			leat_buf_printf(&text, " the text %s", urls[i]);
		expect_node(members.data, expected != NULL ? text.data : NULL);
	}
}

#define EXPECT_URLS(urls, expected) expect_urls(urls, sizeof(urls) / sizeof *(urls), expected)

Test(workflow_request, urls)
{
	static const char *const good[] = {"'http://a'", "'https://a.b-c_d.example/x?y=1&z=%20#f'", "'HTTP://A:1'", "'http://1.2.3.4:65535/'",
		"'http://[::1]:80/'", "'http:\\/\\/a\\/\\u0062'", "'http://a?u=b@c'", "'http://a/b@c:d'", "'http://a/é'", "{'$ref':'input#/url'}"};
	static const char *const bad[] = {"''", "'a'", "'/a'", "'ftp://a'", "'http:/a'", "'http://'", "'http:///a'", "'http://?a'",
		"'http://#'", "'http://:80'", "'http://a:'", "'http://a:0'", "'http://a:65536'", "'http://a:8x'", "'http://a:000080'",
		"'http://a b/'", "'http://[::1'", "'http://[]'", "'http://[g]'", "'http://[::1]x'", "'http://a\\\\b'", "'http://é'", "' http://a'",
		"'javascript:1'", "'http://a%2eb'", "'http://${host}'"};
	static const char *const users[] = {"'http://u:p@a'", "'https://u@a/'", "'http://@'", "'http://good@bad/'"};
	static const char *const spaces[] = {"'http://a/b c'", "'http://a/\\n'", "'http://a/\\u0085'", "'http://a\\u002f\\r\\nHost: b'"};
	EXPECT_URLS(good, NULL);
	EXPECT_URLS(bad, "expected an http:// or https:// URL with a host, or a reference, found");
	EXPECT_URLS(users, "no user or password may stand before the host; send them in a header, as ${secret:NAME}");
	EXPECT_URLS(spaces, "expected a URL without spaces and control characters (%20 for a space), found");
	expect_node("'type':'http','url':7", "url: expected an http:// or https:// URL with a host, or a reference, found the number 7");
}

Test(workflow_request, headers)
{
	static const struct node_sample samples[] = {
		{HTTP ",'headers':{}", NULL},
		{HTTP ",'headers':{'Accept':'a, b','x-1_2.3!#$%&*+^`|~':'','Y':'\\u00e9'}", NULL},
		{HTTP ",'headers':{'Accept':{'$ref':'input#/accept'}}", NULL},
		{HTTP ",'headers':{'$ref':'input#/headers'}", NULL},
		{HTTP ",'headers':[]", "headers: expected an object of texts, or a reference, found an array"},
		{HTTP ",'headers':{'A':1}", "headers: A: expected a text or a reference"},
		{HTTP ",'headers':{'A':{'x':'y'}}", "headers: A: expected a text or a reference"},
		{HTTP ",'headers':{'A':['x']}", "headers: A: expected a text or a reference"},
		{HTTP ",'headers':{'A':'x\\r\\nB: y'}", "headers: A: a header's value can't hold control characters"},
		{HTTP ",'headers':{'A':'\\u007f'}", "headers: A: a header's value can't hold control characters"},
		{HTTP ",'headers':{'':'x'}", "headers: '' is no name of a header; expected letters, digits and !#$%&'*+-.^_`|~"},
		{HTTP ",'headers':{'A B':'x'}", "headers: 'A B' is no name of a header; expected letters, digits and !#$%&'*+-.^_`|~"},
		{HTTP ",'headers':{'A:':'x'}", "headers: 'A:' is no name of a header; expected letters, digits and !#$%&'*+-.^_`|~"},
		{HTTP ",'headers':{'A\\r\\n':'x'}", "headers: 'A?\?' is no name of a header; expected letters, digits and !#$%&'*+-.^_`|~"},
		{HTTP ",'headers':{'é':'x'}", "headers: 'é' is no name of a header; expected letters, digits and !#$%&'*+-.^_`|~"},
		{HTTP ",'headers':{'Accept':'x','aCCEPT':'y'}", "headers: aCCEPT stands twice"},
		{HTTP ",'headers':{'B':'x','Accept':'x','\\u0061ccept':'y'}", "headers: accept stands twice"},
		{HTTP ",'headers':{'Host':'x'}", "headers: Leat sets Host itself; leave it out"},
		{HTTP ",'headers':{'content-length':'1'}", "headers: Leat sets content-length itself; leave it out"},
		{HTTP ",'headers':{'Transfer-Encoding':'chunked'}", "headers: Leat sets Transfer-Encoding itself; leave it out"},
		{HTTP ",'headers':{'CONNECTION':'close'}", "headers: Leat sets CONNECTION itself; leave it out"},
		{HTTP ",'headers':{'Idempotency-Key':{'$ref':'input#'}}", "headers: Leat sets Idempotency-Key itself; leave it out"},
		{HTTP ",'headers':{'leat-':'1'}", "headers: Leat sets leat- itself; leave it out"},
		{HTTP ",'headers':{'Leat-Run':'1'}", "headers: Leat sets Leat-Run itself; leave it out"},
		{HTTP ",'headers':{'Leaf-Run':'1','Hosts':'1','Host-':'2'}", NULL},
	};
	EXPECT_NODES(samples);
}

Test(workflow_request, headers_are_at_most_64)
{
	for (int count = 64; count <= 65; count++) {
		LEAT_BUF_SCOPED members = LEAT_BUF_INIT;
		leat_buf_add_text(&members, HTTP ",'headers':{'A':''");
		for (int i = 1; i < count; i++)
			leat_buf_printf(&members, ",'X-%d':'v'", i);
		leat_buf_add_text(&members, "}");
		expect_node(members.data, count == 64 ? NULL : "headers: expected at most 64 of them, found more");
	}
}

Test(workflow_request, secrets_stand_in_the_values_of_headers_only)
{
#define MALFORMED "headers.A: malformed secret; write ${secret:NAME}, NAME being 1 to 64 letters, digits and _"
#define ELSEWHERE "${secret:NAME} is replaced in the values of headers only; send it in a header"
	static const struct node_sample samples[] = {
		{HTTP ",'headers':{'A':'Bearer ${secret:API_key_1}','B':'${secret:a}${secret:b} ${x}'}", NULL},
		{HTTP ",'headers':{'A':'${secret:" X16 X16 X16 X16 "}'}", NULL},
		{HTTP ",'headers':{'A':'${secret:" X16 X16 X16 X16 "y}'}", MALFORMED},
		{HTTP ",'headers':{'A':'${secret:}'}", MALFORMED},
		{HTTP ",'headers':{'A':'${secret:a'}", MALFORMED},
		{HTTP ",'headers':{'A':'${secret:a b}'}", MALFORMED},
		{HTTP ",'headers':{'A':'${secret:../x}'}", MALFORMED},
		{HTTP ",'headers':{'A':'${secret:${secret:a}}'}", MALFORMED},
		{HTTP ",'headers':{'A':'${secret:a}${secret:b-c}'}", MALFORMED},
		{HTTP ",'headers':{'A':'${secret}'}", MALFORMED},
		{HTTP ",'headers':{'A':'${secrets:a}'}", MALFORMED},
		{HTTP ",'headers':{'A':'\\u0024{secret'}", MALFORMED},
		{HTTP ",'body':'${secret:a}'", "body: " ELSEWHERE},
		{HTTP ",'body':{'x':[1,'y ${secret:a}']}", "body.x[1]: " ELSEWHERE},
		{HTTP ",'body':{'${secret:a}':1}", "body.${secret:a}: " ELSEWHERE},
		{HTTP ",'body':'\\u0024{secret:'", "body: " ELSEWHERE},
		{"'type':'worker','url':'http://x/${secret:a}'", "url: " ELSEWHERE},
		{HTTP ",'body':'${secretary} ${secret} ${SECRET:a} $secret:a {secret:a}'", NULL},
		{"'type':'merge','content':{'text':'${secret:a}'}", NULL},
	};
	EXPECT_NODES(samples);
}
