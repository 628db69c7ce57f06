/*
 * What the tests of queries run on: two tenants, members, workflows, questions and entities, written by direct SQL. What is B's holds
 * SECRET.
 */
#ifndef LEAT_TESTS_QUERY_FIXTURE_H
#define LEAT_TESTS_QUERY_FIXTURE_H

#include "asker.h"
#include "harness.h"

#include <criterion/criterion.h>

#define SECRET "0123456789"
#define VIEWER "11111111-0000-4000-8000-000000000001"   /* of A */
#define STRANGER "11111111-0000-4000-8000-000000000002" /* a member of neither */

#define ID(kind, number) kind "-0000-4000-8000-00000000000" number
#define OWN_WORKFLOW ID("dddddddd", "1")
#define DELETED_WORKFLOW ID("dddddddd", "2")
#define THEIR_WORKFLOW ID("dddddddd", "3")
#define NO_WORKFLOW ID("dddddddd", "4")
#define OWN_ENTITY ID("eeeeeeee", "1")
#define DELETED_ENTITY ID("eeeeeeee", "2")
#define THEIR_ENTITY ID("eeeeeeee", "3")

static inline void query_store(struct rig *rig)
{
	rig_sql(rig,
		"insert into leat.members (tenant_id, user_id, role) values ('" RIG_TENANT_A "', '" VIEWER "', 'viewer');"
		"insert into leat.workflows (id, tenant_id, name, version, deleted_at) values"
		" ('" OWN_WORKFLOW "', '" RIG_TENANT_A "', 'own', 2, null), ('" DELETED_WORKFLOW "', '" RIG_TENANT_A "', 'gone', 1, now()),"
		" ('" THEIR_WORKFLOW "', '" RIG_TENANT_B "', '" SECRET "', 1, null);"
		"insert into leat.workflow_versions (workflow_id, version, tenant_id, name, definition)"
		" select w.id, v, w.tenant_id, w.name || ' ' || v, jsonb_build_object('nodes',"
		"  jsonb_build_array(jsonb_build_object('id', 'first', 'type', 'http', 'url', w.name)), 'edges', '[]'::jsonb)"
		" from leat.workflows w, generate_series(1, w.version) v;"
		"insert into leat.entities (tenant_id, id, entity_type, content, upsert_positions, deleted_at) values"
		" ('" RIG_TENANT_A "', '" OWN_ENTITY "', 'note', '{\"text\": \"own\"}', '{0}', null),"
		" ('" RIG_TENANT_A "', '" DELETED_ENTITY "', 'note', '{}', '{}', now()),"
		" ('" RIG_TENANT_B "', '" THEIR_ENTITY "', 'note', '{\"text\": \"" SECRET "\"}', '{0}', null);"
		"insert into leat.interactions (tenant_id, id, connection_id, expected_user_id, payload, expires_at, status, claimed_at, value,"
		" created_at) values"
		" ('" RIG_TENANT_A "', '" ID(
			"cccccccc", "1") "', 'c', '" VIEWER "', '{\"ask\": 1}', now() + '1 h', 'open', null, null,"
							 "  now() - interval '2 s'),"
							 " ('" RIG_TENANT_A "', '" ID("cccccccc",
								 "2") "', 'c', '" STRANGER "', '{\"ask\": 2}', now() + '1 h', 'open', null, null,"
									  "  now() - interval '3 s'),"
									  " ('" RIG_TENANT_A "', '" ID("cccccccc",
										  "3") "', 'c', '" VIEWER "', '{\"ask\": 3}', now(), 'answered', now(), '\"yes\"',"
											   "  now() - interval '4 s'),"
											   " ('" RIG_TENANT_B "', '" ID("cccccccc", "1") "', '" SECRET "', '" VIEWER "', '\"" SECRET
																							 "\"', now() + '1 h', 'open', null, null,"
																							 "  now())");
}

/* `count` consumers that have only the lanes that this needs, and wait until their query lanes work. */
static inline void query_wait_working(struct rig *rig, int64_t count)
{
	rig_sql_wait(rig, 60, "t", "select count(*) = %lld from leat.processes where lanes #>> '{query,state}' = 'working'", (long long)count);
}

#endif
