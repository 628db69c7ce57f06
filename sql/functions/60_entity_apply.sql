-- The doors to leat.settle_entity_intents, or past it by leat.merge_single and leat.merge_few: messages from the stream, and what was parked.

-- A batch as it was fetched, one call, one transaction. p_seq: sequences of the stream; the rest as in leat.settle_entity_intents. Where several
-- consumers share a stream, the batches of others are between and after these messages; that none of these is settled is a good guess then,
-- and saves a probe for each.
create or replace function leat.apply_entity_intents(p_stream text, p_seq bigint[], p_at timestamptz[], p_subject text[], p_tenant uuid[],
	p_role text[], p_verb text[], p_entity uuid[], p_actor text[], p_leat_id text[], p_reply_to text[], p_traceparent text[], p_headers bytea[],
	p_body bytea[], p_code text[], p_message text[], p_reply_bytes bigint default 1048576)
returns setof leat.settled language plpgsql set search_path = pg_catalog
as $$
declare
	v_where record;
begin
	if cardinality(p_seq) between 2 and 4 and 'merge' = all (p_verb) and array_remove(p_code, null) = '{}' and array_remove(p_reply_to, null) = '{}'
		and position('leat.redrive.' in array_to_string(p_subject, ' ')) = 0
		and leat.merge_few(p_stream, p_seq, p_at, p_tenant, p_role, p_entity, p_actor, p_leat_id, p_traceparent, p_body)
	then
		return;
	end if;
	v_where := leat.stream_positions(p_stream, p_seq, p_at, cardinality(p_seq) >= 16);
	if not v_where.sure then
		begin
			return query select * from leat.settle_entity_intents(p_stream, v_where.floor, false, p_reply_bytes, null, v_where.positions, p_at,
				p_subject, p_tenant, p_role, p_verb, p_entity, p_actor, p_leat_id, p_reply_to, p_traceparent, p_headers, p_body, p_code, p_message);
			return;
		exception when unique_violation then
			v_where := leat.stream_positions(p_stream, p_seq, p_at);
		end;
	end if;
	return query select * from leat.settle_entity_intents(p_stream, v_where.floor, false, p_reply_bytes, v_where.known, v_where.positions, p_at,
		p_subject, p_tenant, p_role, p_verb, p_entity, p_actor, p_leat_id, p_reply_to, p_traceparent, p_headers, p_body, p_code, p_message);
end
$$;

-- One message: the short path when it can be (55_entity_single.sql), else as a batch of one.
create or replace function leat.apply_entity_intent(p_stream text, p_seq bigint, p_at timestamptz, p_subject text, p_tenant uuid, p_role text,
	p_verb text, p_entity uuid, p_actor text, p_leat_id text, p_reply_to text, p_traceparent text, p_headers bytea, p_body bytea, p_code text,
	p_message text, p_reply_bytes bigint default 1048576)
returns setof leat.settled language plpgsql set search_path = pg_catalog
as $$
begin
	if p_verb = 'merge' and p_code is null and p_reply_to is null and not starts_with(p_subject, 'leat.redrive.')
		and leat.merge_single(p_stream, p_seq, p_at, p_tenant, p_role, p_entity, p_actor, p_leat_id, p_traceparent,
			convert_from(p_body, 'UTF8')::jsonb)
	then
		return;
	end if;
	return query select * from leat.apply_entity_intents(p_stream, array[p_seq], array[p_at], array[p_subject], array[p_tenant], array[p_role],
		array[p_verb], array[p_entity], array[p_actor], array[p_leat_id], array[p_reply_to], array[p_traceparent], array[p_headers], array[p_body],
		array[p_code], array[p_message], p_reply_bytes);
end
$$;

-- The first that is parked and can be decided below p_floor_seq of p_epoch; null: none.
create or replace function leat.first_parked(p_stream text, p_epoch integer, p_floor_seq bigint) returns bigint
language plpgsql set search_path = pg_catalog set enable_seqscan = off
as $$
declare
	v_floor constant bigint := leat.note_floor(p_stream, p_epoch, p_floor_seq);
begin
	return (
		select p.position from leat.parked p
		where p.stream = p_stream and p.position <= v_floor and (p.retry_at is null or p.retry_at <= now())
		order by p.position limit 1);
end
$$;

-- Notes the ack floor of a durable (see leat.note_floor) and decides what is parked at or below it, at most p_limit intents, in order of
-- position, and about p_bytes of bodies. Returns how many were decided, how many are still parked, and whether some of those could be
-- decided now.
-- p_only: of one position only (leat.first_parked). p_refused: why Postgres refused for good to decide that one, which then ends as `internal`.
-- p_refused_for_now: Postgres refused to decide it, and nobody can tell for how long: it waits a minute.
-- What is left at or below it may hold a delete: until that is decided, every upsert above it matters, so the floor that is kept for
-- leat.apply_entity_intents is below all that is parked.
create or replace function leat.decide_parked(p_stream text, p_epoch integer, p_floor_seq bigint, p_limit integer, p_bytes bigint default 8388608,
	p_only bigint default null, p_refused text default null, p_refused_for_now boolean default false, p_reply_bytes bigint default 1048576,
	out decided bigint, out remaining bigint, out due boolean)
language plpgsql set search_path = pg_catalog set enable_seqscan = off
as $$
declare
	v_floor bigint;
	v_due record;
	v_known bigint[];
	v_settled leat.settled;
	v_lowest bigint;
begin
	-- One at a time: whoever waits for a row here would else hold up everybody who wants to note a floor.
	if not pg_try_advisory_xact_lock(hashtext('leat.decide_parked'), hashtext(p_stream)) then
		decided := 0;
		remaining := 1;
		due := false;
		return;
	end if;
	v_floor := leat.note_floor(p_stream, p_epoch, p_floor_seq);
	if p_refused_for_now then
		update leat.parked p set retry_at = now() + interval '1 minute' where p.stream = p_stream and p.position = p_only;
	end if;
	with due as (
		delete from leat.parked p
		where p.stream = p_stream and p.position in (
			select d.position
			from (
				select o.position, sum(length(o.body)) over (order by o.position) - length(o.body) as before
				from (
					select * from leat.parked x
					where x.stream = p_stream and x.position <= v_floor and (x.retry_at is null or x.retry_at <= now())
						and x.position = coalesce(p_only, x.position)
					order by x.position limit p_limit) o) d
			where d.before < p_bytes)
		returning p.*
	)
	select array_agg(d.position order by d.position) as position, array_agg(d.message_at order by d.position) as at,
		array_agg(d.subject order by d.position) as subject, array_agg(d.tenant_id order by d.position) as tenant,
		array_agg(d.role order by d.position) as role, array_agg(d.verb order by d.position) as verb,
		array_agg(d.entity_id order by d.position) as entity, array_agg(d.actor order by d.position) as actor,
		array_agg(d.leat_id order by d.position) as leat_id, array_agg(d.reply_to order by d.position) as reply_to,
		array_agg(d.traceparent order by d.position) as traceparent, array_agg(d.headers order by d.position) as headers,
		array_agg(d.body order by d.position) as body,
		array_agg(case when p_refused is not null then 'internal' end) as code, array_agg(p_refused) as message
	into v_due from due d;
	decided := coalesce(cardinality(v_due.position), 0);

	if decided > 0 then
		-- settled meanwhile by another process that had the same message in hand
		v_known := array(
			select known.position
			from unnest(v_due.position) parked (position)
			cross join lateral (
				select a.position from leat.activity a where a.stream = p_stream and a.position = parked.position offset 0) known);
		for v_settled in
			select * from leat.settle_entity_intents(p_stream, v_floor, true, p_reply_bytes, v_known, v_due.position, v_due.at, v_due.subject,
				v_due.tenant, v_due.role, v_due.verb, v_due.entity, v_due.actor, v_due.leat_id, v_due.reply_to, v_due.traceparent, v_due.headers,
				v_due.body, v_due.code, v_due.message)
		loop
			if v_settled.reply is not null and v_settled.status <> 'known' then
				insert into leat.outbox (subject, body, short_body)
				values (v_due.reply_to[v_settled.ord], convert_to(v_settled.reply, 'UTF8'), convert_to(v_settled.short_reply, 'UTF8'));
			end if;
		end loop;
	end if;
	select count(*), min(p.position), coalesce(bool_or(p.position <= v_floor and (p.retry_at is null or p.retry_at <= now())), false)
	into remaining, v_lowest, due
	from leat.parked p where p.stream = p_stream;
	if v_lowest <= v_floor then
		update leat.stream_floors f set position = v_lowest - 1 where f.stream = p_stream;
	end if;
end
$$;
