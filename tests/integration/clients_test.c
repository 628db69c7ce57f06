/* Clients in other languages, as the README shows them, against a running consumer. */
#include "scripts.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct rig rig;

static void setup(void)
{
	rig_open(&rig);
	rig_migrate(&rig);
	rig_start(&rig, "consume", RIG_ARGS("consume"));
}

static void teardown(void)
{
	rig_close(&rig);
}

TestSuite(clients, .init = setup, .fini = teardown);

Test(clients, node_publishes_waits_for_the_outcome_and_is_told_of_a_mistake)
{
	struct leat_child node;
	char url[160];
	snprintf(url, sizeof url, "LEAT_NATS_URL=%s", rig.nats.url);
	script_start(&node, &rig, "node", RIG_ARGS("node", "tests/clients/publish.mjs"), RIG_ARGS(url, "TENANT=" RIG_TENANT_A));
	cr_assert_eq(script_wait(&node, 60), 0);

	char *content = rig_sql_text(&rig, "SELECT content FROM leat.entities WHERE tenant_id = '" RIG_TENANT_A "' AND key = 'first'");
	cr_expect_str_eq(content, "{\"read\": true, \"text\": \"hello\", \"likes\": 3, \"colour\": \"green\"}");
	free(content);
	cr_expect_eq(rig_sql_int(&rig, "SELECT count(*) FROM leat.activity WHERE actor = 'web-shop' AND outcome = 'applied'"), 4);

	char *said = rig_output(&rig, "node");
	cr_expect_not_null(strstr(said, "status: 'applied'"), "%s", said);
	cr_expect_not_null(strstr(said, "did you mean \"content\"?"), "%s", said);
	free(said);
}
