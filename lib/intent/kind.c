/* What one does with a table of messages, intents or queries: find a row, find a field, print it. */
#include "parts.h"

#include "leat/either.h"

#include <string.h>

static bool equals(const char *name, const char *text, size_t bytes)
{
	return strlen(name) == bytes && memcmp(name, text, bytes) == 0;
}

const struct leat_intent_type *leat_intent_kind_find(
	const struct leat_intent_kind *kind, const char *noun, size_t noun_bytes, const char *verb, size_t verb_bytes)
{
	for (const struct leat_intent_type *type = kind->types; type < kind->types + kind->count; type++)
		if (equals(type->verb, verb, verb_bytes) && equals(type->noun, noun, noun_bytes))
			return type;
	return NULL;
}

size_t leat_intent_field_count(const struct leat_intent_type *type)
{
	size_t count = 0;
	while (count < LEAT_INTENT_FIELDS && type->fields[count].name != NULL)
		count++;
	return count;
}

const struct leat_field *leat_intent_field(const struct leat_intent_type *type, enum leat_field_type wanted)
{
	for (size_t i = 0; i < leat_intent_field_count(type); i++)
		if (type->fields[i].type == wanted)
			return &type->fields[i];
	return NULL;
}

static const char *value_shape(enum leat_field_type type)
{
	switch (type) {
	case LEAT_FIELD_UUIDS:
		return ":[1..1000]";
	case LEAT_FIELD_OBJECT:
		return ":{…}";
	case LEAT_FIELD_NAMES:
		return ":[\"field\",…]";
	case LEAT_FIELD_BOOL:
		return ":true";
	case LEAT_FIELD_NUMBER:
		return ":1";
	case LEAT_FIELD_VALUE:
	case LEAT_FIELD_DEFINITION:
		return ":…";
	case LEAT_FIELD_UUID:
	case LEAT_FIELD_TYPE:
	case LEAT_FIELD_KEY:
	case LEAT_FIELD_TEXT:
	case LEAT_FIELD_LINES:
	case LEAT_FIELD_CHOICE:
		break;
	}
	return "";
}

/* `:"new"|"edit"`, with the bars as a table in Markdown wants them. */
static void describe_choices(struct leat_buf *out, const char *choices)
{
	leat_buf_add_text(out, ":\"");
	for (; *choices != '\0'; choices++)
		leat_buf_add_text(out, *choices == '|' ? "\"\\|\"" : (char[]){*choices, '\0'});
	leat_buf_add_text(out, "\"");
}

/* `"entity_id" or ("entity_type" and "key")` */
static void describe_ways(struct leat_buf *out, const struct leat_intent_type *type)
{
	for (int way = 0; way < 2; way++) {
		const char *blank = strchr(type->either[way], ' ');
		leat_buf_add_text(out, way > 0 ? " or " : "");
		if (blank != NULL)
			leat_buf_printf(out, "(\"%.*s\" and \"%s\")", (int)(blank - type->either[way]), type->either[way], blank + 1);
		else
			leat_buf_printf(out, "\"%s\"", type->either[way]);
	}
}

static void describe_field(struct leat_buf *out, const struct leat_field *field)
{
	leat_buf_printf(out, "\"%s\"%s", field->name, value_shape(field->type));
	if (field->type == LEAT_FIELD_CHOICE)
		describe_choices(out, field->choices);
	leat_buf_add_text(out, field->required ? "" : "?");
}

/* The ways stand where the first field of them does. */
static void describe_body(struct leat_buf *out, const struct leat_intent_type *type)
{
	bool told = false;
	for (size_t i = 0; i < leat_intent_field_count(type); i++) {
		bool in_a_way = leat_either_way(type->either, type->fields[i].name) >= 0;
		if (in_a_way && told)
			continue;
		leat_buf_add_text(out, i > 0 ? ", " : "");
		if (in_a_way)
			describe_ways(out, type);
		else
			describe_field(out, &type->fields[i]);
		told = told || in_a_way;
	}
}

void leat_intent_kind_describe(struct leat_buf *out, const struct leat_intent_kind *kind)
{
	leat_buf_printf(out, "| %s | body | %s |\n|---|---|---|\n", kind->name, kind->does);
	for (const struct leat_intent_type *type = kind->types; type < kind->types + kind->count; type++) {
		leat_buf_printf(out, "| `%s.%s` | `{", type->noun, type->verb);
		describe_body(out, type);
		leat_buf_printf(out, "}` | %s |\n", type->about);
	}
}
