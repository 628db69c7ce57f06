/* The table of messages: which there are, what stands in them. Everything that knows about a message reads it here. */
#include "parts.h"

#include <string.h>

#define NAME_BYTES 256
#define NODE_BYTES 80 /* of a node's id, with the item's number: `node[999]` */

#define NEEDS(field, kind, ...)                                                                                                            \
	{                                                                                                                                      \
		.name = (field), .type = LEAT_FIELD_##kind, .required = true, __VA_ARGS__                                                          \
	}
#define MAY(field, kind, ...)                                                                                                              \
	{                                                                                                                                      \
		.name = (field), .type = LEAT_FIELD_##kind, __VA_ARGS__                                                                            \
	}

static const struct leat_intent_type table[] = {
	{"entity", "upsert", LEAT_TARGET_ID_OR_KEY,
		{MAY("entity_id", UUID), MAY("key", KEY), NEEDS("entity_type", TYPE), MAY("content", OBJECT), MAY("metadata", OBJECT)},
		"creates the entity, or merges into what is there; brings a deleted one back with only what comes after the delete"},
	{"entity", "merge", LEAT_TARGET_ID_OR_KEY,
		{MAY("entity_id", UUID), MAY("entity_type", TYPE), MAY("key", KEY), MAY("content", OBJECT), MAY("metadata", OBJECT),
			MAY("respect_locks", BOOL)},
		"writes these fields and leaves the others; the later position wins, `null` is a value"},
	{"entity", "bulk", LEAT_TARGET_IDS,
		{NEEDS("entity_ids", UUIDS), MAY("content", OBJECT), MAY("metadata", OBJECT), MAY("respect_locks", BOOL)},
		"the same merge into each of 1 to 1000 entities; the outcome lists those that are `missing`"},
	{"entity", "unset", LEAT_TARGET_ID, {NEEDS("entity_id", UUID), MAY("content", NAMES), MAY("metadata", NAMES)},
		"removes fields by name, at least one"},
	{"entity", "lock", LEAT_TARGET_ID, {NEEDS("entity_id", UUID), NEEDS("fields", NAMES)},
		"a merge with `respect_locks` leaves these content fields alone from now on"},
	{"entity", "unlock", LEAT_TARGET_ID, {NEEDS("entity_id", UUID), NEEDS("fields", NAMES)}, "ends that"},
	{"entity", "delete", LEAT_TARGET_ID, {NEEDS("entity_id", UUID)}, "deletes softly; a later upsert brings it back"},

	{"workflow", "save", LEAT_TARGET_ID,
		{NEEDS("workflow_id", UUID), NEEDS("action", CHOICE, .choices = "new|edit"), NEEDS("name", TEXT, .highest = NAME_BYTES),
			NEEDS("definition", VALUE), MAY("expected_version", NUMBER, .lowest = 0, .highest = INT32_MAX)},
		"makes the workflow's next version; `new` of one that is there is an `edit`"},
	{"workflow", "delete", LEAT_TARGET_ID, {NEEDS("workflow_id", UUID)}, "deletes softly; runs keep their version"},
	{"member", "set", LEAT_TARGET_ID, {NEEDS("user_id", UUID), NEEDS("role", CHOICE, .choices = "owner|admin|editor|viewer")},
		"makes the user a member of the tenant, or changes the role"},
	{"member", "remove", LEAT_TARGET_ID, {NEEDS("user_id", UUID)}, "ends that"},
	{"interaction", "ask", LEAT_TARGET_ID,
		{NEEDS("interaction_id", UUID), NEEDS("connection_id", TEXT, .highest = NAME_BYTES), NEEDS("expected_user_id", UUID),
			NEEDS("payload", VALUE), MAY("ttl_s", NUMBER, .lowest = 1, .highest = LEAT_TTL_LIMIT_S), MAY("run_id", UUID),
			MAY("node_id", TEXT, .highest = NODE_BYTES)},
		"puts a question to a person; asked again, it is open again"},
	{"interaction", "answer", LEAT_TARGET_ID,
		{NEEDS("interaction_id", UUID), NEEDS("connection_id", TEXT, .highest = NAME_BYTES), NEEDS("user_id", UUID), NEEDS("value", VALUE)},
		"answers it; the first one wins, and gets the `payload` back"},
	{"interaction", "withdraw", LEAT_TARGET_ID,
		{NEEDS("interaction_id", UUID), NEEDS("connection_id", TEXT, .highest = NAME_BYTES), MAY("user_id", UUID),
			MAY("expected_user_id", UUID)},
		"takes it back; names the user by one of the two"},
	{"interaction", "expire", LEAT_TARGET_IDS, {NEEDS("interaction_ids", UUIDS)},
		"ends questions whose time is over; Leat publishes it itself"},
};

#define ROWS (sizeof table / sizeof *table)

const char *leat_role_name(enum leat_role role)
{
	static const char *const names[] = {
		[LEAT_ROLE_NONE] = "", [LEAT_ROLE_USER] = "user", [LEAT_ROLE_SERVICE] = "service", [LEAT_ROLE_ENGINE] = "engine"};
	return names[role];
}

const struct leat_intent_type *leat_intent_table(size_t *count)
{
	*count = ROWS;
	return table;
}

static bool equals(const char *name, const char *text, size_t bytes)
{
	return strlen(name) == bytes && memcmp(name, text, bytes) == 0;
}

const struct leat_intent_type *leat_intent_find(const char *noun, size_t noun_bytes, const char *verb, size_t verb_bytes)
{
	for (const struct leat_intent_type *type = table; type < table + ROWS; type++)
		if (equals(type->verb, verb, verb_bytes) && equals(type->noun, noun, noun_bytes))
			return type;
	return NULL;
}

const struct leat_intent_type *leat_intent_find_name(const char *name)
{
	const char *dot = strchr(name, '.');
	return dot != NULL ? leat_intent_find(name, (size_t)(dot - name), dot + 1, strlen(dot + 1)) : NULL;
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
		return ":…";
	case LEAT_FIELD_UUID:
	case LEAT_FIELD_TYPE:
	case LEAT_FIELD_KEY:
	case LEAT_FIELD_TEXT:
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
	for (size_t i = 0; i < leat_intent_field_count(type); i++) {
		const struct leat_field *field = &type->fields[i];
		if (choice && names_target(field))
			continue;
		leat_buf_printf(out, "%s\"%s\"%s", choice || i > 0 ? ", " : "", field->name, value_shape(field->type));
		if (field->type == LEAT_FIELD_CHOICE)
			describe_choices(out, field->choices);
		if (!field->required)
			leat_buf_add_text(out, "?");
	}
}

void leat_intent_describe(struct leat_buf *out)
{
	leat_buf_add_text(out, "| intent | body | does |\n|---|---|---|\n");
	for (const struct leat_intent_type *type = table; type < table + ROWS; type++) {
		leat_buf_printf(out, "| `%s.%s` | `{", type->noun, type->verb);
		describe_body(out, type);
		leat_buf_printf(out, "}` | %s |\n", type->about);
	}
}
