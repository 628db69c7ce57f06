-- Changes past the streams, by the functions that any SQL client may call, and members that direct SQL had inserted before an intent set them
-- (`member_inserted`): noted, so that `leat verify` can tell them from rows that are wrong.

-- Index: the primary key.
create or replace function leat.note_direct_change(p_noun text, p_tenant uuid, p_id uuid) returns void
language plpgsql set search_path = pg_catalog
as $$
begin
	insert into leat.direct_changes as known (noun, tenant_id, id) values (p_noun, p_tenant, p_id)
	on conflict (noun, tenant_id, id) do update set at = excluded.at where known.at < excluded.at - interval '1 hour';
end
$$;

-- Those of before p_before, the time of the oldest message that the stream holds: what is as old can't be verified any more. At most p_limit.
-- Index: direct_changes_to_forget.
create or replace function leat.forget_direct_changes(p_stream text, p_before timestamptz, p_limit integer) returns void
language sql set search_path = pg_catalog
as $$
	delete from leat.direct_changes d
	using (
		select c.noun, c.tenant_id, c.id from leat.direct_changes c
		where c.noun = any (case p_stream when 'LEAT_RUN' then '{run}'::text[] when 'LEAT_CONTROL' then '{interaction,member_inserted}' end)
			and c.at < p_before - interval '1 hour'
		order by c.at limit p_limit) old
	where d.noun = old.noun and d.tenant_id = old.tenant_id and d.id = old.id
$$;
