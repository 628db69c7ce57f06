/*
 * Runs, as the fold of their facts (run.h), held against leat.runs. Facts of a run whose start the stream does not hold any more say
 * nothing; the row is then unknown. Direct calls (leat.update_node_state) are no facts: what comes after one may not fit, and the row is
 * reported as out of band.
 */
#include "runs.h"

#include "reading.h"
#include "run_definitions.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct runs {
	struct verify *v;
	struct verify_definitions definitions;
	struct verify_ids all; /* ids of runs are one space for all tenants */
	size_t bytes;
	struct leat_error failed; /* the first thing that went wrong while facts were fed */
};

static void drop(void *of, void *value)
{
	struct runs *fold = of;
	struct verify_known_run *known = value;
	fold->bytes -= known->bytes;
	verify_run_fini(&known->run);
	free(known->agent);
	free(known->entity);
	free(known->actor);
	free(known->traceparent);
	free(known->refusal);
	free(known->completed);
	free(known);
}

static void *open_fold(struct verify *v, struct leat_error *err)
{
	(void)err;
	struct runs *fold = leat_alloc_zero(1, sizeof *fold);
	fold->v = v;
	return fold;
}

static void close_fold(void *of)
{
	struct runs *fold = of;
	verify_ids_drop(&fold->all, drop, fold);
	verify_definitions_fini(&fold->definitions);
	free(fold);
}

static size_t bytes_of(const void *of)
{
	const struct runs *fold = of;
	return fold->bytes + fold->definitions.bytes + fold->all.room * sizeof *fold->all.slots;
}

static void narrow(void *of)
{
	struct runs *fold = of;
	verify_ids_narrow(&fold->all, fold->v, drop, fold);
}

/* ---- facts ---- */

static void grow(struct runs *fold, struct verify_known_run *known, size_t bytes)
{
	known->bytes += bytes;
	fold->bytes += bytes;
}

static void start(struct runs *fold, struct verify_known_run *known, const struct verify_fact *fact, const struct verify_run_fact *told)
{
	struct leat_json workflow = verify_json_member(&told->body, "workflow_id");
	struct leat_json version = verify_json_member(&fact->detail, "version");
	struct leat_json agent = verify_json_member(&told->body, "agent_id");
	struct leat_json entity = verify_json_member(&told->body, "entity_id");
	char *id = verify_copy_uuid(&workflow);
	leat_uuid_parse(&known->workflow, id, strlen(id));
	free(id);
	const struct verify_graph *graph = NULL;
	known->version = verify_number(&version, 0);
	if (verify_definitions_get(&fold->definitions, verify_pg(fold->v), &known->workflow, known->version, &graph, &fold->failed) != LEAT_OK)
		return;
	known->unsure = known->unsure || graph == NULL;
	if (graph == NULL)
		return;
	known->tenant = fact->intent->subject.tenant;
	known->agent = verify_copy_text(&agent);
	known->entity = verify_copy_uuid(&entity);
	known->actor = fact->intent->actor == NULL ? NULL : leat_strdup(fact->intent->actor);
	known->traceparent = fact->intent->traceparent == NULL ? NULL : leat_strdup(fact->intent->traceparent);
	verify_run_start(&known->run, graph, told);
	grow(fold, known, graph->count * (sizeof(struct verify_states) + sizeof(struct verify_state) + 32));
}

static struct verify_known_run *add(struct runs *fold, const struct verify_id *key)
{
	struct verify_known_run *known = leat_alloc_zero(1, sizeof *known);
	verify_ids_add(&fold->all, key, known);
	grow(fold, known, sizeof *known);
	return known;
}

static void feed_run(struct runs *fold, const struct verify_fact *fact)
{
	const struct verify_id key = {.id = fact->intent->target};
	if (!verify_in_pass(fold->v, &key.id))
		return;
	struct verify_known_run *known = verify_ids_find(&fold->all, &key);
	if (known == NULL)
		known = add(fold, &key);
	else if (fact->position <= known->run.position)
		return; /* the baseline has it */
	struct leat_json ignored = verify_json_member(&fact->detail, "ignored");
	const struct verify_run_fact told = {fact->intent->type->verb, fact->position, fact->at_us, verify_json(fact->body, fact->body_bytes)};
	known->unsure = known->unsure || fact->hole || (known->completed != NULL && ignored.type == LEAT_JSON_NONE);
	if (ignored.type != LEAT_JSON_NONE || known->unsure)
		return;
	grow(fold, known, fact->body_bytes + 64);
	LEAT_BUF_SCOPED why = LEAT_BUF_INIT;
	bool starts = strcmp(told.verb, "start") == 0;
	if (starts && known->run.graph == NULL) {
		start(fold, known, fact, &told);
	} else if (known->run.graph != NULL && known->refusal == NULL && (starts || !verify_run_apply(&known->run, &told, &why))) {
		leat_buf_add_text(&why, starts ? "the run was started before" : "");
		known->refusal = leat_buf_take(&why);
		known->refused_at = fact->position;
	}
}

static void feed(void *of, const struct verify_fact *fact)
{
	struct runs *fold = of;
	if (fold->failed.kind != LEAT_OK)
		return;
	const struct leat_intent_type *type = fact->intent->type;
	if (strcmp(type->noun, "run") == 0)
		feed_run(fold, fact);
	else if (strcmp(type->noun, "workflow") == 0 && strcmp(type->verb, "save") == 0)
		verify_definitions_note(&fold->definitions, fact);
}

/* ---- a baseline ---- */

static bool load(void *of, const char *noun, const json_t *row)
{
	struct runs *fold = of;
	struct verify_id key = {0};
	struct leat_uuid workflow;
	if (strcmp(noun, "run") != 0)
		return true;
	const char *states = baseline_text(row, VERIFY_RUN_STATES);
	if (!baseline_id(row, VERIFY_RUN_ID, &key.id) || !baseline_id(row, VERIFY_RUN_WORKFLOW, &workflow))
		return false;
	if (!verify_in_pass(fold->v, &key.id) || verify_ids_find(&fold->all, &key) != NULL || fold->failed.kind != LEAT_OK)
		return true;
	struct verify_known_run *known = add(fold, &key);
	const struct verify_graph *graph = NULL;
	known->workflow = workflow;
	known->version = baseline_number(row, VERIFY_RUN_VERSION);
	if (states != NULL &&
		verify_definitions_get(&fold->definitions, verify_pg(fold->v), &workflow, known->version, &graph, &fold->failed) != LEAT_OK)
		return true;
	known->unsure = states != NULL && graph == NULL; /* its definition is gone */
	known->from_baseline = true;
	grow(fold, known, states == NULL ? 256 : 256 + 2 * strlen(states));
	return verify_load_run(known, row, graph);
}

/* ---- the table ---- */

/* Why it is not known, where no message is lost. */
static void doubt(struct runs *fold, const struct verify_known_run *known, const char *id)
{
	if (known->completed != NULL)
		verify_doubt(fold->v, "run %s was completed when the baseline was written, and has changed since", id);
	else if (known->run.unsure)
		verify_doubt(fold->v, "run %s has a collect that is near the limit of its size, which only Postgres can tell", id);
}

/* As VERIFY_RUN_COLUMNS has them. */
static void compare_row(void *of, const struct leat_pg_result *page, size_t at)
{
	struct runs *fold = of;
	struct leat_uuid tenant;
	struct verify_id key = {0};
	const char *id = leat_pg_text(page, at, 0);
	const char *tenant_text = leat_pg_text(page, at, 1);
	leat_uuid_parse(&key.id, id, strlen(id));
	leat_uuid_parse(&tenant, tenant_text, strlen(tenant_text));
	struct verify_known_run *known = verify_ids_find(&fold->all, &key);
	struct verify_row row = {.v = fold->v,
		.stream = VERIFY_RUN,
		.noun = "run",
		.tenant = &tenant,
		.id = id,
		.direct = strcmp(leat_pg_text(page, at, VERIFY_RUN_DIRECT), "t") == 0,
		.direct_fields = verify_run_direct_fields};
	bool all = verify_knows_all(fold->v, VERIFY_RUN);
	bool by_sql = verify_row_is_by_sql(leat_pg_text(page, at, VERIFY_RUN_POSITION));
	if (!by_sql)
		verify_baseline_run(fold->v, page, at);
	if (known == NULL && by_sql)
		verify_row_report(&row, LEAT_VERIFY_OUT_OF_BAND, NULL, NULL, 0, "inserted past the streams");
	else if (known == NULL && all)
		verify_row_report(&row, LEAT_VERIFY_EXTRA, NULL, NULL, 0, "no run.start in the stream made it");
	else if (known == NULL || (known->run.graph == NULL && known->completed == NULL) || known->unsure || known->run.unsure) {
		verify_count_unknown(fold->v, &verify_runs, 1);
		if (known != NULL)
			doubt(fold, known, id);
	} else {
		verify_row_compare(&row, &verify_runs, verify_compare_run, &(struct verify_run_row){known, page, at});
	}
	verify_row_end(&row);
	if (known != NULL)
		known->seen = true;
}

static enum leat_kind compare(void *of, struct leat_error *err)
{
	struct runs *fold = of;
	if (fold->failed.kind != LEAT_OK) {
		*err = fold->failed;
		return err->kind;
	}
	if (verify_each_row(
			fold->v, &verify_runs, "select " VERIFY_RUN_COLUMNS " from leat.runs r where true", "r.id", compare_row, fold, err) != LEAT_OK)
		return err->kind;
	struct verify_id key;
	struct verify_known_run *known;
	for (size_t at = 0; (known = verify_ids_next(&fold->all, &at, &key)) != NULL;) {
		char id[LEAT_UUID_TEXT_BYTES];
		leat_uuid_format(&key.id, id);
		struct verify_row row = {.v = fold->v, .stream = VERIFY_RUN, .noun = "run", .tenant = &known->tenant, .id = id};
		if (!known->seen && (known->from_baseline || (known->run.graph != NULL && !known->unsure)))
			verify_row_report(&row, LEAT_VERIFY_MISSING, NULL, verify_status_name(known->run.status), known->run.position, NULL);
	}
	return LEAT_OK;
}

const struct verify_fold verify_runs = {.noun = "runs",
	.streams = 1u << VERIFY_CONTROL | 1u << VERIFY_RUN,
	.open = open_fold,
	.load = load,
	.feed = feed,
	.narrow = narrow,
	.bytes = bytes_of,
	.compare = compare,
	.close = close_fold};
