/*
 * Takes secrets out of what came back: their values, and the forms that servers give to what they echo.
 *
 * Happy path: at each byte of the text, every form of every secret is compared in three ways: byte by byte, with %XX taken for the byte
 * that it stands for, and with JSON's escapes taken for theirs; the latter two however often they were applied. What matches is hidden, up
 * to the end of the longest match; matches that overlap are hidden as one. Nothing can fail.
 */
#include "secrets.h"

#include "leat/json.h"

#include <assert.h>
#include <string.h>

#define HIDDEN "[redacted]"
#define BACKSLASHES 64
#define BASE64_LEAST 8 /* shorter ones would be found where they are not */

/* ---- forms ---- */

/* The sextet that begins at a bit of the value; bits that are not the value's are 0. */
static unsigned sextet(struct leat_text value, size_t bit)
{
	size_t byte = bit / 8;
	unsigned first = (unsigned char)value.at[byte];
	unsigned second = byte + 1 < value.bytes ? (unsigned char)value.at[byte + 1] : 0;
	return ((first << 8 | second) >> (10 - bit % 8)) & 0x3f;
}

/*
 * What of the value's base64 does not depend on what stands beside it, when it begins `shift` bytes behind a group of three: the sextets
 * that lie wholly in it.
 */
static void add_base64(struct secret *secret, size_t shift, const char *alphabet)
{
	static const size_t first_bits[] = {0, 4, 2}; /* of the first such sextet */
	struct leat_text value = {secret->forms[0].text, secret->forms[0].bytes};
	size_t first = first_bits[shift];
	size_t count = value.bytes * 8 > first ? (value.bytes * 8 - first) / 6 : 0;
	if (count < BASE64_LEAST)
		return;
	char *text = leat_alloc(count + 1);
	for (size_t i = 0; i < count; i++)
		text[i] = alphabet[sextet(value, first + i * 6)];
	text[count] = '\0';
	secret->forms[secret->form_count++] = (struct secret_form){text, count};
}

void secret_add_forms(struct secret *secret)
{
	static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	static const char for_urls[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	static_assert(1 + 3 * 2 == SECRET_FORMS, "the value, and three places in two alphabets");
	for (size_t shift = 0; shift < 3; shift++) {
		add_base64(secret, shift, standard);
		add_base64(secret, shift, for_urls);
	}
}

/* ---- comparing ---- */

/* One unit of a text: the bytes that it stands for; returns what lies behind it. */
typedef const char *unit_reader(const char *at, const char *end, char out[4], size_t *bytes);

static const char *read_plain(const char *at, const char *end, char out[4], size_t *bytes)
{
	(void)end;
	out[0] = *at;
	*bytes = 1;
	return at + 1;
}

/* The byte of two hexadecimal digits; -1 when they are none. */
static int32_t percent_value(const char *digits, const char *end)
{
	char four[4] = "00";
	if (end - digits < 2)
		return -1;
	memcpy(four + 2, digits, 2);
	return leat_json_hex4(four, four + 4);
}

static const char *read_percent(const char *at, const char *end, char out[4], size_t *bytes)
{
	int32_t value = *at == '%' ? percent_value(at + 1, end) : -1;
	if (value < 0)
		return read_plain(at, end, out, bytes);
	out[0] = (char)value;
	*bytes = 1;
	return at + 3;
}

/* Encoded more than once: %252F, %25252F. */
static const char *read_percents(const char *at, const char *end, char out[4], size_t *bytes)
{
	const char *digits = at + 1;
	if (*at != '%' || percent_value(digits, end) < 0)
		return read_plain(at, end, out, bytes);
	while (percent_value(digits, end) == '%' && percent_value(digits + 2, end) >= 0)
		digits += 2;
	out[0] = (char)percent_value(digits, end);
	*bytes = 1;
	return digits + 2;
}

static const char *read_form(const char *at, const char *end, char out[4], size_t *bytes)
{
	if (*at != '+')
		return read_percent(at, end, out, bytes);
	out[0] = ' ';
	*bytes = 1;
	return at + 1;
}

static const char *read_escaped(const char *at, const char *end, char out[4], size_t *bytes)
{
	if (*at != '\\' || end - at < 2)
		return read_plain(at, end, out, bytes);
	if (at[1] != 'u')
		return read_plain(at + 1, end, out, bytes);
	LEAT_BUF_SCOPED scratch = LEAT_BUF_INIT;
	for (size_t length = 6; length <= 12; length += 6) { /* one \uXXXX, or the two of a pair */
		char quoted[14];
		struct leat_json string;
		struct leat_error ignored;
		if ((size_t)(end - at) < length)
			break;
		quoted[0] = quoted[length + 1] = '"';
		memcpy(quoted + 1, at, length);
		if (leat_json_check(&string, quoted, length + 2, 1, &ignored) != LEAT_OK)
			continue;
		struct leat_text text = leat_json_text(&string, &scratch);
		assert(text.bytes <= 4);
		memcpy(out, text.at, text.bytes);
		*bytes = text.bytes;
		return at + length;
	}
	return read_plain(at, end, out, bytes);
}

/* Where the form ends that begins at `at`; NULL when none does. */
static const char *match(const struct secret_form *form, const char *at, const char *end, unit_reader *read)
{
	char unit[4];
	size_t bytes = 0;
	size_t matched = 0;
	while (matched < form->bytes && at < end) {
		at = read(at, end, unit, &bytes);
		if (bytes > form->bytes - matched || memcmp(form->text + matched, unit, bytes) != 0)
			return NULL;
		matched += bytes;
	}
	return matched == form->bytes ? at : NULL;
}

/* Six texts within each other; a limit, or an answer of nothing else would be read from each of its bytes to its end. */
static const char *skip_backslashes(const char *at, const char *end)
{
	for (int i = 0; i < BACKSLASHES && at < end && *at == '\\'; i++)
		at++;
	return at;
}

/* The same in texts within texts, however deep: backslashes count for nothing on either side, but before a \uXXXX. */
static const char *match_deep(const struct secret_form *form, const char *at, const char *end)
{
	const char *rest = form->text;
	const char *form_end = rest + form->bytes;
	char unit[4];
	size_t bytes;
	size_t matched = 0;
	while ((rest = skip_backslashes(rest, form_end)) < form_end) {
		const char *bare = skip_backslashes(at, end);
		if (bare == end)
			return NULL;
		at = bare > at && *bare == 'u' ? read_escaped(bare - 1, end, unit, &bytes) : read_plain(bare, end, unit, &bytes);
		if (bytes > (size_t)(form_end - rest) || memcmp(rest, unit, bytes) != 0)
			return NULL;
		rest += bytes;
		matched += bytes;
	}
	return matched > 0 ? at : NULL;
}

/* NULL is before all. */
static const char *later(const char *one, const char *other)
{
	return other != NULL && (one == NULL || other > one) ? other : one;
}

static const char *match_longest(const struct secret *secret, const char *at, const char *end)
{
	static unit_reader *const readers[] = {read_plain, read_percent, read_percents, read_form, read_escaped};
	const char *longest = NULL;
	for (const struct secret_form *form = secret->forms; form < secret->forms + secret->form_count; form++) {
		for (size_t i = 0; i < sizeof readers / sizeof *readers; i++)
			longest = later(longest, match(form, at, end, readers[i]));
		longest = later(longest, match_deep(form, at, end));
	}
	return longest;
}

/* Bytes that a match may begin with: the forms' own, and those that begin a unit. */
static void mark_beginnings(const struct leat_secrets *secrets, bool begins[256])
{
	memset(begins, 0, 256 * sizeof *begins);
	begins['%'] = begins['+'] = begins['\\'] = secrets->count > 0;
	for (size_t i = 0; i < secrets->count; i++)
		for (size_t form = 0; form < secrets->items[i].form_count; form++)
			begins[(unsigned char)secrets->items[i].forms[form].text[0]] = true;
}

/* ---- texts ---- */

/* Returns whether anything was hidden. */
static bool redact(const struct leat_secrets *secrets, const bool begins[256], struct leat_text text, struct leat_buf *out)
{
	const char *end = text.at + text.bytes;
	const char *done_until = text.at; /* shown or hidden */
	bool found = false;
	for (const char *at = text.at; at < end; at++) {
		if (!begins[(unsigned char)*at])
			continue;
		const char *longest = NULL;
		for (size_t i = 0; i < secrets->count; i++)
			longest = later(longest, match_longest(&secrets->items[i], at, end));
		if (longest == NULL || longest <= done_until)
			continue;
		if (at >= done_until) {
			leat_buf_add(out, done_until, (size_t)(at - done_until));
			leat_buf_add_text(out, HIDDEN);
		}
		found = true;
		done_until = longest;
	}
	leat_buf_add(out, done_until, (size_t)(end - done_until));
	return found;
}

void leat_secrets_redact(const struct leat_secrets *secrets, struct leat_text text, struct leat_buf *out)
{
	bool begins[256];
	mark_beginnings(secrets, begins);
	redact(secrets, begins, text, out);
}

/* ---- JSON ---- */

static void add_json_text(struct leat_buf *out, const char *text, size_t bytes)
{
	leat_buf_add_text(out, "\"");
	for (const char *at = text; at < text + bytes; at++) {
		if ((unsigned char)*at < ' ')
			leat_buf_printf(out, "\\u%04x", (unsigned)(unsigned char)*at);
		else if (*at == '"' || *at == '\\')
			leat_buf_printf(out, "\\%c", *at);
		else
			leat_buf_add(out, at, 1);
	}
	leat_buf_add_text(out, "\"");
}

static const char *skip_text(const char *at)
{
	for (at++; *at != '"'; at++)
		at += *at == '\\';
	return at + 1;
}

static const char *skip_number(const char *at, const char *end)
{
	while (at < end && strchr("+-.eE0123456789", *at) != NULL)
		at++;
	return at;
}

struct scan {
	const struct leat_secrets *secrets;
	bool begins[256];
	struct leat_buf scratch;  /* a text without its escapes */
	struct leat_buf redacted; /* what is left of one */
	struct leat_buf *out;
	const char *copied_until;
	bool found;
};

/* A text or a number, from `at` to `end`. */
static void redact_scalar(struct scan *scan, const char *at, const char *end)
{
	bool number = *at != '"';
	struct leat_json value = {number ? LEAT_JSON_NUMBER : LEAT_JSON_STRING, {at, (size_t)(end - at)}};
	leat_buf_clear(&scan->redacted);
	if (!redact(scan->secrets, scan->begins, number ? value.source : leat_json_text(&value, &scan->scratch), &scan->redacted))
		return;
	leat_buf_add(scan->out, scan->copied_until, (size_t)(at - scan->copied_until));
	if (number)
		leat_buf_add_text(scan->out, "\"" HIDDEN "\"");
	else
		add_json_text(scan->out, scan->redacted.data, scan->redacted.len);
	scan->copied_until = end;
	scan->found = true;
}

bool leat_secrets_redact_json(const struct leat_secrets *secrets, struct leat_text json, struct leat_buf *out)
{
	struct scan scan = {.secrets = secrets, .out = out, .copied_until = json.at};
	const char *end = json.at + json.bytes;
	mark_beginnings(secrets, scan.begins);
	for (const char *at = json.at; at < end && secrets->count > 0;) {
		enum leat_json_type type = leat_json_type(*at);
		const char *next = type == LEAT_JSON_STRING ? skip_text(at) : type == LEAT_JSON_NUMBER ? skip_number(at, end) : at + 1;
		if (type == LEAT_JSON_STRING || type == LEAT_JSON_NUMBER)
			redact_scalar(&scan, at, next);
		at = next;
	}
	if (scan.found)
		leat_buf_add(out, scan.copied_until, (size_t)(end - scan.copied_until));
	leat_buf_free(&scan.scratch);
	leat_buf_free(&scan.redacted);
	return scan.found;
}
