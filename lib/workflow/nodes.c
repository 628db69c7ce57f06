/*
 * The nodes of a definition: an id of its own and a known type for each. Their parameters are read once all ids are known (params.c), since
 * references name them. Fails at the first fault, by the node's id or, before that is known, by its place: `nodes[3]`.
 */
#include "definition.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define NEAR_ID_BYTES 32 /* leat_text_is_near takes none from there on */

static enum leat_kind refuse_id(size_t index, const struct leat_json *id, const char *why, struct leat_error *err)
{
	return LEAT_REFUSE(err, "nodes[%zu]: id: %s, found %s", index, why, leat_json_describe(id).text);
}

/* Copies a well-formed id, '\0' behind it. */
static bool take_id(char out[LEAT_NODE_ID_BYTES + 1], struct leat_text id)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
	if (id.bytes == 0 || id.bytes > LEAT_NODE_ID_BYTES)
		return false;
	for (size_t i = 0; i < id.bytes; i++)
		if (memchr(letters, id.at[i], sizeof letters - 1) == NULL)
			return false;
	memcpy(out, id.at, id.bytes);
	out[id.bytes] = '\0';
	return true;
}

static enum leat_kind read_id(struct leat_node *node, size_t index, const struct leat_json *id, struct leat_error *err)
{
	LEAT_BUF_SCOPED scratch = LEAT_BUF_INIT;
	if (id->type == LEAT_JSON_NONE)
		return LEAT_REFUSE(err, "nodes[%zu]: id is missing; every node needs one", index);
	if (id->type != LEAT_JSON_STRING || !take_id(node->id, leat_json_text(id, &scratch)))
		return refuse_id(index, id, "expected a text of 1 to 64 letters, digits, _ and -", err);
	if (strcmp(node->id, "input") == 0 || strcmp(node->id, "item") == 0)
		return refuse_id(index, id, "input and item have a meaning in references; expected another text", err);
	return LEAT_OK;
}

static enum leat_kind refuse_type(const struct leat_json *type, struct leat_text name, struct leat_error *err)
{
	size_t count;
	const struct leat_node_type *table = leat_node_table(&count);
	LEAT_BUF_SCOPED known = LEAT_BUF_INIT;
	for (size_t i = 0; i < count; i++) {
		if (leat_text_is_near(name, table[i].name))
			return LEAT_REFUSE(err, "there is no type \"%s\"; did you mean \"%s\"?", leat_excerpt(name).text, table[i].name);
		leat_buf_printf(&known, "%s%s", i == 0 ? "" : i + 1 < count ? ", " : " or ", table[i].name);
	}
	if (type->type == LEAT_JSON_NONE)
		return LEAT_REFUSE(err, "type is missing; expected %s", leat_buf_text(&known));
	return LEAT_REFUSE(err, "type: expected %s, found %s", leat_buf_text(&known), leat_json_describe(type).text);
}

static enum leat_kind read_type(struct leat_node *node, const struct leat_json *type, struct leat_error *err)
{
	LEAT_BUF_SCOPED scratch = LEAT_BUF_INIT;
	struct leat_text name = {0};
	if (type->type == LEAT_JSON_STRING) {
		name = leat_json_text(type, &scratch);
		node->type = leat_node_find(name);
	}
	if (node->type != NULL)
		return LEAT_OK;
	refuse_type(type, name, err);
	return leat_fail_while(err, "node \"%s\"", node->id);
}

static bool says(const struct leat_json *string, const char *word, struct leat_buf *scratch)
{
	struct leat_text text = leat_json_text(string, scratch);
	return text.bytes == strlen(word) && memcmp(text.at, word, text.bytes) == 0;
}

static enum leat_kind read_node(struct leat_node *node, size_t index, const struct leat_json *source, struct leat_error *err)
{
	if (source->type != LEAT_JSON_OBJECT)
		return LEAT_REFUSE(err, "nodes[%zu]: expected an object, found %s", index, leat_json_describe(source).text);
	LEAT_BUF_SCOPED scratch = LEAT_BUF_INIT;
	struct leat_json id = {0};
	struct leat_json type = {0};
	struct leat_json_walk walk = leat_json_walk(source);
	for (struct leat_json name, value; leat_json_next(&walk, &name, &value);) {
		if (says(&name, "id", &scratch))
			id = value;
		else if (says(&name, "type", &scratch))
			type = value;
	}
	*node = (struct leat_node){.source = *source, .split = LEAT_NO_NODE, .partner = LEAT_NO_NODE};
	return read_id(node, index, &id, err) == LEAT_OK ? read_type(node, &type, err) : LEAT_PERMANENT;
}

/* ---- all of them ---- */

static int compare_names(const void *left, const void *right)
{
	const struct leat_node_name *a = left;
	const struct leat_node_name *b = right;
	return strcmp(a->id, b->id);
}

static enum leat_kind sort_names(struct leat_definition *out, struct leat_error *err)
{
	out->names = leat_alloc(out->node_count * sizeof *out->names);
	for (size_t i = 0; i < out->node_count; i++)
		out->names[i] = (struct leat_node_name){out->nodes[i].id, i};
	qsort(out->names, out->node_count, sizeof *out->names, compare_names);
	for (size_t i = 1; i < out->node_count; i++)
		if (strcmp(out->names[i - 1].id, out->names[i].id) == 0)
			return LEAT_REFUSE(err, "node \"%s\": the id stands twice; give each node its own", out->names[i].id);
	return LEAT_OK;
}

static size_t count_items(const struct leat_json *array)
{
	size_t count = 0;
	struct leat_json_walk walk = leat_json_walk(array);
	for (struct leat_json name, value; leat_json_next(&walk, &name, &value);)
		count++;
	return count;
}

enum leat_kind leat_definition_read_nodes(
	struct leat_definition *out, const struct leat_json *nodes, const struct leat_params *limits, struct leat_error *err)
{
	if (nodes->type != LEAT_JSON_ARRAY)
		return LEAT_REFUSE(err, "nodes: expected an array, found %s", leat_json_describe(nodes).text);
	size_t count = count_items(nodes);
	if (count == 0)
		return LEAT_REFUSE(err, "nodes: it is empty; a workflow needs at least one node");
	if (count > (size_t)limits->max_workflow_nodes)
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_TOO_LARGE, "nodes: there are %zu; the limit is %" PRId64 " (--max-workflow-nodes)",
			count, limits->max_workflow_nodes);
	out->nodes = leat_alloc(count * sizeof *out->nodes);
	struct leat_json_walk walk = leat_json_walk(nodes);
	for (struct leat_json name, source; leat_json_next(&walk, &name, &source); out->node_count++)
		if (read_node(&out->nodes[out->node_count], out->node_count, &source, err) != LEAT_OK)
			return LEAT_PERMANENT;
	return sort_names(out, err);
}

size_t leat_definition_find(const struct leat_definition *definition, struct leat_text id)
{
	char wanted[LEAT_NODE_ID_BYTES + 1];
	if (!take_id(wanted, id))
		return LEAT_NO_NODE;
	struct leat_node_name name = {.id = wanted};
	const struct leat_node_name *found =
		bsearch(&name, definition->names, definition->node_count, sizeof *definition->names, compare_names);
	return found != NULL ? found->node : LEAT_NO_NODE;
}

struct leat_excerpt leat_definition_suggest(const struct leat_definition *definition, struct leat_text id)
{
	LEAT_BUF_SCOPED out = LEAT_BUF_INIT;
	for (size_t i = 0; i < definition->node_count && out.len == 0; i++)
		if (strlen(definition->nodes[i].id) < NEAR_ID_BYTES && leat_text_is_near(id, definition->nodes[i].id))
			leat_buf_printf(&out, "; did you mean \"%s\"?", definition->nodes[i].id);
	return leat_excerpt((struct leat_text){leat_buf_text(&out), out.len});
}
