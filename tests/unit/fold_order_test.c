/* Both readings of the definition against each other, on generated sets, in every order or in many. The seeds are fixed. */
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
			leat_buf_printf(text, " type:t%zu%s", chance(3), chance(3) == 0 ? " key:k" : "");
		bool is_lock = strstr(verb, "lock") != NULL;
		bool only_names = is_lock || strcmp(verb, "unset") == 0;
		for (size_t fields = strcmp(verb, "delete") == 0 ? 0 : chance(3); fields > 0; fields--)
			leat_buf_printf(text, only_names ? " %s%c" : " %s%c=%zu", chance(4) == 0 && !is_lock ? "m:" : "", 'a' + (int)chance(3), i);
	}
}

/* What was rejected would have changed nothing, so the set may hold it or not. */
static void keep_applied(struct set *set)
{
	struct leat_fold *fold = leat_fold_new();
	size_t kept = 0;
	for (size_t i = 0; i < set->count; i++)
		if (apply(fold, &set->intents[i]) == LEAT_FOLD_APPLIED)
			set->intents[kept++] = set->intents[i];
	set->count = kept;
	leat_fold_free(fold);
}

static void expect_both_readings_agree(size_t count)
{
	LEAT_BUF_SCOPED text = LEAT_BUF_INIT;
	LEAT_BUF_SCOPED expected = LEAT_BUF_INIT;
	LEAT_FOLD_STATE_SCOPED state;
	struct set set;
	generate(&text, count);
	read_set(&set, text.data);
	leat_fold_set(&state, &tenant, &entity, set.intents, set.count);
	describe(&state, &expected);
	expect_serial(&set, expected.data, text.data);
	for (int pass = 0; pass < 2; pass++) {
		if (set.count <= 6)
			expect_every_order(set.intents, set.count, set.count, expected.data, text.data);
		for (size_t i = set.count; i > 1; i--)
			swap(&set.intents[i - 1], &set.intents[chance(i)]);
		expect_set(set.intents, set.count, expected.data, text.data);
		read_set(&set, text.data);
		keep_applied(&set);
	}
}

Test(fold_order, small_sets_in_every_order_equal_the_serial_fold)
{
	for (uint64_t seed = 1; seed < 400; seed++) {
		state_of_chance = seed;
		for (size_t count = 1; count <= 6; count++)
			expect_both_readings_agree(count);
	}
}

Test(fold_order, large_sets_in_any_order_equal_the_serial_fold)
{
	for (uint64_t seed = 1; seed < 3000; seed++) {
		state_of_chance = seed;
		expect_both_readings_agree(7 + chance(MOST_INTENTS - 7));
	}
}
