-- Claims: who calls for which node of a run now. Outside of the fold, by the database's time, and only ever a matter of who works: whether a
-- result counts is decided when its run.node is applied.
--
-- A node can be claimed while it is ready, or running and nobody's: who had it gave it back, lost it to the reaper, or let it rest until a time
-- that has come. Whoever claims holds the run's row meanwhile, as whoever applies its facts does: a node that is completed is not claimed any
-- more, and nobody claims twice.

-- An intent's body from the parameters of a merge node. Without a target of its own it is the run's entity. Null: there is none.
create or replace function leat.merge_of_node(p_params jsonb, p_entity uuid) returns jsonb
language sql immutable parallel safe set search_path = pg_catalog
return p_params || '{"respect_locks": true}' || case
		when p_params ?| '{entity_id,entity_type,key}' then '{}'
		else jsonb_build_object('entity_id', p_entity)
	end;

-- What can be claimed, as leat.ready_nodes says it, and besides what is running by the run's row. item_value: what `item` stands for.
create or replace function leat.claimable_nodes(p_run leat.runs)
returns table (node_id text, item integer, item_value jsonb, type text, attempt integer, generation integer, params jsonb)
language plpgsql stable set search_path = pg_catalog
as $$
declare
	v_states constant jsonb := p_run.node_states || '{}'::jsonb;
begin
	return query
	select r.node_id, r.item, v_states -> n.split -> 'output' -> r.item, r.type, r.attempt, r.generation, r.params
	from leat.ready_nodes(p_run) r
	join leat.workflow_nodes n on n.workflow_id = p_run.workflow_id and n.version = p_run.version and n.node_id = r.node
	union all
	select s.key, i.item, v_states -> n.split -> 'output' -> i.item, n.type, coalesce((s.value ->> 'attempt')::integer, 0),
		coalesce((s.value ->> 'generation')::integer, 0), n.params
	from jsonb_each(v_states) s
	cross join lateral (select substring(s.key from '\[(\d+)\]$')::integer as item) i
	join leat.workflow_nodes n on n.workflow_id = p_run.workflow_id and n.version = p_run.version and n.node_id = split_part(s.key, '[', 1)
	where s.value ->> 'status' = 'running' and n.type not in ('split', 'collect') and p_run.finished_at is null;
end
$$;

-- Claims up to p_limit nodes of the run; no row: none is ready, or there is no such run in the tenant. A last row without a node: there are
-- more. attempt: the one that the caller makes; tries: how many were made in it by whoever let it rest. params: with references replaced; of a
-- merge node the body of its entity.merge; null where that fails, and then error says why. secret_headers: the names of headers whose saved
-- text holds a secret's name, one a line. Lock: the run's row, waited for briefly.
create or replace function leat.claim_nodes(p_run_id uuid, p_tenant uuid, p_owner uuid, p_lease_ms bigint, p_limit integer)
returns table (node_id text, type text, attempt integer, generation integer, params jsonb, error text, secret_headers text, traceparent text,
	tries integer)
language plpgsql set search_path = pg_catalog set lock_timeout = '500ms'
as $$
declare
	v_run leat.runs;
	v_states jsonb;
	v_ready record;
	v_left integer := p_limit;
begin
	-- A claim that a crash of Postgres forgets is made once more, with the same idempotency key: nobody has to wait for the disk.
	perform set_config('synchronous_commit', 'off', true);
	select * into v_run from leat.runs r where r.id = p_run_id and r.tenant_id = p_tenant for no key update;
	if not found then
		return;
	end if;
	v_states := v_run.node_states || '{}'::jsonb;
	for v_ready in
		select r.*, c.attempt as rested_attempt, c.tries
		from leat.claimable_nodes(v_run) r
		left join leat.claims c on c.run_id = p_run_id and c.node_id = r.node_id
		where c.node_id is null or c.not_before <= clock_timestamp()
		limit p_limit + 1
	loop
		if v_left = 0 then
			node_id := null;
			return next;
			exit;
		end if;
		node_id := v_ready.node_id;
		type := v_ready.type;
		attempt := greatest(v_ready.rested_attempt, v_ready.attempt + case when v_ready.rested_attempt is null then 1 else 0 end);
		generation := v_ready.generation;
		traceparent := v_run.traceparent;
		tries := coalesce(v_ready.tries, 0);
		error := null;
		begin
			params := leat.resolve_references(v_ready.params, v_states, v_run.input, v_ready.item_value, v_ready.item);
			if type = 'merge' then
				params := leat.merge_of_node(params, v_run.entity_id);
				if jsonb_typeof(params -> 'entity_id') = 'null' then
					params := null;
					error := 'the node names no entity, and the run has none: give the node entity_id, or entity_type and key, or start the run with entity_id';
				end if;
			end if;
		exception when invalid_parameter_value then
			params := null;
			error := sqlerrm;
		end;
		secret_headers := case when jsonb_typeof(v_ready.params -> 'headers') = 'object' and not v_ready.params -> 'headers' ? '$ref' then (
			select string_agg(h.key, E'\n') from jsonb_each(v_ready.params -> 'headers') h
			where jsonb_typeof(h.value) = 'string' and h.value #>> '{}' like '%${secret:%') end;
		insert into leat.claims as c (run_id, node_id, tenant_id, owner, attempt, generation, leased_until)
		values (p_run_id, node_id, p_tenant, p_owner, attempt, generation, clock_timestamp() + p_lease_ms * interval '1 ms')
		on conflict on constraint claims_pkey do update
		set owner = excluded.owner, attempt = excluded.attempt, generation = excluded.generation, leased_until = excluded.leased_until,
			not_before = null
		where c.not_before is not null;
		if found then
			v_left := v_left - 1;
			return next;
		end if;
	end loop;
end
$$;

-- Renews the lease of those that the owner still holds, and says which they are; what is missing was taken, is over, or its run is. One that
-- somebody has locked is about to go, or renewed next time. A claim that is not there though its attempt is the current one was forgotten by a
-- crash of Postgres: it is made again. Index: primary keys of claims and runs.
create or replace function leat.hold_claims(p_owner uuid, p_runs uuid[], p_nodes text[], p_attempts bigint[], p_lease_ms bigint)
returns table (ord bigint) language plpgsql set search_path = pg_catalog
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
begin
	insert into leat.claims (run_id, node_id, tenant_id, owner, attempt, generation, leased_until)
	select m.run_id, m.node_id, r.tenant_id, p_owner, m.attempt, coalesce((r.state -> 'generation')::integer, 0), clock_timestamp()
	from unnest(p_runs, p_nodes, p_attempts) m (run_id, node_id, attempt)
	cross join lateral (
		select x.tenant_id, x.node_states -> m.node_id as state from leat.runs x where x.id = m.run_id and x.finished_at is null offset 0) r
	where not exists (select from leat.claims c where c.run_id = m.run_id and c.node_id = m.node_id)
		and coalesce(r.state ->> 'status', 'pending') in ('pending', 'running') and leat.lowest_attempt(r.state) <= m.attempt
	order by m.run_id, m.node_id
	on conflict do nothing;
	return query
	with mine as materialized (
		select m.ord, c.run_id, c.node_id
		from unnest(p_runs, p_nodes, p_attempts) with ordinality m (run_id, node_id, attempt, ord)
		cross join lateral (
			select x.* from leat.claims x where x.run_id = m.run_id and x.node_id = m.node_id and x.owner = p_owner and x.attempt = m.attempt
			offset 0) c
		where not exists (select from leat.runs r where r.id = c.run_id and r.finished_at is not null)
	), free as materialized (
		select c.run_id, c.node_id
		from mine m cross join lateral (
			select x.run_id, x.node_id from leat.claims x where x.run_id = m.run_id and x.node_id = m.node_id
			offset 0 for no key update skip locked) c
	), renewed as (
		update leat.claims c set leased_until = clock_timestamp() + p_lease_ms * interval '1 ms'
		from free f where c.run_id = f.run_id and c.node_id = f.node_id
	)
	select m.ord from mine m;
end
$$;

-- Gives claims back before their lease ends, so that others take them over at once.
create or replace function leat.release_claims(p_owner uuid, p_runs uuid[], p_nodes text[], p_attempts bigint[]) returns bigint
language plpgsql set search_path = pg_catalog set lock_timeout = '500ms'
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
	v_count bigint;
begin
	delete from leat.claims c
	using unnest(p_runs, p_nodes, p_attempts) m (run_id, node_id, attempt)
	where c.run_id = m.run_id and c.node_id = m.node_id and c.owner = p_owner and c.attempt = m.attempt;
	get diagnostics v_count = row_count;
	return v_count;
end
$$;

-- Lets claims of the owner rest, each for so long, and says which of them were still the owner's. The owner sees to it that the run is resumed
-- then; if it does not, the reaper does, once a lease is over besides.
create or replace function leat.rest_claims(p_owner uuid, p_runs uuid[], p_nodes text[], p_attempts bigint[], p_tries bigint[], p_wait_ms bigint[],
	p_lease_ms bigint) returns table (ord bigint)
language plpgsql set search_path = pg_catalog set lock_timeout = '500ms'
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
begin
	return query
	update leat.claims c
	set not_before = clock_timestamp() + m.wait_ms * interval '1 ms', leased_until = clock_timestamp() + (m.wait_ms + p_lease_ms) * interval '1 ms',
		tries = m.tries
	from unnest(p_runs, p_nodes, p_attempts, p_tries, p_wait_ms) with ordinality m (run_id, node_id, attempt, tries, wait_ms, ord)
	where c.run_id = m.run_id and c.node_id = m.node_id and c.owner = p_owner and c.attempt = m.attempt
	returning m.ord;
end
$$;

-- The owner ends, and what it let rest is the reaper's to resume.
create or replace function leat.leave_resting_claims(p_owner uuid) returns void
language sql set search_path = pg_catalog set lock_timeout = '500ms'
as $$
	update leat.claims c set leased_until = c.not_before where c.owner = p_owner and c.not_before is not null
$$;

-- ---- resumes that people and services ask for ----

-- Why a run.resume can't be; code null: it can. A run that is not there yet may be, while its run.start is on the way: early, for 10 s.
create or replace function leat.check_resume(p_tenant uuid, p_role text, p_actor text, p_run uuid, p_at timestamptz,
	out code text, out message text, out early boolean)
language plpgsql stable set search_path = pg_catalog
as $$
begin
	early := false;
	message := leat.forbids('run.resume', p_tenant, p_role, p_actor);
	if message is not null then
		code := 'forbidden';
	elsif p_run is not null and not exists (select from leat.runs r where r.id = p_run and r.tenant_id = p_tenant) then
		code := 'not_found';
		message := format('there is no run %s; start it by run.start', p_run);
		early := p_at > clock_timestamp() - interval '10 seconds';
	end if;
end
$$;

-- A resume for each of the agent's runs that may have something to do; how many. Index: runs_of_agent.
create or replace function leat.resume_agent(p_tenant uuid, p_agent text, p_traceparent text) returns bigint
language plpgsql set search_path = pg_catalog
as $$
declare
	v_count bigint;
begin
	insert into leat.outbox (subject, headers, body)
	select format('leat.intent.%s.engine.run.resume', r.tenant_id), coalesce(leat.header('traceparent', coalesce(p_traceparent, r.traceparent)), ''),
		convert_to(jsonb_build_object('run_id', r.id)::text, 'UTF8')
	from leat.runs r
	where r.tenant_id = p_tenant and r.agent_id = p_agent and r.status in ('pending', 'running')
	order by r.id;
	get diagnostics v_count = row_count;
	return v_count;
end
$$;
