/* Calls of nodes over TLS: connections and sessions are used again, by whichever run; who is not believed is not called. */
#include "advancing.h"
#include "logins.h"

#include "leat/buf.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static struct endpoint secure = {.script = "tests/clients/secure.mjs"};

static int count_of(const char *member)
{
	char *said = endpoint_ask(&secure, "GET", "/counts", "");
	json_t *counts = json_loads(said, 0, NULL);
	const json_t *count = json_object_get(counts, member);
	cr_assert(json_is_integer(count), "no %s in %s", member, said);
	int number = (int)json_integer_value(count);
	json_decref(counts);
	free(said);
	return number;
}

static void setup(void)
{
	char host[64];
	advancing_setup();
	certificates_make(&advancing);
	setenv("CERT", logins_path(&advancing, "server.pem"), 1);
	setenv("KEY", logins_path(&advancing, "server.key"), 1);
	endpoint_start(&secure, &advancing);
	snprintf(host, sizeof host, "127.0.0.1:%d", count_of("port"));
	setenv("LEAT_ALLOW_HOSTS", host, 1);
}

static void teardown(void)
{
	endpoint_stop(&secure);
	advancing_teardown();
}

TestSuite(advance_tls, .init = setup, .fini = teardown);

/* Nodes "a", "b", "c" and "d" that call below this path; one after the other, or all at once. */
static void save_calls(const char *path, const char *edges)
{
	LEAT_BUF_SCOPED definition = LEAT_BUF_INIT;
	leat_buf_add_text(&definition, "{'nodes':[");
	for (int node = 'a'; node <= 'd'; node++)
		leat_buf_printf(&definition, "%s{'id':'%c','type':'http','url':'https://127.0.0.1:%d%s%c'}", node == 'a' ? "" : ",", node,
			count_of("port"), path, node);
	leat_buf_printf(&definition, "],'edges':[%s]}", edges);
	advancing_save(definition.data);
}

static void complete_runs(const char *max_runs)
{
	enum { RUNS = 5 };
	struct leat_child *consumer = advancing_start(
		"c1", ADVANCING_LANES, RIG_ARGS("--max-runs", max_runs, "--max-calls", "4", "--call-tls-ca", logins_path(&advancing, "ca.pem")));
	for (int i = 0; i < RUNS; i++)
		advancing_start_run(i, "");
	advancing_wait_runs(RUNS, "completed", 60);
	cr_expect_eq(count_of("calls"), RUNS * 4);
	cr_expect_eq(count_of("refused"), 0);
	load_stop_consumer(consumer);
}

Test(advance_tls, connections_serve_the_calls_of_many_runs)
{
	save_calls("/keep/", "");
	complete_runs("3");
	cr_expect_leq(count_of("connections"), 4, "20 calls, at most 4 at once, made %d connections", count_of("connections"));
}

Test(advance_tls, sessions_are_resumed_where_connections_end)
{
	save_calls("/close/", "['a','b'],['b','c'],['c','d']");
	complete_runs("1");
	cr_expect_eq(count_of("connections"), 20);
	int connections = count_of("connections");
	int resumed = count_of("resumed");
	cr_expect(connections == 20 && resumed >= 9, /* measured with curl 7.88 and TLS 1.3: every second one is */
		"of %d connections %d were resumed", connections, resumed);
}

Test(advance_tls, a_certificate_of_an_unknown_authority_fails_the_node_at_once)
{
	LEAT_BUF_SCOPED definition = LEAT_BUF_INIT;
	leat_buf_printf(&definition,
		"{'nodes':[{'id':'h','type':'http','url':'https://127.0.0.1:%1$d/h','max_attempts':20},"
		"{'id':'w','type':'worker','url':'https://127.0.0.1:%1$d/w','max_attempts':20}],'edges':[]}",
		count_of("port"));
	advancing_save(definition.data);
	advancing_start("c1", ADVANCING_LANES, RIG_ARGS("--call-tls-ca", logins_path(&advancing, "other-ca.pem")));
	advancing_start_run(1, "");
	advancing_wait_runs(1, "failed", 60);
	advancing_expect_error(1, "h", "%%certificate is not believed%%--call-tls-ca");
	advancing_expect_error(1, "w", "%%certificate is not believed%%--call-tls-ca");
	cr_expect_eq(count_of("calls"), 0);
	cr_expect_leq(count_of("refused"), 2);
}

Test(advance_tls, a_file_that_holds_no_certificates_is_told)
{
	advancing_start("c1", ADVANCING_LANES, RIG_ARGS("--call-tls-ca", logins_path(&advancing, "server.key")));
	rig_sql_wait(
		&advancing, 30, "off, LEAT_CALL_TLS_CA is no file of certificates", "select lanes #>> '{advance,state}' from leat.processes");
	rig_sql_wait(&advancing, 30, "working", "select lanes #>> '{run,state}' from leat.processes");
}
