/*
 * `leat dead show SEQ`: one dead letter whole. Its headers and body come from anywhere, so nothing of them reaches the terminal as it is:
 * JSON is indented, other text escaped, anything else is shown as bytes. It ends with what to do next. Fails when the stream does not hold
 * that sequence.
 */
#include "dead.h"

#include "show.h"

#include "leat/intent.h"
#include "leat/json.h"
#include "leat/text.h"
#include "leat/uuid.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NESTING 1000

static bool is_text(const char *body, size_t bytes)
{
	for (const char *at = body, *end = body + bytes; at < end;) {
		size_t size = leat_utf8_bytes(at, end);
		if (size == 0 || ((unsigned char)*at < ' ' && *at != '\n' && *at != '\r' && *at != '\t'))
			return false;
		at += size;
	}
	return true;
}

static void add_body(struct leat_buf *out, const struct leat_msg *msg)
{
	struct leat_error err;
	struct leat_json json;
	const char *omitted = leat_msg_header(msg, "Leat-Body-Omitted");
	leat_buf_printf(out, "\nbody, %zu bytes", msg->data_bytes);
	if (omitted != NULL) {
		leat_buf_add_text(out, "\nleft out, it is over the server's limit; bytes: ");
		show_text(out, omitted, strlen(omitted));
	} else if (leat_json_check(&json, msg->data, msg->data_bytes, NESTING, &err) == LEAT_OK) {
		leat_buf_add_text(out, " as sent, indented here\n");
		show_json(out, &json);
	} else if (is_text(msg->data, msg->data_bytes)) {
		leat_buf_add_text(out, "\n");
		show_lines(out, msg->data, msg->data_bytes);
	} else {
		leat_buf_add_text(out, ", in hexadecimal\n");
		show_bytes(out, msg->data, msg->data_bytes);
		return;
	}
	leat_buf_add_text(out, "\n");
}

static void add_line(struct leat_buf *out, const char *name, const char *text)
{
	leat_buf_printf(out, "%-8s  ", name);
	show_text(out, text, strlen(text));
	leat_buf_add_text(out, "\n");
}

static void add_headers(struct leat_buf *out, const struct leat_msg *msg)
{
	LEAT_BUF_SCOPED block = LEAT_BUF_INIT;
	leat_msg_add_headers(msg, &block);
	for (const char *line = leat_buf_text(&block), *end; (end = strstr(line, "\r\n")) != NULL; line = end + 2) {
		leat_buf_add_text(out, "  ");
		show_text(out, line, (size_t)(end - line));
		leat_buf_add_text(out, "\n");
	}
}

/* Redriven, it is decided at its first position again (design.md section 8): an upsert that came later changes nothing there. */
static bool is_about_its_place(const struct dead_letter *letter)
{
	return strncmp(letter->intent, "entity.", strlen("entity.")) == 0 &&
		(strcmp(letter->code, "not_found") == 0 || strcmp(letter->code, "deleted") == 0);
}

/* Only what is known goes into a line that people copy into a shell. */
static void add_next_step(struct leat_buf *out, const struct dead_letter *letter)
{
	struct leat_uuid tenant;
	bool known = leat_uuid_parse(&tenant, letter->tenant, strlen(letter->tenant)) && leat_intent_find_name(letter->intent) != NULL;
	leat_buf_printf(out,
		"\nNothing of it was applied. Once the cause is mended, send it again:\n  leat dead redrive %" PRIu64
		"\nA corrected body, as one line of JSON, goes to:\n  leat publish %s --tenant %s --wait\n",
		letter->msg->seq, known ? letter->intent : "NOUN.VERB", known ? letter->tenant : "TENANT");
	if (is_about_its_place(letter))
		leat_buf_printf(out,
			"There was no such entity where it stood in the stream, and that stays so: once there is one, send it as a new write:\n"
			"  leat dead redrive %" PRIu64 " --now\n",
			letter->msg->seq);
}

static void print_letter(const struct leat_msg *msg)
{
	LEAT_BUF_SCOPED out = LEAT_BUF_INIT;
	struct dead_letter letter;
	char time[SHOW_BYTES];
	dead_letter_read(&letter, msg);
	show_time(time, msg->timestamp_ns);
	leat_buf_printf(&out, "%-8s  %" PRIu64 "\n", "seq", msg->seq);
	add_line(&out, "time", time);
	add_line(&out, "tenant", letter.tenant[0] != '\0' ? letter.tenant : "-");
	add_line(&out, "intent", letter.intent);
	add_line(&out, "code", letter.code);
	add_line(&out, "error", letter.error);
	leat_buf_add_text(&out, "\nheaders\n");
	add_headers(&out, msg);
	add_body(&out, msg);
	add_next_step(&out, &letter);
	fwrite(out.data, 1, out.len, stdout);
}

int dead_show(const struct leat_params *params, int argc, char **argv)
{
	static const struct command_flag no_flags[] = {{0}};
	__attribute__((cleanup(command_close_bus))) struct leat_bus *bus = NULL;
	struct leat_error err;
	uint64_t wanted = 0;
	if (!command_take_flags("dead show", no_flags, 1, &argc, argv))
		return EXIT_USAGE;
	if (argc < 2 || !dead_parse_seq(argv[1], &wanted))
		return command_fail(
			"dead show", EXIT_USAGE, "expected a sequence as `leat dead list` shows it, found %s", argc < 2 ? "nothing" : argv[1]);

	struct leat_msg msg;
	if (command_open_bus(&bus, params, &err) != LEAT_OK || dead_read_one(bus, wanted, &msg, &err) != LEAT_OK)
		return command_fail("dead show", EXIT_FAILURE, "%s", err.text);
	print_letter(&msg);
	leat_msg_free(&msg);
	return EXIT_SUCCESS;
}
