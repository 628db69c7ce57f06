/*
 * Any parameters at all through leat_call_compose, and any answer through leat_call_judge. The first byte picks the node's type and the
 * answer's status; the rest, cut at its first zero byte, is the parameters and then the answer's body.
 *
 * Beyond what the sanitizers see: a request that is composed is one that curl takes as far as it lets itself be asked without a
 * connection, its headers are each on one line, an output is JSON, an error is a text of UTF-8 on one line, and the secret is in neither.
 */
#include "../../lib/run/secrets.h"
#include "leat/call.h"
#include "leat/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TENANT "11111111-2222-4333-8444-555555555555"
#define SECRET "s3cr3t"

static char folder[] = "/tmp/call-fuzz-XXXXXX";
static char tenant_folder[sizeof folder + sizeof TENANT];
static char file[sizeof tenant_folder + 4];

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void remove_folder(void)
{
	unlink(file);
	rmdir(tenant_folder);
	rmdir(folder);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	require(mkdtemp(folder) != NULL);
	snprintf(tenant_folder, sizeof tenant_folder, "%s/" TENANT, folder);
	snprintf(file, sizeof file, "%s/KEY", tenant_folder);
	require(mkdir(tenant_folder, 0700) == 0);
	FILE *out = fopen(file, "w");
	require(out != NULL);
	require(fputs(SECRET, out) >= 0);
	require(fclose(out) == 0);
	atexit(remove_folder);
	return 0;
}

static void check_text(const char *text)
{
	require(leat_text_is_printable((struct leat_text){text, strlen(text)}));
}

static void check_request(const struct leat_http_request *request)
{
	struct leat_json json;
	struct leat_error err;
	for (size_t i = 0; request->headers[i] != NULL; i++)
		check_text(request->headers[i]);
	check_text(request->url);
	require(request->timeout_ms >= 1 && request->timeout_ms <= 600000);
	require(request->body == NULL || leat_json_check(&json, request->body, request->body_bytes, 1000, &err) == LEAT_OK);
}

static bool holds_secret(const struct leat_http_request *request)
{
	for (size_t i = 0; request->headers[i] != NULL; i++)
		if (strstr(request->headers[i], SECRET) != NULL)
			return true;
	return false;
}

static void check_answer(const struct leat_call *call, bool secret, int status, const char *body, size_t body_bytes)
{
	static const enum leat_http_end ends[] = {
		LEAT_HTTP_ANSWERED, LEAT_HTTP_FAILED, LEAT_HTTP_TOO_LARGE, LEAT_HTTP_REFUSED, LEAT_HTTP_UNTRUSTED};
	struct leat_call_verdict verdict;
	struct leat_json json;
	struct leat_error err;
	LEAT_BUF_SCOPED copy = LEAT_BUF_INIT;
	leat_buf_add(&copy, body, body_bytes);
	struct leat_http_answer answer = {.end = ends[status % 4], .status = 200 + status, .body = copy.data, .body_bytes = body_bytes};
	snprintf(answer.why, sizeof answer.why, "%s", copy.data);
	leat_call_judge(&verdict, call, 1, &answer, (uint32_t)body_bytes);
	if (verdict.end == LEAT_CALL_COMPLETED)
		require(leat_json_check(&json, verdict.output.data, verdict.output.len, 63, &err) == LEAT_OK);
	check_text(verdict.error);
	if (secret)
		require(strstr(verdict.error, SECRET) == NULL && strstr(leat_buf_text(&verdict.output), SECRET) == NULL);
	leat_call_verdict_fini(&verdict);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	const char *text = (const char *)data + 1;
	const char *zero = memchr(text, '\0', size - 1);
	size_t bytes = zero != NULL ? (size_t)(zero - text) : size - 1;
	struct leat_params params;
	leat_params_init(&params);
	params.secrets_dir = folder;
	struct leat_call_node node = {
		.kind = data[0] & 1 ? LEAT_NODE_WORKER : LEAT_NODE_HTTP,
		.run_id = TENANT,
		.node_id = "a",
		.params = {text, bytes},
		.secret_headers = (const char *const[]){"A", NULL},
	};
	require(leat_uuid_parse(&node.tenant, TENANT, strlen(TENANT)));
	struct leat_call *call = NULL;
	struct leat_error err;
	if (leat_call_compose(&call, &node, NULL, &params, &err) == LEAT_OK) {
		check_request(leat_call_request(call));
		bool read = holds_secret(leat_call_request(call)) && memmem(text, bytes, SECRET, strlen(SECRET)) == NULL;
		if (zero != NULL)
			check_answer(call, read, data[0], zero + 1, size - 2 - bytes);
	} else {
		require(err.kind == LEAT_PERMANENT && strncmp(err.text, "node \"a\": ", 10) == 0);
		check_text(err.text);
	}
	leat_call_free(call);
	return 0;
}
