-- The run lane: facts of LEAT_RUN, applied in the order of their stream, whichever process has which message. The mark, parking and putting
-- aside are those of the control lane (66_control_apply.sql); but all facts of a batch that continue the mark are decided together
-- (73_run_settle.sql).
--
-- Put aside, and tried again after a while, is a fact whose run somebody else has locked, a run.start whose workflow is not there yet, and
-- whatever comes for the same run behind one of these.

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
	v_reach bigint := 0; -- the last that was parked
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
			where p.stream = p_stream and p.entity_id = v_fact.run and p.tenant_id = v_fact.tenant and p.position < v_fact.position
				and (p.retry_at > now() or (v_fact.ord is not null and p.position > v_reach))) then -- the limit has kept some out
			held := array_append(held, v_fact);
		else
			facts := array_append(facts, v_fact);
		end if;
		if v_fact.ord is null then
			v_reach := v_fact.position;
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

-- leat.settle_gathered_facts, when that fails: one after the other. The fact that Postgres refuses for good ends as `internal`, whether it came
-- with the batch or was parked; it must not be the end of those that it happens to have its turn with.
create or replace function leat.settle_facts_apart(p_stream text, p_facts leat.run_fact[], p_held leat.run_fact[], p_early leat.run_fact[],
	p_reply_bytes bigint) returns setof leat.settled
language plpgsql set search_path = pg_catalog set enable_seqscan = off
as $$
declare
	v_fact leat.run_fact;
	v_said leat.settled[];
	v_all leat.settled[] := '{}';
	v_held leat.run_fact[] := p_held;
	v_aside uuid[] := '{}'; -- runs one of whose facts is
begin
	foreach v_fact in array p_facts loop
		if v_fact.run = any (v_aside) then
			v_held := array_append(v_held, v_fact);
			continue;
		end if;
		begin
			v_said := array(select s from leat.settle_gathered_facts(p_stream, array[v_fact], '{}', '{}', p_reply_bytes) s);
		exception when others then
			if left(sqlstate, 2) in ('08', '40', '53', '55', '57', '58') then
				raise;
			end if;
			v_fact.code := 'internal';
			v_fact.message := 'Postgres refuses it: ' || sqlerrm;
			v_said := array(select s from leat.settle_gathered_facts(p_stream, array[v_fact], '{}', '{}', p_reply_bytes) s);
		end;
		v_all := v_all || v_said;
		if exists (select from leat.parked p where p.stream = p_stream and p.position = v_fact.position) then
			v_aside := array_append(v_aside, v_fact.run);
		end if;
	end loop;
	return query select s.* from unnest(v_all) s;
	return query select s.* from leat.settle_gathered_facts(p_stream, '{}', v_held, p_early, p_reply_bytes) s;
end
$$;

create or replace function leat.settle_gathered_in_any_case(p_stream text, p_facts leat.run_fact[], p_held leat.run_fact[],
	p_early leat.run_fact[], p_reply_bytes bigint) returns setof leat.settled
language plpgsql set search_path = pg_catalog
as $$
declare
	v_said leat.settled[];
begin
	begin
		v_said := array(select s from leat.settle_gathered_facts(p_stream, p_facts, p_held, p_early, p_reply_bytes) s);
	exception when others then
		if left(sqlstate, 2) in ('08', '40', '53', '55', '57', '58') then
			raise;
		end if;
		v_said := array(select s from leat.settle_facts_apart(p_stream, p_facts, p_held, p_early, p_reply_bytes) s);
	end;
	return query select s.* from unnest(v_said) s;
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
	return query select * from leat.settle_gathered_in_any_case(p_stream, v_turn.facts, v_turn.held, v_turn.early, p_reply_bytes);
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
	perform leat.settle_gathered_in_any_case(p_stream, v_turn.facts, v_turn.held, '{}', p_reply_bytes);
	decided := cardinality(v_turn.facts) + cardinality(v_turn.held);
	v_mark := leat.ordered_mark(p_stream, greatest(v_floor, (select max(f.position) from unnest(v_turn.facts || v_turn.held) f)));
	perform leat.note_mark(p_stream, v_mark);
	select l.remaining, l.due into remaining, due from leat.left_parked(p_stream, v_mark) l;
end
$$;
