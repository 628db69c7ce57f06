#include "lanes.h"

static const struct leat_lane_type lanes[] = {
	{"entity", "applies entity intents", lane_entity_run},
	{"relay", "publishes the outbox", lane_relay_run},
	{"keep", "writes this process's state, looks after what was left behind", lane_keep_run},
};

const struct leat_lane_type *leat_lane_table(size_t *count)
{
	*count = sizeof lanes / sizeof *lanes;
	return lanes;
}
