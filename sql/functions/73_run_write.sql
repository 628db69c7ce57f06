-- Runs in their table: locked, written, and what is told to others in the same transaction.

-- The rows of these ids, in the order of ids, locked: all, or what can be had while somebody else holds the others.
create or replace function leat.lock_runs(p_ids uuid[], out runs leat.runs[], out locked_away uuid[])
language plpgsql set search_path = pg_catalog set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off
as $$
begin
	locked_away := '{}';
	runs := array(select r from leat.runs r where r.id = any (p_ids) order by r.id for update);
exception when lock_not_available or deadlock_detected then
	runs := array(select r from leat.runs r where r.id = any (p_ids) order by r.id for update skip locked);
	locked_away := array(select r.id from leat.runs r where r.id = any (p_ids) except select r.id from unnest(runs) r);
end
$$;

-- The message that calls whoever has a free slot.
create or replace function leat.resume_subject(p_tenant uuid) returns text
language sql immutable parallel safe
return 'leat.intent.' || p_tenant::text || '.engine.run.resume';

create or replace function leat.resume_headers(p_traceparent text) returns bytea
language sql immutable parallel safe
return case when p_traceparent is null then '' else leat.header('traceparent', p_traceparent) end;

create or replace function leat.resume_body(p_run uuid) returns bytea
language sql immutable parallel safe
return convert_to('{"run_id":"' || p_run::text || '"}', 'UTF8');

-- Runs as they are now, new ones and others, and what follows from it: whoever has a free slot is called to p_woken; claims are over for
-- p_ended_nodes of p_ended_runs, and for all nodes of p_cancelled. Locks: claims, in the order of their key. leat.claims is empty one moment and
-- long the next, and plans are made by what it was: no statement here may join it, and the one that joins leat.runs names its ids besides.
create or replace function leat.write_runs(p_new leat.runs[], p_changed leat.runs[], p_woken uuid[], p_ended_runs uuid[], p_ended_nodes text[],
	p_cancelled uuid[]) returns void
language plpgsql set search_path = pg_catalog
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
declare
	v_ended record;
begin
	if p_new <> '{}' then
		insert into leat.runs select n.* from unnest(p_new) n;
	end if;
	if p_changed <> '{}' then
		update leat.runs r
		set status = c.status, node_states = c.node_states, generation = c.generation, position = c.position, updated_at = c.updated_at,
			finished_at = c.finished_at, ready_since = c.ready_since
		from unnest(p_changed) c where r.id = c.id and r.id = any (array(select x.id from unnest(p_changed) x));
	end if;
	if p_woken <> '{}' then
		insert into leat.outbox (subject, headers, body)
		select leat.resume_subject(r.tenant_id), leat.resume_headers(r.traceparent), leat.resume_body(r.id)
		from unnest(p_new || p_changed) r where r.id = any (p_woken);
	end if;
	for v_ended in
		select e.run_id, e.node_id from unnest(p_ended_runs, p_ended_nodes) e (run_id, node_id) order by e.run_id, e.node_id collate "C"
	loop
		delete from leat.claims c where c.run_id = v_ended.run_id and c.node_id = v_ended.node_id;
	end loop;
	if p_cancelled <> '{}' then
		perform from leat.claims c where c.run_id = any (p_cancelled) order by c.run_id, c.node_id for update;
		delete from leat.claims c where c.run_id = any (p_cancelled);
		perform pg_notify('leat_cancel', r::text) from unnest(p_cancelled) r;
		perform leat.take_back_questions(p_cancelled);
	end if;
end
$$;
