-- What the relay does with the outbox. It alone holds the lock, so nothing here competes.

-- The id of one of a bundle's events, from 0: the bundle's, with the event's number added to its last 48 bits. lib/outbox/items.c has the same.
create or replace function leat.event_id(p_bundle uuid, p_number bigint) returns uuid
language sql immutable parallel safe set search_path = pg_catalog
return (left(p_bundle::text, 24)
	|| right(to_hex(('x1' || right(p_bundle::text, 12))::bit(52)::bigint + p_number), 12))::uuid;

-- The oldest rows behind p_floor that are due, at most about p_limit messages and p_bytes of headers and bodies (at least one row). An event
-- waits as long as one before it with its subject does; a bundle that has such a one is marked `apart`. Without a refused row anywhere, no row
-- is asked about that. Plain SQL that is planned with the query around it, and no SET: called for every few hundred events, it must not copy
-- them.
create or replace function leat.fetch_outbox(p_floor bigint, p_limit integer, p_bytes bigint)
returns table (seq bigint, id uuid, subject text, headers bytea, body bytea, short_body bytea, event text, created_at timestamptz, events bigint,
	apart bigint)
language sql stable
begin atomic
	select o.seq, o.id, o.subject, o.headers, o.body, o.short_body, o.event, o.created_at, o.events::bigint, o.apart::integer::bigint
	from (
		select due.*, sum(due.bytes) over earlier as bytes_before, sum(coalesce(due.events, 1)) over earlier as messages_before
		from (
			select x.*, length(x.headers) + length(x.body) as bytes,
				x.events is not null
					and (select exists (select from leat.outbox any_refused where any_refused.retry_at is not null))
					and exists (
						select from leat.outbox refused
						where refused.retry_at > now() and refused.seq < x.seq and position(convert_to(refused.subject, 'UTF8') in x.body) > 0)
					as apart
			from leat.outbox x
			where x.seq > p_floor
				and (not (select exists (select from leat.outbox any_refused where any_refused.retry_at is not null))
					or ((x.retry_at is null or x.retry_at <= now())
						and (x.subject not like 'leat.event.%' or not exists (
							select from leat.outbox refused
							where refused.subject = x.subject and refused.seq < x.seq and refused.retry_at > now()))))
			order by x.seq limit p_limit) due
		window earlier as (order by due.seq rows between unbounded preceding and 1 preceding)) o
	where coalesce(o.bytes_before, 0) < p_bytes and coalesce(o.messages_before, 0) < p_limit
	order by o.seq;
end;

-- A row for each event of these bundles instead. Afterwards each can be sent or refused for itself.
create or replace function leat.take_bundles_apart(p_seqs bigint[]) returns void
language sql set search_path = pg_catalog
as $$
	with bundle as (
		delete from leat.outbox o where o.seq = any (p_seqs) and o.events is not null returning o.*
	)
	insert into leat.outbox (seq, id, subject, event, headers, body, created_at) overriding system value
	select b.seq + line.number - 1, leat.event_id(b.id, line.number - 1), split_part(line.text, E'\t', 1), split_part(line.text, E'\t', 2),
		case when split_part(line.text, E'\t', 3) = '' then '' else leat.header('traceparent', split_part(line.text, E'\t', 3)) end,
		convert_to(split_part(line.text, E'\t', 4), 'UTF8'), b.created_at
	from bundle b, string_to_table(convert_from(b.body, 'UTF8'), E'\n') with ordinality line (text, number)
$$;

-- Each seq once. Rows whose seqs are a bundle's room apart, without a gap between them, are a range, which costs half as much.
create or replace function leat.outbox_sent(p_seqs bigint[]) returns void
language plpgsql set search_path = pg_catalog
as $$
declare
	v_first bigint;
	v_last bigint;
	v_even boolean;
begin
	select min(s), max(s), bool_and(s % 1024 = p_seqs[1] % 1024) into v_first, v_last, v_even from unnest(p_seqs) s;
	if v_even and (v_last - v_first) / 1024 + 1 = cardinality(p_seqs) then
		delete from leat.outbox o where o.seq between v_first and v_last and o.seq % 1024 = v_first % 1024;
	else
		delete from leat.outbox o where o.seq = any (p_seqs);
	end if;
end
$$;

-- Rows that the server will not take: kept, and tried again later, so that they hold up nobody (but for later events of their subject).
create or replace function leat.outbox_refused(p_seqs bigint[]) returns void
language plpgsql set search_path = pg_catalog
as $$
begin
	update leat.outbox o set retry_at = now() + interval '1 minute' where o.seq = any (p_seqs);
end
$$;

-- Whoever may have taken a seq and not committed it yet: an insert's lock is taken before and kept to the end.
create or replace function leat.outbox_writers() returns text[]
language sql volatile set search_path = pg_catalog
return (
	select coalesce(array_agg(l.virtualtransaction), '{}')
	from pg_locks l
	where l.locktype = 'relation' and l.relation = 'leat.outbox'::regclass and l.mode = 'RowExclusiveLock'
		and l.database = (select d.oid from pg_database d where d.datname = current_database())
		and l.pid is distinct from pg_backend_pid());

-- May the relay forget all up to p_next, a seq that it has seen? Not before those who wrote then (p_writers) are gone and nothing of theirs
-- is left: a transaction that began early may commit a low seq late. Until then the relay looks at everything behind p_floor, dead
-- index entries and all, which is why it wants to know. writers: those of now, for the next time.
create or replace function leat.outbox_floor(p_floor bigint, p_next bigint, p_writers text[])
returns table (passed boolean, writers text[])
language plpgsql volatile set search_path = pg_catalog
as $$
begin
	writers := leat.outbox_writers(); -- before the table is looked at, by a snapshot of its own
	passed := not writers && p_writers and not exists (select from leat.outbox o where o.seq > p_floor and o.seq <= p_next);
	return next;
end
$$;

-- An empty table that is larger than p_bytes, with its indexes, begins anew; but nobody is waited for, and so nobody waits for this either.
-- Its owner's right. True: it is not larger now.
create or replace function leat.shrink_outbox(p_bytes bigint) returns boolean
language plpgsql security definer set search_path = pg_catalog
as $$
begin
	if pg_total_relation_size('leat.outbox') <= p_bytes then
		return true;
	end if;
	lock table leat.outbox in access exclusive mode nowait;
	if exists (select from leat.outbox) then
		return false;
	end if;
	truncate leat.outbox;
	return true;
exception when lock_not_available then
	return false;
end
$$;
