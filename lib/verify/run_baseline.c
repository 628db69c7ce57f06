/*
 * A run in a baseline: its row. Of a completed one, which no fact can change any more, there are hashes of the input and of each state; of
 * any other they stand there whole, and are read back into what the fold made of them. Fails on a row that is no run's.
 */
#include "reading.h"
#include "runs.h"

#include "leat/instant.h"

#include <stdlib.h>
#include <string.h>

static const enum baseline_column completed_columns[VERIFY_RUN_COLUMNS_KEPT] = {
	[VERIFY_RUN_INPUT] = BASELINE_HASH, [VERIFY_RUN_STATES] = BASELINE_MEMBERS};

void verify_baseline_run(struct verify *v, const struct leat_pg_result *page, size_t at)
{
	bool completed = strcmp(leat_pg_text(page, at, VERIFY_RUN_STATUS), verify_status_name(VERIFY_COMPLETED)) == 0;
	baseline_add_row(v, "run", page, at, VERIFY_RUN_COLUMNS_KEPT, completed ? completed_columns : NULL);
}

/* ---- reading it back ---- */

static bool read_status(const char *text, enum verify_status *out)
{
	for (enum verify_status status = 0; text != NULL && status <= VERIFY_CANCELLED; status++)
		if (strcmp(text, verify_status_name(status)) == 0) {
			*out = status;
			return true;
		}
	return false;
}

static int64_t time_of(const struct leat_json *state, const char *name)
{
	struct leat_json value = verify_json_member(state, name);
	char *text = value.type == LEAT_JSON_STRING ? verify_copy_text(&value) : NULL;
	int64_t at_ns;
	bool timed = text != NULL && leat_instant_parse(&at_ns, text, 0);
	free(text);
	return timed ? at_ns / 1000 : VERIFY_NEVER;
}

static int64_t number_of(const struct leat_json *state, const char *name, int64_t otherwise)
{
	struct leat_json value = verify_json_member(state, name);
	return verify_number(&value, otherwise);
}

static bool read_state(struct verify_state *out, const struct leat_json *state, int64_t position)
{
	struct leat_json status = verify_json_member(state, "status");
	struct leat_json output = verify_json_member(state, "output");
	struct leat_json error = verify_json_member(state, "error");
	char *status_text = verify_copy_text(&status);
	*out = (struct verify_state){.output = output.type == LEAT_JSON_NULL ? NULL : verify_copy_source(&output),
		.error = verify_copy_text(&error),
		.attempt = number_of(state, "attempt", 0),
		.attempts_before = number_of(state, "attempts_before", VERIFY_NO_ATTEMPTS),
		.generation = number_of(state, "generation", 0),
		.started_us = time_of(state, "started_at"),
		.finished_us = time_of(state, "finished_at"),
		.position = position};
	bool fine = read_status(status_text, &out->status);
	free(status_text);
	return fine;
}

/* The node has one state by its own name, or one an item: "a[0]" and so on, as many as there are. */
static bool read_node(struct verify_run *run, size_t node, const struct leat_json *states)
{
	struct verify_states *of = &run->nodes[node];
	struct leat_json state = verify_json_member(states, run->graph->nodes[node].id);
	of->per_item = state.type == LEAT_JSON_NONE;
	of->all = leat_alloc_zero(1, sizeof *of->all);
	bool fine = of->per_item || read_state(of->all, &state, run->position);
	of->count = of->per_item ? 0 : 1;
	while (fine && of->per_item) {
		LEAT_BUF_SCOPED key = LEAT_BUF_INIT;
		verify_run_key(run, node, of->count, &key);
		state = verify_json_member(states, leat_buf_text(&key));
		if (state.type == LEAT_JSON_NONE)
			break;
		of->all = leat_realloc(of->all, (of->count + 1) * sizeof *of->all);
		fine = read_state(&of->all[of->count++], &state, run->position);
	}
	return fine;
}

static bool read_states(struct verify_run *run, const struct verify_graph *graph, const char *text)
{
	struct leat_json states = verify_json(text, strlen(text));
	run->graph = graph;
	run->nodes = leat_alloc_zero(graph->count, sizeof *run->nodes);
	for (size_t i = 0; i < graph->count; i++)
		if (!read_node(run, i, &states))
			return false;
	return true;
}

bool verify_load_run(struct verify_known_run *known, const json_t *row, const struct verify_graph *graph)
{
	struct verify_value input = baseline_value(row, VERIFY_RUN_INPUT);
	struct verify_value states = baseline_value(row, VERIFY_RUN_STATES);
	struct verify_run *run = &known->run;
	run->input = input.text;
	run->generation = baseline_number(row, VERIFY_RUN_GENERATION);
	run->position = baseline_number(row, VERIFY_RUN_POSITION);
	run->created_us = baseline_number(row, VERIFY_RUN_CREATED);
	run->updated_us = baseline_number(row, VERIFY_RUN_UPDATED);
	run->finished_us = baseline_number(row, VERIFY_RUN_FINISHED);
	known->agent = baseline_copy(row, VERIFY_RUN_AGENT);
	known->entity = baseline_copy(row, VERIFY_RUN_ENTITY);
	known->actor = baseline_copy(row, VERIFY_RUN_ACTOR);
	known->traceparent = baseline_copy(row, VERIFY_RUN_TRACEPARENT);
	bool fine = input.text != NULL && states.text != NULL && input.hashed == states.hashed &&
		baseline_id(row, VERIFY_RUN_TENANT, &known->tenant) && read_status(baseline_text(row, VERIFY_RUN_STATUS), &run->status);
	if (fine && !states.hashed && graph != NULL)
		fine = read_states(run, graph, states.text);
	if (states.hashed)
		known->completed = states.text;
	else
		free(states.text);
	return fine;
}
