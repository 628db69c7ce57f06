-- Who may do what to workflows, members, questions and runs: one table, which every decision asks.

-- users: the least role in leat.members that a person needs; `anyone`: none; null: no person may, whatever the role. service: may the
-- tenant's services. Leat's own processes (`engine`) may do everything.
create or replace function leat.permissions() returns table (action text, users text, service boolean)
language sql immutable parallel safe -- nothing is set: so it becomes a part of the query that asks
begin atomic
	values
		('workflow.save', 'editor', true),
		('workflow.delete', 'editor', true),
		('workflow.read', 'viewer', true),
		('member.set', 'admin', true),
		('member.remove', 'admin', true),
		('interaction.ask', null, true),
		('interaction.answer', 'anyone', true),
		('interaction.withdraw', null, true),
		('interaction.expire', null, false),
		('interaction.list', 'anyone', true),
		('run.start', 'editor', true),
		('run.retry', 'editor', true),
		('run.cancel', 'editor', true),
		('run.resume', 'editor', true),
		('run.node', null, true), -- services for worker nodes only: leat.fold_run
		('run.read', 'viewer', true),
		('run.heartbeat', null, true),
		('entity.get', 'anyone', true);
end;

-- Why p_role, for a user p_actor, may not do that; null: it is allowed. An action that the table does not have is nobody's.
create or replace function leat.forbids(p_action text, p_tenant uuid, p_role text, p_actor text) returns text
language plpgsql stable set search_path = pg_catalog
as $$
declare
	v_order constant text[] := array['viewer', 'editor', 'admin', 'owner'];
	v_users text;
	v_service boolean;
	v_member text;
begin
	if p_role = 'engine' then
		return null;
	end if;
	select p.users, p.service into v_users, v_service from leat.permissions() p where p.action = p_action;
	if p_role = 'service' and v_service then
		return null;
	elsif p_role is distinct from 'user' then
		return format('%s is not for the role %s', p_action, coalesce(p_role, 'that is none'));
	elsif v_users is null then
		return format('%s is not for users', p_action);
	elsif p_actor is null or p_actor !~* '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' then
		return format('%s needs the user''s id, a UUID, in Leat-Actor', p_action);
	elsif v_users = 'anyone' then
		return null;
	end if;
	v_member := (select m.role from leat.members m where m.tenant_id = p_tenant and m.user_id = p_actor::uuid);
	if array_position(v_order, v_member) >= array_position(v_order, v_users) then
		return null;
	end if;
	return format('%s needs a member who is %s or above; %s is %s', p_action, v_users, p_actor, coalesce(v_member, 'no member'));
end
$$;
