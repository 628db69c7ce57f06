/*
 * `leat dead list`: the newest dead letters that match, newest last.
 *
 * The server finds the next message of a subject from a sequence on, never the one before; so the stream is read from its end in windows,
 * each forward, until there are enough. It fails when NATS does not answer or has no such stream.
 */
#include "dead.h"

#include "command.h"
#include "show.h"
#include "table.h"

#include "leat/uuid.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT 50
#define LIMIT_MOST 1000000
#define WINDOW_MOST 4096

/* ---- reading one ---- */

static const char *header(const struct leat_msg *msg, const char *name)
{
	const char *value = leat_msg_header(msg, name);
	return value != NULL ? value : "";
}

void dead_letter_read(struct dead_letter *out, const struct leat_msg *msg)
{
	*out = (struct dead_letter){
		.msg = msg,
		.intent = header(msg, "Leat-Origin-Subject"),
		.code = header(msg, "Leat-Error-Code"),
		.error = header(msg, "Leat-Error"),
		.origin_stream = header(msg, "Leat-Origin-Stream"),
		.origin_seq = header(msg, "Leat-Origin-Seq"),
	};
	const char *tenant = msg->subject + strlen("leat.dead.");
	size_t bytes = strcspn(tenant, ".");
	if (bytes < sizeof out->tenant && tenant[bytes] == '.') {
		memcpy(out->tenant, tenant, bytes);
		out->intent = tenant + bytes + 1;
	}
}

/* ---- finding them ---- */

struct list {
	struct leat_bus *bus;
	char subject[512]; /* of those wanted */
	const char *code;  /* NULL: any */
	size_t limit;
	struct leat_msg *found; /* newest first */
	size_t count;
	uint64_t among; /* all that there are */
};

static bool is_wanted(const struct list *list, const struct leat_msg *msg)
{
	return list->code == NULL || strcmp(header(msg, "Leat-Error-Code"), list->code) == 0;
}

/* The wanted ones from `first` to `last`, oldest first. The caller frees them. */
static enum leat_kind read_window(
	struct list *list, uint64_t first, uint64_t last, struct leat_msg *window, size_t *count, struct leat_error *err)
{
	*count = 0;
	for (uint64_t seq = first; seq <= last; seq++) {
		struct leat_msg msg;
		if (leat_stream_get_next(list->bus, DEAD_STREAM, list->subject, &seq, &msg, err) != LEAT_OK)
			return err->code == LEAT_CODE_NOT_FOUND ? LEAT_OK : err->kind;
		if (seq <= last && is_wanted(list, &msg))
			window[(*count)++] = msg;
		else
			leat_msg_free(&msg);
	}
	return LEAT_OK;
}

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
	struct leat_stream_state state;
	if (leat_stream_get_state(list->bus, DEAD_STREAM, &state, err) != LEAT_OK)
		return err->kind;
	list->among = state.messages;
	uint64_t width = list->limit < WINDOW_MOST ? list->limit : WINDOW_MOST;
	struct leat_msg *window = leat_alloc(WINDOW_MOST * sizeof *window);
	enum leat_kind kind = LEAT_OK;
	for (uint64_t last = state.last_seq; kind == LEAT_OK && list->count < list->limit && last >= state.first_seq && last > 0;) {
		uint64_t first = last - state.first_seq >= width ? last - width + 1 : state.first_seq;
		size_t count;
		kind = read_window(list, first, last, window, &count, err);
		keep_newest(list, window, count);
		last = first - 1;
		width = width * 2 < WINDOW_MOST ? width * 2 : WINDOW_MOST;
	}
	free(window);
	return kind;
}

/* ---- printing ---- */

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
	else if (list->among > 0)
		printf("none of %" PRIu64 " dead letter%s matches\n", list->among, list->among == 1 ? "" : "s");
	else
		printf("no dead letters\n");
}

/* ---- the command ---- */

static bool check_code(const char *code)
{
	LEAT_BUF_SCOPED known = LEAT_BUF_INIT;
	if (code == NULL)
		return true;
	for (enum leat_code each = LEAT_CODE_INVALID_JSON; each <= LEAT_CODE_INTERNAL; each++) {
		if (strcmp(leat_code_name(each), code) == 0)
			return true;
		leat_buf_printf(&known, "%s%s", known.len > 0 ? ", " : "", leat_code_name(each));
	}
	return command_fail("dead list", false, "--code: expected one of %s, found \"%s\"", leat_buf_text(&known), code);
}

static bool choose_subject(struct list *list, const char *tenant, const char *verb)
{
	char shown[LEAT_UUID_TEXT_BYTES] = "*";
	struct leat_uuid id;
	if (tenant != NULL && !leat_uuid_parse(&id, tenant, strlen(tenant)))
		return command_fail("dead list", false, "--tenant: expected a UUID, found \"%s\"", tenant);
	if (tenant != NULL)
		leat_uuid_format(&id, shown);
	if (verb != NULL && strchr(verb, '.') == NULL)
		return command_fail("dead list", false, "--verb: expected NOUN.VERB, as in entity.merge, found \"%s\"", verb);
	if (tenant == NULL && verb == NULL)
		snprintf(list->subject, sizeof list->subject, "%s", DEAD_SUBJECTS);
	else
		snprintf(list->subject, sizeof list->subject, "leat.dead.%s.%s", shown, verb != NULL ? verb : ">");
	return true;
}

static int list_letters(const struct leat_params *params, struct list *list, bool json)
{
	__attribute__((cleanup(command_close_bus))) struct leat_bus *bus = NULL;
	struct leat_error err;
	if (command_open_bus(&bus, params, &err) != LEAT_OK)
		return command_fail("dead list", EXIT_FAILURE, "%s", err.text);
	list->bus = bus;
	list->found = leat_alloc(list->limit * sizeof *list->found);
	enum leat_kind kind = find(list, &err);
	if (kind != LEAT_OK)
		command_fail("dead list", EXIT_FAILURE, "%s%s", err.text, err.code == LEAT_CODE_NOT_FOUND ? "; run `leat migrate`" : "");
	else if (json)
		print_json(list);
	else
		print_table(list);
	for (size_t i = 0; i < list->count; i++)
		leat_msg_free(&list->found[i]);
	free(list->found);
	return kind == LEAT_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int dead_list(const struct leat_params *params, int argc, char **argv)
{
	struct list list = {0};
	const char *tenant = NULL;
	const char *verb = NULL;
	int64_t limit = LIMIT;
	bool json = false;
	const struct command_flag flags[] = {
		{.name = "--tenant", .text = &tenant},
		{.name = "--code", .text = &list.code},
		{.name = "--verb", .text = &verb},
		{.name = "--limit", .number = &limit},
		{.name = "--json", .on = &json},
		{0},
	};
	if (!command_take_flags("dead list", flags, 0, &argc, argv) || !choose_subject(&list, tenant, verb) || !check_code(list.code))
		return EXIT_USAGE;
	list.limit = (size_t)(limit < LIMIT_MOST ? limit : LIMIT_MOST);
	return list_letters(params, &list, json);
}

int leat_cmd_dead(struct leat_params *params, int argc, char **argv)
{
	static const char *const later[] = {"redrive", "discard"};
	if (argc > 1 && strcmp(argv[1], "list") == 0)
		return dead_list(params, argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "show") == 0)
		return dead_show(params, argc - 1, argv + 1);
	for (size_t i = 0; argc > 1 && i < sizeof later / sizeof *later; i++) {
		if (strcmp(argv[1], later[i]) == 0)
			return command_fail("dead", EXIT_USAGE, "%s is not there yet; publish a corrected message with `leat publish`", later[i]);
	}
	return command_fail(
		"dead", EXIT_USAGE, "expected list or show%s%s; see `leat help dead`", argc > 1 ? ", found " : "", argc > 1 ? argv[1] : "");
}
