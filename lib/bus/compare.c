/* Settings of a stream or durable that the server has, beside those that we would give it: each that differs is told, as people write it.
 */
#include "internal.h"

#include <inttypes.h>
#include <string.h>

#define UNLIMITED (-1)

static bool is_duration(const char *setting)
{
	static const char *const durations[] = {"max_age", "duplicate_window", "ack_wait"};
	for (size_t i = 0; i < sizeof durations / sizeof *durations; i++) {
		if (strcmp(setting, durations[i]) == 0)
			return true;
	}
	return false;
}

static void add_duration(struct leat_buf *out, int64_t ns)
{
	static const struct {
		const char *unit;
		int64_t ms;
	} units[] = {{"h", 3600000}, {"min", 60000}, {"s", 1000}, {"ms", 1}};
	int64_t ms = ns / BUS_NS_PER_MS;
	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		if (ms > 0 && ms % units[i].ms == 0) {
			leat_buf_printf(out, "%" PRId64 "%s", ms / units[i].ms, units[i].unit);
			return;
		}
	}
	leat_buf_add_text(out, "unlimited");
}

static void add_value(struct leat_buf *out, const char *setting, const json_t *value)
{
	if (json_is_string(value)) {
		leat_buf_add_text(out, *json_string_value(value) != '\0' ? json_string_value(value) : "none");
	} else if (json_is_array(value)) {
		for (size_t i = 0; i < json_array_size(value); i++)
			leat_buf_printf(out, "%s%s", i > 0 ? " " : "", json_string_value(json_array_get(value, i)));
	} else if (is_duration(setting)) {
		add_duration(out, json_integer_value(value));
	} else if (json_integer_value(value) == UNLIMITED) {
		leat_buf_add_text(out, "unlimited");
	} else if (json_is_integer(value)) {
		leat_buf_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	} else {
		leat_buf_add_text(out, "none");
	}
}

/* The server leaves out what is empty. */
static bool is_equal(const json_t *expected, const json_t *found)
{
	if (found == NULL && json_is_string(expected))
		return *json_string_value(expected) == '\0';
	return json_equal(expected, found);
}

void bus_compare(json_t *expected, const json_t *found, leat_bus_tell *tell, void *argument)
{
	for (void *at = json_object_iter(expected); at != NULL; at = json_object_iter_next(expected, at)) {
		const char *setting = json_object_iter_key(at);
		const json_t *wanted = json_object_iter_value(at);
		const json_t *other = json_object_get(found, setting);
		if (is_equal(wanted, other))
			continue;
		LEAT_BUF_SCOPED is = LEAT_BUF_INIT;
		LEAT_BUF_SCOPED should_be = LEAT_BUF_INIT;
		add_value(&is, setting, other);
		add_value(&should_be, setting, wanted);
		tell(argument, setting, leat_buf_text(&is), leat_buf_text(&should_be));
	}
}
