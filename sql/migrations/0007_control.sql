-- Members, workflows and questions: design.md sections 6 and 7. What the control lane writes, in the order of its stream (sql/functions/62
-- and after). Times are those of the messages, so that a replay yields the same.

create table leat.members (
	tenant_id uuid not null,
	user_id uuid not null,
	role text collate "C" not null constraint known check (role in ('owner', 'admin', 'editor', 'viewer')),
	created_at timestamptz not null default now(),
	updated_at timestamptz not null default now(),
	primary key (tenant_id, user_id)
);

-- One id space for all tenants: another's id is wrong_tenant, and never a second workflow. version is the current one.
create table leat.workflows (
	id uuid primary key,
	tenant_id uuid not null,
	name text not null,
	version integer not null,
	position bigint not null default 0, -- of the intent that changed it last
	created_at timestamptz not null default now(),
	updated_at timestamptz not null default now(),
	deleted_at timestamptz
);
create index workflows_of_tenant on leat.workflows (tenant_id, id);

-- Never changed and never deleted: a run is pinned to its version.
create table leat.workflow_versions (
	workflow_id uuid not null references leat.workflows (id),
	version integer not null,
	tenant_id uuid not null,
	name text not null,
	definition leat.json_object not null,
	position bigint not null default 0,
	actor text,
	created_at timestamptz not null default now(),
	primary key (workflow_id, version)
);

-- A question to a person. Whoever sets claimed_at has won it. swept_at: an intent to expire it was published then.
create table leat.interactions (
	tenant_id uuid not null,
	id uuid not null,
	connection_id text not null,
	expected_user_id uuid not null,
	payload jsonb not null,
	run_id uuid,
	node_id text collate "C",
	status text collate "C" not null default 'open' constraint known check (status in ('open', 'answered', 'expired')),
	value jsonb,
	position bigint not null default 0,
	created_at timestamptz not null default now(),
	asked_at timestamptz not null default now(),
	expires_at timestamptz not null default now() + interval '24 hours',
	claimed_at timestamptz,
	swept_at timestamptz,
	primary key (tenant_id, id),
	constraint claimed_once check ((status = 'answered') = (claimed_at is not null))
);
create index interactions_to_expire on leat.interactions (expires_at) where status = 'open';
create index interactions_of_user on leat.interactions (tenant_id, expected_user_id, created_at, id) where status = 'open';

-- Who acts: what the gateway's claims say or, where there are none, what a lane has set for this transaction.
create function leat.current_user_id() returns uuid
language plpgsql stable parallel safe set search_path = pg_catalog
as $$
declare
	v_claims constant jsonb := nullif(current_setting('request.jwt.claims', true), '')::jsonb;
	v_user constant text := case when v_claims is null then current_setting('leat.user_id', true) else v_claims ->> 'sub' end;
begin
	if v_user ~* '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' then
		return v_user;
	end if;
	return null;
end
$$;

-- The role of who acts in the tenant whose rows are seen; null for no member. Owner's right: a policy that reads leat.members can't be one
-- of leat.members otherwise.
create function leat.current_member_role() returns text
language sql stable parallel safe security definer set search_path = pg_catalog
return (select m.role from leat.members m where m.tenant_id = leat.current_tenant() and m.user_id = leat.current_user_id());

-- A user reads what members may read, and the questions to that user; all of it is written by the control lane.
do $$
declare
	v_table text;
begin
	foreach v_table in array array['members', 'workflows', 'workflow_versions', 'interactions'] loop
		execute format('alter table leat.%I enable row level security', v_table);
		execute format('create policy service on leat.%I to service_role using (true) with check (true)', v_table);
	end loop;
	foreach v_table in array array['members', 'workflows', 'workflow_versions'] loop
		execute format('create policy member on leat.%I for select to authenticated using (
			tenant_id = (select leat.current_tenant()) and (select leat.current_member_role()) is not null)', v_table);
	end loop;
end
$$;
create policy asked on leat.interactions for select to authenticated using (
	tenant_id = (select leat.current_tenant()) and expected_user_id = (select leat.current_user_id()));

alter table leat.parked add column noun text collate "C" not null default 'entity';
