/*
 * `leat up`: everything on one machine. A private Postgres and nats-server in the state folder, the schema and the streams, and
 * consumers; in the foreground, until Ctrl-C or SIGTERM stops all of it in the opposite order.
 *
 * What dies meanwhile is started again, and said so. It fails when the folder is in use by another `leat up`, when a server is not
 * installed or does not come up, or when migrating fails; then it stops what it had started.
 */
#include "up.h"

#include "command.h"

#include "leat/clock.h"
#include "leat/lane.h"
#include "leat/local.h"
#include "leat/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define NATS_PORT 4222 /* where these are free; else any */
#define POSTGRES_PORT 5432
#define MIGRATE_MS 120000
#define TENANT "11111111-1111-4111-8111-111111111111"

struct up {
	const struct leat_params *params;
	struct leat_server postgres;
	struct leat_server nats;
	struct up_environment environment;
	struct up_consumers consumers;
	int lock;
	int signals;
};

/* ---- one at a time in a folder ---- */

static enum leat_kind lock_folder(struct up *up, struct leat_error *err)
{
	const char *folder = up->params->state_dir;
	char path[PATH_MAX];
	if (mkdir(folder, 0755) != 0 && errno != EEXIST)
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INTERNAL, "can't make the folder %s: %s", folder, strerror(errno));
	snprintf(path, sizeof path, "%s/lock", folder);
	up->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (up->lock < 0)
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INTERNAL, "can't open %s: %s", path, strerror(errno));
	char pid[32] = "";
	if (flock(up->lock, LOCK_EX | LOCK_NB) != 0) {
		ssize_t length = read(up->lock, pid, sizeof pid - 1);
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_CONFLICT,
			"another `leat up` (process %.*s) runs in %s; stop that one first, or give this one another folder by --state-dir",
			length > 0 ? (int)strcspn(pid, "\n") : 1, length > 0 ? pid : "?", folder);
	}
	int length = snprintf(pid, sizeof pid, "%d\n", (int)getpid());
	if (ftruncate(up->lock, 0) != 0 || write(up->lock, pid, (size_t)length) != length)
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INTERNAL, "can't write %s: %s", path, strerror(errno));
	return LEAT_OK;
}

/* From here on signals wait in up->signals. */
static void catch_signals(struct up *up)
{
	sigset_t stop;
	sigemptyset(&stop);
	sigaddset(&stop, SIGINT);
	sigaddset(&stop, SIGTERM);
	sigaddset(&stop, SIGHUP);
	sigprocmask(SIG_BLOCK, &stop, NULL);
	up->signals = signalfd(-1, &stop, SFD_CLOEXEC | SFD_NONBLOCK);
	if (up->signals < 0)
		abort();
}

static bool told_to_stop(const struct up *up)
{
	struct pollfd signals = {.fd = up->signals, .events = POLLIN};
	return poll(&signals, 1, 0) > 0;
}

/* ---- up ---- */

/* For other terminals: `. .leat/env`. */
static enum leat_kind write_env_file(const struct up *up, struct leat_error *err)
{
	char path[PATH_MAX];
	char fresh[PATH_MAX];
	snprintf(path, sizeof path, "%s/env", up->params->state_dir);
	snprintf(fresh, sizeof fresh, "%s/env.new", up->params->state_dir);
	FILE *file = fopen(fresh, "we");
	bool written = file != NULL &&
		fprintf(file, "export LEAT_NATS_URL='%s'\nexport LEAT_DATABASE_URL='%s'\nexport LEAT_MIGRATE_URL='%s'\n", up->nats.url,
			up->postgres.login_url, up->postgres.url) > 0;
	if (file != NULL && fclose(file) != 0)
		written = false;
	if (written && rename(fresh, path) == 0)
		return LEAT_OK;
	return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INTERNAL, "can't write %s: %s", path, strerror(errno));
}

static enum leat_kind migrate(struct up *up, struct leat_error *err)
{
	const char *argv[] = {"leat", "migrate", NULL};
	struct leat_child_spec spec = {.argv = argv, .program = UP_OURSELVES, .environment = up->environment.lines, .death_signal = SIGTERM};
	struct leat_child child;
	int status = 0;
	if (leat_child_start(&child, &spec, err) != LEAT_OK)
		return err->kind;
	if (!leat_child_wait(&child, MIGRATE_MS, &status))
		status = leat_child_stop(&child, SIGTERM, 5000);
	char how[64];
	leat_child_describe(status, how);
	if (status != 0)
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INTERNAL, "`leat migrate` %s (its messages are above)", how);
	return LEAT_OK;
}

static enum leat_kind start_servers(struct up *up, struct leat_error *err)
{
	const char *folder = up->params->state_dir;
	if (leat_server_start(&up->postgres, LEAT_SERVER_POSTGRES, folder, POSTGRES_PORT, err) != LEAT_OK ||
		leat_server_start(&up->nats, LEAT_SERVER_NATS, folder, NATS_PORT, err) != LEAT_OK)
		return err->kind;
	up_environment_init(&up->environment, up->params, up->nats.url, up->postgres.login_url, up->postgres.url);
	return write_env_file(up, err);
}

static void say_what_to_try(const struct up *up)
{
	const char *folder = up->params->state_dir;
	const char *leat = program_invocation_name;
	printf("leat is up: %d consumer%s. Ctrl-C stops everything.\n"
		   "\n"
		   "  NATS      %s (log: %s/nats.log)\n"
		   "  Postgres  %s (log: %s/postgres.log)\n"
		   "\n"
		   "Try, in another terminal:\n"
		   "\n"
		   "  . %s/env\n"
		   "  echo '{\"entity_type\":\"note\",\"key\":\"first\",\"content\":{\"text\":\"hello\"}}' |\n"
		   "    %s publish entity.upsert --tenant " TENANT " --wait\n"
		   "  psql \"$LEAT_DATABASE_URL\" -c 'SELECT tenant_id, key, content FROM leat.entities'\n"
		   "  %s status\n"
		   "  %s consume        # one more consumer\n"
		   "\n",
		up->consumers.count, up->consumers.count == 1 ? "" : "s", up->nats.url, folder, up->postgres.login_url, folder, folder, leat, leat,
		leat);
	fflush(stdout);
}

/* ---- and running ---- */

static enum leat_kind revive_server(struct leat_server *server, const char *name, struct leat_error *err)
{
	if (leat_child_running(&server->child))
		return LEAT_OK;
	leat_log(LEAT_LOG_WARN, "up", "%s ended by itself; starting it again (its log is %s)", name, server->log);
	return leat_server_restart(server, err);
}

static enum leat_kind watch(struct up *up, struct leat_error *err)
{
	while (!told_to_stop(up)) {
		struct pollfd watched[UP_CONSUMERS + 3] = {{.fd = up->signals, .events = POLLIN}, {.fd = up->postgres.child.fd, .events = POLLIN},
			{.fd = up->nats.child.fd, .events = POLLIN}};
		nfds_t count = 3 + up_consumers_watch(&up->consumers, watched + 3);
		poll(watched, count, up_consumers_wait_ms(&up->consumers));
		if (revive_server(&up->postgres, "Postgres", err) != LEAT_OK || revive_server(&up->nats, "nats-server", err) != LEAT_OK)
			return err->kind;
		up_consumers_revive(&up->consumers);
	}
	return LEAT_OK;
}

static enum leat_kind run(struct up *up, struct leat_error *err)
{
	if (lock_folder(up, err) != LEAT_OK)
		return err->kind;
	catch_signals(up);
	if (start_servers(up, err) != LEAT_OK)
		return err->kind;
	if (told_to_stop(up))
		return LEAT_OK;
	if (migrate(up, err) != LEAT_OK)
		return err->kind;
	up_consumers_init(&up->consumers, up->params, &up->environment);
	up_consumers_revive(&up->consumers);
	say_what_to_try(up);
	return watch(up, err);
}

int leat_cmd_up(struct leat_params *params, int argc, char **argv)
{
	static const struct command_flag no_flags[] = {{0}};
	struct up up = {.params = params};
	struct leat_error err;
	const struct leat_lane_type *lanes[LEAT_LANES]; /* of its consumers: looked at before anything is started */
	size_t lane_count;
	if (!command_take_flags("up", no_flags, 0, &argc, argv))
		return EXIT_USAGE;
	if (leat_lanes_choose(params->lanes, lanes, &lane_count, &err) != LEAT_OK)
		return command_fail("up", EXIT_USAGE, "%s", err.text);
	int status = run(&up, &err) == LEAT_OK ? EXIT_SUCCESS : EXIT_FAILURE;
	if (status != EXIT_SUCCESS)
		command_fail("up", status, "%s", err.text);
	else
		leat_log(LEAT_LOG_INFO, "up", "stopping");
	up_consumers_stop(&up.consumers);
	leat_server_stop(&up.nats);
	leat_server_stop(&up.postgres);
	up_environment_fini(&up.environment);
	return status;
}
