/* The report of a verification, for people and as JSON; progress on standard error: a line once a second in a terminal, every 10 s
 * otherwise. */
#include "verify.h"

#include "show.h"

#include "leat/clock.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- progress ---- */

struct progress {
	const char *command;
	int64_t began_ms;
	int64_t told_ms;
	bool terminal;
};

static void show_progress(void *context, const struct leat_verify_progress *now)
{
	struct progress *progress = context;
	int64_t now_ms = leat_clock_ms();
	if (now_ms < progress->told_ms + (progress->terminal ? 1000 : 10000))
		return;
	progress->told_ms = now_ms;
	double rate = (double)now->facts * 1000 / (double)(now_ms - progress->began_ms);
	fprintf(stderr, "%sleat %s: ", progress->terminal ? "\r\033[K" : "", progress->command);
	if (now->stream != NULL)
		fprintf(stderr, "%s %s at %" PRId64 " of %" PRId64, now->doing, now->stream, now->seq, now->last_seq);
	else
		fprintf(stderr, "%s", now->doing);
	fprintf(stderr, ", %.0f intents/s, pass %" PRIu64 "%s", rate, now->passes, progress->terminal ? "" : "\n");
}

/* ---- for people ---- */

static void print_value(const char *text)
{
	LEAT_BUF_SCOPED shown = LEAT_BUF_INIT;
	show_text(&shown, text != NULL ? text : "nothing", strlen(text != NULL ? text : "nothing"));
	printf("%s", shown.data);
}

static void print_finding(const struct leat_verify_finding *finding)
{
	printf("%s: ", leat_verify_kind_name(finding->kind));
	if (finding->position > 0)
		printf("%s %" PRId64 ": ", finding->stream, finding->position & ((INT64_C(1) << 40) - 1));
	printf("%s %s", finding->noun, finding->id != NULL ? finding->id : "");
	printf(" of tenant %s", finding->tenant != NULL ? finding->tenant : "unknown");
	if (finding->field != NULL) {
		printf("\n    ");
		print_value(finding->field);
		printf(": the database has ");
		print_value(finding->found);
		printf(", the stream says ");
		print_value(finding->expected);
		if (finding->position > 0)
			printf(" (position %" PRId64 ")", finding->position);
	}
	if (finding->explanation != NULL) {
		printf("\n    ");
		print_value(finding->explanation);
	}
	printf("\n");
}

void verify_print(const struct leat_verify_report *report, const struct leat_verify_options *options)
{
	uint64_t findings = 0;
	for (size_t i = 0; i < report->finding_count; i++)
		print_finding(&report->findings[i]);
	for (size_t i = 0; i < LEAT_VERIFY_KINDS; i++)
		findings += report->counts[i];
	if (findings > report->finding_count)
		printf("and %" PRIu64 " more (--limit)\n", findings - report->finding_count);
	for (size_t i = 0; i < report->doubt_count; i++)
		printf("can't tell: %s\n", report->doubts[i]);
	for (size_t i = 0; i < report->noun_count; i++) {
		printf("%s: %" PRIu64 " compared", report->nouns[i].noun, report->nouns[i].compared);
		if (report->nouns[i].unknown > 0)
			printf(", %" PRIu64 " of them not known whole", report->nouns[i].unknown);
		printf("\n");
	}
	static const char *const verdicts[] = {"equal", "different", "could not tell"};
	printf("%s", verdicts[report->verdict]);
	if (options->sample_percent < 100)
		printf(" (a sample of %" PRId64 "%%)", options->sample_percent);
	if (report->counts[LEAT_VERIFY_OUT_OF_BAND] > 0)
		printf("; %" PRIu64 " out of band", report->counts[LEAT_VERIFY_OUT_OF_BAND]);
	if (options->write != NULL)
		printf("; %s %s", options->write, report->written ? "written" : "not written: mend what is wrong first, or trust it (--trust)");
	printf("\n");
	if (report->verdict == LEAT_VERIFY_DIFFERENT)
		printf(
			"\nHoles are closed by `leat replay`. Who wrote a field, `leat explain ENTITY [FIELD] --tenant TENANT` says; publishing the\n"
			"value that the stream says sets it right. Rows can be copied from an empty database that the streams were replayed into.\n");
}

/* ---- as JSON ---- */

static json_t *text_or_null(const char *text)
{
	json_t *value = text != NULL ? json_string(text) : json_null();
	if (value == NULL) /* not UTF-8, which Postgres does not store */
		abort();
	return value;
}

static json_t *finding_json(const struct leat_verify_finding *finding)
{
	return json_pack("{s:s, s:s, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "kind", leat_verify_kind_name(finding->kind), "stream",
		finding->stream, "tenant", text_or_null(finding->tenant), "noun", finding->noun, "id", text_or_null(finding->id), "field",
		text_or_null(finding->field), "database", text_or_null(finding->found), "expected", text_or_null(finding->expected), "position",
		finding->position > 0 ? json_integer(finding->position) : json_null(), "explanation", text_or_null(finding->explanation));
}

void verify_print_json(const struct leat_verify_report *report, const struct leat_verify_options *options)
{
	json_t *findings = json_array();
	json_t *doubts = json_array();
	json_t *counts = json_object();
	json_t *nouns = json_object();
	for (size_t i = 0; i < report->finding_count; i++)
		json_array_append_new(findings, finding_json(&report->findings[i]));
	for (size_t i = 0; i < report->doubt_count; i++)
		json_array_append_new(doubts, text_or_null(report->doubts[i]));
	for (enum leat_verify_kind kind = 0; kind < LEAT_VERIFY_KINDS; kind++)
		json_object_set_new(counts, leat_verify_kind_name(kind), json_integer((json_int_t)report->counts[kind]));
	for (size_t i = 0; i < report->noun_count; i++)
		json_object_set_new(nouns, report->nouns[i].noun,
			json_pack("{s:I, s:I}", "compared", (json_int_t)report->nouns[i].compared, "unknown", (json_int_t)report->nouns[i].unknown));
	json_t *all = json_pack("{s:s, s:I, s:I, s:I, s:o, s:o, s:o, s:o}", "verdict", leat_verify_verdict_name(report->verdict),
		"sample_percent", (json_int_t)options->sample_percent, "intents", (json_int_t)report->facts, "passes", (json_int_t)report->passes,
		"rows", nouns, "counts", counts, "findings", findings, "cannot_tell", doubts);
	json_dumpf(all, stdout, JSON_INDENT(2));
	printf("\n");
	json_decref(all);
}

/* ---- running ---- */

int verify_run(const char *command, const struct leat_verify_options *asked, bool json)
{
	LEAT_VERIFY_REPORT_SCOPED report;
	struct leat_error err;
	struct progress progress = {command, leat_clock_ms(), leat_clock_ms(), isatty(STDERR_FILENO) == 1};
	struct leat_verify_options options = *asked;
	options.progress = show_progress;
	options.context = &progress;
	enum leat_kind kind = leat_verify(&report, &options, &err);
	if (progress.terminal)
		fprintf(stderr, "\r\033[K");
	if (kind != LEAT_OK)
		return command_fail(command, EXIT_UNKNOWN, "could not tell: %s", err.text);
	if (json)
		verify_print_json(&report, &options);
	else
		verify_print(&report, &options);
	static const int statuses[] = {EXIT_SUCCESS, EXIT_FAILURE, EXIT_UNKNOWN};
	return statuses[report.verdict];
}
