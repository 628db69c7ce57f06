/*
 * Who wrote each field, and what became of the other writes. A field stands at a position: the intent that wrote there has written it,
 * unless its message says otherwise; then direct SQL did, which takes a position that the row has already, and the audit log knows by whom.
 * What such a field held before is the last write to it in the stream, which lost.
 */
#include "explain.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const json_t *history_of(const struct explain *explain)
{
	return json_object_get(explain->ledger, "history");
}

static bool is_asked_for(const struct explain *explain, const char *part, const char *field)
{
	size_t bytes = strlen(part);
	if (explain->field == NULL || strcmp(explain->field, field) == 0)
		return true;
	return strncmp(explain->field, part, bytes) == 0 && explain->field[bytes] == '.' && strcmp(explain->field + bytes + 1, field) == 0;
}

static bool holds(const json_t *names, const char *wanted)
{
	size_t i;
	json_t *name;
	json_array_foreach(names, i, name)
	{
		if (strcmp(json_string_value(name), wanted) == 0)
			return true;
	}
	return false;
}

static json_t *find_applied(const struct explain *explain, json_int_t position)
{
	size_t i;
	json_t *intent;
	json_array_foreach(history_of(explain), i, intent)
	{
		if (explain_number(intent, "write_position") == position && strcmp(explain_text(intent, "outcome"), "applied") == 0)
			return intent;
	}
	return NULL;
}

static void add_intent(json_t *to, const json_t *intent)
{
	static const char *const members[] = {"leat_id", "actor", "role", "verb", "message_at_us"};
	for (size_t i = 0; i < sizeof members / sizeof *members; i++)
		json_object_set(to, members[i], json_object_get(intent, members[i]));
	json_object_set(to, "message", json_object_get(intent, "position"));
}

/* ---- who wrote a field ---- */

/* As Postgres compares them. Both are JSON text, or null for a field that is removed. */
static enum leat_kind compare(struct explain *explain, const json_t *one, const json_t *other, bool *equal, struct leat_error *err)
{
	LEAT_PG_RESULT_SCOPED *result = NULL;
	struct leat_pg_params params = {0};
	leat_pg_bind_text(&params, json_string_value(one));
	leat_pg_bind_text(&params, json_string_value(other));
	if (leat_pg_run_once(explain->pg, "select ($1::jsonb is not distinct from $2::jsonb)::text", &params, &result, err) != LEAT_OK)
		return err->kind;
	*equal = strcmp(leat_pg_text(result, 0, 0), "true") == 0;
	return LEAT_OK;
}

/* The newest change by direct SQL since then that touched the field. */
static enum leat_kind find_direct(struct explain *explain, json_t *field, json_int_t since_us, bool *found, struct leat_error *err)
{
	LEAT_PG_RESULT_SCOPED *result = NULL;
	struct leat_pg_params params = {0};
	size_t i;
	json_t *write;
	*found = false;
	leat_pg_bind_text(&params, explain->tenant);
	leat_pg_bind_text(&params, explain->entity);
	leat_pg_bind_int8(&params, since_us);
	if (leat_pg_run_once(explain->pg, "select leat.direct_writes($1::uuid, $2::uuid, $3::bigint)", &params, &result, err) != LEAT_OK)
		return err->kind;
	json_auto_t *writes = json_loads(leat_pg_text(result, 0, 0), 0, NULL);
	json_array_foreach(writes, i, write)
	{
		if (!holds(json_object_get(write, explain_text(field, "part")), explain_text(field, "field")))
			continue;
		*found = true;
		json_object_set_new(field, "by", json_string("direct"));
		json_object_set(field, "message_at_us", json_object_get(write, "at_us"));
		json_object_set(field, "actor", json_object_get(write, "actor"));
		json_object_set(field, "db_user", json_object_get(write, "db_user"));
		return LEAT_OK;
	}
	return LEAT_OK;
}

/* Nobody else can have written it: no intent did. */
static enum leat_kind blame_direct(struct explain *explain, json_t *field, json_int_t since_us, struct leat_error *err)
{
	bool found;
	enum leat_kind kind = find_direct(explain, field, since_us, &found, err);
	if (kind != LEAT_OK || found)
		return kind;
	json_object_set_new(field, "by", json_string("direct"));
	json_object_set_new(field, "note", json_string("the audit log no longer has who"));
	return LEAT_OK;
}

static enum leat_kind judge_field(struct explain *explain, json_t *field, struct leat_error *err)
{
	const json_t *intent = find_applied(explain, explain_number(field, "position"));
	bool equal = false;
	bool direct = false;
	if (explain_number(field, "position") == 0)
		return blame_direct(explain, field, 0, err);
	if (intent == NULL) {
		json_object_set_new(field, "by", json_string("unknown"));
		json_object_set_new(field, "note", json_string("the ledger no longer has that intent"));
		return LEAT_OK;
	}
	const json_t *writes = json_object_get(json_object_get(intent, "writes"), explain_text(field, "part"));
	const json_t *written = json_object_get(writes, explain_text(field, "field"));
	if (written != NULL && compare(explain, written, json_object_get(field, "value"), &equal, err) != LEAT_OK)
		return err->kind;
	if (writes != NULL && !equal)
		return blame_direct(explain, field, explain_number(intent, "message_at_us"), err);
	if (writes == NULL && find_direct(explain, field, explain_number(intent, "at_us"), &direct, err) != LEAT_OK)
		return err->kind;
	if (direct)
		return LEAT_OK;
	json_object_set_new(field, "by", json_string("intent"));
	if (writes == NULL)
		json_object_set_new(field, "note", json_string("the stream no longer holds its message"));
	add_intent(field, intent);
	return LEAT_OK;
}

/* ---- which writes lost ---- */

/* Of a bulk they are by entity. */
static bool was_locked(const struct explain *explain, const json_t *intent, const char *part, const char *field)
{
	const json_t *skipped = json_object_get(json_object_get(intent, "detail"), "skipped_fields");
	if (json_is_object(skipped))
		skipped = json_object_get(skipped, explain->entity);
	return strcmp(part, "content") == 0 && holds(skipped, field);
}

static const json_t *find_field(const struct explain *explain, const char *part, const char *name)
{
	size_t i;
	json_t *field;
	json_array_foreach(json_object_get(explain->ledger, "fields"), i, field)
	{
		if (strcmp(explain_text(field, "part"), part) == 0 && strcmp(explain_text(field, "field"), name) == 0)
			return field;
	}
	return NULL;
}

/* Whether it wrote the field to the row as it exists now. */
static bool has_written(const struct explain *explain, const json_t *intent, const char *part, const char *name)
{
	const json_t *row = json_object_get(explain->ledger, "row");
	const json_t *writes = json_object_get(json_object_get(intent, "writes"), part);
	return strcmp(explain_text(intent, "outcome"), "applied") == 0 && json_object_get(writes, name) != NULL &&
		!holds(json_object_get(json_object_get(intent, "detail"), "missing"), explain->entity) &&
		!was_locked(explain, intent, part, name) && json_is_integer(json_object_get(row, "exists_since")) &&
		explain_number(intent, "write_position") >= explain_number(row, "exists_since");
}

/* The last write in the stream to a field that direct SQL wrote after it; NULL: none that is known. */
static const json_t *find_overwritten(const struct explain *explain, const char *part, const char *name, json_int_t stands)
{
	const json_t *last = NULL;
	size_t i;
	json_t *intent;
	json_array_foreach(history_of(explain), i, intent)
	{
		json_int_t wrote = explain_number(intent, "write_position");
		if (wrote <= stands && has_written(explain, intent, part, name) && (last == NULL || wrote > explain_number(last, "write_position")))
			last = intent;
	}
	return last;
}

static json_t *say(const char *what, const char *detail)
{
	char text[256];
	snprintf(text, sizeof text, "%s%s", what, detail);
	return json_string(text);
}

static json_t *say_position(const char *what, json_int_t position)
{
	char text[128];
	snprintf(text, sizeof text, "%s %" JSON_INTEGER_FORMAT, what, position);
	return json_string(text);
}

static json_t *why_lost_to_direct(const struct explain *explain, const char *part, const char *name, json_int_t wrote, json_int_t stands)
{
	json_int_t last = explain_number(find_overwritten(explain, part, name, stands), "write_position");
	return wrote == last ? say("overwritten by direct SQL", "") : say_position("overwritten at", last);
}

/* Why a write is not what stands; NULL when it is. */
static json_t *why_lost(const struct explain *explain, const json_t *intent, const char *part, const char *name)
{
	const json_t *row = json_object_get(explain->ledger, "row");
	const json_t *detail = json_object_get(intent, "detail");
	json_int_t wrote = explain_number(intent, "write_position");
	const json_t *field = find_field(explain, part, name);
	json_int_t stands = explain_number(field, "position");
	json_int_t since = explain_number(row, "exists_since");
	const char *outcome = explain_text(intent, "outcome");
	if (strcmp(outcome, "rejected") == 0)
		return say("rejected: ", explain_text(intent, "code"));
	if (strcmp(outcome, "duplicate") == 0)
		return say_position("a duplicate of", explain_number(detail, "original_position"));
	if (holds(json_object_get(detail, "missing"), explain->entity))
		return say("the entity was not there", "");
	if (was_locked(explain, intent, part, name))
		return say("the field was locked", "");
	if (wrote < explain_number(row, "deleted_position"))
		return say_position("below the delete at", explain_number(row, "deleted_position"));
	if (!json_is_integer(json_object_get(row, "exists_since")))
		return say("the entity does not exist", "");
	if (wrote < since)
		return say_position("before the upsert that it exists since,", since);
	if (wrote > stands)
		return say("it should stand: run `leat verify`", "");
	if (strcmp(explain_text(field, "by"), "direct") == 0)
		return why_lost_to_direct(explain, part, name, wrote, stands);
	if (wrote == stands)
		return NULL;
	const json_t *winner = find_applied(explain, stands);
	bool late = winner != NULL && explain_number(winner, "at_us") < explain_number(intent, "at_us");
	return say_position(late ? "it came late, after" : "overwritten at", stands);
}

static void judge_write(struct explain *explain, const json_t *intent, const char *part, const char *field, json_t *value)
{
	json_t *why = is_asked_for(explain, part, field) ? why_lost(explain, intent, part, field) : NULL;
	if (why == NULL)
		return;
	json_t *lost = json_pack("{s:s, s:s, s:O, s:O, s:o}", "part", part, "field", field, "value", value, "position",
		json_object_get(intent, "write_position"), "why", why);
	add_intent(lost, intent);
	json_array_append_new(explain->lost, lost);
}

/* Of a field that direct SQL wrote, what it wrote over. */
static void note_overwritten(const struct explain *explain, json_t *field)
{
	const json_t *intent =
		find_overwritten(explain, explain_text(field, "part"), explain_text(field, "field"), explain_number(field, "position"));
	if (intent == NULL || strcmp(explain_text(field, "by"), "direct") != 0)
		return;
	json_object_set(field, "overwrote", json_object_get(intent, "write_position"));
	if (json_object_get(field, "note") == NULL)
		json_object_set_new(field, "note", say_position("it overwrote", explain_number(intent, "write_position")));
}

enum leat_kind explain_judge(struct explain *explain, struct leat_error *err)
{
	size_t i;
	json_t *field;
	json_t *intent;
	json_t *fields;
	json_t *value;
	const char *part;
	const char *name;
	json_array_foreach(json_object_get(explain->ledger, "fields"), i, field)
	{
		if (!is_asked_for(explain, explain_text(field, "part"), explain_text(field, "field")))
			continue;
		if (judge_field(explain, field, err) != LEAT_OK)
			return err->kind;
		note_overwritten(explain, field);
		json_array_append(explain->fields, field);
	}
	json_array_foreach(history_of(explain), i, intent)
	{
		json_object_foreach(json_object_get(intent, "writes"), part, fields) json_object_foreach(fields, name, value)
			judge_write(explain, intent, part, name, value);
	}
	return LEAT_OK;
}
