/* The durables of this queue group: there, as a consumer would make them, pulled by somebody, wide enough for all processes. */
#include "doctor.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const struct doctor_lane doctor_lanes[DOCTOR_LANES] = {
	{"entity", "LEAT_ENTITY", "entity.merge", true},
	{"control", "LEAT_CONTROL", "interaction.expire", true},
	{"run", "LEAT_RUN", "run.node", true},
	{"advance", "LEAT_WORK", "run.resume", false},
};

void doctor_durable_name(const struct doctor *d, const struct doctor_lane *lane, char out[DOCTOR_DURABLE_BYTES])
{
	snprintf(out, DOCTOR_DURABLE_BYTES, "%s-%s", d->params->queue_group, lane->lane);
}

size_t doctor_count_processes(const struct doctor *d, const char *lane)
{
	size_t i;
	size_t count = 0;
	json_t *process;
	json_array_foreach(d->processes, i, process) count += strcmp(doctor_text(process, "queue_group"), d->params->queue_group) == 0 &&
		(lane == NULL || json_object_get(json_object_get(process, "lanes"), lane) != NULL);
	return count;
}

/* ---- settings ---- */

static const struct setting {
	const char *name;
	enum doctor_level level;
	const char *flag; /* of `nats consumer edit`; NULL: it is never changed */
	const char *why;
} settings[] = {
	{"ack_policy", DOCTOR_FAULT, NULL, "intents are lost when a consumer is killed"},
	{"deliver_subject", DOCTOR_FAULT, NULL, "one that pushes can't be pulled from"},
	{"deliver_policy", DOCTOR_FAULT, NULL, "what was stored before it was made is never applied"},
	{"max_deliver", DOCTOR_FAULT, "--max-deliver", "an intent that was tried so often is never applied, and the ack floor stands still"},
	{"filter_subject", DOCTOR_FAULT, NULL, "other intents are never applied, and a filter makes it up to 100 times slower"},
	{"replay_policy", DOCTOR_WARNING, NULL, "messages come no faster than they were published"},
	{"ack_wait", DOCTOR_WARNING, "--wait", "so long do others wait for the intents of a process that was killed"},
	{"max_ack_pending", DOCTOR_WARNING, "--max-pending", "no more than that many intents are in the processes' hands at once"},
};

struct looking {
	struct doctor *doctor;
	const struct doctor_lane *lane;
	const char *durable;
};

static void tell_difference(void *argument, const char *name, const char *found, const char *expected)
{
	const struct looking *at = argument;
	for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
		if (strcmp(settings[i].name, name) != 0)
			continue;
		doctor_find(at->doctor, settings[i].level, "consumer %s of %s: %s is %s, expected %s", at->durable, at->lane->stream, name, found,
			expected);
		doctor_why(at->doctor, "%s", settings[i].why);
		if (settings[i].flag != NULL)
			doctor_mend(at->doctor, "nats consumer edit %s %s %s %s", at->lane->stream, at->durable, settings[i].flag,
				strcmp(expected, "unlimited") == 0 ? "-1" : expected);
		else
			doctor_mend(
				at->doctor, "nats consumer rm %s %s; it is made again, and what the ledger has is skipped", at->lane->stream, at->durable);
	}
}

/* ---- whether it is used ---- */

static void check_pulled(struct doctor *d, const struct doctor_lane *lane, const char *durable, const struct leat_pull_info *info)
{
	if (doctor_count_processes(d, lane->lane) > 0 || info->pending + info->ack_pending == 0)
		return;
	doctor_find(d, DOCTOR_FAULT, "nobody pulls from consumer %s of %s: %" PRIu64 " intents wait, %" PRIu64 " are in hands that are gone",
		durable, lane->stream, info->pending, info->ack_pending);
	doctor_why(d, "they are applied by a consumer of this queue group, with this lane, and are gone when the stream's retention is over");
	doctor_mend(d, "leat consume --queue-group %s", d->params->queue_group);
}

static void tell_missing(struct doctor *d, const struct doctor_lane *lane, const char *durable)
{
	struct leat_stream_state state;
	struct leat_error err;
	bool running = doctor_count_processes(d, lane->lane) > 0;
	if (leat_stream_get_state(d->bus, lane->stream, &state, &err) != LEAT_OK)
		return; /* told by the check of streams */
	if (!running && state.messages == 0)
		return;
	doctor_find(d, running ? DOCTOR_FAULT : DOCTOR_WARNING, "there is no consumer %s of %s", durable, lane->stream);
	doctor_why(d, "%s", running ? "processes with this lane run and make none: their logs say why" : "nobody applies what is stored there");
	doctor_mend(d,
		running ? "read the log of `leat consume`; usually its login may not make it (docker/nats-accounts.conf)"
				: "leat consume --queue-group %s",
		d->params->queue_group);
}

void doctor_check_durables(struct doctor *d)
{
	for (size_t i = 0; i < DOCTOR_LANES; i++) {
		const struct doctor_lane *lane = &doctor_lanes[i];
		char durable[DOCTOR_DURABLE_BYTES];
		struct leat_error err;
		struct leat_pull_info info;
		struct looking at = {d, lane, durable};
		doctor_durable_name(d, lane, durable);
		const struct leat_pull_options options = {.stream = lane->stream,
			.durable = durable,
			.ack_wait_ms = d->params->ack_wait_ms,
			.max_ack_pending = d->params->max_ack_pending};
		if (leat_durable_compare(d->bus, &options, tell_difference, &at, &err) == LEAT_OK &&
			leat_durable_get_info(d->bus, lane->stream, durable, &info, &err) == LEAT_OK) {
			check_pulled(d, lane, durable, &info);
		} else if (err.code == LEAT_CODE_NOT_FOUND) {
			tell_missing(d, lane, durable);
		} else {
			doctor_skip(d, "%s", err.text);
			return;
		}
	}
}

/* ---- the fleet ---- */

#define BATCHES_IN_HAND 3 /* one being applied, one being filled, one on its way */

void doctor_check_fleet(struct doctor *d)
{
	for (size_t i = 0; i < DOCTOR_LANES; i++) {
		const struct doctor_lane *lane = &doctor_lanes[i];
		char durable[DOCTOR_DURABLE_BYTES];
		struct leat_error err;
		doctor_durable_name(d, lane, durable);
		json_auto_t *info = doctor_jetstream(d, &err, "CONSUMER.INFO.%s.%s", lane->stream, durable);
		json_int_t most = doctor_number(json_object_get(info, "config"), "max_ack_pending");
		int64_t each = lane->ledger ? BATCHES_IN_HAND * d->params->batch : d->params->max_runs;
		int64_t processes = (int64_t)doctor_count_processes(d, lane->lane);
		if (most <= 0 || processes * each <= most)
			continue;
		doctor_find(d, DOCTOR_WARNING,
			"consumer %s of %s gives out %" JSON_INTEGER_FORMAT " intents at once; %" PRId64 " processes take up to %" PRId64 " each",
			durable, lane->stream, most, processes, each);
		doctor_why(d, "the last of them get nothing while the others are busy");
		doctor_mend(d, "nats consumer edit %s %s --max-pending %" PRId64 ", and LEAT_MAX_ACK_PENDING; or a smaller LEAT_BATCH",
			lane->stream, durable, processes * each);
	}
}
