/*
 * What kind of place an address is, by one table: IANA's special-purpose registries for IPv4 and IPv6 (RFC 6890), and clouds' services of
 * metadata. An IPv6 address that carries an IPv4 address is what that is; one that the table does not call public is not.
 */
#include "address.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stddef.h>
#include <string.h>

struct range {
	const char *first;
	int bits;
	enum http_reach reach;
	const char *kind;
};

/* The first row that holds an address counts. */
static const struct range ipv4_ranges[] = {
	{"127.0.0.0", 8, HTTP_REACH_PRIVATE, "loopback"},
	{"10.0.0.0", 8, HTTP_REACH_PRIVATE, "private"},
	{"172.16.0.0", 12, HTTP_REACH_PRIVATE, "private"},
	{"192.168.0.0", 16, HTTP_REACH_PRIVATE, "private"},
	{"100.100.100.200", 32, HTTP_REACH_CLOSED, "metadata"}, /* Alibaba */
	{"100.64.0.0", 10, HTTP_REACH_PRIVATE, "carrier-grade NAT"},
	{"169.254.169.254", 32, HTTP_REACH_CLOSED, "metadata"},
	{"169.254.0.0", 16, HTTP_REACH_CLOSED, "link-local"},
	{"168.63.129.16", 32, HTTP_REACH_CLOSED, "metadata"}, /* Azure's, among public addresses */
	{"0.0.0.0", 8, HTTP_REACH_CLOSED, "unspecified"},
	{"192.0.0.0", 24, HTTP_REACH_CLOSED, "reserved"},
	{"192.0.2.0", 24, HTTP_REACH_CLOSED, "reserved"},
	{"192.88.99.0", 24, HTTP_REACH_CLOSED, "reserved"},
	{"198.18.0.0", 15, HTTP_REACH_CLOSED, "reserved"},
	{"198.51.100.0", 24, HTTP_REACH_CLOSED, "reserved"},
	{"203.0.113.0", 24, HTTP_REACH_CLOSED, "reserved"},
	{"224.0.0.0", 4, HTTP_REACH_CLOSED, "multicast"},
	{"240.0.0.0", 4, HTTP_REACH_CLOSED, "reserved"},
	{"0.0.0.0", 0, HTTP_REACH_PUBLIC, "public"},
};

static const struct range ipv6_ranges[] = {
	{"::1", 128, HTTP_REACH_PRIVATE, "loopback"},
	{"fd00:ec2::254", 128, HTTP_REACH_CLOSED, "metadata"}, /* Amazon */
	{"fd20:ce::254", 128, HTTP_REACH_CLOSED, "metadata"},  /* Google */
	{"fc00::", 7, HTTP_REACH_PRIVATE, "private"},
	{"fe80::", 10, HTTP_REACH_CLOSED, "link-local"},
	{"ff00::", 8, HTTP_REACH_CLOSED, "multicast"},
	{"::", 128, HTTP_REACH_CLOSED, "unspecified"},
	{"2001::", 23, HTTP_REACH_CLOSED, "reserved"}, /* protocol assignments, Teredo among them */
	{"2001:db8::", 32, HTTP_REACH_CLOSED, "reserved"},
	{"3fff::", 20, HTTP_REACH_CLOSED, "reserved"},
	{"2000::", 3, HTTP_REACH_PUBLIC, "public"},
	{"::", 0, HTTP_REACH_CLOSED, "reserved"},
};

/* Where an IPv4 address stands in an IPv6 address: behind these prefixes, at a byte. */
static const struct {
	const char *first;
	int bits;
	int at;
} carriers[] = {
	{"::ffff:0:0", 96, 12}, /* mapped, and how IPv4 is kept here */
	{"64:ff9b::", 96, 12},  /* NAT64, RFC 6052 */
	{"2002::", 16, 2},      /* 6to4, RFC 3056 */
};

/* ---- forms ---- */

static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};

bool http_address_parse(struct http_address *out, const char *text)
{
	memcpy(out->bytes, mapped, sizeof mapped);
	return inet_pton(AF_INET, text, out->bytes + sizeof mapped) == 1 || inet_pton(AF_INET6, text, out->bytes) == 1;
}

bool http_address_of(struct http_address *out, const struct sockaddr *address)
{
	if (address->sa_family == AF_INET) {
		memcpy(out->bytes, mapped, sizeof mapped);
		memcpy(out->bytes + sizeof mapped, &((const struct sockaddr_in *)(const void *)address)->sin_addr, 4);
		return true;
	}
	if (address->sa_family != AF_INET6)
		return false;
	memcpy(out->bytes, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, sizeof out->bytes);
	return true;
}

bool http_address_equals(const struct http_address *a, const struct http_address *b)
{
	return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

void http_address_format(const struct http_address *address, char out[INET6_ADDRSTRLEN])
{
	bool ipv4 = memcmp(address->bytes, mapped, sizeof mapped) == 0;
	const char *text = inet_ntop(ipv4 ? AF_INET : AF_INET6, address->bytes + (ipv4 ? sizeof mapped : 0), out, INET6_ADDRSTRLEN);
	assert(text != NULL);
}

/* ---- kinds ---- */

static bool begins_with(const unsigned char *address, const unsigned char *prefix, int bits)
{
	int whole = bits / 8;
	int rest = bits % 8;
	return memcmp(address, prefix, (size_t)whole) == 0 && (rest == 0 || (address[whole] ^ prefix[whole]) >> (8 - rest) == 0);
}

static const struct range *find(const struct range *ranges, int family, const unsigned char *address)
{
	for (const struct range *range = ranges;; range++) { /* the last one of each table holds all */
		unsigned char prefix[16];
		int parsed = inet_pton(family, range->first, prefix);
		assert(parsed == 1);
		if (begins_with(address, prefix, range->bits))
			return range;
	}
}

enum http_reach http_address_reach(const struct http_address *address, const char **kind)
{
	const struct range *range = NULL;
	for (size_t i = 0; i < sizeof carriers / sizeof *carriers && range == NULL; i++) {
		unsigned char prefix[16];
		int parsed = inet_pton(AF_INET6, carriers[i].first, prefix);
		assert(parsed == 1);
		if (begins_with(address->bytes, prefix, carriers[i].bits))
			range = find(ipv4_ranges, AF_INET, address->bytes + carriers[i].at);
	}
	if (range == NULL)
		range = find(ipv6_ranges, AF_INET6, address->bytes);
	*kind = range->kind;
	return range->reach;
}
