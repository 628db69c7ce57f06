/* Tenants' secrets in real directories: whose they are, how orchestrators lay them out, and that they go out but never come back. */
#include "calls.h"

#include "leat/call.h"
#include "leat/secret.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define A "aaaaaaaa-0000-4000-8000-00000000000a"
#define B "bbbbbbbb-0000-4000-8000-00000000000b"

static struct calls calls;
static char root[PATH_MAX + 100];
static struct leat_params params;

static const char *path_of(const char *name)
{
	static char path[2 * PATH_MAX];
	snprintf(path, sizeof path, "%s/%s", root, name);
	return path;
}

static void folder(const char *name)
{
	cr_assert_eq(mkdir(path_of(name), 0700), 0, "%s", name);
}

static void write_bytes(const char *name, const void *bytes, size_t count)
{
	FILE *file = fopen(path_of(name), "w");
	cr_assert(file != NULL && fwrite(bytes, 1, count, file) == count && fclose(file) == 0, "%s", name);
}

static void write_text(const char *name, const char *text)
{
	write_bytes(name, text, strlen(text));
}

static void move(const char *from, const char *to)
{
	char old[sizeof root + 100];
	snprintf(old, sizeof old, "%s/%s", root, from);
	cr_assert_eq(rename(old, path_of(to)), 0, "%s", from);
}

static void link_to(const char *name, const char *target)
{
	cr_assert_eq(symlink(target, path_of(name)), 0, "%s", name);
}

static void setup(void)
{
	calls_open(&calls);
	snprintf(root, sizeof root, "%s/secrets", calls.rig.folder);
	cr_assert_eq(mkdir(root, 0700), 0);
	folder(A);
	folder(B);
	write_text(B "/THEIRS", "of-tenant-b");
	write_text("SHARED", "of-nobody");
	leat_params_init(&params);
	params.secrets_dir = root;
}

static void teardown(void)
{
	calls_close(&calls);
}

TestSuite(secret, .init = setup, .fini = teardown);

static struct leat_uuid tenant_a(void)
{
	struct leat_uuid tenant;
	cr_assert(leat_uuid_parse(&tenant, A, strlen(A)));
	return tenant;
}

static enum leat_kind get(const char *name, char *out, struct leat_error *err)
{
	struct leat_uuid tenant = tenant_a();
	struct leat_secrets *secrets = leat_secrets_new(root, &tenant);
	struct leat_text value;
	enum leat_kind kind = leat_secrets_get(secrets, (struct leat_text){name, strlen(name)}, &value, err);
	if (kind == LEAT_OK) {
		cr_assert(value.bytes < 200);
		memcpy(out, value.at, value.bytes + 1);
	}
	leat_secrets_free(secrets);
	return kind;
}

static void expect_value(const char *name, const char *value)
{
	char out[200] = "";
	struct leat_error err = {0};
	cr_expect_eq(get(name, out, &err), LEAT_OK, "%s: %s", name, err.text);
	cr_expect_str_eq(out, value, "%s: %s", name, out);
}

static void expect_refusal(const char *name, const char *says)
{
	char out[200];
	struct leat_error err = {0};
	cr_expect_eq(get(name, out, &err), LEAT_PERMANENT, "%s", name);
	cr_expect(strstr(err.text, says) != NULL && strstr(err.text, "tenant-b") == NULL, "%s: %s", name, err.text);
}

/* ---- the files ---- */

Test(secret, a_value_is_the_file_without_its_last_line_break)
{
	write_text(A "/PLAIN", "value");
	write_text(A "/LINE", "value\n");
	write_text(A "/UTF8", "v\xc3\xa4l\xf0\x9f\x94\x91\n");
	expect_value("PLAIN", "value");
	expect_value("LINE", "value");
	expect_value("UTF8", "v\xc3\xa4l\xf0\x9f\x94\x91");
}

Test(secret, a_rotated_one_counts_at_the_next_call)
{
	write_text(A "/KEY", "old");
	expect_value("KEY", "old");
	write_text(A "/KEY.new", "new");
	move(A "/KEY.new", A "/KEY");
	expect_value("KEY", "new");
}

Test(secret, nobody_elses_secret_can_be_named)
{
	static const char missing[] = " (" A "/";
	expect_refusal("THEIRS", missing);
	expect_refusal("SHARED", missing);
	expect_refusal("../" B "/THEIRS", "malformed secret");
	expect_refusal("..", "malformed secret");
	expect_refusal("", "malformed secret");
	expect_refusal("A/B", "malformed secret");
	expect_refusal("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "malformed secret");
	expect_refusal(
		"MISSING", "secret MISSING (" A "/MISSING in LEAT_SECRETS_DIR): the tenant has no such secret; put its value into that file");
}

Test(secret, a_link_that_leads_out_of_the_tenants_directory_is_not_followed)
{
	link_to(A "/OUT", "../" B "/THEIRS");
	char absolute[sizeof root + 100];
	snprintf(absolute, sizeof absolute, "%s/" B "/THEIRS", root);
	link_to(A "/ABSOLUTE", absolute);
	link_to(A "/UP", "../SHARED");
	link_to(A "/LOOP", "LOOP");
	link_to(A "/away", "../" B);
	link_to(A "/THROUGH", "away/THEIRS");
	link_to(A "/PROC", "/proc/self/environ");
	static const char *const names[] = {"OUT", "ABSOLUTE", "UP", "LOOP", "THROUGH", "PROC"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		expect_refusal(names[i], "the tenant has no such secret");
	move(A, "gone");
	link_to(A, B);
	expect_refusal("THEIRS", "the tenant has no such secret");
}

/* One volume a tenant: NAME -> ..data/NAME, ..data -> ..2024_01_01. One for all: <tenant> -> ..data/<tenant>. */
Test(secret, kubernetes_layouts_are_read)
{
	folder(A "/..2024_01_01");
	write_text(A "/..2024_01_01/KEY", "mounted\n");
	link_to(A "/..data", "..2024_01_01");
	link_to(A "/KEY", "..data/KEY");
	expect_value("KEY", "mounted");

	size_t used = strlen(root);
	snprintf(root + used, sizeof root - used, "/whole");
	cr_assert_eq(mkdir(root, 0700), 0);
	folder("..2024_01_02");
	folder("..2024_01_02/" A);
	folder("..2024_01_02/" B);
	write_text("..2024_01_02/" A "/KEY", "of all\n");
	write_text("..2024_01_02/" B "/THEIRS", "of-tenant-b");
	link_to("..data", "..2024_01_02");
	link_to(A, "..data/" A);
	expect_value("KEY", "of all");
	expect_refusal("THEIRS", "the tenant has no such secret");
	cr_assert_eq(unlink(path_of(A)), 0);
	link_to(A, "..data/" B);
	expect_refusal("THEIRS", "the tenant has no such secret");
}

Test(secret, what_can_not_stand_in_a_header_is_refused_and_never_quoted)
{
	char large[LEAT_SECRET_BYTES + 2];
	memset(large, 'x', sizeof large);
	write_text(A "/EMPTY", "");
	write_text(A "/BLANK", "\n");
	write_text(A "/LINES", "of-tenant-b\nX: y\n");
	write_text(A "/CR", "of-tenant-b\r\n");
	write_bytes(A "/NUL", "of-tenant-b\0x", 13);
	write_text(A "/LATIN1", "of-tenant-b\xe4");
	write_bytes(A "/LARGE", large, LEAT_SECRET_BYTES + 1);
	write_bytes(A "/LARGER", large, LEAT_SECRET_BYTES + 2);
	folder(A "/FOLDER");
	cr_assert_eq(mkfifo(path_of(A "/FIFO"), 0600), 0);
	expect_refusal("EMPTY", "the file is empty");
	expect_refusal("BLANK", "the file is empty");
	expect_refusal("LINES", "control character");
	expect_refusal("CR", "control character");
	expect_refusal("NUL", "control character");
	expect_refusal("LATIN1", "not UTF-8");
	expect_refusal("LARGE", "longer than 65536 bytes");
	expect_refusal("LARGER", "longer than 65536 bytes");
	expect_refusal("FOLDER", "it is not a file");
	expect_refusal("FIFO", "it is not a file"); /* and nobody waits for a writer */
}

Test(secret, the_longest_is_read)
{
	char large[LEAT_SECRET_BYTES + 1];
	memset(large, 'x', LEAT_SECRET_BYTES);
	large[LEAT_SECRET_BYTES] = '\n';
	write_bytes(A "/LONG", large, sizeof large);
	struct leat_uuid tenant = tenant_a();
	struct leat_secrets *secrets = leat_secrets_new(root, &tenant);
	struct leat_text value;
	struct leat_error err;
	cr_assert_eq(leat_secrets_get(secrets, (struct leat_text){"LONG", 4}, &value, &err), LEAT_OK, "%s", err.text);
	cr_expect(value.bytes == LEAT_SECRET_BYTES && value.at[value.bytes] == '\0');
	leat_secrets_free(secrets);
}

/* ---- out, and never back ---- */

#define KEY "sk-\"S3CR3T\"/0123+4567"

static struct leat_call_verdict run(const char *path, const char *more, struct leat_http_answer *answer)
{
	LEAT_BUF_SCOPED text = LEAT_BUF_INIT;
	leat_buf_printf(&text,
		"{\"url\":\"%s%s\",\"method\":\"POST\",\"max_attempts\":1,\"headers\":{\"Authorization\":\"Bearer ${secret:KEY}, "
		"${secret:KEY}\"}%s}",
		calls.endpoint.base, path, more);
	const struct leat_call_node node = {.tenant = tenant_a(),
		.kind = LEAT_NODE_HTTP,
		.run_id = A,
		.node_id = "a",
		.params = {text.data, text.len},
		.secret_headers = (const char *const[]){"Authorization", NULL}};
	struct leat_egress *egress = calls_allow(&calls, "127.0.0.1:#");
	struct leat_call *call;
	struct leat_call_verdict verdict;
	struct leat_error err;
	cr_assert_eq(leat_call_compose(&call, &node, egress, &params, &err), LEAT_OK, "%s", err.text);
	cr_assert_eq(leat_call_start(call, calls.http, &verdict, NULL, &err), LEAT_OK, "%s", err.text);
	*answer = calls_next(&calls);
	cr_assert_eq(answer->opaque, &verdict);
	leat_call_judge(&verdict, call, 1, answer, 0);
	leat_call_free(call);
	leat_egress_free(egress);
	return verdict;
}

Test(secret, it_reaches_the_server_and_is_taken_out_of_what_comes_back)
{
	struct leat_http_answer answer;
	write_text(A "/KEY", KEY "\n");
	struct leat_call_verdict verdict = run("/echo", ",\"body\":{\"n\":1.10}", &answer);
	cr_expect_eq(verdict.end, LEAT_CALL_COMPLETED, "%s", verdict.error);
	cr_expect_not_null(strstr(answer.body, "\"authorization\":\"Bearer sk-\\\"S3CR3T\\\"/0123+4567, sk-"), "%s", answer.body);
	cr_expect_not_null(strstr(answer.body, "{\\\"n\\\":1.10}"), "%s", answer.body);
	cr_expect_not_null(strstr(verdict.output.data, "\"authorization\":\"Bearer [redacted], [redacted]\""), "%s", verdict.output.data);
	cr_expect_null(strstr(verdict.output.data, "S3CR3T"));
	leat_call_verdict_fini(&verdict);
	leat_http_answer_free(&answer);
}

Test(secret, it_is_taken_out_of_errors)
{
	struct leat_http_answer answer;
	write_text(A "/KEY", KEY);
	struct leat_call_verdict verdict = run("/do/401", "", &answer);
	cr_expect_eq(verdict.end, LEAT_CALL_FAILED);
	cr_expect_not_null(strstr(answer.body, "S3CR3T"), "%s", answer.body);
	cr_expect(strstr(verdict.error, "not good: Bearer [redacted], [redacted]") != NULL && strstr(verdict.error, "S3CR3T") == NULL, "%s",
		verdict.error);
	leat_call_verdict_fini(&verdict);
	leat_http_answer_free(&answer);
}
