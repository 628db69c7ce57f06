/* Edges, splits with their collects, and what a node may refer to from where it stands. */
#include "workflow_checking.h"

struct sample {
	const char *nodes;
	const char *edges;
	const char *expected; /* behind `definition: `; NULL: accepted */
};

static void expect_all(const struct sample *samples, size_t count)
{
	for (size_t i = 0; i < count; i++)
		expect_graph(samples[i].nodes, samples[i].edges, samples[i].expected);
}

#define EXPECT_ALL(samples) expect_all(samples, sizeof(samples) / sizeof *(samples))
#define ABC "a:http b:http c:http"

Test(workflow_graph, edges_are_pairs_of_nodes)
{
#define NODES "{'nodes':[{'id':'alpha'," HTTP "},{'id':'b'," HTTP "}],'edges':"
	static const struct {
		const char *definition, *expected;
	} samples[] = {
		{NODES "[['alpha','b']]}", NULL},
		{NODES "[['\\u0061lpha','b']]}", NULL},
		{NODES "[{}]}", "definition: edges[0]: expected ['from','to'], the ids of two nodes, found an object"},
		{NODES "[['alpha','b'],['b']]}", "definition: edges[1]: expected ['from','to'], the ids of two nodes, found an array"},
		{NODES "[[]]}", "definition: edges[0]: expected ['from','to'], the ids of two nodes, found an array"},
		{NODES "[['alpha','b','c']]}", "definition: edges[0]: expected two ids, found more; write an edge for each pair"},
		{NODES "[['alpha',1]]}", "definition: edges[0]: expected a node's id as text, found the number 1"},
		{NODES "[['alpah','b']]}", "definition: edges[0]: there is no node 'alpah'; did you mean 'alpha'?"},
		{NODES "[['b','input']]}", "definition: edges[0]: there is no node 'input'"},
	};
	for (size_t i = 0; i < sizeof samples / sizeof *samples; i++)
		expect_definition(samples[i].definition, samples[i].expected);
}

Test(workflow_graph, edges_stand_once_and_lead_in_no_circle)
{
	static const struct sample samples[] = {
		{ABC, "", NULL},
		{ABC, "a>b b>c a>c", NULL},
		{ABC, "c>b b>a", NULL},
		{ABC, "a>a", "edges[0]: node 'a': an edge leads from it to itself"},
		{ABC, "a>b b>c a>b", "edges[2]: the edge from 'a' to 'b' stands twice"},
		{ABC, "a>b b>a", "edges: they lead in a circle: a -> b -> a"},
		{ABC, "c>a a>b b>c", "edges: they lead in a circle: a -> b -> c -> a"},
		{"e:http a:http b:http c:http d:http", "e>a a>b b>c c>b c>d", "edges: they lead in a circle: b -> c -> b"},
		{"a:http b:http c:http d:http e:http f:http", "a>b b>c c>d d>e e>f f>a",
			"edges: they lead in a circle: a -> b -> c -> d -> e -> f -> a"},
		{"a:http b:http c:http d:http e:http f:http g:http", "a>b b>c c>d d>e e>f f>g g>a",
			"edges: they lead in a circle: a -> b -> c -> d -> e -> 2 more -> a"},
	};
	EXPECT_ALL(samples);
}

#define SXC "s:split x:http c:collect"
#define TYD "t:split y:http d:collect"

Test(workflow_graph, a_split_is_closed_by_one_collect)
{
	static const struct sample samples[] = {
		{SXC, "s>x x>c", NULL},
		{SXC " y:http", "s>x s>y x>c y>c", NULL},
		{SXC " y:http", "s>x x>y x>c y>c s>c", NULL},
		{SXC " a:http z:http", "a>s a>x a>c s>x x>c c>z s>z",
			"node 'z': it follows the split 's' both over its collect 'c' and past it; let it follow the collect only"},
		{SXC " a:http z:http", "a>s a>x a>c s>x x>c c>z a>z", NULL},
		{SXC " b:http", "s>x b>x x>c", NULL},
		{SXC " " TYD, "s>x x>c c>t t>y y>d", NULL},
		{SXC " " TYD, "s>x x>c t>y y>d", NULL},
		{SXC " " TYD, "s>x x>c c>y t>y y>d", NULL},
		{"s:split c:collect", "s>c", NULL},
		{"s:split c:collect d:collect", "s>c s>d", "node 's': its paths lead to two collects, 'c' and 'd'; a split has one"},
		{"s:split", "", "node 's': nothing follows this split; it needs a collect, and nodes between them to run per item"},
		{"s:split x:http", "s>x", "node 'x': it is below the split 's' and leads to no collect; every path below a split needs to"},
		{SXC " y:http", "s>x s>y x>c", "node 'y': it is below the split 's' and leads to no collect; every path below a split needs to"},
		{SXC " d:collect", "s>x x>c x>d", "node 's': its paths lead to two collects, 'c' and 'd'; a split has one"},
		{SXC " z:http", "s>x x>c x>z c>z",
			"node 'z': it follows the split 's' both over its collect 'c' and past it; let it follow the collect only"},
		{"c:collect", "", "node 'c': it collects nothing: there is no split above it that is not collected yet"},
		{"a:http c:collect", "a>c", "node 'c': it collects nothing: there is no split above it that is not collected yet"},
		{SXC " d:collect", "s>x x>c c>d", "node 'd': it collects nothing: there is no split above it that is not collected yet"},
		{SXC " t:split", "s>x x>t t>c", "node 't': it is a split below the split 's'; splits don't nest, so collect that first"},
		{SXC " " TYD, "s>t t>y y>d d>x x>c", "node 't': it is a split below the split 's'; splits don't nest, so collect that first"},
		{SXC " t:split y:http", "s>x t>y x>c y>c",
			"node 'c': it is below two splits, 's' and 't'; each needs a collect of its own before they meet"},
		{SXC " " TYD, "s>x x>c t>y y>d x>y",
			"node 'y': it is below two splits, 's' and 't'; each needs a collect of its own before they meet"},
	};
	EXPECT_ALL(samples);
}

Test(workflow_graph, a_node_refers_to_what_is_upstream)
{
	static const struct sample samples[] = {
		{"a:http b:http@a#/x", "a>b", NULL},
		{"a:http b:http c:http@a#", "a>b b>c", NULL},
		{"a:http@input#/x b:http@input#", "a>b", NULL},
		{"alpha:http b:http@alhpa#", "alpha>b",
			"node 'b': body[0]: the reference 'alhpa#': there is no node 'alhpa'; did you mean 'alpha'?"},
		{"a:http@a#", "", "node 'a': body: the reference 'a#': a node can't refer to its own output"},
		{"a:http@b#/x b:http", "a>b", "node 'a': body: the reference 'b#/x': 'b' is not upstream: no path of edges leads from it to 'a'"},
		{"a:http b:http@a#", "", "node 'b': body: the reference 'a#': 'a' is not upstream: no path of edges leads from it to 'b'"},
		{"a:http b:http c:http@b#", "a>b a>c",
			"node 'c': body: the reference 'b#': 'b' is not upstream: no path of edges leads from it to 'c'"},
	};
	EXPECT_ALL(samples);
}

Test(workflow_graph, what_runs_per_item_is_referred_to_from_the_same_item)
{
	static const struct sample samples[] = {
		{"s:split x:http@item#/a c:collect", "s>x x>c", NULL},
		{"s:split x:http@s#/0 y:http@x#/a c:collect z:http@c#/0", "s>x x>y y>c c>z", NULL},
		{"a:http s:split x:http@a# c:collect", "a>s s>x x>c", NULL},
		{"s:split x:http c:collect y:http t:split z:http@c# d:collect w:http@s#", "s>x x>c c>t t>z z>d d>w y>z", NULL},
		{SXC " z:http@x#/a", "s>x x>c c>z",
			"node 'z': body: the reference 'x#/a': 'x' runs once per item of the split 's'; refer to its collect 'c'"},
		{SXC " t:split y:http@x# d:collect", "s>x x>c c>t t>y y>d",
			"node 'y': body: the reference 'x#': 'x' runs once per item of the split 's'; refer to its collect 'c'"},
		{"a:http@item#", "", "node 'a': body: the reference 'item#': there is an item only between a split and its collect"},
		{SXC " z:http@item#/a", "s>x x>c c>z",
			"node 'z': body: the reference 'item#/a': there is an item only between a split and its collect"},
	};
	EXPECT_ALL(samples);
	expect_definition("{'nodes':[{'id':'s','type':'split','items':{'$ref':'item#'}},{'id':'x'," HTTP "},{'id':'c','type':'collect'}],"
					  "'edges':[['s','x'],['x','c']]}",
		"definition: node 's': items: the reference 'item#': there is an item only between a split and its collect");
}

Test(workflow_graph, a_whole_workflow)
{
	expect_definition(
		"{'nodes':[{'id':'find','type':'http','url':'https://api.example/orders','headers':{'Authorization':'Bearer ${secret:API_KEY}'}},"
		"{'id':'each','type':'split','items':{'$ref':'find#/orders'}},"
		"{'id':'price','type':'worker','url':'https://pricing.example/jobs','body':{'order':{'$ref':'item#/id'}}},"
		"{'id':'all','type':'collect'},"
		"{'id':'save','type':'merge','content':{'prices':{'$ref':'all#'}}}],"
		"'edges':[['find','each'],['each','price'],['price','all'],['all','save']]}",
		NULL);
}
