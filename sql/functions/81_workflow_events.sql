-- What happens on every change of a workflow, also by direct SQL: leat.workflow.created, updated or deleted.

-- The trace that a change belongs to, as the lane has set it for this transaction, as a header's line; empty where there is none.
create or replace function leat.trace_header() returns bytea
language plpgsql stable set search_path = pg_catalog
as $$
declare
	v_trace constant text := current_setting('leat.traceparent', true);
begin
	if v_trace ~ '^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$' then
		return leat.header('traceparent', v_trace);
	end if;
	return '';
end
$$;

-- The event of each row that changed in what can be seen: nothing when only a position or a time did, or when a deleted one changed.
-- Statement-level; one function for each way to change rows, which differ in where a row's old and new image come from. position is the
-- row's: direct SQL does not move it. There is no way to truncate the table, since that of the versions refuses.
do $do$
declare
	v_body constant text := $body$
begin
	insert into leat.outbox (subject, event, headers, body)
	select 'leat.event.' || coalesce(n.tenant_id, o.tenant_id) || '.workflow.' || coalesce(n.id, o.id),
		case when o.id is null or o.deleted_at is not null then 'leat.workflow.created'
			when n.id is null or n.deleted_at is not null then 'leat.workflow.deleted' else 'leat.workflow.updated' end,
		leat.trace_header(),
		convert_to(json_build_object('name', coalesce(n.name, o.name), 'version', coalesce(n.version, o.version),
			'position', coalesce(n.position, o.position))::text, 'UTF8')
	from %s
	where (o.id is not null and o.deleted_at is null or n.id is not null and n.deleted_at is null)
		and (n.name is distinct from o.name or n.version is distinct from o.version or n.deleted_at is distinct from o.deleted_at);
	return null;
end
$body$;
	v_way record;
begin
	for v_way in
		select * from (values
			('insert', 'new_rows n left join leat.workflows o on false', 'new table as new_rows'),
			('update', 'old_rows o full join new_rows n on n.tenant_id = o.tenant_id and n.id = o.id', 'old table as old_rows new table as new_rows'),
			('delete', 'old_rows o left join leat.workflows n on false', 'old table as old_rows')) way (operation, source, tables)
	loop
		execute format('create or replace function leat.note_workflow_%1$s() returns trigger language plpgsql security definer
			set search_path = pg_catalog as %2$L', v_way.operation, format(v_body, v_way.source));
		execute format('create or replace trigger note_%1$s after %1$s on leat.workflows referencing %2$s
			for each statement execute function leat.note_workflow_%1$s()', v_way.operation, v_way.tables);
	end loop;
end
$do$;

-- The lanes set updated_at and position themselves: updated_at is moved for everybody else.
create or replace trigger touch before update on leat.workflows
for each row when (new.updated_at is not distinct from old.updated_at and new.position = old.position) execute function leat.touch_entity();
