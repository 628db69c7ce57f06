/*
 * TLS to both servers. To NATS with docker/nats-tls.conf as it stands: whose certificate is believed, under which name, and who has to
 * show one. To Postgres by libpq's own options in the URL.
 */
#include "logins.h"
#include "saying.h"

#include "leat/pg.h"

#include <criterion/criterion.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct rig rig;

static void setup(void)
{
	rig_open(&rig);
}

static void teardown(void)
{
	rig_close(&rig);
}

TestSuite(tls, .init = setup, .fini = teardown);

/* ---- NATS ---- */

struct attempt {
	const char *scheme;
	const char *host;
	const char *ca; /* names of files that certificates_make made; NULL: none */
	const char *client;
	const char *why; /* part of the error; NULL: it works */
};

static void expect_attempt(const struct attempt *attempt)
{
	char url[128];
	char client_cert[64];
	char client_key[64];
	snprintf(url, sizeof url, "%s://%s:%d", attempt->scheme, attempt->host, rig.nats.port);
	snprintf(client_cert, sizeof client_cert, "%s.pem", attempt->client != NULL ? attempt->client : "");
	snprintf(client_key, sizeof client_key, "%s.key", attempt->client != NULL ? attempt->client : "");
	struct leat_bus_options options = {
		.url = url,
		.name = "test",
		.user = "leat-admin",
		.password = logins_password("leat-admin"),
		.tls_ca = attempt->ca != NULL ? logins_path(&rig, attempt->ca) : NULL,
		.tls_cert = attempt->client != NULL ? logins_path(&rig, client_cert) : NULL,
		.tls_key = attempt->client != NULL ? logins_path(&rig, client_key) : NULL,
		.request_timeout_ms = 5000,
		.retry_first_ms = 20,
		.retry_limit_ms = 200,
	};
	struct leat_bus *bus = NULL;
	struct leat_error err;
	enum leat_kind kind = leat_bus_open(&bus, &options, &err);
	if (attempt->why == NULL)
		cr_expect(kind == LEAT_OK && leat_bus_flush(bus, &err) == LEAT_OK, "%s: %s", url, err.text);
	else
		cr_expect(kind != LEAT_OK && strstr(err.text, attempt->why) != NULL, "%s: %s", url, kind != LEAT_OK ? err.text : "connected");
	leat_bus_close(bus);
}

static void expect_attempts(const struct attempt *attempts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		expect_attempt(&attempts[i]);
}

#define EXPECT_ATTEMPTS(attempts) expect_attempts(attempts, sizeof(attempts) / sizeof *(attempts))

Test(tls, both_sides_show_a_certificate_of_the_right_authority)
{
	static const struct attempt attempts[] = {
		{"tls", "127.0.0.1", "ca.pem", "client", NULL},
		{"tls", "localhost", "ca.pem", "client", NULL},
		{"nats", "127.0.0.1", "ca.pem", "client", NULL}, /* the server asks for it */
		{"tls", "127.0.0.1", "other-ca.pem", "client", "LEAT_NATS_TLS_CA has to hold the authority that signed its certificate"},
		{"tls", "127.0.0.1", NULL, "client", "LEAT_NATS_TLS_CA has to hold the authority that signed its certificate"},
		{"nats", "127.0.0.1", NULL, NULL, "LEAT_NATS_TLS_CA has to hold the authority that signed its certificate"},
		{"tls", "127.0.0.1", "ca.pem", NULL, "where it asks for a client certificate, check LEAT_NATS_TLS_CERT"},
		{"tls", "127.0.0.1", "ca.pem", "other-ca", "where it asks for a client certificate, check LEAT_NATS_TLS_CERT"},
	};
	logins_start_tls(&rig);
	EXPECT_ATTEMPTS(attempts);
}

Test(tls, a_certificate_for_another_host_is_refused)
{
	static const struct attempt attempts[] = {
		{"tls", "127.0.0.1", "ca.pem", NULL, "its certificate has to name the host in LEAT_NATS_URL"},
		{"tls", "localhost", "ca.pem", NULL, "its certificate has to name the host in LEAT_NATS_URL"},
		{"nats", "localhost", "ca.pem", NULL, "its certificate has to name the host in LEAT_NATS_URL"},
	};
	char config[PATH_MAX * 3];
	certificates_make(&rig);
	snprintf(config, sizeof config, "tls { cert_file: \"%s\", key_file: \"%s\" }\n", logins_path(&rig, "stranger.pem"),
		logins_path(&rig, "stranger.key"));
	logins_configure(&rig, config);
	EXPECT_ATTEMPTS(attempts);
}

Test(tls, nothing_is_sent_in_the_clear_where_tls_is_asked_for)
{
	static const struct attempt attempts[] = {
		{"tls", "127.0.0.1", NULL, NULL, "it offers no TLS"}, {"nats", "127.0.0.1", "ca.pem", NULL, "it offers no TLS"},
		{"nats", "127.0.0.1", NULL, "client", "it offers no TLS"},
		{"nats", "127.0.0.1", NULL, NULL, NULL}, /* the server asks for no login, and takes any */
	};
	certificates_make(&rig);
	EXPECT_ATTEMPTS(attempts);
}

Test(tls, files_that_are_no_certificates_are_told)
{
	static const struct attempt attempts[] = {
		{"tls", "127.0.0.1", "ca.key", "client", "ca.key"},
		{"tls", "127.0.0.1", "nowhere.pem", "client", "can't read"},
	};
	logins_start_tls(&rig);
	EXPECT_ATTEMPTS(attempts);
}

static const char note[] = "{\"entity_type\":\"note\",\"key\":\"first\",\"content\":{\"text\":\"hello\"}}\n";

Test(tls, leat_works_through_it_and_finds_back_when_the_server_restarts)
{
	struct leat_error err;
	logins_start_tls(&rig);
	setenv("LEAT_NATS_TLS_CA", logins_path(&rig, "ca.pem"), 1);
	setenv("LEAT_NATS_TLS_CERT", logins_path(&rig, "client.pem"), 1);
	setenv("LEAT_NATS_TLS_KEY", logins_path(&rig, "client.key"), 1);
	logins_be("leat-admin");
	rig_migrate(&rig);
	logins_be("leat-consumer");
	rig_start(&rig, "consume", RIG_ARGS("consume", "--retry-limit-ms", "200"));
	logins_be("shop-service");
	say_write_file(&rig, "lines", note, strlen(note));
	say_run(&rig, "publish", 0, RIG_ARGS("publish", "entity.upsert", "--tenant", SHOP, "--wait", "lines"));
	cr_assert_eq(leat_server_restart(&rig.nats, &err), LEAT_OK, "%s", err.text);
	say_run(&rig, "publish", 0, RIG_ARGS("publish", "entity.merge", "--tenant", SHOP, "--wait", "lines"));
}

/* ---- Postgres ---- */

/* Postgres insists that nobody else can read its key. */
static void give_to_postgres(const char *path)
{
	const struct passwd *postgres = getpwnam("postgres");
	if (geteuid() == 0) {
		cr_assert_not_null(postgres);
		cr_assert_eq(chown(path, postgres->pw_uid, postgres->pw_gid), 0);
	}
	cr_assert_eq(chmod(path, 0600), 0);
}

static void expect_postgres(const struct leat_server *server, const char *host, const char *options, const char *why)
{
	char url[PATH_MAX + 256];
	struct leat_pg *pg = NULL;
	struct leat_error err;
	snprintf(url, sizeof url, "postgresql://postgres@%s:%d/leat?%s", host, server->port, options);
	enum leat_kind kind = leat_pg_open(&pg, url, "test", NULL, NULL, 0, &err);
	if (why != NULL) {
		cr_expect(kind != LEAT_OK && strstr(err.text, why) != NULL, "%s: %s", url, kind != LEAT_OK ? err.text : "connected");
	} else {
		struct leat_pg_result *result = NULL;
		cr_assert_eq(kind, LEAT_OK, "%s: %s", url, err.text);
		cr_assert_eq(
			leat_pg_run_sql(pg, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", &result, &err), LEAT_OK, "%s", err.text);
		cr_expect_str_eq(leat_pg_text(result, 0, 0), "t");
		leat_pg_result_free(result);
	}
	leat_pg_close(pg);
}

static void start_postgres(struct leat_server *out, const char *certificate)
{
	static char cert[PATH_MAX + 96];
	static char key[PATH_MAX + 96];
	static const char *const more[] = {"-c", "ssl=on", "-c", cert, "-c", key, NULL};
	struct leat_error err;
	snprintf(cert, sizeof cert, "ssl_cert_file=%s/%s.pem", rig.folder, certificate);
	snprintf(key, sizeof key, "ssl_key_file=%s/%s.key", rig.folder, certificate);
	give_to_postgres(strchr(key, '=') + 1);
	cr_assert_eq(leat_server_start_with(out, LEAT_SERVER_POSTGRES, rig.folder, 0, more, &err), LEAT_OK, "%s", err.text);
}

Test(tls, postgres_is_verified_as_its_url_asks)
{
	certificates_make(&rig);
	start_postgres(&rig.postgres, "server");
	char right[PATH_MAX + 64];
	char wrong[PATH_MAX + 64];
	snprintf(right, sizeof right, "sslmode=verify-full&sslrootcert=%s/ca.pem", rig.folder);
	snprintf(wrong, sizeof wrong, "sslmode=verify-full&sslrootcert=%s/other-ca.pem", rig.folder);
	expect_postgres(&rig.postgres, "127.0.0.1", right, NULL);
	expect_postgres(&rig.postgres, "localhost", right, NULL);
	expect_postgres(&rig.postgres, "127.0.0.1", wrong, "certificate verify failed");
	expect_postgres(&rig.postgres, "127.0.0.1", "sslmode=verify-full&sslrootcert=/nowhere.pem", "/nowhere.pem");

	char url[PATH_MAX + 256];
	snprintf(url, sizeof url, "postgresql://postgres@127.0.0.1:%d/leat?%s", rig.postgres.port, wrong);
	cr_expect_eq(rig_run(&rig, "status", 20, RIG_ARGS("status", "--database-url", url)), 1);
	say_expect(&rig, "status", "certificate verify failed");

	leat_server_stop(&rig.postgres);
	start_postgres(&rig.postgres, "stranger");
	expect_postgres(&rig.postgres, "127.0.0.1", right, "does not match host name");
}
