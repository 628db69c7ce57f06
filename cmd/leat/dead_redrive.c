/*
 * `leat dead redrive`: sends dead letters again, each with its body and headers on leat.redrive.…, in the order in which their messages
 * were first stored, and deletes each letter once the stream has its message. What is rejected again comes back as a new letter. A process
 * that dies between the two leaves the letter: sent once more, its message is a duplicate.
 *
 * With --wait, outcomes come here, and not to whom the message named. They are waited for batch by batch.
 *
 * A letter that can't be sent again (its body was left out, nobody knows whose it was) is named and stays. It fails when NATS does not
 * answer; letters not sent by then stay too.
 */
#include "dead_choice.h"
#include "dead_outcomes.h"

#include "show.h"

#include "leat/buf.h"
#include "leat/intent.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define INTENT_SUBJECTS "leat.intent."
#define WORK_STREAM "LEAT_WORK" /* of run.resume, which is work and changes nothing by itself: it is published as it was */

struct redrive {
	struct leat_bus *bus;
	bool now;
	bool wait;
	struct dead_outcomes outcomes;
	size_t sent;
	size_t left; /* letters that could not be sent again */
};

/* A letter on its way. */
struct again {
	struct dead_letter letter;
	struct leat_buf subject;
	struct leat_buf headers;
	char id[64];
	bool waits; /* for its outcome; a run.resume has none, its run tells */
};

static bool leave(struct redrive *redrive, const struct dead_letter *letter, const char *why)
{
	redrive->left++;
	return command_fail("dead redrive", false, "letter %" PRIu64 " stays: %s", letter->msg->seq, why);
}

/* ---- what is sent ---- */

/* Why the letter was written is no part of the message; where the message was first is, for the consumer. */
static void add_headers(struct leat_buf *out, const struct leat_msg *msg, bool now, bool wait)
{
	const char *const dropped[] = {"Nats-", "Leat-Error", "Leat-Redrive:", wait ? "Leat-Reply-To:" : "Leat-Redrive:"};
	LEAT_BUF_SCOPED block = LEAT_BUF_INIT;
	leat_msg_add_headers(msg, &block);
	for (const char *line = leat_buf_text(&block), *end; (end = strstr(line, "\r\n")) != NULL; line = end + 2) {
		bool keep = true;
		for (size_t i = 0; i < sizeof dropped / sizeof *dropped; i++)
			keep = keep && strncasecmp(line, dropped[i], strlen(dropped[i])) != 0;
		if (keep)
			leat_buf_add(out, line, (size_t)(end + 2 - line));
	}
	if (now)
		leat_buf_add_text(out, "Leat-Redrive: now\r\n");
}

static bool prepare(struct redrive *redrive, struct again *again, const struct leat_msg *msg)
{
	struct leat_subject subject;
	*again = (struct again){0};
	dead_letter_read(&again->letter, msg);
	const struct dead_letter *letter = &again->letter;
	leat_subject_parse(&subject, letter->origin_subject);
	if (!subject.routable || strncmp(msg->subject, "leat.dead.unroutable", strlen("leat.dead.unroutable")) == 0)
		return leave(redrive, letter, "its subject does not say whose it was; publish it again with `leat publish`");
	if (letter->origin_stream[0] == '\0' || letter->origin_seq[0] == '\0')
		return leave(redrive, letter, "it does not say which message it was (Leat-Origin-Stream, Leat-Origin-Seq)");
	if (leat_msg_header(msg, "Leat-Body-Omitted") != NULL)
		return leave(redrive, letter, "its body was over the server's limit and is not in it; publish it again with `leat publish`");
	if (leat_msg_header(msg, "Leat-Headers-Omitted") != NULL)
		return leave(redrive, letter, "its headers were over the server's limit and are not in it; publish it again with `leat publish`");

	bool work = strcmp(letter->origin_stream, WORK_STREAM) == 0;
	size_t prefix = strlen(subject.redrive ? LEAT_REDRIVE_SUBJECTS : INTENT_SUBJECTS);
	leat_buf_printf(&again->subject, "%s%s", work ? INTENT_SUBJECTS : LEAT_REDRIVE_SUBJECTS, letter->origin_subject + prefix);
	again->waits = redrive->wait && !work;
	add_headers(&again->headers, msg, redrive->now && !work, again->waits);
	snprintf(again->id, sizeof again->id, "redrive-%" PRIu64 "-%" PRId64, msg->seq, msg->timestamp_ns);
	return true;
}

static void free_again(struct again *again)
{
	leat_buf_free(&again->subject);
	leat_buf_free(&again->headers);
}

static int by_origin(const void *a, const void *b)
{
	const struct dead_letter *left = &((const struct again *)a)->letter;
	const struct dead_letter *right = &((const struct again *)b)->letter;
	int order = strcmp(left->origin_stream, right->origin_stream);
	uint64_t left_at = strtoull(left->origin_position[0] != '\0' ? left->origin_position : left->origin_seq, NULL, 10);
	uint64_t right_at = strtoull(right->origin_position[0] != '\0' ? right->origin_position : right->origin_seq, NULL, 10);
	if (order == 0 && left_at != right_at)
		order = left_at < right_at ? -1 : 1;
	return order;
}

/* ---- sending ---- */

/* Stored: the letter has done its work. Refused for good: it is named and stays. */
static enum leat_kind settle(
	struct redrive *redrive, const struct again *again, const struct leat_outgoing *message, struct leat_error *err)
{
	if (message->kind == LEAT_PERMANENT) {
		leave(redrive, &again->letter, message->err.text);
		return LEAT_OK;
	}
	if (message->kind != LEAT_OK) {
		*err = message->err;
		return message->kind;
	}
	redrive->sent++;
	if (leat_stream_delete_message(redrive->bus, DEAD_STREAM, again->letter.msg->seq, err) != LEAT_OK && err->code != LEAT_CODE_NOT_FOUND)
		return err->kind;
	return LEAT_OK;
}

static enum leat_kind take(void *context, struct leat_msg *letters, size_t count, struct leat_error *err)
{
	struct redrive *redrive = context;
	struct again *again = leat_alloc(count * sizeof *again);
	struct leat_outgoing *messages = leat_alloc_zero(count, sizeof *messages);
	size_t ready = 0;
	for (size_t i = 0; i < count; i++)
		ready += prepare(redrive, &again[ready], &letters[i]);
	qsort(again, ready, sizeof *again, by_origin);
	const size_t asked = redrive->outcomes.asked;
	size_t expected = 0;
	for (size_t i = 0; i < ready; i++) {
		if (again[i].waits)
			outcomes_add_header(&again[i].headers, again[i].letter.tenant, redrive->outcomes.outcomes.token, redrive->outcomes.asked++);
		messages[i] = (struct leat_outgoing){
			.subject = leat_buf_text(&again[i].subject),
			.headers = leat_buf_text(&again[i].headers),
			.data = again[i].letter.msg->data,
			.data_bytes = again[i].letter.msg->data_bytes,
			.id = again[i].id,
		};
	}
	enum leat_kind stored = leat_bus_store(redrive->bus, messages, ready);
	enum leat_kind kind = LEAT_OK;
	for (size_t i = 0; i < ready; i++) { /* all of them: what is stored has to lose its letter */
		struct leat_error why;
		enum leat_kind each = settle(redrive, &again[i], &messages[i], &why);
		if (each != LEAT_OK && kind == LEAT_OK) {
			kind = each;
			*err = why;
		}
		expected += again[i].waits && messages[i].kind == LEAT_OK;
		free_again(&again[i]);
	}
	if (expected > 0)
		dead_outcomes_wait(&redrive->outcomes, redrive->outcomes.asked - asked, expected);
	free(messages);
	free(again);
	return stored == LEAT_TEMPORARY ? LEAT_TEMPORARY : kind;
}

/* False when some were rejected again, or are not settled in time. */
static bool report(const struct redrive *redrive)
{
	printf("%zu sent again%s\n", redrive->sent,
		redrive->sent > 0 ? "; what is rejected again comes back as a new letter: `leat dead list`" : "");
	return dead_outcomes_print(&redrive->outcomes);
}

static int redrive_all(const struct leat_params *params, struct dead_choice *choice, struct redrive *redrive)
{
	struct leat_error err;
	redrive->outcomes.timeout_ms = params->publish_timeout_ms * OUTCOME_TIMEOUTS;
	if (redrive->wait && outcomes_open(&redrive->outcomes.outcomes, redrive->bus, "*", &err) != LEAT_OK)
		return command_fail(choice->command, EXIT_FAILURE, "%s", err.text);
	enum leat_kind kind = dead_each(redrive->bus, choice, take, redrive, &err);
	bool well = report(redrive);
	outcomes_close(&redrive->outcomes.outcomes);
	if (kind != LEAT_OK)
		return command_fail(choice->command, EXIT_FAILURE, "%s", err.text);
	return choice->absent + redrive->left > 0 || !well ? EXIT_FAILURE : EXIT_SUCCESS;
}

int dead_redrive(const struct leat_params *params, int argc, char **argv)
{
	struct dead_choice choice = {.command = "dead redrive"};
	struct redrive redrive = {0};
	const struct command_flag flags[] = {DEAD_FILTER_FLAGS(choice.filter), {.name = "--all", .on = &choice.all},
		{.name = "--now", .on = &redrive.now}, {.name = "--wait", .on = &redrive.wait}, {0}};
	if (!command_take_flags(choice.command, flags, argc, &argc, argv) || !dead_choice_check(&choice, argc, argv))
		return EXIT_USAGE;

	__attribute__((cleanup(command_close_bus))) struct leat_bus *bus = NULL;
	struct leat_error err;
	if (command_open_bus(&bus, params, &err) != LEAT_OK)
		return command_fail(choice.command, EXIT_FAILURE, "%s", err.text);
	redrive.bus = bus;
	return redrive_all(params, &choice, &redrive);
}
