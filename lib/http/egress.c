/*
 * The list of hosts that calls may go to, and the two questions asked of it: about a host before its name is resolved, and about an address
 * before it is connected to.
 *
 * It fails with what to set: the entry that would allow it.
 */
#include "leat/egress.h"

#include "address.h"

#include "leat/buf.h"
#include "leat/text.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define HOST_BYTES 255

struct entry {
	char *host;   /* lower case, without brackets and a dot at its end; "*" for every public one */
	bool numeric; /* then `address` is set */
	struct http_address address;
	uint16_t port; /* 0: those of http and https */
};

struct leat_egress {
	struct entry *entries;
	size_t count;
};

/* ---- the list ---- */

static enum leat_kind refuse(struct leat_text entry, struct leat_error *err)
{
	return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INVALID_MESSAGE,
		"--allow-hosts (LEAT_ALLOW_HOSTS): \"%s\" is no host; write name, name:port, 192.0.2.1:port, [2001:db8::1]:port, or * for every "
		"public host, with commas between them",
		leat_excerpt(entry).text);
}

static bool read_port(const char *digits, uint16_t *port)
{
	char *end;
	size_t count = strspn(digits, "0123456789");
	long number = strtol(digits, &end, 10);
	*port = (uint16_t)number;
	return count > 0 && count <= 5 && *end == '\0' && number > 0 && number <= 65535;
}

static bool is_name(const char *host)
{
	size_t bytes = strlen(host);
	for (const char *at = host; *at != '\0'; at++)
		if (!isalnum((unsigned char)*at) && strchr("-._", *at) == NULL)
			return false;
	return bytes > 0 && bytes <= HOST_BYTES && host[0] != '.';
}

static bool looks_numeric(const char *host)
{
	const char *last = strrchr(host, '.');
	last = last != NULL ? last + 1 : host;
	return isdigit((unsigned char)*last) && last[strspn(last, "0123456789abcdefx")] == '\0';
}

static void normalise(char *host)
{
	size_t bytes = strlen(host);
	if (bytes > 1 && host[bytes - 1] == '.')
		host[bytes - 1] = '\0';
	for (char *at = host; *at != '\0'; at++)
		*at = (char)tolower((unsigned char)*at);
}

/* Cuts `text` into host and port; *port stays NULL when there is none. False when the brackets are not a pair. */
static bool split(char *text, char **host, char **port)
{
	*host = text;
	*port = NULL;
	if (text[0] == '[') {
		char *close = strchr(text, ']');
		if (close == NULL || (close[1] != '\0' && close[1] != ':'))
			return false;
		*host = text + 1;
		*port = close[1] == ':' ? close + 2 : NULL;
		*close = '\0';
		return strchr(*host, ':') != NULL;
	}
	char *colon = strchr(text, ':');
	if (colon == NULL || strchr(colon + 1, ':') != NULL) /* two colons: an IPv6 address without a port */
		return true;
	*colon = '\0';
	*port = colon + 1;
	return true;
}

static bool read_entry(struct entry *out, char *text)
{
	char *host;
	char *port;
	if (!split(text, &host, &port) || (port != NULL && !read_port(port, &out->port)))
		return false;
	normalise(host);
	out->numeric = http_address_parse(&out->address, host);
	out->host = leat_strdup(host);
	return out->numeric || strcmp(host, "*") == 0 || (is_name(host) && !looks_numeric(host));
}

static enum leat_kind add_entry(struct leat_egress *egress, struct leat_text text, struct leat_error *err)
{
	LEAT_BUF_SCOPED copy = LEAT_BUF_INIT;
	leat_buf_add(&copy, text.at, text.bytes);
	egress->entries = leat_realloc(egress->entries, (egress->count + 1) * sizeof *egress->entries);
	struct entry *entry = &egress->entries[egress->count++];
	*entry = (struct entry){0};
	return read_entry(entry, copy.data) ? LEAT_OK : refuse(text, err);
}

enum leat_kind leat_egress_parse(struct leat_egress **out, const char *list, struct leat_error *err)
{
	static const char between[] = ", \t\n";
	struct leat_egress *egress = leat_alloc_zero(1, sizeof *egress);
	enum leat_kind kind = LEAT_OK;
	for (const char *at = list + strspn(list, between); *at != '\0' && kind == LEAT_OK; at += strspn(at, between)) {
		struct leat_text text = {at, strcspn(at, between)};
		kind = add_entry(egress, text, err);
		at += text.bytes;
	}
	if (kind == LEAT_OK)
		*out = egress;
	else
		leat_egress_free(egress);
	return kind;
}

void leat_egress_free(struct leat_egress *egress)
{
	if (egress == NULL)
		return;
	for (size_t i = 0; i < egress->count; i++)
		free(egress->entries[i].host);
	free(egress->entries);
	free(egress);
}

/* ---- the questions ---- */

static bool allows_port(const struct entry *entry, uint16_t port)
{
	return entry->port == port || (entry->port == 0 && (port == 80 || port == 443));
}

static bool lists_address(const struct leat_egress *egress, const struct http_address *address, uint16_t port)
{
	for (size_t i = 0; i < egress->count; i++) {
		const struct entry *entry = &egress->entries[i];
		if (entry->numeric && http_address_equals(&entry->address, address) && allows_port(entry, port))
			return true;
	}
	return false;
}

static bool lists_name(const struct leat_egress *egress, const char *name, uint16_t port)
{
	size_t bytes = strlen(name);
	if (bytes > 1 && name[bytes - 1] == '.')
		bytes--;
	for (size_t i = 0; i < egress->count; i++) {
		const struct entry *entry = &egress->entries[i];
		if (strlen(entry->host) == bytes && strncasecmp(entry->host, name, bytes) == 0 && allows_port(entry, port))
			return true;
	}
	return false;
}

static bool lists_all_public(const struct leat_egress *egress, uint16_t port)
{
	return lists_name(egress, "*", port);
}

static struct leat_excerpt quote(const char *host)
{
	return leat_excerpt((struct leat_text){host, strlen(host)});
}

/* The entry that would allow a host: "name:8080", "[::1]:8080", and no port where none is needed. */
static void write_entry(struct leat_buf *out, const char *host, uint16_t port)
{
	struct http_address address;
	bool brackets = strchr(host, ':') != NULL && http_address_parse(&address, host);
	leat_buf_printf(out, "%s%s%s", brackets ? "[" : "", quote(host).text, brackets ? "]" : "");
	if (port != 80 && port != 443)
		leat_buf_printf(out, ":%u", (unsigned)port);
}

static enum leat_kind refuse_host(const struct leat_egress *egress, const char *host, uint16_t port, struct leat_error *err)
{
	LEAT_BUF_SCOPED entry = LEAT_BUF_INIT;
	write_entry(&entry, host, port);
	return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_FORBIDDEN, "calls to %s are not allowed: %s; whoever runs Leat can add %s to it",
		entry.data, egress->count == 0 ? "LEAT_ALLOW_HOSTS is empty" : "LEAT_ALLOW_HOSTS does not list it", entry.data);
}

/* What would allow it: the name, or, where that is not enough, the address. */
static enum leat_kind refuse_address(const char *host, uint16_t port, const struct http_address *address, struct leat_error *err)
{
	const char *kind;
	char text[INET6_ADDRSTRLEN];
	struct http_address same;
	bool numeric = http_address_parse(&same, host);
	bool closed = http_address_reach(address, &kind) == HTTP_REACH_CLOSED;
	http_address_format(address, text);
	LEAT_BUF_SCOPED entry = LEAT_BUF_INIT;
	write_entry(&entry, numeric || closed ? text : host, port);
	return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_FORBIDDEN,
		"calls to %s%s%s (%s) are not allowed; whoever runs Leat can add %s to LEAT_ALLOW_HOSTS", numeric ? text : quote(host).text,
		numeric ? "" : ", a name that leads to ", numeric ? "" : text, kind, entry.data);
}

enum leat_kind leat_egress_check_address(
	const struct leat_egress *egress, const char *host, uint16_t port, const struct sockaddr *address, struct leat_error *err)
{
	struct http_address to;
	const char *kind;
	if (!http_address_of(&to, address))
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_FORBIDDEN, "calls to %s are not allowed: it is neither an IPv4 nor an IPv6 address",
			quote(host).text);
	if (lists_address(egress, &to, port))
		return LEAT_OK;
	enum http_reach reach = http_address_reach(&to, &kind);
	if (reach == HTTP_REACH_PUBLIC || (reach == HTTP_REACH_PRIVATE && lists_name(egress, host, port)))
		return LEAT_OK;
	return refuse_address(host, port, &to, err);
}

enum leat_kind leat_egress_check_host(const struct leat_egress *egress, const char *host, uint16_t port, struct leat_error *err)
{
	struct http_address address;
	const char *kind;
	bool numeric = http_address_parse(&address, host);
	if ((numeric && lists_address(egress, &address, port)) || lists_name(egress, host, port))
		return LEAT_OK;
	if (!lists_all_public(egress, port))
		return refuse_host(egress, host, port, err);
	if (numeric && http_address_reach(&address, &kind) != HTTP_REACH_PUBLIC)
		return refuse_address(host, port, &address, err);
	return LEAT_OK;
}
