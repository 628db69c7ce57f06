-- Forgetting what was settled long ago: design.md section 3, Ledger.
--
-- A row of the ledger is what makes a redelivery harmless, so that it outlives its message in the stream, whatever the stream's settings are
-- by now: the caller asks the server what it still holds. The newest row of each epoch stays for ever, which is how a stream that was cut is
-- told from one that is idle. leat.parked is not pruned: what waits there is acknowledged and not decided.

-- One chunk of at most p_limit rows, the lowest above position `after`, and the Leat-Ids that these used up; and as many notes of direct changes
-- that are older than the stream. Of the current epoch goes what
-- lies below p_first_seq, the stream's first message; of earlier ones what is older than p_first_at, its time (null: the stream is empty):
-- the stream may hold what lies before a cut. Nothing younger than p_keep_h goes. p_created_at: the stream that was asked, for if the
-- ledger knows another one, leat.check_stream has to say so first.
-- after: where the next chunk begins; more: it is worth asking for it now.
-- Index: primary keys of activity, walked from its low end, and of message_ids, one probe an id. Message times grow along the sequence; a
-- row that came with a later one is passed over, and looked at again.
create or replace function leat.prune_ledger(p_stream text, p_created_at timestamptz, p_first_seq bigint, p_first_at timestamptz, p_keep_h bigint,
	p_limit integer, inout after bigint, out pruned bigint, out more boolean)
language plpgsql set search_path = pg_catalog
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off
set enable_mergejoin = off set jit = off
as $$
declare
	v_current leat.stream_epochs;
	v_epoch bigint;
	v_end bigint; -- rows from here on stay
	v_before timestamptz; -- younger ones too
	v_looked bigint;
	v_last bigint;
	v_tenants uuid[];
	v_ids text[];
	v_positions bigint[];
begin
	pruned := 0;
	more := false;
	select * into v_current from leat.stream_epochs e where e.stream = p_stream order by e.epoch desc limit 1;
	if v_current.stream_created_at is distinct from p_created_at then
		return;
	end if;
	perform leat.forget_direct_changes(p_stream, least(p_first_at, now() - p_keep_h * interval '1 hour'), p_limit);
	for v_epoch in select e.epoch from leat.stream_epochs e where e.stream = p_stream and e.epoch >= after >> 40 order by e.epoch loop
		v_before := now() - p_keep_h * interval '1 hour';
		v_end := (
			select a.position from leat.activity a
			where a.stream = p_stream and a.position >= v_epoch << 40 and a.position < (v_epoch + 1) << 40
			order by a.position desc limit 1);
		if v_epoch = v_current.epoch then
			v_end := least(v_end, v_epoch << 40 | p_first_seq);
		else
			v_before := least(v_before, p_first_at);
		end if;
		after := greatest(after, (v_epoch << 40) - 1);

		select count(*), max(lowest.position) into v_looked, v_last
		from (
			select a.position from leat.activity a
			where a.stream = p_stream and a.position > after and a.position < v_end order by a.position limit p_limit) lowest;
		with gone as (
			delete from leat.activity a
			where a.stream = p_stream and a.position > after and a.position <= v_last and a.message_at < v_before
			returning a.position, a.tenant_id, a.leat_id, a.outcome)
		select count(*), array_agg(gone.tenant_id) filter (where gone.outcome = 'applied' and gone.leat_id is not null),
			array_agg(gone.leat_id) filter (where gone.outcome = 'applied' and gone.leat_id is not null),
			array_agg(gone.position) filter (where gone.outcome = 'applied' and gone.leat_id is not null)
		into pruned, v_tenants, v_ids, v_positions
		from gone;
		delete from leat.message_ids m using unnest(v_tenants, v_ids, v_positions) used (tenant_id, leat_id, position)
		where m.tenant_id = used.tenant_id and m.leat_id = used.leat_id and m.stream = p_stream and m.position = used.position;

		more := v_looked = p_limit and pruned = p_limit;
		after := case when more then v_last else ((v_epoch + 1) << 40) - 1 end;
		more := more or v_epoch < v_current.epoch;
		exit when pruned > 0;
	end loop;
end
$$;
