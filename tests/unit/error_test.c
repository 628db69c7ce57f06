#include "leat/error.h"

#include <criterion/criterion.h>
#include <string.h>

Test(error, every_code_has_its_own_name)
{
	for (enum leat_code a = LEAT_CODE_INVALID_JSON; a <= LEAT_CODE_INTERNAL; a++) {
		cr_expect(strlen(leat_code_name(a)) > 0);
		for (enum leat_code b = LEAT_CODE_NONE; b < a; b++)
			cr_expect_str_neq(leat_code_name(a), leat_code_name(b));
	}
	cr_expect_str_eq(leat_code_name(LEAT_CODE_NONE), "");
	cr_expect_str_eq(leat_code_name(LEAT_CODE_TOO_LARGE), "too_large");
}

Test(error, fail_fills_in_and_returns_the_kind)
{
	struct leat_error err;
	cr_expect(leat_fail(&err, LEAT_TEMPORARY, LEAT_CODE_INTERNAL, "%s is away", "Postgres") == LEAT_TEMPORARY);
	cr_expect(err.kind == LEAT_TEMPORARY);
	cr_expect(err.code == LEAT_CODE_INTERNAL);
	cr_expect_str_eq(err.text, "Postgres is away");
}

Test(error, each_level_adds_its_phrase)
{
	struct leat_error err;
	leat_fail(&err, LEAT_PERMANENT, LEAT_CODE_NOT_FOUND, "no such stream");
	cr_expect(leat_fail_while(&err, "opening %s", "LEAT_ENTITY") == LEAT_PERMANENT);
	cr_expect_str_eq(err.text, "opening LEAT_ENTITY: no such stream");
	cr_expect(err.code == LEAT_CODE_NOT_FOUND);
}

/* Characters of two, three and four bytes, shifted so that the cut falls on each of their bytes. */
static void expect_cut_between_characters(const char *character)
{
	size_t bytes = strlen(character);
	for (size_t shift = 0; shift < 4; shift++) {
		char text[700] = "xxxx";
		size_t used = shift;
		while (used + bytes < sizeof text) {
			memcpy(text + used, character, bytes);
			used += bytes;
		}
		text[used] = '\0';
		struct leat_error err;
		leat_fail(&err, LEAT_PERMANENT, LEAT_CODE_INTERNAL, "%s", text);
		size_t length = strlen(err.text);
		cr_expect(length > sizeof err.text - 10);
		cr_expect((length - shift) % bytes == 0, "%s, shift %zu: cut after %zu bytes", character, shift, length);
		leat_fail_while(&err, "y");
		length = strlen(err.text);
		cr_expect((length - shift - 3) % bytes == 0, "%s, shift %zu, with a phrase: cut after %zu bytes", character, shift, length);
	}
}

Test(error, long_texts_are_cut_between_characters)
{
	expect_cut_between_characters("é");
	expect_cut_between_characters("€");
	expect_cut_between_characters("🌊");
}

Test(error, a_text_that_just_fits_is_whole)
{
	struct leat_error err;
	char text[sizeof err.text];
	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	leat_fail(&err, LEAT_PERMANENT, LEAT_CODE_INTERNAL, "%s", text);
	cr_expect_str_eq(err.text, text);
}
