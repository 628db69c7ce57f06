/*
 * A message from a line: the flags say what it is and the line is its body, or the line is an envelope that says both.
 *
 * The body of an envelope is sent as the bytes that stand in the line, so no number is rounded. An envelope whose bytes have no certain
 * meaning (a member twice, say) is refused here; "raw" sends even that. Whether a body is right, and an envelope's intent known, is for
 * the consumer to say; here it is only seen to that the message can be sent.
 */
#include "publish.h"

#include "leat/json.h"
#include "leat/uuid.h"

#include <stdio.h>
#include <string.h>

/* ---- what may stand in a subject or header ---- */

static bool is_token(const char *text, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) {
		if ((unsigned char)text[i] <= ' ' || text[i] == 0x7F || strchr(".*>", text[i]) != NULL)
			return false;
	}
	return bytes > 0;
}

static bool is_intent(const char *text)
{
	size_t noun = strcspn(text, ".");
	return text[noun] == '.' && is_token(text, noun) && is_token(text + noun + 1, strlen(text + noun + 1));
}

static bool is_role(const char *text)
{
	return strcmp(text, "user") == 0 || strcmp(text, "service") == 0 || strcmp(text, "engine") == 0;
}

static bool is_header_value(const char *text)
{
	return *text != '\0' && leat_text_is_printable((struct leat_text){text, strlen(text)});
}

static enum leat_kind fail(struct leat_error *err, const char *what, const char *expected, const char *found)
{
	if (found == NULL)
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INVALID_MESSAGE, "%s is missing: %s", what, expected);
	struct leat_excerpt excerpt = leat_excerpt((struct leat_text){found, strlen(found)});
	return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INVALID_MESSAGE, "%s: expected %s, found \"%s\"", what, expected, excerpt.text);
}

enum leat_kind publish_defaults_check(const struct publish_defaults *says, struct leat_error *err)
{
	struct leat_uuid tenant;
	if (says->intent == NULL || !is_intent(says->intent))
		return fail(err, "intent", "NOUN.VERB, as in entity.merge", says->intent);
	if (says->tenant == NULL || !leat_uuid_parse(&tenant, says->tenant, strlen(says->tenant)))
		return fail(err, "tenant", "a UUID", says->tenant);
	if (!is_role(says->role))
		return fail(err, "role", "user, service or engine", says->role);
	if (says->actor != NULL && !is_header_value(says->actor))
		return fail(err, "actor", "text without control characters", says->actor);
	if (says->id != NULL && !is_header_value(says->id))
		return fail(err, "id", "text without control characters", says->id);
	return LEAT_OK;
}

/* ---- envelopes ---- */

/* The texts of one envelope. */
struct envelope {
	struct leat_buf texts[5];
	bool has_body;
};

static void envelope_fini(struct envelope *envelope)
{
	for (size_t i = 0; i < sizeof envelope->texts / sizeof *envelope->texts; i++)
		leat_buf_free(&envelope->texts[i]);
}

static void copy_text(struct leat_buf *out, const struct leat_json *value)
{
	LEAT_BUF_SCOPED scratch = LEAT_BUF_INIT;
	struct leat_text text = leat_json_text(value, &scratch);
	leat_buf_clear(out);
	leat_buf_add(out, text.at, text.bytes);
}

static bool is_named(struct leat_text name, const char *expected)
{
	return name.bytes == strlen(expected) && memcmp(name.at, expected, name.bytes) == 0;
}

static enum leat_kind take_member(struct envelope *envelope, struct publish_defaults *says, struct publish_message *out,
	struct leat_text name, const struct leat_json *value, struct leat_error *err)
{
	const struct {
		const char *name;
		const char **field;
	} members[] = {{"intent", &says->intent}, {"tenant", &says->tenant}, {"role", &says->role}, {"actor", &says->actor}, {"id", &says->id}};
	bool raw = is_named(name, "raw");
	if (raw || is_named(name, "body")) {
		if (envelope->has_body)
			return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INVALID_MESSAGE, "expected one of body and raw, found both");
		envelope->has_body = true;
		out->body = value->source.at;
		out->body_bytes = value->source.bytes;
		if (!raw)
			return LEAT_OK;
	}
	if (value->type != LEAT_JSON_STRING)
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INVALID_MESSAGE, "%s: expected a text, found %s", leat_excerpt(name).text,
			leat_json_describe(value).text);
	if (raw) {
		copy_text(&out->text, value);
		out->body = leat_buf_text(&out->text);
		out->body_bytes = out->text.len;
		return LEAT_OK;
	}
	for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
		if (is_named(name, members[i].name)) {
			copy_text(&envelope->texts[i], value);
			*members[i].field = leat_buf_text(&envelope->texts[i]);
			if (members[i].field == &says->id)
				says->numbered = false;
			return LEAT_OK;
		}
	}
	return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INVALID_MESSAGE,
		"%s is nothing that an envelope has: expected intent, tenant, role, actor, id, and body or raw", leat_excerpt(name).text);
}

/* Overrides what `says` has from the flags, and sets the body. */
static enum leat_kind open_envelope(struct envelope *envelope, struct publish_defaults *says, struct publish_message *out,
	const struct publish_line *line, struct leat_error *err)
{
	struct leat_json json;
	if (leat_json_check(&json, line->text, line->bytes, PUBLISH_NESTING, err) != LEAT_OK)
		return leat_fail_while(err, "envelope (one with \"raw\" instead of \"body\" takes any text)");
	if (json.type != LEAT_JSON_OBJECT)
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INVALID_MESSAGE,
			"expected an object like {\"intent\":\"entity.merge\",...}, found %s", leat_json_describe(&json).text);
	LEAT_BUF_SCOPED scratch = LEAT_BUF_INIT;
	struct leat_json_walk walk = leat_json_walk(&json);
	struct leat_json name;
	struct leat_json value;
	while (leat_json_next(&walk, &name, &value)) {
		if (take_member(envelope, says, out, leat_json_text(&name, &scratch), &value, err) != LEAT_OK)
			return err->kind;
	}
	if (!envelope->has_body)
		return fail(err, "body", "what the intent says, or raw", NULL);
	return LEAT_OK;
}

/* ---- the message ---- */

static void add_header(struct leat_buf *headers, const char *name, const char *value)
{
	leat_buf_printf(headers, "%s: %s\r\n", name, value);
}

/* Nobody said one: a random one, so that the message has one effect even when it is sent twice on its way. */
static void add_id(struct leat_buf *out, const struct publish_defaults *says, size_t index)
{
	if (says->id != NULL) {
		leat_buf_add_text(out, says->id);
		if (says->numbered)
			leat_buf_printf(out, "-%zu", index + 1);
		return;
	}
	struct leat_uuid id;
	char text[LEAT_UUID_TEXT_BYTES];
	leat_uuid_random(&id);
	leat_uuid_format(&id, text);
	leat_buf_add_text(out, text);
}

static void write_message(struct publish_message *out, const struct publish_defaults *says, size_t index)
{
	LEAT_BUF_SCOPED value = LEAT_BUF_INIT;
	leat_buf_clear(&out->subject);
	leat_buf_clear(&out->headers);
	leat_buf_printf(&out->subject, "leat.intent.%s.%s.%s", says->tenant, says->role, says->intent);
	if (says->actor != NULL)
		add_header(&out->headers, "Leat-Actor", says->actor);
	add_id(&value, says, index);
	add_header(&out->headers, "Leat-Id", leat_buf_text(&value));
	if (says->wait)
		outcomes_add_header(&out->headers, says->tenant, says->reply_token, index);
}

enum leat_kind publish_message_make(struct publish_message *out, const struct publish_defaults *defaults, const struct publish_line *line,
	size_t index, struct leat_error *err)
{
	__attribute__((cleanup(envelope_fini))) struct envelope envelope = {0};
	struct publish_defaults says = *defaults;
	out->line = line->number;
	out->body = line->text;
	out->body_bytes = line->bytes;
	if ((defaults->intent == NULL && open_envelope(&envelope, &says, out, line, err) != LEAT_OK) ||
		publish_defaults_check(&says, err) != LEAT_OK)
		return leat_fail_while(err, "line %zu", line->number);
	write_message(out, &says, index);
	return LEAT_OK;
}

void publish_message_fini(struct publish_message *message)
{
	leat_buf_free(&message->subject);
	leat_buf_free(&message->headers);
	leat_buf_free(&message->text);
}
