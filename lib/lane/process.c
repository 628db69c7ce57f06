/*
 * A consumer process: one thread a lane, a main thread that waits for a signal, a deadline for the end.
 *
 * SIGTERM and SIGINT are blocked in every thread and taken by sigtimedwait here, so that no handler ever runs inside a library.
 */
#include "leat/lane.h"

#include "leat/clock.h"
#include "leat/log.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

bool leat_lane_stopping(const struct leat_lane *lane)
{
	return atomic_load(&lane->process->stopping);
}

void leat_lane_count(struct leat_lane *lane, enum leat_counter counter, uint64_t more)
{
	atomic_fetch_add_explicit(&lane->counters[counter], more, memory_order_relaxed);
}

void leat_lane_enter(struct leat_lane *lane, const char *state, const char *why)
{
	const char *before = atomic_load(&lane->state);
	if (before != NULL && strcmp(before, state) == 0)
		return;
	atomic_store(&lane->state, state);
	atomic_store(&lane->state_since_ms, leat_clock_ms());
	if (eventfd_write(lane->process->change_fd, 1) != 0)
		abort();
	leat_log(
		why != NULL ? LEAT_LOG_WARN : LEAT_LOG_INFO, lane->type->name, "%s%s%s", state, why != NULL ? ": " : "", why != NULL ? why : "");
}

void leat_lane_sleep(const struct leat_lane *lane, int64_t ms)
{
	struct pollfd stop = {.fd = lane->process->stop_fd, .events = POLLIN};
	if (poll(&stop, 1, (int)ms) < 0 && errno != EINTR)
		abort();
}

const char *leat_counter_name(enum leat_counter counter)
{
	static const char *const names[LEAT_COUNTERS] = {
		[LEAT_COUNT_APPLIED] = "applied",
		[LEAT_COUNT_DUPLICATE] = "duplicate",
		[LEAT_COUNT_REJECTED] = "rejected",
		[LEAT_COUNT_PARKED] = "parked",
		[LEAT_COUNT_KNOWN] = "known",
		[LEAT_COUNT_PUBLISHED] = "published",
		[LEAT_COUNT_PRUNED] = "pruned",
		[LEAT_COUNT_EMBEDDED] = "embedded",
		[LEAT_COUNT_ANSWERED] = "answered",
		[LEAT_COUNT_BATCHES] = "batches",
		[LEAT_COUNT_RETRIES] = "retries",
		[LEAT_COUNT_RECONNECTS] = "reconnects",
	};
	return names[counter];
}

void leat_process_describe(const struct leat_process *process, struct leat_buf *json)
{
	leat_buf_add_text(json, "{");
	for (size_t i = 0; i < process->lane_count; i++) {
		const struct leat_lane *lane = &process->lanes[i];
		const char *state = atomic_load(&lane->state);
		leat_buf_printf(json, "%s\"%s\":{\"state\":\"%s\",\"state_ms\":%" PRId64, i > 0 ? "," : "", lane->type->name,
			state != NULL ? state : "starting", leat_clock_ms() - atomic_load(&lane->state_since_ms));
		for (enum leat_counter counter = 0; counter < LEAT_COUNTERS; counter++)
			leat_buf_printf(json, ",\"%s\":%" PRIu64, leat_counter_name(counter), atomic_load(&lane->counters[counter]));
		leat_buf_add_text(json, "}");
	}
	leat_buf_add_text(json, "}");
}

static enum leat_kind choose_lanes(struct leat_process *process, struct leat_error *err)
{
	const struct leat_lane_type *chosen[LEAT_LANES];
	if (leat_lanes_choose(process->params->lanes, chosen, &process->lane_count, err) != LEAT_OK)
		return err->kind;
	for (size_t i = 0; i < process->lane_count; i++) {
		process->lanes[i].type = chosen[i];
		process->lanes[i].process = process;
		process->lanes[i].state_since_ms = leat_clock_ms();
	}
	return LEAT_OK;
}

static void *run_lane(void *arg)
{
	struct leat_lane *lane = arg;
	lane->type->run(lane);
	return NULL;
}

static void wait_for_signal(const sigset_t *signals)
{
	int number;
	int failed = sigwait(signals, &number);
	if (failed != 0)
		abort();
	leat_log(LEAT_LOG_INFO, "consume", "%s: finishing what is in hand", number == SIGTERM ? "SIGTERM" : "SIGINT");
}

/* Joins every lane, all of them within drain_ms. */
static bool join_lanes(struct leat_process *process, const pthread_t *threads)
{
	struct timespec deadline;
	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += process->params->drain_ms / 1000;
	deadline.tv_nsec += (process->params->drain_ms % 1000) * 1000000;
	if (deadline.tv_nsec >= 1000000000) {
		deadline.tv_sec++;
		deadline.tv_nsec -= 1000000000;
	}
	bool all = true;
	for (size_t i = 0; i < process->lane_count; i++) {
		if (pthread_timedjoin_np(threads[i], NULL, &deadline) != 0) {
			leat_log(
				LEAT_LOG_WARN, process->lanes[i].type->name, "did not end in time; what it holds goes to another process after AckWait");
			all = false;
		}
	}
	return all;
}

enum leat_kind leat_process_run(const struct leat_params *params, struct leat_error *err)
{
	/* Static: a lane that does not end in time may still read it while the process exits. */
	static struct leat_process process;
	process = (struct leat_process){.params = params};
	leat_uuid_random(&process.id);
	if (choose_lanes(&process, err) != LEAT_OK)
		return err->kind;

	sigset_t signals;
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	process.stop_fd = eventfd(0, EFD_CLOEXEC);
	process.change_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (process.stop_fd < 0 || process.change_fd < 0)
		abort();

	pthread_t threads[LEAT_LANES] = {0};
	for (size_t i = 0; i < process.lane_count; i++) {
		if (pthread_create(&threads[i], NULL, run_lane, &process.lanes[i]) != 0)
			abort();
	}
	wait_for_signal(&signals);
	atomic_store(&process.stopping, true);
	if (eventfd_write(process.stop_fd, 1) != 0)
		abort();
	if (!join_lanes(&process, threads))
		_exit(0); /* without the libraries' own clearing up, under the feet of a lane that still runs */
	close(process.stop_fd);
	close(process.change_fd);
	return LEAT_OK;
}
