/*
 * Splits and their collects: every path below a split leads to one collect, and to nothing else. The path may have no node between.
 *
 * Happy path: down the graph, each node learns from those before it which split it runs below, the collect ends that. A node there may also
 * follow nodes that run once; it then waits for them. Fails at the first node that follows two splits, or a split and its collect; at a
 * split inside another, a collect without one, a second collect, an end without one.
 */
#include "definition.h"

/* The split whose items come out of a node, or LEAT_NO_NODE. */
static size_t split_behind(const struct leat_definition *definition, size_t node)
{
	const struct leat_node *from = &definition->nodes[node];
	return from->type->kind == LEAT_NODE_SPLIT ? node : from->split;
}

/* Sets *split to the one that the node is below, by the nodes before it. */
static enum leat_kind find_split(const struct leat_definition *definition, size_t node, size_t *split, struct leat_error *err)
{
	*split = LEAT_NO_NODE;
	LEAT_MATRIX_EACH(from, &definition->before, node)
	{
		size_t behind = split_behind(definition, from);
		if (behind == LEAT_NO_NODE || behind == *split)
			continue;
		if (*split != LEAT_NO_NODE)
			return LEAT_REFUSE(err,
				"node \"%s\": it is below two splits, \"%s\" and \"%s\"; each needs a collect of its own before they meet",
				definition->nodes[node].id, definition->nodes[*split].id, definition->nodes[behind].id);
		*split = behind;
	}
	return LEAT_OK;
}

static enum leat_kind place_collect(struct leat_definition *definition, size_t node, size_t split, struct leat_error *err)
{
	struct leat_node *collect = &definition->nodes[node];
	if (split == LEAT_NO_NODE)
		return LEAT_REFUSE(err, "node \"%s\": it collects nothing: there is no split above it that is not collected yet", collect->id);
	struct leat_node *opening = &definition->nodes[split];
	if (opening->partner != LEAT_NO_NODE)
		return LEAT_REFUSE(err, "node \"%s\": its paths lead to two collects, \"%s\" and \"%s\"; a split has one", opening->id,
			definition->nodes[opening->partner].id, collect->id);
	opening->partner = node;
	collect->partner = split;
	return LEAT_OK;
}

static enum leat_kind place_inner(struct leat_definition *definition, size_t node, size_t split, struct leat_error *err)
{
	struct leat_node *inner = &definition->nodes[node];
	struct leat_node *opening = &definition->nodes[split];
	if (inner->type->kind == LEAT_NODE_SPLIT)
		return LEAT_REFUSE(
			err, "node \"%s\": it is a split below the split \"%s\"; splits don't nest, so collect that first", inner->id, opening->id);
	if (opening->partner != LEAT_NO_NODE && leat_matrix_has(&definition->above, node, opening->partner))
		return LEAT_REFUSE(err,
			"node \"%s\": it follows the split \"%s\" both over its collect \"%s\" and past it; let it follow the collect only", inner->id,
			opening->id, definition->nodes[opening->partner].id);
	inner->split = split;
	return LEAT_OK;
}

static enum leat_kind place_node(struct leat_definition *definition, size_t node, struct leat_error *err)
{
	size_t split;
	if (find_split(definition, node, &split, err) != LEAT_OK)
		return LEAT_PERMANENT;
	if (definition->nodes[node].type->kind == LEAT_NODE_COLLECT)
		return place_collect(definition, node, split, err);
	return split != LEAT_NO_NODE ? place_inner(definition, node, split, err) : LEAT_OK;
}

/* ---- once every node has its place ---- */

static enum leat_kind check_end(const struct leat_definition *definition, size_t index, struct leat_error *err)
{
	const struct leat_node *node = &definition->nodes[index];
	bool is_end = leat_matrix_next(&definition->after, index, 0) == definition->node_count;
	if (node->type->kind == LEAT_NODE_SPLIT && is_end)
		return LEAT_REFUSE(
			err, "node \"%s\": nothing follows this split; it needs a collect, and nodes between them to run per item", node->id);
	if (node->split != LEAT_NO_NODE && is_end)
		return LEAT_REFUSE(err, "node \"%s\": it is below the split \"%s\" and leads to no collect; every path below a split needs to",
			node->id, definition->nodes[node->split].id);
	return LEAT_OK;
}

enum leat_kind leat_definition_pair(struct leat_definition *definition, struct leat_error *err)
{
	for (size_t i = 0; i < definition->node_count; i++)
		if (place_node(definition, definition->order[i], err) != LEAT_OK)
			return LEAT_PERMANENT;
	for (size_t node = 0; node < definition->node_count; node++)
		if (check_end(definition, node, err) != LEAT_OK)
			return LEAT_PERMANENT;
	return LEAT_OK;
}
