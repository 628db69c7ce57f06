/* The streams: there, as `leat migrate` would make them, with as many copies as they should have, and room for what is still to come. */
#include "doctor.h"

#include "show.h"

#include "leat/schema.h"

#include <inttypes.h>
#include <string.h>

/* What each setting costs when it is another. `flag`: of `nats stream edit`; NULL: the server never changes it. */
static const struct setting {
	const char *name;
	enum doctor_level level;
	const char *flag;
	const char *why;
} settings[] = {
	{"subjects", DOCTOR_FAULT, "--subjects",
		"what no stream takes is refused to whoever publishes it; what it takes besides is dead-lettered"},
	{"retention", DOCTOR_FAULT, NULL,
		"by this, messages are kept until they are consumed, or for a time: a source that forgets can't be replayed"},
	{"storage", DOCTOR_FAULT, NULL, "a stream that is not on disk is empty after the server's restart"},
	{"max_msgs_per_subject", DOCTOR_FAULT, "--max-msgs-per-subject",
		"all intents of a kind have one subject: with a limit the older are dropped unseen"},
	{"max_age", DOCTOR_WARNING, "--max-age",
		"an outage may last that long, and a replay reach that far back; if you chose it, set LEAT_RETENTION_H or the like"},
	{"max_msgs", DOCTOR_WARNING, "--max-msgs", "when that many are stored, the oldest go, consumed or not"},
	{"max_bytes", DOCTOR_WARNING, "--max-bytes", "when that much is stored, the oldest messages go, consumed or not"},
	{"max_msg_size", DOCTOR_WARNING, "--max-msg-size", "larger messages are refused to whoever publishes them"},
	{"max_consumers", DOCTOR_WARNING, NULL, "each queue group needs one, and so does each that reads the stream"},
	{"duplicate_window", DOCTOR_WARNING, "--dupe-window",
		"NATS's window of Nats-Msg-Id is all subjects': within it one tenant's id can swallow another's message"},
	{"num_replicas", DOCTOR_WARNING, "--replicas",
		"one server writes to its disk every 60 s: with one copy a power loss costs that much; if you chose it, set LEAT_REPLICAS"},
	{"discard", DOCTOR_WARNING, "--discard", "it says what goes when the stream is full: the oldest, or what comes"},
};

static const struct setting *find_setting(const char *name)
{
	static const struct setting other = {"", DOCTOR_WARNING, NULL, "Leat's streams are made without it, and tested that way"};
	for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
		if (strcmp(settings[i].name, name) == 0)
			return &settings[i];
	}
	return &other;
}

struct looking {
	struct doctor *doctor;
	const char *stream;
};

static void tell_difference(void *argument, const char *name, const char *found, const char *expected)
{
	const struct looking *at = argument;
	const struct setting *setting = find_setting(name);
	doctor_find(at->doctor, setting->level, "stream %s: %s is %s, expected %s", at->stream, name, found, expected);
	doctor_why(at->doctor, "%s", setting->why);
	if (setting->flag != NULL)
		doctor_mend(
			at->doctor, "nats stream edit %s %s \"%s\"", at->stream, setting->flag, strcmp(expected, "unlimited") == 0 ? "-1" : expected);
	else
		doctor_mend(at->doctor,
			"the server never changes it: once all is consumed, `nats stream backup %s DIRECTORY`, `nats stream rm %s`, `leat migrate`",
			at->stream, at->stream);
}

void doctor_check_streams(struct doctor *d)
{
	struct leat_stream_config streams[LEAT_STREAMS];
	struct leat_error err;
	leat_schema_streams(d->params, streams);
	for (size_t i = 0; i < LEAT_STREAMS; i++) {
		struct looking at = {d, streams[i].name};
		if (leat_stream_compare(d->bus, &streams[i], tell_difference, &at, &err) == LEAT_OK)
			continue;
		if (err.code != LEAT_CODE_NOT_FOUND) {
			doctor_skip(d, "%s", err.text);
			return;
		}
		doctor_find(d, DOCTOR_FAULT, "there is no stream %s", streams[i].name);
		doctor_why(d, "what is published to %s is stored nowhere, and its publisher gets an error", streams[i].subjects[0]);
		doctor_mend(d, "leat migrate");
	}
}

/* ---- copies ---- */

static void check_copies(struct doctor *d, const char *stream, const json_t *info)
{
	const json_t *cluster = json_object_get(info, "cluster");
	size_t i;
	json_t *copy;
	json_int_t copies = doctor_number(json_object_get(info, "config"), "num_replicas");
	if (*doctor_text(cluster, "name") != '\0' && copies < 3) {
		doctor_find(d, DOCTOR_WARNING, "stream %s has %" JSON_INTEGER_FORMAT " cop%s in a cluster (%s)", stream, copies,
			copies == 1 ? "y" : "ies", doctor_text(cluster, "name"));
		doctor_why(d, "when the server that has it is away, nothing can be published; three go on with one away");
		doctor_mend(d, "nats stream edit %s --replicas 3, and LEAT_REPLICAS=3", stream);
	}
	json_array_foreach(json_object_get(cluster, "replicas"), i, copy)
	{
		bool offline = json_is_true(json_object_get(copy, "offline"));
		if (!offline && json_is_true(json_object_get(copy, "current")))
			continue;
		doctor_find(d, DOCTOR_WARNING, "stream %s: the copy on %s is %s", stream, doctor_text(copy, "name"), offline ? "away" : "behind");
		doctor_why(d, "one server less may be lost before the stream stops");
		doctor_mend(d, "nats stream cluster peer-remove %s, if that server will not come back", stream);
	}
}

/* ---- room ---- */

#define FULL_PERCENT 80

static void check_room(struct doctor *d, const char *stream, const json_t *info)
{
	json_int_t limit = doctor_number(json_object_get(info, "config"), "max_bytes");
	json_int_t bytes = doctor_number(json_object_get(info, "state"), "bytes");
	char size[SHOW_BYTES];
	if (limit <= 0 || bytes / FULL_PERCENT < limit / 100)
		return;
	show_size(size, (uint64_t)limit);
	doctor_find(d, DOCTOR_WARNING, "stream %s is %" JSON_INTEGER_FORMAT " %% full, of %s", stream, bytes * 100 / limit, size);
	doctor_why(d, "when it is full, messages go by size and not by age, consumed or not");
	doctor_mend(d, "nats stream edit %s --max-bytes -1", stream);
}

static void each_stream(struct doctor *d, void (*check)(struct doctor *, const char *, const json_t *))
{
	struct leat_stream_config streams[LEAT_STREAMS];
	struct leat_error err;
	leat_schema_streams(d->params, streams);
	for (size_t i = 0; i < LEAT_STREAMS; i++) {
		json_auto_t *info = doctor_jetstream(d, &err, "STREAM.INFO.%s", streams[i].name);
		if (info != NULL) {
			check(d, streams[i].name, info);
		} else if (err.code != LEAT_CODE_NOT_FOUND) {
			doctor_skip(d, "%s", err.text);
			return;
		}
	}
}

void doctor_check_stream_copies(struct doctor *d)
{
	each_stream(d, check_copies);
}

void doctor_check_stream_room(struct doctor *d)
{
	each_stream(d, check_room);
}

/* ---- dead letters ---- */

void doctor_check_dead_letters(struct doctor *d)
{
	struct leat_error err;
	struct leat_stream_state state;
	if (leat_stream_get_state(d->bus, "LEAT_DEAD", &state, &err) != LEAT_OK) {
		if (err.code == LEAT_CODE_NOT_FOUND)
			doctor_skip(d, "there is no stream");
		else
			doctor_skip(d, "%s", err.text);
		return;
	}
	if (state.messages == 0)
		return;
	char since[SHOW_BYTES];
	show_time(since, state.first_ns);
	doctor_find(d, DOCTOR_WARNING, "%" PRIu64 " dead letter%s wait%s, the oldest since %s", state.messages, state.messages == 1 ? "" : "s",
		state.messages == 1 ? "s" : "", since);
	doctor_why(d, "each is an intent that was rejected for good; they go after %" PRId64 " days", d->params->dead_retention_h / 24);
	doctor_mend(d, "leat dead list");
}
