/* A node's call as a test writes it: parameters are JSON with ' for ". */
#ifndef LEAT_TESTS_CALLING_H
#define LEAT_TESTS_CALLING_H

#include "leat/call.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define RUN "aaaaaaaa-0000-4000-8000-000000000001"

static inline void add_quoted(struct leat_buf *out, const char *text)
{
	for (; *text != '\0'; text++)
		leat_buf_add(out, *text == '\'' ? "\"" : text, 1);
}

static inline enum leat_kind compose(struct leat_call **out, const struct leat_call_node *node, const char *parameters,
	const struct leat_params *params, struct leat_error *err)
{
	LEAT_BUF_SCOPED json = LEAT_BUF_INIT;
	add_quoted(&json, parameters);
	struct leat_call_node whole = *node;
	whole.run_id = RUN;
	whole.node_id = node->node_id != NULL ? node->node_id : "a";
	whole.params = (struct leat_text){json.data, json.len};
	*err = (struct leat_error){0};
	*out = NULL;
	return leat_call_compose(out, &whole, NULL, params, err);
}

static inline struct leat_call *must_compose(const struct leat_call_node *node, const char *parameters, const struct leat_params *params)
{
	struct leat_call *call;
	struct leat_error err;
	cr_assert_eq(compose(&call, node, parameters, params, &err), LEAT_OK, "%s: %s", parameters, err.text);
	return call;
}

/* The whole "Name: value", or NULL. */
static inline const char *find_header(const struct leat_call *call, const char *name)
{
	const struct leat_http_request *request = leat_call_request(call);
	for (size_t i = 0; request->headers[i] != NULL; i++)
		if (strncmp(request->headers[i], name, strlen(name)) == 0 && request->headers[i][strlen(name)] == ':')
			return request->headers[i];
	return NULL;
}

#endif
