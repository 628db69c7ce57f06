-- The keeper's search for claims past their lease, and for runs that nobody goes on with. It changes no run. It lets go of claims, has somebody
-- look at the run (run.resume), and tells by a run.node of Leat's own that a node's attempts are used up; whoever is earlier in the stream wins.
-- All times are the database's.

-- The owner of claims that are over but for their fact, and of those that rest since the reaper let them go.
create or replace function leat.no_owner() returns uuid
language sql immutable parallel safe
return '00000000-0000-0000-0000-000000000000'::uuid;

-- The body of a run.node, and of whom it is told.
create or replace function leat.tell_node(p_tenant uuid, p_run uuid, p_node text, p_leat_id text, p_traceparent text, p_more jsonb) returns void
language sql set search_path = pg_catalog
as $$
	insert into leat.outbox (subject, headers, body)
	values ('leat.intent.' || p_tenant || '.engine.run.node',
		leat.header('Leat-Id', p_leat_id) || coalesce(leat.header('traceparent', p_traceparent), ''),
		convert_to((jsonb_build_object('run_id', p_run, 'node_id', p_node) || p_more)::text, 'UTF8'))
$$;

create or replace function leat.call_for_runs(p_runs uuid[]) returns void
language sql set search_path = pg_catalog
as $$
	insert into leat.outbox (subject, headers, body)
	select 'leat.intent.' || r.tenant_id || '.engine.run.resume', coalesce(leat.header('traceparent', r.traceparent), ''),
		convert_to('{"run_id":"' || r.id || '"}', 'UTF8')
	from leat.runs r where r.id = any (p_runs) order by r.id
$$;

-- Claims past their lease, the oldest first, at most p_limit; how many. A node whose attempts of this generation are used up (max_attempts, else
-- p_attempts) is told to have failed, and its claim held for a minute more, so that nobody begins with it before that is applied. Another is
-- let go: it rests without an owner until somebody begins the next attempt. That the last one began is told in case that its holder could not,
-- so that it counts, and its run is resumed. The attempts at a question are one, since asking again has no effect. One that rests already stays,
-- and its run is resumed. A claim of what is over goes without a word. While Postgres is up for less than p_spare_ms there is none: holders that
-- could not renew theirs do so first.
-- Locks: the claims', none of which is waited for. Indexes: claims_to_reap, primary keys of runs and workflow_nodes.
create or replace function leat.reap_claims(p_attempts integer, p_limit integer, p_spare_ms bigint default 0, out reaped integer,
	out lost integer)
language plpgsql set search_path = pg_catalog set enable_seqscan = off
as $$
declare
	v_claim record;
	v_resumed uuid[] := '{}';
begin
	reaped := 0;
	lost := 0;
	if pg_postmaster_start_time() > now() - p_spare_ms * interval '1 ms' then
		return;
	end if;
	for v_claim in
		with late as materialized (
			select c.* from leat.claims c where c.leased_until <= now() order by c.leased_until limit p_limit for update skip locked)
		select late.run_id, late.node_id, late.tenant_id, late.generation, late.not_before, r.traceparent, n.type,
			r.finished_at is null and state.it ->> 'status' in ('pending', 'running') as open,
			(state.it ->> 'attempt')::integer as told, greatest(late.attempt, (state.it ->> 'attempt')::integer) as attempt,
			(state.it ->> 'generation')::integer as current_generation,
			coalesce((state.it ->> 'attempts_before')::integer, 0) as before,
			case jsonb_typeof(n.params -> 'max_attempts') when 'number' then (n.params ->> 'max_attempts')::numeric else p_attempts end as most
		from late
		left join leat.runs r on r.id = late.run_id and r.tenant_id = late.tenant_id
		left join leat.workflow_nodes n on n.workflow_id = r.workflow_id and n.version = r.version
			and n.node_id = split_part(late.node_id, '[', 1)
		left join lateral (select r.node_states -> late.node_id as it offset 0) state on true
		order by late.leased_until
	loop
		reaped := reaped + 1;
		if v_claim.open and v_claim.not_before is not null then
			update leat.claims c set leased_until = now() + interval '1 minute'
			where c.run_id = v_claim.run_id and c.node_id = v_claim.node_id;
			v_resumed := array_append(v_resumed, v_claim.run_id);
			continue;
		end if;
		if v_claim.open and v_claim.attempt - v_claim.before >= v_claim.most and v_claim.generation = v_claim.current_generation then
			lost := lost + 1;
			update leat.claims c set owner = leat.no_owner(), leased_until = now() + interval '1 minute'
			where c.run_id = v_claim.run_id and c.node_id = v_claim.node_id;
			perform leat.tell_node(v_claim.tenant_id, v_claim.run_id, v_claim.node_id, format('%s/%s/%s/%s/lost', v_claim.run_id,
				v_claim.node_id, v_claim.generation, v_claim.attempt), v_claim.traceparent,
				jsonb_build_object('status', 'failed', 'attempt', v_claim.attempt, 'generation', v_claim.generation,
					'error', 'worker_heartbeat_lost'));
			continue;
		end if;
		if v_claim.open is not true or v_claim.generation <> v_claim.current_generation then
			delete from leat.claims c where c.run_id = v_claim.run_id and c.node_id = v_claim.node_id;
			if v_claim.open then
				v_resumed := array_append(v_resumed, v_claim.run_id);
			end if;
			continue;
		end if;
		update leat.claims c
		set owner = leat.no_owner(), not_before = now(), leased_until = now() + interval '1 minute', tries = 0,
			attempt = v_claim.attempt + case v_claim.type when 'question' then 0 else 1 end
		where c.run_id = v_claim.run_id and c.node_id = v_claim.node_id;
		v_resumed := array_append(v_resumed, v_claim.run_id);
		if v_claim.type <> 'question' and v_claim.told < v_claim.attempt then
			perform leat.tell_node(v_claim.tenant_id, v_claim.run_id, v_claim.node_id, format('%s/%s/%s/%s/begun', v_claim.run_id,
				v_claim.node_id, v_claim.generation, v_claim.attempt), v_claim.traceparent,
				jsonb_build_object('status', 'running', 'attempt', v_claim.attempt, 'generation', v_claim.generation));
		end if;
	end loop;
	if v_resumed <> '{}' then
		perform leat.call_for_runs(v_resumed);
	end if;
end
$$;

-- Of the runs under way behind p_after, by id, at most p_limit that nothing happened to for p_idle_ms: those with a node that could begin and
-- that nobody claimed are resumed, at most p_room of them. A node that is running and that nobody has claimed (its claim is lost, or direct SQL
-- began with it) gets one, for p_lease_ms, past which it is reaped like any other. next: where to go on; null: that was all.
-- Locks: none of runs is waited for. Index: runs_under_way, which those that wait for people are not in.
create or replace function leat.find_stalled_runs(p_after uuid, p_idle_ms bigint, p_lease_ms bigint, p_limit integer, p_room integer,
	out next uuid, out resumed integer, out adopted integer)
language plpgsql set search_path = pg_catalog set enable_seqscan = off
as $$
declare
	v_since constant timestamptz := now() - p_idle_ms * interval '1 ms';
	v_seen integer := 0;
	v_run leat.runs;
	v_resumed uuid[] := '{}';
	v_claims integer;
begin
	adopted := 0;
	for v_run in
		select r.* from leat.runs r
		where r.status in ('pending', 'running') and r.id > p_after and (r.ready_since < v_since or r.updated_at < v_since)
		order by r.id limit p_limit
	loop
		v_seen := v_seen + 1;
		next := v_run.id;
		if v_run.ready_since < v_since and cardinality(v_resumed) < p_room and exists (
			select from leat.ready_nodes(v_run) n
			where not exists (select from leat.claims c where c.run_id = v_run.id and c.node_id = n.node_id)) then
			v_resumed := array_append(v_resumed, v_run.id);
		end if;
		if v_run.updated_at < v_since then
			insert into leat.claims (run_id, node_id, tenant_id, owner, attempt, generation, leased_until)
			select v_run.id, s.key, v_run.tenant_id, gen_random_uuid(), (s.value -> 'attempt')::integer, (s.value -> 'generation')::integer,
				now() + p_lease_ms * interval '1 ms'
			from jsonb_each(v_run.node_states) s
			where s.value ->> 'status' = 'running'
			on conflict do nothing;
			get diagnostics v_claims = row_count;
			adopted := adopted + v_claims;
		end if;
	end loop;
	if v_seen < p_limit then
		next := null;
	end if;
	resumed := cardinality(v_resumed);
	if resumed > 0 then
		perform leat.call_for_runs(v_resumed);
		update leat.runs r set ready_since = now()
		where r.id in (select x.id from leat.runs x where x.id = any (v_resumed) and x.ready_since < v_since for no key update skip locked);
	end if;
end
$$;

-- A worker that still works on a node, in its own words: the lease begins anew. Null: that attempt is not the one that is claimed.
-- Lock: the claim's.
create or replace function leat.renew_claim(p_tenant uuid, p_run uuid, p_node text, p_attempt integer, p_lease_ms bigint) returns timestamptz
language plpgsql set search_path = pg_catalog
as $$
declare
	v_until timestamptz;
begin
	update leat.claims c set leased_until = clock_timestamp() + p_lease_ms * interval '1 ms'
	where c.run_id = p_run and c.node_id = p_node and c.tenant_id = p_tenant and c.attempt = p_attempt and c.owner <> leat.no_owner()
	returning c.leased_until into v_until;
	return v_until;
end
$$;
