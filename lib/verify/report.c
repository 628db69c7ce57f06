/* What is found: counted always, kept up to a number, values up to a length. Nothing here can fail. */
#include "state.h"

#include "leat/text.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VALUE_BYTES = 4096, DOUBTS = 50 };

const char *leat_verify_kind_name(enum leat_verify_kind kind)
{
	static const char *const names[] = {"field", "stamp", "missing", "extra", "moved", "hole", "out_of_band"};
	return names[kind];
}

const char *leat_verify_verdict_name(enum leat_verdict verdict)
{
	static const char *const names[] = {"equal", "different", "unknown"};
	return names[verdict];
}

static char *copy(const char *text)
{
	if (text == NULL)
		return NULL;
	size_t bytes = strlen(text);
	if (bytes <= VALUE_BYTES)
		return leat_strdup(text);
	struct leat_buf cut = LEAT_BUF_INIT;
	size_t end = VALUE_BYTES;
	while (end > 0 && ((unsigned char)text[end] & 0xC0) == 0x80)
		end--;
	leat_buf_add(&cut, text, end);
	leat_buf_add_text(&cut, "…");
	return leat_buf_take(&cut);
}

static void free_finding(struct leat_verify_finding *finding)
{
	free(finding->tenant);
	free(finding->id);
	free(finding->field);
	free(finding->found);
	free(finding->expected);
	free(finding->explanation);
}

/* What makes a difference takes the place of the last that makes none. */
static bool make_room(struct leat_verify_report *report, enum leat_verify_kind kind)
{
	size_t i = report->finding_count;
	while (i > 0 && report->findings[i - 1].kind != LEAT_VERIFY_OUT_OF_BAND)
		i--;
	if (kind == LEAT_VERIFY_OUT_OF_BAND || i == 0)
		return false;
	free_finding(&report->findings[i - 1]);
	memmove(&report->findings[i - 1], &report->findings[i], (report->finding_count - i) * sizeof *report->findings);
	report->finding_count--;
	return true;
}

void verify_report(struct verify *v, const struct verify_finding *finding)
{
	struct leat_verify_report *report = v->report;
	report->counts[finding->kind]++;
	if (report->finding_count == v->options->most_findings && !make_room(report, finding->kind))
		return;
	char tenant[LEAT_UUID_TEXT_BYTES];
	if (finding->tenant != NULL)
		leat_uuid_format(finding->tenant, tenant);
	report->findings = leat_realloc(report->findings, (report->finding_count + 1) * sizeof *report->findings);
	report->findings[report->finding_count++] = (struct leat_verify_finding){
		.kind = finding->kind,
		.stream = verify_stream_name(finding->stream),
		.noun = finding->noun,
		.tenant = copy(finding->tenant != NULL ? tenant : NULL),
		.id = copy(finding->id),
		.field = copy(finding->field),
		.found = copy(finding->found),
		.expected = copy(finding->expected),
		.explanation = copy(finding->explanation),
		.position = finding->position,
	};
}

void verify_doubt(struct verify *v, const char *format, ...)
{
	struct leat_verify_report *report = v->report;
	char text[400];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	for (size_t i = 0; i < report->doubt_count; i++) {
		if (strcmp(report->doubts[i], text) == 0)
			return; /* said in an earlier pass */
	}
	if (report->doubt_count == DOUBTS)
		return;
	report->doubts = leat_realloc(report->doubts, (report->doubt_count + 1) * sizeof *report->doubts);
	report->doubts[report->doubt_count++] = leat_strdup(text);
}

static size_t place_of(struct leat_verify_report *report, const char *noun)
{
	size_t i = 0;
	while (i < report->noun_count && strcmp(report->nouns[i].noun, noun) != 0)
		i++;
	if (i == report->noun_count) {
		assert(i < LEAT_VERIFY_NOUNS);
		report->nouns[report->noun_count++].noun = noun;
	}
	return i;
}

void verify_count(struct verify *v, const struct verify_fold *fold, uint64_t rows)
{
	v->report->nouns[place_of(v->report, fold->noun)].compared += rows;
}

void verify_count_unknown(struct verify *v, const struct verify_fold *fold, uint64_t rows)
{
	v->report->nouns[place_of(v->report, fold->noun)].unknown += rows;
}

void leat_verify_report_fini(struct leat_verify_report *report)
{
	for (size_t i = 0; i < report->finding_count; i++)
		free_finding(&report->findings[i]);
	free(report->findings);
	for (size_t i = 0; i < report->doubt_count; i++)
		free(report->doubts[i]);
	free(report->doubts);
	*report = (struct leat_verify_report){0};
}
