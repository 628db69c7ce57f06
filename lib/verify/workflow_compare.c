/*
 * Workflows and their versions held against leat.workflows and leat.workflow_versions. Of a workflow whose first save is not known, the
 * versions that are known are compared, and no more.
 */
#include "row.h"
#include "workflow.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* In a baseline. */
static const enum baseline_column version_columns[VERIFY_VERSION_COLUMNS] = {[VERIFY_VERSION_DEFINITION] = BASELINE_HASH};

static struct verify_workflow *find_row(
	struct verify_workflow_fold *fold, const char *id, const char *tenant_text, struct leat_uuid *tenant)
{
	struct verify_id key = {0};
	leat_uuid_parse(&key.id, id, strlen(id));
	leat_uuid_parse(tenant, tenant_text, strlen(tenant_text));
	return verify_ids_find(&fold->all, &key);
}

/* A row that no save made. */
static void report_unknown(struct verify_workflow_fold *fold, struct verify_row *row, const char *position, bool whole)
{
	if (verify_row_is_by_sql(position))
		verify_row_report(row, LEAT_VERIFY_OUT_OF_BAND, NULL, NULL, 0, "inserted past the streams");
	else if ((whole && !verify_row_is_lost(row)) || verify_knows_all(fold->v, VERIFY_CONTROL))
		verify_row_report(row, LEAT_VERIFY_EXTRA, NULL, NULL, 0, "no workflow.save in the stream made it");
	else
		verify_count_unknown(fold->v, &verify_workflows, 1);
}

struct held {
	const struct verify_workflow *workflow;
	const struct verify_version *version;
	const struct leat_pg_result *page;
	size_t at;
};

static void compare_columns(struct verify_row *row, const void *of)
{
	const struct held *held = of;
	const struct verify_workflow *workflow = held->workflow;
	const struct leat_pg_result *page = held->page;
	size_t at = held->at;
	verify_row_text(row, "name", leat_pg_text(page, at, VERIFY_WORKFLOW_NAME), workflow->name, workflow->position);
	verify_row_number(row, "version", leat_pg_text(page, at, VERIFY_WORKFLOW_VERSION), workflow->version, workflow->position);
	verify_row_time(row, "created_at", leat_pg_text(page, at, VERIFY_WORKFLOW_CREATED), workflow->created_us, workflow->first);
	verify_row_time(row, "deleted_at", leat_pg_text(page, at, VERIFY_WORKFLOW_DELETED), workflow->deleted_us, workflow->position);
	if (row->differences == 0) /* it follows any other change */
		verify_row_time(row, "updated_at", leat_pg_text(page, at, VERIFY_WORKFLOW_UPDATED), workflow->updated_us, workflow->position);
	verify_row_stamp(row, leat_pg_text(page, at, VERIFY_WORKFLOW_POSITION), workflow->position);
}

static void compare_workflow(void *of, const struct leat_pg_result *page, size_t at)
{
	struct verify_workflow_fold *fold = of;
	struct leat_uuid tenant;
	const char *id = leat_pg_text(page, at, VERIFY_WORKFLOW_ID);
	struct verify_workflow *workflow = find_row(fold, id, leat_pg_text(page, at, VERIFY_WORKFLOW_TENANT), &tenant);
	struct verify_row row = {.v = fold->v, .stream = VERIFY_CONTROL, .noun = "workflow", .tenant = &tenant, .id = id};
	if (!verify_row_is_by_sql(leat_pg_text(page, at, VERIFY_WORKFLOW_POSITION)))
		baseline_add_row(fold->v, "workflow", page, at, VERIFY_WORKFLOW_COLUMNS, NULL);
	if (workflow == NULL || (!workflow->whole && !workflow->unsure)) {
		report_unknown(fold, &row, leat_pg_text(page, at, VERIFY_WORKFLOW_POSITION), false);
	} else if (workflow->unsure) {
		verify_count_unknown(fold->v, &verify_workflows, 1);
	} else if (!verify_row_is_moved(&row, &workflow->tenant, workflow->position)) {
		verify_row_compare(&row, &verify_workflows, compare_columns, &(struct held){workflow, NULL, page, at});
	}
	if (workflow != NULL)
		workflow->seen = true;
}

static void compare_version_columns(struct verify_row *row, const void *of)
{
	const struct held *held = of;
	const struct verify_version *version = held->version;
	const struct leat_pg_result *page = held->page;
	size_t at = held->at;
	verify_row_text(row, "name", leat_pg_text(page, at, VERIFY_VERSION_NAME), version->name, version->position);
	verify_row_value(row, "definition", leat_pg_text(page, at, VERIFY_VERSION_DEFINITION), &version->definition, version->position);
	verify_row_text(row, "actor", leat_pg_text(page, at, VERIFY_VERSION_ACTOR), version->actor, version->position);
	verify_row_time(row, "created_at", leat_pg_text(page, at, VERIFY_VERSION_CREATED), version->at_us, version->position);
	verify_row_stamp(row, leat_pg_text(page, at, VERIFY_VERSION_POSITION), version->position);
}

static void compare_version(void *of, const struct leat_pg_result *page, size_t at)
{
	struct verify_workflow_fold *fold = of;
	struct leat_uuid tenant;
	char name[80];
	struct verify_workflow *workflow =
		find_row(fold, leat_pg_text(page, at, VERIFY_VERSION_WORKFLOW), leat_pg_text(page, at, VERIFY_VERSION_TENANT), &tenant);
	snprintf(
		name, sizeof name, "%s version %s", leat_pg_text(page, at, VERIFY_VERSION_WORKFLOW), leat_pg_text(page, at, VERIFY_VERSION_NUMBER));
	struct verify_row row = {.v = fold->v, .stream = VERIFY_CONTROL, .noun = "workflow", .tenant = &tenant, .id = name};
	struct verify_version *version = workflow == NULL ? NULL : verify_find_version(workflow, leat_pg_int8(page, at, VERIFY_VERSION_NUMBER));
	if (!verify_row_is_by_sql(leat_pg_text(page, at, VERIFY_VERSION_POSITION)))
		baseline_add_row(fold->v, "version", page, at, VERIFY_VERSION_COLUMNS, version_columns);
	if (version == NULL) {
		if (workflow != NULL && workflow->unsure)
			verify_count_unknown(fold->v, &verify_workflows, 1);
		else
			report_unknown(fold, &row, leat_pg_text(page, at, VERIFY_VERSION_POSITION), workflow != NULL && workflow->whole);
		return;
	}
	version->seen = true;
	if (!workflow->unsure && !verify_row_is_moved(&row, &version->tenant, version->position))
		verify_row_compare(&row, &verify_workflows, compare_version_columns, &(struct held){workflow, version, page, at});
}

static void report_missing(struct verify_workflow_fold *fold, const struct verify_id *key, struct verify_workflow *workflow)
{
	char id[LEAT_UUID_TEXT_BYTES];
	char name[80];
	leat_uuid_format(&key->id, id);
	struct verify_row row = {.v = fold->v, .stream = VERIFY_CONTROL, .noun = "workflow", .tenant = &workflow->tenant, .id = id};
	if (!workflow->seen)
		verify_row_report(&row, LEAT_VERIFY_MISSING, NULL, NULL, workflow->position, NULL);
	row.id = name;
	for (size_t i = 0; workflow->seen && i < workflow->count; i++) {
		const struct verify_version *version = &workflow->versions[i];
		snprintf(name, sizeof name, "%s version %" PRId64, id, version->version);
		if (!version->seen)
			verify_row_report(&row, LEAT_VERIFY_MISSING, NULL, NULL, version->position, NULL);
		if (i > 0 && version->version != version[-1].version + 1 && !verify_row_is_lost(&row))
			verify_row_report(&row, LEAT_VERIFY_EXTRA, NULL, NULL, version->position, "it does not follow the version before it");
	}
}

enum leat_kind verify_compare_workflows(void *of, struct leat_error *err)
{
	struct verify_workflow_fold *fold = of;
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
	struct verify_workflow *workflow;
	for (size_t at = 0; (workflow = verify_ids_next(&fold->all, &at, &key)) != NULL;)
		if (workflow->whole && !workflow->unsure)
			report_missing(fold, &key, workflow);
	return LEAT_OK;
}
