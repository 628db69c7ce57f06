-- Queries about runs: run.get and run.list, for members who are viewers or above, and the heartbeat of those who work on a node. As the others
-- are answered (67_queries.sql): who may is asked first, a user's rows are read as authenticated.

-- A run but for its input and nodes, as an object that is still open.
create or replace function leat.run_text(p_run leat.runs) returns text
language sql stable parallel safe
return '{"run_id":"' || p_run.id || '","workflow_id":"' || p_run.workflow_id || '","version":' || p_run.version
	|| leat.member_text('agent_id', p_run.agent_id) || leat.member_text('entity_id', p_run.entity_id::text)
	|| leat.member_text('status', p_run.status) || ',"generation":' || p_run.generation
	|| leat.member_text('created_at', leat.time_text(p_run.created_at)) || leat.member_text('updated_at', leat.time_text(p_run.updated_at))
	|| leat.member_text('finished_at', leat.time_text(p_run.finished_at));

create or replace function leat.runs_answer(p_rows leat.runs[], p_limit integer, p_bytes bigint) returns text
language plpgsql stable set search_path = pg_catalog
as $$
declare
	v_rows text[];
	v_cursors text[];
begin
	select array_agg(r.it || '}' order by r.n), array_agg(r.cursor order by r.n)
	into v_rows, v_cursors
	from (
		select x.n, leat.run_text(x.run) as it, (extract(epoch from (x.run).created_at) * 1000000)::bigint || '.' || (x.run).id as cursor
		from (select p_rows[n] as run, n from generate_subscripts(p_rows, 1) n) x) r;
	return leat.list_answer('runs', v_rows, v_rows, v_cursors, p_limit, p_bytes);
end
$$;

-- Pages are cut by nodes, in the order of their names; one that no page could hold goes without its output. The input is on the first page,
-- unless it takes more than half of it.
create or replace function leat.run_answer(p_run leat.runs, p_after text, p_bytes bigint) returns text
language plpgsql stable set search_path = pg_catalog
as $$
declare
	v_frame constant integer := 200; -- of the other members, empty
	v_head text := '{"status":"ok","result":' || leat.run_text(p_run);
	v_names text[];
	v_whole text[];
	v_short text[];
	v_taken boolean[];
	v_answer text;
begin
	if p_after is null then
		v_head := v_head || case when octet_length(p_run.input::text) <= p_bytes / 2 then ',"input":' || p_run.input::text else ',"input_omitted":true' end;
	end if;
	select array_agg(s.key order by s.key collate "C"), array_agg(to_json(s.key) || ':' || s.value order by s.key collate "C"),
		array_agg(to_json(s.key) || ':' || (s.value - 'output' || '{"output_omitted": true}') order by s.key collate "C")
	into v_names, v_whole, v_short
	from jsonb_each(p_run.node_states) s
	where p_after is null or s.key collate "C" > p_after;
	select leat.fill_page(array_agg(octet_length(x.whole) + 1 order by x.n), array_agg(octet_length(x.short) + 1 order by x.n),
		p_bytes - octet_length(v_head) - v_frame)
	into v_taken
	from unnest(v_whole, v_short) with ordinality x (whole, short, n);
	if v_whole is not null and v_taken = '{}' then
		return leat.refused('too_large', format('not one node fits into an answer of %s bytes; raise the server''s max_payload', p_bytes));
	end if;
	select v_head || ',"node_states":{' || coalesce(string_agg(case when x.taken then x.whole else x.short end, ',' order by x.n), '') || '}'
	into v_answer
	from unnest(v_whole, v_short, v_taken) with ordinality x (whole, short, taken, n) where x.taken is not null;
	return v_answer || case when cardinality(v_taken) < cardinality(v_whole)
		then leat.member_text('next', v_names[cardinality(v_taken)]) else '' end || '}}';
end
$$;

-- The answer, as JSON text. p_body is checked. Indexes: primary key, runs_of_tenant read from its end; with agent_id runs_of_agent, with
-- workflow_id runs_of_workflow. Lock of a heartbeat: the claim's.
create or replace function leat.answer_run_query(p_tenant uuid, p_role text, p_actor text, p_verb text, p_target uuid, p_body jsonb,
	p_bytes bigint, p_lease_ms bigint) returns text
language plpgsql set search_path = pg_catalog
as $$
declare
	v_ours constant text := current_setting('role');
	v_limit constant integer := coalesce((p_body ->> 'limit')::numeric, 100);
	v_after constant text := p_body ->> 'after';
	v_cursor constant text := case p_verb
		when 'list' then '\d{1,16}\.[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}'
		else '[A-Za-z0-9_-]{1,64}(\[\d{1,4}\])?' end;
	v_workflow constant uuid := p_body ->> 'workflow_id';
	v_agent constant text := p_body ->> 'agent_id';
	v_status constant text := p_body ->> 'status';
	v_forbidden constant text := leat.forbids(case p_verb when 'heartbeat' then 'run.heartbeat' else 'run.read' end, p_tenant, p_role, p_actor);
	v_before_time timestamptz := 'infinity';
	v_before_id uuid := 'ffffffff-ffff-ffff-ffff-ffffffffffff';
	v_until timestamptz;
	v_run leat.runs;
	v_runs leat.runs[];
begin
	if v_after !~ ('^' || v_cursor || '$') then
		return leat.refused('invalid_message', 'after: expected the text of next in an answer to the same query');
	elsif v_forbidden is not null then
		return leat.refused('forbidden', v_forbidden);
	elsif p_verb = 'heartbeat' then
		v_until := leat.renew_claim(p_tenant, p_target, p_body ->> 'node_id', (p_body ->> 'attempt')::numeric::integer, p_lease_ms);
		if v_until is null then
			return leat.refused('conflict', format('attempt %s of node "%s" of run %s is over, or never was; stop working on it: what it brings '
				'would count for nothing', p_body ->> 'attempt', p_body ->> 'node_id', p_target));
		end if;
		return '{"status":"ok","result":{"leased_until":"' || leat.time_text(v_until) || '"}}';
	elsif p_verb = 'list' and v_after is not null then
		v_before_time := timestamptz 'epoch' + split_part(v_after, '.', 1)::bigint * interval '1 microsecond';
		v_before_id := split_part(v_after, '.', 2);
	end if;

	if p_role = 'user' then
		perform set_config('leat.tenant_id', p_tenant::text, true), set_config('leat.user_id', p_actor, true),
			set_config('role', 'authenticated', true);
	end if;
	if p_verb = 'get' then
		select r.* into v_run from leat.runs r where r.id = p_target and r.tenant_id = p_tenant;
	else
		v_runs := array(
			select r from leat.runs r
			where r.tenant_id = p_tenant and (r.created_at, r.id) < (v_before_time, v_before_id)
				and (v_workflow is null or r.workflow_id = v_workflow) and (v_agent is null or r.agent_id = v_agent)
				and (v_status is null or r.status = v_status)
			order by r.created_at desc, r.id desc limit v_limit + 1);
	end if;
	if p_role = 'user' then
		perform set_config('role', v_ours, true), set_config('leat.tenant_id', '', true), set_config('leat.user_id', '', true);
	end if;

	if p_verb = 'list' then
		return leat.runs_answer(v_runs, v_limit, p_bytes);
	elsif v_run.id is null then
		return leat.refused('not_found', format('there is no run %s', p_target));
	end if;
	return leat.run_answer(v_run, v_after, p_bytes);
end
$$;
