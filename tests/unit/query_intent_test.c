/* Queries: the same decoder with a table of its own, on subjects of its own. */
#include "decoding.h"

#define QUERY(noun_verb) "leat.query." TENANT ".user." noun_verb

struct taken {
	const char *subject;
	const char *body;
	enum leat_code code; /* NONE: accepted */
	const char *mentions;
};

static const struct taken queries[] = {
	{QUERY("workflow.resolve"), "{\"workflow_id\":\"" ENTITY "\",\"action\":\"new\"}", LEAT_CODE_NONE, NULL},
	{QUERY("workflow.resolve"), "{\"workflow_id\":\"" ENTITY "\",\"action\":\"version\",\"version\":7}", LEAT_CODE_NONE, NULL},
	{QUERY("workflow.resolve"), "{\"workflow_id\":\"" ENTITY "\"}", LEAT_CODE_INVALID_MESSAGE, "needs action"},
	{QUERY("workflow.resolve"), "{\"workflow_id\":\"" ENTITY "\",\"action\":\"old\"}", LEAT_CODE_INVALID_MESSAGE, "new|edit|version"},
	{QUERY("workflow.get"), "{\"workflow_id\":\"" ENTITY "\",\"version\":0}", LEAT_CODE_INVALID_MESSAGE, "version"},
	{QUERY("workflow.get"), "{}", LEAT_CODE_INVALID_MESSAGE, "needs workflow_id"},
	{QUERY("workflow.list"), "{}", LEAT_CODE_NONE, NULL},
	{QUERY("workflow.list"), "{\"limit\":1001}", LEAT_CODE_INVALID_MESSAGE, "limit"},
	{QUERY("workflow.list"), "{\"limt\":1}", LEAT_CODE_INVALID_MESSAGE, "did you mean \"limit\"?"},
	{QUERY("workflow.list"), "[]", LEAT_CODE_INVALID_MESSAGE, "an object"},
	{QUERY("workflow.list"), "{", LEAT_CODE_INVALID_JSON, NULL},
	{QUERY("entity.get"), "{\"entity_id\":\"" ENTITY "\"}", LEAT_CODE_NONE, NULL},
	{QUERY("entity.get"), "{\"entity_type\":\"t\",\"key\":\"k\"}", LEAT_CODE_NONE, NULL},
	{QUERY("entity.get"), "{\"entity_id\":\"" ENTITY "\",\"key\":\"k\"}", LEAT_CODE_INVALID_MESSAGE, "not both"},
	{QUERY("entity.get"), "{\"after\":\"x\"}", LEAT_CODE_INVALID_MESSAGE, "needs entity_id"},
	{QUERY("interaction.list"), "{\"all\":true,\"limit\":1000,\"after\":\"x\"}", LEAT_CODE_NONE, NULL},
	{QUERY("interaction.list"), "{\"all\":1}", LEAT_CODE_INVALID_MESSAGE, "true or false"},
	{QUERY("workflow.save"), "{}", LEAT_CODE_UNKNOWN_VERB, "no query is called workflow.save; there are workflow.resolve"},
	{QUERY("entity.merge"), "{}", LEAT_CODE_UNKNOWN_VERB, NULL},
	{"leat.query." TENANT ".admin.workflow.list", "{}", LEAT_CODE_INVALID_MESSAGE, "user, service or engine"},
	{"leat.query.nobody.user.workflow.list", "{}", LEAT_CODE_INVALID_MESSAGE, "leat.query.<tenant>"},
	{"leat.query." TENANT ".user.workflow", "{}", LEAT_CODE_INVALID_MESSAGE, "leat.query.<tenant>"},
	{"leat.intent." TENANT ".user.workflow.list", "{}", LEAT_CODE_INVALID_MESSAGE, "leat.query.<tenant>"},
	{"leat.redrive." TENANT ".user.workflow.list", "{}", LEAT_CODE_INVALID_MESSAGE, "leat.query.<tenant>"},
};

Test(query_intent, is_checked_by_its_own_table_and_subject)
{
	struct leat_params limits;
	leat_params_init(&limits);
	for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
		const struct taken *query = &queries[i];
		const struct leat_raw_intent raw = {.subject = query->subject, .body = query->body, .body_bytes = strlen(query->body)};
		struct leat_intent out;
		struct leat_error err = {0};
		enum leat_kind kind = leat_query_decode(&out, &raw, &limits, &err);
		cr_expect_eq(kind, query->code == LEAT_CODE_NONE ? LEAT_OK : LEAT_PERMANENT, "%s %s: %s", query->subject, query->body, err.text);
		cr_expect_eq(err.code, query->code, "%s %s: %s", query->subject, query->body, err.text);
		cr_expect(query->mentions == NULL || strstr(err.text, query->mentions) != NULL, "%s %s: %s", query->subject, query->body, err.text);
		leat_intent_fini(&out);
	}
}

Test(query_intent, a_key_names_the_same_id_as_in_an_intent)
{
	struct leat_params limits;
	leat_params_init(&limits);
	const char *body = "{\"entity_type\":\"t\",\"key\":\"k\"}";
	const struct leat_raw_intent raw = {.subject = QUERY("entity.get"), .body = body, .body_bytes = strlen(body)};
	struct leat_intent out;
	struct leat_error err;
	cr_assert_eq(leat_query_decode(&out, &raw, &limits, &err), LEAT_OK, "%s", err.text);
	DECODED intent = decode("leat.intent." TENANT ".user.entity.merge", body);
	cr_expect_eq(leat_uuid_compare(&out.target, &intent.intent.target), 0);
	leat_intent_fini(&out);
}

Test(query_intent, a_query_is_no_intent)
{
	expect_rejected(QUERY("entity.merge"), "{\"entity_id\":\"" ENTITY "\"}", LEAT_CODE_INVALID_MESSAGE, "leat.intent.<tenant>");
}
