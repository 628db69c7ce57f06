-- Embedding, on and off. Off, there is no trigger and it costs nothing. On, the triggers stay when the lane does not run, so that an outage
-- of any length loses no change: at most one row an entity waits.

-- All that must not happen at once, each in a moment: claims, switching on and off.
create or replace function leat.lock_embedding() returns void
language plpgsql set search_path = pg_catalog
as $$
begin
	perform pg_advisory_xact_lock(hashtext('leat.embedding'), 0);
end
$$;

-- Notes entities whose text is another one now. A row that is there already is locked and not written (`where false`): the lane then leaves it
-- alone until this transaction has ended, and reads the entity after that. A full join, which no plan can make a nested loop of.
create or replace function leat.note_embedding_changes() returns trigger
language plpgsql security definer set search_path = pg_catalog
as $$
declare
	v_any boolean;
begin
	if tg_op = 'INSERT' then
		insert into leat.embedding_changes as c (tenant_id, entity_id)
		select n.tenant_id, n.id from new_rows n where n.deleted_at is null order by n.tenant_id, n.id
		on conflict (tenant_id, entity_id) do update set gone = c.gone where false;
		v_any := exists (select from new_rows n where n.deleted_at is null);
	elsif tg_op = 'UPDATE' then
		with changed as materialized (
			select coalesce(n.tenant_id, o.tenant_id) as tenant_id, coalesce(n.id, o.id) as id, n.id is null as gone
			from old_rows o full join new_rows n on n.tenant_id = o.tenant_id and n.id = o.id
			where n.content is distinct from o.content or n.entity_type is distinct from o.entity_type
				or n.deleted_at is distinct from o.deleted_at or n.id is null or o.id is null
		), noted as (
			insert into leat.embedding_changes as c (tenant_id, entity_id, gone)
			select h.tenant_id, h.id, h.gone from changed h order by h.tenant_id, h.id
			on conflict (tenant_id, entity_id) do update set gone = true where excluded.gone and not c.gone
		)
		select count(*) > 0 into v_any from changed;
	elsif tg_op = 'DELETE' then
		insert into leat.embedding_changes as c (tenant_id, entity_id, gone)
		select o.tenant_id, o.id, true from old_rows o order by o.tenant_id, o.id
		on conflict (tenant_id, entity_id) do update set gone = true where not c.gone;
		v_any := exists (select from old_rows);
	else -- TRUNCATE: what the lane knows of
		insert into leat.embedding_changes as c (tenant_id, entity_id, gone)
		select k.tenant_id, k.entity_id, true
		from (select v.tenant_id, v.entity_id from leat.embeddings v union select q.tenant_id, q.entity_id from leat.embedding_queue q) k
		order by k.tenant_id, k.entity_id
		on conflict (tenant_id, entity_id) do update set gone = true where not c.gone;
		v_any := true;
	end if;
	if v_any then
		perform pg_notify('leat_embedding', '');
	end if;
	return null;
end
$$;

create or replace function leat.has_embedding_triggers() returns boolean
language sql stable set search_path = pg_catalog
return (select count(*) = 4 from pg_trigger t
	where t.tgrelid = 'leat.entities'::regclass and t.tgname in ('embed_insert', 'embed_update', 'embed_delete', 'embed_truncate'));

-- On, with this model; nothing happens when it is. Every lane calls it once, when it starts. With another model than before, or after it was off,
-- every entity is queued again, a part at a time (leat.fill_embedding_queue), and what comes of calls under way is not stored.
-- Creating the triggers waits for writers and holds up those that come then, hence the limit.
create or replace function leat.start_embedding(p_model text) returns void
language plpgsql security definer set search_path = pg_catalog set lock_timeout = '5s'
as $$
begin
	perform leat.lock_embedding();
	if leat.has_embedding_triggers() and exists (select from leat.embedding_state s where s.model = p_model) then
		return;
	end if;
	if not leat.has_embedding_triggers() then
		create or replace trigger embed_insert after insert on leat.entities
		referencing new table as new_rows for each statement execute function leat.note_embedding_changes();
		create or replace trigger embed_update after update on leat.entities
		referencing old table as old_rows new table as new_rows for each statement execute function leat.note_embedding_changes();
		create or replace trigger embed_delete after delete on leat.entities
		referencing old table as old_rows for each statement execute function leat.note_embedding_changes();
		create or replace trigger embed_truncate before truncate on leat.entities
		for each statement execute function leat.note_embedding_changes();
	end if;
	delete from leat.embedding_queue;
	delete from leat.embedding_state;
	insert into leat.embedding_state (model) values (p_model);
	perform pg_notify('leat_embedding', '');
end
$$;

-- Off: no trigger, nothing queued. What is in leat.embeddings stays; switched on again, what has not changed is not embedded again.
-- Lanes that still run do nothing from then on, until they are started again.
create or replace function leat.stop_embedding() returns void
language plpgsql security definer set search_path = pg_catalog set lock_timeout = '5s'
as $$
begin
	perform leat.lock_embedding();
	drop trigger if exists embed_insert on leat.entities;
	drop trigger if exists embed_update on leat.entities;
	drop trigger if exists embed_delete on leat.entities;
	drop trigger if exists embed_truncate on leat.entities;
	delete from leat.embedding_changes;
	delete from leat.embedding_queue;
	delete from leat.embedding_state;
	perform pg_notify('leat_embedding', '');
end
$$;
