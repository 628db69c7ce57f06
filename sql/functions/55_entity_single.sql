-- The short path. A consumer that keeps up has one message in hand nearly always, or a few after a moment's delay, and they are merges into
-- something that exists: the set-based path (45_entity_groups.sql) costs three times as much to set up as this does for one.

-- One merge that is new, into an entity that is live and older than the merge. False: it is not so, or not for sure; nothing was written,
-- and the set-based path decides. Order of locks: as in leat.settle_entity_intents.
create or replace function leat.merge_single(p_stream text, p_seq bigint, p_at timestamptz, p_tenant uuid, p_role text, p_entity uuid,
	p_actor text, p_leat_id text, p_traceparent text, p_body jsonb) returns boolean
language plpgsql set search_path = pg_catalog
set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
	v_epoch record;
	v_position bigint;
	v_content constant jsonb := coalesce(p_body -> 'content', '{}');
	v_metadata constant jsonb := coalesce(p_body -> 'metadata', '{}');
	v_metadata_positions jsonb := '{}';
	v_ours constant text := current_setting('role');
	v_written boolean;
	v_set text; -- assigned, a setting is made by an expression; PERFORM would be a query each time
begin
	-- the safety nets of leat.stream_positions, as far as one message needs them
	select e.epoch, e.opened_at <= p_at and e.first_seq <= p_seq as is_current,
		exists (select from leat.parked p where p.stream = p_stream and p.position = e.epoch::bigint << 40 | p_seq) as is_parked
	into v_epoch
	from leat.stream_epochs e where e.stream = p_stream order by e.epoch desc limit 1;
	if v_epoch.is_parked or v_epoch.is_current is not true then
		return false;
	end if;
	v_position := v_epoch.epoch::bigint << 40 | p_seq;

	if p_leat_id is not null then
		insert into leat.message_ids (tenant_id, leat_id, stream, position) values (p_tenant, p_leat_id, p_stream, v_position)
		on conflict (tenant_id, leat_id) do nothing;
		if not found then
			return false;
		end if;
	end if;
	insert into leat.activity (stream, position, leat_id, tenant_id, actor, role, noun, verb, target_id, outcome, message_at, traceparent)
	values (p_stream, v_position, p_leat_id, p_tenant, p_actor, p_role, 'entity', 'merge', p_entity, 'applied', p_at, p_traceparent)
	on conflict (stream, position) do nothing;
	if found then
		v_set := set_config('leat.anonymous', case when p_actor is null and p_traceparent is null then 'on' else '' end, true); -- see leat.note_update
		if v_metadata <> '{}' then
			v_metadata_positions := leat.fields_at(v_metadata, v_position);
		end if;
		if p_role = 'user' then
			v_set := set_config('leat.tenant_id', p_tenant::text, true);
			v_set := set_config('role', 'authenticated', true);
		end if;
		update leat.entities e
		set content = e.content || v_content, metadata = e.metadata || v_metadata,
			content_positions = e.content_positions
				|| (select coalesce(jsonb_object_agg(field, v_position), '{}') from jsonb_object_keys(v_content) field), -- leat.fields_at, in place
			metadata_positions = e.metadata_positions || v_metadata_positions,
			last_position = v_position, updated_at = now()
		where e.tenant_id = p_tenant and e.id = p_entity and e.last_position < v_position and e.upsert_positions[1] < v_position and e.hidden is null
			and (p_body -> 'respect_locks' is distinct from 'true' or e.locked_fields = '{}');
		v_written := found;
		if p_role = 'user' then
			v_set := set_config('role', v_ours, true);
			v_set := set_config('leat.tenant_id', '', true);
		end if;
		if v_written then
			return true;
		end if;
		delete from leat.activity a where a.stream = p_stream and a.position = v_position;
	end if;
	delete from leat.message_ids m where m.tenant_id = p_tenant and m.leat_id = p_leat_id;
	return false;
end
$$;

-- The same for a few, which are merges of different entities; all of them or none. Messages come in order of sequence, so one of an older
-- epoch may be behind those of the newest. Order of locks: as in leat.settle_entity_intents.
create or replace function leat.merge_few(p_stream text, p_seq bigint[], p_at timestamptz[], p_tenant uuid[], p_role text[], p_entity uuid[],
	p_actor text[], p_leat_id text[], p_traceparent text[], p_body bytea[]) returns boolean
language plpgsql set search_path = pg_catalog
set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
	v_epoch record;
	v_intent record;
	v_metadata_positions jsonb;
	v_ours constant text := current_setting('role');
	v_entity uuid;
	v_rows bigint;
	v_set text; -- see leat.merge_single
begin
	select e.epoch::bigint << 40 as base, e.opened_at <= all (p_at) and e.first_seq <= p_seq[1] as is_current, exists (
		select from leat.parked p
		where p.stream = p_stream and p.position between e.epoch::bigint << 40 | p_seq[1] and e.epoch::bigint << 40 | p_seq[cardinality(p_seq)])
		as is_parked
	into v_epoch
	from leat.stream_epochs e where e.stream = p_stream order by e.epoch desc limit 1;
	if v_epoch.is_parked or v_epoch.is_current is not true then
		return false;
	end if;

	insert into leat.message_ids (tenant_id, leat_id, stream, position)
	select tenant, leat_id, p_stream, v_epoch.base | seq
	from unnest(p_tenant, p_leat_id, p_seq) intent (tenant, leat_id, seq)
	where leat_id is not null
	order by tenant, leat_id
	on conflict (tenant_id, leat_id) do nothing;
	get diagnostics v_rows = row_count;
	if v_rows <> cardinality(array_remove(p_leat_id, null)) then
		raise no_data_found;
	end if;
	insert into leat.activity (stream, position, leat_id, tenant_id, actor, role, noun, verb, target_id, outcome, message_at, traceparent)
	select p_stream, v_epoch.base | seq, leat_id, tenant, actor, role, 'entity', 'merge', entity, 'applied', at, traceparent
	from unnest(p_seq, p_leat_id, p_tenant, p_actor, p_role, p_entity, p_at, p_traceparent)
		intent (seq, leat_id, tenant, actor, role, entity, at, traceparent)
	on conflict (stream, position) do nothing;
	get diagnostics v_rows = row_count;
	if v_rows <> cardinality(p_seq) then
		raise no_data_found;
	end if;

	v_set := set_config('leat.anonymous',
		case when array_remove(p_actor, null) = '{}' and array_remove(p_traceparent, null) = '{}' then 'on' else '' end, true);
	for v_intent in
		select tenant, entity, role, v_epoch.base | seq as position, body, coalesce(body -> 'content', '{}') as content,
			coalesce(body -> 'metadata', '{}') as metadata
		from (
			select tenant, entity, role, seq, convert_from(body, 'UTF8')::jsonb as body
			from unnest(p_tenant, p_entity, p_role, p_seq, p_body) intent (tenant, entity, role, seq, body)) intent
		order by tenant, entity
	loop
		v_metadata_positions := case when v_intent.metadata = '{}' then '{}' else leat.fields_at(v_intent.metadata, v_intent.position) end;
		if v_intent.role = 'user' then
			v_set := set_config('leat.tenant_id', v_intent.tenant::text, true);
			v_set := set_config('role', 'authenticated', true);
		end if;
		update leat.entities e
		set content = e.content || v_intent.content, metadata = e.metadata || v_intent.metadata,
			content_positions = e.content_positions
				|| (select coalesce(jsonb_object_agg(field, v_intent.position), '{}') from jsonb_object_keys(v_intent.content) field),
			metadata_positions = e.metadata_positions || v_metadata_positions,
			last_position = v_intent.position, updated_at = now()
		where e.tenant_id = v_intent.tenant and e.id = v_intent.entity and e.last_position < v_intent.position
			and e.upsert_positions[1] < v_intent.position and e.hidden is null
			and (v_intent.body -> 'respect_locks' is distinct from 'true' or e.locked_fields = '{}');
		if not found or v_intent.entity = v_entity then
			raise no_data_found;
		end if;
		v_entity := v_intent.entity;
		if v_intent.role = 'user' then
			v_set := set_config('role', v_ours, true);
			v_set := set_config('leat.tenant_id', '', true);
		end if;
	end loop;
	return true;
exception when no_data_found then
	return false;
end
$$;
