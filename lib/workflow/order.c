/*
 * The nodes in an order in which each comes behind all those above it (A. B. Kahn, 1962), and who is above whom. Since nothing leads in a
 * circle, every node can be reached from one without incoming edges. Fails when something does, naming one circle.
 */
#include "definition.h"

#include <stdlib.h>

#define NAMED_NODES 6 /* of a circle; as many as an error's text has room for */

/* How many edges lead to the node from those that are not in order yet. */
static size_t *count_before(const struct leat_definition *definition)
{
	size_t *waits = leat_alloc_zero(definition->node_count, sizeof *waits);
	for (size_t node = 0; node < definition->node_count; node++)
		LEAT_MATRIX_EACH(from, &definition->before, node)
	waits[node]++;
	return waits;
}

static size_t find_waiting(const struct leat_definition *definition, size_t node, const size_t *waits)
{
	LEAT_MATRIX_EACH(from, &definition->before, node)
	if (waits[from] > 0)
		return from;
	return LEAT_NO_NODE;
}

/* Whoever waits, waits for one that waits: going back long enough ends in a circle. `waits` is used up. */
static enum leat_kind refuse_circle(const struct leat_definition *definition, size_t *waits, struct leat_error *err)
{
	size_t node = 0;
	while (waits[node] == 0)
		node++;
	for (size_t i = 0; i < definition->node_count; i++)
		node = find_waiting(definition, node, waits);
	size_t *circle = leat_alloc(definition->node_count * sizeof *circle);
	size_t length = 0;
	size_t first = 0; /* the one that stands first among the nodes */
	for (size_t at = node; length == 0 || at != node; at = find_waiting(definition, at, waits)) {
		circle[length] = at;
		first = at < circle[first] ? length : first;
		length++;
	}
	LEAT_BUF_SCOPED path = LEAT_BUF_INIT;
	size_t named = length <= NAMED_NODES ? length : NAMED_NODES - 1;
	for (size_t i = 0; i < named; i++)
		leat_buf_printf(&path, "%s -> ", definition->nodes[circle[(first + length - i) % length]].id);
	if (named < length)
		leat_buf_printf(&path, "%zu more -> ", length - named);
	LEAT_REFUSE(err, "edges: they lead in a circle: %s%s", leat_buf_text(&path), definition->nodes[circle[first]].id);
	free(circle);
	return LEAT_PERMANENT;
}

/* *order is the queue at the same time: what is in it and not yet looked at waits for nothing. */
static size_t sort(struct leat_definition *definition, size_t *waits)
{
	size_t count = 0;
	for (size_t node = 0; node < definition->node_count; node++)
		if (waits[node] == 0)
			definition->order[count++] = node;
	for (size_t at = 0; at < count; at++)
		LEAT_MATRIX_EACH(next, &definition->after, definition->order[at])
	if (--waits[next] == 0)
		definition->order[count++] = next;
	return count;
}

enum leat_kind leat_definition_sort(struct leat_definition *definition, struct leat_error *err)
{
	definition->order = leat_alloc(definition->node_count * sizeof *definition->order);
	size_t *waits = count_before(definition);
	bool sorted = sort(definition, waits) == definition->node_count;
	if (!sorted)
		refuse_circle(definition, waits, err);
	free(waits);
	if (!sorted)
		return LEAT_PERMANENT;
	leat_matrix_init(&definition->above, definition->node_count);
	for (size_t i = 0; i < definition->node_count; i++) {
		size_t node = definition->order[i];
		LEAT_MATRIX_EACH(from, &definition->before, node)
		{
			leat_matrix_set(&definition->above, node, from);
			leat_matrix_join(&definition->above, node, from);
		}
	}
	return LEAT_OK;
}
