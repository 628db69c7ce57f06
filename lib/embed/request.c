/* A request for vectors. */
#include "leat/embed.h"

#include <assert.h>
#include <jansson.h>
#include <stdlib.h>

static int add_chunk(const char *chunk, size_t bytes, void *out)
{
	leat_buf_add(out, chunk, bytes);
	return 0;
}

void leat_embed_write_request(struct leat_buf *out, const char *model, const char *const *inputs, size_t count)
{
	json_t *array = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(array, json_string(inputs[i]));
	json_t *request = json_pack("{s:s, s:o}", "model", model, "input", array);
	assert(json_array_size(array) == count && request != NULL); /* or a text is not UTF-8 */
	if (json_dump_callback(request, add_chunk, out, JSON_COMPACT) != 0)
		abort();
	json_decref(request);
}
