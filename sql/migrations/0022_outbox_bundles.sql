-- Events of one statement, when they are many, are one row, a bundle: `events` of them, a line of `body` each (sql/functions/80_triggers.sql).
-- Written, indexed, looked up and deleted once, which of a thousand rows cost more than the events. Their seqs are seq, seq + 1 and so on,
-- and their ids follow from the row's (leat.event_id): whoever takes a bundle apart makes the rows that they would have been.
alter table leat.outbox add column events integer check (events between 1 and 1024);
alter table leat.outbox alter column seq set increment by 1024;

-- Bundles live for milliseconds: packing them would cost more than carrying them.
alter table leat.outbox alter column body set storage external;

drop function if exists leat.fetch_outbox(integer, bigint), leat.fetch_outbox(bigint, integer, bigint);
