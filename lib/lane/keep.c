/*
 * The keep lane: tells the database that this process is there and how its lanes are, which `leat status` shows, every few seconds and
 * whenever a lane entered another state; and learns whether intents are parked that nobody looks after, because the process that parked
 * them is gone.
 */
#include "lanes.h"

#include "leat/log.h"
#include "leat/version.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* The lowest process_heartbeat_ms. */
enum { PAUSE_MS = 1000 };

static const struct leat_pg_statement statements[] = {
	{"heartbeat", "select leat.heartbeat($1::uuid, $2, $3, $4::integer, $5, $6::jsonb)"},
	{"leave", "delete from leat.processes where id = $1::uuid"},
};

static enum leat_kind beat(struct lane_link *link, const char *id, const char *host, struct leat_error *err)
{
	struct leat_process *process = link->lane->process;
	LEAT_BUF_SCOPED lanes = LEAT_BUF_INIT;
	leat_process_describe(process, &lanes);
	LEAT_PG_RESULT_SCOPED *result = NULL;
	struct leat_pg_params params = {0};
	leat_pg_bind_text(&params, id);
	leat_pg_bind_text(&params, process->params->queue_group);
	leat_pg_bind_text(&params, host);
	leat_pg_bind_int8(&params, getpid());
	leat_pg_bind_text(&params, LEAT_VERSION);
	leat_pg_bind_text(&params, leat_buf_text(&lanes));
	enum leat_kind kind = leat_pg_run(link->pg, "heartbeat", &params, &result, err);
	if (kind == LEAT_OK && strcmp(leat_pg_text(result, 0, 0), "t") == 0)
		atomic_store(&process->parked_seen, true);
	return kind;
}

/* Until the next heartbeat is due, or a lane's state is news; whatever changes, a second at least. */
static void wait_for_news(const struct leat_lane *lane)
{
	const struct leat_process *process = lane->process;
	struct pollfd events[] = {{.fd = process->stop_fd, .events = POLLIN}, {.fd = process->change_fd, .events = POLLIN}};
	leat_lane_sleep(lane, PAUSE_MS);
	if (poll(events, 2, (int)(process->params->process_heartbeat_ms - PAUSE_MS)) < 0 && errno != EINTR)
		abort();
}

static void leave(struct lane_link *link, const char *id)
{
	struct leat_error err;
	struct leat_pg_params params = {0};
	leat_pg_bind_text(&params, id);
	if (leat_pg_run(link->pg, "leave", &params, NULL, &err) != LEAT_OK)
		leat_log(LEAT_LOG_WARN, "keep", "this process stays in leat.processes until it is an hour old: %s", err.text);
}

void lane_keep_run(struct leat_lane *lane)
{
	struct lane_link link;
	char id[LEAT_UUID_TEXT_BYTES];
	char host[256] = "";
	leat_uuid_format(&lane->process->id, id);
	gethostname(host, sizeof host - 1);
	lane_link_init(&link, lane);

	while (!leat_lane_stopping(lane)) {
		struct leat_error err;
		if (!lane_link_open_pg(&link, statements, sizeof statements / sizeof *statements))
			continue;
		leat_lane_enter(lane, "working", NULL);
		eventfd_t changes;
		eventfd_read(lane->process->change_fd, &changes); /* it fails when there are none */
		if (beat(&link, id, host, &err) != LEAT_OK) {
			leat_lane_count(lane, LEAT_COUNT_RECONNECTS, 1);
			lane_link_close_pg(&link);
			lane_link_wait(&link, "waiting for Postgres", err.text);
			continue;
		}
		wait_for_news(lane);
	}
	if (link.pg != NULL)
		leave(&link, id);
	lane_link_fini(&link);
}
