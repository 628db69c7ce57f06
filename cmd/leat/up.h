/* The parts of `leat up`: the environment of the processes that it starts, and its consumers. */
#ifndef LEAT_UP_H
#define LEAT_UP_H

#include "leat/clock.h"
#include "leat/local.h"
#include "leat/param.h"

#include <poll.h>

#define UP_OURSELVES "/proc/self/exe" /* the very program that runs, even when its file was replaced since */
#define UP_CONSUMERS 64               /* the highest value of the setting */

int leat_cmd_up(struct leat_params *params, int argc, char **argv);

/* All settings as LEAT_* variables, so that flags given to `leat up` reach the processes that it starts. */
struct up_environment {
	const char **lines; /* up to NULL */
};

void up_environment_init(
	struct up_environment *out, const struct leat_params *params, const char *nats_url, const char *database_url, const char *migrate_url);
void up_environment_fini(struct up_environment *environment);

struct up_consumer {
	struct leat_child child;
	pid_t pid; /* also after it ended */
	int64_t started_ms;
	int64_t start_at_ms; /* not before */
	struct leat_backoff backoff;
};

struct up_consumers {
	struct up_consumer all[UP_CONSUMERS];
	int count;
	int64_t stop_ms; /* how long one may take to finish what it has in hand */
	const struct up_environment *environment;
};

void up_consumers_init(struct up_consumers *out, const struct leat_params *params, const struct up_environment *environment);
/* Starts those that don't run and are due: at first all, later each that ended, which is logged. */
void up_consumers_revive(struct up_consumers *consumers);
/* Adds what becomes readable when one ends; returns how many were added. */
nfds_t up_consumers_watch(const struct up_consumers *consumers, struct pollfd *out);
/* How long until up_consumers_revive has something to start; -1: until one ends. */
int up_consumers_wait_ms(const struct up_consumers *consumers);
/* Lets all finish what they have in hand, at the same time. */
void up_consumers_stop(struct up_consumers *consumers);

#endif
