/* A table for people: headings, rows, columns as wide as they need to be. Cells are shown as by show_text. */
#ifndef LEAT_TABLE_H
#define LEAT_TABLE_H

#include <stddef.h>

#define TABLE_COLUMNS 16

struct table {
	const char *const *heads; /* up to NULL; one that begins with '>' is of a column that is aligned right */
	size_t columns;
	char **cells;
	size_t count;
	size_t cap;
};

#define TABLE_SCOPED __attribute__((cleanup(table_free))) struct table

void table_init(struct table *out, const char *const *heads);
void table_free(struct table *table);
/* The next cell; a row is full once every column has one. "" is shown as "-". */
void table_add(struct table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
void table_print(const struct table *table);

#endif
