/*
 * `leat migrate`: the schema, then the streams.
 *
 * The happy path connects to both servers and says what it ran. Servers that are still starting are waited for, 30 s in all; after that,
 * and at once for what waiting can't mend, it says what to do and ends with 1. Streams with other settings are left as they are: a warning.
 */
#include "command.h"

#include "leat/clock.h"
#include "leat/log.h"
#include "leat/pg.h"
#include "leat/schema.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE_MS 30000

static enum leat_kind migrate_database(const struct leat_params *params, struct leat_buf *report, struct leat_error *err)
{
	const char *url = params->migrate_url[0] != '\0' ? params->migrate_url : params->database_url;
	struct leat_pg *pg = NULL;
	if (leat_pg_open(&pg, url, "leat migrate", NULL, NULL, 0, err) != LEAT_OK)
		return err->kind;
	enum leat_kind kind = leat_schema_migrate(pg, report, err);
	leat_pg_close(pg);
	return kind;
}

static enum leat_kind make_streams(const struct leat_params *params, struct leat_buf *report, struct leat_error *err)
{
	__attribute__((cleanup(command_close_bus))) struct leat_bus *bus = NULL;
	if (command_open_bus(&bus, params, err) != LEAT_OK)
		return err->kind;
	return leat_schema_ensure_streams(bus, params, report, err);
}

static enum leat_kind keep_trying(enum leat_kind (*attempt)(const struct leat_params *, struct leat_buf *, struct leat_error *),
	const struct leat_params *params, int64_t deadline_ms, struct leat_buf *report, struct leat_error *err)
{
	struct leat_backoff backoff = {.first_ms = params->retry_first_ms, .limit_ms = params->retry_limit_ms};
	bool logged = false;
	for (;;) {
		leat_buf_clear(report);
		enum leat_kind kind = attempt(params, report, err);
		int64_t left_ms = deadline_ms - leat_clock_ms();
		if (kind != LEAT_TEMPORARY || left_ms <= 0)
			return kind;
		if (!logged)
			leat_log(LEAT_LOG_WARN, "migrate", "%s; trying again for %d s", err->text, (int)(left_ms / 1000));
		logged = true;
		int64_t delay_ms = leat_backoff_delay_ms(&backoff);
		poll(NULL, 0, (int)(delay_ms < left_ms ? delay_ms : left_ms));
	}
}

static void warn_of_each_line(const struct leat_buf *lines)
{
	for (const char *line = leat_buf_text(lines); *line != '\0';) {
		size_t bytes = strcspn(line, "\n");
		leat_log(LEAT_LOG_WARN, "migrate", "%.*s; left as it is", (int)bytes, line);
		line += bytes + (line[bytes] == '\n');
	}
}

int leat_cmd_migrate(struct leat_params *params, int argc, char **argv)
{
	static const struct command_flag no_flags[] = {{0}};
	LEAT_BUF_SCOPED files = LEAT_BUF_INIT;
	LEAT_BUF_SCOPED differences = LEAT_BUF_INIT;
	struct leat_error err;
	if (!command_take_flags("migrate", no_flags, 0, &argc, argv))
		return EXIT_USAGE;
	int64_t deadline_ms = leat_clock_ms() + PATIENCE_MS;

	if (keep_trying(migrate_database, params, deadline_ms, &files, &err) != LEAT_OK)
		return command_fail("migrate", EXIT_FAILURE, "%s%s", err.text,
			err.kind == LEAT_TEMPORARY ? "\nIs Postgres running where LEAT_MIGRATE_URL, else LEAT_DATABASE_URL, says?" : "");
	printf("%s", files.len > 0 ? leat_buf_text(&files) : "the schema is up to date\n");

	if (keep_trying(make_streams, params, deadline_ms, &differences, &err) != LEAT_OK)
		return command_fail("migrate", EXIT_FAILURE, "%s%s", err.text,
			err.kind == LEAT_TEMPORARY ? "\nIs nats-server running, with JetStream on (-js), where LEAT_NATS_URL says?" : "");
	warn_of_each_line(&differences);
	printf("the streams are there\n");
	return EXIT_SUCCESS;
}
