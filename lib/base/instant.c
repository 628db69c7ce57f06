/* Instants as people write them: RFC 3339, or a duration before now. */
#include "leat/instant.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NS_PER_S INT64_C(1000000000)
#define LONGEST_S INT64_C(3155760000) /* a hundred years */
#define FIRST_YEAR (1970 - 1900)
#define LAST_YEAR (2200 - 1900)

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool parse_ago(int64_t *unix_ns, const char *text, int64_t now_ns)
{
	static const struct {
		const char *unit;
		int64_t s;
	} units[] = {{"s", 1}, {"min", 60}, {"m", 60}, {"h", 3600}, {"d", 86400}};
	char *unit;
	if (!is_digit(*text))
		return false;
	int64_t count = strtoll(text, &unit, 10); /* INT64_MAX where it is more than that */
	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		if (strcmp(unit, units[i].unit) != 0 || count > LONGEST_S / units[i].s || now_ns <= count * units[i].s * NS_PER_S)
			continue;
		*unix_ns = now_ns - count * units[i].s * NS_PER_S;
		return true;
	}
	return false;
}

/* Digits behind the ninth count for nothing. */
static bool take_fraction(const char **at, int64_t *ns)
{
	int64_t unit = NS_PER_S / 10;
	*ns = 0;
	if (**at != '.')
		return true;
	const char *digits = ++*at;
	for (; is_digit(**at); ++*at, unit /= 10)
		*ns += (**at - '0') * unit;
	return *at > digits;
}

/* "Z", "+01:00", to the end of the text. */
static bool take_offset(const char *at, int64_t *s)
{
	*s = 0;
	if (strcmp(at, "Z") == 0 || strcmp(at, "z") == 0)
		return true;
	if ((*at != '+' && *at != '-') || strlen(at) != strlen("+hh:mm") || at[3] != ':')
		return false;
	if (!is_digit(at[1]) || !is_digit(at[2]) || !is_digit(at[4]) || !is_digit(at[5]))
		return false;
	int hours = (at[1] - '0') * 10 + at[2] - '0';
	int minutes = (at[4] - '0') * 10 + at[5] - '0';
	*s = (*at == '-' ? -1 : 1) * (hours * INT64_C(3600) + minutes * INT64_C(60));
	return hours < 24 && minutes < 60;
}

/* strptime takes signs, blanks and single digits, and any day of a month. */
static bool looks_like(const char *shape, const char *text)
{
	for (; *shape != '\0'; shape++, text++) {
		if (*shape == '0' ? !is_digit(*text) : *text != *shape)
			return false;
	}
	return true;
}

static bool to_seconds(struct tm utc, int64_t *s)
{
	int day = utc.tm_mday;
	*s = (int64_t)timegm(&utc);
	return utc.tm_mday == day && utc.tm_year >= FIRST_YEAR && utc.tm_year <= LAST_YEAR;
}

/* A date alone has none. */
static bool take_time(const char *at, struct tm *utc, int64_t *ns, int64_t *offset_s)
{
	if (*at == '\0')
		return true;
	if (!looks_like("T00:00:00", at))
		return false;
	at = strptime(at, "T%H:%M:%S", utc);
	return at != NULL && take_fraction(&at, ns) && take_offset(at, offset_s);
}

bool leat_instant_parse(int64_t *unix_ns, const char *text, int64_t now_ns)
{
	struct tm utc = {0};
	int64_t s;
	int64_t ns = 0;
	int64_t offset_s = 0;
	if (!looks_like("0000-00-00", text))
		return parse_ago(unix_ns, text, now_ns);
	const char *rest = strptime(text, "%Y-%m-%d", &utc);
	if (rest == NULL || !take_time(rest, &utc, &ns, &offset_s) || !to_seconds(utc, &s) || (s - offset_s) * NS_PER_S + ns <= 0)
		return false;
	*unix_ns = (s - offset_s) * NS_PER_S + ns;
	return true;
}

int64_t leat_instant_now(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * NS_PER_S + now.tv_nsec;
}

void leat_instant_format(char out[LEAT_INSTANT_BYTES], int64_t unix_ns)
{
	time_t seconds = (time_t)(unix_ns / NS_PER_S);
	struct tm utc;
	gmtime_r(&seconds, &utc);
	size_t bytes = strftime(out, LEAT_INSTANT_BYTES, "%Y-%m-%dT%H:%M:%S", &utc);
	snprintf(out + bytes, LEAT_INSTANT_BYTES - bytes, ".%09dZ", (int)(unix_ns % NS_PER_S));
}
