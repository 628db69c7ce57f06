/*
 * `leat runs show RUN`: one run, its graph drawn downwards with each node's state beside it, and what to do next. Nodes of one layer stand
 * one below the other; a node that runs once per item has its items counted. Texts of nodes come from anywhere: nothing of them reaches the
 * terminal as it is. Fails when Postgres does not answer, or has no such run.
 */
#include "runs.h"

#include "command.h"
#include "show.h"
#include "table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS_MOST 24 /* of the graph; a wider one is not drawn, and the nodes before each are named */

/* ---- the head ---- */

static void print_line(const char *name, const char *text)
{
	LEAT_BUF_SCOPED shown = LEAT_BUF_INIT;
	if (*text == '\0')
		return;
	show_text(&shown, text, strlen(text));
	printf("%-10s  %s\n", name, leat_buf_text(&shown));
}

static void print_head(const json_t *run)
{
	char took[SHOW_BYTES];
	char line[512];
	bool over = *runs_text(run, "finished_at") != '\0';
	show_duration(took, runs_number(run, "took_ms"));
	print_line("run", runs_text(run, "run_id"));
	print_line("tenant", runs_text(run, "tenant_id"));
	snprintf(line, sizeof line, "%s, version %" JSON_INTEGER_FORMAT ", \"%s\"", runs_text(run, "workflow_id"), runs_number(run, "version"),
		runs_text(run, "workflow"));
	print_line("workflow", line);
	print_line("agent", runs_text(run, "agent_id"));
	print_line("entity", runs_text(run, "entity_id"));
	print_line("actor", runs_text(run, "actor"));
	snprintf(line, sizeof line, "%s, %s %s", runs_text(run, "status"), over ? "after" : "for", took);
	print_line("status", line);
	print_line("created", runs_text(run, "created_at"));
	print_line("finished", runs_text(run, "finished_at"));
	if (runs_number(run, "generation") > 0) {
		snprintf(line, sizeof line, "%" JSON_INTEGER_FORMAT, runs_number(run, "generation"));
		print_line("retried", line);
	}
	putchar('\n');
}

/* ---- the nodes ---- */

/* "3 completed, 1 failed" */
static void add_items(struct leat_buf *out, const json_t *items)
{
	static const char *const order[] = {"completed", "running", "waiting", "pending", "failed", "skipped", "cancelled"};
	for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
		if (runs_number(items, order[i]) > 0)
			leat_buf_printf(out, "%s%" JSON_INTEGER_FORMAT " %s", out->len > 0 ? ", " : "", runs_number(items, order[i]), order[i]);
	}
}

static void add_needs(struct leat_buf *out, const json_t *needs)
{
	size_t i;
	json_t *need;
	json_array_foreach(needs, i, need) leat_buf_printf(out, "%s%s", i > 0 ? ", " : "behind ", json_string_value(need));
}

static void add_state(struct table *table, const json_t *node, bool drawn)
{
	LEAT_BUF_SCOPED status = LEAT_BUF_INIT;
	LEAT_BUF_SCOPED more = LEAT_BUF_INIT;
	char took[SHOW_BYTES] = "";
	const char *started = runs_text(node, "started_at");
	if (*started != '\0')
		show_duration(took, runs_number(node, "took_ms"));
	if (json_object_get(node, "items") != NULL)
		add_items(&status, json_object_get(node, "items"));
	else
		leat_buf_add_text(&status, runs_text(node, "status"));
	if (!drawn)
		add_needs(&more, json_object_get(node, "needs"));
	if (*runs_text(node, "error") != '\0')
		leat_buf_printf(&more, "%s%s", more.len > 0 ? "; " : "", runs_text(node, "error"));
	table_add(table, "%s", runs_text(node, "type"));
	table_add(table, "%s", status.len > 0 ? leat_buf_text(&status) : "pending");
	if (runs_number(node, "attempt") > 0)
		table_add(table, "%" JSON_INTEGER_FORMAT, runs_number(node, "attempt"));
	else
		table_add(table, "%s", "");
	if (*started != '\0')
		table_add(table, "%.19sZ", started);
	else
		table_add(table, "%s", "");
	table_add(table, "%s", took);
	table_add(table, "%s", more.len > 0 ? leat_buf_text(&more) : " ");
}

/* A row with nothing but a drawing, and perhaps a remark. */
static void add_drawing(struct table *table, const char *drawing, const char *remark)
{
	table_add(table, "%s", *drawing != '\0' ? drawing : " ");
	for (size_t i = 2; i < table->columns; i++)
		table_add(table, "%s", " ");
	table_add(table, "%s", remark);
}

/* Below a node: its columns go on. */
static void add_errors(struct table *table, const struct runs_graph *graph, const json_t *errors)
{
	LEAT_BUF_SCOPED lanes = LEAT_BUF_INIT;
	for (size_t i = 0; i < graph->count; i++)
		leat_buf_add_text(&lanes, graph->columns[i] != NULL ? "| " : "  ");
	size_t i;
	json_t *error;
	json_array_foreach(errors, i, error) add_drawing(table, lanes.len > 0 ? leat_buf_text(&lanes) : " ", json_string_value(error));
}

static bool is_narrow(const json_t *nodes)
{
	struct runs_graph graph = {0};
	size_t i;
	json_t *node;
	json_array_foreach(nodes, i, node)
	{
		LEAT_BUF_SCOPED line = LEAT_BUF_INIT;
		LEAT_BUF_SCOPED link = LEAT_BUF_INIT;
		runs_graph_add(&graph, runs_text(node, "node_id"), json_object_get(node, "feeds"), &line, &link);
	}
	bool narrow = graph.count <= COLUMNS_MOST;
	runs_graph_free(&graph);
	return narrow;
}

static void print_nodes(const json_t *nodes)
{
	static const char *const heads[] = {"NODE", "TYPE", "STATUS", ">ATTEMPT", "STARTED", ">TOOK", " ", NULL};
	struct runs_graph graph = {0};
	bool narrow = is_narrow(nodes);
	TABLE_SCOPED table;
	table_init(&table, heads);
	size_t i;
	json_t *node;
	json_array_foreach(nodes, i, node)
	{
		LEAT_BUF_SCOPED line = LEAT_BUF_INIT;
		LEAT_BUF_SCOPED link = LEAT_BUF_INIT;
		if (narrow)
			runs_graph_add(&graph, runs_text(node, "node_id"), json_object_get(node, "feeds"), &line, &link);
		leat_buf_printf(
			&line, "%s%s%s", narrow ? "  " : "", runs_text(node, "node_id"), json_object_get(node, "split") != NULL ? "[]" : "");
		table_add(&table, "%s", leat_buf_text(&line));
		add_state(&table, node, narrow);
		if (link.len > 0)
			add_drawing(&table, leat_buf_text(&link), " ");
		add_errors(&table, &graph, json_object_get(node, "errors"));
	}
	if (table.count > 0)
		table_print(&table);
	else
		printf("its version of the workflow has no nodes that can run\n");
	runs_graph_free(&graph);
}

/* ---- what next ---- */

static void print_next(const json_t *run)
{
	static const struct {
		const char *status;
		const char *text;
		const char *verb;
	} steps[] = {
		{"failed", "Mend the cause; then the nodes that failed or were skipped begin again by", "retry"},
		{"cancelled", "The nodes that were cancelled begin again by", "retry"},
		{"waiting", "It goes on when its questions, in leat.interactions, are answered by interaction.answer.\nIt ends at once by",
			"cancel"},
		{"pending", "If nobody begins with it, look at `leat status`; a process with a free slot is called by", "resume"},
		{"running", "If it stands still, look at `leat status`; a process with a free slot is called by", "resume"},
	};
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		if (strcmp(steps[i].status, runs_text(run, "status")) == 0)
			printf("\n%s:\n  leat runs %s %s \\\n    --tenant %s\n", steps[i].text, steps[i].verb, runs_text(run, "run_id"),
				runs_text(run, "tenant_id"));
	}
}

int runs_show(const struct leat_params *params, int argc, char **argv)
{
	bool json = false;
	const struct command_flag flags[] = {{.name = "--json", .on = &json}, {0}};
	char id[LEAT_UUID_TEXT_BYTES];
	if (!command_take_flags("runs show", flags, 1, &argc, argv))
		return EXIT_USAGE;
	if (argc < 2)
		return command_fail("runs show", EXIT_USAGE, "expected the id of a run as `leat runs list` shows it");
	if (!runs_take_id("runs show", "RUN", argv[1], id))
		return EXIT_USAGE;
	struct leat_pg_params values = {0};
	leat_pg_bind_text(&values, id);
	json_t *run = runs_report(params, "runs show", "select leat.report_run($1::uuid)", &values);
	if (run == NULL)
		return EXIT_FAILURE;
	bool found = !json_is_null(run);
	if (found && json) {
		json_dumpf(run, stdout, JSON_COMPACT);
		putchar('\n');
	} else if (found) {
		print_head(run);
		print_nodes(json_object_get(run, "nodes"));
		print_next(run);
	}
	json_decref(run);
	return found ? EXIT_SUCCESS : command_fail("runs show", EXIT_FAILURE, "there is no run %s; see `leat runs list`", id);
}
