/*
 * What each message did to a workflow, run, interaction or member. These are decided one message after the other, and the ledger keeps what
 * was decided: nothing has to be read from the stream, and nobody lost but who was rejected, came twice, or came too late to count.
 */
#include "explain.h"

#include "show.h"
#include "table.h"

#include "leat/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what a message did ---- */

static void add_value(struct leat_buf *out, const json_t *value)
{
	char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
	if (text != NULL)
		leat_buf_add_text(out, leat_excerpt((struct leat_text){text, strlen(text)}).text);
	free(text);
}

static void say_run(struct leat_buf *out, const char *verb, const json_t *detail)
{
	if (strcmp(verb, "start") == 0)
		leat_buf_printf(out, "begins, version %" JSON_INTEGER_FORMAT " of workflow %s", explain_number(detail, "version"),
			explain_text(detail, "workflow_id"));
	else if (strcmp(verb, "node") == 0)
		leat_buf_printf(out, "node %s is %s", explain_text(detail, "node_id"), explain_text(detail, "status"));
	else if (strcmp(verb, "retry") == 0)
		leat_buf_printf(out, "%" JSON_INTEGER_FORMAT " nodes begin again, generation %" JSON_INTEGER_FORMAT,
			explain_number(detail, "retried_nodes"), explain_number(detail, "generation"));
	else if (strcmp(verb, "cancel") == 0)
		leat_buf_printf(out, "%" JSON_INTEGER_FORMAT " nodes are cancelled", explain_number(detail, "cancelled_nodes"));
}

static void say_workflow(struct leat_buf *out, const char *verb, const json_t *detail)
{
	json_int_t version = explain_number(detail, "version");
	if (strcmp(verb, "save") == 0)
		leat_buf_printf(out, "version %" JSON_INTEGER_FORMAT "%s", version, version == 1 ? ", the first" : "");
	else
		leat_buf_printf(out, "deleted at version %" JSON_INTEGER_FORMAT, version);
}

static void say_interaction(struct leat_buf *out, const char *verb, const json_t *detail)
{
	if (strcmp(verb, "ask") == 0) {
		leat_buf_printf(out, "open until %s", explain_text(detail, "expires_at"));
	} else if (strcmp(verb, "answer") == 0) {
		leat_buf_add_text(out, "won, with ");
		add_value(out, json_object_get(detail, "value"));
	} else {
		leat_buf_add_text(out, strcmp(verb, "withdraw") == 0 ? "withdrawn" : "expired");
	}
}

static void say_member(struct leat_buf *out, const char *verb, const json_t *detail)
{
	leat_buf_printf(out, strcmp(verb, "set") == 0 ? "is %s" : "was %s, and is no member", explain_text(detail, "role"));
}

static const struct {
	const char *noun;
	void (*say)(struct leat_buf *out, const char *verb, const json_t *detail);
} things[] = {{"run", say_run}, {"workflow", say_workflow}, {"interaction", say_interaction}, {"member", say_member}};

static void say_what_it_did(struct leat_buf *out, const char *noun, const json_t *message)
{
	const json_t *detail = json_object_get(message, "detail");
	const char *outcome = explain_text(message, "outcome");
	if (strcmp(outcome, "rejected") == 0)
		leat_buf_printf(out, "nothing: %s", explain_text(detail, "message"));
	else if (strcmp(outcome, "duplicate") == 0)
		leat_buf_printf(out, "nothing: a duplicate of %" JSON_INTEGER_FORMAT, explain_number(detail, "original_position"));
	else if (*explain_text(detail, "ignored") != '\0')
		leat_buf_printf(out, "nothing: %s", explain_text(detail, "ignored"));
	else
		for (size_t i = 0; i < sizeof things / sizeof *things; i++) {
			if (strcmp(things[i].noun, noun) == 0)
				things[i].say(out, explain_text(message, "verb"), detail);
		}
}

/* ---- asking ---- */

enum leat_kind explain_ask_messages(struct explain *explain, struct leat_error *err)
{
	LEAT_PG_RESULT_SCOPED *result = NULL;
	struct leat_pg_params params = {0};
	size_t i;
	json_t *message;
	leat_pg_bind_text(&params, explain->tenant);
	leat_pg_bind_text(&params, explain->noun);
	leat_pg_bind_text(&params, explain->entity);
	leat_pg_bind_int8(&params, explain->look_back);
	if (leat_pg_run_once(explain->pg, "select leat.explain_messages($1::uuid, $2, $3::uuid, $4::bigint)", &params, &result, err) != LEAT_OK)
		return leat_fail_while(err, "is the schema up to date? run `leat migrate`");
	json_auto_t *found = json_loads(leat_pg_text(result, 0, 0), 0, NULL);
	if (found == NULL)
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INTERNAL, "leat.explain_messages() gave no JSON that can be read");
	json_t *messages = json_object_get(found, "messages");
	if (json_is_null(json_object_get(found, "row")) && json_array_size(messages) == 0)
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_NOT_FOUND,
			"tenant %s has no %s %s, and the ledger no message that names it (one that could not be read names nothing: see `leat dead "
			"list`)",
			explain->tenant, explain->noun != NULL ? explain->noun : "entity, workflow, run, interaction or member", explain->entity);
	json_array_foreach(messages, i, message)
	{
		LEAT_BUF_SCOPED did = LEAT_BUF_INIT;
		say_what_it_did(&did, explain_text(found, "noun"), message);
		json_object_set_new(message, "did", json_string(leat_buf_text(&did)));
	}
	explain->messages = json_incref(found);
	return LEAT_OK;
}

/* ---- printing ---- */

static void add_row(struct leat_buf *out, const char *noun, const json_t *row)
{
	if (strcmp(noun, "run") == 0) {
		leat_buf_printf(out, "%s, version %" JSON_INTEGER_FORMAT " of workflow %s", explain_text(row, "status"),
			explain_number(row, "version"), explain_text(row, "workflow_id"));
	} else if (strcmp(noun, "workflow") == 0) {
		show_text(out, explain_text(row, "name"), strlen(explain_text(row, "name")));
		leat_buf_printf(out, ", version %" JSON_INTEGER_FORMAT ", %s", explain_number(row, "version"), explain_text(row, "status"));
	} else if (strcmp(noun, "interaction") == 0) {
		leat_buf_printf(out, "%s, asked of user %s on connection ", explain_text(row, "status"), explain_text(row, "expected_user_id"));
		show_text(out, explain_text(row, "connection_id"), strlen(explain_text(row, "connection_id")));
		if (*explain_text(row, "run_id") != '\0')
			leat_buf_printf(out, ", for node %s of run %s", explain_text(row, "node_id"), explain_text(row, "run_id"));
	} else {
		leat_buf_add_text(out, explain_text(row, "role"));
	}
}

static void print_table(const json_t *messages)
{
	static const char *const heads[] = {">POSITION", "TIME", "ACTOR", "ROLE", "VERB", "LEAT-ID", "OUTCOME", "DID", NULL};
	TABLE_SCOPED table;
	table_init(&table, heads);
	size_t i;
	json_t *message;
	json_array_foreach(messages, i, message)
	{
		char time[SHOW_BYTES];
		const char *code = explain_text(message, "code");
		show_time(time, explain_number(message, "message_at_us") * 1000);
		explain_add_position(&table, explain_number(message, "position"));
		table_add(&table, "%s", time);
		table_add(&table, "%s", explain_text(message, "actor"));
		table_add(&table, "%s", explain_text(message, "role"));
		table_add(&table, "%s", explain_text(message, "verb"));
		table_add(&table, "%s", explain_text(message, "leat_id"));
		table_add(&table, "%s%s%s", explain_text(message, "outcome"), *code != '\0' ? ": " : "", code);
		table_add(&table, "%s", explain_text(message, "did"));
	}
	if (json_array_size(messages) == 0)
		printf("\nthe ledger has no message about it (any more)\n");
	else
		putchar('\n');
	if (json_array_size(messages) > 0)
		table_print(&table);
}

void explain_print_messages(const struct explain *explain)
{
	const char *noun = explain_text(explain->messages, "noun");
	const json_t *row = json_object_get(explain->messages, "row");
	json_int_t direct_us = explain_number(explain->messages, "direct_us");
	LEAT_BUF_SCOPED stands = LEAT_BUF_INIT;
	if (!json_is_null(row))
		add_row(&stands, noun, row);
	printf("%s %s of tenant %s%s%s\n", noun, explain->entity, explain->tenant, json_is_null(row) ? " does not exist" : ": ",
		leat_buf_text(&stands));
	if (direct_us > 0) {
		char time[SHOW_BYTES];
		show_time(time, direct_us * 1000);
		printf("a function for SQL clients changed it past the stream, within the hour after %s\n", time);
	}
	print_table(json_object_get(explain->messages, "messages"));
	if (explain_number(explain->messages, "looked_from") > 0)
		printf("\nlooked from position %" JSON_INTEGER_FORMAT " on; --look-back N looks further\n",
			explain_number(explain->messages, "looked_from"));
}
