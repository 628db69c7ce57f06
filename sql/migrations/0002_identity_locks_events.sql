-- Who may see and write what; locks; what events and the audit log say of an intent. design.md sections 3 to 5.

-- On Supabase both exist. Two databases of one cluster may be migrated at once.
do $$
declare
	v_role text;
begin
	foreach v_role in array array['authenticated', 'service_role'] loop
		continue when exists (select from pg_roles where rolname = v_role);
		begin
			execute format('create role %I nologin', v_role);
		exception
			when duplicate_object or unique_violation then null;
			when insufficient_privilege then
				raise exception using errcode = 'insufficient_privilege',
					message = format('there is no role %1$s, and %2$s may not create it; run CREATE ROLE %1$s NOLOGIN as a superuser', v_role, current_user);
		end;
	end loop;
end
$$;

-- Whose rows a user sees: what the gateway's claims say or, where there are none, what a lane has set for this transaction. Null, which
-- matches no row, when neither names a tenant; claims that are no JSON are an error.
create function leat.current_tenant() returns uuid
language plpgsql stable parallel safe set search_path = pg_catalog
as $$
declare
	v_claims constant jsonb := nullif(current_setting('request.jwt.claims', true), '')::jsonb;
	v_tenant constant text := case
		when v_claims is null then current_setting('leat.tenant_id', true)
		else coalesce(v_claims ->> 'tenant_id', v_claims #>> '{app_metadata,tenant_id}')
	end;
begin
	if v_tenant ~* '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' then
		return v_tenant;
	end if;
	return null;
end
$$;

-- Locks converge as fields do: lock_positions gives the position that last locked or unlocked each; locked_fields are those last locked.
alter table leat.entities add column lock_positions jsonb not null default '{}';

alter table leat.activity add column traceparent text;
alter table leat.parked add column traceparent text;
alter table leat.audit_log add column actor text;

-- The type of a CloudEvent, of which body is the data; null: a plain message.
alter table leat.outbox add column event text collate "C";

-- Tenants are walls. The sub-select makes it one look at the setting a statement, not one a row.
alter table leat.entities enable row level security;
create policy tenant on leat.entities to authenticated
	using (tenant_id = (select leat.current_tenant())) with check (tenant_id = (select leat.current_tenant()));
create policy service on leat.entities to service_role using (true) with check (true);

do $$
declare
	v_table text;
begin
	foreach v_table in array array['activity', 'message_ids', 'parked', 'outbox', 'audit_log', 'audit_log_default'] loop
		execute format('alter table leat.%I enable row level security', v_table);
		execute format('create policy service on leat.%I to service_role using (true) with check (true)', v_table);
	end loop;
end
$$;

-- What sql/functions made before this and makes otherwise from now on.
drop function if exists leat.audit_entities() cascade;
drop type if exists leat.entity_groups cascade;
drop function if exists
	leat.apply_entity_intents(text, bigint[], timestamptz[], text[], uuid[], text[], text[], uuid[], text[], text[], text[], bytea[], bytea[],
		text[], text[], bigint),
	leat.apply_entity_intent(text, bigint, timestamptz, text, uuid, text, text, uuid, text, text, text, bytea, bytea, text, text, bigint),
	leat.settle_entity_intents(text, bigint, boolean, bigint, bigint[], bigint[], timestamptz[], text[], uuid[], text[], text[], uuid[], text[],
		text[], text[], bytea[], bytea[], text[], text[]),
	leat.merge_single(text, bigint, timestamptz, uuid, text, uuid, text, text, jsonb),
	leat.write_raw_intent(uuid, text, uuid, bigint, bytea, bigint, boolean);
