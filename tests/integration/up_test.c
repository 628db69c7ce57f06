/* `leat up`: it starts all, keeps all running, stops all, and comes back after the worst. */
#include "harness.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static struct rig rig;

static void setup(void)
{
	rig_open(&rig);
}

static void teardown(void)
{
	rig_close(&rig);
}

TestSuite(up, .init = setup, .fini = teardown);

/* ---- conditions to wait for ---- */

struct sight {
	const char *name; /* of a process of the rig */
	char *(*read)(const struct rig *rig, const char *name);
	const char *text;
};

static bool seen(void *argument)
{
	const struct sight *sight = argument;
	char *found = sight->read(&rig, sight->name);
	bool there = strstr(found, sight->text) != NULL;
	free(found);
	return there;
}

static void wait_for_output(const char *name, const char *text)
{
	struct sight sight = {.name = name, .read = rig_output, .text = text};
	cr_assert(rig_wait_until(seen, &sight, 60), "%s never said: %s", name, text);
}

static void wait_for_log(const char *name, const char *text)
{
	struct sight sight = {.name = name, .read = rig_log, .text = text};
	cr_assert(rig_wait_until(seen, &sight, 60), "%s never logged: %s", name, text);
}

/* The first number behind `text` in the file. */
static pid_t number_behind(const char *found, const char *text)
{
	const char *at = strstr(found, text);
	cr_assert_not_null(at, "no \"%s\" in: %s", text, found);
	return (pid_t)strtol(at + strlen(text), NULL, 10);
}

static pid_t consumer_pid(const char *name, const char *consumer)
{
	char *log = rig_log(&rig, name);
	pid_t pid = number_behind(log, consumer);
	free(log);
	return pid;
}

static pid_t postgres_pid(void)
{
	char path[PATH_MAX + 64];
	char line[32] = "";
	snprintf(path, sizeof path, "%s/state/postgres/postmaster.pid", rig.folder);
	FILE *file = fopen(path, "re");
	cr_assert_not_null(file, "no %s", path);
	cr_assert_not_null(fgets(line, sizeof line, file));
	fclose(file);
	return (pid_t)strtol(line, NULL, 10);
}

/* The superuser's URL that `. state/env` would set. */
static void use_its_database(void)
{
	char path[PATH_MAX + 64];
	char line[512];
	snprintf(path, sizeof path, "%s/state/env", rig.folder);
	FILE *file = fopen(path, "re");
	cr_assert_not_null(file, "no %s", path);
	while (fgets(line, sizeof line, file) != NULL)
		sscanf(line, "export LEAT_MIGRATE_URL='%255[^']'", rig.database_url);
	fclose(file);
	cr_assert_not_null(strstr(rig.database_url, "/leat"), "%s", rig.database_url);
}

static struct leat_child *start_up(const char *name)
{
	struct leat_child *up = rig_start(&rig, name, RIG_ARGS("up", "--state-dir", "state", "--consumers", "2"));
	wait_for_output(name, "leat is up");
	return up;
}

static void stop_up(struct leat_child *up)
{
	int status = -1;
	leat_child_signal(up, SIGTERM);
	cr_assert(leat_child_wait(up, 60000, &status));
	cr_assert(WIFEXITED(status));
	cr_assert_eq(WEXITSTATUS(status), 0);
}

/* ---- what it does ---- */

Test(up, everything_runs_after_it_says_so_and_ends_with_it)
{
	struct leat_child *up = start_up("up");
	pid_t first = consumer_pid("up", "consumer 1 started (process ");
	pid_t second = consumer_pid("up", "consumer 2 started (process ");
	pid_t postgres = postgres_pid();
	use_its_database();
	cr_assert_gt(rig_sql_int(&rig, "SELECT count(*) FROM pg_tables WHERE schemaname = 'leat'"), 0);
	stop_up(up);
	cr_assert(rig_gone(&first));
	cr_assert(rig_gone(&second));
	cr_assert(rig_gone(&postgres));
}

Test(up, a_login_for_other_servers_does_not_get_in_its_way)
{
	setenv("LEAT_NATS_CREDS", "/nowhere", 1);
	setenv("LEAT_NATS_TLS_CA", "/nowhere", 1);
	struct leat_child *up = start_up("up");
	wait_for_log("up", "entity: working");
	stop_up(up);
}

Test(up, a_second_one_in_the_folder_is_refused_and_told_why)
{
	start_up("up");
	cr_assert_eq(rig_run(&rig, "second", 30, RIG_ARGS("up", "--state-dir", "state")), 1);
	wait_for_log("second", "another `leat up` (process ");
}

/* Whether the last consumer 2 that was started is another one than this. */
static bool second_life(void *pid)
{
	static const char started[] = "consumer 2 started (process ";
	char *log = rig_log(&rig, "up");
	const char *last = log;
	for (const char *at = strstr(log, started); at != NULL; at = strstr(at + 1, started))
		last = at;
	bool other = number_behind(last, started) != *(const pid_t *)pid;
	free(log);
	return other;
}

Test(up, a_consumer_that_dies_is_started_again)
{
	start_up("up");
	pid_t pid = consumer_pid("up", "consumer 2 started (process ");
	cr_assert_eq(kill(pid, SIGKILL), 0);
	char said[128];
	snprintf(said, sizeof said, "consumer 2 (process %d) was killed by signal 9", (int)pid);
	wait_for_log("up", said);
	cr_assert(rig_wait_until(second_life, &pid, 30));
}

Test(up, killed_it_takes_its_servers_along_and_the_next_one_takes_over_their_data)
{
	struct leat_child *up = start_up("up");
	pid_t postgres = postgres_pid();
	use_its_database();
	rig_sql(&rig, "CREATE TABLE kept AS SELECT 42 AS answer");
	leat_child_stop(up, SIGKILL, 0);
	struct leat_child *next = start_up("next");
	cr_assert(rig_gone(&postgres));
	use_its_database();
	rig_sql_wait(&rig, 10, "42", "SELECT answer FROM kept");
	stop_up(next);
}

Test(up, what_it_does_not_know_is_refused)
{
	cr_assert_eq(rig_run(&rig, "up", 30, RIG_ARGS("up", "--state-dir", "state", "sideways")), 2);
	wait_for_log("up", "sideways");
}
