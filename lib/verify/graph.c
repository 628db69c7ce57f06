/*
 * Reading a definition: its nodes, in the order of the definition; its edges; an order to run them in (Kahn: whatever needs nothing any
 * more is next); which split each node stands below.
 *
 * It fails on what leat_workflow_check would have refused and direct SQL may still have written: a node without id or of no known type, an
 * edge to nowhere, a cycle.
 */
#include "graph.h"

#include "reading.h"

#include <stdlib.h>
#include <string.h>

struct edge {
	size_t from;
	size_t to;
};

/* By place in the definition. */
struct draft {
	struct verify_node *nodes;
	size_t count;
	struct edge *edges;
	size_t edge_count;
};

static void draft_fini(struct draft *draft)
{
	for (size_t i = 0; i < draft->count; i++)
		free(draft->nodes[i].id);
	free(draft->nodes);
	free(draft->edges);
}

static size_t draft_find(const struct draft *draft, const struct leat_json *id)
{
	LEAT_BUF_SCOPED scratch = LEAT_BUF_INIT;
	if (id->type != LEAT_JSON_STRING)
		return VERIFY_NO_NODE;
	struct leat_text text = leat_json_text(id, &scratch);
	const struct verify_graph named = {.nodes = draft->nodes, .count = draft->count};
	return verify_graph_find(&named, text);
}

static bool read_nodes(struct draft *draft, const struct leat_json *nodes)
{
	if (nodes->type != LEAT_JSON_ARRAY)
		return false;
	draft->nodes = leat_alloc_zero(verify_items(nodes) + 1, sizeof *draft->nodes);
	struct leat_json_walk walk = leat_json_walk(nodes);
	for (struct leat_json name, value; leat_json_next(&walk, &name, &value);) {
		struct leat_json id = verify_json_member(&value, "id");
		struct leat_json type = verify_json_member(&value, "type");
		LEAT_BUF_SCOPED scratch = LEAT_BUF_INIT;
		const struct leat_node_type *known = type.type == LEAT_JSON_STRING ? leat_node_find(leat_json_text(&type, &scratch)) : NULL;
		if (id.type != LEAT_JSON_STRING || known == NULL || draft_find(draft, &id) != VERIFY_NO_NODE)
			return false;
		draft->nodes[draft->count++] = (struct verify_node){.id = verify_copy_text(&id),
			.kind = known->kind,
			.split = VERIFY_NO_NODE,
			.partner = VERIFY_NO_NODE,
			.items = verify_json_member(&value, "items")};
	}
	return draft->count > 0;
}

static bool read_edges(struct draft *draft, const struct leat_json *edges)
{
	if (edges->type == LEAT_JSON_NONE)
		return true;
	if (edges->type != LEAT_JSON_ARRAY)
		return false;
	draft->edges = leat_alloc_zero(verify_items(edges) + 1, sizeof *draft->edges);
	struct leat_json_walk walk = leat_json_walk(edges);
	for (struct leat_json name, value; leat_json_next(&walk, &name, &value);) {
		if (value.type != LEAT_JSON_ARRAY)
			return false;
		struct leat_json from = verify_item(&value, 0);
		struct leat_json to = verify_item(&value, 1);
		struct edge edge = {draft_find(draft, &from), draft_find(draft, &to)};
		if (edge.from == VERIFY_NO_NODE || edge.to == VERIFY_NO_NODE)
			return false;
		draft->edges[draft->edge_count++] = edge;
	}
	return true;
}

static int compare_edges(const void *left, const void *right)
{
	const struct edge *a = left;
	const struct edge *b = right;
	if (a->from != b->from)
		return a->from < b->from ? -1 : 1;
	return a->to < b->to ? -1 : a->to > b->to;
}

static size_t first_edge_of(const struct draft *draft, size_t from)
{
	size_t low = 0;
	for (size_t high = draft->edge_count; low < high;) {
		size_t middle = (low + high) / 2;
		if (draft->edges[middle].from < from)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Into `order`, places of the definition; false where a cycle keeps nodes out. Those that become free at the same time come by place. */
static bool sort(struct draft *draft, size_t *order)
{
	size_t *open = leat_alloc_zero(draft->count, sizeof *open);
	size_t sorted = 0;
	if (draft->edge_count > 0)
		qsort(draft->edges, draft->edge_count, sizeof *draft->edges, compare_edges);
	for (size_t i = 0; i < draft->edge_count; i++)
		open[draft->edges[i].to]++;
	for (size_t i = 0; i < draft->count; i++)
		if (open[i] == 0)
			order[sorted++] = i;
	for (size_t i = 0; i < sorted; i++)
		for (size_t e = first_edge_of(draft, order[i]); e < draft->edge_count && draft->edges[e].from == order[i]; e++)
			if (--open[draft->edges[e].to] == 0)
				order[sorted++] = draft->edges[e].to;
	free(open);
	return sorted == draft->count;
}

/* A node below a split is below that of what it needs; a collect ends it. */
static void pair(struct verify_graph *graph, size_t at)
{
	struct verify_node *node = &graph->nodes[at];
	for (size_t i = 0; i < node->need_count; i++) {
		const struct verify_node *need = &graph->nodes[node->needs[i]];
		size_t above = need->kind == LEAT_NODE_SPLIT ? node->needs[i] : need->split;
		if (above == VERIFY_NO_NODE)
			continue;
		if (node->kind == LEAT_NODE_COLLECT) {
			node->partner = above;
			graph->nodes[above].partner = at;
		} else {
			node->split = above;
		}
	}
}

/* The nodes, and with them their ids, go over to the graph. */
static void build(struct verify_graph *out, struct draft *draft, const size_t *order)
{
	size_t *place = leat_alloc_zero(draft->count, sizeof *place);
	out->nodes = leat_alloc_zero(draft->count, sizeof *out->nodes);
	out->count = draft->count;
	for (size_t i = 0; i < draft->count; i++) {
		place[order[i]] = i;
		out->nodes[i] = draft->nodes[order[i]];
		draft->nodes[order[i]].id = NULL;
	}
	for (size_t e = 0; e < draft->edge_count; e++)
		out->nodes[place[draft->edges[e].to]].need_count++;
	for (size_t i = 0; i < out->count; i++) {
		out->nodes[i].needs = leat_alloc_zero(out->nodes[i].need_count + 1, sizeof *out->nodes[i].needs);
		out->nodes[i].need_count = 0;
	}
	for (size_t e = 0; e < draft->edge_count; e++) {
		struct verify_node *to = &out->nodes[place[draft->edges[e].to]];
		to->needs[to->need_count++] = place[draft->edges[e].from];
	}
	for (size_t i = 0; i < out->count; i++)
		pair(out, i);
	free(place);
}

bool verify_graph_read(struct verify_graph *out, const char *definition)
{
	char *text = leat_strdup(definition);
	struct leat_json whole = verify_json(text, strlen(text));
	struct leat_json nodes = verify_json_member(&whole, "nodes");
	struct leat_json edges = verify_json_member(&whole, "edges");
	struct draft draft = {0};
	size_t *order = NULL;
	bool good = read_nodes(&draft, &nodes) && read_edges(&draft, &edges);
	if (good) {
		order = leat_alloc_zero(draft.count, sizeof *order);
		good = sort(&draft, order);
	}
	if (good) {
		build(out, &draft, order);
		out->text = text;
	} else {
		free(text);
	}
	free(order);
	draft_fini(&draft);
	return good;
}

void verify_graph_fini(struct verify_graph *graph)
{
	for (size_t i = 0; i < graph->count; i++) {
		free(graph->nodes[i].id);
		free(graph->nodes[i].needs);
	}
	free(graph->nodes);
	free(graph->text);
	*graph = (struct verify_graph){0};
}

size_t verify_graph_find(const struct verify_graph *graph, struct leat_text id)
{
	for (size_t i = 0; i < graph->count; i++)
		if (strlen(graph->nodes[i].id) == id.bytes && memcmp(graph->nodes[i].id, id.at, id.bytes) == 0)
			return i;
	return VERIFY_NO_NODE;
}
