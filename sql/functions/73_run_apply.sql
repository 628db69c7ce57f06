-- The run lane: facts of LEAT_RUN, applied in the order of their stream, whichever process has which message. The mark, parking and putting
-- aside are those of the control lane (66_control_apply.sql); but all facts of a batch that continue the mark are decided together: they are
-- folded run by run in memory (72_run_fold.sql), and written by one statement a table.
--
-- Put aside, and tried again after a while, is a fact whose run somebody else has locked, a run.start whose workflow is not there yet, and
-- whatever comes for the same run behind one of these.

-- Runs as they are now, new ones and others, and what follows from it: whoever has a free slot is called to p_woken; claims are over for
-- p_ended_nodes of p_ended_runs, and for all nodes of p_cancelled. Locks: claims, in the order of their key.
create or replace function leat.write_runs(p_new leat.runs[], p_changed leat.runs[], p_woken uuid[], p_ended_runs uuid[], p_ended_nodes text[],
	p_cancelled uuid[]) returns void
language plpgsql set search_path = pg_catalog
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
begin
	if p_new <> '{}' then
		insert into leat.runs select n.* from unnest(p_new) n;
	end if;
	if p_changed <> '{}' then
		update leat.runs r
		set status = c.status, node_states = c.node_states, generation = c.generation, position = c.position, updated_at = c.updated_at,
			finished_at = c.finished_at, ready_since = c.ready_since
		from unnest(p_changed) c where r.id = c.id;
	end if;
	if p_woken <> '{}' then
		insert into leat.outbox (subject, headers, body)
		select 'leat.intent.' || r.tenant_id || '.engine.run.resume',
			coalesce(leat.header('traceparent', r.traceparent), ''), convert_to('{"run_id":"' || r.id || '"}', 'UTF8')
		from unnest(p_new || p_changed) r where r.id = any (p_woken);
	end if;
	if p_ended_runs <> '{}' then
		delete from leat.claims c
		using (
			select k.run_id, k.node_id from unnest(p_ended_runs, p_ended_nodes) over (run_id, node_id)
			join leat.claims k on k.run_id = over.run_id and k.node_id = over.node_id order by k.run_id, k.node_id for update of k) k
		where c.run_id = k.run_id and c.node_id = k.node_id;
	end if;
	if p_cancelled <> '{}' then
		delete from leat.claims c
		using (select k.run_id, k.node_id from leat.claims k where k.run_id = any (p_cancelled) order by k.run_id, k.node_id for update) k
		where c.run_id = k.run_id and c.node_id = k.node_id;
		perform pg_notify('leat_cancel', r::text) from unnest(p_cancelled) r;
		perform leat.take_back_questions(p_cancelled);
	end if;
end
$$;

-- leat.fold_run, when that fails: the fact that Postgres refuses for good ends as `internal`, and the others of its run go on without it.
create or replace function leat.fold_run_apart(inout p_run leat.runs, inout p_plan leat.run_plan, p_facts leat.run_fact[], out codes text[], out messages text[],
	out details jsonb[], out aside boolean[], out changed boolean, out woke boolean, out ended text[], out cancelled boolean)
language plpgsql set search_path = pg_catalog
as $$
declare
	v_fact leat.run_fact;
	v_done record;
begin
	changed := false;
	woke := false;
	ended := '{}';
	cancelled := false;
	foreach v_fact in array p_facts loop
		begin
			select * into v_done from leat.fold_run(p_run, p_plan, array[v_fact]);
			p_plan := v_done.p_plan;
			if v_done.changed then
				p_run := v_done.p_run;
			end if;
			changed := changed or v_done.changed;
			woke := woke or v_done.woke;
			ended := ended || v_done.ended;
			cancelled := cancelled or v_done.cancelled;
			codes := codes || v_done.codes;
			messages := messages || v_done.messages;
			details := details || v_done.details;
			aside := aside || v_done.aside;
		exception when others then
			if left(sqlstate, 2) in ('08', '40', '53', '55', '57', '58') then
				raise;
			end if;
			codes := array_append(codes, 'internal');
			messages := array_append(messages, 'Postgres refuses it: ' || sqlerrm);
			details := array_append(details, null);
			aside := array_append(aside, false);
		end;
	end loop;
end
$$;

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
	v_plan leat.run_plan;
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
			select * into v_done from leat.fold_run(v_run, v_plan, v_group.facts);
		exception when others then
			if left(sqlstate, 2) in ('08', '40', '53', '55', '57', '58') then
				raise;
			end if;
			v_done := leat.fold_run_apart(v_run, v_plan, v_group.facts);
		end;
		v_plan := v_done.p_plan;
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
			v_ended_runs := v_ended_runs || array_fill(v_group.run, array[cardinality(v_done.ended)]);
			v_ended_nodes := v_ended_nodes || v_done.ended;
		end if;
	end loop;
	perform leat.write_runs(v_new, v_changed, v_woken, v_ended_runs, v_ended_nodes, v_cancelled);

	-- what the ledger says, and whoever asked
	delete from leat.message_ids m
	using unnest(p_facts, v_statuses) f (ord, position, at, subject, tenant, role, verb, run, actor, leat_id, reply_to, traceparent, headers,
		body, code, message, status)
	where v_taken is not null and f.status is distinct from 'applied' and f.status is distinct from 'duplicate' and f.position = any (v_taken)
		and m.tenant_id = f.tenant and m.leat_id = f.leat_id;
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
		continue when v_fact.code is not null or not starts_with(v_fact.subject, 'leat.redrive.');
		v_redrive := leat.read_redrive(p_stream, v_fact.tenant, 'run', v_fact.verb, v_fact.headers, v_fact.leat_id);
		v_fact.leat_id := v_redrive.leat_id;
		v_fact.code := v_redrive.code;
		v_fact.message := v_redrive.message;
		facts[i] := v_fact;
		details[i] := leat.redrive_detail(v_redrive.origin, v_redrive.is_now);
	end loop;
end
$$;

-- The same, also where a Leat-Id stands twice: whether the second counts depends on how the first ended, so that they are settled one after
-- the other.
create or replace function leat.settle_all_run_facts(p_stream text, p_facts leat.run_fact[], p_reply_bytes bigint) returns setof leat.settled
language plpgsql set search_path = pg_catalog
as $$
declare
	v_begin integer := 1;
	v_again record;
	v_redrives jsonb[]; -- what the ledger is to say of them
begin
	if exists (select from unnest(p_facts) f where f.code is null and starts_with(f.subject, 'leat.redrive.')) then
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
		if v_again.before >= v_begin then
			return query select * from leat.settle_run_facts(p_stream, p_facts[v_begin : v_again.n - 1], p_reply_bytes);
			v_begin := v_again.n;
		end if;
	end loop;
	if v_begin <= cardinality(p_facts) then
		return query select * from leat.settle_run_facts(p_stream, p_facts[v_begin:], p_reply_bytes);
	end if;
	if v_redrives is not null then
		perform leat.note_redrives(p_stream, array(select f.position from unnest(p_facts) f), v_redrives);
	end if;
end
$$;

-- ---- order ----

-- How long a fact that was put aside waits: longer each time.
create or replace function leat.put_run_aside_for(p_since timestamptz) returns interval
language sql stable set search_path = pg_catalog
return least(greatest(interval '200 milliseconds', now() - p_since), interval '1 minute');

-- Which facts have their turn: of p_batch and of what is parked (at most p_limit, about p_bytes of bodies; p_only: that one), in their order,
-- as far as they continue p_mark; decoders' rejections whatever their place. held: they would, but an earlier one of their run is aside.
-- early: those of p_batch that do not. ord is null for what is parked.
create or replace function leat.gather_run_facts(p_stream text, p_mark bigint, p_batch leat.run_fact[], p_limit integer, p_bytes bigint,
	p_only bigint, out facts leat.run_fact[], out held leat.run_fact[], out early leat.run_fact[])
language plpgsql set search_path = pg_catalog set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off
as $$
declare
	v_aside constant boolean := exists (select from leat.parked p where p.stream = p_stream and p.retry_at is not null);
	v_mark bigint := p_mark;
	v_fact leat.run_fact;
begin
	facts := '{}';
	held := '{}';
	early := '{}';
	for v_fact in
		select * from (
			select b.* from unnest(p_batch) b
			union all
			select x.ord, x.position, x.message_at, x.subject, x.tenant_id, x.role, x.verb, x.entity_id, x.actor, x.leat_id, x.reply_to,
				x.traceparent, x.headers, x.body, x.code, x.code
			from (
				select null::bigint as ord, null::text as code, p.*, sum(length(p.body)) over (order by p.position) - length(p.body) as before
				from leat.parked p
				where p.stream = p_stream and (p.retry_at is null or p.retry_at <= now()) and p.position = coalesce(p_only, p.position)
				order by p.position limit p_limit) x
			where x.before < p_bytes) f
		order by f.position
	loop
		if v_fact.position > v_mark + 1 then
			v_mark := leat.mark_after(p_stream, v_mark);
		end if;
		if v_fact.position > v_mark + 1 and v_fact.code is null then
			if v_fact.ord is not null then
				early := array_append(early, v_fact);
			end if;
			continue;
		end if;
		if v_fact.position = v_mark + 1 then
			v_mark := v_fact.position;
		end if;
		if v_fact.code is null and v_aside and exists (
			select from leat.parked p
			where p.stream = p_stream and p.entity_id = v_fact.run and p.tenant_id = v_fact.tenant and p.retry_at > now()
				and p.position < v_fact.position) then
			held := array_append(held, v_fact);
		else
			facts := array_append(facts, v_fact);
		end if;
	end loop;
end
$$;

-- Settles what has its turn. What is put aside stays parked or, if it came with the batch, becomes so; what is parked and is over goes, and its
-- reply through the outbox. Outcomes of the batch, status `parked` for what waits.
create or replace function leat.settle_gathered_facts(p_stream text, p_facts leat.run_fact[], p_held leat.run_fact[], p_early leat.run_fact[],
	p_reply_bytes bigint) returns setof leat.settled
language plpgsql set search_path = pg_catalog
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
declare
	v_settled leat.settled[] := array(select s from leat.settle_all_run_facts(p_stream, p_facts, p_reply_bytes) s);
	v_aside bigint[] := array(select s.position from unnest(v_settled) s where s.status is null)
		|| array(select h.position from unnest(p_held) h);
	v_over bigint[] := array(select s.position from unnest(v_settled) s where s.ord is null and s.status is not null);
	v_waiting leat.run_fact[] := p_early;
	v_freed uuid[];
begin
	if v_over <> '{}' then
		insert into leat.outbox (subject, body, short_body)
		select p.reply_to, convert_to(s.reply, 'UTF8'), convert_to(s.short_reply, 'UTF8')
		from unnest(v_settled) s join leat.parked p on p.stream = p_stream and p.position = s.position
		where s.ord is null and s.status is not null and p.reply_to is not null;
		with gone as (
			delete from leat.parked p where p.stream = p_stream and p.position = any (v_over) returning p.entity_id, p.retry_at)
		select array_agg(distinct g.entity_id) into v_freed from gone g where g.retry_at is not null;
		if v_freed is not null then -- what is behind them has its turn
			update leat.parked p set retry_at = now() where p.stream = p_stream and p.entity_id = any (v_freed) and p.retry_at > now();
		end if;
	end if;
	if v_aside <> '{}' then
		update leat.parked p set retry_at = now() + leat.put_run_aside_for(p.parked_at) where p.stream = p_stream and p.position = any (v_aside);
		v_waiting := p_early || array(select f from unnest(p_facts || p_held) f where f.ord is not null and f.position = any (v_aside));
	end if;
	insert into leat.parked (stream, position, message_at, subject, tenant_id, role, noun, verb, entity_id, actor, leat_id, reply_to, traceparent,
		headers, body, retry_at)
	select p_stream, f.position, f.at, f.subject, f.tenant, f.role, 'run', f.verb, f.run, f.actor, f.leat_id, f.reply_to, f.traceparent, f.headers,
		f.body, case when f.position = any (v_aside) then now() + leat.put_run_aside_for(now()) end
	from unnest(v_waiting) f;
	return query
	select s.* from unnest(v_settled) s where s.ord is not null and s.status is not null
	union all
	select f.ord, 'parked', null, f.position, null, null from unnest(v_waiting) f;
end
$$;

-- What was settled before, as a redelivery hears it. p_reply_bytes null: nobody asks.
create or replace function leat.known_run_fact(p_stream text, p_ord bigint, p_position bigint, p_reply_bytes bigint) returns leat.settled
language plpgsql stable set search_path = pg_catalog set enable_seqscan = off
as $$
declare
	v_said leat.settled := row(p_ord, 'known', null, p_position, null, null);
	v_known record;
begin
	select a.outcome, a.code, a.detail into v_known from leat.activity a where a.stream = p_stream and a.position = p_position;
	if found and p_reply_bytes is not null then
		v_said.status := v_known.outcome;
		v_said.code := v_known.code;
		v_said := leat.control_reply(v_said, v_known.detail ->> 'message', v_known.detail, p_reply_bytes);
		v_said.status := 'known';
	end if;
	return v_said;
end
$$;

-- A batch as it was fetched, one call, one transaction; parameters and answer as those of leat.apply_entity_intents.
create or replace function leat.apply_run_facts(p_stream text, p_seq bigint[], p_at timestamptz[], p_subject text[], p_tenant uuid[],
	p_role text[], p_verb text[], p_target uuid[], p_actor text[], p_leat_id text[], p_reply_to text[], p_traceparent text[], p_headers bytea[],
	p_body bytea[], p_code text[], p_message text[], p_reply_bytes bigint default 1048576)
returns setof leat.settled language plpgsql set search_path = pg_catalog
as $$
declare
	v_where record;
	v_batch leat.run_fact[];
	v_turn record;
	v_mark bigint;
begin
	perform leat.lock_ordered(p_stream);
	v_where := leat.stream_positions(p_stream, p_seq, p_at);
	select coalesce(array_agg(row(m.ord, m.position, m.at, m.subject, m.tenant, m.role, m.verb, m.target, m.actor, m.leat_id, m.reply_to,
		m.traceparent, m.headers, m.body, m.code, m.message)::leat.run_fact order by m.ord), '{}')
	into v_batch
	from unnest(v_where.positions, p_at, p_subject, p_tenant, p_role, p_verb, p_target, p_actor, p_leat_id, p_reply_to, p_traceparent, p_headers,
		p_body, p_code, p_message) with ordinality m (position, at, subject, tenant, role, verb, target, actor, leat_id, reply_to, traceparent,
		headers, body, code, message, ord)
	where v_where.known is null or m.position <> all (v_where.known);
	v_turn := leat.gather_run_facts(p_stream, leat.ordered_mark(p_stream, v_where.floor), v_batch, 1000, 8388608, null);
	return query select * from leat.settle_gathered_facts(p_stream, v_turn.facts, v_turn.held, v_turn.early, p_reply_bytes);
	if v_where.known is not null then
		return query
		select k.* from unnest(v_where.positions, p_reply_to) with ordinality m (position, reply_to, ord)
		cross join lateral leat.known_run_fact(p_stream, m.ord, m.position, case when m.reply_to is not null then p_reply_bytes end) k
		where m.position = any (v_where.known);
	end if;
	v_mark := leat.ordered_mark(p_stream, greatest(v_where.floor, (select max(f.position) from unnest(v_turn.facts || v_turn.held) f
		where f.code is null)));
	perform leat.note_mark(p_stream, v_mark);
end
$$;

-- One message.
create or replace function leat.apply_run_fact(p_stream text, p_seq bigint, p_at timestamptz, p_subject text, p_tenant uuid, p_role text,
	p_verb text, p_target uuid, p_actor text, p_leat_id text, p_reply_to text, p_traceparent text, p_headers bytea, p_body bytea, p_code text,
	p_message text, p_reply_bytes bigint default 1048576)
returns setof leat.settled language sql set search_path = pg_catalog
as $$
	select * from leat.apply_run_facts(p_stream, array[p_seq], array[p_at], array[p_subject], array[p_tenant], array[p_role],
		array[p_verb], array[p_target], array[p_actor], array[p_leat_id], array[p_reply_to], array[p_traceparent], array[p_headers],
		array[p_body], array[p_code], array[p_message], p_reply_bytes)
$$;

-- leat.decide_parked for this lane: the same parameters, the same answer.
create or replace function leat.decide_parked_run(p_stream text, p_epoch integer, p_floor_seq bigint, p_limit integer,
	p_bytes bigint default 8388608, p_only bigint default null, p_refused text default null, p_refused_for_now boolean default false,
	p_reply_bytes bigint default 1048576, out decided bigint, out remaining bigint, out due boolean)
language plpgsql set search_path = pg_catalog set enable_seqscan = off
as $$
declare
	v_floor bigint;
	v_turn record;
	v_mark bigint;
begin
	perform leat.lock_ordered(p_stream);
	v_floor := leat.note_floor(p_stream, p_epoch, p_floor_seq);
	if p_refused_for_now then
		update leat.parked p set retry_at = now() + interval '1 minute' where p.stream = p_stream and p.position = p_only;
	end if;
	v_turn := leat.gather_run_facts(p_stream, v_floor, '{}', p_limit, p_bytes, p_only);
	if p_refused is not null then
		v_turn.facts := array(
			select row(f.ord, f.position, f.at, f.subject, f.tenant, f.role, f.verb, f.run, f.actor, f.leat_id, f.reply_to, f.traceparent, f.headers,
				f.body, 'internal', p_refused)::leat.run_fact from unnest(v_turn.facts) f);
	end if;
	perform leat.settle_gathered_facts(p_stream, v_turn.facts, v_turn.held, '{}', p_reply_bytes);
	decided := cardinality(v_turn.facts) + cardinality(v_turn.held);
	v_mark := leat.ordered_mark(p_stream, greatest(v_floor, (select max(f.position) from unnest(v_turn.facts || v_turn.held) f)));
	perform leat.note_mark(p_stream, v_mark);
	select l.remaining, l.due into remaining, due from leat.left_parked(p_stream, v_mark) l;
end
$$;

-- ---- for any SQL client ----

-- Takes a node of a run to another status, with all that follows; returns the run as it is then, null where there is none. Fails, and changes
-- nothing, where leat.node_transitions() does not lead there, or the node cannot begin yet. For service_role. Lock: the run's row.
create or replace function leat.update_node_state(p_run_id uuid, p_node_id text, p_status text, p_output jsonb default null,
	p_error text default null) returns leat.runs
language plpgsql security invoker set search_path = pg_catalog
as $$
declare
	v_run leat.runs;
	v_fact leat.run_fact;
	v_done record;
begin
	select r.* into v_run from leat.runs r where r.id = p_run_id for update;
	if not found then
		return null;
	end if;
	v_fact.at := clock_timestamp();
	v_fact.tenant := v_run.tenant_id;
	v_fact.role := 'engine';
	v_fact.verb := 'state';
	v_fact.run := p_run_id;
	v_fact.body := convert_to((jsonb_build_object('node_id', p_node_id, 'status', p_status)
		|| case when p_output is null then '{}' else jsonb_build_object('output', p_output) end
		|| case when p_error is null then '{}' else jsonb_build_object('error', p_error) end)::text, 'UTF8');
	select * into v_done from leat.fold_run(v_run, null, array[v_fact]);
	if v_done.codes[1] is not null or v_done.details[1] ? 'ignored' then
		raise exception using errcode = 'invalid_parameter_value',
			message = coalesce(v_done.messages[1], format('node "%s" cannot become %s: %s', p_node_id, p_status, v_done.details[1] ->> 'ignored')),
			hint = 'leat.node_transitions() has the changes that there are; run.retry starts failed nodes again.';
	end if;
	v_run := v_done.p_run;
	perform leat.write_runs('{}', array[v_run], case when v_done.woke then array[v_run.id] else '{}' end,
		array_fill(v_run.id, array[cardinality(v_done.ended)]), v_done.ended, '{}');
	return v_run;
end
$$;
