/* Schemas of the headers of each kind of message (lib/intent/headers.c; sql/functions/40_outcomes.sql; lib/outbox/publish.c). */
#include "parts.h"

static json_t *short_text(int bytes, const char *about)
{
	json_t *out = describe_printable(1, bytes);
	json_object_set_new(out, "description", json_string(about));
	return out;
}

static json_t *text_header(const char *about)
{
	return describe_pack("{s:s, s:s}", "type", "string", "description", about);
}

static json_t *traceparent(void)
{
	return text_header("W3C Trace Context; a malformed one is ignored");
}

static json_t *actor(void)
{
	return short_text(LEAT_ACTOR_BYTES, "who does it: a user's UUID, of the role user always, or a service's name");
}

static json_t *intent_headers(void)
{
	return describe_pack("{s:o, s:o, s:{s:s, s:s, s:i, s:s}, s:o}", "Leat-Id",
		short_text(LEAT_ID_BYTES, "idempotency key: one effect per tenant and id, as long as the ledger keeps it; set it, always"),
		"Leat-Actor", actor(), "Leat-Reply-To", "type", "string", "pattern",
		"^leat\\.reply\\.[0-9a-fA-F-]{36}(\\.[^.*> \\u0000-\\u001f]+)+$", "maxLength", LEAT_REPLY_TO_BYTES, "description",
		"a subject under leat.reply.<tenant>. that gets the outcome once it is committed", "traceparent", traceparent());
}

static json_t *dead_headers(void)
{
	json_t *out = intent_headers();
	json_t *own = describe_pack("{s:o, s:o, s:o, s:{s:s, s:o, s:s}, s:{s:s, s:s, s:s}, s:o, s:o}", "Leat-Error-Code", describe_ref("code"),
		"Leat-Error", text_header("why, in words; it names the field and what to do"), "Leat-Origin-Subject",
		text_header("the subject it was published on"), "Leat-Origin-Stream", "type", "string", "enum",
		describe_words("LEAT_ENTITY|LEAT_CONTROL|LEAT_RUN|LEAT_WORK", '|'), "description", "the stream it was in", "Leat-Origin-Seq",
		"type", "string", "pattern", "^[0-9]+$", "description", "its sequence there", "Leat-Body-Omitted",
		text_header("the body was too long for the server: how many bytes it had"), "Leat-Headers-Omitted",
		text_header("the original headers were too long: how many bytes they had"));
	/* The original's may be what it was rejected for. */
	const char *name;
	json_t *value;
	json_object_foreach(out, name, value) json_object_set_new(out, name, text_header("as it was sent"));
	json_object_update_new(own, out);
	return own;
}

static json_t *object_of(const char *title, json_t *properties, const char *required)
{
	return describe_pack(
		"{s:s, s:s, s:o, s:o}", "title", title, "type", "object", "properties", properties, "required", describe_words(required, '|'));
}

void describe_headers(json_t *defs)
{
	json_object_set_new(defs, "intent.headers", object_of("headers of an intent", intent_headers(), ""));
	json_object_set_new(defs, "query.headers", object_of("headers of a query", describe_pack("{s:o}", "Leat-Actor", actor()), ""));
	json_object_set_new(defs, "event.headers",
		object_of("headers of an event",
			describe_pack("{s:o, s:o, s:{s:s, s:s}}", "Nats-Msg-Id", describe_ref("uuid"), "traceparent", traceparent(), "Content-Type",
				"type", "string", "const", "application/cloudevents+json"),
			"Nats-Msg-Id|Content-Type"));
	json_object_set_new(defs, "dead.headers",
		object_of("headers of a dead letter; its body is that of the message, as it was sent", dead_headers(),
			"Leat-Error-Code|Leat-Error|Leat-Origin-Subject|Leat-Origin-Stream|Leat-Origin-Seq"));
}
