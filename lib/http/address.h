/* Inside lib/http only: addresses in one form, and what kind of place each of them is. Pure. */
#ifndef LEAT_LIB_HTTP_ADDRESS_H
#define LEAT_LIB_HTTP_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>

enum http_reach {
	HTTP_REACH_PUBLIC,
	HTTP_REACH_PRIVATE, /* loopback, private networks: only for who is listed by name or address */
	HTTP_REACH_CLOSED,  /* only when the address itself is listed */
};

/* 16 bytes; IPv4 as ::ffff:a.b.c.d. */
struct http_address {
	unsigned char bytes[16];
};

/* An address of either family as text, without brackets; false when it is none. */
bool http_address_parse(struct http_address *out, const char *text);
/* False when it is of another family. */
bool http_address_of(struct http_address *out, const struct sockaddr *address);
bool http_address_equals(const struct http_address *a, const struct http_address *b);
void http_address_format(const struct http_address *address, char out[INET6_ADDRSTRLEN]);

/* *kind says in a word or two what it is: "loopback", "private"; static. */
enum http_reach http_address_reach(const struct http_address *address, const char **kind);

#endif
