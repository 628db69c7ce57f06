/* The library itself: a limit of memory that forces many passes changes nothing of the verdict. */
#include "load.h"
#include "verifying.h"

#include "leat/verify.h"

#include <criterion/criterion.h>
#include <inttypes.h>

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

TestSuite(verify_memory, .init = setup, .fini = teardown);

enum { ENTITIES = 300, MERGES = 1500 };

static void verify(struct leat_verify_report *report, int64_t memory_bytes)
{
	struct leat_params params;
	struct leat_error err;
	leat_params_init(&params);
	params.nats_url = rig.nats.url;
	params.database_url = rig.database_url;
	const struct leat_verify_options options = {
		.params = &params, .sample_percent = 100, .memory_bytes = memory_bytes, .memory_facts = 10, .most_findings = 10};
	cr_assert_eq(leat_verify(report, &options, &err), LEAT_OK, "%s", err.text);
}

Test(verify_memory, passes_are_split_until_they_fit)
{
	load_start_consumer(&rig, "c", NULL);
	load_store_entities(&rig, RIG_TENANT_A, ENTITIES);
	load_store_merges(&rig, "n", MERGES, ENTITIES);
	load_wait_settled(&rig, ENTITIES + MERGES, 60);
	rig_sql(&rig, "update leat.entities set content = content || '{\"n\":-1}' where id = 'eeeeeeee-0000-4000-8000-000000000007'");
	static const int64_t limits[] = {1 << 30, 1 << 16, 1 << 14};
	for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
		LEAT_VERIFY_REPORT_SCOPED report;
		verify(&report, limits[i]);
		cr_expect_eq(report.verdict, LEAT_VERIFY_DIFFERENT);
		cr_expect_eq(report.finding_count, 1);
		cr_expect_eq(report.counts[LEAT_VERIFY_FIELD], 1);
		cr_expect_eq(report.nouns[0].compared, ENTITIES);
		cr_expect(i == 0 ? report.passes == 1 : report.passes > i, "%" PRIu64 " passes", report.passes);
	}
}
