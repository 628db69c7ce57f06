-- Where an intent stands: design.md section 3, Position, Floor.

-- Opens the epoch after p_epoch for messages from p_opened_at on. Two processes may notice at once: the earlier time counts.
create or replace function leat.open_epoch(p_stream text, p_epoch integer, p_opened_at timestamptz, p_created_at timestamptz, p_reason text)
returns void language sql set search_path = pg_catalog
as $$
	insert into leat.stream_epochs as known (stream, epoch, opened_at, stream_created_at, reason)
	values (p_stream, p_epoch + 1, p_opened_at, p_created_at, p_reason)
	on conflict (stream, epoch) do update set opened_at = least(known.opened_at, excluded.opened_at)
$$;

-- The newest sequence of an epoch that is settled or parked, and the time of that message; null when there is none.
create or replace function leat.newest_known(p_stream text, p_epoch integer, out seq bigint, out at timestamptz)
language plpgsql stable set search_path = pg_catalog set enable_seqscan = off
as $$
begin
	select newest.position & ((1::bigint << 40) - 1), newest.message_at into seq, at
	from (
		(select a.position, a.message_at from leat.activity a
		where a.stream = p_stream and a.position >= p_epoch::bigint << 40 and a.position < (p_epoch + 1)::bigint << 40
		order by a.position desc limit 1)
		union all
		(select p.position, p.message_at from leat.parked p
		where p.stream = p_stream and p.position >= p_epoch::bigint << 40 and p.position < (p_epoch + 1)::bigint << 40
		order by p.position desc limit 1)) newest
	order by newest.position desc limit 1;
end
$$;

-- Called when a lane opens its durable and after every reconnect, before it pulls: is this still the stream that the ledger knows?
-- Returns the current epoch, and the newest sequence of that epoch that is known with its time (null when there is none), so that the
-- caller can ask the server whether it still holds that very message; if not, it calls leat.stream_was_cut.
create or replace function leat.check_stream(p_stream text, p_created_at timestamptz, out epoch integer, out last_seq bigint, out last_at timestamptz)
language plpgsql set search_path = pg_catalog
as $$
declare
	v_known leat.stream_epochs;
begin
	insert into leat.stream_epochs (stream, epoch, opened_at, first_seq, stream_created_at, reason)
	values (p_stream, 0, '-infinity', 0, p_created_at, 'first seen') on conflict do nothing;
	select * into v_known from leat.stream_epochs e where e.stream = p_stream order by e.epoch desc limit 1;
	if v_known.stream_created_at is null then
		update leat.stream_epochs e set stream_created_at = p_created_at where e.stream = p_stream and e.epoch = v_known.epoch;
	elsif v_known.stream_created_at < p_created_at then
		perform leat.open_epoch(p_stream, v_known.epoch, p_created_at, p_created_at, 'the stream was deleted and made again');
		v_known.epoch := v_known.epoch + 1;
	end if;
	epoch := v_known.epoch;
	select n.seq, n.at into last_seq, last_at from leat.newest_known(p_stream, epoch) n;
end
$$;

-- The stream no longer holds what the ledger has settled (a power cut, a restored snapshot): what comes from now on is a new epoch. What
-- the ledger knows was stored before the cut, so the epoch begins just after the newest of it.
create or replace function leat.stream_was_cut(p_stream text, p_epoch integer, p_last_at timestamptz) returns void
language sql set search_path = pg_catalog
as $$
	select leat.open_epoch(p_stream, p_epoch, p_last_at + interval '1 microsecond',
		(select stream_created_at from leat.stream_epochs where stream = p_stream and epoch = p_epoch), 'the stream lost messages it had stored')
$$;

-- Positions of messages, in their order, which of them are settled or parked already (null: none), and the floor. A message whose position
-- is taken by another one (the timestamps differ) opens a new epoch: the safety net under leat.check_stream. Messages come in order of
-- sequence and time. Index: primary keys of activity and parked, one probe a message (lateral and offset 0, so that no plan made while the
-- tables were empty can scan them).
-- p_guess: the ledger is not probed, and known is a guess unless `sure`: that none is settled, which the ledger's primary key will tell.
create or replace function leat.stream_positions(p_stream text, p_seq bigint[], p_at timestamptz[], p_guess boolean default false,
	out positions bigint[], out known bigint[], out floor bigint, out sure boolean)
language plpgsql set search_path = pg_catalog
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
declare
	v_now record;
	v_lowest bigint;
	v_reused_at timestamptz;
	v_reused_epoch integer;
	v_newest_at timestamptz;
begin
	loop
		-- One statement, and for a consumer that keeps up the only one: everything is above what was settled or parked.
		select e.epoch, e.opened_at, e.first_seq, e.stream_created_at, batch.oldest, batch.twins, batch.positions,
			coalesce((select f.position from leat.stream_floors f where f.stream = p_stream), 0) as floor,
			greatest((select a.position from leat.activity a where a.stream = p_stream order by a.position desc limit 1),
				(select p.position from leat.parked p where p.stream = p_stream order by p.position desc limit 1)) as newest
		into v_now
		from (select * from leat.stream_epochs where stream = p_stream order by epoch desc limit 1) e
		cross join lateral (
			select min(at) as oldest, bool_or(seq = next_seq) as twins, array_agg(e.epoch::bigint << 40 | seq) as positions
			from unnest(p_seq, p_at, p_seq[2:]) message (seq, at, next_seq)) batch;
		if not found then
			insert into leat.stream_epochs (stream, epoch, opened_at, first_seq, reason) values (p_stream, 0, '-infinity', 0, 'first seen')
			on conflict do nothing;
			continue;
		end if;

		positions := v_now.positions;
		floor := v_now.floor;
		known := null;
		sure := positions[1] > coalesce(v_now.newest, -1);
		exit when v_now.opened_at <= v_now.oldest and v_now.first_seq <= p_seq[1] and not coalesce(v_now.twins, false)
			and (sure or p_guess and not exists (
				select from leat.parked p
				where p.stream = p_stream and p.position between positions[1] and positions[cardinality(positions)]));
		sure := true;

		if v_now.opened_at > v_now.oldest then
			positions := array(
				select (select max(e.epoch) from leat.stream_epochs e where e.stream = p_stream and e.opened_at <= at)::bigint << 40 | seq
				from unnest(p_seq, p_at) with ordinality as message (seq, at, ord) order by ord);
		end if;

		v_lowest := (select min(seq) from unnest(p_seq, positions) message (seq, position) where position >> 40 = v_now.epoch);
		if v_lowest < v_now.first_seq or (v_lowest is not null and v_now.first_seq is null) then
			update leat.stream_epochs e set first_seq = v_lowest
			where e.stream = p_stream and e.epoch = v_now.epoch and (e.first_seq is null or e.first_seq > v_lowest);
		end if;

		-- An old message and a new one of the same sequence, both in hand.
		select twin.at, twin.position >> 40 into v_reused_at, v_reused_epoch
		from unnest(positions, p_at, positions[2:], p_at[2:]) twin (position_before, at_before, position, at)
		where twin.position = twin.position_before and twin.at <> twin.at_before
		order by twin.at limit 1;
		if found then
			perform leat.open_epoch(p_stream, v_reused_epoch, v_reused_at, v_now.stream_created_at, 'a sequence came again with another message');
			continue;
		end if;

		select array_agg(message.position) filter (where message.at = settled.message_at),
			min(message.at) filter (where message.at <> settled.message_at),
			(min(message.position) filter (where message.at <> settled.message_at)) >> 40
		into known, v_reused_at, v_reused_epoch
		from unnest(positions, p_at) message (position, at)
		cross join lateral (
			select a.message_at from leat.activity a where a.stream = p_stream and a.position = message.position
			union all
			select p.message_at from leat.parked p where p.stream = p_stream and p.position = message.position
			offset 0) settled;
		exit when v_reused_at is null;

		v_newest_at := (select n.at from leat.newest_known(p_stream, v_reused_epoch) n);
		perform leat.open_epoch(p_stream, v_reused_epoch, least(v_reused_at, v_newest_at + interval '1 microsecond'), v_now.stream_created_at,
			'a sequence came again with another message');
	end loop;
end
$$;

-- The position below which everything is settled, given the ack floor of a durable that was opened in epoch p_epoch. A sequence below the
-- first of an epoch belongs to an earlier one.
create or replace function leat.note_floor(p_stream text, p_epoch integer, p_floor_seq bigint) returns bigint
language sql set search_path = pg_catalog
as $$
	insert into leat.stream_floors as known (stream, position)
	select p_stream, coalesce(max(epoch::bigint << 40 | p_floor_seq), 0)
	from leat.stream_epochs where stream = p_stream and epoch <= p_epoch and first_seq <= p_floor_seq
	on conflict (stream) do update set position = greatest(known.position, excluded.position), noted_at = now()
	returning position
$$;
