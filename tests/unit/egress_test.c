/* The operator's list of hosts: what it says, and what it lets through, by name and by address. */
#include "leat/buf.h"
#include "leat/egress.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <string.h>

static struct leat_egress *parse(const char *list)
{
	struct leat_egress *egress = NULL;
	struct leat_error err;
	cr_assert_eq(leat_egress_parse(&egress, list, &err), LEAT_OK, "%s: %s", list, err.text);
	return egress;
}

/* ---- the list ---- */

Test(egress, what_is_no_host_is_refused_with_the_entry)
{
	static const char *const bad[] = {"a b,http://x", "x:0", "x:65536", "x:", "x:8o", ":80", "[::1", "[::1]x", "[x]:80", "[::1]:", "a/b",
		"*x", "*.x", "x:80:90", "127.1", "2130706433", "0x7f000001", "1.2.3.256", "10.0.0.0/8", "u@x", ".", ".x", "\xc3\xa4.de", "x,,y,:"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct leat_egress *egress = NULL;
		struct leat_error err = {0};
		cr_expect_eq(leat_egress_parse(&egress, bad[i], &err), LEAT_PERMANENT, "%s", bad[i]);
		cr_expect(egress == NULL && strstr(err.text, "LEAT_ALLOW_HOSTS") != NULL && strstr(err.text, "is no host") != NULL, "%s: %s",
			bad[i], err.text);
	}
}

struct host_case {
	const char *list;
	const char *host;
	uint16_t port;
	const char *refused; /* a part of the text; NULL: allowed */
};

static void expect_hosts(const struct host_case *cases, size_t count)
{
	for (const struct host_case *one = cases; one < cases + count; one++) {
		struct leat_egress *egress = parse(one->list);
		struct leat_error err = {0};
		enum leat_kind kind = leat_egress_check_host(egress, one->host, one->port, &err);
		cr_expect_eq(kind, one->refused == NULL ? LEAT_OK : LEAT_PERMANENT, "[%s] %s %u: %s", one->list, one->host, one->port, err.text);
		cr_expect(kind == LEAT_OK || (err.code == LEAT_CODE_FORBIDDEN && strstr(err.text, one->refused) != NULL), "[%s] %s: %s", one->list,
			one->host, err.text);
		leat_egress_free(egress);
	}
}

Test(egress, a_name_is_reached_when_it_is_listed_on_its_ports)
{
	static const struct host_case cases[] = {
		{"", "api.example.com", 443,
			"calls to api.example.com are not allowed: LEAT_ALLOW_HOSTS is empty; whoever runs Leat can add api.example.com to it"},
		{" , ", "api.example.com", 443, "is empty"},
		{"api.example.com", "api.example.com", 443, NULL},
		{"api.example.com", "api.example.com", 80, NULL},
		{"api.example.com", "api.example.com", 8080, "does not list it; whoever runs Leat can add api.example.com:8080 to it"},
		{"api.example.com:8080", "api.example.com", 8080, NULL},
		{"api.example.com:8080", "api.example.com", 443, "does not list it"},
		{"a, API.Example.com. ,b", "api.EXAMPLE.com", 443, NULL},
		{"api.example.com", "api.example.com.", 443, NULL},
		{"api.example.com", "xapi.example.com", 443, "does not list it"},
		{"api.example.com", "api.example.com.evil.org", 443, "does not list it"},
		{"example.com", "api.example.com", 443, "does not list it"},
		{"*", "api.example.com", 443, NULL},
		{"*", "api.example.com", 8443, "can add api.example.com:8443"},
		{"*:8443", "api.example.com", 8443, NULL},
		{"*:8443", "api.example.com", 443, "does not list it"},
		{"my_service", "my_service", 80, NULL},
	};
	expect_hosts(cases, sizeof cases / sizeof *cases);
}

Test(egress, an_address_is_reached_when_it_is_public_or_listed)
{
	static const struct host_case cases[] = {
		{"*", "93.184.216.34", 80, NULL},
		{"*", "127.0.0.1", 80, "calls to 127.0.0.1 (loopback) are not allowed; whoever runs Leat can add 127.0.0.1 to LEAT_ALLOW_HOSTS"},
		{"*", "169.254.169.254", 80, "(metadata)"},
		{"*", "::1", 80, "can add [::1] to"},
		{"*", "::ffff:127.0.0.1", 80, "calls to 127.0.0.1 (loopback)"},
		{"*:9,127.0.0.1:8080", "127.0.0.1", 8080, NULL},
		{"127.0.0.1:8080", "127.0.0.1", 8081, "can add 127.0.0.1:8081"},
		{"127.0.0.1:8080", "::ffff:7f00:1", 8080, NULL}, /* the same address */
		{"::1", "0:0:0:0:0:0:0:1", 80, NULL},
		{"[::1]:8080", "::1", 8080, NULL},
		{"[::1]:8080", "::1", 80, "can add [::1] to"},
		{"[2606:2800::1]", "2606:2800::1", 443, NULL},
		{"*", "2606:2800::1", 443, NULL},
		{"10.0.0.1", "10.0.0.2", 80, "does not list it"},
		{"169.254.169.254", "169.254.169.254", 80, NULL},
	};
	expect_hosts(cases, sizeof cases / sizeof *cases);
}

/* ---- what a name leads to ---- */

static enum leat_kind lead(const struct leat_egress *egress, const char *host, const char *address, struct leat_error *err)
{
	struct sockaddr_in6 six = {.sin6_family = AF_INET6};
	struct sockaddr_in four = {.sin_family = AF_INET};
	if (inet_pton(AF_INET, address, &four.sin_addr) == 1)
		return leat_egress_check_address(egress, host, 80, (const struct sockaddr *)&four, err);
	cr_assert_eq(inet_pton(AF_INET6, address, &six.sin6_addr), 1, "%s", address);
	return leat_egress_check_address(egress, host, 80, (const struct sockaddr *)&six, err);
}

Test(egress, every_kind_of_address_is_known)
{
	static const struct {
		const char *address;
		char reached; /* * by all, n by a listed name, - by neither */
	} cases[] = {
		{"1.1.1.1", '*'},
		{"9.255.255.255", '*'},
		{"11.0.0.0", '*'},
		{"172.15.255.255", '*'},
		{"172.32.0.0", '*'},
		{"192.167.255.255", '*'},
		{"192.169.0.0", '*'},
		{"100.63.255.255", '*'},
		{"100.128.0.0", '*'},
		{"169.253.255.255", '*'},
		{"169.255.0.0", '*'},
		{"126.255.255.255", '*'},
		{"128.0.0.0", '*'},
		{"223.255.255.255", '*'},
		{"198.17.255.255", '*'},
		{"198.20.0.0", '*'},
		{"10.0.0.0", 'n'},
		{"10.255.255.255", 'n'},
		{"172.16.0.0", 'n'},
		{"172.31.255.255", 'n'},
		{"192.168.0.0", 'n'},
		{"192.168.255.255", 'n'},
		{"127.0.0.1", 'n'},
		{"127.255.255.255", 'n'},
		{"100.64.0.0", 'n'},
		{"100.127.255.255", 'n'},
		{"0.0.0.0", '-'},
		{"0.255.255.255", '-'},
		{"169.254.0.1", '-'},
		{"169.254.169.254", '-'},
		{"168.63.129.16", '-'},
		{"100.100.100.200", '-'},
		{"224.0.0.1", '-'},
		{"239.255.255.255", '-'},
		{"240.0.0.1", '-'},
		{"255.255.255.255", '-'},
		{"192.0.0.192", '-'},
		{"192.0.2.1", '-'},
		{"198.18.0.1", '-'},
		{"198.51.100.1", '-'},
		{"203.0.113.1", '-'},
		{"2606:2800:220:1::1", '*'},
		{"2a00::1", '*'},
		{"::1", 'n'},
		{"fc00::1", 'n'},
		{"fdff::1", 'n'},
		{"::ffff:10.0.0.1", 'n'},
		{"64:ff9b::10.0.0.1", 'n'},
		{"2002:0a00:0001::1", 'n'},
		{"::ffff:127.0.0.1", 'n'},
		{"::ffff:1.1.1.1", '*'},
		{"64:ff9b::1.1.1.1", '*'},
		{"2002:0101:0101::1", '*'},
		{"::", '-'},
		{"::2", '-'},
		{"::127.0.0.1", '-'},
		{"fe80::1", '-'},
		{"febf::1", '-'},
		{"fec0::1", '-'},
		{"ff02::1", '-'},
		{"fd00:ec2::254", '-'},
		{"64:ff9b::169.254.169.254", '-'},
		{"::ffff:169.254.169.254", '-'},
		{"2002:a9fe:a9fe::1", '-'},
		{"64:ff9b:1::10.0.0.1", '-'},
		{"2001::1", '-'},
		{"2001:db8::1", '-'},
		{"100::1", '-'},
		{"4000::1", '-'},
	};
	struct leat_egress *any = parse("*");
	struct leat_egress *named = parse("*,name");
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct leat_error err = {0};
		LEAT_BUF_SCOPED list = LEAT_BUF_INIT;
		leat_buf_printf(&list, "*,[%s]:80", cases[i].address);
		if (strchr(cases[i].address, ':') == NULL) {
			leat_buf_clear(&list);
			leat_buf_printf(&list, "*,%s:80", cases[i].address);
		}
		struct leat_egress *listed = parse(list.data);
		cr_expect_eq(lead(any, "name", cases[i].address, &err) == LEAT_OK, cases[i].reached == '*', "%s: %s", cases[i].address, err.text);
		cr_expect_eq(
			lead(named, "Name.", cases[i].address, &err) == LEAT_OK, cases[i].reached != '-', "%s: %s", cases[i].address, err.text);
		cr_expect_eq(lead(listed, "name", cases[i].address, &err), LEAT_OK, "%s: %s", cases[i].address, err.text);
		leat_egress_free(listed);
	}
	leat_egress_free(any);
	leat_egress_free(named);
}

Test(egress, a_refused_name_is_told_with_its_address_and_what_would_allow_it)
{
	struct leat_egress *egress = parse("*");
	struct leat_error err;
	cr_expect_eq(lead(egress, "inner.example.com", "10.1.2.3", &err), LEAT_PERMANENT);
	cr_expect_str_eq(err.text,
		"calls to inner.example.com, a name that leads to 10.1.2.3 (private) are not allowed; whoever runs Leat can add "
		"inner.example.com to LEAT_ALLOW_HOSTS");
	cr_expect_eq(lead(egress, "meta.example.com", "fd00:ec2::254", &err), LEAT_PERMANENT);
	cr_expect_str_eq(err.text,
		"calls to meta.example.com, a name that leads to fd00:ec2::254 (metadata) are not allowed; whoever runs Leat can "
		"add [fd00:ec2::254] to LEAT_ALLOW_HOSTS");
	leat_egress_free(egress);
}
