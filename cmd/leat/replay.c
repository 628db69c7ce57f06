/*
 * `leat replay`: a range of the source streams again, into the database of the settings (include/leat/replay.h).
 *
 * 0 when it came to the end; 1 when it could not, or Postgres refused something; 2 when it was asked wrongly; 130 when Ctrl-C or SIGTERM
 * ended it after the batch in hand: then it says by what command to go on.
 */
#include "replay.h"

#include "command.h"

#include "leat/clock.h"
#include "leat/instant.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_STOPPED 130

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
	(void)number;
	stopped = 1;
}

static void catch_signals(void)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

static void note(void *context, const char *line)
{
	replay_clear_progress(context);
	fprintf(stderr, "leat replay: %s\n", line);
}

static void show_progress(void *context, const struct leat_replay_report *report)
{
	replay_show_progress(context, report);
}

/* ---- what is asked for ---- */

struct words {
	const char *stream;
	const char *since;
	const char *until;
	const char *subject;
	int64_t from_seq;
	int64_t to_seq;
	bool dry_run;
	bool json;
};

static bool choose_streams(struct leat_replay_options *options, const char *name)
{
	bool found = name == NULL;
	for (size_t i = 0; i < LEAT_REPLAY_STREAMS; i++) {
		options->streams[i] = name == NULL || strcmp(leat_replay_stream_name((enum leat_replay_stream)i), name) == 0;
		found = found || options->streams[i];
	}
	return found || command_fail("replay", false, "--stream: expected LEAT_ENTITY, LEAT_CONTROL or LEAT_RUN, found \"%s\"", name);
}

static bool read_time(int64_t *out, const char *flag, const char *text)
{
	if (text == NULL || leat_instant_parse(out, text, leat_instant_now()))
		return true;
	return command_fail("replay", false, "%s: expected " LEAT_INSTANT_EXPECTED "; found \"%s\"", flag, text);
}

static bool read_words(struct leat_replay_options *options, const struct words *words)
{
	options->from_seq = (uint64_t)words->from_seq;
	options->to_seq = (uint64_t)words->to_seq;
	options->subject = words->subject;
	options->dry_run = words->dry_run;
	if (!choose_streams(options, words->stream) || !read_time(&options->since_ns, "--since", words->since) ||
		!read_time(&options->until_ns, "--until", words->until))
		return false;
	if (words->stream == NULL && (words->from_seq > 0 || words->to_seq > 0))
		return command_fail("replay", false, "--from-seq and --to-seq are of one stream: name it by --stream");
	if (words->from_seq > 0 && words->since != NULL)
		return command_fail("replay", false, "--from-seq and --since both say where to begin: give one of them");
	if (words->to_seq > 0 && words->from_seq > words->to_seq)
		return command_fail("replay", false, "--from-seq %" PRId64 " is behind --to-seq %" PRId64, words->from_seq, words->to_seq);
	if (words->subject != NULL && !leat_subject_is_pattern(words->subject))
		return command_fail("replay", false, "--subject: expected a subject, * and > in it, found \"%s\"", words->subject);
	return true;
}

/* ---- how it ended ---- */

static void add_time(const char *flag, int64_t unix_ns)
{
	char time[LEAT_INSTANT_BYTES];
	if (unix_ns == 0)
		return;
	leat_instant_format(time, unix_ns);
	fprintf(stderr, " %s %s", flag, time);
}

static void say_how_to_go_on(const struct words *words, const struct leat_replay_options *options, const struct leat_replay_report *report)
{
	fputs("leat replay: stopped; go on by `leat replay", stderr);
	add_time("--since", report->next_ns > 0 ? report->next_ns : options->since_ns);
	add_time("--until", options->until_ns);
	if (words->stream != NULL)
		fprintf(stderr, " --stream %s", words->stream);
	if (report->next_ns == 0 && words->from_seq > 0)
		fprintf(stderr, " --from-seq %" PRId64, words->from_seq);
	if (words->to_seq > 0)
		fprintf(stderr, " --to-seq %" PRId64, words->to_seq);
	if (words->subject != NULL)
		fprintf(stderr, " --subject '%s'", words->subject);
	if (options->force)
		fputs(" --force", stderr);
	fputs("`, or begin again: what is settled is known\n", stderr);
}

static int replay(const struct leat_params *params, const struct leat_replay_options *asked, const struct words *words)
{
	struct replay_progress progress = {.quiet = words->json};
	struct leat_replay_options with_progress = *asked;
	const struct leat_replay_options *options = &with_progress;
	struct leat_replay_report report;
	struct leat_error err;
	int64_t began_ms = leat_clock_ms();
	uint64_t refused = 0;
	with_progress.stop = &stopped;
	with_progress.note = note;
	with_progress.progress = show_progress;
	with_progress.context = &progress;
	enum leat_kind kind = leat_replay(params, options, &report, &err);
	replay_clear_progress(&progress);
	if (kind != LEAT_TEMPORARY)
		(words->json ? replay_print_json : replay_print)(options, &report, leat_clock_ms() - began_ms);
	fflush(stdout);
	for (size_t i = 0; i < LEAT_REPLAY_STREAMS; i++)
		refused += report.streams[i].refused;
	int status = EXIT_SUCCESS;
	if (kind != LEAT_OK)
		status = command_fail("replay", EXIT_FAILURE, "%s%s", err.text,
			kind == LEAT_TEMPORARY ? "\nAre the servers where LEAT_NATS_URL and LEAT_DATABASE_URL say, and is the database migrated?" : "");
	else if (refused > 0)
		status = command_fail("replay", EXIT_FAILURE, "Postgres refused %" PRIu64 " for now: begin again once it is mended", refused);
	else if (report.stopped)
		status = EXIT_STOPPED;
	if (report.stopped)
		say_how_to_go_on(words, options, &report);
	leat_replay_report_fini(&report);
	return status;
}

int leat_cmd_replay(struct leat_params *params, int argc, char **argv)
{
	struct words words = {0};
	struct leat_replay_options options = {0};
	const struct command_flag flags[] = {
		{.name = "--stream", .text = &words.stream},
		{.name = "--from-seq", .number = &words.from_seq},
		{.name = "--to-seq", .number = &words.to_seq},
		{.name = "--since", .text = &words.since},
		{.name = "--until", .text = &words.until},
		{.name = "--subject", .text = &words.subject},
		{.name = "--dry-run", .on = &words.dry_run},
		{.name = "--force", .on = &options.force},
		{.name = "--json", .on = &words.json},
		{0},
	};
	if (!command_take_flags("replay", flags, 0, &argc, argv) || !read_words(&options, &words))
		return EXIT_USAGE;
	catch_signals();
	return replay(params, &options, &words);
}
