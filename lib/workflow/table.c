/* The table of node types: which there are, what each does, what parameters it has. Everything that knows about a node reads it here. */
#include "leat/intent.h"
#include "leat/workflow.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#define CONNECTION_BYTES 256
#define SPLIT_ITEMS 1000
#define TIMEOUT_LIMIT_MS 600000
#define ATTEMPT_LIMIT 20

#define METHODS "GET|HEAD|POST|PUT|PATCH|DELETE"

/* What http and worker share. */
#define REQUEST(usual_method)                                                                                                              \
	{"method", LEAT_VALUE_CHOICE, false, .choices = METHODS, .about = "`" usual_method "` when left out"},                                 \
		{"url", LEAT_VALUE_URL, true, .about = "where to; its host must be one that the operator allows"},                                 \
		{"headers", LEAT_VALUE_HEADERS, false, .about = "values may hold `${secret:NAME}`; those that Leat sets are refused"},             \
		{"body", LEAT_VALUE_ANY, false, .about = "sent as JSON"},                                                                          \
		{"timeout_ms", LEAT_VALUE_NUMBER, false, .lowest = 1, .highest = TIMEOUT_LIMIT_MS, .about = "of one attempt"},                     \
	{                                                                                                                                      \
		"max_attempts", LEAT_VALUE_NUMBER, false, .lowest = 1, .highest = ATTEMPT_LIMIT, .about = "the first one counts"                   \
	}

static const struct leat_node_type table[] = {
	[LEAT_NODE_HTTP] = {"http", LEAT_NODE_HTTP, {REQUEST("GET")}, .about = "one HTTP request; the JSON of the answer is the output"},
	[LEAT_NODE_WORKER] = {"worker", LEAT_NODE_WORKER, {REQUEST("POST")},
		.about = "one HTTP request that hands the work to a service; a `run.node` intent of that service brings the output"},
	[LEAT_NODE_SPLIT] = {"split", LEAT_NODE_SPLIT,
		{{"items", LEAT_VALUE_ARRAY, true, .highest = SPLIT_ITEMS, .about = "every node up to the collect runs once for each"}},
		.about = "fans out an array"},
	[LEAT_NODE_COLLECT] = {"collect", LEAT_NODE_COLLECT, {{0}},
		.about = "waits for all items of the split above it; the array is the output"},
	[LEAT_NODE_MERGE] = {"merge", LEAT_NODE_MERGE,
		{{"entity_id", LEAT_VALUE_UUID, false, .about = "the run's entity when left out"},
			{"entity_type", LEAT_VALUE_ENTITY_TYPE, false, .about = "with `key`, instead of `entity_id`"},
			{"key", LEAT_VALUE_ENTITY_KEY, false, .about = "with `entity_type`"},
			{"content", LEAT_VALUE_FIELDS, false, .about = "fields to write; this, `metadata` or both"},
			{"metadata", LEAT_VALUE_FIELDS, false, .about = "fields to write"}},
		.about = "writes fields into an entity, as an `entity.merge`", .either = {"entity_id", "entity_type key"},
		.needs_any = "content metadata"},
	[LEAT_NODE_QUESTION] = {"question", LEAT_NODE_QUESTION,
		{{"connection_id", LEAT_VALUE_TEXT, true, .lowest = 1, .highest = CONNECTION_BYTES, .about = "where the person is asked"},
			{"expected_user_id", LEAT_VALUE_UUID, true, .about = "who may answer"},
			{"payload", LEAT_VALUE_ANY, true, .about = "what the person is shown"},
			{"ttl_s", LEAT_VALUE_NUMBER, false, .lowest = 1, .highest = LEAT_TTL_LIMIT_S, .about = "seconds until it expires"}},
		.about = "asks a person; the answer is the output"},
};

#define ROWS (sizeof table / sizeof *table)

const struct leat_node_type *leat_node_table(size_t *count)
{
	*count = ROWS;
	return table;
}

const struct leat_node_type *leat_node_find(struct leat_text name)
{
	for (const struct leat_node_type *type = table; type < table + ROWS; type++)
		if (strlen(type->name) == name.bytes && memcmp(type->name, name.at, name.bytes) == 0)
			return type;
	return NULL;
}

size_t leat_node_param_count(const struct leat_node_type *type)
{
	size_t count = 0;
	while (count < LEAT_NODE_PARAMS && type->params[count].name != NULL)
		count++;
	return count;
}

/* ---- leat help nodes ---- */

static void describe_choices(struct leat_buf *out, const char *choices)
{
	for (const char *at = choices; *at != '\0';) {
		size_t bytes = strcspn(at, "|");
		leat_buf_printf(out, "%s`%.*s`", at > choices ? ", " : "", (int)bytes, at);
		at += bytes + (at[bytes] == '|');
	}
}

static void describe_value(struct leat_buf *out, const struct leat_node_param *param)
{
	static const char *const plain[] = {
		[LEAT_VALUE_ANY] = "any JSON",
		[LEAT_VALUE_URL] = "`http://` or `https://` URL",
		[LEAT_VALUE_HEADERS] = "object of texts",
		[LEAT_VALUE_UUID] = "UUID",
		[LEAT_VALUE_ENTITY_TYPE] = "1 to 64 of `a-z 0-9 _ . -`",
		[LEAT_VALUE_ENTITY_KEY] = "text",
		[LEAT_VALUE_FIELDS] = "object",
	};
	switch (param->value) {
	case LEAT_VALUE_CHOICE:
		describe_choices(out, param->choices);
		break;
	case LEAT_VALUE_ARRAY:
		leat_buf_printf(out, "array of %" PRId64 " to %" PRId64 " items", param->lowest, param->highest);
		break;
	case LEAT_VALUE_TEXT:
		leat_buf_printf(out, "text of %" PRId64 " to %" PRId64 " bytes", param->lowest, param->highest);
		break;
	case LEAT_VALUE_NUMBER:
		leat_buf_printf(out, "whole number, %" PRId64 " to %" PRId64, param->lowest, param->highest);
		break;
	default:
		assert((size_t)param->value < sizeof plain / sizeof *plain && plain[param->value] != NULL);
		leat_buf_add_text(out, plain[param->value]);
	}
}

void leat_workflow_describe(struct leat_buf *out)
{
	leat_buf_add_text(out, "| node | parameter | value | meaning |\n|---|---|---|---|\n");
	for (const struct leat_node_type *type = table; type < table + ROWS; type++) {
		leat_buf_printf(out, "| `%s` | | | %s |\n", type->name, type->about);
		for (size_t i = 0; i < leat_node_param_count(type); i++) {
			leat_buf_printf(out, "| | `%s`%s | ", type->params[i].name, type->params[i].required ? "" : "?");
			describe_value(out, &type->params[i]);
			leat_buf_printf(out, " | %s |\n", type->params[i].about);
		}
	}
}
