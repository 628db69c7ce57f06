-- What happened to a question, as an event, also by direct SQL: leat.interaction.asked (or asked anew), answered, expired, withdrawn.
--
-- One event of each row that changed for those who look at it: that it was swept is nobody's business, and one that is closed and deleted
-- was over before. position is the row's: direct SQL does not move it. What may be long, the payload or the value, is what an event over
-- the server's limit does without.
--
-- Statement-level; the three ways to change rows and TRUNCATE have a function each, as those of entities have (80_triggers.sql).

do $do$
declare
	v_body constant text := $body$
begin
	insert into leat.outbox (subject, event, headers, body, short_body)
	select 'leat.event.' || q.tenant_id || '.interaction.' || q.id, 'leat.interaction.' || q.what, leat.trace_header(),
		convert_to(said.plain || coalesce(',"' || said.name || '":' || said.long, '') || '}', 'UTF8'),
		convert_to(said.plain || ',"' || said.name || '_omitted":true}', 'UTF8')
	from (
		select it.*, case
			when n.id is null then case when o.status = 'open' then 'withdrawn' end
			when o.id is null then case n.status when 'open' then 'asked' else n.status end
			when n.status = 'open' then case
				when row(n.status, n.connection_id, n.expected_user_id, n.payload, n.run_id, n.node_id, n.asked_at, n.expires_at) is distinct from
					row(o.status, o.connection_id, o.expected_user_id, o.payload, o.run_id, o.node_id, o.asked_at, o.expires_at) then 'asked' end
			when row(n.status, n.claimed_at, n.value) is distinct from row(o.status, o.claimed_at, o.value) then n.status
			end as what
		from %s
		cross join lateral (select n.* where n.id is not null union all select o.* where n.id is null) it) q
	cross join lateral (
		select rtrim(jsonb_strip_nulls(jsonb_build_object('connection_id', q.connection_id, 'expected_user_id', q.expected_user_id,
				'run_id', q.run_id, 'node_id', q.node_id, 'position', q.position,
				'user_id', case q.what when 'answered' then q.expected_user_id end,
				'expires_at', case q.what when 'asked' then q.expires_at end))::text, '}') as plain,
			case q.what when 'asked' then 'payload' when 'answered' then 'value' end as name,
			case q.what when 'asked' then q.payload::text when 'answered' then q.value::text end as long) said
	where q.what is not null;
	return null;
end
$body$;
	v_way record;
begin
	for v_way in
		select * from (values
			('insert', 'new_rows n left join leat.interactions o on false', 'after', 'referencing new table as new_rows'),
			('update', 'old_rows o full join new_rows n on n.tenant_id = o.tenant_id and n.id = o.id', 'after',
				'referencing old table as old_rows new table as new_rows'),
			('delete', 'old_rows o left join leat.interactions n on false', 'after', 'referencing old table as old_rows'),
			('truncate', 'leat.interactions o left join leat.interactions n on false', 'before', '')) way (operation, source, at, tables)
	loop
		execute format('create or replace function leat.note_interaction_%s() returns trigger language plpgsql security definer
			set search_path = pg_catalog set timezone = ''UTC'' set enable_hashjoin = on as %L',
			v_way.operation, format(v_body, v_way.source));
		execute format('create or replace trigger note_%1$s %2$s %1$s on leat.interactions %3$s
			for each statement execute function leat.note_interaction_%1$s()', v_way.operation, v_way.at, v_way.tables);
	end loop;
end
$do$;
