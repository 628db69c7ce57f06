/* Numbers as Postgres numerics: 131072 digits before the point, 16383 after it. The edges were measured with Postgres 15. */
#include "decoding.h"

static void expect_number(const char *number, enum leat_code code)
{
	struct leat_buf body = LEAT_BUF_INIT;
	leat_buf_printf(&body, "{\"entity_id\":\"" ENTITY "\",\"content\":{\"price\":%s}}", number);
	if (code == LEAT_CODE_NONE)
		expect_accepted(SUBJECT("merge"), body.data);
	else
		expect_rejected(SUBJECT("merge"), body.data, code, code == LEAT_CODE_INVALID_MESSAGE ? "content.price: the number" : NULL);
	leat_buf_free(&body);
}

/* <before><digit repeated><after> */
static void expect_long_number(const char *before, char digit, int times, const char *after, enum leat_code code)
{
	LEAT_BUF_SCOPED number = LEAT_BUF_INIT;
	leat_buf_add_text(&number, before);
	for (int i = 0; i < times; i++)
		leat_buf_add(&number, &digit, 1);
	leat_buf_add_text(&number, after);
	expect_number(number.data, code);
}

Test(number, of_any_size_that_fits_is_left_alone)
{
	static const char *const good[] = {"0", "-0", "1", "-1", "12345678901234567890", "-99999999999999999999999999", "0.1", "1E+2", "1e-2",
		"1e0", "0.000", "1.50", "1e308", "1e309", "-1e400", "1e-400", "0e0", "123e-5", "0.5E-10", "1e+0000000000000000000000001"};
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		expect_number(good[i], LEAT_CODE_NONE);
	expect_long_number("", '7', 400, "", LEAT_CODE_NONE);
}

Test(number, that_is_none_is_not_json)
{
	static const char *const bad[] = {"01", "-", "+1", ".5", "1.", "-.5", "1.e1", "1e", "1e+", "1e-", "0x10", "1_000", "--1", "1.2.3",
		"1e1.5", "- 1", "00", "-01", "1e1e1", "\xD9\xA1"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		expect_number(bad[i], LEAT_CODE_INVALID_JSON);
}

Test(number, has_at_most_131072_digits_before_the_point)
{
	expect_number("1e131071", LEAT_CODE_NONE);
	expect_number("1e131072", LEAT_CODE_INVALID_MESSAGE);
	expect_number("-9.9e131071", LEAT_CODE_NONE);
	expect_number("10e131070", LEAT_CODE_NONE);
	expect_number("10e131071", LEAT_CODE_INVALID_MESSAGE);
	expect_number("0.1e131072", LEAT_CODE_NONE);
	expect_number("0.1e131073", LEAT_CODE_INVALID_MESSAGE);
	expect_number("0.001e131074", LEAT_CODE_NONE);
	expect_number("0.001e131075", LEAT_CODE_INVALID_MESSAGE);
	expect_long_number("", '9', 131072, "", LEAT_CODE_NONE);
	expect_long_number("", '9', 131073, "", LEAT_CODE_INVALID_MESSAGE);
	expect_long_number("", '9', 131073, "e-1", LEAT_CODE_NONE);
}

Test(number, has_at_most_16383_digits_behind_the_point)
{
	expect_number("1e-16383", LEAT_CODE_NONE);
	expect_number("1e-16384", LEAT_CODE_INVALID_MESSAGE);
	expect_number("1.5e-16382", LEAT_CODE_NONE);
	expect_number("1.5e-16383", LEAT_CODE_INVALID_MESSAGE);
	expect_long_number("0.", '1', 16383, "", LEAT_CODE_NONE);
	expect_long_number("0.", '1', 16384, "", LEAT_CODE_INVALID_MESSAGE);
	expect_long_number("0.", '0', 16384, "", LEAT_CODE_INVALID_MESSAGE);
	expect_long_number("0.", '1', 16384, "e1", LEAT_CODE_NONE);
}

Test(number, zero_has_no_digits_before_the_point)
{
	expect_number("0e400000", LEAT_CODE_NONE);
	expect_number("0.0e131073", LEAT_CODE_NONE);
	expect_number("0e-16383", LEAT_CODE_NONE);
	expect_number("0e-16384", LEAT_CODE_INVALID_MESSAGE);
	expect_number("0e1073741822", LEAT_CODE_NONE);
	expect_number("0e1073741823", LEAT_CODE_INVALID_MESSAGE);
}

Test(number, with_an_absurd_exponent_is_refused)
{
	expect_number("1e400000", LEAT_CODE_INVALID_MESSAGE);
	expect_number("1e-400000", LEAT_CODE_INVALID_MESSAGE);
	expect_number("0e99999999999999999999999999", LEAT_CODE_INVALID_MESSAGE);
	expect_number("1e-9223372036854775808", LEAT_CODE_INVALID_MESSAGE);
	expect_long_number("1e", '9', 1000, "", LEAT_CODE_INVALID_MESSAGE);
}
