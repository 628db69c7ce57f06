-- The control lane: workflows, members and questions, applied in the order of their stream, whichever process has which message.
--
-- All up to a mark is decided: leat.stream_floors holds it, and every transaction moves it on. What continues it is decided at once. What
-- comes too early, since another process has the messages before it in hand, is parked and acknowledged; whoever closes the gap decides it
-- too. A gap that nobody will close (the stream lost a message) ends when the durable's ack floor has passed it: leat.decide_parked_control.
-- So a decision finds everything before it decided and nothing after it, here and in any replay.
--
-- One transaction at a time, by a lock of the stream. An intent that meets somebody's lock on a row is put aside (parked with retry_at), so
-- that it holds up nobody; it is decided later than its place, and so are those behind it that name the same target, in their order.

-- This and the mark are the run lane's too: 73_run_apply.sql.

-- From here to the end of the transaction nobody else decides, and no row's lock is waited for long.
create or replace function leat.lock_ordered(p_stream text) returns void
language plpgsql set search_path = pg_catalog
as $$
begin
	perform pg_advisory_xact_lock(hashtext('leat.ordered'), hashtext(p_stream));
	perform set_config('lock_timeout', '500ms', true);
end
$$;

-- A mark, moved over what is settled or put aside directly above it. Index: primary keys of activity and parked.
create or replace function leat.mark_after(p_stream text, p_mark bigint) returns bigint
language plpgsql stable set search_path = pg_catalog set enable_seqscan = off
as $$
declare
	v_mark bigint := p_mark;
begin
	while exists (select from leat.activity a where a.stream = p_stream and a.position = v_mark + 1)
		or exists (select from leat.parked p where p.stream = p_stream and p.position = v_mark + 1 and p.retry_at is not null)
	loop
		v_mark := v_mark + 1;
	end loop;
	return v_mark;
end
$$;

-- The mark: p_floor, or what is parked lies below it, moved on like that.
create or replace function leat.ordered_mark(p_stream text, p_floor bigint) returns bigint
language plpgsql stable set search_path = pg_catalog set enable_seqscan = off
as $$
begin
	return leat.mark_after(p_stream, least(p_floor,
		(select p.position from leat.parked p where p.stream = p_stream and p.retry_at is null order by p.position limit 1) - 1));
end
$$;

-- What the intent does, once nothing stands before it. Never fails but for what may pass (leat/pg.h): code internal for what Postgres
-- refuses for good. put_aside: it met a lock. All waits of a transaction together are a second at most: each is half as long as the last.
create or replace function leat.decide_control(p_intent leat.control_intent, p_traceparent text, out decision leat.decision, out put_aside boolean)
language plpgsql set search_path = pg_catalog
as $$
begin
	put_aside := false;
	perform set_config('leat.traceparent', coalesce(p_traceparent, ''), true), set_config('leat.actor', coalesce(p_intent.actor, ''), true);
	case p_intent.noun
		when 'workflow' then decision := leat.decide_workflow(p_intent);
		when 'member' then decision := leat.decide_member(p_intent);
		when 'interaction' then decision := leat.decide_interaction(p_intent);
	end case;
exception
	when lock_not_available or deadlock_detected or serialization_failure then
		put_aside := true;
		perform set_config('lock_timeout', greatest(s.setting::integer / 2, 1)::text, true) from pg_settings s where s.name = 'lock_timeout';
	when others then
		if left(sqlstate, 2) in ('08', '53', '57', '58') then
			raise;
		end if;
		decision := row('internal', 'Postgres refuses it: ' || sqlerrm, null);
end
$$;

-- Milliseconds until the first of what was put aside has its turn; below 0: nothing is. Index: parked_aside.
create or replace function leat.next_retry_ms(p_stream text) returns bigint
language plpgsql set search_path = pg_catalog set enable_seqscan = off
as $$
declare
	v_next constant timestamptz := (select min(p.retry_at) from leat.parked p where p.stream = p_stream and p.retry_at is not null);
begin
	return case when v_next is null then -1 else greatest((extract(epoch from v_next - clock_timestamp()) * 1000)::bigint, 0) end;
end
$$;

-- Keeps the mark that a transaction has come to, for the next one. It never goes back.
create or replace function leat.note_mark(p_stream text, p_mark bigint) returns void
language plpgsql set search_path = pg_catalog
as $$
begin
	insert into leat.stream_floors as known (stream, position) values (p_stream, p_mark)
	on conflict (stream) do update set position = excluded.position, noted_at = now() where known.position < excluded.position;
end
$$;

-- How many are parked still, and whether one of them could be decided now, with this mark.
create or replace function leat.left_parked(p_stream text, p_mark bigint, out remaining bigint, out due boolean)
language plpgsql stable set search_path = pg_catalog set enable_seqscan = off
as $$
begin
	select count(*), coalesce(bool_or(p.position <= p_mark + 1 and (p.retry_at is null or p.retry_at <= now())), false)
	into remaining, due
	from leat.parked p where p.stream = p_stream;
end
$$;

-- How long an intent that met a lock waits: longer each time.
create or replace function leat.put_aside_for(p_since timestamptz) returns interval
language sql stable set search_path = pg_catalog
return least(greatest(interval '1 second', now() - p_since), interval '1 minute');

-- One intent to its end: decision, ledger, Leat-Id, dead letter. p_code and p_message: why the decoder rejected it. The outcome as
-- leat.settled; its ord is the caller's. status null: put aside, or behind one of the same target that is;
-- nothing is written. A duplicate repeats the first one's result, to users only their own: a question's payload is not for whoever guessed
-- a Leat-Id. Index: parked_aside.
create or replace function leat.settle_control(p_stream text, p_intent leat.control_intent, p_code text, p_message text, p_subject text,
	p_leat_id text, p_traceparent text, p_headers bytea, p_body bytea, p_reply_bytes bigint) returns leat.settled
language plpgsql set search_path = pg_catalog set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
	v_said leat.settled := row(null, case when p_code is null then 'applied' else 'rejected' end, p_code, p_intent.position, null, null);
	v_message text := p_message;
	v_detail jsonb;
	v_first record;
	v_decided record;
	v_redrive record;
	v_redriven jsonb; -- what the ledger says of that
begin
	if p_code is null and exists (
		select from leat.parked p
		where p.stream = p_stream and p.entity_id = p_intent.target and p.tenant_id = p_intent.tenant and p.noun = p_intent.noun
			and p.position < p_intent.position and p.retry_at is not null)
	then
		v_said.status := null;
		return v_said;
	end if;
	if starts_with(p_subject, 'leat.redrive.') then
		v_redrive := leat.read_redrive(p_stream, p_intent.tenant, p_intent.noun, p_intent.verb, p_headers, p_leat_id, p_code,
			p_message);
		p_leat_id := v_redrive.leat_id;
		v_redriven := leat.redrive_detail(v_redrive.origin, v_redrive.is_now);
		if v_redrive.code is not null then
			v_said.status := 'rejected';
			v_said.code := v_redrive.code;
			v_message := v_redrive.message;
		end if;
	end if;
	if v_said.code is null and p_leat_id is not null then
		insert into leat.message_ids (tenant_id, leat_id, stream, position) values (p_intent.tenant, p_leat_id, p_stream, p_intent.position)
		on conflict (tenant_id, leat_id) do nothing;
		if not found then
			select m.stream, m.position into v_first from leat.message_ids m where m.tenant_id = p_intent.tenant and m.leat_id = p_leat_id;
			v_said.status := 'duplicate';
			v_detail := coalesce((
				select a.detail from leat.activity a
				where a.stream = v_first.stream and a.position = v_first.position and a.noun = p_intent.noun and a.verb = p_intent.verb
					and (p_intent.role <> 'user' or (a.role = 'user' and lower(a.actor) = lower(p_intent.actor)))), '{}')
				|| jsonb_build_object('original_position', v_first.position);
		end if;
	end if;
	if v_said.status = 'applied' then
		v_decided := leat.decide_control(p_intent, p_traceparent);
		v_detail := (v_decided.decision).result;
		v_said.code := (v_decided.decision).code;
		v_message := (v_decided.decision).message;
		if v_said.code is not null or v_decided.put_aside then
			v_said.status := 'rejected';
			delete from leat.message_ids m where m.tenant_id = p_intent.tenant and m.leat_id = p_leat_id;
		end if;
		if v_decided.put_aside then
			v_said.status := null;
			return v_said;
		end if;
	end if;

	insert into leat.activity (stream, position, leat_id, tenant_id, actor, role, noun, verb, target_id, outcome, code, detail, message_at, traceparent)
	values (p_stream, p_intent.position, p_leat_id, p_intent.tenant, p_intent.actor, p_intent.role, p_intent.noun, p_intent.verb, p_intent.target,
		v_said.status, v_said.code, case when v_message is null then v_detail else jsonb_build_object('message', v_message) end,
		p_intent.at, p_traceparent);
	if v_redriven is not null then
		perform leat.note_redrives(p_stream, array[p_intent.position], array[v_redriven]);
	end if;
	if v_said.status = 'rejected' then
		perform leat.bury(p_stream, p_intent.position, p_intent.tenant, p_intent.noun, p_intent.verb, p_subject, v_said.code, v_message,
			p_headers, p_body);
	end if;
	return leat.control_reply(v_said, v_message, v_detail, p_reply_bytes);
end
$$;

-- The outcome with its texts. The result is left out of a reply over p_bytes; short_reply is the same without it.
create or replace function leat.control_reply(p_said leat.settled, p_message text, p_result jsonb, p_bytes bigint) returns leat.settled
language plpgsql immutable set search_path = pg_catalog
as $$
declare
	v_said leat.settled := p_said;
	v_bare constant text := leat.outcome(p_said.status, p_said.position, p_said.code, p_message, null);
	v_result constant jsonb := leat.without_redrive(p_result);
begin
	v_said.short_reply := v_bare;
	v_said.reply := v_bare;
	if p_said.status <> 'rejected' and v_result is not null then
		v_said.short_reply := rtrim(v_bare, '}') || ',"result_omitted":true}';
		v_said.reply := leat.outcome(p_said.status, p_said.position, null, null, v_result);
		if octet_length(v_said.reply) > p_bytes then
			v_said.reply := v_said.short_reply;
		end if;
	end if;
	return v_said;
end
$$;

-- Decides what is parked, in order, as far as it continues p_mark or is not above p_floor, at most p_limit intents and about p_bytes of bodies;
-- returns the mark after it. p_only, p_refused: Postgres refused that one for good, which then ends as `internal`. What was put aside has its
-- turn when retry_at is over. Replies go through the outbox.
create or replace function leat.decide_waiting_control(p_stream text, p_mark bigint, p_floor bigint, p_limit integer, p_bytes bigint,
	p_only bigint, p_refused text, p_reply_bytes bigint, out mark bigint, out decided bigint)
language plpgsql set search_path = pg_catalog set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
	v_parked leat.parked;
	v_settled leat.settled;
	v_bytes bigint := 0;
begin
	decided := 0;
	mark := greatest(p_mark, p_floor);
	while decided < p_limit and v_bytes < p_bytes loop
		select p.* into v_parked from leat.parked p
		where p.stream = p_stream and p.position <= mark + 1 and (p.retry_at is null or p.retry_at <= now())
			and p.position = coalesce(p_only, p.position)
		order by p.position limit 1;
		exit when not found;
		v_bytes := v_bytes + length(v_parked.body) + 1;
		v_settled := leat.settle_control(p_stream, row(v_parked.position, v_parked.message_at, v_parked.tenant_id, v_parked.role, v_parked.noun,
			v_parked.verb, v_parked.entity_id, v_parked.actor, convert_from(v_parked.body, 'UTF8')::jsonb)::leat.control_intent,
			case when p_refused is not null then 'internal' end, p_refused, v_parked.subject, v_parked.leat_id, v_parked.traceparent,
			v_parked.headers, v_parked.body, p_reply_bytes);
		if v_settled.status is null then
			update leat.parked p set retry_at = now() + leat.put_aside_for(p.parked_at) where p.stream = p_stream and p.position = v_parked.position;
		else
			delete from leat.parked p where p.stream = p_stream and p.position = v_parked.position;
			if v_parked.retry_at is not null then -- those behind it have their turn
				update leat.parked p set retry_at = now()
				where p.stream = p_stream and p.entity_id = v_parked.entity_id and p.tenant_id = v_parked.tenant_id and p.noun = v_parked.noun
					and p.retry_at > now();
			end if;
			if v_parked.reply_to is not null then
				insert into leat.outbox (subject, body, short_body)
				values (v_parked.reply_to, convert_to(v_settled.reply, 'UTF8'), convert_to(v_settled.short_reply, 'UTF8'));
			end if;
		end if;
		decided := decided + 1;
		mark := leat.ordered_mark(p_stream, greatest(mark, v_parked.position, p_floor));
	end loop;
end
$$;

-- A batch as it was fetched, one call, one transaction; parameters and answer as those of leat.apply_entity_intents.
create or replace function leat.apply_control_intents(p_stream text, p_seq bigint[], p_at timestamptz[], p_subject text[], p_tenant uuid[],
	p_role text[], p_verb text[], p_target uuid[], p_actor text[], p_leat_id text[], p_reply_to text[], p_traceparent text[], p_headers bytea[],
	p_body bytea[], p_code text[], p_message text[], p_reply_bytes bigint default 1048576)
returns setof leat.settled language plpgsql set search_path = pg_catalog
as $$
declare
	v_where record;
	v_mark bigint;
	v_noun text;
	v_settled leat.settled;
	v_reply_room bigint := 8388608; -- bytes of replies to one batch; results beyond are left out
	v_known record;
begin
	perform leat.lock_ordered(p_stream);
	v_where := leat.stream_positions(p_stream, p_seq, p_at);
	v_mark := leat.ordered_mark(p_stream, v_where.floor);
	for i in 1 .. cardinality(p_seq) loop
		v_noun := case when p_tenant[i] is not null then split_part(p_subject[i], '.', 5) end;
		v_settled := row(i, null, null, v_where.positions[i], null, null);
		if v_where.positions[i] = any (v_where.known) then
			v_settled.status := 'known';
			if p_reply_to[i] is not null then
				select a.outcome, a.code, a.detail into v_known
				from leat.activity a where a.stream = p_stream and a.position = v_where.positions[i];
				if found then
					v_settled := leat.control_reply(row(i, v_known.outcome, v_known.code, v_where.positions[i], null, null)::leat.settled,
						v_known.detail ->> 'message', v_known.detail, least(p_reply_bytes, v_reply_room));
					v_settled.status := 'known';
				end if;
			end if;
		else
			if v_where.positions[i] > v_mark + 1 and p_code[i] is null then
				v_mark := (leat.decide_waiting_control(p_stream, v_mark, 0, 1000, 8388608, null, null, p_reply_bytes)).mark;
			end if;
			if p_code[i] is not null or v_where.positions[i] <= v_mark + 1 then
				v_settled := leat.settle_control(p_stream, row(v_where.positions[i], p_at[i], p_tenant[i], p_role[i], v_noun, p_verb[i], p_target[i],
					p_actor[i], case when p_code[i] is null then convert_from(p_body[i], 'UTF8')::jsonb end)::leat.control_intent,
					p_code[i], p_message[i], p_subject[i], p_leat_id[i], p_traceparent[i], p_headers[i], p_body[i],
					least(p_reply_bytes, v_reply_room));
			end if;
			if v_settled.status is null then
				insert into leat.parked (stream, position, message_at, subject, tenant_id, role, noun, verb, entity_id, actor, leat_id, reply_to,
					traceparent, headers, body, retry_at)
				values (p_stream, v_where.positions[i], p_at[i], p_subject[i], p_tenant[i], p_role[i], v_noun, p_verb[i], p_target[i], p_actor[i],
					p_leat_id[i], p_reply_to[i], p_traceparent[i], p_headers[i], p_body[i],
					case when v_where.positions[i] <= v_mark + 1 then now() + leat.put_aside_for(now()) end);
				v_settled.status := 'parked';
			end if;
			if v_where.positions[i] = v_mark + 1 then
				v_mark := leat.ordered_mark(p_stream, v_mark);
			end if;
		end if;
		v_settled.ord := i;
		if p_reply_to[i] is null then
			v_settled.reply := null;
			v_settled.short_reply := null;
		else
			v_reply_room := v_reply_room - coalesce(octet_length(v_settled.reply), 0);
		end if;
		return next v_settled;
	end loop;
	v_mark := (leat.decide_waiting_control(p_stream, v_mark, 0, 1000, 8388608, null, null, p_reply_bytes)).mark;
	perform leat.note_mark(p_stream, v_mark);
end
$$;

-- One message.
create or replace function leat.apply_control_intent(p_stream text, p_seq bigint, p_at timestamptz, p_subject text, p_tenant uuid, p_role text,
	p_verb text, p_target uuid, p_actor text, p_leat_id text, p_reply_to text, p_traceparent text, p_headers bytea, p_body bytea, p_code text,
	p_message text, p_reply_bytes bigint default 1048576)
returns setof leat.settled language sql set search_path = pg_catalog
as $$
	select * from leat.apply_control_intents(p_stream, array[p_seq], array[p_at], array[p_subject], array[p_tenant], array[p_role],
		array[p_verb], array[p_target], array[p_actor], array[p_leat_id], array[p_reply_to], array[p_traceparent], array[p_headers],
		array[p_body], array[p_code], array[p_message], p_reply_bytes)
$$;

-- leat.decide_parked for this lane: the same parameters, the same answer.
create or replace function leat.decide_parked_control(p_stream text, p_epoch integer, p_floor_seq bigint, p_limit integer,
	p_bytes bigint default 8388608, p_only bigint default null, p_refused text default null, p_refused_for_now boolean default false,
	p_reply_bytes bigint default 1048576, out decided bigint, out remaining bigint, out due boolean)
language plpgsql set search_path = pg_catalog set enable_seqscan = off
as $$
declare
	v_floor bigint;
	v_waiting record;
begin
	perform leat.lock_ordered(p_stream);
	v_floor := leat.note_floor(p_stream, p_epoch, p_floor_seq);
	if p_refused_for_now then
		update leat.parked p set retry_at = now() + interval '1 minute' where p.stream = p_stream and p.position = p_only;
	end if;
	v_waiting := leat.decide_waiting_control(p_stream, v_floor, v_floor, p_limit, p_bytes, p_only, p_refused, p_reply_bytes);
	decided := v_waiting.decided;
	perform leat.note_mark(p_stream, v_waiting.mark);
	select l.remaining, l.due into remaining, due from leat.left_parked(p_stream, v_waiting.mark) l;
end
$$;
