-- The general path for what is of one entity in a batch: its intents are folded in memory, in order of position, and its row is written once,
-- or once more whenever it begins or ends to exist, since each of that has an event of its own.
--
-- Happy path: leat.settle_entity_intents names the groups that are folded (leat.folded_paths), and gets what is to be said of their intents.
-- Those of users are written one by one, under the users' rights (30_entity_write.sql), and so is everything in a batch with a bulk, whose
-- targets are many, or with a redrive. Both ways the intents change the row by leat.entity_after, and so to the same state.

-- The paths of p_groups, `folded` instead of `general` where no user is among those who asked. Both sides are arrays: a hash join.
create or replace function leat.folded_paths(p_groups leat.entity_groups, p_paths text[], p_tenant uuid[], p_entity uuid[], p_role text[],
	p_status text[]) returns text[]
language plpgsql stable set search_path = pg_catalog
set plan_cache_mode = force_generic_plan set enable_nestloop = off set enable_mergejoin = off set jit = off
as $$
begin
	return (
		select array_agg(case when way.path = 'general' and asked.entity is null then 'folded' else way.path end order by way.ord)
		from unnest(p_groups.tenant, p_groups.entity, p_paths) with ordinality way (tenant, entity, path, ord)
		left join (
			select distinct intent.tenant, intent.entity
			from unnest(p_tenant, p_entity, p_role, p_status) intent (tenant, entity, role, status)
			where intent.status is null and intent.role = 'user') asked on asked.tenant = way.tenant and asked.entity = way.entity);
end
$$;

-- A row that is not stored yet: nothing in it, all positions 0, not there.
create or replace function leat.unborn_entity(p_tenant uuid, p_id uuid) returns leat.entities
language plpgsql stable set search_path = pg_catalog
as $$
declare
	v leat.entities;
begin
	v.tenant_id := p_tenant;
	v.id := p_id;
	v.entity_type := '';
	v.content := '{}';
	v.metadata := '{}';
	v.locked_fields := '{}';
	v.created_at := now();
	v.updated_at := now();
	v.last_position := 0;
	v.type_position := 0;
	v.deleted_position := 0;
	v.upsert_positions := '{}';
	v.content_positions := '{}';
	v.metadata_positions := '{}';
	v.lock_positions := '{}';
	return v;
end
$$;

-- Lock: the row's, which the caller has where there is one; whoever creates it at the same time makes the caller try again.
create or replace function leat.store_entity(p_row leat.entities, p_is_new boolean) returns void
language plpgsql set search_path = pg_catalog set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off
as $$
begin
	if not p_is_new then
		update leat.entities e
		set entity_type = p_row.entity_type, key = p_row.key, content = p_row.content, metadata = p_row.metadata,
			locked_fields = p_row.locked_fields, updated_at = p_row.updated_at, deleted_at = p_row.deleted_at,
			last_position = p_row.last_position, type_position = p_row.type_position, deleted_position = p_row.deleted_position,
			upsert_positions = p_row.upsert_positions, content_positions = p_row.content_positions,
			metadata_positions = p_row.metadata_positions, lock_positions = p_row.lock_positions, hidden = p_row.hidden
		where e.tenant_id = p_row.tenant_id and e.id = p_row.id;
		return;
	end if;
	insert into leat.entities select p_row.* on conflict (tenant_id, id) do nothing;
	if not found then
		raise exception using errcode = 'serialization_failure', message = 'an entity was made meanwhile by another batch; try again';
	end if;
end
$$;

-- Decides and writes the undecided intents of the groups of path `folded`, whose rows the caller has locked. p_final: the floor has passed all
-- of them. Returned are those of which there is more to say than `applied`.
create or replace function leat.fold_groups(p_groups leat.entity_groups, p_paths text[], p_tenant uuid[], p_entity uuid[], p_verb text[],
	p_position bigint[], p_body bytea[], p_status text[], p_floor bigint, p_final boolean)
returns table (ord bigint, status text, code text, message text, detail jsonb) language plpgsql set search_path = pg_catalog
set plan_cache_mode = force_generic_plan set enable_nestloop = off set enable_mergejoin = off set enable_seqscan = off set jit = off
as $$
declare
	v_group record;
	v_row leat.entities;
	v_is_new boolean;
	v_is_there boolean; -- as it is stored
	v_dirty boolean;
	v_at bigint;
	v_body jsonb;
	v_state text;
	v_skipped text[];
	v_written jsonb;
begin
	for v_group in
		select way.tenant, way.entity, array_agg(intent.ord order by intent.ord) as ords
		from unnest(p_groups.tenant, p_groups.entity, p_paths) with ordinality way (tenant, entity, path, place)
		join unnest(p_tenant, p_entity, p_status) with ordinality intent (tenant, entity, status, ord)
			on intent.tenant = way.tenant and intent.entity = way.entity and intent.status is null
		where way.path = 'folded'
		group by way.place, way.tenant, way.entity order by way.place
	loop
		select e.* into v_row from leat.entities e where e.tenant_id = v_group.tenant and e.id = v_group.entity;
		v_is_new := v_row.id is null;
		v_is_there := not v_is_new and v_row.deleted_at is null;
		v_dirty := false;
		foreach ord in array v_group.ords loop
			v_at := p_position[ord];
			v_body := convert_from(p_body[ord], 'UTF8')::jsonb;
			v_skipped := '{}';
			if p_verb[ord] = 'upsert' then
				if v_row.id is null then
					v_row := leat.unborn_entity(v_group.tenant, v_group.entity);
				end if;
			else
				v_state := leat.target_state(v_row, v_at);
				if v_state in ('missing', 'deleted') then
					status := case when p_final then 'rejected' else 'parked' end;
					code := case when not p_final then null when v_state = 'deleted' then 'deleted' else 'not_found' end;
					message := case when p_final then leat.absent_message(p_verb[ord], code, v_group.entity, 1) end;
					detail := null;
					return next;
				end if;
				continue when v_state <> 'live';
				if (v_body ->> 'respect_locks')::boolean and v_row.locked_fields <> '{}' then
					v_skipped := array(select distinct field collate "C" from unnest(v_row.locked_fields) field where v_body -> 'content' ? field order by 1);
				end if;
			end if;
			if v_skipped <> '{}' then
				v_body := jsonb_set(v_body, '{content}', (v_body -> 'content') - v_skipped);
				status := null;
				code := null;
				message := null;
				detail := jsonb_build_object('skipped_fields', v_skipped);
				return next;
			end if;

			v_dirty := true;
			if p_verb[ord] = 'merge' and v_row.hidden is null and v_row.last_position < v_at then
				v_written := coalesce(v_body -> 'content', '{}');
				v_row.content := v_row.content || v_written;
				v_row.content_positions := v_row.content_positions || leat.fields_at(v_written, v_at);
				v_written := coalesce(v_body -> 'metadata', '{}');
				v_row.metadata := v_row.metadata || v_written;
				v_row.metadata_positions := v_row.metadata_positions || leat.fields_at(v_written, v_at);
				v_row.last_position := v_at;
				v_row.updated_at := now();
			else
				v_row := leat.entity_after(v_row, p_verb[ord], v_at, v_body, p_floor);
			end if;
			if (v_row.deleted_at is null) <> v_is_there then
				perform leat.store_entity(v_row, v_is_new);
				v_is_new := false;
				v_is_there := v_row.deleted_at is null;
				v_dirty := false;
			end if;
		end loop;
		if v_dirty then
			perform leat.store_entity(v_row, v_is_new);
		end if;
	end loop;
end
$$;
