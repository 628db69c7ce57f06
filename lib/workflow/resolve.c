/*
 * References against the graph: what a node refers to must be known, and be one value, by the time it runs. So it is the input, a node
 * above, or the item; and what runs once per item is referred to only from the same item. Fails at the first, with what to write instead.
 */
#include "definition.h"

static enum leat_kind refuse(const struct leat_definition *definition, const struct leat_reference *reference, struct leat_error *err)
{
	LEAT_BUF_SCOPED scratch = LEAT_BUF_INIT;
	leat_fail_while(err, "the reference \"%s\"", leat_excerpt(leat_json_text(&reference->text, &scratch)).text);
	leat_fail_while(err, "%s", reference->param->name);
	return leat_fail_while(err, "node \"%s\"", definition->nodes[reference->node].id);
}

static enum leat_kind check_target(const struct leat_definition *definition, const struct leat_reference *reference, struct leat_error *err)
{
	const struct leat_node *from = &definition->nodes[reference->node];
	const struct leat_node *to = &definition->nodes[reference->target];
	if (from == to)
		return LEAT_REFUSE(err, "a node can't refer to its own output");
	if (!leat_matrix_has(&definition->above, reference->node, reference->target))
		return LEAT_REFUSE(err, "\"%s\" is not upstream: no path of edges leads from it to \"%s\"", to->id, from->id);
	if (to->split != LEAT_NO_NODE && to->split != from->split) {
		const struct leat_node *split = &definition->nodes[to->split];
		return LEAT_REFUSE(err, "\"%s\" runs once per item of the split \"%s\"; refer to its collect \"%s\"", to->id, split->id,
			definition->nodes[split->partner].id);
	}
	return LEAT_OK;
}

static enum leat_kind check(const struct leat_definition *definition, const struct leat_reference *reference, struct leat_error *err)
{
	if (reference->target == LEAT_NODE_INPUT)
		return LEAT_OK;
	if (reference->target != LEAT_NODE_ITEM)
		return check_target(definition, reference, err);
	if (definition->nodes[reference->node].split == LEAT_NO_NODE)
		return LEAT_REFUSE(err, "there is an item only between a split and its collect");
	return LEAT_OK;
}

enum leat_kind leat_definition_resolve(const struct leat_definition *definition, struct leat_error *err)
{
	for (size_t i = 0; i < definition->reference_count; i++)
		if (check(definition, &definition->references[i], err) != LEAT_OK)
			return refuse(definition, &definition->references[i], err);
	return LEAT_OK;
}
