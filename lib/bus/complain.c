/*
 * Warnings that the same cause may raise thousands of times a second (a login without a permission, a full reconnect buffer), once a
 * minute each. A table of hashes is enough: with more distinct texts than places the oldest makes room and may be logged again sooner.
 */
#include "internal.h"

#include "leat/hash.h"

#include "leat/log.h"

#include <stdarg.h>
#include <stdio.h>

#define QUIET_MS 60000

static bool is_due(struct leat_bus *bus, uint64_t hash, int64_t now_ms)
{
	struct bus_complaint *oldest = &bus->complaints[0];
	for (size_t i = 0; i < BUS_COMPLAINTS; i++) {
		struct bus_complaint *complaint = &bus->complaints[i];
		if (complaint->hash == hash && complaint->until_ms > now_ms)
			return false;
		if (complaint->until_ms < oldest->until_ms)
			oldest = complaint;
	}
	*oldest = (struct bus_complaint){.hash = hash, .until_ms = now_ms + QUIET_MS};
	return true;
}

void bus_complain(struct leat_bus *bus, const char *format, ...)
{
	char text[512];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	pthread_mutex_lock(&bus->complaints_lock);
	bool due = is_due(bus, leat_hash_text(text), leat_clock_ms());
	pthread_mutex_unlock(&bus->complaints_lock);
	if (due)
		leat_log(LEAT_LOG_WARN, "bus", "%s", text);
}
