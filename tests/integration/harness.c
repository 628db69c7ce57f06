/* A rig: its servers, its processes, waiting. SQL is in harness_sql.c, NATS in harness_bus.c. */
#include "harness.h"

#include "leat/buf.h"
#include "leat/clock.h"
#include "leat/uuid.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <libpq-fe.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOK_MS 20
#define STOP_MS 15000

static const char *environment(const char *name)
{
	const char *value = getenv(name);
	cr_assert_not_null(value, "%s is not set: run the tests by `make test`", name);
	return value;
}

bool rig_soak(void)
{
	return getenv("LEAT_SOAK") != NULL;
}

int64_t rig_size(int64_t quick, int64_t soak)
{
	return rig_soak() ? soak : quick;
}

uint64_t rig_seed(void)
{
	const char *given = getenv("LEAT_SEED");
	uint64_t seed = 0;
	if (given != NULL)
		seed = strtoull(given, NULL, 10);
	else
		cr_assert_eq(getrandom(&seed, sizeof seed, 0), (ssize_t)sizeof seed);
	/* Not by cr_log_warn: a warning of Criterion's means a test that died while it was set up or taken down, and fails the run. */
	fprintf(stderr, "[SEED] %s::%s: LEAT_SEED=%" PRIu64 "\n", criterion_current_test->category, criterion_current_test->name, seed);
	return seed;
}

/* ---- servers ---- */

static void open_folder_and_nats(struct rig *rig)
{
	struct leat_error err;
	*rig = (struct rig){0};
	snprintf(rig->folder, sizeof rig->folder, "%s/%s.%s.XXXXXX", environment(RIG_ENV_FOLDER), criterion_current_test->category,
		criterion_current_test->name);
	cr_assert_not_null(mkdtemp(rig->folder), "can't make %s", rig->folder);
	cr_assert_eq(chmod(rig->folder, 0755), 0);
	cr_assert_eq(leat_server_start(&rig->nats, LEAT_SERVER_NATS, rig->folder, 0, &err), LEAT_OK, "%s", err.text);
}

void rig_open(struct rig *rig)
{
	open_folder_and_nats(rig);
	const char *suite = environment(RIG_ENV_POSTGRES);
	char name[LEAT_UUID_TEXT_BYTES];
	struct leat_uuid id;
	leat_uuid_random(&id);
	leat_uuid_format(&id, name);

	snprintf(rig->database_url, sizeof rig->database_url, "%s", suite);
	rig_sql(rig, "CREATE DATABASE \"%s\"", name);
	PQfinish(rig->connection);
	rig->connection = NULL;
	const char *slash = strrchr(suite, '/');
	cr_assert_not_null(slash);
	snprintf(rig->database_url, sizeof rig->database_url, "%.*s/%s", (int)(slash - suite), suite, name);
}

void rig_open_alone(struct rig *rig)
{
	struct leat_error err;
	open_folder_and_nats(rig);
	cr_assert_eq(leat_server_start(&rig->postgres, LEAT_SERVER_POSTGRES, rig->folder, 0, &err), LEAT_OK, "%s", err.text);
	snprintf(rig->database_url, sizeof rig->database_url, "%s", rig->postgres.url);
}

void rig_close(struct rig *rig)
{
	for (size_t i = 0; i < RIG_PROCESSES; i++)
		leat_child_signal(&rig->processes[i].child, SIGTERM);
	for (size_t i = 0; i < RIG_PROCESSES; i++)
		leat_child_stop(&rig->processes[i].child, SIGCONT, STOP_MS);
	PQfinish(rig->connection);
	rig->connection = NULL;
	leat_bus_close(rig->bus);
	rig->bus = NULL;
	leat_server_resume(&rig->nats); /* a test may have failed while it was paused */
	leat_server_stop(&rig->nats);
	leat_server_resume(&rig->postgres);
	leat_server_stop(&rig->postgres);
}

/* ---- leat ---- */

static struct rig_process *find_slot(struct rig *rig, const char *name)
{
	struct rig_process *free_slot = NULL;
	for (size_t i = 0; i < RIG_PROCESSES; i++) {
		struct rig_process *slot = &rig->processes[i];
		if (strcmp(slot->name, name) == 0) {
			cr_assert_eq(slot->child.pid, 0, "%s is still running", name);
			return slot;
		}
		if (free_slot == NULL && slot->child.pid == 0)
			free_slot = slot;
	}
	cr_assert_not_null(free_slot, "more than %d processes", RIG_PROCESSES);
	snprintf(free_slot->name, sizeof free_slot->name, "%s", name);
	return free_slot;
}

struct leat_child *rig_start(struct rig *rig, const char *name, const char *const *arguments)
{
	const char *argv[64] = {environment("LEAT_BINARY")};
	for (size_t i = 0; arguments[i] != NULL; i++) {
		cr_assert_lt(i, 62);
		argv[i + 1] = arguments[i];
	}
	char nats_url[160];
	char database_url[300];
	char migrate_url[300];
	char log[PATH_MAX + 64];
	char output[PATH_MAX + 64];
	snprintf(nats_url, sizeof nats_url, "LEAT_NATS_URL=%s", rig->nats.url);
	snprintf(database_url, sizeof database_url, "LEAT_DATABASE_URL=postgresql://leat@%s", strchr(rig->database_url, '@') + 1);
	snprintf(migrate_url, sizeof migrate_url, "LEAT_MIGRATE_URL=%s", rig->database_url);
	snprintf(log, sizeof log, "%s/%s.log", rig->folder, name);
	snprintf(output, sizeof output, "%s/%s.out", rig->folder, name);
	const char *added[] = {nats_url, database_url, migrate_url, NULL};
	struct leat_child_spec spec = {
		.argv = argv, .environment = added, .log = log, .output = output, .directory = rig->folder, .death_signal = SIGKILL};
	struct leat_error err;
	struct rig_process *slot = find_slot(rig, name);
	cr_assert_eq(leat_child_start(&slot->child, &spec, &err), LEAT_OK, "%s", err.text);
	return &slot->child;
}

int rig_run(struct rig *rig, const char *name, int seconds, const char *const *arguments)
{
	struct leat_child *child = rig_start(rig, name, arguments);
	int status = 0;
	cr_assert(leat_child_wait(child, (int64_t)seconds * 1000, &status), "%s is still running after %d s", name, seconds);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static char *read_all(const struct rig *rig, const char *name, const char *ending)
{
	char path[PATH_MAX + 64];
	snprintf(path, sizeof path, "%s/%s%s", rig->folder, name, ending);
	struct leat_buf text = LEAT_BUF_INIT;
	FILE *file = fopen(path, "re");
	if (file != NULL) {
		char chunk[4096];
		size_t got;
		while ((got = fread(chunk, 1, sizeof chunk, file)) > 0)
			leat_buf_add(&text, chunk, got);
		fclose(file);
	}
	return leat_buf_take(&text);
}

char *rig_output(const struct rig *rig, const char *name)
{
	return read_all(rig, name, ".out");
}

char *rig_log(const struct rig *rig, const char *name)
{
	return read_all(rig, name, ".log");
}

void rig_migrate(struct rig *rig)
{
	cr_assert_eq(rig_run(rig, "migrate", 60, RIG_ARGS("migrate")), 0, "leat migrate failed");
}

/* ---- waiting ---- */

bool rig_wait_until(bool (*done)(void *argument), void *argument, int seconds)
{
	int64_t deadline = leat_clock_ms() + (int64_t)seconds * 1000;
	while (!done(argument)) {
		if (leat_clock_ms() > deadline)
			return done(argument);
		poll(NULL, 0, LOOK_MS);
	}
	return true;
}

bool rig_gone(void *pid)
{
	int fd = pidfd_open(*(const pid_t *)pid, 0);
	if (fd < 0)
		return true;
	struct pollfd ended = {.fd = fd, .events = POLLIN}; /* also when nobody has waited for it yet */
	bool gone = poll(&ended, 1, 0) > 0;
	close(fd);
	return gone;
}
