#include "leat/uuid.h"

#include <criterion/criterion.h>
#include <string.h>

static struct leat_uuid parsed(const char *text)
{
	struct leat_uuid uuid;
	cr_assert(leat_uuid_parse(&uuid, text, strlen(text)), "%s", text);
	return uuid;
}

Test(uuid, parses_either_case_and_formats_lower)
{
	char text[LEAT_UUID_TEXT_BYTES];
	struct leat_uuid uuid = parsed("0123ABCD-ef01-2345-6789-ABCDEF012345");
	leat_uuid_format(&uuid, text);
	cr_expect_str_eq(text, "0123abcd-ef01-2345-6789-abcdef012345");
	cr_expect(uuid.bytes[0] == 0x01 && uuid.bytes[15] == 0x45);
}

Test(uuid, anything_else_is_refused_and_leaves_the_value_alone)
{
	static const char *const bad[] = {"", "0123abcd", "0123abcd-ef01-2345-6789-abcdef01234", "0123abcd-ef01-2345-6789-abcdef0123456",
		"{123abcd-ef01-2345-6789-abcdef01234}", "0123abcdef0123456789abcdef0123450000", "0123abcd-ef01-2345-6789-abcdef01234g",
		"0123abcd-ef01-2345-67890abcdef012345", " 123abcd-ef01-2345-6789-abcdef012345", "0123abcd-ef01-2345-6789-abcdef01234 ",
		"0x23abcd-ef01-2345-6789-abcdef012345", "-123abcd-ef01-2345-6789-abcdef012345", "0123abcde-f01-2345-6789-abcdef012345"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct leat_uuid uuid = parsed("ffffffff-ffff-ffff-ffff-ffffffffffff");
		struct leat_uuid before = uuid;
		cr_expect(!leat_uuid_parse(&uuid, bad[i], strlen(bad[i])), "%s", bad[i]);
		cr_expect(memcmp(&uuid, &before, sizeof uuid) == 0, "%s", bad[i]);
	}
}

Test(uuid, a_nul_inside_is_refused)
{
	struct leat_uuid uuid;
	cr_expect(!leat_uuid_parse(&uuid, "0123abcd-ef01-2345-6789-abcdef01234\0", 36));
}

Test(uuid, compares_as_bytes)
{
	struct leat_uuid low = parsed("00000000-0000-0000-0000-0000000000ff");
	struct leat_uuid high = parsed("01000000-0000-0000-0000-000000000000");
	cr_expect(leat_uuid_compare(&low, &high) < 0);
	cr_expect(leat_uuid_compare(&high, &low) > 0);
	cr_expect(leat_uuid_compare(&low, &low) == 0);
}

/* The example of Python's uuid module, which follows RFC 4122 appendix C. */
Test(uuid, from_name_is_version_5)
{
	struct leat_uuid dns = parsed("6ba7b810-9dad-11d1-80b4-00c04fd430c8");
	struct leat_uuid expected = parsed("886313e1-3b8a-5372-9b90-0c9aee199e5d");
	struct leat_uuid made;
	leat_uuid_from_name(&made, &dns, "python.org", 10);
	cr_expect(leat_uuid_compare(&made, &expected) == 0);
}

Test(uuid, random_ones_are_version_4_and_differ)
{
	struct leat_uuid a, b;
	leat_uuid_random(&a);
	leat_uuid_random(&b);
	cr_expect(leat_uuid_compare(&a, &b) != 0);
	cr_expect((a.bytes[6] & 0xF0) == 0x40);
	cr_expect((a.bytes[8] & 0xC0) == 0x80);
}
