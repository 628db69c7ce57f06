-- leat.stream_positions has another parameter and result (sql/functions/20_positions.sql).
drop function if exists leat.stream_positions(text, bigint[], timestamptz[]);

-- A CHECK is read and compiled for every statement that writes to the table; a domain's once (0001).
create domain leat.event_count as integer constraint possible check (value between 1 and 1024);
drop function if exists leat.fetch_outbox(bigint, integer, bigint); -- is compiled against the column
alter table leat.outbox drop constraint outbox_events_check;
alter table leat.outbox alter column events type leat.event_count;
