-- What happens on every change of an entity, also by direct SQL.

-- The lanes set updated_at themselves: the row trigger is for everybody else, and its condition is checked without calling it.
create or replace function leat.touch_entity() returns trigger
language plpgsql security definer set search_path = pg_catalog
as $$
begin
	new.updated_at := now();
	return new;
end
$$;

create or replace trigger touch before update on leat.entities
for each row when (new.updated_at is not distinct from old.updated_at) execute function leat.touch_entity();

-- Names of the fields that are not as they were, as a JSON array.
create or replace function leat.changed_fields(p_old jsonb, p_new jsonb) returns jsonb
language plpgsql immutable parallel safe set search_path = pg_catalog
as $$
begin
	if p_old = p_new then
		return '[]';
	end if;
	return (
		select coalesce(jsonb_agg(coalesce(n.field, o.field)), '[]')
		from jsonb_each(p_new) n (field, value) full join jsonb_each(p_old) o (field, value) on o.field = n.field
		where n.value is distinct from o.value);
end
$$;

-- The position of a write that came late, below what was applied to the row before: the newest that the row did not know. Null: direct SQL,
-- whose fields take positions that the row has already, its last or its upsert's.
create or replace function leat.late_position(p_old leat.entities, p_new leat.entities) returns bigint
language plpgsql immutable parallel safe set search_path = pg_catalog
as $$
begin
	return (
		select max(late.position)
		from (
			select n.position::bigint as position
			from (values (p_old.content_positions, p_new.content_positions), (p_old.metadata_positions, p_new.metadata_positions),
				(p_old.lock_positions, p_new.lock_positions)) part (old, new)
			cross join jsonb_each_text(part.new) n (field, position)
			where part.old ->> n.field is distinct from n.position
			union all select p_new.deleted_position where p_new.deleted_position > p_old.deleted_position
			union all select p_new.type_position where p_new.type_position > p_old.type_position
			union all select unnest(p_new.upsert_positions)) late
		where late.position > 0 and late.position <> p_old.last_position and not late.position = any (p_old.upsert_positions));
end
$$;

-- What an event says of its entity, as JSON text: which fields are not as they were.
create or replace function leat.event_data(p_tenant uuid, p_entity uuid, p_position bigint, p_old leat.entity_image, p_new leat.entity_image)
returns text language plpgsql immutable parallel safe set search_path = pg_catalog
as $$
begin
	return jsonb_build_object('tenant_id', p_tenant, 'entity_id', p_entity, 'entity_type', coalesce(p_new.entity_type, p_old.entity_type),
		'position', p_position, 'changed', jsonb_build_object(
			'content', leat.changed_fields(coalesce(p_old.content, '{}'), coalesce(p_new.content, '{}')),
			'metadata', leat.changed_fields(coalesce(p_old.metadata, '{}'), coalesce(p_new.metadata, '{}')),
			'entity_type', p_old.entity_type is distinct from p_new.entity_type,
			'key', p_old.key is distinct from p_new.key,
			'locked_fields', coalesce(p_old.locked_fields, '{}') <> coalesce(p_new.locked_fields, '{}')));
end
$$;

do $$
begin
	-- What became of one row. position: of the intent that wrote it, null for direct SQL; stands_at: the row's own.
	create type leat.entity_change as (tenant_id uuid, entity_id uuid, operation text, position bigint, stands_at bigint, old leat.entity_image,
		new leat.entity_image);
exception when duplicate_object then null;
end
$$;

-- The audit rows and the events of a statement. Who wrote, and the trace that it belongs to, the ledger knows, which has the intent already;
-- of direct SQL, the gateway's claims tell who. Direct SQL can write any position into a row: the ledger is believed only where it has an
-- intent of that tenant to that entity (or a bulk) there, and not at all where there are claims, which no lane has.
create or replace function leat.note_changes(p_changes leat.entity_change[]) returns void
language plpgsql set search_path = pg_catalog set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
	v_claims constant jsonb := nullif(current_setting('request.jwt.claims', true), '')::jsonb;
	v_time constant text := to_json(now()) #>> '{}';
begin
	with change as materialized (
		select c.tenant_id, c.entity_id, c.operation, ledger.position, c.stands_at, c.old, c.new,
			case when v_claims is null then ledger.actor else v_claims ->> 'sub' end as actor, ledger.traceparent, gen_random_uuid() as event_id,
			(c.old).created_at is not null and (c.old).deleted_at is null as was_there,
			(c.new).created_at is not null and (c.new).deleted_at is null as is_there
		from unnest(p_changes) c
		left join lateral (
			select a.position, a.actor, a.traceparent from leat.activity a
			where a.stream = 'LEAT_ENTITY' and a.position = c.position and a.tenant_id = c.tenant_id
				and (a.target_id = c.entity_id or a.target_id is null) and v_claims is null
			offset 0) ledger on true
	), logged as (
		insert into leat.audit_log (tenant_id, entity_id, operation, position, db_user, actor, old, new)
		select c.tenant_id, c.entity_id, c.operation, c.position, session_user, c.actor, c.old, c.new from change c
	)
	insert into leat.outbox (id, subject, headers, body)
	select c.event_id, 'leat.event.' || c.tenant_id || '.entity.' || c.entity_id,
		convert_to('Content-Type: application/cloudevents+json' || E'\r\n' || coalesce('traceparent: ' || c.traceparent || E'\r\n', ''), 'UTF8'),
		convert_to('{"specversion":"1.0","id":"' || c.event_id || '","source":"leat","type":"leat.entity.'
			|| case when not c.was_there then 'created' when c.is_there then 'updated' else 'deleted' end
			|| '","subject":"' || c.entity_id || '","time":"' || v_time || '","datacontenttype":"application/json"'
			|| coalesce(',"traceparent":"' || c.traceparent || '"', '') || ',"data":' || leat.event_data(c.tenant_id, c.entity_id, c.stands_at, c.old, c.new)
			|| '}', 'UTF8')
	from change c where c.was_there or c.is_there;
end
$$;

-- Statement-level. A change that nobody can see (a position that moved) is none.
-- A full join, which no plan can make a nested loop of, whatever the lanes have switched off; a row whose key changed has one side only.
create or replace function leat.note_entity_changes() returns trigger
language plpgsql security definer set search_path = pg_catalog
as $$
declare
	v_changes leat.entity_change[];
begin
	if tg_op = 'INSERT' then
		v_changes := array(
			select row(n.tenant_id, n.id, 'insert', nullif(n.last_position, 0), n.last_position, null,
				row(n.entity_type, n.key, n.content, n.metadata, n.locked_fields, n.created_at, n.updated_at, n.deleted_at)::leat.entity_image)::leat.entity_change
			from new_rows n);
	elsif tg_op = 'UPDATE' then
		v_changes := array(
			select row(coalesce(n.tenant_id, o.tenant_id), coalesce(n.id, o.id), 'update',
				case when n.last_position > o.last_position then n.last_position else leat.late_position(row(o.*)::leat.entities, row(n.*)::leat.entities) end,
				coalesce(n.last_position, o.last_position),
				case when o.id is not null then
					row(o.entity_type, o.key, o.content, o.metadata, o.locked_fields, o.created_at, o.updated_at, o.deleted_at)::leat.entity_image end,
				case when n.id is not null then
					row(n.entity_type, n.key, n.content, n.metadata, n.locked_fields, n.created_at, n.updated_at, n.deleted_at)::leat.entity_image end)::leat.entity_change
			from old_rows o full join new_rows n on n.tenant_id = o.tenant_id and n.id = o.id
			where n.content is distinct from o.content or n.metadata is distinct from o.metadata or n.entity_type is distinct from o.entity_type
				or n.key is distinct from o.key or n.deleted_at is distinct from o.deleted_at or n.locked_fields is distinct from o.locked_fields);
	elsif tg_op = 'TRUNCATE' then
		v_changes := array(
			select row(o.tenant_id, o.id, 'delete', null, o.last_position,
				row(o.entity_type, o.key, o.content, o.metadata, o.locked_fields, o.created_at, o.updated_at, o.deleted_at)::leat.entity_image,
				null)::leat.entity_change
			from leat.entities o);
	else
		v_changes := array(
			select row(o.tenant_id, o.id, 'delete', null, o.last_position,
				row(o.entity_type, o.key, o.content, o.metadata, o.locked_fields, o.created_at, o.updated_at, o.deleted_at)::leat.entity_image,
				null)::leat.entity_change
			from old_rows o);
	end if;
	if v_changes <> '{}' then
		perform leat.note_changes(v_changes);
	end if;
	return null;
end
$$;

create or replace trigger note_insert after insert on leat.entities
referencing new table as new_rows for each statement execute function leat.note_entity_changes();
create or replace trigger note_update after update on leat.entities
referencing old table as old_rows new table as new_rows for each statement execute function leat.note_entity_changes();
create or replace trigger note_delete after delete on leat.entities
referencing old table as old_rows for each statement execute function leat.note_entity_changes();
create or replace trigger note_truncate before truncate on leat.entities
for each statement execute function leat.note_entity_changes();

-- Wakes the relay; one notification a transaction, whatever its rows.
create or replace function leat.wake_relay() returns trigger
language plpgsql security definer set search_path = pg_catalog
as $$
begin
	perform pg_notify('leat_outbox', '');
	return null;
end
$$;

create or replace trigger wake after insert on leat.outbox for each statement execute function leat.wake_relay();
