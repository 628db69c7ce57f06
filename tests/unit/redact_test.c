/* What is taken out of answers: values of secrets, in all the forms in which servers echo them. */
#include "../../lib/run/secrets.h"

#include "leat/json.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* A set that holds these values, as if they had been read. */
static struct leat_secrets *hold(const char *const *values)
{
	struct leat_uuid tenant = {{0}};
	struct leat_secrets *secrets = leat_secrets_new("", &tenant);
	for (; *values != NULL; values++) {
		secrets->items = leat_realloc(secrets->items, (secrets->count + 1) * sizeof *secrets->items);
		struct secret *item = &secrets->items[secrets->count++];
		*item = (struct secret){.form_count = 1, .forms = {{leat_strdup(*values), strlen(*values)}}};
		secret_add_forms(item);
	}
	return secrets;
}

#define HOLD(...) hold((const char *const[]){__VA_ARGS__, NULL})

/* In memory of its own, so that the sanitizer sees a read past its end. */
static char *copy_exactly(const char *text, size_t bytes)
{
	char *exact = leat_alloc(bytes);
	memcpy(exact, text, bytes);
	return exact;
}

static void expect_text(struct leat_secrets *secrets, const char *text, const char *expected)
{
	LEAT_BUF_SCOPED out = LEAT_BUF_INIT;
	char *exact = copy_exactly(text, strlen(text));
	leat_secrets_redact(secrets, (struct leat_text){exact, strlen(text)}, &out);
	cr_expect_str_eq(leat_buf_text(&out), expected, "%s: %s, expected %s", text, leat_buf_text(&out), expected);
	free(exact);
}

Test(redact, a_value_is_hidden_wherever_it_stands)
{
	struct leat_secrets *secrets = HOLD("s3cr3t-Value");
	expect_text(secrets, "", "");
	expect_text(secrets, "nothing", "nothing");
	expect_text(secrets, "s3cr3t-Value", "[redacted]");
	expect_text(secrets, "as3cr3t-Values3cr3t-Valueb", "a[redacted][redacted]b");
	expect_text(secrets, "s3cr3t-Valu", "s3cr3t-Valu");
	expect_text(secrets, "s3cr3t-value", "s3cr3t-value");
	expect_text(secrets, "s3cs3cr3t-Value%", "s3c[redacted]%");
	leat_secrets_free(secrets);
}

Test(redact, a_set_without_secrets_changes_nothing)
{
	struct leat_uuid tenant = {{0}};
	struct leat_secrets *secrets = leat_secrets_new("", &tenant);
	LEAT_BUF_SCOPED out = LEAT_BUF_INIT;
	expect_text(secrets, "%41+\\u0041", "%41+\\u0041");
	cr_expect(!leat_secrets_redact_json(secrets, (struct leat_text){"\"a\"", 3}, &out) && out.len == 0);
	leat_secrets_free(secrets);
}

Test(redact, encoded_forms_are_known)
{
	struct leat_secrets *secrets = HOLD("p@ss w\"rd/\xc3\xa4+\\");
	expect_text(secrets, "p%40ss%20w%22rd%2f%C3%A4%2B%5c.", "[redacted].");
	expect_text(secrets, "p@ss+w%22rd%2F%c3%a4%2b%5C", "[redacted]");
	expect_text(secrets, "%70%40%73%73%20%77%22%72%64%2F%C3%A4%2B%5C", "[redacted]");
	expect_text(secrets, "p@ss w\\\"rd/\xc3\xa4+\\\\", "[redacted]");
	expect_text(secrets, "p@ss w\\u0022rd\\/\\u00e4+\\u005C", "[redacted]");
	expect_text(secrets, "p%40ss%2", "p%40ss%2");
	expect_text(secrets, "p@ss w\\u00", "p@ss w\\u00");
	leat_secrets_free(secrets);
	secrets = HOLD("\xf0\x9f\x94\x91key");
	expect_text(secrets, "a\\ud83d\\udd11key", "a[redacted]");
	expect_text(secrets, "a\\ud83d\\ud83dkey \\udd11", "a\\ud83d\\ud83dkey \\udd11");
	leat_secrets_free(secrets);
}

/* An answer within an answer: json_encode of json_encode, encodeURIComponent of encodeURIComponent. */
Test(redact, forms_that_were_encoded_again_are_known)
{
	struct leat_secrets *secrets = HOLD("k3y/O\"+\xc3\xa4");
	expect_text(secrets, "k3y\\\\\\/O\\\\\\\"+\xc3\xa4!", "[redacted]!");
	expect_text(secrets, "\\\\u006b3y\\\\\\\\u002fO\\\\\\\"+\\\\u00e4", "[redacted]");
	expect_text(secrets, "k3y%252FO%2522%252B%25C3%25a4", "[redacted]");
	expect_text(secrets, "k3y%25252FO%252522%25252B%2525C3%2525a4", "[redacted]");
	expect_text(secrets, "k3y\\\\\\", "k3y\\\\\\");
	expect_text(secrets, "k3y%2525", "k3y%2525");
	leat_secrets_free(secrets);
	secrets = HOLD("C:\\a\\b", "\\\\");
	expect_text(secrets, "C:\\\\\\\\a\\\\\\\\b.", "[redacted].");
	expect_text(secrets, "C:\\", "C:\\");
	leat_secrets_free(secrets);
}

/* Else this test would take minutes. */
Test(redact, an_answer_of_backslashes_or_percents_takes_no_time, .timeout = 60)
{
	struct leat_secrets *secrets = HOLD("s3cr3t-Value", "%25%25", "\\\\");
	LEAT_BUF_SCOPED text = LEAT_BUF_INIT;
	LEAT_BUF_SCOPED out = LEAT_BUF_INIT;
	for (int i = 0; i < 500000; i++)
		leat_buf_add_text(&text, i < 250000 ? "\\" : i % 2 == 0 ? "%" : "25");
	leat_secrets_redact(secrets, (struct leat_text){text.data, text.len}, &out);
	cr_expect_gt(out.len, 0);
	leat_secrets_free(secrets);
}

/* base64 of "user:" + value and the like, computed elsewhere: python3 -c 'import base64; …' */
Test(redact, base64_is_known_beside_other_text_too)
{
	struct leat_secrets *secrets = HOLD("hunter2hunter2");
	expect_text(secrets, "aHVudGVyMmh1bnRlcjI=", "[redacted]I=");
	expect_text(secrets, "dTpodW50ZXIyaHVudGVyMg==", "dTp[redacted]g==");
	expect_text(secrets, "dTE6aHVudGVyMmh1bnRlcjI=", "dTE6[redacted]I=");
	expect_text(secrets, "dXNlcjpodW50ZXIyaHVudGVyMg==", "dXNlcjp[redacted]g==");
	expect_text(secrets, "eGh1bnRlcjJodW50ZXIyeA==", "eG[redacted]eA==");
	leat_secrets_free(secrets);
	secrets = HOLD("\xc3\xbf\xc3\xbf\xc3\xbf\xc3\xbf\xc3\xbf");
	expect_text(secrets, "w7/Dv8O/w7/Dvw==", "[redacted]w==");
	expect_text(secrets, "w7_Dv8O_w7_Dvw==", "[redacted]w==");
	expect_text(secrets, "w7%2FDv8O%2Fw7%2FDvw%3D%3D", "[redacted]w%3D%3D");
	leat_secrets_free(secrets);
}

Test(redact, no_part_of_a_longer_secret_is_left_by_a_shorter_one)
{
	struct leat_secrets *secrets = HOLD("abc", "abcdef", "efgh");
	expect_text(secrets, "xabcdefx", "x[redacted]x");
	expect_text(secrets, "xabcdefghx", "x[redacted]x");
	expect_text(secrets, "abcabc-efgh", "[redacted][redacted]-[redacted]");
	leat_secrets_free(secrets);
}

/* ---- JSON ---- */

static void expect_json(struct leat_secrets *secrets, const char *json, const char *expected)
{
	LEAT_BUF_SCOPED out = LEAT_BUF_INIT;
	struct leat_json checked;
	struct leat_error err;
	char *exact = copy_exactly(json, strlen(json));
	bool found = leat_secrets_redact_json(secrets, (struct leat_text){exact, strlen(json)}, &out);
	cr_expect_eq(found, expected != NULL, "%s: %s", json, leat_buf_text(&out));
	cr_expect_str_eq(leat_buf_text(&out), expected != NULL ? expected : "", "%s: %s", json, leat_buf_text(&out));
	cr_expect(!found || leat_json_check(&checked, out.data, out.len, 64, &err) == LEAT_OK);
	free(exact);
}

Test(redact, json_stays_json)
{
	struct leat_secrets *secrets = HOLD("a\"b", "12345", "true", "{");
	expect_json(secrets, "{\"x\":\"a\"}", NULL);
	expect_json(secrets, "null", NULL);
	expect_json(secrets, "[true,1234,{\"\":[]}]", NULL); /* only texts and numbers tell anything */
	expect_json(secrets, "\"a\\\"b\"", "\"[redacted]\"");
	expect_json(
		secrets, "{\"a\\u0022b\" : [ 1 ] , \"k\":\"x a\\\"b\\n\\\\\"}", "{\"[redacted]\" : [ 1 ] , \"k\":\"x [redacted]\\u000a\\\\\"}");
	expect_json(secrets, "12345", "\"[redacted]\"");
	expect_json(secrets, "[1,123456.5e-3,-1]", "[1,\"[redacted]\",-1]");
	expect_json(secrets, "{\"body\":\"{\\\"t\\\":\\\"a\\\\\\\"b\\\"}\"}", "{\"body\":\"[redacted]\\\"t\\\":\\\"[redacted]\\\"}\"}");
	expect_json(secrets, "[\"true\",true]", "[\"[redacted]\",true]");
	leat_secrets_free(secrets);
}
