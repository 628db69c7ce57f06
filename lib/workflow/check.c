/*
 * leat_workflow_check: the steps, one after the other, each relying on those before it. Nodes, edges and parameters are read first, then
 * the graph is ordered, splits get their collects, references are looked up. Fails at the first fault, which says where.
 */
#include "definition.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static enum leat_kind refuse_member(struct leat_text name, struct leat_error *err)
{
	static const char *const members[] = {"nodes", "edges"};
	for (size_t i = 0; i < sizeof members / sizeof *members; i++)
		if (leat_text_is_near(name, members[i]))
			return LEAT_REFUSE(err, "there is no member \"%s\"; did you mean \"%s\"?", leat_excerpt(name).text, members[i]);
	return LEAT_REFUSE(err, "there is no member \"%s\"; it has nodes and edges", leat_excerpt(name).text);
}

static enum leat_kind find_members(const struct leat_json *source, struct leat_json *nodes, struct leat_json *edges, struct leat_error *err)
{
	if (source->type != LEAT_JSON_OBJECT)
		return LEAT_REFUSE(err, "expected an object with nodes and edges, found %s", leat_json_describe(source).text);
	LEAT_BUF_SCOPED scratch = LEAT_BUF_INIT;
	struct leat_json_walk walk = leat_json_walk(source);
	for (struct leat_json name, value; leat_json_next(&walk, &name, &value);) {
		struct leat_text text = leat_json_text(&name, &scratch);
		if (text.bytes != strlen("nodes"))
			return refuse_member(text, err);
		if (memcmp(text.at, "nodes", text.bytes) == 0)
			*nodes = value;
		else if (memcmp(text.at, "edges", text.bytes) == 0)
			*edges = value;
		else
			return refuse_member(text, err);
	}
	if (nodes->type == LEAT_JSON_NONE)
		return LEAT_REFUSE(err, "nodes is missing; it needs nodes, and edges where there are any");
	return LEAT_OK;
}

static enum leat_kind read_all(
	struct leat_definition *definition, const struct leat_json *source, const struct leat_params *limits, struct leat_error *err)
{
	struct leat_json nodes = {0};
	struct leat_json edges = {.type = LEAT_JSON_ARRAY, .source = {"[]", 2}};
	if (source->source.bytes > (size_t)limits->max_workflow_bytes)
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_TOO_LARGE, "it has %zu bytes; the limit is %" PRId64 " (--max-workflow-bytes)",
			source->source.bytes, limits->max_workflow_bytes);
	if (find_members(source, &nodes, &edges, err) != LEAT_OK || leat_definition_read_nodes(definition, &nodes, limits, err) != LEAT_OK ||
		leat_definition_read_edges(definition, &edges, err) != LEAT_OK)
		return LEAT_PERMANENT;
	return leat_definition_read_params(definition, limits, err);
}

static enum leat_kind check_graph(struct leat_definition *definition, struct leat_error *err)
{
	if (leat_definition_sort(definition, err) != LEAT_OK || leat_definition_pair(definition, err) != LEAT_OK)
		return LEAT_PERMANENT;
	return leat_definition_resolve(definition, err);
}

enum leat_kind leat_workflow_check(const struct leat_json *definition, const struct leat_params *limits, struct leat_error *err)
{
	struct leat_definition read = {0};
	enum leat_kind kind = read_all(&read, definition, limits, err);
	if (kind == LEAT_OK)
		kind = check_graph(&read, err);
	leat_definition_fini(&read);
	return kind == LEAT_OK ? LEAT_OK : leat_fail_while(err, "definition");
}

void leat_definition_fini(struct leat_definition *definition)
{
	free(definition->nodes);
	free(definition->names);
	free(definition->order);
	free(definition->references);
	leat_matrix_fini(&definition->after);
	leat_matrix_fini(&definition->before);
	leat_matrix_fini(&definition->above);
	*definition = (struct leat_definition){0};
}
