-- Settles a batch of entity intents in one call: who counts, what is written, what waits, what is recorded.
--
-- Happy path: Leat-Ids are claimed, the ledger is written, deltas are computed, and only then rows are locked and merged, so that batches
-- that meet on a row hold each other up as briefly as can be. The ledger says `applied` at first; what ends otherwise is corrected.
--
-- Order of locks, the same for every caller, so that batches cannot deadlock: Leat-Ids in order; positions in order; the turn to create
-- entities, where some are not there; rows that exist in order of (tenant, id). New rows and the general path come last and wait for nobody.

-- All arrays run in parallel, one element an intent, in order of position. Where an intent writes is its position too, but for a redrive
-- (35_redrives.sql). p_code and p_message: what the decoder rejected. p_known:
-- positions that are settled or parked already. p_final: the floor has passed all of them. p_reply_bytes: the longest reply that the server
-- takes.
-- Returned are the intents of which the caller must know more than `applied`: another status, or a reply to send.
create or replace function leat.settle_entity_intents(p_stream text, p_floor bigint, p_final boolean, p_reply_bytes bigint, p_known bigint[],
	p_position bigint[], p_at timestamptz[], p_subject text[], p_tenant uuid[], p_role text[], p_verb text[], p_entity uuid[], p_actor text[],
	p_leat_id text[], p_reply_to text[], p_traceparent text[], p_headers bytea[], p_body bytea[], p_code text[], p_message text[])
returns setof leat.settled language plpgsql set search_path = pg_catalog
set plan_cache_mode = force_generic_plan set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off set jit = off
as $$
declare
	-- null: applied, as far as is known
	v_status text[] := array_fill(null::text, array[cardinality(p_position)]);
	v_code text[] := p_code;
	v_message text[] := p_message;
	v_detail jsonb[] := array_fill(null::jsonb, array[cardinality(p_position)]);
	v_claimed boolean; -- all Leat-Ids are new
	v_duplicates bigint[] := '{}';
	v_changed bigint[] := '{}'; -- ends otherwise than the ledger says so far
	v_groups leat.entity_groups;
	v_paths text[];
	v_unlocked record;
	v_intent record;
	v_written record;
	v_settled leat.settled;
	v_set text; -- see leat.merge_single
	v_reply_room bigint := 8388608; -- bytes of replies to one batch; results beyond are left out
	v_writes bigint[] := p_position;
	v_redrives record;
	-- so many batches of this session look at the rows first
	v_looks constant integer := coalesce(substring(current_setting('leat.look_first', true) from '^\d{1,3}$')::integer, 0);
	v_redriven constant boolean := position('leat.redrive.' in array_to_string(p_subject, ' ')) > 0;
	i bigint;
begin
	if v_redriven then
		v_redrives := leat.read_redrives(p_stream, p_subject, p_tenant, p_verb, p_headers, p_position, p_leat_id, p_code, p_message);
		v_writes := v_redrives.writes;
		p_leat_id := v_redrives.leat_id;
		p_code := v_redrives.code;
		v_code := p_code;
		v_message := v_redrives.message;
		v_detail := v_redrives.detail; -- from the first, since leat.recall_upserts reads the ledger
	end if;
	if p_known is not null or array_remove(p_code, null) <> '{}' then
		v_status := array(
			select case when position = any (p_known) then 'known' when code is not null then 'rejected' end
			from unnest(p_position, p_code) intent (position, code));
	end if;

	-- Leat-Ids: one message each; whoever comes second in position order, or after the other's commit, is a duplicate. Mostly none is, so a
	-- batch inserts without a look first, which costs a third less; one that is there undoes it.
	begin
		v_claimed := cardinality(p_leat_id) >= 16;
		if v_claimed then
			insert into leat.message_ids (tenant_id, leat_id, stream, position)
			select tenant, leat_id, p_stream, position
			from unnest(p_tenant, p_leat_id, p_position, v_status) intent (tenant, leat_id, position, status)
			where leat_id is not null and status is null
			order by tenant, leat_id, position;
		end if;
	exception when unique_violation then
		v_claimed := false;
	end;
	if not v_claimed then
		insert into leat.message_ids (tenant_id, leat_id, stream, position)
		select tenant, leat_id, p_stream, position
		from unnest(p_tenant, p_leat_id, p_position, v_status) intent (tenant, leat_id, position, status)
		where leat_id is not null and status is null
		order by tenant, leat_id, position
		on conflict (tenant_id, leat_id) do nothing;
		get diagnostics i = row_count;
		v_claimed := i = cardinality(p_leat_id);
	end if;
	if not v_claimed then
		v_duplicates := array(
			select intent.ord
			from unnest(p_tenant, p_leat_id, p_position, v_status) with ordinality intent (tenant, leat_id, position, status, ord)
			left join lateral (
				select m.stream, m.position from leat.message_ids m where m.tenant_id = intent.tenant and m.leat_id = intent.leat_id offset 0) used on true
			where intent.leat_id is not null and intent.status is null and (used.stream, used.position) is distinct from (p_stream, intent.position)
			order by intent.ord);
	end if;
	foreach i in array v_duplicates loop
		v_status[i] := 'duplicate';
		v_detail[i] := (
			select jsonb_build_object('original_position', m.position)
			from leat.message_ids m where m.tenant_id = p_tenant[i] and m.leat_id = p_leat_id[i]);
	end loop;

	-- A unique violation here means that another process settled one of them meanwhile: the caller tries again, and finds it known.
	insert into leat.activity (stream, position, leat_id, tenant_id, actor, role, noun, verb, target_id, outcome, code, detail, message_at, traceparent)
	select p_stream, position, leat_id, tenant, actor, role, 'entity', verb, entity, coalesce(status, 'applied'), code,
		case when message is null then detail else jsonb_build_object('message', message) end, at, traceparent
	from unnest(p_position, p_leat_id, p_tenant, p_actor, p_role, p_verb, p_entity, v_status, v_code, v_message, v_detail, p_at, p_traceparent)
		intent (position, leat_id, tenant, actor, role, verb, entity, status, code, message, detail, at, traceparent)
	where status is distinct from 'known';

	-- see leat.note_update
	v_set := set_config('leat.anonymous',
		case when array_remove(p_actor, null) = '{}' and array_remove(p_traceparent, null) = '{}' then 'on' else '' end, true);

	v_groups := leat.group_entity_intents(p_tenant, p_entity, v_writes, p_role, p_verb, p_body, v_status);
	-- which fields it is takes longer to find out than a few rows to compare
	if cardinality(v_groups.entity) >= 16 then
		v_set := set_config('leat.written', coalesce(leat.fields_of_groups(v_groups)::text, ''), true);
	end if;
	if v_looks > 0 then
		v_set := set_config('leat.look_first', (v_looks - 1)::text, false);
	elsif not p_final and not v_redriven and 'bulk' <> all (p_verb) and leat.are_mere_merges(v_groups) then
		begin
			perform leat.write_groups_as_asked(v_groups, null, p_floor);
			v_paths := '{}';
		exception when no_data_found then
			v_set := set_config('leat.look_first', '64', false); -- where some are missing, more will be
		end;
	end if;
	if v_paths is null then
		perform leat.take_turns_creating(v_groups, p_tenant, p_verb, p_body, v_status);
		v_paths := leat.lock_entity_groups(v_groups, p_tenant, p_verb, p_body, v_status);
		if true = any (v_groups.respects) then
			v_unlocked := leat.bodies_without_locked(v_groups, v_paths, p_tenant, p_entity, p_body, v_status);
			v_changed := array_positions(array(select skipped is not null from unnest(v_unlocked.skipped) skipped), true);
			foreach i in array v_changed loop
				v_detail[i] := jsonb_build_object('skipped_fields', v_unlocked.skipped[i]);
			end loop;
			if v_changed <> '{}' then
				v_groups := leat.group_entity_intents(p_tenant, p_entity, v_writes, p_role, p_verb, v_unlocked.bodies, v_status);
			end if;
		end if;
		perform leat.write_groups_as_asked(v_groups, v_paths, p_floor);
	end if;
	v_set := set_config('leat.written', '', true);

	-- What is not simple, entity by entity.
	if 'general' = any (v_paths) and not v_redriven and 'bulk' <> all (p_verb) then
		v_paths := leat.folded_paths(v_groups, v_paths, p_tenant, p_entity, p_role, v_status);
		for v_written in
			select * from leat.fold_groups(v_groups, v_paths, p_tenant, p_entity, p_verb, p_position, p_body, v_status, p_floor, p_final)
		loop
			i := v_written.ord;
			v_status[i] := v_written.status;
			v_code[i] := v_written.code;
			v_message[i] := v_written.message;
			v_detail[i] := v_written.detail;
			v_changed := v_changed || i;
		end loop;
	end if;

	-- The rest, intent by intent, in order of position.
	if 'bulk' = any (p_verb) or 'general' = any (v_paths) or 'absent' = any (v_paths) then
		for v_intent in select * from leat.single_intents(v_groups, v_paths, p_tenant, p_entity, p_verb, v_status) loop
			i := v_intent.ord;
			if v_intent.path = 'absent' then
				v_status[i] := case when p_final then 'rejected' else 'parked' end;
				if p_final then
					v_code[i] := 'not_found';
					v_message[i] := leat.absent_message(p_verb[i], 'not_found', p_entity[i], 1);
				end if;
			else
				v_written := leat.write_one_intent(p_stream, p_role[i], p_tenant[i], p_verb[i], p_entity[i], v_writes[i], p_body[i],
					case when v_writes[i] < p_position[i] then -1 else p_floor end, p_final);
				v_status[i] := nullif(v_written.status, 'applied');
				v_code[i] := v_written.code;
				v_message[i] := v_written.message;
				v_detail[i] := v_written.detail;
			end if;
			if v_status[i] is not null or v_detail[i] is not null then
				v_changed := v_changed || i;
			end if;
		end loop;
	end if;

	-- Only `applied` uses a Leat-Id up. A duplicate of one that was not applied stands for itself: it waits too, or is decided in its turn.
	foreach i in array v_changed loop
		if v_status[i] in ('parked', 'rejected') then
			delete from leat.message_ids m
			where m.tenant_id = p_tenant[i] and m.leat_id = p_leat_id[i] and m.stream = p_stream and m.position = p_position[i];
		end if;
	end loop;
	if v_changed <> '{}' then
		foreach i in array v_duplicates loop
			continue when exists (select from leat.message_ids m where m.tenant_id = p_tenant[i] and m.leat_id = p_leat_id[i]);
			v_written := leat.write_one_intent(p_stream, p_role[i], p_tenant[i], p_verb[i], p_entity[i], v_writes[i], p_body[i],
				case when v_writes[i] < p_position[i] then -1 else p_floor end, p_final);
			v_status[i] := nullif(v_written.status, 'applied');
			v_code[i] := v_written.code;
			v_message[i] := v_written.message;
			v_detail[i] := v_written.detail;
			v_changed := v_changed || i;
			if v_status[i] is null then
				insert into leat.message_ids (tenant_id, leat_id, stream, position) values (p_tenant[i], p_leat_id[i], p_stream, p_position[i]);
			end if;
		end loop;
	end if;

	foreach i in array v_changed loop
		if v_status[i] = 'parked' then
			delete from leat.activity a where a.stream = p_stream and a.position = p_position[i];
		else
			update leat.activity a
			set outcome = coalesce(v_status[i], 'applied'), code = v_code[i],
				detail = case when v_message[i] is null then v_detail[i] else jsonb_build_object('message', v_message[i]) end
			where a.stream = p_stream and a.position = p_position[i];
		end if;
		if v_status[i] = 'parked' then
			insert into leat.parked (stream, position, message_at, subject, tenant_id, role, verb, entity_id, actor, leat_id, reply_to, traceparent,
				headers, body)
			values (p_stream, p_position[i], p_at[i], p_subject[i], p_tenant[i], p_role[i], p_verb[i], p_entity[i], p_actor[i], p_leat_id[i],
				p_reply_to[i], p_traceparent[i], p_headers[i], p_body[i]);
		end if;
	end loop;

	if v_redriven then
		perform leat.note_redrives(p_stream, p_position, v_redrives.detail);
	end if;
	if 'rejected' = any (v_status) then
		perform leat.bury(p_stream, position, tenant, 'entity', verb, subject, code, message, headers, body)
		from unnest(p_position, p_tenant, p_verb, p_subject, v_code, v_message, p_headers, p_body, v_status)
			intent (position, tenant, verb, subject, code, message, headers, body, status)
		where status = 'rejected';
	end if;

	if array_remove(v_status, null) <> '{}' then
		return query
		select intent.ord, intent.status, intent.code, intent.position, null::text, null::text
		from unnest(v_status, v_code, p_position, p_reply_to) with ordinality intent (status, code, position, reply_to, ord)
		where intent.status is not null and intent.reply_to is null;
	end if;
	if array_remove(p_reply_to, null) <> '{}' then
		for i in select ord from unnest(p_reply_to) with ordinality intent (reply_to, ord) where reply_to is not null loop
			v_settled := leat.entity_reply(p_stream, p_position[i], v_status[i], v_code[i], v_message[i], p_tenant[i], p_verb[i], p_entity[i], v_detail[i],
				least(p_reply_bytes, v_reply_room));
			v_settled.ord := i;
			v_reply_room := v_reply_room - coalesce(octet_length(v_settled.reply), 0);
			return next v_settled;
		end loop;
	end if;
end
$$;
