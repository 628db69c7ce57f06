/*
 * `leat runs`: runs of workflows, looked at in the database, and asked by NATS to go on, begin again or end.
 *
 * The happy path of `list` prints the newest that match, newest last. It fails when Postgres does not answer or has no such schema.
 */
#include "runs.h"

#include "command.h"
#include "show.h"
#include "table.h"

#include "leat/uuid.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT 50
#define LIMIT_MOST 100000

/* ---- what the parts share ---- */

static void close_pg(struct leat_pg **pg)
{
	leat_pg_close(*pg);
}

json_t *runs_report(const struct leat_params *settings, const char *command, const char *sql, const struct leat_pg_params *params)
{
	__attribute__((cleanup(close_pg))) struct leat_pg *pg = NULL;
	LEAT_PG_RESULT_SCOPED *result = NULL;
	struct leat_error err;
	if (leat_pg_open(&pg, settings->database_url, "leat runs", "service_role", NULL, 0, &err) != LEAT_OK) {
		command_fail(command, EXIT_FAILURE, "%s", err.text);
		return NULL;
	}
	if (leat_pg_run_once(pg, sql, params, &result, &err) != LEAT_OK) {
		command_fail(command, EXIT_FAILURE, "%s; is the schema up to date? run `leat migrate`", err.text);
		return NULL;
	}
	const char *text = leat_pg_text(result, 0, 0);
	json_t *report = json_loads(text != NULL ? text : "null", JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	if (report == NULL)
		command_fail(command, EXIT_FAILURE, "the database gave no JSON that can be read");
	return report;
}

bool runs_take_id(const char *command, const char *what, const char *word, char out[LEAT_UUID_TEXT_BYTES])
{
	struct leat_uuid id;
	if (!leat_uuid_parse(&id, word, strlen(word)))
		return command_fail(command, false, "%s: expected a UUID, found \"%s\"", what, word);
	leat_uuid_format(&id, out);
	return true;
}

const char *runs_text(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));
	return text != NULL ? text : "";
}

json_int_t runs_number(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

/* ---- list ---- */

static void print_lines(const json_t *runs)
{
	for (size_t i = json_array_size(runs); i-- > 0;) {
		json_dumpf(json_array_get(runs, i), stdout, JSON_COMPACT);
		putchar('\n');
	}
}

static void print_table(const json_t *runs)
{
	static const char *const heads[] = {"RUN", "TENANT", "WORKFLOW", ">VERSION", "AGENT", "STATUS", "CREATED", ">TOOK", NULL};
	TABLE_SCOPED table;
	table_init(&table, heads);
	for (size_t i = json_array_size(runs); i-- > 0;) {
		const json_t *run = json_array_get(runs, i);
		char took[SHOW_BYTES];
		show_duration(took, runs_number(run, "took_ms"));
		table_add(&table, "%s", runs_text(run, "run_id"));
		table_add(&table, "%s", runs_text(run, "tenant_id"));
		table_add(&table, "%s", runs_text(run, "workflow"));
		table_add(&table, "%" JSON_INTEGER_FORMAT, runs_number(run, "version"));
		table_add(&table, "%s", runs_text(run, "agent_id"));
		table_add(&table, "%s", runs_text(run, "status"));
		table_add(&table, "%.19sZ", runs_text(run, "created_at"));
		table_add(&table, "%s", took);
	}
	if (json_array_size(runs) > 0)
		table_print(&table);
	else
		printf("no run matches; one is started by `leat publish run.start`\n");
}

static bool check_status(const char *status)
{
	static const char *const known[] = {"pending", "running", "waiting", "completed", "failed", "cancelled"};
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		if (status == NULL || strcmp(status, known[i]) == 0)
			return true;
	}
	return command_fail(
		"runs list", false, "--status: expected one of pending, running, waiting, completed, failed, cancelled, found \"%s\"", status);
}

static int runs_list(const struct leat_params *settings, int argc, char **argv)
{
	const char *tenant = NULL;
	const char *workflow = NULL;
	const char *agent = NULL;
	const char *status = NULL;
	int64_t limit = LIMIT;
	bool json = false;
	const struct command_flag flags[] = {
		{.name = "--tenant", .text = &tenant},
		{.name = "--workflow", .text = &workflow},
		{.name = "--agent", .text = &agent},
		{.name = "--status", .text = &status},
		{.name = "--limit", .number = &limit},
		{.name = "--json", .on = &json},
		{0},
	};
	char id[LEAT_UUID_TEXT_BYTES];
	if (!command_take_flags("runs list", flags, 0, &argc, argv) || !check_status(status) ||
		(tenant != NULL && !runs_take_id("runs list", "--tenant", tenant, id)) ||
		(workflow != NULL && !runs_take_id("runs list", "--workflow", workflow, id)))
		return EXIT_USAGE;
	struct leat_pg_params params = {0};
	leat_pg_bind_text(&params, tenant);
	leat_pg_bind_text(&params, workflow);
	leat_pg_bind_text(&params, agent);
	leat_pg_bind_text(&params, status);
	leat_pg_bind_int8(&params, limit < LIMIT_MOST ? limit : LIMIT_MOST);
	json_t *runs = runs_report(settings, "runs list", "select leat.report_runs($1::uuid, $2::uuid, $3, $4, $5)", &params);
	if (runs == NULL)
		return EXIT_FAILURE;
	if (json)
		print_lines(runs);
	else
		print_table(runs);
	json_decref(runs);
	return EXIT_SUCCESS;
}

/* ---- the command ---- */

int leat_cmd_runs(struct leat_params *params, int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(const struct leat_params *settings, int argc, char **argv);
	} parts[] = {{"list", runs_list}, {"show", runs_show}, {"resume", runs_ask}, {"retry", runs_ask}, {"cancel", runs_ask}};
	for (size_t i = 0; argc > 1 && i < sizeof parts / sizeof *parts; i++) {
		if (strcmp(argv[1], parts[i].name) == 0)
			return parts[i].run(params, argc - 1, argv + 1);
	}
	return command_fail("runs", EXIT_USAGE, "expected list, show, resume, retry or cancel%s%s; see `leat help runs`",
		argc > 1 ? ", found " : "", argc > 1 ? argv[1] : "");
}
