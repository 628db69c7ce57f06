-- The outbox under load: rows live for milliseconds. What autovacuum may do there: at once, as fast as it can, and no statistics of a table
-- that is another one by the time they are used. leat.shrink_outbox does the rest.
alter table leat.outbox set (
	autovacuum_vacuum_cost_delay = 0,
	autovacuum_vacuum_insert_threshold = -1,
	autovacuum_analyze_scale_factor = 0,
	autovacuum_analyze_threshold = 2147483647,
	toast.autovacuum_vacuum_scale_factor = 0,
	toast.autovacuum_vacuum_threshold = 5000,
	toast.autovacuum_vacuum_cost_delay = 0
);

-- Almost always empty: which subjects have a row that the server refused.
create index outbox_refused on leat.outbox (subject, seq) where retry_at is not null;
