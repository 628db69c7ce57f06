/* What is JSON and what is not, as the decoder sees it. Samples stand inside the content of a merge, or alone as a body. */
#include "decoding.h"

#include "leat/json.h"

#define HEAD "{\"entity_id\":\"" ENTITY "\",\"content\":{\"x\":"
#define TAIL "}}"

static char *in_content(const char *value)
{
	struct leat_buf body = LEAT_BUF_INIT;
	leat_buf_printf(&body, HEAD "%s" TAIL, value);
	return leat_buf_take(&body);
}

static void expect_value_accepted(const char *value)
{
	char *body = in_content(value);
	expect_accepted(SUBJECT("merge"), body);
	free(body);
}

static void expect_value_rejected(const char *value, enum leat_code code, const char *mentions)
{
	char *body = in_content(value);
	expect_rejected(SUBJECT("merge"), body, code, mentions);
	free(body);
}

/* `{"a":{"a":…{}…}}` inside content: the deepest is at `levels`, the body being 1 and content 2. */
static char *nested(int levels, const char *open, const char *close)
{
	struct leat_buf value = LEAT_BUF_INIT;
	for (int i = 3; i <= levels; i++)
		leat_buf_add_text(&value, open);
	leat_buf_add_text(&value, "null");
	for (int i = 3; i <= levels; i++)
		leat_buf_add_text(&value, close);
	return leat_buf_take(&value);
}

Test(json, takes_what_the_grammar_allows)
{
	static const char *const values[] = {"null", "true", "false", "\"\"", "[]", "{}", "[ ]", "{ }", " [ 1 , 2 ] ", "\t{\r\n\"a\" : 1 }",
		"0", "-0", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\uD83C\\uDF0A\"", "\"é€🌊\xEF\xBF\xBF\x7F\"", "[[],[[]],{},{\"\":{}}]",
		"{\"\":1,\" \":2}", "\"\\ud83c\\udf0a\"", "\"\\uFFFF\"", "\"\xF4\x8F\xBF\xBF\""};
	for (size_t i = 0; i < sizeof values / sizeof *values; i++)
		expect_value_accepted(values[i]);
}

Test(json, refuses_what_it_does_not)
{
	static const char *const values[] = {"", "nul", "True", "nulll", "NaN", "Infinity", "-Infinity", "undefined", "'a'", "\"a", "\"\\x\"",
		"\"\\u12\"", "\"\\u12g4\"", "\"\t\"", "\"\n\"", "\"\x01\"", "[", "]", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "[1}", "{", "{\"a\"",
		"{\"a\":", "{\"a\":1", "{\"a\":1,", "{\"a\":1,}", "{,}", "{a:1}", "{1:1}", "{\"a\" 1}", "{\"a\"::1}", "{\"a\":1 \"b\":2}",
		"{\"a\":1]", "/**/1", "1//", "\"a\"\"b\"", "\"\xFF\"", "\"\xC3\"", "\"\xC0\xAF\"", "\"\xE0\x80\x80\"", "\"\xED\xA0\x80\"",
		"\"\xF4\x90\x80\x80\"", "\"\xF8\x88\x80\x80\x80\"", "\"\\uD800\"", "\"\\uDC00\"", "\"\\uD800x\"", "\"\\uD800\\u0041\"",
		"\"\\uD800\\uD800\"", "\"\\uDC00\\uD800\"", "\"\\uD83C\\n\"", "\xC2\xA0[]"};
	for (size_t i = 0; i < sizeof values / sizeof *values; i++)
		expect_value_rejected(values[i], LEAT_CODE_INVALID_JSON, "byte");
}

Test(json, the_body_is_one_object_and_nothing_else)
{
	static const char *const broken[] = {"", " ", "{", "{}{}", "{} x", "{},", "\xEF\xBB\xBF{}", "\xFF\xFE{\0", "x"};
	for (size_t i = 0; i < sizeof broken / sizeof *broken; i++)
		expect_rejected(SUBJECT("merge"), broken[i], LEAT_CODE_INVALID_JSON, "not JSON");
	static const char *const others[] = {"[]", "null", "true", "\"text\"", "17", " 17", "-1.5e3", "[{}]"};
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		expect_rejected(SUBJECT("merge"), others[i], LEAT_CODE_INVALID_MESSAGE, "expected an object");
	expect_accepted(SUBJECT("delete"), " \r\n{ \"entity_id\" : \"" ENTITY "\" } \t");
}

Test(json, a_nul_byte_is_not_text)
{
	static const char body[] = "{\"entity_id\":\"" ENTITY "\"}";
	DECODED behind = decode_bytes(SUBJECT("delete"), body, sizeof body);
	cr_expect(behind.err.code == LEAT_CODE_INVALID_JSON, "%s", behind.err.text);
	DECODED escape = decode_bytes(SUBJECT("delete"), "{\"a\\\0\":1}", 9);
	cr_expect(escape.err.code == LEAT_CODE_INVALID_JSON, "%s", escape.err.text);
}

/* Every beginning of a body, in memory that ends there: none is accepted and none is read past. */
Test(json, a_body_cut_anywhere_is_refused)
{
	static const char body[] =
		"{\"entity_id\":\"" ENTITY "\",\"content\":{\"a\":[1.5e3,true,null,{\"\\uD83C\\uDF0A\":\"é\\n\"}]},\"respect_locks\":false}";
	for (size_t bytes = 0; bytes < sizeof body - 1; bytes++) {
		DECODED out = decode_bytes(SUBJECT("merge"), body, bytes);
		cr_expect(out.err.code == LEAT_CODE_INVALID_JSON, "%zu bytes: %s", bytes, out.err.text);
	}
	expect_accepted(SUBJECT("merge"), body);
}

Test(json, the_character_nul_is_refused_wherever_it_stands)
{
	expect_value_rejected("\"a\\u0000b\"", LEAT_CODE_INVALID_MESSAGE, "content.x: the character \\u0000");
	expect_value_rejected("[1,{\"k\":[\"\\u0000\"]}]", LEAT_CODE_INVALID_MESSAGE, "content.x[1].k[0]");
	expect_value_rejected("{\"\\u0000\":1}", LEAT_CODE_INVALID_MESSAGE, "content.x");
	expect_value_accepted("\"\\\\u0000\"");
	expect_value_accepted("\"\\u0001\"");
}

Test(json, a_name_twice_is_refused_at_every_level)
{
	expect_value_rejected("1,\"x\":2", LEAT_CODE_INVALID_MESSAGE, "content: the name \"x\"");
	expect_value_rejected("[{\"k\":{\"a\":1,\"b\":2,\"a\":1}}]", LEAT_CODE_INVALID_MESSAGE, "content.x[0].k: the name \"a\"");
	expect_value_rejected("{\"a\":1,\"\\u0061\":1}", LEAT_CODE_INVALID_MESSAGE, "\"a\"");
	expect_value_rejected("{\"é\":1,\"\\u00E9\":1}", LEAT_CODE_INVALID_MESSAGE, "\"é\"");
	expect_value_rejected("{\"€\":1,\"\\u20ac\":1}", LEAT_CODE_INVALID_MESSAGE, "\"€\"");
	expect_value_rejected("{\"🌊\":1,\"\\ud83c\\uDF0A\":1}", LEAT_CODE_INVALID_MESSAGE, "\"🌊\"");
	expect_value_rejected("{\"/\":1,\"\\/\":1}", LEAT_CODE_INVALID_MESSAGE, "\"/\"");
	expect_value_rejected("{\"\\n\":1,\"\\u000A\":1}", LEAT_CODE_INVALID_MESSAGE, "\"?\"");
	expect_value_rejected("{\"\":1,\"\":1}", LEAT_CODE_INVALID_MESSAGE, "\"\"");
	expect_rejected(
		SUBJECT("delete"), "{\"entity_id\":\"" ENTITY "\",\"entity_id\":\"" ENTITY "\"}", LEAT_CODE_INVALID_MESSAGE, "the body");
	expect_value_accepted("[{\"a\":{\"a\":{\"a\":1}}},{\"a\":1}]");
	expect_value_accepted("{\"a\":1,\"A\":2,\"aa\":3,\"\\u00e1\":4}");
}

Test(json, a_name_twice_is_found_among_many)
{
	for (int twice = 0; twice < 2; twice++) {
		LEAT_BUF_SCOPED value = LEAT_BUF_INIT;
		leat_buf_add_text(&value, "{\"name500\":0");
		for (int i = 0; i < 2000; i++)
			if (twice || i != 500)
				leat_buf_printf(&value, ",\"name%d\":{\"a\":1}", i);
		leat_buf_add_text(&value, "}");
		if (twice)
			expect_value_rejected(value.data, LEAT_CODE_INVALID_MESSAGE, "\"name500\"");
		else
			expect_value_accepted(value.data);
	}
}

Test(json, bad_grammar_wins_over_bad_values)
{
	expect_value_rejected("\"\\u0000\"", LEAT_CODE_INVALID_MESSAGE, NULL);
	expect_value_rejected("[\"\\u0000\",]", LEAT_CODE_INVALID_JSON, NULL);
	expect_value_rejected("[1e999999,{\"a\":1,\"a\":1},x]", LEAT_CODE_INVALID_JSON, NULL);
}

/* Quotes and backslashes in every way that they can stand together, as name and as value, alone and inside another value. */
Test(json, a_walk_finds_the_end_of_every_string)
{
	static const char *const strings[] = {
		"\"\"", "\"a\"", "\"\\\"\"", "\"\\\\\"", "\"\\\\\\\"\"", "\"a\\\"}b\"", "\"\\\\\\\\\"", "\",]\\\\\\\",\""};
	for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) {
		char text[128];
		snprintf(text, sizeof text, "{%s:%s,\"n\":[%s,{\"k\":%s}],\"z\":1}", strings[i], strings[i], strings[i], strings[i]);
		const struct leat_json object = {LEAT_JSON_OBJECT, {text, strlen(text)}};
		struct leat_json_walk walk = leat_json_walk(&object);
		struct leat_json name;
		struct leat_json value;
		cr_assert(leat_json_next(&walk, &name, &value));
		cr_expect_eq(name.source.bytes, strlen(strings[i]), "%s", text);
		cr_expect_eq(value.source.bytes, strlen(strings[i]), "%s", text);
		cr_assert(leat_json_next(&walk, &name, &value));
		cr_expect_eq(value.source.bytes, 2 * strlen(strings[i]) + strlen("[,{\"k\":}]"), "%s", text);
		cr_assert(leat_json_next(&walk, &name, &value));
		cr_expect_eq(value.type, LEAT_JSON_NUMBER, "%s", text);
		cr_expect_not(leat_json_next(&walk, &name, &value), "%s", text);
	}
}

Test(json, nesting_may_reach_the_limit)
{
	static const struct {
		const char *open, *close;
	} kinds[] = {{"[", "]"}, {"{\"a\":", "}"}, {" [1,", ", 2 ] "}};
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		char *deepest = nested(64, kinds[i].open, kinds[i].close);
		expect_value_accepted(deepest);
		free(deepest);
		char *deeper = nested(65, kinds[i].open, kinds[i].close);
		expect_value_rejected(deeper, LEAT_CODE_TOO_LARGE, "65 levels deep; the limit is 64");
		free(deeper);
	}
}

Test(json, siblings_do_not_add_to_the_nesting)
{
	LEAT_BUF_SCOPED value = LEAT_BUF_INIT;
	leat_buf_add_text(&value, "[{}");
	for (int i = 0; i < 1000; i++)
		leat_buf_add_text(&value, ",[[]],{\"a\":{}}");
	leat_buf_add_text(&value, "]");
	expect_value_accepted(value.data);
}

Test(json, a_flood_of_brackets_is_refused_at_once)
{
	char *deep = nested(100000, "[", "");
	expect_value_rejected(deep, LEAT_CODE_TOO_LARGE, "nested");
	free(deep);
}
