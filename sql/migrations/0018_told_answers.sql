-- What became of questions, as it was told to the runs that wait for them: kept until the keeper has seen that it arrived. A run.node that was
-- lost with the outbox, as when the database is lost before the relay sent it, is told again from here (sql/functions/84_run_answers.sql).
create table leat.told_answers (
	tenant_id uuid not null,
	interaction_id uuid not null,
	run_id uuid not null,
	node_id text collate "C" not null,
	attempt integer not null, -- that asked
	headers bytea not null,
	body bytea not null,
	told_at timestamptz not null default now(),
	due_at timestamptz not null default now() + interval '1 minute', -- when the keeper looks
	primary key (tenant_id, interaction_id)
);
create index told_answers_due on leat.told_answers (due_at);
alter table leat.told_answers enable row level security;
create policy service on leat.told_answers to service_role using (true) with check (true);
