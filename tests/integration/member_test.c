/* How members are set and removed, and what is for owners. The table of who may do what at all: permission_test.c. */
#include "deciding.h"
#include "intents.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define SECOND "00000000-0000-4000-8000-000000000009"

static struct rig rig;
static struct client lane;

static void setup(void)
{
	rig_open(&rig);
	install_schema(&rig);
	add_members(&rig);
	client_open(&lane, &rig, "service_role");
}

static void teardown(void)
{
	client_close(&lane);
	rig_close(&rig);
}

TestSuite(member, .init = setup, .fini = teardown);

/* `actor` NULL: a service. */
static struct asked set(const char *actor, const char *user, const char *body)
{
	return (struct asked){.noun_verb = "member.set",
		.position = 10,
		.target = user,
		.body = body,
		.role = actor != NULL ? "user" : "service",
		.actor = actor};
}

static struct asked removal(const char *actor, const char *user)
{
	struct asked asked = set(actor, user, NULL);
	asked.noun_verb = "member.remove";
	return asked;
}

#define OWNER "{'role':'owner'}"
#define ADMIN "{'role':'admin'}"
#define EDITOR "{'role':'editor'}"
#define VIEWER "{'role':'viewer'}"
#define RESULT(user, role) "{\"role\": \"" role "\", \"user_id\": \"" user "\"}"

/* Last digit and role of each. */
static void expect_members(const char *expected)
{
	rig_sql_expect(&rig, expected,
		"select string_agg(right(user_id::text, 1) || ' ' || role, ', ' order by user_id) from leat.members where tenant_id = "
		"'" RIG_TENANT_A "'");
}

static void expect_refused(const char *expected, struct asked asked)
{
	char *before = rig_sql_text(&rig, "select string_agg(m::text, ' ' order by m::text) from leat.members m");
	expect_decision(&lane, expected, asked);
	rig_sql_expect(&rig, before, "select string_agg(m::text, ' ' order by m::text) from leat.members m");
	free(before);
}

Test(member, set_makes_and_changes_members_at_the_time_of_the_message)
{
	struct asked later = set(NULL, SECOND, EDITOR);
	later.position = 20;
	expect_decision(&lane, RESULT(SECOND, "viewer"), set(NULL, SECOND, VIEWER));
	expect_decision(&lane, RESULT(SECOND, "editor"), later);
	rig_sql_expect(&rig, "editor 10 20",
		"select concat_ws(' ', role, extract(epoch from created_at)::int, extract(epoch from updated_at)::int)"
		" from leat.members where user_id = '" SECOND "'");
	expect_members("1 owner, 2 admin, 3 editor, 4 viewer, 9 editor");
}

Test(member, remove_ends_that_and_says_what_the_member_was)
{
	expect_decision(&lane, RESULT(USER_VIEWER, "viewer"), removal(NULL, USER_VIEWER));
	expect_members("1 owner, 2 admin, 3 editor");
	rig_sql_expect(&rig, "owner", "select role from leat.members where tenant_id = '" RIG_TENANT_B "'");
}

Test(member, who_is_none_can_not_be_removed)
{
	expect_refused("not_found " USER_NOBODY " is no member of this tenant", removal(NULL, USER_NOBODY));
	expect_refused("not_found", removal(USER_ADMIN, USER_NOBODY));
	expect_refused("forbidden", removal(USER_EDITOR, USER_NOBODY));
}

Test(member, an_admin_sees_to_everybody_below_an_owner)
{
	expect_decision(&lane, "{", set(USER_ADMIN, SECOND, ADMIN));
	expect_decision(&lane, "{", set(USER_ADMIN, USER_EDITOR, VIEWER));
	expect_decision(&lane, "{", removal(USER_ADMIN, USER_VIEWER));
	expect_decision(&lane, "{", removal(USER_ADMIN, USER_ADMIN));
	expect_members("1 owner, 3 viewer, 9 admin");
}

Test(member, an_admin_makes_changes_and_removes_no_owner)
{
	static const char reason[] = "forbidden only an owner may make, change or remove an owner; " USER_ADMIN " is none";
	expect_refused(reason, set(USER_ADMIN, SECOND, OWNER));
	expect_refused(reason, set(USER_ADMIN, USER_ADMIN, OWNER));
	expect_refused(reason, set(USER_ADMIN, USER_OWNER, VIEWER));
	expect_refused(reason, set(USER_ADMIN, USER_OWNER, OWNER));
	expect_refused(reason, removal(USER_ADMIN, USER_OWNER));
}

Test(member, an_owner_makes_another_and_only_then_can_go)
{
	static const char last[] = "forbidden " USER_OWNER " is the last owner; make somebody else an owner first";
	expect_refused(last, removal(USER_OWNER, USER_OWNER));
	expect_refused(last, set(USER_OWNER, USER_OWNER, ADMIN));
	expect_decision(&lane, RESULT(USER_OWNER, "owner"), set(USER_OWNER, USER_OWNER, OWNER));
	expect_decision(&lane, RESULT(SECOND, "owner"), set(USER_OWNER, SECOND, OWNER));
	expect_decision(&lane, RESULT(USER_OWNER, "admin"), set(USER_OWNER, USER_OWNER, ADMIN));
	expect_refused("forbidden " SECOND " is the last owner", removal(SECOND, SECOND));
	expect_refused("forbidden only an owner", removal(USER_OWNER, SECOND));
	expect_members("1 admin, 2 admin, 3 editor, 4 viewer, 9 owner");
}

/* Owners of other tenants do not count: neither as owner nor as one who is left. */
Test(member, an_owner_elsewhere_is_none_here)
{
	struct asked there = set(USER_OWNER, SECOND, VIEWER);
	there.tenant = RIG_TENANT_B;
	expect_refused("forbidden member.set needs a member who is admin or above; " USER_OWNER " is no member", there);
	there = removal(USER_VIEWER, USER_VIEWER);
	there.tenant = RIG_TENANT_B;
	expect_refused("forbidden " USER_VIEWER " is the last owner", there);
	expect_refused(
		"forbidden member.remove needs a member who is admin or above; " USER_VIEWER " is viewer", removal(USER_VIEWER, USER_EDITOR));
}

Test(member, a_service_may_leave_a_tenant_without_an_owner_and_give_it_one)
{
	expect_decision(&lane, RESULT(USER_OWNER, "owner"), removal(NULL, USER_OWNER));
	expect_refused("forbidden", set(USER_ADMIN, USER_ADMIN, OWNER));
	expect_decision(&lane, RESULT(USER_ADMIN, "owner"), set(NULL, USER_ADMIN, OWNER));
	expect_members("2 owner, 3 editor, 4 viewer");
}
