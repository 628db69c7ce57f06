/*
 * The advance lane's word: facts about nodes, in the stream that the run lane applies. Nothing else of this lane changes a run.
 *
 * The happy path: a result becomes a run.node message that the task keeps until LEAT_RUN has stored it. Its Leat-Id is made of run, node,
 * generation, attempt and status, so that the same fact counts once, however often it is published. That a call runs is told once it has
 * taken a moment, or just before its end: then both are folded at once.
 *
 * Possible failures: NATS is away: the message is kept, and published again while the lease holds; after that somebody else makes the
 * result, and this one is dropped. The message can never be stored (too large for the server): the node fails with that reason instead.
 */
#include "advance.h"

#include "leat/log.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* How long an outcome is waited for, before the intent is published again: it counts once by its Leat-Id. */
enum { STORE_AT_ONCE = 64, ASK_AGAIN_MS = 10000, TELL_AFTER_MS = 20 };

/* ---- JSON ---- */

static int add_chunk(const char *chunk, size_t bytes, void *out)
{
	leat_buf_add(out, chunk, bytes);
	return 0;
}

void advance_add_text(struct leat_buf *out, const char *text)
{
	json_t *value = json_string(text);
	if (value == NULL) /* not UTF-8: no library's message should be, but who knows */
		value = json_string("(a text that is not UTF-8)");
	if (value == NULL || json_dump_callback(value, add_chunk, out, JSON_ENCODE_ANY | JSON_COMPACT) != 0)
		abort();
	json_decref(value);
}

struct leat_json advance_member(const struct leat_json *object, const char *name)
{
	struct leat_json key;
	struct leat_json value;
	if (object->type == LEAT_JSON_OBJECT) {
		struct leat_json_walk walk = leat_json_walk(object);
		while (leat_json_next(&walk, &key, &value)) {
			if (key.source.bytes == strlen(name) + 2 && memcmp(key.source.at + 1, name, strlen(name)) == 0)
				return value;
		}
	}
	return (struct leat_json){0};
}

/* ---- facts ---- */

static void write_fact(
	struct leat_buf *subject, struct leat_buf *headers, struct leat_buf *body, const struct advance_task *task, const char *status)
{
	const struct advance_slot *slot = task->slot;
	leat_buf_clear(subject);
	leat_buf_clear(headers);
	leat_buf_clear(body);
	leat_buf_printf(subject, "leat.intent.%s.engine.run.node", slot->tenant);
	leat_buf_printf(
		headers, "Leat-Id: %s/%s/%" PRId64 "/%" PRId64 "/%s\r\n", slot->run, task->node, task->generation, task->attempt, status);
	if (task->traceparent != NULL)
		leat_buf_printf(headers, "traceparent: %s\r\n", task->traceparent);
	leat_buf_printf(body, "{\"run_id\":\"%s\",\"node_id\":\"%s\",\"status\":\"%s\",\"attempt\":%" PRId64 ",\"generation\":%" PRId64,
		slot->run, task->node, status, task->attempt, task->generation);
}

static void write_running(struct leat_buf *subject, struct leat_buf *headers, struct leat_buf *body, struct advance_task *task)
{
	write_fact(subject, headers, body, task, "running");
	leat_buf_add_text(body, "}");
	task->tell_at_ms = 0;
}

void advance_note_running(struct advance_task *task)
{
	task->tell_at_ms = leat_clock_ms() + TELL_AFTER_MS;
}

void advance_tell_running(struct advance_lane *a, struct advance_task *task)
{
	LEAT_BUF_SCOPED subject = LEAT_BUF_INIT;
	LEAT_BUF_SCOPED headers = LEAT_BUF_INIT;
	LEAT_BUF_SCOPED body = LEAT_BUF_INIT;
	struct leat_error err;
	if (task->tell_at_ms == 0)
		return;
	write_running(&subject, &headers, &body, task);
	if (a->link.bus == NULL || leat_bus_publish(a->link.bus, subject.data, headers.data, body.data, body.len, &err) != LEAT_OK)
		leat_log(LEAT_LOG_DEBUG, "advance", "run %s, node %s: that it runs was not told", task->slot->run, task->node);
}

void advance_tell_all_running(struct advance_lane *a)
{
	int64_t now = leat_clock_ms();
	ADVANCE_EACH_SLOT(a, slot)
	{
		for (struct advance_task *task = slot->tasks; task != NULL; task = task->next) {
			if (task->step != ADVANCE_OVER && now >= task->tell_at_ms)
				advance_tell_running(a, task);
		}
	}
}

/* The message is complete. */
static void keep_for_store(struct advance_task *task)
{
	task->asks = false;
	task->step = ADVANCE_STORE;
	task->at_ms = 0;
	task->backoff.next_ms = 0;
}

void advance_complete(struct advance_lane *a, struct advance_task *task, struct leat_text output)
{
	write_fact(&task->subject, &task->headers, &task->body, task, "completed");
	leat_buf_add_text(&task->body, ",\"output\":");
	leat_buf_add(&task->body, output.at, output.bytes);
	leat_buf_add_text(&task->body, "}");
	keep_for_store(task);
	if ((int64_t)task->body.len > a->params->max_body_bytes) {
		char why[160];
		snprintf(why, sizeof why, "the output is too large for a message (%zu bytes with what is around it; max_body_bytes is %" PRId64 ")",
			task->body.len, a->params->max_body_bytes);
		advance_fail(a, task, why);
	}
}

void advance_fail(struct advance_lane *a, struct advance_task *task, const char *error)
{
	struct leat_error told; /* as long as a fact may have it, and cut between characters */
	(void)a;
	leat_fail(&told, LEAT_PERMANENT, LEAT_CODE_INTERNAL, "%s", error);
	for (char *at = told.text; *at != '\0'; at++) {
		if ((unsigned char)*at < ' ' || *at == '\x7f')
			*at = ' ';
	}
	write_fact(&task->subject, &task->headers, &task->body, task, "failed");
	leat_buf_add_text(&task->body, ",\"error\":");
	advance_add_text(&task->body, told.text);
	leat_buf_add_text(&task->body, "}");
	task->failed = true;
	keep_for_store(task);
	LEAT_BUF_SCOPED named = LEAT_BUF_INIT;
	leat_buf_printf(&named, "%s: %s", task->node, told.text);
	leat_buf_add_text(&task->slot->errors, task->slot->errors.len > 0 ? "," : "");
	advance_add_text(&task->slot->errors, named.data);
}

void advance_wait_for_answer(struct advance_lane *a, struct advance_task *task)
{
	(void)a;
	write_fact(&task->subject, &task->headers, &task->body, task, "running");
	leat_buf_add_text(&task->body, "}");
	keep_for_store(task);
}

/* ---- storing ---- */

static void fail_unstored(struct advance_lane *a, struct advance_task *task, const struct leat_error *err)
{
	LEAT_BUF_SCOPED why = LEAT_BUF_INIT;
	leat_buf_printf(&why, "%s can't be published: %s", task->asks ? "what the node asks for" : "the output", err->text);
	if (err->code == LEAT_CODE_TOO_LARGE)
		leat_buf_add_text(&why, "; let it be less, or let whoever runs nats-server raise max_payload");
	advance_fail(a, task, leat_buf_text(&why));
}

static void settle_stored(struct advance_lane *a, struct advance_task *task, const struct leat_outgoing *message)
{
	switch (message->kind) {
	case LEAT_OK:
		leat_lane_count(a->lane, LEAT_COUNT_PUBLISHED, 1);
		task->step = task->asks ? ADVANCE_ASKED : ADVANCE_OVER;
		task->at_ms = leat_clock_ms() + ASK_AGAIN_MS;
		return;
	case LEAT_TEMPORARY:
		task->at_ms = leat_clock_ms() + leat_backoff_delay_ms(&task->backoff);
		return;
	case LEAT_PERMANENT:
		if (!task->failed) {
			fail_unstored(a, task, &message->err);
			return;
		}
		leat_log(LEAT_LOG_ERROR, "advance", "run %s, node %s: its end can't be told: %s", task->slot->run, task->node, message->err.text);
		task->step = ADVANCE_OVER;
		return;
	}
}

void advance_store(struct advance_lane *a)
{
	struct advance_task *due[2 * STORE_AT_ONCE]; /* NULL: the message only says that the next one's task runs, and may be lost */
	struct leat_outgoing messages[2 * STORE_AT_ONCE];
	struct leat_buf begun[STORE_AT_ONCE][3]; /* subject, headers and body of such messages */
	size_t begun_count = 0;
	size_t count = 0;
	int64_t now = leat_clock_ms();
	ADVANCE_EACH_SLOT(a, slot)
	{
		for (struct advance_task *task = slot->tasks; task != NULL && count + 1 < 2 * STORE_AT_ONCE; task = task->next) {
			if (task->step != ADVANCE_STORE || now < task->at_ms || advance_is_in_doubt(a, task))
				continue;
			if (!advance_still_ours(a, task)) {
				advance_lose(a, task);
				continue;
			}
			if (task->tell_at_ms != 0 && !task->asks && a->link.bus != NULL) {
				struct leat_buf *fact = begun[begun_count++];
				memset(fact, 0, sizeof begun[0]);
				write_running(&fact[0], &fact[1], &fact[2], task);
				due[count] = NULL;
				messages[count++] = (struct leat_outgoing){
					.subject = fact[0].data, .headers = fact[1].data, .data = fact[2].data, .data_bytes = fact[2].len};
			}
			due[count] = task;
			messages[count++] = (struct leat_outgoing){
				.subject = task->subject.data, .headers = task->headers.data, .data = task->body.data, .data_bytes = task->body.len};
		}
	}
	if (count == 0 || a->link.bus == NULL)
		return;
	if (leat_bus_store(a->link.bus, messages, count) == LEAT_TEMPORARY)
		leat_lane_count(a->lane, LEAT_COUNT_RETRIES, 1);
	for (size_t i = 0; i < count; i++) {
		if (due[i] != NULL)
			settle_stored(a, due[i], &messages[i]);
	}
	for (size_t i = 0; i < begun_count; i++) {
		for (size_t part = 0; part < 3; part++)
			leat_buf_free(&begun[i][part]);
	}
}
