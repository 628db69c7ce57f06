/* Rounds of the outbox: which events may be on their way at the same time. */
#include "../../lib/outbox/rounds.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST 300

TestSuite(rounds);

static void expect_rounds(const char *const *subjects, size_t count, size_t expected_rounds, const size_t *expected_order)
{
	size_t round_of[MOST];
	size_t order[MOST];
	cr_expect_eq(outbox_rounds(subjects, count, round_of, order), expected_rounds);
	for (size_t i = 0; i < count; i++)
		cr_expect_eq(order[i], expected_order[i], "place %zu", i);
}

Test(rounds, different_subjects_go_together_as_they_came)
{
	expect_rounds((const char *const[]){"c", "a", "b"}, 3, 1, (const size_t[]){0, 1, 2});
	expect_rounds((const char *const[]){"a"}, 1, 1, (const size_t[]){0});
}

Test(rounds, those_of_one_subject_go_one_after_the_other)
{
	expect_rounds((const char *const[]){"a", "b", "a", "a", "c", "b"}, 6, 3, (const size_t[]){0, 1, 4, 2, 5, 3});
}

/* However many there are: each once, no subject twice in a round, none before an earlier one of its subject, no more rounds than needed. */
static void expect_sound(const char *const *subjects, size_t count)
{
	size_t round_of[MOST];
	size_t order[MOST];
	bool seen[MOST] = {false};
	size_t most = 0;
	size_t rounds = outbox_rounds(subjects, count, round_of, order);
	for (size_t i = 0; i < count; i++) {
		cr_assert_not(seen[order[i]]);
		seen[order[i]] = true;
		cr_assert(i == 0 || round_of[order[i]] >= round_of[order[i - 1]]);
		size_t before = 0;
		for (size_t j = 0; j < i; j++) {
			if (strcmp(subjects[order[j]], subjects[order[i]]) != 0)
				continue;
			before++;
			cr_assert_lt(round_of[order[j]], round_of[order[i]]);
			cr_assert_lt(order[j], order[i]);
		}
		most = before + 1 > most ? before + 1 : most;
	}
	cr_assert_eq(rounds, most);
}

Test(rounds, are_sound_for_any_mix)
{
	static char names[MOST][24];
	const char *subjects[MOST];
	uint64_t random = 1;
	for (size_t different = 1; different <= MOST; different *= 3) {
		for (size_t i = 0; i < MOST; i++) {
			random = random * 6364136223846793005U + 1442695040888963407U;
			snprintf(names[i], sizeof names[i], "leat.event.%zu", (size_t)(random >> 33) % different);
			subjects[i] = names[i];
		}
		expect_sound(subjects, MOST);
	}
}
