/* Intents as values of the type that the deciding functions take. Literals are dollar-quoted: nothing in a test contains $literal$. */
#include "deciding.h"

#include "leat/buf.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void add_literal(struct leat_buf *out, const char *value)
{
	if (value == NULL)
		leat_buf_add_text(out, ", null");
	else
		leat_buf_printf(out, ", $literal$%s$literal$", value);
}

char *asked_sql(const struct asked *asked)
{
	struct leat_buf sql = LEAT_BUF_INIT;
	size_t noun = strcspn(asked->noun_verb, ".");
	leat_buf_printf(&sql,
		"select concat_ws(' ', d.code, coalesce(d.message, d.result::text)) from leat.decide_%.*s(row(%" PRId64 ", to_timestamp(%" PRId64
		")",
		(int)noun, asked->noun_verb, asked->position, asked->position);
	add_literal(&sql, asked->tenant != NULL ? asked->tenant : RIG_TENANT_A);
	add_literal(&sql, asked->role != NULL ? asked->role : "service");
	leat_buf_printf(&sql, ", '%.*s', '%s'", (int)noun, asked->noun_verb, asked->noun_verb + noun + 1);
	add_literal(&sql, asked->target);
	add_literal(&sql, asked->actor);
	char *body = leat_strdup(asked->body != NULL ? asked->body : "{}");
	for (char *at = body; (at = strchr(at, '\'')) != NULL;)
		*at = '"';
	add_literal(&sql, body);
	free(body);
	leat_buf_add_text(&sql, ")::leat.control_intent) d");
	return leat_buf_take(&sql);
}

void expect_decision(struct client *client, const char *expected, struct asked asked)
{
	char *sql = asked_sql(&asked);
	char *found = client_ask(client, "%s", sql);
	cr_assert_eq(strncmp(found, expected, strlen(expected)), 0, "expected %s, found %s\n%s", expected, found, sql);
	free(found);
	free(sql);
}

void add_members(struct rig *rig)
{
	rig_sql(rig,
		"insert into leat.members (tenant_id, user_id, role) values ('" RIG_TENANT_A "', '" USER_OWNER "', 'owner'),"
		" ('" RIG_TENANT_A "', '" USER_ADMIN "', 'admin'), ('" RIG_TENANT_A "', '" USER_EDITOR "', 'editor'),"
		" ('" RIG_TENANT_A "', '" USER_VIEWER "', 'viewer'), ('" RIG_TENANT_B "', '" USER_VIEWER "', 'owner')");
}
