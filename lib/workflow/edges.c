/* The edges of a definition: pairs of different nodes, none twice. Fails at the first fault, by its place: `edges[3]`. */
#include "definition.h"

static enum leat_kind not_a_pair(const struct leat_json *edge, struct leat_error *err)
{
	return LEAT_REFUSE(err, "expected [\"from\",\"to\"], the ids of two nodes, found %s", leat_json_describe(edge).text);
}

static enum leat_kind find_end(const struct leat_definition *definition, const struct leat_json *end, size_t *out, struct leat_error *err)
{
	LEAT_BUF_SCOPED scratch = LEAT_BUF_INIT;
	if (end->type != LEAT_JSON_STRING)
		return LEAT_REFUSE(err, "expected a node's id as text, found %s", leat_json_describe(end).text);
	struct leat_text id = leat_json_text(end, &scratch);
	*out = leat_definition_find(definition, id);
	if (*out == LEAT_NO_NODE)
		return LEAT_REFUSE(err, "there is no node \"%s\"%s", leat_excerpt(id).text, leat_definition_suggest(definition, id).text);
	return LEAT_OK;
}

static enum leat_kind read_edge(struct leat_definition *out, const struct leat_json *edge, struct leat_error *err)
{
	if (edge->type != LEAT_JSON_ARRAY)
		return not_a_pair(edge, err);
	struct leat_json ends[2];
	size_t count = 0;
	struct leat_json_walk walk = leat_json_walk(edge);
	for (struct leat_json name, end; leat_json_next(&walk, &name, &end); count++) {
		if (count == 2)
			return LEAT_REFUSE(err, "expected two ids, found more; write an edge for each pair");
		ends[count] = end;
	}
	if (count < 2)
		return not_a_pair(edge, err);
	size_t from = 0;
	size_t to = 0;
	if (find_end(out, &ends[0], &from, err) != LEAT_OK || find_end(out, &ends[1], &to, err) != LEAT_OK)
		return LEAT_PERMANENT;
	if (from == to)
		return LEAT_REFUSE(err, "node \"%s\": an edge leads from it to itself", out->nodes[from].id);
	if (leat_matrix_has(&out->after, from, to))
		return LEAT_REFUSE(err, "the edge from \"%s\" to \"%s\" stands twice", out->nodes[from].id, out->nodes[to].id);
	leat_matrix_set(&out->after, from, to);
	leat_matrix_set(&out->before, to, from);
	return LEAT_OK;
}

enum leat_kind leat_definition_read_edges(struct leat_definition *out, const struct leat_json *edges, struct leat_error *err)
{
	if (edges->type != LEAT_JSON_ARRAY)
		return LEAT_REFUSE(err, "edges: expected an array, found %s", leat_json_describe(edges).text);
	leat_matrix_init(&out->after, out->node_count);
	leat_matrix_init(&out->before, out->node_count);
	size_t index = 0;
	struct leat_json_walk walk = leat_json_walk(edges);
	for (struct leat_json name, edge; leat_json_next(&walk, &name, &edge); index++)
		if (read_edge(out, &edge, err) != LEAT_OK)
			return leat_fail_while(err, "edges[%zu]", index);
	return LEAT_OK;
}
