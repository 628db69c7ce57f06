/*
 * Starting and ending child processes.
 *
 * Happy path: everything that may fail or allocate is done before fork; the child makes system calls only and execs; a pipe that exec
 * closes tells the parent that it worked. Failures: a file that can't be opened, an unknown user, an exec that is refused: the child
 * writes errno into that pipe.
 */
#include "server.h"

#include "leat/buf.h"
#include "leat/clock.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define INPUT_BYTES 4096 /* fits any pipe, so that writing it never waits */
#define GROUPS 64

/* What the child needs, all of it prepared. */
struct launch {
	const struct leat_child_spec *spec;
	char path[PATH_MAX];
	char **environment;
	uid_t uid;
	gid_t gid;
	gid_t groups[GROUPS];
	int group_count;
	int in, out, err; /* become descriptors 0, 1, 2 */
	int report;       /* closed by exec; errno is written there when there is none */
	pid_t parent;
};

static void close_fd(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

#define FD_SCOPED __attribute__((cleanup(close_fd))) int

static bool same_name(const char *a, const char *b)
{
	size_t length = strcspn(a, "=");
	return strncmp(a, b, length + 1) == 0;
}

/* Our environment without what `added` replaces, then `added`. The array is the caller's to free, its texts are not. */
static char **merge_environment(const char *const *added)
{
	size_t ours = 0;
	size_t more = 0;
	while (environ[ours] != NULL)
		ours++;
	while (added != NULL && added[more] != NULL)
		more++;
	char **merged = leat_alloc_zero(ours + more + 1, sizeof *merged);
	size_t count = 0;
	for (size_t i = 0; i < ours; i++) {
		bool replaced = false;
		for (size_t j = 0; j < more && !replaced; j++)
			replaced = same_name(added[j], environ[i]);
		if (!replaced)
			merged[count++] = environ[i];
	}
	for (size_t j = 0; j < more; j++)
		merged[count++] = (char *)added[j];
	return merged;
}

static enum leat_kind find_user(struct launch *launch, const char *name, struct leat_error *err)
{
	if (!leat_user_find(name, &launch->uid, &launch->gid))
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_NOT_FOUND, "there is no user %s on this machine", name);
	launch->group_count = GROUPS;
	if (getgrouplist(name, launch->gid, launch->groups, &launch->group_count) < 0)
		launch->group_count = GROUPS; /* the first ones have to do */
	return LEAT_OK;
}

static enum leat_kind open_file(int *fd, const char *path, int flags, struct leat_error *err)
{
	*fd = open(path, flags | O_CLOEXEC, 0644);
	if (*fd < 0)
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INTERNAL, "can't open %s: %s", path, strerror(errno));
	return LEAT_OK;
}

static enum leat_kind open_input(int *fd, const char *text, struct leat_error *err)
{
	if (text == NULL)
		return open_file(fd, "/dev/null", O_RDONLY, err);
	size_t bytes = strlen(text);
	assert(bytes <= INPUT_BYTES);
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) != 0)
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INTERNAL, "can't make a pipe: %s", strerror(errno));
	ssize_t written = write(ends[1], text, bytes);
	close(ends[1]);
	assert(written == (ssize_t)bytes);
	*fd = ends[0];
	return LEAT_OK;
}

/* In the child: system calls only. */
static void __attribute__((noreturn)) become(const struct launch *launch)
{
	sigset_t none;
	sigemptyset(&none);
	signal(SIGPIPE, SIG_DFL);
	bool ready = sigprocmask(SIG_SETMASK, &none, NULL) == 0 && setpgid(0, 0) == 0;
	if (ready && launch->spec->user != NULL)
		ready = setgroups((size_t)launch->group_count, launch->groups) == 0 && setgid(launch->gid) == 0 && setuid(launch->uid) == 0;
	if (ready && launch->spec->death_signal != 0) { /* after setuid, which clears it */
		ready = prctl(PR_SET_PDEATHSIG, launch->spec->death_signal) == 0;
		if (getppid() != launch->parent)
			_exit(127); /* the parent died before we could ask to be told */
	}
	ready = ready && (launch->spec->directory == NULL || chdir(launch->spec->directory) == 0);
	ready = ready && dup2(launch->in, 0) == 0 && dup2(launch->out, 1) == 1 && dup2(launch->err, 2) == 2;
	ready = ready && close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) == 0;
	if (ready)
		execve(launch->path, (char *const *)launch->spec->argv, launch->environment);
	int reason = errno;
	_exit(write(launch->report, &reason, sizeof reason) == (ssize_t)sizeof reason ? 127 : 126);
}

static enum leat_kind run(struct leat_child *out, struct launch *launch, struct leat_error *err)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) != 0)
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INTERNAL, "can't make a pipe: %s", strerror(errno));
	FD_SCOPED report = ends[0];
	launch->report = ends[1];
	launch->parent = getpid();
	pid_t pid = fork();
	if (pid == 0)
		become(launch);
	close(ends[1]);
	if (pid < 0)
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INTERNAL, "can't start %s: %s", launch->path, strerror(errno));

	int reason = 0;
	if (read(report, &reason, sizeof reason) > 0) {
		waitpid(pid, NULL, 0);
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INTERNAL, "can't start %s: %s", launch->path, strerror(reason));
	}
	int fd = pidfd_open(pid, 0);
	assert(fd >= 0); /* it is our child and not yet waited for */
	*out = (struct leat_child){.pid = pid, .fd = fd};
	return LEAT_OK;
}

enum leat_kind leat_child_start(struct leat_child *out, const struct leat_child_spec *spec, struct leat_error *err)
{
	struct launch launch = {.spec = spec, .in = -1, .out = STDOUT_FILENO, .err = STDERR_FILENO};
	*out = (struct leat_child){0};
	if (leat_program_find(launch.path, spec->program != NULL ? spec->program : spec->argv[0], NULL, err) != LEAT_OK)
		return err->kind;
	if (spec->user != NULL && find_user(&launch, spec->user, err) != LEAT_OK)
		return err->kind;
	FD_SCOPED in = -1;
	FD_SCOPED log = -1;
	FD_SCOPED output = -1;
	if (open_input(&in, spec->input, err) != LEAT_OK)
		return err->kind;
	launch.in = in;
	if (spec->log != NULL) {
		if (open_file(&log, spec->log, O_WRONLY | O_CREAT | O_APPEND, err) != LEAT_OK)
			return err->kind;
		launch.out = launch.err = log;
	}
	if (spec->output != NULL) {
		if (open_file(&output, spec->output, O_WRONLY | O_CREAT | O_TRUNC, err) != LEAT_OK)
			return err->kind;
		launch.out = output;
	}
	launch.environment = merge_environment(spec->environment);
	enum leat_kind kind = run(out, &launch, err);
	free(launch.environment);
	return kind;
}

bool leat_child_running(const struct leat_child *child)
{
	struct pollfd ended = {.fd = child->fd, .events = POLLIN};
	return child->pid != 0 && poll(&ended, 1, 0) == 0;
}

void leat_child_signal(const struct leat_child *child, int signal)
{
	if (child->pid != 0)
		kill(child->pid, signal); /* not waited for yet, so the pid is still its own */
}

bool leat_child_wait(struct leat_child *child, int64_t timeout_ms, int *status)
{
	if (child->pid == 0)
		return true;
	int64_t deadline = leat_clock_ms() + timeout_ms;
	struct pollfd ended = {.fd = child->fd, .events = POLLIN};
	for (;;) {
		int64_t left = deadline - leat_clock_ms();
		int found = poll(&ended, 1, left > 0 ? (int)left : 0);
		if (found > 0)
			break;
		if (found == 0)
			return false;
		assert(errno == EINTR);
	}
	int code = 0;
	pid_t reaped = waitpid(child->pid, &code, 0);
	assert(reaped == child->pid);
	close(child->fd);
	*child = (struct leat_child){0};
	if (status != NULL)
		*status = code;
	return true;
}

int leat_child_stop(struct leat_child *child, int signal, int64_t timeout_ms)
{
	int status = 0;
	leat_child_signal(child, signal);
	if (!leat_child_wait(child, timeout_ms, &status)) {
		leat_child_signal(child, SIGKILL);
		leat_child_wait(child, INT_MAX, &status);
	}
	return status;
}

void leat_child_describe(int status, char out[64])
{
	if (WIFSIGNALED(status))
		snprintf(out, 64, "was killed by signal %d", WTERMSIG(status));
	else
		snprintf(out, 64, "exited with %d", WEXITSTATUS(status));
}
