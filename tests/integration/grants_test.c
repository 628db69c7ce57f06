/*
 * Who may touch and call what, from the catalogs. A new table, or a function with the owner's rights or for users, fails here until
 * somebody has decided whose it is, and written it down.
 */
#include "client.h"
#include "intents.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static struct rig rig;

static void setup(void)
{
	rig_open(&rig);
	install_schema(&rig);
	rig_sql(&rig, "set role service_role; select leat.make_audit_parts(2); reset role");
}

static void teardown(void)
{
	rig_close(&rig);
}

TestSuite(grants, .init = setup, .fini = teardown);

#define OURS "'leat'::regnamespace"

/* ---- tables ---- */

/* The parts of the audit log that bear a day count as one. Whoever is not named, and that is PUBLIC, has nothing. */
Test(grants, each_table_is_for_whom_it_is_meant)
{
	rig_sql_expect(&rig,
		"activity service_role: delete insert select update\n"
		"audit_log service_role: select\n"
		"audit_log_<day> nobody\n"
		"audit_log_default nobody\n"
		"claims service_role: delete insert select update\n"
		"direct_changes service_role: delete insert select update\n"
		"embedding_changes service_role: delete insert select update\n"
		"embedding_queue service_role: delete insert select update\n"
		"embedding_state service_role: select update\n"
		"embeddings authenticated: select\n"
		"embeddings service_role: delete insert select update\n"
		"entities authenticated: insert select update\n"
		"entities service_role: delete insert select update\n"
		"interactions authenticated: select\n"
		"interactions service_role: delete insert select update\n"
		"members authenticated: select\n"
		"members service_role: delete insert select update\n"
		"message_ids service_role: delete insert select update\n"
		"outbox service_role: delete insert select update\n"
		"outbox_seq_seq nobody\n"
		"parked service_role: delete insert select update\n"
		"processes service_role: delete insert select update\n"
		"runs authenticated: select\n"
		"runs service_role: insert select update\n"
		"schema_files service_role: select\n"
		"schema_objects service_role: select\n"
		"stream_epochs service_role: delete insert select update\n"
		"stream_floors service_role: delete insert select update\n"
		"told_answers service_role: delete insert select update\n"
		"workflow_nodes service_role: select\n"
		"workflow_plans service_role: select\n"
		"workflow_versions authenticated: select\n"
		"workflow_versions service_role: insert select\n"
		"workflows authenticated: select\n"
		"workflows service_role: delete insert select update",
		"select string_agg(line, E'\\n' order by line collate \"C\") from ("
		" select distinct concat(regexp_replace(c.relname, '_\\d{8}$', '_<day>'), ' ', coalesce(g.line, 'nobody')) as line"
		" from pg_class c"
		" left join lateral ("
		"  select concat(case grantee when 0 then 'PUBLIC' else pg_get_userbyid(grantee) end, ': ',"
		"   string_agg(lower(privilege_type), ' ' order by privilege_type)) as line"
		"  from aclexplode(c.relacl) where grantee <> c.relowner group by grantee) g on true"
		" where c.relnamespace = " OURS " and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')) every");
	rig_sql_expect(&rig, "0",
		"select count(*) from pg_attribute a join pg_class c on c.oid = a.attrelid where c.relnamespace = " OURS
		" and a.attacl is not null");
	rig_sql_expect(&rig, "authenticated USAGE, service_role USAGE",
		"select string_agg(concat_ws(' ', pg_get_userbyid(grantee), privilege_type), ', ' order by grantee::regrole::text)"
		" from pg_namespace n, aclexplode(n.nspacl) where n.nspname = 'leat' and grantee <> n.nspowner");
}

#define OF_MEMBERS                                                                                                                         \
	"((tenant_id = ( SELECT leat.current_tenant() AS current_tenant))"                                                                     \
	" AND (( SELECT leat.current_member_role() AS current_member_role) IS NOT NULL))"

Test(grants, each_table_with_tenants_has_row_level_security_and_no_policy_but_these)
{
	rig_sql_expect(&rig, "",
		"select string_agg(c.relname, ' ') from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id'"
		" where c.relnamespace = " OURS " and c.relkind in ('r', 'p') and not c.relrowsecurity");
	/* nor a table that a migration left without either */
	rig_sql_expect(&rig, "processes schema_files schema_objects stream_epochs stream_floors",
		"select string_agg(c.relname, ' ' order by c.relname) from pg_class c"
		" where c.relnamespace = " OURS " and c.relkind in ('r', 'p') and not c.relrowsecurity");
	rig_sql_expect(&rig,
		"embeddings SELECT (tenant_id = ( SELECT leat.current_tenant() AS current_tenant))\n"
		"entities ALL (tenant_id = ( SELECT leat.current_tenant() AS current_tenant))"
		" (tenant_id = ( SELECT leat.current_tenant() AS current_tenant))\n"
		"interactions SELECT ((tenant_id = ( SELECT leat.current_tenant() AS current_tenant))"
		" AND (expected_user_id = ( SELECT leat.current_user_id() AS current_user_id)))\n"
		"members SELECT " OF_MEMBERS "\n"
		"runs SELECT " OF_MEMBERS "\n"
		"workflow_versions SELECT " OF_MEMBERS "\n"
		"workflows SELECT " OF_MEMBERS,
		"select string_agg(concat_ws(' ', tablename, cmd, qual, with_check), E'\\n' order by tablename) from pg_policies"
		" where schemaname = 'leat' and roles <> '{service_role}'");
	rig_sql_expect(&rig, "0", "select count(*) from pg_policies where schemaname = 'leat' and permissive <> 'PERMISSIVE'");
}

/* ---- functions ---- */

Test(grants, each_function_is_for_whom_it_is_meant)
{
	rig_sql_expect(&rig,
		"absent_message change_entities change_unlocked claim_interaction claim_own_interaction current_member_role current_tenant"
		" current_user_id direct_marks entity_after expect_object fields_at fields_since fields_without merge_entity_content"
		" merge_entity_groups merge_entity_metadata merged names_at newer_fields part_after"
		" positions_of target_state upsert_entity upserts_that_matter write_entity_groups write_entity_intent",
		"select string_agg(p.proname, ' ' order by p.proname) from pg_proc p"
		" where p.pronamespace = " OURS " and has_function_privilege('authenticated', p.oid, 'execute')");
	rig_sql_expect(&rig, "",
		"select string_agg(p.oid::regprocedure::text, ' ') from pg_proc p"
		" where p.pronamespace = " OURS " and not has_function_privilege('service_role', p.oid, 'execute')");
	rig_sql_expect(&rig, "",
		"select string_agg(p.oid::regprocedure::text, ' ') from pg_proc p"
		" where p.pronamespace = " OURS " and (p.proacl is null or exists ("
		"  select from aclexplode(p.proacl) where grantee not in (p.proowner, 'authenticated'::regrole, 'service_role'::regrole)))");
}

Test(grants, functions_with_the_owners_rights_are_these_and_users_can_call_two)
{
	rig_sql_expect(&rig,
		"claim_own_interaction current_member_role drop_audit_parts expire_audit_rows make_audit_parts note_delete note_embedding_changes"
		" note_insert note_interaction_delete note_interaction_insert note_interaction_truncate note_interaction_update note_plan "
		"note_plan_row"
		" note_run_insert note_run_update note_truncate note_update note_workflow_delete note_workflow_insert note_workflow_update"
		" refuse_version_change shrink_outbox start_embedding stop_embedding suppress tell_run_delete tell_run_truncate tell_run_update"
		" touch_entity wake_relay",
		"select string_agg(p.proname, ' ' order by p.proname) from pg_proc p where p.pronamespace = " OURS " and p.prosecdef");
	rig_sql_expect(&rig, "claim_own_interaction current_member_role", /* which policies ask */
		"select string_agg(p.proname, ' ' order by p.proname) from pg_proc p"
		" where p.pronamespace = " OURS " and p.prosecdef and has_function_privilege('authenticated', p.oid, 'execute')");
	rig_sql_expect(&rig, "",
		"select string_agg(p.proname, ' ') from pg_proc p"
		" where p.pronamespace = " OURS " and p.prorettype = 'trigger'::regtype and not p.prosecdef");
}

/* An aggregate can't have a setting; a body that was parsed when the function was made has found its names. */
Test(grants, every_function_pins_its_search_path_temporary_objects_last)
{
	rig_sql_expect(&rig, "",
		"select string_agg(p.oid::regprocedure::text, ' ') from pg_proc p"
		" where p.pronamespace = " OURS " and p.prokind <> 'a' and p.prosqlbody is null"
		" and 'search_path=pg_catalog, pg_temp' <> all (coalesce(p.proconfig, '{}'))");
}

/* ---- the login ---- */

Test(grants, the_login_of_a_consumer_owns_nothing_and_is_no_superuser)
{
	struct client login;
	rig_sql_expect(&rig, "authenticated, service_role",
		"select string_agg(m.roleid::regrole::text, ', ' order by m.roleid::regrole::text)"
		" from pg_roles r join pg_auth_members m on m.member = r.oid and not m.admin_option"
		" where r.rolname = 'leat' and r.rolcanlogin"
		" and not (r.rolsuper or r.rolcreaterole or r.rolcreatedb or r.rolreplication or r.rolbypassrls)");
	rig_sql_expect(&rig, "0", "select count(*) from pg_shdepend where refclassid = 'pg_authid'::regclass and refobjid = 'leat'::regrole");
	rig_sql_expect(&rig, "0",
		"select count(*) from pg_roles where rolname in ('authenticated', 'service_role')"
		" and (rolsuper or rolcanlogin or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls)");
	client_open(&login, &rig, "service_role");
	client_expect_refused(&login, "42501", "create table leat.mine ()");
	client_expect_refused(&login, "42501", "truncate leat.entities");
	client_expect_refused(&login, "42501",
		"insert into leat.audit_log (tenant_id, entity_id, operation) values ('" RIG_TENANT_A "', '" ENTITY_1 "', 'update')");
	client_expect_refused(&login, "42501", "update leat.audit_log set actor = 'nobody'");
	client_expect_refused(&login, "42501", "delete from leat.audit_log");
	client_expect_refused(&login, "42501", "drop trigger note_update on leat.entities");
	client_expect_refused(&login, "42501", "alter table leat.entities disable trigger note_update");
	client_expect_refused(&login, "42501", "alter function leat.note_update() security invoker");
	client_expect_refused(&login, "42501", "create or replace function leat.current_tenant() returns uuid return null");
	client_expect_refused(&login, "42501", "set role postgres");
	client_close(&login);
}

/* PUBLIC has no right, so that nobody has who is not made a member. */
Test(grants, who_is_no_member_is_not_even_let_into_the_schema)
{
	static const char *const attempts[] = {"select from leat.entities", "select leat.current_tenant()", "select from leat.outbox",
		"select leat.merge_entity_content('" ENTITY_1 "', '" RIG_TENANT_A "', '{}')", "set role authenticated", "set role service_role"};
	struct client stranger;
	rig_sql(&rig, "create role stranger login");
	client_open_login(&stranger, &rig, "stranger");
	client_set(&stranger, CLAIMS_A, RIG_TENANT_A);
	for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++)
		client_expect_refused(&stranger, "42501", "%s", attempts[i]);
	client_close(&stranger);
}

/* Neither does membership of one give what the other may. */
Test(grants, a_user_is_no_service)
{
	struct client user;
	rig_sql(&rig, "create role only_user login in role authenticated");
	client_open_login(&user, &rig, "only_user");
	client_set(&user, CLAIMS_A, "");
	client_expect(&user, "0", "select count(*) from leat.entities");
	client_expect_refused(&user, "42501", "set role service_role");
	client_expect_refused(&user, "42501", "select * from leat.decide_parked('LEAT_ENTITY', 0, 1, 1)");
	client_expect_refused(&user, "42501", "select leat.bury('s', 1, null, null, null, null, null, null, '', '')");
	client_close(&user);
}
