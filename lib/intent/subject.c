/*
 * The subject of an intent or a query, cut at its dots. Who may act for which tenant stands in it and nowhere else, so what is not certain
 * is not routable: exactly six tokens, a tenant that is a UUID, a noun and a verb that can stand in a table and in another subject.
 */
#include "leat/intent.h"

#include "leat/text.h"

#include <string.h>

#define TOKENS 6
#define TOKEN_BYTES 255 /* of noun and verb: the dead letter's subject has to fit a line of the protocol */

enum token { TOKEN_LEAT, TOKEN_KIND, TOKEN_TENANT, TOKEN_ROLE, TOKEN_NOUN, TOKEN_VERB };

const char *leat_role_name(enum leat_role role)
{
	static const char *const names[] = {
		[LEAT_ROLE_NONE] = "", [LEAT_ROLE_USER] = "user", [LEAT_ROLE_SERVICE] = "service", [LEAT_ROLE_ENGINE] = "engine"};
	return names[role];
}

/* False unless there are exactly TOKENS, none of them empty. */
static bool split(const char *subject, struct leat_text tokens[TOKENS])
{
	const char *at = subject;
	for (size_t i = 0; i < TOKENS; i++) {
		size_t bytes = strcspn(at, ".");
		bool last = at[bytes] == '\0';
		if (bytes == 0 || last != (i == TOKENS - 1))
			return false;
		tokens[i] = (struct leat_text){at, bytes};
		at += bytes + 1;
	}
	return true;
}

static bool is(struct leat_text token, const char *word)
{
	return token.bytes == strlen(word) && memcmp(token.at, word, token.bytes) == 0;
}

/* It becomes part of the dead letter's subject and a value in the ledger. */
static bool is_literal(struct leat_text token)
{
	return token.bytes <= TOKEN_BYTES && !is(token, "*") && !is(token, ">") && memchr(token.at, ' ', token.bytes) == NULL &&
		leat_text_is_printable(token);
}

static enum leat_role role_of(struct leat_text token)
{
	for (enum leat_role role = LEAT_ROLE_USER; role <= LEAT_ROLE_ENGINE; role++)
		if (is(token, leat_role_name(role)))
			return role;
	return LEAT_ROLE_NONE;
}

/* The second token must be one of the two words; redrive_word may be NULL. */
static void parse(struct leat_subject *out, const char *subject, const char *word, const char *redrive_word)
{
	*out = (struct leat_subject){0};
	struct leat_text tokens[TOKENS];
	struct leat_uuid tenant;
	if (!split(subject, tokens) || !is(tokens[TOKEN_LEAT], "leat"))
		return;
	bool redrive = redrive_word != NULL && is(tokens[TOKEN_KIND], redrive_word);
	if (!redrive && !is(tokens[TOKEN_KIND], word))
		return;
	if (!leat_uuid_parse(&tenant, tokens[TOKEN_TENANT].at, tokens[TOKEN_TENANT].bytes))
		return;
	if (!is_literal(tokens[TOKEN_NOUN]) || !is_literal(tokens[TOKEN_VERB]))
		return;
	*out = (struct leat_subject){
		.routable = true,
		.redrive = redrive,
		.tenant = tenant,
		.role = role_of(tokens[TOKEN_ROLE]),
		.noun = tokens[TOKEN_NOUN].at,
		.noun_bytes = tokens[TOKEN_NOUN].bytes,
		.verb = tokens[TOKEN_VERB].at,
		.verb_bytes = tokens[TOKEN_VERB].bytes,
	};
}

void leat_subject_parse(struct leat_subject *out, const char *subject)
{
	parse(out, subject, "intent", "redrive");
}

void leat_subject_parse_query(struct leat_subject *out, const char *subject)
{
	parse(out, subject, "query", NULL);
}
