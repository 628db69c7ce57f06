/*
 * Single messages of a stream, without a consumer: reading one by sequence or the next of a subject, deleting one. The server answers with
 * JSON, headers and body in base64 (RFC 4648, section 4).
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

static int sextet(char letter)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = letter != '\0' ? strchr(alphabet, letter) : NULL;
	return at != NULL ? (int)(at - alphabet) : -1;
}

/* Stops at the padding. */
static void add_decoded(struct leat_buf *out, const char *text)
{
	unsigned int bits = 0;
	unsigned int count = 0;
	for (int six = sextet(*text); six >= 0; six = sextet(*++text)) {
		bits = (bits << 6 | (unsigned int)six) & 0xFFFF;
		count += 6;
		if (count >= 8) {
			count -= 8;
			unsigned char byte = (unsigned char)(bits >> count);
			leat_buf_add(out, &byte, 1);
		}
	}
}

static enum leat_kind get_message(struct leat_bus *bus, json_t **message, const char *stream, json_t *request, struct leat_error *err)
{
	*message = NULL;
	if (!bus_name_valid(stream)) {
		json_decref(request);
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INTERNAL, "'%.100s' can't be the name of a stream", stream);
	}
	json_auto_t *answer = NULL;
	if (bus_api(bus, &answer, request, err, "STREAM.MSG.GET.%s", stream) != LEAT_OK)
		return err->kind;
	*message = json_incref(json_object_get(answer, "message"));
	return LEAT_OK;
}

enum leat_kind leat_stream_get_time(struct leat_bus *bus, const char *stream, uint64_t seq, int64_t *timestamp_ns, struct leat_error *err)
{
	json_auto_t *message = NULL;
	if (get_message(bus, &message, stream, json_pack("{s:I}", "seq", (json_int_t)seq), err) != LEAT_OK)
		return err->kind;
	*timestamp_ns = bus_json_time_ns(message, "time");
	return LEAT_OK;
}

enum leat_kind leat_stream_get_next(
	struct leat_bus *bus, const char *stream, const char *subject, uint64_t *seq, struct leat_msg *out, struct leat_error *err)
{
	json_auto_t *message = NULL;
	json_t *request = json_pack("{s:I, s:s}", "seq", (json_int_t)(*seq > 0 ? *seq : 1), "next_by_subj", subject);
	if (get_message(bus, &message, stream, request, err) != LEAT_OK)
		return err->kind;
	LEAT_BUF_SCOPED headers = LEAT_BUF_INIT;
	LEAT_BUF_SCOPED data = LEAT_BUF_INIT;
	add_decoded(&headers, bus_json_text(message, "hdrs"));
	add_decoded(&data, bus_json_text(message, "data"));
	bus_message_make(out, bus_json_text(message, "subject"), "", headers.data, headers.len, data.data, data.len);
	out->seq = (uint64_t)bus_json_int(message, "seq");
	out->timestamp_ns = bus_json_time_ns(message, "time");
	*seq = out->seq;
	return LEAT_OK;
}

/* The lowest at which what is stored from there on is late enough lies in [low, high]. */
enum leat_kind leat_stream_find_time(struct leat_bus *bus, const char *stream, int64_t timestamp_ns, uint64_t *seq, struct leat_error *err)
{
	struct leat_stream_state state;
	if (leat_stream_get_state(bus, stream, &state, err) != LEAT_OK)
		return err->kind;
	uint64_t low = *seq > state.first_seq ? *seq : state.first_seq;
	uint64_t high = state.last_seq + 1;
	while (low < high) {
		uint64_t middle = low + (high - low) / 2;
		uint64_t found = middle;
		struct leat_msg msg;
		enum leat_kind kind = leat_stream_get_next(bus, stream, ">", &found, &msg, err);
		if (kind != LEAT_OK && err->code != LEAT_CODE_NOT_FOUND)
			return kind;
		bool late = kind != LEAT_OK || msg.timestamp_ns >= timestamp_ns;
		if (kind == LEAT_OK)
			leat_msg_free(&msg);
		if (late)
			high = middle;
		else
			low = found + 1;
	}
	*seq = low > *seq ? low : *seq;
	return LEAT_OK;
}

enum leat_kind leat_stream_delete_message(struct leat_bus *bus, const char *stream, uint64_t seq, struct leat_error *err)
{
	if (!bus_name_valid(stream))
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INTERNAL, "'%.100s' can't be the name of a stream", stream);
	json_auto_t *answer = NULL;
	json_t *request = json_pack("{s:I, s:b}", "seq", (json_int_t)seq, "no_erase", 1);
	enum leat_kind kind = bus_api(bus, &answer, request, err, "STREAM.MSG.DELETE.%s", stream);
	if (kind == LEAT_OK)
		return LEAT_OK;
	struct leat_error missing; /* the server has many errors for one that is not there, some as if it were to blame */
	int64_t timestamp_ns;
	if (leat_stream_get_time(bus, stream, seq, &timestamp_ns, &missing) == LEAT_OK || missing.code != LEAT_CODE_NOT_FOUND)
		return kind;
	*err = missing;
	return LEAT_PERMANENT;
}
