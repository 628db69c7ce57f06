/*
 * The answer to a request for vectors. It comes from outside, so all is checked: one vector for each input, all of one length, every number
 * one that a real can hold.
 */
#include "leat/embed.h"

#include <float.h>
#include <jansson.h>
#include <math.h>

static enum leat_kind refuse(struct leat_error *err, const char *expected)
{
	return leat_fail(err, LEAT_TEMPORARY, LEAT_CODE_INTERNAL, "the answer is not one of embeddings: expected %s", expected);
}

/* Nine digits are enough to tell any two reals apart. */
static enum leat_kind write_vector(struct leat_buf *out, const json_t *numbers, struct leat_error *err)
{
	size_t i;
	json_t *number;
	leat_buf_add_text(out, "{");
	json_array_foreach(numbers, i, number)
	{
		double value = json_number_value(number);
		if (!json_is_number(number) || !isfinite(value) || fabs(value) > (double)FLT_MAX)
			return refuse(err, "finite numbers in every vector");
		leat_buf_printf(out, "%s%.9g", i > 0 ? "," : "", (double)(float)value);
	}
	leat_buf_add_text(out, "}");
	return LEAT_OK;
}

static enum leat_kind read_item(const json_t *item, size_t count, struct leat_buf *vectors, size_t *dimensions, struct leat_error *err)
{
	const json_t *index = json_object_get(item, "index");
	const json_t *numbers = json_object_get(item, "embedding");
	json_int_t at = json_is_integer(index) ? json_integer_value(index) : -1;
	if (at < 0 || (size_t)at >= count || vectors[at].len > 0)
		return refuse(err, "an index for each input, each once");
	size_t size = json_array_size(numbers);
	if (size == 0 || size > LEAT_EMBED_DIMENSIONS)
		return leat_fail(err, LEAT_TEMPORARY, LEAT_CODE_INTERNAL,
			"the answer is not one of embeddings: expected vectors of 1 to %d numbers, found %zu", LEAT_EMBED_DIMENSIONS, size);
	if (*dimensions != 0 && size != *dimensions)
		return refuse(err, "vectors of one length");
	*dimensions = size;
	return write_vector(&vectors[at], numbers, err);
}

enum leat_kind leat_embed_read_answer(const char *body, size_t body_bytes, size_t count, struct leat_buf *vectors, struct leat_error *err)
{
	json_auto_t *answer = json_loadb(body, body_bytes, 0, NULL);
	const json_t *data = json_object_get(answer, "data");
	if (answer == NULL)
		return refuse(err, "JSON");
	if (json_array_size(data) != count)
		return leat_fail(err, LEAT_TEMPORARY, LEAT_CODE_INTERNAL,
			"the answer is not one of embeddings: expected %zu items in \"data\", found %zu", count, json_array_size(data));
	size_t dimensions = 0;
	size_t i;
	json_t *item;
	json_array_foreach(data, i, item)
	{
		if (read_item(item, count, vectors, &dimensions, err) != LEAT_OK)
			return err->kind;
	}
	return LEAT_OK;
}
