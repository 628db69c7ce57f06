/* What may stand in a node: its id, its type, each parameter at its edges, references. */
#include "workflow_checking.h"

Test(workflow_node, a_definition_has_nodes_and_edges_and_nothing_else)
{
	static const struct {
		const char *definition, *expected;
	} samples[] = {
		{"{'nodes':[{'id':'a'," HTTP "}],'edges':[]}", NULL},
		{"{'edges':[],'nodes':[{" HTTP ",'id':'a'}]}", NULL},
		{"[]", "definition: expected an object with nodes and edges, found an array"},
		{"'x'", "definition: expected an object with nodes and edges, found the text 'x'"},
		{"{'nodes':[{'id':'a'," HTTP "}]}", NULL},
		{"{'edges':[]}", "definition: nodes is missing; it needs nodes, and edges where there are any"},
		{"{}", "definition: nodes is missing; it needs nodes, and edges where there are any"},
		{"{'nodes':[],'edges':[]}", "definition: nodes: it is empty; a workflow needs at least one node"},
		{"{'nodes':{},'edges':[]}", "definition: nodes: expected an array, found an object"},
		{"{'nodes':[{'id':'a'," HTTP "}],'edges':{}}", "definition: edges: expected an array, found an object"},
		{"{'nodes':[{'id':'a'," HTTP "}],'edge':[]}", "definition: there is no member 'edge'; did you mean 'edges'?"},
		{"{'Nodes':[]}", "definition: there is no member 'Nodes'; did you mean 'nodes'?"},
		{"{'nodes':[{'id':'a'," HTTP "}],'edges':[],'layout':{}}", "definition: there is no member 'layout'; it has nodes and edges"},
		{"{'nodes':[7],'edges':[]}", "definition: nodes[0]: expected an object, found the number 7"},
		{"{'nodes':[{'id':'a'," HTTP "},{'id':'b'," HTTP "},{'id':'a'," HTTP "}],'edges':[]}",
			"definition: node 'a': the id stands twice; give each node its own"},
		{"{'nodes':[{'id':'a'," HTTP "},{'id':'\\u0061'," HTTP "}],'edges':[]}",
			"definition: node 'a': the id stands twice; give each node its own"},
	};
	for (size_t i = 0; i < sizeof samples / sizeof *samples; i++)
		expect_definition(samples[i].definition, samples[i].expected);
}

static void expect_id(const char *id, const char *why)
{
	LEAT_BUF_SCOPED definition = LEAT_BUF_INIT;
	LEAT_BUF_SCOPED text = LEAT_BUF_INIT;
	leat_buf_printf(&definition, "{'nodes':[{'id':%s," HTTP "}],'edges':[]}", id);
	leat_buf_printf(&text, "definition: nodes[0]: id: %s", why != NULL ? why : "");
	expect_definition(definition.data, why != NULL ? text.data : NULL);
}

Test(workflow_node, an_id_is_1_to_64_letters_digits_dash_and_underscore)
{
	static const char *const good[] = {
		"'a'", "'_'", "'-'", "'0'", "'AZaz09_-'", "'inputs'", "'Input'", "'ite\\u006ds'", "'" X16 X16 X16 X16 "'"};
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		expect_id(good[i], NULL);
#define RULE "expected a text of 1 to 64 letters, digits, _ and -, found "
	expect_id("''", RULE "the text ''");
	expect_id("'" X16 X16 X16 X16 "y'", RULE "the text '" X16 X16 X16 X16 "y'");
	expect_id("'a b'", RULE "the text 'a b'");
	expect_id("'a.b'", RULE "the text 'a.b'");
	expect_id("'a#'", RULE "the text 'a#'");
	expect_id("'é'", RULE "the text 'é'");
	expect_id("7", RULE "the number 7");
	expect_id("null", RULE "null");
	expect_id("'input'", "input and item have a meaning in references; expected another text, found the text 'input'");
	expect_id("'\\u0069tem'", "input and item have a meaning in references; expected another text, found the text '\\u0069tem'");
	expect_definition("{'nodes':[{" HTTP "}],'edges':[]}", "definition: nodes[0]: id is missing; every node needs one");
}

Test(workflow_node, a_type_is_one_of_the_table)
{
	static const struct node_sample samples[] = {
		{"'url':'http://x'", "type is missing; expected http, worker, split, collect, merge or question"},
		{"'type':'htp'", "there is no type 'htp'; did you mean 'http'?"},
		{"'type':'Collect'", "there is no type 'Collect'; did you mean 'collect'?"},
		{"'type':'python'", "type: expected http, worker, split, collect, merge or question, found the text 'python'"},
		{"'type':['http']", "type: expected http, worker, split, collect, merge or question, found an array"},
		{"'type':null", "type: expected http, worker, split, collect, merge or question, found null"},
	};
	EXPECT_NODES(samples);
}

Test(workflow_node, a_parameter_is_one_of_its_type)
{
	static const struct node_sample samples[] = {
		{HTTP ",'header':{}", "http nodes have no parameter 'header'; did you mean 'headers'?"},
		{HTTP ",'Method':'GET'", "http nodes have no parameter 'Method'; did you mean 'method'?"},
		{HTTP ",'retries':3", "http nodes have no parameter 'retries'; they have method, url, headers, body, timeout_ms, max_attempts"},
		{HTTP ",'items':[]", "http nodes have no parameter 'items'; they have method, url, headers, body, timeout_ms, max_attempts"},
		{"'type':'collect','x':1", "collect nodes have no parameter 'x'; they have none"},
		{"'type':'http'", "url is missing; http nodes need url"},
		{"'type':'worker','method':'PUT'", "url is missing; worker nodes need url"},
		{"'type':'split'", "items is missing; split nodes need items"},
		{"'type':'question','connection_id':'c','payload':{}",
			"expected_user_id is missing; question nodes need connection_id, expected_user_id, payload"},
	};
	EXPECT_NODES(samples);
}

Test(workflow_node, numbers)
{
#define RULE_TIMEOUT "timeout_ms: expected a whole number from 1 to 600000, found "
	static const struct node_sample samples[] = {
		{HTTP ",'timeout_ms':1,'max_attempts':1", NULL},
		{HTTP ",'timeout_ms':600000,'max_attempts':20", NULL},
		{HTTP ",'timeout_ms':{'$ref':'input#/t'},'max_attempts':{'$ref':'input#/m'}", NULL},
		{HTTP ",'timeout_ms':0", RULE_TIMEOUT "the number 0"},
		{HTTP ",'timeout_ms':600001", RULE_TIMEOUT "the number 600001"},
		{HTTP ",'timeout_ms':-1", RULE_TIMEOUT "the number -1"},
		{HTTP ",'timeout_ms':1e3", RULE_TIMEOUT "the number 1e3"},
		{HTTP ",'timeout_ms':1.0", RULE_TIMEOUT "the number 1.0"},
		{HTTP ",'timeout_ms':18446744073709551617", RULE_TIMEOUT "the number 18446744073709551617"},
		{HTTP ",'timeout_ms':'1'", RULE_TIMEOUT "the text '1'"},
		{HTTP ",'timeout_ms':null", RULE_TIMEOUT "null"},
		{HTTP ",'max_attempts':0", "max_attempts: expected a whole number from 1 to 20, found the number 0"},
		{HTTP ",'max_attempts':21", "max_attempts: expected a whole number from 1 to 20, found the number 21"},
	};
	EXPECT_NODES(samples);
}

#define MERGE "'type':'merge','content':{'a':1}"

Test(workflow_node, merges)
{
#define RULE_TYPE "entity_type: expected 1 to 64 of a-z 0-9 _ . -, found "
	static const struct node_sample samples[] = {
		{MERGE, NULL},
		{"'type':'merge','metadata':{}", NULL},
		{"'type':'merge','content':{'$ref':'input#'},'metadata':{'a':{'$ref':'input#/b'}}", NULL},
		{MERGE ",'entity_id':'" USER "'", NULL},
		{MERGE ",'entity_id':{'$ref':'input#/id'}", NULL},
		{MERGE ",'entity_type':'a_1.-','key':'k'", NULL},
		{MERGE ",'entity_type':{'$ref':'input#/t'},'key':{'$ref':'input#/k'}", NULL},
		{"'type':'merge'", "a merge needs content or metadata: the fields to write"},
		{"'type':'merge','entity_id':'" USER "'", "a merge needs content or metadata: the fields to write"},
		{MERGE ",'entity_id':'x'", "entity_id: expected a UUID as text, or a reference, found the text 'x'"},
		{MERGE ",'entity_id':1", "entity_id: expected a UUID as text, or a reference, found the number 1"},
		{MERGE ",'entity_id':'" USER "','key':'k'", "a merge takes entity_id, or entity_type and key, not both"},
		{MERGE ",'entity_id':'" USER "','entity_type':'t'", "a merge takes entity_id, or entity_type and key, not both"},
		{MERGE ",'key':'k'", "entity_type is missing; entity_type and key go together"},
		{MERGE ",'entity_type':'t'", "key is missing; entity_type and key go together"},
		{MERGE ",'key':'k','entity_type':'A'", RULE_TYPE "the text 'A'"},
		{MERGE ",'key':'k','entity_type':''", RULE_TYPE "the text ''"},
		{MERGE ",'key':'k','entity_type':'" X16 X16 X16 X16 "'", NULL},
		{MERGE ",'key':'k','entity_type':'" X16 X16 X16 X16 "y'", RULE_TYPE "the text '" X16 X16 X16 X16 "y'"},
		{MERGE ",'key':'k','entity_type':null", RULE_TYPE "null"},
		{MERGE ",'entity_type':'t','key':''", "key: expected a text that is not empty, found the text ''"},
		{MERGE ",'entity_type':'t','key':[]", "key: expected a text that is not empty, found an array"},
		{"'type':'merge','content':[]", "content: expected an object or a reference, found an array"},
		{"'type':'merge','metadata':'x'", "metadata: expected an object or a reference, found the text 'x'"},
		{"'type':'merge','content':{'':1}", "content: a field name is empty"},
	};
	EXPECT_NODES(samples);
}

#define QUESTION "'type':'question','payload':{},'expected_user_id':'" USER "'"

Test(workflow_node, questions)
{
#define RULE_TEXT "connection_id: expected a text of 1 to 256 bytes without control characters, found "
#define X256 X16 X16 X16 X16 X16 X16 X16 X16 X16 X16 X16 X16 X16 X16 X16 X16
	static const struct node_sample samples[] = {
		{QUESTION ",'connection_id':'c'", NULL},
		{QUESTION ",'connection_id':'" X256 "'", NULL},
		{QUESTION ",'connection_id':{'$ref':'input#/c'},'ttl_s':{'$ref':'input#/ttl'}", NULL},
		{QUESTION ",'connection_id':''", RULE_TEXT "the text ''"},
		{QUESTION ",'connection_id':1", RULE_TEXT "the number 1"},
		{QUESTION ",'connection_id':'a\\n'", RULE_TEXT "the text 'a\\n'"},
		{QUESTION ",'connection_id':'c','ttl_s':1", NULL},
		{QUESTION ",'connection_id':'c','ttl_s':31536000", NULL},
		{QUESTION ",'connection_id':'c','ttl_s':0", "ttl_s: expected a whole number from 1 to 31536000, found the number 0"},
		{QUESTION ",'connection_id':'c','ttl_s':31536001", "ttl_s: expected a whole number from 1 to 31536000, found the number 31536001"},
		{"'type':'question','connection_id':'c','payload':{},'expected_user_id':'me'",
			"expected_user_id: expected a UUID as text, or a reference, found the text 'me'"},
		{"'type':'question','connection_id':'c','payload':'Shall we?','expected_user_id':'" USER "'", NULL},
	};
	EXPECT_NODES(samples);
	LEAT_BUF_SCOPED longer = LEAT_BUF_INIT;
	leat_buf_printf(&longer, QUESTION ",'connection_id':'%sy'", X256);
	expect_node(longer.data, RULE_TEXT "the text '" X16 X16 X16 X16 X16 "xxxxxx…");
}

Test(workflow_node, references_are_a_node_and_a_pointer)
{
#define POINTER "what follows # is no JSON Pointer (/field/0; ~0 for ~, ~1 for /)"
	static const struct node_sample samples[] = {
		{HTTP ",'body':{'$ref':'input#'}", NULL},
		{HTTP ",'body':{'\\u0024ref':'inp\\u0075t#/a\\/b'}", NULL},
		{HTTP ",'body':{'$ref':'input#/'}", NULL},
		{HTTP ",'body':{'$ref':'input#/a/0/~0~1/é/#/ '}", NULL},
		{HTTP ",'body':[1,{'x':{'y':[{'$ref':'input#/a'},{'ref':'?'}]}}]", NULL},
		{HTTP ",'body':{'$ref':'input'}", "body: the reference 'input' has no #; write node#/field, or node# for the whole output"},
		{HTTP ",'body':{'$ref':''}", "body: the reference '' has no #; write node#/field, or node# for the whole output"},
		{HTTP ",'body':{'$ref':'input#a'}", "body: the reference 'input#a': " POINTER},
		{HTTP ",'body':{'$ref':'input##'}", "body: the reference 'input##': " POINTER},
		{HTTP ",'body':{'$ref':'input#/a~'}", "body: the reference 'input#/a~': " POINTER},
		{HTTP ",'body':{'$ref':'input#/~2'}", "body: the reference 'input#/~2': " POINTER},
		{HTTP ",'body':{'$ref':'#/a'}", "body: the reference '#/a': there is no node ''"},
		{HTTP ",'body':{'$ref':'Input#/a'}", "body: the reference 'Input#/a': there is no node 'Input'"},
		{HTTP ",'body':{'$ref':7}", "body: '$ref': expected a text like 'node#/field', found the number 7"},
		{HTTP ",'body':{'$ref':{'$ref':'input#'}}", "body: '$ref': expected a text like 'node#/field', found an object"},
		{HTTP ",'body':{'$ref':'input#','x':1}", "body: an object with '$ref' can't have other members; leave them out"},
		{HTTP ",'body':{'x':1,'$ref':'input#'}", "body: an object with '$ref' can't have other members; leave them out"},
		{HTTP ",'body':{'a':[0,{'b':{'$ref':'input'}}]}",
			"body.a[1].b: the reference 'input' has no #; write node#/field, or node# for the whole output"},
		{HTTP ",'headers':{'A':{'$ref':'x#'}}", "headers.A: the reference 'x#': there is no node 'x'"},
		{"'type':'http','url':{'$ref':'input#','x':1}", "url: an object with '$ref' can't have other members; leave them out"},
	};
	EXPECT_NODES(samples);
}
