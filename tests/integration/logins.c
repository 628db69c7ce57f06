#include "logins.h"

#include "saying.h"
#include "scripts.h"

#include "leat/buf.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const users[] = {
	"leat-admin", "leat-consumer", "shop-service", "shop-user", "shop-events", "club-service", "club-user", "club-events"};

#define USERS (sizeof users / sizeof *users)

const char *logins_path(const struct rig *rig, const char *name)
{
	static char paths[4][PATH_MAX + 64];
	static size_t next;
	char *path = paths[next++ % 4];
	snprintf(path, sizeof paths[0], "%s/%s", rig->folder, name);
	return path;
}

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "we");
	cr_assert_not_null(file, "can't write %s", path);
	fputs(text, file);
	cr_assert_eq(fclose(file), 0);
}

char *logins_read(const struct rig *rig, const char *name)
{
	return script_read(logins_path(rig, name));
}

/* ---- the users ---- */

const char *logins_password(const char *user)
{
	static char passwords[USERS][64];
	for (size_t i = 0; i < USERS; i++) {
		if (strcmp(users[i], user) == 0) {
			snprintf(passwords[i], sizeof passwords[i], "secret-of-%s", user);
			return passwords[i];
		}
	}
	cr_assert_fail("docker/nats-accounts.conf has no user %s", user);
	return NULL;
}

/* shop-service -> SHOP_SERVICE_PASSWORD, in the environment of the server that is started. */
static void set_passwords(void)
{
	for (size_t i = 0; i < USERS; i++) {
		char variable[64];
		snprintf(variable, sizeof variable, "%s_PASSWORD", users[i]);
		for (char *at = variable; *at != '\0'; at++)
			*at = (char)(*at == '-' ? '_' : toupper((unsigned char)*at));
		setenv(variable, logins_password(users[i]), 1);
	}
}

void logins_be(const char *user)
{
	setenv("LEAT_NATS_USER", user, 1);
	setenv("LEAT_NATS_PASSWORD", logins_password(user), 1);
	setenv("LEAT_NATS_INBOX_PREFIX", strcmp(user, "leat-consumer") == 0 ? "_INBOX_consumer" : "", 1);
}

/* ---- the server ---- */

static void replace(struct leat_buf *out, const char *line, size_t bytes, const char *from, const char *to)
{
	const char *at = memmem(line, bytes, from, strlen(from));
	if (at == NULL) {
		leat_buf_add(out, line, bytes);
		return;
	}
	leat_buf_add(out, line, (size_t)(at - line));
	leat_buf_add_text(out, to);
	leat_buf_add(out, at + strlen(from), bytes - (size_t)(at - line) - strlen(from));
}

/* listen, http and store_dir are given by flags, or not at all. */
static bool is_place(const char *line)
{
	line += strspn(line, " \t");
	return strncmp(line, "listen:", 7) == 0 || strncmp(line, "http:", 5) == 0 || strncmp(line, "store_dir:", 10) == 0;
}

void logins_copy(const struct rig *rig, const char *name)
{
	char from[128];
	char here[PATH_MAX + 8];
	snprintf(from, sizeof from, "docker/%s", name);
	snprintf(here, sizeof here, "%s/", rig->folder);
	char *text = script_read(from);
	LEAT_BUF_SCOPED copy = LEAT_BUF_INIT;
	for (const char *line = text; *line != '\0';) {
		size_t bytes = strcspn(line, "\n");
		bytes += line[bytes] == '\n';
		if (!is_place(line))
			replace(&copy, line, bytes, "/etc/nats/tls/", here);
		line += bytes;
	}
	write_file(logins_path(rig, name), leat_buf_text(&copy));
	free(text);
}

static void start_with(struct rig *rig, const char *name)
{
	static char config[PATH_MAX + 64];
	static const char *const more[] = {"--config", config, NULL};
	struct leat_error err;
	snprintf(config, sizeof config, "%s", logins_path(rig, name));
	leat_server_stop(&rig->nats);
	cr_assert_eq(leat_server_start_with(&rig->nats, LEAT_SERVER_NATS, rig->folder, rig->nats.port, more, &err), LEAT_OK, "%s", err.text);
}

void logins_start(struct rig *rig)
{
	set_passwords();
	logins_copy(rig, "nats-accounts.conf");
	start_with(rig, "nats-accounts.conf");
}

void logins_start_tls(struct rig *rig)
{
	set_passwords();
	certificates_make(rig);
	logins_copy(rig, "nats-accounts.conf");
	logins_copy(rig, "nats-tls.conf");
	start_with(rig, "nats-tls.conf");
}

static size_t count_reloads(const struct rig *rig)
{
	char *log = script_read(rig->nats.log);
	size_t count = say_count(log, "Reloaded server configuration");
	free(log);
	return count;
}

struct reload {
	const struct rig *rig;
	size_t before;
	int looks;
};

/* Told again now and then: a server that is busy starting does not hear the first time. */
static bool is_reloaded(void *argument)
{
	struct reload *reload = argument;
	if (reload->looks++ % 100 == 0)
		leat_child_signal(&reload->rig->nats.child, SIGHUP);
	return count_reloads(reload->rig) > reload->before;
}

void logins_configure(struct rig *rig, const char *text)
{
	LEAT_BUF_SCOPED config = LEAT_BUF_INIT;
	if (rig->nats.more != NULL) /* these were given by flags, which the server forgets when it reads its file again */
		leat_buf_printf(&config, "server_name: %s\njetstream { store_dir: \"%s\" }\n", rig->nats.detail, rig->nats.data);
	leat_buf_add_text(&config, text);
	write_file(logins_path(rig, "own.conf"), leat_buf_text(&config));
	if (rig->nats.more == NULL) {
		start_with(rig, "own.conf");
		return;
	}
	struct reload reload = {rig, count_reloads(rig), 0};
	cr_assert(rig_wait_until(is_reloaded, &reload, 20), "nats-server did not take up the configuration; see %s", rig->nats.log);
}

/* ---- certificates ---- */

void certificates_make(const struct rig *rig)
{
	static const char script[] =
		"set -eu\n"
		"curve='-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes'\n"
		"for name in ca other-ca; do\n"
		"	openssl req -x509 $curve -days 2 -subj \"/CN=$name\" -keyout $name.key -out $name.pem\n"
		"done\n"
		"sign() {\n"
		"	openssl req $curve -subj \"/CN=$1\" -keyout $1.key -out $1.csr\n"
		"	echo \"subjectAltName=$2\" >$1.ext\n"
		"	openssl x509 -req -in $1.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile $1.ext -out $1.pem\n"
		"}\n"
		"sign server DNS:localhost,IP:127.0.0.1\n"
		"sign stranger DNS:other.example\n"
		"sign client DNS:client.example\n";
	char log[PATH_MAX + 64];
	snprintf(log, sizeof log, "%s/openssl.log", rig->folder);
	struct leat_child_spec spec = {.argv = (const char *const[]){"sh", "-c", script, NULL}, .log = log, .directory = rig->folder};
	struct leat_child child;
	struct leat_error err;
	int status = 0;
	cr_assert_eq(leat_child_start(&child, &spec, &err), LEAT_OK, "%s", err.text);
	cr_assert(leat_child_wait(&child, 30000, &status));
	cr_assert_eq(status, 0, "openssl failed: see %s", log);
}
