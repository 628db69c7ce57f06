/*
 * A private nats-server with JetStream.
 *
 * It is ready when it greets with the name that this start gave it: whatever else may listen at that port has another. A port that was
 * taken meanwhile makes it exit, which server.c sees.
 */
#include "server.h"

#include "leat/uuid.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define GREETING_MS 1000

static enum leat_kind prepare(struct leat_server *server, const char *folder, struct leat_error *err)
{
	if (snprintf(server->data, sizeof server->data, "%s/nats", folder) >= (int)sizeof server->data)
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_TOO_LARGE, "the path %s is too long", folder);
	if (mkdir(server->data, 0700) != 0 && errno != EEXIST)
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INTERNAL, "can't make %s: %s", server->data, strerror(errno));
	return LEAT_OK;
}

static enum leat_kind launch(struct leat_server *server, struct leat_error *err)
{
	char path[PATH_MAX];
	if (leat_program_find(path, "nats-server", "nats-server", err) != LEAT_OK)
		return err->kind;
	struct leat_uuid name;
	leat_uuid_random(&name);
	leat_uuid_format(&name, server->detail);
	char port[16];
	char pid_file[PATH_MAX + 16];
	snprintf(port, sizeof port, "%d", server->port);
	snprintf(pid_file, sizeof pid_file, "%s/%s", server->data, server->type->pid_file);
	const char *argv[LEAT_SERVER_ARGUMENTS] = {path, "--jetstream", "--addr", "127.0.0.1", "--port", port, "--store_dir", server->data,
		"--name", server->detail, "--pid", pid_file};
	leat_server_add_arguments(server, argv);
	struct leat_child_spec spec = {.argv = argv, .log = server->log, .directory = "/", .death_signal = SIGTERM};
	return leat_child_start(&server->child, &spec, err);
}

/* The first line that whoever listens at the port sends, "" when there is none. */
static void read_greeting(int port, char *out, size_t bytes)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	out[0] = '\0';
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0) {
		size_t length = 0;
		struct pollfd readable = {.fd = fd, .events = POLLIN};
		while (length < bytes - 1 && strchr(out, '\n') == NULL && poll(&readable, 1, GREETING_MS) > 0) {
			ssize_t got = read(fd, out + length, bytes - 1 - length);
			if (got <= 0)
				break;
			length += (size_t)got;
			out[length] = '\0';
		}
	}
	close(fd);
}

static bool ready(const struct leat_server *server)
{
	char greeting[4096];
	read_greeting(server->port, greeting, sizeof greeting);
	return strncmp(greeting, "INFO ", 5) == 0 && strstr(greeting, server->detail) != NULL && strstr(greeting, "\"jetstream\":true") != NULL;
}

static void set_url(struct leat_server *server)
{
	snprintf(server->url, sizeof server->url, "nats://127.0.0.1:%d", server->port);
}

const struct leat_server_type leat_server_nats = {
	.name = "nats",
	.stop_signal = SIGTERM,
	.stop_ms = 15000,
	.pid_file = "pid",
	.prepare = prepare,
	.launch = launch,
	.ready = ready,
	.set_url = set_url,
};
