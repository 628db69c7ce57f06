/*
 * `leat publish`: intents from lines, for people and scripts.
 *
 * The happy path takes the lines that have arrived, at most a batch, stores their messages in the stream and goes on; with --wait it
 * prints the batch's outcomes first. At the end it says how many it published, or with --wait nothing more, and when there was no line.
 *
 * Possible failure modes are: a line that can't be published, or a message that the stream did not confirm (it may have been stored all
 * the same): that ends it, with nothing behind that batch sent. An intent that is rejected, or has no outcome in time, ends nothing. Each
 * is told by its line, and the exit status is 1.
 */
#include "publish.h"

#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BATCH 500
#define REFUSALS_TOLD 5

struct publish {
	const struct leat_params *params;
	struct publish_defaults says;
	struct publish_lines lines;
	struct leat_bus *bus;
	struct outcomes outcomes; /* not open unless --wait */
	struct publish_message messages[BATCH];
	struct leat_outgoing outgoing[BATCH];
	size_t made; /* messages, over all batches */
	size_t published;
	uint64_t last_seq;
	bool stopped;  /* not all lines were sent */
	bool rejected; /* some outcome is no success */
};

static bool stop(struct publish *publish, const struct leat_error *err)
{
	publish->stopped = true;
	return command_fail("publish", false, "%s", err->text);
}

/* ---- a batch ---- */

/* How many of the lines that are here became messages; less than there are when one can't. */
static size_t make_batch(struct publish *publish, bool *go_on)
{
	size_t count = 0;
	struct publish_line line;
	struct leat_error err;
	*go_on = true;
	while (*go_on && count < BATCH && publish_lines_take(&publish->lines, &line)) {
		if (publish_message_make(&publish->messages[count], &publish->says, &line, publish->made, &err) == LEAT_OK) {
			count++;
			publish->made++;
		} else {
			*go_on = stop(publish, &err);
		}
	}
	return count;
}

static void tell_refusals(const struct publish *publish, size_t count)
{
	size_t refused = 0;
	for (size_t i = 0; i < count; i++) {
		const struct leat_outgoing *message = &publish->outgoing[i];
		if (message->kind != LEAT_OK && refused++ < REFUSALS_TOLD)
			command_fail("publish", EXIT_FAILURE, "line %zu: %s", publish->messages[i].line, message->err.text);
	}
	if (refused > REFUSALS_TOLD)
		command_fail("publish", EXIT_FAILURE, "and %zu more lines were not published", refused - REFUSALS_TOLD);
}

static bool store_batch(struct publish *publish, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct publish_message *message = &publish->messages[i];
		publish->outgoing[i] = (struct leat_outgoing){
			.subject = leat_buf_text(&message->subject),
			.headers = leat_buf_text(&message->headers),
			.data = message->body,
			.data_bytes = message->body_bytes,
		};
	}
	enum leat_kind kind = leat_bus_store(publish->bus, publish->outgoing, count);
	for (size_t i = 0; i < count; i++) {
		const struct leat_outgoing *message = &publish->outgoing[i];
		publish->published += message->kind == LEAT_OK;
		publish->last_seq = message->seq > publish->last_seq ? message->seq : publish->last_seq;
	}
	if (kind == LEAT_OK)
		return true;
	publish->stopped = true;
	tell_refusals(publish, count);
	return false;
}

/* False when nothing more is to be sent. *some tells whether there were lines. */
static bool publish_batch(struct publish *publish, bool *some)
{
	bool go_on;
	size_t count = make_batch(publish, &go_on);
	*some = count > 0;
	if (count == 0)
		return go_on;
	if (!store_batch(publish, count))
		return false;
	int64_t timeout_ms = publish->params->publish_timeout_ms * OUTCOME_TIMEOUTS;
	if (publish->says.wait && !publish_outcomes_print(&publish->outcomes, publish->messages, count, publish->made - count, timeout_ms))
		publish->rejected = true;
	return go_on;
}

/* ---- all of it ---- */

/* A single line gets the id as it was given, several are numbered: so look for a second one. */
static bool look_ahead(struct publish *publish)
{
	struct leat_error err;
	while (publish->says.id != NULL && !publish->says.numbered && !publish->lines.ended) {
		if (publish_lines_read(&publish->lines, &err) != LEAT_OK)
			return stop(publish, &err);
		publish->says.numbered = publish_lines_several(&publish->lines);
	}
	return true;
}

static void publish_all(struct publish *publish)
{
	struct leat_error err;
	bool some;
	if (!look_ahead(publish))
		return;
	for (;;) {
		do {
			if (!publish_batch(publish, &some))
				return;
		} while (some);
		if (publish->lines.ended)
			return;
		if (publish_lines_read(&publish->lines, &err) != LEAT_OK) {
			stop(publish, &err);
			return;
		}
	}
}

static bool open_input(struct publish *publish, const char *path)
{
	if (path == NULL || strcmp(path, "-") == 0) {
		publish->lines.fd = STDIN_FILENO;
		if (isatty(STDIN_FILENO))
			fprintf(stderr, "one JSON object a line; Ctrl-D ends\n");
		return true;
	}
	publish->lines.fd = open(path, O_RDONLY | O_CLOEXEC);
	return publish->lines.fd >= 0 || command_fail("publish", false, "can't open %s: %s", path, strerror(errno));
}

static enum leat_kind connect_bus(struct publish *publish, struct leat_error *err)
{
	if (command_open_bus(&publish->bus, publish->params, err) != LEAT_OK)
		return err->kind;
	if (!publish->says.wait)
		return LEAT_OK;
	publish->says.reply_token = publish->outcomes.token;
	/* Envelopes name their tenants themselves. */
	return outcomes_open(&publish->outcomes, publish->bus, publish->says.intent != NULL ? publish->says.tenant : "*", err);
}

static void publish_free(struct publish *publish)
{
	outcomes_close(&publish->outcomes);
	leat_bus_close(publish->bus);
	for (size_t i = 0; i < BATCH; i++)
		publish_message_fini(&publish->messages[i]);
	leat_buf_free(&publish->lines.held);
	if (publish->lines.fd > STDIN_FILENO)
		close(publish->lines.fd);
	free(publish);
}

static int run(struct publish *publish, const char *path)
{
	struct leat_error err;
	if (!open_input(publish, path))
		return EXIT_FAILURE;
	if (connect_bus(publish, &err) != LEAT_OK)
		return command_fail("publish", EXIT_FAILURE, "%s", err.text);
	publish_all(publish);
	FILE *out = publish->says.wait ? stderr : stdout;
	if (publish->made == 0 && !publish->stopped)
		fprintf(out, "nothing was read, so nothing is published; expected one JSON object a line\n");
	else if (!publish->says.wait || publish->stopped)
		fprintf(out, "published %zu message%s, last sequence %" PRIu64 "\n", publish->published, publish->published == 1 ? "" : "s",
			publish->last_seq);
	return publish->stopped || publish->rejected ? EXIT_FAILURE : EXIT_SUCCESS;
}

int leat_cmd_publish(struct leat_params *params, int argc, char **argv)
{
	struct publish *publish = leat_alloc_zero(1, sizeof *publish);
	publish->params = params;
	publish->says.role = "service";
	struct publish_defaults *says = &publish->says;
	const struct command_flag flags[] = {
		{.name = "--tenant", .text = &says->tenant},
		{.name = "--role", .text = &says->role},
		{.name = "--actor", .text = &says->actor},
		{.name = "--id", .text = &says->id},
		{.name = "--wait", .on = &says->wait},
		{0},
	};
	const char *path;
	struct leat_error err;
	int status = EXIT_USAGE;
	if (command_take_flags("publish", flags, 2, &argc, argv)) {
		if (publish_take_words(says, &path, argc, argv, &err) == LEAT_OK)
			status = run(publish, path);
		else
			command_fail("publish", status, "%s", err.text);
	}
	publish_free(publish);
	return status;
}
