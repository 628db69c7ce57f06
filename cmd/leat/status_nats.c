/*
 * NATS's part of the status: streams, durables, dead letters. Every question has a time limit, and the first that goes unanswered ends the
 * asking, since the next would too.
 */
#include "status.h"

#include "command.h"
#include "dead.h"
#include "show.h"

#include "leat/schema.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define DEAD_WALKED 1000 /* of the newest */

/* Lanes that consume. */
static const struct {
	const char *lane;
	const char *stream;
} consuming[] = {{"entity", "LEAT_ENTITY"}, {"control", "LEAT_CONTROL"}, {"run", "LEAT_RUN"}, {"advance", "LEAT_WORK"}};

static json_t *describe_stream(const char *name, const struct leat_stream_state *state)
{
	char last[SHOW_BYTES];
	show_time(last, state->last_ns);
	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:s?}", "name", name, "messages", (json_int_t)state->messages, "bytes",
		(json_int_t)state->bytes, "first_seq", (json_int_t)state->first_seq, "last_seq", (json_int_t)state->last_seq, "last_at",
		state->last_ns != 0 ? last : NULL);
}

static enum leat_kind ask_streams(struct status *status, json_t *out, struct leat_error *err)
{
	struct leat_stream_config streams[LEAT_STREAMS];
	leat_schema_streams(status->params, streams);
	for (size_t i = 0; i < LEAT_STREAMS; i++) {
		struct leat_stream_state state;
		if (leat_stream_get_state(status->bus, streams[i].name, &state, err) == LEAT_OK)
			json_array_append_new(out, describe_stream(streams[i].name, &state));
		else if (err->code == LEAT_CODE_NOT_FOUND)
			status_complain(status, "there is no stream %s; run `leat migrate`", streams[i].name);
		else
			return err->kind;
	}
	return LEAT_OK;
}

static enum leat_kind ask_durables(struct status *status, json_t *out, struct leat_error *err)
{
	for (size_t i = 0; i < sizeof consuming / sizeof *consuming; i++) {
		struct leat_pull_info info;
		char durable[256];
		snprintf(durable, sizeof durable, "%s-%s", status->params->queue_group, consuming[i].lane);
		enum leat_kind kind = leat_durable_get_info(status->bus, consuming[i].stream, durable, &info, err);
		if (kind != LEAT_OK && err->code == LEAT_CODE_NOT_FOUND)
			continue; /* no consumer ever ran: that is complained of by its absence in the database */
		if (kind != LEAT_OK)
			return kind;
		json_array_append_new(out,
			json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I}", "lane", consuming[i].lane, "stream", consuming[i].stream, "durable",
				durable, "pending", (json_int_t)info.pending, "in_flight", (json_int_t)info.ack_pending, "redelivered",
				(json_int_t)info.redelivered, "floor_seq", (json_int_t)info.floor_seq, "idle_pulls", (json_int_t)info.waiting));
	}
	return LEAT_OK;
}

/* ---- dead letters ---- */

static void count_code(json_t *by_code, const struct leat_msg *msg)
{
	LEAT_BUF_SCOPED code = LEAT_BUF_INIT;
	struct dead_letter letter;
	dead_letter_read(&letter, msg);
	show_text(&code, letter.code, strlen(letter.code));
	const char *name = code.len > 0 ? leat_buf_text(&code) : "none";
	json_object_set_new(by_code, name, json_integer(json_integer_value(json_object_get(by_code, name)) + 1));
}

static enum leat_kind count_dead(struct status *status, struct leat_error *err)
{
	struct leat_stream_state state;
	if (leat_stream_get_state(status->bus, DEAD_STREAM, &state, err) != LEAT_OK)
		return err->code == LEAT_CODE_NOT_FOUND ? LEAT_OK : err->kind;
	if (status->dead != NULL && status->dead_last_seq == state.last_seq) {
		json_object_set_new(status->dead, "total", json_integer((json_int_t)state.messages)); /* old ones may have gone */
		return LEAT_OK;
	}
	json_decref(status->dead);
	json_t *by_code = json_object();
	status->dead = json_pack("{s:I, s:o}", "total", (json_int_t)state.messages, "newest_by_code", by_code);
	status->dead_last_seq = state.last_seq;
	for (uint64_t seq = state.last_seq > DEAD_WALKED ? state.last_seq - DEAD_WALKED + 1 : 1; seq <= state.last_seq; seq++) {
		struct leat_msg msg;
		if (leat_stream_get_next(status->bus, DEAD_STREAM, DEAD_SUBJECTS, &seq, &msg, err) != LEAT_OK)
			return err->code == LEAT_CODE_NOT_FOUND ? LEAT_OK : err->kind;
		count_code(by_code, &msg);
		leat_msg_free(&msg);
	}
	return LEAT_OK;
}

/* ---- all of it ---- */

json_t *status_ask_nats(struct status *status, bool dead)
{
	struct leat_error err;
	json_t *streams = json_array();
	json_t *lanes = json_array();
	char version[32] = "";
	enum leat_kind kind = LEAT_OK;
	if (status->bus == NULL)
		kind = command_open_bus(&status->bus, status->params, &err);
	if (kind == LEAT_OK)
		leat_bus_server_version(status->bus, version);
	if (kind == LEAT_OK && (kind = ask_streams(status, streams, &err)) == LEAT_OK)
		kind = ask_durables(status, lanes, &err);
	if (kind == LEAT_OK && dead)
		kind = count_dead(status, &err);
	if (kind != LEAT_OK)
		status_complain(status, "%s", err.text);
	return json_pack("{s:b, s:s, s:o, s:o, s:O?}", "reachable", kind == LEAT_OK, "version", version, "streams", streams, "lanes", lanes,
		"dead", status->dead);
}
