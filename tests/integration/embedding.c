#include "embedding.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

struct rig rig;
struct endpoint endpoint;

void embedding_setup(void)
{
	char url[128];
	rig_open(&rig);
	rig_migrate(&rig);
	endpoint_start(&endpoint, &rig);
	snprintf(url, sizeof url, "%s/v1/embeddings", endpoint.base);
	setenv("LEAT_EMBED_URL", url, 1);
	setenv("LEAT_EMBED_MODEL", "m-1", 1);
	setenv("LEAT_EMBED_KEY", EMBEDDING_KEY, 1);
}

void embedding_teardown(void)
{
	rig_close(&rig);
	endpoint_stop(&endpoint);
}

struct leat_child *embedding_launch(const char *name, const char *const *more)
{
	const char *arguments[24] = {"--lanes", "embed,keep", "--process-heartbeat-ms", "1000", "--retry-first-ms", "20",
		"--embed-retry-limit-ms", "500", "--embed-timeout-ms", "5000"};
	size_t count = 10;
	for (size_t i = 0; more != NULL && more[i] != NULL; i++)
		arguments[count++] = more[i];
	cr_assert_lt(count, 24);
	const char *all[26] = {"consume"};
	for (size_t i = 0; i <= count; i++)
		all[i + 1] = arguments[i];
	return rig_start(&rig, name, all);
}

void embedding_wait_state(const char *state)
{
	rig_sql_wait(&rig, 60, "t", "select coalesce(bool_or(lanes #>> '{embed,state}' = '%s'), false) from leat.processes", state);
}

struct leat_child *embedding_start(const char *name, const char *const *more)
{
	struct leat_child *child = embedding_launch(name, more);
	rig_sql_wait(&rig, 60, "t", "select coalesce(bool_or(lanes #>> '{embed,state}' = 'working'), false) from leat.processes where pid = %d",
		(int)child->pid);
	return child;
}

void embedding_insert(int from, int to)
{
	rig_sql(&rig,
		"insert into leat.entities (tenant_id, id, entity_type, content)"
		" select '" RIG_TENANT_A "', " EMBEDDING_ID ", 'thing', jsonb_build_object('n', n) from generate_series(%d, %d) n",
		from, to);
}

void embedding_wait_settled(int seconds)
{
	rig_sql_wait(&rig, seconds, "0 missing, 0 too many, 0 waiting",
		"select format('%%s missing, %%s too many, %%s waiting',"
		" (select count(*) from leat.entities e left join leat.embeddings v on v.tenant_id = e.tenant_id and v.entity_id = e.id"
		"  where e.deleted_at is null and e.content <> '{}' and v.embedding[1] is distinct from (e.content ->> 'n')::real),"
		" (select count(*) from leat.embeddings v left join leat.entities e on v.tenant_id = e.tenant_id and v.entity_id = e.id"
		"  where e.id is null or e.deleted_at is not null or e.content = '{}'),"
		" (select count(*) from leat.embedding_queue) + (select count(*) from leat.embedding_changes))");
}
