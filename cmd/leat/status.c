/*
 * `leat status`: what waits, what runs, what is dead, from NATS and from Postgres.
 *
 * The happy path asks both and ends with 0. When one of them does not answer, the other's part is shown all the same. Anything that keeps
 * intents from being applied (a server that is down, a stream that is missing, no consumer) is a problem, told by a sentence, and makes it
 * end with 1, so it serves as a health check too.
 */
#include "status.h"

#include "command.h"
#include "show.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WATCH_S 2
#define WATCH_MOST_S 86400
#define CLEAR_SCREEN "\033[H\033[2J"

enum form { FORM_TABLES, FORM_JSON, FORM_QUIET };

void status_complain(struct status *status, const char *format, ...)
{
	char sentence[1024];
	va_list args;
	va_start(args, format);
	vsnprintf(sentence, sizeof sentence, format, args);
	va_end(args);
	LEAT_BUF_SCOPED shown = LEAT_BUF_INIT;
	show_text(&shown, sentence, strlen(sentence));
	json_array_append_new(status->problems, json_string(leat_buf_text(&shown)));
}

/* At the first look there is nothing to compare with; but the ledger knows what was settled in the last minute. */
static void add_rates(const json_t *lanes, const json_t *settled_per_minute)
{
	size_t i;
	json_t *lane;
	json_array_foreach(lanes, i, lane)
	{
		const json_t *settled = json_object_get(settled_per_minute, json_string_value(json_object_get(lane, "stream")));
		if (json_is_null(json_object_get(lane, "rate_per_s")) && settled != NULL)
			json_object_set_new(lane, "rate_per_s", json_real((double)json_integer_value(settled) / 60));
	}
}

static json_t *look(struct status *status, enum form form)
{
	status->problems = json_array();
	json_t *nats = status_ask_nats(status, form != FORM_QUIET);
	json_t *postgres = status_ask_postgres(status);
	add_rates(json_object_get(nats, "lanes"), json_object_get(postgres, "settled_per_minute"));
	bool healthy = json_array_size(status->problems) == 0;
	return json_pack("{s:b, s:o, s:o, s:o}", "healthy", healthy, "problems", status->problems, "nats", nats, "postgres", postgres);
}

static void print(const json_t *report, enum form form)
{
	size_t i;
	json_t *problem;
	switch (form) {
	case FORM_TABLES:
		status_print(report);
		break;
	case FORM_JSON:
		json_dumpf(report, stdout, JSON_COMPACT);
		putchar('\n');
		break;
	case FORM_QUIET:
		json_array_foreach(json_object_get(report, "problems"), i, problem) printf("%s\n", json_string_value(problem));
		break;
	}
}

/* Looks again every `watch_s` seconds; 0: once. Returns whether all is well, as of the last look. */
static bool run(struct status *status, enum form form, int64_t watch_s)
{
	bool redraw = watch_s > 0 && form == FORM_TABLES && isatty(STDOUT_FILENO);
	for (;;) {
		json_t *report = look(status, form);
		bool healthy = json_is_true(json_object_get(report, "healthy"));
		if (redraw)
			fputs(CLEAR_SCREEN, stdout);
		print(report, form);
		json_decref(report);
		if (watch_s == 0 || fflush(stdout) != 0)
			return healthy;
		poll(NULL, 0, (int)watch_s * 1000);
	}
}

int leat_cmd_status(struct leat_params *params, int argc, char **argv)
{
	struct status status = {.params = params};
	bool json = false;
	bool quiet = false;
	bool watch = false;
	int64_t watch_s = WATCH_S;
	const struct command_flag flags[] = {
		{.name = "--json", .on = &json},
		{.name = "--quiet", .on = &quiet},
		{.name = "--watch", .on = &watch, .number = &watch_s},
		{0},
	};
	if (!command_take_flags("status", flags, 0, &argc, argv))
		return EXIT_USAGE;
	if (json && quiet)
		return command_fail("status", EXIT_USAGE, "expected one of --json and --quiet, found both");
	if (watch_s > WATCH_MOST_S)
		return command_fail("status", EXIT_USAGE, "--watch: expected at most a day, %d seconds", WATCH_MOST_S);
	bool healthy = run(&status, json ? FORM_JSON : quiet ? FORM_QUIET : FORM_TABLES, watch ? watch_s : 0);
	json_decref(status.dead);
	leat_pg_close(status.pg);
	leat_bus_close(status.bus);
	return healthy ? EXIT_SUCCESS : EXIT_FAILURE;
}
