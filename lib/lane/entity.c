/* The entity lane: LEAT_ENTITY into leat.entities, set by set. */
#include "consume.h"

static const struct leat_pg_statement statements[] = {
	{"apply", "select " LEAT_BATCH_ANSWER " from leat.apply_entity_intents(" LEAT_BATCH_PARAMETERS ")"},
	{"apply_one", "select " LEAT_BATCH_ANSWER " from leat.apply_entity_intent(" LEAT_BATCH_PARAMETERS ")"},
	{"decide_parked", "select remaining, due, leat.next_retry_ms($1) from leat.decide_parked(" CONSUME_DECIDE_PARAMETERS ")"},
	{"check_stream", CONSUME_CHECK_STREAM},
	{"stream_was_cut", CONSUME_STREAM_WAS_CUT},
	{"first_parked", CONSUME_FIRST_PARKED},
};

const struct leat_source leat_entity_source = {
	.lane = "entity",
	.stream = "LEAT_ENTITY",
	.statements = statements,
	.statement_count = sizeof statements / sizeof *statements,
};

void lane_entity_run(struct leat_lane *lane)
{
	lane_consume(lane, &leat_entity_source);
}
