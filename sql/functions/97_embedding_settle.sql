-- What came of a call. Each of these touches only rows of leat.embedding_queue that the token still holds: after the lease has ended and
-- another has claimed them, it does nothing.

-- Stores vectors ('{0.1,0.2}'); never one over that of a higher position. Arrays in parallel, sorted as they were claimed. Returns how many
-- rows the token held. A change that was noted meanwhile is due from then on.
create or replace function leat.store_embeddings(p_token uuid, p_model text, p_tenants uuid[], p_entities uuid[], p_vectors text[])
returns bigint
language plpgsql set search_path = pg_catalog
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
	v_held bigint;
begin
	with held as (
		delete from leat.embedding_queue q
		using unnest(p_tenants, p_entities, p_vectors) g (tenant_id, entity_id, vector)
		where q.tenant_id = g.tenant_id and q.entity_id = g.entity_id and q.token = p_token and q.calling
		returning q.tenant_id, q.entity_id, q.position, q.input_md5, g.vector
	), stored as (
		insert into leat.embeddings as v (tenant_id, entity_id, position, model, embedding, input_md5)
		select h.tenant_id, h.entity_id, h.position, p_model, h.vector::real[], h.input_md5 from held h order by h.tenant_id, h.entity_id
		on conflict (tenant_id, entity_id) do update
		set position = excluded.position, model = excluded.model, embedding = excluded.embedding, input_md5 = excluded.input_md5,
			updated_at = now()
		where v.position <= excluded.position
	)
	select count(*) into v_held from held;
	return v_held;
end
$$;

-- Due again after p_delay_ms, in calls of at most p_most inputs (null: any number). p_error null: it was given back, not
-- tried, and other lanes are woken.
create or replace function leat.postpone_embeddings(
	p_token uuid, p_tenants uuid[], p_entities uuid[], p_delay_ms bigint, p_most integer, p_error text) returns void
language plpgsql set search_path = pg_catalog
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
begin
	update leat.embedding_queue q
	set calling = false, due_at = clock_timestamp() + p_delay_ms * interval '1 ms', most = p_most,
		attempts = q.attempts + (p_error is not null)::integer, last_error = coalesce(p_error, q.last_error)
	from unnest(p_tenants, p_entities) g (tenant_id, entity_id)
	where q.tenant_id = g.tenant_id and q.entity_id = g.entity_id and q.token = p_token and q.calling;
	if p_error is null then
		perform pg_notify('leat_embedding', '');
	end if;
end
$$;
