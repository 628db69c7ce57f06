/* The table of event types: which there are, what stands in their data. */
#include "leat/event.h"

#define ALWAYS(member, of, ...)                                                                                                            \
	{                                                                                                                                      \
		.name = (member), .type = LEAT_MEMBER_##of, __VA_ARGS__                                                                            \
	}
#define SOMETIMES(member, of, ...) ALWAYS(member, of, .presence = LEAT_SOMETIMES, __VA_ARGS__)
#define POSITION ALWAYS("position", COUNT)

/* What an event without a shorter form becomes when it is over the server's limit. */
static const struct leat_shape omitted = {"too long for the server: read the row", {ALWAYS("data_omitted", TRUE)}};

/* ---- entities ---- */

static const struct leat_shape changed = {"names of the fields that are not as they were; the locks, when they changed",
	{ALWAYS("content", TEXTS), ALWAYS("metadata", TEXTS), SOMETIMES("locked_fields", TEXTS)}};

static const struct leat_shape entity = {
	"what changed, not to what", {ALWAYS("entity_type", TEXT), POSITION, ALWAYS("changed", OBJECT, .shape = &changed)}};

static const struct leat_shape entity_shortened = {
	"too many names for the server", {ALWAYS("entity_type", TEXT), POSITION, ALWAYS("changed_omitted", TRUE)}};

/* ---- workflows ---- */

static const struct leat_shape workflow = {"the workflow as it is now", {ALWAYS("name", TEXT), ALWAYS("version", COUNT), POSITION}};

/* ---- questions ---- */

#define QUESTION                                                                                                                           \
	ALWAYS("connection_id", TEXT), ALWAYS("expected_user_id", UUID), SOMETIMES("run_id", UUID), SOMETIMES("node_id", TEXT), POSITION

static const struct leat_shape asked = {
	"the question", {QUESTION, ALWAYS("expires_at", TIME), SOMETIMES("payload", VALUE), SOMETIMES("payload_omitted", TRUE)}};

static const struct leat_shape answered = {
	"who answered, and what", {QUESTION, ALWAYS("user_id", UUID), SOMETIMES("value", VALUE), SOMETIMES("value_omitted", TRUE)}};

static const struct leat_shape closed = {"the question", {QUESTION}};

/* ---- runs ---- */

#define NODE_STATUSES "pending|running|waiting|completed|failed|skipped|cancelled"
#define STATUS ALWAYS("status", CHOICE, .choices = "pending|running|waiting|completed|failed|cancelled")
#define MAYBE_NAMES SOMETIMES("agent_id", TEXT), SOMETIMES("entity_id", UUID), SOMETIMES("nodes_omitted", TRUE)

static const struct leat_shape nodes = {"the nodes that changed, and how each stands",
	{STATUS, POSITION, SOMETIMES("nodes", MAP, .choices = NODE_STATUSES), SOMETIMES("nodes_omitted", TRUE)}};

static const struct leat_shape run = {
	"the run", {STATUS, ALWAYS("workflow_id", UUID), ALWAYS("version", COUNT), MAYBE_NAMES, ALWAYS("generation", COUNT), POSITION}};

/* Of one that came to that in the same moment as it was started, of which leat.run.started has told the rest. */
static const struct leat_shape run_at_once = {"the run, started a moment before", {STATUS, POSITION, SOMETIMES("nodes_omitted", TRUE)}};

static const struct leat_event_type table[] = {
	{"entity", "created", "an entity is there, or there again", {&entity, &entity_shortened}},
	{"entity", "updated", "an entity changed", {&entity, &entity_shortened}},
	{"entity", "deleted", "an entity is gone", {&entity, &entity_shortened}},
	{"workflow", "created", "a workflow has its first version", {&workflow, &omitted}},
	{"workflow", "updated", "a workflow has a new version", {&workflow, &omitted}},
	{"workflow", "deleted", "a workflow is gone; its versions stay", {&workflow, &omitted}},
	{"interaction", "asked", "a question waits for its answer", {&asked}},
	{"interaction", "answered", "a question has its answer", {&answered}},
	{"interaction", "expired", "nobody answered in time", {&closed}},
	{"interaction", "withdrawn", "a question was taken back", {&closed}},
	{"run", "started", "a run began", {&run}},
	{"run", "node", "nodes of a run changed", {&nodes}},
	{"run", "waiting", "a run waits for an answer", {&run, &run_at_once}},
	{"run", "resumed", "a run goes on", {&run}},
	{"run", "completed", "a run is over", {&run, &run_at_once}},
	{"run", "failed", "a run is over, and a node failed", {&run, &run_at_once}},
	{"run", "cancelled", "a run was ended", {&run, &run_at_once}},
};

const struct leat_event_type *leat_event_table(size_t *count)
{
	*count = sizeof table / sizeof *table;
	return table;
}
