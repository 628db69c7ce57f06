/* Who `leat consume` and `leat migrate` log in as: what they say of one who lacks a right, and that those who have it need no more. */
#include "client.h"
#include "load.h"
#include "saying.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define ENTITY "eeeeeeee-0000-4000-8000-000000000001"
#define UPSERT "{\"entity_id\":\"" ENTITY "\",\"entity_type\":\"t\",\"content\":{\"n\":1}}"

static struct rig rig;

static void setup(void)
{
	rig_open(&rig);
}

/* These take roles away from the whole cluster. */
static void setup_alone(void)
{
	rig_open_alone(&rig);
}

static void teardown(void)
{
	rig_close(&rig);
}

TestSuite(login, .init = setup, .fini = teardown);
TestSuite(login_alone, .init = setup_alone, .fini = teardown);

static const char *url_of(const char *login)
{
	static char url[300];
	snprintf(url, sizeof url, "postgresql://%s@%s", login, strchr(rig.database_url, '@') + 1);
	return url;
}

static void start_consumer(const char *login)
{
	rig_start(&rig, "consumer", RIG_ARGS("consume", "--database-url", url_of(login), "--retry-limit-ms", "200"));
}

/* An upsert by a service and a merge by a user. */
static void store_intents(void)
{
	rig_intent(&rig, RIG_TENANT_A, "entity.upsert", NULL, UPSERT);
	rig_publish(&rig, "leat.intent." RIG_TENANT_A ".user.entity.merge", "Leat-Actor: ann\r\n",
		"{\"entity_id\":\"" ENTITY "\",\"metadata\":{\"n\":1}}");
}

/* ---- leat consume ---- */

Test(login, one_who_is_no_member_waits_and_says_what_to_grant)
{
	rig_migrate(&rig);
	rig_sql(&rig, "create role no_member login");
	store_intents();
	start_consumer("no_member");
	say_wait_log(&rig, "consumer", "GRANT authenticated, service_role TO the login");
	rig_sql(&rig, "grant authenticated, service_role to no_member");
	load_wait_settled(&rig, 2, 60);
}

/* Or a service's intents would be applied, and a user's refused one after the other. */
Test(login, one_who_is_a_member_of_service_role_alone_waits_too)
{
	rig_migrate(&rig);
	rig_sql(&rig, "create role half_member login in role service_role");
	store_intents();
	start_consumer("half_member");
	say_wait_log(&rig, "consumer", "GRANT authenticated, service_role TO the login");
	cr_assert_eq(rig_sql_int(&rig, "select count(*) from leat.activity"), 0);
	rig_sql(&rig, "grant authenticated to half_member");
	load_wait_settled(&rig, 2, 60);
	cr_assert_eq(rig_sql_int(&rig, "select count(*) from leat.activity where outcome = 'applied'"), 2);
}

Test(login, a_database_that_is_not_migrated_is_waited_for)
{
	start_consumer("leat");
	say_wait_log(&rig, "consumer", "run `leat migrate`");
	rig_migrate(&rig);
	store_intents();
	load_wait_settled(&rig, 2, 60);
}

/* ---- leat migrate ---- */

static void make_owner(const char *rights)
{
	rig_sql(&rig, "drop role authenticated, service_role");
	rig_sql(&rig, "create role owner login %s", rights);
	rig_sql(&rig, "alter database leat owner to owner");
}

Test(login_alone, who_may_create_roles_and_owns_the_database_can_migrate_it)
{
	make_owner("createrole");
	say_run(&rig, "migrate", 0, RIG_ARGS("migrate", "--migrate-url", url_of("owner")));
	struct client owner;
	client_open_login(&owner, &rig, "owner");
	client_expect(&owner, "", "grant authenticated, service_role to leat");
	start_consumer("leat");
	rig_sql_expect(&rig, "owner",
		"select string_agg(distinct pg_get_userbyid(c.relowner), ' ') from pg_class c where c.relnamespace = 'leat'::regnamespace");
	store_intents();
	load_wait_settled(&rig, 2, 60);
	rig_sql_expect(&rig, "{\"n\": 1} {\"n\": 1}", "select concat_ws(' ', content, metadata) from leat.entities");
	rig_sql_expect(
		&rig, "insert , update ann", "select string_agg(concat(operation, ' ', actor), ', ' order by position) from leat.audit_log");
	/* the triggers write as the owner what users may not */
	client_close(&owner);
	struct client user;
	client_open(&user, &rig, "authenticated");
	client_set(&user, CLAIMS_A, "");
	client_expect(&user, "{\"n\": 2}", "select leat.merge_entity_content('" ENTITY "', '" RIG_TENANT_A "', '{\"n\": 2}')");
	client_set(&user, "", RIG_TENANT_B);
	client_expect(&user, "0", "select count(*) from leat.entities");
	client_close(&user);
	load_wait_settled(&rig, 2, 60);
	cr_assert_eq(rig_sql_int(&rig, "select count(*) from leat.audit_log where actor = 'ann'"), 2);
	say_run(&rig, "again", 0, RIG_ARGS("migrate", "--migrate-url", url_of("owner")));
	say_expect(&rig, "again", "the schema is up to date");
}

Test(login_alone, who_may_not_create_roles_is_told_which_to_create)
{
	make_owner("");
	for (int round = 0; round < 2; round++) {
		const char *role = round == 0 ? "authenticated" : "service_role";
		char hint[64];
		snprintf(hint, sizeof hint, "CREATE ROLE %s NOLOGIN", role);
		const char *name = round == 0 ? "migrate" : "second";
		say_run(&rig, name, 1, RIG_ARGS("migrate", "--migrate-url", url_of("owner")));
		say_expect_log(&rig, name, hint);
		cr_assert_eq(rig_sql_int(&rig, "select count(*) from pg_namespace where nspname = 'leat'"), 0);
		rig_sql(&rig, "%s", hint);
	}
	say_run(&rig, "third", 0, RIG_ARGS("migrate", "--migrate-url", url_of("owner")));
}
