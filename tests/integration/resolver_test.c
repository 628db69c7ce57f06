/* The one answer to "is this id new?": every branch, in which order it authorises, and that users can't call it. */
#include "deciding.h"
#include "intents.h"

#include <criterion/criterion.h>

#define OURS "77777777-0000-4000-8000-000000000001"
#define OTHERS "77777777-0000-4000-8000-000000000002"
#define DELETED "77777777-0000-4000-8000-000000000003"
#define FREE "77777777-0000-4000-8000-000000000004"

static struct rig rig;

/* A workflow of ours with two versions, another tenant's, a deleted one. */
static void setup(void)
{
	rig_open(&rig);
	install_schema(&rig);
	add_members(&rig);
	rig_sql(&rig,
		"insert into leat.workflows (id, tenant_id, name, version) values ('" OURS "', '" RIG_TENANT_A "', 'second', 2),"
		" ('" OTHERS "', '" RIG_TENANT_B "', 'theirs', 1);"
		"insert into leat.workflows (id, tenant_id, name, version, deleted_at) values ('" DELETED "', '" RIG_TENANT_A
		"', 'gone', 1, now());"
		"insert into leat.workflow_versions (workflow_id, version, tenant_id, name, definition) values"
		" ('" OURS "', 1, '" RIG_TENANT_A "', 'first', '{}'), ('" OURS "', 2, '" RIG_TENANT_A "', 'second', '{}'),"
		" ('" OTHERS "', 1, '" RIG_TENANT_B "', 'theirs', '{}'), ('" DELETED "', 1, '" RIG_TENANT_A "', 'gone', '{}')");
}

static void teardown(void)
{
	rig_close(&rig);
}

TestSuite(resolver, .init = setup, .fini = teardown);

/* `answer`: the code, or kind, name, version and current version. `actor` NULL: a service. */
struct question {
	const char *action;
	const char *id;
	const char *version;
	const char *actor;
	const char *answer;
};

static void expect_answer(const struct question *question)
{
	rig_sql_expect(&rig, question->answer,
		"select concat_ws(' ', r.code, r.kind, r.name, r.version, r.current_version)"
		" from leat.resolve_workflow('%s', '" RIG_TENANT_A "', '%s', %s, 'workflow.save', '%s', nullif('%s', '')) r",
		question->id, question->action, question->version, question->actor != NULL ? "user" : "service",
		question->actor != NULL ? question->actor : "");
}

static void expect_answers(const struct question *questions, size_t count)
{
	for (size_t i = 0; i < count; i++)
		expect_answer(&questions[i]);
}

#define EXPECT_ANSWERS(questions) expect_answers(questions, sizeof(questions) / sizeof *(questions))

Test(resolver, what_an_id_means_depends_on_the_action_and_on_what_is_there)
{
	static const struct question questions[] = {
		{"new", FREE, "null", NULL, "new 0 0"},
		{"new", OURS, "null", NULL, "existing second 2 2"},
		{"new", OTHERS, "null", NULL, "wrong_tenant"},
		{"new", DELETED, "null", NULL, "workflow_deleted"},
		{"edit", FREE, "null", NULL, "not_found"},
		{"edit", OURS, "null", NULL, "existing second 2 2"},
		{"edit", OTHERS, "null", NULL, "wrong_tenant"},
		{"edit", DELETED, "null", NULL, "workflow_deleted"},
		{"version", FREE, "null", NULL, "not_found"},
		{"version", OURS, "null", NULL, "version second 2 2"},
		{"version", OURS, "1", NULL, "version first 1 2"},
		{"version", OURS, "2", NULL, "version second 2 2"},
		{"version", OURS, "3", NULL, "not_found"},
		{"version", OURS, "0", NULL, "not_found"},
		{"version", OTHERS, "1", NULL, "wrong_tenant"},
		{"version", DELETED, "1", NULL, "workflow_deleted"},
		{"delete", OURS, "null", NULL, "invalid_message"},
		{"", OURS, "null", NULL, "invalid_message"},
	};
	EXPECT_ANSWERS(questions);
	rig_sql_expect(&rig, "invalid_message",
		"select r.code from leat.resolve_workflow('" OURS "', '" RIG_TENANT_A "', null, null, 'workflow.save', 'service', null) r");
}

/* Who may not save learns nothing of an id that is said to be new; of one that is said to be there, why it is not. */
Test(resolver, new_authorises_first_and_the_others_resolve_first)
{
	static const struct question questions[] = {
		{"new", FREE, "null", USER_VIEWER, "forbidden"},
		{"new", OURS, "null", USER_VIEWER, "forbidden"},
		{"new", OTHERS, "null", USER_VIEWER, "forbidden"},
		{"new", DELETED, "null", USER_NOBODY, "forbidden"},
		{"edit", FREE, "null", USER_VIEWER, "not_found"},
		{"edit", OURS, "null", USER_VIEWER, "forbidden"},
		{"edit", OTHERS, "null", USER_VIEWER, "wrong_tenant"},
		{"edit", DELETED, "null", USER_NOBODY, "workflow_deleted"},
		{"version", OURS, "1", USER_NOBODY, "forbidden"},
		{"version", OURS, "3", USER_NOBODY, "not_found"},
		{"version", OTHERS, "1", USER_NOBODY, "wrong_tenant"},
		{"new", FREE, "null", USER_EDITOR, "new 0 0"},
		{"new", OURS, "null", USER_EDITOR, "existing second 2 2"},
		{"new", OTHERS, "null", USER_EDITOR, "wrong_tenant"},
		{"edit", OURS, "null", USER_EDITOR, "existing second 2 2"},
		{"version", OURS, "1", USER_EDITOR, "version first 1 2"},
		{"new", FREE, "null", "ann", "forbidden"},
		{"new", FREE, "null", "", "forbidden"},
	};
	EXPECT_ANSWERS(questions);
}

/* The permission is that of the caller's action. */
Test(resolver, a_viewer_may_read_what_only_an_editor_may_save)
{
	rig_sql_expect(&rig, "version",
		"select r.kind from leat.resolve_workflow('" OURS "', '" RIG_TENANT_A "', 'version', null, 'workflow.read', 'user', '" USER_VIEWER
		"') r");
	rig_sql_expect(&rig, "forbidden",
		"select r.code from leat.resolve_workflow('" OURS "', '" RIG_TENANT_A "', 'version', null, 'no.action', 'user', '" USER_OWNER
		"') r");
}

Test(resolver, a_refusal_says_what_to_do_and_tells_nothing_of_anothers_workflow)
{
	rig_sql_expect(&rig, "workflow " OURS " has no version 3; its current version is 2",
		"select r.message from leat.resolve_workflow('" OURS "', '" RIG_TENANT_A "', 'version', 3, 'workflow.read', 'service', null) r");
	rig_sql_expect(&rig, "(wrong_tenant,\"the id " OTHERS " belongs to another tenant; take a new one\",,,,)",
		"select r::text from leat.resolve_workflow('" OTHERS "', '" RIG_TENANT_A "', 'edit', null, 'workflow.read', 'service', null) r");
}

/* It sees all tenants, so that it can tell another's id from a free one. */
Test(resolver, users_can_not_call_it)
{
	struct client user;
	client_open(&user, &rig, "authenticated");
	client_set(&user, CLAIMS_A, "");
	client_expect_refused(
		&user, "42501", "select leat.resolve_workflow('" OTHERS "', '" RIG_TENANT_B "', 'edit', null, 'workflow.read', 'engine', null)");
	client_close(&user);
}
