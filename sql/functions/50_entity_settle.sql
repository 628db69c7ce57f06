-- Settles a batch of entity intents in one call: who counts, what is written, what waits, what is recorded.
--
-- Happy path: Leat-Ids are claimed, the ledger is written, deltas are computed, and only then rows are locked and merged by one statement, so that
-- batches that meet on a row hold each other up as briefly as can be. The ledger says `applied` at first; what ends otherwise is corrected.
--
-- Order of locks, the same for every caller, so that batches cannot deadlock: Leat-Ids in order; positions in order; rows that exist in order of
-- (tenant, id); new rows in that order. Rows that take the general path after that are locked already.
--
-- Plans: every lookup is a probe of a primary key, by `lateral ... offset 0` or by ON CONFLICT, so that a plan made while the tables were
-- empty stays right; the settings keep the planner from anything else. Rows are sorted before they are grouped, since an ORDER BY inside
-- each aggregate costs more than the merge.

do $$
begin
	-- How one intent ends; ord counts from 1. status: applied, duplicate, rejected; parked (decided later); known (settled before); deferred
	-- (give it again: it depends on another of its batch). reply goes to Leat-Reply-To, short_reply when that is over the server's limit.
	create type leat.settled as (ord bigint, status text, code text, position bigint, reply text, short_reply text);

	-- What the intents of a batch write to one entity, taken together; in parallel arrays, one element an entity, in order of (tenant, id).
	-- plain: only merges and upserts; the rest is null otherwise. first and last: of the positions; upserts: their positions as a JSON array,
	-- null for none; named: entity_type and key of the last upsert.
	create type leat.entity_groups as (tenant uuid[], entity uuid[], plain boolean[], first bigint[], last bigint[], created bigint[], upserts jsonb[],
		named jsonb[], content jsonb[], metadata jsonb[], content_positions jsonb[], metadata_positions jsonb[]);
exception when duplicate_object then null;
end
$$;

-- The undecided intents (status null) with a single target, by entity.
create or replace function leat.group_entity_intents(p_tenant uuid[], p_entity uuid[], p_position bigint[], p_verb text[], p_body bytea[], p_status text[])
returns leat.entity_groups language plpgsql set search_path = pg_catalog
set plan_cache_mode = force_generic_plan set enable_hashagg = off set jit = off
as $$
declare
	v_groups leat.entity_groups;
begin
	select array_agg(every.tenant), array_agg(every.entity), array_agg(every.plain), array_agg(every.first), array_agg(every.last), array_agg(every.created),
		array_agg(every.upserts), array_agg(every.named), array_agg(every.content), array_agg(every.metadata), array_agg(every.content_positions),
		array_agg(every.metadata_positions)
	into v_groups
	from (
		select intent.tenant, intent.entity, bool_and(intent.plain) as plain, min(intent.position) as first, max(intent.position) as last,
			min(intent.position) filter (where intent.named is not null) as created,
			jsonb_agg(intent.position) filter (where intent.named is not null) as upserts,
			leat.merged(intent.named) as named, leat.merged(intent.content) as content, leat.merged(intent.metadata) as metadata,
			leat.merged((select jsonb_object_agg(field, intent.position) from jsonb_object_keys(intent.content) field)) as content_positions,
			leat.merged((select jsonb_object_agg(field, intent.position) from jsonb_object_keys(intent.metadata) field)) as metadata_positions
		from (
			select raw.tenant, raw.entity, raw.position, raw.plain,
				case when raw.plain then raw.body -> 'content' end as content, case when raw.plain then raw.body -> 'metadata' end as metadata,
				case when raw.verb = 'upsert' then raw.body - '{entity_id,content,metadata}'::text[] end as named
			from (
				select u.tenant, u.entity, u.position, u.verb, u.verb in ('merge', 'upsert') as plain, convert_from(u.body, 'UTF8')::jsonb as body
				from unnest(p_tenant, p_entity, p_position, p_verb, p_body, p_status) u (tenant, entity, position, verb, body, status)
				where u.status is null and u.entity is not null
				offset 0) raw
			order by raw.tenant, raw.entity, raw.position) intent
		group by intent.tenant, intent.entity) every;
	return v_groups;
end
$$;

-- Locks the rows of all targets, in order, and says how each group can be written:
--   existing  live, and the group is newer than all that was applied to it
--   mixed     live, or not there and the group creates it: field by field
--   absent    not there, nothing in the group creates it
--   general   anything else, intent by intent
create or replace function leat.lock_entity_groups(p_groups leat.entity_groups, p_tenant uuid[], p_verb text[], p_body bytea[], p_status text[])
returns text[] language plpgsql set search_path = pg_catalog
set plan_cache_mode = force_generic_plan set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off set jit = off
as $$
declare
	v_has_bulk constant boolean := 'bulk' = any (p_verb);
begin
	-- filtered here and not by WHERE, which would keep a bulk's targets from being locked
	return (
		select array_agg(case
				when not every.plain or e.hidden is not null then 'general'
				when e.id is null then case when every.created is null then 'absent' when every.created = every.first then 'mixed' else 'general' end
				when e.deleted_position > every.first or e.upsert_positions = '{}' then 'general'
				when e.upsert_positions[1] < every.first then case when e.last_position < every.first then 'existing' else 'mixed' end
				when every.created = every.first then 'mixed'
				else 'general'
			end) filter (where every.first is not null)
		from (
			select target.tenant, target.entity, target.plain, target.first, target.created
			from unnest(p_groups.tenant, p_groups.entity, p_groups.plain, p_groups.first, p_groups.created) target (tenant, entity, plain, first, created)
			union all
			select bulk.tenant, entity::uuid, null, null, null
			from unnest(p_tenant, p_verb, p_body, p_status) bulk (tenant, verb, body, status),
				jsonb_array_elements_text(convert_from(bulk.body, 'UTF8')::jsonb -> 'entity_ids') entity
			where v_has_bulk and bulk.verb = 'bulk' and bulk.status is null
			order by 1, 2, 4 nulls last) every
		left join lateral (
			select x.id, x.hidden, x.deleted_position, x.upsert_positions, x.last_position
			from leat.entities x where x.tenant_id = every.tenant and x.id = every.entity offset 0 for update) e on true);
end
$$;

-- Writes the groups of paths `existing` and `mixed`.
create or replace function leat.write_entity_groups(p_groups leat.entity_groups, p_paths text[], p_floor bigint) returns void
language plpgsql set search_path = pg_catalog
set plan_cache_mode = force_generic_plan set jit = off
as $$
declare
	v_written bigint;
begin
	insert into leat.entities as e (tenant_id, id, entity_type, last_position, key, type_position, upsert_positions, content, metadata,
		content_positions, metadata_positions)
	select g.tenant, g.entity, coalesce(g.named ->> 'entity_type', ''), g.last, g.named ->> 'key',
		case when g.upserts is null then 0 else (g.upserts -> -1)::bigint end,
		case when g.upserts is null then '{}' else leat.positions_of(g.upserts) end,
		g.content, g.metadata, g.content_positions, g.metadata_positions
	from unnest(p_groups.tenant, p_groups.entity, p_groups.last, p_groups.upserts, p_groups.named, p_groups.content, p_groups.metadata,
		p_groups.content_positions, p_groups.metadata_positions, p_paths)
		g (tenant, entity, last, upserts, named, content, metadata, content_positions, metadata_positions, path)
	where g.path = 'existing'
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
	if not 'mixed' = any (p_paths) then
		return;
	end if;

	insert into leat.entities as e (tenant_id, id, entity_type, last_position, key, type_position, upsert_positions, content, metadata,
		content_positions, metadata_positions)
	select g.tenant, g.entity, coalesce(g.named ->> 'entity_type', ''), g.last, g.named ->> 'key',
		case when g.upserts is null then 0 else (g.upserts -> -1)::bigint end,
		case when g.upserts is null then '{}' else leat.positions_of(g.upserts) end,
		g.content, g.metadata, g.content_positions, g.metadata_positions
	from unnest(p_groups.tenant, p_groups.entity, p_groups.last, p_groups.upserts, p_groups.named, p_groups.content, p_groups.metadata,
		p_groups.content_positions, p_groups.metadata_positions, p_paths)
		g (tenant, entity, last, upserts, named, content, metadata, content_positions, metadata_positions, path)
	where g.path = 'mixed'
	on conflict (tenant_id, id) do update
	set (content, content_positions) = (
			select e.content || coalesce(jsonb_object_agg(newer.field, excluded.content -> newer.field), '{}'),
				e.content_positions || coalesce(jsonb_object_agg(newer.field, newer.position), '{}')
			from jsonb_each(excluded.content_positions) newer (field, position)
			where coalesce((e.content_positions -> newer.field)::bigint, 0) < newer.position::bigint),
		(metadata, metadata_positions) = (
			select e.metadata || coalesce(jsonb_object_agg(newer.field, excluded.metadata -> newer.field), '{}'),
				e.metadata_positions || coalesce(jsonb_object_agg(newer.field, newer.position), '{}')
			from jsonb_each(excluded.metadata_positions) newer (field, position)
			where coalesce((e.metadata_positions -> newer.field)::bigint, 0) < newer.position::bigint),
		entity_type = case when excluded.type_position > e.type_position then excluded.entity_type else e.entity_type end,
		type_position = greatest(e.type_position, excluded.type_position),
		key = coalesce(e.key, excluded.key),
		upsert_positions = case when excluded.upsert_positions = '{}' then e.upsert_positions
			else leat.upserts_that_matter(e.upsert_positions || excluded.upsert_positions, p_floor) end,
		last_position = greatest(e.last_position, excluded.last_position),
		updated_at = now()
	-- false only for a row that somebody else made after the groups were looked at, and that is not simply live
	where excluded.upsert_positions = '{}'
		or (e.upsert_positions <> '{}' and e.hidden is null and e.deleted_position < excluded.upsert_positions[1]);
	get diagnostics v_written = row_count;
	if v_written <> cardinality(array_positions(p_paths, 'mixed')) then
		raise exception using errcode = 'serialization_failure', message = 'an entity was made meanwhile by another batch; try again';
	end if;
end
$$;

-- The intents that have to be looked at one by one, with the path of their group; a bulk is its own. Both sides are arrays: a hash join.
create or replace function leat.single_intents(p_groups leat.entity_groups, p_paths text[], p_tenant uuid[], p_entity uuid[], p_verb text[], p_status text[])
returns table (ord bigint, path text) language plpgsql set search_path = pg_catalog
set plan_cache_mode = force_generic_plan set enable_nestloop = off set enable_mergejoin = off set jit = off
as $$
begin
	return query
	select intent.ord, coalesce(way.path, 'general')
	from unnest(p_tenant, p_entity, p_verb, p_status) with ordinality intent (tenant, entity, verb, status, ord)
	left join unnest(p_groups.tenant, p_groups.entity, p_paths) way (tenant, entity, path) on way.tenant = intent.tenant and way.entity = intent.entity
	where intent.status is null and (way.path in ('general', 'absent') or intent.verb = 'bulk')
	order by intent.ord;
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
	-- null: applied, as far as is known
	v_status text[] := array(
		select case when position = any (p_known) then 'known' when code is not null then 'rejected' end
		from unnest(p_position, p_code) intent (position, code));
	v_code text[] := p_code;
	v_message text[] := p_message;
	v_detail jsonb[] := array_fill(null::jsonb, array[cardinality(p_position)]);
	v_duplicates bigint[];
	v_changed bigint[] := '{}'; -- ends otherwise than the ledger says so far
	v_groups leat.entity_groups;
	v_paths text[];
	v_intent record;
	v_written record;
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

	-- A unique violation here means that another process settled one of them meanwhile: the caller tries again, and finds it known.
	insert into leat.activity (stream, position, leat_id, tenant_id, actor, role, noun, verb, target_id, outcome, code, detail, message_at)
	select p_stream, position, leat_id, tenant, actor, role, 'entity', verb, entity, coalesce(status, 'applied'), code,
		case when message is null then detail else jsonb_build_object('message', message) end, at
	from unnest(p_position, p_leat_id, p_tenant, p_actor, p_role, p_verb, p_entity, v_status, v_code, v_message, v_detail, p_at)
		intent (position, leat_id, tenant, actor, role, verb, entity, status, code, message, detail, at)
	where status is distinct from 'known';

	v_groups := leat.group_entity_intents(p_tenant, p_entity, p_position, p_verb, p_body, v_status);
	v_paths := leat.lock_entity_groups(v_groups, p_tenant, p_verb, p_body, v_status);
	perform leat.write_entity_groups(v_groups, v_paths, p_floor);

	-- The rest, intent by intent, in order of position.
	if 'bulk' = any (p_verb) or 'general' = any (v_paths) or 'absent' = any (v_paths) then
		for v_intent in select * from leat.single_intents(v_groups, v_paths, p_tenant, p_entity, p_verb, v_status) loop
			i := v_intent.ord;
			if v_intent.path = 'absent' then
				v_status[i] := case when p_final then 'rejected' else 'parked' end;
				if p_final then
					v_code[i] := 'not_found';
					v_message[i] := leat.absent_message(p_verb[i], 'not_found', p_entity[i], 1);
				end if;
			else
				v_body := convert_from(p_body[i], 'UTF8')::jsonb;
				v_written := leat.write_entity_intent(p_tenant[i], p_verb[i],
					case when p_verb[i] = 'bulk' then array(select distinct t::uuid from jsonb_array_elements_text(v_body -> 'entity_ids') t order by 1)
						else array[p_entity[i]] end,
					p_position[i], v_body, p_floor, p_final);
				v_status[i] := nullif(v_written.status, 'applied');
				v_code[i] := v_written.code;
				v_message[i] := v_written.message;
				v_detail[i] := v_written.detail;
			end if;
			if v_status[i] is not null or v_detail[i] is not null then
				v_changed := v_changed || i;
			end if;
		end loop;
	end if;

	-- Only `applied` uses a Leat-Id up. A duplicate of one that was not applied is tried again on its own.
	foreach i in array v_changed loop
		if v_status[i] in ('parked', 'rejected') then
			delete from leat.message_ids m
			where m.tenant_id = p_tenant[i] and m.leat_id = p_leat_id[i] and m.stream = p_stream and m.position = p_position[i];
		end if;
	end loop;
	if v_changed <> '{}' then
		foreach i in array coalesce(v_duplicates, '{}') loop
			if not exists (select from leat.message_ids m where m.tenant_id = p_tenant[i] and m.leat_id = p_leat_id[i]) then
				v_status[i] := 'deferred';
				v_changed := v_changed || i;
			end if;
		end loop;
	end if;

	foreach i in array v_changed loop
		if v_status[i] in ('parked', 'deferred') then
			delete from leat.activity a where a.stream = p_stream and a.position = p_position[i];
		else
			update leat.activity a
			set outcome = coalesce(v_status[i], 'applied'), code = v_code[i],
				detail = case when v_message[i] is null then v_detail[i] else jsonb_build_object('message', v_message[i]) end
			where a.stream = p_stream and a.position = p_position[i];
		end if;
		if v_status[i] = 'parked' then
			insert into leat.parked (stream, position, message_at, subject, tenant_id, role, verb, entity_id, actor, leat_id, reply_to, headers, body)
			values (p_stream, p_position[i], p_at[i], p_subject[i], p_tenant[i], p_role[i], p_verb[i], p_entity[i], p_actor[i], p_leat_id[i],
				p_reply_to[i], p_headers[i], p_body[i]);
		end if;
	end loop;

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
