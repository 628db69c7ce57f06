-- Splits and collects: what they make of the states of others, as soon as nothing is left that they wait for.

-- What a split fans out; otherwise error says why not.
create or replace function leat.split_items(p_items jsonb, p_states jsonb, p_input jsonb, out items jsonb, out error text)
language plpgsql immutable set search_path = pg_catalog
as $$
declare
	v_limit constant integer := leat.most_split_items();
begin
	items := leat.resolve_references(p_items, p_states, p_input, null, null);
	if jsonb_typeof(items) is distinct from 'array' then
		error := format('items: expected an array, found %s', coalesce(jsonb_typeof(items), 'nothing'));
	elsif jsonb_array_length(items) > v_limit then
		error := format('items: there are %s; the limit is %s', jsonb_array_length(items), v_limit);
	end if;
exception when invalid_parameter_value then
	error := 'items: ' || sqlerrm;
end
$$;

-- What a collect makes of the states of the nodes before it: of p_states, in the order of items, p_items for each of p_nodes. One node: the
-- array of its outputs; several: of objects with the output of each. error: it is too large.
create or replace function leat.collected_output(p_nodes text[], p_states jsonb[], p_items integer, out output jsonb, out error text)
language plpgsql immutable set search_path = pg_catalog
as $$
declare
	v_limit constant integer := leat.most_collected_bytes();
	v_bytes bigint;
begin
	select coalesce(sum(pg_column_size(s)), 0) into v_bytes from unnest(p_states) s;
	if v_bytes > v_limit then
		error := format('the outputs of its items come to %s bytes, and a collect takes %s: let the nodes before it answer less', v_bytes, v_limit);
	elsif cardinality(p_nodes) = 1 then
		select coalesce(jsonb_agg(s.state -> 'output' order by s.n), '[]') into output from unnest(p_states) with ordinality s (state, n);
	else
		select coalesce(jsonb_agg(x.item order by x.i), '[]') into output
		from (
			select (s.n - 1) % p_items as i, jsonb_object_agg(p_nodes[(s.n - 1) / p_items + 1], s.state -> 'output') as item
			from unnest(p_states) with ordinality s (state, n) group by 1) x;
	end if;
end
$$;

-- Why a collect failed: which item did first; null: none did.
create or replace function leat.collect_error(p_keys text[], p_states jsonb[]) returns text
language sql immutable
return (
	select format('%s of its items failed; %s: %s', count(*), (array_agg(x.key order by x.n))[1], (array_agg(x.state ->> 'error' order by x.n))[1])
	from unnest(p_keys, p_states) with ordinality x (key, state, n) where x.state ->> 'status' = 'failed' having count(*) > 0);

-- What becomes of a split, by its place in the plan, whose time has come.
create or replace function leat.settle_split(p_run leat.runs, p_split integer, p_states jsonb, out status text, out output jsonb, out error text)
language plpgsql stable set search_path = pg_catalog
as $$
begin
	select s.items, s.error into output, error
	from leat.workflow_nodes n cross join lateral leat.split_items(n.params -> 'items', p_states, p_run.input) s
	where n.workflow_id = p_run.workflow_id and n.version = p_run.version and n.ord = p_split;
	status := case when error is null then 'completed' else 'failed' end;
end
$$;

-- The same of a collect, whose split is p_above: completed with what the nodes before it brought, the split itself where there are none
-- between; failed, or skipped like they.
create or replace function leat.settle_collect(p_ids text[], p_needs integer[], p_split integer[], p_above integer, p_states jsonb,
	out status text, out output jsonb, out error text)
language plpgsql immutable set search_path = pg_catalog
as $$
declare
	v_count constant integer := leat.item_count(p_states -> p_ids[p_above]);
	v_keys text[]; -- of all that is below the split
	v_all jsonb[];
	v_before jsonb[];
begin
	select array_agg(x.key order by x.ord, x.i), array_agg(x.state order by x.ord, x.i),
		coalesce(array_agg(x.state order by x.ord, x.i) filter (where x.ord = any (p_needs)), '{}')
	into v_keys, v_all, v_before
	from (
		select n.ord, i, key, leat.state_at(key, p_states, '{}', '{}') as state
		from unnest(p_ids, p_split) with ordinality n (id, split, ord)
		cross join generate_series(0, coalesce(v_count, 1) - 1) i
		cross join lateral (select leat.item_key(n.id, case when v_count is not null then i end) as key offset 0) k
		where n.split = p_above) x;
	if v_before = '{}' and v_count > 0 then
		status := 'completed';
		output := p_states -> p_ids[p_above] -> 'output';
	elsif not exists (select from unnest(v_before) b where b ->> 'status' <> 'completed') then
		select c.output, c.error into output, error
		from leat.collected_output(array(select p_ids[n] from unnest(p_needs) n where p_split[n] is not null), v_before, v_count) c;
		status := case when error is null then 'completed' else 'failed' end;
	else
		error := leat.collect_error(v_keys, v_all);
		status := case when error is null then 'skipped' else 'failed' end;
	end if;
end
$$;

-- How many slots of a node below a split are not over.
create or replace function leat.open_slots(p_id text, p_count integer, p_states jsonb, p_changed text[], p_new jsonb[]) returns integer
language plpgsql immutable set search_path = pg_catalog
as $$
begin
	return (
		select count(*) from generate_series(0, coalesce(p_count, 1) - 1) i
		where leat.state_at(leat.item_key(p_id, case when p_count is not null then i end), p_states, p_changed, p_new)
			->> 'status' in ('pending', 'running', 'waiting'));
end
$$;
