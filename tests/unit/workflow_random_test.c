/*
 * Valid graphs by chance, made of nodes that run once and of splits with what runs per item, are accepted; each of them is then broken in
 * every way there is, and refused for that.
 */
#include "workflow_graphs.h"

/* `mentions` is a part of the error's text, NULL for none. */
static void expect_random(const struct random_graph *graph, const char *mentions)
{
	struct leat_params limits = default_limits();
	struct leat_error err;
	LEAT_BUF_SCOPED text = LEAT_BUF_INIT;
	print(graph, &text);
	enum leat_kind kind = check_bytes(text.data, text.len, &limits, &err);
	if (mentions == NULL)
		cr_assert(kind == LEAT_OK, "%s\n%s", err.text, text.data);
	else
		cr_assert(
			kind == LEAT_PERMANENT && strstr(err.text, mentions) != NULL, "\"%s\" does not say \"%s\"\n%s", err.text, mentions, text.data);
}

/* ---- valid ones ---- */

/* Some of the earlier nodes that run once. */
static void follow_some(struct random_graph *graph, int node, int end)
{
	for (int from = 0; from < end; from++)
		if (graph->nodes[from].block < 0 && !is_type(graph, from, "split") && chance(4) == 0)
			link_nodes(graph, from, node);
}

static void add_block(struct random_graph *graph)
{
	int split = add(graph, "split", -1);
	follow_some(graph, split, split);
	int inner = 1 + chance(4);
	for (int i = 0; i < inner; i++) {
		int node = add(graph, i % 2 ? "http" : "worker", split);
		link_nodes(graph, split + chance(node - split), node);
		link_nodes(graph, split + chance(node - split), node);
		if (chance(3) == 0)
			follow_some(graph, node, split);
	}
	int collect = add(graph, "collect", -1);
	graph->nodes[split].collect = collect;
	for (int node = split + 1; node < collect; node++) {
		bool is_end = true;
		for (int later = node + 1; later < collect; later++)
			is_end = is_end && !has_edge(graph, node, later);
		if (is_end || chance(3) == 0)
			link_nodes(graph, node, collect);
	}
	if (chance(4) == 0)
		link_nodes(graph, split, collect);
	if (chance(4) == 0)
		follow_some(graph, collect, split);
}

/* `id` may be in the same graph. */
static void set_reference(struct random_node *node, const char *id, const char *pointer)
{
	char reference[sizeof node->reference];
	snprintf(reference, sizeof reference, "%s#%s", id, pointer);
	memcpy(node->reference, reference, sizeof reference);
}

static void refer(struct random_graph *graph, int node)
{
	struct random_node *from = &graph->nodes[node];
	if (!is_type(graph, node, "http") && !is_type(graph, node, "worker"))
		return;
	int target = chance(graph->node_count);
	const struct random_node *to = &graph->nodes[target];
	if (from->block >= 0 && chance(3) == 0)
		set_reference(from, "item", "");
	else if (leads(graph, target, node) && (to->block < 0 || to->block == from->block))
		set_reference(from, to->id, "/a");
	else
		set_reference(from, "input", "");
}

static struct random_graph valid_graph(void)
{
	struct random_graph graph = {0};
	add_block(&graph);
	for (int steps = chance(8); steps > 0; steps--) {
		if (chance(3) == 0) {
			add_block(&graph);
		} else {
			int node = add(&graph, "http", -1);
			follow_some(&graph, node, node);
		}
	}
	for (int node = 0; node < graph.node_count; node++)
		refer(&graph, node);
	return graph;
}

/* ---- broken in one way ---- */

static int any_inner(const struct random_graph *graph)
{
	int node = chance(graph->node_count);
	while (graph->nodes[node].block < 0)
		node = (node + 1) % graph->node_count;
	return node;
}

static int after(struct random_graph *graph, const char *type, int from)
{
	int node = add(graph, type, -1);
	link_nodes(graph, from, node);
	return node;
}

static const char *end_without_collect(struct random_graph *graph)
{
	after(graph, "http", any_inner(graph));
	return "leads to no collect";
}

static const char *second_collect(struct random_graph *graph)
{
	after(graph, "collect", any_inner(graph));
	return "its paths lead to two collects";
}

static const char *split_inside(struct random_graph *graph)
{
	after(graph, "split", any_inner(graph));
	return "splits don't nest";
}

static const char *collect_alone(struct random_graph *graph)
{
	after(graph, "collect", graph->nodes[graph->nodes[any_inner(graph)].block].collect);
	return "it collects nothing";
}

static const char *past_the_collect(struct random_graph *graph)
{
	int inner = any_inner(graph);
	int node = after(graph, "http", graph->nodes[graph->nodes[inner].block].collect);
	link_nodes(graph, inner, node);
	return "past it; let it follow the collect only";
}

static const char *two_splits(struct random_graph *graph)
{
	int node = after(graph, "http", add(graph, "split", -1));
	link_nodes(graph, any_inner(graph), node);
	after(graph, "collect", node);
	return "it is below two splits";
}

static const char *split_alone(struct random_graph *graph)
{
	add(graph, "split", -1);
	return "nothing follows this split";
}

static const char *circle(struct random_graph *graph)
{
	const int *edge = graph->edges[chance(graph->edge_count)];
	link_nodes(graph, edge[1], edge[0]);
	return "edges: they lead in a circle: ";
}

static const char *edge_twice(struct random_graph *graph)
{
	const int *edge = graph->edges[chance(graph->edge_count)];
	graph->edges[graph->edge_count][0] = edge[0];
	graph->edges[graph->edge_count++][1] = edge[1];
	return "stands twice";
}

static const char *edge_to_itself(struct random_graph *graph)
{
	int node = chance(graph->node_count);
	link_nodes(graph, node, node);
	return "an edge leads from it to itself";
}

static const char *id_twice(struct random_graph *graph)
{
	int node = chance(graph->node_count - 1);
	memcpy(graph->nodes[node].id, graph->nodes[node + 1].id, sizeof graph->nodes[node].id);
	return "the id stands twice";
}

static const char *unknown_type(struct random_graph *graph)
{
	graph->nodes[chance(graph->node_count)].type = "python";
	return "type: expected http, ";
}

static const char *refer_to(struct random_graph *graph, int node, const char *id, const char *mentions)
{
	set_reference(&graph->nodes[node], id, "");
	return mentions;
}

static const char *reference_to_itself(struct random_graph *graph)
{
	int node = any_inner(graph);
	return refer_to(graph, node, graph->nodes[node].id, "a node can't refer to its own output");
}

static const char *reference_downstream(struct random_graph *graph)
{
	int node = any_inner(graph);
	return refer_to(graph, node, graph->nodes[graph->nodes[graph->nodes[node].block].collect].id, "is not upstream");
}

static const char *reference_aside(struct random_graph *graph)
{
	int node = any_inner(graph);
	return refer_to(graph, node, graph->nodes[add(graph, "http", -1)].id, "is not upstream");
}

static const char *reference_to_nobody(struct random_graph *graph)
{
	return refer_to(graph, any_inner(graph), "nobody", "there is no node \"nobody\"");
}

static const char *reference_into_a_split(struct random_graph *graph)
{
	int inner = any_inner(graph);
	int node = after(graph, "http", graph->nodes[graph->nodes[inner].block].collect);
	return refer_to(graph, node, graph->nodes[inner].id, "refer to its collect");
}

static const char *item_outside(struct random_graph *graph)
{
	return refer_to(graph, add(graph, "http", -1), "item", "there is an item only between a split and its collect");
}

Test(workflow_random, a_valid_graph_is_accepted_and_each_fault_refused_by_its_name)
{
	static const char *(*const faults[])(struct random_graph *) = {end_without_collect, second_collect, split_inside, collect_alone,
		past_the_collect, two_splits, split_alone, circle, edge_twice, edge_to_itself, id_twice, unknown_type, reference_to_itself,
		reference_downstream, reference_aside, reference_to_nobody, reference_into_a_split, item_outside};
	for (uint64_t seed = 1; seed <= 300; seed++) {
		state = seed * UINT64_C(0x9E3779B97F4A7C15);
		struct random_graph valid = valid_graph();
		expect_random(&valid, NULL);
		for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
			struct random_graph broken = valid;
			const char *mentions = faults[i](&broken);
			expect_random(&broken, mentions);
		}
	}
}
