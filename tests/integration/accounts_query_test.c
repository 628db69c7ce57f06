/* Queries under docker/nats-accounts.conf: a tenant's accounts ask for their own tenant and role, and for nothing else. */
#include "asker.h"
#include "logins.h"
#include "query_fixture.h"

#include <stdlib.h>
#include <string.h>

static struct rig rig;

static void setup(void)
{
	rig_open(&rig);
	logins_start(&rig);
	logins_be("leat-admin");
	rig_migrate(&rig);
}

static void teardown(void)
{
	rig_close(&rig);
}

TestSuite(accounts_query, .init = setup, .fini = teardown);

static const char *const asked[] = {SHOP ".service.workflow.list", SHOP ".user.workflow.list", CLUB ".service.workflow.list",
	CLUB ".user.workflow.list", SHOP ".engine.workflow.list"};

static const struct {
	const char *user;
	const char *own; /* NULL: none */
	const char *code;
} logins[] = {
	{"shop-service", SHOP ".service.workflow.list", "ok"},
	{"shop-user", SHOP ".user.workflow.list", "ok"},
	{"shop-events", NULL, NULL},
	{"club-service", CLUB ".service.workflow.list", "ok"},
	{"club-user", CLUB ".user.workflow.list", "forbidden"}, /* no member there */
	{"club-events", NULL, NULL},
};

static void open_as(struct asker *asker, const char *user)
{
	asker_open(asker, rig.nats.url, user, logins_password(user));
}

Test(accounts_query, a_login_asks_for_its_tenant_and_role_and_nothing_else)
{
	rig_sql(&rig, "insert into leat.members (tenant_id, user_id, role) values ('" SHOP "', '" VIEWER "', 'viewer')");
	logins_be("leat-consumer");
	rig_start(&rig, "consumer", RIG_ARGS("consume"));
	query_wait_working(&rig, 1);
	for (size_t i = 0; i < sizeof logins / sizeof *logins; i++) {
		struct asker asker;
		open_as(&asker, logins[i].user);
		for (size_t k = 0; k < sizeof asked / sizeof *asked; k++) {
			if (logins[i].own != NULL && strcmp(asked[k], logins[i].own) == 0) {
				for (int again = 0; again < 3; again++)
					cr_expect_str_eq(asker_code(&asker, asked[k], VIEWER, "{}", NULL), logins[i].code, "%s", logins[i].user);
				continue;
			}
			char *text = asker_ask(&asker, asked[k], VIEWER, "{}", 5000);
			cr_expect_str_eq(text, ASKER_NOBODY, "%s asks %s: %s", logins[i].user, asked[k], text);
			free(text);
		}
		asker_close(&asker);
	}
	char *log = rig_log(&rig, "consumer");
	cr_expect_null(strcasestr(log, "violation"), "a right is missing: %s", log);
	free(log);
}

/*
 * Within one account the server says at once that there are no responders (query_restart_test.c); to an asker in another account only since
 * pull request 6532 of nats-server, which 2.9.10 has not. When a server comes that does, docker/nats-accounts.conf and the README are to be
 * changed.
 */
Test(accounts_query, without_a_consumer_an_asker_in_another_account_waits_in_vain)
{
	struct asker asker;
	open_as(&asker, "shop-service");
	char *text = asker_ask(&asker, SHOP ".service.workflow.list", NULL, "{}", 1000);
	cr_expect_str_eq(text, ASKER_SILENCE, "%s", text);
	free(text);
	asker_close(&asker);
}
