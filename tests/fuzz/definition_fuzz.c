/*
 * Any definition at all through leat_workflow_check. The first byte lowers the limits; the rest is JSON, with ' for " so that mutations
 * meet structure more often, and @ for a reference.
 *
 * Beyond what the sanitizers see: a refusal has a code and a readable reason; what is accepted is accepted again with nodes and edges the
 * other way round.
 */
#include "leat/workflow.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

static bool is_utf8(const char *text)
{
	json_t *string = json_string(text);
	bool valid = string != NULL;
	json_decref(string);
	return valid;
}

static void check_refusal(const struct leat_error *err)
{
	static const char start[] = "definition: ";
	require(err->kind == LEAT_PERMANENT && (err->code == LEAT_CODE_INVALID_MESSAGE || err->code == LEAT_CODE_TOO_LARGE));
	require(strncmp(err->text, start, strlen(start)) == 0 && err->text[strlen(start)] != '\0' && is_utf8(err->text));
}

/* The array's items, last first. */
static void add_reversed(struct leat_buf *out, const struct leat_json *array)
{
	LEAT_BUF_SCOPED all = LEAT_BUF_INIT;
	struct leat_json_walk walk = leat_json_walk(array);
	for (struct leat_json name, item; leat_json_next(&walk, &name, &item);) {
		LEAT_BUF_SCOPED rest = all;
		all = (struct leat_buf)LEAT_BUF_INIT;
		leat_buf_add(&all, item.source.at, item.source.bytes);
		if (rest.len > 0)
			leat_buf_add_text(&all, ",");
		leat_buf_add(&all, rest.data, rest.len);
	}
	leat_buf_printf(out, "[%s]", leat_buf_text(&all));
}

static void check_reversed(const struct leat_json *definition, const struct leat_params *limits)
{
	LEAT_BUF_SCOPED text = LEAT_BUF_INIT;
	LEAT_BUF_SCOPED scratch = LEAT_BUF_INIT;
	struct leat_json_walk walk = leat_json_walk(definition);
	for (struct leat_json name, value; leat_json_next(&walk, &name, &value);) {
		struct leat_text says = leat_json_text(&name, &scratch);
		leat_buf_printf(&text, "%s\"%.*s\":", text.len > 0 ? "," : "{", (int)says.bytes, says.at);
		add_reversed(&text, &value);
	}
	leat_buf_add_text(&text, "}");
	struct leat_json reversed;
	struct leat_error err;
	require(leat_json_check(&reversed, text.data, text.len, limits->max_nesting, &err) == LEAT_OK);
	require(leat_workflow_check(&reversed, limits, &err) == LEAT_OK || err.code == LEAT_CODE_TOO_LARGE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	LEAT_BUF_SCOPED text = LEAT_BUF_INIT;
	for (size_t i = 1; i < size; i++) {
		if (data[i] == '@')
			leat_buf_add_text(&text, "{\"$ref\":\"");
		else
			leat_buf_add(&text, data[i] == '\'' ? (const void *)"\"" : &data[i], 1);
	}
	struct leat_params limits;
	leat_params_init(&limits);
	if (data[0] & 1) {
		limits.max_workflow_nodes = 3;
		limits.max_workflow_bytes = 300;
		limits.max_fields = 2;
		limits.max_key_bytes = 3;
		limits.max_field_name_bytes = 3;
	}
	struct leat_error err = {0};
	struct leat_json definition;
	char *exact = leat_buf_take(&text);
	size_t bytes = strlen(exact);
	exact = leat_realloc(exact, bytes); /* without the '\0', so that a read past the end is seen */
	if (leat_json_check(&definition, exact, bytes, limits.max_nesting, &err) == LEAT_OK) {
		if (leat_workflow_check(&definition, &limits, &err) == LEAT_OK)
			check_reversed(&definition, &limits);
		else
			check_refusal(&err);
	}
	free(exact);
	return 0;
}
