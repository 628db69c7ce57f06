-- Entities, what is known of the streams, the ledger, and what waits: design.md sections 3 to 5.
-- Texts that are only ever compared for equality are collated "C": a locale-aware comparison costs more than the row.

-- A position orders the intents of a stream: epoch << 40 | sequence. A message belongs to the highest epoch whose opened_at is not after
-- the message's timestamp. first_seq is the lowest sequence seen in the epoch, null until there is one.
create table leat.stream_epochs (
	stream text collate "C" not null,
	epoch integer not null,
	opened_at timestamptz not null,
	first_seq bigint,
	stream_created_at timestamptz,
	reason text not null,
	primary key (stream, epoch)
);

-- Everything at or below the position is settled. It may lag, never lead.
create table leat.stream_floors (
	stream text collate "C" primary key,
	position bigint not null,
	noted_at timestamptz not null default now()
);

-- Domains and not CHECK constraints of the tables, which Postgres would read and compile for every statement that writes to them.
create domain leat.json_object as jsonb constraint object check (jsonb_typeof(value) = 'object');
create domain leat.outcome_name as text collate "C" constraint known check (value in ('applied', 'duplicate', 'rejected'));

-- State of an entity: lib/entity/fold_set.c has the definition. content_positions and metadata_positions give the position that last wrote or
-- removed each field (a removed field stands in them alone); deleted_position is the highest delete; upsert_positions are those above it
-- that still matter, in order: the lowest (the entity exists since then) and any above the floor. None: the entity is deleted. A row that
-- direct SQL inserts exists since 0, below all intents. hidden holds what was written between the two ({"content":{},"metadata":{}}): an
-- upsert that is still on its way may bring it to light.
create table leat.entities (
	tenant_id uuid not null,
	id uuid not null,
	entity_type text collate "C" not null,
	key text collate "C",
	content leat.json_object not null default '{}',
	metadata leat.json_object not null default '{}',
	locked_fields text[] not null default '{}',
	created_at timestamptz not null default now(),
	updated_at timestamptz not null default now(),
	deleted_at timestamptz,
	last_position bigint not null default 0,
	type_position bigint not null default 0,
	deleted_position bigint not null default 0,
	upsert_positions bigint[] not null default '{0}',
	content_positions jsonb not null default '{}',
	metadata_positions jsonb not null default '{}',
	hidden jsonb,
	primary key (tenant_id, id)
) with (fillfactor = 50); -- room for the next version on the same page, so that an update touches no index

-- One row per settled intent; the activity log too.
create table leat.activity (
	stream text collate "C" not null,
	position bigint not null,
	leat_id text collate "C",
	tenant_id uuid,
	actor text,
	role text collate "C",
	noun text collate "C",
	verb text collate "C",
	target_id uuid,
	outcome leat.outcome_name not null,
	code text collate "C",
	detail jsonb,
	message_at timestamptz not null,
	at timestamptz not null default now(),
	primary key (stream, position)
);

-- Which intent used up a Leat-Id.
create table leat.message_ids (
	tenant_id uuid not null,
	leat_id text collate "C" not null,
	stream text collate "C" not null,
	position bigint not null,
	at timestamptz not null default now(),
	primary key (tenant_id, leat_id)
);

-- Acknowledged, but not decided before the floor has passed: their target may still be on its way.
create table leat.parked (
	stream text collate "C" not null,
	position bigint not null,
	message_at timestamptz not null,
	subject text not null,
	tenant_id uuid not null,
	role text not null,
	verb text not null,
	entity_id uuid,
	actor text,
	leat_id text,
	reply_to text,
	headers bytea not null,
	body bytea not null,
	parked_at timestamptz not null default now(),
	retry_at timestamptz, -- Postgres refused to decide it; null: due once the floor has passed it
	primary key (stream, position)
);

-- What is to be published because of a commit. `id` becomes Nats-Msg-Id: a UUID and no number, since a database restored from a backup would
-- count again, and the stream would take new messages for repeats. `short_body` goes out when `body` is over the server's limit; without
-- one the body is left out and a header says so.
create table leat.outbox (
	seq bigint generated always as identity primary key,
	id uuid not null default gen_random_uuid(),
	subject text not null,
	headers bytea not null default '',
	body bytea not null,
	short_body bytea,
	created_at timestamptz not null default now(),
	retry_at timestamptz -- the server refused it; null: due
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

-- Full images of the row: every column but the positions. A composite type and not jsonb: building jsonb cost a third of the drain rate.
create type leat.entity_image as (
	entity_type text,
	key text,
	content jsonb,
	metadata jsonb,
	locked_fields text[],
	created_at timestamptz,
	updated_at timestamptz,
	deleted_at timestamptz
);

-- Partitioned by time so that old parts can be dropped whole; everything lands in the default part until there are others.
create table leat.audit_log (
	at timestamptz not null default now(),
	tenant_id uuid not null,
	entity_id uuid not null,
	operation text collate "C" not null,
	position bigint,
	db_user text not null default current_user,
	old leat.entity_image,
	new leat.entity_image
) partition by range (at);
create table leat.audit_log_default partition of leat.audit_log default;

-- One row per running consumer process, written every few seconds: what `leat status` shows of it.
create table leat.processes (
	id uuid primary key,
	queue_group text not null,
	host text not null,
	pid integer not null,
	version text not null,
	started_at timestamptz not null default now(),
	seen_at timestamptz not null default now(),
	lanes jsonb not null
);
