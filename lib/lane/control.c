/* The control lane: LEAT_CONTROL into workflows, members and questions, in the order of the stream. */
#include "consume.h"

static const struct leat_pg_statement statements[] = {
	{"apply", "select " LEAT_BATCH_ANSWER " from leat.apply_control_intents(" LEAT_BATCH_PARAMETERS ")"},
	{"apply_one", "select " LEAT_BATCH_ANSWER " from leat.apply_control_intent(" LEAT_BATCH_PARAMETERS ")"},
	{"decide_parked", "select remaining, due, leat.next_retry_ms($1) from leat.decide_parked_control(" CONSUME_DECIDE_PARAMETERS ")"},
	{"check_stream", CONSUME_CHECK_STREAM},
	{"stream_was_cut", CONSUME_STREAM_WAS_CUT},
	{"first_parked", CONSUME_FIRST_PARKED},
};

const struct leat_source leat_control_source = {
	.lane = "control",
	.stream = "LEAT_CONTROL",
	.statements = statements,
	.statement_count = sizeof statements / sizeof *statements,
};

void lane_control_run(struct leat_lane *lane)
{
	lane_consume(lane, &leat_control_source);
}
