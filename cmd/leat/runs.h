/* The parts of `leat runs`. Reports are JSON, as sql/functions/76_run_reports.sql makes them. */
#ifndef LEAT_RUNS_H
#define LEAT_RUNS_H

#include "leat/buf.h"
#include "leat/param.h"
#include "leat/pg.h"

#include <jansson.h>

/* `leat runs show RUN` */
int runs_show(const struct leat_params *params, int argc, char **argv);
/* `leat runs resume`, `retry`, `cancel`: argv[0] says which. */
int runs_ask(const struct leat_params *params, int argc, char **argv);

/* ---- runs.c ---- */

/* Asks the database, by one statement whose value is JSON. NULL has been told as a failure of `command`. The caller's to json_decref. */
json_t *runs_report(const struct leat_params *settings, const char *command, const char *sql, const struct leat_pg_params *params);
/* Checks that the word is a UUID, and gives it its usual form. False has been told. */
bool runs_take_id(const char *command, const char *what, const char *word, char out[LEAT_UUID_TEXT_BYTES]);
/* For members that may be absent. */
const char *runs_text(const json_t *object, const char *name);
json_int_t runs_number(const json_t *object, const char *name);

/* ---- runs_graph.c ---- */

/*
 * Draws a graph beside its nodes, a line each, and lines between them where edges branch or meet:
 *
 *     *    a
 *     +-.
 *     * |  b
 *     | *  c
 *     +-'
 *     *    d
 *
 * Every node that something leads to has one column, from the first node before it down to itself.
 */
struct runs_graph {
	const char **columns; /* the node that each leads to; NULL: free */
	size_t count;
};

void runs_graph_free(struct runs_graph *graph);
/* The line of the next node; then, when `link` is not empty, the line below it. `feeds`: the nodes behind it, an array of texts. */
void runs_graph_add(struct runs_graph *graph, const char *node, const json_t *feeds, struct leat_buf *line, struct leat_buf *link);

#endif
