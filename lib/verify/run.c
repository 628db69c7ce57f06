/*
 * The fold of a run's facts. The happy path: run.start puts every node at pending, a run.node takes one of them to where it says, and
 * verify_run_settle draws the consequences; the status of the run is read off its nodes.
 *
 * It fails on a fact that the rules don't allow where it stands: then the ledger, the stream or this fold is wrong, and verify says which
 * position it is.
 */
#include "run.h"

#include "reading.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char *const status_names[] = {"pending", "running", "waiting", "completed", "failed", "skipped", "cancelled"};

const char *verify_status_name(enum verify_status status)
{
	return status_names[status];
}

bool verify_is_over(const struct verify_state *state)
{
	return state->status >= VERIFY_COMPLETED;
}

static void note_change(struct verify_state *state, enum verify_status status, const struct verify_run_fact *fact)
{
	state->status = status;
	state->position = fact->position;
}

void verify_begin_state(struct verify_state *state, enum verify_status status, int64_t attempt, const struct verify_run_fact *fact)
{
	note_change(state, status, fact);
	state->attempt = attempt;
	state->started_us = state->started_us == VERIFY_NEVER ? fact->at_us : state->started_us;
}

void verify_end_state(
	struct verify_state *state, enum verify_status status, char *output, char *error, int64_t attempt, const struct verify_run_fact *fact)
{
	free(state->output);
	free(state->error);
	verify_begin_state(state, status, attempt, fact);
	state->output = output;
	state->error = error;
	state->finished_us = fact->at_us;
}

void verify_drop_state(struct verify_state *state, enum verify_status status, const struct verify_run_fact *fact)
{
	note_change(state, status, fact);
	state->finished_us = fact->at_us;
}

static void fini_states(struct verify_states *states)
{
	for (size_t i = 0; i < states->count; i++) {
		free(states->all[i].output);
		free(states->all[i].error);
	}
	free(states->all);
}

void verify_run_fini(struct verify_run *run)
{
	for (size_t i = 0; run->graph != NULL && i < run->graph->count; i++)
		fini_states(&run->nodes[i]);
	free(run->nodes);
	free(run->input);
	*run = (struct verify_run){0};
}

/* ---- the status of the run ---- */

struct tally {
	size_t total;
	size_t by_status[VERIFY_CANCELLED + 1];
	bool ready;
};

static struct tally count_states(const struct verify_run *run)
{
	struct tally tally = {0};
	for (size_t i = 0; i < run->graph->count; i++)
		for (size_t n = 0; n < run->nodes[i].count; n++) {
			enum verify_status status = run->nodes[i].all[n].status;
			tally.total++;
			tally.by_status[status]++;
			tally.ready = tally.ready || (status == VERIFY_PENDING && verify_run_is_ready(run, i, n));
		}
	return tally;
}

static enum verify_status status_of(const struct verify_run *run)
{
	struct tally tally = count_states(run);
	if (run->status == VERIFY_CANCELLED)
		return VERIFY_CANCELLED;
	if (tally.by_status[VERIFY_PENDING] == tally.total && run->generation == 0)
		return VERIFY_PENDING;
	if (tally.by_status[VERIFY_RUNNING] > 0 || tally.ready)
		return VERIFY_RUNNING;
	if (tally.by_status[VERIFY_WAITING] > 0)
		return VERIFY_WAITING;
	return tally.by_status[VERIFY_COMPLETED] == tally.total ? VERIFY_COMPLETED : VERIFY_FAILED;
}

static void finish(struct verify_run *run, const struct verify_run_fact *fact)
{
	run->status = status_of(run);
	run->position = fact->position;
	run->updated_us = fact->at_us;
	run->finished_us = run->status >= VERIFY_COMPLETED ? fact->at_us : VERIFY_NEVER;
}

/* ---- facts ---- */

static const struct verify_state fresh = {.attempts_before = VERIFY_NO_ATTEMPTS, .started_us = VERIFY_NEVER, .finished_us = VERIFY_NEVER};

void verify_run_start(struct verify_run *run, const struct verify_graph *graph, const struct verify_run_fact *start)
{
	assert(run->graph == NULL);
	struct leat_json input = verify_json_member(&start->body, "input");
	*run = (struct verify_run){.graph = graph, .created_us = start->at_us};
	run->input = input.type == LEAT_JSON_NONE ? leat_strdup("{}") : verify_copy_source(&input);
	run->nodes = leat_alloc_zero(graph->count, sizeof *run->nodes);
	for (size_t i = 0; i < graph->count; i++) {
		run->nodes[i] = (struct verify_states){.all = leat_alloc_zero(1, sizeof fresh), .count = 1};
		run->nodes[i].all[0] = fresh;
		run->nodes[i].all[0].position = start->position;
	}
	verify_run_settle(run, start);
	finish(run, start);
}

static void cancel(struct verify_run *run, const struct verify_run_fact *fact)
{
	run->status = VERIFY_CANCELLED;
	for (size_t i = 0; i < run->graph->count; i++)
		for (size_t n = 0; n < run->nodes[i].count; n++) {
			struct verify_state *state = &run->nodes[i].all[n];
			if (!verify_is_over(state))
				verify_drop_state(state, VERIFY_CANCELLED, fact);
		}
}

/* All that did not complete begins anew, in the next generation; its attempts go on counting. */
static void retry(struct verify_run *run, const struct verify_run_fact *fact)
{
	run->status = VERIFY_RUNNING;
	run->generation++;
	for (size_t i = 0; i < run->graph->count; i++)
		for (size_t n = 0; n < run->nodes[i].count; n++) {
			struct verify_state *state = &run->nodes[i].all[n];
			if (!verify_is_over(state) || state->status == VERIFY_COMPLETED)
				continue;
			struct verify_state was = *state;
			free(was.output);
			free(was.error);
			*state = fresh;
			note_change(state, VERIFY_PENDING, fact);
			state->attempt = was.attempt;
			state->attempts_before = was.attempt;
			state->generation = was.generation + 1;
		}
}

/* The lowest that a result may be of. */
static int64_t lowest_attempt(const struct verify_state *state)
{
	int64_t lowest = state->attempts_before + 1 > state->attempt ? state->attempts_before + 1 : state->attempt;
	return lowest < 1 ? 1 : lowest;
}

/* By its key: "a", or "a[0]" of what runs per item. */
static struct verify_state *find_state(struct verify_run *run, struct leat_text key, size_t *node, size_t *item)
{
	const char *bracket = memchr(key.at, '[', key.bytes);
	size_t id_bytes = bracket == NULL ? key.bytes : (size_t)(bracket - key.at);
	*node = verify_graph_find(run->graph, (struct leat_text){key.at, id_bytes});
	if (*node == VERIFY_NO_NODE)
		return NULL;
	LEAT_BUF_SCOPED name = LEAT_BUF_INIT;
	*item = bracket == NULL ? 0 : (size_t)strtoul(bracket + 1, NULL, 10);
	if (*item >= run->nodes[*node].count)
		return NULL;
	verify_run_key(run, *node, *item, &name);
	bool same = name.len == key.bytes && memcmp(name.data, key.at, key.bytes) == 0;
	return same ? &run->nodes[*node].all[*item] : NULL;
}

static enum verify_status read_status(const struct leat_json *body, enum leat_node_kind kind)
{
	struct leat_json status = verify_json_member(body, "status");
	LEAT_BUF_SCOPED scratch = LEAT_BUF_INIT;
	struct leat_text text = leat_json_text(&status, &scratch);
	if (text.bytes == strlen("completed") && memcmp(text.at, "completed", text.bytes) == 0)
		return VERIFY_COMPLETED;
	if (text.bytes == strlen("failed") && memcmp(text.at, "failed", text.bytes) == 0)
		return VERIFY_FAILED;
	return kind == LEAT_NODE_QUESTION ? VERIFY_WAITING : VERIFY_RUNNING;
}

/* Forward only: pending, running, waiting, over. */
static bool tell_node(struct verify_run *run, const struct verify_run_fact *fact, struct leat_buf *why)
{
	struct leat_json key = verify_json_member(&fact->body, "node_id");
	struct leat_json attempt_told = verify_json_member(&fact->body, "attempt");
	struct leat_json generation_told = verify_json_member(&fact->body, "generation");
	LEAT_BUF_SCOPED scratch = LEAT_BUF_INIT;
	struct leat_text name = leat_json_text(&key, &scratch);
	size_t node;
	size_t item;
	struct verify_state *state = find_state(run, name, &node, &item);
	if (state == NULL) {
		leat_buf_printf(why, "there is no node \"%.*s\"", (int)name.bytes, name.at);
		return false;
	}
	enum verify_status becomes = read_status(&fact->body, run->graph->nodes[node].kind);
	int64_t attempt = verify_number(&attempt_told, lowest_attempt(state));
	bool old = attempt < lowest_attempt(state) || verify_number(&generation_told, state->generation) != state->generation;
	if (verify_is_over(state) || becomes < state->status || old) {
		leat_buf_printf(
			why, "node \"%.*s\" is %s, attempt %" PRId64, (int)name.bytes, name.at, verify_status_name(state->status), state->attempt);
		return false;
	}
	if (state->status == VERIFY_PENDING && !verify_run_is_ready(run, node, item)) {
		leat_buf_printf(why, "node \"%.*s\" cannot begin yet", (int)name.bytes, name.at);
		return false;
	}
	if (becomes < VERIFY_COMPLETED) {
		verify_begin_state(state, becomes, attempt, fact);
		return true;
	}
	struct leat_json output = verify_json_member(&fact->body, "output");
	struct leat_json error = verify_json_member(&fact->body, "error");
	char *said = becomes == VERIFY_COMPLETED ? NULL : verify_copy_text(&error);
	verify_end_state(state, becomes, becomes == VERIFY_COMPLETED ? verify_copy_source(&output) : NULL,
		becomes == VERIFY_FAILED && said == NULL ? leat_strdup("failed") : said, attempt, fact);
	return true;
}

bool verify_run_apply(struct verify_run *run, const struct verify_run_fact *fact, struct leat_buf *why)
{
	assert(run->graph != NULL);
	if (strcmp(fact->verb, "cancel") == 0) {
		cancel(run, fact);
	} else if (strcmp(fact->verb, "retry") == 0) {
		retry(run, fact);
	} else if (run->status == VERIFY_CANCELLED) {
		leat_buf_add_text(why, "the run was cancelled");
		return false;
	} else if (!tell_node(run, fact, why)) {
		return false;
	}
	if (run->status != VERIFY_CANCELLED)
		verify_run_settle(run, fact);
	finish(run, fact);
	return true;
}
