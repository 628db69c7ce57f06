/* The messages themselves: what each takes, what it refuses and in which words. */
#include "decoding.h"

#define ID "\"entity_id\":\"" ENTITY "\""
#define OTHER "00000000-0000-4000-8000-00000000000"

struct refusal {
	const char *body;
	const char *mentions;
};

static void expect_refusals(const char *subject, const struct refusal *refusals, size_t count)
{
	for (size_t i = 0; i < count; i++)
		expect_rejected(subject, refusals[i].body, LEAT_CODE_INVALID_MESSAGE, refusals[i].mentions);
}

#define EXPECT_REFUSALS(subject, refusals) expect_refusals(subject, refusals, sizeof(refusals) / sizeof *(refusals))

static void expect_entity(const struct leat_intent *intent, const char *expected)
{
	char text[LEAT_UUID_TEXT_BYTES];
	leat_uuid_format(&intent->target, text);
	cr_expect_str_eq(text, expected);
}

Test(intent, the_table_finds_each_of_its_rows)
{
	size_t count;
	const struct leat_intent_type *table = leat_intent_table(&count);
	cr_assert_gt(count, 0);
	for (size_t i = 0; i < count; i++)
		cr_expect(leat_intent_find(table[i].noun, strlen(table[i].noun), table[i].verb, strlen(table[i].verb)) == &table[i]);
	cr_expect(leat_intent_find("entity", 6, "mergers", 5) != NULL);
	cr_expect(leat_intent_find("entity", 6, "mergers", 7) == NULL);
	cr_expect(leat_intent_find("entity", 6, "mer", 3) == NULL);
	cr_expect(leat_intent_find("run", 3, "merge", 5) == NULL);
}

Test(intent, the_description_has_a_row_for_each)
{
	LEAT_BUF_SCOPED text = LEAT_BUF_INIT;
	leat_intent_describe(&text);
	cr_expect(strstr(text.data, "| intent | body | does |\n|---|---|---|\n") == text.data);
	cr_expect(
		strstr(text.data, "| `entity.upsert` | `{\"entity_id\" or \"key\", \"entity_type\", \"content\":{…}?, \"metadata\":{…}?}` | "),
		"%s", text.data);
	cr_expect(strstr(text.data, "| `entity.merge` | `{\"entity_id\" or (\"entity_type\" and \"key\"), "));
	cr_expect(strstr(text.data, "| `entity.bulk` | `{\"entity_ids\":[1..1000], "));
	cr_expect(strstr(text.data, "| `entity.unset` | `{\"entity_id\", \"content\":[\"field\",…]?, "));
	cr_expect(strstr(text.data, "| `entity.delete` | `{\"entity_id\"}` | "));
}

/* ---- upsert ---- */

Test(upsert, takes_an_id_or_a_key)
{
	DECODED by_id = decode(SUBJECT("upsert"), "{" ID ",\"entity_type\":\"order\",\"content\":{\"a\":1},\"metadata\":{}}");
	cr_assert(by_id.kind == LEAT_OK, "%s", by_id.err.text);
	expect_entity(&by_id.intent, ENTITY);
	cr_expect(by_id.intent.targets == NULL && by_id.intent.target_count == 0);
	cr_expect_str_eq(by_id.intent.type->verb, "upsert");
	expect_accepted(SUBJECT("upsert"), "{\"key\":\"o-17\",\"entity_type\":\"order\"}");
}

/* python3 -c 'import uuid; print(uuid.uuid5(uuid.UUID("<TENANT>"), "order:o-17 é"))' */
Test(upsert, a_key_gives_the_same_id_however_it_is_written)
{
	static const char *const bodies[] = {"{\"key\":\"o-17 é\",\"entity_type\":\"order\"}",
		"{\"entity_type\":\"order\",\"key\":\"o-17 \\u00e9\"}", "{\"entity_type\":\"\\u006frder\",\"\\u006bey\":\"\\u006f-17 é\"}"};
	for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
		DECODED out = decode(SUBJECT("upsert"), bodies[i]);
		cr_assert(out.kind == LEAT_OK, "%s", out.err.text);
		expect_entity(&out.intent, "d88606e8-cf46-50b5-a149-25c9e4a9e52f");
	}
}

Test(upsert, refuses_other_shapes)
{
	static const struct refusal refusals[] = {
		{"{}", "needs entity_type"},
		{"{\"entity_type\":\"order\"}", "needs entity_id or key"},
		{"{" ID ",\"key\":\"k\",\"entity_type\":\"order\"}", "not both"},
		{"{" ID "}", "needs entity_type"},
		{"{\"key\":\"\",\"entity_type\":\"order\"}", "key: expected a text that is not empty"},
		{"{\"key\":7,\"entity_type\":\"order\"}", "found the number 7"},
		{"{" ID ",\"entity_type\":\"order\",\"respect_locks\":true}", "no field \"respect_locks\""},
	};
	EXPECT_REFUSALS(SUBJECT("upsert"), refusals);
}

Test(upsert, entity_types_are_short_and_plain)
{
	static const char letters[] = "a.b-c_9";
	static const char longest[] = "0123456789012345678901234567890123456789012345678901234567890123";
	static const char *const bad[] = {
		"", "Order", "or der", "é", "a/b", "01234567890123456789012345678901234567890123456789012345678901234"};
	char body[300];
	snprintf(body, sizeof body, "{" ID ",\"entity_type\":\"%s\"}", letters);
	expect_accepted(SUBJECT("upsert"), body);
	snprintf(body, sizeof body, "{" ID ",\"entity_type\":\"%s\"}", longest);
	expect_accepted(SUBJECT("upsert"), body);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		snprintf(body, sizeof body, "{" ID ",\"entity_type\":\"%s\"}", bad[i]);
		expect_rejected(SUBJECT("upsert"), body, LEAT_CODE_INVALID_MESSAGE, "entity_type: expected 1 to 64 of a-z 0-9 _ . -");
	}
}

/* ---- merge ---- */

Test(merge, takes_an_id_or_a_type_and_key)
{
	DECODED by_id = decode(SUBJECT("merge"), "{" ID ",\"content\":{\"a\":null},\"metadata\":{\"b\":{}},\"respect_locks\":false}");
	cr_assert(by_id.kind == LEAT_OK, "%s", by_id.err.text);
	expect_entity(&by_id.intent, ENTITY);
	DECODED by_key = decode(SUBJECT("merge"), "{\"entity_type\":\"order\",\"key\":\"o-17 é\",\"respect_locks\":true}");
	cr_assert(by_key.kind == LEAT_OK, "%s", by_key.err.text);
	expect_entity(&by_key.intent, "d88606e8-cf46-50b5-a149-25c9e4a9e52f");
}

Test(merge, takes_any_uuid_in_either_case)
{
	DECODED nil = decode(SUBJECT("merge"), "{\"entity_id\":\"00000000-0000-0000-0000-000000000000\"}");
	cr_expect(nil.kind == LEAT_OK);
	DECODED upper = decode(SUBJECT("merge"), "{\"entity_id\":\"AAAAAAAA-BBBB-4CCC-8DDD-EEEEEEEEEEEE\"}");
	expect_entity(&upper.intent, ENTITY);
	DECODED escaped = decode(SUBJECT("merge"), "{\"entity_id\":\"\\u0061aaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee\"}");
	cr_assert(escaped.kind == LEAT_OK, "%s", escaped.err.text);
	expect_entity(&escaped.intent, ENTITY);
}

Test(merge, refuses_other_shapes)
{
	static const struct refusal refusals[] = {
		{"{}", "needs entity_id, or entity_type and key"},
		{"{\"content\":{}}", "needs entity_id, or entity_type and key"},
		{"{\"entity_type\":\"order\"}", "needs key with entity_type"},
		{"{\"key\":\"k\"}", "needs entity_type with key"},
		{"{" ID ",\"key\":\"k\",\"entity_type\":\"order\"}", "not both"},
		{"{" ID ",\"entity_type\":\"order\"}", "takes entity_id, or entity_type and key, not both"},
		{"{\"entity_id\":17}", "entity_id: expected a UUID as text, found the number 17"},
		{"{\"entity_id\":\"17\"}", "found the text \"17\""},
		{"{\"entity_id\":null}", "found null"},
		{"{\"entity_id\":[\"" ENTITY "\"]}", "found an array"},
		{"{" ID ",\"content\":[]}", "content: expected an object, found an array"},
		{"{" ID ",\"content\":null}", "content: expected an object, found null"},
		{"{" ID ",\"metadata\":\"x\"}", "metadata: expected an object, found the text \"x\""},
		{"{" ID ",\"respect_locks\":1}", "respect_locks: expected true or false, found the number 1"},
		{"{" ID ",\"respect_locks\":\"true\"}", "respect_locks: expected true or false"},
		{"{" ID ",\"content\":{\"\":1}}", "content: a field name is empty"},
	};
	EXPECT_REFUSALS(SUBJECT("merge"), refusals);
}

Test(merge, an_unknown_field_is_named_and_a_near_one_suggested)
{
	static const struct refusal refusals[] = {
		{"{" ID ",\"metdata\":{}}", "no field \"metdata\"; did you mean \"metadata\"?"},
		{"{" ID ",\"Content\":{}}", "did you mean \"content\"?"},
		{"{\"entityId\":\"" ENTITY "\"}", "did you mean \"entity_id\"?"},
		{"{" ID ",\"respect_lock\":true}", "did you mean \"respect_locks\"?"},
		{"{" ID ",\"colour\":1}", "no field \"colour\"; it has entity_id, entity_type, key, content, metadata, respect_locks"},
		{"{" ID ",\"tenant_id\":\"" TENANT "\"}", "no field \"tenant_id\""},
		{"{" ID ",\"\":1}", "no field \"\""},
	};
	EXPECT_REFUSALS(SUBJECT("merge"), refusals);
}

/* ---- bulk ---- */

static char *bulk_of(int count)
{
	struct leat_buf body = LEAT_BUF_INIT;
	leat_buf_add_text(&body, "{\"entity_ids\":[");
	for (int i = 0; i < count; i++)
		leat_buf_printf(&body, "%s\"%08x-0000-4000-8000-000000000000\"", i > 0 ? "," : "", (unsigned)(count - i));
	leat_buf_add_text(&body, "],\"content\":{\"a\":1}}");
	return leat_buf_take(&body);
}

Test(bulk, targets_are_sorted_and_each_there_once)
{
	DECODED out = decode(SUBJECT("bulk"),
		"{\"entity_ids\":[\"" OTHER "3\",\"" OTHER "A\",\"" OTHER "1\", \"" OTHER "3\",\"" OTHER "a\"],\"respect_locks\":true}");
	cr_assert(out.kind == LEAT_OK, "%s", out.err.text);
	cr_assert(out.intent.target_count == 3);
	static const char *const expected[] = {OTHER "1", OTHER "3", OTHER "a"};
	for (size_t i = 0; i < 3; i++) {
		char text[LEAT_UUID_TEXT_BYTES];
		leat_uuid_format(&out.intent.targets[i], text);
		cr_expect_str_eq(text, expected[i]);
	}
}

Test(bulk, takes_1_to_1000_ids)
{
	static const int counts[] = {1, 999, 1000};
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
		char *body = bulk_of(counts[i]);
		DECODED out = decode(SUBJECT("bulk"), body);
		cr_expect(out.kind == LEAT_OK && out.intent.target_count == (size_t)counts[i], "%s", out.err.text);
		free(body);
	}
	char *none = bulk_of(0);
	expect_rejected(SUBJECT("bulk"), none, LEAT_CODE_INVALID_MESSAGE, "expected 1 to 1000 UUIDs, found 0");
	free(none);
	char *many = bulk_of(1001);
	expect_rejected(SUBJECT("bulk"), many, LEAT_CODE_INVALID_MESSAGE, "expected 1 to 1000 UUIDs, found 1001");
	free(many);
}

Test(bulk, refuses_other_shapes)
{
	static const struct refusal refusals[] = {
		{"{}", "needs entity_ids"},
		{"{\"entity_ids\":\"" ENTITY "\"}", "entity_ids: expected an array of UUIDs"},
		{"{\"entity_ids\":[\"" ENTITY "\",7]}", "entity_ids[1]: expected a UUID as text, found the number 7"},
		{"{\"entity_ids\":[[]]}", "entity_ids[0]: expected a UUID as text, found an array"},
		{"{" ID "}", "did you mean \"entity_ids\"?"},
	};
	EXPECT_REFUSALS(SUBJECT("bulk"), refusals);
	DECODED out = decode(SUBJECT("bulk"), "{\"entity_ids\":[\"" ENTITY "\",7]}");
	cr_expect(out.intent.target_count == 0);
}

/* ---- unset, lock, unlock and delete ---- */

Test(unset, takes_field_names)
{
	expect_accepted(SUBJECT("unset"), "{" ID ",\"content\":[\"a\",\"b\"],\"metadata\":[\"c\"]}");
	expect_accepted(SUBJECT("unset"), "{" ID ",\"content\":[],\"metadata\":[\"c\"]}");
}

Test(unset, refuses_other_shapes)
{
	static const struct refusal refusals[] = {
		{"{" ID "}", "needs at least one field name"},
		{"{" ID ",\"content\":[],\"metadata\":[]}", "needs at least one field name"},
		{"{\"content\":[\"a\"]}", "needs entity_id"},
		{"{" ID ",\"content\":{\"a\":1}}", "content: expected an array of field names, found an object"},
		{"{" ID ",\"content\":[\"a\",1]}", "content[1]: expected a field name, found the number 1"},
		{"{" ID ",\"metadata\":[\"\"]}", "metadata: a field name is empty"},
		{"{" ID ",\"content\":[\"a\"],\"key\":\"k\"}", "no field \"key\""},
	};
	EXPECT_REFUSALS(SUBJECT("unset"), refusals);
}

Test(lock, takes_field_names)
{
	static const char *const subjects[] = {SUBJECT("lock"), SUBJECT("unlock")};
	for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++) {
		expect_accepted(subjects[i], "{" ID ",\"fields\":[\"a\"]}");
		expect_accepted(subjects[i], "{\"fields\":[\"b\",\"é\",\"b\"]," ID "}");
	}
}

Test(lock, refuses_other_shapes)
{
	static const struct refusal refusals[] = {
		{"{" ID "}", "needs fields"},
		{"{" ID ",\"fields\":[]}", "needs at least one field name in fields"},
		{"{\"fields\":[\"a\"]}", "needs entity_id"},
		{"{" ID ",\"fields\":\"a\"}", "fields: expected an array of field names, found the text \"a\""},
		{"{" ID ",\"fields\":null}", "fields: expected an array of field names, found null"},
		{"{" ID ",\"fields\":{\"a\":true}}", "fields: expected an array of field names, found an object"},
		{"{" ID ",\"fields\":[\"a\",1]}", "fields[1]: expected a field name, found the number 1"},
		{"{" ID ",\"fields\":[null]}", "fields[0]: expected a field name, found null"},
		{"{" ID ",\"fields\":[\"\"]}", "fields: a field name is empty"},
		{"{" ID ",\"field\":[\"a\"]}", "no field \"field\"; did you mean \"fields\"?"},
		{"{" ID ",\"fields\":[\"a\"],\"content\":{}}", "no field \"content\"; it has entity_id, fields"},
	};
	EXPECT_REFUSALS(SUBJECT("lock"), refusals);
	EXPECT_REFUSALS(SUBJECT("unlock"), refusals);
}

Test(delete, takes_an_id_and_nothing_else)
{
	static const struct refusal refusals[] = {
		{"{}", "needs entity_id"}, {"{" ID ",\"content\":{}}", "no field \"content\""}, {"{\"entity_id\":true}", "found true"}};
	expect_accepted(SUBJECT("delete"), "{" ID "}");
	EXPECT_REFUSALS(SUBJECT("delete"), refusals);
}
