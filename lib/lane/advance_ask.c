/*
 * What the advance lane asks of other lanes: the entity.merge of a merge node, the interaction.ask of a question node.
 *
 * The happy path: an intent with a Leat-Reply-To of our own is stored; its outcome comes. A merge that was applied completes the node; a
 * question that was put makes it wait (a fact that says it runs), and the answer comes as a fact later, by whoever applies it.
 *
 * Possible failures: rejected: the node fails with the code and the message. No outcome comes (its lane is away, the reply was lost): the
 * intent is published again, and has one effect by its Leat-Id; the outcome is then `duplicate`, with the same result. After kill -9 the
 * next holder of the claim does just that.
 */
#include "advance.h"

#include "leat/log.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* leat.reply.<tenant>.advance.<owner>.<number> */
enum { REPLY_SUBJECT_BYTES = 128 };

static void write_reply_subject(
	char out[REPLY_SUBJECT_BYTES], const struct advance_lane *a, const struct advance_slot *slot, uint64_t number)
{
	int length = snprintf(out, REPLY_SUBJECT_BYTES, "leat.reply.%s.advance.%s.%" PRIu64, slot->tenant, a->owner, number);
	assert(length > 0 && length < REPLY_SUBJECT_BYTES);
}

static void write_question(struct advance_task *task)
{
	struct leat_uuid run;
	struct leat_uuid id;
	char text[LEAT_UUID_TEXT_BYTES];
	LEAT_BUF_SCOPED name = LEAT_BUF_INIT;
	if (!leat_uuid_parse(&run, task->slot->run, strlen(task->slot->run)))
		abort();
	leat_buf_printf(&name, "%s/%" PRId64, task->node, task->generation);
	leat_uuid_from_name(&id, &run, name.data, name.len);
	leat_uuid_format(&id, text);
	leat_buf_printf(&task->body, "{\"interaction_id\":\"%s\",\"run_id\":\"%s\",\"node_id\":\"%s\",\"generation\":%" PRId64 ",", text,
		task->slot->run, task->node, task->generation);
	leat_buf_add_text(&task->body, strchr(task->params.data, '{') + 1); /* never empty: a question has a payload */
}

void advance_ask(struct advance_lane *a, struct advance_task *task)
{
	char reply_to[REPLY_SUBJECT_BYTES];
	bool merge = task->kind == LEAT_NODE_MERGE;
	task->number = ++a->numbers;
	write_reply_subject(reply_to, a, task->slot, task->number);
	leat_buf_printf(&task->subject, "leat.intent.%s.engine.%s", task->slot->tenant, merge ? "entity.merge" : "interaction.ask");
	leat_buf_printf(
		&task->headers, "Leat-Id: %s/%s/%" PRId64 "\r\nLeat-Reply-To: %s\r\n", task->slot->run, task->node, task->generation, reply_to);
	if (task->traceparent != NULL)
		leat_buf_printf(&task->headers, "traceparent: %s\r\n", task->traceparent);
	if (merge)
		leat_buf_add(&task->body, task->params.data, task->params.len);
	else
		write_question(task);
	task->asks = true;
	task->step = ADVANCE_STORE;
	if (merge)
		advance_note_running(task);
}

/* ---- outcomes ---- */

static struct leat_json parse(const char *bytes, size_t count)
{
	struct leat_json value;
	struct leat_error err;
	return leat_json_check(&value, bytes, count, INT64_MAX, &err) == LEAT_OK ? value : (struct leat_json){0};
}

static int64_t count_members(const struct leat_json *object)
{
	struct leat_json name;
	struct leat_json value;
	int64_t count = 0;
	if (object->type != LEAT_JSON_OBJECT && object->type != LEAT_JSON_ARRAY)
		return 0;
	struct leat_json_walk walk = leat_json_walk(object);
	while (leat_json_next(&walk, &name, &value))
		count++;
	return count;
}

/* null where the outcome was too large for a reply and has no result. */
static void add_source(struct leat_buf *out, const struct leat_json *value)
{
	if (value->type != LEAT_JSON_NONE)
		leat_buf_add(out, value->source.at, value->source.bytes);
	else
		leat_buf_add_text(out, "null");
}

/* {"entity_id":…,"fields_extracted":n,"skipped_fields":[…]} */
static void conclude_merge(struct advance_lane *a, struct advance_task *task, const struct leat_json *outcome)
{
	const struct leat_json merge = parse(task->params.data, task->params.len);
	const struct leat_json content = advance_member(&merge, "content");
	const struct leat_json metadata = advance_member(&merge, "metadata");
	const struct leat_json result = advance_member(outcome, "result");
	const struct leat_json entity = advance_member(&result, "entity_id");
	const struct leat_json skipped = advance_member(&result, "skipped_fields");
	const struct leat_json named = advance_member(&merge, "entity_id");
	int64_t written = count_members(&content) + count_members(&metadata) - count_members(&skipped);
	LEAT_BUF_SCOPED output = LEAT_BUF_INIT;
	leat_buf_add_text(&output, "{\"entity_id\":");
	add_source(&output, entity.type != LEAT_JSON_NONE ? &entity : &named);
	leat_buf_printf(&output, ",\"fields_extracted\":%" PRId64 ",\"skipped_fields\":", written);
	add_source(&output, &skipped);
	leat_buf_add_text(&output, "}");
	task->slot->extracted += written;
	advance_complete(a, task, (struct leat_text){output.data, output.len});
}

static bool says(const struct leat_json *value, const char *word)
{
	return value->type == LEAT_JSON_STRING && value->source.bytes == strlen(word) + 2 &&
		memcmp(value->source.at + 1, word, strlen(word)) == 0;
}

static void refuse(struct advance_lane *a, struct advance_task *task, const struct leat_json *outcome)
{
	const struct leat_json code = advance_member(outcome, "code");
	const struct leat_json message = advance_member(outcome, "message");
	LEAT_BUF_SCOPED scratch = LEAT_BUF_INIT;
	LEAT_BUF_SCOPED error = LEAT_BUF_INIT;
	struct leat_text text = {"internal", strlen("internal")};
	if (code.type == LEAT_JSON_STRING)
		text = leat_json_text(&code, &scratch);
	leat_buf_add(&error, text.at, text.bytes);
	if (message.type == LEAT_JSON_STRING) {
		text = leat_json_text(&message, &scratch);
		leat_buf_add_text(&error, ": ");
		leat_buf_add(&error, text.at, text.bytes);
	}
	advance_fail(a, task, leat_buf_text(&error));
}

static void conclude(struct advance_lane *a, struct advance_task *task, const struct leat_msg *reply)
{
	const struct leat_json outcome = parse(reply->data, reply->data_bytes);
	const struct leat_json status = advance_member(&outcome, "status");
	if (says(&status, "rejected"))
		refuse(a, task, &outcome);
	else if (!says(&status, "applied") && !says(&status, "duplicate"))
		leat_log(LEAT_LOG_WARN, "advance", "run %s, node %s: a reply that is no outcome is ignored", task->slot->run, task->node);
	else if (task->kind == LEAT_NODE_MERGE)
		conclude_merge(a, task, &outcome);
	else
		advance_wait_for_answer(a, task);
}

/*
 * By the subject, which is that of the tenant: whoever may choose where the outcomes of one tenant's intents go can't speak for another's
 * node. NULL when nobody waits for it.
 */
static struct advance_task *find_asked(struct advance_lane *a, const char *subject)
{
	char expected[REPLY_SUBJECT_BYTES];
	const char *dot = strrchr(subject, '.');
	uint64_t number = dot != NULL ? strtoull(dot + 1, NULL, 10) : 0;
	ADVANCE_EACH_SLOT(a, slot)
	{
		write_reply_subject(expected, a, slot, number);
		for (struct advance_task *task = slot->tasks; task != NULL && strcmp(subject, expected) == 0; task = task->next) {
			if (task->number == number && task->asks && (task->step == ADVANCE_ASKED || task->step == ADVANCE_STORE))
				return task;
		}
	}
	return NULL;
}

static void ask_again(struct advance_lane *a)
{
	int64_t now = leat_clock_ms();
	ADVANCE_EACH_SLOT(a, slot)
	{
		for (struct advance_task *task = slot->tasks; task != NULL; task = task->next) {
			if (task->step != ADVANCE_ASKED || now < task->at_ms)
				continue;
			leat_lane_count(a->lane, LEAT_COUNT_RETRIES, 1);
			task->step = ADVANCE_STORE;
		}
	}
}

void advance_take_replies(struct advance_lane *a)
{
	struct leat_msg reply;
	struct leat_error err;
	while (a->replies != NULL && leat_inbox_next(a->replies, 0, &reply, &err) == LEAT_OK) {
		struct advance_task *task = find_asked(a, reply.subject);
		if (task != NULL)
			conclude(a, task, &reply);
		leat_msg_free(&reply);
	}
	ask_again(a);
}
