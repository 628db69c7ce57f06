/* Postgres's part of the status: leat.status() says it all. It complains of a group that nobody consumes for. */
#include "status.h"

#include "leat/clock.h"

#include <string.h>

#define HEARTBEATS 3 /* missed: then a process counts as gone */

static bool is_alive_in(const json_t *process, const char *group)
{
	return json_is_true(json_object_get(process, "alive")) &&
		strcmp(json_string_value(json_object_get(process, "queue_group")), group) == 0;
}

static bool has_consumer(const json_t *processes, const char *group)
{
	size_t i;
	json_t *process;
	json_array_foreach(processes, i, process)
	{
		if (is_alive_in(process, group))
			return true;
	}
	return false;
}

static enum leat_kind ask(struct status *status, json_t **out, struct leat_error *err)
{
	if (status->pg != NULL && !leat_pg_alive(status->pg)) {
		leat_pg_close(status->pg);
		status->pg = NULL;
	}
	if (status->pg == NULL &&
		leat_pg_open(&status->pg, status->params->database_url, "leat status", "service_role", NULL, 0, err) != LEAT_OK)
		return err->kind;
	LEAT_PG_RESULT_SCOPED *result = NULL;
	struct leat_pg_params params = {0};
	leat_pg_bind_int8(&params, HEARTBEATS * status->params->process_heartbeat_ms);
	leat_pg_bind_int8(&params, STATUS_COUNTED);
	int64_t began_ms = leat_clock_ms();
	if (leat_pg_run_once(status->pg, "select leat.status($1::bigint, $2::bigint)", &params, &result, err) != LEAT_OK)
		return leat_fail_while(err, "is the schema up to date? run `leat migrate`");
	*out = json_loads(leat_pg_text(result, 0, 0), 0, NULL);
	json_object_set_new(*out, "answered_ms", json_integer(leat_clock_ms() - began_ms));
	return *out != NULL ? LEAT_OK : leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INTERNAL, "leat.status() gave no JSON that can be read");
}

json_t *status_ask_postgres(struct status *status)
{
	struct leat_error err;
	json_t *answer = NULL;
	if (ask(status, &answer, &err) != LEAT_OK) {
		status_complain(status, "%s", err.text);
		return json_pack("{s:b}", "reachable", status->pg != NULL && leat_pg_alive(status->pg));
	}
	json_object_set_new(answer, "reachable", json_true());
	const char *group = status->params->queue_group;
	if (!has_consumer(json_object_get(answer, "processes"), group))
		status_complain(
			status, "no consumer of queue group %s was seen within %d heartbeats; start one by `leat consume`", group, HEARTBEATS);
	return answer;
}
