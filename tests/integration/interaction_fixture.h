/*
 * What the tests of questions run on: intents handed to the deciding function as the control lane would, and what was noted of it. There is
 * no relay, so that the data of events stay in the outbox.
 */
#ifndef LEAT_TESTS_INTERACTION_FIXTURE_H
#define LEAT_TESTS_INTERACTION_FIXTURE_H

#include "client.h"
#include "intents.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUESTION "91919191-0000-4000-8000-000000000001"
#define QUESTION_2 "91919191-0000-4000-8000-000000000002"
#define ANN "a0a0a0a0-0000-4000-8000-00000000000a"
#define BOB "b0b0b0b0-0000-4000-8000-00000000000b"
#define RUN "77777777-0000-4000-8000-000000000001"

static struct rig rig;
static struct client lane;
static int64_t position;

static inline void setup(void)
{
	rig_open(&rig);
	install_schema(&rig);
	client_open(&lane, &rig, "service_role");
	position = 0;
	rig_sql(&rig,
		"create view event as select seq, split_part(subject, '.', 3)::uuid as tenant_id, split_part(subject, '.', 5)::uuid as id,"
		" split_part(event, '.', 3) as what, convert_from(headers, 'UTF8') as headers, convert_from(body, 'UTF8')::jsonb as data"
		" from leat.outbox where event like 'leat.interaction.%%' and split_part(subject, '.', 4) = 'interaction'");
}

static inline void teardown(void)
{
	client_close(&lane);
	rig_close(&rig);
}

struct asking {
	const char *verb;
	const char *body;   /* with ' for " */
	const char *role;   /* NULL: service */
	const char *tenant; /* NULL: RIG_TENANT_A */
	const char *actor;  /* NULL: none */
	int at_s;           /* since the first day of 2026 */
};

/* "code: message", or the result of what was applied. Each call is the next position of the stream. The caller's to free(). */
static inline char *decide(struct asking asking)
{
	return client_ask(&lane,
		"select coalesce(d.code || ': ' || d.message, d.result::text) from leat.decide_interaction(row(%lld,"
		" timestamptz '2026-01-01T00:00:00Z' + interval '%d s', '%s', '%s', 'interaction', '%s', null, nullif('%s', ''),"
		" replace($body$%s$body$, '''', '\"')::jsonb)::leat.control_intent) d",
		(long long)++position, asking.at_s, asking.tenant != NULL ? asking.tenant : RIG_TENANT_A,
		asking.role != NULL ? asking.role : "service", asking.verb, asking.actor != NULL ? asking.actor : "", asking.body);
}

/* It must be this text. */
static inline void expect_decision(struct asking asking, const char *expected)
{
	char *said = decide(asking);
	cr_assert_str_eq(said, expected, "%s %s:\nexpected %s\nfound    %s", asking.verb, asking.body, expected, said);
	free(said);
}

/* It must be applied; what came of it is looked at otherwise. */
static inline void apply(struct asking asking)
{
	char *said = decide(asking);
	cr_assert_eq(said[0], '{', "%s %s: %s", asking.verb, asking.body, said);
	free(said);
}

#define SCOPE(id, connection) "'interaction_id':'" id "','connection_id':'" connection "'"
#define ASK(id, user) "{" SCOPE(id, "c1") ",'expected_user_id':'" user "','payload':{'text':'Shall we?'}}"
#define ASK_FOR(id, user, seconds) "{" SCOPE(id, "c1") ",'expected_user_id':'" user "','payload':{'text':'Shall we?'},'ttl_s':" #seconds "}"
#define ANSWER(id, user) "{" SCOPE(id, "c1") ",'user_id':'" user "','value':'yes'}"
#define WITHDRAW(id, user) "{" SCOPE(id, "c1") ",'expected_user_id':'" user "'}"
#define EXPIRE(id) "{'interaction_ids':['" id "']}"

/* All questions: tenant's first letter, last digit of the id, status. */
static inline void expect_questions(const char *expected)
{
	rig_sql_expect(&rig, expected,
		"select string_agg(concat(left(tenant_id::text, 1), right(id::text, 1), ' ', status), ', ' order by tenant_id, id) from "
		"leat.interactions");
}

/* All rows with their versions, and all events. The caller's to free(). */
static inline char *everything(void)
{
	return rig_sql_text(&rig,
		"select concat_ws(' ', string_agg(concat_ws(' ', i, i.xmin, i.ctid), ',' order by tenant_id, id), (select count(*) from "
		"leat.outbox))"
		" from leat.interactions i");
}

static inline void expect_unchanged(char *before)
{
	char *after = everything();
	cr_assert_str_eq(after, before, "before %s\nafter  %s", before, after);
	free(before);
	free(after);
}

#endif
