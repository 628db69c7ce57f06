/* Positions are sequences here: all of it is the stream's first epoch. */
#include "facts.h"

#include "leat/buf.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void facts_save(struct rig *rig, const char *definition)
{
	rig_sql(rig,
		"with saved as (insert into leat.workflows (id, tenant_id, name, version) values ('" WORKFLOW "', '" RIG_TENANT_A "', 'w', 1)"
		"  on conflict (id) do update set version = workflows.version + 1 returning version)"
		" insert into leat.workflow_versions (workflow_id, version, tenant_id, name, definition)"
		" select '" WORKFLOW "', version, '" RIG_TENANT_A "', 'w', replace($d$%s$d$, '''', '\"')::jsonb from saved",
		definition);
}

void facts_save_graph(struct rig *rig, const char *edges)
{
	char *definition = rig_sql_text(rig,
		"with edge as (select split_part(e, '>', 1) as f, split_part(e, '>', 2) as t from regexp_split_to_table('%s', ' ') e),"
		" node as (select distinct n from edge, unnest(array[f, t]) n where n <> '')"
		" select jsonb_build_object('edges', (select coalesce(jsonb_agg(jsonb_build_array(f, t)), '[]') from edge where t <> ''), 'nodes',"
		"  (select jsonb_agg(case left(n, 1)"
		"   when 's' then jsonb_build_object('id', n, 'type', 'split', 'items', '{\"$ref\":\"input#/items\"}'::jsonb)"
		"   when 'c' then jsonb_build_object('id', n, 'type', 'collect') when 'w' then jsonb_build_object('id', n, 'type', 'worker')"
		"   when 'q' then jsonb_build_object('id', n, 'type', 'question') when 'm' then jsonb_build_object('id', n, 'type', 'merge')"
		"   else jsonb_build_object('id', n, 'type', 'http') end order by n) from node))",
		edges);
	facts_save(rig, definition);
	free(definition);
}

struct message fact(int64_t seq, const char *run, const char *what, const char *members)
{
	static char bodies[4096][512];
	static size_t next;
	char *body = bodies[next++ % (sizeof bodies / sizeof *bodies)];
	const char *space = strchr(what, ' ');
	const char *comma = members[0] != '\0' ? "," : "";
	int length;
	if (space != NULL)
		length = snprintf(body, sizeof bodies[0], "{'run_id':'%s','node_id':'%.*s','status':'%s'%s%s}", run, (int)(space - what), what,
			space + 1, comma, members);
	else if (strcmp(what, "start") == 0)
		length = snprintf(body, sizeof bodies[0], "{'run_id':'%s','workflow_id':'" WORKFLOW "'%s%s}", run, comma, members);
	else
		length = snprintf(body, sizeof bodies[0], "{'run_id':'%s'%s%s}", run, comma, members);
	cr_assert_lt((size_t)length, sizeof bodies[0]);
	for (char *quote = body; (quote = strchr(quote, '\'')) != NULL;)
		*quote = '"';
	return (struct message){
		.seq = seq, .role = "engine", .noun = "run", .verb = space != NULL ? "node" : what, .entity = run, .body = body};
}

void facts_expect_states(struct rig *rig, const char *run, const char *expected)
{
	rig_sql_expect(rig, expected,
		"select string_agg(key || ' ' || (value ->> 'status'), ', ' order by key collate \"C\") from leat.runs, jsonb_each(node_states)"
		" where id = '%s'",
		run);
}

void facts_expect_status(struct rig *rig, const char *run, const char *expected)
{
	rig_sql_expect(rig, expected, "select status from leat.runs where id = '%s'", run);
}

char *facts_runs(struct rig *rig)
{
	return rig_sql_text(rig,
		"select string_agg(concat_ws('|', id, workflow_id, version, status, input, node_states, generation, position, created_at, "
		"updated_at,"
		" finished_at, ready_since is null), E'\\n' order by id) from leat.runs");
}
