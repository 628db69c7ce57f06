/* Rounds, by a hash table of the subjects seen so far: each entry is the last message of its subject. */
#include "rounds.h"

#include "leat/buf.h"
#include "leat/hash.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define NONE SIZE_MAX

/* The place of the subject, or the free one where it belongs. */
static size_t *find(size_t *table, size_t mask, const char *const *subjects, const char *subject)
{
	size_t at = leat_hash_text(subject) & mask;
	while (table[at] != NONE && strcmp(subjects[table[at]], subject) != 0)
		at = (at + 1) & mask;
	return &table[at];
}

static size_t number(const char *const *subjects, size_t count, size_t *round_of)
{
	size_t room = 16;
	while (room < 2 * count)
		room *= 2;
	size_t *table = leat_alloc(room * sizeof *table);
	for (size_t i = 0; i < room; i++)
		table[i] = NONE;
	size_t rounds = 0;
	for (size_t i = 0; i < count; i++) {
		size_t *last = find(table, room - 1, subjects, subjects[i]);
		round_of[i] = *last != NONE ? round_of[*last] + 1 : 0;
		*last = i;
		if (round_of[i] >= rounds)
			rounds = round_of[i] + 1;
	}
	free(table);
	return rounds;
}

size_t outbox_rounds(const char *const *subjects, size_t count, size_t *round_of, size_t *order)
{
	size_t rounds = number(subjects, count, round_of);
	size_t *next = leat_alloc_zero(rounds + 1, sizeof *next);
	for (size_t i = 0; i < count; i++)
		next[round_of[i] + 1]++;
	for (size_t round = 0; round < rounds; round++)
		next[round + 1] += next[round];
	for (size_t i = 0; i < count; i++)
		order[next[round_of[i]]++] = i;
	free(next);
	return rounds;
}
