/*
 * What the tests of events and audit rows run on: an entity, and what was noted of it since it was looked at last. There is no relay, so
 * that the data of events stay in the outbox.
 */
#ifndef LEAT_TESTS_EVENT_FIXTURE_H
#define LEAT_TESTS_EVENT_FIXTURE_H

#include "client.h"
#include "intents.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRACE "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

static struct rig rig;
static struct gate gate;

static inline void setup(void)
{
	gate_open_with_rig(&gate, &rig);
	rig_sql(&rig,
		"create view event as select seq, id, subject, split_part(event, '.', 3) as what, right(subject, 1) as entity,"
		" convert_from(headers, 'UTF8') as headers, convert_from(body, 'UTF8')::jsonb as data, created_at"
		" from leat.outbox where event like 'leat.entity.%%'");
}

static inline void teardown(void)
{
	gate_close_with_rig(&gate, &rig);
}

/* What is in the outbox and the audit log is taken as known. */
static inline void forget(void)
{
	rig_sql(&rig, "truncate leat.outbox, leat.audit_log");
}

/* Of all events since, in order: last part of type, last digit of the id, position, changed content / metadata. */
static inline void expect_events(const char *expected)
{
	rig_sql_expect(&rig, expected,
		"select string_agg(concat(what, ' ', entity, ' @', data ->> 'position', ' ',"
		"  (select string_agg(f, '+' order by f) from jsonb_array_elements_text(data #> '{changed,content}') f), '/',"
		"  (select string_agg(f, '+' order by f) from jsonb_array_elements_text(data #> '{changed,metadata}') f)), ', ' order by seq) from "
		"event");
}

/* Of all audit rows since: operation, last digit of the id, position, actor. */
static inline void expect_audit(const char *expected)
{
	rig_sql_expect(&rig, expected,
		"select string_agg(concat_ws(' ', operation, right(entity_id::text, 1), '@' || position, actor), ', ' order by at, ctid) from "
		"leat.audit_log");
}

static inline void expect_nothing(void)
{
	expect_events("");
	expect_audit("");
}

static inline void create_entity(void)
{
	cr_assert_eq(put(&gate, intent(1, "upsert", ENTITY_1, "'content':{'a':1,'b':1},'metadata':{'m':1}")), LEAT_OUTCOME_APPLIED);
	forget();
}

#endif
