/* The consumers of `leat up`: started, and started again when they end, with growing delays while they end soon. */
#include "up.h"

#include "leat/log.h"

#include <signal.h>
#include <stddef.h>

#define STEADY_MS 10000    /* one that ran this long has earned an immediate restart */
#define STOP_SPARE_MS 5000 /* on top of what it gives itself */

void up_consumers_init(struct up_consumers *out, const struct leat_params *params, const struct up_environment *environment)
{
	*out = (struct up_consumers){.count = (int)params->consumers, .stop_ms = params->drain_ms + STOP_SPARE_MS, .environment = environment};
	for (int i = 0; i < out->count; i++)
		out->all[i].backoff = (struct leat_backoff){.first_ms = params->retry_first_ms, .limit_ms = params->retry_limit_ms};
}

static void note_end(struct up_consumer *consumer, int number, int status)
{
	int64_t now = leat_clock_ms();
	char how[64];
	leat_child_describe(status, how);
	if (now - consumer->started_ms >= STEADY_MS)
		consumer->backoff.next_ms = 0;
	int64_t delay_ms = leat_backoff_delay_ms(&consumer->backoff);
	consumer->start_at_ms = now + delay_ms;
	leat_log(LEAT_LOG_WARN, "up", "consumer %d (process %d) %s; starting another in %d ms", number, (int)consumer->pid, how, (int)delay_ms);
}

static void start(struct up_consumer *consumer, int number, const struct up_environment *environment)
{
	const char *argv[] = {"leat", "consume", NULL};
	struct leat_child_spec spec = {.argv = argv, .program = UP_OURSELVES, .environment = environment->lines, .death_signal = SIGTERM};
	struct leat_error err;
	consumer->started_ms = leat_clock_ms();
	if (leat_child_start(&consumer->child, &spec, &err) != LEAT_OK) {
		consumer->start_at_ms = leat_clock_ms() + leat_backoff_delay_ms(&consumer->backoff);
		leat_log(LEAT_LOG_ERROR, "up", "consumer %d: %s", number, err.text);
		return;
	}
	consumer->pid = consumer->child.pid;
	leat_log(LEAT_LOG_INFO, "up", "consumer %d started (process %d)", number, (int)consumer->pid);
}

void up_consumers_revive(struct up_consumers *consumers)
{
	for (int i = 0; i < consumers->count; i++) {
		struct up_consumer *consumer = &consumers->all[i];
		int status = 0;
		if (consumer->child.pid != 0 && leat_child_wait(&consumer->child, 0, &status))
			note_end(consumer, i + 1, status);
		if (consumer->child.pid == 0 && leat_clock_ms() >= consumer->start_at_ms)
			start(consumer, i + 1, consumers->environment);
	}
}

nfds_t up_consumers_watch(const struct up_consumers *consumers, struct pollfd *out)
{
	nfds_t count = 0;
	for (int i = 0; i < consumers->count; i++) {
		if (consumers->all[i].child.pid != 0)
			out[count++] = (struct pollfd){.fd = consumers->all[i].child.fd, .events = POLLIN};
	}
	return count;
}

int up_consumers_wait_ms(const struct up_consumers *consumers)
{
	int64_t next = -1;
	int64_t now = leat_clock_ms();
	for (int i = 0; i < consumers->count; i++) {
		const struct up_consumer *consumer = &consumers->all[i];
		int64_t wait = consumer->start_at_ms > now ? consumer->start_at_ms - now : 0;
		if (consumer->child.pid == 0 && (next < 0 || wait < next))
			next = wait;
	}
	return (int)next;
}

void up_consumers_stop(struct up_consumers *consumers)
{
	for (int i = 0; i < consumers->count; i++)
		leat_child_signal(&consumers->all[i].child, SIGTERM);
	for (int i = 0; i < consumers->count; i++)
		leat_child_stop(&consumers->all[i].child, SIGTERM, consumers->stop_ms);
}
