/* Decoding as a test sees it: a body or a header in, what came out of it compared. */
#ifndef LEAT_TESTS_DECODING_H
#define LEAT_TESTS_DECODING_H

#include "leat/intent.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TENANT "11111111-2222-4333-8444-555555555555"
#define ENTITY "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
#define SUBJECT(verb) "leat.intent." TENANT ".service.entity." verb

struct decoded {
	enum leat_kind kind;
	struct leat_intent intent;
	struct leat_error err;
};

static inline void free_decoded(struct decoded *decoded)
{
	leat_intent_fini(&decoded->intent);
}

#define DECODED __attribute__((cleanup(free_decoded))) struct decoded

static inline struct decoded decode_with(const struct leat_raw_intent *raw, const struct leat_params *limits)
{
	struct decoded out = {0};
	out.kind = leat_intent_decode(&out.intent, raw, limits, &out.err);
	cr_assert(out.kind == LEAT_OK || out.kind == LEAT_PERMANENT);
	cr_assert(out.kind == LEAT_OK || (out.err.code != LEAT_CODE_NONE && out.err.text[0] != '\0'), "a rejection without a reason");
	return out;
}

static inline struct decoded decode_raw(const struct leat_raw_intent *raw)
{
	struct leat_params limits;
	leat_params_init(&limits);
	return decode_with(raw, &limits);
}

static inline struct decoded decode_bytes(const char *subject, const char *body, size_t body_bytes)
{
	/* In memory of its own, so that the sanitizer sees a read past its end. */
	char *exact = leat_alloc(body_bytes);
	if (body_bytes > 0)
		memcpy(exact, body, body_bytes);
	struct decoded out = decode_raw(&(struct leat_raw_intent){.subject = subject, .body = exact, .body_bytes = body_bytes});
	free(exact);
	return out;
}

static inline struct decoded decode(const char *subject, const char *body)
{
	return decode_bytes(subject, body, strlen(body));
}

static inline void expect_accepted(const char *subject, const char *body)
{
	DECODED out = decode(subject, body);
	cr_expect(out.kind == LEAT_OK, "%.200s: %s", body, out.err.text);
}

/* `mentions` must be a part of the text that people read; NULL for any. */
static inline void expect_rejected(const char *subject, const char *body, enum leat_code code, const char *mentions)
{
	DECODED out = decode(subject, body);
	cr_expect(out.kind == LEAT_PERMANENT, "accepted: %.200s", body);
	cr_expect(out.err.code == code, "%.200s: %s %s", body, leat_code_name(out.err.code), out.err.text);
	cr_expect(
		mentions == NULL || strstr(out.err.text, mentions) != NULL, "%.200s: \"%s\" does not say \"%s\"", body, out.err.text, mentions);
}

#endif
