/*
 * The parts of the audit log: made ahead, filled, dropped whole; and what becomes of rows, parts and locks that are in the way. Time is
 * moved by the retention that is asked for: a negative one is a day to come.
 */
#include "intents.h"

#include "leat/clock.h"
#include "leat/schema.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static struct rig rig;
static struct gate gate;

static void setup(void)
{
	gate_open_with_rig(&gate, &rig);
}

static void teardown(void)
{
	gate_close_with_rig(&gate, &rig);
}

TestSuite(audit_parts, .init = setup, .fini = teardown);

#define PARTS "(select count(*) from leat.audit_parts())"
#define ROWS "(select count(*) from leat.audit_log)"
#define DEFAULT_ROWS "(select count(*) from leat.audit_log_default)"
#define TODAY "date_trunc('day', now(), 'UTC')"

/* As if no keeper had ever been there. */
static void drop_all_parts(void)
{
	rig_sql(&rig,
		"do $$ declare part regclass; begin for part in select p.part from leat.audit_parts() p loop"
		" execute format('drop table %%s', part); end loop; end $$");
}

static void attach(const char *name, const char *from, const char *to)
{
	rig_sql(&rig, "create table %s partition of leat.audit_log for values from (" TODAY " + interval '%s') to (" TODAY " + interval '%s')",
		name, from, to);
}

static void add_row(const char *at)
{
	rig_sql(&rig,
		"insert into leat.audit_log (at, tenant_id, entity_id, operation) values (now() + interval '%s', gen_random_uuid(), "
		"gen_random_uuid(),"
		" 'insert')",
		at);
}

/* ---- made ahead ---- */

Test(audit_parts, a_new_database_has_the_parts_of_today_and_a_week)
{
	rig_sql_expect(&rig, "8 8 t",
		"select concat_ws(' ', count(*), count(*) filter (where part::text = 'leat.audit_log_' || to_char(from_at at time zone 'UTC', "
		"'YYYYMMDD') and until_at = from_at + interval '24 hours'), bool_or(now() >= from_at and now() < until_at)) from "
		"leat.audit_parts()");
	rig_sql_expect(&rig, "0 ", "select concat(made, ' ', trouble) from leat.make_audit_parts(7)");
	rig_sql_expect(&rig, "2 ", "select concat(made, ' ', trouble) from leat.make_audit_parts(9)");
}

Test(audit_parts, batches_and_direct_sql_land_in_the_part_of_their_day)
{
	put(&gate, intent(1, "upsert", ENTITY_1, "'content':{'a':1}"));
	put(&gate, intent(2, "merge", ENTITY_1, "'content':{'a':2}"));
	rig_sql(&rig, "update leat.entities set content = '{}'");
	rig_sql(&rig, "set timezone = 'Pacific/Auckland'; update leat.entities set content = '{\"b\":1}'");
	rig_sql_expect(&rig, "4 4 0",
		"select concat_ws(' ', " ROWS ", (select count(*) from leat.audit_log l join leat.audit_parts() p on p.part = l.tableoid"
		" where l.at >= p.from_at and l.at < p.until_at), " DEFAULT_ROWS ")");
}

Test(audit_parts, a_part_gives_nobody_more_rights_than_the_log)
{
	drop_all_parts();
	rig_sql(&rig,
		"create role \"odd name\"; alter default privileges grant all on tables to public, \"odd name\"; select leat.make_audit_parts(3)");
	rig_sql_expect(&rig, "4 0",
		"select concat_ws(' ', count(distinct c.oid) filter (where c.relrowsecurity),"
		" count(*) filter (where granted.grantee <> c.relowner)) from leat.audit_parts() p join pg_class c on c.oid = p.part"
		" left join lateral aclexplode(c.relacl) granted on true");
	rig_sql(&rig, "alter default privileges revoke all on tables from public, \"odd name\"; drop role \"odd name\"");
}

Test(audit_parts, an_operators_part_has_its_days_and_gets_the_rows)
{
	drop_all_parts();
	attach("mine", "-1 day", "36 hours");
	rig_sql_expect(&rig, "6 ", "select concat(made, ' ', trouble) from leat.make_audit_parts(7)");
	put(&gate, intent(1, "upsert", ENTITY_1, "'content':{'a':1}"));
	cr_expect_eq(rig_sql_int(&rig, "select count(*) from mine"), 1);
}

Test(audit_parts, a_table_in_the_way_is_told_and_the_other_days_are_made)
{
	drop_all_parts();
	rig_sql(&rig,
		"do $$ begin execute format('create table leat.audit_log_%%s ()', to_char(" TODAY " at time zone 'UTC' + interval '1 day',"
		" 'YYYYMMDD')); end $$");
	rig_sql_expect(&rig, "3 t",
		"select concat_ws(' ', made, trouble like 'no part of leat.audit_log was made for 2%%: relation \"audit_log_2%%\" already exists')"
		" from leat.make_audit_parts(3)");
	rig_sql_expect(&rig, "0 t", "select concat_ws(' ', made, trouble is not null) from leat.make_audit_parts(3)");
}

/* ---- the default part ---- */

Test(audit_parts, rows_in_the_default_part_stay_there_and_keep_their_day_from_a_part)
{
	drop_all_parts();
	put(&gate, intent(1, "upsert", ENTITY_1, "'content':{'a':1}"));
	cr_assert_eq(rig_sql_int(&rig, "select " DEFAULT_ROWS), 1);
	for (int i = 1; i <= 3; i++)
		rig_sql_expect(&rig, "1 ", "select concat(made, ' ', trouble) from leat.make_audit_parts(3)");
	rig_sql_expect(&rig, "0 ", "select concat(made, ' ', trouble) from leat.make_audit_parts(3)");
	rig_sql_expect(&rig, "t", "select min(from_at) > now() from leat.audit_parts()");
	put(&gate, intent(2, "merge", ENTITY_1, "'content':{'a':2}"));
	add_row("1 day");
	rig_sql_expect(&rig, "3 2", "select concat_ws(' ', " ROWS ", " DEFAULT_ROWS ")");
	rig_sql(&rig, "delete from leat.audit_log_default");
	rig_sql_expect(&rig, "1 ", "select concat(made, ' ', trouble) from leat.make_audit_parts(3)");
}

Test(audit_parts, rows_of_the_default_part_go_when_they_are_old_a_chunk_at_a_time)
{
	drop_all_parts();
	for (int i = 0; i < 5; i++)
		add_row("-31 days");
	add_row("-29 days");
	add_row("0 days");
	cr_expect_eq(rig_sql_int(&rig, "select leat.expire_audit_rows(720, 3)"), 3);
	cr_expect_eq(rig_sql_int(&rig, "select leat.expire_audit_rows(720, 3)"), 2);
	cr_expect_eq(rig_sql_int(&rig, "select leat.expire_audit_rows(720, 3)"), 0);
	cr_expect_eq(rig_sql_int(&rig, "select " ROWS), 2);
	rig_sql(&rig, "alter table leat.audit_log detach partition leat.audit_log_default");
	cr_expect_eq(rig_sql_int(&rig, "select leat.expire_audit_rows(0, 3)"), 0);
	rig_sql_expect(&rig, "4 ", "select concat(made, ' ', trouble) from leat.make_audit_parts(3)");
}

Test(audit_parts, what_lay_in_the_default_part_before_an_upgrade_becomes_a_part_of_its_own)
{
	drop_all_parts();
	rig_sql(&rig, "drop index leat.audit_log_default_at");
	rig_sql(&rig, "delete from leat.schema_files where name in ('migrations/0004_retention.sql', 'functions/93_audit_parts.sql')");
	put(&gate, intent(1, "upsert", ENTITY_1, "'content':{'a':1}"));
	add_row("-40 days");
	add_row("3 days");
	rig_migrate(&rig);
	put(&gate, intent(2, "merge", ENTITY_1, "'content':{'a':2}"));
	rig_sql_expect(&rig, "4 1 3 t",
		"select concat_ws(' ', " ROWS ", " DEFAULT_ROWS ", count(*), bool_and(relrowsecurity)) from leat.audit_log l"
		" join leat.audit_parts() p on p.part = l.tableoid and p.part::text like 'leat.audit_log_until_2%%' join pg_class c on c.oid = "
		"p.part");
	rig_sql_expect(&rig, "0 ", "select concat(dropped, ' ', trouble) from leat.drop_audit_parts(720)");
	rig_sql_expect(&rig, "1 ", "select concat(dropped, ' ', trouble) from leat.drop_audit_parts(-24)");
	cr_expect_eq(rig_sql_int(&rig, "select " ROWS), 1);
}

/* ---- dropped whole ---- */

Test(audit_parts, only_what_lies_wholly_before_the_retention_is_dropped_whoever_made_it)
{
	attach("wholly", "-40 days", "-31 days");
	attach("partly", "-31 days", "-29 days");
	add_row("-35 days");
	add_row("-30 days");
	rig_sql(&rig, "create schema archive; create table archive.kept (like leat.audit_log)");
	rig_sql_expect(&rig, "1 ", "select concat(dropped, ' ', trouble) from leat.drop_audit_parts(720)");
	rig_sql_expect(&rig, "t 1", "select concat_ws(' ', to_regclass('wholly') is null, " ROWS ")");
	rig_sql_expect(&rig, "1 ", "select concat(dropped, ' ', trouble) from leat.drop_audit_parts(24 * 29)");
	cr_expect_eq(rig_sql_int(&rig, "select " PARTS), 8);
	rig_sql_expect(&rig, "3 ", "select concat(dropped, ' ', trouble) from leat.drop_audit_parts(-3 * 24)");
	cr_expect_eq(rig_sql_int(&rig, "select " PARTS), 5);
}

Test(audit_parts, a_part_that_was_detached_is_kept)
{
	attach("wanted", "-40 days", "-39 days");
	add_row("-40 days");
	rig_sql(&rig, "alter table leat.audit_log detach partition wanted");
	rig_sql_expect(&rig, "0 ", "select concat(dropped, ' ', trouble) from leat.drop_audit_parts(720)");
	cr_expect_eq(rig_sql_int(&rig, "select count(*) from wanted"), 1);
}

Test(audit_parts, a_part_that_cannot_be_dropped_is_told_and_the_others_go)
{
	attach("needed", "-40 days", "-39 days");
	attach("free", "-39 days", "-38 days");
	rig_sql(&rig, "create view view_of_it as select * from needed");
	rig_sql_expect(&rig, "1 public.needed was not dropped: cannot drop table public.needed because other objects depend on it",
		"select concat(dropped, ' ', trouble) from leat.drop_audit_parts(720)");
	rig_sql(&rig, "drop view view_of_it");
	rig_sql_expect(&rig, "1 ", "select concat(dropped, ' ', trouble) from leat.drop_audit_parts(720)");
}

/* ---- locks ---- */

static void run_in_gate(const char *sql)
{
	struct leat_error err;
	cr_assert_eq(leat_pg_run_sql(gate.pg, sql, NULL, &err), LEAT_OK, "%s", err.text);
}

Test(audit_parts, whoever_reads_the_log_for_long_is_not_waited_for)
{
	drop_all_parts();
	attach("old", "-40 days", "-39 days");
	put(&gate, intent(1, "upsert", ENTITY_1, "'content':{'a':1}"));
	rig_sql(&rig, "delete from leat.audit_log_default");
	run_in_gate("begin; select count(*) from leat.audit_log");
	int64_t began_ms = leat_clock_ms();
	rig_sql_expect(&rig, "0 t", "select concat_ws(' ', made, trouble like 'somebody holds a lock%%') from leat.make_audit_parts(7)");
	rig_sql_expect(&rig, "0 t", "select concat_ws(' ', dropped, trouble like 'somebody holds a lock%%') from leat.drop_audit_parts(720)");
	cr_expect_lt(leat_clock_ms() - began_ms, 5000);
	rig_sql(&rig, "update leat.entities set content = '{}'; delete from leat.audit_log_default");
	run_in_gate("commit");
	rig_sql_expect(&rig, "8 ", "select concat(made, ' ', trouble) from leat.make_audit_parts(7)");
	rig_sql_expect(&rig, "1 ", "select concat(dropped, ' ', trouble) from leat.drop_audit_parts(720)");
}

Test(audit_parts, a_write_that_is_not_committed_keeps_no_other_from_writing)
{
	attach("old", "-40 days", "-39 days");
	put(&gate, intent(1, "upsert", ENTITY_1, "'content':{'a':1}"));
	put(&gate, intent(2, "upsert", ENTITY_2, "'content':{'a':1}"));
	run_in_gate("begin; update leat.entities set content = '{}' where id = '" ENTITY_1 "'");
	rig_sql_expect(&rig, "0 t", "select concat_ws(' ', dropped, trouble is not null) from leat.drop_audit_parts(720)");
	rig_sql_expect(&rig, "2 ", "select concat(made, ' ', trouble) from leat.make_audit_parts(9)");
	rig_sql(&rig, "set lock_timeout = 5000; update leat.entities set content = '{}' where id = '" ENTITY_2 "'");
	run_in_gate("commit");
	rig_sql_expect(&rig, "1 ", "select concat(dropped, ' ', trouble) from leat.drop_audit_parts(720)");
	cr_expect_eq(rig_sql_int(&rig, "select " ROWS), 4);
}

Test(audit_parts, of_two_at_once_the_second_does_nothing)
{
	drop_all_parts();
	run_in_gate("begin; select leat.make_audit_parts(7)");
	rig_sql_expect(&rig, "0 ", "select concat(made, ' ', trouble) from leat.make_audit_parts(7)");
	rig_sql_expect(&rig, "0 ", "select concat(dropped, ' ', trouble) from leat.drop_audit_parts(-24 * 30)");
	run_in_gate("commit");
	cr_expect_eq(rig_sql_int(&rig, "select " PARTS), 8);
}
