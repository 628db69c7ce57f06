/* The fold of `leat verify` against the definition, on generated sets: in the order of the stream, and with redriven ones out of it. */
#include "../../lib/verify/entity.h"

#include "folding.h"

static uint64_t state_of_chance;

static size_t chance(size_t of)
{
	state_of_chance = state_of_chance * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (size_t)(state_of_chance >> 33) % of;
}

static void generate(struct leat_buf *text, size_t count)
{
	static const char *const verbs[] = {"upsert", "upsert", "merge", "merge", "bulk", "unset", "lock", "lock", "unlock", "delete"};
	leat_buf_clear(text);
	for (size_t i = 0; i < count; i++) {
		const char *verb = verbs[chance(sizeof verbs / sizeof *verbs)];
		leat_buf_printf(text, "%s%zu %s", i > 0 ? "," : "", i + 1, verb);
		if (strcmp(verb, "upsert") == 0)
			leat_buf_printf(text, " type:t%zu key:k", chance(3));
		bool is_lock = strstr(verb, "lock") != NULL;
		bool only_names = is_lock || strcmp(verb, "unset") == 0;
		for (size_t fields = strcmp(verb, "delete") == 0 ? 0 : chance(3); fields > 0; fields--) {
			char name = (char)('a' + 2 * (int)(fields - 1) + (int)chance(2)); /* no name twice in one */
			leat_buf_printf(text, only_names ? " %s%c" : " %s%c=%zu", chance(4) == 0 && !is_lock ? "m:" : "", name, i);
		}
	}
}

/* ---- an intent as a message ---- */

static void add_object(struct leat_buf *body, const char *member, const struct leat_fold_intent *intent, enum leat_fold_part part)
{
	leat_buf_printf(body, ",\"%s\":{", member);
	for (size_t i = 0; i < intent->parts[part].count; i++)
		leat_buf_printf(body, "%s\"%s\":%s", i > 0 ? "," : "", intent->parts[part].writes[i].name, intent->parts[part].writes[i].value);
	leat_buf_add_text(body, "}");
}

static void add_names(struct leat_buf *body, const char *member, const struct leat_fold_intent *intent, enum leat_fold_part part)
{
	leat_buf_printf(body, ",\"%s\":[", member);
	for (size_t i = 0; i < intent->parts[part].count; i++)
		leat_buf_printf(body, "%s\"%s\"", i > 0 ? "," : "", intent->parts[part].writes[i].name);
	leat_buf_add_text(body, "]");
}

static void write_body(struct leat_buf *body, const struct leat_fold_intent *intent)
{
	leat_buf_clear(body);
	leat_buf_add_text(body, "{\"entity_id\":\"x\"");
	if (intent->verb == LEAT_FOLD_UPSERT)
		leat_buf_printf(body, ",\"entity_type\":\"%s\",\"key\":\"%s\"", intent->entity_type, intent->key);
	if (intent->verb <= LEAT_FOLD_BULK) {
		add_object(body, "content", intent, LEAT_FOLD_CONTENT);
		add_object(body, "metadata", intent, LEAT_FOLD_METADATA);
	} else if (intent->verb == LEAT_FOLD_UNSET) {
		add_names(body, "content", intent, LEAT_FOLD_CONTENT);
		add_names(body, "metadata", intent, LEAT_FOLD_METADATA);
	} else if (intent->verb != LEAT_FOLD_DELETE) {
		add_names(body, "fields", intent, LEAT_FOLD_LOCKS);
	}
	leat_buf_add_text(body, "}");
}

static bool everything(const struct verify *v, const struct leat_uuid *id)
{
	(void)v;
	(void)id;
	return true;
}

static void feed(struct entity_table *table, const struct leat_fold_intent *intent)
{
	LEAT_BUF_SCOPED body = LEAT_BUF_INIT;
	struct leat_intent decoded = {
		.type = leat_intent_find("entity", 6, leat_fold_verb_name(intent->verb), strlen(leat_fold_verb_name(intent->verb))),
		.target = entity,
		.subject = {.tenant = tenant}};
	write_body(&body, intent);
	entity_apply(table,
		&(struct verify_fact){.intent = &decoded, .write_position = intent->position, .body = body.data, .body_bytes = body.len},
		everything, NULL);
}

/* ---- both states as one text ---- */

static void describe_folded(const struct entity_table *table, struct leat_buf *out)
{
	static const char *const prefixes[] = {"", "m:", "locked:"};
	const struct entity *folded = entity_table_find(table, &tenant, &entity);
	leat_buf_clear(out);
	if (folded == NULL || folded->type == NULL) {
		leat_buf_add_text(out, "nothing");
		return;
	}
	if (folded->since == ENTITY_NEVER)
		leat_buf_printf(out, "deleted type:%s key:%s", folded->type, folded->key);
	else
		leat_buf_printf(out, "since %" PRId64 " type:%s key:%s", folded->since, folded->type, folded->key);
	for (size_t i = 0; i < folded->count && folded->since != ENTITY_NEVER; i++) {
		const struct entity_field *field = &folded->fields[i];
		if (field->position < folded->since || field->removed)
			continue;
		leat_buf_printf(out, " %s%s", prefixes[field->part], field->text);
		if (field->part != ENTITY_LOCKS)
			leat_buf_printf(out, "=%s", entity_value(field));
		leat_buf_printf(out, "@%" PRId64, field->position);
	}
}

static void expect_folded(const struct leat_fold_intent *const *intents, size_t count, const char *expected, const char *what)
{
	LEAT_BUF_SCOPED found = LEAT_BUF_INIT;
	struct entity_table table = {0};
	for (size_t i = 0; i < count; i++)
		feed(&table, intents[i]);
	describe_folded(&table, &found);
	cr_assert_str_eq(found.data, expected, "%s:\n\tfolded: %s\n\texpected: %s", what, found.data, expected);
	entity_table_free(&table);
}

static void expect_same(size_t count)
{
	LEAT_BUF_SCOPED text = LEAT_BUF_INIT;
	LEAT_BUF_SCOPED expected = LEAT_BUF_INIT;
	LEAT_FOLD_STATE_SCOPED state;
	struct set set;
	const struct leat_fold_intent *order[MOST_INTENTS];
	generate(&text, count);
	read_set(&set, text.data);
	leat_fold_set(&state, &tenant, &entity, set.intents, set.count);
	describe(&state, &expected);
	for (size_t i = 0; i < set.count; i++)
		order[i] = &set.intents[i];
	expect_folded(order, set.count, expected.data, text.data);

	/* deletes first, as redriven ones are; the rest in any order */
	size_t deletes = 0;
	for (size_t i = 0; i < set.count; i++) {
		const struct leat_fold_intent *moved = order[i];
		if (moved->verb != LEAT_FOLD_DELETE)
			continue;
		order[i] = order[deletes];
		order[deletes++] = moved;
	}
	for (size_t i = set.count; i > deletes + 1; i--) {
		size_t other = deletes + chance(i - deletes);
		const struct leat_fold_intent *moved = order[i - 1];
		order[i - 1] = order[other];
		order[other] = moved;
	}
	expect_folded(order, set.count, expected.data, text.data);
}

Test(verify_fold, generated_sets_give_what_the_definition_says)
{
	for (uint64_t seed = 1; seed < 3000; seed++) {
		state_of_chance = seed;
		expect_same(1 + chance(40));
	}
}

/* ---- values ---- */

static void expect_values(bool equal, const char *a, const char *b)
{
	cr_expect_eq(verify_json_equal(a, strlen(a), b, strlen(b)), equal, "%s and %s", a, b);
}

Test(verify_fold, values_are_compared_as_jsonb_compares_them)
{
	expect_values(true, "1.0", "1.00");
	expect_values(true, "100", "1e2");
	expect_values(true, "-0", "0");
	expect_values(true, "0.00", "0e5");
	expect_values(true, "1.20e-1", "0.12");
	expect_values(true, "{\"a\":1, \"b\" : [true,null]}", "{\"b\": [true, null], \"a\": 1}");
	expect_values(true, "\"\\u00e4\\n\"", "\"ä\\n\"");
	expect_values(false, "12345678901234567890", "12345678901234567891");
	expect_values(false, "0.1", "0.10000000000000000001");
	expect_values(false, "1", "-1");
	expect_values(false, "1", "\"1\"");
	expect_values(false, "[1,2]", "[2,1]");
	expect_values(false, "[1,2]", "[12]");
	expect_values(false, "{\"a\":1}", "{\"a\":1,\"b\":1}");
	expect_values(false, "[]", "{}");
	expect_values(false, "true", "\"true\"");
}
