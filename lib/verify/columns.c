/*
 * A row of the ledger held against its message. What the ledger takes over from the message (tenant, Leat-Id, actor, role, noun, verb,
 * target, traceparent) has to be what the message says; what was decided (outcome, code, detail) nobody but the ledger knows.
 *
 * Happy path: all is the same, and nothing is copied. What differs is a finding about the ledger, and the position is remembered, so that
 * what follows from it (message_ids.c) is not reported once more. Nothing here can fail.
 */
#include "reading.h"
#include "state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WHY "the ledger does not say what the message says"

struct columns {
	struct verify *v;
	struct source *source;
	const struct ledger *ledger;
	const struct leat_intent *intent;
	bool understood;
	bool differs;
};

static void report(struct columns *c, const char *field, const char *found, const char *expected)
{
	const struct leat_intent *intent = c->intent;
	char id[LEAT_UUID_TEXT_BYTES] = "";
	if (c->understood && intent->targets == NULL)
		leat_uuid_format(&intent->target, id);
	c->differs = true;
	verify_report(c->v,
		&(struct verify_finding){.kind = LEAT_VERIFY_FIELD,
			.stream = c->source->stream,
			.noun = "ledger",
			.tenant = intent->subject.routable ? &intent->subject.tenant : NULL,
			.id = *id != '\0' ? id : NULL,
			.field = field,
			.found = found,
			.expected = expected,
			.position = c->ledger->position,
			.explanation = WHY});
}

static void compare_text(struct columns *c, enum ledger_column column, const char *field, const char *expected, size_t bytes)
{
	const char *found = ledger_text(c->ledger, column);
	bool same = found == NULL || expected == NULL ? found == expected : strncmp(found, expected, bytes) == 0 && found[bytes] == '\0';
	if (same)
		return;
	LEAT_BUF_SCOPED text = LEAT_BUF_INIT;
	leat_buf_add(&text, expected, expected != NULL ? bytes : 0);
	report(c, field, found, expected != NULL ? leat_buf_text(&text) : NULL);
}

static void compare_string(struct columns *c, enum ledger_column column, const char *field, const char *expected)
{
	compare_text(c, column, field, expected, expected != NULL ? strlen(expected) : 0);
}

static void compare_uuid(struct columns *c, enum ledger_column column, const char *field, const struct leat_uuid *expected)
{
	const unsigned char *found = ledger_uuid(c->ledger, column);
	if (found == NULL || expected == NULL ? found == NULL && expected == NULL : memcmp(found, expected->bytes, sizeof expected->bytes) == 0)
		return;
	char texts[2][LEAT_UUID_TEXT_BYTES];
	struct leat_uuid in_row;
	if (found != NULL) {
		memcpy(in_row.bytes, found, sizeof in_row.bytes);
		leat_uuid_format(&in_row, texts[0]);
	}
	if (expected != NULL)
		leat_uuid_format(expected, texts[1]);
	report(c, field, found != NULL ? texts[0] : NULL, expected != NULL ? texts[1] : NULL);
}

/* A redrive without a Leat-Id has one of its origin's, unless it was refused before that was known. */
static void compare_id(struct columns *c)
{
	if (!c->intent->subject.redrive || c->intent->id != NULL) {
		compare_string(c, LEDGER_LEAT_ID, "leat_id", c->intent->id);
		return;
	}
	if (c->ledger->outcome == LEDGER_REJECTED && ledger_text(c->ledger, LEDGER_LEAT_ID) == NULL)
		return;
	const char *text = c->ledger->detail != NULL ? c->ledger->detail : "";
	struct leat_json detail = verify_json(text, strlen(text));
	struct leat_json origin = verify_json_member(&detail, "origin_position");
	char id[64];
	snprintf(id, sizeof id, "\1redrive %s %" PRId64, verify_stream_name(c->source->stream), verify_number(&origin, 0));
	compare_string(c, LEDGER_LEAT_ID, "leat_id", id);
}

/* What the decoder refused has no target; with other settings than those of this process it may have refused more. */
static void compare_target(struct columns *c)
{
	bool refused = c->ledger->outcome == LEDGER_REJECTED && ledger_uuid(c->ledger, LEDGER_TARGET) == NULL;
	if (c->understood && !refused)
		compare_uuid(c, LEDGER_TARGET, "target_id", c->intent->targets == NULL ? &c->intent->target : NULL);
}

static bool is_ascii(const char *text)
{
	while (*text != '\0' && (unsigned char)*text < 0x80)
		text++;
	return *text == '\0';
}

void columns_compare(struct verify *v, struct source *source, const struct ledger *ledger, const struct leat_intent *intent,
	const char *subject, bool understood)
{
	struct columns c = {.v = v, .source = source, .ledger = ledger, .intent = intent, .understood = understood};
	const struct leat_subject *parts = &intent->subject;
	bool routable = parts->routable && (ledger->outcome == LEDGER_APPLIED || is_ascii(subject));
	compare_uuid(&c, LEDGER_TENANT, "tenant_id", routable ? &parts->tenant : NULL);
	compare_string(&c, LEDGER_ROLE, "role", routable && parts->role != LEAT_ROLE_NONE ? leat_role_name(parts->role) : NULL);
	if (source->stream == VERIFY_ENTITY)
		compare_string(&c, LEDGER_NOUN, "noun", "entity");
	else
		compare_text(&c, LEDGER_NOUN, "noun", routable ? parts->noun : NULL, parts->noun_bytes);
	compare_text(&c, LEDGER_VERB, "verb", routable ? parts->verb : NULL, parts->verb_bytes);
	compare_target(&c);
	compare_id(&c);
	compare_string(&c, LEDGER_ACTOR, "actor", intent->actor);
	compare_string(&c, LEDGER_TRACEPARENT, "traceparent", intent->traceparent);
	if (ledger->outcome != LEDGER_REJECTED)
		compare_string(&c, LEDGER_CODE, "code", NULL);
	if (c.differs)
		ranges_add(&source->told, ledger->position, ledger->position);
}

/* Of a stream that was made again, or restored, what comes behind is another message too: only a changed row has the same behind it. */
void columns_report_time(struct verify *v, const struct source *source, int64_t position, int64_t found_us, int64_t expected_us)
{
	LEAT_BUF_SCOPED found = LEAT_BUF_INIT;
	LEAT_BUF_SCOPED expected = LEAT_BUF_INIT;
	verify_print_time(found_us, &found);
	verify_print_time(expected_us, &expected);
	verify_report(v,
		&(struct verify_finding){.kind = LEAT_VERIFY_FIELD,
			.stream = source->stream,
			.noun = "ledger",
			.field = "message_at",
			.found = found.data,
			.expected = expected.data,
			.position = position,
			.explanation = WHY ", and the rows behind it do"});
}
