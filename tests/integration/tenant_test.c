/* Tenants are walls: nothing in a body or header reaches over, and what two tenants name alike is two things. */
#include "load.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>

#define ENTITY "eeeeeeee-0000-4000-8000-000000000001"

static struct rig rig;

static void setup(void)
{
	rig_open(&rig);
	rig_migrate(&rig);
	load_start_consumer(&rig, "consumer", NULL);
}

static void teardown(void)
{
	rig_close(&rig);
}

TestSuite(tenant, .init = setup, .fini = teardown);

/* content and metadata of the tenant's ENTITY, "" when there is none. */
static void expect_entity(const char *tenant, const char *expected)
{
	rig_sql_expect(&rig, expected, "select content || metadata from leat.entities where tenant_id = '%s' and id = '" ENTITY "'", tenant);
}

static void expect_outcome(uint64_t seq, const char *expected)
{
	rig_sql_expect(&rig, expected, "select concat_ws(' ', outcome, code) from leat.activity where position = %" PRIu64, seq);
}

Test(tenant, the_same_id_in_two_tenants_is_two_entities)
{
	rig_intent(
		&rig, RIG_TENANT_A, "entity.upsert", NULL, "{\"entity_id\":\"" ENTITY "\",\"entity_type\":\"x\",\"content\":{\"of\":\"a\"}}");
	rig_intent(
		&rig, RIG_TENANT_B, "entity.upsert", NULL, "{\"entity_id\":\"" ENTITY "\",\"entity_type\":\"x\",\"content\":{\"of\":\"b\"}}");
	rig_intent(&rig, RIG_TENANT_A, "entity.merge", NULL, "{\"entity_id\":\"" ENTITY "\",\"metadata\":{\"more\":1}}");
	rig_intent(&rig, RIG_TENANT_B, "entity.delete", NULL, "{\"entity_id\":\"" ENTITY "\"}");
	load_wait_settled(&rig, 4, 60);
	expect_entity(RIG_TENANT_A, "{\"of\": \"a\", \"more\": 1}");
	expect_entity(RIG_TENANT_B, "{}");
}

Test(tenant, the_same_key_in_two_tenants_is_two_ids)
{
	rig_intent(&rig, RIG_TENANT_A, "entity.upsert", NULL, "{\"key\":\"k\",\"entity_type\":\"x\",\"content\":{\"of\":\"a\"}}");
	rig_intent(&rig, RIG_TENANT_B, "entity.upsert", NULL, "{\"key\":\"k\",\"entity_type\":\"x\",\"content\":{\"of\":\"b\"}}");
	load_wait_settled(&rig, 2, 60);
	cr_assert_eq(rig_sql_int(&rig, "select count(distinct id) from leat.entities"), 2);
}

Test(tenant, the_same_leat_id_in_two_tenants_counts_twice)
{
	static const char body[] = "{\"entity_id\":\"" ENTITY "\",\"entity_type\":\"x\",\"content\":{\"n\":1}}";
	uint64_t seqs[] = {
		rig_intent(&rig, RIG_TENANT_A, "entity.upsert", "Leat-Id: same\r\n", body),
		rig_intent(&rig, RIG_TENANT_B, "entity.upsert", "Leat-Id: same\r\n", body),
		rig_intent(&rig, RIG_TENANT_A, "entity.upsert", "Leat-Id: same\r\n", body),
	};
	load_wait_settled(&rig, 3, 60);
	expect_outcome(seqs[0], "applied");
	expect_outcome(seqs[1], "applied");
	expect_outcome(seqs[2], "duplicate");
}

/* Every verb, in the name of A, at an entity that only B has; and everything that might pass for naming another tenant. */
Test(tenant, no_body_or_header_reaches_another_tenants_entity)
{
	static const char *const intents[][3] = {
		{"entity.merge", NULL, "{\"entity_id\":\"" ENTITY "\",\"content\":{\"stolen\":1}}"},
		{"entity.merge", "Leat-Tenant: " RIG_TENANT_B "\r\nLeat-Actor: " RIG_TENANT_B "\r\n",
			"{\"entity_id\":\"" ENTITY "\",\"content\":{\"stolen\":1}}"},
		{"entity.merge", NULL, "{\"entity_type\":\"x\",\"key\":\"k\",\"content\":{\"stolen\":1}}"},
		{"entity.bulk", NULL, "{\"entity_ids\":[\"" ENTITY "\"],\"content\":{\"stolen\":1}}"},
		{"entity.unset", NULL, "{\"entity_id\":\"" ENTITY "\",\"content\":[\"of\"]}"},
		{"entity.delete", NULL, "{\"entity_id\":\"" ENTITY "\"}"},
		{"entity.merge", NULL, "{\"entity_id\":\"" ENTITY "\",\"tenant_id\":\"" RIG_TENANT_B "\",\"content\":{\"stolen\":1}}"},
		{"entity.upsert", NULL, "{\"entity_id\":\"" ENTITY "\",\"tenant_id\":\"" RIG_TENANT_B "\",\"entity_type\":\"x\"}"},
		{"entity.merge", "Leat-Origin-Subject: leat.intent." RIG_TENANT_B ".service.entity.merge\r\n",
			"{\"entity_id\":\"" ENTITY "\",\"content\":{\"stolen\":1}}"},
	};
	const size_t count = sizeof intents / sizeof *intents;
	rig_intent(
		&rig, RIG_TENANT_B, "entity.upsert", NULL, "{\"entity_id\":\"" ENTITY "\",\"entity_type\":\"x\",\"content\":{\"of\":\"b\"}}");
	rig_intent(&rig, RIG_TENANT_B, "entity.upsert", NULL, "{\"key\":\"k\",\"entity_type\":\"x\",\"content\":{\"of\":\"b\"}}");
	for (size_t i = 0; i < count; i++)
		rig_intent(&rig, RIG_TENANT_A, intents[i][0], intents[i][1], intents[i][2]);
	load_wait_settled(&rig, 2 + (int64_t)count, 60);
	expect_entity(RIG_TENANT_B, "{\"of\": \"b\"}");
	expect_entity(RIG_TENANT_A, "");
	cr_assert_eq(rig_sql_int(&rig, "select count(*) from leat.entities where content <> '{\"of\": \"b\"}'"), 0);
	cr_assert_eq(
		rig_sql_int(&rig, "select count(*) from leat.activity where outcome = 'rejected' and code in ('not_found', 'invalid_message')"),
		(int64_t)count);
}

Test(tenant, a_subject_without_a_tenant_fails_closed)
{
	static const char *const subjects[] = {
		"leat.intent.aaaa.service.entity.merge",
		"leat.intent." RIG_TENANT_A "x.service.entity.merge",
		"leat.intent." RIG_TENANT_A ".nobody.entity.merge",
	};
	rig_intent(
		&rig, RIG_TENANT_A, "entity.upsert", NULL, "{\"entity_id\":\"" ENTITY "\",\"entity_type\":\"x\",\"content\":{\"of\":\"a\"}}");
	for (size_t i = 0; i < 3; i++)
		rig_publish(&rig, subjects[i], NULL, "{\"entity_id\":\"" ENTITY "\",\"content\":{\"stolen\":1}}");
	load_wait_settled(&rig, 4, 60);
	load_wait_dead(&rig, 3, 60);
	expect_entity(RIG_TENANT_A, "{\"of\": \"a\"}");
}

/* It would be told what another tenant's entity holds, or make the consumer publish anywhere. */
Test(tenant, a_reply_goes_to_ones_own_tenant_only)
{
	static const char *const targets[] = {"leat.reply." RIG_TENANT_B ".x", "leat.reply.>", "leat.reply." RIG_TENANT_A ".*",
		"leat.reply." RIG_TENANT_A, "leat.intent." RIG_TENANT_B ".service.entity.delete", "$JS.API.STREAM.DELETE.LEAT_ENTITY"};
	const size_t count = sizeof targets / sizeof *targets;
	struct leat_inbox *others = NULL;
	struct leat_inbox *own = NULL;
	struct leat_error err;
	struct leat_msg msg;
	cr_assert_eq(leat_inbox_open(&others, rig_bus(&rig), "leat.reply." RIG_TENANT_B ".>", &err), LEAT_OK, "%s", err.text);
	cr_assert_eq(leat_inbox_open(&own, rig_bus(&rig), "leat.reply." RIG_TENANT_A ".>", &err), LEAT_OK, "%s", err.text);
	for (size_t i = 0; i < count; i++) {
		char header[160];
		snprintf(header, sizeof header, "Leat-Reply-To: %s\r\n", targets[i]);
		rig_intent(&rig, RIG_TENANT_A, "entity.upsert", header, "{\"entity_id\":\"" ENTITY "\",\"entity_type\":\"x\"}");
	}
	rig_intent(&rig, RIG_TENANT_A, "entity.upsert", "Leat-Reply-To: leat.reply." RIG_TENANT_A ".x\r\n",
		"{\"entity_id\":\"" ENTITY "\",\"entity_type\":\"x\"}");
	load_wait_settled(&rig, (int64_t)count + 1, 60);
	load_wait_dead(&rig, (int64_t)count, 60);
	cr_assert_eq(
		rig_sql_int(&rig, "select count(*) from leat.activity where outcome = 'rejected' and code = 'invalid_message'"), (int64_t)count);

	cr_assert_eq(leat_inbox_next(own, 30000, &msg, &err), LEAT_OK, "%s", err.text);
	cr_assert_str_eq(msg.subject, "leat.reply." RIG_TENANT_A ".x");
	leat_msg_free(&msg);
	cr_assert_eq(leat_inbox_next(others, 0, &msg, &err), LEAT_TEMPORARY, "B got a reply");
	leat_inbox_close(others);
	leat_inbox_close(own);
}
