/*
 * Egress: which hosts calls may go to, by the operator's list. Nothing that is not listed is ever reached, and what a name resolves to is
 * looked at when the connection is made, so that a name that leads elsewhere by then is of no use.
 *
 * The list: `host[:port],…`. A host is a name, an IPv4 address or an IPv6 address, in brackets where a port follows; without a port it
 * stands for 80 and 443. `*` and `*:port` stand for every public host.
 *
 *                          reached by `*`   by a listed name   by its address listed
 *   public addresses       yes              yes                yes
 *   loopback, private      no               yes                yes
 *   link-local, reserved   no               no                 yes
 *
 * "Private" are RFC 1918, unique local (RFC 4193) and carrier-grade NAT (RFC 6598); "reserved" are services of metadata, multicast,
 * 0.0.0.0/8 and whatever IANA's registries call not globally reachable. IPv6 forms of IPv4 addresses (mapped, NAT64, 6to4) are what they
 * hold.
 *
 * Immutable once parsed; any thread.
 */
#ifndef LEAT_EGRESS_H
#define LEAT_EGRESS_H

#include "leat/error.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

struct leat_egress;

/* "" allows nothing. PERMANENT with the entry that is none. */
enum leat_kind leat_egress_parse(struct leat_egress **out, const char *list, struct leat_error *err) __attribute__((warn_unused_result));
/* Does nothing with NULL. */
void leat_egress_free(struct leat_egress *egress);

/*
 * Before a name is resolved: may it be called at all? `host` as in a URL, an IPv6 address without its brackets. PERMANENT, forbidden, with
 * what to set.
 */
enum leat_kind leat_egress_check_host(const struct leat_egress *egress, const char *host, uint16_t port, struct leat_error *err)
	__attribute__((warn_unused_result));
/* Before it is connected to: may `host`, which has passed the above, lead to this address (AF_INET or AF_INET6)? */
enum leat_kind leat_egress_check_address(const struct leat_egress *egress, const char *host, uint16_t port, const struct sockaddr *address,
	struct leat_error *err) __attribute__((warn_unused_result));

#endif
