/*
 * Verify's fold of runs against the SQL functions of the run lane: random facts about runs of several graphs, as the ledger settled them,
 * make the same node_states in both.
 */
#include "../../lib/verify/run.h"
#include "facts.h"
#include "story.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RUNS 4
#define FACTS 400
#define BATCH 12

static struct rig rig;
static struct gate gate;

static void setup(void)
{
	rig_open(&rig);
	install_schema(&rig);
	gate_open_run(&gate, &rig);
}

static void teardown(void)
{
	gate_close(&gate);
	rig_close(&rig);
}

TestSuite(verify_fold, .init = setup, .fini = teardown);

/* ---- facts by chance ---- */

static const char *const inputs[] = {"'input':{'items':[1,{'a':2.50},'3']}", "'input':{'items':[]}", "'input':{'items':{'a':1}}",
	"'input':{'items':[12345678901234567890]}", "'input':[[7,8]]", ""};
static const char *const outputs[] = {"'output':{'list':[1,2]}", "'output':{'list':[],'a~b':{'c/d':[3]}}", "'output':[0,'x',{'k':null}]",
	"", "'output':123456789012345678901234567890.10", "'output':'\\u00e9\\\"'"};
static const char *const statuses[] = {
	"running", "completed", "completed", "completed", "completed", "completed", "completed", "completed", "completed", "failed"};

static struct message any_fact(struct chance *chance, const char *const *nodes, size_t node_count, int64_t seq)
{
	static char runs[RUNS][48];
	size_t which = chance_of(chance, RUNS);
	char *run = runs[which];
	char what[48];
	char members[128];
	snprintf(run, sizeof runs[0], "d0000000-0000-4000-8000-%012zu", which);
	size_t kind = seq <= RUNS * 2 ? 0 : chance_of(chance, 40);
	if (kind == 0)
		return fact(seq, run, "start", inputs[chance_percent(chance, 60) ? 0 : chance_of(chance, 6)]);
	if (kind == 1)
		return fact(seq, run, "retry", "");
	if (kind == 3 && chance_of(chance, 4) == 0)
		return fact(seq, run, "cancel", "");
	const char *node = nodes[chance_of(chance, node_count)];
	const char *status = strchr(node, '[') != NULL && chance_percent(chance, 25) ? "failed" : statuses[chance_of(chance, 10)];
	const char *more = strcmp(status, "completed") == 0              ? outputs[chance_percent(chance, 40) ? 0 : chance_of(chance, 6)]
		: strcmp(status, "failed") == 0 && chance_of(chance, 2) == 0 ? "'error':'no \\\"luck\\\"'"
																	 : "";
	size_t attempt = chance_percent(chance, 80) ? 0 : chance_of(chance, 4);
	snprintf(what, sizeof what, "%s %s", node, status);
	snprintf(members, sizeof members, "%s%s'attempt':%zu", more, more[0] != '\0' ? "," : "", attempt);
	if (attempt == 0)
		members[strlen(more)] = '\0';
	return fact(seq, run, what, members);
}

/* ---- both folds ---- */

static struct verify_run_fact as_told(const struct message *message)
{
	return (struct verify_run_fact){
		message->verb, message->seq, 1700000000000000 + message->seq * 1000, verify_json(message->body, strlen(message->body))};
}

/* Only what the ledger calls applied and not ignored, one by one. */
static void fold(struct verify_run *run, const struct verify_graph *graph, const struct message *facts, const char *id)
{
	char *counted = rig_sql_text(&rig,
		"select coalesce(string_agg(position::text, ' ' order by position), '') from leat.activity"
		" where outcome = 'applied' and target_id = '%s' and not detail ? 'ignored'",
		id);
	char *rest = NULL;
	for (char *word = strtok_r(counted, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
		const struct verify_run_fact told = as_told(&facts[strtol(word, NULL, 10) - 1]);
		LEAT_BUF_SCOPED why = LEAT_BUF_INIT;
		if (strcmp(told.verb, "start") == 0)
			verify_run_start(run, graph, &told);
		else
			cr_assert(verify_run_apply(run, &told, &why), "%s, position %s: %s", id, word, leat_buf_text(&why));
	}
	free(counted);
}

/* How often a split or collect ended in each way, of all graphs: facts by chance must get that far. */
static struct {
	size_t items;
	size_t collected;
	size_t not_collected;
	size_t retried;
	size_t leads_nowhere;
} seen;

static void note_seen(const char *states)
{
	struct leat_json whole = verify_json(states, strlen(states));
	struct leat_json collect = verify_json_member(&whole, "c");
	struct leat_json output = verify_json_member(&collect, "output");
	struct leat_json error = verify_json_member(&collect, "error");
	seen.items += strstr(states, "\"x[0]\"") != NULL;
	seen.collected += output.type == LEAT_JSON_ARRAY && leat_json_walk(&output).at == output.source.at;
	seen.not_collected += error.type == LEAT_JSON_STRING;
	seen.retried += strstr(states, "attempts_before") != NULL;
	seen.leads_nowhere += strstr(states, "leads nowhere") != NULL;
}

static void expect_equal(const struct verify_run *run, const char *id, const char *graph)
{
	LEAT_BUF_SCOPED states = LEAT_BUF_INIT;
	LEAT_BUF_SCOPED finished = LEAT_BUF_INIT;
	char *found = rig_sql_text(&rig, "select node_states from leat.runs where id = '%s'", id);
	char *row = rig_sql_text(&rig,
		"select concat_ws(' ', status, generation, position, coalesce(to_json(leat.time_text(finished_at))::text, 'null')) from leat.runs"
		" where id = '%s'",
		id);
	char expected[128];
	verify_run_print_states(run, &states);
	verify_print_time(run->finished_us, &finished);
	snprintf(expected, sizeof expected, "%s %" PRId64 " %" PRId64 " %s", verify_status_name(run->status), run->generation, run->position,
		finished.data);
	cr_expect(verify_json_equal(found, strlen(found), states.data, states.len), "%s of %s:\n%s\n%s", id, graph, found, states.data);
	cr_expect_str_eq(row, expected, "%s of %s", id, graph);
	note_seen(found);
	free(found);
	free(row);
}

static void compare_folds(struct chance *chance, const char *about, int64_t count, const char *const *nodes, size_t node_count)
{
	static struct message facts[FACTS];
	struct verify_graph graph = {0};
	char *definition = rig_sql_text(&rig, "select definition from leat.workflow_versions order by version desc limit 1");
	cr_assert(verify_graph_read(&graph, definition));
	for (int64_t seq = 1; seq <= count; seq++)
		facts[seq - 1] = any_fact(chance, nodes, node_count, seq);
	for (size_t at = 0; at < (size_t)count;) {
		struct answer answers[BATCH];
		size_t left = (size_t)count - at;
		size_t batch = 1 + chance_of(chance, BATCH);
		batch = batch < left ? batch : left;
		put_all(&gate, facts + at, batch, answers);
		answers_free(answers, batch);
		at += batch;
	}
	for (size_t i = 0; i < RUNS; i++) {
		char id[48];
		struct verify_run run = {0};
		snprintf(id, sizeof id, "d0000000-0000-4000-8000-%012zu", i);
		if (rig_sql_int(&rig, "select count(*) from leat.runs where id = '%s'", id) == 1) {
			fold(&run, &graph, facts, id);
			expect_equal(&run, id, about);
		}
		verify_run_fini(&run);
	}
	verify_graph_fini(&graph);
	free(definition);
	rig_sql(&rig, "truncate leat.runs, leat.activity, leat.message_ids, leat.outbox, leat.stream_floors, leat.claims, leat.parked");
}

#define COMPARE(chance, about, count, ...)                                                                                                 \
	compare_folds(                                                                                                                         \
		chance, about, count, (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

static void compare_graph(struct chance *chance, const char *edges)
{
	facts_save_graph(&rig, edges);
	COMPARE(chance, edges, FACTS, "a", "b", "d", "e", "q", "x[0]", "x[1]", "x[2]", "y[0]", "y[1]", "y[2]", "z[0]", "z[1]", "z[2]", "x", "c",
		"s");
}

Test(verify_fold, random_facts_make_the_same_runs, .timeout = 120)
{
	struct chance chance = {rig_seed()};
	compare_graph(&chance, "a>b a>d b>e d>e e>q");
	compare_graph(&chance, "a>s s>x s>y x>z y>z z>c c>e b>e");
	compare_graph(&chance, "s>x s>y x>c y>c c>e");
	compare_graph(&chance, "a>s b>x s>x x>c c>d d>q");
	compare_graph(&chance, "a>s s>x x>c b>c c>d");
	facts_save_graph(&rig, "a>s s>x x>c");
	for (int round = 0; round < 10; round++) /* of few nodes: some collects end well, some do not */
		COMPARE(&chance, "a>s s>x x>c", 120, "a", "x[0]", "x[1]", "x[2]");
	cr_expect(seen.items > 0 && seen.collected > 0 && seen.not_collected > 0 && seen.retried > 0,
		"%zu runs with items, %zu collected, %zu not, %zu retried", seen.items, seen.collected, seen.not_collected, seen.retried);
}

#define SPLIT_OVER(items)                                                                                                                  \
	"{'nodes':[{'id':'a','type':'http'},{'id':'s','type':'split','items':" items                                                           \
	"},{'id':'x','type':'http'},{'id':'c','type':'collect'}],"                                                                             \
	"'edges':[['a','s'],['s','x'],['x','c']]}"

Test(verify_fold, references_bring_the_same_and_fail_in_the_same_words, .timeout = 120)
{
	static const char *const items[] = {SPLIT_OVER("{'$ref':'a#/list'}"), SPLIT_OVER("{'$ref':'a#/a~0b/c~1d'}"),
		SPLIT_OVER("{'$ref':'a#'}"), SPLIT_OVER("{'$ref':'a#/02'}"), SPLIT_OVER("{'$ref':'input#/0'}"),
		SPLIT_OVER("[1,{'b':[{'$ref':'input#/items'}]},{'$ref':'a#/list/1'},[],{}]"), SPLIT_OVER("{'$ref':'b#'}")};
	struct chance chance = {rig_seed()};
	for (size_t i = 0; i < sizeof items / sizeof *items; i++) {
		facts_save(&rig, items[i]);
		COMPARE(&chance, items[i], rig_size(150, FACTS), "a", "a", "x[0]", "x[1]", "x[2]");
	}
	cr_expect_gt(seen.items, 0);
	cr_expect_gt(seen.leads_nowhere, 0);
}
