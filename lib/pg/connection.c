/*
 * The connection: opening, running, waiting.
 *
 * The happy path: open, prepare everything, then send/finish for ever. It fails by losing the server, which is TEMPORARY and leaves
 * the connection dead (leat_pg_alive), or by a statement that the server refuses, which leaves it usable.
 */
#include "leat/pg.h"

#include "leat/clock.h"
#include "leat/log.h"
#include "pg.h"

#include <assert.h>
#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct leat_pg {
	PGconn *conn;
	char refusal[6]; /* SQLSTATE */
};

/* libpq's messages end in a line break and may have several lines. */
static void copy_line(char *out, size_t size, const char *message)
{
	size_t length = strcspn(message, "\n");
	snprintf(out, size, "%.*s", (int)length, message);
}

static enum leat_kind fail_connection(struct leat_pg *pg, struct leat_error *err)
{
	char line[400];
	copy_line(line, sizeof line, PQerrorMessage(pg->conn));
	return leat_fail(err, LEAT_TEMPORARY, LEAT_CODE_INTERNAL, "Postgres: %s", line[0] != '\0' ? line : "connection lost");
}

static enum leat_kind fail_result(struct leat_pg *pg, const PGresult *result, struct leat_error *err)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	if (state == NULL)
		return fail_connection(pg, err);
	snprintf(pg->refusal, sizeof pg->refusal, "%s", state);
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	/* Of a violated constraint, class 23, it is the row: what a tenant stores belongs in no log and no dead letter. */
	const char *detail = strncmp(state, "23", 2) != 0 ? PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL) : NULL;
	return leat_fail(err, leat_pg_kind(state), LEAT_CODE_INTERNAL, "Postgres (%s): %s%s%s", state, message != NULL ? message : "",
		detail != NULL ? ": " : "", detail != NULL ? detail : "");
}

static void ignore_notice(void *arg, const PGresult *result)
{
	(void)arg;
	(void)result;
}

static enum leat_kind prepare_all(struct leat_pg *pg, const struct leat_pg_statement *statements, size_t count, struct leat_error *err)
{
	for (size_t i = 0; i < count; i++) {
		PGresult *result = PQprepare(pg->conn, statements[i].name, statements[i].sql, 0, NULL);
		enum leat_kind kind = LEAT_OK;
		if (PQresultStatus(result) != PGRES_COMMAND_OK) {
			fail_result(pg, result, err);
			kind = leat_fail_while(err, "preparing %s (is the schema up to date? run `leat migrate`)", statements[i].name);
		}
		PQclear(result);
		if (kind != LEAT_OK)
			return kind;
	}
	return LEAT_OK;
}

static enum leat_kind act_as(struct leat_pg *pg, const char *role, struct leat_error *err)
{
	char sql[100];
	snprintf(sql, sizeof sql, "set role %.60s", role);
	if (leat_pg_run_sql(pg, sql, NULL, err) == LEAT_OK)
		return LEAT_OK;
	return leat_fail_while(err, "acting as %s (run `leat migrate`, then GRANT authenticated, service_role TO the login)", role);
}

/* The server's side of what leat_pg_open asks of ours: a host that vanished holds its locks for half a minute at most. */
static const char keepalive_sql[] =
	"set tcp_keepalives_idle = 10; set tcp_keepalives_interval = 5; set tcp_keepalives_count = 3; set tcp_user_timeout = 20000";

enum leat_kind leat_pg_open(struct leat_pg **out, const char *url, const char *who, const char *role,
	const struct leat_pg_statement *statements, size_t count, struct leat_error *err)
{
	const char *const keys[] = {"dbname", "fallback_application_name", "connect_timeout", "keepalives_idle", "keepalives_interval",
		"keepalives_count", "tcp_user_timeout", "client_encoding", NULL};
	const char *const values[] = {url[0] != '\0' ? url : NULL, who, "5", "10", "5", "3", "20000", "UTF8", NULL};
	char *malformed = NULL;
	PQconninfoOption *options = PQconninfoParse(url, &malformed);
	if (options == NULL) {
		char line[300];
		copy_line(line, sizeof line, malformed != NULL ? malformed : "out of memory");
		PQfreemem(malformed);
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INTERNAL, "database URL: %s; expected postgresql://user@host:port/database", line);
	}
	PQconninfoFree(options);

	struct leat_pg *pg = leat_alloc_zero(1, sizeof *pg);
	pg->conn = PQconnectdbParams(keys, values, 1);
	if (pg->conn == NULL)
		abort();
	enum leat_kind kind = LEAT_OK;
	if (PQstatus(pg->conn) != CONNECTION_OK)
		kind = fail_connection(pg, err);
	else
		PQsetNoticeReceiver(pg->conn, ignore_notice, NULL);
	if (kind == LEAT_OK)
		kind = leat_pg_run_sql(pg, keepalive_sql, NULL, err);
	if (kind == LEAT_OK && role != NULL)
		kind = act_as(pg, role, err);
	if (kind == LEAT_OK)
		kind = prepare_all(pg, statements, count, err);
	if (kind != LEAT_OK) {
		leat_pg_close(pg);
		return kind;
	}
	*out = pg;
	return LEAT_OK;
}

void leat_pg_close(struct leat_pg *pg)
{
	if (pg == NULL)
		return;
	PQfinish(pg->conn);
	free(pg);
}

bool leat_pg_alive(const struct leat_pg *pg)
{
	return PQstatus(pg->conn) == CONNECTION_OK;
}

const char *leat_pg_refusal(const struct leat_pg *pg)
{
	return pg->refusal;
}

/* Takes `result`. */
static enum leat_kind conclude(struct leat_pg *pg, PGresult *result, struct leat_pg_result **out, struct leat_error *err)
{
	ExecStatusType status = PQresultStatus(result);
	if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
		enum leat_kind kind = fail_result(pg, result, err);
		PQclear(result);
		return kind;
	}
	if (out != NULL)
		*out = leat_pg_result_wrap(result);
	else
		PQclear(result);
	return LEAT_OK;
}

enum leat_kind leat_pg_run(
	struct leat_pg *pg, const char *name, const struct leat_pg_params *params, struct leat_pg_result **out, struct leat_error *err)
{
	PGresult *result = PQexecPrepared(pg->conn, name, (int)params->count, params->values, params->lengths, params->formats, 0);
	return conclude(pg, result, out, err);
}

enum leat_kind leat_pg_fetch(
	struct leat_pg *pg, const char *name, const struct leat_pg_params *params, struct leat_pg_result **out, struct leat_error *err)
{
	PGresult *result = PQexecPrepared(pg->conn, name, (int)params->count, params->values, params->lengths, params->formats, 1);
	return conclude(pg, result, out, err);
}

enum leat_kind leat_pg_run_sql(struct leat_pg *pg, const char *sql, struct leat_pg_result **out, struct leat_error *err)
{
	return conclude(pg, PQexec(pg->conn, sql), out, err);
}

enum leat_kind leat_pg_run_once(
	struct leat_pg *pg, const char *sql, const struct leat_pg_params *params, struct leat_pg_result **out, struct leat_error *err)
{
	PGresult *result = PQexecParams(pg->conn, sql, (int)params->count, NULL, params->values, params->lengths, params->formats, 0);
	return conclude(pg, result, out, err);
}

static enum leat_kind send(struct leat_pg *pg, const char *name, const struct leat_pg_params *params, bool binary, struct leat_error *err)
{
	if (PQsendQueryPrepared(pg->conn, name, (int)params->count, params->values, params->lengths, params->formats, binary) != 1)
		return fail_connection(pg, err);
	return LEAT_OK;
}

enum leat_kind leat_pg_send(struct leat_pg *pg, const char *name, const struct leat_pg_params *params, struct leat_error *err)
{
	return send(pg, name, params, false, err);
}

enum leat_kind leat_pg_send_fetch(struct leat_pg *pg, const char *name, const struct leat_pg_params *params, struct leat_error *err)
{
	return send(pg, name, params, true, err);
}

/* Waits until the server has sent something; *ready stays false when the time is up first. */
static enum leat_kind wait_input(struct leat_pg *pg, int64_t timeout_ms, bool *ready, struct leat_error *err)
{
	struct pollfd socket = {.fd = PQsocket(pg->conn), .events = POLLIN};
	*ready = false;
	if (socket.fd < 0)
		return fail_connection(pg, err);
	int count = poll(&socket, 1, (int)timeout_ms);
	if (count < 0 && errno != EINTR)
		return leat_fail(err, LEAT_TEMPORARY, LEAT_CODE_INTERNAL, "poll: %s", strerror(errno));
	if (count <= 0)
		return LEAT_OK;
	if (PQconsumeInput(pg->conn) != 1)
		return fail_connection(pg, err);
	*ready = true;
	return LEAT_OK;
}

enum leat_kind leat_pg_finish(struct leat_pg *pg, int64_t timeout_ms, bool *pending, struct leat_pg_result **out, struct leat_error *err)
{
	int64_t deadline = leat_clock_ms() + timeout_ms;
	*pending = false;
	while (PQisBusy(pg->conn)) {
		int64_t left = deadline - leat_clock_ms();
		bool ready;
		enum leat_kind kind = wait_input(pg, left > 0 ? left : 0, &ready, err);
		if (kind != LEAT_OK)
			return kind;
		if (!ready && left <= 0) {
			*pending = true;
			return LEAT_OK;
		}
	}
	PGresult *result = PQgetResult(pg->conn);
	assert(result != NULL);
	for (PGresult *rest; (rest = PQgetResult(pg->conn)) != NULL;)
		PQclear(rest);
	return conclude(pg, result, out, err);
}

void leat_pg_cancel(struct leat_pg *pg)
{
	char why[256] = "out of memory";
	PGcancel *cancel = PQgetCancel(pg->conn);
	if (cancel == NULL || PQcancel(cancel, why, sizeof why) != 1)
		leat_log(LEAT_LOG_WARN, "pg", "could not cancel a statement: %s", why);
	PQfreeCancel(cancel);
}

int leat_pg_socket(const struct leat_pg *pg)
{
	return PQsocket(pg->conn);
}

enum leat_kind leat_pg_wait_notify(struct leat_pg *pg, int64_t timeout_ms, bool *woken, struct leat_error *err)
{
	bool ready;
	*woken = false;
	/* A notification may have come along with the answer to a query. */
	for (int pass = 0; pass < 2; pass++) {
		for (PGnotify *notice; (notice = PQnotifies(pg->conn)) != NULL; PQfreemem(notice))
			*woken = true;
		if (*woken || pass == 1)
			return LEAT_OK;
		enum leat_kind kind = wait_input(pg, timeout_ms, &ready, err);
		if (kind != LEAT_OK)
			return kind;
	}
	return LEAT_OK;
}
