-- What happened to a run, as events, also by direct SQL: leat.run.started, waiting, resumed, completed, failed, cancelled, and before it
-- leat.run.node, which names the nodes that changed and their status; one of each at most a run and statement. Outputs are for whoever asks.
--
-- Statement-level; insert and update differ in where a run's old image comes from. Nodes that begin as pending are not spoken of. Written so
-- that its plan is small: to start that costs more than to run it, where a statement changes one run. Rows come in the order of VALUES.
do $do$
declare
	v_body constant text := $body$
begin
	insert into leat.outbox (subject, event, headers, body, short_body)
	select 'leat.event.' || n.tenant_id || '.run.' || n.id, 'leat.run.' || e.what,
		case when n.traceparent is null then '' else leat.header('traceparent', n.traceparent) end,
		convert_to(e.plain || case e.what when 'node' then ',"nodes":' || c.nodes else '' end || '}', 'UTF8'),
		convert_to(e.plain || case e.what when 'node' then ',"nodes_omitted":true' else '' end || '}', 'UTF8')
	from %s
	cross join lateral (select n.node_states || '{}'::jsonb as now, coalesce(o.node_states || '{}'::jsonb, '{}') as before offset 0) s
	cross join lateral (
		select json_object_agg(x.key, x.value -> 'status')::text as nodes from jsonb_each(s.now) x
		where case when s.before ? x.key then x.value <> s.before -> x.key else x.value ->> 'status' <> 'pending' end) c
	cross join lateral (values
		(o.id is null, 'started'),
		(c.nodes is not null, 'node'),
		(case when o.id is null then n.status in ('waiting', 'completed', 'failed', 'cancelled')
			else n.status <> o.status and (o.status, n.status) <> ('pending', 'running') end,
			case n.status when 'running' then 'resumed' else n.status end)) due (is_so, what)
	cross join lateral (
		select due.what, '{"status":"' || n.status || '","position":' || n.position || case when due.what = 'node' then '' else
			',"workflow_id":"' || n.workflow_id || '","version":' || n.version || ',"generation":' || n.generation
			|| coalesce(',"agent_id":' || to_json(n.agent_id), '') || coalesce(',"entity_id":"' || n.entity_id || '"', '') end as plain) e
	where due.is_so;
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
