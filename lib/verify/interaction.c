/*
 * Questions, as the fold of interaction.ask, answer, withdraw and expire. Who won a question is what the ledger says: of all answers only
 * the winner's is applied, and of those that were to expire `expired` names the ones that did. Nothing here can fail.
 */
#include "interaction.h"

#include <stdlib.h>
#include <string.h>

#define TTL_S 86400 /* where whoever asks does not say: design.md section 7 */
#define SECOND_US INT64_C(1000000)

static void clear(struct verify_questions *fold, struct verify_question *question)
{
	free(question->connection);
	free(question->user);
	free(question->payload.text);
	free(question->run);
	free(question->node);
	free(question->value.text);
	fold->bytes -= question->bytes;
	question->connection = question->user = question->run = question->node = NULL;
	question->payload = question->value = (struct verify_value){0};
	question->bytes = 0;
}

static void *open_fold(struct verify *v, struct leat_error *err)
{
	(void)err;
	struct verify_questions *fold = leat_alloc_zero(1, sizeof *fold);
	fold->v = v;
	return fold;
}

static void drop(void *of, void *value)
{
	clear(of, value);
	free(value);
}

static void close_fold(void *of)
{
	struct verify_questions *fold = of;
	verify_ids_drop(&fold->all, drop, fold);
	free(fold);
}

static size_t bytes_of(const void *of)
{
	const struct verify_questions *fold = of;
	return fold->bytes + fold->all.room * sizeof *fold->all.slots + fold->all.count * sizeof(struct verify_question);
}

static void narrow(void *of)
{
	struct verify_questions *fold = of;
	verify_ids_narrow(&fold->all, fold->v, drop, fold);
}

/* ---- facts ---- */

static char *member_text(const struct leat_json *body, const char *name)
{
	struct leat_json value = verify_json_member(body, name);
	return verify_copy_text(&value);
}

static char *member_uuid(const struct leat_json *body, const char *name)
{
	struct leat_json value = verify_json_member(body, name);
	return verify_copy_uuid(&value);
}

static struct verify_value member_json(const struct leat_json *body, const char *name)
{
	struct leat_json value = verify_json_member(body, name);
	return (struct verify_value){verify_copy_source(&value), false};
}

/* As if it were new, but for when it was asked first. */
static void ask(
	struct verify_questions *fold, struct verify_question *question, const struct verify_fact *fact, const struct leat_json *body)
{
	struct leat_json ttl = verify_json_member(body, "ttl_s");
	clear(fold, question);
	question->connection = member_text(body, "connection_id");
	question->user = member_uuid(body, "expected_user_id");
	question->payload = member_json(body, "payload");
	question->run = member_uuid(body, "run_id");
	question->node = member_text(body, "node_id");
	question->status = "open";
	question->created_us = question->there ? question->created_us : fact->at_us;
	question->asked_us = fact->at_us;
	question->expires_us = fact->at_us + verify_number(&ttl, TTL_S) * SECOND_US;
	question->claimed_us = VERIFY_NEVER;
	question->there = true;
	question->bytes = fact->body_bytes + 128;
	fold->bytes += question->bytes;
}

static void answer(
	struct verify_questions *fold, struct verify_question *question, const struct verify_fact *fact, const struct leat_json *body)
{
	free(question->value.text);
	question->value = member_json(body, "value");
	question->status = "answered";
	question->claimed_us = fact->at_us;
	question->bytes += fact->body_bytes;
	fold->bytes += fact->body_bytes;
}

static struct verify_question *find(const struct verify_questions *fold, const struct verify_fact *fact, const struct leat_uuid *id)
{
	const struct verify_id key = {.tenant = fact->intent->subject.tenant, .id = *id};
	return verify_ids_find(&fold->all, &key);
}

static void expire(struct verify_questions *fold, const struct verify_fact *fact)
{
	struct leat_json expired = verify_json_member(&fact->detail, "expired");
	for (size_t i = 0; fact->hole && i < fact->intent->target_count; i++) {
		struct verify_question *question = find(fold, fact, &fact->intent->targets[i]);
		if (question != NULL)
			question->unsure = true;
	}
	if (expired.type != LEAT_JSON_ARRAY)
		return;
	struct leat_json_walk walk = leat_json_walk(&expired);
	for (struct leat_json name, value; leat_json_next(&walk, &name, &value);) {
		struct leat_uuid id;
		char *text = verify_copy_text(&value);
		struct verify_question *question = leat_uuid_parse(&id, text, strlen(text)) ? find(fold, fact, &id) : NULL;
		free(text);
		if (question == NULL || fact->position <= question->position)
			continue;
		question->status = "expired";
		question->position = fact->position;
	}
}

static void feed(void *of, const struct verify_fact *fact)
{
	struct verify_questions *fold = of;
	if (strcmp(fact->intent->type->noun, "interaction") != 0)
		return;
	const char *verb = fact->intent->type->verb;
	if (strcmp(verb, "expire") == 0) {
		expire(fold, fact);
		return;
	}
	if (!verify_in_pass(fold->v, &fact->intent->target))
		return;
	struct leat_json body = verify_json(fact->body, fact->body_bytes);
	struct verify_question *question = find(fold, fact, &fact->intent->target);
	if (question == NULL && strcmp(verb, "ask") != 0)
		return; /* asked before the stream begins */
	if (question != NULL && fact->position <= question->position)
		return; /* the baseline has it */
	if (question == NULL) {
		const struct verify_id key = {.tenant = fact->intent->subject.tenant, .id = fact->intent->target};
		question = leat_alloc_zero(1, sizeof *question);
		verify_ids_add(&fold->all, &key, question);
	}
	question->position = fact->position;
	question->unsure = question->unsure || fact->hole;
	if (strcmp(verb, "ask") == 0) {
		ask(fold, question, fact, &body);
	} else if (strcmp(verb, "answer") == 0) {
		answer(fold, question, fact, &body);
	} else {
		clear(fold, question);
		question->there = false;
		question->whole = true;
	}
}

/* ---- a baseline ---- */

static const char *known_status(const char *text)
{
	static const char *const known[] = {"open", "answered", "expired"};
	for (size_t i = 0; text != NULL && i < sizeof known / sizeof *known; i++)
		if (strcmp(text, known[i]) == 0)
			return known[i];
	return NULL;
}

static bool load(void *of, const char *noun, const json_t *row)
{
	struct verify_questions *fold = of;
	struct verify_id key = {0};
	if (strcmp(noun, "interaction") != 0)
		return true;
	const char *status = known_status(baseline_text(row, VERIFY_QUESTION_STATUS));
	if (status == NULL || !baseline_id(row, VERIFY_QUESTION_TENANT, &key.tenant) || !baseline_id(row, VERIFY_QUESTION_ID, &key.id))
		return false;
	if (!verify_in_pass(fold->v, &key.id) || verify_ids_find(&fold->all, &key) != NULL)
		return true;
	struct verify_question *question = leat_alloc_zero(1, sizeof *question);
	*question = (struct verify_question){.there = true,
		.connection = baseline_copy(row, VERIFY_QUESTION_CONNECTION),
		.user = baseline_copy(row, VERIFY_QUESTION_USER),
		.payload = baseline_value(row, VERIFY_QUESTION_PAYLOAD),
		.run = baseline_copy(row, VERIFY_QUESTION_RUN),
		.node = baseline_copy(row, VERIFY_QUESTION_NODE),
		.value = baseline_value(row, VERIFY_QUESTION_VALUE),
		.status = status,
		.position = baseline_number(row, VERIFY_QUESTION_POSITION),
		.created_us = baseline_number(row, VERIFY_QUESTION_CREATED),
		.asked_us = baseline_number(row, VERIFY_QUESTION_ASKED),
		.expires_us = baseline_number(row, VERIFY_QUESTION_EXPIRES),
		.claimed_us = baseline_number(row, VERIFY_QUESTION_CLAIMED),
		.bytes = 256,
		.whole = true};
	fold->bytes += question->bytes;
	verify_ids_add(&fold->all, &key, question);
	return true;
}

const struct verify_fold verify_interactions = {.noun = "interactions",
	.streams = 1u << VERIFY_CONTROL,
	.open = open_fold,
	.load = load,
	.feed = feed,
	.narrow = narrow,
	.bytes = bytes_of,
	.compare = verify_compare_interactions,
	.close = close_fold};
