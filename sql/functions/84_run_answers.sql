-- A question that a run waits for, once it is answered, expired or withdrawn, by whoever and however: a run.node of Leat's own goes into the
-- outbox in the same transaction. Completed with the value as output, or failed with what became of the question.
--
-- Told are question nodes that are not over, of the question's own tenant, and only what was asked since the node was retried last; with the
-- attempt that asks, so that a retry which comes in between makes it count for nothing. That it is asked again while the node waits is nothing
-- to the run. An answer that no run.node could bring, or none that nats-server takes, fails the node. leat.told_answers keeps what was told:
-- an outbox can be lost.
--
-- Statement-level, one function for each way to change rows, as for the events of questions (82_interaction_events.sql).
do $do$
declare
	v_body constant text := $body$
begin
	with told as (
		insert into leat.told_answers as t (tenant_id, interaction_id, run_id, node_id, attempt, headers, body, short_body)
		select q.tenant_id, q.id, r.id, q.node_id, leat.lowest_attempt(state.it),
			leat.header('Leat-Id', q.id || '/' || (extract(epoch from q.asked_at) * 1000000)::bigint || '/' || q.became)
				|| coalesce(leat.header('traceparent', r.traceparent), ''),
			convert_to(fact.head || case
				when q.became <> 'answered' then ',"status":"failed","error":"' || q.became || '"}'
				when octet_length(q.value::text) > leat.most_output_bytes() then ',"status":"failed","error":"the answer has '
					|| octet_length(q.value::text) || ' bytes as Postgres writes it; at most ' || leat.most_output_bytes() || ' can be an output: ask'
					|| ' for less, then retry the run"}'
				else ',"status":"completed","output":' || coalesce(q.value::text, 'null') || '}' end, 'UTF8'),
			convert_to(fact.head || ',"status":"failed","error":"the answer has ' || octet_length(q.value::text) || ' bytes as Postgres writes it,'
				|| ' more than nats-server takes (max_payload): ask for less, then retry the run"}', 'UTF8')
		from (
			select o.tenant_id, o.id, o.run_id, o.node_id, o.generation, o.asked_at, %s as value, %s as became
			from %s where o.status = 'open' and o.run_id is not null) q
		join leat.runs r on r.id = q.run_id and r.tenant_id = q.tenant_id and r.finished_at is null
		join leat.workflow_nodes n on n.workflow_id = r.workflow_id and n.version = r.version and n.type = 'question'
			and n.node_id = split_part(q.node_id, '[', 1)
		cross join lateral (select coalesce(r.node_states -> q.node_id, '{}') as it offset 0) state
		cross join lateral (
			select '{"run_id":"' || r.id || '","node_id":' || to_json(q.node_id) || ',"attempt":' || leat.lowest_attempt(state.it)
				|| ',"generation":' || coalesce((state.it -> 'generation')::integer, 0) as head) fact
		where q.became <> 'open' and coalesce(state.it ->> 'status', 'pending') in ('pending', 'running', 'waiting')
			and (q.generation is null or q.generation = coalesce((state.it ->> 'generation')::integer, 0))
		on conflict (tenant_id, interaction_id) do update set run_id = excluded.run_id, node_id = excluded.node_id, attempt = excluded.attempt,
			headers = excluded.headers, body = excluded.body, short_body = excluded.short_body, told_at = excluded.told_at, due_at = excluded.due_at
		returning t.tenant_id, t.headers, t.body, t.short_body)
	insert into leat.outbox (subject, headers, body, short_body)
	select 'leat.intent.' || told.tenant_id || '.engine.run.node', told.headers, told.body, told.short_body from told;
	return null;
end
$body$;
	v_way record;
begin
	for v_way in
		select * from (values
			('update', 'n.value', 'n.status', 'old_rows o join new_rows n on n.tenant_id = o.tenant_id and n.id = o.id', 'after',
				'referencing old table as old_rows new table as new_rows'),
			('delete', 'null::jsonb', '''withdrawn''', 'old_rows o', 'after', 'referencing old table as old_rows'),
			('truncate', 'null::jsonb', '''withdrawn''', 'leat.interactions o', 'before', '')) way (operation, value, became, source, at, tables)
	loop
		execute format('create or replace function leat.tell_run_%s() returns trigger language plpgsql security definer
			set search_path = pg_catalog set enable_hashjoin = on as %L',
			v_way.operation, format(v_body, v_way.value, v_way.became, v_way.source));
		execute format('create or replace trigger tell_run_%1$s %2$s %1$s on leat.interactions %3$s
			for each statement execute function leat.tell_run_%1$s()', v_way.operation, v_way.at, v_way.tables);
	end loop;
end
$do$;

-- Of what was told a minute ago and earlier, at most p_limit: seen. What its node still waits for is told again, in the same words, so that it
-- counts once; and is looked at again once it is twice as old. The others are forgotten. Not while facts are far behind: they may be among them.
-- Locks: none is waited for. Indexes: told_answers_due, primary keys of told_answers and runs.
create or replace function leat.tell_answers_again(p_limit integer, out seen integer, out told integer)
language plpgsql set search_path = pg_catalog set enable_seqscan = off
as $$
begin
	with due as materialized (
		select t.* from leat.told_answers t where t.due_at <= now() order by t.due_at limit p_limit for update skip locked),
	lost as materialized (
		select due.* from due
		join leat.runs r on r.id = due.run_id and r.tenant_id = due.tenant_id and r.finished_at is null
		cross join lateral (select coalesce(r.node_states -> due.node_id, '{}') as it offset 0) state
		where coalesce(state.it ->> 'status', 'pending') in ('pending', 'running', 'waiting') and leat.lowest_attempt(state.it) <= due.attempt),
	forgotten as (
		delete from leat.told_answers t using due
		where t.tenant_id = due.tenant_id and t.interaction_id = due.interaction_id
			and (due.tenant_id, due.interaction_id) not in (select l.tenant_id, l.interaction_id from lost l)),
	kept as (
		update leat.told_answers t set due_at = now() + (now() - lost.told_at) from lost
		where t.tenant_id = lost.tenant_id and t.interaction_id = lost.interaction_id),
	sent as (
		insert into leat.outbox (subject, headers, body, short_body)
		select 'leat.intent.' || lost.tenant_id || '.engine.run.node', lost.headers, lost.body, lost.short_body from lost order by lost.told_at
		returning 1)
	select (select count(*) from due), (select count(*) from sent) into seen, told;
end
$$;

-- Of runs that were cancelled: their questions are taken back, so that nobody answers what nobody waits for. By intents, which take their turn
-- among the answers. Index: interactions_of_run.
create or replace function leat.take_back_questions(p_runs uuid[]) returns void
language sql set search_path = pg_catalog
as $$
	insert into leat.outbox (subject, headers, body)
	select 'leat.intent.' || i.tenant_id || '.engine.interaction.withdraw', coalesce(leat.header('traceparent', r.traceparent), ''),
		convert_to(jsonb_build_object('interaction_id', i.id, 'connection_id', i.connection_id, 'expected_user_id', i.expected_user_id)::text, 'UTF8')
	from leat.interactions i join leat.runs r on r.id = i.run_id and r.tenant_id = i.tenant_id
	where i.run_id = any (p_runs) and i.status = 'open' order by i.tenant_id, i.id
$$;
