/*
 * The AsyncAPI 3.0 document: which subjects there are, who sends what there, and what answers. As Leat sees it: it receives intents and
 * queries, and sends outcomes, answers, events and dead letters. https://www.asyncapi.com/docs/reference/specification/v3.0.0
 */
#include "leat/describe.h"

#include "leat/event.h"
#include "leat/version.h"
#include "parts.h"

#include <stdio.h>
#include <string.h>

#define NAME_BYTES 80
#define ADDRESS_BYTES 160
#define COMPONENTS "#/components/schemas/"

struct document {
	json_t *channels;
	json_t *operations;
	json_t *messages;
};

static json_t *refer(const char *to, const char *name)
{
	return describe_pack("{s:s++}", "$ref", "#/", to, name);
}

/* ---- messages, channels ---- */

static void add_message(struct document *document, const char *name, const char *about, const char *headers, json_t *payload)
{
	json_object_set_new(document->messages, name,
		describe_pack("{s:s, s:s, s:s, s:o*, s:o}", "name", name, "title", name, "summary", about, "headers",
			headers != NULL ? describe_ref(headers) : NULL, "payload", payload));
}

static void let_through(json_t *channel, const char *message)
{
	json_object_set_new(json_object_get(channel, "messages"), message, refer("components/messages/", message));
}

/* `address` NULL: wherever the message says that it waits for an answer. */
static json_t *add_channel(struct document *document, const char *name, const char *address, const char *about, json_t *parameters)
{
	json_t *channel =
		describe_pack("{s:s?, s:s, s:{}, s:o*}", "address", address, "description", about, "messages", "parameters", parameters);
	json_object_set_new(document->channels, name, channel);
	return channel;
}

static json_t *tenant(void)
{
	return describe_pack("{s:s, s:[s]}", "description",
		"UUID of the tenant; what a login may publish, and so whom it may act for, is told "
		"from the subject only",
		"examples", "11111111-1111-4111-8111-111111111111");
}

static json_t *tenant_and_role(void)
{
	return describe_pack("{s:o, s:{s:s, s:o}}", "tenant", tenant(), "role", "description",
		"user: gateways that have authenticated a person; engine: Leat itself", "enum", describe_words("user|service|engine", '|'));
}

static json_t *message_of(const char *channel, const char *message)
{
	return describe_pack("{s:s+++}", "$ref", "#/channels/", channel, "/messages/", message);
}

static void add_operation(struct document *document, const char *name, const char *action, const char *channel, const char *summary,
	json_t *messages, json_t *reply)
{
	json_object_set_new(document->operations, name,
		describe_pack("{s:s, s:o, s:s, s:o, s:o*}", "action", action, "channel", refer("channels/", channel), "summary", summary,
			"messages", messages, "reply", reply));
}

/* ---- what Leat receives ---- */

/* Of intents and of queries: they differ in the subject and in how one is answered. */
struct asked {
	const char *kind;
	const char *headers;
	const char *said; /* "outcome": the channel and the end of the message's name */
	bool by_header;   /* a header says where to */
};

static json_t *describe_reply(const struct asked *asked, const char *said)
{
	json_t *reply = describe_pack("{s:o, s:[o]}", "channel", refer("channels/", asked->said), "messages", message_of(asked->said, said));
	if (asked->by_header)
		json_object_set_new(reply, "address",
			describe_pack("{s:s, s:s}", "location", "$message.header#/Leat-Reply-To", "description", "only where the header is"));
	return reply;
}

static void add_asked(struct document *document, const struct asked *asked, const struct leat_intent_type *type)
{
	char name[NAME_BYTES];
	char said[NAME_BYTES];
	char address[ADDRESS_BYTES];
	snprintf(name, sizeof name, "%s.%s", type->noun, type->verb);
	snprintf(said, sizeof said, "%s.%s.%s", type->noun, type->verb, asked->said);
	snprintf(address, sizeof address, "leat.%s.{tenant}.{role}.%s", asked->kind, name);
	add_message(document, name, type->about, asked->headers, describe_ref(name));
	add_message(document, said, name, NULL, describe_ref(said));
	let_through(add_channel(document, name, address, type->about, tenant_and_role()), name);
	let_through(json_object_get(document->channels, asked->said), said);
	add_operation(document, name, "receive", name, type->about, describe_pack("[o]", message_of(name, name)), describe_reply(asked, said));
}

static void add_intents_and_queries(struct document *document)
{
	static const struct asked intent = {"intent", "intent.headers", "outcome", true};
	static const struct asked query = {"query", "query.headers", "answer", false};
	size_t count;
	add_channel(document, intent.said, NULL, "the subject in Leat-Reply-To, under leat.reply.<tenant>.", NULL);
	add_channel(document, query.said, NULL, "the reply subject of the request, as NATS has it", NULL);
	const struct leat_intent_type *table = leat_intent_table(&count);
	for (size_t i = 0; i < count; i++)
		add_asked(document, &intent, &table[i]);
	table = leat_query_table(&count);
	for (size_t i = 0; i < count; i++)
		add_asked(document, &query, &table[i]);
}

/* ---- what Leat sends of itself ---- */

static json_t *open_events(struct document *document, const char *noun)
{
	char address[ADDRESS_BYTES];
	char channel[NAME_BYTES];
	snprintf(channel, sizeof channel, "event.%s", noun);
	json_t *found = json_object_get(document->channels, channel);
	if (found != NULL)
		return found;
	snprintf(address, sizeof address, "leat.event.{tenant}.%s.{id}", noun);
	add_operation(document, channel, "send", channel, "in order for each subject, once per id", json_array(), NULL);
	return add_channel(document, channel, address, "CloudEvents 1.0 in JSON, in the stream LEAT_EVENTS",
		describe_pack("{s:o, s:{s:s+}}", "tenant", tenant(), "id", "description", "UUID of the ", noun));
}

static void add_events(struct document *document)
{
	size_t count;
	const struct leat_event_type *table = leat_event_table(&count);
	for (size_t i = 0; i < count; i++) {
		char name[NAME_BYTES];
		char channel[NAME_BYTES];
		snprintf(name, sizeof name, "leat.%s.%s", table[i].noun, table[i].what);
		snprintf(channel, sizeof channel, "event.%s", table[i].noun);
		add_message(document, name, table[i].about, "event.headers", describe_ref(name));
		json_object_set_new(json_object_get(document->messages, name), "contentType", json_string("application/cloudevents+json"));
		let_through(open_events(document, table[i].noun), name);
		json_t *operation = json_object_get(document->operations, channel);
		json_array_append_new(json_object_get(operation, "messages"), message_of(channel, name));
	}
}

static void add_dead(struct document *document)
{
	static const char about[] = "what was rejected for good, with its body as it was sent, in the stream LEAT_DEAD; for operators only";
	add_message(document, "dead", "a dead letter", "dead.headers",
		describe_pack("{s:s}", "description", "whatever the original's body was; nothing where Leat-Body-Omitted is"));
	let_through(add_channel(document, "dead", "leat.dead.{tenant}.{noun}.{verb}", about,
					describe_pack("{s:o, s:{s:s}, s:{s:s}}", "tenant", tenant(), "noun", "description", "as in the subject of the original",
						"verb", "description", "as in the subject of the original")),
		"dead");
	let_through(add_channel(document, "dead.unroutable", "leat.dead.unroutable", "of a subject that names no tenant", NULL), "dead");
	add_operation(document, "dead", "send", "dead", about, describe_pack("[o]", message_of("dead", "dead")), NULL);
	add_operation(
		document, "dead.unroutable", "send", "dead.unroutable", about, describe_pack("[o]", message_of("dead.unroutable", "dead")), NULL);
}

/* ---- the document ---- */

/* Schemas stand elsewhere in this document than in a bundle of schemas. */
static void move_references(json_t *value)
{
	const char *name;
	json_t *member;
	size_t i;
	json_array_foreach(value, i, member) move_references(member);
	const char *referred = json_string_value(json_object_get(value, "$ref"));
	if (referred != NULL && strncmp(referred, DESCRIBE_REFERENCE, strlen(DESCRIBE_REFERENCE)) == 0)
		json_object_set_new(value, "$ref", json_sprintf("%s%s", COMPONENTS, referred + strlen(DESCRIBE_REFERENCE)));
	json_object_foreach(value, name, member) move_references(member);
}

void leat_describe_asyncapi(struct leat_buf *out, const struct leat_params *limits)
{
	struct document document = {json_object(), json_object(), json_object()};
	add_intents_and_queries(&document);
	add_events(&document);
	add_dead(&document);
	json_auto_t *whole = describe_pack("{s:s, s:{s:s, s:s, s:s, s:{s:s}}, s:s, s:{s:{s:s, s:s, s:s}}, s:o, s:o, s:{s:o, s:o}}", "asyncapi",
		"3.0.0", "info", "title", "Leat", "version", LEAT_VERSION, "description",
		"Leat leads NATS streams to Postgres: intents in, merged entities out.", "license", "name", "MIT", "defaultContentType",
		"application/json", "servers", "nats", "host", "127.0.0.1:4222", "protocol", "nats", "description",
		"where nats-server listens; yours may be elsewhere", "channels", document.channels, "operations", document.operations, "components",
		"messages", document.messages, "schemas", describe_all(limits));
	move_references(whole);
	describe_write(out, whole);
}
