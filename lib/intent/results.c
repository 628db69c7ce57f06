/* Results of intents, as the outcome has them (sql/functions/40, 63 to 65, 72; of run.resume lib/lane/advance_slot.c). */
#include "results.h"

#define ALWAYS(member, of, ...)                                                                                                            \
	{                                                                                                                                      \
		.name = (member), .type = LEAT_MEMBER_##of, __VA_ARGS__                                                                            \
	}
#define SOMETIMES(member, of, ...) ALWAYS(member, of, .presence = LEAT_SOMETIMES, __VA_ARGS__)
#define NULLABLE(member, of, ...) ALWAYS(member, of, .presence = LEAT_NULLABLE, __VA_ARGS__)

/* ---- entities ---- */

const struct leat_shape leat_result_entity = {"the entity as it is after the batch; `skipped_fields`: locked, so not written",
	{ALWAYS("entity_id", UUID), ALWAYS("content", FIELDS), ALWAYS("metadata", FIELDS), ALWAYS("skipped_fields", TEXTS)}};

const struct leat_shape leat_result_bulk = {"how many entities it named; which of them are not there; what locks kept from being written",
	{ALWAYS("entities", COUNT), ALWAYS("missing", UUIDS), SOMETIMES("skipped_fields", SKIPPED)}};

/* ---- workflows, members, questions ---- */

const struct leat_shape leat_result_saved = {"the version that it made, and whether there was one before",
	{ALWAYS("workflow_id", UUID), ALWAYS("kind", CHOICE, .choices = "new|existing"), ALWAYS("version", COUNT)}};

const struct leat_shape leat_result_workflow_deleted = {"the last version", {ALWAYS("workflow_id", UUID), ALWAYS("version", COUNT)}};

const struct leat_shape leat_result_member = {"the member, with the role it has now, or had when it was removed",
	{ALWAYS("user_id", UUID), ALWAYS("role", CHOICE, .choices = "owner|admin|editor|viewer")}};

const struct leat_shape leat_result_asked = {
	"the question is open", {ALWAYS("interaction_id", UUID), ALWAYS("created_at", TIME), ALWAYS("expires_at", TIME)}};

const struct leat_shape leat_result_answered = {
	"this answer won", {ALWAYS("interaction_id", UUID), ALWAYS("payload", VALUE), ALWAYS("value", VALUE)}};

const struct leat_shape leat_result_withdrawn = {"the question is gone", {ALWAYS("interaction_id", UUID)}};

const struct leat_shape leat_result_expired = {"those that were open, and past their time", {ALWAYS("expired", UUIDS)}};

/* ---- runs ---- */

const struct leat_shape leat_result_started = {
	"the run, and the version that it is pinned to", {ALWAYS("run_id", UUID), ALWAYS("workflow_id", UUID), ALWAYS("version", COUNT)}};

const struct leat_shape leat_result_resumed = {"what was done for the run; `status` is as Postgres has it, null when it can't be asked",
	{ALWAYS("run_id", UUID), NULLABLE("status", CHOICE, .choices = LEAT_RUN_STATUSES), ALWAYS("claimed_node_count", COUNT),
		ALWAYS("fields_extracted", COUNT), ALWAYS("errors", TEXTS)}};

const struct leat_shape leat_result_agent_resumed = {
	"how many runs of the agent were told to go on", {ALWAYS("agent_id", TEXT), ALWAYS("resumed", COUNT)}};

const struct leat_shape leat_result_retried = {"how many nodes begin again", {ALWAYS("retried_nodes", COUNT), ALWAYS("generation", COUNT)}};

const struct leat_shape leat_result_cancelled = {"how many nodes it ended", {ALWAYS("cancelled_nodes", COUNT)}};

const struct leat_shape leat_result_node = {
	"the state that the node has now", {ALWAYS("node_id", TEXT), ALWAYS("status", CHOICE, .choices = "running|waiting|completed|failed")}};

const struct leat_shape leat_result_ignored = {"it changed nothing, and why", {ALWAYS("ignored", TEXT)}};
