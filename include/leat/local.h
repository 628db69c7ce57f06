/*
 * Child processes, and private servers in a folder: a nats-server with JetStream and a Postgres, for `leat up` and for the tests.
 *
 * The servers listen on 127.0.0.1 only. They ask for no password there: who may log in on the machine may use them, so they are for
 * developing and trying out, never for production. All of a server's data and its log are in its folder, and stay when it stops.
 *
 * No server outlives the thread that started it: the kernel sends it its stop signal when that thread ends, however it ends. What is
 * left over all the same (a machine that lost its power, a server that was slow to stop) is recognised and dealt with at the next start.
 *
 * Nothing here is shared between threads: a process or a server belongs to the thread that started it.
 */
#ifndef LEAT_LOCAL_H
#define LEAT_LOCAL_H

#include "leat/error.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* ---- child processes ---- */

struct leat_child {
	pid_t pid; /* 0: none, or it ended */
	int fd;    /* pidfd: readable once it ended */
};

struct leat_child_spec {
	const char *const *argv;        /* argv[0] is a path, or a name to be found by leat_program_find */
	const char *program;            /* what is run when argv[0] is but a title; NULL: argv[0] */
	const char *const *environment; /* "NAME=value", up to NULL: put over our own environment; may be NULL */
	const char *log;                /* file that standard output and standard error are appended to; NULL: ours */
	const char *output;             /* file that standard output alone goes to, truncated; NULL: as `log` says */
	const char *input;              /* text that it reads, at most 4,096 bytes; NULL: nothing */
	const char *user;               /* run as this user (we must be root); NULL: as we are */
	const char *directory;          /* NULL: ours */
	int death_signal;               /* what it gets when the thread that started it ends; 0: nothing */
};

/*
 * Starts it in a process group of its own (so that a Ctrl-C reaches only us) with no descriptors but the standard three. Returns when
 * the program runs. PERMANENT: it can't be started; the text says why. Safe with threads and with nats.c: nothing but system calls
 * happens between fork and exec.
 */
enum leat_kind leat_child_start(struct leat_child *out, const struct leat_child_spec *spec, struct leat_error *err)
	__attribute__((warn_unused_result));
bool leat_child_running(const struct leat_child *child);
/* Does nothing to one that ended. */
void leat_child_signal(const struct leat_child *child, int signal);
/* Waits at most timeout_ms for it to end. True when it did, or had: *status (which may be NULL) is then as of waitpid(2), once. */
bool leat_child_wait(struct leat_child *child, int64_t timeout_ms, int *status);
/* Sends the signal, waits, and sends SIGKILL when that did not help. Returns the status as of waitpid(2); 0 when there was none. */
int leat_child_stop(struct leat_child *child, int signal, int64_t timeout_ms);
/* "exited with 1", "was killed by signal 9". */
void leat_child_describe(int status, char out[64]);

/* Path of a program: PATH, then where Debian puts servers. PERMANENT with the name of the `package` to install. */
enum leat_kind leat_program_find(char out[PATH_MAX], const char *name, const char *package, struct leat_error *err)
	__attribute__((warn_unused_result));

/* ---- servers ---- */

enum leat_server_kind { LEAT_SERVER_NATS, LEAT_SERVER_POSTGRES };

struct leat_server {
	const struct leat_server_type *type;
	struct leat_child child;
	int port;
	char url[128];       /* Postgres: of the database `leat`, as the superuser `postgres` */
	char login_url[128]; /* Postgres: the same as the login `leat`, who may act as authenticated and service_role and owns nothing */
	char data[PATH_MAX]; /* its data folder */
	char log[PATH_MAX];
	char detail[64];         /* the type's own */
	const char *const *more; /* leat_server_start_with */
};

/*
 * Starts one in <folder> (made when missing; what it holds is taken up again) and waits until it answers. The port is `port` where that
 * is free, otherwise (or with 0) a free one below the range that outgoing connections use. As root, Postgres runs as the user postgres;
 * when that user can't reach <folder>, its data is in /var/lib/leat and <folder>/postgres is a link to it.
 * PERMANENT: not installed, no place, or it does not come up; the text has the end of its log.
 */
enum leat_kind leat_server_start(struct leat_server *out, enum leat_server_kind kind, const char *folder, int port, struct leat_error *err)
	__attribute__((warn_unused_result));
/*
 * The same with more arguments behind its own, up to NULL, for which they have to make sense; borrowed until the server's last restart.
 * `leat up` has none; tests have configurations of their own.
 */
enum leat_kind leat_server_start_with(struct leat_server *out, enum leat_server_kind kind, const char *folder, int port,
	const char *const *more, struct leat_error *err) __attribute__((warn_unused_result));
/* Starts one that was stopped or killed again, on the same port and data. */
enum leat_kind leat_server_restart(struct leat_server *server, struct leat_error *err) __attribute__((warn_unused_result));
/* Orderly: what is committed or stored is on disk; clients are disconnected. Fine when it never started (zeroed) or has stopped. */
void leat_server_stop(struct leat_server *server);
/* SIGKILL, to all of its processes at once. */
void leat_server_kill(struct leat_server *server);
/* SIGSTOP and SIGCONT, to all of its processes: it keeps its connections and answers nothing. */
void leat_server_pause(const struct leat_server *server);
void leat_server_resume(const struct leat_server *server);

#endif
