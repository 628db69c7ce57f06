-- What `leat explain` asks: where each field of an entity stands, and what the ledger has of the intents about it.
--
-- The ledger has no index by entity: it would cost every intent, and is asked for by people, now and then. So the rows at the positions that the
-- entity's fields stand at are found by key, and its other intents among the newest p_look_back positions, which are read through.

-- Each field with its value as text (null: removed) and the position that wrote it (0: none did).
create or replace function leat.explain_part(p_part text, p_values jsonb, p_positions jsonb) returns jsonb
language sql immutable set search_path = pg_catalog
return (
	select coalesce(jsonb_agg(jsonb_build_object('part', p_part, 'field', field, 'value', v.value::text, 'position', coalesce(p.position::bigint, 0))
		order by field collate "C"), '[]')
	from jsonb_each(p_values) v (field, value) full join jsonb_each_text(p_positions) p (field, position) using (field));

-- null: there is no such row. history: newest first, 1,000 at most; write_position: where the intent wrote; at_us, message_at_us: microseconds
-- since 1970; exists_since: null when it does not. Of bulks, whose targets are in their messages only, all of the tenant are there.
create or replace function leat.explain_entity(p_tenant uuid, p_id uuid, p_look_back bigint) returns jsonb
language plpgsql stable set search_path = pg_catalog
as $$
declare
	v_row leat.entities;
	v_top bigint;
	v_stands bigint[];
begin
	select * into v_row from leat.entities e where e.tenant_id = p_tenant and e.id = p_id;
	v_top := (select a.position from leat.activity a where a.stream = 'LEAT_ENTITY' order by a.position desc limit 1);
	v_stands := array(
		select distinct p.position::bigint
		from (values (v_row.content_positions), (v_row.metadata_positions), (v_row.lock_positions)) part (positions),
			jsonb_each_text(part.positions) p (field, position))
		|| v_row.type_position || v_row.deleted_position || v_row.upsert_positions;
	return jsonb_build_object(
		'row', case when v_row.id is not null then jsonb_build_object('entity_type', v_row.entity_type, 'key', v_row.key,
			'deleted_position', v_row.deleted_position, 'exists_since', v_row.upsert_positions[1],
			'type_position', v_row.type_position, 'last_position', v_row.last_position) end,
		'fields', case when v_row.id is not null then leat.explain_part('content', v_row.content, v_row.content_positions)
			|| leat.explain_part('metadata', v_row.metadata, v_row.metadata_positions)
			|| leat.explain_part('locks', (select coalesce(jsonb_object_agg(f, true), '{}') from unnest(v_row.locked_fields) f), v_row.lock_positions)
			else '[]' end,
		'looked_from', greatest(v_top - p_look_back, 0),
		'history', (
			select coalesce(jsonb_agg(jsonb_build_object('position', a.position, 'write_position', leat.write_position(a.position, a.detail),
				'leat_id', a.leat_id, 'actor', a.actor, 'role', a.role, 'verb', a.verb, 'outcome', a.outcome, 'code', a.code, 'detail', a.detail,
				'message_at_us', (extract(epoch from a.message_at) * 1000000)::bigint,
				'at_us', (extract(epoch from a.at) * 1000000)::bigint) order by a.position desc), '[]')
			from (
				select * from leat.activity a
				where a.stream = 'LEAT_ENTITY' and a.position > v_top - p_look_back and a.tenant_id = p_tenant
					and (a.target_id = p_id or a.target_id is null and a.verb = 'bulk')
				union
				select * from leat.activity a where a.stream = 'LEAT_ENTITY' and a.position = any (v_stands) and a.tenant_id = p_tenant
				order by position desc limit 1000) a));
end
$$;

-- Changes of the entity that no intent made: direct SQL, newest first, 100 at most, each with the fields that it changed. Reads the audit log's
-- parts from p_since_us on.
create or replace function leat.direct_writes(p_tenant uuid, p_id uuid, p_since_us bigint) returns jsonb
language sql stable set search_path = pg_catalog
return (
	select coalesce(jsonb_agg(jsonb_build_object('at_us', (extract(epoch from w.at) * 1000000)::bigint, 'db_user', w.db_user, 'actor', w.actor,
		'content', (select coalesce(jsonb_agg(field), '[]') from jsonb_object_keys(coalesce((w.old).content, '{}') || coalesce((w.new).content, '{}')) field
			where (w.old).content -> field is distinct from (w.new).content -> field),
		'metadata', (select coalesce(jsonb_agg(field), '[]') from jsonb_object_keys(coalesce((w.old).metadata, '{}') || coalesce((w.new).metadata, '{}')) field
			where (w.old).metadata -> field is distinct from (w.new).metadata -> field)) order by w.at desc), '[]')
	from (
		select l.* from leat.audit_log l
		where l.tenant_id = p_tenant and l.entity_id = p_id and l.position is null
			and l.at >= timestamptz 'epoch' + p_since_us * interval '1 microsecond'
		order by l.at desc limit 100) w);
