/*
 * Composes a node's HTTP request from its parameters, whose references have been replaced.
 *
 * Happy path: the parameters are checked against the table's rows once more, since a reference may have brought anything; then each is put
 * into its place, with the tenant's secrets in the headers that may hold them; then come the headers that are Leat's. It fails at the first
 * fault, with the node and the parameter: `node "a": headers: Authorization: secret KEY (…): …`.
 */
#include "call.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct composing {
	struct leat_call *call;
	const struct leat_call_node *node;
	const struct leat_node_type *type;
	struct leat_json values[LEAT_NODE_PARAMS]; /* in the order of the type's parameters; LEAT_JSON_NONE: left out */
	struct leat_buf scratch;
	struct leat_error *err;
};

static bool equals(struct leat_text text, const char *word)
{
	return text.bytes == strlen(word) && memcmp(text.at, word, text.bytes) == 0;
}

static char *copy(struct leat_text text)
{
	char *out = leat_alloc(text.bytes + 1);
	memcpy(out, text.at, text.bytes);
	out[text.bytes] = '\0';
	return out;
}

/* ---- the parameters ---- */

static enum leat_kind check_param(struct composing *composing, size_t index, const struct leat_json *value)
{
	const struct leat_node_param *param = &composing->type->params[index];
	composing->values[index] = *value;
	if (leat_node_check_value(param, value, composing->call->params, composing->err) != LEAT_OK)
		return leat_fail_while(composing->err, "%s", param->name);
	return LEAT_OK;
}

static enum leat_kind check_member(struct composing *composing, const struct leat_json *name, const struct leat_json *value)
{
	struct leat_text text = leat_json_text(name, &composing->scratch);
	for (size_t i = 0; i < leat_node_param_count(composing->type); i++)
		if (equals(text, composing->type->params[i].name))
			return check_param(composing, i, value);
	return LEAT_OK;
}

static enum leat_kind check_required(const struct composing *composing)
{
	for (size_t i = 0; i < leat_node_param_count(composing->type); i++)
		if (composing->type->params[i].required && composing->values[i].type == LEAT_JSON_NONE)
			return leat_fail(composing->err, LEAT_PERMANENT, LEAT_CODE_INVALID_MESSAGE, "%s is missing", composing->type->params[i].name);
	return LEAT_OK;
}

/* An output may be as deep as an intent may be, and stand as deep in a parameter. */
static enum leat_kind read_params(struct composing *composing)
{
	struct leat_json params;
	struct leat_text text = composing->node->params;
	if (leat_json_check(&params, text.at, text.bytes, 2 * composing->call->params->max_nesting + 2, composing->err) != LEAT_OK)
		return leat_fail_while(composing->err, "parameters");
	if (params.type != LEAT_JSON_OBJECT)
		return leat_fail(composing->err, LEAT_PERMANENT, LEAT_CODE_INVALID_MESSAGE, "parameters: expected an object, found %s",
			leat_json_describe(&params).text);
	struct leat_json_walk walk = leat_json_walk(&params);
	for (struct leat_json name, value; leat_json_next(&walk, &name, &value);)
		if (check_member(composing, &name, &value) != LEAT_OK)
			return LEAT_PERMANENT;
	return check_required(composing);
}

/* NULL when it was left out. */
static const struct leat_json *get(const struct composing *composing, const char *name)
{
	size_t index = 0;
	while (strcmp(composing->type->params[index].name, name) != 0)
		index++;
	return composing->values[index].type != LEAT_JSON_NONE ? &composing->values[index] : NULL;
}

static int64_t get_number(const struct composing *composing, const char *name, int64_t otherwise)
{
	const struct leat_json *value = get(composing, name);
	return value != NULL ? strtoll(value->source.at, NULL, 10) : otherwise; /* a whole number, by its check */
}

/* ---- the node's headers ---- */

static void add_header(struct leat_call *call, char *header)
{
	assert(call->header_count + 1 < CALL_HEADERS);
	call->headers[call->header_count++] = header;
}

/* Where the next ${secret:NAME} of a text begins and ends; false when there is none. */
static bool find_secret(struct leat_text text, struct leat_text *whole, struct leat_text *name)
{
	static const char opening[] = "${secret:";
	const char *end = text.at + text.bytes;
	const char *at = memmem(text.at, text.bytes, opening, strlen(opening));
	const char *close = at != NULL ? memchr(at, '}', (size_t)(end - at)) : NULL;
	if (close == NULL)
		return false;
	*whole = (struct leat_text){at, (size_t)(close + 1 - at)};
	*name = (struct leat_text){at + strlen(opening), (size_t)(close - at) - strlen(opening)};
	return true;
}

/* Writes the text with its secrets to `out`, or only counts the bytes when that is NULL, so that memory is taken once and no copy stays. */
static enum leat_kind put_secrets(struct composing *composing, struct leat_text text, char *out, size_t *bytes)
{
	struct leat_text whole;
	struct leat_text name;
	*bytes = 0;
	for (bool more = true; more;) {
		more = find_secret(text, &whole, &name);
		struct leat_text plain = {text.at, more ? (size_t)(whole.at - text.at) : text.bytes};
		struct leat_text secret = {"", 0};
		if (more && leat_secrets_get(composing->call->secrets, name, &secret, composing->err) != LEAT_OK)
			return LEAT_PERMANENT;
		if (out != NULL) {
			memcpy(out + *bytes, plain.at, plain.bytes);
			memcpy(out + *bytes + plain.bytes, secret.at, secret.bytes);
		}
		*bytes += plain.bytes + secret.bytes;
		size_t read = plain.bytes + (more ? whole.bytes : 0);
		text = (struct leat_text){text.at + read, text.bytes - read};
	}
	return LEAT_OK;
}

static enum leat_kind add_secret_header(struct composing *composing, const char *name, struct leat_text value)
{
	size_t bytes;
	if (put_secrets(composing, value, NULL, &bytes) != LEAT_OK)
		return leat_fail_while(composing->err, "headers: %s", name);
	size_t before = strlen(name) + strlen(": ");
	char *header = leat_alloc_zero(before + bytes + 1, 1);
	stpcpy(stpcpy(header, name), ": ");
	enum leat_kind kind = put_secrets(composing, value, header + before, &bytes);
	assert(kind == LEAT_OK); /* all have been read */
	add_header(composing->call, header);
	return LEAT_OK;
}

static bool may_hold_secrets(const struct leat_call_node *node, const char *name)
{
	for (size_t i = 0; node->secret_headers != NULL && node->secret_headers[i] != NULL; i++)
		if (strcasecmp(node->secret_headers[i], name) == 0)
			return true;
	return false;
}

static enum leat_kind add_node_header(struct composing *composing, const struct leat_json *name, const struct leat_json *value)
{
	LEAT_BUF_SCOPED header = LEAT_BUF_INIT;
	struct leat_text text = leat_json_text(name, &composing->scratch);
	leat_buf_add(&header, text.at, text.bytes);
	text = leat_json_text(value, &composing->scratch);
	if (may_hold_secrets(composing->node, header.data))
		return add_secret_header(composing, header.data, text);
	leat_buf_add_text(&header, ": ");
	leat_buf_add(&header, text.at, text.bytes);
	add_header(composing->call, leat_buf_take(&header));
	return LEAT_OK;
}

static enum leat_kind add_node_headers(struct composing *composing)
{
	const struct leat_json *headers = get(composing, "headers");
	if (headers == NULL)
		return LEAT_OK;
	struct leat_json_walk walk = leat_json_walk(headers);
	for (struct leat_json name, value; leat_json_next(&walk, &name, &value);)
		if (add_node_header(composing, &name, &value) != LEAT_OK)
			return LEAT_PERMANENT;
	return LEAT_OK;
}

/* ---- ours ---- */

static bool has_header(const struct leat_call *call, const char *name)
{
	size_t bytes = strlen(name);
	for (size_t i = 0; i < call->header_count; i++)
		if (strncasecmp(call->headers[i], name, bytes) == 0 && call->headers[i][bytes] == ':')
			return true;
	return false;
}

static void add_our_header(struct leat_call *call, const char *name, const char *value)
{
	LEAT_BUF_SCOPED header = LEAT_BUF_INIT;
	leat_buf_printf(&header, "%s: %s", name, value);
	add_header(call, leat_buf_take(&header));
}

static void add_our_headers(const struct composing *composing)
{
	struct leat_call *call = composing->call;
	const struct leat_call_node *node = composing->node;
	char text[256];
	int length = snprintf(text, sizeof text, "%s/%s/%" PRId64, node->run_id, node->node_id, node->generation);
	assert(length > 0 && length < (int)sizeof text);
	add_our_header(call, "Idempotency-Key", text);
	if (call->body != NULL && !has_header(call, "Content-Type"))
		add_our_header(call, "Content-Type", "application/json");
	if (node->traceparent != NULL && !has_header(call, "traceparent"))
		add_our_header(call, "traceparent", node->traceparent);
	if (node->kind != LEAT_NODE_WORKER)
		return;
	snprintf(text, sizeof text, "%" PRId64, node->attempt);
	add_our_header(call, "Leat-Run", node->run_id);
	add_our_header(call, "Leat-Node", node->node_id);
	add_our_header(call, "Leat-Attempt", text);
}

/* ---- the request ---- */

static enum leat_kind fill(struct composing *composing)
{
	struct leat_call *call = composing->call;
	const struct leat_json *method = get(composing, "method");
	const struct leat_json *body = get(composing, "body");
	struct leat_text verb = {"GET", 3};
	if (method != NULL)
		verb = leat_json_text(method, &composing->scratch);
	else if (call->kind == LEAT_NODE_WORKER)
		verb = (struct leat_text){"POST", 4};
	snprintf(call->method, sizeof call->method, "%.*s", (int)verb.bytes, verb.at);
	if (body != NULL && strcmp(call->method, "HEAD") == 0)
		return leat_fail(composing->err, LEAT_PERMANENT, LEAT_CODE_INVALID_MESSAGE, "body: HEAD sends none; leave it out, or use POST");
	call->url = copy(leat_json_text(get(composing, "url"), &composing->scratch));
	call->body = body != NULL ? copy(body->source) : NULL;
	call->max_attempts = get_number(composing, "max_attempts", call->params->call_attempts);
	if (add_node_headers(composing) != LEAT_OK)
		return LEAT_PERMANENT;
	add_our_headers(composing);
	call->request.method = call->method;
	call->request.url = call->url;
	call->request.headers = (const char *const *)call->headers;
	call->request.body = call->body;
	call->request.body_bytes = body != NULL ? body->source.bytes : 0;
	call->request.timeout_ms = get_number(composing, "timeout_ms", call->params->call_timeout_ms);
	call->request.response_bytes = (size_t)call->params->call_response_bytes;
	return LEAT_OK;
}

enum leat_kind leat_call_compose(struct leat_call **out, const struct leat_call_node *node, const struct leat_egress *egress,
	const struct leat_params *params, struct leat_error *err)
{
	assert(node->kind == LEAT_NODE_HTTP || node->kind == LEAT_NODE_WORKER);
	size_t rows;
	struct leat_call *call = leat_alloc_zero(1, sizeof *call);
	struct composing composing = {.call = call, .node = node, .type = &leat_node_table(&rows)[node->kind], .err = err};
	call->kind = node->kind;
	call->params = params;
	call->node_id = leat_strdup(node->node_id);
	call->request.egress = egress;
	call->secrets = leat_secrets_new(params->secrets_dir, &node->tenant);
	enum leat_kind kind = read_params(&composing);
	if (kind == LEAT_OK)
		kind = fill(&composing);
	leat_buf_free(&composing.scratch);
	if (kind == LEAT_OK) {
		*out = call;
	} else {
		leat_fail_while(err, "node \"%s\"", node->node_id);
		leat_call_free(call);
	}
	return kind;
}

void leat_call_free(struct leat_call *call)
{
	if (call == NULL)
		return;
	for (size_t i = 0; i < call->header_count; i++) {
		explicit_bzero(call->headers[i], strlen(call->headers[i]));
		free(call->headers[i]);
	}
	leat_secrets_free(call->secrets);
	free(call->url);
	free(call->body);
	free(call->node_id);
	free(call);
}

const struct leat_http_request *leat_call_request(const struct leat_call *call)
{
	return &call->request;
}

int64_t leat_call_max_attempts(const struct leat_call *call)
{
	return call->max_attempts;
}

enum leat_kind leat_call_start(
	const struct leat_call *call, struct leat_http *http, void *opaque, struct leat_http_call **out, struct leat_error *err)
{
	struct leat_http_request request = call->request;
	request.opaque = opaque;
	if (leat_http_start(http, &request, out, err) == LEAT_OK)
		return LEAT_OK;
	return leat_fail_while(err, "node \"%s\"", call->node_id);
}
