-- What happens on every change of an entity, also by direct SQL.

-- The lanes set updated_at themselves: the row trigger is for everybody else, and its condition is checked without calling it.
create or replace function leat.touch_entity() returns trigger
language plpgsql set search_path = pg_catalog
as $$
begin
	new.updated_at := now();
	return new;
end
$$;

create or replace trigger touch before update on leat.entities
for each row when (new.updated_at is not distinct from old.updated_at) execute function leat.touch_entity();

-- Statement-level, one insert for all rows. A change that nobody can see (a position that moved) is not recorded.
-- A full join, which no plan can make a nested loop of, whatever the lanes have switched off; a row whose key changed has one side only.
create or replace function leat.audit_entities() returns trigger
language plpgsql security definer set search_path = pg_catalog
as $$
begin
	if tg_op = 'INSERT' then
		insert into leat.audit_log (tenant_id, entity_id, operation, position, db_user, new)
		select n.tenant_id, n.id, 'insert', nullif(n.last_position, 0), session_user,
			row(n.entity_type, n.key, n.content, n.metadata, n.locked_fields, n.created_at, n.updated_at, n.deleted_at)::leat.entity_image
		from new_rows n;
	elsif tg_op = 'UPDATE' then
		insert into leat.audit_log (tenant_id, entity_id, operation, position, db_user, old, new)
		select coalesce(n.tenant_id, o.tenant_id), coalesce(n.id, o.id), 'update',
			case when n.last_position > o.last_position then n.last_position end, session_user,
			row(o.entity_type, o.key, o.content, o.metadata, o.locked_fields, o.created_at, o.updated_at, o.deleted_at)::leat.entity_image,
			row(n.entity_type, n.key, n.content, n.metadata, n.locked_fields, n.created_at, n.updated_at, n.deleted_at)::leat.entity_image
		from old_rows o full join new_rows n on n.tenant_id = o.tenant_id and n.id = o.id
		where n.content is distinct from o.content or n.metadata is distinct from o.metadata or n.entity_type is distinct from o.entity_type
			or n.key is distinct from o.key or n.deleted_at is distinct from o.deleted_at or n.locked_fields is distinct from o.locked_fields;
	elsif tg_op = 'TRUNCATE' then
		insert into leat.audit_log (tenant_id, entity_id, operation, db_user, old)
		select o.tenant_id, o.id, 'delete', session_user,
			row(o.entity_type, o.key, o.content, o.metadata, o.locked_fields, o.created_at, o.updated_at, o.deleted_at)::leat.entity_image
		from leat.entities o;
	else
		insert into leat.audit_log (tenant_id, entity_id, operation, db_user, old)
		select o.tenant_id, o.id, 'delete', session_user,
			row(o.entity_type, o.key, o.content, o.metadata, o.locked_fields, o.created_at, o.updated_at, o.deleted_at)::leat.entity_image
		from old_rows o;
	end if;
	return null;
end
$$;

create or replace trigger audit_insert after insert on leat.entities
referencing new table as new_rows for each statement execute function leat.audit_entities();
create or replace trigger audit_update after update on leat.entities
referencing old table as old_rows new table as new_rows for each statement execute function leat.audit_entities();
create or replace trigger audit_delete after delete on leat.entities
referencing old table as old_rows for each statement execute function leat.audit_entities();
create or replace trigger audit_truncate before truncate on leat.entities
for each statement execute function leat.audit_entities();

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
