-- For any SQL client: merge an object into an entity, atomically, no read before. Returns the merged object; null where no such entity is
-- visible; raises on anything but an object. The write lies just above what was applied to that row before it (its fields take the row's
-- last position, and only a higher one overwrites) and below whatever comes later.
create or replace function leat.merge_entity_content(p_entity_id uuid, p_tenant_id uuid, p_new_content jsonb) returns jsonb
language plpgsql security invoker set search_path = pg_catalog
as $$
declare
	v_merged jsonb;
begin
	perform leat.expect_object('p_new_content', p_new_content);
	update leat.entities e
	set content = e.content || p_new_content,
		content_positions = e.content_positions || leat.fields_at(p_new_content, e.last_position),
		direct = leat.direct_marks(e.direct, 'content', p_new_content, e.last_position)
	where e.tenant_id = p_tenant_id and e.id = p_entity_id and e.deleted_at is null
	returning e.content into v_merged;
	return v_merged;
end
$$;

create or replace function leat.merge_entity_metadata(p_entity_id uuid, p_tenant_id uuid, p_new_metadata jsonb) returns jsonb
language plpgsql security invoker set search_path = pg_catalog
as $$
declare
	v_merged jsonb;
begin
	perform leat.expect_object('p_new_metadata', p_new_metadata);
	update leat.entities e
	set metadata = e.metadata || p_new_metadata,
		metadata_positions = e.metadata_positions || leat.fields_at(p_new_metadata, e.last_position),
		direct = leat.direct_marks(e.direct, 'metadata', p_new_metadata, e.last_position)
	where e.tenant_id = p_tenant_id and e.id = p_entity_id and e.deleted_at is null
	returning e.metadata into v_merged;
	return v_merged;
end
$$;

create or replace function leat.expect_object(p_name text, p_value jsonb) returns void
language plpgsql immutable set search_path = pg_catalog
as $$
begin
	if jsonb_typeof(p_value) is distinct from 'object' then
		raise exception using errcode = 'invalid_parameter_value',
			message = format('%s: expected a JSON object, got %s', p_name, coalesce(jsonb_typeof(p_value), 'NULL'));
	end if;
end
$$;

-- leat.entities.direct after one more direct call. The mark of a field is an array: position, MD5 of the value as Postgres writes it.
create or replace function leat.direct_marks(p_direct jsonb, p_part text, p_fields jsonb, p_position bigint) returns jsonb
language plpgsql immutable parallel safe set search_path = pg_catalog
as $$
begin
	return coalesce(p_direct, '{}') || jsonb_build_object(p_part, coalesce(p_direct -> p_part, '{}') || (
		select coalesce(jsonb_object_agg(field, jsonb_build_array(p_position, md5(value::text))), '{}') from jsonb_each(p_fields) new (field, value)));
end
$$;
