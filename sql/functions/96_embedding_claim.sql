-- What the embed lane hands out: claims. No transaction is open while an endpoint is called; a claim is a lease, by database time.
-- leat.lock_embedding() makes claims take turns. Nothing in here waits for a transaction that changes entities.

-- The text that is embedded: the type, a line break, the content as JSON; at most so many bytes of it, whole characters.
create or replace function leat.embedding_input(p_type text, p_content jsonb, p_bytes integer) returns text
language plpgsql immutable set search_path = pg_catalog
as $$
declare
	v_text constant text := left(p_type || E'\n' || p_content::text, p_bytes);
	v_bytes constant bytea := convert_to(v_text, 'UTF8');
	v_length integer := p_bytes;
begin
	if length(v_bytes) <= p_bytes then
		return v_text;
	end if;
	while get_byte(v_bytes, v_length) & 192 = 128 loop -- the byte behind the end is the middle of a character
		v_length := v_length - 1;
	end loop;
	return convert_from(substring(v_bytes from 1 for v_length), 'UTF8');
end
$$;

-- Changes noted become due. Those whose entity is being called for stay, and are due when that is over: however often it changes
-- meanwhile, that is one more call.
create or replace function leat.take_embedding_changes(p_limit integer, p_now timestamptz) returns void
language plpgsql set search_path = pg_catalog
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
begin
	with noted as materialized (
		select c.tenant_id, c.entity_id
		from leat.embedding_changes c
		where not exists (select from leat.embedding_queue q
			where q.tenant_id = c.tenant_id and q.entity_id = c.entity_id and q.calling and q.due_at > p_now)
		order by c.noted_at limit p_limit for update of c skip locked
	), taken as (
		delete from leat.embedding_changes c using noted n where c.tenant_id = n.tenant_id and c.entity_id = n.entity_id
		returning c.tenant_id, c.entity_id, c.gone, c.noted_at
	)
	insert into leat.embedding_queue as q (tenant_id, entity_id, due_at, gone)
	select t.tenant_id, t.entity_id, t.noted_at, t.gone from taken t order by t.tenant_id, t.entity_id
	on conflict (tenant_id, entity_id) do update set due_at = least(q.due_at, excluded.due_at), gone = q.gone or excluded.gone;
end
$$;

-- The next of the entities that were there before embedding was switched on, and of the embeddings that were. False: there are none left.
create or replace function leat.fill_embedding_queue(p_limit integer, p_now timestamptz) returns boolean
language plpgsql set search_path = pg_catalog
as $$
declare
	v_state record;
	v_tenants uuid[];
	v_entities uuid[];
	v_count integer;
begin
	select s.filled, s.filled_tenant, s.filled_entity into v_state from leat.embedding_state s;
	if v_state.filled then
		return false;
	end if;
	select array_agg(k.tenant_id order by k.tenant_id, k.id), array_agg(k.id order by k.tenant_id, k.id), count(*)
	into v_tenants, v_entities, v_count
	from (
		(select e.tenant_id, e.id from leat.entities e
		where (e.tenant_id, e.id) >= (v_state.filled_tenant, v_state.filled_entity) and e.deleted_at is null
		order by e.tenant_id, e.id limit p_limit)
		union
		(select v.tenant_id, v.entity_id from leat.embeddings v
		where (v.tenant_id, v.entity_id) >= (v_state.filled_tenant, v_state.filled_entity)
		order by v.tenant_id, v.entity_id limit p_limit)
		order by 1, 2 limit p_limit) k;
	insert into leat.embedding_queue (tenant_id, entity_id, due_at)
	select k.tenant_id, k.id, p_now from unnest(v_tenants, v_entities) k (tenant_id, id)
	on conflict (tenant_id, entity_id) do nothing;
	update leat.embedding_state s
	set filled = v_count < p_limit, filled_tenant = coalesce(v_tenants[v_count], s.filled_tenant),
		filled_entity = coalesce(v_entities[v_count], s.filled_entity);
	return true;
end
$$;

-- Up to p_limit due rows, the longest due first, for one call: under a lease of p_lease_ms, which the token proves. A null input: the entity
-- needs no call (it is gone, deleted, empty, or its text is the one that was embedded), and that is settled. No row: nothing is due, or
-- embedding is off, or on with another model. Sorted by (tenant_id, entity_id).
create or replace function leat.claim_embeddings(p_model text, p_limit integer, p_input_bytes integer, p_lease_ms bigint)
returns table (token uuid, tenant_id uuid, entity_id uuid, attempts integer, most integer, input text)
language plpgsql set search_path = pg_catalog
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
	v_token constant uuid := gen_random_uuid();
	v_now timestamptz;
	v_most integer;
	v_limit integer;
	v_tenants uuid[];
	v_entities uuid[];
begin
	perform leat.lock_embedding();
	v_now := clock_timestamp();
	if not exists (select from leat.embedding_state s where s.model = p_model) then
		return;
	end if;
	perform leat.take_embedding_changes(p_limit, v_now);
	loop
		select q.most into v_most from leat.embedding_queue q where q.due_at <= v_now order by q.due_at limit 1;
		exit when found;
		if not leat.fill_embedding_queue(p_limit * 16, v_now) then
			return;
		end if;
	end loop;
	v_limit := least(p_limit, greatest(coalesce(v_most, p_limit), 1));

	with due as materialized (
		select q.tenant_id, q.entity_id
		from leat.embedding_queue q
		where q.due_at <= v_now and q.most is not distinct from v_most
		order by q.due_at limit v_limit for update skip locked
	), claimed as (
		update leat.embedding_queue q
		set token = v_token, calling = true, due_at = v_now + p_lease_ms * interval '1 ms'
		from due d where q.tenant_id = d.tenant_id and q.entity_id = d.entity_id
		returning q.tenant_id, q.entity_id
	)
	select array_agg(c.tenant_id order by c.tenant_id, c.entity_id), array_agg(c.entity_id order by c.tenant_id, c.entity_id)
	into v_tenants, v_entities from claimed c;

	-- A statement of its own: what it reads is as new as any change that was taken in above. A later one is noted anew.
	return query
	with read as materialized (
		select q.tenant_id, q.entity_id, q.attempts, q.most, q.gone, e.last_position as position, e.input,
			coalesce(v.model = p_model and v.input_md5 = md5(e.input)::uuid and not q.gone, false) as same
		from unnest(v_tenants, v_entities) k (tenant_id, entity_id)
		cross join lateral (
			select * from leat.embedding_queue x where x.tenant_id = k.tenant_id and x.entity_id = k.entity_id offset 0) q
		left join lateral (
			select x.last_position, leat.embedding_input(x.entity_type, x.content, p_input_bytes) as input
			from leat.entities x
			where x.tenant_id = k.tenant_id and x.id = k.entity_id and x.deleted_at is null and x.content <> '{}' offset 0) e on true
		left join lateral (
			select x.model, x.input_md5 from leat.embeddings x where x.tenant_id = k.tenant_id and x.entity_id = k.entity_id offset 0) v on true
	), settled as (
		delete from leat.embedding_queue q using read r
		where q.tenant_id = r.tenant_id and q.entity_id = r.entity_id and (r.input is null or r.same)
	), handed_out as (
		update leat.embedding_queue q set position = r.position, input_md5 = md5(r.input)::uuid, gone = false
		from read r where q.tenant_id = r.tenant_id and q.entity_id = r.entity_id and r.input is not null and not r.same
	), removed as (
		delete from leat.embeddings v using read r
		where v.tenant_id = r.tenant_id and v.entity_id = r.entity_id and (r.input is null or r.gone)
	), still_right as (
		update leat.embeddings v set position = r.position
		from read r where v.tenant_id = r.tenant_id and v.entity_id = r.entity_id and r.same and v.position < r.position
	)
	select v_token, r.tenant_id, r.entity_id, r.attempts, r.most, case when not r.same then r.input end
	from read r order by r.tenant_id, r.entity_id;
end
$$;

-- In how many ms the next row is due: 0 for now, -1 when nothing waits. Null: embedding is off, or on with another model.
create or replace function leat.next_embedding_ms(p_model text) returns bigint
language plpgsql stable set search_path = pg_catalog
as $$
begin
	return (
		select coalesce((
			select greatest(ceil(extract(epoch from q.due_at - clock_timestamp()) * 1000), 0)::bigint
			from leat.embedding_queue q order by q.due_at limit 1), -1)
		from leat.embedding_state s where s.model = p_model);
end
$$;
