/* The url and the headers of a request, as far as they stand in the definition: what HTTP allows and what Leat leaves to its user. */
#include "reading.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

/* ---- url (RFC 3986) ---- */

static struct leat_text part(const char *from, const char *to)
{
	return (struct leat_text){from, (size_t)(to - from)};
}

static const char *find_any(const char *from, const char *end, const char *wanted)
{
	while (from < end && strchr(wanted, *from) == NULL)
		from++;
	return from;
}

static bool consists_of(struct leat_text text, bool (*allowed)(char byte))
{
	for (size_t i = 0; i < text.bytes; i++)
		if (!allowed(text.at[i]))
			return false;
	return text.bytes > 0;
}

static bool is_name_byte(char byte)
{
	return isalnum((unsigned char)byte) || byte == '-' || byte == '.' || byte == '_';
}

static bool is_address_byte(char byte)
{
	return isxdigit((unsigned char)byte) || byte == ':' || byte == '.';
}

/* ":1" to ":65535"; nothing is good too. */
static bool is_port(struct leat_text text)
{
	long port = 0;
	for (size_t i = 1; i < text.bytes; i++) {
		if (!isdigit((unsigned char)text.at[i]) || i > 5)
			return false;
		port = port * 10 + (text.at[i] - '0');
	}
	return text.bytes == 0 || (text.at[0] == ':' && port >= 1 && port <= 65535);
}

/* A name or an IPv4 address, or an IPv6 address in brackets; then perhaps a port. */
static bool is_host(const char *at, const char *end)
{
	if (at < end && *at == '[') {
		const char *close = find_any(at, end, "]");
		return close < end && consists_of(part(at + 1, close), is_address_byte) && is_port(part(close + 1, end));
	}
	const char *colon = find_any(at, end, ":");
	return consists_of(part(at, colon), is_name_byte) && is_port(part(colon, end));
}

static const char *skip_scheme(struct leat_text url)
{
	static const char *const schemes[] = {"http://", "https://"};
	for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
		if (url.bytes >= strlen(schemes[i]) && strncasecmp(url.at, schemes[i], strlen(schemes[i])) == 0)
			return url.at + strlen(schemes[i]);
	return NULL;
}

enum leat_kind leat_node_read_url(struct leat_node_reading *reading, const struct leat_json *value)
{
	static const char expected[] = "an http:// or https:// URL with a host, or a reference";
	if (value->type != LEAT_JSON_STRING)
		return leat_node_expected(reading, expected, value);
	struct leat_text url = leat_json_text(value, &reading->scratch);
	const char *end = url.at + url.bytes;
	const char *host = skip_scheme(url);
	if (host == NULL)
		return leat_node_expected(reading, expected, value);
	const char *host_end = find_any(host, end, "/?#");
	if (memchr(host, '@', (size_t)(host_end - host)) != NULL)
		return LEAT_REFUSE(reading->err, "no user or password may stand before the host; send them in a header, as ${secret:NAME}");
	if (!is_host(host, host_end))
		return leat_node_expected(reading, expected, value);
	if (!leat_text_is_printable(url) || memchr(url.at, ' ', url.bytes) != NULL)
		return leat_node_expected(reading, "a URL without spaces and control characters (%20 for a space)", value);
	return LEAT_OK;
}

/* ---- headers (RFC 9110, 5) ---- */

static bool is_token_byte(char byte)
{
	return isalnum((unsigned char)byte) || (byte != '\0' && strchr("!#$%&'*+-.^_`|~", byte) != NULL);
}

static bool is_ours(struct leat_text name)
{
	static const char *const ours[] = {"Host", "Content-Length", "Transfer-Encoding", "Connection", "Idempotency-Key"};
	static const char prefix[] = "Leat-";
	for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
		if (name.bytes == strlen(ours[i]) && strncasecmp(name.at, ours[i], name.bytes) == 0)
			return true;
	return name.bytes >= strlen(prefix) && strncasecmp(name.at, prefix, strlen(prefix)) == 0;
}

static enum leat_kind read_name(struct leat_node_reading *reading, const struct leat_json *name)
{
	struct leat_text text = leat_json_text(name, &reading->scratch);
	if (!consists_of(text, is_token_byte))
		return LEAT_REFUSE(
			reading->err, "\"%s\" is no name of a header; expected letters, digits and !#$%%&'*+-.^_`|~", leat_excerpt(text).text);
	if (is_ours(text))
		return LEAT_REFUSE(reading->err, "Leat sets %s itself; leave it out", leat_excerpt(text).text);
	return LEAT_OK;
}

/* Not quoted: it may be what should have been a secret. */
static enum leat_kind read_header(struct leat_node_reading *reading, const struct leat_json *name, const struct leat_json *value)
{
	if (read_name(reading, name) != LEAT_OK)
		return LEAT_PERMANENT;
	const char *fault = NULL;
	if (value->type != LEAT_JSON_STRING && !leat_node_is_reference(reading, value))
		fault = reading->replaced ? "expected a text" : "expected a text or a reference";
	else if (value->type == LEAT_JSON_STRING && !leat_text_is_printable(leat_json_text(value, &reading->scratch)))
		fault = "a header's value can't hold control characters";
	if (fault == NULL)
		return LEAT_OK;
	LEAT_REFUSE(reading->err, "%s", fault);
	return leat_fail_while(reading->err, "%s", leat_excerpt(leat_json_text(name, &reading->scratch)).text);
}

/* Names of headers are the same in either case, so JSON's own rule against a name twice does not do. */
static enum leat_kind refuse_twice(struct leat_node_reading *reading, const struct leat_json *names, size_t count)
{
	struct leat_text last = leat_json_text(&names[count - 1], &reading->scratch);
	LEAT_BUF_SCOPED scratch = LEAT_BUF_INIT;
	for (size_t i = 0; i + 1 < count; i++) {
		struct leat_text earlier = leat_json_text(&names[i], &scratch);
		if (earlier.bytes == last.bytes && strncasecmp(earlier.at, last.at, last.bytes) == 0)
			return LEAT_REFUSE(reading->err, "%s stands twice", leat_excerpt(last).text);
	}
	return LEAT_OK;
}

enum leat_kind leat_node_read_headers(struct leat_node_reading *reading, const struct leat_json *value)
{
	if (value->type != LEAT_JSON_OBJECT)
		return leat_node_expected(reading, "an object of texts, or a reference", value);
	struct leat_json names[LEAT_NODE_HEADERS];
	size_t count = 0;
	struct leat_json_walk walk = leat_json_walk(value);
	for (struct leat_json name, header; leat_json_next(&walk, &name, &header);) {
		if (count == LEAT_NODE_HEADERS)
			return LEAT_REFUSE(reading->err, "expected at most %d of them, found more", LEAT_NODE_HEADERS);
		names[count++] = name;
		if (read_header(reading, &name, &header) != LEAT_OK || refuse_twice(reading, names, count) != LEAT_OK)
			return LEAT_PERMANENT;
	}
	return LEAT_OK;
}
