/* Graphs by chance: made node by node, asked, printed as a definition. */
#ifndef LEAT_TESTS_WORKFLOW_GRAPHS_H
#define LEAT_TESTS_WORKFLOW_GRAPHS_H

#include "workflow_checking.h"

#include <stdio.h>

#define NODES 64
#define EDGES 400

struct random_node {
	char id[8];
	const char *type;
	char reference[16]; /* "" for none */
	int block;          /* index of the split that it runs below, or -1 */
	int collect;        /* of a split */
};

struct random_graph {
	struct random_node nodes[NODES];
	int node_count;
	int edges[EDGES][2];
	int edge_count;
};

static uint64_t state; /* a test seeds it */

/* 0 to below - 1 (xorshift64) */
static inline int chance(int below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (int)(state % (uint64_t)below);
}

static inline int add(struct random_graph *graph, const char *type, int block)
{
	cr_assert(graph->node_count < NODES);
	struct random_node *node = &graph->nodes[graph->node_count];
	*node = (struct random_node){.type = type, .block = block, .collect = -1};
	snprintf(node->id, sizeof node->id, "n%d", graph->node_count);
	return graph->node_count++;
}

static inline bool has_edge(const struct random_graph *graph, int from, int to)
{
	for (int i = 0; i < graph->edge_count; i++)
		if (graph->edges[i][0] == from && graph->edges[i][1] == to)
			return true;
	return false;
}

static inline void link_nodes(struct random_graph *graph, int from, int to)
{
	if (has_edge(graph, from, to))
		return;
	cr_assert(graph->edge_count < EDGES);
	graph->edges[graph->edge_count][0] = from;
	graph->edges[graph->edge_count++][1] = to;
}

static inline bool leads(const struct random_graph *graph, int from, int to)
{
	for (int i = 0; i < graph->edge_count; i++)
		if (graph->edges[i][0] == from && (graph->edges[i][1] == to || leads(graph, graph->edges[i][1], to)))
			return true;
	return false;
}

static inline bool is_type(const struct random_graph *graph, int node, const char *type)
{
	return strcmp(graph->nodes[node].type, type) == 0;
}

static inline void print(const struct random_graph *graph, struct leat_buf *out)
{
	LEAT_BUF_SCOPED text = LEAT_BUF_INIT;
	leat_buf_add_text(&text, "{'nodes':[");
	int first = chance(graph->node_count); /* in any order */
	for (int i = 0; i < graph->node_count; i++) {
		const struct random_node *node = &graph->nodes[(first + i) % graph->node_count];
		add_node(&text, node->id, node->type, node->reference[0] != '\0' ? node->reference : NULL);
	}
	leat_buf_add_text(&text, "],'edges':[");
	first = graph->edge_count > 0 ? chance(graph->edge_count) : 0;
	for (int i = 0; i < graph->edge_count; i++) {
		const int *edge = graph->edges[(first + i) % graph->edge_count];
		leat_buf_printf(&text, "%s['%s','%s']", i > 0 ? "," : "", graph->nodes[edge[0]].id, graph->nodes[edge[1]].id);
	}
	leat_buf_add_text(&text, "]}");
	add_replaced(out, text.data, '\'', "\"");
}

#endif
