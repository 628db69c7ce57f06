/*
 * Workflows and their versions, as the fold of workflow.save and workflow.delete, held against leat.workflows and leat.workflow_versions.
 *
 * A save that the ledger calls applied makes the version that it says, which must be the next one; a delete takes the workflow away and
 * leaves its versions. Of a workflow whose first save the stream does not hold, the versions that it does hold are compared, and no more.
 */
#include "ids.h"
#include "reading.h"
#include "row.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct version {
	int64_t version;
	char *name;
	char *definition;
	char *actor;
	int64_t position;
	int64_t at_us;
	bool seen;
};

struct workflow {
	struct leat_uuid tenant;
	int64_t version;
	int64_t position;
	int64_t created_us;
	int64_t updated_us;
	int64_t deleted_us;
	struct version *versions;
	size_t count;
	bool whole;  /* its first save was seen */
	bool unsure; /* one that the ledger does not know was among them */
	bool seen;
};

struct workflows {
	struct verify *v;
	struct verify_ids all;
	size_t bytes;
};

static void drop(void *of, void *value)
{
	struct workflows *fold = of;
	struct workflow *workflow = value;
	fold->bytes -= sizeof *workflow;
	for (size_t i = 0; i < workflow->count; i++) {
		fold->bytes -= sizeof *workflow->versions + strlen(workflow->versions[i].definition);
		free(workflow->versions[i].name);
		free(workflow->versions[i].definition);
		free(workflow->versions[i].actor);
	}
	free(workflow->versions);
	free(workflow);
}

static void *open_fold(struct verify *v, struct leat_error *err)
{
	(void)err;
	struct workflows *fold = leat_alloc_zero(1, sizeof *fold);
	fold->v = v;
	return fold;
}

static void close_fold(void *of)
{
	struct workflows *fold = of;
	verify_ids_drop(&fold->all, drop, fold);
	free(fold);
}

static size_t bytes_of(const void *of)
{
	const struct workflows *fold = of;
	return fold->bytes + fold->all.room * sizeof *fold->all.slots;
}

static void narrow(void *of)
{
	struct workflows *fold = of;
	verify_ids_narrow(&fold->all, fold->v, drop, fold);
}

/* ---- facts ---- */

static struct version *find_version(struct workflow *workflow, int64_t version)
{
	for (size_t i = workflow->count; i > 0; i--)
		if (workflow->versions[i - 1].version == version)
			return &workflow->versions[i - 1];
	return NULL;
}

static void note_save(struct workflows *fold, struct workflow *workflow, const struct verify_fact *fact, const struct leat_json *body)
{
	struct leat_json kind = verify_json_member(&fact->detail, "kind");
	struct leat_json told = verify_json_member(&fact->detail, "version");
	struct leat_json name = verify_json_member(body, "name");
	struct leat_json definition = verify_json_member(body, "definition");
	char *kind_text = verify_copy_text(&kind);
	if (kind_text != NULL && strcmp(kind_text, "new") == 0) {
		workflow->whole = true;
		workflow->created_us = fact->at_us;
		workflow->tenant = fact->intent->subject.tenant;
	}
	free(kind_text);
	workflow->version = verify_number(&told, workflow->version + 1);
	workflow->versions = leat_realloc(workflow->versions, (workflow->count + 1) * sizeof *workflow->versions);
	workflow->versions[workflow->count++] = (struct version){.version = workflow->version,
		.name = verify_copy_text(&name),
		.definition = verify_copy_source(&definition),
		.actor = fact->intent->actor == NULL ? NULL : leat_strdup(fact->intent->actor),
		.position = fact->position,
		.at_us = fact->at_us};
	fold->bytes += sizeof *workflow->versions + definition.source.bytes;
}

static void feed(void *of, const struct verify_fact *fact)
{
	struct workflows *fold = of;
	if (strcmp(fact->intent->type->noun, "workflow") != 0)
		return;
	const struct verify_id key = {.id = fact->intent->target};
	if (!verify_in_pass(fold->v, &key.id))
		return;
	struct workflow *workflow = verify_ids_find(&fold->all, &key);
	if (workflow == NULL) {
		workflow = leat_alloc_zero(1, sizeof *workflow);
		workflow->deleted_us = VERIFY_NEVER;
		verify_ids_add(&fold->all, &key, workflow);
		fold->bytes += sizeof *workflow;
	}
	struct leat_json body = verify_json(fact->body, fact->body_bytes);
	workflow->unsure = workflow->unsure || fact->hole;
	workflow->position = fact->position;
	workflow->updated_us = fact->at_us;
	if (strcmp(fact->intent->type->verb, "save") == 0)
		note_save(fold, workflow, fact, &body);
	else
		workflow->deleted_us = fact->at_us;
}

/* ---- the tables ---- */

static struct workflow *find_row(struct workflows *fold, const char *id, const char *tenant_text, struct leat_uuid *tenant)
{
	struct verify_id key = {0};
	leat_uuid_parse(&key.id, id, strlen(id));
	leat_uuid_parse(tenant, tenant_text, strlen(tenant_text));
	return verify_ids_find(&fold->all, &key);
}

/* A row that no save made: direct SQL leaves 0 as its position. */
static void report_unknown(struct workflows *fold, struct verify_row *row, const char *position, bool whole)
{
	if (strcmp(position, "0") == 0)
		verify_row_report(row, LEAT_VERIFY_OUT_OF_BAND, NULL, NULL, 0, "inserted past the streams");
	else if ((whole && !verify_row_is_lost(row)) || verify_knows_all(fold->v, VERIFY_CONTROL))
		verify_row_report(row, LEAT_VERIFY_EXTRA, NULL, NULL, 0, "no workflow.save in the stream made it");
	else
		verify_count_unknown(fold->v, &verify_workflows, 1);
}

struct held {
	const struct workflow *workflow;
	const struct version *version;
	const struct leat_pg_result *page;
	size_t at;
};

/* Page: id, tenant, name, version, position, created, updated, deleted. */
static void compare_columns(struct verify_row *row, const void *of)
{
	const struct held *held = of;
	const struct workflow *workflow = held->workflow;
	const struct leat_pg_result *page = held->page;
	size_t at = held->at;
	verify_row_text(row, "name", leat_pg_text(page, at, 2), workflow->versions[workflow->count - 1].name, workflow->position);
	verify_row_number(row, "version", leat_pg_text(page, at, 3), workflow->version, workflow->position);
	verify_row_time(row, "created_at", leat_pg_text(page, at, 5), workflow->created_us, workflow->versions[0].position);
	verify_row_time(row, "deleted_at", leat_pg_text(page, at, 7), workflow->deleted_us, workflow->position);
	if (row->differences == 0) /* it follows any other change */
		verify_row_time(row, "updated_at", leat_pg_text(page, at, 6), workflow->updated_us, workflow->position);
	verify_row_stamp(row, leat_pg_text(page, at, 4), workflow->position);
}

static void compare_workflow(void *of, const struct leat_pg_result *page, size_t at)
{
	struct workflows *fold = of;
	struct leat_uuid tenant;
	const char *id = leat_pg_text(page, at, 0);
	struct workflow *workflow = find_row(fold, id, leat_pg_text(page, at, 1), &tenant);
	struct verify_row row = {.v = fold->v, .stream = VERIFY_CONTROL, .noun = "workflow", .tenant = &tenant, .id = id};
	if (workflow == NULL || (!workflow->whole && !workflow->unsure)) {
		report_unknown(fold, &row, leat_pg_text(page, at, 4), false);
	} else if (workflow->unsure) {
		verify_count_unknown(fold->v, &verify_workflows, 1);
	} else if (leat_uuid_compare(&workflow->tenant, &tenant) != 0) {
		char expected[LEAT_UUID_TEXT_BYTES];
		leat_uuid_format(&workflow->tenant, expected);
		verify_row_report(&row, LEAT_VERIFY_MOVED, leat_pg_text(page, at, 1), expected, workflow->position, NULL);
	} else {
		verify_row_compare(&row, &verify_workflows, compare_columns, &(struct held){workflow, NULL, page, at});
	}
	if (workflow != NULL)
		workflow->seen = true;
}

/* Page: id, tenant, version, name, definition, position, actor, created. */
static void compare_version_columns(struct verify_row *row, const void *of)
{
	const struct held *held = of;
	const struct version *version = held->version;
	const struct leat_pg_result *page = held->page;
	size_t at = held->at;
	verify_row_text(row, "name", leat_pg_text(page, at, 3), version->name, version->position);
	verify_row_json(row, "definition", leat_pg_text(page, at, 4), version->definition, version->position);
	verify_row_text(row, "actor", leat_pg_text(page, at, 6), version->actor, version->position);
	verify_row_time(row, "created_at", leat_pg_text(page, at, 7), version->at_us, version->position);
	verify_row_stamp(row, leat_pg_text(page, at, 5), version->position);
}

static void compare_version(void *of, const struct leat_pg_result *page, size_t at)
{
	struct workflows *fold = of;
	struct leat_uuid tenant;
	char name[80];
	struct workflow *workflow = find_row(fold, leat_pg_text(page, at, 0), leat_pg_text(page, at, 1), &tenant);
	snprintf(name, sizeof name, "%s version %s", leat_pg_text(page, at, 0), leat_pg_text(page, at, 2));
	struct verify_row row = {.v = fold->v, .stream = VERIFY_CONTROL, .noun = "workflow", .tenant = &tenant, .id = name};
	struct version *version = workflow == NULL ? NULL : find_version(workflow, leat_pg_int8(page, at, 2));
	if (version == NULL) {
		if (workflow != NULL && workflow->unsure)
			verify_count_unknown(fold->v, &verify_workflows, 1);
		else
			report_unknown(fold, &row, leat_pg_text(page, at, 5), workflow != NULL && workflow->whole);
		return;
	}
	version->seen = true;
	if (!workflow->unsure)
		verify_row_compare(&row, &verify_workflows, compare_version_columns, &(struct held){workflow, version, page, at});
}

static void report_missing(struct workflows *fold, const struct verify_id *key, struct workflow *workflow)
{
	char id[LEAT_UUID_TEXT_BYTES];
	char name[80];
	leat_uuid_format(&key->id, id);
	struct verify_row row = {.v = fold->v, .stream = VERIFY_CONTROL, .noun = "workflow", .tenant = &workflow->tenant, .id = id};
	if (!workflow->seen)
		verify_row_report(&row, LEAT_VERIFY_MISSING, NULL, NULL, workflow->position, NULL);
	row.id = name;
	for (size_t i = 0; workflow->seen && i < workflow->count; i++) {
		const struct version *version = &workflow->versions[i];
		snprintf(name, sizeof name, "%s version %" PRId64, id, version->version);
		if (!version->seen)
			verify_row_report(&row, LEAT_VERIFY_MISSING, NULL, NULL, version->position, NULL);
		if (i > 0 && version->version != version[-1].version + 1 && !verify_row_is_lost(&row))
			verify_row_report(&row, LEAT_VERIFY_EXTRA, NULL, NULL, version->position, "it does not follow the version before it");
	}
}

static enum leat_kind compare(void *of, struct leat_error *err)
{
	struct workflows *fold = of;
	if (verify_each_row(fold->v, &verify_workflows,
			"select w.id, w.tenant_id, w.name, w.version, w.position, " VERIFY_US("w.created_at") ", " VERIFY_US(
				"w.updated_at") ", " VERIFY_US("w.deleted_at") " from leat.workflows w where true",
			"w.id", compare_workflow, fold, err) != LEAT_OK)
		return err->kind;
	if (verify_each_row(fold->v, &verify_workflows,
			"select x.workflow_id, x.tenant_id, x.version, x.name, x.definition, x.position, x.actor, " VERIFY_US(
				"x.created_at") " from leat.workflow_versions x where true",
			"x.workflow_id", compare_version, fold, err) != LEAT_OK)
		return err->kind;
	struct verify_id key;
	struct workflow *workflow;
	for (size_t at = 0; (workflow = verify_ids_next(&fold->all, &at, &key)) != NULL;)
		if (workflow->whole && !workflow->unsure)
			report_missing(fold, &key, workflow);
	return LEAT_OK;
}

const struct verify_fold verify_workflows = {.noun = "workflows",
	.streams = 1u << VERIFY_CONTROL,
	.open = open_fold,
	.feed = feed,
	.narrow = narrow,
	.bytes = bytes_of,
	.compare = compare,
	.close = close_fold};
