/*
 * `leat explain ENTITY [FIELD]`: which intent wrote each field of an entity, and which writes to it lost, and to what.
 *
 * The happy path asks the database where each field stands and what the ledger has of the intents about it, reads these intents' messages
 * from the stream, and tells. It fails when a server does not answer, or when there is neither such an entity nor an intent about it. What
 * ledger or stream no longer hold is said to be gone, and never guessed.
 */
#include "explain.h"

#include "command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_BACK 1000000

const char *explain_text(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));
	return text != NULL ? text : "";
}

json_int_t explain_number(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

/* A UUID, or TYPE:KEY, whose id follows from both (design.md section 4). */
static bool take_names(struct explain *explain, const char *tenant, const char *entity)
{
	struct leat_uuid tenant_id;
	struct leat_uuid id;
	if (tenant == NULL)
		return command_fail("explain", false, "--tenant is missing: the UUID of the entity's tenant");
	if (!leat_uuid_parse(&tenant_id, tenant, strlen(tenant)))
		return command_fail("explain", false, "--tenant: expected a UUID, found \"%s\"", tenant);
	if (!leat_uuid_parse(&id, entity, strlen(entity))) {
		if (strchr(entity, ':') == NULL)
			return command_fail("explain", false, "expected an entity's UUID or TYPE:KEY, found \"%s\"", entity);
		leat_uuid_from_name(&id, &tenant_id, entity, strlen(entity));
	}
	leat_uuid_format(&tenant_id, explain->tenant);
	leat_uuid_format(&id, explain->entity);
	return true;
}

static enum leat_kind ask_ledger(struct explain *explain, struct leat_error *err)
{
	LEAT_PG_RESULT_SCOPED *result = NULL;
	struct leat_pg_params params = {0};
	leat_pg_bind_text(&params, explain->tenant);
	leat_pg_bind_text(&params, explain->entity);
	leat_pg_bind_int8(&params, explain->look_back);
	if (leat_pg_run_once(explain->pg, "select leat.explain_entity($1::uuid, $2::uuid, $3::bigint)", &params, &result, err) != LEAT_OK)
		return leat_fail_while(err, "is the schema up to date? run `leat migrate`");
	explain->ledger = json_loads(leat_pg_text(result, 0, 0), 0, NULL);
	return explain->ledger != NULL
		? LEAT_OK
		: leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INTERNAL, "leat.explain_entity() gave no JSON that can be read");
}

static enum leat_kind find_out(struct explain *explain, const struct leat_params *settings, struct leat_error *err)
{
	if (leat_pg_open(&explain->pg, settings->database_url, "leat explain", "service_role", NULL, 0, err) != LEAT_OK ||
		ask_ledger(explain, err) != LEAT_OK || command_open_bus(&explain->bus, settings, err) != LEAT_OK ||
		explain_read_stream(explain, err) != LEAT_OK)
		return err->kind;
	if (json_is_null(json_object_get(explain->ledger, "row")) && json_array_size(json_object_get(explain->ledger, "history")) == 0)
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_NOT_FOUND, "tenant %s has no entity %s, and the ledger no intent about it",
			explain->tenant, explain->entity);
	return explain_judge(explain, err);
}

static void print_json(const struct explain *explain)
{
	json_t *report = json_pack("{s:s, s:s, s:O, s:O, s:O, s:O, s:I}", "entity_id", explain->entity, "tenant_id", explain->tenant, "row",
		json_object_get(explain->ledger, "row"), "fields", explain->fields, "lost", explain->lost, "looked_from",
		json_object_get(explain->ledger, "looked_from"), "unread", (json_int_t)explain->unread);
	json_dumpf(report, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(report);
}

int leat_cmd_explain(struct leat_params *params, int argc, char **argv)
{
	struct explain explain = {.look_back = LOOK_BACK};
	struct leat_error err;
	const char *tenant = NULL;
	bool json = false;
	const struct command_flag flags[] = {
		{.name = "--tenant", .text = &tenant},
		{.name = "--look-back", .number = &explain.look_back},
		{.name = "--json", .on = &json},
		{0},
	};
	if (!command_take_flags("explain", flags, 2, &argc, argv))
		return EXIT_USAGE;
	if (argc < 2)
		return command_fail("explain", EXIT_USAGE, "expected an entity's UUID or TYPE:KEY; see `leat help explain`");
	if (!take_names(&explain, tenant, argv[1]))
		return EXIT_USAGE;
	explain.field = argc > 2 ? argv[2] : NULL;
	explain.fields = json_array();
	explain.lost = json_array();
	enum leat_kind kind = find_out(&explain, params, &err);
	if (kind != LEAT_OK)
		command_fail("explain", EXIT_FAILURE, "%s", err.text);
	else if (json)
		print_json(&explain);
	else
		explain_print(&explain);
	leat_bus_close(explain.bus);
	leat_pg_close(explain.pg);
	json_decref(explain.ledger);
	json_decref(explain.fields);
	json_decref(explain.lost);
	return kind == LEAT_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
