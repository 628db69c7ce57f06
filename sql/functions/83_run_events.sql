-- What happened to a run, as events, also by direct SQL: leat.run.started, waiting, resumed, completed, failed, cancelled, and before it
-- leat.run.node, which names the nodes that changed and their status; one of each at most a run and statement. Outputs are for whoever asks.
--
-- Statement-level; insert and update differ in where a run's old image comes from. Nodes that begin as pending are not spoken of.
do $do$
declare
	v_body constant text := $body$
begin
	insert into leat.outbox (subject, event, headers, body, short_body)
	select 'leat.event.' || n.tenant_id || '.run.' || n.id, 'leat.run.' || e.what, coalesce(leat.header('traceparent', n.traceparent), ''),
		convert_to(coalesce(rtrim(e.plain::text, '}') || ',"nodes":' || e.nodes || '}', e.plain::text), 'UTF8'),
		convert_to(rtrim(e.plain::text, '}') || ',"nodes_omitted":true}', 'UTF8')
	from %s
	cross join lateral (
		select 1 as place, 'node' as what, json_build_object('status', n.status, 'position', n.position) as plain, nodes.changed as nodes
		from (
			select json_object_agg(now.key, now.value -> 'status')::text as changed
			from jsonb_each(n.node_states) now left join jsonb_each(o.node_states) before on before.key = now.key
			where case when before.key is null then now.value ->> 'status' <> 'pending' else now.value <> before.value end) nodes
		where nodes.changed is not null and n.node_states is distinct from o.node_states
		union all
		select 2, case
				when o.id is null then 'started'
				when n.status <> 'running' then n.status
				else 'resumed' end,
			json_strip_nulls(json_build_object('status', n.status, 'workflow_id', n.workflow_id, 'version', n.version, 'agent_id', n.agent_id,
				'entity_id', n.entity_id, 'generation', n.generation, 'position', n.position)), null
		where o.id is null or n.status <> o.status and (o.status, n.status) <> ('pending', 'running')
		union all
		select 3, n.status, json_build_object('status', n.status, 'position', n.position), null
		where o.id is null and n.status in ('waiting', 'completed', 'failed', 'cancelled')) e
	order by n.id, case when e.what = 'started' then 0 else e.place end;
	return null;
end
$body$;
	v_way record;
begin
	for v_way in
		select * from (values
			('insert', 'new_rows n left join leat.runs o on false', 'new table as new_rows'),
			('update', 'new_rows n join old_rows o on o.id = n.id', 'old table as old_rows new table as new_rows')) way (operation, source, tables)
	loop
		execute format('create or replace function leat.note_run_%1$s() returns trigger language plpgsql security definer
			set search_path = pg_catalog as %2$L', v_way.operation, format(v_body, v_way.source));
		execute format('create or replace trigger note_%1$s after %1$s on leat.runs referencing %2$s
			for each statement execute function leat.note_run_%1$s()', v_way.operation, v_way.tables);
	end loop;
end
$do$;
