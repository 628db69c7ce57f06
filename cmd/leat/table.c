#include "table.h"

#include "show.h"

#include <assert.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GAP 2

void table_init(struct table *out, const char *const *heads)
{
	*out = (struct table){.heads = heads};
	while (heads[out->columns] != NULL)
		out->columns++;
	assert(out->columns > 0 && out->columns <= TABLE_COLUMNS);
}

void table_free(struct table *table)
{
	for (size_t i = 0; i < table->count; i++)
		free(table->cells[i]);
	free(table->cells);
	*table = (struct table){0};
}

void table_add(struct table *table, const char *format, ...)
{
	char *text = NULL;
	va_list args;
	va_start(args, format);
	int bytes = vasprintf(&text, format, args);
	va_end(args);
	if (bytes < 0)
		abort();
	struct leat_buf shown = LEAT_BUF_INIT;
	show_text(&shown, bytes > 0 ? text : "-", bytes > 0 ? (size_t)bytes : 1);
	free(text);
	if (table->count == table->cap) {
		table->cap = table->cap > 0 ? table->cap * 2 : 64;
		table->cells = leat_realloc(table->cells, table->cap * sizeof *table->cells);
	}
	table->cells[table->count++] = leat_buf_take(&shown);
}

static bool is_right(const char *head)
{
	return *head == '>';
}

static const char *title(const char *head)
{
	return is_right(head) ? head + 1 : head;
}

static void print_cell(const char *text, size_t width, bool right, bool last)
{
	size_t padding = width - show_width(text);
	if (right)
		printf("%*s", (int)padding, "");
	fputs(text, stdout);
	if (!last)
		printf("%*s", (int)(right ? GAP : padding + GAP), "");
}

void table_print(const struct table *table)
{
	size_t widths[TABLE_COLUMNS];
	assert(table->count % table->columns == 0);
	for (size_t column = 0; column < table->columns; column++) {
		widths[column] = show_width(title(table->heads[column]));
		for (size_t i = column; i < table->count; i += table->columns) {
			size_t width = show_width(table->cells[i]);
			widths[column] = width > widths[column] ? width : widths[column];
		}
	}
	for (size_t i = 0; i < table->columns + table->count; i++) {
		size_t column = i % table->columns;
		bool last = column + 1 == table->columns;
		const char *head = table->heads[column];
		print_cell(i < table->columns ? title(head) : table->cells[i - table->columns], widths[column], is_right(head), last);
		if (last)
			putchar('\n');
	}
}
