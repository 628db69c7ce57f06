/*
 * NATS's part of the status: streams, durables, dead letters. Every question has a time limit, and the first that goes unanswered ends the
 * asking, since the next would too.
 */
#include "status.h"

#include "command.h"
#include "dead.h"
#include "show.h"

#include "leat/clock.h"
#include "leat/schema.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define DEAD_WALKED 1000 /* of the newest */

static const struct consuming {
	const char *lane;
	const char *stream;
} consuming[STATUS_LANES] = {{"entity", "LEAT_ENTITY"}, {"control", "LEAT_CONTROL"}, {"run", "LEAT_RUN"}, {"advance", "LEAT_WORK"}};

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

/* Messages settled a second since the last look; null at the first. */
static json_t *take_rate(struct status_mark *mark, const struct leat_pull_info *info)
{
	const struct status_mark before = *mark;
	*mark = (struct status_mark){.settled = info->reached_seq - info->ack_pending, .at_ms = leat_clock_ms()};
	if (before.at_ms == 0 || mark->at_ms <= before.at_ms)
		return json_null();
	double settled = mark->settled > before.settled ? (double)(mark->settled - before.settled) : 0;
	return json_real(settled * 1000 / (double)(mark->at_ms - before.at_ms));
}

/* How long the first message above the floor has been stored: nobody has settled it. */
static enum leat_kind ask_oldest(
	struct status *status, const char *stream, const struct leat_pull_info *info, int64_t *oldest_ms, struct leat_error *err)
{
	struct leat_msg msg;
	struct timespec now;
	uint64_t seq = info->floor_seq + 1;
	*oldest_ms = 0;
	if (info->pending + info->ack_pending == 0)
		return LEAT_OK;
	if (leat_stream_get_next(status->bus, stream, ">", &seq, &msg, err) != LEAT_OK)
		return err->code == LEAT_CODE_NOT_FOUND ? LEAT_OK : err->kind; /* settled meanwhile */
	clock_gettime(CLOCK_REALTIME, &now);
	int64_t age_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 - msg.timestamp_ns / 1000000;
	leat_msg_free(&msg);
	*oldest_ms = age_ms > 0 ? age_ms : 0;
	return LEAT_OK;
}

static enum leat_kind ask_durable(
	struct status *status, const struct consuming *lane, struct status_mark *mark, json_t *out, struct leat_error *err)
{
	struct leat_pull_info info;
	int64_t oldest_ms;
	char durable[256];
	snprintf(durable, sizeof durable, "%s-%s", status->params->queue_group, lane->lane);
	if (leat_durable_get_info(status->bus, lane->stream, durable, &info, err) != LEAT_OK ||
		ask_oldest(status, lane->stream, &info, &oldest_ms, err) != LEAT_OK)
		return err->kind;
	json_array_append_new(out,
		json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:o, s:I, s:I, s:I}", "lane", lane->lane, "stream", lane->stream, "durable", durable,
			"lag", (json_int_t)(info.pending + info.ack_pending), "pending", (json_int_t)info.pending, "in_flight",
			(json_int_t)info.ack_pending, "oldest_ms", (json_int_t)oldest_ms, "rate_per_s", take_rate(mark, &info), "redelivered",
			(json_int_t)info.redelivered, "floor_seq", (json_int_t)info.floor_seq, "idle_pulls", (json_int_t)info.waiting));
	return LEAT_OK;
}

static enum leat_kind ask_durables(struct status *status, json_t *out, struct leat_error *err)
{
	for (size_t i = 0; i < STATUS_LANES; i++) {
		/* No durable: no consumer ever ran. That is complained of by its absence in the database. */
		if (ask_durable(status, &consuming[i], &status->marks[i], out, err) != LEAT_OK && err->code != LEAT_CODE_NOT_FOUND)
			return err->kind;
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
	int64_t began_ms = leat_clock_ms();
	if (kind == LEAT_OK)
		kind = leat_bus_flush(status->bus, &err);
	int64_t answered_ms = leat_clock_ms() - began_ms;
	if (kind == LEAT_OK && (kind = ask_streams(status, streams, &err)) == LEAT_OK)
		kind = ask_durables(status, lanes, &err);
	if (kind == LEAT_OK && dead)
		kind = count_dead(status, &err);
	if (kind != LEAT_OK)
		status_complain(status, "%s", err.text);
	return json_pack("{s:b, s:s, s:I, s:o, s:o, s:O?}", "reachable", kind == LEAT_OK, "version", version, "answered_ms",
		(json_int_t)answered_ms, "streams", streams, "lanes", lanes, "dead", status->dead);
}
