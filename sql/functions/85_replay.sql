-- What `leat replay` needs besides the functions of the lanes: effects outside the database suppressed, time as it was then, and which
-- messages are not settled yet.
--
-- leat.replay is empty in every connection but one that replays what was settled before, in a database that lost it. There it holds the time
-- that the replay has come to, and nothing goes into the outbox, which all effects outside the database go through: it is counted.

-- What a fact may be compared with to tell how old it is.
create or replace function leat.replay_clock() returns timestamptz
language plpgsql stable set search_path = pg_catalog
as $$
begin
	return coalesce(nullif(current_setting('leat.replay', true), '')::timestamptz, now());
end
$$;

create or replace function leat.suppress() returns trigger
language plpgsql security definer set search_path = pg_catalog
as $$
declare
	v_name constant text := 'leat.suppressed_' || case
		when new.event is not null then 'events'
		when new.subject like 'leat.dead.%' then 'dead_letters'
		when new.subject like 'leat.intent.%.run.resume' then 'resumes'
		when new.subject like 'leat.intent.%' then 'intents'
		else 'replies' end;
begin
	perform set_config(v_name, (coalesce(nullif(current_setting(v_name, true), ''), '0')::bigint + coalesce(new.events, 1))::text, false);
	return null;
end
$$;

-- The condition is checked without calling the function: about half a microsecond a row, which no drain shows; a row that is suppressed costs
-- twice as much as one that is written.
create or replace trigger suppress before insert on leat.outbox
for each row when (coalesce(current_setting('leat.replay', true), '') <> '') execute function leat.suppress();

-- How many messages this connection has suppressed, by kind.
create or replace function leat.suppressed(out events bigint, out dead_letters bigint, out resumes bigint, out intents bigint, out replies bigint)
language sql stable set search_path = pg_catalog
as $$
	select coalesce(nullif(current_setting('leat.suppressed_events', true), ''), '0')::bigint,
		coalesce(nullif(current_setting('leat.suppressed_dead_letters', true), ''), '0')::bigint,
		coalesce(nullif(current_setting('leat.suppressed_resumes', true), ''), '0')::bigint,
		coalesce(nullif(current_setting('leat.suppressed_intents', true), ''), '0')::bigint,
		coalesce(nullif(current_setting('leat.suppressed_replies', true), ''), '0')::bigint
$$;

-- Sequences of those messages that are neither settled nor parked; in order. Index: primary keys of activity and parked.
create or replace function leat.unsettled(p_stream text, p_seq bigint[], p_at timestamptz[]) returns setof bigint
language plpgsql set search_path = pg_catalog
as $$
declare
	v_where constant record := leat.stream_positions(p_stream, p_seq, p_at);
begin
	if cardinality(v_where.known) = cardinality(p_seq) then
		return;
	end if;
	return query
	select m.seq from unnest(p_seq, v_where.positions) m (seq, position)
	left join unnest(v_where.known) k (position) on k.position = m.position
	where k.position is null order by m.seq;
end
$$;

-- Facts that wait for their workflow have their turn: the replay has come to another time, or to another workflow.
create or replace function leat.hurry_parked(p_stream text) returns void
language sql set search_path = pg_catalog
as $$
	update leat.parked p set retry_at = now() where p.stream = p_stream and p.retry_at > now()
$$;

-- Consumer processes that were seen within the last minute.
create or replace function leat.processes_alive() returns bigint
language sql stable set search_path = pg_catalog
as $$
	select count(*) from leat.processes p where p.seen_at > now() - interval '1 minute'
$$;
