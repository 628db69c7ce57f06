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

-- The audit row and the event of each row that changed. A change that nobody can see (a position that moved) is neither.
--
-- Who wrote, and the trace that it belongs to, the ledger knows, which has the intent already; a lane whose messages name neither says so
-- (leat.anonymous), which saves the look. Of direct SQL, the gateway's claims tell who; it can write any position into a row, so the ledger
-- is believed only where it has an intent of that tenant to that entity (or a bulk) there, and not at all where there are claims, which no
-- lane has. An event's body is the data of a CloudEvent; the relay puts the envelope around it. Many events are one row, a bundle, a line
-- each: subject, type, traceparent or nothing, data, with tabs between them (JSON has neither tabs nor line breaks that are not escaped).
-- Few are rows of their own, and so are long ones, since a bundle has to fit into memory.
--
-- Statement-level, and one statement for all rows. Each of the four ways to change rows gets a function of its own with the same body: they
-- differ in where a row's old and new image come from. That of an update is a full join, since a row whose key changed has one side only;
-- the lanes have hash joins switched off. Comparing every field of every row is what costs most here: a lane that knows that a statement
-- writes no other fields than a few names them (leat.written). Keys are read in the select list, which costs half of what a row source does.
--
-- INSERT ... ON CONFLICT fires the triggers of both ways, mostly one of them for nothing: that is asked before the large statement is started.
--
-- What a lane that keeps up does all day is to move one row forward, its content and metadata: that goes by statements of its own, which
-- together cost a third less than to start the one for all.
do $do$
declare
	v_no_rows constant text := $none$
	if not exists (select from %I) then
		return null;
	end if;
$none$;
	v_one_row constant text := $one$
	-- joined by no equality, since the plan for one row is wanted
	select o.tenant_id, o.id, o.entity_type, n.last_position as position, o.content as old_content, n.content as new_content,
		o.metadata as old_metadata, n.metadata as new_metadata,
		row(o.entity_type, o.key, o.content, o.metadata, o.locked_fields, o.created_at, o.updated_at, o.deleted_at)::leat.entity_image as old,
		row(n.entity_type, n.key, n.content, n.metadata, n.locked_fields, n.created_at, n.updated_at, n.deleted_at)::leat.entity_image as new
	into v_row
	from old_rows o cross join new_rows n
	where v_claims is null and not exists (select from new_rows offset 1) and (o.tenant_id, o.id) is not distinct from (n.tenant_id, n.id)
		and n.last_position > o.last_position and n.entity_type = o.entity_type and n.key is not distinct from o.key
		and n.locked_fields = o.locked_fields and o.deleted_at is null and n.deleted_at is null
		and (n.content <> o.content or n.metadata <> o.metadata);
	if found then
		if v_asks then
			select a.position, a.actor, a.traceparent into v_intent, v_actor, v_traceparent
			from leat.activity a
			where a.stream = 'LEAT_ENTITY' and a.position = v_row.position and a.tenant_id = v_row.tenant_id
				and (a.target_id = v_row.id or a.target_id is null);
		end if;
		insert into leat.audit_log (tenant_id, entity_id, operation, position, db_user, actor, old, new)
		values (v_row.tenant_id, v_row.id, 'update', case when v_asks then v_intent else v_row.position end, session_user, v_actor,
			v_row.old, v_row.new);
		insert into leat.outbox (subject, event, headers, body)
		values ('leat.event.' || v_row.tenant_id || '.entity.' || v_row.id, 'leat.entity.updated',
			case when v_traceparent is null then '' else leat.header('traceparent', v_traceparent) end,
			convert_to('{"entity_type":' || to_json(v_row.entity_type) || ',"position":' || v_row.position
				|| ',"changed":{"content":' || case when v_row.old_content = v_row.new_content then '[]' else to_json(array(
					select field from jsonb_object_keys(v_row.old_content || v_row.new_content) field
					where v_row.old_content -> field is distinct from v_row.new_content -> field))::text end
				|| ',"metadata":' || case when v_row.old_metadata = v_row.new_metadata then '[]' else to_json(array(
					select field from jsonb_object_keys(v_row.old_metadata || v_row.new_metadata) field
					where v_row.old_metadata -> field is distinct from v_row.new_metadata -> field))::text end
				|| '}}', 'UTF8'));
		return null;
	end if;
$one$;
	v_body constant text := $body$
declare
	v_claims constant jsonb := nullif(current_setting('request.jwt.claims', true), '')::jsonb;
	v_written text[];
	v_few boolean;
	v_names text[]; -- of v_written, in JSON
	v_replays boolean; -- then events are only counted (85_replay.sql)
	v_asks constant boolean := v_claims is null and current_setting('leat.anonymous', true) is distinct from 'on';
	v_row record;
	v_intent bigint;
	v_actor text;
	v_traceparent text;
begin
	%3$s
	v_replays := coalesce(current_setting('leat.replay', true), '') <> '';
	v_written := case when v_claims is null and pg_trigger_depth() = 1 then nullif(current_setting('leat.written', true), '') end;
	v_few := cardinality(v_written) <= 4;
	if v_few then
		v_names := array(select to_json(field)::text from unnest(v_written) field);
	end if;
	with change as (
		select coalesce(n.tenant_id, o.tenant_id) as tenant_id, coalesce(n.id, o.id) as entity_id,
			coalesce(n.entity_type, o.entity_type) as entity_type, coalesce(n.last_position, o.last_position) as stands_at,
			case when n.last_position > coalesce(o.last_position, 0) then n.last_position
				when n.id is not null and o.id is not null then leat.late_position(row(o.*)::leat.entities, row(n.*)::leat.entities) end as position,
			o.id is not null and o.deleted_at is null as was_there, n.id is not null and n.deleted_at is null as is_there,
			o.content as old_content, n.content as new_content, o.metadata as old_metadata, n.metadata as new_metadata,
			o.locked_fields as old_locked, n.locked_fields as new_locked,
			case when o.id is not null then
				row(o.entity_type, o.key, o.content, o.metadata, o.locked_fields, o.created_at, o.updated_at, o.deleted_at)::leat.entity_image
			end as old,
			case when n.id is not null then
				row(n.entity_type, n.key, n.content, n.metadata, n.locked_fields, n.created_at, n.updated_at, n.deleted_at)::leat.entity_image
			end as new
		from %1$s
		where n.content is distinct from o.content or n.metadata is distinct from o.metadata or n.entity_type is distinct from o.entity_type
			or n.key is distinct from o.key or n.deleted_at is distinct from o.deleted_at or n.locked_fields is distinct from o.locked_fields
	), signed as materialized (
		select c.*, ledger.position as intent, ledger.actor, ledger.traceparent
		from change c
		left join lateral (
			select a.position, a.actor, a.traceparent from leat.activity a
			where v_asks and a.stream = 'LEAT_ENTITY' and a.position = c.position and a.tenant_id = c.tenant_id
				and (a.target_id = c.entity_id or a.target_id is null)
			offset 0) ledger on true
	), logged as (
		insert into leat.audit_log (tenant_id, entity_id, operation, position, db_user, actor, old, new)
		select c.tenant_id, c.entity_id, '%2$s', case when v_asks then c.intent when v_claims is null then c.position end, session_user,
			coalesce(c.actor, v_claims ->> 'sub'), c.old, c.new
		from signed c
	), event as materialized (
		select 'leat.event.' || c.tenant_id || '.entity.' || c.entity_id
			|| case when not c.was_there then E'\tleat.entity.created\t' when c.is_there then E'\tleat.entity.updated\t' else E'\tleat.entity.deleted\t' end
			|| coalesce(translate(c.traceparent, E'\t\r\n', ''), '')
			|| case when v_replays then '' else E'\t{"entity_type":' || to_json(c.entity_type) || ',"position":' || c.stands_at
				|| ',"changed":{"content":' || %4$s || ',"metadata":' || %5$s
				|| case when coalesce(c.old_locked, '{}') <> coalesce(c.new_locked, '{}')
					then ',"locked_fields":' || to_json(coalesce(c.new_locked, '{}')) else '' end
				|| '}}' end as line
		from signed c where c.was_there or c.is_there
	)
	insert into leat.outbox (subject, event, headers, body, events)
	select split_part(e.line, E'\t', 1), split_part(e.line, E'\t', 2),
		case when split_part(e.line, E'\t', 3) = '' then '' else leat.header('traceparent', split_part(e.line, E'\t', 3)) end,
		convert_to(split_part(e.line, E'\t', 4), 'UTF8'), null::integer
	from event e where octet_length(e.line) > 8192 or (select count(*) from event) < 16
	union all
	select 'leat.event.>', 'leat.entity', '', convert_to(string_agg(e.line, E'\n'), 'UTF8'), count(*)::integer
	from (
		select every.line, row_number() over () / 1000 as part from event every
		where octet_length(every.line) <= 8192 and (select count(*) from event) >= 16) e
	group by e.part;
	return null;
end
$body$;
	-- the names of the fields that differ, as a JSON array
	v_changed constant text := $changed$ case
		when c.old_%1$s = c.new_%1$s then '[]'
		when v_few then '[' || concat_ws(',', case when c.old_%1$s -> v_written[1] is distinct from c.new_%1$s -> v_written[1] then v_names[1] end,
			case when c.old_%1$s -> v_written[2] is distinct from c.new_%1$s -> v_written[2] then v_names[2] end,
			case when c.old_%1$s -> v_written[3] is distinct from c.new_%1$s -> v_written[3] then v_names[3] end,
			case when c.old_%1$s -> v_written[4] is distinct from c.new_%1$s -> v_written[4] then v_names[4] end) || ']'
		else to_json(array(
			select field from (select unnest(coalesce(v_written,
				array(select jsonb_object_keys(coalesce(c.old_%1$s || c.new_%1$s, c.new_%1$s, c.old_%1$s))))) as field) fields
			where c.old_%1$s -> field is distinct from c.new_%1$s -> field))::text end $changed$;
	v_way record;
begin
	for v_way in
		select * from (values
			('insert', 'new_rows n left join leat.entities o on false', 'after', 'referencing new table as new_rows', format(v_no_rows, 'new_rows')),
			('update', 'old_rows o full join new_rows n on n.tenant_id = o.tenant_id and n.id = o.id', 'after',
				'referencing old table as old_rows new table as new_rows', v_one_row || format(v_no_rows, 'new_rows')),
			('delete', 'old_rows o left join leat.entities n on false', 'after', 'referencing old table as old_rows', ''),
			('truncate', 'leat.entities o left join leat.entities n on false', 'before', '', '')) way (operation, source, at, tables, short_ways)
	loop
		execute format('create or replace function leat.note_%1$s() returns trigger language plpgsql security definer
			set search_path = pg_catalog set enable_hashjoin = on set enable_seqscan = off as %2$L',
			v_way.operation, format(v_body, v_way.source, replace(v_way.operation, 'truncate', 'delete'), v_way.short_ways,
				format(v_changed, 'content'), format(v_changed, 'metadata')));
		execute format('create or replace trigger note_%1$s %2$s %1$s on leat.entities %3$s for each statement execute function leat.note_%1$s()',
			v_way.operation, v_way.at, v_way.tables);
	end loop;
end
$do$;

-- Wakes the relay when it sleeps; one notification a transaction, whatever its rows. Not when it is awake: Postgres lets the commits of those
-- who notify take turns, disk and all, which costs many writers at once most of their speed. The relay sleeps while it holds this lock alone
-- (lib/lane/relay.c). Whoever gets it shared keeps it to the commit: until then the relay can't fall asleep, and after it the relay looks
-- once more.
create or replace function leat.wake_relay() returns trigger
language plpgsql security definer set search_path = pg_catalog
as $$
begin
	if not pg_try_advisory_xact_lock_shared(hashtext('leat.relay'), 1) then
		perform pg_notify('leat_outbox', '');
	end if;
	return null;
end
$$;

create or replace trigger wake after insert on leat.outbox for each statement execute function leat.wake_relay();
