/* A SQL client beside the lanes, on libpq itself: leat_pg keeps some of what the database says to itself. */
#include "client.h"

#include "leat/buf.h"

#include <criterion/criterion.h>
#include <libpq-fe.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void ignore_notice(void *argument, const char *message)
{
	(void)argument;
	(void)message;
}

void client_open_login(struct client *client, const struct rig *rig, const char *login)
{
	char url[300];
	snprintf(url, sizeof url, "postgresql://%s@%s", login, strchr(rig->database_url, '@') + 1);
	client->connection = PQconnectdb(url);
	cr_assert_eq(PQstatus(client->connection), CONNECTION_OK, "%s", PQerrorMessage(client->connection));
	PQsetNoticeProcessor(client->connection, ignore_notice, NULL);
}

void client_open(struct client *client, const struct rig *rig, const char *role)
{
	client_open_login(client, rig, "leat");
	if (role != NULL)
		client_expect(client, "", "set role %s", role);
}

void client_close(struct client *client)
{
	PQfinish(client->connection);
	client->connection = NULL;
}

void client_set(struct client *client, const char *claims, const char *leat_tenant_id)
{
	client_expect(client, "f",
		"select set_config('request.jwt.claims', $claims$%s$claims$, false) is null or set_config('leat.tenant_id', '%s', false) is null",
		claims, leat_tenant_id);
}

static char *describe_error(const PGresult *result)
{
	LEAT_BUF_SCOPED text = LEAT_BUF_INIT;
	static const int fields[] = {PG_DIAG_MESSAGE_PRIMARY, PG_DIAG_MESSAGE_DETAIL, PG_DIAG_MESSAGE_HINT, PG_DIAG_CONTEXT};
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	cr_assert_not_null(state, "%s", PQresultErrorMessage(result));
	leat_buf_printf(&text, "%s:", state);
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
		const char *field = PQresultErrorField(result, fields[i]);
		if (field != NULL)
			leat_buf_printf(&text, "%s %s", i > 0 ? "," : "", field);
	}
	return leat_buf_take(&text);
}

static char *take_answer(PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);
	bool failed = status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK;
	bool has_value = !failed && PQntuples(result) > 0 && PQnfields(result) > 0;
	char *answer = failed ? describe_error(result) : leat_strdup(has_value ? PQgetvalue(result, 0, 0) : "");
	PQclear(result);
	return answer;
}

static char *ask(struct client *client, const char *format, va_list args)
{
	char *sql = NULL;
	cr_assert_geq(vasprintf(&sql, format, args), 0);
	char *answer = take_answer(PQexec(client->connection, sql));
	free(sql);
	return answer;
}

char *client_ask(struct client *client, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	char *found = ask(client, format, args);
	va_end(args);
	return found;
}

void client_send(struct client *client, const char *sql)
{
	cr_assert_eq(PQsendQuery(client->connection, sql), 1, "%s", PQerrorMessage(client->connection));
}

void client_await_lock(struct client *client, struct rig *rig)
{
	rig_sql_wait(rig, 20, "t", "select cardinality(pg_blocking_pids(%d)) > 0", PQbackendPID(client->connection));
}

char *client_receive(struct client *client)
{
	PGresult *last = NULL;
	for (PGresult *result; (result = PQgetResult(client->connection)) != NULL; last = result)
		PQclear(last);
	return take_answer(last);
}

void client_expect(struct client *client, const char *expected, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	char *found = ask(client, format, args);
	va_end(args);
	cr_assert_str_eq(found, expected, "expected %s, found %s\n%s", expected, found, format);
	free(found);
}

void client_expect_refused(struct client *client, const char *sqlstate, const char *format, ...)
{
	char expected[32];
	va_list args;
	va_start(args, format);
	char *found = ask(client, format, args);
	va_end(args);
	snprintf(expected, sizeof expected, "%s: ", sqlstate);
	cr_assert_eq(strncmp(found, expected, strlen(expected)), 0, "expected %s, found %s\n%s", expected, found, format);
	free(found);
}
