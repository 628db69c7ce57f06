-- The parts of leat.audit_log: one a day, in UTC, leat.audit_log_20261122 and so on, made ahead and dropped whole.
--
-- Happy path: the keeper finds every day of the next week there, and nothing to drop; once a day it makes one part and drops one. The default
-- part stays empty: it is the net for when no keeper ran. Rows that lie in it keep their day from getting a part, stay readable there, and
-- are deleted in chunks when they are old.
--
-- Locks: a part is attached under SHARE UPDATE EXCLUSIVE of the log, which stops nobody, and ACCESS EXCLUSIVE of the default part; it is
-- dropped under ACCESS EXCLUSIVE of both. Whoever comes behind a waiting lock waits too, so that none is waited for longer than
-- lock_timeout: the keeper comes again. Whatever else goes wrong with one part is told, and leaves the others alone.
--
-- What the keeper calls runs with the owner's rights. Two at once: the second does nothing.

-- What is attached, but for the default part. Days are told by the bounds, whatever a part is called and whoever made it.
create or replace function leat.audit_parts() returns table (part regclass, from_at timestamptz, until_at timestamptz)
language sql stable set search_path = pg_catalog set timezone = 'UTC' set datestyle = 'ISO'
as $$
	select c.oid::regclass,
		case bounds[1] when 'MINVALUE' then '-infinity' else trim('''' from bounds[1])::timestamptz end,
		case bounds[2] when 'MAXVALUE' then 'infinity' else trim('''' from bounds[2])::timestamptz end
	from pg_inherits i
	join pg_class c on c.oid = i.inhrelid
	cross join lateral regexp_match(pg_get_expr(c.relpartbound, c.oid), '^FOR VALUES FROM \((.*)\) TO \((.*)\)$') bounds
	where i.inhparent = 'leat.audit_log'::regclass and bounds is not null
$$;

-- Null when an operator has detached it.
create or replace function leat.audit_default_part() returns regclass
language sql stable set search_path = pg_catalog
return (select nullif(partdefid, 0)::regclass from pg_partitioned_table where partrelid = 'leat.audit_log'::regclass);

-- One part, of the day that begins at p_at; row-level security without a policy: by its own name only the owner reads it. For
-- leat.make_audit_parts, whose rights it needs.
create or replace function leat.make_audit_part(p_name text, p_at timestamptz) returns void
language plpgsql set search_path = pg_catalog set timezone = 'UTC' set datestyle = 'ISO'
as $$
declare
	v_grantee text;
begin
	execute format('create table leat.%I (like leat.audit_log including defaults including constraints including storage including compression)',
		p_name);
	execute format('alter table leat.%I enable row level security', p_name);
	for v_grantee in -- what ALTER DEFAULT PRIVILEGES gave
		select distinct case granted.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(granted.grantee)) end
		from pg_class c, aclexplode(c.relacl) granted
		where c.oid = format('leat.%I', p_name)::regclass and granted.grantee <> c.relowner
	loop
		execute format('revoke all on leat.%I from %s', p_name, v_grantee);
	end loop;
	execute format('alter table leat.audit_log attach partition leat.%I for values from (%L) to (%L)', p_name, p_at, p_at + interval '1 day');
end
$$;

-- The parts of today and of p_days more, as far as they are missing. A day that another part takes, or of which rows lie in the default
-- part, has none made. While there are rows in the default part, one a call: attaching reads all of them under its lock.
-- trouble: why some could not be made, in words; null when all is well.
create or replace function leat.make_audit_parts(p_days integer, out made integer, out trouble text)
language plpgsql security definer
set search_path = pg_catalog set timezone = 'UTC' set datestyle = 'ISO' set lock_timeout = '100ms'
as $$
declare
	v_default constant regclass := leat.audit_default_part();
	v_at timestamptz;
	v_taken boolean;
begin
	made := 0;
	if not pg_try_advisory_xact_lock(hashtext('leat.audit_log'), 0) then
		return;
	end if;
	for v_at in
		select day from generate_series(date_trunc('day', now()), date_trunc('day', now()) + p_days * interval '1 day', interval '1 day') day
		where not exists (select from leat.audit_parts() p where p.from_at < day + interval '1 day' and p.until_at > day)
	loop
		begin
			v_taken := false;
			if v_default is not null then
				execute format('select exists (select from %s where at >= $1 and at < $1 + interval ''1 day'')', v_default) into v_taken using v_at;
			end if;
			continue when v_taken;
			perform leat.make_audit_part('audit_log_' || to_char(v_at, 'YYYYMMDD'), v_at);
			made := made + 1;
			if v_default is not null then
				execute format('select exists (select from %s)', v_default) into v_taken;
			end if;
			exit when v_taken;
		exception
			when lock_not_available then
				trouble := 'somebody holds a lock on leat.audit_log: no part was made for ' || v_at::date;
				return;
			when others then
				trouble := 'no part of leat.audit_log was made for ' || v_at::date || ': ' || sqlerrm;
		end;
	end loop;
end
$$;

-- Drops every part that lies wholly before the retention, an operator's own too: who wants to keep one detaches it. Foreign tables stay.
create or replace function leat.drop_audit_parts(p_retention_h bigint, out dropped integer, out trouble text)
language plpgsql security definer
set search_path = pg_catalog set lock_timeout = '100ms'
as $$
declare
	v_part regclass;
begin
	dropped := 0;
	if not pg_try_advisory_xact_lock(hashtext('leat.audit_log'), 0) then
		return;
	end if;
	for v_part in
		select p.part from leat.audit_parts() p join pg_class c on c.oid = p.part
		where p.until_at <= now() - p_retention_h * interval '1 hour' and c.relkind in ('r', 'p')
		order by p.until_at
	loop
		begin
			execute format('drop table %s', v_part);
			dropped := dropped + 1;
		exception
			when lock_not_available then
				trouble := format('somebody holds a lock on leat.audit_log: %s was not dropped', v_part);
				return;
			when others then
				trouble := format('%s was not dropped: %s', v_part, sqlerrm);
		end;
	end loop;
end
$$;

-- Deletes the oldest rows of the default part that lie before the retention, p_limit at most; how many. Index: the default part's, of `at`.
create or replace function leat.expire_audit_rows(p_retention_h bigint, p_limit integer) returns bigint
language plpgsql security definer
set search_path = pg_catalog set lock_timeout = '100ms'
as $$
declare
	v_default constant regclass := leat.audit_default_part();
	v_deleted bigint := 0;
begin
	if v_default is not null then
		execute format('delete from %s where ctid = any (array(select ctid from %1$s where at < $1 order by at limit $2))', v_default)
		using now() - p_retention_h * interval '1 hour', p_limit;
		get diagnostics v_deleted = row_count;
	end if;
	return v_deleted;
exception when lock_not_available then
	return 0;
end
$$;

-- So that a database has its first parts before there is a keeper. The keeper's to complain, if it comes to that.
do $$
begin
	perform leat.make_audit_parts(7);
end
$$;
