/*
 * The parameters of the nodes against the table's rows: each known and of its type, none missing; then what only a merge has to keep to.
 * Any of them may be a reference instead, of which only the form is known here. Fails at the first fault: `node "a": url: …`.
 */
#include "reading.h"

#include <inttypes.h>
#include <string.h>

static enum leat_kind refuse_unknown(struct leat_node_reading *reading, struct leat_text name)
{
	const struct leat_node_type *type = reading->node->type;
	size_t count = leat_node_param_count(type);
	LEAT_BUF_SCOPED known = LEAT_BUF_INIT;
	for (size_t i = 0; i < count; i++) {
		if (leat_text_is_near(name, type->params[i].name))
			return LEAT_REFUSE(reading->err, "%s nodes have no parameter \"%s\"; did you mean \"%s\"?", type->name, leat_excerpt(name).text,
				type->params[i].name);
		leat_buf_printf(&known, "%s%s", i > 0 ? ", " : "", type->params[i].name);
	}
	return LEAT_REFUSE(reading->err, "%s nodes have no parameter \"%s\"; they have %s", type->name, leat_excerpt(name).text,
		count > 0 ? leat_buf_text(&known) : "none");
}

static enum leat_kind read_param(struct leat_node_reading *reading, size_t index, const struct leat_json *value)
{
	const struct leat_node_param *param = &reading->node->type->params[index];
	reading->node->values[index] = *value;
	if (!leat_node_is_reference(reading, value) && leat_node_read_value(reading, param, value) != LEAT_OK)
		return leat_fail_while(reading->err, "%s", param->name);
	return leat_node_read_references(reading, param, value);
}

static bool equals(struct leat_text text, const char *word)
{
	return text.bytes == strlen(word) && memcmp(text.at, word, text.bytes) == 0;
}

static enum leat_kind read_member(struct leat_node_reading *reading, const struct leat_json *name, const struct leat_json *value)
{
	struct leat_text text = leat_json_text(name, &reading->scratch);
	const struct leat_node_type *type = reading->node->type;
	if (equals(text, "id") || equals(text, "type"))
		return LEAT_OK;
	for (size_t i = 0; i < leat_node_param_count(type); i++)
		if (equals(text, type->params[i].name))
			return read_param(reading, i, value);
	return refuse_unknown(reading, text);
}

/* ---- what needs all of them ---- */

static enum leat_kind check_required(struct leat_node_reading *reading)
{
	const struct leat_node_type *type = reading->node->type;
	const char *missing = NULL;
	LEAT_BUF_SCOPED needed = LEAT_BUF_INIT;
	for (size_t i = 0; i < leat_node_param_count(type); i++) {
		if (!type->params[i].required)
			continue;
		leat_buf_printf(&needed, "%s%s", needed.len > 0 ? ", " : "", type->params[i].name);
		if (missing == NULL && reading->node->values[i].type == LEAT_JSON_NONE)
			missing = type->params[i].name;
	}
	if (missing == NULL)
		return LEAT_OK;
	return LEAT_REFUSE(reading->err, "%s is missing; %s nodes need %s", missing, type->name, leat_buf_text(&needed));
}

static const struct leat_json *get(const struct leat_node *node, const char *name)
{
	size_t index = 0;
	while (strcmp(node->type->params[index].name, name) != 0)
		index++;
	return &node->values[index];
}

static bool has(const struct leat_node *node, const char *name)
{
	return get(node, name)->type != LEAT_JSON_NONE;
}

static int64_t count_fields(struct leat_node_reading *reading, const struct leat_json *object)
{
	int64_t count = 0;
	if (object->type == LEAT_JSON_NONE || leat_node_is_reference(reading, object))
		return 0;
	struct leat_json_walk walk = leat_json_walk(object);
	for (struct leat_json name, value; leat_json_next(&walk, &name, &value);)
		count++;
	return count;
}

static enum leat_kind check_merge(struct leat_node_reading *reading)
{
	const struct leat_node *node = reading->node;
	if (has(node, "entity_id") && (has(node, "entity_type") || has(node, "key")))
		return LEAT_REFUSE(reading->err, "a merge takes entity_id, or entity_type and key, not both");
	if (has(node, "entity_type") != has(node, "key"))
		return LEAT_REFUSE(reading->err, "%s is missing; entity_type and key go together", has(node, "key") ? "entity_type" : "key");
	if (!has(node, "content") && !has(node, "metadata"))
		return LEAT_REFUSE(reading->err, "a merge needs content or metadata: the fields to write");
	int64_t fields = count_fields(reading, get(node, "content")) + count_fields(reading, get(node, "metadata"));
	if (fields > reading->limits->max_fields)
		return leat_fail(reading->err, LEAT_PERMANENT, LEAT_CODE_TOO_LARGE,
			"the merge names %" PRId64 " fields; the limit is %" PRId64 " (--max-fields)", fields, reading->limits->max_fields);
	return LEAT_OK;
}

static enum leat_kind read_node(struct leat_node_reading *reading)
{
	struct leat_json_walk walk = leat_json_walk(&reading->node->source);
	for (struct leat_json name, value; leat_json_next(&walk, &name, &value);)
		if (read_member(reading, &name, &value) != LEAT_OK)
			return LEAT_PERMANENT;
	if (check_required(reading) != LEAT_OK)
		return LEAT_PERMANENT;
	return reading->node->type->kind == LEAT_NODE_MERGE ? check_merge(reading) : LEAT_OK;
}

enum leat_kind leat_definition_read_params(struct leat_definition *out, const struct leat_params *limits, struct leat_error *err)
{
	struct leat_node_reading reading = {.definition = out, .limits = limits, .err = err};
	enum leat_kind kind = LEAT_OK;
	for (size_t i = 0; i < out->node_count && kind == LEAT_OK; i++) {
		reading.node = &out->nodes[i];
		kind = read_node(&reading);
		if (kind != LEAT_OK)
			leat_fail_while(err, "node \"%s\"", reading.node->id);
	}
	leat_buf_free(&reading.scratch);
	return kind;
}
