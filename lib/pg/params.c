/*
 * Parameters: scalars as text; arrays in the binary format (array_recv): dimensions, flags, element type, length, lower bound, elements;
 * the only element of an array, when it stands for itself, as its bytes are there.
 */
#include "leat/pg.h"

#include "pg.h"

#include <arpa/inet.h>
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { NULLS_AT = 4, LENGTH_AT = 12, ELEMENTS_AT = 20 };

static const uint32_t oids[] = {
	[LEAT_PG_INT8] = 20,
	[LEAT_PG_TEXT] = 25,
	[LEAT_PG_UUID] = 2950,
	[LEAT_PG_TIME] = 1184,
	[LEAT_PG_BYTES] = 17,
};

static void add_u32(struct leat_buf *buf, uint32_t value)
{
	uint32_t wire = htonl(value);
	leat_buf_add(buf, &wire, sizeof wire);
}

static void patch_u32(struct leat_buf *buf, size_t at, uint32_t value)
{
	uint32_t wire = htonl(value);
	memcpy(buf->data + at, &wire, sizeof wire);
}

void leat_pg_array_start(struct leat_pg_array *array, enum leat_pg_type type)
{
	leat_buf_clear(&array->bytes);
	array->count = 0;
	add_u32(&array->bytes, 1);
	add_u32(&array->bytes, 0);
	add_u32(&array->bytes, oids[type]);
	add_u32(&array->bytes, 0);
	add_u32(&array->bytes, 1);
}

void leat_pg_array_add_bytes(struct leat_pg_array *array, const void *bytes, size_t count)
{
	array->count++;
	if (bytes == NULL) {
		patch_u32(&array->bytes, NULLS_AT, 1);
		add_u32(&array->bytes, UINT32_MAX);
		return;
	}
	add_u32(&array->bytes, (uint32_t)count);
	leat_buf_add(&array->bytes, bytes, count);
}

void leat_pg_array_add_text(struct leat_pg_array *array, const char *text)
{
	leat_pg_array_add_bytes(array, text, text != NULL ? strlen(text) : 0);
}

void leat_pg_array_add_int8(struct leat_pg_array *array, int64_t value)
{
	uint64_t bits = (uint64_t)value;
	uint32_t wire[2] = {htonl((uint32_t)(bits >> 32)), htonl((uint32_t)bits)};
	leat_pg_array_add_bytes(array, wire, sizeof wire);
}

void leat_pg_array_add_uuid(struct leat_pg_array *array, const struct leat_uuid *uuid)
{
	leat_pg_array_add_bytes(array, uuid, uuid != NULL ? sizeof uuid->bytes : 0);
}

void leat_pg_array_add_time(struct leat_pg_array *array, int64_t unix_ns)
{
	leat_pg_array_add_int8(array, unix_ns / 1000 - LEAT_PG_EPOCH_US);
}

void leat_pg_array_free(struct leat_pg_array *array)
{
	leat_buf_free(&array->bytes);
	array->count = 0;
}

static void bind_value(struct leat_pg_params *params, const char *value, size_t length, int format)
{
	assert(params->count < LEAT_PG_PARAMS);
	params->values[params->count] = value;
	params->lengths[params->count] = (int)length;
	params->formats[params->count] = format;
	params->count++;
}

void leat_pg_bind_array(struct leat_pg_params *params, struct leat_pg_array *array)
{
	patch_u32(&array->bytes, LENGTH_AT, array->count);
	bind_value(params, array->bytes.data, array->bytes.len, 1);
}

void leat_pg_bind_only_element(struct leat_pg_params *params, struct leat_pg_array *array)
{
	assert(array->count == 1);
	const char *element = array->bytes.data + ELEMENTS_AT + sizeof(uint32_t);
	bool null = memcmp(array->bytes.data + ELEMENTS_AT, &(uint32_t){UINT32_MAX}, sizeof(uint32_t)) == 0;
	bind_value(params, null ? NULL : element, array->bytes.len - ELEMENTS_AT - sizeof(uint32_t), 1);
}

void leat_pg_bind_text(struct leat_pg_params *params, const char *text)
{
	bind_value(params, text, 0, 0);
}

void leat_pg_bind_int8(struct leat_pg_params *params, int64_t value)
{
	char *text = params->numbers[params->count];
	snprintf(text, sizeof params->numbers[0], "%" PRId64, value);
	bind_value(params, text, 0, 0);
}
