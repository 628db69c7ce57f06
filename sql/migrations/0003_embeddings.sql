-- Embeddings of entities: design.md section 5, last paragraph. Nothing fills these tables before leat.start_embedding().

-- One vector an entity: that of its state at `position`. input_md5 is of the text that was embedded; while that stays the same, nothing is
-- called again.
create table leat.embeddings (
	tenant_id uuid not null,
	entity_id uuid not null,
	position bigint not null,
	model text not null,
	embedding real[] not null,
	input_md5 uuid not null,
	created_at timestamptz not null default now(),
	updated_at timestamptz not null default now(),
	primary key (tenant_id, entity_id)
);

-- Entities that changed since the lane last took them in: all that whoever changes an entity ever touches. The lane skips a row that is
-- locked, and locks none for longer than a moment, so that neither waits for the other. gone: the entity was removed by a DELETE, so that
-- its embedding is that of another one, whatever its position.
create table leat.embedding_changes (
	tenant_id uuid not null,
	entity_id uuid not null,
	gone boolean not null default false,
	noted_at timestamptz not null default now(),
	primary key (tenant_id, entity_id)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
create index on leat.embedding_changes (noted_at);

-- What is to be embedded: only the lanes write here. Called for under a lease (calling, and due_at is its end) that `token` proves; else
-- due at due_at. position and input_md5 are those of the input that was handed out. most: how many inputs a call with this one may have,
-- null for any number, 0 for alone since it was refused alone.
create table leat.embedding_queue (
	tenant_id uuid not null,
	entity_id uuid not null,
	due_at timestamptz not null,
	calling boolean not null default false,
	token uuid,
	position bigint,
	input_md5 uuid,
	gone boolean not null default false,
	most integer,
	attempts integer not null default 0,
	last_error text,
	primary key (tenant_id, entity_id)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
create index on leat.embedding_queue (due_at);

-- One row while embedding is on, whether a lane runs or not. Up to the entity (filled_tenant, filled_entity) all that were there before have
-- been queued; filled: all.
create table leat.embedding_state (
	only_one boolean primary key default true check (only_one),
	model text not null,
	filled_tenant uuid not null default '00000000-0000-0000-0000-000000000000',
	filled_entity uuid not null default '00000000-0000-0000-0000-000000000000',
	filled boolean not null default false,
	started_at timestamptz not null default now()
);

create policy tenant on leat.embeddings for select to authenticated using (tenant_id = (select leat.current_tenant()));
do $$
declare
	v_table text;
begin
	foreach v_table in array array['embeddings', 'embedding_changes', 'embedding_queue', 'embedding_state'] loop
		execute format('alter table leat.%I enable row level security', v_table);
		execute format('create policy service on leat.%I to service_role using (true) with check (true)', v_table);
	end loop;
end
$$;
grant select on leat.embeddings to authenticated;
grant select, insert, update, delete on leat.embeddings, leat.embedding_changes, leat.embedding_queue to service_role;
grant select, update on leat.embedding_state to service_role;
