/* The table of lanes, and which of them a list of names chooses. */
#include "lanes.h"

#include <string.h>

static const struct leat_lane_type lanes[] = {
	{"entity", "applies entity intents", lane_entity_run},
	{"control", "applies workflow, member and interaction intents", lane_control_run},
	{"run", "applies the facts of runs", lane_run_run},
	{"query", "answers requests about entities, workflows and questions", lane_query_run},
	{"advance", "calls for the nodes of runs that are ready", lane_advance_run},
	{"relay", "publishes the outbox", lane_relay_run},
	{"keep", "writes this process's state, looks after what was left behind and what is old", lane_keep_run},
	{"embed", "keeps embeddings of entities, where an endpoint is set", lane_embed_run},
};

#define LANE_COUNT (sizeof lanes / sizeof *lanes)

static const struct leat_lane_type *find(const char *name, size_t bytes)
{
	for (const struct leat_lane_type *lane = lanes; lane < lanes + LANE_COUNT; lane++) {
		if (strlen(lane->name) == bytes && memcmp(lane->name, name, bytes) == 0)
			return lane;
	}
	return NULL;
}

static enum leat_kind refuse(const char *names, struct leat_error *err)
{
	LEAT_BUF_SCOPED known = LEAT_BUF_INIT;
	for (size_t i = 0; i < LANE_COUNT; i++)
		leat_buf_printf(&known, "%s%s", i > 0 ? "," : "", lanes[i].name);
	return leat_fail(
		err, LEAT_PERMANENT, LEAT_CODE_INVALID_MESSAGE, "--lanes: expected one or some of %s, found \"%s\"", leat_buf_text(&known), names);
}

enum leat_kind leat_lanes_choose(const char *names, const struct leat_lane_type *chosen[LEAT_LANES], size_t *count, struct leat_error *err)
{
	*count = 0;
	for (const char *name = names;; name++) {
		size_t bytes = strcspn(name, ",");
		const struct leat_lane_type *lane = find(name, bytes);
		if (lane == NULL)
			return refuse(names, err);
		size_t before = 0;
		while (before < *count && chosen[before] != lane)
			before++;
		chosen[before] = lane;
		*count += before == *count;
		name += bytes;
		if (*name == '\0')
			return LEAT_OK;
	}
}

void leat_lanes_describe(struct leat_buf *out)
{
	leat_buf_add_text(out, "| lane | does |\n|---|---|\n");
	for (size_t i = 0; i < LANE_COUNT; i++)
		leat_buf_printf(out, "| `%s` | %s |\n", lanes[i].name, lanes[i].about);
}
