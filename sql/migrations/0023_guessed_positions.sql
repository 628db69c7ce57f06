-- leat.stream_positions has another parameter and result (sql/functions/20_positions.sql).
drop function if exists leat.stream_positions(text, bigint[], timestamptz[]);
