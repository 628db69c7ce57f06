-- What `leat status` shows of the database. Rows are counted up to p_limit, so that asking costs little when there are many; of entities
-- and activity, where there are more, it is the planner's estimate. p_alive_ms: a process not seen for longer counts as gone.

create or replace function leat.milliseconds_since(p_at timestamptz) returns bigint
language sql stable set search_path = pg_catalog
return (extract(epoch from now() - p_at) * 1000)::bigint;

drop function if exists leat.about_rows(regclass, bigint, bigint);

-- What the planner thinks; 0 where it was never told.
create or replace function leat.planned_rows(p_table regclass) returns bigint
language sql stable set search_path = pg_catalog
return (select greatest(c.reltuples::bigint, 0) from pg_class c where c.oid = p_table);

-- About how many messages of a stream were settled in the last p_seconds: the distance between the ledger's newest position and the newest
-- that is older than that. Found by steps that double, then by halves: some forty probes of the primary key, however long the ledger.
-- Times of settlement grow along the positions but for those that came late, which are few.
create or replace function leat.settled_lately(p_stream text, p_seconds integer) returns bigint
language plpgsql stable set search_path = pg_catalog
as $$
declare
	v_since constant timestamptz := now() - p_seconds * interval '1 second';
	v_top bigint;
	v_younger bigint; -- settled since
	v_older bigint; -- before
	v_middle bigint;
	v_step bigint := 1;
	v_at timestamptz;
begin
	select a.position, a.at into v_top, v_at from leat.activity a where a.stream = p_stream order by a.position desc limit 1;
	if v_at is null or v_at < v_since then
		return 0;
	end if;
	v_younger := v_top;
	v_older := v_top - 1;
	loop
		select a.at into v_at from leat.activity a where a.stream = p_stream and a.position <= v_older order by a.position desc limit 1;
		exit when not found or v_at < v_since;
		v_younger := v_older;
		v_step := v_step * 2;
		v_older := v_older - v_step;
	end loop;
	while v_younger - v_older > 1 loop
		v_middle := v_older + (v_younger - v_older) / 2;
		select a.at into v_at from leat.activity a where a.stream = p_stream and a.position <= v_middle order by a.position desc limit 1;
		if not found or v_at < v_since then
			v_older := v_middle;
		else
			v_younger := v_middle;
		end if;
	end loop;
	return v_top - greatest(v_older, (v_top >> 40) << 40); -- in the newest epoch
end
$$;

create or replace function leat.status(p_alive_ms bigint, p_limit bigint) returns jsonb
language plpgsql stable set search_path = pg_catalog
as $$
begin
	return jsonb_build_object(
		'version', current_setting('server_version'),
		'database', current_database(),
		'connections', (select d.numbackends from pg_stat_database d where d.datname = current_database()),
		'max_connections', current_setting('max_connections')::integer,
		'entities', case when leat.planned_rows('leat.entities') < p_limit
			then (select count(*) from (select from leat.entities limit p_limit) e) else leat.planned_rows('leat.entities') end,
		'activity', case when leat.planned_rows('leat.activity') < p_limit
			then (select count(*) from (select from leat.activity limit p_limit) a) else leat.planned_rows('leat.activity') end,
		'settled_per_minute', (
			select jsonb_object_agg(s.stream, leat.settled_lately(s.stream, 60))
			from unnest('{LEAT_ENTITY,LEAT_CONTROL,LEAT_RUN}'::text[]) s (stream)),
		'runs', (
			select jsonb_object_agg(s.status, (select count(*) from (select from leat.runs r where r.status = s.status limit p_limit) r))
			from unnest('{pending,running,waiting,completed,failed,cancelled}'::text[]) s (status)),
		'parked', (select count(*) from (select from leat.parked limit p_limit) p),
		'outbox', (
			select jsonb_build_object('waiting', coalesce(sum(coalesce(o.events, 1)), 0), 'refused', count(o.retry_at),
				'oldest_ms', coalesce(leat.milliseconds_since(min(o.created_at)), 0))
			from (select x.created_at, x.retry_at, x.events from leat.outbox x order by x.seq limit p_limit) o),
		'processes', (
			select coalesce(jsonb_agg(jsonb_build_object('id', p.id, 'queue_group', p.queue_group, 'host', p.host, 'pid', p.pid,
				'version', p.version, 'started_at', p.started_at, 'seen_at', p.seen_at, 'seen_ms', leat.milliseconds_since(p.seen_at),
				'alive', leat.milliseconds_since(p.seen_at) <= p_alive_ms, 'lanes', p.lanes) order by p.started_at, p.id), '[]')
			from leat.processes p));
end
$$;
