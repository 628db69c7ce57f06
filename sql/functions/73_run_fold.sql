-- A run as the fold of its facts: leat.fold_run. What it writes depends on the run as it is, its plan and the facts, in their order; never
-- on the clock, nor on how many facts come at once. So it is the same in every replay.

-- run.start: the run as it begins, without node states. code and message: why not. aside: its workflow may be on its way yet, in another
-- stream: it is waited for, for a while. In a replay of what was settled, its workflow counts as it was then, or when it came, if it was waited
-- for.
create or replace function leat.started_run(p_fact leat.run_fact, p_body jsonb, out run leat.runs, out code text, out message text,
	out aside boolean)
language plpgsql stable set search_path = pg_catalog
as $$
declare
	v_wait constant interval := '10 seconds';
	v_workflow constant uuid := p_body ->> 'workflow_id';
	v_version constant integer := p_body ->> 'version';
	v_at timestamptz;
	v_found record;
begin
	if coalesce(current_setting('leat.replay', true), '') <> '' then
		v_at := (select v.created_at from leat.workflow_versions v where v.workflow_id = v_workflow and v.version = coalesce(v_version, 1));
		v_at := greatest(p_fact.at, case when v_at <= p_fact.at + v_wait then v_at end);
	end if;
	select * into v_found
	from leat.resolve_workflow_at(v_workflow, p_fact.tenant, 'version', v_version, 'run.start', p_fact.role, p_fact.actor, v_at);
	code := v_found.code;
	message := v_found.message;
	aside := code = 'not_found' and p_fact.at > leat.replay_clock() - v_wait;
	if code is not null then
		return;
	end if;
	run.id := p_fact.run;
	run.tenant_id := p_fact.tenant;
	run.workflow_id := v_workflow;
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
-- decisions, by place; aside: those that have to wait, and the later ones of their tenant behind them. What is null has none of them.
-- changed: the run is another. woke: a node can begin that could not before. ended: nodes whose claims are over; cancelled: all of them.
--
-- A fact puts changes of slots into a queue; each may put more there, behind it. Only what a fact reaches is looked at, but for what is below
-- a split: how much of that is left is counted once (v_open). v_ids and so on are those of leat.workflow_plans, by ord.
-- Index: primary key of workflow_plans.
create or replace function leat.fold_run(inout p_run leat.runs, p_facts leat.run_fact[], out codes text[], out messages text[],
	out details jsonb[], out aside boolean[], out changed boolean, out woke boolean, out ended text[], out cancelled boolean)
language plpgsql set search_path = pg_catalog
as $$
declare
	v_allowed constant text[] := leat.node_changes();
	v_ids text[]; -- null: not looked up yet
	v_types text[];
	v_needs text[];
	v_feeds text[];
	v_split integer[];
	v_partner integer[];
	v_states jsonb; -- these three: leat.state_at
	v_changed text[] := '{}';
	v_new jsonb[] := '{}';
	v_open integer[]; -- of nodes below a split: slots that are not over; null: not counted yet

	i integer := 0;
	v_fact leat.run_fact;
	v_verb text; -- of the fact; `look`: which nodes can begin, after a retry
	v_blocked uuid[]; -- tenants one of whose facts is aside
	v_body jsonb;
	v_found record;
	v_at text;
	v_name text;

	v_queue leat.slot_change[];
	v_head integer;
	v_change leat.slot_change;
	v_node integer;
	v_item integer;
	v_status text;
	v_key text;
	v_state jsonb;
	v_was text;
	v_output jsonb; -- of what is completed, failed, running or waiting, like the next two
	v_error text;
	v_attempt integer;
	v_place integer;
	v_next integer;
	v_count integer;
	v_waits boolean;
	v_statuses jsonb;
	v_ready boolean;
begin
	changed := false;
	woke := false;
	cancelled := false;

	while i < cardinality(p_facts) or v_verb = 'look' loop
		if v_verb is distinct from 'look' then
			i := i + 1;
			v_fact := p_facts[i];
			v_verb := v_fact.verb;
			v_body := convert_from(v_fact.body, 'UTF8');
		end if;
		v_queue := '{}';
		if v_fact.tenant = any (v_blocked) then
			aside[i] := true;
			v_verb := null;
			continue;
		end if;

		-- may it be, and is there something to do it to?
		if v_fact.role <> 'engine' and v_verb <> 'look' then
			messages[i] := leat.forbids('run.' || v_fact.verb, v_fact.tenant, v_fact.role, v_fact.actor);
			codes[i] := case when messages[i] is not null then 'forbidden' end;
		end if;
		if codes[i] is not null then
			continue;
		elsif v_verb = 'start' then
			if p_run.id is not null and p_run.tenant_id = v_fact.tenant then
				codes[i] := 'conflict';
				messages[i] := format('run %s was started before; take a new run_id', v_fact.run);
			elsif p_run.id is not null then
				codes[i] := 'wrong_tenant';
				messages[i] := format('the id %s belongs to another tenant; take a new one', v_fact.run);
			else
				v_found := leat.started_run(v_fact, v_body);
				codes[i] := v_found.code;
				messages[i] := v_found.message;
				if v_found.aside then
					codes[i] := null;
					aside[i] := true;
					v_blocked := array_append(v_blocked, v_fact.tenant);
					continue;
				elsif codes[i] is null then
					p_run := v_found.run;
					details[i] := jsonb_build_object('run_id', p_run.id, 'workflow_id', p_run.workflow_id, 'version', p_run.version);
				end if;
			end if;
		elsif p_run.id is null or p_run.tenant_id <> v_fact.tenant then
			codes[i] := 'not_found';
			messages[i] := format('there is no run %s', v_fact.run);
		end if;
		if codes[i] is not null then
			continue;
		end if;

		if v_ids is null then
			select p.ids, p.types, p.needs, p.feeds, p.split, p.partner into v_ids, v_types, v_needs, v_feeds, v_split, v_partner
			from leat.workflow_plans p where p.workflow_id = p_run.workflow_id and p.version = p_run.version;
			if not found then
				codes[i] := 'conflict';
				messages[i] := format('version %s of workflow %s cannot run: its definition did not come by workflow.save and is none',
					p_run.version, p_run.workflow_id);
				if v_verb = 'start' then
					p_run := null;
				end if;
				continue;
			end if;
			v_states := p_run.node_states || '{}'::jsonb; -- from where it is stored, once
			if v_states = '{}' then
				v_states := leat.first_states(v_ids);
			end if;
		end if;

		-- what it changes
		if p_run.status = 'cancelled' and v_verb <> 'retry' then
			details[i] := jsonb_build_object('ignored', 'the run was cancelled');
		elsif v_verb in ('node', 'state') then
			v_name := v_body ->> 'node_id';
			v_status := v_body ->> 'status';
			v_attempt := v_body ->> 'attempt';
			v_node := array_position(v_ids, split_part(v_name, '[', 1));
			v_state := coalesce(v_new[array_position(v_changed, v_name)], v_states -> v_name);
			v_was := v_state ->> 'status';
			if v_status = 'running' and v_types[v_node] = 'question' then
				v_status := 'waiting';
			end if;
			if v_node is null or v_state is null then
				codes[i] := 'not_found';
				messages[i] := format('run %s has no node "%s"', p_run.id, v_name);
			elsif v_verb = 'node' and v_fact.role = 'service' and v_types[v_node] <> 'worker' then
				codes[i] := 'forbidden';
				messages[i] := format('run.node of a service is for worker nodes; "%s" is of type %s', v_name, v_types[v_node]);
			elsif v_verb = 'node' and v_fact.role = 'service' and v_attempt > leat.most_told_attempts() then
				codes[i] := 'invalid_message';
				messages[i] := format('attempt %s: no node has had so many; send what the header Leat-Attempt said', v_attempt);
			elsif v_body ? 'output' and v_status <> 'completed' or v_body ? 'error' and v_status <> 'failed' then
				codes[i] := 'invalid_message';
				messages[i] := 'run.node takes output with status completed, error with status failed';
			elsif (v_was || '>' || v_status = any (v_allowed)) is not true or v_status = 'pending' then
				details[i] := jsonb_build_object('ignored', format('node "%s" is %s already', v_name, v_was));
			elsif (v_body ->> 'generation')::integer <> (v_state -> 'generation')::integer then
				details[i] := jsonb_build_object('ignored', format('generation %s of node "%s" is over; the run was retried since',
					v_body ->> 'generation', v_name));
			elsif v_attempt < leat.lowest_attempt(v_state) then
				details[i] := jsonb_build_object('ignored', format('attempt %s of node "%s" is over; it counts from attempt %s on', v_attempt, v_name,
					leat.lowest_attempt(v_state)));
			elsif v_verb = 'node' and v_was = v_status and coalesce(v_attempt, (v_state -> 'attempt')::integer) = (v_state -> 'attempt')::integer then
				details[i] := jsonb_build_object('ignored', format('node "%s" is %s already', v_name, v_was));
			else
				v_item := case when v_name <> v_ids[v_node] then substring(v_name from '\[(\d+)\]$')::integer end;
				if v_was = 'pending' and (v_types[v_node] in ('split', 'collect')
						or not leat.needs_met(v_needs[v_node]::integer[], v_item, v_ids, v_split, v_states, v_changed, v_new)) then
					codes[i] := 'conflict';
					messages[i] := format('node "%s" cannot begin yet: not all that it needs is completed', v_name);
				else
					v_output := case when v_status = 'completed' then v_body -> 'output' end;
					v_error := case when v_status = 'failed' then coalesce(v_body ->> 'error', 'failed') end;
					v_attempt := coalesce(v_attempt, leat.lowest_attempt(v_state));
					if v_status <> 'running' then -- nobody has to do anything for it
						ended := array_append(ended, v_name);
					end if;
					v_queue := array[row(v_node, v_item, v_status)::leat.slot_change];
					details[i] := jsonb_build_object('node_id', v_name, 'status', v_status);
				end if;
			end if;
		else
			v_states := leat.states_with(v_states, v_changed, v_new);
			v_changed := '{}';
			v_new := '{}';
			v_queue := case v_verb
				when 'cancel' then leat.slot_changes(v_ids, v_states, '{pending,running,waiting}', 'cancelled')
				when 'retry' then leat.slot_changes(v_ids, v_states, '{failed,skipped,cancelled}', 'pending')
				else leat.slot_changes(v_ids, v_states, '{pending}', 'begin') end;
			if v_verb = 'cancel' and v_queue = '{}' then
				details[i] := jsonb_build_object('ignored', 'the run is over already');
			elsif v_verb = 'cancel' then
				p_run.status := 'cancelled';
				cancelled := true;
				details[i] := jsonb_build_object('cancelled_nodes', cardinality(v_queue));
			elsif v_verb = 'retry' and v_queue = '{}' then
				codes[i] := 'conflict';
				messages[i] := format('none of the nodes of run %s has failed; there is nothing to retry', p_run.id);
			elsif v_verb = 'retry' then
				p_run.status := 'running';
				p_run.finished_at := null;
				p_run.generation := p_run.generation + 1;
				v_open := null;
				details[i] := jsonb_build_object('retried_nodes', cardinality(v_queue), 'generation', p_run.generation);
			end if;
		end if;

		-- each change, and what follows from it
		v_head := 0;
		while v_head < cardinality(v_queue) loop
			v_head := v_head + 1;
			v_change := v_queue[v_head];
			v_node := v_change.node;
			v_item := v_change.item;
			v_status := v_change.becomes;
			v_key := leat.item_key(v_ids[v_node], v_item);
			v_state := leat.state_at(v_key, v_states, v_changed, v_new);
			v_was := v_state ->> 'status';
			if v_status in ('skipped', 'begin') and v_was <> 'pending' then
				continue; -- two ways led there
			elsif v_status = 'begin' then
				if v_types[v_node] <> 'collect' then
					v_waits := not leat.needs_met(v_needs[v_node]::integer[], v_item, v_ids, v_split, v_states, v_changed, v_new);
				else
					v_waits := false;
					foreach v_next in array v_needs[v_node]::integer[] loop
						if v_split[v_next] is null then
							v_waits := v_waits or leat.state_at(v_ids[v_next], v_states, v_changed, v_new) ->> 'status' <> 'completed';
							continue;
						elsif v_open[v_next] is null then
							v_open[v_next] := leat.open_slots(v_ids[v_next],
								leat.item_count(leat.state_at(v_ids[v_split[v_next]], v_states, v_changed, v_new)), v_states, v_changed, v_new);
						end if;
						v_waits := v_waits or v_open[v_next] > 0;
					end loop;
				end if;
				if v_waits then
					continue;
				elsif v_types[v_node] = 'split' then
					v_found := leat.settle_split(p_run, v_node, leat.states_with(v_states, v_changed, v_new));
				elsif v_types[v_node] = 'collect' then
					v_found := leat.settle_collect(v_ids, v_needs[v_node]::integer[], v_split, v_partner[v_node],
						leat.states_with(v_states, v_changed, v_new));
				else
					woke := true;
					continue;
				end if;
				v_status := v_found.status;
				v_error := v_found.error;
				v_output := case when v_error is null then v_found.output end;
				v_attempt := 1;
			end if;

			if v_was || '>' || v_status <> all (v_allowed) then
				raise exception 'node "%" of run % is %, which does not become %', v_key, p_run.id, v_was, v_status;
			end if;
			v_place := array_position(v_changed, v_key);
			if v_place is null then
				v_changed := array_append(v_changed, v_key);
				v_place := cardinality(v_changed);
			end if;
			v_new[v_place] := leat.node_state(v_state, v_status, v_output, v_error, v_attempt, leat.time_text(v_fact.at));
			if p_run.status = 'cancelled' or v_status in ('pending', 'running', 'waiting') then
				continue;
			end if;
			if v_open[v_node] is not null then
				v_open[v_node] := v_open[v_node] - 1;
			end if;

			-- below a completed split every node has a slot for each item, of the state that its one slot had
			if v_types[v_node] = 'split' and v_status = 'completed' then
				v_count := jsonb_array_length(v_output);
				for k in v_node + 1 .. cardinality(v_ids) loop
					if v_split[k] = v_node then
						v_states := (v_states - v_ids[k])
							|| leat.item_states(v_ids[k], v_count, leat.state_at(v_ids[k], v_states, v_changed, v_new));
						v_changed := array_replace(v_changed, v_ids[k], null);
						v_open[k] := null;
					end if;
				end loop;
				if v_count = 0 then
					v_queue := array_append(v_queue, row(v_partner[v_node], null, 'begin')::leat.slot_change);
				end if;
			end if;

			-- those behind it: one of the same item, or all slots of what runs per item, or the only one
			foreach v_next in array v_feeds[v_node]::integer[] loop
				v_change.node := v_next;
				v_change.becomes := case when v_status = 'completed' or (v_types[v_next] = 'collect' and v_split[v_node] is not null) then 'begin'
					else 'skipped' end;
				v_change.item := case when v_split[v_next] is not null then v_item end;
				v_count := case when v_split[v_next] is not null and v_item is null
					then leat.item_count(leat.state_at(v_ids[v_split[v_next]], v_states, v_changed, v_new)) end;
				for n in 0 .. coalesce(v_count, 1) - 1 loop
					if v_count is not null then
						v_change.item := n;
					end if;
					v_queue := array_append(v_queue, v_change);
				end loop;
			end loop;
		end loop;

		if v_queue <> '{}' then
			changed := true;
			p_run.updated_at := v_fact.at;
			p_run.position := coalesce(v_fact.position, p_run.position);
		end if;
		v_verb := case when v_verb = 'retry' and codes[i] is null then 'look' end;
	end loop;
	if not changed then
		return;
	end if;

	p_run.node_states := leat.states_with(v_states, v_changed, v_new);
	v_statuses := jsonb_path_query_array(p_run.node_states, '$.*.status');
	-- where nothing is under way and nothing went wrong, whatever is left can begin: the first of it does not wait for the rest
	v_ready := p_run.status <> 'cancelled' and v_statuses ? 'pending' and (not v_statuses ?| '{running,waiting,failed,skipped,cancelled}'
		or leat.can_go_on(v_ids, v_types, v_needs, v_split, p_run.node_states));
	woke := woke and v_ready;
	p_run.ready_since := case when woke then now() when v_ready then coalesce(p_run.ready_since, now()) end;
	p_run.status := case
		when p_run.status = 'cancelled' then 'cancelled'
		when v_statuses <@ '["pending"]' and p_run.generation = 0 then 'pending'
		when v_ready or v_statuses ? 'running' then 'running'
		when v_statuses ? 'waiting' then 'waiting'
		when v_statuses ?| '{failed,skipped,cancelled}' then 'failed'
		else 'completed' end;
	p_run.finished_at := case when p_run.status in ('completed', 'failed', 'cancelled') then p_run.updated_at end;
end
$$;
