-- Of what users may read there are no statistics: they are of all tenants' rows, and EXPLAIN would tell a user how many rows another tenant
-- has, which types and keys are frequent, between which ids they lie. Rows are found by primary key; for that the planner has to know that
-- ids differ, or it takes bitmaps: of ids it gets the smallest sample there is, which tells of two ids that they may exist.
-- (Postgres keeps what it gathered before this; nobody could ask for it before 0002.)
do $$
declare
	v_column record;
begin
	for v_column in
		select a.attrelid::regclass as table_name, a.attname, case when a.attname in ('id', 'entity_id') then 1 else 0 end as target
		from pg_attribute a
		where a.attrelid in ('leat.entities'::regclass, 'leat.embeddings'::regclass) and a.attnum > 0 and not a.attisdropped
	loop
		execute format('alter table %s alter column %I set statistics %s', v_column.table_name, v_column.attname, v_column.target);
	end loop;
end
$$;
