#include "wire.h"

#include "leat/clock.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENCE_MS 10000

static void send_text(const struct wire *wire, const char *text)
{
	size_t bytes = strlen(text);
	cr_assert_eq(send(wire->fd, text, bytes, MSG_NOSIGNAL), (ssize_t)bytes);
}

/* The server hangs up when its own PINGs stay without an answer. */
static void answer_pings(struct wire *wire)
{
	const char *text = leat_buf_text(&wire->heard);
	for (const char *end; (end = strstr(text + wire->looked, "\r\n")) != NULL; wire->looked = (size_t)(end - text) + 2) {
		if (strncmp(text + wire->looked, "PING\r\n", 6) == 0)
			send_text(wire, "PONG\r\n");
	}
}

/* False once the server has hung up. */
static bool hear(struct wire *wire, int64_t deadline_ms)
{
	char chunk[4096];
	struct pollfd readable = {.fd = wire->fd, .events = POLLIN};
	int64_t left_ms = deadline_ms - leat_clock_ms();
	cr_assert(left_ms > 0 && poll(&readable, 1, (int)left_ms) > 0, "nats-server does not answer; so far: %s", leat_buf_text(&wire->heard));
	ssize_t got = recv(wire->fd, chunk, sizeof chunk, 0);
	if (got <= 0)
		return false;
	leat_buf_add(&wire->heard, chunk, (size_t)got);
	answer_pings(wire);
	return true;
}

static char *take(struct wire *wire)
{
	wire->looked = 0;
	return leat_buf_take(&wire->heard);
}

char *wire_wait(struct wire *wire, const char *text)
{
	int64_t deadline_ms = leat_clock_ms() + PATIENCE_MS;
	while (strstr(leat_buf_text(&wire->heard), text) == NULL)
		cr_assert(hear(wire, deadline_ms), "nats-server hung up; before that: %s", leat_buf_text(&wire->heard));
	return take(wire);
}

char *wire_settle(struct wire *wire)
{
	send_text(wire, "PING\r\n");
	return wire_wait(wire, "PONG\r\n");
}

bool wire_open(struct wire *out, int port, const char *user, const char *password)
{
	*out = (struct wire){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .heard = LEAT_BUF_INIT};
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	cr_assert_eq(connect(out->fd, (const struct sockaddr *)&address, sizeof address), 0);
	free(wire_wait(out, "\r\n"));
	char login[512];
	snprintf(login, sizeof login,
		"CONNECT "
		"{\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true,\"protocol\":1,\"lang\":\"c\",\"version\":\"1\","
		"\"name\":\"wire\",\"user\":\"%s\",\"pass\":\"%s\"}\r\nPING\r\n",
		user, password);
	send_text(out, login);
	int64_t deadline_ms = leat_clock_ms() + PATIENCE_MS;
	while (strstr(leat_buf_text(&out->heard), "PONG\r\n") == NULL) {
		if (!hear(out, deadline_ms) || strstr(leat_buf_text(&out->heard), "-ERR") != NULL)
			return false;
	}
	free(take(out));
	return true;
}

void wire_close(struct wire *wire)
{
	close(wire->fd);
	leat_buf_free(&wire->heard);
}

void wire_publish(struct wire *wire, const char *subject, const char *reply, const char *body)
{
	LEAT_BUF_SCOPED command = LEAT_BUF_INIT;
	leat_buf_printf(
		&command, "PUB %s %s%s%zu\r\n%s\r\n", subject, reply != NULL ? reply : "", reply != NULL ? " " : "", strlen(body), body);
	send_text(wire, leat_buf_text(&command));
}

void wire_subscribe(struct wire *wire, const char *subject)
{
	LEAT_BUF_SCOPED command = LEAT_BUF_INIT;
	leat_buf_printf(&command, "SUB %s 1\r\n", subject);
	send_text(wire, leat_buf_text(&command));
}

enum wire_answer wire_ask(struct wire *wire, const char *prefix, const char *subject, const char *body)
{
	static int asked;
	LEAT_BUF_SCOPED inbox = LEAT_BUF_INIT;
	leat_buf_printf(&inbox, "%s.ask%d", prefix, ++asked);
	LEAT_BUF_SCOPED subscribe = LEAT_BUF_INIT;
	leat_buf_printf(&subscribe, "SUB %s 9\r\n", leat_buf_text(&inbox));
	send_text(wire, leat_buf_text(&subscribe));
	wire_publish(wire, subject, leat_buf_text(&inbox), body);
	char *at_once = wire_settle(wire);
	bool refused = strstr(at_once, "Permissions Violation") != NULL;
	bool answered = strstr(at_once, leat_buf_text(&inbox)) != NULL && !refused;
	char *later = refused || answered ? NULL : wire_wait(wire, leat_buf_text(&inbox));
	char *rest = wire_settle(wire); /* the body behind the line that was waited for */
	send_text(wire, "UNSUB 9\r\n");
	LEAT_BUF_SCOPED all = LEAT_BUF_INIT;
	leat_buf_printf(&all, "%s%s%s", at_once, later != NULL ? later : "", rest);
	free(at_once);
	free(later);
	free(rest);
	const char *text = leat_buf_text(&all);
	if (refused)
		return WIRE_REFUSED;
	if (strstr(text, "NATS/1.0 503") != NULL)
		return WIRE_NOBODY;
	if (strstr(text, "\"error\":") != NULL)
		return WIRE_ERROR;
	return strstr(text, "{\"stream\":\"") != NULL && strstr(text, "\"seq\":") != NULL ? WIRE_STORED : WIRE_ANSWER;
}
