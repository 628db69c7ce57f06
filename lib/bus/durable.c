/*
 * Durable consumers: made when missing, checked when there, asked how far they are.
 *
 * An existing durable is shared by processes of maybe another version, so other settings are used as they stand and complained about.
 * Two kinds are refused, because they would lose messages: one that does not want each message settled, and one that pushes. A third is
 * made again: one that is ahead of its stream, which was cut back without it (a restored store), would pass over what is stored next.
 */
#include "internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define WAITING_REQUESTS 4096 /* a few per process of the group; the server's default is 512 */

static enum leat_kind check_names(const char *stream, const char *durable, struct leat_error *err)
{
	if (bus_name_valid(stream) && bus_name_valid(durable))
		return LEAT_OK;
	return leat_fail(
		err, LEAT_PERMANENT, LEAT_CODE_INTERNAL, "'%.100s' and '%.100s' can't be the names of a stream and a consumer", stream, durable);
}

static json_t *config_to_json(const struct leat_pull_options *options)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:i, s:i}", "durable_name", options->durable, "deliver_policy", "all", "ack_policy",
		"explicit", "replay_policy", "instant", "ack_wait", (json_int_t)(options->ack_wait_ms * BUS_NS_PER_MS), "max_ack_pending",
		(json_int_t)options->max_ack_pending, "max_deliver", -1, "max_waiting", WAITING_REQUESTS);
}

/* What of it matters to who uses it. */
static json_t *expected_config(const struct leat_pull_options *options)
{
	json_t *config = config_to_json(options);
	json_object_del(config, "durable_name");
	json_object_del(config, "max_waiting");
	json_object_set_new(config, "filter_subject", json_string(""));
	json_object_set_new(config, "deliver_subject", json_string(""));
	return config;
}

enum leat_kind leat_durable_compare(
	struct leat_bus *bus, const struct leat_pull_options *options, leat_bus_tell *tell, void *argument, struct leat_error *err)
{
	json_auto_t *info = NULL;
	if (check_names(options->stream, options->durable, err) != LEAT_OK ||
		bus_api(bus, &info, NULL, err, "CONSUMER.INFO.%s.%s", options->stream, options->durable) != LEAT_OK)
		return err->kind;
	json_auto_t *expected = expected_config(options);
	bus_compare(expected, json_object_get(info, "config"), tell, argument);
	return LEAT_OK;
}

struct complaints {
	struct leat_bus *bus;
	const struct leat_pull_options *options;
};

static void complain(void *argument, const char *setting, const char *found, const char *expected)
{
	const struct complaints *to = argument;
	bus_complain(to->bus, "consumer %s of %s: %s is %s, expected %s; left as it is", to->options->durable, to->options->stream, setting,
		found, expected);
}

static enum leat_kind check(struct leat_bus *bus, const struct leat_pull_options *options, const json_t *config, struct leat_error *err)
{
	if (*bus_json_text(config, "deliver_subject") != '\0') {
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_CONFLICT, "consumer %s of %s pushes: delete it, or choose another queue group",
			options->durable, options->stream);
	}
	if (strcmp(bus_json_text(config, "ack_policy"), "explicit") != 0) {
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_CONFLICT,
			"consumer %s of %s has ack policy \"%s\" and would lose messages: delete it, or choose another queue group", options->durable,
			options->stream, bus_json_text(config, "ack_policy"));
	}
	struct complaints to = {bus, options};
	json_auto_t *expected = expected_config(options);
	bus_compare(expected, config, complain, &to);
	return LEAT_OK;
}

/*
 * `info` was asked for before the stream's state is: what is stored and delivered in between can't look like a durable that is ahead.
 */
static enum leat_kind is_ahead(
	struct leat_bus *bus, const struct leat_pull_options *options, const json_t *info, bool *ahead, struct leat_error *err)
{
	struct leat_stream_state state;
	uint64_t delivered = (uint64_t)bus_json_int(json_object_get(info, "delivered"), "stream_seq");
	uint64_t settled = (uint64_t)bus_json_int(json_object_get(info, "ack_floor"), "stream_seq");
	uint64_t reached = delivered > settled ? delivered : settled;
	if (leat_stream_get_state(bus, options->stream, &state, err) != LEAT_OK)
		return err->kind;
	*ahead = reached > state.last_seq;
	if (*ahead) {
		bus_complain(bus,
			"consumer %s of %s is at message %" PRIu64 ", the stream ends at %" PRIu64 ": making it again, from the first message",
			options->durable, options->stream, reached, state.last_seq);
	}
	return LEAT_OK;
}

enum leat_kind leat_durable_delete(struct leat_bus *bus, const char *stream, const char *durable, struct leat_error *err)
{
	json_auto_t *answer = NULL;
	if (bus_api(bus, &answer, NULL, err, "CONSUMER.DELETE.%s.%s", stream, durable) == LEAT_OK || err->code == LEAT_CODE_NOT_FOUND)
		return LEAT_OK;
	return leat_fail_while(err, "deleting consumer %s of %s", durable, stream);
}

/* One that two processes make at once is made by the first; both ask for the same settings, so the second changes nothing. */
static enum leat_kind make(struct leat_bus *bus, const struct leat_pull_options *options, struct leat_error *err)
{
	json_auto_t *info = NULL;
	json_t *request = json_pack("{s:s, s:o}", "stream_name", options->stream, "config", config_to_json(options));
	if (bus_api(bus, &info, request, err, "CONSUMER.DURABLE.CREATE.%s.%s", options->stream, options->durable) != LEAT_OK)
		return leat_fail_while(err, "making consumer %s of %s", options->durable, options->stream);
	return check(bus, options, json_object_get(info, "config"), err);
}

enum leat_kind bus_durable_ensure(struct leat_bus *bus, const struct leat_pull_options *options, struct leat_error *err)
{
	if (check_names(options->stream, options->durable, err) != LEAT_OK)
		return err->kind;
	json_auto_t *info = NULL;
	if (bus_api(bus, &info, NULL, err, "CONSUMER.INFO.%s.%s", options->stream, options->durable) != LEAT_OK)
		return err->code == LEAT_CODE_NOT_FOUND ? make(bus, options, err) : err->kind;
	bool ahead = false;
	if (check(bus, options, json_object_get(info, "config"), err) != LEAT_OK || is_ahead(bus, options, info, &ahead, err) != LEAT_OK)
		return err->kind;
	if (!ahead)
		return LEAT_OK;
	if (leat_durable_delete(bus, options->stream, options->durable, err) != LEAT_OK)
		return err->kind;
	return make(bus, options, err);
}

enum leat_kind leat_durable_get_info(
	struct leat_bus *bus, const char *stream, const char *durable, struct leat_pull_info *out, struct leat_error *err)
{
	if (check_names(stream, durable, err) != LEAT_OK)
		return err->kind;
	json_auto_t *info = NULL;
	if (bus_api(bus, &info, NULL, err, "CONSUMER.INFO.%s.%s", stream, durable) != LEAT_OK)
		return err->kind;
	*out = (struct leat_pull_info){
		.pending = (uint64_t)bus_json_int(info, "num_pending"),
		.ack_pending = (uint64_t)bus_json_int(info, "num_ack_pending"),
		.floor_seq = (uint64_t)bus_json_int(json_object_get(info, "ack_floor"), "stream_seq"),
		.reached_seq = (uint64_t)bus_json_int(json_object_get(info, "delivered"), "stream_seq"),
		.redelivered = (uint64_t)bus_json_int(info, "num_redelivered"),
		.waiting = (uint64_t)bus_json_int(info, "num_waiting"),
	};
	return LEAT_OK;
}
