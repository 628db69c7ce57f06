/*
 * The parameters of the nodes against the table's rows: each known and of its type, none missing; then what needs all of them.
 * Any of them may be a reference instead, of which only the form is known here. Fails at the first fault: `node "a": url: …`.
 */
#include "reading.h"

#include "leat/either.h"

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

/* Of a merge: as many as an entity.merge may name. */
static enum leat_kind check_fields(struct leat_node_reading *reading)
{
	const struct leat_node *node = reading->node;
	int64_t fields = 0;
	for (size_t i = 0; i < leat_node_param_count(node->type); i++)
		if (node->type->params[i].value == LEAT_VALUE_FIELDS)
			fields += count_fields(reading, &node->values[i]);
	if (fields > reading->limits->max_fields)
		return leat_fail(reading->err, LEAT_PERMANENT, LEAT_CODE_TOO_LARGE,
			"the merge names %" PRId64 " fields; the limit is %" PRId64 " (--max-fields)", fields, reading->limits->max_fields);
	return LEAT_OK;
}

static enum leat_kind check_either(struct leat_node_reading *reading)
{
	const struct leat_node_type *type = reading->node->type;
	struct leat_either found = {0};
	if (type->either[0] == NULL)
		return LEAT_OK;
	for (size_t i = 0; i < leat_node_param_count(type); i++)
		leat_either_note(&found, type->either, type->params[i].name, reading->node->values[i].type != LEAT_JSON_NONE);
	if (found.sent[0] != NULL && found.sent[1] != NULL) {
		LEAT_BUF_SCOPED ways = LEAT_BUF_INIT;
		leat_either_write(&ways, type->either);
		return LEAT_REFUSE(reading->err, "a %s takes %s, not both", type->name, leat_buf_text(&ways));
	}
	int way = found.sent[0] != NULL ? 0 : 1;
	if (found.sent[way] == NULL || found.missing[way] == NULL)
		return LEAT_OK;
	const char *blank = strchr(type->either[way], ' ');
	return LEAT_REFUSE(reading->err, "%s is missing; %.*s and %s go together", found.missing[way], (int)(blank - type->either[way]),
		type->either[way], blank + 1);
}

static enum leat_kind check_any(struct leat_node_reading *reading)
{
	const struct leat_node_type *type = reading->node->type;
	const char *const wanted[2] = {type->needs_any, NULL};
	LEAT_BUF_SCOPED names = LEAT_BUF_INIT;
	if (type->needs_any == NULL)
		return LEAT_OK;
	for (size_t i = 0; i < leat_node_param_count(type); i++) {
		if (leat_either_way(wanted, type->params[i].name) < 0)
			continue;
		if (reading->node->values[i].type != LEAT_JSON_NONE)
			return LEAT_OK;
		leat_buf_printf(&names, "%s%s", names.len > 0 ? " or " : "", type->params[i].name);
	}
	return LEAT_REFUSE(reading->err, "a %s needs %s: the fields to write", type->name, leat_buf_text(&names));
}

static enum leat_kind read_node(struct leat_node_reading *reading)
{
	struct leat_json_walk walk = leat_json_walk(&reading->node->source);
	for (struct leat_json name, value; leat_json_next(&walk, &name, &value);)
		if (read_member(reading, &name, &value) != LEAT_OK)
			return LEAT_PERMANENT;
	if (check_required(reading) != LEAT_OK)
		return LEAT_PERMANENT;
	if (check_either(reading) != LEAT_OK || check_any(reading) != LEAT_OK)
		return LEAT_PERMANENT;
	return check_fields(reading);
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
