/* A run's row, column by column; its node_states at once and, where they differ, node by node and member by member. Nothing here can fail.
 */
#include "runs.h"

#include "reading.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const verify_run_direct_fields[] = {"status", "node_states", "updated_at", "finished_at", NULL};

static void report_member(struct verify_row *row, const char *key, const char *member, const struct leat_json *found,
	const struct leat_json *expected, int64_t position)
{
	LEAT_BUF_SCOPED field = LEAT_BUF_INIT;
	char *in_row = verify_copy_source(found);
	char *in_fold = verify_copy_source(expected);
	leat_buf_printf(&field, "node_states.%s%s%s", key, member == NULL ? "" : ".", member == NULL ? "" : member);
	verify_row_json(row, field.data, in_row, in_fold, position);
	free(in_row);
	free(in_fold);
}

/* Whether both ended with the same fact: then no direct call had a hand in what it brought. */
static bool ended_alike(const struct leat_json *found, const struct leat_json *expected)
{
	static const char *const members[] = {"status", "finished_at"};
	for (size_t i = 0; i < 2; i++) {
		struct leat_json left = verify_json_member(found, members[i]);
		struct leat_json right = verify_json_member(expected, members[i]);
		if (left.type != LEAT_JSON_STRING || right.type != LEAT_JSON_STRING ||
			!verify_json_equal(left.source.at, left.source.bytes, right.source.at, right.source.bytes))
			return false;
	}
	return true;
}

/* Members of one state that the other does not have, or has otherwise. */
static void compare_members(
	struct verify_row *row, const char *key, const struct leat_json *found, const struct leat_json *expected, int64_t position)
{
	bool direct = row->direct;
	bool alike = ended_alike(found, expected);
	struct leat_json_walk walk = leat_json_walk(expected);
	for (struct leat_json name, value; leat_json_next(&walk, &name, &value);) {
		char *member = verify_copy_text(&name);
		struct leat_json other = verify_json_member(found, member);
		row->direct = direct && !(alike && (strcmp(member, "output") == 0 || strcmp(member, "error") == 0));
		report_member(row, key, member, &other, &value, position);
		free(member);
	}
	row->direct = direct;
	const struct leat_json none = {0};
	walk = leat_json_walk(found);
	for (struct leat_json name, value; leat_json_next(&walk, &name, &value);) {
		char *member = verify_copy_text(&name);
		struct leat_json other = verify_json_member(expected, member);
		if (other.type == LEAT_JSON_NONE)
			report_member(row, key, member, &value, &none, position);
		free(member);
	}
}

static void compare_state(struct verify_row *row, const struct leat_json *states, const char *key, const struct verify_state *state)
{
	LEAT_BUF_SCOPED text = LEAT_BUF_INIT;
	verify_run_print_state(state, &text);
	struct leat_json expected = verify_json(text.data, text.len);
	struct leat_json found = verify_json_member(states, key);
	if (found.type == LEAT_JSON_OBJECT)
		compare_members(row, key, &found, &expected, state->position);
	else
		report_member(row, key, NULL, &found, &expected, state->position);
}

void verify_compare_states(struct verify_row *row, const struct verify_run *run, const char *found)
{
	LEAT_BUF_SCOPED expected = LEAT_BUF_INIT;
	verify_run_print_states(run, &expected);
	if (verify_json_equal(found, strlen(found), expected.data, expected.len))
		return;
	struct leat_json states = verify_json(found, strlen(found));
	struct leat_json whole = verify_json(expected.data, expected.len);
	for (size_t i = 0; i < run->graph->count; i++)
		for (size_t n = 0; n < run->nodes[i].count; n++) {
			LEAT_BUF_SCOPED key = LEAT_BUF_INIT;
			verify_run_key(run, i, n, &key);
			compare_state(row, &states, key.data, &run->nodes[i].all[n]);
		}
	const struct leat_json none = {0};
	struct leat_json_walk walk = leat_json_walk(&states);
	for (struct leat_json name, value; leat_json_next(&walk, &name, &value);) {
		char *key = verify_copy_text(&name);
		struct leat_json other = verify_json_member(&whole, key);
		if (other.type == LEAT_JSON_NONE)
			report_member(row, key, NULL, &value, &none, run->position);
		free(key);
	}
}

static void compare_with_hash(
	struct verify_row *row, const char *key, const struct leat_json *found, const struct leat_json *hash, int64_t position)
{
	LEAT_BUF_SCOPED field = LEAT_BUF_INIT;
	struct verify_value expected = {verify_copy_text(hash), true};
	char *in_row = verify_copy_source(found);
	leat_buf_printf(&field, "node_states.%s", key);
	verify_row_value(row, field.data, in_row, &expected, position);
	free(in_row);
	free(expected.text);
}

static void compare_completed(struct verify_row *row, const struct verify_known_run *known, const char *found)
{
	struct leat_json states = verify_json(found, strlen(found));
	struct leat_json hashes = verify_json(known->completed, strlen(known->completed));
	struct leat_json_walk walk = leat_json_walk(&hashes);
	for (struct leat_json name, value; leat_json_next(&walk, &name, &value);) {
		char *key = verify_copy_text(&name);
		struct leat_json state = verify_json_member(&states, key);
		compare_with_hash(row, key, &state, &value, known->run.position);
		free(key);
	}
	const struct leat_json none = {0};
	walk = leat_json_walk(&states);
	for (struct leat_json name, value; leat_json_next(&walk, &name, &value);) {
		char *key = verify_copy_text(&name);
		struct leat_json hash = verify_json_member(&hashes, key);
		if (hash.type == LEAT_JSON_NONE)
			report_member(row, key, NULL, &value, &none, known->run.position);
		free(key);
	}
}

void verify_compare_run(struct verify_row *row, const void *run_row)
{
	const struct verify_run_row *held = run_row;
	const struct verify_known_run *known = held->known;
	const struct leat_pg_result *page = held->page;
	size_t at = held->at;
	const struct verify_run *run = &known->run;
	char expected[LEAT_UUID_TEXT_BYTES];
	if (verify_row_is_moved(row, &known->tenant, run->position))
		return;
	leat_uuid_format(&known->workflow, expected);
	verify_row_text(row, "workflow_id", leat_pg_text(page, at, VERIFY_RUN_WORKFLOW), expected, run->position);
	verify_row_number(row, "version", leat_pg_text(page, at, VERIFY_RUN_VERSION), known->version, run->position);
	verify_row_text(row, "agent_id", leat_pg_text(page, at, VERIFY_RUN_AGENT), known->agent, run->position);
	verify_row_text(row, "entity_id", leat_pg_text(page, at, VERIFY_RUN_ENTITY), known->entity, run->position);
	verify_row_value(row, "input", leat_pg_text(page, at, VERIFY_RUN_INPUT), &(struct verify_value){run->input, known->completed != NULL},
		run->position);
	verify_row_time(row, "created_at", leat_pg_text(page, at, VERIFY_RUN_CREATED), run->created_us, run->position);
	verify_row_text(row, "actor", leat_pg_text(page, at, VERIFY_RUN_ACTOR), known->actor, run->position);
	verify_row_text(row, "traceparent", leat_pg_text(page, at, VERIFY_RUN_TRACEPARENT), known->traceparent, run->position);
	if (known->refusal != NULL) { /* what it would be after that, nobody knows */
		verify_row_report(
			row, LEAT_VERIFY_FIELD, "applied", known->refusal, known->refused_at, "the ledger says that this fact was applied");
		return;
	}
	verify_row_text(row, "status", leat_pg_text(page, at, VERIFY_RUN_STATUS), verify_status_name(run->status), run->position);
	if (known->completed == NULL)
		verify_compare_states(row, run, leat_pg_text(page, at, VERIFY_RUN_STATES));
	else
		compare_completed(row, known, leat_pg_text(page, at, VERIFY_RUN_STATES));
	verify_row_number(row, "generation", leat_pg_text(page, at, VERIFY_RUN_GENERATION), run->generation, run->position);
	verify_row_time(row, "updated_at", leat_pg_text(page, at, VERIFY_RUN_UPDATED), run->updated_us, run->position);
	verify_row_time(row, "finished_at", leat_pg_text(page, at, VERIFY_RUN_FINISHED), run->finished_us, run->position);
	verify_row_stamp(row, leat_pg_text(page, at, VERIFY_RUN_POSITION), run->position);
}
