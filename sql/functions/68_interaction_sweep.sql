-- The keeper's search for questions past their time. It ends none of them: it asks for that, by an intent of each tenant, which takes its
-- turn among the answers. So whoever is first in the stream wins, and a replay ends as it did.

-- At most p_limit of them, and how many. Those that were told within the minute are left alone: their intent is on its way. While one that
-- was put into the outbox is not out, nothing is told; it would only pile up there.
-- Locks: the rows', none of which is waited for. Indexes: interactions_to_expire, walked from its low end; outbox_expiries.
create or replace function leat.sweep_interactions(p_limit integer) returns integer
language plpgsql set search_path = pg_catalog set enable_seqscan = off
as $$
declare
	v_found integer;
begin
	if exists (
		select from leat.outbox o
		where o.subject like 'leat.intent.%.engine.interaction.expire' and o.created_at < now() - interval '5 seconds')
	then
		return 0;
	end if;
	with stale as materialized (
		select i.tenant_id, i.id
		from leat.interactions i
		where i.status = 'open' and i.expires_at <= now() and (i.swept_at is null or i.swept_at < now() - interval '1 minute')
		order by i.expires_at limit p_limit
		for update skip locked
	), swept as (
		update leat.interactions i set swept_at = now() from stale s where i.tenant_id = s.tenant_id and i.id = s.id returning i.tenant_id, i.id
	), told as (
		insert into leat.outbox (subject, body)
		select 'leat.intent.' || s.tenant_id || '.engine.interaction.expire',
			convert_to(json_build_object('interaction_ids', json_agg(s.id order by s.id))::text, 'UTF8')
		from swept s group by s.tenant_id
	)
	select count(*) into v_found from swept;
	return v_found;
end
$$;
