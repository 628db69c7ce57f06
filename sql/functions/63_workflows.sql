-- Workflows: what an id means to who names it, and what an intent of the control lane makes of it.

-- A workflow as its row was at p_at, as far as its messages tell; its id is null when there was none. Versions are made one after the other.
-- Index: primary key of workflow_versions.
create or replace function leat.workflow_at(p_workflow leat.workflows, p_at timestamptz) returns leat.workflows
language plpgsql stable set search_path = pg_catalog
as $$
declare
	v_then leat.workflow_versions;
begin
	select v.* into v_then
	from leat.workflow_versions v
	where v.workflow_id = p_workflow.id and (v.created_at <= p_at or v.position = 0)
	order by v.version desc limit 1;
	if v_then.version is null then
		return null;
	end if;
	p_workflow.name := v_then.name;
	p_workflow.version := v_then.version;
	if p_workflow.deleted_at > p_at then
		p_workflow.deleted_at := null;
	end if;
	return p_workflow;
end
$$;

-- The one answer to "is this id new?", for every caller: save, delete, a run's start, queries.
--
-- p_action: `new`: whoever asks thinks that there is none yet; one that is there is `existing`, so that a save after a reconnect updates it.
-- `edit`: it must be there. `version`: so must p_version of it; null: its current one. p_permission is the action in leat.permissions() that
-- p_role and p_actor need. `new` authorises first, the others resolve first.
--
-- kind is `new`, `existing` or `version`; name and version are those of the version found, 0 for a new one; current_version is the
-- workflow's. Otherwise code and message say why not: forbidden, not_found, wrong_tenant, workflow_deleted, invalid_message.
--
-- p_at: as it was then, for a run.start that is replayed where its workflow is known already, and may have other versions by now; null: as it
-- is. What direct SQL wrote, of no position, was there always.
--
-- It tells another tenant's id from a free one, so it must see all rows: for service_role, not for users. No locks; by primary keys.
create or replace function leat.resolve_workflow_at(p_id uuid, p_tenant uuid, p_action text, p_version integer, p_permission text, p_role text,
	p_actor text, p_at timestamptz, out code text, out message text, out kind text, out name text, out version integer,
	out current_version integer)
language plpgsql stable set search_path = pg_catalog
as $$
declare
	v_forbidden constant text := leat.forbids(p_permission, p_tenant, p_role, p_actor);
	v_found leat.workflows;
	v_version leat.workflow_versions;
begin
	if p_action is null or p_action not in ('new', 'edit', 'version') then
		code := 'invalid_message';
		message := format('%L is no action; it is new, edit or version', p_action);
		return;
	elsif p_action = 'new' and v_forbidden is not null then
		code := 'forbidden';
		message := v_forbidden;
		return;
	end if;

	select w.* into v_found from leat.workflows w where w.id = p_id;
	if v_found.tenant_id = p_tenant and p_at is not null then
		v_found := leat.workflow_at(v_found, p_at);
	end if;
	if v_found.id is null and p_action = 'new' then
		kind := 'new';
		version := 0;
		current_version := 0;
		return;
	elsif v_found.id is null then
		code := 'not_found';
		message := format('there is no workflow %s', p_id);
		return;
	elsif v_found.tenant_id <> p_tenant then
		code := 'wrong_tenant';
		message := format('the id %s belongs to another tenant; take a new one', p_id);
		return;
	elsif v_found.deleted_at is not null then
		code := 'workflow_deleted';
		message := format('workflow %s was deleted; save it under another id to have it again', p_id);
		return;
	end if;

	if p_action = 'version' then
		select v.* into v_version
		from leat.workflow_versions v
		where v.workflow_id = p_id and v.version = coalesce(p_version, v_found.version) and (p_at is null or v.version <= v_found.version);
		if v_version.version is null then
			code := 'not_found';
			message := format('workflow %s has no version %s; its current version is %s', p_id, coalesce(p_version, v_found.version),
				v_found.version);
			return;
		end if;
	end if;
	if v_forbidden is not null then
		code := 'forbidden';
		message := v_forbidden;
		return;
	end if;
	kind := case p_action when 'version' then 'version' else 'existing' end;
	name := coalesce(v_version.name, v_found.name);
	version := coalesce(v_version.version, v_found.version);
	current_version := v_found.version;
end
$$;

-- The same as it is now.
create or replace function leat.resolve_workflow(p_id uuid, p_tenant uuid, p_action text, p_version integer, p_permission text, p_role text,
	p_actor text, out code text, out message text, out kind text, out name text, out version integer, out current_version integer)
language sql stable set search_path = pg_catalog
as $$
	select * from leat.resolve_workflow_at(p_id, p_tenant, p_action, p_version, p_permission, p_role, p_actor, null)
$$;

-- How a save or delete ends whose row direct SQL changed after it was resolved: nothing was written.
create or replace function leat.workflow_conflict(p_intent leat.control_intent) returns leat.decision
language plpgsql set search_path = pg_catalog
as $$
declare
	v_now record;
begin
	select * into v_now
	from leat.resolve_workflow(p_intent.target, p_intent.tenant, 'edit', null, 'workflow.' || p_intent.verb, p_intent.role, p_intent.actor);
	if v_now.code in ('wrong_tenant', 'workflow_deleted') then
		return row(v_now.code, v_now.message, null)::leat.decision;
	end if;
	return row('conflict', format('workflow %s was written by somebody else at the same time, its current version is %s; read it and publish again',
		p_intent.target, coalesce(v_now.current_version, 0)), null)::leat.decision;
end
$$;

-- One more version of it, the first of a new one. Updates find their row as it was resolved, or not at all; an insert waits for whoever
-- inserts the same id, and gives way.
create or replace function leat.save_workflow(p_intent leat.control_intent) returns leat.decision
language plpgsql set search_path = pg_catalog
as $$
declare
	v_expected constant integer := p_intent.body ->> 'expected_version';
	v_name constant text := p_intent.body ->> 'name';
	v_found record;
	v_version integer;
begin
	select * into v_found
	from leat.resolve_workflow(p_intent.target, p_intent.tenant, p_intent.body ->> 'action', null, 'workflow.save', p_intent.role, p_intent.actor);
	if v_found.code is not null then
		return row(v_found.code, v_found.message, null)::leat.decision;
	elsif v_expected <> v_found.version then
		return row('conflict', case v_found.kind
			when 'new' then format('workflow %s is not there yet, its current version is 0, not %s; leave out expected_version to create it',
				p_intent.target, v_expected)
			else format('the current version of workflow %s is %s, not %s; read it, make your change in that and save with expected_version %s',
				p_intent.target, v_found.version, v_expected, v_found.version) end, null)::leat.decision;
	end if;

	if v_found.kind = 'new' then
		v_version := 1;
		insert into leat.workflows (id, tenant_id, name, version, position, created_at, updated_at)
		values (p_intent.target, p_intent.tenant, v_name, v_version, p_intent.position, p_intent.at, p_intent.at);
	else
		update leat.workflows w
		set name = v_name, version = w.version + 1, position = p_intent.position, updated_at = p_intent.at
		where w.id = p_intent.target and w.tenant_id = p_intent.tenant and w.version = v_found.version and w.deleted_at is null
		returning w.version into v_version;
		if v_version is null then
			return leat.workflow_conflict(p_intent);
		end if;
	end if;
	insert into leat.workflow_versions (workflow_id, version, tenant_id, name, definition, position, actor, created_at)
	values (p_intent.target, v_version, p_intent.tenant, v_name, p_intent.body -> 'definition', p_intent.position, p_intent.actor, p_intent.at);
	return row(null, null,
		jsonb_build_object('workflow_id', p_intent.target, 'kind', v_found.kind, 'version', v_version))::leat.decision;
exception when unique_violation then
	return leat.workflow_conflict(p_intent);
end
$$;

-- Soft: its versions stay, for runs that are pinned to them.
create or replace function leat.delete_workflow(p_intent leat.control_intent) returns leat.decision
language plpgsql set search_path = pg_catalog
as $$
declare
	v_found record;
begin
	select * into v_found
	from leat.resolve_workflow(p_intent.target, p_intent.tenant, 'edit', null, 'workflow.delete', p_intent.role, p_intent.actor);
	if v_found.code is not null then
		return row(v_found.code, v_found.message, null)::leat.decision;
	end if;
	update leat.workflows w
	set deleted_at = p_intent.at, position = p_intent.position, updated_at = p_intent.at
	where w.id = p_intent.target and w.tenant_id = p_intent.tenant and w.version = v_found.version and w.deleted_at is null;
	if not found then
		return leat.workflow_conflict(p_intent);
	end if;
	return row(null, null, jsonb_build_object('workflow_id', p_intent.target, 'version', v_found.version))::leat.decision;
end
$$;

-- Decides workflow.save and workflow.delete. A decision with a code has changed nothing.
create or replace function leat.decide_workflow(p_intent leat.control_intent) returns leat.decision
language plpgsql set search_path = pg_catalog
as $$
begin
	case p_intent.verb
		when 'save' then return leat.save_workflow(p_intent);
		when 'delete' then return leat.delete_workflow(p_intent);
	end case;
end
$$;

-- A run is pinned to its version, and events and copies name it: what it was is what it stays, whoever asks.
create or replace function leat.refuse_version_change() returns trigger
language plpgsql security definer set search_path = pg_catalog
as $$
begin
	raise exception using errcode = 'restrict_violation',
		message = format('%s of leat.workflow_versions is refused: runs are pinned to these rows', lower(tg_op)),
		hint = 'Save the workflow instead, which makes a new version.';
end
$$;

create or replace trigger immutable before update or delete or truncate on leat.workflow_versions
for each statement execute function leat.refuse_version_change();
