/*
 * What stands in a parameter's value, at any depth: references, `{"$ref":"<node>#<JSON Pointer>"}`, and secrets, `${secret:NAME}`.
 *
 * Happy path: descends through objects and arrays (as deep as leat_json_check let them be), adds each reference to the definition's, looks
 * into each text of a request. Fails at the first malformed one, naming the place: `body.lines[3]: …`. Whether a reference's node may
 * be referred to from here is known only when the graph is (resolve.c).
 */
#include "reading.h"

#include <ctype.h>
#include <string.h>

#define FIRST_ROOM 16

/* Where in the parameter a value stands, for error texts. Lives on the stack of the calls that read the value. */
struct place {
	const struct place *up; /* NULL for the parameter itself */
	struct leat_text name;  /* of a member, as it was sent, or of the parameter */
	size_t index;           /* of an item, when there is no name */
};

struct visit {
	struct leat_node_reading *reading;
	const struct leat_node_param *param;
};

static enum leat_kind visit_value(struct visit *visit, const struct place *place, const struct leat_json *value);

static void add_place(struct leat_buf *out, const struct place *place)
{
	if (place->up != NULL)
		add_place(out, place->up);
	if (place->name.at == NULL)
		leat_buf_printf(out, "[%zu]", place->index);
	else
		leat_buf_printf(out, "%s%s", out->len > 0 ? "." : "", leat_excerpt(place->name).text);
}

/* Puts the place before the text of the error. */
static enum leat_kind fail_at(struct visit *visit, const struct place *place)
{
	LEAT_BUF_SCOPED path = LEAT_BUF_INIT;
	add_place(&path, place);
	return leat_fail_while(visit->reading->err, "%s", leat_excerpt((struct leat_text){leat_buf_text(&path), path.len}).text);
}

/* ---- references ---- */

static bool equals(struct leat_text text, const char *word)
{
	return text.bytes == strlen(word) && memcmp(text.at, word, text.bytes) == 0;
}

bool leat_node_is_reference(struct leat_node_reading *reading, const struct leat_json *value)
{
	if (reading->replaced || value->type != LEAT_JSON_OBJECT)
		return false;
	struct leat_json_walk walk = leat_json_walk(value);
	for (struct leat_json name, member; leat_json_next(&walk, &name, &member);)
		if (equals(leat_json_text(&name, &reading->scratch), "$ref"))
			return true;
	return false;
}

/* RFC 6901: nothing, or parts that each begin with a slash; ~0 is ~ and ~1 is /. */
static bool is_pointer(const char *at, const char *end)
{
	if (at < end && *at != '/')
		return false;
	for (; at < end; at++)
		if (*at == '~' && (at + 1 == end || (at[1] != '0' && at[1] != '1')))
			return false;
	return true;
}

static void add_reference(struct visit *visit, size_t target, const struct leat_json *text)
{
	struct leat_definition *definition = visit->reading->definition;
	if (definition->reference_count == definition->reference_room) {
		definition->reference_room = definition->reference_room == 0 ? FIRST_ROOM : definition->reference_room * 2;
		definition->references = leat_realloc(definition->references, definition->reference_room * sizeof *definition->references);
	}
	size_t node = (size_t)(visit->reading->node - definition->nodes);
	definition->references[definition->reference_count++] = (struct leat_reference){node, visit->param, target, *text};
}

static enum leat_kind read_target(struct visit *visit, const struct leat_json *text)
{
	struct leat_node_reading *reading = visit->reading;
	struct leat_text whole = leat_json_text(text, &reading->scratch);
	const char *end = whole.at + whole.bytes;
	const char *hash = memchr(whole.at, '#', whole.bytes);
	if (hash == NULL)
		return LEAT_REFUSE(
			reading->err, "the reference \"%s\" has no #; write node#/field, or node# for the whole output", leat_excerpt(whole).text);
	if (!is_pointer(hash + 1, end))
		return LEAT_REFUSE(reading->err, "the reference \"%s\": what follows # is no JSON Pointer (/field/0; ~0 for ~, ~1 for /)",
			leat_excerpt(whole).text);
	struct leat_text id = {whole.at, (size_t)(hash - whole.at)};
	size_t target = equals(id, "input") ? LEAT_NODE_INPUT
		: equals(id, "item")            ? LEAT_NODE_ITEM
										: leat_definition_find(reading->definition, id);
	if (target == LEAT_NO_NODE)
		return LEAT_REFUSE(reading->err, "the reference \"%s\": there is no node \"%s\"%s", leat_excerpt(whole).text, leat_excerpt(id).text,
			leat_definition_suggest(reading->definition, id).text);
	add_reference(visit, target, text);
	return LEAT_OK;
}

/* An object with "$ref" among its members. */
static enum leat_kind read_reference(struct visit *visit, const struct leat_json *object)
{
	struct leat_json_walk walk = leat_json_walk(object);
	struct leat_json name;
	struct leat_json text;
	bool found = leat_json_next(&walk, &name, &text);
	struct leat_json other_name;
	struct leat_json other;
	if (!found || leat_json_next(&walk, &other_name, &other))
		return LEAT_REFUSE(visit->reading->err, "an object with \"$ref\" can't have other members; leave them out");
	if (text.type != LEAT_JSON_STRING)
		return LEAT_REFUSE(visit->reading->err, "\"$ref\": expected a text like \"node#/field\", found %s", leat_json_describe(&text).text);
	return read_target(visit, &text);
}

/* ---- secrets ---- */

static bool is_name(const char *from, const char *end)
{
	for (const char *at = from; at < end; at++)
		if (!isalnum((unsigned char)*at) && *at != '_')
			return false;
	return end > from && end - from <= LEAT_SECRET_NAME_BYTES;
}

static enum leat_kind check_secrets(struct visit *visit, struct leat_text text)
{
	static const char opening[] = "${secret";
	const char *end = text.at + text.bytes;
	const char *at = text.at;
	while ((at = memmem(at, (size_t)(end - at), opening, strlen(opening))) != NULL) {
		at += strlen(opening);
		if (visit->param->value != LEAT_VALUE_HEADERS && at < end && *at == ':')
			return LEAT_REFUSE(visit->reading->err, "${secret:NAME} is replaced in the values of headers only; send it in a header");
		if (visit->param->value != LEAT_VALUE_HEADERS)
			continue;
		const char *close = memchr(at, '}', (size_t)(end - at));
		if (close == NULL || *at != ':' || !is_name(at + 1, close))
			return LEAT_REFUSE(visit->reading->err, "malformed secret; write ${secret:NAME}, NAME being 1 to %d letters, digits and _",
				LEAT_SECRET_NAME_BYTES);
		at = close;
	}
	return LEAT_OK;
}

/* Elsewhere it is text like any other. */
static bool may_hold_secrets(const struct visit *visit)
{
	enum leat_node_kind kind = visit->reading->node->type->kind;
	return kind == LEAT_NODE_HTTP || kind == LEAT_NODE_WORKER;
}

/* ---- values ---- */

static enum leat_kind visit_text(struct visit *visit, const struct place *place, const struct leat_json *text)
{
	if (!may_hold_secrets(visit) || check_secrets(visit, leat_json_text(text, &visit->reading->scratch)) == LEAT_OK)
		return LEAT_OK;
	return fail_at(visit, place);
}

static enum leat_kind visit_members(struct visit *visit, const struct place *place, const struct leat_json *container)
{
	struct place inner = {.up = place};
	struct leat_json_walk walk = leat_json_walk(container);
	for (struct leat_json name, value; leat_json_next(&walk, &name, &value); inner.index++) {
		if (name.type == LEAT_JSON_STRING) {
			inner.name = (struct leat_text){name.source.at + 1, name.source.bytes - 2};
			if (visit_text(visit, &inner, &name) != LEAT_OK)
				return LEAT_PERMANENT;
		}
		if (visit_value(visit, &inner, &value) != LEAT_OK)
			return LEAT_PERMANENT;
	}
	return LEAT_OK;
}

static enum leat_kind visit_value(struct visit *visit, const struct place *place, const struct leat_json *value)
{
	if (leat_node_is_reference(visit->reading, value))
		return read_reference(visit, value) == LEAT_OK ? LEAT_OK : fail_at(visit, place);
	if (value->type == LEAT_JSON_OBJECT || value->type == LEAT_JSON_ARRAY)
		return visit_members(visit, place, value);
	return value->type == LEAT_JSON_STRING ? visit_text(visit, place, value) : LEAT_OK;
}

enum leat_kind leat_node_read_references(
	struct leat_node_reading *reading, const struct leat_node_param *param, const struct leat_json *value)
{
	struct visit visit = {reading, param};
	struct place place = {.name = {param->name, strlen(param->name)}};
	return visit_value(&visit, &place, value);
}
