/* SQL for tests: one connection per rig, opened at the first use and again after it was lost. */
#include "harness.h"

#include "leat/buf.h"
#include "leat/clock.h"

#include <criterion/criterion.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_MS 20

static void ignore_notice(void *argument, const char *message)
{
	(void)argument;
	(void)message;
}

static char *print(const char *format, va_list args)
{
	char *text = NULL;
	cr_assert_geq(vasprintf(&text, format, args), 0);
	return text;
}

/* NULL when it failed: then *error, the caller's to free(), says why. */
static PGresult *query(struct rig *rig, const char *sql, char **error)
{
	if (rig->connection != NULL && PQstatus(rig->connection) != CONNECTION_OK) {
		PQfinish(rig->connection);
		rig->connection = NULL;
	}
	if (rig->connection == NULL) {
		rig->connection = PQconnectdb(rig->database_url);
		PQsetNoticeProcessor(rig->connection, ignore_notice, NULL);
	}
	PGresult *result = PQexec(rig->connection, sql);
	ExecStatusType status = PQresultStatus(result);
	if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
		return result;
	*error = leat_strdup(PQerrorMessage(rig->connection));
	PQclear(result);
	return NULL;
}

static char *first_value(const PGresult *result)
{
	return leat_strdup(PQntuples(result) > 0 && PQnfields(result) > 0 ? PQgetvalue(result, 0, 0) : "");
}

static char *answer(struct rig *rig, const char *sql)
{
	char *error = NULL;
	PGresult *result = query(rig, sql, &error);
	cr_assert_not_null(result, "%s\n%s", sql, error);
	char *value = first_value(result);
	PQclear(result);
	return value;
}

static char *ask(struct rig *rig, const char *format, va_list args)
{
	char *sql = print(format, args);
	char *value = answer(rig, sql);
	free(sql);
	return value;
}

void rig_sql(struct rig *rig, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	free(ask(rig, format, args));
	va_end(args);
}

int64_t rig_sql_int(struct rig *rig, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	char *value = ask(rig, format, args);
	va_end(args);
	char *end = NULL;
	int64_t number = strtoll(value, &end, 10);
	cr_assert_eq(*end, '\0', "not a whole number: %s", value);
	free(value);
	return number;
}

char *rig_sql_text(struct rig *rig, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	char *value = ask(rig, format, args);
	va_end(args);
	return value;
}

void rig_sql_expect(struct rig *rig, const char *expected, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	char *sql = print(format, args);
	va_end(args);
	char *found = answer(rig, sql);
	cr_assert_str_eq(found, expected, "expected %s, found %s\n%s", expected, found, sql);
	free(found);
	free(sql);
}

void rig_sql_wait(struct rig *rig, int seconds, const char *expected, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	char *sql = print(format, args);
	va_end(args);
	int64_t deadline = leat_clock_ms() + (int64_t)seconds * 1000;
	for (;;) {
		char *found = NULL;
		PGresult *result = query(rig, sql, &found);
		if (result != NULL)
			found = first_value(result);
		bool done = result != NULL && strcmp(found, expected) == 0;
		PQclear(result);
		if (!done && leat_clock_ms() > deadline)
			cr_assert_fail("after %d s expected %s, found %s\n%s", seconds, expected, found, sql);
		free(found);
		if (done)
			break;
		poll(NULL, 0, LOOK_MS);
	}
	free(sql);
}
