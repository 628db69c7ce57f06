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

drop function if exists leat.claimable_nodes(leat.runs);

-- Claims nodes of each run of p_runs, which is in p_tenants by its place, up to p_limits of each; ord is the place. No row: none is ready, or there
-- is no such run in the tenant. A row without a node comes last: there are more, or (busy) somebody else has the run's row: to be asked for alone,
-- since only of a single run is the row waited for, briefly. attempt: the one that the caller makes; tries: how many were made in it by whoever
-- let it rest. params: with references replaced; of a merge node the body of its entity.merge; null where that fails, and then error says why.
-- secret_headers: the names of headers whose saved text holds a secret's name, one a line. Locks: the runs' rows. Index: primary keys.
create or replace function leat.claim_nodes_of(p_runs uuid[], p_tenants uuid[], p_owner uuid, p_lease_ms bigint, p_limits bigint[])
returns table (ord bigint, node_id text, type text, attempt integer, generation integer, params jsonb, error text, secret_headers text,
	traceparent text, tries integer, busy boolean)
language plpgsql set search_path = pg_catalog set lock_timeout = '500ms'
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
declare
	v_alone constant boolean := cardinality(p_runs) = 1;
	v_run leat.runs;
	v_states jsonb;
	v_node record;
	v_left bigint;
begin
	-- A claim that a crash of Postgres forgets is made once more, with the same idempotency key: nobody has to wait for the disk.
	perform set_config('synchronous_commit', 'off', true);
	busy := false;
	for n in 1 .. cardinality(p_runs) loop
		ord := n;
		if v_alone then
			select * into v_run from leat.runs r where r.id = p_runs[n] and r.tenant_id = p_tenants[n] for no key update;
		else
			select * into v_run from leat.runs r where r.id = p_runs[n] and r.tenant_id = p_tenants[n] for no key update skip locked;
			if not found then
				node_id := null;
				busy := true;
				return next;
				busy := false;
			end if;
		end if;
		continue when v_run.id is null or v_run.finished_at is not null;
		traceparent := v_run.traceparent;
		v_states := v_run.node_states || '{}'::jsonb; -- from where it is stored, once
		v_left := p_limits[n];
		for v_node in
			select k.key, k.item, w.split, w.type, w.params, coalesce((v_states -> k.key -> 'attempt')::integer, 0) as attempt,
				coalesce((v_states -> k.key -> 'generation')::integer, 0) as generation, c.attempt as rested_attempt, c.tries
			from leat.workflow_nodes w
			cross join lateral (
				select w.node_id as key, null::integer as item where w.split is null
				union all
				select leat.item_key(w.node_id, i), i
				from generate_series(0, case v_states -> w.split ->> 'status' when 'completed'
					then jsonb_array_length(v_states -> w.split -> 'output') - 1 else -1 end) i
				where w.split is not null) k
			left join leat.claims c on c.run_id = v_run.id and c.node_id = k.key
			where w.workflow_id = v_run.workflow_id and w.version = v_run.version and w.type not in ('split', 'collect')
				and case coalesce(v_states -> k.key ->> 'status', 'pending')
					when 'running' then true
					when 'pending' then not exists (
						select from unnest(w.needs) need
						where coalesce(v_states -> leat.item_key(need, k.item), v_states -> need) ->> 'status' is distinct from 'completed')
					else false end
				and (c.node_id is null or c.not_before <= clock_timestamp())
			order by coalesce(v_states -> k.key ->> 'status', 'pending'), w.ord, k.item
			limit v_left + 1
		loop
			if v_left = 0 then
				node_id := null;
				return next;
				exit;
			end if;
			node_id := v_node.key;
			type := v_node.type;
			attempt := greatest(v_node.rested_attempt, v_node.attempt + case when v_node.rested_attempt is null then 1 else 0 end);
			generation := v_node.generation;
			tries := coalesce(v_node.tries, 0);
			error := null;
			params := v_node.params;
			if type = 'merge' or params @? '$.**."$ref"' then
				begin
					params := leat.resolve_references(params, v_states, v_run.input, v_states -> v_node.split -> 'output' -> v_node.item, v_node.item);
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
			end if;
			secret_headers := null;
			if jsonb_typeof(v_node.params -> 'headers') = 'object' and not v_node.params -> 'headers' ? '$ref' then
				secret_headers := (
					select string_agg(h.key, E'\n') from jsonb_each(v_node.params -> 'headers') h
					where jsonb_typeof(h.value) = 'string' and h.value #>> '{}' like '%${secret:%');
			end if;
			insert into leat.claims as c (run_id, node_id, tenant_id, owner, attempt, generation, leased_until)
			values (v_run.id, node_id, v_run.tenant_id, p_owner, attempt, generation, clock_timestamp() + p_lease_ms * interval '1 ms')
			on conflict on constraint claims_pkey do update
			set owner = excluded.owner, attempt = excluded.attempt, generation = excluded.generation, leased_until = excluded.leased_until,
				not_before = null
			where c.not_before is not null;
			if found then
				v_left := v_left - 1;
				return next;
			end if;
		end loop;
	end loop;
end
$$;

-- Of one run.
create or replace function leat.claim_nodes(p_run_id uuid, p_tenant uuid, p_owner uuid, p_lease_ms bigint, p_limit integer)
returns table (node_id text, type text, attempt integer, generation integer, params jsonb, error text, secret_headers text, traceparent text,
	tries integer)
language sql set search_path = pg_catalog
as $$
	select c.node_id, c.type, c.attempt, c.generation, c.params, c.error, c.secret_headers, c.traceparent, c.tries
	from leat.claim_nodes_of(array[p_run_id], array[p_tenant], p_owner, p_lease_ms, array[p_limit::bigint]) c
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
