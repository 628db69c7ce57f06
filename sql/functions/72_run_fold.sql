-- A run as the fold of its facts: leat.fold_run. What it writes depends on the run as it is, its plan and the facts, in their order; never
-- on the clock, nor on how many facts come at once. So it is the same in every replay.

do $$
begin
	-- leat.workflow_nodes of one version, as arrays by ord; needs and feeds as the texts of integer[], since SQL has no ragged arrays. split:
	-- below which one stands; partner: of a split its collect, of a collect its split. ids null: there is no plan.
	create type leat.run_plan as (workflow_id uuid, version integer, ids text[], types text[], needs text[], feeds text[], split integer[],
		partner integer[]);

	-- One message of LEAT_RUN; ord is the caller's. code: the decoder rejected it, and message says why. The verb `state` is that of
	-- leat.update_node_state, with a body like run.node's.
	create type leat.run_fact as (ord bigint, position bigint, at timestamptz, subject text, tenant uuid, role text, verb text, run uuid,
		actor text, leat_id text, reply_to text, traceparent text, headers bytea, body bytea, code text, message text);
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

-- What a split fans out; otherwise error says why not.
create or replace function leat.split_items(p_items jsonb, p_states jsonb, p_input jsonb, out items jsonb, out error text)
language plpgsql immutable set search_path = pg_catalog
as $$
declare
	v_limit constant integer := 1000;
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
	v_limit constant integer := 33554432;
	v_bytes bigint;
begin
	select coalesce(sum(pg_column_size(s)), 0) into v_bytes from unnest(p_states) s;
	if v_bytes > v_limit then
		error := format('the outputs of its items come to %s bytes; the limit is %s', v_bytes, v_limit);
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

-- Index: primary key of workflow_nodes.
create or replace function leat.run_plan(p_workflow uuid, p_version integer) returns leat.run_plan
language plpgsql stable set search_path = pg_catalog
as $$
declare
	v_plan leat.run_plan;
begin
	select p_workflow, p_version, array_agg(p.node_id), array_agg(p.type), array_agg(p.needs_at::text), array_agg(p.feeds_at::text)
	into v_plan.workflow_id, v_plan.version, v_plan.ids, v_plan.types, v_plan.needs, v_plan.feeds
	from (select n.* from leat.workflow_nodes n where n.workflow_id = p_workflow and n.version = p_version order by n.ord) p;
	v_plan.split := array(
		select s.ord from leat.workflow_nodes n
		left join leat.workflow_nodes s on s.workflow_id = p_workflow and s.version = p_version and s.node_id = n.split
		where n.workflow_id = p_workflow and n.version = p_version order by n.ord);
	v_plan.partner := array(
		select c.ord from leat.workflow_nodes n
		left join leat.workflow_nodes c on c.workflow_id = p_workflow and c.version = p_version and c.node_id = n.collect
		where n.workflow_id = p_workflow and n.version = p_version order by n.ord);
	return v_plan;
end
$$;

-- run.start: the run as it begins, without node states. code and message: why not. aside: its workflow may be on its way yet, in another
-- stream: it is waited for, for a while.
create or replace function leat.started_run(p_fact leat.run_fact, p_body jsonb, out run leat.runs, out code text, out message text,
	out aside boolean)
language plpgsql stable set search_path = pg_catalog
as $$
declare
	v_wait constant interval := '10 seconds';
	v_found record;
begin
	select * into v_found
	from leat.resolve_workflow((p_body ->> 'workflow_id')::uuid, p_fact.tenant, 'version', (p_body ->> 'version')::integer, 'run.start',
		p_fact.role, p_fact.actor);
	code := v_found.code;
	message := v_found.message;
	aside := code = 'not_found' and p_fact.at > now() - v_wait;
	if code is not null then
		return;
	end if;
	run.id := p_fact.run;
	run.tenant_id := p_fact.tenant;
	run.workflow_id := p_body ->> 'workflow_id';
	run.version := v_found.version;
	run.agent_id := p_body ->> 'agent_id';
	run.entity_id := p_body ->> 'entity_id';
	run.status := 'pending';
	run.input := coalesce(p_body -> 'input', '{}');
	run.node_states := '{}';
	run.generation := 0;
	run.position := p_fact.position;
	run.created_at := p_fact.at;
	run.updated_at := p_fact.at;
	run.actor := p_fact.actor;
	run.traceparent := p_fact.traceparent;
end
$$;

-- A run and what comes of its facts, which are of one id and in order. p_run null: there is none. codes, messages and details are the
-- decisions, by place; aside: those that have to wait, and the later ones of their tenant behind them. changed: the run is another.
-- p_plan is kept for the next run: most are of the same version. woke: a node can begin that could not before. ended: nodes whose claims are
-- over; cancelled: all of them.
--
-- In memory the run is arrays. By ord of the plan: v_types and so on; v_base and v_count, where its slots begin and how many there are; v_open,
-- how many of them are not over, v_bad, how many are over and not completed. By slot, that is by key in node_states: v_keys, v_statuses,
-- v_states, v_missing: how many it waits for. Below a split a node has one slot until the split is completed, and then one an item. A fact
-- puts changes of slots into a queue; each change may put more there, behind it.
create or replace function leat.fold_run(inout p_run leat.runs, inout p_plan leat.run_plan, p_facts leat.run_fact[], out codes text[],
	out messages text[], out details jsonb[], out aside boolean[], out changed boolean, out woke boolean, out ended text[], out cancelled boolean)
language plpgsql set search_path = pg_catalog
as $$
declare
	v_over constant text[] := '{completed,failed,skipped,cancelled}';
	v_allowed constant text[] := leat.node_changes();
	v_loaded boolean := false;
	v_all jsonb;
	v_ids text[];
	v_types text[];
	v_needs text[];
	v_feeds text[];
	v_split integer[];
	v_partner integer[];
	v_base integer[];
	v_count integer[];
	v_open integer[];
	v_bad integer[];
	v_keys text[];
	v_nodes integer[];
	v_statuses text[];
	v_states jsonb[];
	v_state jsonb;
	v_new constant jsonb := '{"status": "pending", "output": null, "error": null, "attempt": 0, "generation": 0, "started_at": null,
		"finished_at": null}';
	v_missing integer[];
	v_running integer;
	v_waiting integer;
	v_pending integer;

	i integer := 0;
	v_fact leat.run_fact;
	v_verb text; -- of the fact; `look`: which nodes can begin, after a retry
	v_blocked uuid[] := '{}'; -- tenants one of whose facts is aside
	v_code text;
	v_message text;
	v_detail jsonb;
	v_body jsonb;
	v_found record;
	v_at text;
	v_attempt integer;
	v_was_attempt integer;
	v_name text;

	v_slots integer[]; -- the queue
	v_becomes text[]; -- a status; `settle`: of a split or collect whose time has come
	v_head integer;
	v_ready boolean;
	v_slot integer;
	v_status text;
	v_was text;
	v_output jsonb;
	v_error text;
	v_node integer;
	v_item integer;
	v_next integer;
	v_before integer;
	v_sum integer;
	v_first integer;
	v_last integer;
	v_spread integer;
begin
	changed := false;
	woke := false;
	cancelled := false;
	ended := '{}';
	codes := array_fill(null::text, array[cardinality(p_facts)]);
	messages := codes;
	details := array_fill(null::jsonb, array[cardinality(p_facts)]);
	aside := array_fill(false, array[cardinality(p_facts)]);

	while i < cardinality(p_facts) or v_verb = 'look' loop
		if v_verb is distinct from 'look' then
			i := i + 1;
			v_fact := p_facts[i];
			v_verb := v_fact.verb;
		end if;
		v_code := codes[i];
		v_message := null;
		v_detail := details[i];
		v_slots := '{}';
		v_becomes := '{}';
		v_output := null;
		v_error := null;
		v_attempt := null;
		if v_fact.tenant = any (v_blocked) then
			aside[i] := true;
			continue;
		end if;
		v_body := convert_from(v_fact.body, 'UTF8');

		-- may it be, and is there something to do it to?
		if v_verb = 'look' then
			null;
		elsif v_fact.role <> 'engine' then
			v_message := leat.forbids('run.' || v_fact.verb, v_fact.tenant, v_fact.role, v_fact.actor);
			v_code := case when v_message is not null then 'forbidden' end;
		end if;
		if v_code is not null then
			null;
		elsif v_verb = 'start' then
			if p_run.id is not null and p_run.tenant_id = v_fact.tenant then
				v_code := 'conflict';
				v_message := format('run %s was started before; take a new run_id', v_fact.run);
			elsif p_run.id is not null then
				v_code := 'wrong_tenant';
				v_message := format('the id %s belongs to another tenant; take a new one', v_fact.run);
			else
				select * into v_found from leat.started_run(v_fact, v_body);
				v_code := v_found.code;
				v_message := v_found.message;
				if v_found.aside then
					aside[i] := true;
					v_blocked := v_blocked || v_fact.tenant;
					continue;
				elsif v_code is null then
					p_run := v_found.run;
					v_detail := jsonb_build_object('run_id', p_run.id, 'workflow_id', p_run.workflow_id, 'version', p_run.version);
				end if;
			end if;
		elsif p_run.id is null or p_run.tenant_id <> v_fact.tenant then
			v_code := 'not_found';
			v_message := format('there is no run %s', v_fact.run);
		end if;
		if v_code is not null then
			codes[i] := v_code;
			messages[i] := v_message;
			continue;
		end if;

		-- the run into memory
		if not v_loaded then
			v_all := p_run.node_states || '{}'::jsonb; -- from where it is stored, once
			if (p_plan.workflow_id, p_plan.version) is distinct from (p_run.workflow_id, p_run.version) then
				p_plan := leat.run_plan(p_run.workflow_id, p_run.version);
			end if;
			v_ids := p_plan.ids;
			v_types := p_plan.types;
			v_needs := p_plan.needs;
			v_feeds := p_plan.feeds;
			v_split := p_plan.split;
			v_partner := p_plan.partner;
			if v_ids is null then
				codes[i] := 'conflict';
				messages[i] := format('version %s of workflow %s cannot run: its definition did not come by workflow.save and is none',
					p_run.version, p_run.workflow_id);
				if v_verb = 'start' then
					p_run := null;
				end if;
				continue;
			end if;
			v_base := '{}';
			v_count := '{}';
			v_keys := '{}';
			v_nodes := '{}';
			v_statuses := '{}';
			v_states := '{}';
			v_running := 0;
			v_waiting := 0;
			v_pending := 0;
			for k in 1 .. cardinality(v_ids) loop
				v_spread := null;
				if v_split[k] is not null and v_all -> v_ids[v_split[k]] ->> 'status' = 'completed' then
					v_spread := jsonb_array_length(v_all -> v_ids[v_split[k]] -> 'output');
				end if;
				v_base := array_append(v_base, cardinality(v_keys) + 1);
				v_count := array_append(v_count, coalesce(v_spread, 1));
				for n in 0 .. coalesce(v_spread, 1) - 1 loop
					v_name := leat.item_key(v_ids[k], case when v_spread is not null then n end);
					v_state := coalesce(v_all -> v_name, v_new);
					v_status := v_state ->> 'status';
					v_keys := array_append(v_keys, v_name);
					v_nodes := array_append(v_nodes, k);
					v_statuses := array_append(v_statuses, v_status);
					v_states := array_append(v_states, v_state);
					if v_status = 'running' then
						v_running := v_running + 1;
					elsif v_status = 'waiting' then
						v_waiting := v_waiting + 1;
					elsif v_status = 'pending' then
						v_pending := v_pending + 1;
					end if;
				end loop;
			end loop;
			v_loaded := true;
			v_missing := null;
		end if;
		if v_missing is null then
			v_open := array_fill(0, array[cardinality(v_ids)]);
			v_bad := v_open;
			for s in 1 .. coalesce(cardinality(v_keys), 0) loop
				if v_keys[s] is null then
					continue;
				elsif v_statuses[s] <> all (v_over) then
					v_open[v_nodes[s]] := v_open[v_nodes[s]] + 1;
				elsif v_statuses[s] <> 'completed' then
					v_bad[v_nodes[s]] := v_bad[v_nodes[s]] + 1;
				end if;
			end loop;
			v_missing := array_fill(0, array[coalesce(cardinality(v_keys), 0)]);
			for k in 1 .. cardinality(v_ids) loop
				for n in 0 .. v_count[k] - 1 loop
					v_sum := 0;
					foreach v_before in array v_needs[k]::integer[] loop
						if v_types[k] = 'collect' and v_split[v_before] is not null then
							v_sum := v_sum + v_open[v_before];
						elsif v_statuses[v_base[v_before] + case when v_split[v_before] is not null then n else 0 end] <> 'completed' then
							v_sum := v_sum + 1;
						end if;
					end loop;
					v_missing[v_base[k] + n] := v_sum;
				end loop;
			end loop;
		end if;

		-- what it changes
		v_at := leat.time_text(v_fact.at);
		if p_run.status = 'cancelled' and v_verb <> 'retry' then
			v_detail := jsonb_build_object('ignored', 'the run was cancelled');
		elsif v_verb in ('start', 'look') then
			for s in 1 .. cardinality(v_keys) loop
				if v_keys[s] is null or v_missing[s] > 0 or v_statuses[s] <> 'pending' then
					continue;
				elsif v_types[v_nodes[s]] in ('split', 'collect') then
					v_slots := array_append(v_slots, s);
					v_becomes := array_append(v_becomes, 'settle');
				else
					woke := true;
				end if;
			end loop;
			changed := true;
		elsif v_verb = 'cancel' then
			if v_running + v_waiting + v_pending = 0 then
				v_detail := jsonb_build_object('ignored', 'the run is over already');
			else
				for s in 1 .. cardinality(v_keys) loop
					if v_keys[s] is not null and v_statuses[s] <> all (v_over) then
						v_slots := array_append(v_slots, s);
						v_becomes := array_append(v_becomes, 'cancelled');
					end if;
				end loop;
				p_run.status := 'cancelled';
				cancelled := true;
				changed := true;
				v_detail := jsonb_build_object('cancelled_nodes', cardinality(v_slots));
			end if;
		elsif v_verb = 'retry' then
			for s in 1 .. cardinality(v_keys) loop
				if v_keys[s] is not null and v_statuses[s] in ('failed', 'skipped', 'cancelled') then
					v_slots := array_append(v_slots, s);
					v_becomes := array_append(v_becomes, 'pending');
				end if;
			end loop;
			if v_slots = '{}' then
				v_code := 'conflict';
				v_message := format('none of the nodes of run %s has failed; there is nothing to retry', p_run.id);
			else
				p_run.status := 'running';
				p_run.finished_at := null;
				p_run.generation := p_run.generation + 1;
				v_detail := jsonb_build_object('retried_nodes', cardinality(v_slots), 'generation', p_run.generation);
			end if;
		else -- node, state
			v_name := v_body ->> 'node_id';
			v_status := v_body ->> 'status';
			v_attempt := v_body ->> 'attempt';
			v_node := array_position(v_ids, split_part(v_name, '[', 1));
			v_slot := case when v_split[v_node] is not null then array_position(v_keys, v_name) else v_base[v_node] end;
			v_was := v_statuses[v_slot];
			v_was_attempt := v_states[v_slot] -> 'attempt';
			if v_status = 'running' and v_types[v_node] = 'question' then
				v_status := 'waiting';
			end if;
			if v_slot is null or v_keys[v_slot] <> v_name then
				v_code := 'not_found';
				v_message := format('run %s has no node "%s"', p_run.id, v_name);
			elsif v_fact.role = 'service' and v_verb = 'node' and v_types[v_node] <> 'worker' then
				v_code := 'forbidden';
				v_message := format('run.node of a service is for worker nodes; "%s" is of type %s', v_name, v_types[v_node]);
			elsif v_body ? 'output' and v_status <> 'completed' or v_body ? 'error' and v_status <> 'failed' then
				v_code := 'invalid_message';
				v_message := 'run.node takes output with status completed, error with status failed';
			elsif (v_was || '>' || v_status = any (v_allowed)) is not true or v_status = 'pending' then
				v_detail := jsonb_build_object('ignored', format('node "%s" is %s already', v_name, v_was));
			elsif v_attempt < leat.lowest_attempt(v_states[v_slot]) then
				v_detail := jsonb_build_object('ignored', format('attempt %s of node "%s" is over; it counts from attempt %s on', v_attempt, v_name,
					leat.lowest_attempt(v_states[v_slot])));
			elsif v_verb = 'node' and v_was = v_status and coalesce(v_attempt, v_was_attempt) = v_was_attempt then
				v_detail := jsonb_build_object('ignored', format('node "%s" is %s already', v_name, v_was));
			elsif v_was = 'pending' and v_missing[v_slot] > 0 then
				v_code := 'conflict';
				v_message := format('node "%s" cannot begin yet: not all that it needs is completed', v_name);
			else
				v_attempt := coalesce(v_attempt, leat.lowest_attempt(v_states[v_slot]));
				if v_status = 'completed' then
					v_output := v_body -> 'output';
				elsif v_status = 'failed' then
					v_error := coalesce(v_body ->> 'error', 'failed');
				end if;
				if v_status = any (v_over) or v_status = 'waiting' then -- nobody has to do anything for it
					ended := array_append(ended, v_name);
				end if;
				v_slots := array[v_slot];
				v_becomes := array[v_status];
				v_detail := jsonb_build_object('node_id', v_name, 'status', v_status);
			end if;
		end if;
		codes[i] := v_code;
		messages[i] := v_message;
		details[i] := v_detail;

		-- each change, and what follows from it
		v_head := 0;
		while v_head < cardinality(v_slots) loop
			v_head := v_head + 1;
			v_slot := v_slots[v_head];
			v_status := v_becomes[v_head];
			v_was := v_statuses[v_slot];
			v_node := v_nodes[v_slot];
			if v_head > 1 then
				v_output := null;
				v_error := null;
				v_attempt := null;
			end if;
			if v_status in ('skipped', 'settle') and v_was <> 'pending' then
				continue; -- two ways led there
			elsif v_status = 'settle' then
				if v_types[v_node] = 'split' then
					select s.items, s.error into v_output, v_error
					from leat.split_items(
						(select n.params -> 'items' from leat.workflow_nodes n
						where n.workflow_id = p_run.workflow_id and n.version = p_run.version and n.ord = v_node),
						(select jsonb_object_agg(x.key, x.state) from unnest(v_keys, v_states) x (key, state) where x.key is not null),
						p_run.input) s;
					v_status := case when v_error is null then 'completed' else 'failed' end;
				else
					v_status := 'completed';
					v_sum := 0;
					declare
						v_from text[] := '{}';
						v_items jsonb[] := '{}';
					begin
						foreach v_before in array v_needs[v_node]::integer[] loop
							if v_split[v_before] is not null then
								v_sum := v_sum + v_bad[v_before];
								v_from := v_from || v_ids[v_before];
								v_items := v_items || v_states[v_base[v_before] : v_base[v_before] + v_count[v_before] - 1];
								v_spread := v_count[v_before];
							end if;
						end loop;
						if v_sum = 0 then
							select c.output, c.error into v_output, v_error from leat.collected_output(v_from, v_items, v_spread) c;
							v_status := case when v_error is null then 'completed' else 'failed' end;
						else
							v_error := (
								select leat.collect_error(array_agg(x.key order by x.n), array_agg(x.state order by x.n))
								from unnest(v_keys, v_states, v_nodes) with ordinality x (key, state, node, n)
								where v_split[x.node] = v_partner[v_node] and x.key is not null and x.state ->> 'status' = 'failed');
							v_status := case when v_error is null then 'skipped' else 'failed' end;
						end if;
					end;
				end if;
				v_attempt := 1;
				if v_error is not null then
					v_output := null;
				end if;
			end if;

			if v_was || '>' || v_status <> all (v_allowed) then
				raise exception 'node "%" of run % is %, which does not become %', v_keys[v_slot], p_run.id, v_was, v_status;
			end if;
			v_statuses[v_slot] := v_status;
			v_states[v_slot] := leat.node_state(v_states[v_slot], v_status, v_output, v_error, v_attempt, v_at);
			changed := true;
			case v_was
				when 'running' then v_running := v_running - 1;
				when 'waiting' then v_waiting := v_waiting - 1;
				when 'pending' then v_pending := v_pending - 1;
				else null;
			end case;
			case v_status
				when 'running' then v_running := v_running + 1;
				when 'waiting' then v_waiting := v_waiting + 1;
				when 'pending' then v_pending := v_pending + 1;
				else null;
			end case;
			if v_status = any (v_over) then
				v_open[v_node] := v_open[v_node] - 1;
				if v_status <> 'completed' then
					v_bad[v_node] := v_bad[v_node] + 1;
				end if;
			end if;
			if p_run.status = 'cancelled' or v_status in ('pending', 'running', 'waiting') then
				continue;
			end if;

			-- below a completed split every node has a slot for each item, of the status that its one slot had
			if v_types[v_node] = 'split' and v_status = 'completed' then
				v_spread := jsonb_array_length(v_output);
				for k in v_node + 1 .. cardinality(v_ids) loop
					if v_split[k] = v_node then
						v_first := v_base[k];
						v_base[k] := cardinality(v_keys) + 1;
						v_count[k] := v_spread;
						for n in 0 .. v_spread - 1 loop
							v_keys := array_append(v_keys, leat.item_key(v_ids[k], n));
							v_nodes := array_append(v_nodes, k);
							v_statuses := array_append(v_statuses, v_statuses[v_first]);
							v_states := array_append(v_states, v_states[v_first]);
							v_missing := array_append(v_missing, v_missing[v_first]);
						end loop;
						if v_statuses[v_first] = 'pending' then
							v_pending := v_pending + v_spread - 1;
							v_open[k] := v_spread;
							if v_partner[v_node] = any (v_feeds[k]::integer[]) then
								v_missing[v_base[v_partner[v_node]]] := v_missing[v_base[v_partner[v_node]]] + v_spread - 1;
							end if;
						else
							v_bad[k] := v_spread;
						end if;
						v_keys[v_first] := null;
					end if;
				end loop;
				if v_spread = 0 and v_missing[v_base[v_partner[v_node]]] = 0 then
					v_slots := array_append(v_slots, v_base[v_partner[v_node]]);
					v_becomes := array_append(v_becomes, 'settle');
				end if;
			end if;

			-- those behind it: one of the same item, or all slots of what runs per item, or the only one
			v_item := case when v_split[v_node] is not null then v_slot - v_base[v_node] end;
			foreach v_next in array v_feeds[v_node]::integer[] loop
				v_first := v_base[v_next] + case when v_split[v_next] is not null then coalesce(v_item, 0) else 0 end;
				v_last := case when v_item is not null then v_first else v_base[v_next] + v_count[v_next] - 1 end;
				for s in v_first .. v_last loop
					if v_status = 'completed' or (v_types[v_next] = 'collect' and v_item is not null) then
						v_missing[s] := v_missing[s] - 1;
						if v_missing[s] > 0 or v_statuses[s] <> 'pending' then
							continue;
						elsif v_types[v_next] in ('split', 'collect') then
							v_slots := array_append(v_slots, s);
							v_becomes := array_append(v_becomes, 'settle');
						else
							woke := true;
						end if;
					elsif v_statuses[s] = 'pending' then
						v_slots := array_append(v_slots, s);
						v_becomes := array_append(v_becomes, 'skipped');
					end if;
				end loop;
			end loop;
		end loop;

		if v_slots <> '{}' or v_verb = 'start' then
			p_run.updated_at := v_fact.at;
			p_run.position := coalesce(v_fact.position, p_run.position);
		end if;
		if v_verb = 'retry' and v_code is null then
			v_missing := null; -- counted anew, and then looked at: which of them can begin?
			v_verb := 'look';
		else
			v_verb := null;
		end if;
	end loop;
	if not changed then
		return;
	end if;

	-- the run out of memory
	select jsonb_object_agg(x.key, x.state), coalesce(bool_or(x.status = 'pending' and x.missing = 0), false)
	into p_run.node_states, v_ready
	from unnest(v_keys, v_states, v_statuses, v_missing) x (key, state, status, missing) where x.key is not null;
	v_ready := v_ready and p_run.status <> 'cancelled';
	woke := woke and v_ready;
	p_run.ready_since := case when woke then now() when v_ready then coalesce(p_run.ready_since, now()) end;
	p_run.status := case
		when p_run.status = 'cancelled' then 'cancelled'
		when v_pending = cardinality(v_keys) and p_run.generation = 0 then 'pending'
		when v_running > 0 or v_ready then 'running'
		when v_waiting > 0 then 'waiting'
		when 0 < any (v_bad) then 'failed'
		else 'completed' end;
	p_run.finished_at := case when p_run.status = any (v_over) then p_run.updated_at end;
end
$$;
