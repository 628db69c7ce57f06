/* What is told of a replay: where it is, and what came of it. */
#include "replay.h"

#include "show.h"
#include "table.h"

#include "leat/clock.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TERMINAL_MS 1000
#define LOG_MS 10000

/* ---- where it is ---- */

static uint64_t sum_read(const struct leat_replay_report *report)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < LEAT_REPLAY_STREAMS; i++)
		sum += report->streams[i].next_seq - report->streams[i].first_seq;
	return sum;
}

static uint64_t sum_left(const struct leat_replay_report *report)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < LEAT_REPLAY_STREAMS; i++) {
		const struct leat_replay_figures *figures = &report->streams[i];
		sum += figures->end_seq >= figures->next_seq ? figures->end_seq - figures->next_seq + 1 : 0;
	}
	return sum;
}

static void draw(struct replay_progress *progress, const struct leat_replay_report *report, int64_t elapsed_ms)
{
	static const char *const names[] = {[LEAT_REPLAY_CONTROL] = "control", [LEAT_REPLAY_ENTITY] = "entity", [LEAT_REPLAY_RUN] = "run"};
	uint64_t read = sum_read(report);
	uint64_t left = sum_left(report);
	bool terminal = isatty(STDERR_FILENO);
	fputs(terminal ? "\r\x1b[K" : "leat replay: ", stderr);
	for (size_t i = 0; i < LEAT_REPLAY_STREAMS; i++) {
		const struct leat_replay_figures *figures = &report->streams[i];
		if (figures->next_seq > 0)
			fprintf(stderr, "%s %" PRIu64 "/%" PRIu64 "  ", names[i], figures->next_seq - 1, figures->end_seq);
	}
	double per_s = (double)read * 1000 / (double)(elapsed_ms > 0 ? elapsed_ms : 1);
	char duration[SHOW_BYTES] = "-";
	if (per_s > 0)
		show_duration(duration, (int64_t)((double)left * 1000 / per_s));
	fprintf(stderr, "%.0f/s  %s left%s", per_s, duration, terminal ? "" : "\n");
	fflush(stderr);
	progress->drawn = terminal;
}

void replay_show_progress(struct replay_progress *progress, const struct leat_replay_report *report)
{
	int64_t now_ms = leat_clock_ms();
	if (progress->quiet || now_ms < progress->next_ms)
		return;
	int64_t every_ms = isatty(STDERR_FILENO) ? TERMINAL_MS : LOG_MS;
	if (progress->next_ms > 0)
		draw(progress, report, now_ms - progress->began_ms);
	else
		progress->began_ms = now_ms;
	progress->next_ms = now_ms + every_ms;
}

void replay_clear_progress(struct replay_progress *progress)
{
	if (progress->drawn)
		fputs("\r\x1b[K", stderr);
	progress->drawn = false;
}

/* ---- what came of it ---- */

static void print_streams(const struct leat_replay_options *options, const struct leat_replay_report *report)
{
	static const char *const heads[] = {
		"STREAM", ">FROM", ">TO", ">APPLIED", ">DUPLICATE", ">REJECTED", ">PARKED", ">KNOWN", ">OTHERS", ">GONE", NULL};
	static const char *const plan_heads[] = {"STREAM", ">FROM", ">TO", ">KNOWN", ">OTHERS", ">GONE", NULL};
	TABLE_SCOPED table;
	table_init(&table, options->dry_run ? plan_heads : heads);
	for (size_t i = 0; i < LEAT_REPLAY_STREAMS; i++) {
		const struct leat_replay_figures *figures = &report->streams[i];
		if (!options->streams[i])
			continue;
		table_add(&table, "%s", leat_replay_stream_name((enum leat_replay_stream)i));
		table_add(&table, "%" PRIu64, figures->first_seq);
		table_add(&table, "%" PRIu64, figures->next_seq > 0 ? figures->next_seq - 1 : 0);
		if (!options->dry_run) {
			table_add(&table, "%" PRIu64, figures->applied);
			table_add(&table, "%" PRIu64, figures->duplicate);
			table_add(&table, "%" PRIu64, figures->rejected);
			table_add(&table, "%" PRIu64, figures->parked);
		}
		table_add(&table, "%" PRIu64, figures->known);
		table_add(&table, "%" PRIu64, figures->left_out);
		table_add(&table, "%" PRIu64, figures->gone);
	}
	table_print(&table);
}

static int by_plan(const void *a, const void *b)
{
	const struct leat_replay_plan *left = a;
	const struct leat_replay_plan *right = b;
	if (left->stream != right->stream)
		return left->stream < right->stream ? -1 : 1;
	int tenants = memcmp(&left->tenant, &right->tenant, sizeof left->tenant);
	return tenants != 0 ? tenants : strcmp(left->intent, right->intent);
}

static void print_plans(const struct leat_replay_report *report)
{
	static const char *const heads[] = {"STREAM", "TENANT", "INTENT", ">WOULD APPLY", NULL};
	TABLE_SCOPED table;
	if (report->plan_count == 0) {
		printf("all of it is settled: nothing would be applied\n");
		return;
	}
	table_init(&table, heads);
	qsort(report->plans, report->plan_count, sizeof *report->plans, by_plan);
	for (size_t i = 0; i < report->plan_count; i++) {
		const struct leat_replay_plan *plan = &report->plans[i];
		char tenant[LEAT_UUID_TEXT_BYTES] = "";
		if (plan->routable)
			leat_uuid_format(&plan->tenant, tenant);
		table_add(&table, "%s", leat_replay_stream_name(plan->stream));
		table_add(&table, "%s", tenant);
		table_add(&table, "%s", plan->routable ? plan->intent : "unroutable");
		table_add(&table, "%" PRIu64, plan->count);
	}
	table_print(&table);
}

void replay_print(const struct leat_replay_options *options, const struct leat_replay_report *report, int64_t took_ms)
{
	char took[SHOW_BYTES];
	show_duration(took, took_ms);
	print_streams(options, report);
	if (options->dry_run) {
		print_plans(report);
		return;
	}
	printf("suppressed: %" PRIu64 " events, %" PRIu64 " dead letters, %" PRIu64 " replies, %" PRIu64 " resumes, %" PRIu64
		   " other messages; no HTTP call was made, no vector asked for\n",
		report->suppressed_events, report->suppressed_dead_letters, report->suppressed_replies, report->suppressed_resumes,
		report->suppressed_intents);
	if (report->waiting > 0)
		printf("%" PRIu64 " parked still: consumers decide them once all before them is settled\n", report->waiting);
	printf("took %s, %.0f messages a second\n", took, (double)sum_read(report) * 1000 / (double)(took_ms > 0 ? took_ms : 1));
}

/* ---- the same as JSON ---- */

static json_t *stream_to_json(const struct leat_replay_figures *figures)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "from_seq", (json_int_t)figures->first_seq, "to_seq",
		(json_int_t)(figures->next_seq > 0 ? figures->next_seq - 1 : 0), "applied", (json_int_t)figures->applied, "duplicate",
		(json_int_t)figures->duplicate, "rejected", (json_int_t)figures->rejected, "parked", (json_int_t)figures->parked, "known",
		(json_int_t)figures->known, "refused", (json_int_t)figures->refused, "left_out", (json_int_t)figures->left_out, "gone",
		(json_int_t)figures->gone);
}

static json_t *plans_to_json(const struct leat_replay_report *report)
{
	json_t *plans = json_array();
	for (size_t i = 0; i < report->plan_count; i++) {
		const struct leat_replay_plan *plan = &report->plans[i];
		char tenant[LEAT_UUID_TEXT_BYTES] = "";
		if (plan->routable)
			leat_uuid_format(&plan->tenant, tenant);
		json_array_append_new(plans,
			json_pack("{s:s, s:s, s:s, s:I}", "stream", leat_replay_stream_name(plan->stream), "tenant", tenant, "intent",
				plan->routable ? plan->intent : "unroutable", "count", (json_int_t)plan->count));
	}
	return plans;
}

void replay_print_json(const struct leat_replay_options *options, const struct leat_replay_report *report, int64_t took_ms)
{
	json_t *streams = json_object();
	for (size_t i = 0; i < LEAT_REPLAY_STREAMS; i++) {
		if (options->streams[i])
			json_object_set_new(streams, leat_replay_stream_name((enum leat_replay_stream)i), stream_to_json(&report->streams[i]));
	}
	json_t *all = json_pack("{s:b, s:b, s:o, s:{s:I, s:I, s:I, s:I, s:I}, s:I, s:I}", "dry_run", options->dry_run, "stopped",
		report->stopped, "streams", streams, "suppressed", "events", (json_int_t)report->suppressed_events, "dead_letters",
		(json_int_t)report->suppressed_dead_letters, "replies", (json_int_t)report->suppressed_replies, "resumes",
		(json_int_t)report->suppressed_resumes, "other_messages", (json_int_t)report->suppressed_intents, "still_parked",
		(json_int_t)report->waiting, "took_ms", (json_int_t)took_ms);
	if (options->dry_run)
		json_object_set_new(all, "would_apply", plans_to_json(report));
	json_dumpf(all, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(all);
}
