/*
 * Postgres: one connection of one thread, prepared statements, arrays as parameters. Only lib/pg includes libpq.
 *
 * Statements are prepared once, when the connection is opened, so that a typo or a missing migration is found then and not by a
 * message. Array parameters go over in the binary format: no quoting, no parsing.
 *
 * Errors: one function maps SQLSTATE to kind. TEMPORARY is a closed list (connection lost, server starting or stopping, out of
 * resources, lost a race, schema not there yet): nobody's message is to blame. Everything else is PERMANENT with code internal.
 */
#ifndef LEAT_PG_H
#define LEAT_PG_H

#include "leat/buf.h"
#include "leat/error.h"
#include "leat/uuid.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct leat_pg;

struct leat_pg_statement {
	const char *name;
	const char *sql;
};

/*
 * Connects and prepares. `url`: libpq URI, "" for libpq's defaults; `who` becomes application_name; `role` is the one it acts as from
 * then on, NULL: as who logged in. TEMPORARY when it can't connect
 * or the schema is not there (the caller retries); PERMANENT for a malformed URI or a statement that is wrong.
 */
enum leat_kind leat_pg_open(struct leat_pg **out, const char *url, const char *who, const char *role,
	const struct leat_pg_statement *statements, size_t count, struct leat_error *err) __attribute__((warn_unused_result));
void leat_pg_close(struct leat_pg *pg);
/* False once the connection is lost: close it and open another. */
bool leat_pg_alive(const struct leat_pg *pg);
/* SQLSTATE of the last statement that Postgres refused; "": of none yet. Borrowed from `pg`. */
const char *leat_pg_refusal(const struct leat_pg *pg);

/* TEMPORARY or PERMANENT for a SQLSTATE; "" (no answer from the server) is TEMPORARY. Pure. */
enum leat_kind leat_pg_kind(const char *sqlstate);

/* ---- parameters ---- */

enum leat_pg_type { LEAT_PG_INT8, LEAT_PG_TEXT, LEAT_PG_UUID, LEAT_PG_TIME, LEAT_PG_BYTES };

/* A one-dimensional array in Postgres's binary format, built element by element; reused by starting again. */
struct leat_pg_array {
	struct leat_buf bytes;
	uint32_t count;
};

void leat_pg_array_start(struct leat_pg_array *array, enum leat_pg_type type);
void leat_pg_array_add_int8(struct leat_pg_array *array, int64_t value);
/* For TEXT (UTF-8 without NUL) and BYTES; a NULL pointer adds a null. */
void leat_pg_array_add_bytes(struct leat_pg_array *array, const void *bytes, size_t count);
void leat_pg_array_add_text(struct leat_pg_array *array, const char *text);
void leat_pg_array_add_uuid(struct leat_pg_array *array, const struct leat_uuid *uuid);
/* Unix time; Postgres keeps microseconds, the rest is cut off. */
void leat_pg_array_add_time(struct leat_pg_array *array, int64_t unix_ns);
void leat_pg_array_free(struct leat_pg_array *array);

#define LEAT_PG_PARAMS 20

/* Borrowed from the caller until the call returns. Zero-initialise. */
struct leat_pg_params {
	size_t count;
	const char *values[LEAT_PG_PARAMS];
	int lengths[LEAT_PG_PARAMS];
	int formats[LEAT_PG_PARAMS];
	char numbers[LEAT_PG_PARAMS][24];
};

void leat_pg_bind_array(struct leat_pg_params *params, struct leat_pg_array *array);
/* The element of an array that has one, as a parameter of the element's type. */
void leat_pg_bind_only_element(struct leat_pg_params *params, struct leat_pg_array *array);
void leat_pg_bind_text(struct leat_pg_params *params, const char *text); /* NULL: null */
void leat_pg_bind_int8(struct leat_pg_params *params, int64_t value);

/* ---- running statements ---- */

struct leat_pg_result;
#define LEAT_PG_RESULT_SCOPED __attribute__((cleanup(leat_pg_result_drop))) struct leat_pg_result
void leat_pg_result_free(struct leat_pg_result *result);
void leat_pg_result_drop(struct leat_pg_result **result); /* for cleanup attributes */
size_t leat_pg_rows(const struct leat_pg_result *result);
/* NULL for null. Borrowed from the result. */
const char *leat_pg_text(const struct leat_pg_result *result, size_t row, int column);
/* Of a bigint column; 0 for null. */
int64_t leat_pg_int8(const struct leat_pg_result *result, size_t row, int column);
/* Of a boolean column of leat_pg_run; false for null. */
bool leat_pg_bool(const struct leat_pg_result *result, size_t row, int column);
/* Of a timestamptz column of leat_pg_fetch that is not null: microseconds since 1970. */
int64_t leat_pg_time_us(const struct leat_pg_result *result, size_t row, int column);
/* Of a uuid column that is not null. */
void leat_pg_uuid(const struct leat_pg_result *result, size_t row, int column, char out[LEAT_UUID_TEXT_BYTES]);
/* A bytea column; "" and 0 for null. Borrowed from the result. */
const char *leat_pg_bytes(struct leat_pg_result *result, size_t row, int column, size_t *count);

/* Runs a prepared statement and waits. `out` may be NULL. */
enum leat_kind leat_pg_run(struct leat_pg *pg, const char *name, const struct leat_pg_params *params, struct leat_pg_result **out,
	struct leat_error *err) __attribute__((warn_unused_result));
/* The same, with a result in the binary format, which bytea columns are cheaper in. Of other columns only text, bigint, uuid and
 * timestamptz can be read. */
enum leat_kind leat_pg_fetch(struct leat_pg *pg, const char *name, const struct leat_pg_params *params, struct leat_pg_result **out,
	struct leat_error *err) __attribute__((warn_unused_result));
/* Runs SQL text without parameters, any number of statements (one transaction unless they say otherwise); the last result. */
enum leat_kind leat_pg_run_sql(struct leat_pg *pg, const char *sql, struct leat_pg_result **out, struct leat_error *err)
	__attribute__((warn_unused_result));
/* The same with parameters ($1, …) and one statement, not prepared before: for commands, not for lanes. */
enum leat_kind leat_pg_run_once(struct leat_pg *pg, const char *sql, const struct leat_pg_params *params, struct leat_pg_result **out,
	struct leat_error *err) __attribute__((warn_unused_result));

/* Sends a prepared statement off without waiting; then leat_pg_finish until it is not pending. One at a time. */
enum leat_kind leat_pg_send(struct leat_pg *pg, const char *name, const struct leat_pg_params *params, struct leat_error *err)
	__attribute__((warn_unused_result));
/* The same, for a result as leat_pg_fetch has it. */
enum leat_kind leat_pg_send_fetch(struct leat_pg *pg, const char *name, const struct leat_pg_params *params, struct leat_error *err)
	__attribute__((warn_unused_result));
/* Waits at most timeout_ms. *pending stays true when it is not over yet; otherwise the result and kind are those of the statement. */
enum leat_kind leat_pg_finish(struct leat_pg *pg, int64_t timeout_ms, bool *pending, struct leat_pg_result **out, struct leat_error *err)
	__attribute__((warn_unused_result));

/* Asks the server to cancel the statement under way; leat_pg_finish then tells how it ended, usually TEMPORARY (57014). */
void leat_pg_cancel(struct leat_pg *pg);

/*
 * To be watched for input together with others. Call leat_pg_wait_notify with a timeout of 0 before, since a notification may have come
 * along with an answer, and after. -1 once the connection is lost.
 */
int leat_pg_socket(const struct leat_pg *pg);
/* Waits for a NOTIFY on any channel listened to, at most timeout_ms. *woken tells. TEMPORARY when the connection is lost. */
enum leat_kind leat_pg_wait_notify(struct leat_pg *pg, int64_t timeout_ms, bool *woken, struct leat_error *err)
	__attribute__((warn_unused_result));

#endif
