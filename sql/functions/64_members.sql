-- Members: who belongs to a tenant, and as what.

-- Why a user may not do that to a member, whatever leat.permissions() allows; null: it is allowed. p_becomes null: no member any more. What
-- concerns an owner is for owners, and one of them stays: only a service can leave a tenant without.
create or replace function leat.forbids_ownership(p_tenant uuid, p_actor uuid, p_user uuid, p_was text, p_becomes text) returns text
language plpgsql stable set search_path = pg_catalog
as $$
begin
	if coalesce(p_was, '') <> 'owner' and coalesce(p_becomes, '') <> 'owner' then
		return null;
	elsif not exists (select from leat.members m where m.tenant_id = p_tenant and m.user_id = p_actor and m.role = 'owner') then
		return format('only an owner may make, change or remove an owner; %s is none', p_actor);
	elsif p_was = 'owner' and p_becomes is distinct from 'owner'
		and not exists (select from leat.members m where m.tenant_id = p_tenant and m.user_id <> p_user and m.role = 'owner') then
		return format('%s is the last owner; make somebody else an owner first', p_user);
	end if;
	return null;
end
$$;

-- Decides member.set and member.remove. A decision with a code has changed nothing. Members by their primary key; owners by its first part.
create or replace function leat.decide_member(p_intent leat.control_intent) returns leat.decision
language plpgsql set search_path = pg_catalog
as $$
declare
	v_becomes constant text := case p_intent.verb when 'set' then p_intent.body ->> 'role' end;
	v_forbidden text := leat.forbids('member.' || p_intent.verb, p_intent.tenant, p_intent.role, p_intent.actor);
	v_was text;
	v_position bigint;
begin
	if v_forbidden is not null then
		return row('forbidden', v_forbidden, null)::leat.decision;
	end if;
	select m.role, m.position into v_was, v_position from leat.members m where m.tenant_id = p_intent.tenant and m.user_id = p_intent.target for update;
	if p_intent.verb = 'remove' and v_was is null then
		return row('not_found', format('%s is no member of this tenant', p_intent.target), null)::leat.decision;
	elsif p_intent.role = 'user' then
		v_forbidden := leat.forbids_ownership(p_intent.tenant, p_intent.actor::uuid, p_intent.target, v_was, v_becomes);
		if v_forbidden is not null then
			return row('forbidden', v_forbidden, null)::leat.decision;
		end if;
	end if;

	case p_intent.verb
		when 'set' then
			insert into leat.members as m (tenant_id, user_id, role, position, created_at, updated_at)
			values (p_intent.tenant, p_intent.target, v_becomes, p_intent.position, p_intent.at, p_intent.at)
			on conflict (tenant_id, user_id) do update
			set role = excluded.role, position = excluded.position, updated_at = excluded.updated_at;
			if v_position = 0 then -- direct SQL inserted it, and the row won't tell any more
				perform leat.note_direct_change('member_inserted', p_intent.tenant, p_intent.target);
			end if;
		when 'remove' then
			delete from leat.members m where m.tenant_id = p_intent.tenant and m.user_id = p_intent.target;
	end case;
	return row(null, null, jsonb_build_object('user_id', p_intent.target, 'role', coalesce(v_becomes, v_was)))::leat.decision;
end
$$;
