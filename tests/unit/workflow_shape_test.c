/* Small graphs of any shape are accepted exactly if walking every path below each split finds no fault. */
#include "workflow_graphs.h"

/* False at a fault on any path from `node`, which lies at or below `split`, up to a collect. */
static bool walk(const struct random_graph *graph, int split, int node, int *collect, bool inner[NODES])
{
	bool goes_on = false;
	for (int i = 0; i < graph->edge_count; i++) {
		int to = graph->edges[i][1];
		if (graph->edges[i][0] != node)
			continue;
		goes_on = true;
		if (is_type(graph, to, "collect")) {
			if (*collect >= 0 && *collect != to)
				return false;
			*collect = to;
			continue;
		}
		inner[to] = true;
		if (is_type(graph, to, "split") || !walk(graph, split, to, collect, inner))
			return false;
	}
	return goes_on;
}

static bool is_valid(const struct random_graph *graph)
{
	bool taken[NODES] = {0}; /* collects that have a split, nodes that are below one */
	for (int split = 0; split < graph->node_count; split++) {
		if (!is_type(graph, split, "split"))
			continue;
		bool inner[NODES] = {0};
		int collect = -1;
		if (!walk(graph, split, split, &collect, inner) || taken[collect])
			return false;
		taken[collect] = true;
		for (int node = 0; node < graph->node_count; node++) {
			if (inner[node] && (taken[node] || leads(graph, collect, node)))
				return false;
			taken[node] = taken[node] || inner[node];
		}
	}
	for (int node = 0; node < graph->node_count; node++)
		if (is_type(graph, node, "collect") && !taken[node])
			return false;
	return true;
}

/* Always downwards, so that `leads` ends; circles are broken graphs' above. */
static struct random_graph any_graph(void)
{
	static const char *const types[] = {"http", "http", "split", "collect"};
	struct random_graph graph = {0};
	int count = 3 + chance(4);
	for (int i = 0; i < count; i++)
		add(&graph, types[chance(4)], -1);
	for (int to = 1; to < count; to++)
		for (int from = 0; from < to; from++)
			if (chance(count) < 2)
				link_nodes(&graph, from, to);
	return graph;
}

Test(workflow_shape, a_graph_of_any_shape_is_accepted_if_every_path_is_good)
{
	struct leat_params limits = default_limits();
	int accepted_with_split = 0;
	state = 20;
	for (int i = 0; i < 30000; i++) {
		struct random_graph graph = any_graph();
		struct leat_error err;
		LEAT_BUF_SCOPED text = LEAT_BUF_INIT;
		print(&graph, &text);
		bool accepted = check_bytes(text.data, text.len, &limits, &err) == LEAT_OK;
		bool valid = is_valid(&graph);
		cr_assert(accepted == valid, "%s: %s\n%s", valid ? "refused" : "accepted", err.text, text.data);
		accepted_with_split += accepted && strstr(text.data, "split") != NULL;
	}
	cr_expect(accepted_with_split > 200, "only %d of them had a split and were good", accepted_with_split);
}
