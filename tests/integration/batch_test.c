/* How much goes into one transaction: a bulk weighs as much as the entities that it names, so that nobody waits long for its locks. */
#include "load.h"

#include "leat/batch.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdlib.h>

#define ENTITIES 100

static struct rig rig;

static void setup(void)
{
	rig_open(&rig);
	rig_migrate(&rig);
}

static void teardown(void)
{
	rig_close(&rig);
}

TestSuite(batch, .init = setup, .fini = teardown);

/* A bulk to the first `count` entities; the caller's to free(). */
static char *bulk_body(size_t count, const char *field, size_t value)
{
	LEAT_BUF_SCOPED body = LEAT_BUF_INIT;
	leat_buf_printf(&body, "{\"entity_ids\":[");
	for (size_t i = 0; i < count; i++) {
		char id[37];
		load_entity(id, i);
		leat_buf_printf(&body, "%s\"%s\"", i > 0 ? "," : "", id);
	}
	leat_buf_printf(&body, "],\"content\":{\"%s\":%zu}}", field, value);
	return leat_buf_take(&body);
}

/* ---- the weight ---- */

/* Stores the message, and adds it as it comes out of the stream. */
static void add(struct leat_batch *batch, const char *noun_verb, const char *body)
{
	struct leat_msg msg;
	struct leat_error err;
	uint64_t seq = rig_intent(&rig, RIG_TENANT_A, noun_verb, NULL, body);
	cr_assert_eq(leat_stream_get_next(rig_bus(&rig), "LEAT_ENTITY", ">", &seq, &msg, &err), LEAT_OK, "%s", err.text);
	leat_batch_add(batch, &msg);
}

static void add_bulk(struct leat_batch *batch, size_t count)
{
	char *body = bulk_body(count, "n", 0);
	add(batch, "entity.bulk", body);
	free(body);
}

Test(batch, a_bulk_weighs_as_much_as_it_names)
{
	struct leat_params params;
	struct leat_batch batch;
	leat_params_init(&params);
	params.batch = 10;
	leat_batch_init(&batch, &params, "LEAT_ENTITY");
	add_bulk(&batch, 9);
	cr_expect(!leat_batch_full(&batch));
	add(&batch, "entity.merge", "no JSON"); /* what can't be read counts one */
	cr_expect(leat_batch_full(&batch));
	leat_batch_clear(&batch);
	cr_expect(!leat_batch_full(&batch));
	add_bulk(&batch, 11);
	cr_expect(leat_batch_full(&batch));
	leat_batch_fini(&batch);
}

/* ---- in the lane ---- */

/* All is there before the consumer starts, so that it could take all at once. Returns the most bulks of one transaction. */
static int64_t most_together(size_t bulks, size_t each, const char *batch)
{
	struct load load = {0};
	for (size_t i = 0; i < bulks; i++) {
		char *body = bulk_body(each, "n", i);
		load_add(&load, "leat.intent." RIG_TENANT_A ".service.entity.bulk", NULL, body, strlen(body));
		free(body);
	}
	load_store_entities(&rig, RIG_TENANT_A, ENTITIES);
	load_store(&rig, &load);
	load_free(&load);
	load_start_consumer(&rig, "consumer", RIG_ARGS("--batch", batch));
	load_wait_settled(&rig, (int64_t)(ENTITIES + bulks), 60);
	rig_sql_expect(&rig, "applied", "select string_agg(distinct outcome, ' ') from leat.activity");
	cr_expect_eq(rig_sql_int(&rig, "select count(*) from leat.entities where (content ->> 'n')::int = %zu", bulks - 1), (int64_t)each);
	return rig_sql_int(&rig, "select max(n) from (select count(*) from leat.activity where verb = 'bulk' group by xmin::text) every (n)");
}

Test(batch, bulks_that_fill_a_batch_have_a_transaction_each)
{
	int64_t most = most_together((size_t)rig_size(20, 1000), ENTITIES, "100");
	cr_assert_eq(most, 1, "%" PRId64 " bulks of 100 in one transaction", most);
}

Test(batch, smaller_bulks_share_a_transaction_up_to_its_weight)
{
	int64_t most = most_together((size_t)rig_size(40, 1000), 30, "100");
	cr_assert_leq(most, 4, "%" PRId64 " bulks of 30 in one transaction", most);
	cr_assert_gt(most, 1, "each has one of its own");
}
