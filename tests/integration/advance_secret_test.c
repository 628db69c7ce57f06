/*
 * Secrets of tenants, from their files to the calls that bear them, and nowhere else: afterwards every table, stream and log of the rig is
 * searched for them.
 */
#include "advancing.h"

#include "leat/schema.h"

#include <criterion/criterion.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SECRET "k3y/Of+tenant-A=0123456789"
#define THEIRS "k3y/Of+tenant-B=9876543210"

static char folder[PATH_MAX];

static void write_secret(const char *tenant, const char *name, const char *value)
{
	char path[PATH_MAX + 128];
	mkdir(folder, 0700);
	snprintf(path, sizeof path, "%s/%s", folder, tenant);
	mkdir(path, 0700);
	snprintf(path, sizeof path, "%s/%s/%s", folder, tenant, name);
	FILE *file = fopen(path, "we");
	cr_assert(file != NULL && fputs(value, file) >= 0 && fclose(file) == 0, "%s", path);
}

static void setup(void)
{
	advancing_setup();
	cr_assert_lt((size_t)snprintf(folder, sizeof folder, "%s/secrets", advancing.folder), sizeof folder);
	write_secret(RIG_TENANT_A, "KEY", SECRET "\n");
	write_secret(RIG_TENANT_B, "THEIRS", THEIRS);
}

TestSuite(advance_secret, .init = setup, .fini = advancing_teardown);

static void expect_in_no_table(const char *text)
{
	rig_sql_expect(&advancing, "",
		"select string_agg(relname, ' ') from pg_class where relnamespace = 'leat'::regnamespace and relkind = 'r'"
		" and query_to_xml(format('select t::text from leat.%%I t', relname), true, false, '')::text like '%%%s%%'",
		text);
}

static void expect_in_no_stream(const char *text)
{
	struct leat_params params;
	struct leat_stream_config streams[LEAT_STREAMS];
	size_t seen = 0;
	leat_params_init(&params);
	leat_schema_streams(&params, streams);
	for (size_t i = 0; i < LEAT_STREAMS; i++) {
		struct leat_error err;
		struct leat_msg msg;
		for (uint64_t seq = 1; leat_stream_get_next(rig_bus(&advancing), streams[i].name, ">", &seq, &msg, &err) == LEAT_OK; seq++) {
			LEAT_BUF_SCOPED all = LEAT_BUF_INIT;
			leat_msg_add_headers(&msg, &all);
			leat_buf_add(&all, msg.data, msg.data_bytes);
			cr_expect_null(memmem(all.data, all.len, text, strlen(text)), "%s has it: %s", streams[i].name, msg.subject);
			leat_msg_free(&msg);
			seen++;
		}
	}
	cr_expect_gt(seen, 0);
}

static void expect_nowhere(const char *text)
{
	char *log = rig_log(&advancing, "c1");
	cr_expect_gt(strlen(log), 0);
	cr_expect_null(strstr(log, text), "the log has it:\n%s", log);
	free(log);
	expect_in_no_table(text);
	expect_in_no_stream(text);
}

Test(advance_secret, a_secret_is_in_the_call_and_nowhere_else)
{
	advancing_save("{'nodes':[{'id':'echo','type':'http','url':'$URL/echo/a','headers':{'X-Test':'Bearer ${secret:KEY}'}},"
				   "{'id':'fails','type':'http','url':'$URL/500/a','headers':{'X-Test':'${secret:KEY}'},'max_attempts':2},"
				   "{'id':'brought','type':'http','url':'$URL/echo/brought','headers':{'X-Test':{'$ref':'input#'}}},"
				   "{'id':'theirs','type':'http','url':'$URL/ok/theirs','headers':{'X-Test':'${secret:THEIRS}'}}],'edges':[]}");
	advancing_start("c1", ADVANCING_LANES, RIG_ARGS("--secrets-dir", folder, "--log-level", "debug"));
	advancing_start_run(1, ",'input':'${secret:KEY}'");
	advancing_wait_runs(1, "failed", 60);

	char *seen = endpoint_ask(&calls, "GET", "/calls", "");
	cr_expect_not_null(strstr(seen, "\"Bearer " SECRET "\""), "%s", seen);
	cr_expect_not_null(strstr(seen, "\"${secret:KEY}\""), "what a reference brings is sent as it is: %s", seen);
	free(seen);
	cr_expect_eq(advancing_count("/ok/theirs"), 0);
	advancing_expect_output(1, "echo", "%%[redacted]%%");
	advancing_expect_error(1, "fails", "%%500%%");
	advancing_expect_error(1, "theirs", "%%THEIRS%%");
	rig_sql_wait(&advancing, 30, "0", "select count(*) from leat.outbox");
	expect_nowhere(SECRET);
	expect_nowhere(THEIRS);
}
