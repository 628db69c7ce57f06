/* Leat with logins: its commands under the users of docker/nats-accounts.conf, and every way to log in. */
#include "logins.h"

#include "saying.h"
#include "scripts.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct rig rig;

static void setup(void)
{
	rig_open(&rig);
}

static void teardown(void)
{
	rig_close(&rig);
}

TestSuite(logins, .init = setup, .fini = teardown);

static const char note[] = "{\"entity_type\":\"note\",\"key\":\"first\",\"content\":{\"text\":\"hello\"}}\n";

static struct leat_child *start_consumer(const char *name)
{
	logins_be("leat-consumer");
	return rig_start(&rig, name, RIG_ARGS("consume", "--ack-wait-ms", "1000", "--retry-limit-ms", "200"));
}

static void publish(const char *user, const char *tenant, const char *verb, int status, const char *lines)
{
	logins_be(user);
	say_write_file(&rig, "lines", lines, strlen(lines));
	const char *role = strcmp(user + strlen(user) - 4, "user") == 0 ? "user" : "service";
	say_run(&rig, "publish", status, RIG_ARGS("publish", verb, "--tenant", tenant, "--role", role, "--wait", "lines"));
}

/* ---- the users of docker/nats-accounts.conf ---- */

Test(logins, leat_does_all_its_work_with_the_rights_it_has)
{
	logins_start(&rig);
	logins_be("leat-admin");
	rig_migrate(&rig);
	start_consumer("consume");

	publish("shop-service", SHOP, "entity.upsert", 0, note);
	say_expect(&rig, "publish", "\"status\":\"applied\"");
	publish("shop-user", SHOP, "entity.merge", 0, note);
	say_expect(&rig, "publish", "\"status\":\"applied\"");
	publish("club-service", CLUB, "entity.merge", 1, note); /* parked, then decided at the floor */
	say_expect(&rig, "publish", "\"code\":\"not_found\"");
	publish("shop-service", SHOP, "entity.merge", 1, "{\"contnet\":{}}\n");
	say_expect(&rig, "publish", "\"code\":\"invalid_message\"");
	rig_sql_wait(&rig, 20, "0", "SELECT count(*) FROM leat.outbox");
	rig_sql_expect(&rig, "1", "SELECT count(*) FROM leat.entities");

	logins_be("leat-admin");
	char *letters = say_output(&rig, "dead", 0, RIG_ARGS("dead", "list"));
	cr_expect_eq(say_count(letters, "invalid_message"), 1, "%s", letters);
	free(letters);
	logins_be("leat-consumer");
	say_run(&rig, "status", 0, RIG_ARGS("status"));

	char *log = rig_log(&rig, "consume");
	cr_expect_null(strcasestr(log, "violation"), "a right is missing: %s", log);
	cr_expect_null(strcasestr(log, "secret-of"), "%s", log);
	free(log);
}

Test(logins, what_a_killed_consumer_held_is_delivered_to_the_next)
{
	logins_start(&rig);
	logins_be("leat-admin");
	rig_migrate(&rig);
	struct leat_child *first = start_consumer("first");
	publish("shop-service", SHOP, "entity.upsert", 0, note);
	leat_child_signal(first, SIGSTOP); /* its pull request is open: it gets the next message and does nothing with it */
	logins_be("shop-service");
	say_write_file(&rig, "lines", note, strlen(note));
	say_run(&rig, "publish", 0, RIG_ARGS("publish", "entity.merge", "--tenant", SHOP, "lines"));
	leat_child_stop(first, SIGKILL, 0);
	start_consumer("second");
	rig_sql_wait(&rig, 30, "2", "SELECT count(*) FROM leat.activity WHERE outcome = 'applied'");
	char *log = rig_log(&rig, "second");
	cr_expect_null(strcasestr(log, "violation"), "a right is missing: %s", log);
	free(log);
}

Test(logins, a_producer_that_tries_another_tenant_is_told_that_it_may_not)
{
	logins_start(&rig);
	logins_be("leat-admin");
	rig_migrate(&rig);
	publish("shop-service", CLUB, "entity.upsert", 1, note);
	say_expect_log(&rig, "publish", "may this login publish there?");
	publish("shop-user", CLUB, "entity.upsert", 1, note);
}

Test(logins, node_publishes_with_a_login)
{
	logins_start(&rig);
	logins_be("leat-admin");
	rig_migrate(&rig);
	start_consumer("consume");
	struct leat_child node;
	char url[160];
	snprintf(url, sizeof url, "LEAT_NATS_URL=%s", rig.nats.url);
	logins_be("shop-service");
	script_start(&node, &rig, "node", RIG_ARGS("node", "tests/clients/publish.mjs"), RIG_ARGS(url, "TENANT=" SHOP));
	cr_assert_eq(script_wait(&node, 60), 0);
	rig_sql_expect(&rig, "4", "SELECT count(*) FROM leat.activity WHERE actor = 'web-shop' AND outcome = 'applied'");
}

/* ---- refused, and let in again ---- */

#define WITH_PASSWORD(password)                                                                                                            \
	"authorization { users: [{user: leat, password: \"" password "\"}, {user: operator, password: \"operators-own\"}] }\n"

Test(logins, a_consumer_that_is_refused_keeps_trying_and_a_command_says_why_and_ends)
{
	logins_configure(&rig, WITH_PASSWORD("right"));
	setenv("LEAT_NATS_USER", "leat", 1);
	setenv("LEAT_NATS_PASSWORD", "right", 1);
	rig_migrate(&rig);
	rig_start(&rig, "consume", RIG_ARGS("consume", "--retry-limit-ms", "200"));
	say_write_file(&rig, "lines", note, strlen(note));
	say_run(&rig, "publish", 0, RIG_ARGS("publish", "entity.upsert", "--tenant", SHOP, "--wait", "lines"));

	logins_configure(&rig, WITH_PASSWORD("changed"));
	say_wait_log(&rig, "consume", "it refused the login of \"leat\": check LEAT_NATS_USER and LEAT_NATS_PASSWORD");
	static const char *const commands[][5] = {{"migrate"}, {"dead", "list"}, {"publish", "entity.upsert", "--tenant", SHOP, "lines"}};
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
		const char *arguments[6] = {0};
		memcpy(arguments, commands[i], sizeof commands[i]);
		cr_expect_eq(rig_run(&rig, "refused", 20, arguments), 1, "%s", arguments[0]);
		say_expect_log(&rig, "refused", "it refused the login of \"leat\"");
	}
	say_run(&rig, "status", 1, RIG_ARGS("status"));
	say_expect(&rig, "status", "it refused the login of \"leat\"");

	logins_configure(&rig, WITH_PASSWORD("right"));
	say_run(&rig, "again", 0, RIG_ARGS("publish", "entity.merge", "--tenant", SHOP, "--wait", "lines"));
	char *log = rig_log(&rig, "consume");
	cr_expect_null(strstr(log, "right"), "%s", log);
	free(log);
}

/* ---- the ways to log in ---- */

static void expect_in(const char *const *flags)
{
	const char *arguments[8] = {"migrate", flags[0], flags[0] != NULL ? flags[1] : NULL};
	cr_expect_eq(rig_run(&rig, "in", 40, arguments), 0);
}

static void expect_out(const char *const *flags, int status, const char *why)
{
	const char *arguments[8] = {"dead", "list", flags[0], flags[0] != NULL ? flags[1] : NULL};
	cr_expect_eq(rig_run(&rig, "out", 20, arguments), status);
	say_expect_log(&rig, "out", why);
}

#define SEED "SUAGIDZ7M6WOQRSAQNHCPTHT7CA2WA5QP6QU2Y6H5DJ53PXA6FCO357XWI" /* made for this test */
#define SEED_PUBLIC "UC3Z6INHK2N6RPXT2VA244ZERQDIDUSRWIRXNS74DXB4W46A44CRO2OS"
#define ACCOUNT_SEED "SAAGIDZ7M6WOQRSAQNHCPTHT7CA2WA5QP6QU2Y6H5DJ53PXA6FCO35YEPY" /* the same key, for another use */

static void write_text(const char *name, const char *text)
{
	say_write_file(&rig, name, text, strlen(text));
}

Test(logins, by_nkey_its_seed_is_enough)
{
	logins_configure(&rig, "authorization { users: [{nkey: " SEED_PUBLIC "}] }\n");
	write_text("bare", SEED);
	write_text("framed", "-----BEGIN USER NKEY SEED-----\n" SEED "\n------END USER NKEY SEED------\n");
	write_text("account", ACCOUNT_SEED "\n");
	write_text("typo", "SUAGIDZ7M6WOQRSAQNHCPTHT7CA2WA5QP6QU2Y6H5DJ53PXA6FCA357XWI\n");
	write_text("other", "SUAIGQB5WAA6XEVRDPNLDA2PX4MDZUZRR6RBGSHLT5CMVYEFKPWSKMUCVA\n");
	expect_in(RIG_ARGS("--nats-nkey", "bare"));
	expect_in(RIG_ARGS("--nats-nkey", "framed"));
	expect_out(RIG_ARGS("--nats-nkey", "account"), 1, "LEAT_NATS_NKEY: account holds no user's seed");
	expect_out(RIG_ARGS("--nats-nkey", "typo"), 1, "LEAT_NATS_NKEY: typo holds no user's seed");
	expect_out(RIG_ARGS("--nats-nkey", "nowhere"), 1, "LEAT_NATS_NKEY: can't read nowhere: No such file or directory");
	expect_out(RIG_ARGS("--nats-nkey", "other"), 1, "does the server's configuration have the user U");
	expect_out(RIG_ARGS(NULL), 1, "it refused the login: set LEAT_NATS_CREDS, LEAT_NATS_NKEY, or");
}

Test(logins, by_credentials_file)
{
	struct leat_child node;
	script_start(&node, &rig, "node", RIG_ARGS("node", "tests/clients/make_creds.mjs", rig.folder), NULL);
	cr_assert_eq(script_wait(&node, 60), 0);
	char *config = logins_read(&rig, "jwt.conf");
	logins_configure(&rig, config);
	free(config);
	expect_in(RIG_ARGS("--nats-creds", "user.creds"));
	expect_out(RIG_ARGS("--nats-creds", "jwt.conf"), 1, "LEAT_NATS_CREDS: jwt.conf does not begin with -----BEGIN NATS USER JWT-----");
	expect_out(RIG_ARGS("--nats-creds", "nowhere"), 1, "LEAT_NATS_CREDS: can't read nowhere: No such file or directory");
	expect_out(RIG_ARGS("--nats-creds", "."), 1, "LEAT_NATS_CREDS: can't read .: Is a directory");
	char *own = logins_read(&rig, "user.creds");
	own[strcspn(own, ".") + 10] ^= 1; /* the JWT is not what was signed any more */
	write_text("forged.creds", own);
	free(own);
	expect_out(RIG_ARGS("--nats-creds", "forged.creds"), 1, "it refused the login by LEAT_NATS_CREDS (forged.creds)");
}

Test(logins, by_token_or_password_in_the_url)
{
	char url[160];
	logins_configure(&rig, "authorization { token: sesame }\n");
	snprintf(url, sizeof url, "nats://sesame@127.0.0.1:%d", rig.nats.port);
	expect_in(RIG_ARGS("--nats-url", url));
	snprintf(url, sizeof url, "nats://mustard@127.0.0.1:%d", rig.nats.port);
	expect_out(RIG_ARGS("--nats-url", url), 1, "(or check the one in the URL)");
	char *log = rig_log(&rig, "out");
	cr_expect_null(strstr(log, "mustard"), "%s", log);
	free(log);
}

Test(logins, settings_that_contradict_each_other_are_told_before_anything_is_sent)
{
	static const struct {
		const char *user;
		const char *password;
		const char *flags[3];
		const char *why;
	} cases[] = {
		{"leat", "", {NULL}, "LEAT_NATS_USER is set and LEAT_NATS_PASSWORD is not"},
		{"", "secret", {NULL}, "LEAT_NATS_PASSWORD is set and LEAT_NATS_USER is not"},
		{"leat", "secret", {"--nats-creds", "x"}, "three ways to log in: set one of them"},
		{"leat", "secret", {"--nats-nkey", "x"}, "three ways to log in: set one of them"},
		{"", "", {"--nats-tls-cert", "x"}, "LEAT_NATS_TLS_CERT is set and LEAT_NATS_TLS_KEY is not"},
		{"", "", {"--nats-tls-key", "x"}, "LEAT_NATS_TLS_KEY is set and LEAT_NATS_TLS_CERT is not"},
		{"", "", {"--nats-tls-ca", "nowhere"}, "LEAT_NATS_TLS_CA: can't read nowhere: No such file or directory"},
		{"", "", {"--nats-inbox-prefix", "mine.>"}, "LEAT_NATS_INBOX_PREFIX: expected a subject without wildcards"},
	};
	leat_server_stop(&rig.nats);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		setenv("LEAT_NATS_USER", cases[i].user, 1);
		setenv("LEAT_NATS_PASSWORD", cases[i].password, 1);
		expect_out(cases[i].flags, 1, cases[i].why);
		const char *consume[] = {"consume", cases[i].flags[0], cases[i].flags[1], NULL};
		cr_expect_eq(rig_run(&rig, "consume", 20, consume), 2);
		say_expect_log(&rig, "consume", cases[i].why);
		char *log = rig_log(&rig, "consume");
		cr_expect_null(strstr(log, "secret"), "%s", log);
		free(log);
	}
}
