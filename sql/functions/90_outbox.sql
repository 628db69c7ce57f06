-- What the relay does with the outbox. It alone holds the lock, so nothing here competes.

-- The oldest rows that are due, at most p_limit and about p_bytes of headers and bodies (at least one).
create or replace function leat.fetch_outbox(p_limit integer, p_bytes bigint)
returns table (seq bigint, id uuid, subject text, headers bytea, body bytea, short_body bytea)
language plpgsql stable set search_path = pg_catalog
as $$
begin
	return query
	select o.seq, o.id, o.subject, o.headers, o.body, o.short_body
	from (
		select every.*, sum(every.bytes) over (order by every.seq) - every.bytes as before
		from (
			select x.*, length(x.headers) + length(x.body) as bytes
			from leat.outbox x where x.retry_at is null or x.retry_at <= now() order by x.seq limit p_limit) every) o
	where o.before < p_bytes
	order by o.seq;
end
$$;

create or replace function leat.outbox_sent(p_seqs bigint[]) returns void
language plpgsql set search_path = pg_catalog
as $$
begin
	delete from leat.outbox o where o.seq = any (p_seqs);
end
$$;

-- Rows that the server will not take: kept, and tried again later, so that they hold up nobody.
create or replace function leat.outbox_refused(p_seqs bigint[]) returns void
language plpgsql set search_path = pg_catalog
as $$
begin
	update leat.outbox o set retry_at = now() + interval '1 minute' where o.seq = any (p_seqs);
end
$$;
