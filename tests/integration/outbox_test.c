/* Publishing rows of the outbox: what counts as out, and what is dropped because it can never go out. */
#include "harness.h"
#include "leat/outbox.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct rig rig;

static void setup(void)
{
	rig_open(&rig);
	rig_bus(&rig); /* connected before a test pauses the server */
}

static void teardown(void)
{
	rig_close(&rig);
}

TestSuite(outbox, .init = setup, .fini = teardown);

/* Publishes one row with that subject. */
static enum leat_kind publish_row(const char *subject, struct leat_outbox_result *result)
{
	struct leat_pg *pg;
	struct leat_error err;
	LEAT_PG_RESULT_SCOPED *rows = NULL;
	char sql[256];
	snprintf(sql, sizeof sql, "select 1, gen_random_uuid(), '%s', ''::bytea, 'body'::bytea, null::bytea", subject);
	cr_assert_eq(leat_pg_open(&pg, rig.database_url, "test", NULL, NULL, 0, &err), LEAT_OK, "%s", err.text);
	cr_assert_eq(leat_pg_run_sql(pg, sql, &rows, &err), LEAT_OK, "%s", err.text);
	struct leat_sole events = {.until_ms = INT64_MAX};
	leat_outbox_result_init(result);
	enum leat_kind kind = leat_outbox_publish(result, rig_bus(&rig), &events, rows, &err);
	leat_pg_close(pg);
	return kind;
}

Test(outbox, a_reply_that_the_server_has_not_read_is_not_out)
{
	struct leat_outbox_result result;
	leat_server_pause(&rig.nats);
	enum leat_kind kind = publish_row("leat.reply." RIG_TENANT_A ".x", &result);
	leat_server_resume(&rig.nats);
	cr_expect_eq(kind, LEAT_TEMPORARY);
	cr_expect(result.sent.count == 0 && result.refused.count == 0, "%u sent, %u refused", result.sent.count, result.refused.count);
	leat_outbox_result_fini(&result);
}

Test(outbox, a_reply_that_can_never_go_out_is_dropped)
{
	struct leat_outbox_result result;
	cr_expect_eq(publish_row("leat.reply." RIG_TENANT_A ".a b", &result), LEAT_OK);
	cr_expect(result.sent.count == 1 && result.refused.count == 0, "%u sent, %u refused", result.sent.count, result.refused.count);
	leat_outbox_result_fini(&result);
}
