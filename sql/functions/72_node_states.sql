-- What a run is made of: its facts, its slots and their states. A slot is a key of node_states: a node of the plan, by ord, and below a
-- completed split one item of it; before that, the node has one slot. While facts are folded, the states are those that the run had
-- (p_states) with what has changed since beside them (p_changed, p_new: keys and states), so that a fact costs as much as it changes.

do $$
begin
	-- One message of LEAT_RUN; ord is the caller's. code: the decoder rejected it, and message says why. The verb `state` is that of
	-- leat.update_node_state, with a body like run.node's.
	create type leat.run_fact as (ord bigint, position bigint, at timestamptz, subject text, tenant uuid, role text, verb text, run uuid,
		actor text, leat_id text, reply_to text, traceparent text, headers bytea, body bytea, code text, message text);
exception when duplicate_object then null;
end
$$;
do $$
begin
	-- A slot, and the status that it takes; or `begin`: if all that it needs is completed, it is settled, or somebody is called for it.
	create type leat.slot_change as (node integer, item integer, becomes text);
exception when duplicate_object then null;
end
$$;

-- How a node's status may change: all there is. pending again: by run.retry.
create or replace function leat.node_transitions() returns table (was text, becomes text)
language sql immutable parallel safe
begin atomic
	values
		('pending', 'running'), ('pending', 'waiting'), ('pending', 'completed'), ('pending', 'failed'), ('pending', 'skipped'),
		('pending', 'cancelled'),
		('running', 'running'), ('running', 'waiting'), ('running', 'completed'), ('running', 'failed'), ('running', 'cancelled'),
		('waiting', 'waiting'), ('waiting', 'completed'), ('waiting', 'failed'), ('waiting', 'cancelled'),
		('failed', 'pending'), ('skipped', 'pending'), ('cancelled', 'pending');
end;

-- The same as `was>becomes`: of constants, so that it is one.
create or replace function leat.node_changes() returns text[]
language sql immutable parallel safe
return array(select t.was || '>' || t.becomes from leat.node_transitions() t);

-- A node's state once its status is p_status. p_attempt null: as it was. p_at: as leat.time_text has it. Attempts are counted over all
-- generations; attempts_before, of a node that was retried: how many there had been by then. None of these counts any more.
create or replace function leat.node_state(p_was jsonb, p_status text, p_output jsonb, p_error text, p_attempt integer, p_at text) returns jsonb
language sql stable parallel safe
return case p_status
	when 'pending' then p_was || jsonb_build_object('status', 'pending', 'output', null, 'error', null,
		'attempts_before', p_was -> 'attempt', 'generation', (p_was -> 'generation')::integer + 1, 'started_at', null, 'finished_at', null)
	when 'running' then p_was || jsonb_build_object('status', p_status, 'attempt', p_attempt, 'started_at', coalesce(p_was ->> 'started_at', p_at))
	when 'waiting' then p_was || jsonb_build_object('status', p_status, 'attempt', p_attempt, 'started_at', coalesce(p_was ->> 'started_at', p_at))
	when 'skipped' then p_was || jsonb_build_object('status', p_status, 'finished_at', p_at)
	when 'cancelled' then p_was || jsonb_build_object('status', p_status, 'finished_at', p_at)
	else p_was || jsonb_build_object('status', p_status, 'output', p_output, 'error', p_error, 'attempt', p_attempt,
		'started_at', coalesce(p_was ->> 'started_at', p_at), 'finished_at', p_at)
	end;

-- The lowest attempt of a node that a result may be of.
create or replace function leat.lowest_attempt(p_state jsonb) returns integer
language sql immutable parallel safe
return greatest((p_state -> 'attempt')::integer, (p_state -> 'attempts_before')::integer + 1, 1);

create or replace function leat.first_state() returns jsonb
language sql immutable parallel safe
return '{"status": "pending", "output": null, "error": null, "attempt": 0, "generation": 0, "started_at": null, "finished_at": null}'::jsonb;

create or replace function leat.state_at(p_key text, p_states jsonb, p_changed text[], p_new jsonb[]) returns jsonb
language sql immutable parallel safe
return coalesce(p_new[array_position(p_changed, p_key)], p_states -> p_key, leat.first_state());

-- How many items a split has, of its state; null: it is not completed.
create or replace function leat.item_count(p_split jsonb) returns integer
language sql immutable parallel safe
return case when p_split ->> 'status' = 'completed' then jsonb_array_length(p_split -> 'output') end;

-- Keys that are null are of slots that are gone.
create or replace function leat.states_with(p_states jsonb, p_changed text[], p_new jsonb[]) returns jsonb
language plpgsql immutable set search_path = pg_catalog
as $$
begin
	if cardinality(p_changed) = 1 and p_changed[1] is not null then
		return p_states || jsonb_build_object(p_changed[1], p_new[1]);
	end if;
	return p_states || coalesce((
		select jsonb_object_agg(x.key, x.state) from unnest(p_changed, p_new) x (key, state) where x.key is not null), '{}');
end
$$;

-- All slots of a run as it begins. (plpgsql, like the next ones with queries: a query of language sql is planned anew in each call.)
create or replace function leat.first_states(p_ids text[]) returns jsonb
language plpgsql immutable set search_path = pg_catalog
as $$
begin
	return (select jsonb_object_agg(x.id, leat.first_state()) from unnest(p_ids) x (id));
end
$$;

-- Of a node below a split, once that has so many items.
create or replace function leat.item_states(p_id text, p_count integer, p_state jsonb) returns jsonb
language sql immutable
return (select coalesce(jsonb_object_agg(leat.item_key(p_id, i), p_state), '{}') from generate_series(0, p_count - 1) i);

-- For every slot whose status is one of p_statuses.
create or replace function leat.slot_changes(p_ids text[], p_states jsonb, p_statuses text[], p_becomes text) returns leat.slot_change[]
language plpgsql immutable set search_path = pg_catalog
as $$
begin
	return array(
		select row(array_position(p_ids, split_part(s.key, '[', 1)), substring(s.key from '\[(\d+)\]$')::integer, p_becomes)::leat.slot_change
		from jsonb_each(p_states) s where s.value ->> 'status' = any (p_statuses) order by s.key);
end
$$;

-- Whether all that a slot needs is completed: of an item, what is of the same item, or of none. Not for collects.
create or replace function leat.needs_met(p_needs integer[], p_item integer, p_ids text[], p_split integer[], p_states jsonb, p_changed text[],
	p_new jsonb[]) returns boolean
language plpgsql immutable set search_path = pg_catalog
as $$
declare
	v_need integer;
begin
	foreach v_need in array p_needs loop
		if leat.state_at(leat.item_key(p_ids[v_need], case when p_split[v_need] is not null then p_item end), p_states, p_changed, p_new)
				->> 'status' <> 'completed' then
			return false;
		end if;
	end loop;
	return true;
end
$$;

-- Whether there is a node that can begin. Splits and collects are not looked at: they are over as soon as they can be.
create or replace function leat.can_go_on(p_ids text[], p_types text[], p_needs text[], p_split integer[], p_states jsonb) returns boolean
language plpgsql immutable set search_path = pg_catalog
as $$
declare
	v_items integer;
	v_item integer;
begin
	for k in 1 .. cardinality(p_ids) loop
		if p_types[k] in ('split', 'collect') then
			continue;
		end if;
		v_items := leat.item_count(p_states -> p_ids[p_split[k]]);
		for i in 0 .. coalesce(v_items, 1) - 1 loop
			v_item := case when v_items is not null then i end;
			if leat.state_at(leat.item_key(p_ids[k], v_item), p_states, '{}', '{}') ->> 'status' = 'pending'
				and leat.needs_met(p_needs[k]::integer[], v_item, p_ids, p_split, p_states, '{}', '{}') then
				return true;
			end if;
		end loop;
	end loop;
	return false;
end
$$;
