/*
 * From a message to a checked intent or query: whose it is, which message it is, its headers, its body, its fields, in that order; the
 * first fault is the one told. What was understood before it stays in *out, so that the ledger, the dead letter and the reply can say whose
 * it was.
 */
#include "parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static enum leat_kind refuse_unroutable(const struct leat_intent_kind *kind, const char *subject, struct leat_error *err)
{
	return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INVALID_MESSAGE,
		"the subject must be leat.%s.<tenant>.<role>.<noun>.<verb>, the tenant a UUID, noun and verb at most 255 bytes; found \"%s\"",
		kind->name, leat_excerpt((struct leat_text){subject, strlen(subject)}).text);
}

static enum leat_kind refuse_verb(const struct leat_intent_kind *kind, const struct leat_subject *subject, struct leat_error *err)
{
	LEAT_BUF_SCOPED known = LEAT_BUF_INIT;
	for (size_t i = 0; i < kind->count; i++)
		leat_buf_printf(&known, "%s%s.%s", i > 0 ? ", " : "", kind->types[i].noun, kind->types[i].verb);
	return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_UNKNOWN_VERB, "no %s is called %s.%s; there are %s", kind->name,
		leat_excerpt((struct leat_text){subject->noun, subject->noun_bytes}).text,
		leat_excerpt((struct leat_text){subject->verb, subject->verb_bytes}).text, leat_buf_text(&known));
}

/* The fourth token; the subject is routable, so it has one. */
static struct leat_excerpt role_token(const char *subject)
{
	const char *at = subject;
	for (int dots = 0; dots < 3; dots++)
		at = strchr(at, '.') + 1;
	return leat_excerpt((struct leat_text){at, strcspn(at, ".")});
}

static enum leat_kind check_subject(struct leat_intent *out, const struct leat_intent_kind *kind, const char *text, struct leat_error *err)
{
	const struct leat_subject *subject = &out->subject;
	if (!subject->routable)
		return refuse_unroutable(kind, text, err);
	out->type = leat_intent_kind_find(kind, subject->noun, subject->noun_bytes, subject->verb, subject->verb_bytes);
	if (out->type == NULL)
		return refuse_verb(kind, subject, err);
	if (subject->role == LEAT_ROLE_NONE)
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INVALID_MESSAGE,
			"the role in the subject must be user, service or engine; found \"%s\"", role_token(text).text);
	return LEAT_OK;
}

/* What became of a node, in Leat's own words: whoever made it saw to its size, and refused it would leave the node waiting. */
static bool is_own_fact(const struct leat_intent *intent)
{
	return intent->subject.role == LEAT_ROLE_ENGINE && strcmp(intent->type->noun, "run") == 0 && strcmp(intent->type->verb, "node") == 0;
}

/* Behind leat_subject_parse. */
static enum leat_kind decode(struct leat_intent *out, const struct leat_intent_kind *kind, const struct leat_raw_intent *raw,
	const struct leat_params *limits, struct leat_error *err)
{
	leat_headers_take(out, raw);
	if (check_subject(out, kind, raw->subject, err) != LEAT_OK || leat_headers_check(out, raw, err) != LEAT_OK)
		return LEAT_PERMANENT;
	if (raw->body_bytes > (size_t)limits->max_body_bytes && !is_own_fact(out))
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_TOO_LARGE, "the body has %zu bytes; the limit is %" PRId64 " (--max-body-bytes)",
			raw->body_bytes, limits->max_body_bytes);
	struct leat_json body;
	if (leat_json_check(&body, raw->body, raw->body_bytes, limits->max_nesting, err) != LEAT_OK)
		return LEAT_PERMANENT;
	return leat_fields_read(out, &body, limits, err);
}

enum leat_kind leat_intent_decode(
	struct leat_intent *out, const struct leat_raw_intent *raw, const struct leat_params *limits, struct leat_error *err)
{
	*out = (struct leat_intent){0};
	leat_subject_parse(&out->subject, raw->subject);
	return decode(out, &leat_intents, raw, limits, err);
}

enum leat_kind leat_query_decode(
	struct leat_intent *out, const struct leat_raw_intent *raw, const struct leat_params *limits, struct leat_error *err)
{
	*out = (struct leat_intent){0};
	leat_subject_parse_query(&out->subject, raw->subject);
	return decode(out, &leat_queries, raw, limits, err);
}

void leat_intent_fini(struct leat_intent *intent)
{
	free(intent->targets);
	intent->targets = NULL;
	intent->target_count = 0;
}
