-- What `leat status` shows of the database. Rows are counted up to p_limit, so that asking costs little when there are many; entities and
-- activity beyond it are the planner's estimates. p_alive_ms: a process not seen for longer counts as gone.

create or replace function leat.milliseconds_since(p_at timestamptz) returns bigint
language sql stable set search_path = pg_catalog
return (extract(epoch from now() - p_at) * 1000)::bigint;

-- p_counted, or what the planner thinks when that stopped at p_limit.
create or replace function leat.about_rows(p_table regclass, p_counted bigint, p_limit bigint) returns bigint
language sql stable set search_path = pg_catalog
return case when p_counted < p_limit then p_counted
	else (select greatest(c.reltuples::bigint, p_counted) from pg_class c where c.oid = p_table) end;

create or replace function leat.status(p_alive_ms bigint, p_limit bigint) returns jsonb
language plpgsql stable set search_path = pg_catalog
as $$
begin
	return jsonb_build_object(
		'version', current_setting('server_version'),
		'database', current_database(),
		'entities', leat.about_rows('leat.entities', (select count(*) from (select from leat.entities limit p_limit) e), p_limit),
		'activity', leat.about_rows('leat.activity', (select count(*) from (select from leat.activity limit p_limit) a), p_limit),
		'runs', (
			select jsonb_object_agg(s.status, (select count(*) from (select from leat.runs r where r.status = s.status limit p_limit) r))
			from unnest('{pending,running,waiting,completed,failed,cancelled}'::text[]) s (status)),
		'parked', (select count(*) from (select from leat.parked limit p_limit) p),
		'outbox', (
			select jsonb_build_object('waiting', count(*), 'refused', count(o.retry_at),
				'oldest_ms', coalesce(leat.milliseconds_since(min(o.created_at)), 0))
			from (select x.created_at, x.retry_at from leat.outbox x order by x.seq limit p_limit) o),
		'processes', (
			select coalesce(jsonb_agg(jsonb_build_object('id', p.id, 'queue_group', p.queue_group, 'host', p.host, 'pid', p.pid,
				'version', p.version, 'started_at', p.started_at, 'seen_at', p.seen_at, 'seen_ms', leat.milliseconds_since(p.seen_at),
				'alive', leat.milliseconds_since(p.seen_at) <= p_alive_ms, 'lanes', p.lanes) order by p.started_at, p.id), '[]')
			from leat.processes p));
end
$$;
