-- What the keep lane needs to forget what is old: sql/functions/93_audit_parts.sql, 94_ledger_pruning.sql.

-- The default part of the audit log is a net, and every part that is attached costs a look at all of it. Where everything lies in it, from
-- before there were days of their own, it becomes one of the parts itself, up to the end of this day, and is dropped whole in its time.
-- Rows beyond that day, which only direct SQL can have made, move to the new default part. Where an operator has attached parts, nothing is
-- moved: what lies in the default part is then deleted in chunks, in its time.
do $$
declare
	v_until constant timestamptz := (date_trunc('day', now() at time zone 'UTC') + interval '1 day') at time zone 'UTC';
	v_day constant text := to_char(v_until at time zone 'UTC', 'YYYY-MM-DD');
	v_name constant text := 'audit_log_until_' || replace(v_day, '-', '');
begin
	if not exists (select from leat.audit_log_default)
		or exists (select from pg_inherits where inhparent = 'leat.audit_log'::regclass and inhrelid <> 'leat.audit_log_default'::regclass) then
		return;
	end if;
	alter table leat.audit_log detach partition leat.audit_log_default;
	execute format('alter table leat.audit_log_default rename to %I', v_name);
	execute format('alter table leat.%I enable row level security', v_name);
	create table leat.audit_log_default (like leat.audit_log including all);
	alter table leat.audit_log attach partition leat.audit_log_default default;
	execute format('with later as (delete from leat.%I where at >= %L returning *) insert into leat.audit_log_default select * from later',
		v_name, v_until);
	execute format('alter table leat.audit_log attach partition leat.%I for values from (minvalue) to (%L)', v_name, v_day || ' 00:00:00+00');
end
$$;

-- By parts, rows are seen as the policies of leat.audit_log say; by the name of a part, by its owner only.
alter table leat.audit_log_default enable row level security;
create index if not exists audit_log_default_at on leat.audit_log_default (at);

-- Every row goes once, the oldest first. The usual fifth of a large ledger would be days of dead rows at its low end, where pruning begins.
alter table leat.activity set (autovacuum_vacuum_scale_factor = 0.05);
alter table leat.message_ids set (autovacuum_vacuum_scale_factor = 0.05);
