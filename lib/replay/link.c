/* The connections of a replay: opened when needed, and once it has begun tried again for ever, unless it is stopped. */
#include "internal.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>

#define GLANCE_MS 100

bool replay_stopped(const struct replay *r)
{
	return *r->options->stop != 0;
}

void replay_note(const struct replay *r, const char *format, ...)
{
	char line[700];
	va_list args;
	va_start(args, format);
	vsnprintf(line, sizeof line, format, args);
	va_end(args);
	r->options->note(r->options->context, line);
}

bool replay_pause(struct replay *r, const char *what, const struct leat_error *err)
{
	if (!r->begun)
		return false;
	if (r->backoff.next_ms == 0)
		replay_note(r, "waiting for %s: %s", what, err->text);
	int64_t until_ms = leat_clock_ms() + leat_backoff_delay_ms(&r->backoff);
	while (!replay_stopped(r) && leat_clock_ms() < until_ms) {
		poll(NULL, 0, GLANCE_MS);
		r->options->progress(r->options->context, r->report);
	}
	return !replay_stopped(r);
}

enum leat_kind replay_open_bus(struct replay *r, struct leat_error *err)
{
	struct leat_bus_options wanted;
	leat_bus_options_init(&wanted, r->params, "leat replay");
	if (leat_bus_check_options(&wanted, err) != LEAT_OK)
		return err->kind;
	while (leat_bus_open(&r->bus, &wanted, err) != LEAT_OK) {
		if (!replay_pause(r, "NATS", err))
			return LEAT_TEMPORARY;
	}
	r->backoff.next_ms = 0;
	return LEAT_OK;
}

enum leat_kind replay_open_pg(struct replay *r, struct replay_stream *s, struct leat_error *err)
{
	if (s->pg != NULL && leat_pg_alive(s->pg))
		return LEAT_OK;
	replay_close_pg(s);
	for (;;) {
		enum leat_kind kind = leat_pg_open(
			&s->pg, r->params->database_url, "leat replay", "service_role", s->source->statements, s->source->statement_count, err);
		if (kind == LEAT_OK)
			break;
		if (kind == LEAT_PERMANENT)
			return kind;
		if (!replay_pause(r, "Postgres", err))
			return LEAT_TEMPORARY;
	}
	r->backoff.next_ms = 0;
	s->mode = -1;
	return LEAT_OK;
}

void replay_close_pg(struct replay_stream *s)
{
	leat_pg_close(s->pg);
	s->pg = NULL;
}
