/* How saves and deletes of workflows are decided, also while direct SQL writes the same id; versions that nobody changes. */
#include "deciding.h"
#include "intents.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define FLOW "77777777-0000-4000-8000-000000000001"

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

TestSuite(workflow, .init = setup, .fini = teardown);

static struct asked save(int64_t position, const char *body)
{
	return (struct asked){.noun_verb = "workflow.save", .position = position, .target = FLOW, .body = body, .actor = "tests"};
}

static struct asked delete_it(int64_t position)
{
	return (struct asked){.noun_verb = "workflow.delete", .position = position, .target = FLOW};
}

#define BODY(action, name, more) "{'action':'" action "','name':'" name "','definition':{'of':'" name "'}" more "}"
#define NEW(name) BODY("new", name, "")
#define EDIT(name) BODY("edit", name, "")
#define EXPECTING(action, version) BODY(action, "n", ",'expected_version':" version)
#define SAVED(kind, version) "{\"kind\": \"" kind "\", \"version\": " version ", \"workflow_id\": \"" FLOW "\"}"

/* What is there: current version, name, position, times of the workflow; then its versions. */
static char *rows(void)
{
	return rig_sql_text(&rig,
		"select concat_ws(E'\\n',"
		" (select string_agg(concat_ws(' ', w.tenant_id, w.version, w.name, w.position, extract(epoch from w.created_at)::int,"
		"   extract(epoch from w.updated_at)::int, extract(epoch from w.deleted_at)::int), E'\\n' order by w.id) from leat.workflows w),"
		" (select string_agg(concat_ws(' ', v.tenant_id, v.version, v.name, v.definition, v.position, v.actor,"
		"   extract(epoch from v.created_at)::int), E'\\n' order by v.workflow_id, v.version) from leat.workflow_versions v))");
}

static void expect_rows(const char *expected)
{
	char *found = rows();
	cr_assert_str_eq(found, expected, "expected\n%s\nfound\n%s", expected, found);
	free(found);
}

/* That, and nothing written. */
static void expect_refused(const char *expected, struct asked asked)
{
	char *before = rows();
	expect_decision(&lane, expected, asked);
	expect_rows(before);
	free(before);
}

/* ---- saves and deletes ---- */

Test(workflow, each_save_is_the_next_version_at_the_time_of_its_message)
{
	expect_decision(&lane, SAVED("new", "1"), save(10, NEW("a")));
	expect_decision(&lane, SAVED("existing", "2"), save(20, EDIT("b")));
	expect_rows(
		RIG_TENANT_A " 2 b 20 10 20\n" RIG_TENANT_A " 1 a {\"of\": \"a\"} 10 tests 10\n" RIG_TENANT_A " 2 b {\"of\": \"b\"} 20 tests 20");
}

Test(workflow, a_reconnecting_editor_that_still_says_new_updates)
{
	expect_decision(&lane, SAVED("new", "1"), save(10, NEW("a")));
	expect_decision(&lane, SAVED("existing", "2"), save(11, NEW("a")));
	expect_decision(&lane, SAVED("existing", "3"), save(12, EXPECTING("new", "2")));
	rig_sql_expect(&rig, "1 3", "select concat_ws(' ', count(*), max(version)) from leat.workflows");
}

Test(workflow, a_save_of_what_is_there_already_is_a_version_all_the_same)
{
	expect_decision(&lane, SAVED("new", "1"), save(10, NEW("a")));
	expect_decision(&lane, SAVED("existing", "2"), save(11, EDIT("a")));
}

Test(workflow, a_stale_edit_is_a_conflict_that_says_which_version_is_current)
{
	expect_decision(&lane, SAVED("new", "1"), save(1, EXPECTING("new", "0")));
	expect_decision(&lane, SAVED("existing", "2"), save(2, EXPECTING("edit", "1")));
	expect_refused("conflict the current version of workflow " FLOW
				   " is 2, not 1; read it, make your change in that and save with expected_version 2",
		save(3, EXPECTING("edit", "1")));
	expect_refused("conflict the current version of workflow " FLOW " is 2, not 3;", save(4, EXPECTING("edit", "3")));
	expect_refused("conflict the current version of workflow " FLOW " is 2, not 0;", save(5, EXPECTING("new", "0")));
	expect_decision(&lane, SAVED("existing", "3"), save(6, EXPECTING("edit", "2")));
}

Test(workflow, a_version_expected_of_what_is_not_there_is_a_conflict)
{
	expect_refused(
		"conflict workflow " FLOW " is not there yet, its current version is 0, not 1; leave out", save(1, EXPECTING("new", "1")));
	expect_refused("not_found there is no workflow " FLOW, save(1, EXPECTING("edit", "1")));
	expect_refused("not_found", delete_it(2));
}

Test(workflow, a_deleted_one_keeps_its_versions_and_takes_no_more)
{
	expect_decision(&lane, SAVED("new", "1"), save(10, NEW("a")));
	expect_decision(&lane, "{\"version\": 1, \"workflow_id\": \"" FLOW "\"}", delete_it(30));
	expect_rows(RIG_TENANT_A " 1 a 30 10 30 30\n" RIG_TENANT_A " 1 a {\"of\": \"a\"} 10 tests 10");
	expect_refused("workflow_deleted workflow " FLOW " was deleted;", save(31, NEW("b")));
	expect_refused("workflow_deleted", save(32, EDIT("b")));
	expect_refused("workflow_deleted", delete_it(33));
}

Test(workflow, another_tenants_id_is_refused_and_left_alone)
{
	struct asked theirs = save(2, NEW("b"));
	struct asked gone = delete_it(3);
	expect_decision(&lane, SAVED("new", "1"), save(1, NEW("a")));
	theirs.tenant = gone.tenant = RIG_TENANT_B;
	expect_refused("wrong_tenant the id " FLOW " belongs to another tenant; take a new one", theirs);
	expect_refused("wrong_tenant", gone);
}

Test(workflow, who_may_not_save_is_told_what_it_takes)
{
	struct asked asked = save(1, NEW("a"));
	asked.role = "user";
	asked.actor = USER_VIEWER;
	expect_refused("forbidden workflow.save needs a member who is editor or above; " USER_VIEWER " is viewer", asked);
	asked.tenant = RIG_TENANT_B; /* where that user is owner */
	expect_decision(&lane, SAVED("new", "1"), asked);
	rig_sql_expect(&rig, USER_VIEWER, "select actor from leat.workflow_versions");
}

/* ---- beside direct SQL ---- */

/* `sql` is written by a service and not committed when the decision comes, which waits for it; then it ends as `end` says. */
static void expect_beside(const char *sql, const char *end, const char *expected, struct asked asked)
{
	struct client direct;
	char *deciding = asked_sql(&asked);
	client_open(&direct, &rig, "service_role");
	client_expect(&direct, "", "begin; %s", sql);
	client_send(&lane, deciding);
	client_await_lock(&lane, &rig);
	client_expect(&direct, "", "%s", end);
	char *found = client_receive(&lane);
	cr_assert_eq(strncmp(found, expected, strlen(expected)), 0, "expected %s, found %s", expected, found);
	client_close(&direct);
	free(found);
	free(deciding);
}

#define DIRECT_INSERT "insert into leat.workflows (id, tenant_id, name, version) values ('" FLOW "', '" RIG_TENANT_A "', 'direct', 7)"

Test(workflow, an_id_that_direct_sql_inserts_meanwhile_is_a_conflict)
{
	expect_beside(DIRECT_INSERT, "commit",
		"conflict workflow " FLOW " was written by somebody else at the same time, its current version is 7;", save(1, NEW("a")));
	rig_sql_expect(&rig, "direct 0", "select concat_ws(' ', name, (select count(*) from leat.workflow_versions)) from leat.workflows");
	expect_decision(&lane, SAVED("existing", "8"), save(2, NEW("a")));
}

Test(workflow, one_that_another_tenant_inserts_meanwhile_is_of_the_wrong_tenant)
{
	expect_beside("insert into leat.workflows (id, tenant_id, name, version) values ('" FLOW "', '" RIG_TENANT_B "', 'theirs', 1)",
		"commit", "wrong_tenant", save(1, NEW("a")));
}

Test(workflow, an_insert_that_is_rolled_back_never_was)
{
	expect_beside(DIRECT_INSERT, "rollback", SAVED("new", "1"), save(1, NEW("a")));
}

Test(workflow, a_version_that_direct_sql_put_there_is_a_conflict)
{
	expect_decision(&lane, SAVED("new", "1"), save(1, NEW("a")));
	rig_sql(&rig,
		"insert into leat.workflow_versions (workflow_id, version, tenant_id, name, definition)"
		" values ('" FLOW "', 2, '" RIG_TENANT_A "', 'direct', '{}')");
	expect_refused("conflict", save(2, EDIT("b")));
}

Test(workflow, a_row_that_direct_sql_changes_meanwhile_is_a_conflict)
{
	expect_decision(&lane, SAVED("new", "1"), save(1, NEW("a")));
	expect_beside("update leat.workflows set version = 5", "commit",
		"conflict workflow " FLOW " was written by somebody else at the same time, its current version is 5;", save(2, EDIT("b")));
	expect_beside("update leat.workflows set version = 6", "commit", "conflict", delete_it(3));
	expect_beside("update leat.workflows set version = 9", "rollback", SAVED("existing", "7"), save(4, EDIT("b")));
	expect_beside("update leat.workflows set deleted_at = now()", "commit", "workflow_deleted", save(5, EDIT("c")));
	rig_sql_expect(&rig, "7 b 4", "select concat_ws(' ', version, name, position) from leat.workflows");
}

/* ---- versions ---- */

static const char upsert_versions[] = "insert into leat.workflow_versions select * from leat.workflow_versions"
									  " on conflict (workflow_id, version) do update set name = 'other'";

Test(workflow, nobody_changes_a_version)
{
	static const char *const attempts[] = {"update leat.workflow_versions set name = 'other'", "delete from leat.workflow_versions",
		"truncate leat.workflow_versions cascade", "truncate leat.workflows cascade", upsert_versions};
	struct client owner;
	expect_decision(&lane, SAVED("new", "1"), save(1, NEW("a")));
	client_open_login(&owner, &rig, "postgres");
	for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++)
		client_expect_refused(&owner, "23001", "%s", attempts[i]);
	char *said = client_ask(&owner, "%s", attempts[0]);
	cr_expect_not_null(strstr(said, "update of leat.workflow_versions is refused: runs are pinned to these rows"), "%s", said);
	free(said);
	client_expect_refused(&owner, "23503", "delete from leat.workflows");
	client_close(&owner);
	for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++)
		client_expect_refused(&lane, "42501", "%s", attempts[i]);
	rig_sql_expect(&rig, "a", "select name from leat.workflow_versions");
}

/* ---- direct SQL of users ---- */

#define CLAIMS(user, tenant) "{\"sub\":\"" user "\",\"tenant_id\":\"" tenant "\"}"
#define SEEN                                                                                                                               \
	"select concat_ws(' ', (select count(*) from leat.members), (select count(*) from leat.workflows),"                                    \
	" (select count(*) from leat.workflow_versions))"

Test(workflow, members_see_their_tenants_workflows_and_nobody_else_does)
{
	static const char *const viewers[][2] = {
		{CLAIMS(USER_OWNER, RIG_TENANT_A), "4 1 2"},
		{CLAIMS(USER_VIEWER, RIG_TENANT_A), "4 1 2"},
		{CLAIMS(USER_VIEWER, RIG_TENANT_B), "1 0 0"},
		{CLAIMS(USER_EDITOR, RIG_TENANT_B), "0 0 0"},
		{CLAIMS(USER_NOBODY, RIG_TENANT_A), "0 0 0"},
		{CLAIMS("ann", RIG_TENANT_A), "0 0 0"},
		{"{\"sub\":\"" USER_OWNER "\"}", "0 0 0"},
		{"", "0 0 0"},
	};
	struct client user;
	expect_decision(&lane, SAVED("new", "1"), save(1, NEW("a")));
	expect_decision(&lane, SAVED("existing", "2"), save(2, NEW("a")));
	client_open(&user, &rig, "authenticated");
	for (size_t i = 0; i < sizeof viewers / sizeof *viewers; i++) {
		client_set(&user, viewers[i][0], "");
		client_expect(&user, viewers[i][1], SEEN);
	}
	client_expect(&user, "4 1 2",
		"select set_config('leat.tenant_id', '" RIG_TENANT_A "', false), set_config('leat.user_id', '" USER_VIEWER "', false); " SEEN);
	client_close(&user);
}

#define INSERT_VERSION                                                                                                                     \
	"insert into leat.workflow_versions (workflow_id, version, tenant_id, name, definition)"                                               \
	" values ('" FLOW "', 2, '" RIG_TENANT_A "', 'mine', '{}')"

Test(workflow, no_user_writes_by_direct_sql)
{
	static const char *const attempts[] = {
		"insert into leat.workflows (id, tenant_id, name, version) values (gen_random_uuid(), '" RIG_TENANT_A "', 'mine', 1)",
		"update leat.workflows set name = 'mine'",
		"delete from leat.workflows",
		INSERT_VERSION,
		"update leat.workflow_versions set name = 'mine'",
		"insert into leat.members (tenant_id, user_id, role) values ('" RIG_TENANT_A "', '" USER_NOBODY "', 'owner')",
		"update leat.members set role = 'owner'",
		"delete from leat.members",
		"select leat.decide_workflow(null)",
		"select leat.decide_member(null)",
	};
	struct client user;
	expect_decision(&lane, SAVED("new", "1"), save(1, NEW("a")));
	client_open(&user, &rig, "authenticated");
	client_set(&user, CLAIMS(USER_OWNER, RIG_TENANT_A), "");
	for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++)
		client_expect_refused(&user, "42501", "%s", attempts[i]);
	client_close(&user);
}
