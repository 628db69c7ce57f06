/* A run's states as node_states has them: keys, members, times. Nothing here can fail. */
#include "run.h"

#include "reading.h"

#include <inttypes.h>

void verify_run_key(const struct verify_run *run, size_t node, size_t item, struct leat_buf *out)
{
	leat_buf_add_text(out, run->graph->nodes[node].id);
	if (run->nodes[node].per_item)
		leat_buf_printf(out, "[%zu]", item);
}

void verify_run_print_state(const struct verify_state *state, struct leat_buf *out)
{
	leat_buf_printf(out, "{\"status\":\"%s\",\"output\":%s,\"error\":", verify_status_name(state->status),
		state->output == NULL ? "null" : state->output);
	if (state->error == NULL)
		leat_buf_add_text(out, "null");
	else
		verify_add_string(out, state->error);
	leat_buf_printf(out, ",\"attempt\":%" PRId64 ",\"generation\":%" PRId64 ",\"started_at\":", state->attempt, state->generation);
	verify_print_time(state->started_us, out);
	leat_buf_add_text(out, ",\"finished_at\":");
	verify_print_time(state->finished_us, out);
	if (state->attempts_before != VERIFY_NO_ATTEMPTS)
		leat_buf_printf(out, ",\"attempts_before\":%" PRId64, state->attempts_before);
	leat_buf_add_text(out, "}");
}

void verify_run_print_states(const struct verify_run *run, struct leat_buf *out)
{
	const char *separator = "{";
	for (size_t i = 0; i < run->graph->count; i++)
		for (size_t n = 0; n < run->nodes[i].count; n++) {
			leat_buf_printf(out, "%s\"", separator);
			verify_run_key(run, i, n, out);
			leat_buf_add_text(out, "\":");
			verify_run_print_state(&run->nodes[i].all[n], out);
			separator = ",";
		}
	leat_buf_add_text(out, separator[0] == '{' ? "{}" : "}");
}
