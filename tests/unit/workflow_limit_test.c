/* The limits at their edges, and the worst that fits into them: each is answered at once. */
#include "workflow_checking.h"

#include <time.h>

#define CPU_LIMIT_MS 2000 /* with the sanitizers; without them all take milliseconds */

static int64_t cpu_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* `mentions` is a part of the error's text, NULL for none. */
static void expect_limited(const struct leat_params *limits, const struct leat_buf *definition, enum leat_code code, const char *mentions)
{
	struct leat_error err;
	int64_t start = cpu_ms();
	enum leat_kind kind = check_bytes(definition->data, definition->len, limits, &err);
	cr_expect(cpu_ms() - start < CPU_LIMIT_MS, "it took %d ms", (int)(cpu_ms() - start));
	cr_expect((kind == LEAT_OK) == (mentions == NULL), "%s", err.text);
	cr_expect(err.code == code, "%s", err.text);
	cr_expect(
		mentions == NULL || strstr(err.text, mentions) != NULL, "\"%s\" does not say \"%s\"", err.text, mentions != NULL ? mentions : "");
}

static void add_nodes(struct leat_buf *out, int count)
{
	leat_buf_add_text(out, "{\"nodes\":[");
	for (int i = 0; i < count; i++)
		leat_buf_printf(out, "%s{\"id\":\"%d\",\"type\":\"http\",\"url\":\"http://x\"}", i > 0 ? "," : "", i);
}

static void add_repeated(struct leat_buf *out, const char *text, size_t times)
{
	for (size_t i = 0; i < times; i++)
		leat_buf_add_text(out, text);
}

/* Every edge from a lower to a higher node, `stride` apart. */
static void add_forward_edges(struct leat_buf *out, int nodes, int stride)
{
	leat_buf_add_text(out, "],\"edges\":[[\"0\",\"1\"]");
	for (int to = 2; to < nodes; to++)
		for (int from = to - 1; from >= 0; from -= stride)
			leat_buf_printf(out, ",[\"%d\",\"%d\"]", from, to);
}

Test(workflow_limit, of_nodes)
{
	struct leat_params limits = default_limits();
	for (int count = 500; count <= 501; count++) {
		LEAT_BUF_SCOPED definition = LEAT_BUF_INIT;
		add_nodes(&definition, count);
		leat_buf_add_text(&definition, "],\"edges\":[]}");
		expect_limited(&limits, &definition, count == 500 ? LEAT_CODE_NONE : LEAT_CODE_TOO_LARGE,
			count == 500 ? NULL : "definition: nodes: there are 501; the limit is 500 (--max-workflow-nodes)");
	}
}

Test(workflow_limit, of_bytes)
{
	struct leat_params limits = default_limits();
	for (size_t bytes = 262144; bytes <= 262145; bytes++) {
		LEAT_BUF_SCOPED definition = LEAT_BUF_INIT;
		leat_buf_add_text(&definition, "{\"nodes\":[{\"id\":\"a\",\"type\":\"http\",\"url\":\"http://x\",\"body\":\"");
		add_repeated(&definition, "x", bytes - definition.len - strlen("\"}],\"edges\":[]}"));
		leat_buf_add_text(&definition, "\"}],\"edges\":[]}");
		cr_assert(definition.len == bytes);
		expect_limited(&limits, &definition, bytes == 262144 ? LEAT_CODE_NONE : LEAT_CODE_TOO_LARGE,
			bytes == 262144 ? NULL : "definition: it has 262145 bytes; the limit is 262144 (--max-workflow-bytes)");
	}
}

Test(workflow_limit, of_items_of_a_split)
{
	for (int count = 1000; count <= 1001; count++) {
		LEAT_BUF_SCOPED members = LEAT_BUF_INIT;
		leat_buf_add_text(&members, "'type':'split','items':[0");
		for (int i = 1; i < count; i++)
			leat_buf_printf(&members, ",%d", i);
		leat_buf_add_text(&members, "]");
		expect_node(members.data,
			count == 1000 ? "nothing follows this split; it needs a collect, and nodes between them to run per item"
						  : "items: expected 0 to 1000 items, found 1001");
	}
}

Test(workflow_limit, of_an_entity_are_those_of_a_merge)
{
	struct leat_params limits = default_limits();
	limits.max_fields = 3;
	limits.max_field_name_bytes = 4;
	limits.max_key_bytes = 5;
	static const struct {
		const char *members, *mentions;
	} samples[] = {
		{"\"content\":{\"a\":1,\"abcd\":2},\"metadata\":{\"a\":1},\"entity_type\":\"t\",\"key\":\"abcde\"", NULL},
		{"\"content\":{\"$ref\":\"input#\"},\"metadata\":{\"a\":1,\"b\":1,\"c\":1}", NULL},
		{"\"content\":{\"a\":1,\"b\":2},\"metadata\":{\"a\":1,\"c\":1}", "the merge names 4 fields; the limit is 3 (--max-fields)"},
		{"\"metadata\":{\"abcde\":1}", "metadata: the field name \"abcde\" has 5 bytes; the limit is 4 (--max-field-name-bytes)"},
		{"\"content\":{},\"entity_type\":\"t\",\"key\":\"abcdef\"", "key: it has 6 bytes; the limit is 5 (--max-key-bytes)"},
	};
	for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
		LEAT_BUF_SCOPED definition = LEAT_BUF_INIT;
		leat_buf_printf(&definition, "{\"nodes\":[{\"id\":\"a\",\"type\":\"merge\",%s}],\"edges\":[]}", samples[i].members);
		expect_limited(&limits, &definition, samples[i].mentions != NULL ? LEAT_CODE_TOO_LARGE : LEAT_CODE_NONE, samples[i].mentions);
	}
}

Test(workflow_limit, five_hundred_nodes_with_all_the_edges_that_fit)
{
	struct leat_params limits = default_limits();
	LEAT_BUF_SCOPED definition = LEAT_BUF_INIT;
	add_nodes(&definition, 500);
	add_forward_edges(&definition, 500, 8);
	leat_buf_add_text(&definition, "]}");
	cr_assert(definition.len > 200000 && definition.len <= 262144, "%zu", definition.len);
	expect_limited(&limits, &definition, LEAT_CODE_NONE, NULL);
	definition.len -= 2; /* and one more, which makes circles of all lengths */
	leat_buf_add_text(&definition, ",[\"499\",\"0\"]]}");
	expect_limited(&limits, &definition, LEAT_CODE_INVALID_MESSAGE, "edges: they lead in a circle: 0 -> ");
}

Test(workflow_limit, every_edge_that_there_can_be)
{
	struct leat_params limits = default_limits();
	limits.max_workflow_bytes = 16777216;
	LEAT_BUF_SCOPED definition = LEAT_BUF_INIT;
	add_nodes(&definition, 500);
	add_forward_edges(&definition, 500, 1);
	leat_buf_add_text(&definition, "]}");
	expect_limited(&limits, &definition, LEAT_CODE_NONE, NULL);
	definition.len -= 2;
	for (int to = 0; to < 500; to++)
		for (int from = to + 1; from < 500; from++)
			leat_buf_printf(&definition, ",[\"%d\",\"%d\"]", from, to);
	leat_buf_add_text(&definition, "]}");
	expect_limited(&limits, &definition, LEAT_CODE_INVALID_MESSAGE, "edges: they lead in a circle: 0 -> ");
}

/* 500 ids of 64 bytes that differ in their last ones, in a chain that ends where it began. */
Test(workflow_limit, a_circle_of_long_names_is_cut_short)
{
	struct leat_params limits = default_limits();
	LEAT_BUF_SCOPED definition = LEAT_BUF_INIT;
	leat_buf_add_text(&definition, "{\"nodes\":[");
	for (int i = 0; i < 500; i++)
		leat_buf_printf(&definition, "%s{\"id\":\"%064d\",\"type\":\"http\",\"url\":\"http://x\"}", i > 0 ? "," : "", i);
	leat_buf_add_text(&definition, "],\"edges\":[");
	for (int i = 0; i < 500; i++)
		leat_buf_printf(&definition, "%s[\"%064d\",\"%064d\"]", i > 0 ? "," : "", i, (i + 1) % 500);
	leat_buf_add_text(&definition, "]}");
	expect_limited(&limits, &definition, LEAT_CODE_INVALID_MESSAGE, "4 -> 495 more -> 0000");
}

Test(workflow_limit, one_id_five_hundred_times)
{
	struct leat_params limits = default_limits();
	LEAT_BUF_SCOPED definition = LEAT_BUF_INIT;
	leat_buf_add_text(&definition, "{\"nodes\":[{\"id\":\"a\",\"type\":\"collect\"}");
	add_repeated(&definition, ",{\"id\":\"a\",\"type\":\"collect\"}", 499);
	leat_buf_add_text(&definition, "],\"edges\":[]}");
	expect_limited(&limits, &definition, LEAT_CODE_INVALID_MESSAGE, "node \"a\": the id stands twice");
}

Test(workflow_limit, references_as_many_as_fit)
{
	struct leat_params limits = default_limits();
	LEAT_BUF_SCOPED definition = LEAT_BUF_INIT;
	leat_buf_add_text(&definition,
		"{\"nodes\":[{\"id\":\"a\",\"type\":\"http\",\"url\":\"http://x\"},"
		"{\"id\":\"b\",\"type\":\"http\",\"url\":\"http://x\",\"body\":[{\"$ref\":\"a#\"}");
	add_repeated(&definition, ",{\"$ref\":\"a#\"}", 18000);
	leat_buf_add_text(&definition, "]}],\"edges\":[[\"a\",\"b\"]]}");
	expect_limited(&limits, &definition, LEAT_CODE_NONE, NULL);
}

Test(workflow_limit, a_body_as_deep_and_as_long_as_it_may_be)
{
	struct leat_params limits = default_limits();
	static const struct {
		const char *open, *close;
	} kinds[] = {{"[", "]"}, {"{\"a\":", "}"}};
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		LEAT_BUF_SCOPED definition = LEAT_BUF_INIT;
		leat_buf_add_text(&definition, "{\"nodes\":[{\"id\":\"a\",\"type\":\"http\",\"url\":\"http://x\",\"body\":");
		add_repeated(&definition, kinds[i].open, 59);
		leat_buf_add_text(&definition, "[0");
		add_repeated(&definition, ",{}", 85000);
		leat_buf_add_text(&definition, "]");
		add_repeated(&definition, kinds[i].close, 59);
		leat_buf_add_text(&definition, "}],\"edges\":[]}");
		expect_limited(&limits, &definition, LEAT_CODE_NONE, NULL);
	}
}
