/*
 * A rig: what one integration test runs on. A nats-server of its own, a database of its own in the suite's Postgres (or a Postgres of its
 * own, for tests that stop it), a folder for logs, and the `leat` processes that the test starts.
 *
 *     static struct rig rig;
 *     static void setup(void) { rig_open(&rig); }
 *     static void teardown(void) { rig_close(&rig); }
 *     TestSuite(name, .init = setup, .fini = teardown);
 *
 * Whatever goes wrong in here fails the test. When a test fails, the logs of all that it started are printed; when its process dies, the
 * kernel ends what it started. One thread.
 */
#ifndef LEAT_TESTS_HARNESS_H
#define LEAT_TESTS_HARNESS_H

#include "leat/bus.h"
#include "leat/local.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#define RIG_PROCESSES 32

struct rig_process {
	char name[32];
	struct leat_child child;
};

struct rig {
	char folder[PATH_MAX];
	struct leat_server nats;
	struct leat_server postgres; /* zero unless rig_open_alone */
	char database_url[256];      /* as superuser; `leat migrate` gets it too, the other commands log in as `leat`, who owns nothing */
	struct rig_process processes[RIG_PROCESSES];
	void *connection;     /* PGconn of the rig_sql functions */
	struct leat_bus *bus; /* of the publishing functions */
};

/* True in `make soak`: larger counts, more rounds. */
bool rig_soak(void);
/* `quick` in `make test`, `soak` in `make soak`. */
int64_t rig_size(int64_t quick, int64_t soak);
/* A seed for generated cases: LEAT_SEED or a random one. Prints it. */
uint64_t rig_seed(void);

void rig_open(struct rig *rig);
/* With a Postgres of its own, which the test may kill, pause and restart: rig->postgres. */
void rig_open_alone(struct rig *rig);
/* Stops all. Also after a failed assertion. */
void rig_close(struct rig *rig);

/* ---- leat ---- */

/*
 * Starts `leat <arguments up to NULL>` on this rig's servers. Its standard error is logged in <folder>/<name>.log, its standard output
 * is in <folder>/<name>.out. The name may be used again once the process ended.
 */
struct leat_child *rig_start(struct rig *rig, const char *name, const char *const *arguments);
/* The same to its end, which must come within `seconds`. Returns the exit status, 128 + signal when it was killed. */
int rig_run(struct rig *rig, const char *name, int seconds, const char *const *arguments);
#define RIG_ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})
/* What `name` wrote to standard output, or logged, so far. The caller's to free(). */
char *rig_output(const struct rig *rig, const char *name);
char *rig_log(const struct rig *rig, const char *name);
/* `leat migrate`, which must work. */
void rig_migrate(struct rig *rig);

/* ---- waiting ---- */

/* Calls `done` until it says true or the time is up; returns what it said last. */
bool rig_wait_until(bool (*done)(void *argument), void *argument, int seconds);

/* A condition: the process whose pid_t is at `pid` has ended. */
bool rig_gone(void *pid);

/* ---- SQL ---- */

/* All take a printf format. A statement that fails, fails the test, except in rig_sql_wait, where it counts as "not yet". */
void rig_sql(struct rig *rig, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* First column of the first row; NULL and no row are 0 and "". The text is the caller's to free(). */
int64_t rig_sql_int(struct rig *rig, const char *format, ...) __attribute__((format(printf, 2, 3)));
char *rig_sql_text(struct rig *rig, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same text must be `expected`. */
void rig_sql_expect(struct rig *rig, const char *expected, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Asks again until the first column of the first row is `expected` ("t" for true); at the end of the time fails, telling what it was. */
void rig_sql_wait(struct rig *rig, int seconds, const char *expected, const char *format, ...) __attribute__((format(printf, 4, 5)));

/* ---- NATS ---- */

/* One connection, opened at the first use, closed by rig_close. */
struct leat_bus *rig_bus(struct rig *rig);
/* Stores a message in the stream of its subject; returns its sequence there. `headers` is a block as in leat/bus.h, or NULL. */
uint64_t rig_publish(struct rig *rig, const char *subject, const char *headers, const char *body);
/* The same for an intent of the role `service`: rig_intent(&rig, RIG_TENANT_A, "entity.upsert", "Leat-Id: 1\r\n", "{...}"). */
uint64_t rig_intent(struct rig *rig, const char *tenant, const char *noun_verb, const char *headers, const char *body);
/* Asks for a stream to be deleted, and waits until it is. */
void rig_delete_stream(struct rig *rig, const char *stream);
#define RIG_TENANT_A "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
#define RIG_TENANT_B "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb"

/* ---- the suite's own, for main.c ---- */

#define RIG_ENV_FOLDER "LEAT_TEST_FOLDER"     /* each test makes a folder <suite>.<test>.XXXXXX there */
#define RIG_ENV_POSTGRES "LEAT_TEST_POSTGRES" /* URL of the suite's Postgres */

#endif
