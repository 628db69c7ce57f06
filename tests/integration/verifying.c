/* Findings as lines that a test can name. */
#include "verifying.h"

#include "saying.h"

#include "leat/buf.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_ARGUMENTS = 16 };

static json_t *run(struct rig *rig, int status, const char *const *more)
{
	const char *arguments[MOST_ARGUMENTS] = {"verify", "--json"};
	for (size_t i = 0; more != NULL && more[i] != NULL; i++)
		arguments[2 + i] = more[i];
	int ended = rig_run(rig, "verify", 60, arguments);
	char *output = rig_output(rig, "verify");
	char *log = rig_log(rig, "verify");
	cr_assert_eq(ended, status, "verify ended with %d\n%s\n%s", ended, output, log);
	json_error_t error;
	json_t *report = json_loads(output, 0, &error);
	cr_assert_not_null(report, "%s: %s", error.text, output);
	free(output);
	free(log);
	return report;
}

static const char *member(const json_t *finding, const char *name)
{
	return json_string_value(json_object_get(finding, name));
}

static const char *last(const char *text)
{
	return text == NULL || *text == '\0' ? "" : text + strlen(text) - 1;
}

static void describe(struct leat_buf *out, const json_t *finding)
{
	leat_buf_printf(
		out, "%s %s %s %s", member(finding, "kind"), member(finding, "noun"), last(member(finding, "tenant")), last(member(finding, "id")));
	if (member(finding, "field") != NULL)
		leat_buf_printf(out, " %s", member(finding, "field"));
	if (member(finding, "database") != NULL || member(finding, "expected") != NULL)
		leat_buf_printf(out, ": %s -> %s", member(finding, "database") != NULL ? member(finding, "database") : "nothing",
			member(finding, "expected") != NULL ? member(finding, "expected") : "nothing");
	if (json_is_integer(json_object_get(finding, "position")))
		leat_buf_printf(out, " @%" JSON_INTEGER_FORMAT, json_integer_value(json_object_get(finding, "position")));
}

static int compare_lines(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The lines, sorted. */
static void sort(struct leat_buf *out, const char *text)
{
	char *lines[100] = {NULL};
	size_t count = 0;
	char *copy = leat_strdup(text);
	char *rest = NULL;
	for (char *line = strtok_r(copy, "\n", &rest); line != NULL && count < 100; line = strtok_r(NULL, "\n", &rest))
		lines[count++] = line;
	qsort(lines, count, sizeof *lines, compare_lines);
	for (size_t i = 0; i < count; i++)
		leat_buf_printf(out, "%s\n", lines[i]);
	free(copy);
}

void verify_expect(struct rig *rig, int status, const char *findings, const char *const *more)
{
	json_t *report = run(rig, status, more);
	LEAT_BUF_SCOPED found = LEAT_BUF_INIT;
	LEAT_BUF_SCOPED sorted = LEAT_BUF_INIT;
	LEAT_BUF_SCOPED expected = LEAT_BUF_INIT;
	const json_t *finding;
	size_t i;
	json_array_foreach(json_object_get(report, "findings"), i, finding)
	{
		describe(&found, finding);
		leat_buf_add_text(&found, "\n");
	}
	sort(&sorted, leat_buf_text(&found));
	sort(&expected, findings);
	cr_assert_str_eq(leat_buf_text(&sorted), leat_buf_text(&expected));
	json_decref(report);
}

void verify_expect_doubt(struct rig *rig, const char *reason, const char *const *more)
{
	json_t *report = run(rig, 2, more);
	char *doubts = json_dumps(json_object_get(report, "cannot_tell"), 0);
	cr_assert_not_null(strstr(doubts, reason), "%s", doubts);
	cr_assert_eq(json_array_size(json_object_get(report, "findings")), 0);
	free(doubts);
	json_decref(report);
}

struct floor {
	struct leat_bus *bus;
	const char *stream;
	const char *durable;
	uint64_t seq;
};

static bool has_passed(void *context)
{
	const struct floor *floor = context;
	struct leat_pull_info info;
	struct leat_error err;
	return leat_durable_get_info(floor->bus, floor->stream, floor->durable, &info, &err) == LEAT_OK && info.floor_seq >= floor->seq;
}

void verify_wait_floor(struct rig *rig, const char *stream, const char *durable, uint64_t seq)
{
	struct floor floor = {rig_bus(rig), stream, durable, seq};
	cr_assert(rig_wait_until(has_passed, &floor, 60), "the floor of %s never passed %" PRIu64, stream, seq);
}
