/*
 * The headers a producer may set (design.md section 3), taken over in place. A header that is not legal is as if it were absent, for the
 * ledger and the reply, and then the message is refused with its name; except traceparent, which W3C Trace Context says to ignore.
 */
#include "parts.h"

#include <string.h>

#define REPLY_PREFIX "leat.reply."

static bool is_short_text(const char *value, size_t limit)
{
	size_t bytes = strnlen(value, limit + 1);
	return bytes > 0 && bytes <= limit && leat_text_is_printable((struct leat_text){value, bytes});
}

/* A literal subject: no empty token, no wildcard, nothing that ends a line of the protocol. */
static bool is_literal_subject(const char *subject)
{
	size_t bytes = strlen(subject);
	return bytes > 0 && subject[0] != '.' && subject[bytes - 1] != '.' && strstr(subject, "..") == NULL &&
		strpbrk(subject, "*> ") == NULL && leat_text_is_printable((struct leat_text){subject, bytes});
}

/* Anything else would let a message make the consumer publish anywhere. */
static bool is_reply_of(const struct leat_subject *subject, const char *reply_to)
{
	size_t prefix = strlen(REPLY_PREFIX);
	if (!subject->routable || strnlen(reply_to, LEAT_REPLY_TO_BYTES + 1) > LEAT_REPLY_TO_BYTES ||
		strncmp(reply_to, REPLY_PREFIX, prefix) != 0 || !is_literal_subject(reply_to))
		return false;
	const char *tenant = reply_to + prefix;
	size_t tenant_bytes = strcspn(tenant, ".");
	struct leat_uuid uuid;
	return tenant[tenant_bytes] == '.' && leat_uuid_parse(&uuid, tenant, tenant_bytes) && leat_uuid_compare(&uuid, &subject->tenant) == 0;
}

/* `00-<32 hex>-<16 hex>-<2 hex>`, lower case, neither id all zeros (https://www.w3.org/TR/trace-context-1/#traceparent-header). */
static bool is_traceparent(const char *value)
{
	static const char shape[] = "xx-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-xxxxxxxxxxxxxxxx-xx";
	if (strnlen(value, sizeof shape) != sizeof shape - 1 || strncmp(value, "ff", 2) == 0)
		return false;
	for (size_t i = 0; i < sizeof shape - 1; i++) {
		bool hex = (value[i] >= '0' && value[i] <= '9') || (value[i] >= 'a' && value[i] <= 'f');
		if (shape[i] == 'x' ? !hex : value[i] != '-')
			return false;
	}
	return strspn(value + 3, "0") < 32 && strspn(value + 36, "0") < 16;
}

void leat_headers_take(struct leat_intent *out, const struct leat_raw_intent *raw)
{
	if (raw->id != NULL && is_short_text(raw->id, LEAT_ID_BYTES))
		out->id = raw->id;
	if (raw->actor != NULL && is_short_text(raw->actor, LEAT_ACTOR_BYTES))
		out->actor = raw->actor;
	if (raw->reply_to != NULL && is_reply_of(&out->subject, raw->reply_to))
		out->reply_to = raw->reply_to;
	if (raw->traceparent != NULL && is_traceparent(raw->traceparent))
		out->traceparent = raw->traceparent;
}

static struct leat_excerpt quote(const char *value)
{
	return leat_excerpt((struct leat_text){value, strlen(value)});
}

static enum leat_kind refuse_text(const char *name, const char *value, int limit, struct leat_error *err)
{
	return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INVALID_MESSAGE,
		"%s: expected 1 to %d bytes of UTF-8 without control characters, found %zu bytes: \"%s\"", name, limit, strlen(value),
		quote(value).text);
}

enum leat_kind leat_headers_check(const struct leat_intent *intent, const struct leat_raw_intent *raw, struct leat_error *err)
{
	if (raw->id != NULL && intent->id == NULL)
		return refuse_text("Leat-Id", raw->id, LEAT_ID_BYTES, err);
	if (raw->actor != NULL && intent->actor == NULL)
		return refuse_text("Leat-Actor", raw->actor, LEAT_ACTOR_BYTES, err);
	if (raw->reply_to == NULL || intent->reply_to != NULL)
		return LEAT_OK;
	char tenant[LEAT_UUID_TEXT_BYTES];
	leat_uuid_format(&intent->subject.tenant, tenant);
	return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INVALID_MESSAGE,
		"Leat-Reply-To: expected a subject without wildcards under " REPLY_PREFIX "%s., at most %d bytes; found %zu bytes: \"%s\"", tenant,
		LEAT_REPLY_TO_BYTES, strlen(raw->reply_to), quote(raw->reply_to).text);
}
