/* The table of queries, the messages that change nothing and are answered (design.md section 3). */
#include "parts.h"
#include "results.h"

#define CURSOR_BYTES 128
#define NAME_BYTES 256
#define NODE_BYTES 80 /* of a node's id, with the item's number: `node[999]` */

/* `next` of the answer before, and how many rows at most. */
#define AFTER                                                                                                                              \
	{                                                                                                                                      \
		"after", LEAT_FIELD_TEXT, .highest = CURSOR_BYTES                                                                                  \
	}
#define LIMIT                                                                                                                              \
	{                                                                                                                                      \
		"limit", LEAT_FIELD_NUMBER, .lowest = 1, .highest = 1000                                                                           \
	}
#define VERSION                                                                                                                            \
	{                                                                                                                                      \
		"version", LEAT_FIELD_NUMBER, .lowest = 1, .highest = INT32_MAX                                                                    \
	}

static const struct leat_intent_type table[] = {
	{"workflow", "resolve", LEAT_TARGET_ID,
		{{"workflow_id", LEAT_FIELD_UUID, .required = true}, {"action", LEAT_FIELD_CHOICE, .required = true, .choices = "new|edit|version"},
			{"version", LEAT_FIELD_NUMBER, .lowest = 1, .highest = INT32_MAX, .only_with = "action", .only_when = "version"}},
		"what a save with that action would meet: `kind` is `new`, `existing` or `version`", .results = {&leat_answer_resolved}},
	{"workflow", "get", LEAT_TARGET_ID, {{"workflow_id", LEAT_FIELD_UUID, .required = true}, VERSION, AFTER},
		"its definition, of the current version or of that one", .results = {&leat_answer_workflow}},
	{"workflow", "list", LEAT_TARGET_NONE, {AFTER, LIMIT}, "the tenant's workflows, by id; deleted ones left out",
		.results = {&leat_answer_workflows}},
	{"entity", "get", LEAT_TARGET_ID_OR_KEY,
		{{"entity_id", LEAT_FIELD_UUID, .required = false}, {"entity_type", LEAT_FIELD_TYPE, .required = false},
			{"key", LEAT_FIELD_KEY, .required = false}, AFTER},
		"the entity as it is now", .either = {"entity_id", "entity_type key"}, .results = {&leat_answer_entity}},
	{"interaction", "list", LEAT_TARGET_NONE, {AFTER, LIMIT, {"all", LEAT_FIELD_BOOL, .required = false}},
		"open questions, oldest first, a user's own; `all`: answered and expired ones too", .results = {&leat_answer_interactions}},
	{"run", "get", LEAT_TARGET_ID, {{"run_id", LEAT_FIELD_UUID, .required = true}, AFTER}, "the run as it is now, with each node's state",
		.results = {&leat_answer_run}},
	{"run", "list", LEAT_TARGET_NONE,
		{{"workflow_id", LEAT_FIELD_UUID, .required = false}, {"agent_id", LEAT_FIELD_TEXT, .highest = NAME_BYTES},
			{"status", LEAT_FIELD_CHOICE, .choices = LEAT_RUN_STATUSES}, AFTER, LIMIT},
		"the tenant's runs, newest first, without their nodes", .results = {&leat_answer_runs}},
	{"run", "heartbeat", LEAT_TARGET_ID,
		{{"run_id", LEAT_FIELD_UUID, .required = true}, {"node_id", LEAT_FIELD_TEXT, .required = true, .highest = NODE_BYTES},
			{"attempt", LEAT_FIELD_NUMBER, .required = true, .lowest = 1, .highest = INT32_MAX}},
		"a service still works on a `worker` node: its lease begins anew, until `leased_until`; `conflict`: it has lost it",
		.results = {&leat_answer_heartbeat}},
};

const struct leat_intent_kind leat_queries = {"query", "answers", table, sizeof table / sizeof *table};

const struct leat_intent_type *leat_query_table(size_t *count)
{
	*count = leat_queries.count;
	return table;
}

void leat_query_describe(struct leat_buf *out)
{
	leat_intent_kind_describe(out, &leat_queries);
}
