/*
 * Reads a body from end to end: grammar (RFC 8259), encoding (RFC 3629), and what Postgres can't store.
 *
 * Descends by recursion, as deep as max_nesting lets it. Two ways to fail. Text that is not JSON stops the reading. A fault in what JSON
 * says (a name twice, \u0000, a number out of range) is noted, the first one, and reading goes on, since it may not be JSON at all.
 */
#include "leat/json.h"

#include "json_names.h"

#include <inttypes.h>
#include <string.h>

/* Where in the body a value stands, for error texts. Lives on the stack of the calls that read the value. */
struct place {
	const struct place *up; /* NULL for the body itself */
	struct leat_text name;  /* of a member, as it was sent */
	size_t index;           /* of an item, when there is no name */
};

struct scan {
	const char *start;
	const char *at;
	const char *end;
	int64_t nesting;
	int64_t max_nesting;
	struct leat_json_names names; /* of the objects that are open, outermost first */
	bool faulty;                  /* *err holds a fault already */
	struct leat_error *err;
};

static bool read_value(struct scan *scan, const struct place *place);

/* ---- errors ---- */

static void add_place(struct leat_buf *out, const struct place *place)
{
	if (place->up == NULL)
		return;
	add_place(out, place->up);
	if (place->name.at == NULL)
		leat_buf_printf(out, "[%zu]", place->index);
	else
		leat_buf_printf(out, "%s%s", out->len > 0 ? "." : "", leat_excerpt(place->name).text);
}

/* content.address.lines[3] */
static struct leat_excerpt describe_place(const struct place *place)
{
	LEAT_BUF_SCOPED path = LEAT_BUF_INIT;
	add_place(&path, place);
	if (path.len == 0)
		leat_buf_add_text(&path, "the body");
	return leat_excerpt((struct leat_text){leat_buf_text(&path), path.len});
}

static bool not_json(struct scan *scan, const char *expected)
{
	if (scan->at == scan->end)
		leat_fail(scan->err, LEAT_PERMANENT, LEAT_CODE_INVALID_JSON, "the body is not JSON: it ends after %zu bytes; expected %s",
			(size_t)(scan->end - scan->start), expected);
	else
		leat_fail(scan->err, LEAT_PERMANENT, LEAT_CODE_INVALID_JSON, "the body is not JSON: expected %s at byte %zu, found %s (0x%02X)",
			expected, (size_t)(scan->at - scan->start) + 1, leat_excerpt((struct leat_text){scan->at, 1}).text,
			(unsigned)(unsigned char)*scan->at);
	return false;
}

/* ---- strings ---- */

static bool read_low_surrogate(struct scan *scan)
{
	int32_t low = -1;
	if (scan->end - scan->at >= 2 && scan->at[0] == '\\' && scan->at[1] == 'u')
		low = leat_json_hex4(scan->at + 2, scan->end);
	if (low < 0xDC00 || low > 0xDFFF)
		return not_json(scan, "the second half of a surrogate pair (\\uDC00 to \\uDFFF)");
	scan->at += 6;
	return true;
}

static bool read_escape(struct scan *scan, const struct place *place)
{
	scan->at++;
	if (scan->at == scan->end || strchr("\"\\/bfnrtu", *scan->at) == NULL || *scan->at == '\0')
		return not_json(scan, "one of \" \\ / b f n r t u after a backslash");
	if (*scan->at++ != 'u')
		return true;
	int32_t unit = leat_json_hex4(scan->at, scan->end);
	if (unit < 0)
		return not_json(scan, "four hexadecimal digits after \\u");
	if (unit >= 0xDC00 && unit <= 0xDFFF)
		return not_json(scan, "no second half of a surrogate pair without its first");
	scan->at += 4;
	if (unit >= 0xD800 && unit <= 0xDBFF)
		return read_low_surrogate(scan);
	if (unit == 0 && !scan->faulty) {
		scan->faulty = true;
		leat_fail(scan->err, LEAT_PERMANENT, LEAT_CODE_INVALID_MESSAGE, "%s: the character \\u0000 can't be stored; leave it out",
			describe_place(place).text);
	}
	return true;
}

static bool read_string(struct scan *scan, const struct place *place)
{
	for (scan->at++; scan->at < scan->end;) {
		unsigned char byte = (unsigned char)*scan->at;
		if (byte == '"') {
			scan->at++;
			return true;
		}
		if (byte == '\\') {
			if (!read_escape(scan, place))
				return false;
			continue;
		}
		if (byte < 0x20)
			return not_json(scan, "control characters in texts as escapes (\\n, \\t, \\u001F)");
		size_t length = byte < 0x80 ? 1 : leat_utf8_bytes(scan->at, scan->end);
		if (length == 0)
			return not_json(scan, "UTF-8");
		scan->at += length;
	}
	return not_json(scan, "a closing quote");
}

/* ---- values ---- */

static void skip_space(struct scan *scan)
{
	while (scan->at < scan->end && (*scan->at == ' ' || *scan->at == '\t' || *scan->at == '\n' || *scan->at == '\r'))
		scan->at++;
}

static bool take(struct scan *scan, char byte)
{
	skip_space(scan);
	if (scan->at == scan->end || *scan->at != byte)
		return false;
	scan->at++;
	return true;
}

static bool enter(struct scan *scan, const struct place *place)
{
	if (++scan->nesting <= scan->max_nesting)
		return true;
	leat_fail(scan->err, LEAT_PERMANENT, LEAT_CODE_TOO_LARGE,
		"%s is nested %" PRId64 " levels deep; the limit is %" PRId64 " (--max-nesting)", describe_place(place).text, scan->nesting,
		scan->max_nesting);
	return false;
}

static bool read_member(struct scan *scan, const struct place *object)
{
	skip_space(scan);
	const char *start = scan->at;
	if (start == scan->end || *start != '"')
		return not_json(scan, "a name in double quotes");
	if (!read_string(scan, object))
		return false;
	struct leat_json name = {LEAT_JSON_STRING, {start, (size_t)(scan->at - start)}};
	leat_json_names_add(&scan->names, &name);
	if (!take(scan, ':'))
		return not_json(scan, "a colon after a name");
	struct place place = {.up = object, .name = {start + 1, name.source.bytes - 2}};
	return read_value(scan, &place);
}

static void check_names(struct scan *scan, size_t first_name, const struct place *place)
{
	const struct leat_text *twice = scan->faulty ? NULL : leat_json_names_twice(&scan->names, first_name);
	if (twice == NULL)
		return;
	scan->faulty = true;
	leat_fail(scan->err, LEAT_PERMANENT, LEAT_CODE_INVALID_MESSAGE, "%s: the name \"%s\" stands twice in one object",
		describe_place(place).text, leat_excerpt(*twice).text);
}

static bool read_object(struct scan *scan, const struct place *place)
{
	size_t first_name = scan->names.count;
	if (!enter(scan, place))
		return false;
	scan->at++;
	if (!take(scan, '}')) {
		do {
			if (!read_member(scan, place))
				return false;
		} while (take(scan, ','));
		if (!take(scan, '}'))
			return not_json(scan, "a comma or a closing brace");
	}
	check_names(scan, first_name, place);
	leat_json_names_drop(&scan->names, first_name);
	scan->nesting--;
	return true;
}

static bool read_array(struct scan *scan, const struct place *place)
{
	if (!enter(scan, place))
		return false;
	scan->at++;
	if (!take(scan, ']')) {
		struct place item = {.up = place};
		do {
			if (!read_value(scan, &item))
				return false;
			item.index++;
		} while (take(scan, ','));
		if (!take(scan, ']'))
			return not_json(scan, "a comma or a closing bracket");
	}
	scan->nesting--;
	return true;
}

static bool read_number(struct scan *scan, const struct place *place)
{
	const char *start = scan->at;
	bool storable = false;
	if (!leat_json_number(&scan->at, scan->end, &storable))
		return not_json(scan, "a digit");
	if (!storable && !scan->faulty) {
		scan->faulty = true;
		leat_fail(scan->err, LEAT_PERMANENT, LEAT_CODE_INVALID_MESSAGE,
			"%s: the number %s is beyond a Postgres numeric (131072 digits before the point, 16383 after it); send it as text",
			describe_place(place).text, leat_excerpt((struct leat_text){start, (size_t)(scan->at - start)}).text);
	}
	return true;
}

static bool read_literal(struct scan *scan, const char *literal)
{
	size_t bytes = strlen(literal);
	if ((size_t)(scan->end - scan->at) < bytes || memcmp(scan->at, literal, bytes) != 0)
		return not_json(scan, "a value");
	scan->at += bytes;
	return true;
}

static bool read_value(struct scan *scan, const struct place *place)
{
	skip_space(scan);
	if (scan->at == scan->end)
		return not_json(scan, "a value");
	switch (leat_json_type(*scan->at)) {
	case LEAT_JSON_OBJECT:
		return read_object(scan, place);
	case LEAT_JSON_ARRAY:
		return read_array(scan, place);
	case LEAT_JSON_STRING:
		return read_string(scan, place);
	case LEAT_JSON_NUMBER:
		return read_number(scan, place);
	case LEAT_JSON_BOOL:
		return read_literal(scan, *scan->at == 't' ? "true" : "false");
	case LEAT_JSON_NULL:
		return read_literal(scan, "null");
	case LEAT_JSON_NONE:
		break;
	}
	return not_json(scan, "a value");
}

static bool read_body(struct scan *scan, struct leat_json *out)
{
	if (scan->end - scan->at >= 3 && memcmp(scan->at, "\xEF\xBB\xBF", 3) == 0)
		return not_json(scan, "no byte order mark");
	struct place body = {0};
	skip_space(scan);
	const char *start = scan->at;
	if (!read_value(scan, &body))
		return false;
	*out = (struct leat_json){leat_json_type(*start), {start, (size_t)(scan->at - start)}};
	skip_space(scan);
	return scan->at == scan->end || not_json(scan, "nothing more");
}

enum leat_kind leat_json_check(struct leat_json *out, const char *body, size_t body_bytes, int64_t max_nesting, struct leat_error *err)
{
	struct scan scan = {.start = body, .at = body, .end = body + body_bytes, .max_nesting = max_nesting, .err = err};
	bool good = read_body(&scan, out);
	leat_json_names_free(&scan.names);
	return good && !scan.faulty ? LEAT_OK : LEAT_PERMANENT;
}
