-- Runs as `leat runs` shows them: for operators, who see all tenants.

-- Up to now where it is not over.
create or replace function leat.milliseconds_between(p_from timestamptz, p_to timestamptz) returns bigint
language sql stable parallel safe
return (extract(epoch from coalesce(p_to, now()) - p_from) * 1000)::bigint;

-- The newest that match, newest first; what is null matches all.
create or replace function leat.report_runs(p_tenant uuid, p_workflow uuid, p_agent text, p_status text, p_limit bigint) returns jsonb
language sql stable set search_path = pg_catalog
return (
	select coalesce(jsonb_agg(jsonb_build_object('run_id', x.id, 'tenant_id', x.tenant_id, 'workflow_id', x.workflow_id, 'workflow', w.name,
		'version', x.version, 'agent_id', x.agent_id, 'entity_id', x.entity_id, 'status', x.status, 'created_at', leat.time_text(x.created_at),
		'finished_at', leat.time_text(x.finished_at), 'took_ms', leat.milliseconds_between(x.created_at, x.finished_at))
		order by x.created_at desc, x.id desc), '[]')
	from (
		select r.id, r.tenant_id, r.workflow_id, r.version, r.agent_id, r.entity_id, r.status, r.created_at, r.finished_at from leat.runs r
		where (p_tenant is null or r.tenant_id = p_tenant) and (p_workflow is null or r.workflow_id = p_workflow)
			and (p_agent is null or r.agent_id = p_agent) and (p_status is null or r.status = p_status)
		order by r.created_at desc, r.id desc limit p_limit) x
	join leat.workflows w on w.id = x.workflow_id);

-- One run with its nodes in the order of layers: a node's layer is the length of the longest way to it. Of a node that runs once per item,
-- items counts them by status, and errors has the first ones. Null: there is none. Linear in nodes, edges and items.
create or replace function leat.report_run(p_run uuid) returns jsonb
language plpgsql stable set search_path = pg_catalog
as $$
declare
	v_run leat.runs;
	v_states jsonb;
	v_layers integer[] := '{}'; -- by ord
	v_layer integer;
	v_before integer;
	v_node record;
	v_nodes jsonb;
begin
	select r.* into v_run from leat.runs r where r.id = p_run;
	if not found then
		return null;
	end if;
	v_states := v_run.node_states || '{}'::jsonb;
	for v_node in
		select n.needs_at from leat.workflow_nodes n where n.workflow_id = v_run.workflow_id and n.version = v_run.version order by n.ord
	loop
		v_layer := 0;
		foreach v_before in array v_node.needs_at loop
			v_layer := greatest(v_layer, v_layers[v_before] + 1);
		end loop;
		v_layers := array_append(v_layers, v_layer);
	end loop;

	with state as (
		select split_part(s.key, '[', 1) as node_id, s.key, substring(s.key from '\[(\d+)\]$')::integer as item, s.value from jsonb_each(v_states) s),
	found as (
		select node_id, min(value ->> 'started_at') as started_at, max(value ->> 'finished_at') as finished_at,
			bool_and(value ->> 'finished_at' is not null) as over, max((value ->> 'attempt')::integer) as attempt,
			max((value ->> 'generation')::integer) as generation, count(item) as items, max(value ->> 'status') as status,
			(array_agg(key || ': ' || (value ->> 'error') order by item) filter (where value ->> 'error' is not null))[:3] as errors,
			max(value ->> 'error') as error
		from state group by node_id),
	counted as (
		select node_id, jsonb_object_agg(status, items) as by_status
		from (select node_id, value ->> 'status' as status, count(*) as items from state where item is not null group by 1, 2) c group by node_id)
	select jsonb_agg(jsonb_strip_nulls(jsonb_build_object('node_id', n.node_id, 'type', n.type, 'layer', v_layers[n.ord], 'needs', n.needs,
		'feeds', n.feeds, 'split', n.split, 'status', case when f.items = 0 then f.status end, 'items', c.by_status, 'attempt', f.attempt,
		'generation', f.generation, 'started_at', f.started_at, 'finished_at', case when f.over then f.finished_at end,
		'took_ms', leat.milliseconds_between(f.started_at::timestamptz, case when f.over then f.finished_at::timestamptz end),
		'error', case when f.items = 0 then f.error end, 'errors', case when f.items > 0 then f.errors end,
		'claimed_until', case when f.items = 0 then leat.time_text(k.leased_until) end))
		order by v_layers[n.ord], n.ord)
	into v_nodes
	from leat.workflow_nodes n
	left join found f on f.node_id = n.node_id
	left join counted c on c.node_id = n.node_id
	left join leat.claims k on k.run_id = p_run and k.node_id = n.node_id
	where n.workflow_id = v_run.workflow_id and n.version = v_run.version;

	return (
		select jsonb_build_object('run_id', v_run.id, 'tenant_id', v_run.tenant_id, 'workflow_id', v_run.workflow_id, 'workflow', w.name,
			'version', v_run.version, 'agent_id', v_run.agent_id, 'entity_id', v_run.entity_id, 'status', v_run.status,
			'generation', v_run.generation, 'actor', v_run.actor, 'created_at', leat.time_text(v_run.created_at),
			'finished_at', leat.time_text(v_run.finished_at), 'took_ms', leat.milliseconds_between(v_run.created_at, v_run.finished_at),
			'nodes', coalesce(v_nodes, '[]'))
		from leat.workflows w where w.id = v_run.workflow_id);
end
$$;
