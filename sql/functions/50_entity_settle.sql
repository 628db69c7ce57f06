-- Settles a batch of entity intents in one call: who counts, what is written, what waits, what is recorded.
--
-- Happy path: Leat-Ids are claimed, rows locked, deltas merged by one statement, the ledger written. What is not simple leaves that path one
-- group at a time: see leat.lock_entity_groups.
--
-- Order of locks, the same for every caller, so that batches cannot deadlock: Leat-Ids in order; rows that exist in order of (tenant, id); new
-- rows in that order. Rows that take the general path after that are locked already.
--
-- Plans: every lookup is a probe of a primary key, by `lateral ... offset 0` or by ON CONFLICT, so that a plan made while the tables were
-- empty stays right; the settings keep the planner from anything else. Rows are sorted before they are grouped, since an ORDER BY inside
-- each aggregate costs more than the merge.

do $$
begin
	-- How one intent ends; ord counts from 1. status: applied, duplicate, rejected; parked (decided later); known (settled before); deferred
	-- (give it again: it depends on another of its batch). reply goes to Leat-Reply-To, short_reply when that is over the server's limit.
	create type leat.settled as (ord bigint, status text, code text, position bigint, reply text, short_reply text);
exception when duplicate_object then null;
end
$$;

-- Locks the rows of all targets, in order, and says how each (tenant, entity) group of undecided intents can be written:
--   existing  live, and the group is newer than all that was applied to it
--   mixed     live, or not there and the group creates it: field by field
--   absent    not there, nothing in the group creates it
--   general   anything else, intent by intent
-- Only groups that are not `existing` are returned.
create or replace function leat.lock_entity_groups(p_tenant uuid[], p_entity uuid[], p_position bigint[], p_verb text[], p_body bytea[], p_status text[])
returns table (path text, ords bigint[]) language plpgsql set search_path = pg_catalog
set plan_cache_mode = force_generic_plan set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off set enable_hashagg = off set jit = off
as $$
declare
	v_has_bulk constant boolean := 'bulk' = any (p_verb);
begin
	return query
	select way.path, way.ords
	from (
		select case
				when every.ords is null then 'existing' -- a bulk's target and nothing else
				when not every.plain or e.hidden is not null then 'general'
				when e.id is null then case when every.created is null then 'absent' when every.created = every.first then 'mixed' else 'general' end
				when e.deleted_position > every.first or e.upsert_positions = '{}' then 'general'
				when e.upsert_positions[1] < every.first then case when e.last_position < every.first then 'existing' else 'mixed' end
				when every.created = every.first then 'mixed'
				else 'general'
			end as path, every.ords
		from (
			select target.tenant, target.entity, array_agg(target.ord) filter (where target.ord is not null) as ords, min(target.position) as first,
				min(target.position) filter (where target.verb = 'upsert') as created, bool_and(target.verb in ('merge', 'upsert')) as plain
			from (
				select intent.tenant, intent.entity, intent.position, intent.verb, intent.ord
				from unnest(p_tenant, p_entity, p_position, p_verb, p_status) with ordinality intent (tenant, entity, position, verb, status, ord)
				where intent.status is null and intent.entity is not null
				union all
				select bulk.tenant, entity::uuid, null, null, null
				from unnest(p_tenant, p_verb, p_body, p_status) bulk (tenant, verb, body, status),
					jsonb_array_elements_text(convert_from(bulk.body, 'UTF8')::jsonb -> 'entity_ids') entity
				where v_has_bulk and bulk.verb = 'bulk' and bulk.status is null
				order by 1, 2, 3) target
			group by target.tenant, target.entity) every
		left join lateral (
			select x.id, x.hidden, x.deleted_position, x.upsert_positions, x.last_position
			from leat.entities x where x.tenant_id = every.tenant and x.id = every.entity offset 0 for update) e on true) way
	where way.path <> 'existing';
end
$$;

-- One row per entity: what the intents of one path write to it, taken together. In order of (tenant, id).
create or replace function leat.entity_deltas(p_path text, p_tenant uuid[], p_entity uuid[], p_position bigint[], p_verb text[], p_body bytea[], p_paths text[])
returns table (tenant_id uuid, id uuid, entity_type text, key text, content jsonb, metadata jsonb, last_position bigint, type_position bigint,
	upsert_positions bigint[], content_positions jsonb, metadata_positions jsonb)
language plpgsql set search_path = pg_catalog
set plan_cache_mode = force_generic_plan set enable_hashagg = off set jit = off
as $$
begin
	return query
	select every.tenant, every.entity, coalesce(every.named ->> 'entity_type', ''), every.named ->> 'key', every.content, every.metadata,
		every.last, coalesce(every.upserts[cardinality(every.upserts)], 0), coalesce(every.upserts, '{}'), every.content_at, every.metadata_at
	from (
		select intent.tenant, intent.entity, leat.merged(intent.named) as named,
			leat.merged(intent.content) as content, leat.merged(intent.metadata) as metadata,
			max(intent.position) as last, array_agg(intent.position) filter (where intent.named is not null) as upserts,
			leat.merged((select jsonb_object_agg(field, intent.position) from jsonb_object_keys(intent.content) field)) as content_at,
			leat.merged((select jsonb_object_agg(field, intent.position) from jsonb_object_keys(intent.metadata) field)) as metadata_at
		from (
			select raw.tenant, raw.entity, raw.position, raw.body -> 'content' as content, raw.body -> 'metadata' as metadata,
				case when raw.verb = 'upsert' then raw.body - '{entity_id,content,metadata}'::text[] end as named
			from (
				select u.tenant, u.entity, u.position, u.verb, convert_from(u.body, 'UTF8')::jsonb as body
				from unnest(p_tenant, p_entity, p_position, p_verb, p_body, p_paths) u (tenant, entity, position, verb, body, path)
				where u.path = p_path offset 0) raw
			order by raw.tenant, raw.entity, raw.position) intent
		group by intent.tenant, intent.entity) every;
end
$$;

-- Writes the groups of paths `existing` and `mixed`.
create or replace function leat.write_entity_groups(p_tenant uuid[], p_entity uuid[], p_position bigint[], p_verb text[], p_body bytea[], p_paths text[],
	p_mixed_groups bigint, p_floor bigint) returns void
language plpgsql set search_path = pg_catalog
as $$
declare
	v_written bigint;
begin
	insert into leat.entities as e (tenant_id, id, entity_type, key, content, metadata, last_position, type_position, upsert_positions, content_positions,
		metadata_positions)
	select * from leat.entity_deltas('existing', p_tenant, p_entity, p_position, p_verb, p_body, p_paths)
	on conflict (tenant_id, id) do update
	set content = e.content || excluded.content,
		metadata = e.metadata || excluded.metadata,
		content_positions = e.content_positions || excluded.content_positions,
		metadata_positions = e.metadata_positions || excluded.metadata_positions,
		entity_type = case when excluded.type_position > 0 then excluded.entity_type else e.entity_type end,
		type_position = case when excluded.type_position > 0 then excluded.type_position else e.type_position end,
		key = coalesce(e.key, excluded.key),
		upsert_positions = case when excluded.upsert_positions = '{}' then e.upsert_positions
			else leat.upserts_that_matter(e.upsert_positions || excluded.upsert_positions, p_floor) end,
		last_position = excluded.last_position,
		updated_at = now();
	if p_mixed_groups = 0 then
		return;
	end if;

	insert into leat.entities as e (tenant_id, id, entity_type, key, content, metadata, last_position, type_position, upsert_positions, content_positions,
		metadata_positions)
	select * from leat.entity_deltas('mixed', p_tenant, p_entity, p_position, p_verb, p_body, p_paths)
	on conflict (tenant_id, id) do update
	set content = e.content || leat.newer_fields(e.content_positions, excluded.content, excluded.content_positions),
		metadata = e.metadata || leat.newer_fields(e.metadata_positions, excluded.metadata, excluded.metadata_positions),
		content_positions = e.content_positions || leat.newer_fields(e.content_positions, excluded.content_positions, excluded.content_positions),
		metadata_positions = e.metadata_positions || leat.newer_fields(e.metadata_positions, excluded.metadata_positions, excluded.metadata_positions),
		entity_type = case when excluded.type_position > e.type_position then excluded.entity_type else e.entity_type end,
		type_position = greatest(e.type_position, excluded.type_position),
		key = coalesce(e.key, excluded.key),
		upsert_positions = leat.upserts_that_matter(e.upsert_positions || excluded.upsert_positions, p_floor),
		last_position = greatest(e.last_position, excluded.last_position),
		updated_at = now()
	-- false only for a row that somebody else made after the groups were looked at, and that is not simply live
	where excluded.upsert_positions = '{}'
		or (e.upsert_positions <> '{}' and e.hidden is null and e.deleted_position < excluded.upsert_positions[1]);
	get diagnostics v_written = row_count;
	if v_written <> p_mixed_groups then
		raise exception using errcode = 'serialization_failure', message = 'an entity was made meanwhile by another batch; try again';
	end if;
end
$$;

-- All arrays run in parallel, one element an intent, in order of position. p_code and p_message: what the decoder rejected. p_known: positions
-- that are settled or parked already. p_final: the floor has passed all of them.
-- Returned are the intents of which the caller must know more than `applied`: another status, or a reply to send.
create or replace function leat.settle_entity_intents(p_stream text, p_floor bigint, p_final boolean, p_known bigint[],
	p_position bigint[], p_at timestamptz[], p_subject text[], p_tenant uuid[], p_role text[], p_verb text[], p_entity uuid[], p_actor text[],
	p_leat_id text[], p_reply_to text[], p_headers bytea[], p_body bytea[], p_code text[], p_message text[])
returns setof leat.settled language plpgsql set search_path = pg_catalog
set plan_cache_mode = force_generic_plan set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off set jit = off
as $$
declare
	v_count constant integer := cardinality(p_position);
	v_status text[] := array(
		select case when position = any (p_known) then 'known' when code is not null then 'rejected' end
		from unnest(p_position, p_code) intent (position, code));
	v_code text[] := p_code;
	v_message text[] := p_message;
	v_detail jsonb[] := array_fill(null::jsonb, array[v_count]);
	v_path text[] := array_fill('existing'::text, array[v_count]);
	v_mixed_groups bigint := 0;
	v_freed bigint[] := '{}';
	v_general bigint[] := '{}';
	v_duplicates bigint[];
	v_group record;
	v_written record;
	v_targets uuid[];
	v_body jsonb;
	i bigint;
begin
	-- Leat-Ids: one message each; whoever comes second in position order, or after the other's commit, is a duplicate.
	with wanted as materialized (
		select tenant, leat_id, position, ord
		from unnest(p_tenant, p_leat_id, p_position, v_status) with ordinality intent (tenant, leat_id, position, status, ord)
		where leat_id is not null and status is null
		order by tenant, leat_id, position
	), claimed as (
		insert into leat.message_ids (tenant_id, leat_id, stream, position)
		select tenant, leat_id, p_stream, position from wanted
		on conflict (tenant_id, leat_id) do nothing
		returning position
	)
	select array_agg(ord order by ord) into v_duplicates from wanted where position not in (select position from claimed);
	foreach i in array coalesce(v_duplicates, '{}') loop
		v_status[i] := 'duplicate';
		v_detail[i] := (
			select jsonb_build_object('original_position', m.position)
			from leat.message_ids m where m.tenant_id = p_tenant[i] and m.leat_id = p_leat_id[i]);
	end loop;

	-- What is not plain `existing`.
	for v_group in select * from leat.lock_entity_groups(p_tenant, p_entity, p_position, p_verb, p_body, v_status) loop
		foreach i in array v_group.ords loop
			v_path[i] := v_group.path;
		end loop;
		if v_group.path = 'mixed' then
			v_mixed_groups := v_mixed_groups + 1;
		elsif v_group.path = 'general' then
			v_general := v_general || v_group.ords;
		else
			foreach i in array v_group.ords loop
				v_status[i] := case when p_final then 'rejected' else 'parked' end;
				if p_final then
					v_code[i] := 'not_found';
					v_message[i] := leat.absent_message(p_verb[i], 'not_found', p_entity[i], 1);
				end if;
			end loop;
		end if;
	end loop;
	for i in select ord from unnest(v_status) with ordinality intent (status, ord) where status is not null loop
		v_path[i] := null;
	end loop;
	if 'bulk' = any (p_verb) then
		for i in select ord from unnest(p_verb, v_status) with ordinality intent (verb, status, ord) where verb = 'bulk' and status is null loop
			v_path[i] := 'general';
			v_general := v_general || i;
		end loop;
	end if;

	perform leat.write_entity_groups(p_tenant, p_entity, p_position, p_verb, p_body, v_path, v_mixed_groups, p_floor);

	for i in select ord from unnest(v_general) ord order by ord loop
		v_body := convert_from(p_body[i], 'UTF8')::jsonb;
		v_targets := case when p_verb[i] = 'bulk' then array(select distinct t::uuid from jsonb_array_elements_text(v_body -> 'entity_ids') t order by 1)
			else array[p_entity[i]] end;
		v_written := leat.write_entity_intent(p_tenant[i], p_verb[i], v_targets, p_position[i], v_body, p_floor, p_final);
		v_status[i] := nullif(v_written.status, 'applied');
		v_code[i] := v_written.code;
		v_message[i] := v_written.message;
		v_detail[i] := v_written.detail;
	end loop;

	-- Only `applied` uses a Leat-Id up. A duplicate of one that was not applied is tried again on its own.
	if v_duplicates is not null or exists (select from unnest(p_leat_id, v_status) intent (leat_id, status) where leat_id is not null and status in ('parked', 'rejected')) then
		delete from leat.message_ids m
		using unnest(p_tenant, p_leat_id, p_position, v_status) intent (tenant, leat_id, position, status)
		where intent.status in ('parked', 'rejected') and m.tenant_id = intent.tenant and m.leat_id = intent.leat_id
			and m.stream = p_stream and m.position = intent.position;
		if found then
			foreach i in array coalesce(v_duplicates, '{}') loop
				if not exists (select from leat.message_ids m where m.tenant_id = p_tenant[i] and m.leat_id = p_leat_id[i]) then
					v_status[i] := 'deferred';
				end if;
			end loop;
		end if;
	end if;

	if 'parked' = any (v_status) then
		insert into leat.parked (stream, position, message_at, subject, tenant_id, role, verb, entity_id, actor, leat_id, reply_to, headers, body)
		select p_stream, position, at, subject, tenant, role, verb, entity, actor, leat_id, reply_to, headers, body
		from unnest(p_position, p_at, p_subject, p_tenant, p_role, p_verb, p_entity, p_actor, p_leat_id, p_reply_to, p_headers, p_body, v_status)
			intent (position, at, subject, tenant, role, verb, entity, actor, leat_id, reply_to, headers, body, status)
		where status = 'parked';
	end if;

	-- A unique violation here means that another process settled one of them meanwhile: the caller tries again, and finds it known.
	insert into leat.activity (stream, position, leat_id, tenant_id, actor, role, noun, verb, target_id, outcome, code, detail, message_at)
	select p_stream, position, leat_id, tenant, actor, role, 'entity', verb, entity, coalesce(status, 'applied'), code,
		case when message is null then detail else jsonb_build_object('message', message) || coalesce(detail, '{}') end, at
	from unnest(p_position, p_leat_id, p_tenant, p_actor, p_role, p_verb, p_entity, v_status, v_code, v_message, v_detail, p_at)
		intent (position, leat_id, tenant, actor, role, verb, entity, status, code, message, detail, at)
	where status is null or status in ('duplicate', 'rejected');

	if 'rejected' = any (v_status) then
		perform leat.bury(p_stream, position, tenant, 'entity', verb, subject, code, message, headers, body)
		from unnest(p_position, p_tenant, p_verb, p_subject, v_code, v_message, p_headers, p_body, v_status)
			intent (position, tenant, verb, subject, code, message, headers, body, status)
		where status = 'rejected';
	end if;

	return query
	select intent.ord, coalesce(intent.status, 'applied'), intent.code, intent.position, said.reply, said.short_reply
	from unnest(v_status, v_code, p_position, p_reply_to) with ordinality intent (status, code, position, reply_to, ord)
	left join lateral leat.entity_reply(p_stream, intent.position, intent.status, intent.code, v_message[intent.ord], p_tenant[intent.ord], p_verb[intent.ord],
		p_entity[intent.ord], v_detail[intent.ord]) said on intent.reply_to is not null
	where intent.status is not null or intent.reply_to is not null;
end
$$;
