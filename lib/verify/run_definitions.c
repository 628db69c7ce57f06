/* Definitions are kept as text, and read once a run starts with them. */
#include "run_definitions.h"

#include "reading.h"

#include <stdlib.h>
#include <string.h>

struct definition {
	char *text;
	struct verify_graph graph;
	bool read;
};

static struct verify_id key_of(const struct leat_uuid *workflow, int64_t version)
{
	struct verify_id key = {.id = *workflow};
	memcpy(key.tenant.bytes, &version, sizeof version);
	return key;
}

static struct definition *add(struct verify_definitions *definitions, const struct verify_id *key, char *text)
{
	struct definition *definition = leat_alloc_zero(1, sizeof *definition);
	definition->text = text;
	definitions->bytes += sizeof *definition + strlen(text);
	verify_ids_add(&definitions->all, key, definition);
	return definition;
}

void verify_definitions_note(struct verify_definitions *definitions, const struct verify_fact *save)
{
	struct leat_json told = verify_json_member(&save->detail, "version");
	struct leat_json body = verify_json(save->body, save->body_bytes);
	struct leat_json text = verify_json_member(&body, "definition");
	int64_t version = verify_number(&told, 0);
	const struct verify_id key = key_of(&save->intent->target, version);
	if (version > 0 && verify_ids_find(&definitions->all, &key) == NULL)
		add(definitions, &key, verify_copy_source(&text));
}

static enum leat_kind fetch(struct verify_definitions *definitions, struct leat_pg *pg, const struct leat_uuid *workflow, int64_t version,
	struct definition **out, struct leat_error *err)
{
	LEAT_PG_RESULT_SCOPED *result = NULL;
	struct leat_pg_params params = {0};
	char id[LEAT_UUID_TEXT_BYTES];
	leat_uuid_format(workflow, id);
	leat_pg_bind_text(&params, id);
	leat_pg_bind_int8(&params, version);
	const char *sql = "select v.definition from leat.workflow_versions v where v.workflow_id = $1::uuid and v.version = $2::bigint";
	if (leat_pg_run_once(pg, sql, &params, &result, err) != LEAT_OK)
		return err->kind;
	const struct verify_id key = key_of(workflow, version);
	*out = leat_pg_rows(result) == 0 ? NULL : add(definitions, &key, leat_strdup(leat_pg_text(result, 0, 0)));
	return LEAT_OK;
}

enum leat_kind verify_definitions_get(struct verify_definitions *definitions, struct leat_pg *pg, const struct leat_uuid *workflow,
	int64_t version, const struct verify_graph **out, struct leat_error *err)
{
	const struct verify_id key = key_of(workflow, version);
	struct definition *definition = verify_ids_find(&definitions->all, &key);
	*out = NULL;
	if (definition == NULL && fetch(definitions, pg, workflow, version, &definition, err) != LEAT_OK)
		return err->kind;
	if (definition == NULL)
		return LEAT_OK;
	if (!definition->read)
		definition->read = verify_graph_read(&definition->graph, definition->text);
	*out = definition->graph.count > 0 ? &definition->graph : NULL;
	return LEAT_OK;
}

void verify_definitions_fini(struct verify_definitions *definitions)
{
	struct verify_id key;
	struct definition *definition;
	for (size_t at = 0; (definition = verify_ids_next(&definitions->all, &at, &key)) != NULL;) {
		verify_graph_fini(&definition->graph);
		free(definition->text);
		free(definition);
	}
	verify_ids_fini(&definitions->all);
}
