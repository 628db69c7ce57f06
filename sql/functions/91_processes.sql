-- One row per consumer process. Returns whether intents are parked. Forgets processes that were not seen for an hour.
create or replace function leat.heartbeat(p_id uuid, p_group text, p_host text, p_pid integer, p_version text, p_lanes jsonb) returns boolean
language plpgsql set search_path = pg_catalog
as $$
begin
	insert into leat.processes as p (id, queue_group, host, pid, version, lanes)
	values (p_id, p_group, p_host, p_pid, p_version, p_lanes)
	on conflict (id) do update set seen_at = now(), lanes = excluded.lanes;
	delete from leat.processes p where p.seen_at < now() - interval '1 hour';
	return exists (select from leat.parked);
end
$$;
