/*
 * The life of a private server, of either kind.
 *
 * Happy path of a start: make its data folder, end what an earlier life left running there, choose a port, launch, wait until it is
 * ready. A start may fail for reasons that pass (someone took the port; processes of a killed Postgres are still going away), so it is
 * tried a few times. What remains is told with the end of the server's log.
 */
#include "server.h"

#include "leat/clock.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define TRIES 30
#define AGAIN_MS 300   /* between tries */
#define READY_MS 60000 /* recovery after a crash may take its time */
#define LOOK_MS 10     /* between looks whether it is ready */
#define LEFTOVER_MS 20000
#define CHILDREN 512

size_t leat_read_file(const char *path, char *out, size_t bytes)
{
	size_t length = 0;
	FILE *file = fopen(path, "re");
	if (file != NULL) {
		length = fread(out, 1, bytes - 1, file);
		fclose(file);
	}
	out[length] = '\0';
	return length;
}

/* ---- all processes of a server ---- */

static pid_t parent_of(const char *pid)
{
	char path[64];
	char text[512];
	snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
	leat_read_file(path, text, sizeof text);
	const char *name_end = strrchr(text, ')'); /* the name before it may hold anything */
	return name_end != NULL && strlen(name_end) > 4 ? (pid_t)strtol(name_end + 4, NULL, 10) : 0;
}

/* Postgres gives each of its processes a session of its own, so no process group holds them together. */
static size_t list_children(pid_t parent, pid_t out[CHILDREN])
{
	size_t count = 0;
	DIR *proc = opendir("/proc");
	if (proc == NULL)
		return 0;
	for (const struct dirent *entry = readdir(proc); entry != NULL && count < CHILDREN; entry = readdir(proc)) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
		if (pid > 0 && parent_of(entry->d_name) == parent)
			out[count++] = pid;
	}
	closedir(proc);
	return count;
}

/* The children can't end and their pids be used again meanwhile: their parent, who would have to wait for them, is stopped. */
static void signal_all(const struct leat_server *server, int signal)
{
	if (!leat_child_running(&server->child))
		return;
	pid_t children[CHILDREN];
	leat_child_signal(&server->child, SIGSTOP);
	/* Again until none is new: one may have been on its way when the parent was stopped. */
	size_t reached = 0;
	for (size_t count; (count = list_children(server->child.pid, children)) > reached; reached = count) {
		for (size_t i = 0; i < count; i++)
			kill(children[i], signal);
	}
	leat_child_signal(&server->child, signal);
}

/* ---- what an earlier life left ---- */

static bool works_on(pid_t pid, const char *data)
{
	char path[64];
	char arguments[8192];
	snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
	size_t length = leat_read_file(path, arguments, sizeof arguments);
	for (const char *at = arguments; at < arguments + length; at += strlen(at) + 1) {
		if (strcmp(at, data) == 0)
			return true;
	}
	return false;
}

static enum leat_kind end_leftover(const struct leat_server *server, struct leat_error *err)
{
	char path[PATH_MAX + 32];
	char text[64];
	snprintf(path, sizeof path, "%s/%s", server->data, server->type->pid_file);
	leat_read_file(path, text, sizeof text);
	pid_t pid = (pid_t)strtol(text, NULL, 10);
	if (pid <= 0 || !works_on(pid, server->data))
		return LEAT_OK;
	int fd = pidfd_open(pid, 0);
	if (fd < 0)
		return LEAT_OK; /* it ended just now */
	struct pollfd ended = {.fd = fd, .events = POLLIN};
	kill(pid, server->type->stop_signal);
	bool gone = poll(&ended, 1, LEFTOVER_MS) > 0;
	if (!gone) {
		kill(pid, SIGKILL);
		gone = poll(&ended, 1, LEFTOVER_MS) > 0;
	}
	close(fd);
	if (gone)
		return LEAT_OK;
	return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INTERNAL, "process %d still works on %s and does not end", (int)pid, server->data);
}

/* ---- starting ---- */

void leat_server_add_arguments(const struct leat_server *server, const char *argv[LEAT_SERVER_ARGUMENTS])
{
	size_t count = 0;
	while (argv[count] != NULL)
		count++;
	for (const char *const *more = server->more; more != NULL && *more != NULL; more++) {
		assert(count < LEAT_SERVER_ARGUMENTS - 1);
		argv[count++] = *more;
	}
}

/* The last lines of its log, of what was written since `from`. */
static void read_log_end(const struct leat_server *server, long from, char *out, size_t bytes)
{
	FILE *file = fopen(server->log, "re");
	out[0] = '\0';
	if (file == NULL)
		return;
	fseek(file, 0, SEEK_END);
	long end = ftell(file);
	long start = end - (long)bytes + 1;
	fseek(file, start > from ? start : from, SEEK_SET);
	out[fread(out, 1, bytes - 1, file)] = '\0';
	fclose(file);
}

static long log_size(const struct leat_server *server)
{
	struct stat file;
	return stat(server->log, &file) == 0 ? (long)file.st_size : 0;
}

/* TEMPORARY: it ended before it was ready. */
static enum leat_kind launch_and_wait(struct leat_server *server, struct leat_error *err)
{
	long log_from = log_size(server);
	if (server->type->launch(server, err) != LEAT_OK)
		return err->kind;
	int64_t deadline = leat_clock_ms() + READY_MS;
	int status = 0;
	while (!leat_child_wait(&server->child, LOOK_MS, &status)) {
		if (server->type->ready(server))
			return LEAT_OK;
		if (leat_clock_ms() > deadline) {
			leat_child_stop(&server->child, SIGKILL, 0);
			return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INTERNAL, "the %s server is not ready after %d s; its log is %s",
				server->type->name, READY_MS / 1000, server->log);
		}
	}
	char how[64];
	char end[300];
	leat_child_describe(status, how);
	read_log_end(server, log_from, end, sizeof end);
	return leat_fail(
		err, LEAT_TEMPORARY, LEAT_CODE_INTERNAL, "the %s server %s; the end of %s: %s", server->type->name, how, server->log, end);
}

static void wait_a_moment(void)
{
	poll(NULL, 0, AGAIN_MS);
}

static enum leat_kind start(struct leat_server *server, bool port_may_change, struct leat_error *err)
{
	for (int tries = 1;; tries++) {
		server->type->set_url(server);
		enum leat_kind kind = launch_and_wait(server, err);
		if (kind != LEAT_TEMPORARY)
			return kind;
		if (tries == TRIES)
			return err->kind = LEAT_PERMANENT;
		wait_a_moment();
		if (port_may_change && !leat_port_free(server->port))
			server->port = leat_port_pick();
	}
}

enum leat_kind leat_server_start(struct leat_server *out, enum leat_server_kind kind, const char *folder, int port, struct leat_error *err)
{
	return leat_server_start_with(out, kind, folder, port, NULL, err);
}

enum leat_kind leat_server_start_with(
	struct leat_server *out, enum leat_server_kind kind, const char *folder, int port, const char *const *more, struct leat_error *err)
{
	static const struct leat_server_type *const types[] = {
		[LEAT_SERVER_NATS] = &leat_server_nats, [LEAT_SERVER_POSTGRES] = &leat_server_postgres};
	*out = (struct leat_server){.type = types[kind], .more = more};
	char path[PATH_MAX];
	if ((mkdir(folder, 0755) != 0 && errno != EEXIST) || realpath(folder, path) == NULL)
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INTERNAL, "can't make %s: %s", folder, strerror(errno));
	if (snprintf(out->log, sizeof out->log, "%s/%s.log", path, out->type->name) >= (int)sizeof out->log)
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_TOO_LARGE, "the path %s is too long", path);
	if (out->type->prepare(out, path, err) != LEAT_OK || end_leftover(out, err) != LEAT_OK)
		return err->kind;
	out->port = port > 0 && leat_port_free(port) ? port : leat_port_pick();
	return start(out, true, err);
}

enum leat_kind leat_server_restart(struct leat_server *server, struct leat_error *err)
{
	leat_server_stop(server);
	return start(server, false, err);
}

void leat_server_stop(struct leat_server *server)
{
	if (server->type != NULL)
		leat_child_stop(&server->child, server->type->stop_signal, server->type->stop_ms);
}

void leat_server_kill(struct leat_server *server)
{
	signal_all(server, SIGKILL);
	leat_child_wait(&server->child, INT_MAX, NULL);
}

void leat_server_pause(const struct leat_server *server)
{
	signal_all(server, SIGSTOP);
}

void leat_server_resume(const struct leat_server *server)
{
	signal_all(server, SIGCONT);
}
