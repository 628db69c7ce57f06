/* Where calls may go, with a real server on loopback: names that lead there, and the forms in which one may write its address. */
#include "calls.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct calls calls;

static void setup(void)
{
	calls_open(&calls);
}

static void teardown(void)
{
	calls_close(&calls);
}

TestSuite(egress_http, .init = setup, .fini = teardown);

/* One GET of http://<host>:<the endpoint's port><path>, with this list. */
static enum leat_kind get(const char *list, const char *host, const char *path, struct leat_http_answer *answer, struct leat_error *err)
{
	char url[400];
	struct leat_egress *egress = calls_allow(&calls, list);
	snprintf(url, sizeof url, "http://%s:%d%s", host, calls.endpoint.port, path);
	const struct leat_http_request request = {
		.method = "GET", .url = url, .timeout_ms = 20000, .response_bytes = 1 << 20, .egress = egress};
	*answer = (struct leat_http_answer){0};
	enum leat_kind kind = leat_http_start(calls.http, &request, NULL, err);
	if (kind == LEAT_OK)
		*answer = calls_next(&calls);
	leat_egress_free(egress);
	return kind;
}

static void expect_status(const char *list, const char *host, const char *path, int status)
{
	struct leat_http_answer answer;
	struct leat_error err = {0};
	enum leat_kind kind = get(list, host, path, &answer, &err);
	cr_expect(
		kind == LEAT_OK && answer.end == LEAT_HTTP_ANSWERED && answer.status == status, "[%s] %s: %s%s", list, host, err.text, answer.why);
	leat_http_answer_free(&answer);
}

/* Refused either before the name is resolved, or at its address. */
static void expect_refusal(const char *list, const char *host, const char *says)
{
	struct leat_http_answer answer;
	struct leat_error err = {0};
	enum leat_kind kind = get(list, host, "/echo", &answer, &err);
	const char *text = kind == LEAT_OK ? answer.why : err.text;
	cr_expect(kind == LEAT_OK ? answer.end == LEAT_HTTP_REFUSED : err.code == LEAT_CODE_FORBIDDEN, "[%s] %s: %s", list, host, text);
	cr_expect(strstr(text, says) != NULL && strstr(text, "LEAT_ALLOW_HOSTS") != NULL, "[%s] %s: %s", list, host, text);
	leat_http_answer_free(&answer);
}

Test(egress_http, loopback_is_reached_only_when_it_is_listed)
{
	expect_refusal("", "127.0.0.1", "is empty");
	expect_refusal("*", "127.0.0.1", "does not list it");
	expect_refusal("*:#", "127.0.0.1", "(loopback)");
	expect_refusal("127.0.0.1", "127.0.0.1", "does not list it"); /* ports 80 and 443 */
	expect_status("127.0.0.1:#", "127.0.0.1", "/echo", 200);
	expect_refusal("*:#", "169.254.169.254", "(metadata)");
	cr_expect_eq(calls_count_connections(&calls), 1);
}

Test(egress_http, a_name_that_leads_to_loopback_is_no_way_round)
{
	expect_refusal("*:#", "localhost", "localhost, a name that leads to ");
	expect_status("localhost:#", "localhost", "/echo", 200);
	expect_status("*:#,127.0.0.1:#", "localhost", "/echo", 200);
	char name[256];
	cr_assert_eq(gethostname(name, sizeof name), 0);
	expect_refusal("127.0.0.1:#", name, "does not list it"); /* not resolved at all */
}

Test(egress_http, no_form_of_an_address_is_a_way_round)
{
	static const char *const forms[] = {"2130706433", "0x7f000001", "0177.0.0.1", "127.1", "127.0.1", "0x7f.1", "%31%32%37.0.0.1", "[::1]",
		"[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "0", "0.0.0.0", "[::]"};
	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
		expect_refusal("*:#", forms[i], "(");
	cr_expect_eq(calls_count_connections(&calls), 0);
}

/* A list of one address serves all its forms. */
Test(egress_http, forms_of_a_listed_address_are_the_same_address)
{
	static const char *const forms[] = {"127.0.0.1", "2130706433", "127.1", "[::ffff:127.0.0.1]"};
	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
		expect_status("127.0.0.1:#", forms[i], "/echo", 200);
}

Test(egress_http, a_redirect_leads_nowhere)
{
	expect_status("127.0.0.1:#", "127.0.0.1", "/do/redirect", 307);
	cr_expect_eq(calls_count_connections(&calls), 1);
}

Test(egress_http, calls_one_after_the_other_share_a_connection)
{
	for (int i = 0; i < 10; i++)
		expect_status("127.0.0.1:#", "127.0.0.1", "/echo", 200);
	cr_expect_eq(calls_count_connections(&calls), 1);
}
