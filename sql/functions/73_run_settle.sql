-- Facts to their end: all of a batch that have their turn are folded run by run in memory (73_run_fold.sql), and written by one statement a
-- table.

-- leat.fold_run, when that fails: the fact that Postgres refuses for good ends as `internal`, and the others of its run go on without it.
create or replace function leat.fold_run_apart(inout p_run leat.runs, p_facts leat.run_fact[], out codes text[], out messages text[],
	out details jsonb[], out aside boolean[], out changed boolean, out woke boolean, out ended text[], out cancelled boolean)
language plpgsql set search_path = pg_catalog
as $$
declare
	v_done record;
	v_blocked uuid[] := '{}'; -- tenants one of whose facts is aside
begin
	changed := false;
	woke := false;
	cancelled := false;
	for i in 1 .. cardinality(p_facts) loop
		aside[i] := p_facts[i].tenant = any (v_blocked);
		continue when aside[i];
		begin
			v_done := leat.fold_run(p_run, p_facts[i:i]);
			if v_done.changed then
				p_run := v_done.p_run;
			end if;
			changed := changed or v_done.changed;
			woke := woke or v_done.woke;
			ended := ended || v_done.ended;
			cancelled := cancelled or v_done.cancelled;
			codes[i] := v_done.codes[1];
			messages[i] := v_done.messages[1];
			details[i] := v_done.details[1];
			aside[i] := v_done.aside[1];
			if aside[i] then
				v_blocked := v_blocked || p_facts[i].tenant;
			end if;
		exception when others then
			if left(sqlstate, 2) in ('08', '40', '53', '55', '57', '58') then
				raise;
			end if;
			codes[i] := 'internal';
			messages[i] := 'Postgres refuses it: ' || sqlerrm;
		end;
	end loop;
end
$$;

-- A result of Leat's own that Postgres refuses for good: nobody would tell another, and its node would wait. It fails, with what Postgres said;
-- unless not even that can be read of it.
create or replace function leat.fail_refused(p_stream text, p_fact leat.run_fact, p_why text) returns void
language plpgsql set search_path = pg_catalog
as $$
declare
	v_body jsonb;
begin
	begin
		v_body := convert_from(p_fact.body, 'UTF8')::jsonb - 'output';
	exception when data_exception or program_limit_exceeded then
		return;
	end;
	if v_body ->> 'status' = 'completed' then
		perform leat.tell_node(p_fact.tenant, p_fact.run, v_body ->> 'node_id', format('%s/%s/refused', p_stream, p_fact.position),
			p_fact.traceparent, v_body - '{run_id,node_id}'::text[] || jsonb_build_object('status', 'failed',
				'error', 'the output cannot be kept: ' || left(regexp_replace(p_why, '[[:cntrl:]]+', ' ', 'g'), 500)));
	end if;
end
$$;

-- Facts to their end, in their order: the runs, the ledger, Leat-Ids, dead letters. No two of one Leat-Id. Outcomes as leat.settled, with the
-- ord of the fact; status null: put aside, nothing is written.
create or replace function leat.settle_run_facts(p_stream text, p_facts leat.run_fact[], p_reply_bytes bigint) returns setof leat.settled
language plpgsql set search_path = pg_catalog
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
declare
	v_statuses text[]; -- of each fact, like the next three; null: put aside
	v_codes text[];
	v_messages text[];
	v_details jsonb[];
	v_taken bigint[];
	v_locked record;
	v_known uuid[];
	v_run leat.runs;
	v_group record;
	v_done record;
	v_place integer;
	v_new leat.runs[] := '{}';
	v_changed leat.runs[] := '{}';
	v_woken uuid[] := '{}';
	v_ended_runs uuid[] := '{}';
	v_ended_nodes text[] := '{}';
	v_cancelled uuid[] := '{}';
	v_fact leat.run_fact;
	v_settled leat.settled;
	v_reply_room bigint := 8388608; -- bytes of replies to one batch; results beyond are left out
begin
	if p_facts = '{}' then
		return;
	end if;
	select array_agg(case when f.code is null then 'applied' else 'rejected' end), array_agg(f.code), array_agg(f.message), array_agg(null::jsonb)
	into v_statuses, v_codes, v_messages, v_details
	from unnest(p_facts) f;

	-- Leat-Ids are taken first, and given back by whoever is not applied
	if exists (select from unnest(p_facts) f where f.leat_id is not null and f.code is null) then
		with taken as (
			insert into leat.message_ids (tenant_id, leat_id, stream, position)
			select f.tenant, f.leat_id, p_stream, f.position from unnest(p_facts) f where f.leat_id is not null and f.code is null
			order by f.tenant, f.leat_id
			on conflict (tenant_id, leat_id) do nothing returning position)
		select coalesce(array_agg(t.position), '{}') into v_taken from taken t;
	end if;
	if cardinality(v_taken) < (select count(*) from unnest(p_facts) f where f.leat_id is not null and f.code is null) then
		for v_group in
			select f.n, m.stream, m.position, f.verb, f.role, f.actor
			from unnest(p_facts) with ordinality f (ord, position, at, subject, tenant, role, verb, run, actor, leat_id, reply_to, traceparent,
				headers, body, code, message, n)
			join leat.message_ids m on m.tenant_id = f.tenant and m.leat_id = f.leat_id
			where f.leat_id is not null and f.code is null and f.position <> all (v_taken)
		loop
			v_statuses[v_group.n] := 'duplicate';
			v_details[v_group.n] := coalesce((
				select a.detail from leat.activity a
				where a.stream = v_group.stream and a.position = v_group.position and a.noun = 'run' and a.verb = v_group.verb
					and (v_group.role <> 'user' or (a.role = 'user' and lower(a.actor) = lower(v_group.actor)))), '{}')
				|| jsonb_build_object('original_position', v_group.position);
		end loop;
	end if;

	-- run by run
	v_locked := leat.lock_runs(array(select distinct f.run from unnest(p_facts) f where f.code is null));
	v_known := array(select r.id from unnest(v_locked.runs) r);
	for v_group in
		select f.run, array_agg(p_facts[f.n] order by f.n) as facts, array_agg(f.n order by f.n) as places
		from unnest(p_facts, v_statuses) with ordinality f (ord, position, at, subject, tenant, role, verb, run, actor, leat_id, reply_to,
			traceparent, headers, body, code, message, status, n)
		where f.status = 'applied'
		group by f.run order by min(f.n)
	loop
		if v_group.run = any (v_locked.locked_away) then
			foreach v_place in array v_group.places loop
				v_statuses[v_place] := null;
			end loop;
			continue;
		end if;
		v_run := null;
		if v_group.run = any (v_known) then
			v_run := v_locked.runs[array_position(v_known, v_group.run)];
		end if;
		begin
			v_done := leat.fold_run(v_run, v_group.facts);
		exception when others then
			if left(sqlstate, 2) in ('08', '40', '53', '55', '57', '58') then
				raise;
			end if;
			v_done := leat.fold_run_apart(v_run, v_group.facts);
		end;
		for i in 1 .. cardinality(v_group.places) loop
			v_place := v_group.places[i];
			v_codes[v_place] := v_done.codes[i];
			v_messages[v_place] := v_done.messages[i];
			v_details[v_place] := v_done.details[i];
			v_statuses[v_place] := case when v_done.aside[i] then null when v_done.codes[i] is null then 'applied' else 'rejected' end;
		end loop;
		if v_done.changed then
			v_run := v_done.p_run;
			if v_group.run = any (v_known) then
				v_changed := array_append(v_changed, v_run);
			else
				v_new := array_append(v_new, v_run);
			end if;
			if v_done.woke then
				v_woken := array_append(v_woken, v_group.run);
			end if;
			if v_done.cancelled then
				v_cancelled := array_append(v_cancelled, v_group.run);
			end if;
			if v_done.ended is not null then
				v_ended_runs := v_ended_runs || array_fill(v_group.run, array[cardinality(v_done.ended)]);
				v_ended_nodes := v_ended_nodes || v_done.ended;
			end if;
		end if;
	end loop;
	perform leat.write_runs(v_new, v_changed, v_woken, v_ended_runs, v_ended_nodes, v_cancelled);

	-- what the ledger says, and whoever asked
	if v_taken <> '{}' and (array_position(v_statuses, 'rejected') is not null or array_position(v_statuses, null) is not null) then
		delete from leat.message_ids m
		using unnest(p_facts, v_statuses) f (ord, position, at, subject, tenant, role, verb, run, actor, leat_id, reply_to, traceparent, headers,
			body, code, message, status)
		where f.status is distinct from 'applied' and f.status is distinct from 'duplicate' and f.position = any (v_taken)
			and m.tenant_id = f.tenant and m.leat_id = f.leat_id;
	end if;
	insert into leat.activity (stream, position, leat_id, tenant_id, actor, role, noun, verb, target_id, outcome, code, detail, message_at, traceparent)
	select p_stream, f.position, f.leat_id, f.tenant, f.actor, f.role, case when f.tenant is not null then split_part(f.subject, '.', 5) end, f.verb,
		f.run, f.status, f.settled_code, case when f.settled_message is null then f.detail
			else jsonb_build_object('message', f.settled_message) end, f.at, f.traceparent
	from unnest(p_facts, v_statuses, v_codes, v_messages, v_details) f (ord, position, at, subject, tenant, role, verb, run, actor, leat_id,
		reply_to, traceparent, headers, body, code, message, status, settled_code, settled_message, detail)
	where f.status is not null;
	v_place := 0;
	foreach v_fact in array p_facts loop
		v_place := v_place + 1;
		v_settled := row(v_fact.ord, v_statuses[v_place], v_codes[v_place], v_fact.position, null, null);
		if v_settled.status = 'rejected' then
			perform leat.bury(p_stream, v_fact.position, v_fact.tenant,
				case when v_fact.tenant is not null then split_part(v_fact.subject, '.', 5) end, v_fact.verb, v_fact.subject, v_settled.code,
				v_messages[v_place], v_fact.headers, v_fact.body);
		end if;
		if v_settled.code = 'internal' and v_fact.verb = 'node' and v_fact.role = 'engine' then
			perform leat.fail_refused(p_stream, v_fact, v_messages[v_place]);
		end if;
		if v_settled.status is not null and v_fact.reply_to is not null then
			v_settled := leat.control_reply(v_settled, v_messages[v_place], v_details[v_place], least(p_reply_bytes, v_reply_room));
			v_reply_room := v_reply_room - octet_length(v_settled.reply);
		end if;
		return next v_settled;
	end loop;
end
$$;

-- The redrives among facts (35_redrives.sql), as facts with a Leat-Id or rejected; details in parallel, null for what is none.
create or replace function leat.read_run_redrives(p_stream text, inout facts leat.run_fact[], out details jsonb[])
language plpgsql set search_path = pg_catalog
as $$
declare
	v_fact leat.run_fact;
	v_redrive record;
begin
	details := array_fill(null::jsonb, array[cardinality(facts)]);
	for i in 1 .. cardinality(facts) loop
		v_fact := facts[i];
		continue when not starts_with(v_fact.subject, 'leat.redrive.');
		v_redrive := leat.read_redrive(p_stream, v_fact.tenant, 'run', v_fact.verb, v_fact.headers, v_fact.leat_id,
			v_fact.code, v_fact.message);
		v_fact.leat_id := v_redrive.leat_id;
		v_fact.code := v_redrive.code;
		v_fact.message := v_redrive.message;
		facts[i] := v_fact;
		details[i] := leat.redrive_detail(v_redrive.origin, v_redrive.is_now);
	end loop;
end
$$;

-- The same, also where a Leat-Id stands twice: whether the second counts depends on how the first ended, so that they are settled part by
-- part, the second behind the first. What an earlier part has put aside keeps what is behind it of its run from having its turn.
create or replace function leat.settle_all_run_facts(p_stream text, p_facts leat.run_fact[], p_reply_bytes bigint) returns setof leat.settled
language plpgsql set search_path = pg_catalog
as $$
declare
	v_ends integer[] := '{}'; -- of the parts
	v_end integer;
	v_begin integer := 1;
	v_again record;
	v_part leat.run_fact[];
	v_held leat.run_fact[];
	v_said leat.settled[];
	v_aside leat.run_fact[] := '{}';
	v_redrives jsonb[]; -- what the ledger is to say of them
begin
	if exists (select from unnest(p_facts) f where starts_with(f.subject, 'leat.redrive.')) then
		select r.facts, r.details into p_facts, v_redrives from leat.read_run_redrives(p_stream, p_facts) r;
	end if;
	for v_again in
		select x.n, x.before
		from (
			select f.n::integer, (lag(f.n) over (partition by f.tenant, f.leat_id order by f.n))::integer as before
			from unnest(p_facts) with ordinality f (ord, position, at, subject, tenant, role, verb, run, actor, leat_id, reply_to, traceparent,
				headers, body, code, message, n)
			where f.leat_id is not null and f.code is null) x
		where x.before is not null order by x.n
	loop
		if v_again.before > coalesce(v_ends[cardinality(v_ends)], 0) then
			v_ends := array_append(v_ends, v_again.n - 1);
		end if;
	end loop;
	foreach v_end in array array_append(v_ends, cardinality(p_facts)) loop
		v_part := p_facts[v_begin : v_end];
		v_begin := v_end + 1;
		if v_aside <> '{}' then
			v_held := array(
				select f from unnest(v_part) f
				where f.code is null and exists (select from unnest(v_aside) a where a.run = f.run and a.tenant = f.tenant));
			v_part := array(select f from unnest(v_part) f where not exists (select from unnest(v_held) h where h.position = f.position));
			return query select h.ord, null::text, null::text, h.position, null::text, null::text from unnest(v_held) h;
		end if;
		v_said := array(select s from leat.settle_run_facts(p_stream, v_part, p_reply_bytes) s);
		return query select s.* from unnest(v_said) s;
		v_aside := v_aside || array(
			select f from unnest(v_part) f where exists (select from unnest(v_said) s where s.position = f.position and s.status is null));
	end loop;
	if v_redrives is not null then
		perform leat.note_redrives(p_stream, array(select f.position from unnest(p_facts) f), v_redrives);
	end if;
end
$$;
