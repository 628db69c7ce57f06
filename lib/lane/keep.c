/*
 * The keep lane: tells the database that this process is there and how its lanes are, which `leat status` shows, every few seconds and
 * whenever a lane entered another state; and learns whether intents are parked that nobody looks after, because the process that parked
 * them is gone. In between, one process of all forgets what is old (keep_retention.c), finds questions past their time (keep_sweep.c), and
 * nodes that nobody works on any more (keep_reap.c).
 */
#include "keep.h"

#include "leat/log.h"
#include "leat/version.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* The lowest process_heartbeat_ms. */
enum { PAUSE_MS = 1000 };

static const struct leat_pg_statement statements[] = {
	{"heartbeat", "select leat.heartbeat($1::uuid, $2, $3, $4::integer, $5, $6::jsonb)"},
	{"leave", "delete from leat.processes where id = $1::uuid"},
	{"keep_lock", "select pg_try_advisory_lock(hashtext('leat.keep'), 0)"},
	{"keep_unlock", "select pg_advisory_unlock(hashtext('leat.keep'), 0)"},
	{"make_audit_parts", "select made, trouble from leat.make_audit_parts($1::integer)"},
	{"drop_audit_parts", "select dropped, trouble from leat.drop_audit_parts($1)"},
	{"expire_audit_rows", "select leat.expire_audit_rows($1, $2::integer)"},
	{"prune_ledger",
		"select after, pruned, more from leat.prune_ledger($1, timestamptz 'epoch' + $2 * interval '1 microsecond', $3,"
		" timestamptz 'epoch' + $4 * interval '1 microsecond', $5, $6::integer, $7)"},
	{"sweep_interactions", "select leat.sweep_interactions($1::integer)"},
	{"reap_claims", "select reaped::bigint, lost::bigint from leat.reap_claims($1::integer, $2::integer, $3)"},
	{"tell_answers_again", "select seen::bigint, told::bigint from leat.tell_answers_again($1::integer)"},
	{"find_stalled_runs",
		"select next, resumed::bigint, adopted::bigint from leat.find_stalled_runs($1::uuid, $2, $3, $4::integer, $5::integer)"},
};

struct keeper {
	struct lane_link link;
	char id[LEAT_UUID_TEXT_BYTES];
	char host[256];
	int64_t beat_ms; /* when the next heartbeat is due, by leat_clock_ms */
	int64_t news_ms; /* from then on it comes as soon as a lane's state is news */
	struct keep_lock lock;
	struct keep_retention retention;
	struct keep_sweep sweep;
	struct keep_reap reap;
};

static bool beat_is_due(const struct keeper *k)
{
	int64_t now_ms = leat_clock_ms();
	eventfd_t changes;
	if (now_ms < k->news_ms)
		return false;
	bool news = eventfd_read(k->link.lane->process->change_fd, &changes) == 0; /* it fails when there are none */
	return news || now_ms >= k->beat_ms;
}

static enum leat_kind beat(struct keeper *k, struct leat_error *err)
{
	struct leat_process *process = k->link.lane->process;
	LEAT_BUF_SCOPED lanes = LEAT_BUF_INIT;
	leat_process_describe(process, &lanes);
	LEAT_PG_RESULT_SCOPED *result = NULL;
	struct leat_pg_params params = {0};
	leat_pg_bind_text(&params, k->id);
	leat_pg_bind_text(&params, process->params->queue_group);
	leat_pg_bind_text(&params, k->host);
	leat_pg_bind_int8(&params, getpid());
	leat_pg_bind_text(&params, LEAT_VERSION);
	leat_pg_bind_text(&params, leat_buf_text(&lanes));
	enum leat_kind kind = leat_pg_run(k->link.pg, "heartbeat", &params, &result, err);
	bool parked = kind == LEAT_OK && leat_pg_bool(result, 0, 0);
	for (size_t i = 0; i < process->lane_count && parked; i++)
		atomic_store(&process->lanes[i].parked_seen, true);
	k->news_ms = leat_clock_ms() + PAUSE_MS;
	k->beat_ms = leat_clock_ms() + process->params->process_heartbeat_ms;
	return kind;
}

/* Until something is due, or a lane's state is news. */
static void wait_for_news(const struct keeper *k)
{
	const struct leat_process *process = k->link.lane->process;
	struct pollfd events[] = {{.fd = process->stop_fd, .events = POLLIN}, {.fd = process->change_fd, .events = POLLIN}};
	int64_t now_ms = leat_clock_ms();
	bool deaf = now_ms < k->news_ms;
	int64_t until_ms = k->beat_ms < k->retention.due_ms ? k->beat_ms : k->retention.due_ms;
	if (k->sweep.due_ms < until_ms)
		until_ms = k->sweep.due_ms;
	if (k->reap.due_ms < until_ms)
		until_ms = k->reap.due_ms;
	if (deaf && k->news_ms < until_ms)
		until_ms = k->news_ms;
	if (until_ms > now_ms && poll(events, deaf ? 1 : 2, (int)(until_ms - now_ms)) < 0 && errno != EINTR)
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

static bool open_pg(struct keeper *k)
{
	if (k->link.pg != NULL)
		return true;
	if (!lane_link_open_pg(&k->link, statements, sizeof statements / sizeof *statements))
		return false;
	k->beat_ms = 0;
	k->news_ms = 0;
	k->lock = (struct keep_lock){.link = &k->link};
	keep_retention_start(&k->retention, &k->lock);
	keep_sweep_start(&k->sweep, &k->lock);
	keep_reap_start(&k->reap, &k->lock);
	leat_lane_enter(k->link.lane, "working", NULL);
	return true;
}

/* What is due. False: Postgres is lost. */
static bool keep(struct keeper *k, struct leat_error *err)
{
	if (beat_is_due(k) && beat(k, err) != LEAT_OK)
		return false;
	if (leat_clock_ms() >= k->retention.due_ms && !keep_retention_step(&k->retention, err))
		return false;
	if (leat_clock_ms() >= k->sweep.due_ms && !keep_sweep_step(&k->sweep, err))
		return false;
	return leat_clock_ms() < k->reap.due_ms || keep_reap_step(&k->reap, err);
}

void lane_keep_run(struct leat_lane *lane)
{
	const struct leat_params *params = lane->process->params;
	struct keeper k = {0};
	leat_uuid_format(&lane->process->id, k.id);
	gethostname(k.host, sizeof k.host - 1);
	lane_link_init(&k.link, lane);
	/* NATS that does not answer must not keep the next heartbeat. */
	if (params->process_heartbeat_ms / 2 < params->publish_timeout_ms)
		k.link.request_timeout_ms = params->process_heartbeat_ms / 2;

	while (!leat_lane_stopping(lane)) {
		struct leat_error err;
		if (!open_pg(&k))
			continue;
		if (keep(&k, &err)) {
			wait_for_news(&k);
		} else {
			leat_lane_count(lane, LEAT_COUNT_RECONNECTS, 1);
			lane_link_close_pg(&k.link);
			lane_link_wait(&k.link, "waiting for Postgres", err.text);
		}
	}
	if (k.link.pg != NULL)
		leave(&k.link, k.id);
	lane_link_fini(&k.link);
}
