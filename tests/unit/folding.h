/*
 * Folding as a test sees it: intents as text in, a state as text out, by both folds and in every order.
 *
 * Intents are written "<position> <verb> <field>…", separated by commas. A field is a=1, or a alone in an unset, a lock or an
 * unlock; m: before it says metadata; type:x and key:x belong to an upsert. A state is written the same way, each field with the position
 * that wrote or locked it: "since 1 type:t a=1@1 locked:a@2".
 */
#ifndef LEAT_TESTS_FOLDING_H
#define LEAT_TESTS_FOLDING_H

#include "leat/buf.h"
#include "leat/fold.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_INTENTS 64
#define MOST_FIELDS 4
#define MOST_TARGETS 3

static const struct leat_uuid tenant = {{1}};
static const struct leat_uuid entity = {{2}};

struct set {
	char text[4096]; /* what the names and values are borrowed from */
	struct leat_fold_write writes[MOST_INTENTS][LEAT_FOLD_PARTS][MOST_FIELDS];
	struct leat_fold_intent intents[MOST_INTENTS];
	size_t count;
};

static inline enum leat_fold_verb verb_of(const char *name)
{
	for (enum leat_fold_verb verb = LEAT_FOLD_UPSERT; verb <= LEAT_FOLD_DELETE; verb++)
		if (strcmp(leat_fold_verb_name(verb), name) == 0)
			return verb;
	cr_assert_fail("no verb: %s", name);
	return LEAT_FOLD_UPSERT;
}

static inline void read_field(struct leat_fold_intent *intent, struct leat_fold_write writes[][MOST_FIELDS], char *word)
{
	if (strncmp(word, "type:", 5) == 0) {
		intent->entity_type = word + 5;
		return;
	}
	if (strncmp(word, "key:", 4) == 0) {
		intent->key = word + 4;
		return;
	}
	bool is_lock = intent->verb == LEAT_FOLD_LOCK || intent->verb == LEAT_FOLD_UNLOCK;
	enum leat_fold_part part = is_lock ? LEAT_FOLD_LOCKS : strncmp(word, "m:", 2) == 0 ? LEAT_FOLD_METADATA : LEAT_FOLD_CONTENT;
	char *name = part == LEAT_FOLD_METADATA ? word + 2 : word;
	char *equals = strchr(name, '=');
	const char *value = equals != NULL ? equals + 1 : intent->verb == LEAT_FOLD_LOCK ? "true" : NULL;
	if (equals != NULL)
		*equals = '\0';
	cr_assert_lt(intent->parts[part].count, MOST_FIELDS);
	writes[part][intent->parts[part].count++] = (struct leat_fold_write){name, value};
	intent->parts[part].writes = writes[part];
}

static inline void read_intent(struct set *set, char *text)
{
	char *rest = NULL;
	struct leat_fold_intent *intent = &set->intents[set->count];
	*intent = (struct leat_fold_intent){.tenant = tenant, .targets = &entity, .target_count = 1};
	intent->position = strtoll(strtok_r(text, " ", &rest), NULL, 10);
	intent->verb = verb_of(strtok_r(NULL, " ", &rest));
	if (intent->verb == LEAT_FOLD_UPSERT)
		intent->entity_type = "t";
	for (char *word; (word = strtok_r(NULL, " ", &rest)) != NULL;)
		read_field(intent, set->writes[set->count], word);
	set->count++;
}

static inline void read_set(struct set *set, const char *text)
{
	set->count = 0;
	cr_assert_lt(strlen(text), sizeof set->text);
	snprintf(set->text, sizeof set->text, "%s", text);
	char *rest = NULL;
	for (char *intent = strtok_r(set->text, ",", &rest); intent != NULL; intent = strtok_r(NULL, ",", &rest))
		read_intent(set, intent);
}

static inline void describe(const struct leat_fold_state *state, struct leat_buf *out)
{
	leat_buf_clear(out);
	if (state == NULL || state->entity_type == NULL) {
		leat_buf_add_text(out, "nothing");
		return;
	}
	cr_expect(state->exists != state->deleted);
	if (state->exists)
		leat_buf_printf(out, "since %" PRId64 " ", state->exists_since);
	else
		leat_buf_add_text(out, "deleted ");
	leat_buf_printf(out, "type:%s", state->entity_type);
	if (state->key != NULL)
		leat_buf_printf(out, " key:%s", state->key);
	for (enum leat_fold_part part = 0; part < LEAT_FOLD_LOCKS; part++)
		for (size_t i = 0; i < state->parts[part].count; i++) {
			const struct leat_fold_field *field = &state->parts[part].fields[i];
			leat_buf_printf(out, " %s%s=%s@%" PRId64, part == LEAT_FOLD_METADATA ? "m:" : "", field->name, field->value, field->position);
		}
	for (size_t i = 0; i < state->parts[LEAT_FOLD_LOCKS].count; i++) {
		const struct leat_fold_field *field = &state->parts[LEAT_FOLD_LOCKS].fields[i];
		leat_buf_printf(out, " locked:%s@%" PRId64, field->name, field->position);
	}
}

/* ---- the set, in every order ---- */

static inline void expect_set(const struct leat_fold_intent *intents, size_t count, const char *expected, const char *what)
{
	LEAT_BUF_SCOPED found = LEAT_BUF_INIT;
	LEAT_FOLD_STATE_SCOPED state;
	leat_fold_set(&state, &tenant, &entity, intents, count);
	describe(&state, &found);
	cr_assert_str_eq(found.data, expected, "%s:\n\tset fold: %s\n\texpected: %s", what, found.data, expected);
}

static inline void swap(struct leat_fold_intent *a, struct leat_fold_intent *b)
{
	struct leat_fold_intent kept = *a;
	*a = *b;
	*b = kept;
}

/* Heap's algorithm. */
static inline void expect_every_order(struct leat_fold_intent *intents, size_t moving, size_t count, const char *expected, const char *what)
{
	if (moving <= 1) {
		expect_set(intents, count, expected, what);
		return;
	}
	for (size_t i = 0; i < moving; i++) {
		expect_every_order(intents, moving - 1, count, expected, what);
		swap(&intents[moving % 2 == 0 ? i : 0], &intents[moving - 1]);
	}
}

static inline enum leat_fold_outcome apply(struct leat_fold *fold, const struct leat_fold_intent *intent)
{
	struct leat_uuid missing[MOST_TARGETS];
	size_t missing_count;
	cr_assert_leq(intent->target_count, MOST_TARGETS);
	return leat_fold_apply(fold, intent, missing, &missing_count);
}

static inline void expect_serial(const struct set *set, const char *expected, const char *what)
{
	LEAT_BUF_SCOPED found = LEAT_BUF_INIT;
	struct leat_fold *fold = leat_fold_new();
	for (size_t i = 0; i < set->count; i++)
		apply(fold, &set->intents[i]);
	describe(leat_fold_get(fold, &tenant, &entity), &found);
	cr_assert_str_eq(found.data, expected, "%s:\n\tserial fold: %s\n\texpected: %s", what, found.data, expected);
	leat_fold_free(fold);
}

static inline void expect(const char *intents, const char *expected)
{
	struct set set;
	read_set(&set, intents);
	cr_assert_leq(set.count, 7);
	expect_serial(&set, expected, intents);
	expect_every_order(set.intents, set.count, set.count, expected, intents);
}

#endif
