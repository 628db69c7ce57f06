#include "advancing.h"
#include "logins.h"

#include "leat/buf.h"
#include "leat/clock.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_MS 20

struct rig advancing;
struct endpoint calls;
static int version; /* the last one that was saved */

static void set_up(void)
{
	char host[64];
	rig_migrate(&advancing);
	calls = (struct endpoint){.script = "tests/clients/calls.mjs"};
	endpoint_start(&calls, &advancing);
	snprintf(host, sizeof host, "127.0.0.1:%d", calls.port);
	setenv("LEAT_ALLOW_HOSTS", host, 1);
}

void advancing_setup(void)
{
	rig_open(&advancing);
	set_up();
}

void advancing_setup_with(const char *nats)
{
	rig_open(&advancing);
	logins_configure(&advancing, nats);
	set_up();
}

void advancing_setup_alone(void)
{
	rig_open_alone(&advancing);
	set_up();
}

void advancing_teardown(void)
{
	rig_close(&advancing);
	endpoint_stop(&calls);
}

struct leat_child *advancing_start(const char *name, const char *lanes, const char *const *more)
{
	const char *arguments[32] = {"consume", "--lanes", lanes, "--retry-first-ms", "20", "--retry-limit-ms", "200", "--ack-wait-ms", "2000"};
	size_t count = 9;
	for (size_t i = 0; more != NULL && more[i] != NULL; i++) {
		cr_assert_lt(count, 31);
		arguments[count++] = more[i];
	}
	return rig_start(&advancing, name, arguments);
}

/* ---- workflows and runs ---- */

static void replace_all(struct leat_buf *out, const char *text, const char *what, const char *with)
{
	for (const char *at; (at = strstr(text, what)) != NULL; text = at + strlen(what)) {
		leat_buf_add(out, text, (size_t)(at - text));
		leat_buf_add_text(out, with);
	}
	leat_buf_add_text(out, text);
}

void advancing_save(const char *definition)
{
	LEAT_BUF_SCOPED body = LEAT_BUF_INIT;
	leat_buf_add_text(&body, "{'workflow_id':'" ADVANCING_WORKFLOW "','action':'new','name':'w','definition':");
	replace_all(&body, definition, "$URL", calls.base);
	leat_buf_add_text(&body, "}");
	control_publish(&advancing, RIG_TENANT_A, "service", "workflow.save", NULL, body.data);
	version++;
}

void advancing_save_call(const char *path)
{
	LEAT_BUF_SCOPED definition = LEAT_BUF_INIT;
	leat_buf_printf(&definition, "{'nodes':[{'id':'a','type':'http','url':'$URL%s'}],'edges':[]}", path);
	advancing_save(definition.data);
}

void advancing_run_id(char out[37], int number)
{
	snprintf(out, 37, "dddddddd-0000-4000-8000-%012d", number);
}

void advancing_start_run(int number, const char *more)
{
	char body[1024];
	snprintf(body, sizeof body, ",'workflow_id':'" ADVANCING_WORKFLOW "','version':%d%s", version, more);
	advancing_publish("run.start", number, body);
}

void advancing_publish(const char *noun_verb, int number, const char *more)
{
	LEAT_BUF_SCOPED body = LEAT_BUF_INIT;
	char run[37];
	advancing_run_id(run, number);
	leat_buf_printf(&body, "{'run_id':'%s'%s}", run, more);
	control_publish(&advancing, RIG_TENANT_A, "service", noun_verb, NULL, body.data);
}

void advancing_wait_run(int number, const char *status, int seconds)
{
	char run[37];
	advancing_run_id(run, number);
	rig_sql_wait(&advancing, seconds, status, "select status from leat.runs where id = '%s'", run);
}

void advancing_wait_node(int number, const char *node, const char *status, int seconds)
{
	char run[37];
	advancing_run_id(run, number);
	rig_sql_wait(&advancing, seconds, status, "select node_states -> '%s' ->> 'status' from leat.runs where id = '%s'", node, run);
}

void advancing_wait_runs(int count, const char *status, int seconds)
{
	char expected[64];
	snprintf(expected, sizeof expected, "%d, 0 claims", count);
	rig_sql_wait(&advancing, seconds, expected,
		"select (select count(*) from leat.runs where status = '%s') || ', ' || (select count(*) from leat.claims) || ' claims'", status);
}

static void expect_like(int number, const char *node, const char *member, const char *like)
{
	char run[37];
	advancing_run_id(run, number);
	char *found = rig_sql_text(&advancing, "select node_states -> '%s' ->> '%s' from leat.runs where id = '%s'", node, member, run);
	cr_expect_eq(rig_sql_int(&advancing, "select count(*) from leat.runs where id = '%s' and node_states -> '%s' ->> '%s' like '%s'", run,
					 node, member, like),
		1, "node %s of run %d: expected %s like %s, found %s", node, number, member, like, found);
	free(found);
}

void advancing_expect_output(int number, const char *node, const char *like)
{
	expect_like(number, node, "output", like);
}

void advancing_expect_error(int number, const char *node, const char *like)
{
	expect_like(number, node, "error", like);
}

void advancing_reap(void)
{
	rig_sql(&advancing,
		"with late as (delete from leat.claims where leased_until < now() returning run_id, tenant_id)"
		" insert into leat.outbox (subject, body) select distinct 'leat.intent.' || tenant_id || '.engine.run.resume',"
		" convert_to(jsonb_build_object('run_id', run_id)::text, 'UTF8') from late");
}

/* ---- the server's view ---- */

static const char *text_of(const json_t *call, const char *member)
{
	const char *text = json_string_value(json_object_get(call, member));
	return text != NULL ? text : "";
}

size_t advancing_count(const char *path)
{
	json_t *all = endpoint_calls(&calls);
	size_t count = 0;
	size_t i;
	json_t *call;
	json_array_foreach(all, i, call) count += strncmp(text_of(call, "path"), path, strlen(path)) == 0;
	json_decref(all);
	return count;
}

void advancing_wait_calls(const char *path, size_t count, int seconds)
{
	int64_t deadline = leat_clock_ms() + (int64_t)seconds * 1000;
	size_t found;
	while ((found = advancing_count(path)) < count) {
		cr_assert_lt(leat_clock_ms(), deadline, "after %d s %zu calls of %s, expected %zu", seconds, found, path, count);
		poll(NULL, 0, LOOK_MS);
	}
}

size_t advancing_most_at_once(void)
{
	json_t *all = endpoint_calls(&calls);
	size_t most = 0;
	size_t i;
	json_t *call;
	json_array_foreach(all, i, call)
	{
		size_t in_flight = (size_t)json_integer_value(json_object_get(call, "inFlight"));
		most = in_flight > most ? in_flight : most;
	}
	json_decref(all);
	return most;
}

void advancing_expect_one_key(const char *path)
{
	json_t *all = endpoint_calls(&calls);
	char key[256] = "";
	size_t i;
	json_t *call;
	json_array_foreach(all, i, call)
	{
		if (strcmp(text_of(call, "path"), path) != 0)
			continue;
		if (key[0] == '\0')
			snprintf(key, sizeof key, "%s", text_of(call, "key"));
		cr_expect_str_eq(text_of(call, "key"), key);
	}
	cr_expect_neq(key[0], '\0', "nobody called %s", path);
	json_decref(all);
}
