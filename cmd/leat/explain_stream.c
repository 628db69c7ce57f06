/*
 * The messages of an entity's intents: which fields each writes, with its value as it was sent. A message is the ledger's when the stream
 * has one of that sequence and time; otherwise it is gone (retention, another epoch), and so are its fields.
 */
#include "explain.h"

#include "leat/json.h"

#include <string.h>

#define SEQ_MASK ((INT64_C(1) << 40) - 1)
#define NESTING 1000

static bool is_name(struct leat_text text, const char *name)
{
	return strlen(name) == text.bytes && memcmp(name, text.at, text.bytes) == 0;
}

/* The member of a checked object; type NONE when it has none. */
static struct leat_json find_member(const struct leat_json *object, const char *wanted)
{
	LEAT_BUF_SCOPED scratch = LEAT_BUF_INIT;
	struct leat_json name;
	struct leat_json value;
	for (struct leat_json_walk walk = leat_json_walk(object); leat_json_next(&walk, &name, &value);) {
		if (is_name(leat_json_text(&name, &scratch), wanted))
			return value;
	}
	return (struct leat_json){0};
}

/* An object's members with their values, or an array's items without. */
static json_t *read_part(const struct leat_json *part)
{
	LEAT_BUF_SCOPED scratch = LEAT_BUF_INIT;
	struct leat_json name;
	struct leat_json value;
	json_t *fields = json_object();
	if (part->type != LEAT_JSON_OBJECT && part->type != LEAT_JSON_ARRAY)
		return fields;
	for (struct leat_json_walk walk = leat_json_walk(part); leat_json_next(&walk, &name, &value);) {
		bool written = part->type == LEAT_JSON_OBJECT;
		struct leat_text field = leat_json_text(written ? &name : &value, &scratch);
		LEAT_BUF_SCOPED key = LEAT_BUF_INIT;
		leat_buf_add(&key, field.at, field.bytes);
		json_object_set_new(fields, leat_buf_text(&key), written ? json_stringn(value.source.at, value.source.bytes) : json_null());
	}
	return fields;
}

static json_t *read_writes(const struct leat_json *body, const char *verb)
{
	struct leat_json content = find_member(body, "content");
	struct leat_json metadata = find_member(body, "metadata");
	struct leat_json locks = find_member(body, "fields");
	json_t *locked = read_part(&locks);
	const char *field;
	json_t *value;
	if (strcmp(verb, "lock") == 0)
		json_object_foreach(locked, field, value) json_object_set_new(locked, field, json_string("true"));
	return json_pack("{s:o, s:o, s:o}", "content", read_part(&content), "metadata", read_part(&metadata), "locks", locked);
}

static bool is_about(const struct explain *explain, const struct leat_json *body)
{
	LEAT_BUF_SCOPED scratch = LEAT_BUF_INIT;
	struct leat_json ids = find_member(body, "entity_ids");
	struct leat_json name;
	struct leat_json id;
	struct leat_uuid wanted;
	struct leat_uuid target;
	leat_uuid_parse(&wanted, explain->entity, strlen(explain->entity));
	if (ids.type != LEAT_JSON_ARRAY)
		return false;
	for (struct leat_json_walk walk = leat_json_walk(&ids); leat_json_next(&walk, &name, &id);) {
		struct leat_text text = leat_json_text(&id, &scratch);
		if (leat_uuid_parse(&target, text.at, text.bytes) && leat_uuid_compare(&target, &wanted) == 0)
			return true;
	}
	return false;
}

static bool has_field_at(const struct explain *explain, json_int_t position)
{
	size_t i;
	json_t *field;
	json_array_foreach(json_object_get(explain->ledger, "fields"), i, field)
	{
		if (explain_number(field, "position") == position)
			return true;
	}
	return false;
}

/* Sets "writes" where the message is there and can be read. False: it is a bulk about others, as far as can be told. */
static bool take_message(struct explain *explain, json_t *intent, const struct leat_msg *msg)
{
	struct leat_json body;
	struct leat_error unreadable;
	bool bulk = strcmp(explain_text(intent, "verb"), "bulk") == 0;
	if (msg == NULL) {
		bool ours = !bulk || has_field_at(explain, explain_number(intent, "write_position"));
		explain->unread += ours;
		return ours;
	}
	if (leat_json_check(&body, msg->data, msg->data_bytes, NESTING, &unreadable) != LEAT_OK || body.type != LEAT_JSON_OBJECT)
		return !bulk;
	json_object_set_new(intent, "writes", read_writes(&body, explain_text(intent, "verb")));
	return !bulk || is_about(explain, &body);
}

static enum leat_kind read_message(struct explain *explain, json_t *intent, bool *ours, struct leat_error *err)
{
	struct leat_msg msg;
	const uint64_t wanted = (uint64_t)(explain_number(intent, "position") & SEQ_MASK);
	uint64_t seq = wanted;
	if (leat_stream_get_next(explain->bus, EXPLAIN_STREAM, ">", &seq, &msg, err) != LEAT_OK) {
		*ours = take_message(explain, intent, NULL);
		return err->code == LEAT_CODE_NOT_FOUND ? LEAT_OK : err->kind;
	}
	bool same = seq == wanted && msg.timestamp_ns / 1000 == explain_number(intent, "message_at_us");
	*ours = take_message(explain, intent, same ? &msg : NULL);
	leat_msg_free(&msg);
	return LEAT_OK;
}

enum leat_kind explain_read_stream(struct explain *explain, struct leat_error *err)
{
	json_t *history = json_object_get(explain->ledger, "history");
	for (size_t i = 0; i < json_array_size(history);) {
		bool ours = false;
		if (read_message(explain, json_array_get(history, i), &ours, err) != LEAT_OK)
			return err->kind;
		if (ours)
			i++;
		else
			json_array_remove(history, i);
	}
	return LEAT_OK;
}
