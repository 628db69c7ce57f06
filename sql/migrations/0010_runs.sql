-- Runs of workflows: design.md section 6. A run is the fold of its facts in LEAT_RUN over the plan of its workflow's version
-- (sql/functions/71 and after); claims are outside of it.

-- A version as the run lane reads it, one row a node, so that readiness needs no walk over the graph. Filled by a trigger on
-- leat.workflow_versions. ord: topological, from 1; needs, feeds: the nodes before and behind it; needs_at, feeds_at: the same by ord.
-- split: the split that it runs below, once per item; null: it runs once. collect: of a split, what ends it; of a collect, its split.
create table leat.workflow_nodes (
	workflow_id uuid not null,
	version integer not null,
	node_id text collate "C" not null,
	ord integer not null,
	type text collate "C" not null,
	params jsonb not null, -- the node's members but for id and type
	needs text[] not null,
	feeds text[] not null,
	needs_at integer[] not null,
	feeds_at integer[] not null,
	split text collate "C",
	collect text collate "C",
	primary key (workflow_id, version, ord),
	foreign key (workflow_id, version) references leat.workflow_versions (workflow_id, version)
);

-- node_states: {"<node>" or "<node>[<item>]": {"status","output","error","attempt","generation","started_at","finished_at"}}. Its times are
-- those of messages, and so are created_at, updated_at and finished_at: a replay yields the same. ready_since is the database's time: since
-- then there is a node that could be claimed; null: none. generation: how often it was retried. One id space for all tenants.
create table leat.runs (
	id uuid primary key,
	tenant_id uuid not null,
	workflow_id uuid not null,
	version integer not null,
	agent_id text collate "C",
	entity_id uuid,
	status text collate "C" not null default 'pending',
	input jsonb not null default '{}',
	node_states leat.json_object not null default '{}',
	generation integer not null default 0,
	position bigint not null default 0, -- of the fact that changed it last
	created_at timestamptz not null default now(),
	updated_at timestamptz not null default now(),
	finished_at timestamptz,
	ready_since timestamptz,
	actor text,
	traceparent text,
	foreign key (workflow_id, version) references leat.workflow_versions (workflow_id, version),
	constraint known check (status in ('pending', 'running', 'waiting', 'completed', 'failed', 'cancelled')),
	constraint known_states check (jsonb_path_query_array(node_states, '$.*.status')
		<@ '["pending", "running", "waiting", "completed", "failed", "skipped", "cancelled"]'),
	constraint over_when_finished check ((status in ('completed', 'failed', 'cancelled')) = (finished_at is not null)),
	constraint nothing_under_way check (finished_at is null
		or not jsonb_path_query_array(node_states, '$.*.status') ?| '{pending,running,waiting}'),
	constraint all_completed check (status <> 'completed' or jsonb_path_query_array(node_states, '$.*.status') <@ '["completed"]'),
	constraint only_waiting check (status <> 'waiting' or not jsonb_path_query_array(node_states, '$.*.status') ? 'running')
) with (fillfactor = 50); -- room for the next version on the same page, so that an update touches no index

create index runs_of_tenant on leat.runs (tenant_id, created_at, id);
create index runs_of_agent on leat.runs (tenant_id, agent_id) where agent_id is not null;
create index runs_of_workflow on leat.runs (workflow_id, version);
-- What the keeper looks through. Idle ones, waiting for people, are not among them.
create index runs_under_way on leat.runs (id) where status in ('pending', 'running');

-- Who calls for a node now: outside of the fold, by the database's time. A holder whose attempt is not the row's has lost it.
create table leat.claims (
	run_id uuid not null,
	node_id text collate "C" not null,
	tenant_id uuid not null,
	owner uuid not null,
	attempt integer not null,
	generation integer not null,
	claimed_at timestamptz not null default now(),
	leased_until timestamptz not null,
	primary key (run_id, node_id)
);
create index claims_to_reap on leat.claims (leased_until);

do $$
declare
	v_table text;
begin
	foreach v_table in array array['workflow_nodes', 'runs', 'claims'] loop
		execute format('alter table leat.%I enable row level security', v_table);
		execute format('create policy service on leat.%I to service_role using (true) with check (true)', v_table);
	end loop;
end
$$;
create policy member on leat.runs for select to authenticated using (
	tenant_id = (select leat.current_tenant()) and (select leat.current_member_role()) is not null);

-- What was put aside holds back the later facts of its run.
create index parked_aside on leat.parked (stream, entity_id) where retry_at is not null;

-- They have the names leat.lock_ordered and leat.ordered_mark now, since two lanes share them.
drop function if exists leat.lock_control(text), leat.control_mark(text, bigint);
