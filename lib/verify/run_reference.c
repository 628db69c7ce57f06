/*
 * References in what a split fans out: {"$ref":"<node>#<JSON Pointer>"} at any depth, replaced by what it names in the outputs of completed
 * nodes or in the run's input (RFC 6901). It fails at the first one that leads nowhere, in the words that the node then fails with.
 */
#include "run.h"

#include "reading.h"

#include <stdlib.h>
#include <string.h>

#define QUOTED_CHARACTERS 100

/* The beginning of a text, in characters. */
static int start_of(const char *text)
{
	size_t bytes = 0;
	for (size_t characters = 0; text[bytes] != '\0' && characters < QUOTED_CHARACTERS; characters++)
		for (bytes++; ((unsigned char)text[bytes] & 0xc0) == 0x80; bytes++)
			;
	return (int)bytes;
}

/* "~1" is a slash and "~0" a tilde, in this order. In place. */
static void unescape(char *step)
{
	static const char marks[] = "10";
	static const char meant[] = "/~";
	for (size_t i = 0; i < 2; i++) {
		char *to = step;
		for (const char *from = step; *from != '\0'; to++) {
			bool escaped = from[0] == '~' && from[1] == marks[i];
			*to = *from;
			if (escaped)
				*to = meant[i];
			from += escaped ? 2 : 1;
		}
		*to = '\0';
	}
}

/* 0, or up to nine digits that do not begin with one. */
static bool is_index(const char *step)
{
	size_t digits = strspn(step, "0123456789");
	return step[digits] == '\0' && digits >= 1 && digits <= 9 && (step[0] != '0' || digits == 1);
}

static struct leat_json take_step(const struct leat_json *value, const char *step)
{
	if (value->type == LEAT_JSON_OBJECT)
		return verify_json_member(value, step);
	if (value->type == LEAT_JSON_ARRAY && is_index(step))
		return verify_item(value, (size_t)strtoul(step, NULL, 10));
	return (struct leat_json){0};
}

static void say_nowhere(const char *reference, const struct leat_json *value, const char *step, struct leat_buf *out)
{
	static const char *const names[] = {"nothing", "null", "boolean", "number", "string", "array", "object"};
	leat_buf_clear(out);
	leat_buf_printf(out, "the reference \"%s\" leads nowhere: ", reference);
	if (value->type == LEAT_JSON_OBJECT)
		leat_buf_printf(out, "there is no member \"%.*s\"", start_of(step), step);
	else if (value->type == LEAT_JSON_ARRAY)
		leat_buf_printf(out, "there is no item \"%.*s\" in an array of %zu", start_of(step), step, verify_items(value));
	else
		leat_buf_printf(out, "a %s has no \"%.*s\"", names[value->type], start_of(step), step);
}

static bool follow(const struct leat_json *from, const char *pointer, const char *reference, struct leat_buf *out)
{
	struct leat_json value = *from;
	while (*pointer != '\0') {
		LEAT_BUF_SCOPED step = LEAT_BUF_INIT;
		pointer++;
		leat_buf_add(&step, pointer, strcspn(pointer, "/"));
		pointer += step.len;
		leat_buf_add_text(&step, "");
		char *name = leat_buf_take(&step);
		unescape(name);
		struct leat_json found = take_step(&value, name);
		if (found.type == LEAT_JSON_NONE)
			say_nowhere(reference, &value, name, out);
		free(name);
		if (found.type == LEAT_JSON_NONE)
			return false;
		value = found;
	}
	leat_buf_add(out, value.source.at, value.source.bytes);
	return true;
}

static bool replace(const struct verify_run *run, const char *reference, struct leat_buf *out)
{
	size_t name_bytes = strcspn(reference, "#");
	const char *pointer = reference + name_bytes + (reference[name_bytes] == '#');
	if (name_bytes == strlen("input") && memcmp(reference, "input", name_bytes) == 0) {
		struct leat_json input = verify_json(run->input, strlen(run->input));
		return follow(&input, pointer, reference, out);
	}
	size_t node = verify_graph_find(run->graph, (struct leat_text){reference, name_bytes});
	const struct verify_states *states = node == VERIFY_NO_NODE ? NULL : &run->nodes[node];
	bool alone = states != NULL && !states->per_item;
	if (!alone || states->all[0].status != VERIFY_COMPLETED) {
		leat_buf_clear(out);
		leat_buf_printf(out, "the reference \"%s\" leads nowhere: node \"%.*s\" is %s", reference, (int)name_bytes, reference,
			alone ? verify_status_name(states->all[0].status) : "not there");
		return false;
	}
	const char *text = states->all[0].output == NULL ? "null" : states->all[0].output;
	struct leat_json output = verify_json(text, strlen(text));
	return follow(&output, pointer, reference, out);
}

bool verify_run_resolve(const struct verify_run *run, const struct leat_json *value, struct leat_buf *out)
{
	if (value->type != LEAT_JSON_OBJECT && value->type != LEAT_JSON_ARRAY) {
		leat_buf_add(out, value->source.at, value->source.bytes);
		return true;
	}
	struct leat_json reference = verify_json_member(value, "$ref");
	if (reference.type == LEAT_JSON_STRING) {
		char *text = verify_copy_text(&reference);
		bool found = replace(run, text, out);
		free(text);
		return found;
	}
	const char *separator = value->type == LEAT_JSON_OBJECT ? "{" : "[";
	struct leat_json_walk walk = leat_json_walk(value);
	for (struct leat_json name, inner; leat_json_next(&walk, &name, &inner); separator = ",") {
		leat_buf_add_text(out, separator);
		if (name.type == LEAT_JSON_STRING) {
			leat_buf_add(out, name.source.at, name.source.bytes);
			leat_buf_add_text(out, ":");
		}
		if (!verify_run_resolve(run, &inner, out))
			return false;
	}
	leat_buf_add_text(out, separator[0] == ',' ? "" : separator);
	leat_buf_add_text(out, value->type == LEAT_JSON_OBJECT ? "}" : "]");
	return true;
}
