/* The columns of a graph that is drawn downwards (runs.h). Names are borrowed from the report. Nothing can fail. */
#include "runs.h"

#include <stdlib.h>
#include <string.h>

enum { WIDTH = 2 }; /* of a column, with the gap behind it */

void runs_graph_free(struct runs_graph *graph)
{
	free(graph->columns);
	*graph = (struct runs_graph){0};
}

/* The column of a node; of NULL: the first free one, and a new one when there is none. */
static size_t find(struct runs_graph *graph, const char *node)
{
	size_t column = 0;
	while (column < graph->count &&
		(node == NULL ? graph->columns[column] != NULL : graph->columns[column] == NULL || strcmp(graph->columns[column], node) != 0))
		column++;
	return column;
}

static size_t take(struct runs_graph *graph, const char *node)
{
	size_t column = find(graph, NULL);
	if (column == graph->count)
		graph->columns = leat_realloc(graph->columns, ++graph->count * sizeof *graph->columns);
	graph->columns[column] = node;
	return column;
}

static void trim(struct leat_buf *line)
{
	while (line->len > 0 && line->data[line->len - 1] == ' ')
		line->len--;
}

static void draw_node(const struct runs_graph *graph, size_t at, struct leat_buf *line)
{
	for (size_t i = 0; i < graph->count; i++)
		leat_buf_add_text(line, i == at ? "* " : graph->columns[i] != NULL ? "| " : "  ");
	trim(line);
}

/* What is drawn of a column below the node. */
enum mark { APART, OPENED, JOINED };

static void draw_link(const struct runs_graph *graph, size_t at, const enum mark *marks, struct leat_buf *link)
{
	size_t first = at;
	size_t last = at;
	for (size_t i = 0; i < graph->count; i++) {
		if (marks[i] == APART)
			continue;
		first = i < first ? i : first;
		last = i > last ? i : last;
	}
	if (first == last)
		return;
	for (size_t i = 0; i < graph->count; i++) {
		bool within = i >= first && i <= last;
		bool goes_on = graph->columns[i] != NULL;
		const char *mark = goes_on ? "|" : within ? "-" : " ";
		if (i == at)
			mark = goes_on ? "+" : "'";
		else if (marks[i] != APART)
			mark = marks[i] == OPENED ? "." : "+";
		leat_buf_printf(link, "%s%s", mark, i >= first && i < last ? "-" : " ");
	}
	trim(link);
}

void runs_graph_add(struct runs_graph *graph, const char *node, const json_t *feeds, struct leat_buf *line, struct leat_buf *link)
{
	size_t at = find(graph, node);
	if (at == graph->count)
		at = take(graph, node);
	draw_node(graph, at, line);

	size_t most = graph->count + json_array_size(feeds);
	enum mark *marks = leat_alloc_zero(most, sizeof *marks);
	size_t i;
	json_t *next;
	graph->columns[at] = NULL;
	json_array_foreach(feeds, i, next)
	{
		const char *name = json_string_value(next);
		size_t column = find(graph, name);
		bool there = column < graph->count;
		if (!there && graph->columns[at] == NULL)
			graph->columns[at] = name;
		else if (!there)
			marks[take(graph, name)] = OPENED;
		else
			marks[column] = JOINED;
	}
	draw_link(graph, at, marks, link);
	free(marks);
}
