/* Results, in text or binary format; bytea in text is decoded when asked for. */
#include "leat/pg.h"

#include "pg.h"

#include <assert.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

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

static bool is_binary(const struct leat_pg_result *result, int column)
{
	return PQfformat(result->pq, column) == 1;
}

int64_t leat_pg_int8(const struct leat_pg_result *result, size_t row, int column)
{
	const char *value = PQgetvalue(result->pq, (int)row, column);
	if (!is_binary(result, column))
		return strtoll(value, NULL, 10);
	uint64_t wire = 0;
	if (!PQgetisnull(result->pq, (int)row, column))
		memcpy(&wire, value, sizeof wire);
	return (int64_t)be64toh(wire);
}

bool leat_pg_bool(const struct leat_pg_result *result, size_t row, int column)
{
	assert(!is_binary(result, column));
	return *PQgetvalue(result->pq, (int)row, column) == 't';
}

int64_t leat_pg_time_us(const struct leat_pg_result *result, size_t row, int column)
{
	assert(is_binary(result, column));
	return leat_pg_int8(result, row, column) + LEAT_PG_EPOCH_US;
}

void leat_pg_uuid(const struct leat_pg_result *result, size_t row, int column, char out[LEAT_UUID_TEXT_BYTES])
{
	const char *value = PQgetvalue(result->pq, (int)row, column);
	struct leat_uuid uuid;
	if (is_binary(result, column))
		memcpy(uuid.bytes, value, sizeof uuid.bytes);
	else
		leat_uuid_parse(&uuid, value, strlen(value));
	leat_uuid_format(&uuid, out);
}

const char *leat_pg_bytes(struct leat_pg_result *result, size_t row, int column, size_t *count)
{
	*count = 0;
	if (PQgetisnull(result->pq, (int)row, column))
		return "";
	if (is_binary(result, column)) {
		*count = (size_t)PQgetlength(result->pq, (int)row, column);
		return PQgetvalue(result->pq, (int)row, column);
	}
	struct decoded *value = leat_alloc(sizeof *value);
	value->bytes = PQunescapeBytea((const unsigned char *)PQgetvalue(result->pq, (int)row, column), count);
	if (value->bytes == NULL)
		abort();
	value->next = result->decoded;
	result->decoded = value;
	return (const char *)value->bytes;
}
