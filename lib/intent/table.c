/* The table of intents: which there are, what stands in them. Everything that knows about one reads it here. */
#include "parts.h"
#include "results.h"

#include <string.h>

#define NAME_BYTES 256
#define NODE_BYTES 80 /* of a node's id, with the item's number: `node[999]` */
#define ERROR_BYTES 4096

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
		"creates the entity, or merges into what is there; brings a deleted one back with only what comes after the delete",
		.either = {"entity_id", "key"}, .results = {&leat_result_entity}},
	{"entity", "merge", LEAT_TARGET_ID_OR_KEY,
		{MAY("entity_id", UUID), MAY("entity_type", TYPE), MAY("key", KEY), MAY("content", OBJECT), MAY("metadata", OBJECT),
			MAY("respect_locks", BOOL)},
		"writes these fields and leaves the others; the later position wins, `null` is a value", .either = {"entity_id", "entity_type key"},
		.results = {&leat_result_entity}},
	{"entity", "bulk", LEAT_TARGET_IDS,
		{NEEDS("entity_ids", UUIDS), MAY("content", OBJECT), MAY("metadata", OBJECT), MAY("respect_locks", BOOL)},
		"the same merge into each of 1 to 1000 entities; the outcome lists those that are `missing`", .results = {&leat_result_bulk}},
	{"entity", "unset", LEAT_TARGET_ID, {NEEDS("entity_id", UUID), MAY("content", NAMES), MAY("metadata", NAMES)},
		"removes fields by name, at least one", .results = {&leat_result_entity}},
	{"entity", "lock", LEAT_TARGET_ID, {NEEDS("entity_id", UUID), NEEDS("fields", NAMES)},
		"a merge with `respect_locks` leaves these content fields alone from now on", .results = {&leat_result_entity}},
	{"entity", "unlock", LEAT_TARGET_ID, {NEEDS("entity_id", UUID), NEEDS("fields", NAMES)}, "ends that", .results = {&leat_result_entity}},
	{"entity", "delete", LEAT_TARGET_ID, {NEEDS("entity_id", UUID)}, "deletes softly; a later upsert brings it back",
		.results = {&leat_result_entity}},

	{"workflow", "save", LEAT_TARGET_ID,
		{NEEDS("workflow_id", UUID), NEEDS("action", CHOICE, .choices = "new|edit"), NEEDS("name", TEXT, .highest = NAME_BYTES),
			NEEDS("definition", DEFINITION), MAY("expected_version", NUMBER, .lowest = 0, .highest = INT32_MAX)},
		"makes the workflow's next version; `new` of one that is there is an `edit`", .results = {&leat_result_saved}},
	{"workflow", "delete", LEAT_TARGET_ID, {NEEDS("workflow_id", UUID)}, "deletes softly; runs keep their version",
		.results = {&leat_result_workflow_deleted}},
	{"member", "set", LEAT_TARGET_ID, {NEEDS("user_id", UUID), NEEDS("role", CHOICE, .choices = "owner|admin|editor|viewer")},
		"makes the user a member of the tenant, or changes the role", .results = {&leat_result_member}},
	{"member", "remove", LEAT_TARGET_ID, {NEEDS("user_id", UUID)}, "ends that", .results = {&leat_result_member}},
	{"interaction", "ask", LEAT_TARGET_ID,
		{NEEDS("interaction_id", UUID), NEEDS("connection_id", TEXT, .highest = NAME_BYTES), NEEDS("expected_user_id", UUID),
			NEEDS("payload", VALUE), MAY("ttl_s", NUMBER, .lowest = 1, .highest = LEAT_TTL_LIMIT_S), MAY("run_id", UUID),
			MAY("node_id", TEXT, .highest = NODE_BYTES), MAY("generation", NUMBER, .lowest = 0, .highest = INT32_MAX)},
		"puts a question to a person; asked again, it is open again", .results = {&leat_result_asked}},
	{"interaction", "answer", LEAT_TARGET_ID,
		{NEEDS("interaction_id", UUID), NEEDS("connection_id", TEXT, .highest = NAME_BYTES), NEEDS("user_id", UUID), NEEDS("value", VALUE)},
		"answers it; the first one wins, and gets the `payload` back", .results = {&leat_result_answered}},
	{"interaction", "withdraw", LEAT_TARGET_ID,
		{NEEDS("interaction_id", UUID), NEEDS("connection_id", TEXT, .highest = NAME_BYTES), MAY("user_id", UUID),
			MAY("expected_user_id", UUID)},
		"takes it back", .either = {"user_id", "expected_user_id"}, .results = {&leat_result_withdrawn}},
	{"interaction", "expire", LEAT_TARGET_IDS, {NEEDS("interaction_ids", UUIDS)},
		"ends questions whose time is over; Leat publishes it itself", .results = {&leat_result_expired}},

	{"run", "start", LEAT_TARGET_ID,
		{NEEDS("run_id", UUID), NEEDS("workflow_id", UUID), MAY("version", NUMBER, .lowest = 1, .highest = INT32_MAX),
			MAY("agent_id", TEXT, .highest = NAME_BYTES), MAY("entity_id", UUID), MAY("input", VALUE)},
		"starts a run of the workflow, pinned to this version or else to the current one", .results = {&leat_result_started}},
	{"run", "resume", LEAT_TARGET_ID, {MAY("run_id", UUID), MAY("agent_id", TEXT, .highest = NAME_BYTES)},
		"has somebody look whether the run, or each of the agent's runs, can go on", .either = {"run_id", "agent_id"},
		.results = {&leat_result_resumed, &leat_result_agent_resumed}},
	{"run", "retry", LEAT_TARGET_ID, {NEEDS("run_id", UUID)}, "starts again from the nodes that failed, were skipped or cancelled",
		.results = {&leat_result_retried}},
	{"run", "cancel", LEAT_TARGET_ID, {NEEDS("run_id", UUID)}, "ends the run where it stands",
		.results = {&leat_result_cancelled, &leat_result_ignored}},
	{"run", "node", LEAT_TARGET_ID,
		{NEEDS("run_id", UUID), NEEDS("node_id", TEXT, .highest = NODE_BYTES),
			NEEDS("status", CHOICE, .choices = "running|completed|failed"),
			MAY("output", VALUE, .only_with = "status", .only_when = "completed"),
			MAY("error", LINES, .highest = ERROR_BYTES, .only_with = "status", .only_when = "failed"),
			MAY("attempt", NUMBER, .lowest = 1, .highest = INT32_MAX), MAY("generation", NUMBER, .lowest = 0, .highest = INT32_MAX)},
		"what became of a node; from services for `worker` nodes, `output` when it completed, `error` when it failed",
		.results = {&leat_result_node, &leat_result_ignored}},
};

const struct leat_intent_kind leat_intents = {"intent", "does", table, sizeof table / sizeof *table};

const struct leat_intent_type *leat_intent_table(size_t *count)
{
	*count = leat_intents.count;
	return table;
}

const struct leat_intent_type *leat_intent_find(const char *noun, size_t noun_bytes, const char *verb, size_t verb_bytes)
{
	return leat_intent_kind_find(&leat_intents, noun, noun_bytes, verb, verb_bytes);
}

const struct leat_intent_type *leat_intent_find_name(const char *name)
{
	const char *dot = strchr(name, '.');
	return dot != NULL ? leat_intent_find(name, (size_t)(dot - name), dot + 1, strlen(dot + 1)) : NULL;
}

void leat_intent_describe(struct leat_buf *out)
{
	leat_intent_kind_describe(out, &leat_intents);
}
