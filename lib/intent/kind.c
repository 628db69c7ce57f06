/* What one does with a table of messages, intents or queries: find a row, find a field, print it. */
#include "parts.h"

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

static bool names_target(const struct leat_field *field)
{
	return field->type == LEAT_FIELD_UUID || field->type == LEAT_FIELD_TYPE || field->type == LEAT_FIELD_KEY;
}

static void describe_body(struct leat_buf *out, const struct leat_intent_type *type)
{
	bool choice = type->target == LEAT_TARGET_ID_OR_KEY;
	if (choice && leat_intent_field(type, LEAT_FIELD_TYPE)->required)
		leat_buf_add_text(out, "\"entity_id\" or \"key\", \"entity_type\"");
	else if (choice)
		leat_buf_add_text(out, "\"entity_id\" or (\"entity_type\" and \"key\")");
	const char *between = type->target == LEAT_TARGET_ID_OR_AGENT ? " or " : ", ";
	for (size_t i = 0; i < leat_intent_field_count(type); i++) {
		const struct leat_field *field = &type->fields[i];
		if (choice && names_target(field))
			continue;
		leat_buf_printf(out, "%s\"%s\"%s", choice || i > 0 ? between : "", field->name, value_shape(field->type));
		if (field->type == LEAT_FIELD_CHOICE)
			describe_choices(out, field->choices);
		if (!field->required && type->target != LEAT_TARGET_ID_OR_AGENT)
			leat_buf_add_text(out, "?");
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
