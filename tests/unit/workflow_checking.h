/*
 * Definitions as a test writes them. JSON with ' for ", so that it can be read; or a graph: "s:split x:http c:collect" and "s>x x>c".
 * In a graph each node has what its type requires, and `x:http@s#/a` has a body that refers to s#/a.
 */
#ifndef LEAT_TESTS_WORKFLOW_CHECKING_H
#define LEAT_TESTS_WORKFLOW_CHECKING_H

#include "leat/workflow.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define USER "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
#define X16 "xxxxxxxxxxxxxxxx"
#define HTTP "'type':'http','url':'http://x'"

static inline struct leat_params default_limits(void)
{
	struct leat_params limits;
	leat_params_init(&limits);
	return limits;
}

/* In memory of its own, so that the sanitizer sees a read past its end. */
static inline enum leat_kind check_bytes(const char *text, size_t bytes, const struct leat_params *limits, struct leat_error *err)
{
	char *exact = leat_alloc(bytes);
	memcpy(exact, text, bytes);
	struct leat_json json;
	*err = (struct leat_error){0};
	enum leat_kind kind = leat_json_check(&json, exact, bytes, limits->max_nesting, err);
	cr_assert(kind == LEAT_OK, "the test's own JSON: %s in %.300s", err->text, text);
	kind = leat_workflow_check(&json, limits, err);
	cr_assert(kind == LEAT_OK || kind == LEAT_PERMANENT);
	free(exact);
	return kind;
}

static inline void add_replaced(struct leat_buf *out, const char *text, char from, const char *to)
{
	for (; *text != '\0'; text++)
		leat_buf_add(out, *text == from ? to : text, 1);
}

/* `expected` is the whole text of the error, with ' for " too; NULL for none. */
static inline void expect_checked(const char *definition, enum leat_code code, const char *expected)
{
	struct leat_params limits = default_limits();
	struct leat_error err;
	LEAT_BUF_SCOPED text = LEAT_BUF_INIT;
	LEAT_BUF_SCOPED said = LEAT_BUF_INIT;
	add_replaced(&text, definition, '\'', "\"");
	if (check_bytes(text.data, text.len, &limits, &err) == LEAT_OK) {
		cr_expect(expected == NULL, "accepted: %.300s", definition);
		return;
	}
	cr_assert(expected != NULL, "%.300s: %s", definition, err.text);
	cr_expect(err.code == code, "%.300s: %s", definition, leat_code_name(err.code));
	add_replaced(&said, err.text, '"', "'");
	cr_expect_str_eq(said.data, expected, "%.300s:\n  says     %s\n  expected %s", definition, said.data, expected);
}

static inline void expect_definition(const char *definition, const char *expected)
{
	expect_checked(definition, LEAT_CODE_INVALID_MESSAGE, expected);
}

/* One node; `expected` begins behind `definition: node "a": `. */
static inline void expect_node(const char *members, const char *expected)
{
	LEAT_BUF_SCOPED definition = LEAT_BUF_INIT;
	LEAT_BUF_SCOPED text = LEAT_BUF_INIT;
	leat_buf_printf(&definition, "{'nodes':[{'id':'a',%s}],'edges':[]}", members);
	leat_buf_printf(&text, "definition: node 'a': %s", expected != NULL ? expected : "");
	expect_definition(definition.data, expected != NULL ? text.data : NULL);
}

struct node_sample {
	const char *members;  /* of node "a", behind its id */
	const char *expected; /* NULL: accepted */
};

#define EXPECT_NODES(samples)                                                                                                              \
	for (size_t i = 0; i < sizeof(samples) / sizeof *(samples); i++)                                                                       \
	expect_node((samples)[i].members, (samples)[i].expected)

/* ---- graphs ---- */

static inline void add_node(struct leat_buf *out, const char *id, const char *type, const char *reference)
{
	static const struct {
		const char *type, *members;
	} required[] = {{"http", ",'url':'http://x'"}, {"worker", ",'url':'http://x'"}, {"split", ",'items':[1]"}, {"collect", ""},
		{"merge", ",'content':{}"}, {"question", ",'connection_id':'c','expected_user_id':'" USER "','payload':{}"}};
	leat_buf_printf(out, "%s{'id':'%s','type':'%s'", out->data[out->len - 1] == '[' ? "" : ",", id, type);
	for (size_t i = 0; i < sizeof required / sizeof *required; i++)
		if (strcmp(required[i].type, type) == 0)
			leat_buf_add_text(out, required[i].members);
	if (reference != NULL)
		leat_buf_printf(out, ",'body':[{'$ref':'%s'}]", reference);
	leat_buf_add_text(out, "}");
}

static inline void graph(struct leat_buf *out, const char *nodes, const char *edges)
{
	char *words = leat_strdup(nodes);
	char *rest;
	leat_buf_add_text(out, "{'nodes':[");
	for (char *word = strtok_r(words, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
		char *type = strchr(word, ':');
		*type++ = '\0';
		char *reference = strchr(type, '@');
		if (reference != NULL)
			*reference++ = '\0';
		add_node(out, word, type, reference);
	}
	free(words);
	leat_buf_add_text(out, "],'edges':[");
	words = leat_strdup(edges);
	for (char *word = strtok_r(words, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
		char *to = strchr(word, '>');
		*to++ = '\0';
		leat_buf_printf(out, "%s['%s','%s']", out->data[out->len - 1] == '[' ? "" : ",", word, to);
	}
	free(words);
	leat_buf_add_text(out, "]}");
}

/* `expected` begins behind `definition: `. */
static inline void expect_graph(const char *nodes, const char *edges, const char *expected)
{
	LEAT_BUF_SCOPED definition = LEAT_BUF_INIT;
	LEAT_BUF_SCOPED text = LEAT_BUF_INIT;
	graph(&definition, nodes, edges);
	leat_buf_printf(&text, "definition: %s", expected != NULL ? expected : "");
	expect_definition(definition.data, expected != NULL ? text.data : NULL);
}

#endif
