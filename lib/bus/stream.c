/*
 * Streams: made when missing, compared when there, asked for their state. Nothing here changes an existing stream: a setting that an
 * operator chose, or a newer version of Leat needs, is reported and left to people.
 */
#include "internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define UNLIMITED (-1)

static enum leat_kind check_name(const char *stream, struct leat_error *err)
{
	if (bus_name_valid(stream))
		return LEAT_OK;
	return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INTERNAL, "'%.100s' can't be the name of a stream", stream);
}

/* ---- what a stream should be: the "config" object ---- */

static int64_t limit_or_none(int64_t limit)
{
	return limit > 0 ? limit : UNLIMITED;
}

static json_t *config_to_json(const struct leat_stream_config *config)
{
	json_t *subjects = json_array();
	for (size_t i = 0; i < LEAT_STREAM_SUBJECTS && config->subjects[i] != NULL; i++)
		json_array_append_new(subjects, json_string(config->subjects[i]));
	return json_pack("{s:s, s:o, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:i, s:i, s:i, s:i}", "name", config->name, "subjects", subjects,
		"retention", config->work_queue ? "workqueue" : "limits", "storage", "file", "discard", "old", "max_age",
		(json_int_t)(config->max_age_ms * BUS_NS_PER_MS), "duplicate_window", (json_int_t)(config->duplicates_ms * BUS_NS_PER_MS),
		"max_msgs_per_subject", (json_int_t)limit_or_none(config->max_msgs_per_subject), "num_replicas", (json_int_t)config->replicas,
		"max_msgs", UNLIMITED, "max_bytes", UNLIMITED, "max_msg_size", UNLIMITED, "max_consumers", UNLIMITED);
}

/* ---- how an existing one differs ---- */

struct lines {
	struct leat_buf *out;
	const char *stream;
};

static void add_line(void *argument, const char *setting, const char *found, const char *expected)
{
	const struct lines *lines = argument;
	leat_buf_printf(lines->out, "%s: %s is %s, expected %s\n", lines->stream, setting, found, expected);
}

enum leat_kind leat_stream_compare(
	struct leat_bus *bus, const struct leat_stream_config *config, leat_bus_tell *tell, void *argument, struct leat_error *err)
{
	json_auto_t *found = NULL;
	if (check_name(config->name, err) != LEAT_OK || bus_api(bus, &found, NULL, err, "STREAM.INFO.%s", config->name) != LEAT_OK)
		return err->kind;
	json_auto_t *expected = config_to_json(config);
	bus_compare(expected, json_object_get(found, "config"), tell, argument);
	return LEAT_OK;
}

enum leat_kind leat_stream_ensure(
	struct leat_bus *bus, const struct leat_stream_config *config, struct leat_buf *differences, struct leat_error *err)
{
	struct lines lines = {differences, config->name};
	json_auto_t *made = NULL;
	if (leat_stream_compare(bus, config, add_line, &lines, err) == LEAT_OK)
		return LEAT_OK;
	if (err->code != LEAT_CODE_NOT_FOUND)
		return err->kind;
	if (bus_api(bus, &made, config_to_json(config), err, "STREAM.CREATE.%s", config->name) == LEAT_OK)
		return LEAT_OK;
	if (err->code != LEAT_CODE_CONFLICT)
		return leat_fail_while(err, "making stream %s", config->name);
	/* somebody else made it just now, with other settings */
	return leat_stream_compare(bus, config, add_line, &lines, err);
}

enum leat_kind leat_stream_get_state(struct leat_bus *bus, const char *stream, struct leat_stream_state *out, struct leat_error *err)
{
	json_auto_t *info = NULL;
	if (check_name(stream, err) != LEAT_OK || bus_api(bus, &info, NULL, err, "STREAM.INFO.%s", stream) != LEAT_OK)
		return err->kind;
	const json_t *state = json_object_get(info, "state");
	*out = (struct leat_stream_state){
		.created_ns = bus_json_time_ns(info, "created"),
		.messages = (uint64_t)bus_json_int(state, "messages"),
		.bytes = (uint64_t)bus_json_int(state, "bytes"),
		.first_seq = (uint64_t)bus_json_int(state, "first_seq"),
		.last_seq = (uint64_t)bus_json_int(state, "last_seq"),
		.consumers = (uint64_t)bus_json_int(state, "consumer_count"),
		.first_ns = bus_json_int(state, "messages") > 0 ? bus_json_time_ns(state, "first_ts") : 0,
		.last_ns = bus_json_time_ns(state, "last_ts"),
	};
	return LEAT_OK;
}
