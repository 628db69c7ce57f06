/*
 * Who may do what, as a matrix: each intent through NATS, published by everybody in turn; what is no intent is asked of leat.forbids. It is
 * written down here once more, so that the table in the code can't change by mistake.
 */
#include "control.h"
#include "deciding.h"
#include "leat/buf.h"
#include "load.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define WHO 8

static const struct {
	const char *name;
	const char *role;
	const char *actor;
} who[WHO] = {
	{"owner", "user", USER_OWNER},
	{"admin", "user", USER_ADMIN},
	{"editor", "user", USER_EDITOR},
	{"viewer", "user", USER_VIEWER},
	{"no member", "user", USER_NOBODY},
	{"no actor", "user", NULL},
	{"service", "service", NULL},
	{"engine", "engine", NULL},
};

/* `allowed`: y or n for each of `who`. `body`, with $ for the number of the target: NULL for what is no intent. */
struct row {
	char action[24];
	char allowed[WHO + 1];
	const char *body;
};

/* Targets: of each number a workflow, a member and a question of the user with that number, whose time is over. */
#define WORKFLOW "'workflow_id':'77777777-0000-4000-8000-00000000000$'"
#define FREE_WORKFLOW "'workflow_id':'99999999-0000-4000-8000-00000000000$'"
#define MEMBER "'user_id':'66666666-0000-4000-8000-00000000000$'"
#define QUESTION "'interaction_id':'55555555-0000-4000-8000-00000000000$','connection_id':'c'"
#define FREE_QUESTION "'interaction_id':'44444444-0000-4000-8000-00000000000$','connection_id':'c'"
#define ASKED_USER "00000000-0000-4000-8000-00000000000$"

static const struct row matrix[] = {
	/*                        owner admin editor viewer no-member no-actor service engine */
	{"workflow.save", "yyynnnyy", "{" FREE_WORKFLOW ",'action':'new','name':'n','definition':" CONTROL_DEFINITION "}"},
	{"workflow.save", "yyynnnyy", "{" WORKFLOW ",'action':'edit','name':'n','definition':" CONTROL_DEFINITION "}"},
	{"workflow.delete", "yyynnnyy", "{" WORKFLOW "}"},
	{"workflow.read", "yyyynnyy", NULL},
	{"member.set", "yynnnnyy", "{" MEMBER ",'role':'editor'}"},
	{"member.remove", "yynnnnyy", "{" MEMBER "}"},
	{"interaction.ask", "nnnnnnyy", "{" FREE_QUESTION ",'expected_user_id':'" ASKED_USER "','payload':{}}"},
	{"interaction.answer", "yyyyynyy", "{" QUESTION ",'user_id':'" ASKED_USER "','value':1}"},
	{"interaction.withdraw", "nnnnnnyy", "{" QUESTION ",'expected_user_id':'" ASKED_USER "'}"},
	{"interaction.expire", "nnnnnnny", "{'interaction_ids':['55555555-0000-4000-8000-00000000000$']}"},
	{"interaction.list", "yyyyynyy", NULL},
	{"entity.get", "yyyyynyy", NULL},
	{"run.start", "yyynnnyy", NULL},
	{"run.resume", "yyynnnyy", NULL},
	{"run.retry", "yyynnnyy", NULL},
	{"run.cancel", "yyynnnyy", NULL},
	{"run.node", "nnnnnnyy", NULL},
	{"run.read", "yyyynnyy", NULL},
	{"run.heartbeat", "nnnnnnyy", NULL},
};

#define ROWS (sizeof matrix / sizeof *matrix)

static struct rig rig;

static void setup(void)
{
	rig_open(&rig);
	rig_migrate(&rig);
	add_members(&rig);
}

static void teardown(void)
{
	rig_close(&rig);
}

TestSuite(permission, .init = setup, .fini = teardown);

static void add_targets(const char *action)
{
	rig_sql(&rig,
		"insert into leat.workflows (id, tenant_id, name, version)"
		" select ('77777777-0000-4000-8000-00000000000' || n)::uuid, '" RIG_TENANT_A "', 'w', 1 from generate_series(1, %1$d) n;"
		"insert into leat.members (tenant_id, user_id, role)"
		" select '" RIG_TENANT_A "', ('66666666-0000-4000-8000-00000000000' || n)::uuid, 'viewer' from generate_series(1, %1$d) n;"
		"insert into leat.interactions (tenant_id, id, connection_id, expected_user_id, payload, expires_at)"
		" select '" RIG_TENANT_A "', ('55555555-0000-4000-8000-00000000000' || n)::uuid, 'c',"
		"  ('00000000-0000-4000-8000-00000000000' || n)::uuid, '{}', now() + interval '1 hour' * case '%2$s' when 'interaction.expire' "
		"then -1"
		"  else 1 end from generate_series(1, %1$d) n",
		WHO, action);
}

static uint64_t publish(const struct row *row, size_t number)
{
	char *body = leat_strdup(row->body);
	for (char *at = body; (at = strchr(at, '$')) != NULL;)
		*at = (char)('1' + number);
	uint64_t seq = control_publish(&rig, RIG_TENANT_A, who[number].role, row->action, who[number].actor, body);
	free(body);
	return seq;
}

static void expect_by_nats(const struct row *row)
{
	uint64_t seqs[WHO];
	add_targets(row->action);
	load_start_consumer(&rig, "consumer", RIG_ARGS("--lanes", "control"));
	for (size_t i = 0; i < WHO; i++)
		seqs[i] = publish(row, i);
	for (size_t i = 0; i < WHO; i++) {
		char *found = control_outcome(&rig, seqs[i]);
		const char *expected = row->allowed[i] == 'y' ? "applied" : "rejected forbidden";
		cr_expect_eq(strncmp(found, expected, strlen(expected)), 0, "%s by %s: %s", row->action, who[i].name, found);
		free(found);
	}
}

static void expect_by_sql(const struct row *row)
{
	for (size_t i = 0; i < WHO; i++)
		rig_sql_expect(&rig, row->allowed[i] == 'y' ? "t" : "f",
			"select leat.forbids('%s', '" RIG_TENANT_A "', '%s', nullif('%s', '')) is null", row->action, who[i].role,
			who[i].actor != NULL ? who[i].actor : "");
}

ParameterizedTestParameters(permission, everybody_may_do_what_the_matrix_says)
{
	static size_t numbers[ROWS];
	for (size_t i = 0; i < ROWS; i++)
		numbers[i] = i;
	return cr_make_param_array(size_t, numbers, ROWS, NULL);
}

ParameterizedTest(size_t *number, permission, everybody_may_do_what_the_matrix_says)
{
	const struct row *row = &matrix[*number];
	if (row->body != NULL)
		expect_by_nats(row);
	else
		expect_by_sql(row);
}

Test(permission, the_table_has_no_action_that_the_matrix_does_not_have)
{
	LEAT_BUF_SCOPED actions = LEAT_BUF_INIT;
	for (size_t i = 0; i < ROWS; i++)
		leat_buf_printf(&actions, "%s%s", i > 0 ? "," : "", matrix[i].action);
	rig_sql_expect(
		&rig, "", "select string_agg(action, ' ') from leat.permissions() where action <> all ('{%s}')", leat_buf_text(&actions));
}
