/* Nothing here can fail: what can't be shown is shown as an escape. */
#include "show.h"

#include "leat/json.h"
#include "leat/text.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* ---- text ---- */

static uint32_t decode(const char *at, size_t bytes)
{
	unsigned char first = (unsigned char)at[0];
	uint32_t point = bytes == 1 ? first : first & (0xFFu >> (bytes + 1));
	for (size_t i = 1; i < bytes; i++)
		point = point << 6 | ((unsigned char)at[i] & 0x3Fu);
	return point;
}

/* C0, DEL, C1; line and paragraph separators; marks that change direction; zero-width and tag characters. */
static bool is_harmless(uint32_t point)
{
	return !(point < 0x20 || (point >= 0x7F && point < 0xA0) || point == 0xAD || point == 0x61C || (point >= 0x200B && point <= 0x200F) ||
		(point >= 0x2028 && point <= 0x202E) || (point >= 0x2060 && point <= 0x206F) || point == 0xFEFF ||
		(point >= 0xE0000 && point <= 0xE007F));
}

static void add_escape(struct leat_buf *out, uint32_t point)
{
	switch (point) {
	case '\n':
		leat_buf_add_text(out, "\\n");
		break;
	case '\r':
		leat_buf_add_text(out, "\\r");
		break;
	case '\t':
		leat_buf_add_text(out, "\\t");
		break;
	default:
		leat_buf_printf(out, point < 0x100 ? "\\x%02" PRIx32 : point < 0x10000 ? "\\u%04" PRIx32 : "\\U%08" PRIx32, point);
	}
}

static void add(struct leat_buf *out, const char *text, size_t bytes, const char *kept)
{
	const char *end = text + bytes;
	for (const char *at = text; at < end;) {
		size_t size = leat_utf8_bytes(at, end);
		uint32_t point = size > 0 ? decode(at, size) : (unsigned char)*at;
		if (size > 0 && (is_harmless(point) || (size == 1 && *at != '\0' && strchr(kept, *at) != NULL)))
			leat_buf_add(out, at, size);
		else
			add_escape(out, point);
		at += size > 0 ? size : 1;
	}
}

void show_text(struct leat_buf *out, const char *text, size_t bytes)
{
	add(out, text, bytes, "");
}

void show_lines(struct leat_buf *out, const char *text, size_t bytes)
{
	add(out, text, bytes, "\n\t");
}

size_t show_width(const char *text)
{
	size_t width = 0;
	for (; *text != '\0'; text++)
		width += ((unsigned char)*text & 0xC0) != 0x80;
	return width;
}

/* ---- JSON ---- */

static void start_line(struct leat_buf *out, size_t depth)
{
	leat_buf_add_text(out, "\n");
	for (size_t i = 0; i < depth; i++)
		leat_buf_add_text(out, "  ");
}

static void add_json(struct leat_buf *out, const struct leat_json *json, size_t depth)
{
	const char *first = json->source.at;
	if (json->type != LEAT_JSON_OBJECT && json->type != LEAT_JSON_ARRAY) {
		show_text(out, first, json->source.bytes);
		return;
	}
	struct leat_json_walk walk = leat_json_walk(json);
	struct leat_json name;
	struct leat_json value;
	bool some = false;
	leat_buf_add(out, first, 1);
	for (; leat_json_next(&walk, &name, &value); some = true) {
		if (some)
			leat_buf_add_text(out, ",");
		start_line(out, depth + 1);
		if (name.type != LEAT_JSON_NONE) {
			show_text(out, name.source.at, name.source.bytes);
			leat_buf_add_text(out, ": ");
		}
		add_json(out, &value, depth + 1);
	}
	if (some)
		start_line(out, depth);
	leat_buf_add(out, first + json->source.bytes - 1, 1);
}

void show_json(struct leat_buf *out, const struct leat_json *json)
{
	add_json(out, json, 0);
}

/* ---- bytes ---- */

#define ROW_BYTES 16

void show_bytes(struct leat_buf *out, const char *bytes, size_t count)
{
	for (size_t row = 0; row < count; row += ROW_BYTES) {
		leat_buf_printf(out, "%08zx ", row);
		for (size_t i = row; i < row + ROW_BYTES; i++) {
			if (i < count)
				leat_buf_printf(out, " %02x", (unsigned char)bytes[i]);
			else
				leat_buf_add_text(out, "   ");
		}
		leat_buf_add_text(out, "  ");
		for (size_t i = row; i < row + ROW_BYTES && i < count; i++)
			leat_buf_printf(out, "%c", bytes[i] >= ' ' && bytes[i] < 0x7F ? bytes[i] : '.');
		leat_buf_add_text(out, "\n");
	}
}

/* ---- quantities ---- */

void show_time(char out[SHOW_BYTES], int64_t unix_ns)
{
	time_t seconds = (time_t)(unix_ns / 1000000000);
	struct tm utc;
	if (unix_ns == 0 || gmtime_r(&seconds, &utc) == NULL || strftime(out, SHOW_BYTES, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0)
		snprintf(out, SHOW_BYTES, "-");
}

void show_duration(char out[SHOW_BYTES], int64_t ms)
{
	static const struct {
		int64_t ms;
		const char *unit;
	} units[] = {{86400000, "days"}, {3600000, "h"}, {60000, "min"}, {1000, "s"}};
	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		if (ms >= 2 * units[i].ms) {
			snprintf(out, SHOW_BYTES, "%" PRId64 " %s", ms / units[i].ms, units[i].unit);
			return;
		}
	}
	snprintf(out, SHOW_BYTES, "%" PRId64 " ms", ms > 0 ? ms : 0);
}

void show_size(char out[SHOW_BYTES], uint64_t bytes)
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
	if (bytes < 1024) {
		snprintf(out, SHOW_BYTES, "%" PRIu64 " B", bytes);
		return;
	}
	double size = (double)bytes / 1024;
	size_t unit = 0;
	for (; size >= 1024 && unit + 1 < sizeof units / sizeof *units; unit++)
		size /= 1024;
	snprintf(out, SHOW_BYTES, "%.1f %s", size, units[unit]);
}
