#include "leat/instant.h"

#include <criterion/criterion.h>
#include <inttypes.h>

#define S INT64_C(1000000000)
#define NOW (INT64_C(1795000000) * S + 123456789)

Test(instant, rfc_3339_and_dates_are_read_to_the_nanosecond)
{
	static const struct {
		const char *text;
		int64_t unix_ns;
	} cases[] = {
		{"1970-01-01T00:00:01Z", S},
		{"1970-01-02", 86400 * S},
		{"2001-09-09T01:46:40Z", 1000000000 * S},
		{"2001-09-09T01:46:40z", 1000000000 * S},
		{"2001-09-09T01:46:40.5Z", 1000000000 * S + S / 2},
		{"2001-09-09T01:46:40.000000001Z", 1000000000 * S + 1},
		{"2001-09-09T01:46:40.1234567899Z", 1000000000 * S + 123456789},
		{"2001-09-09T03:46:40+02:00", 1000000000 * S},
		{"2001-09-08T22:16:40.25-03:30", 1000000000 * S + S / 4},
		{"2024-02-29", INT64_C(1709164800) * S},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		int64_t found = -1;
		cr_expect(leat_instant_parse(&found, cases[i].text, NOW), "%s", cases[i].text);
		cr_expect_eq(found, cases[i].unix_ns, "%s is %" PRId64, cases[i].text, found);
	}
}

Test(instant, how_long_ago_counts_from_now)
{
	static const struct {
		const char *text;
		int64_t s;
	} cases[] = {{"0s", 0}, {"90s", 90}, {"30min", 1800}, {"30m", 1800}, {"2h", 7200}, {"7d", 604800}, {"007d", 604800}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		int64_t found = -1;
		cr_expect(leat_instant_parse(&found, cases[i].text, NOW), "%s", cases[i].text);
		cr_expect_eq(found, NOW - cases[i].s * S, "%s is %" PRId64, cases[i].text, found);
	}
}

Test(instant, anything_else_is_refused_and_changes_nothing)
{
	static const char *const bad[] = {"", " ", "yesterday", "7", "-7d", "+7d", "7 d", "7days", "d", "1.5h", "99999999999999999999s",
		"36600d", "1970-01-01", "1970-01-01T00:00:00Z", "1969-12-31", "0001-01-01T00:00:00Z", "2201-01-01", "2026-13-01", "2026-00-01",
		"2026-02-30", "2023-02-29", "2026-1-1", "26-01-01", "2026-01-01T", "2026-01-01T10:00Z", "2026-01-01T10:00:00",
		"2026-01-01 10:00:00Z", "2026-01-01T10:00:00.Z", "2026-01-01T10:00:00.5", "2026-01-01T25:00:00Z", "2026-01-01T10:61:00Z",
		"2026-01-01T10:00:00+1:00", "2026-01-01T10:00:00+0100", "2026-01-01T10:00:00+24:00", "2026-01-01T10:00:00+01:60",
		"2026-01-01T10:00:00Zz", "2026-01-01x"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		int64_t found = 42;
		cr_expect(!leat_instant_parse(&found, bad[i], NOW), "\"%s\" is %" PRId64, bad[i], found);
		cr_expect_eq(found, 42, "\"%s\"", bad[i]);
	}
	int64_t found = 42;
	cr_expect(!leat_instant_parse(&found, "1h", 3600 * S), "nothing is before 1970");
}

Test(instant, what_is_written_is_read_as_the_same)
{
	static const int64_t instants[] = {1, S - 1, S, NOW, INT64_C(7258118399) * S};
	for (size_t i = 0; i < sizeof instants / sizeof *instants; i++) {
		char text[LEAT_INSTANT_BYTES];
		int64_t found = -1;
		leat_instant_format(text, instants[i]);
		cr_expect(leat_instant_parse(&found, text, NOW), "%s", text);
		cr_expect_eq(found, instants[i], "%s", text);
	}
	char text[LEAT_INSTANT_BYTES];
	leat_instant_format(text, 1000000000 * S + 5);
	cr_expect_str_eq(text, "2001-09-09T01:46:40.000000005Z");
}
