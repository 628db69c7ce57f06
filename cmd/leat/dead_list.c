/*
 * `leat dead list`: the newest dead letters that match, newest last; or with --count how many there are of each code.
 *
 * The server finds the next message of a subject from a sequence on, never the one before; so the stream is read from its end in windows,
 * each forward, until there are enough. It fails when NATS does not answer or has no such stream.
 */
#include "dead.h"

#include "show.h"
#include "table.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT 50
#define LIMIT_MOST 1000000
#define WINDOW_MOST 4096
#define CODES (LEAT_CODE_INTERNAL + 1)

struct list {
	struct leat_bus *bus;
	struct dead_filter filter;
	struct leat_stream_state state;
	size_t limit;
	struct leat_msg *found; /* newest first */
	size_t count;
};

/* ---- the newest ---- */

static void keep_newest(struct list *list, struct leat_msg *window, size_t count)
{
	while (count > 0) {
		struct leat_msg *msg = &window[--count];
		if (list->count < list->limit)
			list->found[list->count++] = *msg;
		else
			leat_msg_free(msg);
	}
}

static enum leat_kind find(struct list *list, struct leat_error *err)
{
	const struct leat_stream_state *state = &list->state;
	uint64_t width = list->limit < WINDOW_MOST ? list->limit : WINDOW_MOST;
	struct leat_msg *window = leat_alloc(WINDOW_MOST * sizeof *window);
	enum leat_kind kind = LEAT_OK;
	for (uint64_t last = state->last_seq; last >= state->first_seq && last > 0;) {
		uint64_t first = last - state->first_seq >= width ? last - width + 1 : state->first_seq;
		uint64_t seq = first;
		size_t count;
		kind = dead_read(list->bus, &list->filter, &seq, last, window, WINDOW_MOST, &count, err);
		keep_newest(list, window, count);
		if (kind != LEAT_OK || list->count == list->limit || list->filter.saw_too_old)
			break;
		last = first - 1;
		width = width * 2 < WINDOW_MOST ? width * 2 : WINDOW_MOST;
	}
	free(window);
	return kind;
}

/* Headers come from anywhere: what is no UTF-8 is escaped. */
static json_t *text_value(const char *text)
{
	json_t *value = json_string(text);
	if (value != NULL)
		return value;
	LEAT_BUF_SCOPED shown = LEAT_BUF_INIT;
	show_text(&shown, text, strlen(text));
	return json_string(leat_buf_text(&shown));
}

static void print_json(const struct list *list)
{
	for (size_t i = list->count; i-- > 0;) {
		struct dead_letter letter;
		char time[SHOW_BYTES];
		dead_letter_read(&letter, &list->found[i]);
		show_time(time, letter.msg->timestamp_ns);
		json_t *line = json_pack("{s:I, s:s, s:o, s:o, s:o, s:o, s:o, s:I}", "seq", (json_int_t)letter.msg->seq, "time", time, "tenant",
			text_value(letter.tenant), "intent", text_value(letter.intent), "code", text_value(letter.code), "error",
			text_value(letter.error), "origin_stream", text_value(letter.origin_stream), "origin_seq",
			(json_int_t)strtoll(letter.origin_seq, NULL, 10));
		json_dumpf(line, stdout, JSON_COMPACT);
		putchar('\n');
		json_decref(line);
	}
}

static void print_table(const struct list *list)
{
	static const char *const heads[] = {">SEQ", "TIME", "TENANT", "INTENT", "CODE", "ERROR", NULL};
	TABLE_SCOPED table;
	table_init(&table, heads);
	for (size_t i = list->count; i-- > 0;) {
		struct dead_letter letter;
		char time[SHOW_BYTES];
		dead_letter_read(&letter, &list->found[i]);
		show_time(time, letter.msg->timestamp_ns);
		table_add(&table, "%" PRIu64, letter.msg->seq);
		table_add(&table, "%s", time);
		table_add(&table, "%s", letter.tenant);
		table_add(&table, "%s", letter.intent);
		table_add(&table, "%s", letter.code);
		table_add(&table, "%s", letter.error);
	}
	if (list->count > 0)
		table_print(&table);
	else if (list->state.messages > 0)
		printf("none of %" PRIu64 " dead letter%s matches\n", list->state.messages, list->state.messages == 1 ? "" : "s");
	else
		printf("no dead letters\n");
}

/* ---- how many of each code ---- */

struct tally {
	const char *code;
	size_t count;
	int64_t oldest_ns;
	int64_t newest_ns;
};

static void tally_letter(struct tally tallies[CODES + 1], const struct leat_msg *msg)
{
	struct dead_letter letter;
	dead_letter_read(&letter, msg);
	size_t at = 0; /* a code that this version does not know */
	for (size_t code = LEAT_CODE_INVALID_JSON; code < CODES; code++)
		if (strcmp(leat_code_name((enum leat_code)code), letter.code) == 0)
			at = code;
	struct tally *tally = &tallies[at];
	tally->code = at > 0 ? leat_code_name((enum leat_code)at) : "other";
	if (tally->count++ == 0)
		tally->oldest_ns = msg->timestamp_ns;
	tally->newest_ns = msg->timestamp_ns;
}

static enum leat_kind count_codes(struct list *list, struct tally tallies[CODES + 1], struct leat_error *err)
{
	struct leat_msg msg;
	size_t count = 1;
	uint64_t seq = list->state.first_seq;
	if (leat_stream_find_time(list->bus, DEAD_STREAM, list->filter.since_ns, &seq, err) != LEAT_OK)
		return err->kind;
	while (count > 0) {
		if (dead_read(list->bus, &list->filter, &seq, list->state.last_seq, &msg, 1, &count, err) != LEAT_OK)
			return err->kind;
		if (count > 0) {
			tally_letter(tallies, &msg);
			leat_msg_free(&msg);
		}
	}
	return LEAT_OK;
}

static void print_tallies(const struct list *list, const struct tally tallies[CODES + 1], bool json)
{
	static const char *const heads[] = {"CODE", ">COUNT", "OLDEST", "NEWEST", NULL};
	TABLE_SCOPED table;
	bool any = false;
	table_init(&table, heads);
	for (const struct tally *tally = tallies; tally < tallies + CODES + 1; tally++) {
		char oldest[SHOW_BYTES];
		char newest[SHOW_BYTES];
		if (tally->count == 0)
			continue;
		any = true;
		show_time(oldest, tally->oldest_ns);
		show_time(newest, tally->newest_ns);
		if (json)
			printf("{\"code\":\"%s\",\"count\":%zu,\"oldest\":\"%s\",\"newest\":\"%s\"}\n", tally->code, tally->count, oldest, newest);
		table_add(&table, "%s", tally->code);
		table_add(&table, "%zu", tally->count);
		table_add(&table, "%s", oldest);
		table_add(&table, "%s", newest);
	}
	if (!json && any)
		table_print(&table);
	else if (!json)
		print_table(list); /* which says that there are none */
}

/* ---- the command ---- */

static int fail(const struct leat_error *err)
{
	return command_fail("dead list", EXIT_FAILURE, "%s%s", err->text, err->code == LEAT_CODE_NOT_FOUND ? "; run `leat migrate`" : "");
}

static int print_newest(struct list *list, bool json)
{
	struct leat_error err;
	list->found = leat_alloc(list->limit * sizeof *list->found);
	enum leat_kind kind = find(list, &err);
	if (kind == LEAT_OK)
		(json ? print_json : print_table)(list);
	for (size_t i = 0; i < list->count; i++)
		leat_msg_free(&list->found[i]);
	free(list->found);
	return kind == LEAT_OK ? EXIT_SUCCESS : fail(&err);
}

static int print_counts(struct list *list, bool json)
{
	struct leat_error err;
	struct tally tallies[CODES + 1] = {0};
	if (count_codes(list, tallies, &err) != LEAT_OK)
		return fail(&err);
	print_tallies(list, tallies, json);
	return EXIT_SUCCESS;
}

int dead_list(const struct leat_params *params, int argc, char **argv)
{
	struct list list = {0};
	int64_t limit = LIMIT;
	bool json = false;
	bool counts = false;
	const struct command_flag flags[] = {
		DEAD_FILTER_FLAGS(list.filter),
		{.name = "--limit", .number = &limit},
		{.name = "--count", .on = &counts},
		{.name = "--json", .on = &json},
		{0},
	};
	if (!command_take_flags("dead list", flags, 0, &argc, argv) || !dead_filter_check("dead list", &list.filter))
		return EXIT_USAGE;
	list.limit = (size_t)(limit < LIMIT_MOST ? limit : LIMIT_MOST);

	__attribute__((cleanup(command_close_bus))) struct leat_bus *bus = NULL;
	struct leat_error err;
	if (command_open_bus(&bus, params, &err) != LEAT_OK || leat_stream_get_state(bus, DEAD_STREAM, &list.state, &err) != LEAT_OK)
		return fail(&err);
	list.bus = bus;
	return counts ? print_counts(&list, json) : print_newest(&list, json);
}
