/*
 * `leat explain ID [FIELD]`: which intent wrote each field of an entity, and which writes to it lost, and to what; of a workflow, run,
 * interaction or member, what each message did to it.
 *
 * The happy path asks the database where each field stands and what the ledger has of the intents about it, reads these intents' messages
 * from the stream, and tells. What is no entity is looked for in the ledger alone, which says what came of each message. It fails when a
 * server does not answer, or when nothing has that id and no intent is about it. What ledger or stream no longer hold is said to be gone,
 * and never guessed.
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

static const char *const nouns[] = {"entity", "workflow", "run", "interaction", "member"};

static const char *find_noun(const char *word)
{
	for (size_t i = 0; i < sizeof nouns / sizeof *nouns; i++) {
		if (strcmp(nouns[i], word) == 0)
			return nouns[i];
	}
	return NULL;
}

static bool is_entity(const struct explain *explain)
{
	return explain->noun != NULL && strcmp(explain->noun, "entity") == 0;
}

/* A UUID, or TYPE:KEY of an entity, whose id follows from both (design.md section 4). */
static bool take_names(struct explain *explain, const char *tenant, const char *entity)
{
	struct leat_uuid tenant_id;
	struct leat_uuid id;
	if (tenant == NULL)
		return command_fail("explain", false, "--tenant is missing: the UUID of its tenant");
	if (!leat_uuid_parse(&tenant_id, tenant, strlen(tenant)))
		return command_fail("explain", false, "--tenant: expected a UUID, found \"%s\"", tenant);
	if (!leat_uuid_parse(&id, entity, strlen(entity))) {
		if (strchr(entity, ':') == NULL || (explain->noun != NULL && !is_entity(explain)))
			return command_fail("explain", false, "expected a UUID, or an entity's TYPE:KEY, found \"%s\"", entity);
		explain->noun = "entity";
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

static bool is_known(const struct explain *explain)
{
	return !json_is_null(json_object_get(explain->ledger, "row")) || json_array_size(json_object_get(explain->ledger, "history")) > 0;
}

static enum leat_kind find_entity(struct explain *explain, const struct leat_params *settings, struct leat_error *err)
{
	if (command_open_bus(&explain->bus, settings, err) != LEAT_OK || explain_read_stream(explain, err) != LEAT_OK)
		return err->kind;
	if (!is_known(explain))
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_NOT_FOUND,
			"tenant %s has no entity %s, and the ledger no intent that names it (one that could not be read names nothing: see `leat dead "
			"list`)",
			explain->tenant, explain->entity);
	return explain_judge(explain, err);
}

static enum leat_kind find_out(struct explain *explain, const struct leat_params *settings, struct leat_error *err)
{
	if (leat_pg_open(&explain->pg, settings->database_url, "leat explain", "service_role", NULL, 0, err) != LEAT_OK)
		return err->kind;
	if (explain->noun != NULL && !is_entity(explain))
		return explain_ask_messages(explain, err);
	if (ask_ledger(explain, err) != LEAT_OK)
		return err->kind;
	if (explain->noun == NULL && json_is_null(json_object_get(explain->ledger, "row"))) {
		enum leat_kind kind = explain_ask_messages(explain, err);
		if (kind == LEAT_OK || err->code != LEAT_CODE_NOT_FOUND || !is_known(explain))
			return kind;
	}
	return find_entity(explain, settings, err);
}

static json_t *report_messages(const struct explain *explain)
{
	json_t *report = json_pack("{s:s, s:s}", "id", explain->entity, "tenant_id", explain->tenant);
	json_object_update(report, explain->messages);
	return report;
}

static json_t *report_entity(const struct explain *explain)
{
	return json_pack("{s:s, s:s, s:O, s:O, s:O, s:O, s:I}", "entity_id", explain->entity, "tenant_id", explain->tenant, "row",
		json_object_get(explain->ledger, "row"), "fields", explain->fields, "lost", explain->lost, "looked_from",
		json_object_get(explain->ledger, "looked_from"), "unread", (json_int_t)explain->unread);
}

static void print_json(const struct explain *explain)
{
	json_t *report = explain->messages != NULL ? report_messages(explain) : report_entity(explain);
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
	if (!command_take_flags("explain", flags, 3, &argc, argv))
		return EXIT_USAGE;
	explain.noun = argc > 2 ? find_noun(argv[1]) : NULL;
	char **words = explain.noun != NULL ? argv + 1 : argv;
	int count = explain.noun != NULL ? argc - 1 : argc;
	if (count < 2 || count > 3)
		return command_fail("explain", EXIT_USAGE,
			"expected the UUID of an entity (or TYPE:KEY), workflow, run, interaction or member, and "
			"at most a field; see `leat help explain`");
	if (!take_names(&explain, tenant, words[1]))
		return EXIT_USAGE;
	explain.field = count > 2 ? words[2] : NULL;
	if (explain.field != NULL && explain.noun == NULL)
		explain.noun = "entity";
	if (explain.field != NULL && !is_entity(&explain))
		return command_fail("explain", EXIT_USAGE, "only entities have fields that can be asked for; found \"%s\"", explain.field);
	explain.fields = json_array();
	explain.lost = json_array();
	enum leat_kind kind = find_out(&explain, params, &err);
	if (kind != LEAT_OK)
		command_fail("explain", EXIT_FAILURE, "%s", err.text);
	else if (json)
		print_json(&explain);
	else if (explain.messages != NULL)
		explain_print_messages(&explain);
	else
		explain_print(&explain);
	leat_bus_close(explain.bus);
	leat_pg_close(explain.pg);
	json_decref(explain.ledger);
	json_decref(explain.messages);
	json_decref(explain.fields);
	json_decref(explain.lost);
	return kind == LEAT_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
