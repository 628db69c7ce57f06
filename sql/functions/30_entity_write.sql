-- One entity intent, written to its targets whatever their state: the general path. What is simple goes by two others: the set-based one
-- (45_entity_groups.sql), and the short one for a merge that comes alone (55_entity_single.sql); what is of one entity in a batch is folded
-- in memory (47_entity_fold.sql). All of them give the state that lib/entity/fold_set.c defines.

-- A target as an intent at some position finds it.
--   live       an upsert below the position, above the highest delete, is known: the intent counts
--   overtaken  a later delete is known: the intent counts, and changes nothing
--   deleted, missing  as far as is known; below the floor that is final
create or replace function leat.target_state(p_row leat.entities, p_position bigint) returns text
language plpgsql immutable parallel safe set search_path = pg_catalog
as $$
begin
	return case
		when p_row.id is null then 'missing'
		when p_row.deleted_position > p_position then 'overtaken'
		when p_row.upsert_positions[1] < p_position then 'live'
		when p_row.deleted_position > 0 then 'deleted'
		else 'missing'
	end;
end
$$;

-- One part of an entity (content, metadata, locks) after one more intent; pure. p_new: what it writes; p_written: the fields it writes or
-- removes, at its position. p_upsert_before and p_upsert: the lowest upsert before and after it, null for none. What was written from p_since
-- on is taken together, changed, and split again into what is visible (at or above the lowest upsert) and what is hidden.
create or replace function leat.part_after(p_visible jsonb, p_hidden jsonb, p_positions jsonb, p_new jsonb, p_written jsonb, p_upsert_before bigint,
	p_upsert bigint, p_since bigint, out visible jsonb, out hidden jsonb, out positions jsonb)
language plpgsql immutable set search_path = pg_catalog
as $$
declare
	-- a field that direct SQL put there has no position: it counts from the first upsert on
	v_positions constant jsonb := leat.fields_at(p_visible, coalesce(p_upsert_before, 0)) || p_positions;
	v_written constant jsonb := leat.newer_fields(v_positions, p_written, p_written);
begin
	positions := v_positions || v_written;
	hidden := leat.fields_since(
		leat.fields_without(coalesce(p_hidden, '{}') || p_visible, v_written) || leat.newer_fields(v_positions, p_new, v_written), positions, p_since);
	positions := leat.fields_since(positions, positions, p_since);
	visible := case when p_upsert is null then '{}' else leat.fields_since(hidden, positions, p_upsert) end;
	hidden := leat.fields_without(hidden, visible);
end
$$;

-- The row after one more intent; pure. p_row may be a row that is not stored yet (positions 0, nothing in it).
-- What can never count any more is dropped: what is below the delete. What is hidden above it stays, however low the floor has left it: an
-- upsert that is redriven (35_redrives.sql) may bring it to light. (It is hidden only where a write overtook the delete before it.)
create or replace function leat.entity_after(p_row leat.entities, p_verb text, p_position bigint, p_body jsonb, p_floor bigint)
returns leat.entities language plpgsql immutable set search_path = pg_catalog
as $$
declare
	v leat.entities := p_row;
	v_upsert_before constant bigint := p_row.upsert_positions[1];
	v_upsert bigint;
	v_since bigint;
	v_content_new jsonb := '{}';
	v_metadata_new jsonb := '{}';
	v_locks_new jsonb := '{}';
	v_content_written jsonb := '{}';
	v_metadata_written jsonb := '{}';
	v_locks_written jsonb := '{}';
	v_content record;
	v_metadata record;
	v_locks record;
begin
	case p_verb
		when 'upsert', 'merge', 'bulk' then
			v_content_new := coalesce(p_body -> 'content', '{}');
			v_metadata_new := coalesce(p_body -> 'metadata', '{}');
			v_content_written := leat.fields_at(v_content_new, p_position);
			v_metadata_written := leat.fields_at(v_metadata_new, p_position);
		when 'unset' then
			v_content_written := leat.names_at(p_body -> 'content', p_position);
			v_metadata_written := leat.names_at(p_body -> 'metadata', p_position);
		when 'lock' then
			v_locks_written := leat.names_at(p_body -> 'fields', p_position);
			v_locks_new := v_locks_written;
		when 'unlock' then
			v_locks_written := leat.names_at(p_body -> 'fields', p_position);
		when 'delete' then
			v.deleted_position := greatest(v.deleted_position, p_position);
			v.upsert_positions := array(select u from unnest(v.upsert_positions) u where u > v.deleted_position order by u);
	end case;
	if p_verb = 'upsert' then
		if p_position > v.type_position then
			v.entity_type := p_body ->> 'entity_type';
			v.type_position := p_position;
		end if;
		v.key := coalesce(v.key, p_body ->> 'key');
		if p_position > v.deleted_position then
			v.upsert_positions := leat.upserts_that_matter(v.upsert_positions || p_position, p_floor);
		end if;
	end if;

	v_upsert := v.upsert_positions[1];
	v_since := least(v.deleted_position + 1, v_upsert);
	v_content := leat.part_after(v.content, v.hidden -> 'content', v.content_positions, v_content_new, v_content_written,
		v_upsert_before, v_upsert, v_since);
	v_metadata := leat.part_after(v.metadata, v.hidden -> 'metadata', v.metadata_positions, v_metadata_new, v_metadata_written,
		v_upsert_before, v_upsert, v_since);
	v_locks := leat.part_after(leat.names_at(to_jsonb(array_remove(v.locked_fields, null)), 0), v.hidden -> 'locks', v.lock_positions, v_locks_new, v_locks_written,
		v_upsert_before, v_upsert, v_since);

	v.content := v_content.visible;
	v.content_positions := v_content.positions;
	v.metadata := v_metadata.visible;
	v.metadata_positions := v_metadata.positions;
	v.locked_fields := array(select field from jsonb_object_keys(v_locks.visible) field order by field collate "C");
	v.lock_positions := v_locks.positions;
	v.hidden := nullif(jsonb_build_object('content', v_content.hidden, 'metadata', v_metadata.hidden, 'locks', v_locks.hidden),
		'{"content": {}, "metadata": {}, "locks": {}}');

	v.deleted_at := case when v_upsert is null then coalesce(v.deleted_at, now()) end;
	v.last_position := greatest(v.last_position, p_position);
	v.updated_at := now();
	return v;
end
$$;

-- Writes the intent to the targets, which are rows that are live at its position, or any for an upsert or a delete. A merge into a row without
-- hidden fields is plain: whole where it is newer than all that was applied, by the fields that are older elsewhere. The rest goes by
-- leat.entity_after. Locks: the rows, which the caller has locked in order.
create or replace function leat.change_entities(p_tenant uuid, p_ids uuid[], p_verb text, p_position bigint, p_body jsonb, p_floor bigint)
returns void language plpgsql set search_path = pg_catalog
as $$
declare
	v_plain constant boolean := p_verb in ('merge', 'bulk');
	v_content constant jsonb := case when v_plain then coalesce(p_body -> 'content', '{}') end;
	v_metadata constant jsonb := case when v_plain then coalesce(p_body -> 'metadata', '{}') end;
	v_content_at constant jsonb := case when v_plain then leat.fields_at(v_content, p_position) end;
	v_metadata_at constant jsonb := case when v_plain then leat.fields_at(v_metadata, p_position) end;
begin
	if v_plain then
		update leat.entities e
		set content = e.content || v_content, metadata = e.metadata || v_metadata,
			content_positions = e.content_positions || v_content_at, metadata_positions = e.metadata_positions || v_metadata_at,
			last_position = p_position, updated_at = now()
		where e.tenant_id = p_tenant and e.id = any (p_ids) and e.hidden is null and e.last_position < p_position;
		update leat.entities e
		set content = e.content || leat.newer_fields(e.content_positions, v_content, v_content_at),
			metadata = e.metadata || leat.newer_fields(e.metadata_positions, v_metadata, v_metadata_at),
			content_positions = e.content_positions || leat.newer_fields(e.content_positions, v_content_at, v_content_at),
			metadata_positions = e.metadata_positions || leat.newer_fields(e.metadata_positions, v_metadata_at, v_metadata_at),
			updated_at = now()
		where e.tenant_id = p_tenant and e.id = any (p_ids) and e.hidden is null and e.last_position > p_position;
	end if;
	update leat.entities e
	set (entity_type, key, content, metadata, locked_fields, updated_at, deleted_at, last_position, type_position, deleted_position,
			upsert_positions, content_positions, metadata_positions, lock_positions, hidden) = (
		select a.entity_type, a.key, a.content, a.metadata, a.locked_fields, a.updated_at, a.deleted_at, a.last_position, a.type_position,
			a.deleted_position, a.upsert_positions, a.content_positions, a.metadata_positions, a.lock_positions, a.hidden
		from leat.entity_after(e, p_verb, p_position, p_body, p_floor) a)
	where e.tenant_id = p_tenant and e.id = any (p_ids) and (not v_plain or e.hidden is not null);
end
$$;

-- The same for a merge that respects locks, in rows that the caller has locked: content fields that are locked now are left alone, wherever
-- the lock stands in the stream. Which were is a decision, for the ledger: skipped has the names by entity, of those that skipped any.
create or replace function leat.change_unlocked(p_tenant uuid, p_ids uuid[], p_verb text, p_position bigint, p_body jsonb, p_floor bigint,
	out skipped jsonb)
language plpgsql set search_path = pg_catalog
as $$
declare
	v_part record;
begin
	skipped := '{}';
	for v_part in -- targets that skip the same are changed together
		select target.fields, array_agg(target.id) as ids
		from (
			select e.id, array(select distinct field collate "C" from unnest(e.locked_fields) field where p_body -> 'content' ? field order by 1) as fields
			from leat.entities e where e.tenant_id = p_tenant and e.id = any (p_ids)) target
		group by target.fields
	loop
		if v_part.fields = '{}' then
			perform leat.change_entities(p_tenant, v_part.ids, p_verb, p_position, p_body, p_floor);
		else
			perform leat.change_entities(p_tenant, v_part.ids, p_verb, p_position,
				jsonb_set(p_body, '{content}', (p_body -> 'content') - v_part.fields), p_floor);
			skipped := skipped || (select jsonb_object_agg(id, v_part.fields) from unnest(v_part.ids) id);
		end if;
	end loop;
end
$$;

-- Creates the entity or merges into it.
create or replace function leat.upsert_entity(p_tenant uuid, p_id uuid, p_position bigint, p_body jsonb, p_floor bigint) returns void
language plpgsql set search_path = pg_catalog
as $$
begin
	insert into leat.entities (tenant_id, id, entity_type, key, content, metadata, last_position, type_position, upsert_positions,
		content_positions, metadata_positions)
	values (p_tenant, p_id, p_body ->> 'entity_type', p_body ->> 'key', coalesce(p_body -> 'content', '{}'), coalesce(p_body -> 'metadata', '{}'),
		p_position, p_position, array[p_position],
		leat.fields_at(coalesce(p_body -> 'content', '{}'), p_position), leat.fields_at(coalesce(p_body -> 'metadata', '{}'), p_position))
	on conflict (tenant_id, id) do nothing;
	if not found then
		perform leat.change_entities(p_tenant, array[p_id], 'upsert', p_position, p_body, p_floor);
	end if;
end
$$;

create or replace function leat.absent_message(p_verb text, p_code text, p_target uuid, p_targets bigint) returns text
language sql immutable parallel safe set search_path = pg_catalog
return case
	when p_verb = 'bulk' then format('entity_ids: none of the %s entities exists; create them with entity.upsert first', p_targets)
	when p_code = 'deleted' then format('entity_id: %s was deleted before this; revive it with entity.upsert', p_target)
	else format('entity_id: %s does not exist; create it with entity.upsert', p_target)
end;

-- Decides one intent and writes it. p_final: the floor has passed it, so what is missing stays missing.
-- status is applied, rejected (with code, message) or parked (nothing written); detail is for the ledger.
create or replace function leat.write_entity_intent(p_tenant uuid, p_verb text, p_targets uuid[], p_position bigint, p_body jsonb, p_floor bigint,
	p_final boolean, out status text, out code text, out message text, out detail jsonb)
language plpgsql set search_path = pg_catalog
as $$
declare
	v_live uuid[];
	v_absent uuid[];
	v_deleted boolean;
	v_skipped jsonb := '{}';
begin
	status := 'applied';
	if p_verb = 'upsert' then
		perform leat.upsert_entity(p_tenant, p_targets[1], p_position, p_body, p_floor);
		return;
	end if;

	select coalesce(array_agg(id) filter (where state = 'live'), '{}'),
		coalesce(array_agg(id order by id) filter (where state in ('missing', 'deleted')), '{}'),
		bool_or(state = 'deleted')
	into v_live, v_absent, v_deleted
	from (
		select target.id, leat.target_state(e, p_position) as state
		from unnest(p_targets) target (id)
		left join leat.entities e on e.tenant_id = p_tenant and e.id = target.id
		offset 0) target; -- or each use of the state would ask again

	if v_absent <> '{}' and not p_final then
		status := 'parked';
	elsif cardinality(v_absent) = cardinality(p_targets) then
		status := 'rejected';
		code := case when p_verb <> 'bulk' and v_deleted then 'deleted' else 'not_found' end;
		message := leat.absent_message(p_verb, code, p_targets[1], cardinality(p_targets));
	else
		if (p_body ->> 'respect_locks')::boolean then
			v_skipped := leat.change_unlocked(p_tenant, v_live, p_verb, p_position, p_body, p_floor);
		else
			perform leat.change_entities(p_tenant, v_live, p_verb, p_position, p_body, p_floor);
		end if;
		if p_verb = 'bulk' then
			detail := jsonb_build_object('entities', cardinality(p_targets), 'missing', to_jsonb(v_absent));
		end if;
		if v_skipped <> '{}' then
			detail := coalesce(detail, '{}') || jsonb_build_object('skipped_fields',
				case when p_verb = 'bulk' then v_skipped else v_skipped -> p_targets[1]::text end);
		end if;
	end if;
end
$$;

-- The same for an intent as it stands in a batch: p_entity is null for a bulk, whose targets are in the body. Under the rights of whoever
-- asked: a user's as `authenticated`, who sees no tenant but its own.
create or replace function leat.write_raw_intent(p_role text, p_tenant uuid, p_verb text, p_entity uuid, p_position bigint, p_body bytea,
	p_floor bigint, p_final boolean, out status text, out code text, out message text, out detail jsonb)
language plpgsql set search_path = pg_catalog
as $$
declare
	v_ours constant text := current_setting('role');
	v_body constant jsonb := convert_from(p_body, 'UTF8')::jsonb;
begin
	if p_role = 'user' then
		perform set_config('leat.tenant_id', p_tenant::text, true), set_config('role', 'authenticated', true);
	end if;
	select w.status, w.code, w.message, w.detail into status, code, message, detail
	from leat.write_entity_intent(p_tenant, p_verb,
		case when p_verb = 'bulk' then array(select distinct t::uuid from jsonb_array_elements_text(v_body -> 'entity_ids') t order by 1)
			else array[p_entity] end,
		p_position, v_body, p_floor, p_final) w;
	if p_role = 'user' then
		perform set_config('role', v_ours, true), set_config('leat.tenant_id', '', true);
	end if;
end
$$;
