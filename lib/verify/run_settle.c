/*
 * What follows from the states of a run's nodes. Nodes are looked at once, in an order in which they can run, so that each finds those
 * before it settled:
 *
 *   skipped    one that it needs is over and not completed
 *   a split    once all that it needs is completed: it has its items, or fails; each node below it then has a state an item
 *   a collect  once all items of the nodes before it are over: it has their outputs, or fails with the first error; next to its split it
 *              has the items
 *
 * Nothing here can fail.
 */
#include "run.h"

#include "reading.h"

#include <inttypes.h>
#include <stdlib.h>

#define SPLIT_LIMIT 1000
#define COLLECT_BYTES 33554432

/* ---- which can begin ---- */

enum need { NEED_COMPLETED, NEED_OPEN, NEED_BAD };

/* A collect needs the items before it to be over, however they ended. */
static bool is_items_of(const struct verify_run *run, size_t need, size_t collect)
{
	return run->graph->nodes[collect].kind == LEAT_NODE_COLLECT && run->graph->nodes[need].split != VERIFY_NO_NODE;
}

static enum need look_at_need(const struct verify_run *run, size_t need, size_t node, size_t item)
{
	const struct verify_states *states = &run->nodes[need];
	if (is_items_of(run, need, node)) {
		for (size_t n = 0; n < states->count; n++)
			if (!verify_is_over(&states->all[n]))
				return NEED_OPEN;
		return NEED_COMPLETED;
	}
	const struct verify_state *state = &states->all[states->per_item ? item : 0];
	if (state->status == VERIFY_COMPLETED)
		return NEED_COMPLETED;
	return verify_is_over(state) ? NEED_BAD : NEED_OPEN;
}

static enum need look_at_needs(const struct verify_run *run, size_t node, size_t item)
{
	enum need worst = NEED_COMPLETED;
	for (size_t i = 0; i < run->graph->nodes[node].need_count; i++) {
		enum need found = look_at_need(run, run->graph->nodes[node].needs[i], node, item);
		worst = found > worst ? found : worst;
	}
	return worst;
}

bool verify_run_is_ready(const struct verify_run *run, size_t node, size_t item)
{
	return look_at_needs(run, node, item) == NEED_COMPLETED;
}

/* ---- splits ---- */

static struct verify_state copy_of(const struct verify_state *state)
{
	struct verify_state copy = *state;
	copy.output = state->output == NULL ? NULL : leat_strdup(state->output);
	copy.error = state->error == NULL ? NULL : leat_strdup(state->error);
	return copy;
}

static void spread(struct verify_states *states, size_t items)
{
	struct verify_state *all = leat_alloc_zero(items + 1, sizeof *all);
	for (size_t n = 0; n < items; n++)
		all[n] = copy_of(&states->all[0]);
	free(states->all[0].output);
	free(states->all[0].error);
	free(states->all);
	*states = (struct verify_states){all, items, true};
}

static const char *type_name(const struct leat_json *value)
{
	static const char *const names[] = {"nothing", "null", "boolean", "number", "string", "array", "object"};
	return names[value->type];
}

static void settle_split(struct verify_run *run, size_t node, const struct verify_run_fact *fact)
{
	struct verify_state *state = &run->nodes[node].all[0];
	LEAT_BUF_SCOPED items = LEAT_BUF_INIT;
	LEAT_BUF_SCOPED error = LEAT_BUF_INIT;
	size_t count = 0;
	if (!verify_run_resolve(run, &run->graph->nodes[node].items, &items)) {
		leat_buf_printf(&error, "items: %s", leat_buf_text(&items));
	} else {
		struct leat_json value = verify_json(leat_buf_text(&items), items.len);
		count = value.type == LEAT_JSON_ARRAY ? verify_items(&value) : 0;
		if (value.type != LEAT_JSON_ARRAY)
			leat_buf_printf(&error, "items: expected an array, found %s", type_name(&value));
		else if (count > SPLIT_LIMIT)
			leat_buf_printf(&error, "items: there are %zu; the limit is %d", count, SPLIT_LIMIT);
	}
	if (error.len > 0) {
		verify_end_state(state, VERIFY_FAILED, NULL, leat_buf_take(&error), 1, fact);
		return;
	}
	verify_end_state(state, VERIFY_COMPLETED, leat_buf_take(&items), NULL, 1, fact);
	for (size_t i = node + 1; i < run->graph->count; i++)
		if (run->graph->nodes[i].split == node)
			spread(&run->nodes[i], count);
}

/* ---- collects ---- */

/* How many states of the split's nodes are failed; the first of them into *error. */
static size_t count_failed(const struct verify_run *run, size_t split, struct leat_buf *error)
{
	size_t failed = 0;
	for (size_t i = 0; i < run->graph->count; i++) {
		if (run->graph->nodes[i].split != split)
			continue;
		for (size_t n = 0; n < run->nodes[i].count; n++) {
			const struct verify_state *state = &run->nodes[i].all[n];
			if (state->status != VERIFY_FAILED || failed++ > 0)
				continue;
			verify_run_key(run, i, n, error);
			leat_buf_printf(error, ": %s", state->error);
		}
	}
	return failed;
}

static const char *output_of(const struct verify_state *state)
{
	return state->output == NULL ? "null" : state->output;
}

/* Of each item its output, or where there are several nodes before the collect an object with the output of each. */
static void print_outputs(const struct verify_run *run, const size_t *nodes, size_t count, struct leat_buf *out)
{
	leat_buf_add_text(out, "[");
	for (size_t n = 0; n < run->nodes[nodes[0]].count; n++) {
		leat_buf_add_text(out, n > 0 ? "," : "");
		for (size_t i = 0; i < count; i++) {
			if (count > 1)
				leat_buf_printf(out, "%s\"%s\":", i > 0 ? "," : "{", run->graph->nodes[nodes[i]].id);
			leat_buf_add_text(out, output_of(&run->nodes[nodes[i]].all[n]));
		}
		leat_buf_add_text(out, count > 1 ? "}" : "");
	}
	leat_buf_add_text(out, "]");
}

static void settle_collect(struct verify_run *run, size_t node, const struct verify_run_fact *fact)
{
	const struct verify_node *collect = &run->graph->nodes[node];
	struct verify_state *state = &run->nodes[node].all[0];
	size_t *nodes = leat_alloc_zero(collect->need_count + 1, sizeof *nodes);
	size_t count = 0;
	bool all_completed = true;
	for (size_t i = 0; i < collect->need_count; i++) {
		size_t need = collect->needs[i];
		if (!is_items_of(run, need, node))
			continue;
		nodes[count++] = need;
		for (size_t n = 0; n < run->nodes[need].count; n++)
			all_completed = all_completed && run->nodes[need].all[n].status == VERIFY_COMPLETED;
	}
	LEAT_BUF_SCOPED out = LEAT_BUF_INIT;
	if (all_completed) {
		if (count > 0)
			print_outputs(run, nodes, count, &out);
		else /* nothing is between */
			leat_buf_add_text(&out, output_of(&run->nodes[collect->partner].all[0]));
		run->unsure = run->unsure || out.len > COLLECT_BYTES / 4;
		verify_end_state(state, VERIFY_COMPLETED, leat_buf_take(&out), NULL, 1, fact);
	} else {
		LEAT_BUF_SCOPED first = LEAT_BUF_INIT;
		size_t failed = count_failed(run, collect->partner, &first);
		if (failed > 0) {
			leat_buf_printf(&out, "%zu of its items failed; %s", failed, leat_buf_text(&first));
			verify_end_state(state, VERIFY_FAILED, NULL, leat_buf_take(&out), 1, fact);
		} else {
			verify_drop_state(state, VERIFY_SKIPPED, fact);
		}
	}
	free(nodes);
}

/* ---- all of them ---- */

static void settle_node(struct verify_run *run, size_t node, const struct verify_run_fact *fact)
{
	enum leat_node_kind kind = run->graph->nodes[node].kind;
	for (size_t n = 0; n < run->nodes[node].count; n++) {
		struct verify_state *state = &run->nodes[node].all[n];
		if (state->status != VERIFY_PENDING)
			continue;
		enum need needs = look_at_needs(run, node, n);
		if (needs == NEED_BAD) {
			verify_drop_state(state, VERIFY_SKIPPED, fact);
		} else if (needs == NEED_COMPLETED && kind == LEAT_NODE_SPLIT) {
			settle_split(run, node, fact);
		} else if (needs == NEED_COMPLETED && kind == LEAT_NODE_COLLECT) {
			settle_collect(run, node, fact);
		}
	}
}

void verify_run_settle(struct verify_run *run, const struct verify_run_fact *fact)
{
	for (size_t i = 0; i < run->graph->count; i++)
		settle_node(run, i, fact);
}
