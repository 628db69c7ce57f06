/* Answers to queries (sql/functions/67_*.sql). `next` is there when there are more pages. */
#include "results.h"

#include <stddef.h>

#define ALWAYS(member, of, ...)                                                                                                            \
	{                                                                                                                                      \
		.name = (member), .type = LEAT_MEMBER_##of, __VA_ARGS__                                                                            \
	}
#define SOMETIMES(member, of, ...) ALWAYS(member, of, .presence = LEAT_SOMETIMES, __VA_ARGS__)
#define NULLABLE(member, of, ...) ALWAYS(member, of, .presence = LEAT_NULLABLE, __VA_ARGS__)
#define NEXT SOMETIMES("next", TEXT)

/* ---- workflows ---- */

const struct leat_shape leat_answer_resolved = {"what a save would meet",
	{ALWAYS("kind", CHOICE, .choices = "new|existing|version"), ALWAYS("workflow_id", UUID), SOMETIMES("name", TEXT),
		ALWAYS("version", COUNT)}};

/* A page may hold a part of it, so it is not checked like one that is saved. */
static const struct leat_shape definition = {"nodes as they were saved, and edges", {ALWAYS("nodes", NODES), SOMETIMES("edges", EDGES)}};

const struct leat_shape leat_answer_workflow = {"one version of the workflow",
	{ALWAYS("workflow_id", UUID), ALWAYS("kind", CHOICE, .choices = "existing|version"), ALWAYS("name", TEXT), ALWAYS("version", COUNT),
		ALWAYS("current_version", COUNT), ALWAYS("created_at", TIME), ALWAYS("definition", OBJECT, .shape = &definition),
		SOMETIMES("omitted_nodes", TEXTS), NEXT}};

static const struct leat_shape workflow = {
	"a workflow as it is now", {ALWAYS("workflow_id", UUID), ALWAYS("name", TEXT), ALWAYS("version", COUNT), ALWAYS("updated_at", TIME)}};

const struct leat_shape leat_answer_workflows = {"workflows, by id", {ALWAYS("workflows", LIST, .shape = &workflow), NEXT}};

/* ---- entities ---- */

static const struct leat_shape omitted_fields = {
	"names of fields that no page can hold", {ALWAYS("content", TEXTS), ALWAYS("metadata", TEXTS)}};

const struct leat_shape leat_answer_entity = {"the entity, or as many of its fields as go on a page",
	{ALWAYS("entity_id", UUID), ALWAYS("entity_type", TEXT), NULLABLE("key", TEXT), ALWAYS("created_at", TIME), ALWAYS("updated_at", TIME),
		ALWAYS("content", FIELDS), ALWAYS("metadata", FIELDS), ALWAYS("locked_fields", TEXTS),
		SOMETIMES("omitted_fields", OBJECT, .shape = &omitted_fields), NEXT}};

/* ---- questions ---- */

static const struct leat_shape interaction = {"a question",
	{ALWAYS("interaction_id", UUID), ALWAYS("connection_id", TEXT), ALWAYS("expected_user_id", UUID), NULLABLE("run_id", UUID),
		NULLABLE("node_id", TEXT), ALWAYS("status", CHOICE, .choices = "open|answered|expired"), ALWAYS("created_at", TIME),
		ALWAYS("asked_at", TIME), ALWAYS("expires_at", TIME), NULLABLE("claimed_at", TIME), SOMETIMES("payload", VALUE),
		SOMETIMES("value", VALUE), SOMETIMES("payload_omitted", TRUE)}};

const struct leat_shape leat_answer_interactions = {"questions, oldest first", {ALWAYS("interactions", LIST, .shape = &interaction), NEXT}};

/* ---- runs ---- */

static const struct leat_shape node_state = {"how far a node is",
	{ALWAYS("status", CHOICE, .choices = "pending|running|waiting|completed|failed|skipped|cancelled"), SOMETIMES("output", VALUE),
		SOMETIMES("output_omitted", TRUE), NULLABLE("error", TEXT), ALWAYS("attempt", COUNT), ALWAYS("generation", COUNT),
		NULLABLE("started_at", TIME), NULLABLE("finished_at", TIME)}};

#define RUN                                                                                                                                \
	ALWAYS("run_id", UUID), ALWAYS("workflow_id", UUID), ALWAYS("version", COUNT), NULLABLE("agent_id", TEXT),                             \
		NULLABLE("entity_id", UUID), ALWAYS("status", CHOICE, .choices = LEAT_RUN_STATUSES), ALWAYS("generation", COUNT),                  \
		ALWAYS("created_at", TIME), ALWAYS("updated_at", TIME), NULLABLE("finished_at", TIME)

const struct leat_shape leat_answer_run = {"the run; its nodes by name, `a` or below a split `a[0]`",
	{RUN, SOMETIMES("input", VALUE), SOMETIMES("input_omitted", TRUE), ALWAYS("node_states", MAP, .shape = &node_state), NEXT}};

static const struct leat_shape run = {"a run without its nodes", {RUN}};

const struct leat_shape leat_answer_runs = {"runs, newest first", {ALWAYS("runs", LIST, .shape = &run), NEXT}};

const struct leat_shape leat_answer_heartbeat = {"the lease, as it is now", {ALWAYS("leased_until", TIME)}};
