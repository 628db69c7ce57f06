-- The set-based path: what a batch writes to each entity, taken together.
--
-- Happy path: intents are grouped and their deltas computed without a lock; then one update merges them all, which finds and locks the rows
-- in order (leat.merge_entity_groups). Where that can't be, or has just failed, the rows are locked first, in order, and looked at; then
-- they are merged by one statement, and what is not simple is named so and left to the general path (30_entity_write.sql). A merge that comes
-- alone mostly takes the short path before all this (55_entity_single.sql).
--
-- Plans: every lookup is a probe of a primary key, by `lateral ... offset 0` or by ON CONFLICT, so that a plan made while the tables were
-- empty stays right; the settings keep the planner from anything else. Rows are sorted before they are grouped, since an ORDER BY inside
-- each aggregate costs more than the merge.

do $$
begin
	-- What the intents of a batch write to one entity, taken together; in parallel arrays, one element an entity, in order of
	-- (tenant, id). plain: only merges and upserts, all by users or none; the rest is null otherwise. by_user: whose; respects: some leave
	-- locked fields alone. first and last: of the positions; upserts: their positions as a JSON array, null for none; named: entity_type and
	-- key of the last upsert.
	create type leat.entity_groups as (tenant uuid[], entity uuid[], plain boolean[], by_user boolean[], respects boolean[], first bigint[],
		last bigint[], created bigint[], upserts jsonb[], named jsonb[], content jsonb[], metadata jsonb[], content_positions jsonb[],
		metadata_positions jsonb[]);
exception when duplicate_object then null;
end
$$;

-- The undecided intents (status null) with a single target, by entity.
create or replace function leat.group_entity_intents(p_tenant uuid[], p_entity uuid[], p_position bigint[], p_role text[], p_verb text[],
	p_body bytea[], p_status text[])
returns leat.entity_groups language plpgsql set search_path = pg_catalog
set plan_cache_mode = force_generic_plan set enable_hashagg = off set jit = off
as $$
declare
	v_groups leat.entity_groups;
begin
	select array_agg(every.tenant), array_agg(every.entity), array_agg(every.plain), array_agg(every.by_user), array_agg(every.respects),
		array_agg(every.first), array_agg(every.last), array_agg(every.created), array_agg(every.upserts), array_agg(every.named),
		array_agg(every.content), array_agg(every.metadata), array_agg(every.content_positions), array_agg(every.metadata_positions)
	into v_groups
	from (
		select intent.tenant, intent.entity, bool_and(intent.plain) and bool_and(intent.by_user) = bool_or(intent.by_user) as plain,
			bool_and(intent.by_user) as by_user, bool_or(intent.respects) as respects, min(intent.position) as first, max(intent.position) as last,
			min(intent.position) filter (where intent.named is not null) as created,
			jsonb_agg(intent.position) filter (where intent.named is not null) as upserts,
			leat.merged(intent.named) as named, coalesce(leat.merged(intent.content), '{}') as content, coalesce(leat.merged(intent.metadata), '{}') as metadata,
			coalesce(leat.merged(case when intent.content is not null then
				(select jsonb_object_agg(keys.field, intent.position) from (select jsonb_object_keys(intent.content) as field) keys) end), '{}')
				as content_positions,
			coalesce(leat.merged(case when intent.metadata is not null then
				(select jsonb_object_agg(keys.field, intent.position) from (select jsonb_object_keys(intent.metadata) as field) keys) end), '{}')
				as metadata_positions
		from (
			select raw.tenant, raw.entity, raw.position, raw.plain, raw.by_user, raw.body -> 'respect_locks' = 'true' as respects,
				case when raw.plain then raw.body -> 'content' end as content, case when raw.plain then raw.body -> 'metadata' end as metadata,
				case when raw.verb = 'upsert' then raw.body - '{entity_id,content,metadata}'::text[] end as named
			from (
				select u.tenant, u.entity, u.position, u.verb, u.verb in ('merge', 'upsert') as plain, u.role = 'user' as by_user,
					convert_from(u.body, 'UTF8')::jsonb as body
				from unnest(p_tenant, p_entity, p_position, p_role, p_verb, p_body, p_status) u (tenant, entity, position, role, verb, body, status)
				where u.status is null and u.entity is not null
				offset 0) raw
			order by raw.tenant, raw.entity, raw.position) intent
		group by intent.tenant, intent.entity) every;
	return v_groups;
end
$$;

-- May the groups be merged without a look at the rows first? They are merges into what others have made, all by services or all by users.
create or replace function leat.are_mere_merges(p_groups leat.entity_groups) returns boolean
language plpgsql immutable set search_path = pg_catalog
as $$
begin
	return cardinality(p_groups.entity) > 0 and array_remove(p_groups.created, null) = '{}' and not false = any (p_groups.plain)
		and (true = any (p_groups.respects)) is not true and not (true = any (p_groups.by_user) and false = any (p_groups.by_user));
end
$$;

-- Batches that create entities, or have more than merges for some that are not there, take turns, tenant by tenant, from here to their
-- commit. Rows are locked in order, but one that is not there can't be: a batch could create it between another's look and its locks. The
-- two would then lock in different orders and deadlock, which Postgres takes a second to find out. Tenants share 16 turns, taken in order,
-- so that a batch of many tenants does not fill the lock table.
create or replace function leat.take_turns_creating(p_groups leat.entity_groups, p_tenant uuid[], p_verb text[], p_body bytea[], p_status text[])
returns void
language plpgsql set search_path = pg_catalog
set plan_cache_mode = force_generic_plan set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off set jit = off
as $$
declare
	v_has_bulk constant boolean := 'bulk' = any (p_verb);
	v_turn integer;
begin
	if not v_has_bulk and array_remove(p_groups.created, null) = '{}' and not false = any (p_groups.plain) then
		return; -- merges only, which create nothing
	end if;
	for v_turn in
		select distinct abs(hashtext(target.tenant::text) % 16) as turn
		from (
			select g.tenant, g.entity
			from unnest(p_groups.tenant, p_groups.entity, p_groups.plain, p_groups.created) g (tenant, entity, plain, created)
			where g.created is not null or not g.plain
			union all
			select bulk.tenant, entity::uuid
			from unnest(p_tenant, p_verb, p_body, p_status) bulk (tenant, verb, body, status),
				jsonb_array_elements_text(convert_from(bulk.body, 'UTF8')::jsonb -> 'entity_ids') entity
			where v_has_bulk and bulk.verb = 'bulk' and bulk.status is null) target
		left join lateral (select x.id from leat.entities x where x.tenant_id = target.tenant and x.id = target.entity offset 0) e on true
		where e.id is null
		order by turn
	loop
		perform pg_advisory_xact_lock(hashtext('leat.entities: creating'), v_turn);
	end loop;
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
	v_paths text[];
begin
	-- Not an expression, whose subplans Postgres would set up anew for each row that changed while its lock was waited for. Filtered in the
	-- aggregate and not by WHERE, which would keep a bulk's targets from being locked.
	select array_agg(case
			when not every.plain or e.hidden is not null then 'general'
			when e.id is null then case when every.created is null then 'absent' when every.created = every.first then 'mixed' else 'general' end
			when e.deleted_position >= every.first or e.upsert_positions = '{}' then 'general'
			when e.upsert_positions[1] < every.first then case when e.last_position < every.first then 'existing' else 'mixed' end
			when every.created = every.first then 'mixed'
			else 'general'
		end) filter (where every.first is not null)
	into v_paths
	from (
		select target.tenant, target.entity, target.plain, target.first, target.created
		from unnest(p_groups.tenant, p_groups.entity, p_groups.plain, p_groups.first, p_groups.created)
			target (tenant, entity, plain, first, created)
		union all
		select bulk.tenant, entity::uuid, null, null, null
		from unnest(p_tenant, p_verb, p_body, p_status) bulk (tenant, verb, body, status),
			jsonb_array_elements_text(convert_from(bulk.body, 'UTF8')::jsonb -> 'entity_ids') entity
		where v_has_bulk and bulk.verb = 'bulk' and bulk.status is null
		order by 1, 2, 4 nulls last) every
	left join lateral (
		select x.id, x.hidden, x.deleted_position, x.upsert_positions, x.last_position
		from leat.entities x where x.tenant_id = every.tenant and x.id = every.entity offset 0 for update) e on true;
	return v_paths;
end
$$;

-- Bodies without the content fields that are locked, where a merge of a group of path `existing` or `mixed` respects locks; and which
-- fields those are, null for none. The rows are locked, and nothing in such a group changes their locks. Both arrays: one element an intent.
create or replace function leat.bodies_without_locked(p_groups leat.entity_groups, p_paths text[], p_tenant uuid[], p_entity uuid[], p_body bytea[],
	p_status text[], out bodies bytea[], out skipped jsonb[])
language plpgsql set search_path = pg_catalog
set plan_cache_mode = force_generic_plan set enable_nestloop = off set enable_mergejoin = off set enable_seqscan = off set jit = off
as $$
begin
	select array_agg(case when locked.fields is null then intent.raw
			else convert_to(jsonb_set(intent.body, '{content}', (intent.body -> 'content') - locked.fields)::text, 'UTF8') end order by intent.ord),
		array_agg(to_jsonb(locked.fields) order by intent.ord)
	into bodies, skipped
	from (
		select every.raw, every.ord, way.tenant, way.entity, case when way.path is not null then convert_from(every.raw, 'UTF8')::jsonb end as body
		from unnest(p_tenant, p_entity, p_body, p_status) with ordinality every (tenant, entity, raw, status, ord)
		left join unnest(p_groups.tenant, p_groups.entity, p_groups.respects, p_paths) way (tenant, entity, respects, path)
			on way.tenant = every.tenant and way.entity = every.entity and way.respects and way.path in ('existing', 'mixed') and every.status is null
		offset 0) intent
	left join lateral (
		select array_agg(distinct field collate "C" order by field collate "C") as fields
		from leat.entities e cross join lateral unnest(e.locked_fields) field
		where e.tenant_id = intent.tenant and e.id = intent.entity and intent.body -> 'content' ? field
			and intent.body -> 'respect_locks' = 'true') locked on true;
end
$$;

-- The fields that the groups write, where they are few and the same all over, as they are where a stream has one kind of producer; null: they
-- are not. Content and metadata together.
create or replace function leat.fields_of_groups(p_groups leat.entity_groups) returns text[]
language plpgsql stable set search_path = pg_catalog
set plan_cache_mode = force_generic_plan set jit = off
as $$
declare
	v_fields constant text[] := array(
		select distinct field
		from unnest(p_groups.content_positions[1:4] || p_groups.metadata_positions[1:4]) few (written), jsonb_object_keys(written) field);
begin
	-- somebody's trigger may write others
	if exists (
		select from pg_trigger t
		where t.tgrelid = 'leat.entities'::regclass and t.tgtype & 3 = 3 and t.tgname <> 'touch' and t.tgenabled <> 'D')
	then
		return null;
	end if;
	if cardinality(v_fields) > 8
		or exists (select from unnest(p_groups.content_positions) every (written) where written - v_fields <> '{}')
		or exists (select from unnest(p_groups.metadata_positions) every (written) where written <> '{}' and written - v_fields <> '{}')
	then
		return null;
	end if;
	return v_fields;
end
$$;

-- Merges all groups by one update, without a look at the rows first, and under the rights that the caller has. All of them must be merges
-- into rows that are live below the group; else no_data_found is raised. Where a row knows newer intents, its fields decide one by one.
-- Locks: the rows, in the order of the groups.
--
-- Plan: the groups first, and a probe of the primary key for each. `created is null` is true of all; the planner takes it to be true of one in
-- 200, and never finds anything cheaper, however small the table was when it looked.
create or replace function leat.merge_entity_groups(p_groups leat.entity_groups) returns void
language plpgsql set search_path = pg_catalog
set plan_cache_mode = force_generic_plan set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off
set enable_bitmapscan = off set jit = off
as $$
declare
	v_merged bigint;
begin
	update leat.entities e
	set content = e.content || case when e.last_position < g.first then g.content else ( -- leat.newer_fields, in place
			select coalesce(jsonb_object_agg(newer.field, g.content -> newer.field), '{}') from jsonb_each(g.content_positions) newer (field, position)
			where coalesce((e.content_positions -> newer.field)::bigint, 0) < newer.position::bigint) end,
		content_positions = e.content_positions || case when e.last_position < g.first then g.content_positions else (
			select coalesce(jsonb_object_agg(newer.field, newer.position), '{}') from jsonb_each(g.content_positions) newer (field, position)
			where coalesce((e.content_positions -> newer.field)::bigint, 0) < newer.position::bigint) end,
		metadata = e.metadata || case when e.last_position < g.first or g.metadata = '{}' then g.metadata
			else leat.newer_fields(e.metadata_positions, g.metadata, g.metadata_positions) end,
		metadata_positions = e.metadata_positions || case when e.last_position < g.first or g.metadata = '{}' then g.metadata_positions
			else leat.newer_fields(e.metadata_positions, g.metadata_positions, g.metadata_positions) end,
		last_position = greatest(e.last_position, g.last), updated_at = now()
	from unnest(p_groups.tenant, p_groups.entity, p_groups.first, p_groups.last, p_groups.created, p_groups.content, p_groups.metadata,
			p_groups.content_positions, p_groups.metadata_positions)
		g (tenant, entity, first, last, created, content, metadata, content_positions, metadata_positions)
	where g.created is null and e.tenant_id = g.tenant and e.id = g.entity and e.upsert_positions[1] < g.first and e.hidden is null;
	get diagnostics v_merged = row_count;
	if v_merged <> cardinality(p_groups.entity) then
		raise no_data_found;
	end if;
end
$$;

-- Writes the groups of paths `existing` and `mixed`, under the rights that the caller has. p_paths null: by leat.merge_entity_groups.
create or replace function leat.write_entity_groups(p_groups leat.entity_groups, p_paths text[], p_floor bigint) returns void
language plpgsql set search_path = pg_catalog
set plan_cache_mode = force_generic_plan set jit = off
as $$
declare
	v_written bigint;
begin
	if p_paths is null then
		perform leat.merge_entity_groups(p_groups);
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
	if array_position(p_paths, 'mixed') is null then
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

-- The same under the rights of whoever asked: services' groups at once; users' tenant by tenant, as `authenticated`, who sees no tenant but
-- its own. Groups come in order of tenant; without paths they are all of services or all of users. (A statement is planned anew when the role
-- has changed since it ran last, so users' groups cost their batch a few plans, and those of one batch share them.)
create or replace function leat.write_groups_as_asked(p_groups leat.entity_groups, p_paths text[], p_floor bigint) returns void
language plpgsql set search_path = pg_catalog set plan_cache_mode = force_generic_plan set jit = off
as $$
declare
	g constant leat.entity_groups := p_groups;
	v_ours constant text := current_setting('role');
	v_part record;
	v_slice leat.entity_groups;
begin
	if (true = any (g.by_user)) is not true then
		perform leat.write_entity_groups(g, p_paths, p_floor);
		return;
	end if;
	if false = any (g.by_user) then
		perform leat.write_entity_groups(g,
			array(select case when not by_user then path end from unnest(g.by_user, p_paths) way (by_user, path)), p_floor);
	end if;
	for v_part in
		select way.tenant, min(way.ord) as a, max(way.ord) as z,
			array_agg(case when way.by_user then way.path end order by way.ord) as paths
		from unnest(g.tenant, g.by_user, p_paths) with ordinality way (tenant, by_user, path, ord)
		group by way.tenant having bool_or(way.by_user)
		order by way.tenant
	loop
		v_slice := row(g.tenant[v_part.a:v_part.z], g.entity[v_part.a:v_part.z], null, null, null, g.first[v_part.a:v_part.z],
			g.last[v_part.a:v_part.z], null, g.upserts[v_part.a:v_part.z], g.named[v_part.a:v_part.z], g.content[v_part.a:v_part.z],
			g.metadata[v_part.a:v_part.z], g.content_positions[v_part.a:v_part.z], g.metadata_positions[v_part.a:v_part.z]);
		perform set_config('leat.tenant_id', v_part.tenant::text, true), set_config('role', 'authenticated', true);
		perform leat.write_entity_groups(v_slice, case when p_paths is not null then v_part.paths end, p_floor);
		perform set_config('role', v_ours, true), set_config('leat.tenant_id', '', true);
	end loop;
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
