/* Each limit at its edge: the largest that is taken, one more that is too_large. */
#include "decoding.h"

static struct leat_params defaults(void)
{
	struct leat_params limits;
	leat_params_init(&limits);
	return limits;
}

static struct decoded decode_limited(const struct leat_params *limits, const char *subject, const struct leat_buf *body)
{
	return decode_with(&(struct leat_raw_intent){.subject = subject, .body = body->data, .body_bytes = body->len}, limits);
}

static void expect_fits(const struct leat_params *limits, const char *subject, const struct leat_buf *body)
{
	DECODED out = decode_limited(limits, subject, body);
	cr_expect(out.kind == LEAT_OK, "%s", out.err.text);
}

static void expect_too_large(const struct leat_params *limits, const char *subject, const struct leat_buf *body, const char *mentions)
{
	DECODED out = decode_limited(limits, subject, body);
	cr_expect(out.kind == LEAT_PERMANENT && out.err.code == LEAT_CODE_TOO_LARGE, "%s", out.err.text);
	cr_expect(strstr(out.err.text, mentions) != NULL, "\"%s\" does not say \"%s\"", out.err.text, mentions);
}

static void add_repeated(struct leat_buf *body, const char *text, size_t times)
{
	for (size_t i = 0; i < times; i++)
		leat_buf_add_text(body, text);
}

static void body_of(struct leat_buf *body, size_t bytes)
{
	static const char head[] = "{\"entity_id\":\"" ENTITY "\",\"content\":{\"a\":\"";
	leat_buf_clear(body);
	leat_buf_add_text(body, head);
	add_repeated(body, "x", bytes - strlen(head) - 3);
	leat_buf_add_text(body, "\"}}");
	cr_assert(body->len == bytes);
}

Test(limit, of_the_body)
{
	struct leat_params limits = defaults();
	LEAT_BUF_SCOPED body = LEAT_BUF_INIT;
	body_of(&body, 524288);
	expect_fits(&limits, SUBJECT("merge"), &body);
	body_of(&body, 524289);
	expect_too_large(&limits, SUBJECT("merge"), &body, "524289 bytes; the limit is 524288");
	limits.max_body_bytes = 2000;
	body_of(&body, 2000);
	expect_fits(&limits, SUBJECT("merge"), &body);
	body_of(&body, 2001);
	expect_too_large(&limits, SUBJECT("merge"), &body, "the limit is 2000");
}

Test(limit, of_the_body_comes_before_its_text)
{
	struct leat_params limits = defaults();
	LEAT_BUF_SCOPED body = LEAT_BUF_INIT;
	add_repeated(&body, "x", 524289);
	expect_too_large(&limits, SUBJECT("merge"), &body, "524289 bytes");
}

static void fields_of(struct leat_buf *body, int in_content, int in_metadata)
{
	leat_buf_clear(body);
	leat_buf_add_text(body, "{\"entity_id\":\"" ENTITY "\",\"content\":{");
	for (int i = 0; i < in_content; i++)
		leat_buf_printf(body, "%s\"f%d\":{\"x\":1,\"y\":2}", i > 0 ? "," : "", i);
	leat_buf_add_text(body, "},\"metadata\":{");
	for (int i = 0; i < in_metadata; i++)
		leat_buf_printf(body, "%s\"f%d\":[]", i > 0 ? "," : "", i);
	leat_buf_add_text(body, "}}");
}

Test(limit, of_fields_counts_content_and_metadata_at_their_top)
{
	struct leat_params limits = defaults();
	LEAT_BUF_SCOPED body = LEAT_BUF_INIT;
	fields_of(&body, 600, 400);
	expect_fits(&limits, SUBJECT("merge"), &body);
	fields_of(&body, 600, 401);
	expect_too_large(&limits, SUBJECT("merge"), &body, "1001 fields; the limit is 1000");
	fields_of(&body, 1000, 0);
	expect_fits(&limits, SUBJECT("merge"), &body);
	fields_of(&body, 0, 1001);
	expect_too_large(&limits, SUBJECT("merge"), &body, "1001 fields");
	limits.max_fields = 2;
	fields_of(&body, 1, 1);
	expect_fits(&limits, SUBJECT("merge"), &body);
	fields_of(&body, 2, 1);
	expect_too_large(&limits, SUBJECT("merge"), &body, "3 fields; the limit is 2");
}

Test(limit, of_fields_counts_the_names_of_an_unset)
{
	struct leat_params limits = defaults();
	for (int names = 1000; names <= 1001; names++) {
		LEAT_BUF_SCOPED body = LEAT_BUF_INIT;
		leat_buf_add_text(&body, "{\"entity_id\":\"" ENTITY "\",\"metadata\":[\"m\"],\"content\":[\"f\"");
		for (int i = 2; i < names; i++)
			leat_buf_printf(&body, ",\"f%d\"", i);
		leat_buf_add_text(&body, "]}");
		if (names == 1000)
			expect_fits(&limits, SUBJECT("unset"), &body);
		else
			expect_too_large(&limits, SUBJECT("unset"), &body, "1001 fields");
	}
}

/* A name of `bytes` bytes, the last two of them one character, sent as an escape or as it is. */
static void name_of(struct leat_buf *body, size_t bytes, const char *before, const char *last, const char *after)
{
	leat_buf_clear(body);
	leat_buf_add_text(body, before);
	add_repeated(body, "n", bytes - 2);
	leat_buf_add_text(body, last);
	leat_buf_add_text(body, after);
}

Test(limit, of_field_names_counts_utf8_bytes)
{
	struct leat_params limits = defaults();
	static const char *const lasts[] = {"é", "\\u00e9"};
	static const char merge[] = "{\"entity_id\":\"" ENTITY "\",\"metadata\":{\"";
	static const char unset[] = "{\"entity_id\":\"" ENTITY "\",\"content\":[\"";
	LEAT_BUF_SCOPED body = LEAT_BUF_INIT;
	for (size_t i = 0; i < 2; i++) {
		name_of(&body, 256, merge, lasts[i], "\":1}}");
		expect_fits(&limits, SUBJECT("merge"), &body);
		name_of(&body, 257, merge, lasts[i], "\":1}}");
		expect_too_large(&limits, SUBJECT("merge"), &body, "257 bytes; the limit is 256");
		name_of(&body, 256, unset, lasts[i], "\"]}");
		expect_fits(&limits, SUBJECT("unset"), &body);
		name_of(&body, 257, unset, lasts[i], "\"]}");
		expect_too_large(&limits, SUBJECT("unset"), &body, "content: the field name \"nnn");
	}
}

Test(limit, of_field_names_is_not_for_what_lies_deeper)
{
	struct leat_params limits = defaults();
	LEAT_BUF_SCOPED body = LEAT_BUF_INIT;
	name_of(&body, 1000, "{\"entity_id\":\"" ENTITY "\",\"content\":{\"a\":{\"", "é", "\":1}}}");
	expect_fits(&limits, SUBJECT("merge"), &body);
}

Test(limit, of_keys_counts_utf8_bytes)
{
	struct leat_params limits = defaults();
	static const char *const lasts[] = {"é", "\\u00e9"};
	LEAT_BUF_SCOPED body = LEAT_BUF_INIT;
	for (size_t i = 0; i < 2; i++) {
		name_of(&body, 512, "{\"entity_type\":\"t\",\"key\":\"", lasts[i], "\"}");
		expect_fits(&limits, SUBJECT("upsert"), &body);
		name_of(&body, 513, "{\"entity_type\":\"t\",\"key\":\"", lasts[i], "\"}");
		expect_too_large(&limits, SUBJECT("upsert"), &body, "key: it has 513 bytes; the limit is 512");
	}
}

Test(limit, of_nesting_is_a_setting)
{
	struct leat_params limits = defaults();
	LEAT_BUF_SCOPED body = LEAT_BUF_INIT;
	limits.max_nesting = 3;
	leat_buf_add_text(&body, "{\"entity_id\":\"" ENTITY "\",\"content\":{\"a\":[1]}}");
	expect_fits(&limits, SUBJECT("merge"), &body);
	limits.max_nesting = 2;
	expect_too_large(&limits, SUBJECT("merge"), &body, "content.a is nested 3 levels deep; the limit is 2");
	limits.max_nesting = 1000;
	for (int levels = 1000; levels <= 1001; levels++) {
		leat_buf_clear(&body);
		leat_buf_add_text(&body, "{\"entity_id\":\"" ENTITY "\",\"content\":{\"a\":");
		add_repeated(&body, "[", (size_t)levels - 2);
		add_repeated(&body, "]", (size_t)levels - 2);
		leat_buf_add_text(&body, "}}");
		if (levels == 1000)
			expect_fits(&limits, SUBJECT("merge"), &body);
		else
			expect_too_large(&limits, SUBJECT("merge"), &body, "1001 levels");
	}
}

/* What a person reads, and Postgres and NATS must take, is UTF-8 and short, whatever was sent. */
Test(limit, of_what_an_error_repeats)
{
	struct leat_params limits = defaults();
	LEAT_BUF_SCOPED body = LEAT_BUF_INIT;
	leat_buf_add_text(&body, "{\"");
	add_repeated(&body, "🌊", 1000);
	leat_buf_add_text(&body, "\":1}");
	DECODED out = decode_limited(&limits, SUBJECT("delete"), &body);
	cr_expect(out.err.code == LEAT_CODE_INVALID_MESSAGE);
	cr_expect(strstr(out.err.text, "🌊🌊…\"; it has entity_id") != NULL, "%s", out.err.text);
}
