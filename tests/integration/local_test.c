/* Private servers: they come up, come back with what they held, and leave nothing behind. */
#include "harness.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct rig rig;

static void open_all(void)
{
	rig_open_alone(&rig);
}

static void close_all(void)
{
	rig_close(&rig);
}

TestSuite(local, .init = open_all, .fini = close_all);

Test(local, postgres_killed_with_a_client_comes_back_on_its_port_with_what_was_committed)
{
	struct leat_error err;
	int port = rig.postgres.port;
	rig_sql(&rig, "CREATE TABLE kept AS SELECT 42 AS answer");
	leat_server_kill(&rig.postgres);
	cr_assert_eq(rig.postgres.child.pid, 0);
	cr_assert_eq(leat_server_restart(&rig.postgres, &err), LEAT_OK, "%s", err.text);
	cr_assert_eq(rig.postgres.port, port);
	rig_sql_wait(&rig, 10, "42", "SELECT answer FROM kept"); /* the first try finds the old connection dead */
}

Test(local, a_postmaster_killed_alone_is_restarted_while_its_backends_go_away)
{
	struct leat_error err;
	rig_sql(&rig, "SELECT 1");
	leat_child_stop(&rig.postgres.child, SIGKILL, 0);
	cr_assert_eq(leat_server_restart(&rig.postgres, &err), LEAT_OK, "%s", err.text);
	rig_sql_wait(&rig, 10, "1", "SELECT 1");
}

Test(local, nats_killed_comes_back_on_its_port)
{
	struct leat_error err;
	int port = rig.nats.port;
	leat_server_kill(&rig.nats);
	cr_assert_eq(leat_server_restart(&rig.nats, &err), LEAT_OK, "%s", err.text);
	cr_assert_eq(rig.nats.port, port);
}

static bool answers(void *argument)
{
	(void)argument;
	const char *argv[] = {"psql", "-Atqc", "SELECT 1", rig.postgres.url, NULL};
	struct leat_child_spec spec = {.argv = argv, .log = "/dev/null", .death_signal = SIGKILL};
	struct leat_child psql;
	struct leat_error err;
	int status = 0;
	cr_assert_eq(leat_child_start(&psql, &spec, &err), LEAT_OK, "%s", err.text);
	if (!leat_child_wait(&psql, 2000, &status))
		status = leat_child_stop(&psql, SIGKILL, 0);
	return status == 0;
}

Test(local, a_paused_postgres_answers_nothing_until_it_is_resumed)
{
	cr_assert(answers(NULL));
	leat_server_pause(&rig.postgres);
	cr_assert_not(answers(NULL));
	leat_server_resume(&rig.postgres);
	cr_assert(rig_wait_until(answers, NULL, 20));
}

Test(local, a_second_start_in_the_folder_ends_the_first_and_takes_over_its_data)
{
	struct leat_error err;
	struct leat_server second;
	pid_t first = rig.postgres.child.pid;
	rig_sql(&rig, "CREATE TABLE kept AS SELECT 42 AS answer");
	cr_assert_eq(leat_server_start(&second, LEAT_SERVER_POSTGRES, rig.folder, 0, &err), LEAT_OK, "%s", err.text);
	cr_assert(leat_child_wait(&rig.postgres.child, 0, NULL));
	cr_assert(rig_gone(&first));
	rig.postgres = second;
	snprintf(rig.database_url, sizeof rig.database_url, "%s", second.url);
	rig_sql_wait(&rig, 10, "42", "SELECT answer FROM kept");
}

Test(local, servers_end_when_the_process_that_started_them_is_killed)
{
	int ends[2];
	cr_assert_eq(pipe(ends), 0);
	pid_t starter = fork();
	cr_assert_geq(starter, 0);
	if (starter == 0) {
		char folder[PATH_MAX + 8];
		struct leat_server server;
		struct leat_error err;
		snprintf(folder, sizeof folder, "%s/own", rig.folder);
		pid_t pid = leat_server_start(&server, LEAT_SERVER_NATS, folder, 0, &err) == LEAT_OK ? server.child.pid : -1;
		_exit(write(ends[1], &pid, sizeof pid) == (ssize_t)sizeof pid && pause() ? 0 : 1);
	}
	pid_t server = 0;
	cr_assert_eq(read(ends[0], &server, sizeof server), (ssize_t)sizeof server);
	cr_assert_gt(server, 0);
	kill(starter, SIGKILL);
	waitpid(starter, NULL, 0);
	cr_assert(rig_wait_until(rig_gone, &server, 10));
}

Test(local, a_preferred_port_is_taken_only_when_it_is_free)
{
	struct leat_server second;
	struct leat_error err;
	char folder[PATH_MAX + 8];
	snprintf(folder, sizeof folder, "%s/own", rig.folder);
	cr_assert_eq(leat_server_start(&second, LEAT_SERVER_NATS, folder, rig.nats.port, &err), LEAT_OK, "%s", err.text);
	cr_assert_neq(second.port, rig.nats.port);
	leat_server_stop(&rig.nats);
	struct leat_server third;
	snprintf(folder, sizeof folder, "%s/third", rig.folder);
	cr_assert_eq(leat_server_start(&third, LEAT_SERVER_NATS, folder, rig.nats.port, &err), LEAT_OK, "%s", err.text);
	cr_assert_eq(third.port, rig.nats.port);
	leat_server_stop(&second);
	leat_server_stop(&third);
}

Test(local, a_folder_that_the_user_postgres_cannot_reach_gets_its_data_elsewhere)
{
	if (geteuid() != 0)
		cr_skip_test("only root runs Postgres as another user");
	struct leat_server server;
	struct leat_error err;
	char folder[PATH_MAX + 16];
	char link[PATH_MAX + 32];
	char target[PATH_MAX];
	snprintf(folder, sizeof folder, "%s/closed", rig.folder);
	snprintf(link, sizeof link, "%s/postgres", folder);
	cr_assert_eq(mkdir(folder, 0700), 0);
	cr_assert_eq(leat_server_start(&server, LEAT_SERVER_POSTGRES, folder, 0, &err), LEAT_OK, "%s", err.text);
	ssize_t length = readlink(link, target, sizeof target - 1);
	leat_server_stop(&server);
	cr_assert_gt(length, 0);
	target[length] = '\0';
	cr_assert_eq(strncmp(target, "/var/lib/leat/", 14), 0);
	const char *argv[] = {"rm", "-rf", target, NULL};
	struct leat_child_spec spec = {.argv = argv};
	struct leat_child rm;
	cr_assert_eq(leat_child_start(&rm, &spec, &err), LEAT_OK, "%s", err.text);
	cr_assert(leat_child_wait(&rm, 20000, NULL));
}

Test(process, one_that_cannot_be_started_says_why)
{
	struct leat_child child;
	struct leat_error err;
	struct leat_child_spec spec = {.argv = (const char *const[]){"/etc/passwd", NULL}};
	cr_assert_eq(leat_child_start(&child, &spec, &err), LEAT_PERMANENT);
	cr_assert_str_eq(err.text, "/etc/passwd is no program");
	spec.argv = (const char *const[]){"no-such-program-here", NULL};
	cr_assert_eq(leat_child_start(&child, &spec, &err), LEAT_PERMANENT);
	cr_assert_str_eq(err.text, "no-such-program-here is not installed");
	spec.argv = (const char *const[]){"true", NULL};
	spec.directory = "/no/such/folder";
	cr_assert_eq(leat_child_start(&child, &spec, &err), LEAT_PERMANENT);
	cr_assert_not_null(strstr(err.text, "No such file or directory"), "%s", err.text);
	cr_assert_not(leat_child_running(&child));
}

Test(process, environment_input_and_status_reach_where_they_should)
{
	char output[] = "/tmp/leat-process-XXXXXX";
	int fd = mkstemp(output);
	cr_assert_geq(fd, 0);
	const char *script = "read line; echo \"$line $LEAT_SEEN $HOME\"; exit 7";
	struct leat_child_spec spec = {.argv = (const char *const[]){"sh", "-c", script, NULL},
		.environment = (const char *const[]){"LEAT_SEEN=yes", "HOME=/replaced", NULL},
		.input = "hello\n",
		.output = output};
	struct leat_child child;
	struct leat_error err;
	int status = 0;
	char text[64] = "";
	cr_assert_eq(leat_child_start(&child, &spec, &err), LEAT_OK, "%s", err.text);
	cr_assert(leat_child_wait(&child, 10000, &status));
	cr_assert_gt(read(fd, text, sizeof text - 1), 0);
	close(fd);
	unlink(output);
	cr_assert_str_eq(text, "hello yes /replaced\n");
	cr_assert_eq(WEXITSTATUS(status), 7);
}

Test(process, one_that_does_not_act_on_the_signal_is_killed_after_the_time)
{
	struct leat_child_spec spec = {.argv = (const char *const[]){"sleep", "600", NULL}};
	struct leat_child child;
	struct leat_error err;
	cr_assert_eq(leat_child_start(&child, &spec, &err), LEAT_OK, "%s", err.text);
	cr_assert(leat_child_running(&child));
	leat_child_signal(&child, SIGSTOP);
	cr_assert_eq(waitpid(child.pid, NULL, WUNTRACED), child.pid); /* now SIGTERM has to wait */
	int status = leat_child_stop(&child, SIGTERM, 50);
	cr_assert(WIFSIGNALED(status));
	cr_assert_eq(WTERMSIG(status), SIGKILL);
}
