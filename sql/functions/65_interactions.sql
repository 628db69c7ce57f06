-- Questions to people: asked, answered once, withdrawn, expired. design.md section 7.
--
-- A question is a row, and whoever sets its claimed_at has won it, by one UPDATE whose WHERE is all of the rule (leat.win_interaction): who
-- waited for the row meets it taken. In the scope of a question are its tenant, connection and user together; whoever is wrong in one of
-- them meets no row, and hears what is heard of an id that never was. Every look-up is a probe of the primary key.

-- How long a question is open when whoever asks does not say.
create or replace function leat.interaction_ttl() returns interval
language sql immutable parallel safe set search_path = pg_catalog
return interval '24 hours';

-- The payload for the winner; null: no such question, another's, taken, or past its time. p_position null: direct SQL, which has none.
-- Lock: the row's.
create or replace function leat.win_interaction(p_tenant uuid, p_id uuid, p_connection text, p_user uuid, p_value jsonb, p_position bigint,
	p_at timestamptz) returns jsonb
language plpgsql set search_path = pg_catalog
as $$
declare
	v_payload jsonb;
begin
	update leat.interactions i
	set status = 'answered', claimed_at = p_at, value = p_value, position = coalesce(p_position, i.position)
	where i.tenant_id = p_tenant and i.id = p_id and i.connection_id = p_connection and i.expected_user_id = p_user
		and i.status = 'open' and i.expires_at > p_at
	returning i.payload into v_payload;
	if v_payload is not null and p_position is null then
		perform leat.note_direct_change('interaction', p_tenant, p_id);
	end if;
	return v_payload;
end
$$;

-- False: there is no open question in that scope. Lock: the row's.
create or replace function leat.remove_interaction(p_tenant uuid, p_id uuid, p_connection text, p_user uuid) returns boolean
language plpgsql set search_path = pg_catalog
as $$
begin
	delete from leat.interactions i
	where i.tenant_id = p_tenant and i.id = p_id and i.connection_id = p_connection and i.expected_user_id = p_user and i.status = 'open';
	return found;
end
$$;

-- What a loser hears: in the scope when the question was closed and how, outside of it nothing.
create or replace function leat.lost_interaction(p_tenant uuid, p_id uuid, p_connection text, p_user uuid) returns leat.decision
language plpgsql stable set search_path = pg_catalog set timezone = 'UTC'
as $$
declare
	v_question leat.interactions;
begin
	select * into v_question
	from leat.interactions i
	where i.tenant_id = p_tenant and i.id = p_id and i.connection_id = p_connection and i.expected_user_id = p_user;
	if not found then
		return row('not_found', format('there is no question %s to this user on this connection', p_id), null)::leat.decision;
	end if;
	return row('already_claimed', case v_question.status
		when 'answered' then format('question %s was answered at %s', p_id, to_json(v_question.claimed_at) #>> '{}')
		else format('question %s expired at %s', p_id, to_json(v_question.expires_at) #>> '{}') end, null)::leat.decision;
end
$$;

-- ---- what the control lane decides, one function a verb ----

-- A question that is there already is asked again, by whoever has its scope: as if it were new, but for created_at. For a node that was retried
-- since it is not asked: its answer would be taken for one that the retry waits for. Index: primary key of runs.
create or replace function leat.ask_interaction(p_intent leat.control_intent) returns leat.decision
language plpgsql set search_path = pg_catalog set timezone = 'UTC'
as $$
declare
	v_body constant jsonb := p_intent.body;
	v_run constant uuid := v_body ->> 'run_id';
	v_generation integer := v_body ->> 'generation';
	v_current integer;
	v_asked leat.interactions;
begin
	if v_run is not null then
		select (r.node_states -> (v_body ->> 'node_id') -> 'generation')::integer into v_current
		from leat.runs r where r.id = v_run and r.tenant_id = p_intent.tenant;
		if v_generation < v_current then
			return row('conflict', format('node "%s" of run %s was retried since this was asked for generation %s of it', v_body ->> 'node_id',
				v_run, v_generation), null)::leat.decision;
		end if;
	end if;
	insert into leat.interactions as i (tenant_id, id, connection_id, expected_user_id, payload, run_id, node_id, generation, position,
		created_at, asked_at, expires_at)
	values (p_intent.tenant, (v_body ->> 'interaction_id')::uuid, v_body ->> 'connection_id', (v_body ->> 'expected_user_id')::uuid,
		v_body -> 'payload', v_run, v_body ->> 'node_id', coalesce(v_generation, v_current), p_intent.position, p_intent.at, p_intent.at,
		p_intent.at + coalesce((v_body ->> 'ttl_s')::integer * interval '1 second', leat.interaction_ttl()))
	on conflict (tenant_id, id) do update
	set payload = excluded.payload, run_id = excluded.run_id, node_id = excluded.node_id, generation = excluded.generation,
		position = excluded.position, asked_at = excluded.asked_at, expires_at = excluded.expires_at, status = 'open', value = null, claimed_at = null, swept_at = null
	where i.connection_id = excluded.connection_id and i.expected_user_id = excluded.expected_user_id
	returning * into v_asked;
	if not found then
		return row('conflict', format('question %s was asked of another user or on another connection; ask under a new interaction_id',
			v_body ->> 'interaction_id'), null)::leat.decision;
	end if;
	return row(null, null, jsonb_build_object('interaction_id', v_asked.id, 'created_at', v_asked.created_at,
		'expires_at', v_asked.expires_at))::leat.decision;
end
$$;

-- A person answers in the own name; that somebody else was named is told before anything is looked up.
create or replace function leat.answer_interaction(p_intent leat.control_intent) returns leat.decision
language plpgsql set search_path = pg_catalog
as $$
declare
	v_id constant uuid := p_intent.body ->> 'interaction_id';
	v_connection constant text := p_intent.body ->> 'connection_id';
	v_user constant uuid := p_intent.body ->> 'user_id';
	v_value constant jsonb := p_intent.body -> 'value';
	v_payload jsonb;
begin
	if p_intent.role = 'user' and v_user <> p_intent.actor::uuid then
		return row('forbidden', format('user_id is %s, but the user in Leat-Actor is %s', v_user, p_intent.actor), null)::leat.decision;
	end if;
	v_payload := leat.win_interaction(p_intent.tenant, v_id, v_connection, v_user, v_value, p_intent.position, p_intent.at);
	if v_payload is null then
		return leat.lost_interaction(p_intent.tenant, v_id, v_connection, v_user);
	end if;
	return row(null, null, jsonb_build_object('interaction_id', v_id, 'payload', v_payload, 'value', v_value))::leat.decision;
end
$$;

-- Only a question that is still open can be taken back: an answer is never lost without a word.
create or replace function leat.decide_withdrawal(p_intent leat.control_intent) returns leat.decision
language plpgsql set search_path = pg_catalog
as $$
declare
	v_id constant uuid := p_intent.body ->> 'interaction_id';
	v_connection constant text := p_intent.body ->> 'connection_id';
	v_user constant uuid := coalesce(p_intent.body ->> 'expected_user_id', p_intent.body ->> 'user_id');
begin
	if num_nonnulls(p_intent.body ->> 'expected_user_id', p_intent.body ->> 'user_id') <> 1 then
		return row('invalid_message', 'expected either expected_user_id or user_id: the user whom the question was put to', null)::leat.decision;
	end if;
	if not leat.remove_interaction(p_intent.tenant, v_id, v_connection, v_user) then
		return leat.lost_interaction(p_intent.tenant, v_id, v_connection, v_user);
	end if;
	return row(null, null, jsonb_build_object('interaction_id', v_id))::leat.decision;
end
$$;

-- Of those named, the ones that nobody has answered and whose time is over by now; the others are not spoken of. Locks: their rows, by id.
create or replace function leat.expire_interactions(p_intent leat.control_intent) returns leat.decision
language plpgsql set search_path = pg_catalog
as $$
declare
	v_ids uuid[] := array(select jsonb_array_elements_text(p_intent.body -> 'interaction_ids'));
begin
	v_ids := array(
		select i.id from leat.interactions i
		where i.tenant_id = p_intent.tenant and i.id = any (v_ids) and i.status = 'open' and i.expires_at <= p_intent.at
		order by i.id for update);
	update leat.interactions i set status = 'expired', position = p_intent.position
	where i.tenant_id = p_intent.tenant and i.id = any (v_ids);
	return row(null, null, jsonb_build_object('expired', v_ids))::leat.decision;
end
$$;

-- One intent of LEAT_CONTROL; everything before it in the stream is decided. A rejection has changed nothing.
create or replace function leat.decide_interaction(p_intent leat.control_intent) returns leat.decision
language plpgsql set search_path = pg_catalog
as $$
declare
	v_forbidden constant text := leat.forbids('interaction.' || p_intent.verb, p_intent.tenant, p_intent.role, p_intent.actor);
begin
	if v_forbidden is not null then
		return row('forbidden', v_forbidden, null)::leat.decision;
	end if;
	case p_intent.verb
		when 'ask' then return leat.ask_interaction(p_intent);
		when 'answer' then return leat.answer_interaction(p_intent);
		when 'withdraw' then return leat.decide_withdrawal(p_intent);
		when 'expire' then return leat.expire_interactions(p_intent);
	end case;
end
$$;

-- ---- for any SQL client ----

-- Wins the question and returns its payload; null: it was not to be had, whatever the reason. The answer itself is not kept. A user has
-- what leat.claim_own_interaction gives, whoever may write the table all of it.
create or replace function leat.claim_interaction(p_id uuid, p_tenant_id uuid, p_connection_id text, p_user_id uuid) returns jsonb
language plpgsql security invoker set search_path = pg_catalog
as $$
begin
	if has_table_privilege('leat.interactions', 'update') then
		return leat.win_interaction(p_tenant_id, p_id, p_connection_id, p_user_id, null, null, now());
	end if;
	return leat.claim_own_interaction(p_id, p_tenant_id, p_connection_id, p_user_id);
end
$$;

-- The same for authenticated, by the owner's right, since a grant to update would be one to answer without the scope: in the tenant whose
-- rows it sees, and as the user that the claims, or else leat.user_id, name. A gateway without claims that names no user speaks for any of
-- the tenant's: it could name each of them.
create or replace function leat.claim_own_interaction(p_id uuid, p_tenant_id uuid, p_connection_id text, p_user_id uuid) returns jsonb
language plpgsql security definer set search_path = pg_catalog
as $$
declare
	v_named constant boolean :=
		coalesce(nullif(current_setting('request.jwt.claims', true), ''), nullif(current_setting('leat.user_id', true), '')) is not null;
begin
	if p_tenant_id = leat.current_tenant() and (not v_named or p_user_id = leat.current_user_id()) then
		return leat.win_interaction(p_tenant_id, p_id, p_connection_id, p_user_id, null, null, now());
	end if;
	return null;
end
$$;

-- Deletes the question while it is open; false: there is none in that scope, or it is too late. For service_role.
create or replace function leat.withdraw_interaction(p_id uuid, p_tenant_id uuid, p_connection_id text, p_user_id uuid) returns boolean
language plpgsql security invoker set search_path = pg_catalog
as $$
begin
	if leat.remove_interaction(p_tenant_id, p_id, p_connection_id, p_user_id) then
		perform leat.note_direct_change('interaction', p_tenant_id, p_id);
		return true;
	end if;
	return false;
end
$$;
