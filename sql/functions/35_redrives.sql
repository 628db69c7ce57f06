-- Redrives: dead letters that an operator sends again, on leat.redrive.… (design.md section 8). In the stream such a message stands at a
-- position of its own, under which it is settled. An entity intent writes at the position of its origin, the message that was rejected, so
-- that it overwrites nothing that came later; with the header `Leat-Redrive: now` at its own. What is decided in order (workflows, runs, …) is
-- decided at its own in any case.
--
-- Happy path: leat.read_redrive finds the origin rejected in the ledger, and from there on it is an intent like others. Its ledger row names
-- the origin: detail has origin_position and, when it wrote at its own position, now.
--
-- Only operators may publish there, so the headers are believed as far as the ledger bears them out.

-- The value of a header in a block of "Name: value\r\n" lines; null where there is none. A block may hold any bytes.
create or replace function leat.header_value(p_headers bytea, p_name text) returns text
language sql immutable parallel safe set search_path = pg_catalog
return substring(encode(p_headers, 'escape') from '(?n)^' || p_name || ': *([^\r\n]*)');

-- A block without the headers whose names begin so.
create or replace function leat.headers_without(p_headers bytea, p_names text) returns bytea
language sql immutable parallel safe set search_path = pg_catalog
return decode(regexp_replace(encode(p_headers, 'escape'), '^(' || p_names || ').*\n', '', 'gn'), 'escape');

-- The position of the message that a redrive repeats; null when its headers don't tell. Leat-Origin-Position tells exactly; of
-- Leat-Origin-Seq alone it is the newest that was rejected. Index: primary key of activity, one probe an epoch.
create or replace function leat.origin_position(p_stream text, p_headers bytea) returns bigint
language plpgsql stable set search_path = pg_catalog set enable_seqscan = off
as $$
declare
	v_position constant text := leat.header_value(p_headers, 'Leat-Origin-Position');
	v_seq constant text := leat.header_value(p_headers, 'Leat-Origin-Seq');
begin
	if leat.header_value(p_headers, 'Leat-Origin-Stream') is distinct from p_stream then
		return null;
	elsif v_position is not null then
		return case when v_position ~ '^[0-9]{1,18}$' then v_position::bigint end;
	elsif v_seq !~ '^[0-9]{1,12}$' then
		return null;
	end if;
	return coalesce((
		select max(origin.position)
		from leat.stream_epochs e
		cross join lateral (
			select a.position from leat.activity a
			where a.stream = p_stream and a.position = e.epoch::bigint << 40 | v_seq::bigint and a.outcome = 'rejected' offset 0) origin
		where e.stream = p_stream), v_seq::bigint);
end
$$;

-- A redrive, before it is decided: origin, whether it writes at its own position, its Leat-Id, and code and message when it is to be rejected,
-- or was by the decoder.
-- One without a Leat-Id gets one of its origin's, which no producer's can be (they hold no control characters): so a second redrive is a
-- duplicate, by the same means as all others. An origin that was applied after all, as a replay may have done, has used it up.
create or replace function leat.read_redrive(p_stream text, p_tenant uuid, p_noun text, p_verb text, p_headers bytea, inout leat_id text,
	inout code text, inout message text, out origin bigint, out is_now boolean)
language plpgsql set search_path = pg_catalog set enable_seqscan = off
as $$
declare
	v_how constant text := leat.header_value(p_headers, 'Leat-Redrive');
	v_known record;
begin
	is_now := coalesce(v_how = 'now', false);
	origin := leat.origin_position(p_stream, p_headers);
	if code is not null then
		return;
	elsif origin is null or (v_how is not null and not is_now) then
		code := 'invalid_message';
		message := case
			when origin is null then format('a redrive needs the headers Leat-Origin-Stream: %s and Leat-Origin-Position: N, of the rejected '
				|| 'message; send it with `leat dead redrive`', p_stream)
			else format('Leat-Redrive: expected now, found "%s"', left(v_how, 100)) end;
		return;
	end if;
	select a.tenant_id, a.noun, a.verb, a.outcome, (a.detail ->> 'origin_position')::bigint as first into v_known
	from leat.activity a where a.stream = p_stream and a.position = origin;
	if not found and not is_now then
		code := 'conflict';
		message := format('the ledger does not know position %s of %s (any more): `leat dead redrive --now` writes at a new position',
			origin, p_stream);
	elsif found and (v_known.outcome not in ('rejected', 'applied') or (v_known.tenant_id, v_known.noun, v_known.verb)
		is distinct from (p_tenant, p_noun, p_verb))
	then
		code := 'conflict';
		message := format('position %s of %s is no rejected %s.%s of this tenant', origin, p_stream, p_noun, p_verb);
	else
		origin := coalesce(v_known.first, origin);
		leat_id := coalesce(leat_id, chr(1) || 'redrive ' || p_stream || ' ' || origin);
		if v_known.outcome = 'applied' then
			insert into leat.message_ids (tenant_id, leat_id, stream, position)
			values (p_tenant, read_redrive.leat_id, p_stream, origin) on conflict on constraint message_ids_pkey do nothing;
		end if;
	end if;
end
$$;

-- What a ledger row says of its redrive; null for other intents.
create or replace function leat.redrive_detail(p_origin bigint, p_is_now boolean) returns jsonb
language sql immutable parallel safe set search_path = pg_catalog
return case when p_origin is not null then
	jsonb_build_object('origin_position', p_origin) || case when p_is_now then '{"now": true}' else '{}' end::jsonb end;

-- A detail without that, for the outcome; null for nothing.
create or replace function leat.without_redrive(p_detail jsonb) returns jsonb
language sql immutable parallel safe set search_path = pg_catalog
return nullif(p_detail - '{origin_position,now}'::text[], '{}');

-- Where the intent of a ledger row of LEAT_ENTITY wrote.
create or replace function leat.write_position(p_position bigint, p_detail jsonb) returns bigint
language sql immutable parallel safe set search_path = pg_catalog
return case when p_detail ? 'now' then p_position else coalesce((p_detail ->> 'origin_position')::bigint, p_position) end;

-- Adds that to the ledger rows of a batch; both arrays run in parallel.
create or replace function leat.note_redrives(p_stream text, p_position bigint[], p_detail jsonb[]) returns void
language plpgsql set search_path = pg_catalog
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
begin
	update leat.activity a set detail = coalesce(a.detail, '{}') || redrive.detail
	from unnest(p_position, p_detail) redrive (position, detail)
	where redrive.detail is not null and a.stream = p_stream and a.position = redrive.position;
end
$$;

-- The redrives of a batch of entity intents, one element an intent: where each intent writes, its Leat-Id, why it is rejected, what the ledger
-- is to say of it. Batches with redrives take turns: two that redrive the same origin, or write late to one entity, would not see each other.
create or replace function leat.read_redrives(p_stream text, p_subject text[], p_tenant uuid[], p_verb text[], p_headers bytea[],
	inout writes bigint[], inout leat_id text[], inout code text[], inout message text[], out detail jsonb[])
language plpgsql set search_path = pg_catalog
as $$
declare
	v_redrive record;
begin
	perform pg_advisory_xact_lock(hashtext('leat.redrives'), hashtext(p_stream));
	detail := array_fill(null::jsonb, array[cardinality(p_subject)]);
	for i in 1 .. cardinality(p_subject) loop
		continue when not starts_with(p_subject[i], 'leat.redrive.');
		v_redrive := leat.read_redrive(p_stream, p_tenant[i], 'entity', p_verb[i], p_headers[i], leat_id[i], code[i], message[i]);
		leat_id[i] := v_redrive.leat_id;
		code[i] := v_redrive.code;
		message[i] := v_redrive.message;
		detail[i] := leat.redrive_detail(v_redrive.origin, v_redrive.is_now);
		if v_redrive.code is null and not v_redrive.is_now then
			writes[i] := v_redrive.origin;
		end if;
	end loop;
end
$$;

-- Gives a row the upserts back, above p_position, that it has forgotten because everything below the floor was settled: a delete that comes
-- late ends only what was before it. There are none above type_position. The row is locked by the caller.
-- Index: primary key of activity, from p_position on; only where an entity was upserted after the delete that is redriven.
create or replace function leat.recall_upserts(p_stream text, p_tenant uuid, p_entity uuid, p_position bigint) returns void
language plpgsql set search_path = pg_catalog set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
begin
	update leat.entities e
	set upsert_positions = array(
		select unnest(e.upsert_positions)
		union
		select leat.write_position(a.position, a.detail)
		from leat.activity a
		where a.stream = p_stream and a.position > p_position and a.tenant_id = p_tenant and a.target_id = p_entity and a.noun = 'entity'
			and a.verb = 'upsert' and a.outcome = 'applied'
			and leat.write_position(a.position, a.detail) > greatest(p_position, e.deleted_position)
		order by 1)
	where e.tenant_id = p_tenant and e.id = p_entity and e.type_position > p_position;
end
$$;

-- leat.write_raw_intent, also for what comes late: p_floor is below 0 then, so that nothing is forgotten.
create or replace function leat.write_one_intent(p_stream text, p_role text, p_tenant uuid, p_verb text, p_entity uuid, p_position bigint,
	p_body bytea, p_floor bigint, p_final boolean, out status text, out code text, out message text, out detail jsonb)
language plpgsql set search_path = pg_catalog
as $$
begin
	if p_floor < 0 and p_verb = 'delete' then
		perform leat.recall_upserts(p_stream, p_tenant, p_entity, p_position);
	end if;
	select w.status, w.code, w.message, w.detail into status, code, message, detail
	from leat.write_raw_intent(p_role, p_tenant, p_verb, p_entity, p_position, p_body, p_floor, p_final) w;
end
$$;
