/* The explanation as tables. Values are cut to fit. */
#include "explain.h"

#include "show.h"
#include "table.h"

#include "leat/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define EPOCH_BITS 40

void explain_add_position(struct table *table, json_int_t position)
{
	json_int_t seq = position & ((INT64_C(1) << EPOCH_BITS) - 1);
	if (position >> EPOCH_BITS > 0)
		table_add(table, "%" JSON_INTEGER_FORMAT ":%" JSON_INTEGER_FORMAT, position >> EPOCH_BITS, seq);
	else
		table_add(table, "%" JSON_INTEGER_FORMAT, seq);
}

static void add_writer(struct table *table, const json_t *from)
{
	char time[SHOW_BYTES];
	show_time(time, explain_number(from, "message_at_us") * 1000);
	table_add(table, "%s", time);
	table_add(table, "%s", *explain_text(from, "actor") != '\0' ? explain_text(from, "actor") : explain_text(from, "db_user"));
	table_add(table, "%s", explain_text(from, "role"));
	table_add(table, "%s", strcmp(explain_text(from, "by"), "direct") == 0 ? "direct SQL" : explain_text(from, "verb"));
	table_add(table, "%s", explain_text(from, "leat_id"));
}

static void add_value(struct table *table, const json_t *from)
{
	const char *value = explain_text(from, "value");
	if (json_is_null(json_object_get(from, "value")))
		table_add(table, "(removed)");
	else
		table_add(table, "%s", leat_excerpt((struct leat_text){value, strlen(value)}).text);
}

static void print_table(const char *title, const json_t *rows, const char *last, const char *member)
{
	const char *const heads[] = {"FIELD", "VALUE", ">POSITION", "TIME", "ACTOR", "ROLE", "VERB", "LEAT-ID", last, NULL};
	TABLE_SCOPED table;
	table_init(&table, heads);
	size_t i;
	json_t *row;
	json_array_foreach(rows, i, row)
	{
		table_add(&table, "%s.%s", explain_text(row, "part"), explain_text(row, "field"));
		add_value(&table, row);
		explain_add_position(&table, explain_number(row, "position"));
		add_writer(&table, row);
		table_add(&table, "%s", explain_text(row, member));
	}
	if (json_array_size(rows) == 0)
		return;
	printf("\n%s\n", title);
	table_print(&table);
}

static void print_row(const struct explain *explain)
{
	const json_t *row = json_object_get(explain->ledger, "row");
	LEAT_BUF_SCOPED name = LEAT_BUF_INIT;
	const char *key = explain_text(row, "key");
	if (json_is_null(row)) {
		printf("entity %s of tenant %s does not exist\n", explain->entity, explain->tenant);
		return;
	}
	show_text(&name, explain_text(row, "entity_type"), strlen(explain_text(row, "entity_type")));
	if (*key != '\0') {
		leat_buf_add_text(&name, ", key ");
		show_text(&name, key, strlen(key));
	}
	printf("entity %s of tenant %s: %s\n", explain->entity, explain->tenant, leat_buf_text(&name));
	if (explain_number(row, "exists_since") > 0)
		printf("exists since the upsert at %" JSON_INTEGER_FORMAT "\n", explain_number(row, "exists_since"));
	if (explain_number(row, "deleted_position") > 0)
		printf("deleted at %" JSON_INTEGER_FORMAT "%s\n", explain_number(row, "deleted_position"),
			explain_number(row, "exists_since") > 0 ? ", before that" : "");
}

void explain_print(const struct explain *explain)
{
	print_row(explain);
	print_table("written by", explain->fields, "NOTE", "note");
	print_table("lost", explain->lost, "WHY", "why");
	if (json_array_size(explain->fields) + json_array_size(explain->lost) == 0)
		printf("\nnothing is known of %s\n", explain->field != NULL ? "such a field" : "any field");
	if (explain->unread > 0)
		printf("\nof %" PRId64 " intents the stream no longer holds the message: what they wrote and lost is not known\n", explain->unread);
	if (explain_number(explain->ledger, "looked_from") > 0)
		printf("\nlooked for writes that lost from position %" JSON_INTEGER_FORMAT " on; --look-back N looks further\n",
			explain_number(explain->ledger, "looked_from"));
}
