#include "leat/embed.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the request ---- */

Test(embed, a_request_holds_the_inputs_in_order_as_json)
{
	static const char *const inputs[] = {"note\n{\"a\": \"\xc3\xa4\"}", "\"quoted\"", ""};
	LEAT_BUF_SCOPED out = LEAT_BUF_INIT;
	leat_embed_write_request(&out, "m-1", inputs, 3);
	cr_expect_str_eq(
		leat_buf_text(&out), "{\"model\":\"m-1\",\"input\":[\"note\\n{\\\"a\\\": \\\"\xc3\xa4\\\"}\",\"\\\"quoted\\\"\",\"\"]}");
}

/* ---- the answer ---- */

static enum leat_kind read_two(const char *body, struct leat_buf vectors[2], struct leat_error *err)
{
	return leat_embed_read_answer(body, strlen(body), 2, vectors, err);
}

Test(embed, vectors_are_put_in_the_order_of_the_inputs)
{
	struct leat_buf vectors[2] = {0};
	struct leat_error err;
	cr_assert_eq(read_two("{\"object\":\"list\",\"usage\":{},\"data\":[{\"object\":\"embedding\",\"index\":1,\"embedding\":[3,4]},"
						  "{\"index\":0,\"embedding\":[1,-2.5]}]}",
					 vectors, &err),
		LEAT_OK, "%s", err.text);
	cr_expect_str_eq(vectors[0].data, "{1,-2.5}");
	cr_expect_str_eq(vectors[1].data, "{3,4}");
	leat_buf_free(&vectors[0]);
	leat_buf_free(&vectors[1]);
}

Test(embed, numbers_are_rounded_to_reals_and_to_no_more)
{
	struct leat_buf vectors[1] = {0};
	struct leat_error err;
	static const char body[] = "{\"data\":[{\"index\":0,\"embedding\":[0.1,1e-60,3.40282346e38,-1e-5,16777217]}]}";
	cr_assert_eq(leat_embed_read_answer(body, strlen(body), 1, vectors, &err), LEAT_OK, "%s", err.text);
	cr_expect_str_eq(vectors[0].data, "{0.100000001,0,3.40282347e+38,-9.99999975e-06,16777216}");
	leat_buf_free(&vectors[0]);
}

Test(embed, anything_else_is_refused)
{
	static const struct {
		const char *body;
		const char *says;
	} cases[] = {
		{"", "expected JSON"},
		{"<html>", "expected JSON"},
		{"{\"data\":[", "expected JSON"},
		{"null", "expected JSON"},
		{"[]", "expected 2 items"},
		{"{}", "expected 2 items"},
		{"{\"data\":{}}", "expected 2 items"},
		{"{\"data\":[{\"index\":0,\"embedding\":[1]}]}", "found 1"},
		{"{\"data\":[{\"index\":0,\"embedding\":[1]},{\"index\":1,\"embedding\":[1]},{\"index\":1,\"embedding\":[1]}]}", "found 3"},
		{"{\"data\":[{\"index\":0,\"embedding\":[1]},{\"index\":0,\"embedding\":[1]}]}", "each once"},
		{"{\"data\":[{\"index\":0,\"embedding\":[1]},{\"index\":2,\"embedding\":[1]}]}", "each once"},
		{"{\"data\":[{\"index\":0,\"embedding\":[1]},{\"index\":-1,\"embedding\":[1]}]}", "each once"},
		{"{\"data\":[{\"index\":0,\"embedding\":[1]},{\"index\":\"1\",\"embedding\":[1]}]}", "each once"},
		{"{\"data\":[{\"index\":0,\"embedding\":[1]},{\"embedding\":[1]}]}", "each once"},
		{"{\"data\":[{\"index\":0,\"embedding\":[1]},7]}", "each once"},
		{"{\"data\":[{\"index\":0,\"embedding\":[1]},{\"index\":1,\"embedding\":[]}]}", "found 0"},
		{"{\"data\":[{\"index\":0,\"embedding\":[1]},{\"index\":1,\"embedding\":\"AAAA\"}]}", "found 0"},
		{"{\"data\":[{\"index\":0,\"embedding\":[1]},{\"index\":1,\"embedding\":[1,2]}]}", "one length"},
		{"{\"data\":[{\"index\":0,\"embedding\":[1]},{\"index\":1,\"embedding\":[null]}]}", "finite"},
		{"{\"data\":[{\"index\":0,\"embedding\":[1]},{\"index\":1,\"embedding\":[\"1\"]}]}", "finite"},
		{"{\"data\":[{\"index\":0,\"embedding\":[1]},{\"index\":1,\"embedding\":[1e39]}]}", "finite"},
		{"{\"data\":[{\"index\":0,\"embedding\":[1]},{\"index\":1,\"embedding\":[NaN]}]}", "expected JSON"},
		{"{\"data\":[{\"index\":0,\"embedding\":[1]},{\"index\":1,\"embedding\":[1e999]}]}", "expected JSON"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct leat_buf vectors[2] = {0};
		struct leat_error err = {.text = ""};
		cr_expect_eq(read_two(cases[i].body, vectors, &err), LEAT_TEMPORARY, "%s", cases[i].body);
		cr_expect_not_null(strstr(err.text, cases[i].says), "%s: %s", cases[i].body, err.text);
		leat_buf_free(&vectors[0]);
		leat_buf_free(&vectors[1]);
	}
}

Test(embed, the_longest_vector_is_read_and_a_longer_one_is_not)
{
	for (int more = 0; more <= 1; more++) {
		struct leat_buf vectors[1] = {0};
		struct leat_error err;
		LEAT_BUF_SCOPED body = LEAT_BUF_INIT;
		leat_buf_add_text(&body, "{\"data\":[{\"index\":0,\"embedding\":[0");
		for (int i = 1; i < LEAT_EMBED_DIMENSIONS + more; i++)
			leat_buf_add_text(&body, ",0");
		leat_buf_add_text(&body, "]}]}");
		cr_expect_eq(leat_embed_read_answer(body.data, body.len, 1, vectors, &err), more == 0 ? LEAT_OK : LEAT_TEMPORARY);
		leat_buf_free(&vectors[0]);
	}
}

/* ---- what a call's end means ---- */

Test(embed, every_end_has_its_verdict)
{
	static const struct {
		enum leat_http_end end;
		int status;
		enum leat_embed_verdict verdict;
	} cases[] = {
		{LEAT_HTTP_ANSWERED, 200, LEAT_EMBED_READ},
		{LEAT_HTTP_ANSWERED, 204, LEAT_EMBED_READ},
		{LEAT_HTTP_ANSWERED, 301, LEAT_EMBED_NOT_SET},
		{LEAT_HTTP_ANSWERED, 400, LEAT_EMBED_APART},
		{LEAT_HTTP_ANSWERED, 401, LEAT_EMBED_NOT_SET},
		{LEAT_HTTP_ANSWERED, 403, LEAT_EMBED_NOT_SET},
		{LEAT_HTTP_ANSWERED, 404, LEAT_EMBED_NOT_SET},
		{LEAT_HTTP_ANSWERED, 408, LEAT_EMBED_LATER},
		{LEAT_HTTP_ANSWERED, 413, LEAT_EMBED_APART},
		{LEAT_HTTP_ANSWERED, 422, LEAT_EMBED_APART},
		{LEAT_HTTP_ANSWERED, 425, LEAT_EMBED_LATER},
		{LEAT_HTTP_ANSWERED, 429, LEAT_EMBED_SLOWER},
		{LEAT_HTTP_ANSWERED, 500, LEAT_EMBED_LATER},
		{LEAT_HTTP_ANSWERED, 503, LEAT_EMBED_LATER},
		{LEAT_HTTP_ANSWERED, 599, LEAT_EMBED_LATER},
		{LEAT_HTTP_FAILED, 0, LEAT_EMBED_LATER},
		{LEAT_HTTP_UNTRUSTED, 0, LEAT_EMBED_LATER},
		{LEAT_HTTP_FAILED, 200, LEAT_EMBED_LATER},
		{LEAT_HTTP_TOO_LARGE, 200, LEAT_EMBED_LATER},
		{LEAT_HTTP_TOO_LARGE, 400, LEAT_EMBED_LATER},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		cr_expect_eq(leat_embed_judge(cases[i].end, cases[i].status), cases[i].verdict, "%d %d", cases[i].end, cases[i].status);
}
