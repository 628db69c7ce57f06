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

-- ---- what is no entity ----

-- What has that id: workflow, run, interaction or member of the tenant, or, where there is no row (any more), what the newest p_look_back
-- messages of each stream are about; null: nothing. By primary keys; the ledger is read through when there is no row.
create or replace function leat.explain_noun(p_tenant uuid, p_id uuid, p_look_back bigint) returns text
language sql stable set search_path = pg_catalog
return coalesce(
	(select 'run' from leat.runs r where r.id = p_id and r.tenant_id = p_tenant),
	(select 'workflow' from leat.workflows w where w.id = p_id and w.tenant_id = p_tenant),
	(select 'interaction' from leat.interactions i where i.tenant_id = p_tenant and i.id = p_id),
	(select 'member' from leat.members m where m.tenant_id = p_tenant and m.user_id = p_id),
	(
		select a.noun
		from (values ('LEAT_RUN'), ('LEAT_CONTROL')) s (stream)
		cross join lateral (select max(t.position) as position from leat.activity t where t.stream = s.stream) top
		join leat.activity a on a.stream = s.stream and a.position > top.position - p_look_back
		where a.tenant_id = p_tenant and a.target_id = p_id
		order by a.message_at desc limit 1));

-- The row that it stands at, in few words; null: there is none (any more).
create or replace function leat.explain_row(p_tenant uuid, p_noun text, p_id uuid) returns jsonb
language sql stable set search_path = pg_catalog
return case p_noun
	when 'run' then (
		select jsonb_build_object('workflow_id', r.workflow_id, 'version', r.version, 'status', r.status, 'position', r.position)
		from leat.runs r where r.id = p_id and r.tenant_id = p_tenant)
	when 'workflow' then (
		select jsonb_build_object('name', w.name, 'version', w.version, 'position', w.position,
			'status', case when w.deleted_at is null then 'there' else 'deleted' end)
		from leat.workflows w where w.id = p_id and w.tenant_id = p_tenant)
	when 'interaction' then (
		select jsonb_build_object('status', i.status, 'connection_id', i.connection_id, 'expected_user_id', i.expected_user_id,
			'run_id', i.run_id, 'node_id', i.node_id, 'position', i.position)
		from leat.interactions i where i.tenant_id = p_tenant and i.id = p_id)
	when 'member' then (
		select jsonb_build_object('role', m.role, 'position', m.position)
		from leat.members m where m.tenant_id = p_tenant and m.user_id = p_id) end;

-- Every message about it that the ledger has among the newest p_look_back of its stream, in order, the newest 1,000 at most. p_noun null:
-- whatever it is; the answer's noun null: nothing has that id. direct_us: when a function for SQL clients changed it last. Microseconds since
-- 1970. Of expiries, which name several questions, those that expired this one.
create or replace function leat.explain_messages(p_tenant uuid, p_noun text, p_id uuid, p_look_back bigint) returns jsonb
language plpgsql stable set search_path = pg_catalog
as $$
declare
	v_noun constant text := coalesce(p_noun, leat.explain_noun(p_tenant, p_id, p_look_back));
	v_stream constant text := case v_noun when 'run' then 'LEAT_RUN' else 'LEAT_CONTROL' end;
	v_top constant bigint := (select a.position from leat.activity a where a.stream = v_stream order by a.position desc limit 1);
begin
	return jsonb_build_object('noun', v_noun, 'row', leat.explain_row(p_tenant, v_noun, p_id), 'looked_from', greatest(v_top - p_look_back, 0),
		'direct_us', (
			select (extract(epoch from d.at) * 1000000)::bigint
			from leat.direct_changes d where d.noun = v_noun and d.tenant_id = p_tenant and d.id = p_id),
		'messages', (
			select coalesce(jsonb_agg(jsonb_build_object('position', a.position, 'leat_id', a.leat_id, 'actor', a.actor, 'role', a.role,
				'verb', a.verb, 'outcome', a.outcome, 'code', a.code, 'detail', a.detail,
				'message_at_us', (extract(epoch from a.message_at) * 1000000)::bigint) order by a.position), '[]')
			from (
				select * from leat.activity l
				where l.stream = v_stream and l.position > v_top - p_look_back and l.tenant_id = p_tenant and l.noun = v_noun
					and (l.target_id = p_id or l.verb = 'expire' and l.detail -> 'expired' ? p_id::text)
				order by l.position desc limit 1000) a));
end
$$;
