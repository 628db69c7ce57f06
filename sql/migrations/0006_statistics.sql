-- Of what users may read there are no statistics: they are of all tenants' rows, and EXPLAIN would tell a user how many rows another tenant
-- has, which types and keys are frequent, between which ids they lie. Nothing here is planned by them: rows are found by primary key.
-- (Postgres keeps what it gathered before this; nobody could ask for it before 0002.)
do $$
declare
	v_column record;
begin
	for v_column in
		select a.attrelid::regclass as table_name, a.attname from pg_attribute a
		where a.attrelid in ('leat.entities'::regclass, 'leat.embeddings'::regclass) and a.attnum > 0 and not a.attisdropped
	loop
		execute format('alter table %s alter column %I set statistics 0', v_column.table_name, v_column.attname);
	end loop;
end
$$;
