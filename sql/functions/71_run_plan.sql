-- The plan of a workflow's version: leat.workflow_nodes, and what is read from it: which nodes can begin, and what their references bring.

-- The rows of one version; none where the definition is no workflow that can run: direct SQL may have written anything. Linear in nodes and
-- edges, but for their being read: a node is given its ord once all before it have theirs.
create or replace function leat.plan_version(p_workflow uuid, p_version integer, p_definition jsonb) returns setof leat.workflow_nodes
language plpgsql stable set search_path = pg_catalog
as $$
declare
	v_ids text[];
	v_types text[];
	v_params jsonb[];
	v_edge_list constant jsonb := coalesce(p_definition -> 'edges', '[]');
	v_edges integer;
	v_needs text[]; -- of each node, by place in the definition, as the text of an integer[]: SQL has no ragged arrays
	v_feeds text[];
	v_open integer[]; -- how many of its needs have no place in v_order yet
	v_order integer[] := '{}'; -- places in the definition
	v_ord integer[]; -- the inverse
	v_split integer[];
	v_partner integer[];
	v_above integer;
begin
	select array_agg(node ->> 'id' order by n), array_agg(node ->> 'type' order by n), array_agg(node - '{id,type}'::text[] order by n)
	into v_ids, v_types, v_params
	from jsonb_array_elements(case jsonb_typeof(p_definition -> 'nodes') when 'array' then p_definition -> 'nodes' else '[]' end)
		with ordinality x (node, n)
	where jsonb_typeof(node) = 'object';
	v_edges := case jsonb_typeof(v_edge_list) when 'array' then jsonb_array_length(v_edge_list) end;
	if v_ids is null or v_edges is null or array_position(v_ids, null) is not null
		or exists (select from unnest(v_types) t where t is null or t not in ('http', 'worker', 'split', 'collect', 'merge', 'question')) then
		return;
	end if;

	with node as (
		select id, n::integer from unnest(v_ids) with ordinality x (id, n)),
	edge as (
		select f.n as from_n, t.n as to_n
		from jsonb_array_elements(v_edge_list) e
		join node f on f.id = e ->> 0
		join node t on t.id = e ->> 1)
	select array_agg(coalesce(before.them, '{}')::text order by node.n), array_agg(coalesce(behind.them, '{}')::text order by node.n),
		array_agg(coalesce(cardinality(before.them), 0) order by node.n), v_edges - (select count(*) from edge)
	into v_needs, v_feeds, v_open, v_edges
	from node
	left join (select to_n, array_agg(from_n order by from_n) as them from edge group by to_n) before on before.to_n = node.n
	left join (select from_n, array_agg(to_n order by to_n) as them from edge group by from_n) behind on behind.from_n = node.n;
	if v_edges <> 0 then -- one names a node that is not there, or an id stands twice
		return;
	end if;

	for i in 1 .. cardinality(v_ids) loop
		if v_open[i] = 0 then
			v_order := array_append(v_order, i);
		end if;
	end loop;
	v_ord := array_fill(0, array[cardinality(v_ids)]);
	v_split := array_fill(null::integer, array[cardinality(v_ids)]);
	v_partner := v_split;
	for i in 1 .. cardinality(v_ids) loop
		exit when i > cardinality(v_order); -- a cycle
		declare
			v_node constant integer := v_order[i];
			v_next integer;
		begin
			v_ord[v_node] := i;
			foreach v_next in array v_needs[v_node]::integer[] loop
				v_above := case v_types[v_next] when 'split' then v_next else v_split[v_next] end;
				if v_above is not null and v_types[v_node] = 'collect' then
					v_partner[v_node] := v_above;
					v_partner[v_above] := v_node;
				elsif v_above is not null then
					v_split[v_node] := v_above;
				end if;
			end loop;
			foreach v_next in array v_feeds[v_node]::integer[] loop
				v_open[v_next] := v_open[v_next] - 1;
				if v_open[v_next] = 0 then
					v_order := array_append(v_order, v_next);
				end if;
			end loop;
		end;
	end loop;
	if cardinality(v_order) < cardinality(v_ids) then
		return;
	end if;

	return query
	select p_workflow, p_version, v_ids[n], v_ord[n], v_types[n], v_params[n],
		array(select v_ids[x] from unnest(v_needs[n]::integer[]) x order by v_ord[x]),
		array(select v_ids[x] from unnest(v_feeds[n]::integer[]) x order by v_ord[x]),
		array(select v_ord[x] from unnest(v_needs[n]::integer[]) x order by v_ord[x]),
		array(select v_ord[x] from unnest(v_feeds[n]::integer[]) x order by v_ord[x]),
		v_ids[v_split[n]], v_ids[v_partner[n]]
	from unnest(v_order) n;
end
$$;

create or replace function leat.note_plan() returns trigger
language plpgsql security definer set search_path = pg_catalog
as $$
begin
	insert into leat.workflow_nodes
	select p.* from new_rows v cross join lateral leat.plan_version(v.workflow_id, v.version, v.definition) p;
	return null;
end
$$;
create or replace trigger plan after insert on leat.workflow_versions referencing new table as new_rows
for each statement execute function leat.note_plan();

-- The same in one row.
create or replace function leat.note_plan_row() returns trigger
language plpgsql security definer set search_path = pg_catalog
as $$
begin
	insert into leat.workflow_plans
	select p.* from (select distinct n.workflow_id, n.version from new_rows n) v cross join lateral leat.plan_row(v.workflow_id, v.version) p;
	return null;
end
$$;
create or replace function leat.plan_row(p_workflow uuid, p_version integer) returns setof leat.workflow_plans
language sql stable set search_path = pg_catalog
as $$
	with node as (select * from leat.workflow_nodes n where n.workflow_id = p_workflow and n.version = p_version)
	select p_workflow, p_version, array_agg(n.node_id order by n.ord), array_agg(n.type order by n.ord), array_agg(n.needs_at::text order by n.ord),
		array_agg(n.feeds_at::text order by n.ord), array_agg(s.ord order by n.ord), array_agg(c.ord order by n.ord)
	from node n left join node s on s.node_id = n.split left join node c on c.node_id = n.collect
	having count(*) > 0
$$;
create or replace trigger plan_row after insert on leat.workflow_nodes referencing new table as new_rows
for each statement execute function leat.note_plan_row();

-- Versions that were saved before there were plans, or rows of them.
insert into leat.workflow_nodes
select p.* from leat.workflow_versions v cross join lateral leat.plan_version(v.workflow_id, v.version, v.definition) p
where not exists (select from leat.workflow_nodes n where n.workflow_id = v.workflow_id and n.version = v.version);
insert into leat.workflow_plans
select p.* from leat.workflow_versions v cross join lateral leat.plan_row(v.workflow_id, v.version) p
where not exists (select from leat.workflow_plans n where n.workflow_id = v.workflow_id and n.version = v.version);

-- ---- references ----

-- The value at an RFC 6901 pointer into p_value. p_reference, the whole of it, is for the error: invalid_parameter_value.
create or replace function leat.at_pointer(p_value jsonb, p_pointer text, p_reference text) returns jsonb
language plpgsql immutable parallel safe set search_path = pg_catalog
as $$
declare
	v_value jsonb := p_value;
	v_found jsonb;
	v_step text;
begin
	foreach v_step in array (string_to_array(p_pointer, '/'))[2:] loop
		v_step := replace(replace(v_step, '~1', '/'), '~0', '~');
		v_found := case jsonb_typeof(v_value)
			when 'object' then v_value -> v_step
			when 'array' then case when v_step ~ '^(0|[1-9][0-9]{0,8})$' then v_value -> v_step::integer end
			end;
		if v_found is null then
			raise exception using errcode = 'invalid_parameter_value', message = format('the reference "%s" leads nowhere: %s', p_reference,
				case jsonb_typeof(v_value)
					when 'object' then format('there is no member "%s"', left(v_step, 100))
					when 'array' then format('there is no item "%s" in an array of %s', left(v_step, 100), jsonb_array_length(v_value))
					else format('a %s has no "%s"', jsonb_typeof(v_value), left(v_step, 100)) end);
		end if;
		v_value := v_found;
	end loop;
	return v_value;
end
$$;

-- p_value with each {"$ref":"<node>#<pointer>"} in it, at any depth, replaced by what that brings: of the output in p_states, of p_input, of
-- p_item. p_item_number: of the item that the node runs for, null outside of splits; nodes that run for it too are p_states' `node[i]`.
-- A reference that leads nowhere fails, naming it: invalid_parameter_value.
create or replace function leat.resolve_references(p_value jsonb, p_states jsonb, p_input jsonb, p_item jsonb, p_item_number integer)
returns jsonb language plpgsql immutable set search_path = pg_catalog
as $$
declare
	v_reference text;
	v_node text;
	v_pointer text;
	v_state jsonb;
begin
	if jsonb_typeof(p_value) = 'array' then
		return coalesce((
			select jsonb_agg(leat.resolve_references(x.item, p_states, p_input, p_item, p_item_number) order by x.n)
			from jsonb_array_elements(p_value) with ordinality x (item, n)), p_value);
	elsif jsonb_typeof(p_value) <> 'object' then
		return p_value;
	elsif not p_value ? '$ref' then
		return coalesce((
			select jsonb_object_agg(x.key, leat.resolve_references(x.value, p_states, p_input, p_item, p_item_number))
			from jsonb_each(p_value) x), p_value);
	end if;

	v_reference := p_value ->> '$ref';
	v_node := split_part(v_reference, '#', 1);
	v_pointer := substr(v_reference, length(v_node) + 2);
	case v_node
		when 'input' then return leat.at_pointer(p_input, v_pointer, v_reference);
		when 'item' then return leat.at_pointer(p_item, v_pointer, v_reference);
		else null;
	end case;
	v_state := coalesce(p_states -> format('%s[%s]', v_node, p_item_number), p_states -> v_node);
	if v_state ->> 'status' is distinct from 'completed' then
		raise exception using errcode = 'invalid_parameter_value',
			message = format('the reference "%s" leads nowhere: node "%s" is %s', v_reference, v_node, coalesce(v_state ->> 'status', 'not there'));
	end if;
	return leat.at_pointer(coalesce(v_state -> 'output', 'null'), v_pointer, v_reference);
end
$$;

-- ---- readiness ----

-- Key in node_states of what runs once per item.
create or replace function leat.item_key(p_node text, p_item integer) returns text
language sql immutable parallel safe
return case when p_item is null then p_node else p_node || '[' || p_item::text || ']' end;

-- The nodes of a run that may begin: pending, and all that they need is completed. Splits and collects are not among them, since they are
-- done as soon as they can be. item: null outside of splits. params: as saved, with their references.
-- Index: primary key of workflow_nodes.
create or replace function leat.ready_nodes(p_run leat.runs)
returns table (node_id text, node text, item integer, type text, attempt integer, generation integer, params jsonb)
language plpgsql stable set search_path = pg_catalog rows 10
as $$
declare
	v_states constant jsonb := p_run.node_states || '{}'::jsonb; -- read from where it is stored once
begin
	if p_run.status not in ('pending', 'running', 'waiting') then
		return;
	end if;
	return query
	select k.key, n.node_id, k.item, n.type, coalesce((v_states -> k.key ->> 'attempt')::integer, 0),
		coalesce((v_states -> k.key ->> 'generation')::integer, 0), n.params
	from leat.workflow_nodes n
	cross join lateral (
		select n.node_id as key, null::integer as item where n.split is null
		union all
		select leat.item_key(n.node_id, i), i
		from generate_series(0, case v_states -> n.split ->> 'status' when 'completed'
			then jsonb_array_length(v_states -> n.split -> 'output') - 1 else -1 end) i
		where n.split is not null) k
	where n.workflow_id = p_run.workflow_id and n.version = p_run.version and n.type not in ('split', 'collect')
		and coalesce(v_states -> k.key ->> 'status', 'pending') = 'pending'
		and not exists (
			select from unnest(n.needs) need
			where coalesce(v_states -> leat.item_key(need, k.item), v_states -> need) ->> 'status' is distinct from 'completed')
	order by n.ord, k.item;
end
$$;
