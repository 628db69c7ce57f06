/* A square of bits, a row per node: who stands in which relation to it. Rows are whole words, so that two are joined word by word. */
#ifndef LEAT_WORKFLOW_MATRIX_H
#define LEAT_WORKFLOW_MATRIX_H

#include "leat/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

struct leat_matrix {
	size_t size;  /* rows, and bits of each that are used */
	size_t words; /* of a row */
	uint64_t *bits;
};

static inline void leat_matrix_init(struct leat_matrix *matrix, size_t size)
{
	size_t words = (size + 63) / 64;
	*matrix = (struct leat_matrix){size, words, leat_alloc_zero(size * words, sizeof *matrix->bits)};
}

static inline void leat_matrix_fini(struct leat_matrix *matrix)
{
	free(matrix->bits);
	*matrix = (struct leat_matrix){0};
}

static inline bool leat_matrix_has(const struct leat_matrix *matrix, size_t row, size_t column)
{
	return matrix->bits[row * matrix->words + column / 64] >> (column % 64) & 1;
}

static inline void leat_matrix_set(struct leat_matrix *matrix, size_t row, size_t column)
{
	matrix->bits[row * matrix->words + column / 64] |= UINT64_C(1) << (column % 64);
}

/* Sets in one row what is set in another. */
static inline void leat_matrix_join(struct leat_matrix *matrix, size_t row, size_t other)
{
	for (size_t i = 0; i < matrix->words; i++)
		matrix->bits[row * matrix->words + i] |= matrix->bits[other * matrix->words + i];
}

/* The first column from `from` on that is set in the row; `size` when none is. */
static inline size_t leat_matrix_next(const struct leat_matrix *matrix, size_t row, size_t from)
{
	const uint64_t *words = matrix->bits + row * matrix->words;
	for (size_t i = from / 64; i < matrix->words; i++) {
		uint64_t left = i == from / 64 ? words[i] & UINT64_MAX << (from % 64) : words[i];
		if (left != 0)
			return i * 64 + (size_t)__builtin_ctzll(left);
	}
	return matrix->size;
}

/* For each column that is set in the row. */
#define LEAT_MATRIX_EACH(column, matrix, row)                                                                                              \
	for (size_t column = leat_matrix_next(matrix, row, 0); column < (matrix)->size; column = leat_matrix_next(matrix, row, (column) + 1))

#endif
