/*
 * Ports to listen on. They are drawn from below the range that Linux gives to outgoing connections: from within it, another program's
 * connection could take a server's port between two starts.
 */
#include "server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOWEST 10000
#define HIGHEST 32000

bool leat_port_free(int port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	int reuse = 1; /* as servers do: connections that are still closing don't count */
	bool could = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse) == 0 &&
		bind(fd, (const struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 1) == 0;
	close(fd);
	return could;
}

int leat_port_pick(void)
{
	for (int tries = 0; tries < 1000; tries++) {
		uint16_t draw = 0;
		if (getrandom(&draw, sizeof draw, 0) != (ssize_t)sizeof draw)
			continue;
		int port = LOWEST + draw % (HIGHEST - LOWEST);
		if (leat_port_free(port))
			return port;
	}
	abort();
}
