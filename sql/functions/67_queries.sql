-- Queries: what the query lane asks for those who ask it (design.md section 3). Nothing here writes, but for run.heartbeat.
--
-- Who may is asked first, as service_role. Then rows are read: for a user as authenticated, with that tenant and user set, so that policies
-- show what a user sees and nothing else; for services and Leat itself as service_role, with the tenant in every predicate. What was read is
-- made an answer as service_role again.

drop function if exists leat.answer_query(uuid, text, text, text, text, uuid, jsonb, bigint),
	leat.answer_queries(uuid[], text[], text[], text[], text[], uuid[], bytea[], bigint);

-- The answer, as JSON text; those about runs are in 67_run_queries.sql. p_lease_ms: what a heartbeat gets. Indexes: the primary keys;
-- workflows_of_tenant; interactions_of_user, interactions_in_order.
create or replace function leat.answer_query(p_tenant uuid, p_role text, p_actor text, p_noun text, p_verb text, p_target uuid, p_body jsonb,
	p_bytes bigint, p_lease_ms bigint) returns text
language plpgsql set search_path = pg_catalog
as $$
declare
	v_query constant text := p_noun || '.' || p_verb;
	v_ours constant text := current_setting('role');
	v_uuid constant text := '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}';
	v_limit constant integer := coalesce((p_body ->> 'limit')::numeric, 100);
	v_version integer := (p_body ->> 'version')::numeric;
	v_after constant text := p_body ->> 'after';
	v_cursor constant text := case v_query
		when 'workflow.get' then '\d{1,9}\.\d{1,9}'
		when 'workflow.list' then v_uuid
		when 'interaction.list' then '\d{1,16}\.' || v_uuid
		else '[123]\.[0-9a-f]{64}' end;
	v_after_id uuid;
	v_after_time timestamptz;
	v_forbidden text;
	v_found record;
	v_saved leat.workflow_versions;
	v_entity leat.entities;
	v_workflows leat.workflows[];
	v_interactions leat.interactions[];
begin
	if p_noun = 'run' then
		return leat.answer_run_query(p_tenant, p_role, p_actor, p_verb, p_target, p_body, p_bytes, p_lease_ms);
	elsif v_after !~ ('^' || v_cursor || '$') then
		return leat.refused('invalid_message', 'after: expected the text of next in an answer to the same query');
	end if;

	-- may they?
	if v_query in ('workflow.resolve', 'workflow.get') then
		if v_version is not null and p_body ->> 'action' <> 'version' then
			return leat.refused('invalid_message', 'workflow.resolve takes version only with action version');
		end if;
		select * into v_found
		from leat.resolve_workflow(p_target, p_tenant,
			coalesce(p_body ->> 'action', case when v_version is null then 'edit' else 'version' end), v_version, 'workflow.read', p_role, p_actor);
		if v_found.code is not null then
			return leat.refused(v_found.code, v_found.message);
		elsif v_query = 'workflow.resolve' then
			return '{"status":"ok","result":{"kind":"' || v_found.kind || '","workflow_id":"' || p_target || '"'
				|| case when v_found.kind = 'new' then '' else leat.member_text('name', v_found.name) end
				|| ',"version":' || v_found.version || '}}';
		end if;
		-- the pages of one definition are of one version, whatever was saved since the first
		v_version := coalesce(v_version, split_part(v_after, '.', 1)::integer, v_found.version);
		if v_after is not null and v_version <> split_part(v_after, '.', 1)::integer then
			return leat.refused('invalid_message', 'after: it is of another version than version says');
		end if;
	else
		v_forbidden := leat.forbids(case v_query when 'workflow.list' then 'workflow.read' else v_query end, p_tenant, p_role, p_actor);
		if v_forbidden is not null then
			return leat.refused('forbidden', v_forbidden);
		end if;
	end if;
	if v_query = 'workflow.list' then
		v_after_id := coalesce(v_after, '00000000-0000-0000-0000-000000000000');
	elsif v_query = 'interaction.list' then
		v_after_time := coalesce(timestamptz 'epoch' + split_part(v_after, '.', 1)::bigint * interval '1 microsecond', '-infinity');
		v_after_id := coalesce(split_part(v_after, '.', 2), '00000000-0000-0000-0000-000000000000');
	end if;

	-- what do they see?
	if p_role = 'user' then
		perform set_config('leat.tenant_id', p_tenant::text, true), set_config('leat.user_id', p_actor, true),
			set_config('role', 'authenticated', true);
	end if;
	if v_query = 'workflow.get' then
		select v.* into v_saved
		from leat.workflow_versions v where v.workflow_id = p_target and v.version = v_version and v.tenant_id = p_tenant;
	elsif v_query = 'workflow.list' then
		v_workflows := array(
			select w from leat.workflows w where w.tenant_id = p_tenant and w.deleted_at is null and w.id > v_after_id order by w.id limit v_limit + 1);
	elsif v_query = 'entity.get' then
		select e.* into v_entity from leat.entities e where e.tenant_id = p_tenant and e.id = p_target;
	elsif p_body -> 'all' = 'true' then
		v_interactions := array(
			select i from leat.interactions i where i.tenant_id = p_tenant and (i.created_at, i.id) > (v_after_time, v_after_id)
			order by i.created_at, i.id limit v_limit + 1);
	else
		v_interactions := array(
			select i from leat.interactions i
			where i.tenant_id = p_tenant and i.status = 'open' and (i.created_at, i.id) > (v_after_time, v_after_id)
			order by i.created_at, i.id limit v_limit + 1);
	end if;
	if p_role = 'user' then
		perform set_config('role', v_ours, true), set_config('leat.tenant_id', '', true), set_config('leat.user_id', '', true);
	end if;

	-- and that as an answer
	case v_query
		when 'workflow.get' then
			if v_saved.version is null then
				return leat.refused('not_found', format('workflow %s has no version %s', p_target, v_version));
			end if;
			return leat.definition_answer('{"status":"ok","result":{"workflow_id":"' || p_target || '","kind":"' || v_found.kind || '"'
				|| leat.member_text('name', v_saved.name) || ',"version":' || v_saved.version || ',"current_version":' || v_found.current_version
				|| leat.member_text('created_at', leat.time_text(v_saved.created_at)),
				v_saved.version, v_saved.definition, coalesce(split_part(v_after, '.', 2)::integer, 0), p_bytes);
		when 'workflow.list' then
			return leat.workflows_answer(v_workflows, v_limit, p_bytes);
		when 'entity.get' then
			if v_entity.id is null then
				return leat.refused('not_found', format('there is no entity %s', p_target));
			elsif v_entity.deleted_at is not null then
				return leat.refused('deleted', format('entity %s was deleted; an entity.upsert brings it back', p_target));
			end if;
			return leat.entity_answer(v_entity, v_after, p_bytes);
		when 'interaction.list' then
			return leat.interactions_answer(v_interactions, v_limit, p_bytes);
	end case;
end
$$;

-- One answer each, in order; bodies are checked JSON. p_target as the decoder found it. A query that fails is answered so, alone: its
-- subtransaction takes back whose role it was, and the others go on. Why it failed is in the server's log, since it may hold what is not
-- the asker's to see.
create or replace function leat.answer_queries(p_tenants uuid[], p_roles text[], p_actors text[], p_nouns text[], p_verbs text[],
	p_targets uuid[], p_bodies bytea[], p_bytes bigint, p_lease_ms bigint) returns table (answer text)
language plpgsql set search_path = pg_catalog
as $$
declare
	v_query record;
	v_body jsonb;
begin
	for v_query in
		select q.* from unnest(p_tenants, p_roles, p_actors, p_nouns, p_verbs, p_targets, p_bodies)
			with ordinality q (tenant, role, actor, noun, verb, target, body, n) order by q.n
	loop
		begin
			v_body := convert_from(v_query.body, 'UTF8');
			answer := leat.answer_query(v_query.tenant, v_query.role, v_query.actor, v_query.noun, v_query.verb, v_query.target, v_body, p_bytes,
				p_lease_ms);
			if octet_length(answer) > p_bytes then
				answer := leat.refused('too_large', format('the answer has %s bytes, nats-server takes %s; raise its max_payload',
					octet_length(answer), p_bytes));
			end if;
		exception when others then
			raise log 'query %.% of tenant % failed: % (%)', v_query.noun, v_query.verb, v_query.tenant, sqlerrm, sqlstate;
			answer := leat.refused('internal', format('Postgres refused this query (SQLSTATE %s); its log says why', sqlstate));
		end;
		return next;
	end loop;
end
$$;
