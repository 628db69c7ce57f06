/* Every committed change of an entity that can be seen, by direct SQL, is an event, an audit row and a new updated_at; nothing else is. */
#include "event_fixture.h"

TestSuite(event_direct, .init = setup, .fini = teardown);

/* `audit`: the one row, without who; "" for none. */
struct change {
	const char *sql;
	const char *events;
	const char *audit;
};

static void expect_change(struct client *client, const struct change *change, const char *who)
{
	char *before = rig_sql_text(&rig, "select max(updated_at) from leat.entities");
	char audit[64];
	snprintf(audit, sizeof audit, "%s%s", change->audit, change->audit[0] != '\0' ? who : "");
	forget();
	char *said = client_ask(client, "%s", change->sql);
	cr_assert_neq(said[strspn(said, "0123456789")], ':', "%s: %s", change->sql, said);
	free(said);
	expect_events(change->events);
	expect_audit(audit);
	if (strncmp(audit, "update", 6) == 0)
		rig_sql_expect(&rig, "t",
			"select max(updated_at) > '%s' and max(updated_at) = (select max(at) from leat.audit_log) from leat.entities", before);
	free(before);
}

#define MERGE "select leat.merge_entity_"
#define OF_1 "('" ENTITY_1 "', '" RIG_TENANT_A "', "
#define INSERT_2                                                                                                                           \
	"insert into leat.entities (tenant_id, id, entity_type, content) values ('" RIG_TENANT_A "', '" ENTITY_2 "', 't', '{\"x\": 1}')"

/* The position is the row's own, which no direct write moves; none of these is put down to the intent that stands there. */
static const struct change changes[] = {
	{"update leat.entities set content = '{\"a\": 2, \"b\": 1}'", "updated 1 @1 a/", "update 1"},
	{"update leat.entities set content = '{\"a\": 2, \"c\": 1}', metadata = '{}'", "updated 1 @1 b+c/m", "update 1"},
	{"update leat.entities set content = content", "", ""},
	{"update leat.entities set content = '{\"a\": 2.0, \"c\": 1}'", "", ""}, /* as Postgres compares numbers */
	{"update leat.entities set updated_at = '2020-01-01'", "", ""},
	{"update leat.entities set entity_type = 'other'", "updated 1 @1 /", "update 1"},
	{"update leat.entities set key = 'k'", "updated 1 @1 /", "update 1"},
	{"update leat.entities set locked_fields = '{a}'", "updated 1 @1 /", "update 1"},
	{MERGE "content" OF_1 "'{\"a\": 3}')", "updated 1 @1 a/", "update 1"},
	{MERGE "content" OF_1 "'{\"new\": null}')", "updated 1 @1 new/", "update 1"},
	{MERGE "content" OF_1 "'{\"a\": 3}')", "", ""},
	{MERGE "content" OF_1 "'{}')", "", ""},
	{MERGE "metadata" OF_1 "'{\"m\": 3}')", "updated 1 @1 /m", "update 1"},
	{"update leat.entities set deleted_at = now()", "deleted 1 @1 /", "update 1"},
	{"update leat.entities set content = '{\"while\": \"deleted\"}'", "", "update 1"},
	{"update leat.entities set deleted_at = null", "created 1 @1 /", "update 1"},
	{INSERT_2 " on conflict (tenant_id, id) do update set content = '{\"y\": 1}'", "created 2 @0 x/", "insert 2"},
	{INSERT_2 " on conflict (tenant_id, id) do update set content = '{\"y\": 1}'", "updated 2 @0 x+y/", "update 2"},
	{INSERT_2 " on conflict do nothing", "", ""},
	{"begin; update leat.entities set content = '{\"gone\": 1}'; rollback", "", ""},
	{"begin; savepoint s; update leat.entities set content = '{\"gone\": 1}'; rollback to s; commit", "", ""},
	{"begin; savepoint s; update leat.entities set metadata = '{\"kept\": 1}' where id = '" ENTITY_2 "'; release s; savepoint t;"
	 " update leat.entities set metadata = '{\"gone\": 1}'; rollback to t; commit",
		"updated 2 @0 /kept", "update 2"},
	{"update leat.entities set content = '{}' where id = '" ENTITY_3 "'", "", ""},
	{"merge into leat.entities e using (values ('" ENTITY_2
	 "'::uuid)) v (id) on e.id = v.id when matched then update set content = '{\"z\": 1}'",
		"updated 2 @0 y+z/", "update 2"},
};

static void run_changes(struct client *client, const char *who)
{
	struct message created = intent(1, "upsert", ENTITY_1, "'content':{'a':1,'b':1},'metadata':{'m':1}");
	created.actor = "who was there before";
	created.traceparent = TRACE;
	put(&gate, created);
	for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
		expect_change(client, &changes[i], who);
		cr_assert_eq(rig_sql_int(&rig, "select count(*) from event where headers || data::text like '%%traceparent%%'"), 0);
	}
}

Test(event_direct, a_users_direct_change_is_an_event_and_an_audit_row_with_the_users_name)
{
	struct client client;
	client_open(&client, &rig, "authenticated");
	client_set(&client, CLAIMS_A, "");
	run_changes(&client, " ann");
	rig_sql_expect(&rig, "leat", "select max(db_user) from leat.audit_log");
	client_close(&client);
}

Test(event_direct, so_is_a_services_without_a_name)
{
	static const struct change gone = {"delete from leat.entities where id = '" ENTITY_2 "'", "deleted 2 @0 z/kept", "delete 2"};
	struct client client;
	client_open(&client, &rig, "service_role");
	run_changes(&client, "");
	expect_change(&client, &gone, "");
	client_close(&client);
}

Test(event_direct, the_owners_changes_of_whole_tables_are_events_of_each_row)
{
	create_entity();
	put(&gate, intent(2, "upsert", ENTITY_2, ""));
	put(&gate, intent(3, "upsert", ENTITY_3, ""));
	put(&gate, intent(4, "delete", ENTITY_3, ""));
	forget();
	rig_sql(&rig, "begin; truncate leat.entities; rollback");
	expect_nothing();
	rig_sql(&rig, "truncate leat.entities");
	rig_sql_expect(&rig, "deleted 1 @1, deleted 2 @2",
		"select string_agg(concat(what, ' ', entity, ' @', data ->> 'position'), ', ' order by entity) from event");
	rig_sql_expect(&rig, "3", "select count(*) from leat.audit_log where operation = 'delete'");
}

Test(event_direct, a_row_that_changes_hands_is_gone_for_the_one_and_new_for_the_other)
{
	create_entity();
	rig_sql(&rig, "update leat.entities set tenant_id = '" RIG_TENANT_B "'");
	rig_sql_expect(
		&rig, "a deleted, b created", "select string_agg(concat_ws(' ', substr(subject, 12, 1), what), ', ' order by subject) from event");
	rig_sql_expect(&rig, "2 0", "select concat_ws(' ', count(*), count(position)) from leat.audit_log");
}
