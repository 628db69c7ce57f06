#include "decoding.h"

#define BODY "{\"entity_id\":\"" ENTITY "\"}"
#define TRACE "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

static struct decoded with(struct leat_raw_intent raw)
{
	if (raw.subject == NULL)
		raw.subject = SUBJECT("merge");
	raw.body = BODY;
	raw.body_bytes = strlen(BODY);
	return decode_raw(&raw);
}

/* A text of `bytes` letters, of the caller's to free. */
static char *letters(size_t bytes)
{
	char *text = leat_alloc(bytes + 1);
	memset(text, 'a', bytes);
	text[bytes] = '\0';
	return text;
}

Test(header, none_are_needed)
{
	DECODED out = with((struct leat_raw_intent){0});
	cr_expect(out.kind == LEAT_OK, "%s", out.err.text);
	cr_expect(out.intent.id == NULL && out.intent.actor == NULL && out.intent.reply_to == NULL && out.intent.traceparent == NULL);
}

Test(header, legal_ones_are_borrowed_as_they_are)
{
	struct leat_raw_intent raw = {
		.id = "order 17 é", .actor = "importer", .reply_to = "leat.reply." TENANT ".inbox.7", .traceparent = TRACE};
	DECODED out = with(raw);
	cr_assert(out.kind == LEAT_OK, "%s", out.err.text);
	cr_expect(out.intent.id == raw.id && out.intent.actor == raw.actor);
	cr_expect(out.intent.reply_to == raw.reply_to && out.intent.traceparent == raw.traceparent);
}

Test(header, id_and_actor_may_have_256_bytes)
{
	char *longest = letters(256);
	DECODED out = with((struct leat_raw_intent){.id = longest, .actor = longest});
	cr_expect(out.kind == LEAT_OK, "%s", out.err.text);
	free(longest);
}

Test(header, bad_ids_and_actors_are_refused_by_name)
{
	char *too_long = letters(257);
	const char *const bad[] = {
		"", too_long, "a\xff", "\xc3", "\xed\xa0\x80", "\xc0\xaf", "\xf4\x90\x80\x80", "tab\there", "bell\x07", "\x7f", "\xc2\x85"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		DECODED id = with((struct leat_raw_intent){.id = bad[i], .actor = "me"});
		cr_expect(id.err.code == LEAT_CODE_INVALID_MESSAGE && strstr(id.err.text, "Leat-Id"), "%zu: %s", i, id.err.text);
		cr_expect(id.intent.id == NULL && id.intent.actor != NULL);
		DECODED actor = with((struct leat_raw_intent){.id = "mine", .actor = bad[i]});
		cr_expect(actor.err.code == LEAT_CODE_INVALID_MESSAGE && strstr(actor.err.text, "Leat-Actor"), "%zu: %s", i, actor.err.text);
		cr_expect(actor.intent.actor == NULL && actor.intent.id != NULL);
	}
	free(too_long);
}

Test(header, replies_go_only_below_the_tenants_own_prefix)
{
	static const char *const bad[] = {"", "leat.reply", "leat.reply." TENANT, "leat.reply." TENANT ".", "leat.reply." TENANT "..x",
		"leat.reply." TENANT ".x.", "leat.reply." TENANT ".*", "leat.reply." TENANT ".>", "leat.reply." TENANT ".a.>",
		"leat.reply." TENANT ".a b", "leat.reply." TENANT ".a\tb", "leat.reply." TENANT ".a\r\nPUB x", "leat.reply.*.x",
		"leat.reply.99999999-2222-4333-8444-555555555555.x", "leat.reply." TENANT "x.y", "leat.intent." TENANT ".engine.entity.delete",
		"$JS.API.STREAM.DELETE.LEAT_ENTITY", "_INBOX.x", "leat.reply." TENANT ".\xff"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		DECODED out = with((struct leat_raw_intent){.id = "kept", .reply_to = bad[i]});
		cr_expect(out.err.code == LEAT_CODE_INVALID_MESSAGE && strstr(out.err.text, "Leat-Reply-To"), "%s: %s", bad[i], out.err.text);
		cr_expect(out.intent.reply_to == NULL && out.intent.id != NULL);
	}
}

Test(header, a_reply_may_have_1024_bytes)
{
	char *reply_to = letters(1025);
	memcpy(reply_to, "leat.reply." TENANT ".", strlen("leat.reply." TENANT "."));
	DECODED over = with((struct leat_raw_intent){.reply_to = reply_to});
	cr_expect(over.err.code == LEAT_CODE_INVALID_MESSAGE && strstr(over.err.text, "Leat-Reply-To"), "%s", over.err.text);
	cr_expect_null(over.intent.reply_to);
	reply_to[1024] = '\0';
	DECODED out = with((struct leat_raw_intent){.reply_to = reply_to});
	cr_expect(out.kind == LEAT_OK && out.intent.reply_to == reply_to, "%s", out.err.text);
	free(reply_to);
}

Test(header, a_reply_is_kept_for_a_message_that_is_refused)
{
	struct leat_raw_intent raw = {
		.subject = SUBJECT("merge"), .body = "{", .body_bytes = 1, .id = "i", .actor = "a", .reply_to = "leat.reply." TENANT ".x"};
	DECODED broken = decode_raw(&raw);
	cr_expect(broken.err.code == LEAT_CODE_INVALID_JSON);
	cr_expect(broken.intent.reply_to != NULL && broken.intent.id != NULL && broken.intent.actor != NULL && broken.intent.type != NULL);
	raw.subject = SUBJECT("mrege");
	DECODED unknown = decode_raw(&raw);
	cr_expect(unknown.err.code == LEAT_CODE_UNKNOWN_VERB);
	cr_expect(unknown.intent.reply_to != NULL && unknown.intent.id != NULL && unknown.intent.type == NULL);
}

Test(header, no_reply_without_a_tenant)
{
	DECODED out = with((struct leat_raw_intent){
		.subject = "leat.intent.acme.user.entity.merge", .reply_to = "leat.reply.00000000-0000-0000-0000-000000000000.x"});
	cr_expect(out.kind == LEAT_PERMANENT && out.intent.reply_to == NULL);
}

Test(header, a_malformed_traceparent_is_ignored)
{
	static const char *const bad[] = {"", "00", "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x", "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		"00-00000000000000000000000000000000-b7ad6b7169203331-01", "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
		"00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		DECODED out = with((struct leat_raw_intent){.traceparent = bad[i]});
		cr_expect(out.kind == LEAT_OK && out.intent.traceparent == NULL, "%s", bad[i]);
	}
}
