/*
 * A private Postgres.
 *
 * A new cluster is made beside its final place and moved there when it is complete, so that one that was interrupted is never taken for
 * whole. It is ready when its postmaster.pid holds our process and the word "ready", which is how pg_ctl tells too. Postgres refuses to
 * run as root: then everything runs as the user postgres, who must be able to reach the folder.
 */
#include "server.h"

#include "leat/log.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PACKAGE "postgresql-15"
#define LOGIN "leat"
#define INIT_MS 120000
#define ELSEWHERE "/var/lib/leat"

static const char *run_as(void)
{
	return geteuid() == 0 ? "postgres" : NULL;
}

/* Runs a program to its end, output to the log. */
static enum leat_kind run_tool(
	const struct leat_server *server, const char *const *argv, const char *user, const char *input, struct leat_error *err)
{
	struct leat_child_spec spec = {
		.argv = argv, .log = server->log, .input = input, .user = user, .directory = "/", .death_signal = SIGKILL};
	struct leat_child child;
	if (leat_child_start(&child, &spec, err) != LEAT_OK)
		return err->kind;
	int status = 0;
	if (!leat_child_wait(&child, INIT_MS, &status))
		status = leat_child_stop(&child, SIGTERM, 1000);
	if (status == 0)
		return LEAT_OK;
	char how[64];
	leat_child_describe(status, how);
	return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INTERNAL, "%s %s; its output is in %s", argv[0], how, server->log);
}

static enum leat_kind fail_at(const char *what, const char *path, struct leat_error *err)
{
	return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INTERNAL, "can't %s %s: %s", what, path, strerror(errno));
}

/* A line each. The login is what a consumer's should be: it owns nothing. */
static const char first_commands[] = "CREATE DATABASE leat\n"
									 "CREATE ROLE authenticated NOLOGIN\n"
									 "CREATE ROLE service_role NOLOGIN\n"
									 "CREATE ROLE " LOGIN " LOGIN IN ROLE authenticated, service_role\n";

/* Makes the cluster in the empty folder `path`, which belongs to us. */
static enum leat_kind make_cluster(const struct leat_server *server, const char *path, struct leat_error *err)
{
	char initdb[PATH_MAX];
	char postgres[PATH_MAX];
	if (leat_program_find(initdb, "initdb", PACKAGE, err) != LEAT_OK || leat_program_find(postgres, "postgres", PACKAGE, err) != LEAT_OK)
		return err->kind;
	if (run_as() != NULL) {
		uid_t uid;
		gid_t gid;
		if (!leat_user_find(run_as(), &uid, &gid))
			return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_NOT_FOUND,
				"Postgres refuses to run as root and there is no user %s; on Debian, the package " PACKAGE " makes one", run_as());
		if (chown(path, uid, gid) != 0)
			return fail_at("give away", path, err);
	}
	const char *init[] = {initdb, "--pgdata", path, "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", NULL};
	const char *single[] = {postgres, "--single", "-D", path, "postgres", NULL};
	if (run_tool(server, init, run_as(), NULL, err) != LEAT_OK || run_tool(server, single, run_as(), first_commands, err) != LEAT_OK)
		return leat_fail_while(err, "making a database cluster");
	return LEAT_OK;
}

/* Whether the user that Postgres runs as gets through every folder on the way. */
static bool reachable(const struct leat_server *server, const char *folder)
{
	const char *argv[] = {"/usr/bin/test", "-x", folder, NULL};
	struct leat_error ignored;
	return run_as() == NULL || run_tool(server, argv, run_as(), NULL, &ignored) == LEAT_OK;
}

/* An empty folder, without what an interrupted start may have left there. */
static enum leat_kind make_folder(const struct leat_server *server, const char *path, struct leat_error *err)
{
	const char *argv[] = {"/bin/rm", "-rf", path, NULL};
	if (run_tool(server, argv, NULL, NULL, err) != LEAT_OK)
		return err->kind;
	return mkdir(path, 0700) == 0 ? LEAT_OK : fail_at("make", path, err);
}

static enum leat_kind make_here(const struct leat_server *server, const char *place, struct leat_error *err)
{
	char path[PATH_MAX];
	if (snprintf(path, sizeof path, "%s.new", place) >= (int)sizeof path)
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_TOO_LARGE, "the path %s is too long", place);
	if (make_folder(server, path, err) != LEAT_OK || make_cluster(server, path, err) != LEAT_OK)
		return err->kind;
	return rename(path, place) == 0 ? LEAT_OK : fail_at("move into place", path, err);
}

static enum leat_kind make_elsewhere(const struct leat_server *server, const char *place, struct leat_error *err)
{
	char path[] = ELSEWHERE "/postgres-XXXXXX";
	if (mkdir(ELSEWHERE, 0755) != 0 && errno != EEXIST)
		return fail_at("make", ELSEWHERE, err);
	if (mkdtemp(path) == NULL)
		return fail_at("make", path, err);
	if (make_cluster(server, path, err) != LEAT_OK)
		return err->kind;
	if (symlink(path, place) != 0)
		return fail_at("link", place, err);
	leat_log(LEAT_LOG_INFO, "postgres", "the user postgres can't reach %s, so its data is in %s", place, path);
	return LEAT_OK;
}

static enum leat_kind prepare(struct leat_server *server, const char *folder, struct leat_error *err)
{
	char place[PATH_MAX];
	if (snprintf(place, sizeof place, "%s/postgres", folder) >= (int)sizeof place)
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_TOO_LARGE, "the path %s is too long", folder);
	struct stat file;
	if (stat(place, &file) != 0) {
		unlink(place); /* a link whose other end is gone */
		enum leat_kind kind = reachable(server, folder) ? make_here(server, place, err) : make_elsewhere(server, place, err);
		if (kind != LEAT_OK)
			return kind;
	}
	return realpath(place, server->data) != NULL ? LEAT_OK : fail_at("find", place, err);
}

static enum leat_kind launch(struct leat_server *server, struct leat_error *err)
{
	char path[PATH_MAX];
	if (leat_program_find(path, "postgres", PACKAGE, err) != LEAT_OK)
		return err->kind;
	char port[16];
	snprintf(port, sizeof port, "%d", server->port);
	const char *argv[LEAT_SERVER_ARGUMENTS] = {path, "-D", server->data, "-p", port, "-c", "listen_addresses=127.0.0.1", "-c",
		"unix_socket_directories=", "-c", "shared_buffers=256MB", "-c", "max_wal_size=4GB", "-c", "wal_compression=lz4", "-c",
		"max_connections=300", "-c", "jit=off"};
	leat_server_add_arguments(server, argv);
	struct leat_child_spec spec = {.argv = argv, .log = server->log, .user = run_as(), .directory = "/", .death_signal = SIGINT};
	return leat_child_start(&server->child, &spec, err);
}

/* The lines of postmaster.pid: pid, data folder, start time, port, socket folder, listen address, shared memory, status. */
static bool ready(const struct leat_server *server)
{
	char path[PATH_MAX + 32];
	char text[4096];
	snprintf(path, sizeof path, "%s/%s", server->data, server->type->pid_file);
	if (leat_read_file(path, text, sizeof text) == 0 || strtol(text, NULL, 10) != server->child.pid)
		return false;
	const char *line = text;
	for (int number = 1; number < 8 && line != NULL; number++) {
		line = strchr(line, '\n');
		if (line != NULL)
			line++;
	}
	return line != NULL && strncmp(line, "ready", 5) == 0;
}

static void set_url(struct leat_server *server)
{
	snprintf(server->url, sizeof server->url, "postgresql://postgres@127.0.0.1:%d/leat", server->port);
	snprintf(server->login_url, sizeof server->login_url, "postgresql://" LOGIN "@127.0.0.1:%d/leat", server->port);
}

const struct leat_server_type leat_server_postgres = {
	.name = "postgres",
	.stop_signal = SIGINT, /* "fast": disconnects clients, writes a checkpoint */
	.stop_ms = 60000,
	.pid_file = "postmaster.pid",
	.prepare = prepare,
	.launch = launch,
	.ready = ready,
	.set_url = set_url,
};
