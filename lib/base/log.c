#include "leat/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static enum leat_log_level lowest = LEAT_LOG_INFO;

void leat_log_set_level(enum leat_log_level level)
{
	lowest = level;
}

void leat_log(enum leat_log_level level, const char *who, const char *format, ...)
{
	static const char *const names[] = {"debug", "info", "warn", "error"};
	if (level < lowest)
		return;
	struct timespec now;
	struct tm utc;
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	char line[1024];
	size_t used = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &utc);
	used += (size_t)snprintf(line + used, sizeof line - used, ".%03dZ %s %s: ", (int)(now.tv_nsec / 1000000), names[level], who);
	va_list args;
	va_start(args, format);
	int length = vsnprintf(line + used, sizeof line - used - 1, format, args);
	va_end(args);
	if (length > 0)
		used += (size_t)length < sizeof line - used - 1 ? (size_t)length : sizeof line - used - 2;
	line[used++] = '\n';
	if (write(STDERR_FILENO, line, used) < 0)
		return; /* nowhere left to say so */
}
