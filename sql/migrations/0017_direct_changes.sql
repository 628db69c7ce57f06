-- What leat.update_node_state, leat.claim_interaction and leat.withdraw_interaction changed past the streams: without this nobody could tell it
-- from a row that is wrong. One row a thing, however often; at: of the last call, give or take an hour.
create table leat.direct_changes (
	noun text collate "C" not null,
	tenant_id uuid not null,
	id uuid not null,
	at timestamptz not null default now(),
	primary key (noun, tenant_id, id)
);
create index direct_changes_to_forget on leat.direct_changes (noun, at);
alter table leat.direct_changes enable row level security;
create policy service on leat.direct_changes to service_role using (true) with check (true);

-- Of the intent that changed it last, as other tables have it; 0: direct SQL wrote it, or an intent of before there was this column.
alter table leat.members add column position bigint not null default 0;
