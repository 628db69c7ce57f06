/*
 * The wall between tenants for SQL clients: a user sees, writes and learns of the rows of one tenant, and of none when it is not clear of
 * which. Who may touch what at all is grants_test.c.
 */
#include "client.h"
#include "intents.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OWN "eeeeeeee-0000-4000-8000-000000000001"    /* A's */
#define SHARED "eeeeeeee-0000-4000-8000-000000000002" /* an id that both have */
#define THEIRS "eeeeeeee-0000-4000-8000-000000000003" /* B's */
#define NOBODYS "eeeeeeee-0000-4000-8000-000000000004"
#define SECRET "0123456789"

static struct rig rig;
static struct client user;

static void setup(void)
{
	rig_open(&rig);
	install_schema(&rig);
	rig_sql(&rig,
		"insert into leat.entities (tenant_id, id, entity_type, key, content, metadata, last_position, upsert_positions) values"
		" ('" RIG_TENANT_A "', '" OWN "', 't', 'k1', '{\"of\": \"a\"}', '{}', 5, '{5}'),"
		" ('" RIG_TENANT_A "', '" SHARED "', 't', 'k2', '{\"of\": \"a\"}', '{}', 6, '{6}'),"
		" ('" RIG_TENANT_B "', '" SHARED "', 't', 'k2', '{\"of\": \"" SECRET "\"}', '{}', 7, '{7}'),"
		" ('" RIG_TENANT_B "', '" THEIRS "', 't', 'k3', '{\"of\": \"" SECRET "\"}', '{\"of\": \"" SECRET "\"}', 8, '{8}')");
	client_open(&user, &rig, "authenticated");
}

static void teardown(void)
{
	client_close(&user);
	rig_close(&rig);
}

TestSuite(wall_sql, .init = setup, .fini = teardown);

/* Everything of B, its versions too. */
static char *theirs(void)
{
	return rig_sql_text(&rig,
		"select concat_ws(' ', string_agg(concat_ws(' ', e, xmin, ctid), ',' order by id),"
		" (select count(*) from leat.audit_log where tenant_id = '" RIG_TENANT_B "'),"
		" (select count(*) from leat.outbox where subject like 'leat.event." RIG_TENANT_B "%%'))"
		" from leat.entities e where tenant_id = '" RIG_TENANT_B "'");
}

static void expect_theirs_unchanged(char *before)
{
	char *after = theirs();
	cr_assert_str_eq(after, before, "before %s\nafter %s", before, after);
	free(before);
	free(after);
}

/* ---- whose ---- */

#define IDS "select string_agg(concat(left(tenant_id::text, 1), right(id::text, 1)), ' ' order by id) from leat.entities"

Test(wall_sql, a_user_sees_the_rows_of_the_tenant_that_the_claims_or_the_lane_name)
{
	static const char *const ways[][2] = {
		{"{\"tenant_id\":\"" RIG_TENANT_A "\"}", ""},
		{"{\"tenant_id\":\"AAAAAAAA-AAAA-4AAA-8AAA-AAAAAAAAAAAA\"}", ""},
		{"{\"app_metadata\":{\"tenant_id\":\"" RIG_TENANT_A "\"}}", ""},
		{"{\"tenant_id\":\"" RIG_TENANT_A "\",\"app_metadata\":{\"tenant_id\":\"" RIG_TENANT_B "\"}}", ""},
		{"{\"tenant_id\":\"" RIG_TENANT_A "\"}", RIG_TENANT_B}, /* claims before settings */
		{"", RIG_TENANT_A},
	};
	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		client_set(&user, ways[i][0], ways[i][1]);
		client_expect(&user, "a1 a2", IDS);
		client_expect(&user, "2",
			"with changed as (update leat.entities set metadata = '{\"way\": %zu}' returning 1) select count(*) from changed", i);
	}
}

Test(wall_sql, a_user_of_no_tenant_or_of_an_uncertain_one_sees_nothing_and_writes_nothing)
{
	static const char *const ways[][2] = {
		{"", ""},
		{"", "a"},
		{"", RIG_TENANT_A "0"},
		{"", "{" RIG_TENANT_A "}"},
		{"", " " RIG_TENANT_A},
		{"{}", RIG_TENANT_A}, /* claims of nobody: what is set besides does not count */
		{"null", RIG_TENANT_A},
		{"[]", RIG_TENANT_A},
		{"\"" RIG_TENANT_A "\"", ""},
		{"{\"tenant_id\":null}", RIG_TENANT_A},
		{"{\"tenant_id\":[\"" RIG_TENANT_A "\"]}", ""},
		{"{\"tenant_id\":\"\",\"app_metadata\":{\"tenant_id\":\"" RIG_TENANT_A "\"}}", ""},
		{"{\"tenant_id\":\"" RIG_TENANT_A "\\n\"}", ""},
		{"{\"user_metadata\":{\"tenant_id\":\"" RIG_TENANT_A "\"}}", ""}, /* which users write themselves */
		{"{\"app_metadata\":\"" RIG_TENANT_A "\"}", ""},
		{"{\"Tenant_id\":\"" RIG_TENANT_A "\"}", ""},
	};
	char *before = rig_sql_text(&rig, "select string_agg(concat_ws(' ', e, xmin), ',' order by tenant_id, id) from leat.entities e");
	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		client_set(&user, ways[i][0], ways[i][1]);
		client_expect(&user, "", IDS);
		client_expect(
			&user, "0", "with changed as (update leat.entities set metadata = '{\"x\": 1}' returning 1) select count(*) from changed");
		client_expect(
			&user, "null", "select coalesce(leat.merge_entity_content('" OWN "', '" RIG_TENANT_A "', '{\"x\": 1}')::text, 'null')");
		client_expect_refused(
			&user, "42501", "insert into leat.entities (tenant_id, id, entity_type) values ('" RIG_TENANT_A "', '" NOBODYS "', 't')");
	}
	rig_sql_expect(&rig, before, "select string_agg(concat_ws(' ', e, xmin), ',' order by tenant_id, id) from leat.entities e");
	free(before);
}

Test(wall_sql, claims_that_are_no_json_are_an_error)
{
	client_set(&user, "{\"tenant_id\":", RIG_TENANT_A);
	client_expect_refused(&user, "22P02", IDS);
}

/* ---- not there, not yours ---- */

/* The id stands for %1$s. Rows are counted, so that the answer is never of the statement's own making. */
static const char *const statements[] = {
	"select count(*) from leat.entities where id = '%1$s'",
	"select count(*) from leat.entities where tenant_id = '" RIG_TENANT_B "' and id = '%1$s'",
	"select count(*) from (select from leat.entities where tenant_id = '" RIG_TENANT_B "' and id = '%1$s' for update) e",
	"with c as (update leat.entities set content = '{}' where id = '%1$s' returning 1) select count(*) from c",
	"with c as (update leat.entities set content = '{}' where tenant_id = '" RIG_TENANT_B
	"' and id = '%1$s' returning 1) select count(*) from c",
	"with c as (update leat.entities set tenant_id = '" RIG_TENANT_A "' where id = '%1$s' returning 1) select count(*) from c",
	/* one's own row pushed over the wall, onto one that is there and one that is not */
	"update leat.entities set tenant_id = '" RIG_TENANT_B "', id = '%1$s' where id = '" OWN "'",
	"select coalesce(leat.merge_entity_content('%1$s', '" RIG_TENANT_B "', '{\"x\": 1}')::text, 'null')",
	"select coalesce(leat.merge_entity_metadata('%1$s', '" RIG_TENANT_B "', '{\"x\": 1}')::text, 'null')",
	"select coalesce(leat.merge_entity_content('%1$s', '" RIG_TENANT_A "', '{\"x\": 1}')::text, 'null')",
	"select leat.merge_entity_content('%1$s', '" RIG_TENANT_B "', '1')",
	"delete from leat.entities where id = '%1$s'",
	"insert into leat.entities (tenant_id, id, entity_type) values ('" RIG_TENANT_B "', '%1$s', 't')",
	"insert into leat.entities (tenant_id, id, entity_type) values ('" RIG_TENANT_B "', '%1$s', null)",
	"insert into leat.entities (tenant_id, id, entity_type, content) values ('" RIG_TENANT_B "', '%1$s', 't', '1')",
	"insert into leat.entities (tenant_id, id, entity_type) values ('" RIG_TENANT_B "', '%1$s', 't') on conflict do nothing",
	"insert into leat.entities (tenant_id, id, entity_type) values ('" RIG_TENANT_B "', '%1$s', 't')"
	" on conflict (tenant_id, id) do update set content = '{}'",
	"insert into leat.entities (tenant_id, id, entity_type) values ('" RIG_TENANT_B "', '%1$s', 't')"
	" on conflict on constraint entities_pkey do update set tenant_id = '" RIG_TENANT_A "' returning content",
	"merge into leat.entities e using (values ('" RIG_TENANT_B
	"'::uuid, '%1$s'::uuid)) v (tenant, id) on e.tenant_id = v.tenant and e.id = v.id"
	" when matched then update set content = '{}' when not matched then insert (tenant_id, id, entity_type) values (v.tenant, v.id, 't')",
	"merge into leat.entities e using (values ('" RIG_TENANT_B
	"'::uuid, '%1$s'::uuid)) v (tenant, id) on e.tenant_id = v.tenant and e.id = v.id"
	" when matched then do nothing",
	/* what a user's intents run, called by hand */
	"select leat.write_entity_intent('" RIG_TENANT_B "', 'merge', array['%1$s']::uuid[], 99, '{\"content\":{\"x\":1}}', 0, true)",
	"select leat.write_entity_intent('" RIG_TENANT_B "', 'bulk', array['%1$s']::uuid[], 99, '{\"content\":{\"x\":1}}', 0, true)",
	"select leat.write_entity_intent('" RIG_TENANT_B
	"', 'merge', array['%1$s']::uuid[], 99, '{\"content\":{\"x\":1},\"respect_locks\":true}', 0, true)",
	"select leat.write_entity_intent('" RIG_TENANT_B "', 'delete', array['%1$s']::uuid[], 99, '{}', 0, true)",
	"select leat.write_entity_intent('" RIG_TENANT_B "', 'lock', array['%1$s']::uuid[], 99, '{\"fields\":[\"of\"]}', 0, true)",
	"select leat.write_entity_intent('" RIG_TENANT_B "', 'upsert', array['%1$s']::uuid[], 99, '{\"entity_type\":\"t\"}', 0, true)",
	"select leat.change_entities('" RIG_TENANT_B "', array['%1$s']::uuid[], 'delete', 99, '{}', 0)",
	"select leat.change_unlocked('" RIG_TENANT_B "', array['%1$s']::uuid[], 'merge', 99, '{\"content\":{\"of\":1}}', 0)",
	"select leat.write_entity_groups(row(array['" RIG_TENANT_B
	"']::uuid[], array['%1$s']::uuid[], '{true}', '{true}', '{false}', '{99}', '{99}', '{null}',"
	" '{null}', '{null}', array['{\"x\":1}'::jsonb], array['{}'::jsonb], array['{\"x\":99}'::jsonb], "
	"array['{}'::jsonb])::leat.entity_groups,"
	" '{existing}', 0)",
	"select leat.merge_entity_groups(row(array['" RIG_TENANT_B
	"']::uuid[], array['%1$s']::uuid[], '{true}', '{true}', '{false}', '{99}', '{99}', '{null}',"
	" '{null}', '{null}', array['{\"x\":1}'::jsonb], array['{}'::jsonb], array['{\"x\":99}'::jsonb], "
	"array['{}'::jsonb])::leat.entity_groups)",
	/* what they do not */
	"select leat.entity_result('" RIG_TENANT_B "', '%1$s')",
	"select * from leat.apply_entity_intent('LEAT_ENTITY', 1, now(), 's', '" RIG_TENANT_B
	"', 'service', 'delete', '%1$s', null, null, null, null, '', '{}', null, null)",
	"select from leat.audit_log where entity_id = '%1$s'",
	"select from leat.audit_log_default where entity_id = '%1$s'",
	"select from leat.activity where target_id = '%1$s'",
};

/* With all that says which id it was taken out. */
static char *answer(const char *statement, const char *id)
{
	char *found = client_ask(&user, statement, id);
	for (char *at = found; (at = strstr(at, id)) != NULL;)
		memset(at, '#', strlen(id));
	return found;
}

Test(wall_sql, what_is_another_tenants_answers_like_what_is_not_there)
{
	char *before = theirs();
	client_set(&user, CLAIMS_A, "");
	for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) {
		char *not_there = answer(statements[i], NOBODYS);
		char *not_yours = answer(statements[i], THEIRS);
		cr_expect_str_eq(not_yours, not_there, "%s\nnot there: %s\nnot yours: %s", statements[i], not_there, not_yours);
		cr_expect_null(strstr(not_yours, SECRET), "%s\n%s", statements[i], not_yours);
		free(not_there);
		free(not_yours);
	}
	expect_theirs_unchanged(before);
	client_expect(&user, "a1 a2", IDS);
}

/* An id that both have is one's own row. */
Test(wall_sql, an_id_that_both_have_is_ones_own)
{
	char *before = theirs();
	client_set(&user, CLAIMS_A, "");
	client_expect(&user, "a", "select content ->> 'of' from leat.entities where id = '" SHARED "'");
	client_expect(&user, "{\"x\": 1, \"of\": \"a\"}", "select leat.merge_entity_content('" SHARED "', '" RIG_TENANT_A "', '{\"x\": 1}')");
	client_expect(&user, "1",
		"with c as (update leat.entities set metadata = '{\"x\": 1}' where id = '" SHARED "' returning 1) select count(*) from c");
	client_expect(&user, "t",
		"insert into leat.entities (tenant_id, id, entity_type) values ('" RIG_TENANT_A "', '" THEIRS "', 't') returning entity_type");
	client_expect_refused(
		&user, "23505", "insert into leat.entities (tenant_id, id, entity_type) values ('" RIG_TENANT_A "', '" SHARED "', 't')");
	client_expect_refused(&user, "42501", "delete from leat.entities where id = '" SHARED "'");
	client_expect_refused(&user, "42501", "truncate leat.entities");
	expect_theirs_unchanged(before);
}

/* ---- timing class ---- */

/* Blocks of the database that the statement looks at, and how it goes about it. */
static char *plan_of(const char *statement, const char *id)
{
	char explain[1200];
	snprintf(explain, sizeof explain, "explain (analyze, buffers, costs off, timing off, summary off, format json) %s", statement);
	return answer(explain, id);
}

Test(wall_sql, what_is_another_tenants_takes_as_much_looking_as_what_is_not_there)
{
	rig_sql(&rig,
		"insert into leat.entities (tenant_id, id, entity_type) select t::uuid, gen_random_uuid(), 't'"
		" from unnest(array['" RIG_TENANT_A "', '" RIG_TENANT_B "']) t, generate_series(1, 3000)");
	rig_sql(&rig, "vacuum (analyze) leat.entities");
	client_set(&user, CLAIMS_A, "");
	client_expect(&user, "", "set enable_seqscan = off");
	for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) {
		char *not_there = plan_of(statements[i], NOBODYS);
		char *not_yours = plan_of(statements[i], THEIRS);
		/* Now and then the catalogs are read too: the first time, and whenever autovacuum was there. */
		for (int round = 0; round < 10 && strcmp(not_yours, not_there) != 0; round++) {
			free(not_there);
			free(not_yours);
			not_there = plan_of(statements[i], NOBODYS);
			not_yours = plan_of(statements[i], THEIRS);
		}
		cr_expect_str_eq(not_yours, not_there, "%s\nnot there: %s\nnot yours: %s", statements[i], not_there, not_yours);
		free(not_there);
		free(not_yours);
	}
}

/* They are made of all rows, whoever's: how many, which values are frequent, between which ids. */
Test(wall_sql, the_planners_estimates_tell_nothing_of_other_tenants)
{
	rig_sql(&rig,
		"insert into leat.entities (tenant_id, id, entity_type, key, deleted_at) select '" RIG_TENANT_B
		"', gen_random_uuid(), 'theirs', 'k', now()"
		" from generate_series(1, 3000)");
	rig_sql(&rig, "analyze leat.entities, leat.embeddings");
	rig_sql_expect(&rig, "entities.id: 2 bounds, 0 values",
		"select string_agg(format('%%s.%%s: %%s bounds, %%s values', tablename, attname, cardinality(histogram_bounds::text::text[]),"
		" coalesce(cardinality(most_common_vals::text::text[]), 0)), ', ') from pg_stats"
		" where schemaname = 'leat' and has_table_privilege('authenticated', format('leat.%%I', tablename), 'select')");
	rig_sql_expect(&rig, "Index Scan using entities_pkey on entities", /* and no bitmap, as for ids that might be the same */
		"explain (costs off) select content from leat.entities where tenant_id = '" RIG_TENANT_B "' and id = '" THEIRS "'");
	client_set(&user, CLAIMS_A, "");
	static const char *const pairs[][2] = {
		{"tenant_id = '" RIG_TENANT_B "'", "tenant_id = 'dddddddd-dddd-4ddd-8ddd-dddddddddddd'"},
		{"entity_type = 'theirs'", "entity_type = 'nobodys'"},
		{"key = 'k'", "key = 'l'"},
		{"id = '" THEIRS "'", "id = '" NOBODYS "'"},
		{"deleted_at is null", "type_position is null"},
	};
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		char *plans[2];
		for (size_t side = 0; side < 2; side++)
			plans[side] = client_ask(&user, "explain select from leat.entities where %s", pairs[i][side]);
		cr_expect_str_eq(plans[0], plans[1], "%s: %s\n%s: %s", pairs[i][0], plans[0], pairs[i][1], plans[1]);
		free(plans[0]);
		free(plans[1]);
	}
}

/* ---- round the wall ---- */

Test(wall_sql, a_function_in_a_condition_is_shown_ones_own_rows_only)
{
	client_set(&user, CLAIMS_A, "");
	client_expect(&user, "",
		"create temporary table seen (content jsonb); create function pg_temp.look(p jsonb) returns boolean language plpgsql cost 0.0001 as"
		" 'begin insert into pg_temp.seen values (p); return false; end'");
	client_expect(&user, "0", "select count(*) from leat.entities where pg_temp.look(content)");
	client_expect(
		&user, "0", "with c as (update leat.entities set key = key where pg_temp.look(content) returning 1) select count(*) from c");
	client_expect(&user, "4 0", "select concat_ws(' ', count(*), count(*) filter (where content ->> 'of' <> 'a')) from pg_temp.seen");
}

Test(wall_sql, row_level_security_cannot_be_switched_off)
{
	client_set(&user, CLAIMS_A, "");
	client_expect(&user, "", "set row_security = off");
	client_expect_refused(&user, "42501", "select count(*) from leat.entities");
	client_expect_refused(&user, "42501", "alter table leat.entities disable row level security");
	client_expect_refused(&user, "42501", "drop policy tenant on leat.entities");
	client_expect_refused(&user, "42501", "create policy mine on leat.entities using (true)");
	client_expect_refused(&user, "42501", "set session_replication_role = replica");
}

/* Triggers run with the owner's rights, in a session where somebody else says what `text` is. */
Test(wall_sql, types_of_ones_own_do_not_get_into_functions_with_the_owners_rights)
{
	static const char *const types[] = {"text", "jsonb", "uuid", "bytea", "timestamptz", "regclass", "name"};
	client_set(&user, CLAIMS_A, "");
	rig_sql(&rig, "create table caught (who text); grant insert on caught to public; grant usage on schema public to public");
	client_expect(&user, "",
		"create function pg_temp.look(p anyelement) returns boolean language plpgsql as"
		" 'begin insert into public.caught values (current_user); return true; end'");
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		client_expect(&user, "", "create domain pg_temp.%s as pg_catalog.%s check (pg_temp.look(value))", types[i], types[i]);
	client_expect(&user, "", "update leat.entities set content = '{\"of\": \"me\"}'");
	client_expect(&user, "", "insert into leat.entities (tenant_id, id, entity_type) values ('" RIG_TENANT_A "', '" NOBODYS "', 't')");
	rig_sql_expect(&rig, "", "select string_agg(distinct who, ' ') from caught where who <> 'authenticated'");
}

/* A position is a number, and anybody's: what the ledger knows of it is for whoever wrote that intent to that entity. */
Test(wall_sql, a_position_of_another_tenants_tells_nothing_of_it)
{
	rig_sql(&rig,
		"insert into leat.activity (stream, position, tenant_id, actor, role, noun, verb, target_id, outcome, message_at, traceparent)"
		" select 'LEAT_ENTITY', 100 + n, t::uuid, '" SECRET "', 'user', 'entity', 'merge', '" OWN "', 'applied', now(),"
		"  '00-11111111111111111111111111111111-2222222222222222-01'"
		" from unnest(array['" RIG_TENANT_B "', '" RIG_TENANT_A "']) with ordinality v (t, n)");
	rig_sql(&rig, "truncate leat.audit_log, leat.outbox");
	client_set(&user, "", RIG_TENANT_A);
	client_expect(&user, "", "update leat.entities set content = '{\"n\": 1}', last_position = 101 where id = '" OWN "'");
	client_expect(&user, "", "update leat.entities set content = '{\"n\": 2}', last_position = 102 where id = '" SHARED "'");
	client_expect(&user, "", "update leat.entities set content_positions = '{\"n\": 101}', content = '{\"n\": 3}' where id = '" SHARED "'");
	client_expect(&user, "",
		"insert into leat.entities (tenant_id, id, entity_type, last_position, upsert_positions)"
		" values ('" RIG_TENANT_A "', '" NOBODYS "', 't', 101, '{101}')");
	/* nor does one's own intent answer for what a gateway's client wrote */
	client_set(&user, CLAIMS_A, "");
	client_expect(&user, "", "update leat.entities set content = '{\"n\": 4}', last_position = 102 where id = '" OWN "'");
	rig_sql_expect(&rig, "5 0 0 1",
		"select concat_ws(' ', count(*), count(actor) filter (where actor <> 'ann'), count(position), count(*) filter (where actor = "
		"'ann'))"
		" from leat.audit_log");
	rig_sql_expect(&rig, "5 0",
		"select concat_ws(' ', count(*), count(*) filter (where convert_from(headers || body, 'UTF8') ~ 'traceparent|" SECRET
		"')) from leat.outbox");
}
