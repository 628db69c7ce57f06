/*
 * Any message at all through leat_intent_decode. The first byte picks the subject, the second what the headers hold; the rest is the body.
 *
 * Beyond what the sanitizers see: a refusal has a code and a readable reason, an acceptance has a target, and jansson, as a second
 * opinion on JSON, agrees; it may only balk at numbers that it can't hold.
 */
#include "leat/intent.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TENANT "11111111-2222-4333-8444-555555555555"

static const char *const subjects[] = {
	"leat.intent." TENANT ".service.entity.merge", "leat.intent." TENANT ".user.entity.upsert",
	"leat.intent." TENANT ".service.entity.bulk", "leat.intent." TENANT ".engine.entity.unset",
	"leat.intent." TENANT ".service.entity.delete", "leat.intent." TENANT ".nobody.entity.merge", "leat.intent." TENANT ".user.entity.lock",
	"leat.redrive." TENANT ".user.entity.merge", NULL, /* from here on the body's beginning is the subject */
};

#define SUBJECTS (sizeof subjects / sizeof *subjects)

static void require(bool holds)
{
	if (!holds)
		abort();
}

static bool is_utf8(const char *text)
{
	json_t *string = json_string(text);
	bool valid = string != NULL;
	json_decref(string);
	return valid;
}

static void check_refusal(const struct leat_intent *intent, const struct leat_error *err)
{
	require(err->kind == LEAT_PERMANENT);
	require(err->code == LEAT_CODE_INVALID_JSON || err->code == LEAT_CODE_INVALID_MESSAGE || err->code == LEAT_CODE_UNKNOWN_VERB ||
		err->code == LEAT_CODE_TOO_LARGE);
	require(err->text[0] != '\0' && memchr(err->text, '\0', sizeof err->text) != NULL && is_utf8(err->text));
	require(intent->target_count == 0 || err->code == LEAT_CODE_TOO_LARGE || err->code == LEAT_CODE_INVALID_MESSAGE);
}

static void check_acceptance(const struct leat_intent *intent)
{
	require(intent->subject.routable && intent->subject.role != LEAT_ROLE_NONE && intent->type != NULL);
	require((intent->type->target == LEAT_TARGET_IDS) == (intent->target_count > 0));
	require(intent->target_count <= LEAT_BULK_IDS);
	for (size_t i = 1; i < intent->target_count; i++)
		require(leat_uuid_compare(&intent->targets[i - 1], &intent->targets[i]) < 0);
}

static void compare_with_jansson(const char *body, size_t body_bytes, enum leat_kind kind, const struct leat_error *err)
{
	json_error_t error = {0};
	json_t *tree = json_loadb(body, body_bytes, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, &error);
	enum json_error_code reason = json_error_code(&error);
	if (kind == LEAT_OK)
		require(tree != NULL || reason == json_error_numeric_overflow);
	else if (err->code == LEAT_CODE_INVALID_JSON)
		require(tree == NULL);
	else if (tree == NULL && err->code != LEAT_CODE_TOO_LARGE)
		require(reason == json_error_numeric_overflow || reason == json_error_duplicate_key || reason == json_error_null_character ||
			reason == json_error_null_byte_in_key);
	json_decref(tree);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	const char *body = (const char *)data + 2;
	size_t body_bytes = size - 2;
	char text[300];
	size_t text_bytes = body_bytes < sizeof text - 1 ? body_bytes : sizeof text - 1;
	if (text_bytes > 0)
		memcpy(text, body, text_bytes);
	text[text_bytes] = '\0';

	const char *subject = subjects[data[0] % SUBJECTS];
	struct leat_raw_intent raw = {
		.subject = subject != NULL ? subject : text,
		.body = body,
		.body_bytes = body_bytes,
		.id = data[1] & 1 ? text : NULL,
		.actor = data[1] & 2 ? text : NULL,
		.reply_to = data[1] & 4 ? text : NULL,
		.traceparent = data[1] & 8 ? text : NULL,
	};
	struct leat_params limits;
	leat_params_init(&limits);
	if (data[1] & 16) {
		limits.max_fields = 3;
		limits.max_nesting = 4;
		limits.max_field_name_bytes = 5;
		limits.max_key_bytes = 6;
		limits.max_body_bytes = 1024;
	}
	struct leat_intent intent;
	struct leat_error err = {0};
	enum leat_kind kind = leat_intent_decode(&intent, &raw, &limits, &err);
	require(kind == LEAT_OK || kind == LEAT_PERMANENT);
	if (kind == LEAT_OK)
		check_acceptance(&intent);
	else
		check_refusal(&intent, &err);
	bool body_was_read = intent.type != NULL && intent.subject.role != LEAT_ROLE_NONE && (data[1] & 7) == 0;
	bool has_nul = memchr(body, '\0', body_bytes) != NULL; /* jansson overlooks some of these */
	if (body_was_read && !has_nul)
		compare_with_jansson(body, body_bytes, kind, &err);
	leat_intent_fini(&intent);
	return 0;
}
