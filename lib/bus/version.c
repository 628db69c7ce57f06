/*
 * The server's version. nats.c reads it and keeps it to itself, so this asks once more: a server greets every new TCP connection with
 * `INFO {"version":"2.9.10",…}`, before TLS and login. Happy path: connect, read one line, close. Any failure leaves "".
 */
#include "internal.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define GREETING_BYTES 65536
#define WAIT_S 2

/* "nats://user:secret@host:4222" or "tls://[::1]:4222": cuts the URL in place. */
static bool split_url(char *url, char **host, char **port)
{
	char *authority = strstr(url, "://");
	authority = authority != NULL ? authority + 3 : url;
	char *at = strrchr(authority, '@');
	*host = at != NULL ? at + 1 : authority;
	char *colon = strrchr(*host, ':');
	if (colon == NULL)
		return false;
	*colon = '\0';
	*port = colon + 1;
	if (**host == '[') {
		(*host)++;
		(*host)[strcspn(*host, "]")] = '\0';
	}
	return true;
}

static int connect_to(const char *host, const char *port)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;
	if (getaddrinfo(host, port, &hints, &found) != 0)
		return -1;
	int fd = -1;
	for (struct addrinfo *address = found; address != NULL && fd < 0; address = address->ai_next) {
		fd = socket(address->ai_family, address->ai_socktype | SOCK_CLOEXEC, address->ai_protocol);
		if (fd < 0)
			continue;
		struct timeval wait = {.tv_sec = WAIT_S};
		if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) != 0 ||
			setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait) != 0 || connect(fd, address->ai_addr, address->ai_addrlen) != 0) {
			close(fd);
			fd = -1;
		}
	}
	freeaddrinfo(found);
	return fd;
}

static void read_line(int fd, struct leat_buf *line)
{
	char part[4096];
	while (line->len < GREETING_BYTES && strchr(leat_buf_text(line), '\n') == NULL) {
		ssize_t bytes = recv(fd, part, sizeof part, 0);
		if (bytes <= 0)
			return;
		leat_buf_add(line, part, (size_t)bytes);
	}
}

void leat_bus_server_version(const struct leat_bus *bus, char out[32])
{
	char url[512];
	char *host;
	char *port;
	out[0] = '\0';
	if (natsConnection_GetConnectedUrl(bus->prompt.nats, url, sizeof url) != NATS_OK || !split_url(url, &host, &port))
		return;
	int fd = connect_to(host, port);
	if (fd < 0)
		return;
	LEAT_BUF_SCOPED greeting = LEAT_BUF_INIT;
	read_line(fd, &greeting);
	close(fd);
	const char *object = strchr(leat_buf_text(&greeting), '{');
	json_auto_t *info = object != NULL ? json_loads(object, JSON_DISABLE_EOF_CHECK, NULL) : NULL;
	snprintf(out, 32, "%s", bus_json_text(info, "version"));
}
