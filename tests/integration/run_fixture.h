/*
 * What the tests of the keeper's part in runs stand on: a workflow, runs of it, and facts handed to the function that applies them, as the
 * run lane would. There is no relay: relay_facts takes what is told to runs out of the outbox and applies it.
 */
#ifndef LEAT_TESTS_RUN_FIXTURE_H
#define LEAT_TESTS_RUN_FIXTURE_H

#include "client.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define FLOW "f1f1f1f1-0000-4000-8000-000000000001"
#define RUN_1 "77777777-0000-4000-8000-000000000001"
#define RUN_2 "77777777-0000-4000-8000-000000000002"
#define RUN_OF_B "77777777-0000-4000-8000-00000000000b"

/* Saves the next version of FLOW, for tenant A; definition with ' for ". */
static inline void run_save(struct rig *on, const char *nodes, const char *edges)
{
	rig_sql(on,
		"insert into leat.workflows as w (id, tenant_id, name, version) values ('" FLOW "', '" RIG_TENANT_A "', 'flow', 1)"
		" on conflict (id) do update set version = w.version + 1;"
		"insert into leat.workflow_versions (workflow_id, version, tenant_id, name, definition)"
		" select id, version, tenant_id, name, replace($d${'nodes':[%s],'edges':[%s]}$d$, '''', '\"')::jsonb from leat.workflows",
		nodes, edges);
}

/* The functions of the fixture, and the mark of the stream. */
static inline void run_prepare(struct rig *on)
{
	rig_sql(on,
		"create sequence run_fact;"
		"create function apply_fact(p_tenant text, p_verb text, p_role text, p_run uuid, p_leat_id text, p_body text) returns text "
		"language sql as"
		" $$ select s.status || coalesce(' ' || s.code, '') from leat.apply_run_fact('LEAT_RUN', nextval('run_fact'), clock_timestamp(),"
		"  'leat.intent.' || p_tenant || '.' || p_role || '.run.' || p_verb, p_tenant::uuid, p_role, p_verb, p_run, null, p_leat_id, null, "
		"null,"
		"  ''::bytea, convert_to(p_body, 'UTF8'), null, null) s $$;"
		"create function relay_facts() returns text language plpgsql as $$ declare v_said text := ''; v_row record; begin"
		" for v_row in delete from leat.outbox where subject like '%%.engine.run.node' returning *, convert_from(body, 'UTF8') as text loop"
		"  v_said := concat_ws(', ', nullif(v_said, ''), apply_fact(split_part(v_row.subject, '.', 3), 'node', 'engine',"
		"   (v_row.text::jsonb ->> 'run_id')::uuid, substring(convert_from(v_row.headers, 'UTF8') from 'Leat-Id: (\\S+)'), v_row.text));"
		" end loop; return v_said; end $$");
}

/* Facts that must be applied; members with ' for ". */
static inline void run_fact(struct rig *on, const char *run, const char *verb, const char *members)
{
	rig_sql_expect(on, "applied",
		"select apply_fact('" RIG_TENANT_A "', '%s', 'engine', '%s', null, replace($d${'run_id':'%s'%s}$d$, '''', '\"'))", verb, run, run,
		members);
}

static inline void run_start(struct rig *on, const char *run, const char *members)
{
	char more[512];
	snprintf(more, sizeof more, ",'workflow_id':'" FLOW "'%s", members);
	run_fact(on, run, "start", more);
}

/* What there is in the outbox for runs, as "node a completed"; then it is applied. */
static inline void run_expect_told(struct rig *on, const char *expected)
{
	rig_sql_expect(on, expected,
		"select string_agg(concat_ws(' ', b ->> 'node_id', b ->> 'status', b ->> 'attempt', b -> 'output', b ->> 'error'), ', ' order by "
		"seq)"
		" from (select seq, convert_from(body, 'UTF8')::jsonb as b from leat.outbox where subject like '%%.engine.run.node') o");
}

static inline void run_expect_states(struct rig *on, const char *run, const char *expected)
{
	rig_sql_expect(on, expected,
		"select concat(status, ':', (select string_agg(format(' %%s %%s', key, value ->> 'status'), ',' order by key) from"
		" jsonb_each(node_states))) from leat.runs where id = '%s'",
		run);
}

#endif
