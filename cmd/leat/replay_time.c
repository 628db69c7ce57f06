/* Times as people give them: RFC 3339, or a duration before now. Pure but for the clock. */
#include "replay.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NS_PER_S INT64_C(1000000000)
#define LONGEST_S INT64_C(3155760000) /* a hundred years */

static bool parse_ago(int64_t *unix_ns, const char *text)
{
	static const struct {
		const char *unit;
		int64_t s;
	} units[] = {{"s", 1}, {"min", 60}, {"m", 60}, {"h", 3600}, {"d", 86400}};
	char *unit;
	if (*text < '0' || *text > '9')
		return false;
	int64_t count = strtoll(text, &unit, 10);
	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		if (strcmp(unit, units[i].unit) == 0 && count <= LONGEST_S / units[i].s) {
			struct timespec now;
			clock_gettime(CLOCK_REALTIME, &now);
			*unix_ns = (now.tv_sec - count * units[i].s) * NS_PER_S + now.tv_nsec;
			return *unix_ns > 0;
		}
	}
	return false;
}

static bool take_fraction(const char **at, int64_t *ns)
{
	int64_t unit = NS_PER_S / 10;
	*ns = 0;
	if (**at != '.')
		return true;
	const char *digits = ++*at;
	for (; **at >= '0' && **at <= '9'; ++*at, unit /= 10)
		*ns += (**at - '0') * unit;
	return *at > digits;
}

/* "Z", "+01:00". */
static bool take_offset(const char *at, int64_t *s)
{
	struct tm offset = {0};
	*s = 0;
	if (strcmp(at, "Z") == 0 || strcmp(at, "z") == 0)
		return true;
	if (*at != '+' && *at != '-')
		return false;
	const char *rest = strptime(at + 1, "%H:%M", &offset);
	*s = (*at == '-' ? -1 : 1) * (offset.tm_hour * INT64_C(3600) + offset.tm_min * INT64_C(60));
	return rest != NULL && *rest == '\0' && rest - at == 6;
}

bool replay_time_parse(int64_t *unix_ns, const char *text)
{
	struct tm utc = {0};
	int64_t ns;
	int64_t offset_s;
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &utc);
	if (rest == NULL)
		return parse_ago(unix_ns, text);
	if (utc.tm_year < 70 || utc.tm_year > 300 || !take_fraction(&rest, &ns) || !take_offset(rest, &offset_s))
		return false;
	*unix_ns = ((int64_t)timegm(&utc) - offset_s) * NS_PER_S + ns;
	return *unix_ns > 0;
}

void replay_time_format(char out[REPLAY_TIME_BYTES], int64_t unix_ns)
{
	time_t seconds = (time_t)(unix_ns / NS_PER_S);
	struct tm utc;
	gmtime_r(&seconds, &utc);
	size_t bytes = strftime(out, REPLAY_TIME_BYTES, "%Y-%m-%dT%H:%M:%S", &utc);
	snprintf(out + bytes, REPLAY_TIME_BYTES - bytes, ".%09dZ", (int)(unix_ns % NS_PER_S));
}
