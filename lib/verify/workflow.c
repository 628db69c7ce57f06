/*
 * Workflows and their versions, as the fold of workflow.save and workflow.delete.
 *
 * A save that the ledger calls applied makes the version that it says, which must be the next one; a delete takes the workflow away and
 * leaves its versions. Nothing here can fail.
 */
#include "workflow.h"

#include <stdlib.h>
#include <string.h>

static void drop(void *of, void *value)
{
	struct verify_workflow_fold *fold = of;
	struct verify_workflow *workflow = value;
	fold->bytes -= sizeof *workflow;
	free(workflow->name);
	for (size_t i = 0; i < workflow->count; i++) {
		fold->bytes -= sizeof *workflow->versions + strlen(workflow->versions[i].definition.text);
		free(workflow->versions[i].name);
		free(workflow->versions[i].definition.text);
		free(workflow->versions[i].actor);
	}
	free(workflow->versions);
	free(workflow);
}

static void *open_fold(struct verify *v, struct leat_error *err)
{
	(void)err;
	struct verify_workflow_fold *fold = leat_alloc_zero(1, sizeof *fold);
	fold->v = v;
	return fold;
}

static void close_fold(void *of)
{
	struct verify_workflow_fold *fold = of;
	verify_ids_drop(&fold->all, drop, fold);
	free(fold);
}

static size_t bytes_of(const void *of)
{
	const struct verify_workflow_fold *fold = of;
	return fold->bytes + fold->all.room * sizeof *fold->all.slots;
}

static void narrow(void *of)
{
	struct verify_workflow_fold *fold = of;
	verify_ids_narrow(&fold->all, fold->v, drop, fold);
}

/* ---- facts ---- */

struct verify_version *verify_find_version(struct verify_workflow *workflow, int64_t version)
{
	for (size_t i = workflow->count; i > 0; i--)
		if (workflow->versions[i - 1].version == version)
			return &workflow->versions[i - 1];
	return NULL;
}

/* Versions come in order, but for those of a baseline. */
static void add_version(struct verify_workflow_fold *fold, struct verify_workflow *workflow, struct verify_version version)
{
	workflow->versions = leat_realloc(workflow->versions, (workflow->count + 1) * sizeof *workflow->versions);
	size_t at = workflow->count++;
	for (; at > 0 && workflow->versions[at - 1].version > version.version; at--)
		workflow->versions[at] = workflow->versions[at - 1];
	workflow->versions[at] = version;
	fold->bytes += sizeof *workflow->versions + strlen(version.definition.text);
}

static void note_save(
	struct verify_workflow_fold *fold, struct verify_workflow *workflow, const struct verify_fact *fact, const struct leat_json *body)
{
	struct leat_json kind = verify_json_member(&fact->detail, "kind");
	struct leat_json told = verify_json_member(&fact->detail, "version");
	struct leat_json name = verify_json_member(body, "name");
	struct leat_json definition = verify_json_member(body, "definition");
	char *kind_text = verify_copy_text(&kind);
	if (kind_text != NULL && strcmp(kind_text, "new") == 0) {
		workflow->whole = true;
		workflow->first = fact->position;
		workflow->created_us = fact->at_us;
		workflow->tenant = fact->intent->subject.tenant;
	}
	free(kind_text);
	workflow->version = verify_number(&told, workflow->version + 1);
	free(workflow->name);
	workflow->name = verify_copy_text(&name);
	add_version(fold, workflow,
		(struct verify_version){.tenant = fact->intent->subject.tenant,
			.version = workflow->version,
			.name = verify_copy_text(&name),
			.definition = {verify_copy_source(&definition), false},
			.actor = fact->intent->actor == NULL ? NULL : leat_strdup(fact->intent->actor),
			.position = fact->position,
			.at_us = fact->at_us});
}

static struct verify_workflow *get(struct verify_workflow_fold *fold, const struct verify_id *key)
{
	struct verify_workflow *workflow = verify_ids_find(&fold->all, key);
	if (workflow != NULL)
		return workflow;
	workflow = leat_alloc_zero(1, sizeof *workflow);
	workflow->deleted_us = VERIFY_NEVER;
	verify_ids_add(&fold->all, key, workflow);
	fold->bytes += sizeof *workflow;
	return workflow;
}

static void feed(void *of, const struct verify_fact *fact)
{
	struct verify_workflow_fold *fold = of;
	if (strcmp(fact->intent->type->noun, "workflow") != 0)
		return;
	const struct verify_id key = {.id = fact->intent->target};
	if (!verify_in_pass(fold->v, &key.id))
		return;
	struct verify_workflow *workflow = get(fold, &key);
	if (fact->position <= workflow->position)
		return; /* the baseline has it */
	struct leat_json body = verify_json(fact->body, fact->body_bytes);
	workflow->unsure = workflow->unsure || fact->hole;
	workflow->position = fact->position;
	workflow->updated_us = fact->at_us;
	if (strcmp(fact->intent->type->verb, "save") == 0)
		note_save(fold, workflow, fact, &body);
	else
		workflow->deleted_us = fact->at_us;
}

/* ---- a baseline ---- */

static bool load_workflow(struct verify_workflow_fold *fold, const json_t *row)
{
	struct verify_id key = {0};
	struct leat_uuid tenant;
	const char *name = baseline_text(row, VERIFY_WORKFLOW_NAME);
	if (name == NULL || !baseline_id(row, VERIFY_WORKFLOW_ID, &key.id) || !baseline_id(row, VERIFY_WORKFLOW_TENANT, &tenant))
		return false;
	if (!verify_in_pass(fold->v, &key.id))
		return true;
	struct verify_workflow *workflow = get(fold, &key);
	workflow->tenant = tenant;
	free(workflow->name);
	workflow->name = leat_strdup(name);
	workflow->version = baseline_number(row, VERIFY_WORKFLOW_VERSION);
	workflow->first = workflow->position = baseline_number(row, VERIFY_WORKFLOW_POSITION);
	workflow->created_us = baseline_number(row, VERIFY_WORKFLOW_CREATED);
	workflow->updated_us = baseline_number(row, VERIFY_WORKFLOW_UPDATED);
	workflow->deleted_us = baseline_number(row, VERIFY_WORKFLOW_DELETED);
	workflow->whole = true;
	return true;
}

static bool load_version(struct verify_workflow_fold *fold, const json_t *row)
{
	struct verify_id key = {0};
	struct leat_uuid tenant;
	struct verify_value definition = baseline_value(row, VERIFY_VERSION_DEFINITION);
	bool fine =
		definition.text != NULL && baseline_id(row, VERIFY_VERSION_WORKFLOW, &key.id) && baseline_id(row, VERIFY_VERSION_TENANT, &tenant);
	if (!fine || !verify_in_pass(fold->v, &key.id)) {
		free(definition.text);
		return fine;
	}
	add_version(fold, get(fold, &key),
		(struct verify_version){.tenant = tenant,
			.version = baseline_number(row, VERIFY_VERSION_NUMBER),
			.name = baseline_copy(row, VERIFY_VERSION_NAME),
			.definition = definition,
			.actor = baseline_copy(row, VERIFY_VERSION_ACTOR),
			.position = baseline_number(row, VERIFY_VERSION_POSITION),
			.at_us = baseline_number(row, VERIFY_VERSION_CREATED)});
	return true;
}

static bool load(void *of, const char *noun, const json_t *row)
{
	if (strcmp(noun, "workflow") == 0)
		return load_workflow(of, row);
	return strcmp(noun, "version") != 0 || load_version(of, row);
}

const struct verify_fold verify_workflows = {.noun = "workflows",
	.streams = 1u << VERIFY_CONTROL,
	.open = open_fold,
	.load = load,
	.feed = feed,
	.narrow = narrow,
	.bytes = bytes_of,
	.compare = verify_compare_workflows,
	.close = close_fold};
