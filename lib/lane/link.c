/* A lane's connections to both servers: opened when needed, tried again for ever with growing, jittered delays. */
#include "lanes.h"

#include <stdio.h>

void lane_link_init(struct lane_link *link, struct leat_lane *lane)
{
	const struct leat_params *params = lane->process->params;
	*link = (struct lane_link){
		.lane = lane,
		.backoff = {.first_ms = params->retry_first_ms, .limit_ms = params->retry_limit_ms},
	};
}

void lane_link_fini(struct lane_link *link)
{
	leat_bus_close(link->bus);
	link->bus = NULL;
	lane_link_close_pg(link);
}

void lane_link_wait(struct lane_link *link, const char *state, const char *why)
{
	leat_lane_enter(link->lane, state, why);
	leat_lane_sleep(link->lane, leat_backoff_delay_ms(&link->backoff));
}

enum leat_kind lane_link_try_bus(struct lane_link *link, struct leat_error *err)
{
	if (link->bus != NULL && !leat_bus_closed(link->bus))
		return LEAT_OK;
	leat_bus_close(link->bus);
	link->bus = NULL;
	char name[64];
	snprintf(name, sizeof name, "leat %s", link->lane->type->name);
	struct leat_bus_options options;
	leat_bus_options_init(&options, link->lane->process->params, name);
	if (link->request_timeout_ms > 0)
		options.request_timeout_ms = link->request_timeout_ms;
	return leat_bus_open(&link->bus, &options, err);
}

bool lane_link_open_bus(struct lane_link *link)
{
	if (link->bus != NULL && !leat_bus_closed(link->bus))
		return true;
	struct leat_error err;
	if (lane_link_try_bus(link, &err) != LEAT_OK) {
		lane_link_wait(link, "waiting for NATS", err.text);
		return false;
	}
	link->backoff.next_ms = 0;
	return true;
}

/* A user's intents are written as authenticated: better told at the start than by each of them. */
static enum leat_kind try_roles(struct leat_pg *pg, struct leat_error *err)
{
	if (leat_pg_run_sql(pg, "set role authenticated; set role service_role", NULL, err) == LEAT_OK)
		return LEAT_OK;
	return leat_fail_while(err, "acting as authenticated (GRANT authenticated, service_role TO the login)");
}

enum leat_kind lane_link_try_pg(struct lane_link *link, const struct leat_pg_statement *statements, size_t count, struct leat_error *err)
{
	if (link->pg != NULL)
		return LEAT_OK;
	char who[64];
	snprintf(who, sizeof who, "leat %s", link->lane->type->name);
	if (leat_pg_open(&link->pg, link->lane->process->params->database_url, who, "service_role", statements, count, err) == LEAT_OK &&
		try_roles(link->pg, err) == LEAT_OK)
		return LEAT_OK;
	lane_link_close_pg(link);
	return err->kind;
}

bool lane_link_open_pg(struct lane_link *link, const struct leat_pg_statement *statements, size_t count)
{
	if (link->pg != NULL)
		return true;
	struct leat_error err;
	if (lane_link_try_pg(link, statements, count, &err) != LEAT_OK) {
		lane_link_wait(link, "waiting for Postgres", err.text);
		return false;
	}
	link->backoff.next_ms = 0;
	return true;
}

void lane_link_close_pg(struct lane_link *link)
{
	leat_pg_close(link->pg);
	link->pg = NULL;
}
