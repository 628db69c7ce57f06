-- The plan of a version in one row, which is all that a fact of a run has to read of it: leat.workflow_nodes as arrays by ord. Filled by a
-- trigger there. needs, feeds: the texts of integer[], since SQL has no ragged arrays. split: below which one a node stands; partner: of a split
-- its collect, of a collect its split. No row: the version cannot run.
create table leat.workflow_plans (
	workflow_id uuid not null,
	version integer not null,
	ids text[] collate "C" not null,
	types text[] collate "C" not null,
	needs text[] not null,
	feeds text[] not null,
	split integer[] not null,
	partner integer[] not null,
	primary key (workflow_id, version),
	foreign key (workflow_id, version) references leat.workflow_versions (workflow_id, version)
);
alter table leat.workflow_plans enable row level security;
create policy service on leat.workflow_plans to service_role using (true) with check (true);

-- With the functions that took it: they take the row.
drop type if exists leat.run_plan cascade;

-- States of many items are written again with every fact: most of that was to compress them. Where Postgres was built without lz4, it stays.
do $$
begin
	alter table leat.runs alter column node_states set compression lz4;
exception when feature_not_supported then null;
end
$$;
