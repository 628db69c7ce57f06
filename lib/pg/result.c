/* Results, in text format; bytea is decoded when asked for. */
#include "leat/pg.h"

#include "pg.h"

#include <stdlib.h>

/* Decoded bytea values hang on the result until it is freed. */
struct decoded {
	struct decoded *next;
	unsigned char *bytes;
};

struct leat_pg_result {
	PGresult *pq;
	struct decoded *decoded;
};

struct leat_pg_result *leat_pg_result_wrap(PGresult *pq)
{
	struct leat_pg_result *result = leat_alloc_zero(1, sizeof *result);
	result->pq = pq;
	return result;
}

void leat_pg_result_free(struct leat_pg_result *result)
{
	if (result == NULL)
		return;
	for (struct decoded *next, *at = result->decoded; at != NULL; at = next) {
		next = at->next;
		PQfreemem(at->bytes);
		free(at);
	}
	PQclear(result->pq);
	free(result);
}

void leat_pg_result_drop(struct leat_pg_result **result)
{
	leat_pg_result_free(*result);
	*result = NULL;
}

size_t leat_pg_rows(const struct leat_pg_result *result)
{
	return (size_t)PQntuples(result->pq);
}

const char *leat_pg_text(const struct leat_pg_result *result, size_t row, int column)
{
	return PQgetisnull(result->pq, (int)row, column) ? NULL : PQgetvalue(result->pq, (int)row, column);
}

int64_t leat_pg_int8(const struct leat_pg_result *result, size_t row, int column)
{
	return strtoll(PQgetvalue(result->pq, (int)row, column), NULL, 10);
}

const char *leat_pg_bytes(struct leat_pg_result *result, size_t row, int column, size_t *count)
{
	*count = 0;
	if (PQgetisnull(result->pq, (int)row, column))
		return "";
	struct decoded *value = leat_alloc(sizeof *value);
	value->bytes = PQunescapeBytea((const unsigned char *)PQgetvalue(result->pq, (int)row, column), count);
	if (value->bytes == NULL)
		abort();
	value->next = result->decoded;
	result->decoded = value;
	return (const char *)value->bytes;
}
